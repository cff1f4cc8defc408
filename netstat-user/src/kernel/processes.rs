//! Names of processes, as the programs report them once, and again when they change.

use super::decode::RecordProcess;
use crate::model::{Comm, TICK_NS, is_start};
use procfs::process::Process as Running;
use std::collections::HashMap;

/// At least so many names are kept. Names that nobody asks for are dropped when there are twice as many.
const KEPT: usize = 1 << 14;

/// Number of entries of the cache in front of them.
const CACHED: usize = 1 << 9;

/// The names. One that is not asked for is dropped after a while, and looked up in /proc if it is asked for all the same.
#[derive(Debug)]
pub struct Processes {
    cache: Box<[(RecordProcess, Comm)]>,
    new: HashMap<RecordProcess, Comm>,
    old: HashMap<RecordProcess, Comm>,
}

impl Default for Processes {
    fn default() -> Self {
        let nobody = ((0, 0), Comm::default());
        Self { cache: vec![nobody; CACHED].into(), new: HashMap::new(), old: HashMap::new() }
    }
}

impl Processes {
    /// The name of a process from now on.
    pub fn learn(&mut self, process: RecordProcess, name: Comm) {
        if self.new.len() >= KEPT {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(process, name);
        self.cache[process.0 as usize % CACHED] = (process, name);
    }

    /// The name of a process; empty if the programs could not report it, and it is gone.
    pub fn name(&mut self, process: RecordProcess) -> Comm {
        let (cached, name) = self.cache[process.0 as usize % CACHED];
        if cached == process {
            return name;
        }
        let known = self.new.get(&process).or_else(|| self.old.get(&process)).copied();
        let name = known.or_else(|| running(process)).unwrap_or_default();
        self.learn(process, name);
        name
    }
}

/// The name of a process that still runs; `None` where it has ended, or another one has its number.
fn running((pid, start): RecordProcess) -> Option<Comm> {
    let stat = Running::new(pid.try_into().ok()?).and_then(|process| process.stat()).ok()?;
    // The kernel rounds down to ticks, and shows the time of this process's time namespace.
    let ahead = crate::sys::clock_offsets().boottime_ns;
    let tick_ns = stat.starttime.saturating_mul(TICK_NS).saturating_add_signed(-ahead);
    (start == 0 || is_start(start, tick_ns)).then(|| Comm::new(stat.comm.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::START_SHIFT;

    #[test]
    fn names_are_kept_while_they_are_asked_for() {
        let mut processes = Processes::default();
        let name = |number: u32| Comm::new(number.to_string().as_bytes());
        // Their numbers are of no process that runs.
        let process = |number: u32| (u32::MAX - number, number);
        processes.learn(process(0), name(0));
        for number in 1..50_000 {
            processes.learn(process(number), name(number));
            assert_eq!(processes.name(process(0)), name(0), "after {number}");
            assert_eq!(processes.name(process(number)), name(number));
        }
        assert!(processes.new.len() + processes.old.len() <= 2 * KEPT);
        assert_eq!(processes.name(process(7)), Comm::default());
        processes.learn(process(0), Comm::new(b"renamed"));
        assert_eq!(processes.name(process(0)), Comm::new(b"renamed"));
    }

    #[test]
    fn a_process_that_runs_is_looked_up() {
        let me = Running::myself().unwrap().stat().unwrap();
        let tag = |ticks: u64| ((ticks * TICK_NS) >> START_SHIFT) as u32;
        let comm = Comm::new(me.comm.as_bytes());
        assert_eq!(running((std::process::id(), tag(me.starttime) + 3)), Some(comm));
        assert_eq!(running((std::process::id(), tag(me.starttime + 2))), None);
        assert_eq!(running((std::process::id(), 0)), Some(comm));
    }
}
