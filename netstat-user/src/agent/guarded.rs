//! Which processes the users of their sockets may not look into, as far as that was found out. Where there is no room, the user with most gives up theirs.

use super::look_up_waits::LookUpWaits;
use crate::model::{Shares, Subordinates};
use crate::sys::{self, lock};
use rustix::time::ClockId;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A process that has, or had, a socket of this user. It may be run by another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocketProcess {
    /// Thread-group id.
    pub pid: u32,
    /// When it began, as [`Owner::start`](crate::model::Owner): another process with its number is another one.
    pub start: u32,
    /// The user.
    pub uid: u32,
}

/// Processes that the user of their sockets may not look into, as the agent found when they were first met: a setuid program, for one, makes sockets
/// of the user whose file it is, and is run by another one.
#[derive(Debug)]
pub struct Guarded {
    known: Mutex<GuardedBy>,
    /// Notified when a process has been looked at.
    looked: Condvar,
    /// How long what was found counts, in nanoseconds.
    kept_ns: u64,
}

#[derive(Debug)]
struct GuardedBy {
    /// Those that are to be looked at.
    pending: HashSet<SocketProcess>,
    /// When each was last met.
    processes: HashMap<SocketProcess, u64>,
    /// Those of each user, counted together who hold each other's ids, in the order they were first met.
    met: Shares<VecDeque<SocketProcess>>,
    /// Who holds whose ids.
    subordinates: Arc<Subordinates>,
    /// Users of whom some that still count have been forgotten for want of room, and when that was.
    crowded: HashMap<u32, Instant>,
    /// When there were more such users than are remembered.
    all_crowded: Option<Instant>,
    waits: LookUpWaits,
}

/// How long a connection may outlive its process, at least: by default the kernel sends again what was not acknowledged for a quarter of an hour
/// (`tcp_retries2` in tcp(7)), and hosts may have set it higher.
const OUTLIVED: Duration = Duration::from_secs(3600);

impl Default for Guarded {
    /// As if no closed socket was kept.
    fn default() -> Self {
        Self::new(0)
    }
}

impl Guarded {
    /// Most processes, and users, that are remembered.
    pub(super) const MOST: usize = 1 << 16;

    /// None yet; what is found counts as long as a closed socket is kept, and as a connection may outlive its process.
    pub fn new(kept_ns: u64) -> Self {
        let kept_ns = kept_ns.max(OUTLIVED.as_nanos() as u64);
        let (pending, processes, subordinates, crowded, all_crowded) = Default::default();
        let (met, waits) = (Shares::new(Self::MOST), LookUpWaits::default());
        let known = GuardedBy { pending, processes, met, subordinates, crowded, all_crowded, waits };
        Self { known: Mutex::new(known), looked: Condvar::new(), kept_ns }
    }

    /// Who holds whose ids, from now on.
    pub fn count_by(&self, subordinates: Arc<Subordinates>) {
        lock(&self.known).subordinates = subordinates;
    }

    /// Notes that the user may not look into this process. Where there is no room, who has most gives up the oldest of theirs.
    pub fn note(&self, process: SocketProcess, now_ns: u64) {
        let mut known = lock(&self.known);
        let user = known.subordinates.counts_as(process.uid);
        if known.processes.insert(process, now_ns).is_some() {
            return;
        }
        let full = known.processes.len() > Self::MOST;
        let giving = full.then(|| known.met.giving(user));
        let first = giving.and_then(|giving| Some((giving, known.met.remove(giving, VecDeque::pop_front)??)));
        known.met.add(user).push_back(process);
        let Some((giving, first)) = first else { return };
        let met_ns = known.processes.remove(&first);
        if met_ns.is_some_and(|met_ns| now_ns.saturating_sub(met_ns) <= self.kept_ns) {
            known.crowded.insert(giving, Instant::now());
            if known.crowded.len() > Self::MOST {
                known.crowded.clear();
                known.all_crowded = Some(Instant::now());
            }
        }
    }

    /// Notes that this process is about to be looked at: who asks for it waits for that.
    pub fn expect(&self, process: SocketProcess) {
        lock(&self.known).pending.insert(process);
    }

    /// Notes that it has been looked at.
    pub fn settle(&self, process: SocketProcess) {
        if lock(&self.known).pending.remove(&process) {
            self.looked.notify_all();
        }
    }

    /// True where the user may not look into this process, or where that is not known in time. It may wait: the task that takes events never calls it.
    pub fn has(&self, process: SocketProcess) -> bool {
        let mut known = lock(&self.known);
        if !known.pending.contains(&process) {
            return known.processes.contains_key(&process);
        }
        let user = known.subordinates.counts_as(process.uid);
        let left = known.waits.left(user, sys::clock_ns(ClockId::Monotonic));
        if left.is_zero() {
            return true;
        }
        let begun = Instant::now();
        let is_pending = |known: &mut GuardedBy| known.pending.contains(&process);
        let waited = self.looked.wait_timeout_while(known, left, is_pending);
        let (mut known, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        known.waits.spend(user, begun.elapsed());
        waited.timed_out() || known.processes.contains_key(&process)
    }

    /// Whether nothing has been forgotten of this user's.
    pub fn is_whole(&self, uid: u32) -> bool {
        let known = lock(&self.known);
        let still = |at: &Instant| at.elapsed() <= Duration::from_nanos(self.kept_ns);
        !known.all_crowded.as_ref().is_some_and(still)
            && !known.crowded.get(&known.subordinates.counts_as(uid)).is_some_and(still)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::IdRange;

    /// Who makes the agent forget what it found is not shown more for it.
    #[test]
    fn what_is_forgotten_of_guarded_processes_is_known_to_be() {
        const KEPT: u64 = 3_600_000_000_000;
        let guarded = Guarded::new(KEPT);
        const MOST: u32 = Guarded::MOST as u32;
        let process = |pid, uid| SocketProcess { pid, start: 1, uid };
        let note = |pid, uid, now_ns| guarded.note(process(pid, uid), now_ns);
        note(1, 7, 1000);
        (1..=MOST).for_each(|pid| note(pid, 8, 1001));
        assert!(guarded.has(process(1, 7)) && guarded.is_whole(7), "whoever has most gives up one");
        assert!(!guarded.has(process(1, 8)) && !guarded.is_whole(8));
        note(2, 7, 1101);
        assert!(guarded.has(process(2, 7)) && guarded.is_whole(7) && !guarded.has(process(2, 8)));
        // Those of many users that one holds count as that one's.
        guarded.count_by(Arc::new(Subordinates::new(vec![IdRange { first: 100_000, last: 999_999, counts_as: 8 }])));
        (0..2 * MOST).for_each(|number| note(1, 100_000 + number, 1102));
        assert!(guarded.has(process(1, 7)) && guarded.is_whole(7) && !guarded.is_whole(100_000));
    }

    #[test]
    fn what_is_too_old_does_not_count_as_forgotten() {
        const KEPT: u64 = 3_600_000_000_000;
        let guarded = Guarded::new(KEPT);
        let process = |pid| SocketProcess { pid, start: 1, uid: 8 };
        let most = Guarded::MOST as u32;
        (0..most).for_each(|pid| guarded.note(process(pid), 1));
        // The second one has been met again since.
        guarded.note(process(1), 1 + 2 * KEPT);
        guarded.note(process(most), 1 + 2 * KEPT);
        assert!(!guarded.has(process(0)) && guarded.is_whole(8));
        guarded.note(process(most + 1), 1 + 2 * KEPT);
        assert!(!guarded.has(process(1)) && !guarded.is_whole(8));
        // Where no history is kept, there are still the connections that a process leaves behind.
        let guarded = Guarded::new(0);
        (0..=most).for_each(|pid| guarded.note(process(pid), 1 + u64::from(pid / most) * 900_000_000_000));
        assert!(!guarded.has(process(0)) && !guarded.is_whole(8));
    }

    #[test]
    fn what_is_not_looked_at_in_time_counts_as_guarded() {
        let guarded = Guarded::new(1);
        let process = SocketProcess { pid: 9, start: 1, uid: 7 };
        guarded.expect(process);
        let begun = Instant::now();
        assert!(guarded.has(process) && begun.elapsed() >= LookUpWaits::USER);
        guarded.settle(process);
        assert!(!guarded.has(process), "what has been looked at is known");
    }
}
