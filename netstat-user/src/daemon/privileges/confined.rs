//! Threads that look at nothing themselves: no capability, and no file (Landlock).

use super::limit;
use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus};
use rustix::thread::CapabilitySet;

/// Why a thread keeps what it was to give up.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The kernel does not take the capabilities away.
    #[error("capabilities: {0}")]
    Capabilities(#[source] std::io::Error),
    /// The filesystem cannot be closed.
    #[error("landlock: {0}")]
    Landlock(#[from] landlock::RulesetError),
    /// The kernel cannot close the filesystem.
    #[error("landlock: the kernel has it not, or not enabled")]
    NoLandlock,
}

/// Gives up every capability and the whole filesystem: for a thread that talks to clients, or writes lines.
///
/// # Errors
/// What the kernel refused, with its cause.
pub fn drop_all() -> Result<(), KeptError> {
    limit(CapabilitySet::empty()).map_err(KeptError::Capabilities)?;
    let all = AccessFs::from_all(ABI::V5);
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(all);
    let restricted = ruleset.and_then(|ruleset| ruleset.create()).and_then(|ruleset| ruleset.restrict_self());
    match restricted?.ruleset {
        RulesetStatus::NotEnforced => Err(KeptError::NoLandlock),
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(()),
    }
}
