//! How to read what a network namespace has: in it, or where it may not be entered, through a process in it.

use super::{Namespace, of, of_thread, own, walk};
use crate::proc::stat::Stat;
use crate::sys::{self, Scarce, copy_of, descriptors_are_few, effective_capabilities};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, LinkNameSpaceType, move_into_link_name_space};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runs `f` in the namespace whose `net/` is below `within`, which is `root` or a folder of a process or thread in it: on the calling
/// thread where that is there already, else as [`enter`].
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

/// Runs `f` in the namespace, on the calling thread, which comes back. Where few descriptors are left, or it may not come back, `f` runs on a thread of
/// its own. The file is closed before.
///
/// # Errors
/// The namespace cannot be entered.
pub fn enter<T: Send>(file: File, f: impl FnOnce() -> T + Send) -> io::Result<T> {
    let own = if descriptors_are_few() { None } else { File::open("/proc/thread-self/ns/net").ok() };
    // Root of a user namespace may enter the network namespaces that it made, and not come back to the one that others made.
    let may_come_back = |own: &File| move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network)).is_ok();
    match own.filter(may_come_back) {
        Some(own) => visit(&own, file, f),
        None if !effective_capabilities().contains(CapabilitySet::SYS_ADMIN) => Err(Errno::PERM.into()),
        None => stay(file, f),
    }
}

/// Runs `f` on a thread that enters the namespace.
fn stay<T: Send>(file: File, f: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let inside = std::thread::Builder::new().spawn_scoped(scope, || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
            drop(file);
            Ok(f())
        });
        let panicked = |_| Err(io::Error::other("the thread in the namespace panicked"));
        inside.map_err(sys::no_thread)?.join().unwrap_or_else(panicked)
    })
}

/// Whether a namespace could not be entered, and can be read through a process in it all the same.
fn is_refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied || Scarce::of(error) == Some(Scarce::Tasks)
}

/// Before it is tried again to come back from a namespace.
const PAUSE: Duration = Duration::from_millis(1);

/// Runs `f` on the calling thread, whose namespace is `own`, in another one for that long.
fn visit<T>(own: &File, file: File, f: impl FnOnce() -> T) -> io::Result<T> {
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
    drop(file);
    let done = f();
    // If the thread stayed, its later reads would be of the wrong namespace. It could return before, so that only memory can be missing.
    while move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network)).is_err() {
        std::thread::sleep(PAUSE);
    }
    Ok(done)
}

/// How often a process that goes to and fro between namespaces is asked for the one that it was found in.
const TRIES: u32 = 8;

/// How many of the processes in a namespace are tried where it cannot be read through the one that it was found by. One that was read through, and then
/// may have been elsewhere meanwhile, counts as a quarter of them: reading takes long.
const OTHERS: u32 = 16;

/// What is asked of a process through which a namespace is read that may not be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Witness {
    /// It does not run meanwhile, and so goes nowhere.
    AtRest,
    /// It is in the namespace before and after.
    Any,
}

/// What was read of a namespace.
enum NamespaceReading<T> {
    /// It is that one's.
    Sure(T),
    /// The process that it was read through was in it before and after, and may have been elsewhere between.
    Unsure(T),
}

/// A namespace with what was read of it.
type ReadNamespace<T> = (Namespace, io::Result<NamespaceReading<T>>);

/// Runs `f` in every one of the namespaces, in their order, as [`Namespace::within`]; several times for one that may not be entered, of which the last
/// result counts. One that cannot be read through its process is looked for once more: others may be in it.
pub fn each<T: Send>(
    root: &Path,
    names: &Path,
    namespaces: Vec<Namespace>,
    f: impl Fn(&Namespace, &Path) -> T + Sync,
) -> Vec<(Namespace, io::Result<T>)> {
    let look = |namespace: &Namespace, witness| namespace.by(root, names, witness, &|root: &Path| f(namespace, root));
    let look_first = |namespace| (look(&namespace, Witness::AtRest), namespace);
    let mut all: Vec<_> = namespaces.into_iter().map(look_first).map(|(read, namespace)| (namespace, read)).collect();
    look_through_others(root, &mut all, |namespace| look(namespace, Witness::AtRest));
    let settle = |(namespace, read): ReadNamespace<T>| {
        let read = match read {
            Err(error) if namespace.pid.is_some() && Scarce::of(&error).is_none() => look(&namespace, Witness::Any),
            read => read,
        };
        let read = read.map(|(NamespaceReading::Sure(read) | NamespaceReading::Unsure(read))| read);
        (namespace, read)
    };
    all.into_iter().map(settle).collect()
}

/// Reads those of the namespaces once more, each through other processes in it, that could not be read for sure.
fn look_through_others<T>(
    root: &Path,
    all: &mut [ReadNamespace<T>],
    look: impl Fn(&Namespace) -> io::Result<NamespaceReading<T>>,
) {
    let is_missed = |(namespace, read): &ReadNamespace<T>| match read {
        Ok(NamespaceReading::Sure(_)) => false,
        Ok(NamespaceReading::Unsure(_)) => true,
        Err(error) => namespace.pid.is_some() && Scarce::of(error).is_none(),
    };
    let places = all.iter().enumerate().filter(|(_, found)| is_missed(found));
    let mut missed: HashMap<u32, (usize, u32)> =
        places.map(|(place, (namespace, _))| (namespace.inode, (place, OTHERS))).collect();
    if missed.is_empty() {
        return;
    }
    let _ = walk(root, |seen| {
        match seen {
            Ok((pid, inode)) => {
                let Some((place, tries)) = missed.get_mut(&inode) else { return ControlFlow::Continue(()) };
                let (namespace, read) = &mut all[*place];
                let other = Namespace { pid: Some(pid), ..namespace.clone() };
                let seen = look(&other);
                *tries = tries.saturating_sub(if seen.is_ok() { OTHERS / 4 } else { 1 });
                let is_known = match &seen {
                    Ok(NamespaceReading::Sure(_)) => true,
                    Ok(NamespaceReading::Unsure(_)) => false,
                    Err(error) => Scarce::of(error).is_some(),
                };
                if is_known || read.is_err() {
                    (*namespace, *read) = (other, seen);
                }
                if is_known || *tries == 0 {
                    missed.remove(&inode);
                }
            }
            // What ran out says nothing about whether they are there.
            Err(error) if Scarce::of(&error).is_some() => {
                for (_, (place, _)) in missed.drain() {
                    all[place].1 = Err(copy_of(&error));
                }
            }
            Err(_) => {}
        }
        if missed.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
}

/// How often a thread was given a processor, and for how long; `None` while it has one or waits for it, or where the kernel does not count that
/// (`CONFIG_SCHED_INFO`).
fn turns(thread: &Path) -> Option<Vec<u8>> {
    let turns = fs::read(thread.join("schedstat")).ok()?;
    (!Stat::read(thread).ok()?.is_running()).then_some(turns)
}

impl Namespace {
    /// Runs `f` with a root below which `net/` is this namespace's: one's own, or that of a thread that enters it. Where it may not be entered, and a process
    /// is in it, its files are read through that one, which must be in it before and after.
    ///
    /// # Errors
    /// Its process has ended or left it, and its name, if it has one, is gone or another one's; it may not be looked into; or something ran out.
    pub fn within<T: Send>(&self, root: &Path, names: &Path, f: &(impl Fn(&Path) -> T + Sync)) -> io::Result<T> {
        self.by(root, names, Witness::Any, f)
            .map(|(NamespaceReading::Sure(read) | NamespaceReading::Unsure(read))| read)
    }

    /// The same, with what is asked of the process.
    fn by<T: Send>(
        &self,
        root: &Path,
        names: &Path,
        witness: Witness,
        f: &(impl Fn(&Path) -> T + Sync),
    ) -> io::Result<NamespaceReading<T>> {
        match self.pid.map(|pid| self.through(root, pid, witness, f)) {
            // A name may keep it.
            Some(Err(error)) if self.name.is_some() && Scarce::of(&error).is_none() => {}
            Some(read) => return read,
            None => {}
        }
        let name = self.name.as_deref().unwrap_or_default();
        let file = self.open(&names.join(PathBuf::from(std::ffi::OsStr::from_bytes(name))))?;
        enter(file, || f(&root.join("thread-self"))).map(NamespaceReading::Sure)
    }

    /// The same by a process.
    fn through<T: Send>(
        &self,
        root: &Path,
        pid: u32,
        witness: Witness,
        f: &(impl Fn(&Path) -> T + Sync),
    ) -> io::Result<NamespaceReading<T>> {
        if own(root).is_ok_and(|own| own == self.inode) {
            return Ok(NamespaceReading::Sure(f(&root.join("self"))));
        }
        let folder = root.join(pid.to_string());
        let file = self.open(&folder.join("ns/net"))?;
        let own_thread = root.join("thread-self");
        if fs::symlink_metadata(&own_thread).is_ok() {
            match enter(file, || f(&own_thread)) {
                // There may be no room for a thread that stays in it, either.
                Err(error) if is_refused(&error) => {}
                read => return read.map(NamespaceReading::Sure),
            }
        }
        let moved = || io::Error::from(io::ErrorKind::NotFound);
        // Of the thread alone: that is the one whose namespace is read.
        let thread = folder.join("task").join(pid.to_string());
        let before = turns(&thread);
        if of(root, pid)? != self.inode || witness == Witness::AtRest && before.is_none() {
            return Err(moved());
        }
        let read = f(&folder);
        if of(root, pid)? != self.inode {
            return Err(moved());
        }
        Ok(if before.is_some() && turns(&thread) == before {
            NamespaceReading::Sure(read)
        } else {
            NamespaceReading::Unsure(read)
        })
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
