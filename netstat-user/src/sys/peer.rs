//! Who is at the other end of a UNIX socket.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

/// The supplementary groups of the peer when it connected (`SO_PEERGROUPS`, Linux 4.13).
///
/// # Errors
/// The kernel's.
pub fn peer_groups(socket: impl AsFd) -> io::Result<Vec<u32>> {
    // `NGROUPS_MAX`.
    let mut groups = vec![0u32; 65_536];
    let mut len = (groups.len() * size_of::<u32>()) as libc::socklen_t;
    // SAFETY: the descriptor is borrowed for the call, and the pointer and the length describe `groups`.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &mut len,
        )
    };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    groups.truncate(len as usize / size_of::<u32>());
    Ok(groups)
}
