//! Which processes may not be looked into by the user of their sockets: looked up when an event or a listing first has one, as it may be gone when
//! somebody asks.

use super::look_budget::LookBudget;
use super::look_ups::LookUps;
use crate::agent::{Guarded, SocketProcess};
use crate::model::{EventKind, SocketEvent, Subordinates};
use crate::proc::access::Access;
use hashbrown::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long what was found is believed, and the time in which a user has so many look-ups, in nanoseconds.
const TRUST_NS: u64 = 1_000_000_000;

/// How long a look-up may wait until it is not believed any more that the process, which has ended by then, was none that is guarded.
const FRESH: Duration = Duration::from_millis(100);

/// A process to be looked at.
struct ProcessToCheck {
    process: SocketProcess,
    /// When it was met, by the kernel's clock and by this process's.
    now_ns: u64,
    met: Instant,
}

/// The look-ups, and what they found.
pub struct GuardedFinder {
    found: Arc<Guarded>,
    /// The thread that looks; `None` where everybody who asks is shown everything.
    look_ups: Option<LookUps<ProcessToCheck>>,
    /// When a process was looked at.
    looked: HashMap<SocketProcess, u64>,
    /// Look-ups of each user, those counted together who hold each other's ids, since a time.
    shares: HashMap<u32, usize>,
    since_ns: u64,
    subordinates: Arc<Subordinates>,
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
        let finds = Arc::clone(&found);
        let look_up = move |ProcessToCheck { process, now_ns, met }| {
            let is_guarded = match Access::of(&root, process.pid, process.uid) {
                Access::Open => false,
                Access::Denied => true,
                Access::Ended => met.elapsed() > FRESH,
            };
            if is_guarded {
                finds.note(process, now_ns);
            }
            finds.settle(process);
        };
        let look_ups = is_asked.then(|| LookUps::new("guarded", look_up)).transpose()?;
        let (looked, shares) = Default::default();
        Ok(Self { found, look_ups, looked, shares, since_ns: 0, subordinates: Arc::default() })
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
        uid.map_or(u32::MAX, |uid| self.subordinates.counts_as(uid))
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
        if self.looked.get(&process).is_some_and(|&at| now_ns.saturating_sub(at) < TRUST_NS) {
            return;
        }
        if now_ns.saturating_sub(self.since_ns) >= TRUST_NS {
            self.since_ns = now_ns;
            self.shares.clear();
        }
        if self.looked.len() >= Self::MOST {
            self.looked.retain(|_, at| now_ns.saturating_sub(*at) < TRUST_NS);
        }
        let user = self.subordinates.counts_as(process.uid);
        let share = self.shares.entry(user).or_default();
        *share += 1;
        if *share > Self::SHARE || self.looked.len() >= Self::MOST {
            self.found.note(process, now_ns);
            return;
        }
        self.found.expect(process);
        if look_ups.want(user, ProcessToCheck { process, now_ns, met: Instant::now() }) {
            self.looked.insert(process, now_ns);
        } else {
            self.found.note(process, now_ns);
            self.found.settle(process);
        }
    }

    /// Looks at processes that were listed, on the calling thread. What there is no time for, of a user whose processes take long to be looked at,
    /// counts as guarded.
    pub fn look_at(
        root: &Path,
        mut processes: Vec<SocketProcess>,
        subordinates: &Subordinates,
        now_ns: u64,
        found: &Guarded,
    ) {
        processes.sort_unstable_by_key(|process| subordinates.counts_as(process.uid));
        for processes in processes.chunk_by(|a, b| subordinates.counts_as(a.uid) == subordinates.counts_as(b.uid)) {
            let mut budget = LookBudget::begin();
            for &process in processes {
                if !budget.take() || Access::of(root, process.pid, process.uid) == Access::Denied {
                    found.note(process, now_ns);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A user whose sockets have ever new ids, and processes, takes no more than a share: the others' are looked at, and nothing waits.
    #[test]
    fn one_user_has_a_share_of_the_look_ups() {
        let mut finder = GuardedFinder::new("/nonexistent".into(), true, u64::MAX).unwrap();
        let found = finder.found();
        let process = |uid, pid| SocketProcess { pid, start: 1, uid };
        for pid in 1..=GuardedFinder::SHARE as u32 + 10 {
            finder.want(process(1000, pid), 5);
        }
        finder.want(process(1001, 7), 5);
        let last = GuardedFinder::SHARE as u32;
        assert_eq!([1, last, last + 1, last + 10].map(|pid| found.has(process(1000, pid))), [false, false, true, true]);
        assert!(!found.has(process(1001, 7)));
        // With the next second begins another share.
        finder.want(process(1000, last + 20), 5 + TRUST_NS);
        assert!(!found.has(process(1000, last + 20)));
        let mut none = GuardedFinder::new("/nonexistent".into(), false, 0).unwrap();
        none.want(process(1000, 1), 5);
        assert!(none.looked.is_empty());
    }
}
