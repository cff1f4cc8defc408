//! The names of processes: the program, as netstat prints it, and the name that the kernel keeps.

use super::work::open;
use crate::model::Comm;
use rustix::fs::OFlags;
use std::path::Path;

/// Longest first argument that counts, as in netstat.
const PROGRAM_MAX: usize = 511;

/// The name of a process as netstat prints it; an error once it is gone.
pub fn program(root: &Path, pid: u32) -> rustix::io::Result<Vec<u8>> {
    let file = open(rustix::fs::CWD, root.join(pid.to_string()).join("cmdline"), OFlags::empty())?;
    let mut buffer = [0; PROGRAM_MAX];
    let len = rustix::io::read(&file, &mut buffer)?;
    Ok(program_name(&buffer[..len]).to_vec())
}

/// The name of a process's leader, as the kernel keeps it; an error once it is gone.
pub fn comm(root: &Path, pid: u32) -> rustix::io::Result<Comm> {
    let file = open(rustix::fs::CWD, root.join(pid.to_string()).join("comm"), OFlags::empty())?;
    let mut buffer = [0; 64];
    let len = rustix::io::read(&file, &mut buffer)?;
    let name = &buffer[..len];
    Ok(Comm::new(name.strip_suffix(b"\n").unwrap_or(name)))
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
