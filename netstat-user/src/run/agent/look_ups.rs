//! Look-ups beside the keeper: nobody knows how long one takes, and events do not wait for it.

use crate::sys;
use std::io;
use std::sync::mpsc::{self, SyncSender};

/// A thread that looks up one thing after another.
pub struct LookUps<T>(SyncSender<T>);

impl<T: Send + 'static> LookUps<T> {
    /// Most that wait for the thread.
    pub const QUEUE: usize = 1 << 12;

    /// Makes the thread.
    ///
    /// # Errors
    /// No room for it.
    pub fn new(name: &str, mut look_up: impl FnMut(T) + Send + 'static) -> io::Result<Self> {
        let (wanted, things) = mpsc::sync_channel(Self::QUEUE);
        let run = move || things.into_iter().for_each(&mut look_up);
        std::thread::Builder::new().name(name.into()).spawn(run).map_err(sys::no_thread)?;
        Ok(Self(wanted))
    }

    /// Has something looked up, unless too much waits already; whether it will be.
    pub fn want(&self, thing: T) -> bool {
        self.0.try_send(thing).is_ok()
    }
}
