//! The work of a scan: the links of all descriptors, read by several threads at once.

use crate::model::HeldSockets;
use crate::proc::words;
use crate::sys::{Awaited, failed_look};
use rustix::fs::{AtFlags, Mode, OFlags, RawDir, SeekFrom};
use rustix::io::Errno;
use std::ffi::CStr;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Descriptors of one process that make one piece of work: a process with more is shared between the threads.
const SHARE: u64 = 1024;

/// What the threads of a scan share.
pub struct Work {
    pub root: PathBuf,
    /// The processes, in the order of /proc.
    pub pids: Vec<u32>,
    /// The next of them to be looked at.
    next: AtomicUsize,
    /// The rest of large processes.
    shares: Mutex<Vec<DescriptorRange>>,
    /// Whether the kernel says how many descriptors a process has (`st_size`, from Linux 6.2).
    counted: bool,
    /// Processes that could not be opened for want of descriptors, while the threads used up what there is.
    later: Mutex<Vec<usize>>,
    /// Whether a process without descriptors need not be opened. Who is not root must try: netstat warns of every
    /// refusal.
    skip_empty: bool,
    /// How many links are kept at most.
    most: usize,
    /// Whether somebody waits for it.
    awaited: Awaited,
}

/// Some descriptors of one process.
#[derive(Clone, Copy)]
struct DescriptorRange {
    /// Place of the process in [`Work::pids`].
    place: usize,
    /// The first descriptor.
    from: u64,
    /// The descriptor after the last.
    to: u64,
    /// How many descriptors the process has, 0 where the kernel does not say.
    count: u64,
}

/// What a scan found.
#[derive(Default)]
pub struct FoundLinks {
    /// Holder, by its place in the order of /proc, and socket inode.
    pub links: HeldSockets,
    /// Whether there are more of them.
    pub is_over: bool,
    /// Whether nobody waited for the rest.
    pub is_given_up: bool,
    /// Whether a process was refused.
    pub refused: bool,
    /// Whether more was refused, of which netstat says nothing: what a descriptor is, to root without CAP_SYS_PTRACE, or a process by `hidepid=1`.
    pub refused_silently: bool,
    /// The places of the processes that were refused in one way or the other; one of them may be there several times.
    pub denied: Vec<u32>,
    /// Why not every process could be looked into, other than that it was refused or has gone: no descriptor was left, say.
    pub failed: Option<Errno>,
    /// Why a thread had no part in the work: then another one did it all, or nobody.
    pub idle: Option<Errno>,
}

impl FoundLinks {
    /// Adds what another thread found, all of it in the order of /proc then.
    pub fn take_in(&mut self, others: Self) {
        self.refused |= others.refused;
        self.refused_silently |= others.refused_silently;
        self.denied.extend(others.denied);
        self.failed = self.failed.or(others.failed);
        self.idle = self.idle.or(others.idle);
        let most = self.links.most();
        let mut links = std::mem::take(&mut self.links).into_pairs();
        links.extend(others.links.into_pairs());
        // Stable and nearly sorted: two runs in the order of /proc, and the shares of large processes.
        links.sort_by_key(|&(place, _)| place);
        self.links = HeldSockets::new(most);
        links.into_iter().for_each(|(place, inode)| self.links.add(place, inode));
        self.is_over |= others.is_over | self.links.is_over();
        self.is_given_up |= others.is_given_up;
    }

    /// Notes a process whose folder of descriptors could not be opened.
    fn refuse(&mut self, error: Errno, place: usize) {
        // netstat warns of the first alone; `hidepid=1` has the other (`proc_pid_permission`).
        self.refused |= error == Errno::ACCESS;
        self.refused_silently |= error == Errno::PERM;
        if matches!(error, Errno::ACCESS | Errno::PERM) {
            self.deny(place);
        }
        self.note(error);
    }

    /// Notes a process that was refused.
    fn deny(&mut self, place: usize) {
        if self.denied.last() != Some(&(place as u32)) {
            self.denied.push(place as u32);
        }
    }

    /// Keeps why something could not be read, where that says nothing of it.
    pub fn note(&mut self, error: Errno) {
        self.failed = self.failed.or_else(|| failed_look(error));
    }
}

impl Work {
    /// The descriptors of these processes below `root`, none looked at yet; `counted` where the kernel says how many a process has. No more than
    /// `most` links are kept, and it ends where nobody waits for it.
    pub fn new(root: &Path, pids: Vec<u32>, counted: bool, most: usize, awaited: &Awaited) -> Self {
        Self {
            root: root.to_path_buf(),
            pids,
            next: AtomicUsize::new(0),
            shares: Mutex::new(Vec::new()),
            later: Mutex::new(Vec::new()),
            counted,
            most,
            awaited: awaited.clone(),
            skip_empty: counted && rustix::process::geteuid().is_root(),
        }
    }

    /// The same where nothing is left to be looked at.
    pub fn done(root: &Path, pids: Vec<u32>) -> Self {
        Self { next: AtomicUsize::new(usize::MAX / 2), ..Self::new(root, pids, false, usize::MAX, &Awaited::default()) }
    }

    /// Looks at processes until none is left.
    pub fn run(&self) -> FoundLinks {
        let mut found = FoundLinks { links: HeldSockets::new(self.most), ..FoundLinks::default() };
        let proc = match open(rustix::fs::CWD, &self.root, OFlags::DIRECTORY) {
            Ok(proc) => proc,
            Err(error) => {
                found.idle = Some(error);
                return found;
            }
        };
        let mut buffer = vec![MaybeUninit::uninit(); 32 * 1024];
        loop {
            if self.awaited.is_over() {
                found.is_given_up = true;
                return found;
            }
            // A share first: it is what keeps the other thread busy longest.
            let share = self.shares.lock().ok().and_then(|mut shares| shares.pop());
            if let Some(share) = share {
                self.descriptors(&proc, share, &mut buffer, &mut found);
                continue;
            }
            found.is_over = found.links.is_over();
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            if place >= self.pids.len() || found.is_over {
                return found;
            }
            self.process(&proc, place, &mut buffer, &mut found);
        }
    }

    /// Looks once more at the processes for which no descriptor was left, one by one, with none open but that of the process. Call it when all threads are
    /// done.
    pub fn make_good(&self, found: &mut FoundLinks) {
        if let Some(error) = found.idle.filter(|_| self.next.load(Ordering::Relaxed) < self.pids.len()) {
            found.note(error);
        }
        let later = self.later.lock().map(|mut later| std::mem::take(&mut *later)).unwrap_or_default();
        if later.is_empty() {
            return;
        }
        let mut buffer = vec![MaybeUninit::uninit(); 32 * 1024];
        let mut again = FoundLinks { links: HeldSockets::new(self.most), ..FoundLinks::default() };
        for place in later {
            match open(rustix::fs::CWD, self.root.join(format!("{}/fd", self.pids[place])), OFlags::DIRECTORY) {
                Ok(dir) => {
                    links(&dir, DescriptorRange { place, from: 0, to: u64::MAX, count: 0 }, &mut buffer, &mut again)
                }
                Err(error) => again.refuse(error, place),
            }
        }
        found.take_in(again);
    }

    /// Reads the links of one process, and leaves all but the first share of a large one to whoever is free.
    fn process(&self, proc: &OwnedFd, place: usize, buffer: &mut [MaybeUninit<u8>], found: &mut FoundLinks) {
        let mut share = DescriptorRange { place, from: 0, to: u64::MAX, count: 0 };
        if self.counted {
            let mut path = [0; 16];
            let Some(path) = fd_path(self.pids[place], &mut path) else { return };
            let stat = rustix::fs::statat(proc, path, AtFlags::empty());
            share.count = stat.map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or(0));
            // Kernel threads, half of all processes on an idle machine, have no descriptors.
            if share.count == 0 && self.skip_empty && stat.is_ok() {
                return;
            }
            if share.count > SHARE
                && let Ok(mut shares) = self.shares.lock()
            {
                share.to = SHARE;
                let rest = (SHARE..share.count).step_by(SHARE as usize);
                shares.extend(rest.map(|from| {
                    // Descriptor numbers may have gaps: the last share is open.
                    DescriptorRange {
                        from,
                        to: if share.count - from > SHARE { from + SHARE } else { u64::MAX },
                        ..share
                    }
                }));
            }
        }
        self.descriptors(proc, share, buffer, found);
    }

    /// Reads the links of a share.
    fn descriptors(
        &self,
        proc: &OwnedFd,
        share: DescriptorRange,
        buffer: &mut [MaybeUninit<u8>],
        found: &mut FoundLinks,
    ) {
        let mut path = [0; 16];
        let Some(path) = fd_path(self.pids[share.place], &mut path) else { return };
        let dir = match open(proc, path, OFlags::DIRECTORY) {
            Ok(dir) => dir,
            Err(error) if failed_look(error).is_some() => {
                if let Ok(mut later) = self.later.lock()
                    && !later.contains(&share.place)
                {
                    later.push(share.place);
                }
                return;
            }
            Err(error) => return found.refuse(error, share.place),
        };
        links(&dir, share, buffer, found);
    }
}

/// Reads the links of a share, in this folder of its process's descriptors.
fn links(dir: &OwnedFd, share: DescriptorRange, buffer: &mut [MaybeUninit<u8>], found: &mut FoundLinks) {
    let mut target = [MaybeUninit::<u8>::uninit(); 64];
    let mut take = |name: &CStr| {
        let link = rustix::fs::readlinkat_raw(dir, name, &mut target).map(|(link, _)| socket_inode(link));
        match link {
            Ok(Some(inode)) => found.links.add(share.place as u32, inode),
            // A gap in the numbers, or closed just now.
            Err(Errno::NOENT) => return false,
            // It is a file with a long path (`do_proc_readlink`).
            Err(Errno::NAMETOOLONG) => {}
            Err(error) => {
                if error == Errno::ACCESS {
                    found.refused_silently = true;
                    found.deny(share.place);
                }
                found.note(error);
            }
            Ok(None) => {}
        }
        true
    };
    // Descriptors are numbered without gaps most of the time: then there is no need to have them listed.
    let mut next = share.from;
    let mut name = [0; 24];
    while next < share.to.min(share.count) && number_name(next, &mut name).is_some_and(&mut take) {
        next += 1;
    }
    let whole = share.from == 0 && share.count > 0 && next == share.count;
    if next == share.to || whole {
        return;
    }
    // The kernel's offset of descriptor N is N + 2 (`proc_readfd_common`).
    if next > 0
        && let Err(error) = rustix::fs::seek(dir, SeekFrom::Start(next + 2))
    {
        return found.note(error);
    }
    let mut entries = RawDir::new(dir, buffer);
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Ok(entry) => entry,
            // It has ended, or something ran out.
            Err(error) => {
                found.note(error);
                return;
            }
        };
        let Some(number) = words::fitting(entry.file_name().to_bytes()) else { continue };
        if number >= share.to {
            return;
        }
        take(entry.file_name());
    }
}

/// The processes under `root`, in the order of its directory.
///
/// # Errors
/// The kernel's.
pub fn processes(root: &Path) -> rustix::io::Result<Vec<u32>> {
    let mut pids = Vec::with_capacity(256);
    let proc = open(rustix::fs::CWD, root, OFlags::DIRECTORY)?;
    let mut buffer = [MaybeUninit::uninit(); 8 * 1024];
    let mut entries = RawDir::new(&proc, &mut buffer);
    while let Some(entry) = entries.next() {
        pids.extend(words::fitting(entry?.file_name().to_bytes()).and_then(|pid| u32::try_from(pid).ok()));
    }
    Ok(pids)
}

/// `PID/fd`, for the system call as it is.
fn fd_path(pid: u32, buffer: &mut [u8; 16]) -> Option<&CStr> {
    // At most ten digits and four bytes: it always fits.
    write!(buffer.as_mut_slice(), "{pid}/fd\0").ok()?;
    CStr::from_bytes_until_nul(buffer).ok()
}

/// A descriptor's name in its directory.
fn number_name(number: u64, buffer: &mut [u8; 24]) -> Option<&CStr> {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number).as_bytes();
    buffer[..digits.len()].copy_from_slice(digits);
    buffer[digits.len()] = 0;
    CStr::from_bytes_until_nul(buffer).ok()
}

/// The inode in a descriptor's link: `socket:[N]`, or `[0000]:N` as old kernels write it.
pub fn socket_inode(link: &[u8]) -> Option<u64> {
    if let Some(rest) = link.strip_prefix(b"socket:[") {
        return words::fitting(rest.strip_suffix(b"]")?);
    }
    words::fitting(link.strip_prefix(b"[0000]:")?)
}

/// Opens a file to be read.
///
/// # Errors
/// The kernel's.
pub fn open<P: rustix::path::Arg>(at: impl AsFd, path: P, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(at, path, flags | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}
