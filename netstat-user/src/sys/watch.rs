//! The runtime, and descriptors watched by it.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    runtime::{Builder, Runtime},
};

/// A runtime on the calling thread.
///
/// # Errors
/// The kernel's: no descriptor is left.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Watches a duplicate of a descriptor, which stays open as long as it is watched.
///
/// # Errors
/// No descriptor left, or one that cannot be watched, such as that of a file.
pub fn watch(fd: impl AsFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    let duplicate = fd.as_fd().try_clone_to_owned()?;
    // SAFETY: an `OwnedFd` gives out the same open descriptor until it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(duplicate, interest) }?)
}
