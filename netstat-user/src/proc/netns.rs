//! Network namespaces: which there are, what they are called, and, in [`reading`], how to look into them.

mod reading;

pub use reading::{each, enter, inside};

use crate::proc::hidden::hides_processes;
use crate::sys::Scarce;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where iproute2 keeps the names of namespaces: files on which they are mounted.
pub const NAMES: &str = "/run/netns";

/// The least number that the kernel gives to a namespace; those of the first ones are fixed, in `include/uapi/linux/nsfs.h`.
pub const LEAST_NAMESPACE: u32 = 0xefff_fff0;

/// A network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Its inode number, as in the link /proc/PID/ns/net.
    pub inode: u32,
    /// Its name in [`NAMES`], if it has one.
    pub name: Option<Vec<u8>>,
    /// A process in it, or a thread, if there is one.
    pub pid: Option<u32>,
}

/// Whether an error of looking into a namespace means that it, or the process that it was looked for at, has gone.
pub fn has_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// Inode number of the namespace a process is in.
///
/// # Errors
/// The process has gone, or may not be looked at.
pub fn of(root: &Path, pid: u32) -> io::Result<u32> {
    fs::metadata(root.join(pid.to_string()).join("ns/net")).map(|namespace| namespace.ino() as u32)
}

/// Inode number of the namespace of the process that asks.
///
/// # Errors
/// No /proc, or one of another PID namespace.
pub fn own(root: &Path) -> io::Result<u32> {
    fs::metadata(root.join("self/ns/net")).map(|namespace| namespace.ino() as u32)
}

/// Inode number of the namespace of the calling thread.
///
/// # Errors
/// No /proc, or one of another PID namespace.
pub fn of_thread(root: &Path) -> io::Result<u32> {
    fs::metadata(root.join("thread-self/ns/net")).map(|namespace| namespace.ino() as u32)
}

/// The namespaces that could be found.
#[derive(Debug)]
pub struct FoundNamespaces {
    /// By inode number.
    pub namespaces: Vec<Namespace>,
    /// Whether processes were refused or hidden, whose namespaces may be others.
    pub refused: bool,
    /// What ran out on the way: then one that is not among them may be there all the same.
    pub failed: Option<io::Error>,
}

impl FoundNamespaces {
    /// All of them.
    ///
    /// # Errors
    /// Something ran out, and some may be missing.
    pub fn whole(self) -> io::Result<Vec<Namespace>> {
        self.failed.map_or(Ok(self.namespaces), Err)
    }

    /// Keeps the first error that says nothing of what was looked at; `None` in place of any error.
    fn unless_scarce<T>(&mut self, looked: io::Result<T>) -> Option<T> {
        match looked {
            Ok(found) => return Some(found),
            Err(error) if self.failed.is_none() && Scarce::of(&error).is_some() => self.failed = Some(error),
            Err(_) => {}
        }
        None
    }
}

/// The threads of a process that has several, each with the namespace it is in.
///
/// # Errors
/// The process has gone, or something ran out.
fn threads(root: &Path, pid: u32) -> io::Result<Vec<(u32, u32)>> {
    let folder = root.join(pid.to_string()).join("task");
    // A link for each thread, and the two that every folder has (`proc_task_getattr`).
    if fs::metadata(&folder)?.nlink() <= 3 {
        return Ok(Vec::new());
    }
    let mut threads = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Some(tid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        match fs::metadata(entry.path().join("ns/net")) {
            Ok(namespace) => threads.push((tid, namespace.ino() as u32)),
            Err(error) if Scarce::of(&error).is_some() => return Err(error),
            // It has ended.
            Err(_) => {}
        }
    }
    Ok(threads)
}

/// Calls `see` with every process and the namespace it is in, and with the threads of those that have several, until that says it is enough. A process is
/// refused, or something ran out, where it is called with an error.
fn walk(root: &Path, mut see: impl FnMut(io::Result<(u32, u32)>) -> ControlFlow<()>) -> ControlFlow<()> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) => return see(Err(error)),
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                see(Err(error))?;
                continue;
            }
        };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let inode = of(root, pid);
        // Its first thread may have ended, and is in no namespace then, while others go on (`netns_get`, `ns_get_path`).
        let may_have_threads = inode.as_ref().err().is_none_or(|error| error.kind() == io::ErrorKind::NotFound);
        let is_there = inode.is_ok();
        see(inode.map(|inode| (pid, inode)))?;
        if !may_have_threads {
            continue;
        }
        // A thread may have gone elsewhere on its own. What it cannot be asked is not worth a warning: its process could be.
        match threads(root, pid) {
            // The first one was seen as the process.
            Ok(threads) => {
                let mut others = threads.into_iter().filter(|&(thread, _)| thread != pid || !is_there);
                others.try_for_each(|thread| see(Ok(thread)))?;
            }
            Err(error) if Scarce::of(&error).is_some() => see(Err(error))?,
            Err(_) => {}
        }
    }
    ControlFlow::Continue(())
}

/// Every namespace that a process or one of its threads is in, or that has a name.
pub fn all(root: &Path, names: &Path) -> FoundNamespaces {
    let mut found = BTreeMap::new();
    let mut all = FoundNamespaces { namespaces: Vec::new(), refused: false, failed: None };
    // One's own is read through oneself: any other process may end.
    let myself = fs::read_link(root.join("self")).ok().and_then(|link| link.to_str()?.parse().ok());
    if let (Ok(inode), Some(pid)) = (own(root), myself) {
        found.insert(inode, Namespace { inode, name: None, pid: Some(pid) });
    }
    let _ = walk(root, |seen| {
        match seen {
            Ok((pid, inode)) => {
                found.entry(inode).or_insert(Namespace { inode, name: None, pid: Some(pid) });
            }
            Err(error) => {
                all.refused |= error.kind() == io::ErrorKind::PermissionDenied;
                all.unless_scarce::<()>(Err(error));
            }
        }
        ControlFlow::Continue(())
    });
    all.refused |= hides_processes(root);
    for (inode, name) in all.unless_scarce(named(names)).into_iter().flatten() {
        found.entry(inode).or_insert(Namespace { inode, name: None, pid: None }).name.get_or_insert(name);
    }
    all.namespaces = found.into_values().collect();
    all
}

/// The names of namespaces, looked up as they are met.
#[derive(Debug)]
pub struct NamespaceNames {
    folder: PathBuf,
    /// What was found; `None` for a namespace that had no name.
    known: HashMap<u32, Option<Vec<u8>>>,
    looked: Instant,
}

impl NamespaceNames {
    /// How long what was found is believed.
    const TRUST: Duration = Duration::from_secs(1);

    /// The names in a folder, [`NAMES`] as a rule.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.into(), known: HashMap::new(), looked: Instant::now() }
    }

    /// Forgets what may not be true any more. Call it now and then: once for a batch of events.
    pub fn refresh(&mut self) {
        if self.looked.elapsed() > Self::TRUST {
            self.known.clear();
        }
    }

    /// The name of the namespace with this inode number.
    pub fn of(&mut self, netns: Option<u32>) -> Option<&[u8]> {
        let inode = netns?;
        if !self.known.contains_key(&inode) {
            let names = named(&self.folder).into_iter().flatten();
            self.known.extend(names.map(|(inode, name)| (inode, Some(name))));
            self.known.entry(inode).or_insert(None);
            self.looked = Instant::now();
        }
        self.known.get(&inode)?.as_deref()
    }
}

/// Inode number and name of every namespace in the folder of names.
///
/// # Errors
/// The folder cannot be read, as it is not there where nothing has a name.
fn named(folder: &Path) -> io::Result<Vec<(u32, Vec<u8>)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // It may have gone.
        if let Ok(namespace) = entry.path().metadata() {
            names.push((namespace.ino() as u32, entry.file_name().as_bytes().to_vec()));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
