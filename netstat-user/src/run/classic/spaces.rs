//! The network namespaces that are listed.

use super::asked::AskedFor;
use super::round::Round;
use crate::proc::netns::{self, Namespace};
use crate::stdio::Written;
use std::io;
use std::path::{Path, PathBuf};

/// A place to read tables from: the reader's own namespace, or one of all of them.
pub struct Space {
    /// The namespace, `None` for the reader's own.
    pub namespace: Option<Namespace>,
    proc: PathBuf,
}

impl Space {
    /// Whether the namespace, another than the reader's own, has gone meanwhile.
    pub fn is_gone(&self) -> bool {
        self.namespace.as_ref().is_some_and(|namespace| namespace.is_gone(&self.proc, Path::new(netns::NAMES)))
    }

    /// Runs `f` with a root below which `net/` is that of the namespace.
    ///
    /// # Errors
    /// The namespace cannot be entered.
    pub fn within<T: Send>(&self, f: impl FnOnce(&Path) -> T + Send) -> io::Result<T> {
        match &self.namespace {
            None => Ok(f(&self.proc)),
            Some(namespace) => namespace.within(&self.proc, Path::new(netns::NAMES), f),
        }
    }
}

/// The reader's own namespace, or with `--all-netns` all of them. Says when there may be others.
///
/// # Errors
/// A failure to write to standard output.
pub fn spaces(asked: &AskedFor<'_>, round: &mut Round) -> Written<Vec<Space>> {
    let proc = &asked.proc;
    if !asked.reads_all_netns() {
        return Ok(vec![Space { namespace: None, proc: proc.clone() }]);
    }
    let mut found = netns::all(proc, Path::new(netns::NAMES));
    if let Some(listed) = asked.selected.netns() {
        found.namespaces.retain(|namespace| listed.contains(&namespace.inode));
    }
    // A container's root is refused what root of the machine runs, and that is no matter of being root.
    if found.refused && !rustix::process::geteuid().is_root() {
        round.say_of_namespaces(asked.options)?;
    }
    let space = |namespace| Space { namespace: Some(namespace), proc: proc.clone() };
    Ok(found.namespaces.into_iter().map(space).collect())
}
