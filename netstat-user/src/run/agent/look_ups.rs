//! Look-ups beside the keeper: nobody knows how long one takes, and events do not wait for it.

use crate::model::Turns;
use crate::sys::{self, lock};
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A thread that looks up one thing after another, of each user in turn: what one user has looked up, and how long that takes, delays another one's by
/// one look-up of each at most.
pub struct LookUps<T>(Arc<LookUpQueue<T>>);

/// What waits for the thread.
struct LookUpQueue<T> {
    things: Mutex<LookUpTurns<T>>,
    wanted: Condvar,
}

struct LookUpTurns<T> {
    waiting: Turns<T>,
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
        let things = Mutex::new(LookUpTurns { waiting: Turns::default(), is_over: false });
        let waiting = Arc::new(LookUpQueue { things, wanted: Condvar::new() });
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
        let waiting = &mut lock(&self.0.things).waiting;
        if waiting.waiting() >= Self::MOST || waiting.waiting_of(user) >= Self::QUEUE {
            return false;
        }
        waiting.push(user, thing);
        self.0.wanted.notify_one();
        true
    }
}

impl<T> LookUpQueue<T> {
    /// Waits for the next thing; `None` where there will be none.
    fn next(&self) -> Option<T> {
        let mut things = lock(&self.things);
        loop {
            if things.is_over {
                return None;
            }
            if let Some((_, thing)) = things.waiting.next(|_| true) {
                return Some(thing);
            }
            things = self.wanted.wait(things).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Drop for LookUps<T> {
    fn drop(&mut self) {
        lock(&self.0.things).is_over = true;
        self.0.wanted.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn too_much_is_refused_to_its_user_alone() {
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
