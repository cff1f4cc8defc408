//! Room that users share: how much of it each has, and who gives up the oldest of theirs where there is no more. Who has a share replaces only
//! their own; until then, it is taken from whoever has most.

use hashbrown::HashMap;
use std::collections::BTreeSet;

/// A user with one part of so many gives up one of their own for the next.
const PARTS: usize = 4;
/// Root, whose share no other user takes.
const ROOT: u32 = 0;

/// What is kept of each user, in a queue `Q`, and how much that is: in pieces, or in bytes.
#[derive(Debug)]
pub struct Shares<Q> {
    /// How much a user may have while others have to make room.
    share: usize,
    users: HashMap<u32, (usize, Q)>,
    by_total: BTreeSet<(usize, u32)>,
}

impl<Q: Default> Shares<Q> {
    /// Nothing yet, with room for so much.
    pub fn new(room: usize) -> Self {
        Self { share: (room / PARTS).max(1), users: HashMap::new(), by_total: BTreeSet::new() }
    }

    /// The user who gives up the oldest of theirs for a new one of `user`: that user itself, who has a share, or whoever has the most.
    pub fn giving(&self, user: u32) -> u32 {
        if self.users.get(&user).is_some_and(|&(total, _)| total >= self.share) {
            return user;
        }
        let most = self.by_total.iter().rev().find(|&&(total, user)| user != ROOT || total > self.share);
        most.or_else(|| self.by_total.last()).map_or(user, |&(_, most)| most)
    }

    /// How much a user may have while others have to make room.
    pub const fn share(&self) -> usize {
        self.share
    }

    /// Counts one more of a user's; its queue, to put that in.
    pub fn add(&mut self, user: u32) -> &mut Q {
        self.add_sized(user, 1)
    }

    /// The same for one of this size, which is not 0.
    pub fn add_sized(&mut self, user: u32, size: usize) -> &mut Q {
        let (total, queue) = self.users.entry(user).or_default();
        self.by_total.remove(&(*total, user));
        *total += size;
        self.by_total.insert((*total, user));
        queue
    }

    /// Counts one of a user's less, which `take` takes out of its queue. `None` where that user has none.
    pub fn remove<T>(&mut self, user: u32, take: impl FnOnce(&mut Q) -> T) -> Option<T> {
        self.remove_sized(user, |queue| (take(queue), 1))
    }

    /// The same where `take` says what size that one was added with.
    pub fn remove_sized<T>(&mut self, user: u32, take: impl FnOnce(&mut Q) -> (T, usize)) -> Option<T> {
        let (total, queue) = self.users.get_mut(&user)?;
        let (taken, size) = take(queue);
        self.by_total.remove(&(*total, user));
        *total = total.saturating_sub(size);
        if *total > 0 {
            self.by_total.insert((*total, user));
        } else {
            self.users.remove(&user);
        }
        Some(taken)
    }

    /// How many users have any.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        assert_eq!(self.users.len(), self.by_total.len());
        self.users.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn whoever_has_a_share_gives_up_their_own_and_else_who_has_most() {
        let mut shares = Shares::<VecDeque<u32>>::new(40);
        let mut add = |user, count| (0..count).for_each(|at| shares.add(user).push_back(at));
        add(7, 9);
        add(8, 12);
        add(0, 10);
        assert_eq!([7, 8, 9].map(|user| shares.giving(user)), [8, 8, 8]);
        shares.add(7).push_back(9);
        assert_eq!(shares.giving(7), 7);
        assert_eq!((0..12).map(|_| shares.remove(8, VecDeque::pop_front)).collect::<Vec<_>>(), {
            (0..12).map(|at| Some(Some(at))).collect::<Vec<_>>()
        });
        assert_eq!((shares.remove(8, VecDeque::pop_front), shares.count()), (None, 2));
        // Root keeps a share, unless nobody else has any.
        assert_eq!((0..10).filter_map(|_| shares.remove(7, VecDeque::pop_front)).count(), 10);
        assert_eq!(shares.giving(9), 0);
        shares.add(9).push_back(1);
        assert_eq!(shares.giving(8), 9);
        shares.add(0).push_back(10);
        assert_eq!(shares.giving(8), 0);
    }
}
