//! Gives up what a process needs no more once it has loaded and attached everything. Neither the calling thread nor those that it starts later can
//! have it back.

mod calls;
mod confined;
mod held;
mod user;

pub use confined::{KeptError, drop_all};
pub use held::Held;

use crate::sys;
use held::PrivilegeStep;
use nix::unistd::{Uid, User};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::io;

/// Looking into every process, with their namespaces and descriptors.
const LOOKING: CapabilitySet = CapabilitySet::SYS_PTRACE.union(CapabilitySet::DAC_READ_SEARCH);
/// Entering other network namespaces, where the kernel's iterators and `sock_diag` list sockets with their cookies; and attaching the hook on the
/// return of accept(2) again, with tracefs that need not be mounted.
const ENTERING: CapabilitySet = CapabilitySet::SYS_ADMIN.union(CapabilitySet::PERFMON);

/// Gives up what is not needed once everything is loaded and attached. `enters`: other network namespaces, too, or hooks that are attached later.
/// What the kernel refuses is noted, and stays as it is.
pub fn drop_to(enters: bool, user: Option<&User>) -> Held {
    let mut held = Held::entering(enters);
    if let Some(user) = user.filter(|user| !user.uid.is_root() && Uid::effective().is_root())
        && held.note(PrivilegeStep::User, &format!("user {}", user.name), user::become_user(user))
    {
        held.user = Some(user.name.clone());
    }
    // Before the capabilities, since it takes one.
    let bounded = clear_bounding_set();
    let keep = if enters { LOOKING.union(ENTERING) } else { LOOKING };
    held.note(PrivilegeStep::Capabilities, "capabilities", limit(keep));
    let _ = rustix::thread::clear_ambient_capability_set();
    let no_new = rustix::thread::set_no_new_privs(true).map_err(io::Error::from);
    let runs_none = held.note(PrivilegeStep::NewPrivileges, "no_new_privs", no_new)
        & held.note(PrivilegeStep::SystemCalls, "seccomp", deny(enters));
    // The bounding set limits what another program is given (execve(2)), and matters only where one can be run.
    if !runs_none {
        held.note(PrivilegeStep::BoundingSet, "bounding set", bounded);
    }
    let effective = sys::effective_capabilities().iter_names();
    held.capabilities = effective.map(|(name, _)| format!("cap_{}", name.to_ascii_lowercase())).collect();
    held
}

/// Denies system calls that are not needed.
fn deny(enters: bool) -> Result<(), seccompiler::Error> {
    let later = match (enters, sys::mounted_tracefs()) {
        (false, _) => calls::Later::Nothing,
        (true, Some(_)) => calls::Later::Enters,
        (true, None) => calls::Later::EntersAndMounts,
    };
    calls::filters(later)?.iter().try_for_each(|filter| seccompiler::apply_filter(filter))
}

fn clear_bounding_set() -> io::Result<()> {
    for capability in (0..64).filter_map(|number| CapabilitySet::from_bits(1 << number)) {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // The kernel has no such capability.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Keeps of the capabilities those that are in `keep`.
fn limit(keep: CapabilitySet) -> io::Result<()> {
    let kept = rustix::thread::capabilities(None)?.permitted.intersection(keep);
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}
