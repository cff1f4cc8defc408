//! The names of processes: the program, as netstat prints it, and the name that the kernel keeps.

use super::work::open;
use crate::model::{Comm, Holder};
use crate::proc::stat::Stat;
use rustix::fs::OFlags;
use rustix::io::Errno;
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

/// A process that was seen to hold a socket, by its names; `comms`: also the one that it can change, which is `None` where it could not be read.
/// `None` where the process has ended: nothing that is read of it then says who holds the socket. `fail` takes what failed for another reason.
pub fn holder(root: &Path, pid: u32, comms: bool, mut fail: impl FnMut(Errno)) -> Option<Holder> {
    let program = program(root, pid).map_err(&mut fail).ok()?;
    // One that is about to end has a name no more, nor memory, before it closes its descriptors.
    if program.is_empty() && Stat::of(root, pid).is_ok_and(|stat| stat.is_some_and(|stat| !stat.has_memory())) {
        return None;
    }
    let comm = match comms.then(|| comm(root, pid)).transpose() {
        Ok(comm) => comm,
        Err(Errno::NOENT | Errno::SRCH) => return None,
        Err(error) => {
            fail(error);
            None
        }
    };
    Some(Holder { pid, program, comm })
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
