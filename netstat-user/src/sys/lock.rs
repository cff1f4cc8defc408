//! Locks that a panic does not take from others.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a lock guards, also where a thread panicked with it.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
