//! User ids that a user holds besides their own, for user namespaces (subuid(5)).

/// In place of a user who is not known: no user has this id.
pub const UNKNOWN_USER: u32 = u32::MAX;

/// Ranges of subordinate user ids, and who counts for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subordinates {
    /// By their first id; no two overlap.
    ranges: Vec<Range>,
}

/// A range of ids of which somebody is the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first id.
    pub first: u32,
    /// The last one.
    pub last: u32,
    /// The id that all of them count as: the owner's, or one of the range where nobody is to be charged with it.
    pub counts_as: u32,
}

impl Subordinates {
    /// These ranges. Where two overlap, ids of both belong to the one that begins first.
    pub fn new(mut ranges: Vec<Range>) -> Self {
        ranges.sort_by_key(|range| range.first);
        let mut next = 0u64;
        ranges.retain_mut(|range| {
            range.first = range.first.max(u32::try_from(next).unwrap_or(u32::MAX));
            let is_any = u64::from(range.last) >= next && range.first <= range.last;
            next = next.max(u64::from(range.last) + 1);
            is_any
        });
        Self { ranges }
    }

    /// The user whose share one with this id takes from.
    pub fn counts_as(&self, uid: u32) -> u32 {
        let after = self.ranges.partition_point(|range| range.first <= uid);
        let range = self.ranges[..after].last().filter(|range| uid <= range.last);
        range.map_or(uid, |range| range.counts_as)
    }

    /// The same, [`UNKNOWN_USER`] for one that is not known.
    pub fn counts_as_if_known(&self, uid: Option<u32>) -> u32 {
        uid.map_or(UNKNOWN_USER, |uid| self.counts_as(uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_in_a_range_counts_as_its_owner() {
        let range = |first, last, counts_as| Range { first, last, counts_as };
        let held = Subordinates::new(vec![
            range(300, 400, 3),
            range(100, 199, 1),
            range(150, 250, 2),
            range(160, 170, 9),
            range(u32::MAX - 2, u32::MAX, 4),
            range(u32::MAX, u32::MAX, 5),
        ]);
        let found = [99, 100, 165, 199, 200, 250, 251, 300, 401, u32::MAX - 3, u32::MAX].map(|uid| held.counts_as(uid));
        assert_eq!(found, [99, 1, 1, 1, 2, 2, 251, 3, 401, u32::MAX - 3, 4]);
        assert_eq!(Subordinates::default().counts_as(7), 7);
        assert_eq!([Some(165), None].map(|uid| held.counts_as_if_known(uid)), [1, UNKNOWN_USER]);
    }
}
