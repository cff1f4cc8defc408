//! Another user for the process, with the capabilities that it has.

use nix::unistd::{User, setgroups, setresgid, setresuid};
use rustix::thread::CapabilitySets;

/// Becomes that user, in no other group than their own.
pub fn become_user(user: &User) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    rustix::thread::set_keep_capabilities(true)?;
    setgroups(&[])?;
    setresgid(user.gid, user.gid, user.gid)?;
    setresuid(user.uid, user.uid, user.uid)?;
    rustix::thread::set_keep_capabilities(false)?;
    // To change the user has taken the effective ones away.
    let sets = rustix::thread::capabilities(None)?;
    rustix::thread::set_capabilities(None, CapabilitySets { effective: sets.permitted, ..sets })?;
    Ok(())
}
