//! The network namespaces that are listed.

use super::asked::AskedFor;
use super::round::Round;
use crate::model::reason;
use crate::model::visible::escape_word;
use crate::proc::netns::{self, FoundNamespaces, Namespace};
use crate::stdio::Written;
use crate::sys::{self, Scarce, why};
use std::io;
use std::path::Path;

/// A place to read tables from: the reader's own namespace, or one of all of them.
pub struct Space {
    /// The namespace, `None` for the reader's own.
    pub namespace: Option<Namespace>,
}

/// Runs `f` in each of the places, in their order, with the inode number of the namespace, where it is not the reader's own, and a root below which `net/` is
/// that of the namespace. One that cannot be entered has an error.
pub fn each<T: Send>(
    asked: &AskedFor<'_>,
    spaces: Vec<Space>,
    f: impl Fn(Option<u32>, &Path) -> T + Sync,
) -> Vec<(Space, io::Result<T>)> {
    if let [Space { namespace: None }] = &spaces[..] {
        let read = f(None, &asked.proc);
        return spaces.into_iter().zip([Ok(read)]).collect();
    }
    let namespaces = spaces.into_iter().filter_map(|space| space.namespace).collect();
    let inside = |namespace: &Namespace, root: &Path| f(Some(namespace.inode), root);
    let read = netns::each(&asked.proc, Path::new(netns::NAMES), namespaces, inside);
    read.into_iter().map(|(namespace, read)| (Space { namespace: Some(namespace) }, read)).collect()
}

/// The reader's own namespace, or with `--all-netns` all of them. Says when there may be others.
///
/// # Errors
/// A failure to write to standard output.
pub fn spaces(asked: &AskedFor<'_>, round: &mut Round) -> Written<Vec<Space>> {
    let proc = &asked.proc;
    if !asked.reads_all_netns() {
        return Ok(vec![Space { namespace: None }]);
    }
    let mut found = netns::all(proc, Path::new(netns::NAMES));
    if let Err(error) = netns::own(proc)
        && round.finds_no_namespaces()
    {
        round.note(&without_own(proc, &error))?;
    }
    if let Some(error) = &found.failed {
        report_lacking(error, round)?;
    }
    if let Some(listed) = asked.selected.netns() {
        found.namespaces.retain(|namespace| listed.contains(&namespace.inode));
    }
    // Where namespaces were named, each that is not read is reported by itself.
    if asked.selected.named_netns().is_empty() && may_hide(&found) {
        if rustix::process::geteuid().is_root() {
            round.note_at_first(
                "not all network namespaces could be found: to look into every process takes CAP_SYS_PTRACE",
            )?;
        } else {
            round.say_of_namespaces(asked.options)?;
        }
    }
    Ok(found.namespaces.into_iter().map(|namespace| Space { namespace: Some(namespace) }).collect())
}

/// Reports, once a round, that something ran out before all namespaces were found.
///
/// # Errors
/// A failure to write to standard output.
fn report_lacking(error: &io::Error, round: &mut Round) -> Written<()> {
    match round.finds_no_namespaces() {
        true => round.note(&format!("not all network namespaces could be found: {}", why(error))),
        false => Ok(()),
    }
}

/// That the own namespace is not there, and so no other one either, or why that is not known.
fn without_own(proc: &Path, error: &io::Error) -> String {
    let proc = proc.display();
    let why = match (Scarce::below(error), error.kind()) {
        (Some(scarce), _) => scarce.words(),
        (None, io::ErrorKind::NotFound) => format!("{}; mount it: mount -t proc proc {proc}", reason(error)),
        (None, _) => reason(error),
    };
    format!("network namespaces cannot be found: {proc}/self/ns/net: {why}")
}

/// Whether there may be namespaces that were not found. The kernel refuses what a process that has ended was in even to who may look into every one.
fn may_hide(found: &FoundNamespaces) -> bool {
    found.refused && !sys::may_look_into_all()
}

/// Why a network namespace that rows are wanted of was not read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    /// An expression alone brings no other namespace into the table.
    #[error(
        "network namespace `{0}' was not read: --where selects among what is listed, your own namespace here; give --netns {0}, too"
    )]
    NotListed(String),
    /// It takes more rights.
    #[error("network namespace `{0}' may not be entered: run as root, which has CAP_SYS_ADMIN for it")]
    Denied(String),
    /// It may be that of a process which this user may not look at.
    #[error("network namespace `{0}' is of no process that you may look into: run as root")]
    Hidden(String),
    /// It is there now, and was not when it was to be read.
    #[error("network namespace `{0}' was not read: no process was found in it at that moment; ask again")]
    Missed(String),
    /// The kernel's.
    #[error("network namespace `{name}' cannot be entered: {}", reason(error))]
    Failed {
        /// Its name, or number.
        name: String,
        #[source]
        error: io::Error,
    },
}

/// Reports every network namespace outside of which no row is wanted and that is not among those that were read: then an empty table does not
/// mean that nothing is there.
///
/// # Errors
/// A failure to write to standard output.
pub fn report_unread(asked: &AskedFor<'_>, read: &[u32], round: &mut Round) -> Written<()> {
    let named = asked.selected.named_netns();
    let missing: Vec<u32> = named.into_iter().filter(|netns| !read.contains(netns)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let found = netns::all(&asked.proc, Path::new(netns::NAMES));
    if let Some(error) = &found.failed {
        // Which of them are not there cannot be known.
        return report_lacking(error, round);
    }
    for inode in missing {
        let namespace = found.namespaces.iter().find(|namespace| namespace.inode == inode);
        let Some(why) = why_unread(asked, inode, namespace, may_hide(&found)) else { continue };
        if !round.is_unread(inode, !matches!(why, Unread::NotListed(_))) {
            continue;
        }
        let could = match why {
            Unread::Denied(_) | Unread::Hidden(_) => Round::could(asked.options, "list it"),
            Unread::NotListed(_) | Unread::Missed(_) | Unread::Failed { .. } => None,
        };
        round.note(&could.map_or_else(|| why.to_string(), |could| format!("{why}; {could}")))?;
    }
    Ok(())
}

/// Why it was not read; `None` if it has gone.
fn why_unread(asked: &AskedFor<'_>, inode: u32, namespace: Option<&Namespace>, refused: bool) -> Option<Unread> {
    let name = namespace.and_then(|namespace| namespace.name.as_deref());
    let name = name.map_or_else(|| inode.to_string(), |name| String::from_utf8_lossy(&escape_word(name)).into_owned());
    if !asked.reads_all_netns() {
        return (namespace.is_some() || refused).then_some(Unread::NotListed(name));
    }
    let Some(namespace) = namespace else { return refused.then_some(Unread::Hidden(name)) };
    let Err(error) = namespace.within(&asked.proc, Path::new(netns::NAMES), &|_: &Path| ()) else {
        return Some(Unread::Missed(name));
    };
    Some(match error.kind() {
        io::ErrorKind::PermissionDenied => Unread::Denied(name),
        io::ErrorKind::NotFound => return None,
        _ => Unread::Failed { name, error },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A /proc that is there need not be mounted.
    #[test]
    fn proc_is_to_be_mounted_only_where_it_is_not() {
        let said = |errno| without_own(Path::new("/proc"), &io::Error::from_raw_os_error(errno));
        assert!(said(libc::ENOENT).ends_with("mount it: mount -t proc proc /proc"));
        for (errno, way) in [(libc::ENOMEM, "MemoryMax"), (libc::ENFILE, "fs.file-max"), (libc::EACCES, "denied")] {
            assert!(said(errno).contains(way) && !said(errno).contains("mount -t"), "{}", said(errno));
        }
    }
}
