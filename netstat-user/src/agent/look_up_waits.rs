//! How long it is waited for look-ups of processes.

use crate::model::ThisSecond;
use std::collections::HashMap;
use std::time::Duration;

/// How long look-ups were waited for within a second: all guests that read events wait meanwhile.
#[derive(Debug, Default)]
pub struct LookUpWaits(ThisSecond<Waited>);

#[derive(Debug, Default)]
struct Waited {
    /// For those of each user.
    by_user: HashMap<u32, Duration>,
    /// For those of all.
    all: Duration,
}

impl LookUpWaits {
    /// The longest for one user, and for all.
    pub const USER: Duration = Duration::from_millis(100);
    const ALL: Duration = Duration::from_millis(200);

    /// How long it may be waited for a look-up of this user at this time, in monotonic nanoseconds.
    pub fn left(&mut self, user: u32, now_ns: u64) -> Duration {
        let waited = self.0.at(now_ns);
        let of_user = waited.by_user.get(&user).copied().unwrap_or_default();
        Self::USER.saturating_sub(of_user).min(Self::ALL.saturating_sub(waited.all))
    }

    /// It was waited for one.
    pub fn spend(&mut self, user: u32, waited: Duration) {
        let all = self.0.last();
        *all.by_user.entry(user).or_default() += waited;
        all.all += waited;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_slow_processes_is_waited_for_a_tenth_of_a_second_in_each() {
        let mut waits = LookUpWaits::default();
        let milliseconds = Duration::from_millis;
        assert_eq!(waits.left(1, 0), milliseconds(100));
        waits.spend(1, milliseconds(60));
        assert_eq!([waits.left(1, 0), waits.left(2, 0)], [milliseconds(40), milliseconds(100)]);
        waits.spend(1, milliseconds(40));
        waits.spend(2, milliseconds(70));
        assert_eq!(
            [1, 2, 3].map(|user| waits.left(user, 0)),
            [0, 30, 30].map(milliseconds),
            "there are several such users"
        );
        assert_eq!([1, 2].map(|user| waits.left(user, 1_000_000_000)), [milliseconds(100); 2]);
    }
}
