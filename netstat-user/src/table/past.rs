//! The sockets that ended a short while ago, bounded by age and by count. Where there is no room for another one, it is taken from those of its
//! own user, once that user has a share; so nobody can replace the history of the others.

use super::Retention;
use super::slots::Identity;
use crate::model::{ClosedSocket, Ends, LiveSocket, Shares, Subordinates, UNKNOWN_USER};
use hashbrown::hash_table::Entry as Found;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;
use std::sync::Arc;

/// The end of a list.
const NONE: u32 = u32::MAX;

/// Whom a socket counts for: its user, or whoever holds that user's id.
type HistoryUser = u32;

/// A closed socket in the list of all, and in that of its user.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    closed: ClosedSocket,
    user: HistoryUser,
    /// Its own place, where that is free.
    before: u32,
    after: u32,
    /// The next one of the same user, or of the free places.
    next: u32,
}

/// What is kept of one user: the places of the first and the last one.
#[derive(Clone, Copy, Debug)]
struct UserQueue {
    first: u32,
    last: u32,
}

impl Default for UserQueue {
    fn default() -> Self {
        Self { first: NONE, last: NONE }
    }
}

/// Closed sockets, in the order of their ends.
#[derive(Debug)]
pub struct EndedSockets {
    limits: Retention,
    entries: Vec<Entry>,
    /// The free places among the entries.
    free: u32,
    first: u32,
    last: u32,
    len: usize,
    users: Shares<UserQueue>,
    forgotten: LastForgotten,
    subordinates: Arc<Subordinates>,
}

/// By their ends, the last that ended with them: made when somebody asks, so that no end of a socket has to pay for it.
#[derive(Debug, Default)]
pub struct EndedByEnds {
    places: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The place that comes next.
    next: usize,
}

/// When the last of those ended that are not kept any more.
#[derive(Clone, Copy, Debug, Default)]
struct LastForgotten {
    /// Of the user who had no room last.
    user: HistoryUser,
    user_ns: u64,
    /// Of all others, and of all that were too old.
    others_ns: u64,
    /// Whether the last of all was forgotten for want of room.
    crowded: bool,
}

impl LastForgotten {
    const fn last_ns(&self) -> u64 {
        if self.user_ns > self.others_ns { self.user_ns } else { self.others_ns }
    }

    fn expired(&mut self, closed_ns: u64) {
        self.crowded &= closed_ns < self.last_ns();
        self.others_ns = self.others_ns.max(closed_ns);
    }

    fn crowded_out(&mut self, closed_ns: u64, user: HistoryUser) {
        self.crowded |= closed_ns >= self.last_ns();
        if self.user != user {
            self.others_ns = self.last_ns();
            (self.user, self.user_ns) = (user, 0);
        }
        self.user_ns = self.user_ns.max(closed_ns);
    }
}

impl EndedSockets {
    /// Nothing yet.
    pub fn new(limits: Retention) -> Self {
        // Places are numbered with 32 bits.
        let limits = Retention { recent_count: limits.recent_count.min(NONE as usize), ..limits };
        Self {
            limits,
            entries: Vec::new(),
            free: NONE,
            first: NONE,
            last: NONE,
            len: 0,
            users: Shares::new(limits.recent_count),
            forgotten: LastForgotten { user: UNKNOWN_USER, ..LastForgotten::default() },
            subordinates: Arc::default(),
        }
    }

    /// Who holds whose ids, from now on.
    pub fn count_by(&mut self, subordinates: Arc<Subordinates>) {
        self.subordinates = subordinates;
    }

    /// All that are kept, first ended first.
    #[cfg(test)]
    pub fn iter(&self) -> impl Iterator<Item = &ClosedSocket> {
        self.walk(self.first, |entry| entry.after)
    }

    /// All that are kept, last ended first.
    pub fn latest(&self) -> impl Iterator<Item = &ClosedSocket> {
        self.walk(self.last, |entry| entry.before)
    }

    fn walk(&self, from: u32, next: fn(&Entry) -> u32) -> impl Iterator<Item = &ClosedSocket> {
        let entry = |at: u32| self.entries.get(at as usize);
        std::iter::successors(entry(from), move |last| entry(next(last))).map(|entry| &entry.closed)
    }

    /// Puts the next `most` places into the index; whether there are more.
    pub fn index(&self, index: &mut EndedByEnds, most: usize) -> bool {
        let EndedByEnds { places, hasher, next } = index;
        if *next == 0 {
            // The table is empty: the hash function is not called.
            places.reserve(self.len, |_| 0);
        }
        let until = self.entries.len().min(*next + most);
        for at in *next as u32..until as u32 {
            let Some((mine, closed_ns)) = self.kept(at) else { continue };
            let is_same = |&other: &u32| self.kept(other).is_some_and(|(ends, _)| ends == mine);
            let hash = |&at: &u32| self.kept(at).map_or(0, |(ends, _)| hasher.hash_one(ends));
            match places.entry(hasher.hash_one(mine), is_same, hash) {
                Found::Occupied(mut other) => {
                    if self.entries[*other.get() as usize].closed.closed_ns < closed_ns {
                        *other.get_mut() = at;
                    }
                }
                Found::Vacant(none) => drop(none.insert(at)),
            }
        }
        *next = until;
        until < self.entries.len()
    }

    /// The last that ended with these ends, of those that were kept when they were put into the index and are kept now.
    pub fn last_with(&self, index: &EndedByEnds, ends: &Ends) -> Option<&LiveSocket> {
        let is_same = |&at: &u32| self.kept(at).is_some_and(|(kept, _)| kept == *ends);
        let at = index.places.find(index.hasher.hash_one(ends), is_same)?;
        Some(&self.entries[*at as usize].closed.socket)
    }

    /// The ends of the socket in a place, and when it ended; `None` where the place is free, or its socket had none.
    fn kept(&self, at: u32) -> Option<(Ends, u64)> {
        let Entry { closed, before, .. } = &self.entries[at as usize];
        let ends = Identity::of(&closed.socket).ends?;
        (*before != at).then_some((ends, closed.closed_ns))
    }

    /// Number of those that are kept.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Memory taken, in bytes.
    pub fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }

    /// See [`super::Table::forgotten_ns`].
    pub const fn forgotten_ns(&self) -> u64 {
        self.forgotten.last_ns()
    }

    /// See [`super::Table::is_crowded`].
    pub const fn is_crowded(&self) -> bool {
        self.forgotten.crowded
    }

    /// See [`super::Table::crowd`].
    pub fn crowd(&self) -> Option<(u32, u64)> {
        let LastForgotten { user, user_ns, others_ns, .. } = self.forgotten;
        (user != UNKNOWN_USER && user_ns > others_ns).then_some((user, others_ns))
    }

    /// Keeps one that has just ended; where there are enough, in place of another one.
    pub fn keep(&mut self, closed: ClosedSocket) {
        let user = self.subordinates.counts_as_if_known(closed.socket.uid);
        if self.limits.recent_count == 0 {
            self.forgotten.crowded_out(closed.closed_ns, user);
            return;
        }
        self.expire(closed.closed_ns);
        if self.len >= self.limits.recent_count {
            let giving = self.users.giving(user);
            if let Some(closed) = self.remove_first(giving) {
                self.forgotten.crowded_out(closed.closed_ns, giving);
            }
        }
        self.insert(closed, user);
    }

    /// Forgets those that are too old.
    pub fn expire(&mut self, now_ns: u64) {
        while let Some(&Entry { closed: ClosedSocket { closed_ns, .. }, user, .. }) =
            self.entries.get(self.first as usize)
            && now_ns.saturating_sub(closed_ns) > self.limits.recent_ns
        {
            // The first of all is the first of its user.
            self.remove_first(user);
            self.forgotten.expired(closed_ns);
        }
    }

    fn insert(&mut self, closed: ClosedSocket, user: HistoryUser) {
        let entry = Entry { closed, user, before: self.last, after: NONE, next: NONE };
        let at = self.free;
        let at = match self.entries.get_mut(at as usize) {
            Some(place) => {
                self.free = place.next;
                *place = entry;
                at
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        match self.entries.get_mut(self.last as usize) {
            Some(last) => last.after = at,
            None => self.first = at,
        }
        self.last = at;
        self.len += 1;
        let queue = self.users.add(user);
        match self.entries.get_mut(queue.last as usize) {
            Some(last) => last.next = at,
            None => queue.first = at,
        }
        queue.last = at;
    }

    /// Takes out the first of a user.
    fn remove_first(&mut self, user: HistoryUser) -> Option<ClosedSocket> {
        let entries = &self.entries;
        let at = self.users.remove(user, |queue| {
            let first = queue.first;
            queue.first = entries[first as usize].next;
            first
        })?;
        let Entry { closed, before, after, .. } = self.entries[at as usize];
        match self.entries.get_mut(before as usize) {
            Some(before) => before.after = after,
            None => self.first = after,
        }
        match self.entries.get_mut(after as usize) {
            Some(after) => after.before = before,
            None => self.last = before,
        }
        let place = &mut self.entries[at as usize];
        (place.before, place.next) = (at, self.free);
        self.free = at;
        self.len -= 1;
        Some(closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CloseReason, IdRange, LiveSocket, Proto, TcpState, Totals};

    fn closed(uid: u32, closed_ns: u64) -> ClosedSocket {
        let socket = LiveSocket { uid: Some(uid), ..LiveSocket::bare(Proto::Udp, TcpState::Close) };
        let totals = Totals::unknown(CloseReason::Closed);
        ClosedSocket { socket, closed_ns, totals }
    }

    fn past(recent_count: usize) -> EndedSockets {
        EndedSockets::new(Retention { recent_ns: 1_000, recent_count })
    }

    fn of(past: &EndedSockets, uid: u32) -> Vec<u64> {
        past.iter().filter(|closed| closed.socket.uid == Some(uid)).map(|closed| closed.closed_ns).collect()
    }

    #[test]
    fn a_user_who_has_a_share_replaces_only_their_own() {
        let mut past = past(40);
        (0..12).for_each(|ns| past.keep(closed(0, ns)));
        (12..18).for_each(|ns| past.keep(closed(7, ns)));
        (100..500).for_each(|ns| past.keep(closed(1000, ns)));
        assert_eq!((of(&past, 0), of(&past, 7)), ((0..12).collect(), (12..18).collect()));
        assert_eq!(of(&past, 1000), (478..500).collect::<Vec<_>>());
        assert_eq!((past.forgotten_ns(), past.is_crowded(), past.crowd()), (477, true, Some((1000, 0))));
        assert_eq!(past.latest().map(|closed| closed.closed_ns).collect::<Vec<_>>(), {
            let mut all: Vec<u64> = (0..18).chain(478..500).collect();
            all.reverse();
            all
        });
        assert_eq!((past.len(), past.entries.len()), (40, 40));
    }

    #[test]
    fn a_user_alone_has_all_the_room_and_makes_some_for_others() {
        let mut past = past(40);
        (0..100).for_each(|ns| past.keep(closed(1000, ns)));
        assert_eq!(of(&past, 1000).len(), 40);
        (100..200).for_each(|ns| past.keep(closed(7, ns)));
        assert_eq!((of(&past, 1000).len(), of(&past, 7).len()), (30, 10));
        // What was forgotten of the first one is older.
        assert_eq!(past.crowd(), Some((7, 69)));
    }

    #[test]
    fn crowds_of_users_leave_root_a_share() {
        let mut past = past(40);
        (0..15).for_each(|ns| past.keep(closed(0, ns)));
        (0..200).for_each(|number| past.keep(closed(1000 + number, 100 + u64::from(number))));
        assert_eq!(of(&past, 0), (5..15).collect::<Vec<_>>());
        assert_eq!((past.len(), past.users.count()), (40, 31));
    }

    #[test]
    fn the_ids_that_a_user_holds_have_one_share() {
        let mut past = past(40);
        past.count_by(Arc::new(Subordinates::new(vec![IdRange { first: 100_000, last: 165_535, counts_as: 1000 }])));
        (0..5).for_each(|ns| past.keep(closed(1000, ns)));
        (5..12).for_each(|ns| past.keep(closed(7, ns)));
        (0..500).for_each(|number| past.keep(closed(100_000 + number, 100 + u64::from(number))));
        assert_eq!((of(&past, 7), of(&past, 1000)), ((5..12).collect(), Vec::new()));
        assert_eq!((past.len(), past.crowd()), (40, Some((1000, 0))));
        // Whoever an id belongs to later, what was counted is given up where it was counted.
        past.count_by(Arc::default());
        past.expire(u64::MAX);
        assert_eq!((past.len(), past.users.count()), (0, 0));
    }

    /// However many are kept, one is found by its ends, and the last of several with the same; none that is not kept any more.
    #[test]
    fn the_last_with_its_ends_is_found() {
        use crate::model::EventEnd;
        let mut past = past(8);
        let end = |port| Some(EventEnd { addr: [127, 0, 0, 1].into(), port: Some(port) });
        let ended = |port, closed_ns| {
            let closed = closed(1000, closed_ns);
            ClosedSocket {
                socket: LiveSocket { local: end(port), remote: end(80), seen_ns: closed_ns, ..closed.socket },
                ..closed
            }
        };
        let found = |past: &EndedSockets, port| {
            let ends = Identity::of(&ended(port, 0).socket).ends.unwrap();
            let mut index = EndedByEnds::default();
            while past.index(&mut index, 3) {}
            past.last_with(&index, &ends).map(|socket| socket.seen_ns)
        };
        for ns in 0..100 {
            past.keep(ended((ns % 20) as u16, ns));
            let kept =
                (0..20u16).map(|port| past.latest().find(|one| one.socket.local == end(port)).map(|one| one.closed_ns));
            assert_eq!((0..20).map(|port| found(&past, port)).collect::<Vec<_>>(), kept.collect::<Vec<_>>(), "{ns}");
        }
        (0..3).for_each(|ns| past.keep(ended(7, 200 + ns)));
        assert_eq!(found(&past, 7), Some(202));
        // One that is put into the index, and then not kept any more, is not found in another's place.
        let ends = |port| Identity::of(&ended(port, 0).socket).ends.unwrap();
        let mut index = EndedByEnds::default();
        while past.index(&mut index, 3) {}
        assert_eq!(past.last_with(&index, &ends(19)).map(|socket| socket.seen_ns), Some(99));
        (0..8).for_each(|ns| past.keep(ended(50, 300 + ns)));
        assert_eq!((past.last_with(&index, &ends(19)), past.last_with(&index, &ends(7))), (None, None));
        past.expire(u64::MAX);
        assert_eq!((found(&past, 50), found(&past, 7)), (None, None));
    }

    #[test]
    fn what_is_too_old_is_forgotten_whosever_it_is() {
        let mut past = past(4);
        for ns in [10, 20, 30, 40, 50] {
            past.keep(closed(ns as u32 % 20, ns));
        }
        assert_eq!((past.forgotten_ns(), past.is_crowded()), (10, true));
        past.expire(1_035);
        assert_eq!((past.len(), past.forgotten_ns(), past.is_crowded(), past.crowd()), (2, 30, false, None));
        past.expire(5_000);
        assert_eq!((past.len(), past.users.count(), past.iter().count()), (0, 0, 0));
        past.keep(closed(1, 5_000));
        assert_eq!((past.len(), past.entries.len()), (1, 4), "places are used again");
        let mut none = EndedSockets::new(Retention { recent_ns: 1, recent_count: 0 });
        none.keep(closed(1, 7));
        assert_eq!((none.len(), none.forgotten_ns(), none.crowd()), (0, 7, Some((1, 0))));
    }
}
