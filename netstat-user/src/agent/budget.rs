//! What the readers of events of one user, and of all, may take.

use crate::model::ThisSecond;
use crate::sys::{self, lock};
use rustix::time::ClockId;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Limits for the readers of one user together, or of all users: bytes that wait for them, and processor time in a second. Beyond them only one reader is
/// served.
#[derive(Debug)]
pub struct Budget {
    waiting: AtomicUsize,
    most: usize,
    time: Duration,
    /// Of the latter, how much was spent.
    spent: Mutex<ThisSecond<Duration>>,
    /// The budget that this one is a part of.
    whole: Option<Arc<Self>>,
}

impl Budget {
    /// So many bytes, and so much time in a second, within another budget.
    pub fn new(most: usize, time: Duration, whole: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self { waiting: AtomicUsize::new(0), most, time, spent: Mutex::default(), whole })
    }

    /// Without bounds.
    #[cfg(test)]
    pub fn unbounded() -> Arc<Self> {
        Self::new(usize::MAX, Duration::MAX, None)
    }

    /// Whether there is time left in this second.
    pub fn has_time(&self) -> bool {
        let spent = *lock(&self.spent).at(sys::clock_ns(ClockId::Monotonic));
        spent < self.time && self.whole.as_ref().is_none_or(|whole| whole.has_time())
    }

    /// Processor time was spent for one of them.
    pub fn spend(&self, time: Duration) {
        *lock(&self.spent).last() += time;
        self.whole.iter().for_each(|whole| whole.spend(time));
    }

    /// Whether so many bytes may wait, too.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.waiting.load(Ordering::Relaxed) + bytes <= self.most
            && self.whole.as_ref().is_none_or(|whole| whole.has_room(bytes))
    }

    /// So many bytes wait.
    pub fn take(&self, bytes: usize) {
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        self.whole.iter().for_each(|whole| whole.take(bytes));
    }

    /// So many bytes wait no more.
    pub fn give_back(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        self.whole.iter().for_each(|whole| whole.give_back(bytes));
    }

    /// How many bytes wait.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}
