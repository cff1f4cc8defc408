//! Doubts: the timer of a minisocket was stopped, and the programs cannot say yet whether for good. They decide it when the next timer is
//! stopped on the same processor. The last one of each processor has no next one for a while: user space asks the programs to decide it.

use super::{
    hooks::LATE_ENDS,
    iter,
    load::{Job, Preloaded},
    refusal::HookRefusal,
};
use crate::model::HookCoverage;
use crate::sys::Scarce;
use aya::{
    Btf, Ebpf,
    maps::{Array, MapData, PerCpuArray},
};
use netstat_ebpf::maps;
use std::{
    io, thread,
    time::{Duration, Instant},
};

/// How often the programs are asked. A timer that was stopped before the last question can be decided at this one: the function that stopped it
/// has returned by then.
const INTERVAL: Duration = Duration::from_millis(50);

/// How long that function may take to return on a busy machine.
const SHOWS: Duration = Duration::from_millis(10);

/// A [`netstat_ebpf::Doubt`], word by word.
type Doubt = [u64; 2];

/// The doubts of the programs.
pub struct Doubts {
    left: PerCpuArray<MapData, Doubt>,
    asked: Array<MapData, u64>,
    /// By processor: the doubts that were there at the last question, and those that were decided.
    seen: Vec<Doubt>,
    decided: Vec<Doubt>,
    next: Instant,
}

/// Loads the program that decides; `None` where it is refused. Each doubt is then decided by the next one only.
///
/// # Errors
/// What ran out.
pub fn begin(
    ebpf: &mut Ebpf,
    loaded: &mut Preloaded,
    btf: Option<&Btf>,
) -> Result<(Option<Doubts>, HookCoverage), Scarce> {
    let (doubts, refusal) = match Doubts::new(ebpf, loaded, btf) {
        Ok(doubts) => (Some(doubts), None),
        Err(refusal) => (None, Some(refusal)),
    };
    Ok((doubts, iter::coverage(&LATE_ENDS, refusal)?))
}

impl Doubts {
    fn new(ebpf: &mut Ebpf, loaded: &mut Preloaded, btf: Option<&Btf>) -> Result<Self, HookRefusal> {
        let left =
            ebpf.take_map(maps::DOUBTS).and_then(|map| map.try_into().ok()).ok_or(HookRefusal::Lacks(maps::DOUBTS))?;
        let asked =
            ebpf.take_map(maps::ASKED).and_then(|map| map.try_into().ok()).ok_or(HookRefusal::Lacks(maps::ASKED))?;
        loaded.load(ebpf, Job::Iterated(&LATE_ENDS), btf)?;
        Ok(Self { left, asked, seen: Vec::new(), decided: Vec::new(), next: Instant::now() })
    }

    /// Has the programs report what can be decided by now, once in a while.
    ///
    /// # Errors
    /// The kernel's.
    pub fn decide(&mut self, ebpf: &mut Ebpf) -> io::Result<()> {
        if Instant::now() < self.next {
            return Ok(());
        }
        self.next = Instant::now() + INTERVAL;
        self.look(ebpf)
    }

    /// The same of all that has happened until now.
    ///
    /// # Errors
    /// The kernel's.
    pub fn decide_all(&mut self, ebpf: &mut Ebpf) -> io::Result<()> {
        self.look(ebpf)?;
        thread::sleep(SHOWS);
        self.look(ebpf)
    }

    /// Has those decided that were there the last time.
    fn look(&mut self, ebpf: &mut Ebpf) -> io::Result<()> {
        let left = self.left.get(&0, 0).map_err(io::Error::other)?.to_vec();
        self.seen.resize(left.len(), Doubt::default());
        self.decided.resize(left.len(), Doubt::default());
        for ((doubt, seen), decided) in left.into_iter().zip(&mut self.seen).zip(&mut self.decided) {
            if doubt == *seen && doubt != *decided {
                let [mini, _] = doubt;
                self.asked.set(0, mini, 0).map_err(io::Error::other)?;
                iter::walk(ebpf, LATE_ENDS.program).map_err(io::Error::other)?;
                *decided = doubt;
            }
            *seen = doubt;
        }
        Ok(())
    }
}
