//! System calls no well-kept crate wraps: the one user-side room with `unsafe`.

mod awaited;
mod beside;
pub mod bpf;
mod capability;
mod cgroup;
mod clock;
pub mod interfaces;
pub mod locale;
mod lock;
mod memory;
mod mounts;
mod namespace;
mod peer;
mod process;
pub mod resolver;
mod rights;
mod scarce;
pub mod signals;
mod types;
mod watch;
mod zone;

pub use awaited::{Awaited, GivenUp, Waiter};
pub use beside::beside;
pub use capability::Capability;
pub use cgroup::open_cgroup;
pub use clock::{ClockOffsets, clock_ns, clock_offsets, epoch_ns, kernel_monotonic_ns};
pub use lock::lock;
pub use memory::{Allocator, NO_MEMORY, has_memory};
pub use mounts::{detached_mount, mounted_tracefs, with_tracefs};
pub use namespace::{
    NAMESPACE_COMMANDS, namespace_id, namespace_owner, netns_cookie, parent_namespace, thread_network,
};
pub use peer::{
    brings_descriptors, has_ended, has_hung_up, peer_groups, peer_process, process_id, process_id_of,
    refuse_descriptors,
};
pub use process::{
    allow_descriptors, descriptors_are_few, descriptors_left, give_back_memory, outlive_file_limit, output_is_closed,
    step_back, undisturbed,
};
pub use rights::{
    effective_capabilities, is_in_initial_user_namespace, may_list_all_descriptors, may_look_into_all, own_namespace,
    pid_namespace_if_nested,
};
pub use scarce::{
    Scarce, copy_of, failed_look, no_thread, too_many_open_files, too_slow, try_threads, unless_scarce, why, why_below,
};
pub use types::{KERNEL_TYPES, Types, kernel_types};
pub use watch::{runtime, watch};
pub use zone::{local_offset, local_time};
