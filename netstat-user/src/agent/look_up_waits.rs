//! How long it is waited for look-ups of processes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long look-ups were waited for within a second: all guests that read events wait meanwhile.
#[derive(Debug)]
pub struct LookUpWaits {
    since: Instant,
    /// For those of each user.
    waited: HashMap<u32, Duration>,
    /// For those of all.
    all: Duration,
}

impl LookUpWaits {
    const SECOND: Duration = Duration::from_secs(1);
    /// The longest for one user, and for all.
    pub const USER: Duration = Duration::from_millis(100);
    const ALL: Duration = Duration::from_millis(200);

    /// None yet.
    pub fn new() -> Self {
        Self { since: Instant::now(), waited: HashMap::new(), all: Duration::ZERO }
    }

    /// How long it may be waited for a look-up of this user.
    pub fn left(&mut self, user: u32) -> Duration {
        if self.since.elapsed() >= Self::SECOND {
            *self = Self::new();
        }
        let waited = self.waited.get(&user).copied().unwrap_or_default();
        Self::USER.saturating_sub(waited).min(Self::ALL.saturating_sub(self.all))
    }

    /// It was waited for one.
    pub fn spend(&mut self, user: u32, waited: Duration) {
        *self.waited.entry(user).or_default() += waited;
        self.all += waited;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_slow_processes_is_waited_for_a_tenth_of_a_second_in_each() {
        let mut waits = LookUpWaits::new();
        let milliseconds = Duration::from_millis;
        assert_eq!(waits.left(1), milliseconds(100));
        waits.spend(1, milliseconds(60));
        assert_eq!([waits.left(1), waits.left(2)], [milliseconds(40), milliseconds(100)]);
        waits.spend(1, milliseconds(40));
        waits.spend(2, milliseconds(70));
        assert_eq!(
            [1, 2, 3].map(|user| waits.left(user)),
            [0, 30, 30].map(milliseconds),
            "there are several such users"
        );
        waits.since -= LookUpWaits::SECOND;
        assert_eq!([1, 2].map(|user| waits.left(user)), [milliseconds(100); 2]);
    }
}
