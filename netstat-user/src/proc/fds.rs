//! The descriptor scan: which processes hold which sockets, from the links in /proc/PID/fd.
//!
//! Processes come and go during the scan; whatever has vanished is simply not there.

use crate::model::{Holder, Owners};
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
    helper: Option<JoinHandle<Found>>,
    found: Option<Found>,
    /// Whether the user was told about [`Scan::blind`].
    pub reported: bool,
}

/// What the threads of a scan share.
struct Work {
    root: PathBuf,
    /// The processes, in the order of /proc.
    pids: Vec<u32>,
    /// The next of them to be looked at.
    next: AtomicUsize,
    /// The rest of large processes: place in `pids`, descriptors from, to (exclusive).
    shares: Mutex<Vec<(usize, u64, u64)>>,
    /// Whether the kernel says how many descriptors a process has (`st_size`, from Linux 6.2).
    counted: bool,
    /// Whether a process without descriptors need not be opened. Who is not root must try: netstat's warnings tell of
    /// every refusal.
    skip_empty: bool,
}

/// What a scan found.
#[derive(Default)]
struct Found {
    /// Holder, by its place in the order of /proc, and socket inode.
    links: Vec<(u32, u64)>,
    /// Whether a process was refused.
    refused: bool,
}

impl Scan {
    /// Starts to read every process under `root` on a thread of its own.
    pub fn start(root: &Path) -> Self {
        let size = rustix::fs::stat(root.join("self/fd")).map_or(0, |stat| stat.st_size);
        let work = Arc::new(Work {
            root: root.to_path_buf(),
            pids: processes(root),
            next: AtomicUsize::new(0),
            shares: Mutex::new(Vec::new()),
            counted: size > 0,
            skip_empty: size > 0 && rustix::process::geteuid().is_root(),
        });
        let theirs = Arc::clone(&work);
        let helper = std::thread::Builder::new().spawn(move || theirs.run()).ok();
        Self { work, helper, found: None, reported: false }
    }

    /// What was found; the calling thread takes its part of the work that is left.
    fn found(&mut self) -> &Found {
        let Self { work, helper, found, .. } = self;
        found.get_or_insert_with(|| {
            let mut found = work.run();
            if let Some(theirs) = helper.take().and_then(|helper| helper.join().ok()) {
                found.refused |= theirs.refused;
                found.links.extend(theirs.links);
                // Stable and nearly sorted: two runs in the order of /proc, and the shares of large processes.
                found.links.sort_by_key(|&(place, _)| place);
            }
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

    /// The holders of these sockets. Only processes that hold one of them are asked for their name.
    pub fn owners(&mut self, inodes: impl Iterator<Item = u64>) -> Owners {
        let mut owners = Owners::default();
        owners.expect(inodes.filter(|&inode| inode != 0));
        let work = Arc::clone(&self.work);
        // The process at hand: its place, and its number once it has been named, `None` where it is gone.
        let mut named: Option<(u32, Option<u32>)> = None;
        for &(place, inode) in &self.found().links {
            if !owners.expects(inode) {
                continue;
            }
            let holder = match named {
                Some((at, holder)) if at == place => holder,
                _ => {
                    let pid = work.pids[place as usize];
                    program(&work.root, pid).map(|program| owners.holder(Holder { pid, program }))
                }
            };
            named = Some((place, holder));
            if let Some(holder) = holder {
                owners.add(inode, holder);
            }
        }
        owners
    }
}

impl Work {
    /// Looks at processes until none is left.
    fn run(&self) -> Found {
        let mut found = Found::default();
        let Ok(proc) = open(rustix::fs::CWD, &self.root, OFlags::DIRECTORY) else { return found };
        let mut buffer = vec![MaybeUninit::uninit(); 32 * 1024];
        loop {
            // A share first: it is what keeps the other thread busy longest.
            let share = self.shares.lock().ok().and_then(|mut shares| shares.pop());
            if let Some((place, from, to)) = share {
                self.descriptors(&proc, place, from, to, &mut buffer, &mut found);
                continue;
            }
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            if place >= self.pids.len() {
                return found;
            }
            self.descriptors(&proc, place, 0, u64::MAX, &mut buffer, &mut found);
        }
    }

    /// Reads the links of one process, or of a share of it.
    fn descriptors(
        &self,
        proc: &OwnedFd,
        place: usize,
        from: u64,
        mut to: u64,
        buffer: &mut [MaybeUninit<u8>],
        found: &mut Found,
    ) {
        let mut path = [0; 16];
        let Some(path) = fd_path(self.pids[place], &mut path) else { return };
        if self.counted && from == 0 {
            // Kernel threads, half of all processes on an idle machine, have none.
            let Ok(stat) = rustix::fs::statat(proc, path, AtFlags::empty()) else { return };
            match u64::try_from(stat.st_size) {
                Ok(0) if self.skip_empty => return,
                Ok(count) if count > SHARE => {
                    if let Ok(mut shares) = self.shares.lock() {
                        let cuts = (SHARE..count).step_by(SHARE as usize);
                        // Descriptor numbers may have gaps: the last share is open.
                        shares.extend(
                            cuts.map(|cut| (place, cut, if count - cut > SHARE { cut + SHARE } else { u64::MAX })),
                        );
                        to = SHARE;
                    }
                }
                _ => {}
            }
        }
        let dir = match open(proc, path, OFlags::DIRECTORY) {
            Ok(dir) => dir,
            Err(error) => {
                found.refused |= error == Errno::ACCESS;
                return;
            }
        };
        // The kernel's offset of descriptor N is N + 2 (`proc_readfd_common`).
        if from > 0 && rustix::fs::seek(&dir, SeekFrom::Start(from + 2)).is_err() {
            return;
        }
        let mut target = [MaybeUninit::<u8>::uninit(); 64];
        let mut entries = RawDir::new(&dir, buffer);
        while let Some(Ok(entry)) = entries.next() {
            let Some(number) = decimal(entry.file_name().to_bytes()) else { continue };
            if number >= to {
                return;
            }
            let Ok((link, _)) = rustix::fs::readlinkat_raw(&dir, entry.file_name(), &mut target) else { continue };
            if let Some(inode) = socket_inode(link) {
                found.links.push((place as u32, inode));
            }
        }
    }
}

/// The processes under `root`, in the order of its directory.
fn processes(root: &Path) -> Vec<u32> {
    let mut pids = Vec::with_capacity(256);
    let Ok(proc) = open(rustix::fs::CWD, root, OFlags::DIRECTORY) else { return pids };
    let mut buffer = [MaybeUninit::uninit(); 8 * 1024];
    let mut entries = RawDir::new(&proc, &mut buffer);
    while let Some(Ok(entry)) = entries.next() {
        pids.extend(decimal(entry.file_name().to_bytes()).and_then(|pid| u32::try_from(pid).ok()));
    }
    pids
}

/// `PID/fd`, for the system call as it is.
fn fd_path(pid: u32, buffer: &mut [u8; 16]) -> Option<&CStr> {
    let mut rest = buffer.as_mut_slice();
    // At most ten digits and four bytes: it always fits.
    write!(rest, "{pid}/fd\0").ok()?;
    CStr::from_bytes_until_nul(buffer).ok()
}

/// The inode in a descriptor's link: `socket:[N]`, or `[0000]:N` as old kernels write it.
pub fn socket_inode(link: &[u8]) -> Option<u64> {
    if let Some(rest) = link.strip_prefix(b"socket:[") {
        return decimal(rest.strip_suffix(b"]")?);
    }
    decimal(link.strip_prefix(b"[0000]:")?)
}

/// The name of a process as netstat prints it; `None` once it is gone.
fn program(root: &Path, pid: u32) -> Option<Vec<u8>> {
    let file = open(rustix::fs::CWD, root.join(pid.to_string()).join("cmdline"), OFlags::empty()).ok()?;
    let mut buffer = [0; PROGRAM_MAX];
    let len = rustix::io::read(&file, &mut buffer).ok()?;
    Some(program_name(&buffer[..len]).to_vec())
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
