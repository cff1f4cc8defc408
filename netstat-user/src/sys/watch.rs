//! The runtime, and descriptors watched by it.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    runtime::{Builder, Runtime},
};

/// Descriptors that a runtime takes, with those that all runtimes of a process share.
const OF_A_RUNTIME: usize = 8;

/// A runtime on the calling thread.
///
/// # Errors
/// Fewer descriptors left than it takes, or the kernel's.
pub fn runtime() -> io::Result<Runtime> {
    use rustix::event::{EventfdFlags, eventfd};
    // Where there are fewer, the runtime would panic.
    let spare: Result<Vec<OwnedFd>, _> = (0..OF_A_RUNTIME).map(|_| eventfd(0, EventfdFlags::CLOEXEC)).collect();
    match spare {
        Ok(spare) => drop(spare),
        Err(error) => return Err(error.into()),
    }
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
