//! Look-ups beside the keeper: nobody knows how long one takes, and events do not wait for it.

use crate::agent::{TurnLimits, TurnQueue};
use crate::sys;
use std::io;
use std::sync::Arc;

/// A thread that performs look-ups one after another, of each user in turn: a user delays another one by one look-up at most.
pub struct LookUps<T>(Arc<TurnQueue<T>>);

impl<T: Send + 'static> LookUps<T> {
    /// Most of one user that wait for the thread.
    pub const QUEUE: usize = 1 << 12;
    /// Most of all users.
    const MOST: usize = 1 << 16;

    /// Makes the thread.
    ///
    /// # Errors
    /// No room for it.
    pub fn new(name: &str, look_up: impl FnMut(T) + Send + 'static) -> io::Result<Self> {
        let limits = TurnLimits { of_user: Self::QUEUE, of_all: Self::MOST, at_a_time: 1 };
        let waiting = Arc::new(TurnQueue::new(limits));
        let things = Arc::clone(&waiting);
        std::thread::Builder::new().name(name.into()).spawn(move || things.work(look_up)).map_err(sys::no_thread)?;
        Ok(Self(waiting))
    }

    /// Has something of this user looked up, unless too much waits already; whether it will be.
    pub fn want(&self, user: u32, thing: T) -> bool {
        self.0.try_push(user, thing)
    }
}

impl<T> Drop for LookUps<T> {
    fn drop(&mut self) {
        self.0.give_up();
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
