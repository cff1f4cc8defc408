//! What a process or thread does to itself.

/// Gives memory that was freed back to the kernel. The allocator keeps what a crowd took for the next crowd, which may not come.
pub fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes a number only, and is safe in every thread (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Lets other threads go before the calling one where there is not time for all.
pub fn step_back() {
    // It is served all the same where that is refused.
    let _ = rustix::process::setpriority_process(None, 10);
}

/// Lets this process open as many descriptors as it may allow itself.
pub fn allow_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // It is served with fewer all the same.
    let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
}

/// How many descriptors this process may still open; many where the kernel does not say how many it has (before Linux 6.2).
pub fn descriptors_left() -> u64 {
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let open = rustix::fs::stat("/proc/self/fd").map_or(0, |folder| u64::try_from(folder.st_size).unwrap_or(0));
    most.saturating_sub(open)
}
