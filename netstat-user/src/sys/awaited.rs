//! Work that takes long, for somebody who may not wait for it any more.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether something is still waited for. By default it is, for ever.
#[derive(Clone, Debug, Default)]
pub struct Awaited(Arc<AtomicBool>);

/// Nobody waits for it any more: what was found until then is not all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody waits for it any more")]
pub struct GivenUp;

/// Nobody waits any more once this is dropped.
#[derive(Debug)]
pub struct Waiter(Arc<AtomicBool>);

impl Awaited {
    /// As long as somebody waits.
    pub fn begin() -> (Self, Waiter) {
        let awaited = Self::default();
        let waiting = Waiter(Arc::clone(&awaited.0));
        (awaited, waiting)
    }

    /// Whether nobody waits for it any more.
    pub fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails once nobody waits for it any more: work that takes long ends then.
    ///
    /// # Errors
    /// Nobody waits for it any more.
    pub fn go_on(&self) -> Result<(), GivenUp> {
        if self.is_over() { Err(GivenUp) } else { Ok(()) }
    }
}

impl GivenUp {
    /// Whether an error is this one.
    pub fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|error| error.is::<Self>())
    }
}

impl From<GivenUp> for io::Error {
    fn from(given_up: GivenUp) -> Self {
        Self::other(given_up)
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
    fn what_is_awaited_is_over_when_whoever_waits_has_gone() {
        let (awaited, waiter) = Awaited::begin();
        let same = awaited.clone();
        assert_eq!(awaited.go_on(), Ok(()));
        drop(waiter);
        assert!(awaited.is_over() && same.is_over() && !Awaited::default().is_over());
        let error = io::Error::from(awaited.go_on().unwrap_err());
        assert!(GivenUp::is(&error) && !GivenUp::is(&io::ErrorKind::TimedOut.into()));
    }
}
