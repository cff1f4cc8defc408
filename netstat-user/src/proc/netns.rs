//! Network namespaces: which there are, what they are called, and how to look into them.

use crate::sys::Scarce;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
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
        see(inode.map(|inode| (pid, inode)))?;
        if !may_have_threads {
            continue;
        }
        // A thread may have gone elsewhere on its own. What it cannot be asked is not worth a warning: its process could be.
        match threads(root, pid) {
            Ok(threads) => threads.into_iter().try_for_each(|thread| see(Ok(thread)))?,
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
    let own = of_thread(root)?;
    let there = if within == root { root.join("self") } else { within.into() }.join("ns/net");
    if fs::metadata(&there)?.ino() as u32 == own {
        return Ok(f());
    }
    enter(File::open(there)?, f)
}

/// Runs `f` on a thread that enters the namespace; where there may be no more threads, on the calling one, which comes back. The file is closed before.
///
/// # Errors
/// The namespace cannot be entered.
pub fn enter<T: Send>(file: File, f: impl FnOnce() -> T + Send) -> io::Result<T> {
    let mut work = Some((file, f));
    let apart = std::thread::scope(|scope| {
        let inside = std::thread::Builder::new().spawn_scoped(scope, || {
            let Some((file, f)) = work.take() else { return Ok(None) };
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
            drop(file);
            Ok(Some(f()))
        });
        let panicked = |_| Err(io::Error::other("the thread in the namespace panicked"));
        inside.ok().map(|inside| inside.join().unwrap_or_else(panicked))
    });
    match (apart.transpose()?.flatten(), work) {
        (Some(done), _) => Ok(done),
        (None, Some((file, f))) => visit(file, f),
        (None, None) => Err(io::ErrorKind::Other.into()),
    }
}

/// Runs `f` on the calling thread, in the namespace for that long.
fn visit<T>(file: File, f: impl FnOnce() -> T) -> io::Result<T> {
    let own = File::open("/proc/thread-self/ns/net")?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
    drop(file);
    let done = f();
    move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(done)
}

/// How often a process that goes to and fro between namespaces is asked for the one that it was found in.
const TRIES: u32 = 8;

/// How many of the processes in a namespace are tried where it cannot be read through the one that it was found by.
const OTHERS: u32 = 16;

/// What is asked of a process through which a namespace is read that may not be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Witness {
    /// It does not run meanwhile, and so goes nowhere.
    AtRest,
    /// It is in the namespace before and after.
    Any,
}

/// Runs `f` in every one of the namespaces, in their order, as [`Namespace::within`]. One that cannot be read through its process is looked for once more:
/// others may be in it.
pub fn each<T: Send>(
    root: &Path,
    names: &Path,
    namespaces: Vec<Namespace>,
    f: impl Fn(&Namespace, &Path) -> T + Sync,
) -> Vec<(Namespace, io::Result<T>)> {
    let look = |namespace: &Namespace, witness| namespace.by(root, names, witness, &|root: &Path| f(namespace, root));
    let look_first = |namespace| (look(&namespace, Witness::AtRest), namespace);
    let mut all: Vec<_> = namespaces.into_iter().map(look_first).map(|(read, namespace)| (namespace, read)).collect();
    let is_missed = |(namespace, read): &(Namespace, io::Result<T>)| {
        namespace.pid.is_some() && read.as_ref().is_err_and(|error| Scarce::of(error).is_none())
    };
    let places = all.iter().enumerate().filter(|(_, found)| is_missed(found));
    let mut missed: HashMap<u32, (usize, u32)> =
        places.map(|(place, (namespace, _))| (namespace.inode, (place, OTHERS))).collect();
    if missed.is_empty() {
        return all;
    }
    let mut unsure = Vec::new();
    let _ = walk(root, |seen| {
        match seen {
            Ok((pid, inode)) => {
                let Some((place, tries)) = missed.get_mut(&inode) else { return ControlFlow::Continue(()) };
                *tries -= 1;
                let (namespace, read) = &mut all[*place];
                namespace.pid = Some(pid);
                *read = look(namespace, Witness::AtRest);
                let is_read = read.as_ref().err().is_none_or(|error| Scarce::of(error).is_some());
                if is_read {
                    missed.remove(&inode);
                } else if *tries == 0 {
                    unsure.push(*place);
                    missed.remove(&inode);
                }
            }
            // What ran out says nothing about whether they are there.
            Err(error) if Scarce::of(&error).is_some() => {
                for (_, (place, _)) in missed.drain() {
                    all[place].1 = Err(error.raw_os_error().map_or(error.kind().into(), io::Error::from_raw_os_error));
                }
            }
            Err(_) => {}
        }
        if missed.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    unsure.extend(missed.into_values().map(|(place, _)| place));
    for place in unsure {
        let (namespace, read) = &mut all[place];
        *read = look(namespace, Witness::Any);
    }
    all
}

/// How often a process was given a processor, and for how long; `None` while it has one or waits for it, or where the kernel does not count that
/// (`CONFIG_SCHED_INFO`).
fn turns(folder: &Path, pid: u32) -> Option<Vec<u8>> {
    // Of the thread alone: that is the one whose namespace is read.
    let thread = folder.join("task").join(pid.to_string());
    let turns = fs::read(thread.join("schedstat")).ok()?;
    let stat = fs::read(thread.join("stat")).ok()?;
    let state = stat.iter().rposition(|&byte| byte == b')').and_then(|end| stat.get(end + 2))?;
    (*state != b'R').then_some(turns)
}

impl Namespace {
    /// Runs `f` with a root below which `net/` is this namespace's: one's own, or that of a thread that enters it. Where it may not be entered, and a process
    /// is in it, its files are read through that one, which must be in it before and after.
    ///
    /// # Errors
    /// Its process has ended or left it, and its name, if it has one, is gone or another one's; it may not be looked into; or something ran out.
    pub fn within<T: Send>(&self, root: &Path, names: &Path, f: &(impl Fn(&Path) -> T + Sync)) -> io::Result<T> {
        self.by(root, names, Witness::Any, f)
    }

    /// The same, with what is asked of the process.
    fn by<T: Send>(
        &self,
        root: &Path,
        names: &Path,
        witness: Witness,
        f: &(impl Fn(&Path) -> T + Sync),
    ) -> io::Result<T> {
        match self.pid.map(|pid| self.through(root, pid, witness, f)) {
            // A name may keep it.
            Some(Err(error)) if self.name.is_some() && Scarce::of(&error).is_none() => {}
            Some(read) => return read,
            None => {}
        }
        let name = self.name.as_deref().unwrap_or_default();
        let file = self.open(&names.join(PathBuf::from(std::ffi::OsStr::from_bytes(name))))?;
        enter(file, || f(&root.join("thread-self")))
    }

    /// The same by a process.
    fn through<T: Send>(
        &self,
        root: &Path,
        pid: u32,
        witness: Witness,
        f: &(impl Fn(&Path) -> T + Sync),
    ) -> io::Result<T> {
        if own(root).is_ok_and(|own| own == self.inode) {
            return Ok(f(&root.join("self")));
        }
        let folder = root.join(pid.to_string());
        let file = self.open(&folder.join("ns/net"))?;
        let thread = root.join("thread-self");
        if fs::symlink_metadata(&thread).is_ok() {
            match enter(file, || f(&thread)) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                read => return read,
            }
        }
        let moved = || io::Error::from(io::ErrorKind::NotFound);
        let before = turns(&folder, pid);
        if of(root, pid)? != self.inode || witness == Witness::AtRest && before.is_none() {
            return Err(moved());
        }
        let read = f(&folder);
        let is_there = of(root, pid)? == self.inode;
        let is_sure = witness == Witness::Any || turns(&folder, pid) == before;
        if is_there && is_sure { Ok(read) } else { Err(moved()) }
    }

    /// The file of the namespace: as long as it is open, no other one has its number.
    fn open(&self, place: &Path) -> io::Result<File> {
        for _ in 0..TRIES {
            let file = File::open(place)?;
            if file.metadata()?.ino() as u32 == self.inode {
                return Ok(file);
            }
            std::thread::yield_now();
        }
        Err(io::ErrorKind::NotFound.into())
    }
}

#[cfg(test)]
mod tests;
