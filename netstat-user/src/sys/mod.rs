//! System calls no well-kept crate wraps: the one user-side room with `unsafe`.

pub mod bpf;
pub mod interfaces;
pub mod locale;
mod mounts;
mod peer;
pub mod resolver;
mod types;
mod watch;

pub use mounts::{detached_mount, pid_namespace_if_nested, with_tracefs};
pub use peer::peer_groups;
pub use types::{KERNEL_TYPES, Types, kernel_types};
pub use watch::watch;
