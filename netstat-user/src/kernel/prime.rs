//! Owners of the sockets that are older than the tracer. An iterator over all open files finds them. It runs once at the start, and again when
//! an owner has ended whose sockets other processes still hold, or when a process accepted a connection that no hook saw.

use super::{
    iter,
    load::{Job, Preloaded},
    refusal::HookRefusal,
};
use crate::model::HookCoverage;
use aya::{Btf, Ebpf};
use std::time::{Duration, Instant};

/// Name of the hook in the coverage.
pub const HOOK: &str = "older_sockets";
const PROGRAM: &str = "prime_task_file";

/// Loads it.
pub const JOB: Job = Job::Iterator(PROGRAM, "task_file");

/// Pause at least between two runs for processes that are gone.
const PAUSE: Duration = Duration::from_millis(100);

/// The iterator may use one part in this many of the time,
const SHARE: u32 = 20;

/// and up to this much at once after it has not run for a while.
const CREDIT: Duration = Duration::from_millis(50);

/// Loads the iterator and runs it once. Attach the other hooks first: a socket made meanwhile is known to them.
pub fn prime(ebpf: &mut Ebpf, loaded: &mut Preloaded, btf: Option<&Btf>) -> HookCoverage {
    let primed = loaded.load(ebpf, JOB, btf).and_then(|()| iter::walk(ebpf, PROGRAM));
    HookCoverage {
        hook: HOOK,
        without: "owners of sockets older than the tracer come from /proc only",
        variant: primed.is_ok().then_some("iter"),
        mend: primed.as_ref().err().map(|refusal| refusal.mend().line()),
        refused: primed.err().map(|refusal: HookRefusal| refusal.of("iter")).into_iter().collect(),
    }
}

/// When the iterator is run once more.
#[derive(Debug, Default)]
pub struct Again {
    due: bool,
    not_before: Option<Instant>,
    credit: Credit,
}

impl Again {
    /// The owner of a socket that others hold is gone.
    pub const fn ask(&mut self) {
        self.due = true;
    }

    /// Runs it if a process is gone and it is time to.
    pub fn run(&mut self, ebpf: &mut Ebpf) {
        let now = Instant::now();
        if self.due && self.not_before.is_none_or(|not_before| now >= not_before) {
            self.not_before = Some(now + PAUSE);
            drop(self.walk(ebpf));
        }
    }

    /// Runs it now. Returns what it wrote; `None` where it has taken its share of the time already, or was refused.
    pub fn walk(&mut self, ebpf: &mut Ebpf) -> Option<Vec<u8>> {
        let start = Instant::now();
        if !self.credit.allows(start) {
            return None;
        }
        self.due = false;
        let walked = iter::walk(ebpf, PROGRAM);
        self.credit.spend(start.elapsed());
        walked.inspect_err(|refusal| log::debug!("who holds sockets: {refusal}")).ok()
    }
}

/// Time that may be spent: it grows by a share of the time that passes.
#[derive(Debug)]
struct Credit {
    left: Duration,
    /// What was spent beyond what was left.
    owed: Duration,
    since: Option<Instant>,
}

impl Default for Credit {
    fn default() -> Self {
        Self { left: CREDIT, owed: Duration::ZERO, since: None }
    }
}

impl Credit {
    /// Whether any is left.
    fn allows(&mut self, now: Instant) -> bool {
        let since = self.since.replace(now).unwrap_or(now);
        let grown = now.saturating_duration_since(since) / SHARE;
        self.left = (self.left + grown.saturating_sub(self.owed)).min(CREDIT);
        self.owed = self.owed.saturating_sub(grown);
        self.left > Duration::ZERO
    }

    fn spend(&mut self, spent: Duration) {
        self.owed += spent.saturating_sub(self.left);
        self.left = self.left.saturating_sub(spent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_iterator_takes_its_share_of_the_time() {
        let (mut credit, start) = (Credit::default(), Instant::now());
        let mut spent = Duration::ZERO;
        // Asked for every five milliseconds, with runs of three.
        for tick in 0..4000 {
            if credit.allows(start + tick * Duration::from_millis(5)) {
                credit.spend(Duration::from_millis(3));
                spent += Duration::from_millis(3);
            }
        }
        let share = Duration::from_secs(20) / SHARE;
        assert!(spent >= share && spent <= share + CREDIT + Duration::from_millis(3), "{spent:?}");
        // One long run is paid for before the next.
        let later = start + Duration::from_secs(3600);
        assert!(credit.allows(later));
        credit.spend(Duration::from_secs(1));
        assert!(!credit.allows(later + Duration::from_secs(18)));
        assert!(credit.allows(later + Duration::from_secs(20)));
    }
}
