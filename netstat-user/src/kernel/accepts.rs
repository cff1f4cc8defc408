//! The hook on the return of accept(2). It is attached from the start, and detached where the other hooks see the same connections. It costs
//! every system call of the machine some 50 ns, those of other processes included.

use super::{
    object,
    refusal::{HookRefusal, Lacking},
};
use aya::{
    Ebpf,
    programs::{ProgramError, TracePoint, trace_point::TracePointLinkId},
};
use netstat_ebpf::counter;
use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

/// The tracepoints at the exit of accept(2) and accept4(2).
const EXITS: [&str; 2] = ["sys_exit_accept", "sys_exit_accept4"];

/// The hook is detached when the other hooks have seen so many accepted connections in a row. If a connection is missed afterwards, the hook is
/// attached again, and ten times as many are required.
const ENOUGH: u64 = 1_000;

/// How often the kernel is asked what the hook saw.
const LOOK: Duration = Duration::from_millis(50);

/// Whether the hook is attached, and what it saw.
#[derive(Debug)]
pub struct Accepts {
    /// Name of the program in the object.
    program: &'static str,
    /// Empty while it is not attached.
    links: Vec<TracePointLinkId>,
    enough: u64,
    /// The kernel would not attach it again.
    refused: bool,
    next_look: Instant,
    /// The counts at the moment when it last saw a connection that no other hook saw; zero before.
    base: AcceptCounts,
}

/// Connections seen accepted.
#[derive(Clone, Copy, Debug, Default)]
struct AcceptCounts {
    /// By another hook before.
    twice: u64,
    /// By no other one.
    alone: u64,
}

/// Attaches the program of this name, which is loaded.
///
/// # Errors
/// Why it cannot be had.
pub fn attach(ebpf: &mut Ebpf, program: &'static str) -> Result<Accepts, HookRefusal> {
    Ok(Accepts {
        program,
        links: links(ebpf, program)?,
        enough: ENOUGH,
        refused: false,
        next_look: Instant::now() + LOOK,
        base: AcceptCounts::default(),
    })
}

fn links(ebpf: &mut Ebpf, program: &'static str) -> Result<Vec<TracePointLinkId>, HookRefusal> {
    let program: &mut TracePoint = object::program(ebpf, program)?;
    let attached = |_: &Path| EXITS.into_iter().map(|exit| program.attach("syscalls", exit)).collect();
    let links: Result<Vec<_>, ProgramError> =
        crate::sys::with_tracefs(attached).map_err(|error| HookRefusal::NoTracefs(Lacking::mount(error)))?;
    Ok(links?)
}

impl Accepts {
    /// Detaches the hook if the others see all that it sees; `count` reads a [`counter`].
    ///
    /// # Errors
    /// The kernel's, reading the counters.
    pub fn look(&mut self, ebpf: &mut Ebpf, count: impl Fn(u32) -> io::Result<u64>) -> io::Result<()> {
        let now = Instant::now();
        if self.links.is_empty() || now < self.next_look {
            return Ok(());
        }
        self.next_look = now + LOOK;
        let seen = AcceptCounts { twice: count(counter::ACCEPTED_TWICE)?, alone: count(counter::ACCEPTED)? };
        if seen.alone != self.base.alone {
            self.base = seen;
        } else if seen.twice - self.base.twice >= self.enough
            && let Ok(program) = object::program::<TracePoint>(ebpf, self.program)
        {
            for link in self.links.drain(..) {
                if let Err(error) = program.detach(link) {
                    log::debug!("{EXITS:?} stays attached: {error}");
                }
            }
        }
        Ok(())
    }

    /// Attaches the hook again: a connection was accepted, and no hook saw it.
    ///
    /// # Errors
    /// Why the kernel refuses it now; it is not asked again.
    pub fn resume(&mut self, ebpf: &mut Ebpf) -> Result<(), HookRefusal> {
        if self.links.is_empty() && !self.refused {
            self.refused = true;
            self.links = links(ebpf, self.program)?;
            self.refused = false;
            self.enough = self.enough.saturating_mul(10);
        }
        Ok(())
    }
}
