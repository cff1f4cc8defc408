//! Kernel filesystems that may not be mounted where we run: reached without changing what anybody else sees.

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, fsconfig_create, fsmount, fsopen,
    mount, mount_change,
};
use std::{io, os::fd::OwnedFd, path::Path, thread};

/// Where tracefs belongs (Documentation/trace/ftrace.rst), and where it was before Linux 4.1.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// The root of a new mount of a filesystem without a device, in no directory (fsopen(2), Linux 5.2).
///
/// # Errors
/// The kernel's: no such filesystem, or no privilege.
pub fn detached_mount(filesystem: &str) -> io::Result<OwnedFd> {
    let context = fsopen(filesystem, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?)
}

/// Where tracefs is mounted.
pub fn mounted_tracefs() -> Option<&'static Path> {
    TRACEFS.into_iter().map(Path::new).find(|path| path.join("events").is_dir())
}

/// Runs `f` where tracefs is mounted, and passes it the place. If it is mounted nowhere, `f` runs on a thread with a mount namespace of
/// its own.
///
/// # Errors
/// The kernel's: no tracefs, no privilege to mount it, no thread to be had.
pub fn with_tracefs<T: Send>(f: impl FnOnce(&Path) -> T + Send) -> io::Result<T> {
    if let Some(mounted) = mounted_tracefs() {
        return Ok(f(mounted));
    }
    thread::scope(|scope| {
        let private = thread::Builder::new().spawn_scoped(scope, || {
            let path = Path::new(TRACEFS[0]);
            // SAFETY: takes flags only, and changes only this thread, which ends with `f`.
            if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
                return Err(io::Error::last_os_error());
            }
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
            mount("tracefs", path, "tracefs", MountFlags::empty(), None)?;
            Ok(f(path))
        });
        let private = private.map_err(super::no_thread)?;
        private.join().unwrap_or_else(|_| Err(io::Error::other("the thread that mounts tracefs panicked")))
    })
}
