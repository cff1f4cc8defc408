//! What waits to be done for users, who take turns: however much one has waiting, another one's comes next.

use hashbrown::HashMap;
use std::collections::VecDeque;

/// Things that wait, of each user in their order.
#[derive(Debug)]
pub struct Turns<T> {
    by_user: HashMap<u32, VecDeque<T>>,
    /// The users of whom something waits; whose turn comes first is at the front.
    users: VecDeque<u32>,
    len: usize,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { by_user: HashMap::new(), users: VecDeque::new(), len: 0 }
    }
}

impl<T> Turns<T> {
    /// Adds one of a user's.
    pub fn push(&mut self, user: u32, thing: T) {
        let queue = self.by_user.entry(user).or_default();
        queue.push_back(thing);
        if queue.len() == 1 {
            self.users.push_back(user);
        }
        self.len += 1;
    }

    /// How many wait.
    pub const fn waiting(&self) -> usize {
        self.len
    }

    /// How many of this user's wait.
    pub fn waiting_of(&self, user: u32) -> usize {
        self.by_user.get(&user).map_or(0, VecDeque::len)
    }

    /// The first of the user whose turn it is, of those who `may` have one now.
    pub fn next(&mut self, may: impl Fn(u32) -> bool) -> Option<(u32, T)> {
        let at = self.users.iter().position(|&user| may(user))?;
        let user = self.users.remove(at)?;
        let queue = self.by_user.get_mut(&user)?;
        let thing = queue.pop_front()?;
        if queue.is_empty() {
            self.by_user.remove(&user);
        } else {
            self.users.push_back(user);
        }
        self.len -= 1;
        Some((user, thing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_take_turns() {
        let mut turns = Turns::default();
        (0..5).for_each(|number| turns.push(7, number));
        (0..2).for_each(|number| turns.push(8, number));
        assert_eq!([turns.waiting(), turns.waiting_of(7), turns.waiting_of(9)], [7, 5, 0]);
        assert_eq!(turns.next(|user| user == 8), Some((8, 0)));
        let all: Vec<_> = std::iter::from_fn(|| turns.next(|_| true)).collect();
        assert_eq!(all, [(7, 0), (8, 1), (7, 1), (7, 2), (7, 3), (7, 4)]);
        assert_eq!((turns.next(|_| true), turns.waiting(), turns.waiting_of(7)), (None, 0, 0));
        turns.push(8, 9);
        assert_eq!((turns.next(|user| user == 7), turns.next(|_| true)), (None, Some((8, 9))));
    }
}
