//! Look-ups beside the keeper: nobody knows how long one takes, and events do not wait for it.

use crate::sys::{self, lock};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A thread that looks up one thing after another, of each user in turn: what one user has looked up, and how long that takes, delays another one's by
/// one look-up at most.
pub struct LookUps<T>(Arc<LookUpQueue<T>>);

/// What waits for the thread.
struct LookUpQueue<T> {
    queues: Mutex<UserQueues<T>>,
    wanted: Condvar,
}

struct UserQueues<T> {
    by_user: HashMap<u32, VecDeque<T>>,
    /// The users of whom something waits; whose turn comes first is at the front.
    turns: VecDeque<u32>,
    len: usize,
    /// Nothing will be wanted any more.
    is_over: bool,
}

impl<T: Send + 'static> LookUps<T> {
    /// Most of one user that wait for the thread.
    pub const QUEUE: usize = 1 << 12;
    /// Most of all users.
    const MOST: usize = 1 << 16;

    /// Makes the thread.
    ///
    /// # Errors
    /// No room for it.
    pub fn new(name: &str, mut look_up: impl FnMut(T) + Send + 'static) -> io::Result<Self> {
        let queues = UserQueues { by_user: HashMap::new(), turns: VecDeque::new(), len: 0, is_over: false };
        let waiting = Arc::new(LookUpQueue { queues: Mutex::new(queues), wanted: Condvar::new() });
        let things = Arc::clone(&waiting);
        let run = move || {
            while let Some(thing) = things.next() {
                look_up(thing);
            }
        };
        std::thread::Builder::new().name(name.into()).spawn(run).map_err(sys::no_thread)?;
        Ok(Self(waiting))
    }

    /// Has something of this user looked up, unless too much waits already; whether it will be.
    pub fn want(&self, user: u32, thing: T) -> bool {
        let mut queues = lock(&self.0.queues);
        if queues.len >= Self::MOST {
            return false;
        }
        let queue = queues.by_user.entry(user).or_default();
        if queue.len() >= Self::QUEUE {
            return false;
        }
        queue.push_back(thing);
        if queue.len() == 1 {
            queues.turns.push_back(user);
        }
        queues.len += 1;
        self.0.wanted.notify_one();
        true
    }
}

impl<T> LookUpQueue<T> {
    /// Waits for the next thing; `None` where there will be none.
    fn next(&self) -> Option<T> {
        let mut queues = lock(&self.queues);
        loop {
            if queues.is_over {
                return None;
            }
            if let Some(thing) = queues.next() {
                return Some(thing);
            }
            queues = self.wanted.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> UserQueues<T> {
    fn next(&mut self) -> Option<T> {
        let user = self.turns.pop_front()?;
        let queue = self.by_user.get_mut(&user)?;
        let thing = queue.pop_front();
        if queue.is_empty() {
            self.by_user.remove(&user);
        } else {
            self.turns.push_back(user);
        }
        self.len -= usize::from(thing.is_some());
        thing
    }
}

impl<T> Drop for LookUps<T> {
    fn drop(&mut self) {
        lock(&self.0.queues).is_over = true;
        self.0.wanted.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// However much one user has looked up, another one's turn comes next; and what is too much is refused to that user alone.
    #[test]
    fn users_take_turns() {
        let (go, gate) = mpsc::channel::<()>();
        let (done, looked) = mpsc::channel();
        let look_ups = LookUps::new("turns", move |thing: (u32, usize)| {
            let _ = gate.recv();
            let _ = done.send(thing);
        })
        .unwrap();
        let flood = (0..).take_while(|&number| look_ups.want(7, (7, number))).count();
        // One may have been taken already.
        assert!((LookUps::<()>::QUEUE..=LookUps::<()>::QUEUE + 1).contains(&flood), "{flood}");
        assert!(look_ups.want(8, (8, 0)) && look_ups.want(8, (8, 1)));
        (0..6).for_each(|_| go.send(()).unwrap());
        let users: Vec<u32> = (0..6).map(|_| looked.recv().unwrap().0).collect();
        assert!(users.windows(3).take(3).all(|three| three.contains(&8)), "{users:?}");
        drop(look_ups);
        drop(go);
        assert!(looked.iter().count() <= 1, "it ends with whoever wants something");
    }
}
