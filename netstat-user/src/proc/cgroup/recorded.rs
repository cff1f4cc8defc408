//! Paths of cgroups that are kept after the cgroups were removed, in a share of each user.

use crate::model::Shares;
use std::collections::{HashMap, VecDeque};

/// Paths by ids, in so many bytes. Where there is no more room, who has most gives up the oldest of theirs.
#[derive(Debug)]
pub struct RecordedPaths {
    /// Most bytes.
    room: usize,
    bytes: usize,
    /// `None` inside for one that has no path that can be seen.
    paths: HashMap<u64, Option<Box<[u8]>>>,
    /// Those of each user, in the order they were recorded.
    users: Shares<VecDeque<u64>>,
}

impl RecordedPaths {
    /// What one takes besides the bytes of its path, in bytes, at most: its places in the map and in the queue, half of which may be empty, and what
    /// the allocator adds.
    const ENTRY: usize = 128;

    /// None yet, with room for so many bytes.
    pub fn new(room: usize) -> Self {
        Self { room, bytes: 0, paths: HashMap::new(), users: Shares::new(room) }
    }

    /// The path of a cgroup, `None` inside where it is known to have none; `None` where nothing is known.
    pub fn get(&self, id: u64) -> Option<Option<&[u8]>> {
        self.paths.get(&id).map(Option::as_deref)
    }

    fn size(path: Option<&[u8]>) -> usize {
        Self::ENTRY + path.map_or(0, <[u8]>::len)
    }

    /// Keeps a path that was not known, in the share of this user. One that is longer than a share is not kept.
    pub fn keep(&mut self, id: u64, user: u32, path: Option<Box<[u8]>>) {
        let size = Self::size(path.as_deref());
        if size > self.users.share() || self.paths.contains_key(&id) {
            return;
        }
        while self.bytes + size > self.room && self.remove_first(self.users.giving(user)) {}
        self.paths.insert(id, path);
        self.users.add_sized(user, size).push_back(id);
        self.bytes += size;
    }

    /// Gives up the oldest of a user's, if there is one.
    fn remove_first(&mut self, user: u32) -> bool {
        let paths = &mut self.paths;
        let take = |ids: &mut VecDeque<u64>| {
            let path = ids.pop_front().and_then(|id| paths.remove(&id));
            // What a user had once takes no room from those who came later.
            if ids.capacity() / 4 > ids.len() {
                ids.shrink_to(2 * ids.len());
            }
            let size = path.map_or(0, |path| Self::size(path.as_deref()));
            (size, size)
        };
        let freed = self.users.remove_sized(user, take).unwrap_or_default();
        self.bytes -= freed;
        freed > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 16 << 20;
    const ROOT: u32 = 0;

    fn path(len: usize) -> Option<Box<[u8]>> {
        Some(vec![b'x'; len].into())
    }

    /// Checks that what is counted is there, and within the room.
    fn check(recorded: &RecordedPaths) {
        let bytes: usize = recorded.paths.values().map(|path| RecordedPaths::size(path.as_deref())).sum();
        assert_eq!(bytes, recorded.bytes);
        assert!(bytes <= recorded.room, "{bytes}");
    }

    /// Whatever one user adds, with paths long or short, or none: removed cgroups of others stay known, and the bytes are bounded.
    #[test]
    fn one_user_pushes_out_nobody_elses() {
        for len in [Some(4096), Some(1), None] {
            let mut recorded = RecordedPaths::new(ROOM);
            (0..100).for_each(|id| recorded.keep(id, 8, path(100)));
            (100..200).for_each(|id| recorded.keep(id, ROOT, path(100)));
            for id in 1000..201_000 {
                recorded.keep(id, 7, len.and_then(path));
                assert!(recorded.bytes <= ROOM);
            }
            check(&recorded);
            assert!((0..200).all(|id| recorded.get(id) == Some(path(100).as_deref())), "{len:?}");
            let last = 200_999;
            assert_eq!((recorded.get(1000), recorded.get(last)), (None, Some(len.and_then(path).as_deref())));
            assert!(recorded.bytes + RecordedPaths::size(len.and_then(path).as_deref()) > ROOM, "all room is used");
            // Whoever comes later has a place, too, and so has root.
            (300_000..301_000).for_each(|id| recorded.keep(id, 9, path(1000)));
            (400_000..401_000).for_each(|id| recorded.keep(id, ROOT, path(1000)));
            assert!((300_000..301_000).chain(400_000..401_000).chain(0..200).all(|id| recorded.get(id).is_some()));
            check(&recorded);
        }
    }

    #[test]
    fn a_path_above_a_share_is_not_kept_and_costs_nobody_anything() {
        let mut recorded = RecordedPaths::new(4096);
        recorded.keep(1, 8, path(800));
        let most = 4096 / 4 - RecordedPaths::ENTRY;
        (10..100).for_each(|id| recorded.keep(id, 7, path(most + 1)));
        assert_eq!((recorded.paths.len(), recorded.get(10)), (1, None));
        (100..200).for_each(|id| recorded.keep(id, 7, path(most)));
        assert!(recorded.get(1).is_some() && recorded.get(199).is_some() && recorded.get(100).is_none());
        check(&recorded);
    }

    #[test]
    fn one_that_is_known_stays_who_it_was_recorded_for() {
        let mut recorded = RecordedPaths::new(ROOM);
        recorded.keep(1, 8, path(10));
        recorded.keep(1, 7, path(20));
        assert_eq!(recorded.get(1), Some(path(10).as_deref()));
        check(&recorded);
    }
}
