//! What the kernel lets this process see of others: its capabilities, and the namespaces that give them their reach.

use rustix::thread::CapabilitySet;
use std::{fs, os::unix::fs::MetadataExt};

/// `PROC_PID_INIT_INO` of `include/linux/proc_ns.h`.
const INITIAL_PIDNS: u64 = 0xEFFF_FFFC;
/// `PROC_USER_INIT_INO` of `include/linux/proc_ns.h`.
const INITIAL_USERNS: u64 = 0xEFFF_FFFD;

/// Inode of a namespace of this process, 0 where it is not known.
pub fn own_namespace(kind: &str) -> u64 {
    fs::metadata(format!("/proc/self/ns/{kind}")).map_or(0, |namespace| namespace.ino())
}

/// Inode of the PID namespace of this process, 0 if it is the initial one.
pub fn pid_namespace_if_nested() -> u32 {
    match own_namespace("pid") {
        INITIAL_PIDNS => 0,
        nested => nested as u32,
    }
}

/// Whether this process is in the user namespace that the machine started with: capabilities in another one are none over the kernel
/// (user_namespaces(7)). `None` without a /proc.
pub fn is_in_initial_user_namespace() -> Option<bool> {
    Some(own_namespace("user")).filter(|&namespace| namespace != 0).map(|namespace| namespace == INITIAL_USERNS)
}

/// Whether this process has the right to look into every other one: the links in `/proc/PID/ns`, say (`PTRACE_MODE_READ` of ptrace(2)). A
/// security module may shield some all the same.
pub fn may_look_into_all() -> bool {
    effective_capabilities().contains(CapabilitySet::SYS_PTRACE) && is_in_initial_user_namespace() == Some(true)
}

/// Whether this process may list the descriptors of every process in its user namespace and those below it: `/proc/PID/fd` is a folder of the
/// process's user, for nobody else (proc_pid_fd(5)).
pub fn may_list_all_descriptors() -> bool {
    let held = effective_capabilities();
    held.contains(CapabilitySet::SYS_PTRACE)
        && held.intersects(CapabilitySet::DAC_READ_SEARCH | CapabilitySet::DAC_OVERRIDE)
}

/// The effective capabilities of this thread, in its user namespace; none where they cannot be read.
pub fn effective_capabilities() -> CapabilitySet {
    rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective)
}
