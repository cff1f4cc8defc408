//! The descriptor scan: which processes hold which sockets, from the links in /proc/PID/fd.
//!
//! Processes come and go during the scan; whatever has vanished is simply not there.

use crate::model::{Comm, Holder, SocketHolders};
use rustix::fs::{AtFlags, Mode, OFlags, RawDir, SeekFrom};
use rustix::io::Errno;
use std::ffi::CStr;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Longest first argument that counts, as in netstat.
const PROGRAM_MAX: usize = 511;

/// How much of the machine a scan could not see for lack of permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blind {
    /// Nothing was refused.
    No,
    /// Some processes were refused, in others sockets were found.
    Partly,
    /// Processes were refused, and no socket was found.
    Wholly,
}

/// Descriptors of one process that make one piece of work: a process with more is shared between the threads.
const SHARE: u64 = 1024;

/// A scan under way or done.
pub struct Scan {
    work: Arc<Work>,
    helper: Option<JoinHandle<FoundLinks>>,
    /// A look at the same by other means, under way.
    other: Option<JoinHandle<Option<Links>>>,
    found: Option<FoundLinks>,
    /// Whether the user was told about [`Scan::blind`].
    pub reported: bool,
}

/// Process and inode of every link, in the order of /proc.
type Links = Vec<(u32, u64)>;

/// What the threads of a scan share.
struct Work {
    root: PathBuf,
    /// The processes, in the order of /proc.
    pids: Vec<u32>,
    /// The next of them to be looked at.
    next: AtomicUsize,
    /// The rest of large processes.
    shares: Mutex<Vec<Share>>,
    /// Whether the kernel says how many descriptors a process has (`st_size`, from Linux 6.2).
    counted: bool,
    /// Processes that could not be opened for want of descriptors, while the threads used up what there is.
    later: Mutex<Vec<usize>>,
    /// Whether a process without descriptors need not be opened. Who is not root must try: netstat's warnings tell of
    /// every refusal.
    skip_empty: bool,
}

/// Some descriptors of one process.
#[derive(Clone, Copy)]
struct Share {
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
struct FoundLinks {
    /// Holder, by its place in the order of /proc, and socket inode.
    links: Vec<(u32, u64)>,
    /// Whether a process was refused.
    refused: bool,
    /// Why not every process could be looked into, other than that it was refused or has gone: no descriptor was left.
    failed: Option<Errno>,
}

impl Scan {
    /// Starts to read every process under `root` on a thread of its own.
    pub fn start(root: &Path) -> Self {
        let size = rustix::fs::stat(root.join("self/fd")).map_or(0, |stat| stat.st_size);
        let (pids, failed) = match processes(root) {
            Ok(pids) => (pids, None),
            Err(error) => (Vec::new(), Some(error).filter(|&error| is_scarce(error))),
        };
        let work = Arc::new(Work {
            root: root.to_path_buf(),
            pids,
            next: AtomicUsize::new(0),
            shares: Mutex::new(Vec::new()),
            later: Mutex::new(Vec::new()),
            counted: size > 0,
            skip_empty: size > 0 && rustix::process::geteuid().is_root(),
        });
        let theirs = Arc::clone(&work);
        // Where descriptors are few, two threads would only take them from each other.
        let alone = failed.is_some() || crate::sys::descriptors_left() < ENOUGH;
        let helper = if alone { None } else { std::thread::Builder::new().spawn(move || theirs.run()).ok() };
        Self {
            work,
            helper,
            other: None,
            found: failed.map(|_| FoundLinks { failed, ..FoundLinks::default() }),
            reported: false,
        }
    }

    /// Starts to look by other means, on a thread of its own: `look` finds process and inode of every link, in the order of /proc.
    /// Where it finds `None`, the processes are read after all.
    pub fn start_with(root: &Path, look: impl FnOnce() -> Option<Links> + Send + 'static) -> Self {
        match std::thread::Builder::new().spawn(look) {
            Ok(other) => Self { other: Some(other), ..Self::of(root, std::iter::empty()) },
            Err(_) => Self::start(root),
        }
    }

    /// A scan that somebody else has made, by process and inode in the order of /proc.
    pub fn of(root: &Path, links: impl Iterator<Item = (u32, u64)>) -> Self {
        let mut pids = Vec::new();
        let mut found = FoundLinks::default();
        for (pid, inode) in links {
            if pids.last() != Some(&pid) {
                pids.push(pid);
            }
            found.links.push((pids.len() as u32 - 1, inode));
        }
        let work = Work {
            root: root.to_path_buf(),
            pids,
            next: AtomicUsize::new(usize::MAX / 2),
            shares: Mutex::new(Vec::new()),
            later: Mutex::new(Vec::new()),
            counted: false,
            skip_empty: false,
        };
        Self { work: Arc::new(work), helper: None, other: None, found: Some(found), reported: false }
    }

    /// Every link that was found: process and inode, in the order of /proc.
    pub fn links(&mut self) -> impl Iterator<Item = (u32, u64)> {
        self.found();
        let (pids, found) = (&self.work.pids, self.found.as_ref());
        found.into_iter().flat_map(|found| &found.links).map(|&(place, inode)| (pids[place as usize], inode))
    }

    /// What was found; the calling thread takes its part of the work that is left.
    fn found(&mut self) -> &FoundLinks {
        if let Some(other) = self.other.take() {
            let root = self.work.root.clone();
            *self = match other.join() {
                Ok(Some(links)) => Self::of(&root, links.into_iter()),
                _ => Self::start(&root),
            };
        }
        let Self { work, helper, found, .. } = self;
        found.get_or_insert_with(|| {
            let mut found = work.run();
            if let Some(theirs) = helper.take().and_then(|helper| helper.join().ok()) {
                found.refused |= theirs.refused;
                found.failed = found.failed.or(theirs.failed);
                found.links.extend(theirs.links);
                // Stable and nearly sorted: two runs in the order of /proc, and the shares of large processes.
                found.links.sort_by_key(|&(place, _)| place);
            }
            work.make_good(&mut found);
            found
        })
    }

    /// How much could not be seen.
    pub fn blind(&mut self) -> Blind {
        let found = self.found();
        match (found.refused, found.links.is_empty()) {
            (false, _) => Blind::No,
            (true, false) => Blind::Partly,
            (true, true) => Blind::Wholly,
        }
    }

    /// Why not every process could be looked into, where that is neither for want of permission nor because it has gone: then nobody is not
    /// nobody.
    pub fn failure(&mut self) -> Option<std::io::Error> {
        self.found().failed.map(Into::into)
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
        for &(place, inode) in &self.found().links {
            if !owners.expects(inode) {
                continue;
            }
            let holder = match named {
                Some((at, holder)) if at == place => holder,
                _ => {
                    let pid = work.pids[place as usize];
                    let comm = || if comms { comm(&work.root, pid) } else { None };
                    match program(&work.root, pid) {
                        Ok(program) => Some(owners.holder(Holder { pid, program, comm: comm() })),
                        Err(error) => {
                            failed = failed.or(Some(error).filter(|&error| is_scarce(error)));
                            None
                        }
                    }
                }
            };
            named = Some((place, holder));
            if let Some(holder) = holder {
                owners.add(inode, holder);
            }
        }
        if let Some(found) = &mut self.found {
            found.failed = found.failed.or(failed);
        }
        owners
    }
}

impl Work {
    /// Looks at processes until none is left.
    fn run(&self) -> FoundLinks {
        let mut found = FoundLinks::default();
        let proc = match open(rustix::fs::CWD, &self.root, OFlags::DIRECTORY) {
            Ok(proc) => proc,
            Err(error) => {
                found.failed = Some(error).filter(|&error| is_scarce(error));
                return found;
            }
        };
        let mut buffer = vec![MaybeUninit::uninit(); 32 * 1024];
        loop {
            // A share first: it is what keeps the other thread busy longest.
            let share = self.shares.lock().ok().and_then(|mut shares| shares.pop());
            if let Some(share) = share {
                self.descriptors(&proc, share, &mut buffer, &mut found);
                continue;
            }
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            if place >= self.pids.len() {
                return found;
            }
            self.process(&proc, place, &mut buffer, &mut found);
        }
    }

    /// Looks once more at the processes for which no descriptor was left, one by one, with none open but that of the process.
    fn make_good(&self, found: &mut FoundLinks) {
        let later = self.later.lock().map(|mut later| std::mem::take(&mut *later)).unwrap_or_default();
        if later.is_empty() {
            return;
        }
        let mut buffer = vec![MaybeUninit::uninit(); 32 * 1024];
        for place in later {
            // What was found of it so far is found again.
            found.links.retain(|&(at, _)| at != place as u32);
            let dir = open(rustix::fs::CWD, self.root.join(format!("{}/fd", self.pids[place])), OFlags::DIRECTORY);
            let dir = match dir {
                Ok(dir) => dir,
                Err(error) => {
                    found.refused |= error == Errno::ACCESS;
                    found.failed = found.failed.or(Some(error).filter(|&error| is_scarce(error)));
                    continue;
                }
            };
            let mut target = [MaybeUninit::<u8>::uninit(); 64];
            let mut entries = RawDir::new(&dir, &mut buffer);
            while let Some(Ok(entry)) = entries.next() {
                let link = rustix::fs::readlinkat_raw(&dir, entry.file_name(), &mut target);
                if let Ok(Some(inode)) = link.map(|(link, _)| socket_inode(link)) {
                    found.links.push((place as u32, inode));
                }
            }
        }
        found.links.sort_by_key(|&(place, _)| place);
    }

    /// Reads the links of one process, and leaves all but the first share of a large one to whoever is free.
    fn process(&self, proc: &OwnedFd, place: usize, buffer: &mut [MaybeUninit<u8>], found: &mut FoundLinks) {
        let mut share = Share { place, from: 0, to: u64::MAX, count: 0 };
        if self.counted {
            let mut path = [0; 16];
            let stat = fd_path(self.pids[place], &mut path)
                .and_then(|path| rustix::fs::statat(proc, path, AtFlags::empty()).ok());
            share.count = stat.and_then(|stat| u64::try_from(stat.st_size).ok()).unwrap_or(0);
            // Kernel threads, half of all processes on an idle machine, have no descriptors.
            if share.count == 0 && self.skip_empty {
                return;
            }
            if share.count > SHARE
                && let Ok(mut shares) = self.shares.lock()
            {
                share.to = SHARE;
                let rest = (SHARE..share.count).step_by(SHARE as usize);
                shares.extend(rest.map(|from| {
                    // Descriptor numbers may have gaps: the last share is open.
                    Share { from, to: if share.count - from > SHARE { from + SHARE } else { u64::MAX }, ..share }
                }));
            }
        }
        self.descriptors(proc, share, buffer, found);
    }

    /// Reads the links of a share.
    fn descriptors(&self, proc: &OwnedFd, share: Share, buffer: &mut [MaybeUninit<u8>], found: &mut FoundLinks) {
        let mut path = [0; 16];
        let Some(path) = fd_path(self.pids[share.place], &mut path) else { return };
        let dir = match open(proc, path, OFlags::DIRECTORY) {
            Ok(dir) => dir,
            Err(error) => {
                found.refused |= error == Errno::ACCESS;
                if is_scarce(error)
                    && let Ok(mut later) = self.later.lock()
                    && !later.contains(&share.place)
                {
                    later.push(share.place);
                }
                return;
            }
        };
        let mut target = [MaybeUninit::<u8>::uninit(); 64];
        let mut take = |name: &CStr| {
            let link = rustix::fs::readlinkat_raw(&dir, name, &mut target).map(|(link, _)| socket_inode(link));
            match link {
                Ok(Some(inode)) => found.links.push((share.place as u32, inode)),
                // A gap in the numbers, or closed just now.
                Err(Errno::NOENT) => return false,
                _ => {}
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
        if next > 0 && rustix::fs::seek(&dir, SeekFrom::Start(next + 2)).is_err() {
            return;
        }
        let mut entries = RawDir::new(&dir, buffer);
        while let Some(Ok(entry)) = entries.next() {
            let Some(number) = decimal(entry.file_name().to_bytes()) else { continue };
            if number >= share.to {
                return;
            }
            take(entry.file_name());
        }
    }
}

/// Descriptors that must be left for two threads to look at once.
const ENOUGH: u64 = 16;

/// Whether the error is none of the process that is looked at: the caller, or the machine, has no descriptor or memory left.
fn is_scarce(error: Errno) -> bool {
    matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOMEM)
}

/// The processes under `root`, in the order of its directory.
fn processes(root: &Path) -> rustix::io::Result<Vec<u32>> {
    let mut pids = Vec::with_capacity(256);
    let proc = open(rustix::fs::CWD, root, OFlags::DIRECTORY)?;
    let mut buffer = [MaybeUninit::uninit(); 8 * 1024];
    let mut entries = RawDir::new(&proc, &mut buffer);
    while let Some(entry) = entries.next() {
        pids.extend(decimal(entry?.file_name().to_bytes()).and_then(|pid| u32::try_from(pid).ok()));
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
        return decimal(rest.strip_suffix(b"]")?);
    }
    decimal(link.strip_prefix(b"[0000]:")?)
}

/// The name of a process as netstat prints it; an error once it is gone.
fn program(root: &Path, pid: u32) -> rustix::io::Result<Vec<u8>> {
    let file = open(rustix::fs::CWD, root.join(pid.to_string()).join("cmdline"), OFlags::empty())?;
    let mut buffer = [0; PROGRAM_MAX];
    let len = rustix::io::read(&file, &mut buffer)?;
    Ok(program_name(&buffer[..len]).to_vec())
}

/// The name of a process's leader, as the kernel keeps it; `None` once it is gone.
pub fn comm(root: &Path, pid: u32) -> Option<Comm> {
    let file = open(rustix::fs::CWD, root.join(pid.to_string()).join("comm"), OFlags::empty()).ok()?;
    let mut buffer = [0; 64];
    let len = rustix::io::read(&file, &mut buffer).ok()?;
    let name = &buffer[..len];
    Some(Comm::new(name.strip_suffix(b"\n").unwrap_or(name)))
}

/// The first argument; of an absolute path only what follows the last slash.
pub fn program_name(cmdline: &[u8]) -> &[u8] {
    let end = cmdline.iter().position(|&b| b == 0).unwrap_or(cmdline.len()).min(PROGRAM_MAX);
    let name = &cmdline[..end];
    match name.iter().rposition(|&b| b == b'/') {
        Some(slash) if name[0] == b'/' => &name[slash + 1..],
        _ => name,
    }
}

fn open<P: rustix::path::Arg>(at: impl AsFd, path: P, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(at, path, flags | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// A decimal number and nothing else.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn finds_the_sockets_of_a_process_with_gaps_and_shares() {
        // This very process, made to have more descriptors than one share, and every tenth of them closed again.
        let sockets: Vec<_> = (0..2500).map_while(|_| std::os::unix::net::UnixDatagram::unbound().ok()).collect();
        let sockets: Vec<_> =
            sockets.into_iter().enumerate().filter(|(at, _)| at % 10 != 3).map(|(_, socket)| socket).collect();
        let inode = |fd: i32| std::fs::metadata(format!("/proc/self/fd/{fd}")).map(|file| file.ino());
        let inodes: Vec<u64> = sockets.iter().map(|socket| inode(socket.as_raw_fd()).unwrap()).collect();
        assert!(inodes.len() > 800, "only {} sockets could be made", inodes.len());

        let mut scan = Scan::start(Path::new("/proc"));
        let owners = scan.owners(inodes.iter().copied(), false);
        let missing = inodes.iter().filter(|&&inode| !owners.of(inode).any(|h| h.pid == std::process::id())).count();
        assert_eq!(missing, 0);
        assert!(owners.first(1).is_none());
    }

    #[test]
    fn other_means_come_first() {
        let mut scan = Scan::start_with(Path::new("/nonexistent"), || Some(vec![(7, 70), (7, 71), (9, 70)]));
        assert_eq!(scan.blind(), Blind::No);
        assert_eq!(scan.links().collect::<Vec<_>>(), [(7, 70), (7, 71), (9, 70)]);

        let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
        let inode = std::fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap().ino();
        let mut scan = Scan::start_with(Path::new("/proc"), || None);
        assert_eq!(scan.owners(std::iter::once(inode), false).first(inode).unwrap().comm, None);
        let mut found = Scan::start_with(Path::new("/proc"), move || Some(vec![(std::process::id(), inode)]));
        assert_eq!(found.owners(std::iter::once(inode), true).first(inode).unwrap().pid, std::process::id());
        let own = found.owners(std::iter::once(inode), true);
        assert!(
            own.first(inode).is_some_and(|own| own.comm.is_some() && own.comm == comm(Path::new("/proc"), own.pid))
        );
    }

    #[test]
    fn links() {
        assert_eq!(socket_inode(b"socket:[12345]"), Some(12345));
        assert_eq!(socket_inode(b"[0000]:77"), Some(77));
        for other in [&b"socket:[]"[..], b"socket:[12", b"socket:[1x]", b"/dev/null", b"pipe:[1]", b"", b"[0000]:"] {
            assert_eq!(socket_inode(other), None);
        }
        assert_eq!(socket_inode(b"socket:[99999999999999999999]"), None);
    }

    #[test]
    fn program_names() {
        assert_eq!(program_name(b"/usr/sbin/sshd\0-D\0"), b"sshd");
        assert_eq!(program_name(b"/usr/lib/prog --opt=/etc/conf"), b"conf");
        assert_eq!(program_name(b"./x/y\0"), b"./x/y");
        assert_eq!(program_name(b""), b"");
        assert_eq!(program_name(b"\0\0"), b"");
        assert_eq!(program_name(b"/"), b"");
    }
}
