//! What the kernel reports of a namespace by its file (ioctl_nsfs(2)). A namespace's inode number is given to another one as soon as it has ended.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// `NS_GET_PARENT`, `NS_GET_OWNER_UID` and `NS_GET_ID` of `include/uapi/linux/nsfs.h`: the numbers of `_IO(0xb7, …)` and `_IOR(0xb7, 13, __u64)`.
const NS_GET_PARENT: u32 = 0xb702;
const NS_GET_OWNER_UID: u32 = 0xb704;
const NS_GET_ID: u32 = 0x8008_b70d;

/// The commands of ioctl(2) that ask for it.
pub const NAMESPACE_COMMANDS: [u32; 3] = [NS_GET_PARENT, NS_GET_OWNER_UID, NS_GET_ID];

/// Inode number of the network namespace that the calling thread is in, where there is a /proc.
pub fn thread_network() -> Option<u32> {
    let namespace = std::fs::metadata("/proc/thread-self/ns/net").ok()?;
    u32::try_from(std::os::unix::fs::MetadataExt::ino(&namespace)).ok()
}

/// The number that no other namespace has while the kernel runs (Linux 6.18).
///
/// # Errors
/// The kernel's; `Unsupported` where it gives namespaces no such number.
pub fn namespace_id(file: impl AsFd) -> io::Result<u64> {
    let mut id = 0u64;
    // SAFETY: the descriptor is borrowed for the call, and the command writes one `__u64` to `id`.
    let failed = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), NS_GET_ID as _, &raw mut id) };
    match failed {
        0 => Ok(id),
        _ => Err(match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENOTTY) => io::ErrorKind::Unsupported.into(),
            error => error,
        }),
    }
}

/// The same kind of number of the network namespace that the calling thread is in (`SO_NETNS_COOKIE`, Linux 5.14).
///
/// # Errors
/// The kernel's.
pub fn netns_cookie() -> io::Result<u64> {
    let socket = std::os::unix::net::UnixDatagram::unbound()?;
    let (mut cookie, mut len) = (0u64, size_of::<u64>() as libc::socklen_t);
    // SAFETY: the descriptor lives until the end of the call, and the pointer and the length describe `cookie`.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    if failed == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}

/// The user or PID namespace above this one.
///
/// # Errors
/// The kernel's; `PermissionDenied` where that is none of the caller's own or below it.
pub fn parent_namespace(file: impl AsFd) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is borrowed for the call, and the command takes no argument.
    let parent = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), NS_GET_PARENT as _) };
    if parent < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for the caller alone.
    Ok(unsafe { OwnedFd::from_raw_fd(parent) })
}

/// The user who made this user namespace.
///
/// # Errors
/// The kernel's.
pub fn namespace_owner(file: impl AsFd) -> io::Result<u32> {
    let mut uid: libc::uid_t = 0;
    // SAFETY: the descriptor is borrowed for the call, and the command writes one `uid_t` to `uid`.
    let failed = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), NS_GET_OWNER_UID as _, &raw mut uid) };
    if failed == 0 { Ok(uid) } else { Err(io::Error::last_os_error()) }
}
