//! How much processor time may be spent on one user's processes.

use crate::sys;
use rustix::time::ClockId;

/// The processor time that looks at one user's processes may take. A process can be made slow to be looked at: each group it is in takes a line of its
/// status.
#[derive(Debug)]
pub struct LookBudget {
    begun_ns: u64,
    allowed_ns: u64,
}

impl LookBudget {
    /// For all processes of one user, and of all users, in nanoseconds.
    const FIRST_NS: u64 = 250_000_000;
    const OF_ALL_NS: u64 = 1_000_000_000;
    /// For each one more: some five times what it takes.
    const EACH_NS: u64 = 200_000;

    /// For one user, in processor time of the calling thread from now on.
    pub fn begin() -> Self {
        Self::since(sys::clock_ns(ClockId::ThreadCPUTime))
    }

    /// The same for all users together.
    pub fn of_all() -> Self {
        Self { allowed_ns: Self::OF_ALL_NS, ..Self::begin() }
    }

    const fn since(begun_ns: u64) -> Self {
        Self { begun_ns, allowed_ns: Self::FIRST_NS }
    }

    /// Notes that another one is looked at; false where there is no time for that.
    pub fn take(&mut self) -> bool {
        self.take_at(sys::clock_ns(ClockId::ThreadCPUTime))
    }

    const fn take_at(&mut self, now_ns: u64) -> bool {
        self.allowed_ns += Self::EACH_NS;
        now_ns - self.begun_ns < self.allowed_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_grows_with_the_processes_that_are_looked_at() {
        let mut budget = LookBudget::since(7);
        let most = |count| 7 + LookBudget::FIRST_NS + count * LookBudget::EACH_NS;
        assert!(budget.take_at(most(1) - 1) && !budget.take_at(most(2)) && budget.take_at(most(3) - 1));
        assert!((4..=100).all(|count| budget.take_at(most(count) - 1)));
    }
}
