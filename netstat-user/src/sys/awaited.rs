//! Work that takes long, for somebody who may not wait for it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Whether something is still waited for. By default it is, for ever.
#[derive(Clone, Debug, Default)]
pub struct Awaited {
    is_given_up: Arc<AtomicBool>,
    until: Option<Instant>,
}

/// Nobody waits any more once this is dropped.
#[derive(Debug)]
pub struct Waiter(Arc<AtomicBool>);

impl Awaited {
    /// As long as somebody waits.
    pub fn begin() -> (Self, Waiter) {
        let awaited = Self::default();
        let waiting = Waiter(Arc::clone(&awaited.is_given_up));
        (awaited, waiting)
    }

    /// The same, and no longer than that from now on.
    #[must_use]
    pub fn within(&self, most: Option<Duration>) -> Self {
        let until = most.map(|most| Instant::now() + most);
        Self { is_given_up: Arc::clone(&self.is_given_up), until: self.until.into_iter().chain(until).min() }
    }

    /// Whether nobody waits for it any more.
    pub fn is_over(&self) -> bool {
        self.is_given_up.load(Ordering::Relaxed) || self.until.is_some_and(|until| Instant::now() >= until)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_waits_until_the_time_is_up_or_they_have_gone() {
        let (awaited, waiting) = Awaited::begin();
        let short = awaited.within(Some(Duration::ZERO));
        let long = awaited.within(Some(Duration::from_secs(3600)));
        assert_eq!([&awaited, &short, &long, &short.within(None)].map(Awaited::is_over), [false, true, false, true]);
        drop(waiting);
        assert!(awaited.is_over() && long.is_over() && !Awaited::default().is_over());
    }
}
