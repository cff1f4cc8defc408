//! Network namespaces: which there are, what they are called, and how to look into them.

use crate::sys::Scarce;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
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

/// The namespaces that could be found.
#[derive(Debug)]
pub struct FoundNamespaces {
    /// By inode number.
    pub namespaces: Vec<Namespace>,
    /// Whether processes were refused, whose namespaces may be others.
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

/// Every namespace that a process or one of its threads is in, or that has a name.
pub fn all(root: &Path, names: &Path) -> FoundNamespaces {
    let mut found = BTreeMap::new();
    let mut all = FoundNamespaces { namespaces: Vec::new(), refused: false, failed: None };
    // One's own is read through oneself: any other process may end.
    let myself = fs::read_link(root.join("self")).ok().and_then(|link| link.to_str()?.parse().ok());
    if let (Ok(inode), Some(pid)) = (own(root), myself) {
        found.insert(inode, Namespace { inode, name: None, pid: Some(pid) });
    }
    for entry in all.unless_scarce(fs::read_dir(root)).into_iter().flatten() {
        let Some(entry) = all.unless_scarce(entry) else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let inode = match of(root, pid) {
            Ok(inode) => inode,
            Err(error) => {
                all.refused |= error.kind() == io::ErrorKind::PermissionDenied;
                all.unless_scarce::<()>(Err(error));
                continue;
            }
        };
        found.entry(inode).or_insert(Namespace { inode, name: None, pid: Some(pid) });
        // A thread may have gone elsewhere on its own. What it cannot be asked is not worth a warning: its process could be.
        for (tid, inode) in all.unless_scarce(threads(root, pid)).into_iter().flatten() {
            found.entry(inode).or_insert(Namespace { inode, name: None, pid: Some(tid) });
        }
    }
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

/// Runs `f` in the namespace whose `net/` is below `within`, which is `root` or a folder of a process or thread in it: on the calling
/// thread where that is there already, else on one that enters it.
///
/// # Errors
/// The namespace cannot be entered: it has gone, or for want of privilege.
pub fn inside<T: Send>(root: &Path, within: &Path, f: impl FnOnce() -> T + Send) -> io::Result<T> {
    let own = fs::metadata(root.join("thread-self/ns/net"))?.ino();
    let there = if within == root { root.join("self") } else { within.into() }.join("ns/net");
    if fs::metadata(&there)?.ino() == own {
        return Ok(f());
    }
    enter(&File::open(there)?, f)
}

/// Runs `f` on a thread that enters the namespace; where there may be no more threads, on the calling one, which comes back.
///
/// # Errors
/// The namespace cannot be entered.
pub fn enter<T: Send>(file: &File, f: impl FnOnce() -> T + Send) -> io::Result<T> {
    let mut work = Some(f);
    let apart = std::thread::scope(|scope| {
        let inside = std::thread::Builder::new().spawn_scoped(scope, || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(work.take().map(|f| f()))
        });
        let panicked = |_| Err(io::Error::other("the thread in the namespace panicked"));
        inside.ok().map(|inside| inside.join().unwrap_or_else(panicked))
    });
    match (apart.transpose()?.flatten(), work) {
        (Some(done), _) => Ok(done),
        (None, Some(f)) => visit(file, f),
        (None, None) => Err(io::ErrorKind::Other.into()),
    }
}

/// Runs `f` on the calling thread, in the namespace for that long.
fn visit<T>(file: &File, f: impl FnOnce() -> T) -> io::Result<T> {
    let own = File::open("/proc/thread-self/ns/net")?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
    let done = f();
    move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(done)
}

impl Namespace {
    /// Whether it can no longer be found where it was: its process has ended or left it, its name is gone. Another process may be in it.
    pub fn is_gone(&self, root: &Path, names: &Path) -> bool {
        let place = match self.pid {
            Some(pid) => of(root, pid),
            None => {
                let name = self.name.as_deref().unwrap_or_default();
                fs::metadata(names.join(std::ffi::OsStr::from_bytes(name))).map(|namespace| namespace.ino() as u32)
            }
        };
        match place {
            Ok(inode) => inode != self.inode,
            Err(error) => has_gone(&error),
        }
    }

    /// Runs `f` with a root below which `net/` is this namespace's: that of a process in it, or of a thread that enters it.
    ///
    /// # Errors
    /// The namespace cannot be entered: it has gone, or for want of privilege.
    pub fn within<T: Send>(&self, root: &Path, names: &Path, f: impl FnOnce(&Path) -> T + Send) -> io::Result<T> {
        if let Some(pid) = self.pid {
            return Ok(f(&root.join(pid.to_string())));
        }
        let name = self.name.as_deref().unwrap_or_default();
        let file = File::open(names.join(PathBuf::from(std::ffi::OsStr::from_bytes(name))))?;
        enter(&file, || f(&root.join("thread-self")))
    }
}

#[cfg(test)]
mod tests;
