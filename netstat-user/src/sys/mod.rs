//! System calls no well-kept crate wraps: the one user-side room with `unsafe`.

pub mod bpf;
mod cgroup;
pub mod interfaces;
pub mod locale;
mod mounts;
mod peer;
pub mod resolver;
mod types;
mod watch;

pub use cgroup::open_cgroup;
pub use mounts::{detached_mount, pid_namespace_if_nested, with_tracefs};
pub use peer::peer_groups;
pub use types::{KERNEL_TYPES, Types, kernel_types};
pub use watch::watch;

/// A clock's time in nanoseconds.
pub fn clock_ns(clock: rustix::time::ClockId) -> u64 {
    let time = rustix::time::clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
