//! The descriptor scan: which processes hold which sockets, from the links in /proc/PID/fd.
//!
//! Processes come and go during the scan; whatever has vanished is simply not there.

use crate::model::{Holder, Owners};
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
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

/// A scan under way or done.
pub struct Scan {
    root: PathBuf,
    worker: Option<JoinHandle<Found>>,
    found: Found,
    /// Whether the user was told about [`Scan::blind`].
    pub reported: bool,
}

/// What a scan found.
#[derive(Default)]
struct Found {
    /// Socket inode and holder, in the order of /proc; one process may hold a socket several times.
    links: Vec<(u64, u32)>,
    /// Whether a process was refused.
    refused: bool,
}

impl Scan {
    /// Starts to read every process under `root` on a thread of its own.
    pub fn start(root: &Path) -> Self {
        let root = root.to_path_buf();
        let theirs = root.clone();
        let worker = std::thread::Builder::new().spawn(move || read_processes(&theirs)).ok();
        let found = if worker.is_none() { read_processes(&root) } else { Found::default() };
        Self { root, worker, found, reported: false }
    }

    fn found(&mut self) -> &Found {
        if let Some(worker) = self.worker.take() {
            self.found = worker.join().unwrap_or_default();
        }
        &self.found
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
        let wanted: std::collections::HashSet<u64> = inodes.filter(|&inode| inode != 0).collect();
        let root = self.root.clone();
        let mut index = HashMap::new();
        for &(inode, pid) in self.found().links.iter().filter(|(inode, _)| wanted.contains(inode)) {
            let holder = *index
                .entry(pid)
                .or_insert_with(|| owners.holder(Holder { pid, program: program(&root, pid).unwrap_or_default() }));
            owners.add(inode, holder);
        }
        owners
    }
}

/// Reads the descriptors of every process.
fn read_processes(root: &Path) -> Found {
    let mut found = Found::default();
    for process in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let Some(pid) = decimal(process.file_name().as_bytes()) else { continue };
        match std::fs::read_dir(process.path().join("fd")) {
            Ok(links) => {
                let targets = links.flatten().filter_map(|link| std::fs::read_link(link.path()).ok());
                let inodes = targets.filter_map(|target| socket_inode(target.as_os_str().as_bytes()));
                found.links.extend(inodes.map(|inode| (inode, pid as u32)));
            }
            Err(error) => found.refused |= error.kind() == std::io::ErrorKind::PermissionDenied,
        }
    }
    found
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
    let cmdline = std::fs::read(root.join(pid.to_string()).join("cmdline")).ok()?;
    Some(program_name(&cmdline).to_vec())
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
