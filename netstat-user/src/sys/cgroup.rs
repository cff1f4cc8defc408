//! Cgroups by their ids.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// `FILEID_KERNFS` of `include/linux/exportfs.h`: the handle of a file of kernfs is its 64-bit id, which for a cgroup is the id of the cgroup.
const FILEID_KERNFS: i32 = 0xfe;

/// `struct file_handle` of open_by_handle_at(2), with room for an id.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    id: [u8; 8],
}

/// Opens the directory of a cgroup by its id; `hierarchy` is any directory of the cgroup2 mount. Nothing but its place can be learnt from
/// the descriptor (`O_PATH`).
///
/// # Errors
/// `ESTALE` where there is no such cgroup any more, `EPERM` without `CAP_DAC_READ_SEARCH`, `EOPNOTSUPP` or `EINVAL` where the kernel has no
/// such handles (before Linux 5.5).
pub fn open_cgroup(hierarchy: impl AsFd, id: u64) -> io::Result<OwnedFd> {
    let mut handle = Handle { bytes: 8, kind: FILEID_KERNFS, id: id.to_ne_bytes() };
    // SAFETY: the descriptor is borrowed for the call; the kernel reads 8 bytes and then as many as `bytes` says, which `handle` has.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            hierarchy.as_fd().as_raw_fd(),
            &raw mut handle,
            libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
