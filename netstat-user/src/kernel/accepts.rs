//! The hook on the return of accept(2): attached from the start, and taken away again where it sees only what the others see, too. It costs
//! every system call of the machine some 50 ns, those of other processes included.

use super::{
    attach,
    plan::{Hook, Refusal, Variant},
};
use aya::{
    Ebpf,
    programs::{TracePoint, trace_point::TracePointLinkId},
};
use netstat_ebpf::counter;
use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

/// The tracepoints at the exit of accept(2) and accept4(2).
const EXITS: [&str; 2] = ["sys_exit_accept", "sys_exit_accept4"];

/// How many connections in a row the other hooks must have seen accepted before this one is taken away; ten times as many each time that
/// turned out to be wrong.
const ENOUGH: u64 = 1_000;

/// How often the kernel is asked what the hook saw.
const LOOK: Duration = Duration::from_millis(50);

/// Whether the hook is attached, and what it saw.
#[derive(Debug)]
pub struct Accepts {
    /// Empty while it is not attached.
    links: Vec<TracePointLinkId>,
    enough: u64,
    /// The kernel would not attach it again.
    refused: bool,
    next_look: Instant,
    /// What it had seen of both kinds when it last saw something that no other hook saw, at first nothing.
    base: Seen,
}

/// Connections seen accepted.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// By another hook before.
    twice: u64,
    /// By no other one.
    alone: u64,
}

/// Loads the program and attaches it.
///
/// # Errors
/// Why it cannot be had.
pub fn attach(ebpf: &mut Ebpf) -> Result<Accepts, Refusal> {
    let program: &mut TracePoint = attach::program(ebpf, Hook::Accept.program(Variant::Syscall))?;
    program.load().map_err(|error| attach::refused(&error))?;
    Ok(Accepts {
        links: links(ebpf)?,
        enough: ENOUGH,
        refused: false,
        next_look: Instant::now() + LOOK,
        base: Seen::default(),
    })
}

fn links(ebpf: &mut Ebpf) -> Result<Vec<TracePointLinkId>, Refusal> {
    let program: &mut TracePoint = attach::program(ebpf, Hook::Accept.program(Variant::Syscall))?;
    let attached = |_: &Path| EXITS.into_iter().map(|exit| program.attach("syscalls", exit)).collect();
    let links: Result<Vec<_>, _> =
        crate::sys::with_tracefs(attached).map_err(|error| Refusal::NoTracefs(error.to_string()))?;
    links.map_err(|error| attach::refused(&error))
}

impl Accepts {
    /// Takes the hook away if it sees nothing by itself; `count` reads a [`counter`].
    ///
    /// # Errors
    /// The kernel's, reading the counters.
    pub fn look(&mut self, ebpf: &mut Ebpf, count: impl Fn(u32) -> io::Result<u64>) -> io::Result<()> {
        let now = Instant::now();
        if self.links.is_empty() || now < self.next_look {
            return Ok(());
        }
        self.next_look = now + LOOK;
        let seen = Seen { twice: count(counter::ACCEPTED_TWICE)?, alone: count(counter::ACCEPTED)? };
        if seen.alone != self.base.alone {
            self.base = seen;
        } else if seen.twice - self.base.twice >= self.enough
            && let Ok(program) = attach::program::<TracePoint>(ebpf, Hook::Accept.program(Variant::Syscall))
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
    pub fn resume(&mut self, ebpf: &mut Ebpf) -> Result<(), Refusal> {
        if self.links.is_empty() && !self.refused {
            self.refused = true;
            self.links = links(ebpf)?;
            self.refused = false;
            self.enough = self.enough.saturating_mul(10);
        }
        Ok(())
    }
}
