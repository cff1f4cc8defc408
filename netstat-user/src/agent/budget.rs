//! What the readers of events of one user, and of all, may take.

use crate::sys::lock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What the readers of one user may take together, or those of all: bytes that wait for them, and processor time in a second, beyond which one of them
/// alone is served.
#[derive(Debug)]
pub struct Budget {
    waiting: AtomicUsize,
    most: usize,
    time: Duration,
    spent: Mutex<Spent>,
    /// The budget that this one is a part of.
    whole: Option<Arc<Self>>,
}

/// Processor time that was spent since a time.
#[derive(Debug)]
struct Spent {
    since: Instant,
    time: Duration,
}

impl Budget {
    /// So many bytes, and so much time in a second, within another budget.
    pub fn new(most: usize, time: Duration, whole: Option<Arc<Self>>) -> Arc<Self> {
        let spent = Mutex::new(Spent { since: Instant::now(), time: Duration::ZERO });
        Arc::new(Self { waiting: AtomicUsize::new(0), most, time, spent, whole })
    }

    /// Without bounds.
    #[cfg(test)]
    pub fn unbounded() -> Arc<Self> {
        Self::new(usize::MAX, Duration::MAX, None)
    }

    /// Whether there is time left in this second.
    pub fn has_time(&self) -> bool {
        let mut spent = lock(&self.spent);
        if spent.since.elapsed() >= Duration::from_secs(1) {
            *spent = Spent { since: Instant::now(), time: Duration::ZERO };
        }
        spent.time < self.time && self.whole.as_ref().is_none_or(|whole| whole.has_time())
    }

    /// Processor time was spent for one of them.
    pub fn spend(&self, time: Duration) {
        lock(&self.spent).time += time;
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
