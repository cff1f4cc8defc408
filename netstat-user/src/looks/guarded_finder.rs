//! Which processes may not be looked into by the user of their sockets: looked up when an event or a listing first has one, as it may be gone when
//! somebody asks.

use super::look_budget::LookBudget;
use super::look_ups::LookUps;
use crate::agent::{Guarded, SocketProcess};
use crate::model::{EventKind, SocketEvent, Subordinates, ThisSecond};
use crate::proc::access::Access;
use crate::sys::{kernel_monotonic_ns, lock};
use hashbrown::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A process that ended before it was looked at counts as not guarded if it was met at most so many nanoseconds ago.
const FRESH_NS: u64 = 100_000_000;

/// A process to be looked at.
struct ProcessToCheck {
    process: SocketProcess,
    /// When it was met, in the kernel's monotonic nanoseconds.
    met_ns: u64,
}

impl ProcessToCheck {
    /// Whether it counts as guarded, given what was found of it at that time. `is_listed`: the last listing found it open.
    fn is_guarded(&self, access: Access, now_ns: u64, is_listed: bool) -> bool {
        match access {
            Access::Open => false,
            Access::Denied => true,
            // Of a process that was found by its descriptors it is not known when it ended.
            Access::Ended if self.process.start == 0 => !is_listed,
            Access::Ended => now_ns.saturating_sub(self.met_ns) > FRESH_NS,
        }
    }
}

/// The look-ups, and what they found.
pub struct GuardedFinder {
    found: Arc<Guarded>,
    /// The thread that looks; `None` where everybody who asks is shown everything.
    look_ups: Option<LookUps<ProcessToCheck>>,
    looked: ThisSecond<LookedAt>,
    subordinates: Arc<Subordinates>,
    /// Those that were found open when the kernel's lists were last read.
    listed: Arc<Mutex<HashSet<SocketProcess>>>,
}

/// What was looked at within a second, for which it is believed.
#[derive(Default)]
struct LookedAt {
    processes: HashSet<SocketProcess>,
    /// Look-ups of each user, those counted together who hold each other's ids.
    shares: HashMap<u32, usize>,
}

impl GuardedFinder {
    /// Most look-ups that are remembered.
    const MOST: usize = 1 << 16;
    /// Most look-ups in a second for the sockets of one user. Each takes some 13 µs.
    const SHARE: usize = 2000;

    /// Nothing is looked up where everybody who asks is shown everything. What was found counts for as long as closed sockets are kept.
    ///
    /// # Errors
    /// No room for the thread.
    pub fn new(root: PathBuf, is_asked: bool, kept_ns: u64) -> io::Result<Self> {
        let found = Arc::new(Guarded::new(kept_ns));
        let listed = Arc::<Mutex<HashSet<_>>>::default();
        let (finds, known) = (Arc::clone(&found), Arc::clone(&listed));
        let look_up = move |check: ProcessToCheck| {
            let process = check.process;
            let access = Access::of(&root, process.pid, process.uid);
            if check.is_guarded(access, kernel_monotonic_ns(), lock(&known).contains(&process)) {
                finds.note(process, check.met_ns);
            }
            finds.settle(process);
        };
        let look_ups = is_asked.then(|| LookUps::new("guarded", look_up)).transpose()?;
        Ok(Self { found, look_ups, looked: ThisSecond::default(), subordinates: Arc::default(), listed })
    }

    /// What was found, and will be.
    pub fn found(&self) -> Arc<Guarded> {
        Arc::clone(&self.found)
    }

    /// Who holds whose ids, from now on.
    pub fn count_by(&mut self, subordinates: Arc<Subordinates>) {
        self.found.count_by(Arc::clone(&subordinates));
        self.subordinates = subordinates;
    }

    /// Whom the sockets of a user count for; of one that is not known, nobody.
    pub fn counts_as(&self, uid: Option<u32>) -> u32 {
        self.subordinates.counts_as_if_known(uid)
    }

    /// Has the processes of an event looked at.
    pub fn note(&mut self, event: &SocketEvent) {
        if self.look_ups.is_none() {
            return;
        }
        let closer = match &event.kind {
            EventKind::Close(totals) => totals.closed_by.map(|closer| (closer.pid, closer.start)),
            _ => None,
        };
        // Root's own sockets are shown to nobody who is not shown everything.
        let Some(uid) = event.uid.filter(|&uid| uid != 0) else { return };
        for (pid, start) in event.owner.map(|owner| (owner.pid, owner.start)).into_iter().chain(closer) {
            self.want(SocketProcess { pid, start, uid }, event.time_ns);
        }
    }

    /// Has a process looked at, unless that was done a moment ago. One for which there is no turn counts as guarded.
    fn want(&mut self, process: SocketProcess, now_ns: u64) {
        let Some(look_ups) = &self.look_ups else { return };
        let looked = self.looked.at(now_ns);
        if looked.processes.contains(&process) {
            return;
        }
        let user = self.subordinates.counts_as(process.uid);
        let share = looked.shares.entry(user).or_default();
        *share += 1;
        if *share > Self::SHARE || looked.processes.len() >= Self::MOST {
            self.found.note(process, now_ns);
            return;
        }
        self.found.expect(process);
        if look_ups.want(user, ProcessToCheck { process, met_ns: now_ns }) {
            looked.processes.insert(process);
        } else {
            self.found.note(process, now_ns);
            self.found.settle(process);
        }
    }

    /// Notes which processes were found open when the kernel's lists were last read.
    pub fn note_listed(&mut self, open: HashSet<SocketProcess>) {
        *lock(&self.listed) = open;
    }
}

/// Looks at listed processes on the calling thread, and returns those that are open. Processes that do not fit into the time for a user's, or for all
/// users', count as guarded.
pub fn look_at_listed(
    root: &Path,
    mut processes: Vec<SocketProcess>,
    subordinates: &Subordinates,
    now_ns: u64,
    found: &Guarded,
) -> HashSet<SocketProcess> {
    let (mut open, mut of_all) = (HashSet::new(), LookBudget::of_all());
    processes.sort_unstable_by_key(|process| subordinates.counts_as(process.uid));
    for processes in processes.chunk_by(|a, b| subordinates.counts_as(a.uid) == subordinates.counts_as(b.uid)) {
        let mut budget = LookBudget::begin();
        for &process in processes {
            let access = if of_all.take() && budget.take() {
                Access::of(root, process.pid, process.uid)
            } else {
                Access::Denied
            };
            match access {
                Access::Open => drop(open.insert(process)),
                Access::Denied => found.note(process, now_ns),
                Access::Ended => {}
            }
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_ended_counts_as_guarded_unless_that_was_just_now() {
        let is_guarded = |start, access, now_ns, is_listed| {
            let check = ProcessToCheck { process: SocketProcess { pid: 7, start, uid: 1000 }, met_ns: 5 };
            check.is_guarded(access, now_ns, is_listed)
        };
        let late = 5 + FRESH_NS + 1;
        assert_eq!([5, late - 1, late].map(|now| is_guarded(1, Access::Ended, now, false)), [false, false, true]);
        assert_eq!([Access::Open, Access::Denied].map(|access| is_guarded(1, access, late, true)), [false, true]);
        // Found by its descriptors: it may have ended long ago.
        assert_eq!([true, false].map(|is_listed| is_guarded(0, Access::Ended, 5, is_listed)), [false, true]);
        assert!(is_guarded(0, Access::Denied, 5, true));
    }

    /// A user whose sockets have ever new ids, and processes, takes no more than a share: the others' are looked at, and nothing waits.
    #[test]
    fn one_user_has_a_share_of_the_look_ups() {
        // However late the thread gets to run, it looks soon after this.
        let now = kernel_monotonic_ns() + 3_600_000_000_000;
        let mut finder = GuardedFinder::new("/nonexistent".into(), true, u64::MAX).unwrap();
        let found = finder.found();
        let process = |uid, pid| SocketProcess { pid, start: 1, uid };
        for pid in 1..=GuardedFinder::SHARE as u32 + 10 {
            finder.want(process(1000, pid), now);
        }
        finder.want(process(1001, 7), now);
        let last = GuardedFinder::SHARE as u32;
        assert_eq!([1, last, last + 1, last + 10].map(|pid| found.has(process(1000, pid))), [false, false, true, true]);
        assert!(!found.has(process(1001, 7)));
        // With the next second begins another share.
        finder.want(process(1000, last + 20), now + 1_000_000_000);
        assert!(!found.has(process(1000, last + 20)));
        let mut none = GuardedFinder::new("/nonexistent".into(), false, 0).unwrap();
        none.want(process(1000, 1), now);
        assert!(none.looked.last().processes.is_empty());
    }
}
