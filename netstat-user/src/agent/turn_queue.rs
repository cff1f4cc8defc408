//! Where what is to be done for users waits for the threads that do it.

use crate::model::Turns;
use crate::sys::lock;
use hashbrown::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};

/// Things that wait for threads, of each user in turn: however much one has waiting, another one's comes next.
pub struct TurnQueue<T> {
    things: Mutex<WaitingThings<T>>,
    /// Notified when there is a thing, or a user may have another one done.
    wanted: Condvar,
    limits: TurnLimits,
}

/// How much may wait, and how much of one user is done at a time.
#[derive(Clone, Copy, Debug)]
pub struct TurnLimits {
    /// Things of one user that wait.
    pub of_user: usize,
    /// Things of all users that wait.
    pub of_all: usize,
    /// Things of one user that are being done.
    pub at_a_time: usize,
}

struct WaitingThings<T> {
    turns: Turns<T>,
    /// How many of each user's are being done.
    running: HashMap<u32, usize>,
    /// There will be none any more.
    is_over: bool,
}

impl<T> TurnQueue<T> {
    /// Nothing waits.
    pub fn new(limits: TurnLimits) -> Self {
        let things = WaitingThings { turns: Turns::default(), running: HashMap::new(), is_over: false };
        Self { things: Mutex::new(things), wanted: Condvar::new(), limits }
    }

    /// Adds a thing of this user's, however much waits.
    pub fn push(&self, user: u32, thing: T) {
        lock(&self.things).turns.push(user, thing);
        self.wanted.notify_one();
    }

    /// Adds a thing of this user's, unless too much waits already; whether it was added.
    pub fn try_push(&self, user: u32, thing: T) -> bool {
        let turns = &mut lock(&self.things).turns;
        if turns.waiting() >= self.limits.of_all || turns.waiting_of(user) >= self.limits.of_user {
            return false;
        }
        turns.push(user, thing);
        self.wanted.notify_one();
        true
    }

    /// Does what comes next, again and again, until there will be no more.
    pub fn work(&self, mut each: impl FnMut(T)) {
        while let Some((user, thing)) = self.next() {
            each(thing);
            self.done(user);
        }
    }

    /// What waits is done, and then there will be no more.
    pub fn end(&self) {
        lock(&self.things).is_over = true;
        self.wanted.notify_all();
    }

    /// There will be no more, and nobody is to do what waits.
    pub fn give_up(&self) {
        let waiting = {
            let mut things = lock(&self.things);
            things.is_over = true;
            std::mem::take(&mut things.turns)
        };
        self.wanted.notify_all();
        // What that frees may take long.
        drop(waiting);
    }

    fn next(&self) -> Option<(u32, T)> {
        let mut things = lock(&self.things);
        loop {
            let WaitingThings { turns, running, is_over } = &mut *things;
            let may = |user| running.get(&user).is_none_or(|&count| count < self.limits.at_a_time);
            if let Some((user, thing)) = turns.next(may) {
                *running.entry(user).or_default() += 1;
                return Some((user, thing));
            }
            if *is_over {
                return None;
            }
            things = self.wanted.wait(things).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self, user: u32) {
        let mut things = lock(&self.things);
        if let Some(count) = things.running.get_mut(&user) {
            *count -= 1;
            if *count == 0 {
                things.running.remove(&user);
            }
        }
        // Another thread may wait for this user's next one; this one looks by itself.
        if things.turns.waiting() > 1 {
            self.wanted.notify_one();
        }
    }
}
