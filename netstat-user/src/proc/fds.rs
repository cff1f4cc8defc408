//! The descriptor scan: which processes hold which sockets, from the links in /proc/PID/fd.
//!
//! Processes come and go during the scan; whatever has vanished is simply not there.

mod program;
mod work;

pub use program::{comm, program_name};
pub use work::{processes, socket_inode};

use crate::model::{HeldSockets, Holder, SocketHolders, UnseenHolders};
use crate::proc::hidden::hides_processes;
use crate::sys::{self, Awaited, GivenUp, descriptors_are_few, failed_look};
use program::{holder, program};
use rustix::fs::{OFlags, stat};
use rustix::io::Errno;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use work::{FoundLinks, Work};

/// How much of the machine a scan could not see for lack of permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blind {
    /// Nothing was refused.
    No,
    /// Some processes were refused, in others sockets were found.
    Partly,
    /// Processes were refused, and no socket was found but those of this process.
    Wholly,
}

/// Processes hold more sockets than are kept of a scan.
#[derive(Debug, thiserror::Error)]
#[error("processes hold more than {most} sockets, each counted with every process that holds it")]
struct TooManyHeld {
    /// How many links are kept.
    most: usize,
}

/// The processes under `root` that may not be looked into: the links of namespaces are kept from whom those of descriptors are
/// (`proc_ns_readlink`, `proc_fd_access_allowed`), and every process has them.
///
/// # Errors
/// The kernel's: nothing can be said of any.
pub fn denied_at(root: &Path) -> std::io::Result<Vec<u32>> {
    let is_denied = |pid: &u32| {
        let link = rustix::fs::readlink(root.join(format!("{pid}/ns/net")), Vec::new());
        link.err() == Some(Errno::ACCESS)
    };
    Ok(processes(root)?.into_iter().filter(is_denied).collect())
}

/// A scan under way or done.
pub struct Scan {
    work: Arc<Work>,
    helper: Option<JoinHandle<FoundLinks>>,
    /// A look at the same by other means, under way.
    other: Option<JoinHandle<Option<HeldSockets>>>,
    found: Option<FoundLinks>,
    /// Whether the processes were read here.
    is_own: bool,
    /// Whether [`Scan::blind`] has been reported to the user.
    pub reported: bool,
    /// Whether it is of all sockets.
    pub whole: bool,
    /// How many links are kept at most.
    most: usize,
}

impl Scan {
    /// Starts to read every process under `root` on a thread of its own, until there are more links than so many.
    pub fn start(root: &Path, most: usize) -> Self {
        Self::begin(root, most, &Awaited::default(), descriptors_are_few())
    }

    fn begin(root: &Path, most: usize, awaited: &Awaited, is_alone: bool) -> Self {
        let size = stat(root.join("self/fd")).map_or(0, |stat| stat.st_size);
        let (pids, failed) = match processes(root) {
            Ok(pids) => (pids, None),
            Err(error) => (Vec::new(), failed_look(error)),
        };
        let work = Arc::new(Work::new(root, pids, size > 0, most, awaited));
        let theirs = Arc::clone(&work);
        let helper = if is_alone || failed.is_some() {
            None
        } else {
            std::thread::Builder::new().spawn(move || theirs.run()).ok()
        };
        Self {
            work,
            helper,
            other: None,
            found: failed.map(|_| FoundLinks { failed, ..FoundLinks::default() }),
            is_own: true,
            reported: false,
            whole: true,
            most,
        }
    }

    /// The same on the calling thread, as long as that is waited for.
    pub fn make(root: &Path, most: usize, awaited: &Awaited) -> Self {
        Self::begin(root, most, awaited, true)
    }

    /// What somebody else has found, in the order of /proc.
    pub fn of_held(root: &Path, held: HeldSockets) -> Self {
        let (most, is_over) = (held.most(), held.is_over());
        let mut scan = Self::of(root, held.into_pairs());
        scan.found.iter_mut().for_each(|found| found.is_over = is_over);
        Self { most, ..scan }
    }

    /// Nothing was found, as nobody waits for it any more.
    pub fn given_up(root: &Path) -> Self {
        let mut scan = Self::of(root, Vec::new());
        scan.found.iter_mut().for_each(|found| found.is_given_up = true);
        scan
    }

    /// Starts to look by other means, on a thread of its own: `look` finds process and inode of every link, in the order of /proc.
    /// Where it finds `None`, the processes are read after all.
    pub fn start_with(root: &Path, most: usize, look: impl FnOnce() -> Option<HeldSockets> + Send + 'static) -> Self {
        let other = if descriptors_are_few() { None } else { std::thread::Builder::new().spawn(look).ok() };
        match other {
            Some(_) => Self { other, most, ..Self::of(root, Vec::new()) },
            None => Self::start(root, most),
        }
    }

    /// A scan that somebody else has made, by process and inode in the order of /proc.
    pub fn of(root: &Path, links: Vec<(u32, u64)>) -> Self {
        let mut pids = Vec::new();
        let mut found = FoundLinks::default();
        for (pid, inode) in links {
            if pids.last() != Some(&pid) {
                pids.push(pid);
            }
            found.links.add(pids.len() as u32 - 1, inode);
        }
        let (work, found) = (Arc::new(Work::done(root, pids)), Some(found));
        Self { work, helper: None, other: None, found, is_own: false, reported: false, whole: true, most: usize::MAX }
    }

    /// The same of some sockets only.
    pub fn of_some(root: &Path, links: Vec<(u32, u64)>) -> Self {
        Self { whole: false, ..Self::of(root, links) }
    }

    /// Every link that was found: process and inode, each once, in the order of /proc.
    pub fn links(&mut self) -> impl Iterator<Item = (u32, u64)> {
        self.found();
        let (pids, found) = (&self.work.pids, self.found.as_ref());
        found.into_iter().flat_map(|found| found.links.pairs()).map(|&(place, inode)| (pids[place as usize], inode))
    }

    /// What was found; the calling thread takes its part of the work that is left.
    fn found(&mut self) -> &FoundLinks {
        if let Some(other) = self.other.take() {
            let root = self.work.root.clone();
            *self = match other.join() {
                Ok(Some(held)) => Self::of_held(&root, held),
                _ => Self::start(&root, self.most),
            };
        }
        let Self { work, helper, found, .. } = self;
        found.get_or_insert_with(|| {
            let mut found = work.run();
            if let Some(theirs) = helper.take().and_then(|helper| helper.join().ok()) {
                found.take_in(theirs);
            }
            work.make_good(&mut found);
            found
        })
    }

    /// How much could not be seen.
    pub fn blind(&mut self) -> Blind {
        if !self.found().refused {
            return Blind::No;
        }
        // netstat has opened no socket yet when it looks.
        let (root, own) = (self.work.root.clone(), own_number(&self.work.root));
        match self.links().any(|(pid, inode)| Some(pid) != own || is_inherited(&root, inode)) {
            true => Blind::Partly,
            false => Blind::Wholly,
        }
    }

    /// Whether owners of some sockets may be unknown.
    pub fn hides(&mut self) -> bool {
        self.blind() != Blind::No || self.found().refused_silently || self.is_own && hides_processes(&self.work.root)
    }

    /// The processes that were refused, wholly or in part.
    pub fn denied(&mut self) -> Vec<u32> {
        let mut places = self.found().denied.clone();
        places.sort_unstable();
        places.dedup();
        places.into_iter().filter_map(|place| self.work.pids.get(place as usize).copied()).collect()
    }

    /// The processes that may hold sockets, too, as they could not be looked into.
    pub fn unseen(&mut self) -> UnseenHolders {
        if self.failure().is_some() || self.is_own && hides_processes(&self.work.root) {
            return UnseenHolders::Anybody;
        }
        let denied = self.denied();
        let root = &self.work.root;
        let named = denied
            .into_iter()
            .map(|pid| Ok(Holder { pid, program: program(root, pid)?, comm: Some(comm(root, pid)?) }));
        // One that has ended since holds nothing.
        let named = named.filter(|named: &rustix::io::Result<Holder>| {
            !matches!(named, Err(error) if matches!(*error, Errno::NOENT | Errno::SRCH))
        });
        named.collect::<Result<_, _>>().map_or(UnseenHolders::Anybody, UnseenHolders::These)
    }

    /// Whether this process is in a nested PID namespace: one of a namespace above, which no /proc here shows, may hold a socket.
    pub fn in_nested_pid_namespace(&self) -> bool {
        self.is_own && sys::pid_namespace_if_nested() != 0
    }

    /// Why not every process could be looked into, where that is neither for want of permission nor because it has gone: then a socket without a
    /// known holder may have one.
    pub fn failure(&mut self) -> Option<std::io::Error> {
        let most = self.most;
        let too_many = || std::io::Error::other(TooManyHeld { most });
        let found = self.found();
        let failed = found.failed.map(Into::into).or_else(|| found.is_over.then(too_many));
        failed.or_else(|| found.is_given_up.then(|| GivenUp.into()))
    }

    /// Takes in why something of a process that was found could not be read.
    pub fn note(&mut self, error: Errno) {
        self.found();
        self.found.iter_mut().for_each(|found| found.note(error));
    }

    /// The holders of these sockets. Only processes that hold one of them are asked for their name; for the one that they can change, `comm`,
    /// only if that is wanted.
    pub fn owners(&mut self, inodes: impl Iterator<Item = u64>, comms: bool) -> SocketHolders {
        let mut owners = SocketHolders::default();
        owners.expect(inodes.filter(|&inode| inode != 0));
        self.found();
        let work = Arc::clone(&self.work);
        // The process at hand: its place, and its number once it has been named, `None` where it is gone.
        let mut named: Option<(u32, Option<u32>)> = None;
        let mut failed = None;
        for &(place, inode) in self.found().links.pairs() {
            if !owners.expects(inode) {
                continue;
            }
            let holder = match named {
                Some((at, holder)) if at == place => holder,
                _ => {
                    let pid = work.pids[place as usize];
                    let fail = |error| failed = failed.or_else(|| failed_look(error));
                    holder(&work.root, pid, comms, fail).map(|holder| owners.holder(holder))
                }
            };
            named = Some((place, holder));
            match holder {
                Some(holder) => owners.add(inode, holder),
                None => owners.lose(inode),
            }
        }
        if let Some(error) = failed {
            self.note(error);
        }
        owners
    }
}

/// The number of this process under `root`.
fn own_number(root: &Path) -> Option<u32> {
    std::fs::read_link(root.join("self")).ok()?.to_str()?.parse().ok()
}

/// Whether a socket of this process was open already when its program began: what is opened here is closed by an exec.
fn is_inherited(root: &Path, inode: u64) -> bool {
    let own = root.join("self");
    let descriptors = std::fs::read_dir(own.join("fd")).into_iter().flatten().flatten();
    let mut same = descriptors.filter(|descriptor| {
        std::fs::read_link(descriptor.path()).is_ok_and(|link| socket_inode(link.as_os_str().as_bytes()) == Some(inode))
    });
    same.any(|descriptor| {
        let info = std::fs::read_to_string(own.join("fdinfo").join(descriptor.file_name())).unwrap_or_default();
        // In octal digits, as proc_pid_fdinfo(5) has it.
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
        flags.is_some_and(|flags| flags & OFlags::CLOEXEC.bits() == 0)
    })
}

#[cfg(test)]
mod tests;
