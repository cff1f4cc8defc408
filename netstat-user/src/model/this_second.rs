//! What was used up within a second, of what there is so much for each.

/// Nanoseconds in one.
const SECOND_NS: u64 = 1_000_000_000;

/// What was used up since a second began. The next one begins when it is looked at after the end of this one.
#[derive(Debug, Default)]
pub struct ThisSecond<T> {
    since_ns: u64,
    used: T,
}

impl<T: Default> ThisSecond<T> {
    /// What was used up in the second of this time, in nanoseconds of a clock that is never set.
    pub fn at(&mut self, now_ns: u64) -> &mut T {
        if now_ns.saturating_sub(self.since_ns) >= SECOND_NS {
            *self = Self { since_ns: now_ns, used: T::default() };
        }
        &mut self.used
    }

    /// The same of the second that was looked at last.
    pub const fn last(&mut self) -> &mut T {
        &mut self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_up_counts_for_a_second() {
        let mut used = ThisSecond::<u32>::default();
        let start = 5 * SECOND_NS + 7;
        *used.at(start) += 2;
        *used.last() += 1;
        assert_eq!([start, start + SECOND_NS - 1, start - 1].map(|now| *used.at(now)), [3; 3]);
        assert_eq!([start + SECOND_NS, start + SECOND_NS].map(|now| *used.at(now)), [0; 2]);
    }
}
