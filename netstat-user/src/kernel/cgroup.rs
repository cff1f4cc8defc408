//! The root of the cgroup2 hierarchy, to which the programs on creation and end of sockets attach: they run for the sockets of every
//! process below it.
//!
//! In a private cgroup namespace, the default of containers, a mount shows the namespace's own root as `/`, and what attaches there
//! sees the processes of that subtree alone (cgroup_namespaces(7)). The real root is looked for among the mounts of this process and of
//! processes outside, and by a thread that enters the initial cgroup namespace for a moment.

use crate::model::{Coverage, HookCoverage};
use crate::sys;
use procfs::process::Process;
use rustix::fs::{AtFlags, Mode, OFlags, fstatfs, open, statat};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

/// `PROC_CGROUP_INIT_INO` of `include/linux/proc_ns.h`: the inode of the initial cgroup namespace.
const INITIAL: u32 = 0xEFFF_FFFB;

/// `CGROUP2_SUPER_MAGIC` of `include/uapi/linux/magic.h`.
const CGROUP2_MAGIC: rustix::fs::FsWord = 0x6367_7270;

/// The id of the root of the hierarchy.
pub const ROOT: u64 = 1;

/// How many processes of the initial cgroup namespace are tried. If these few refuse, the others would, too.
const TRIES: usize = 8;

/// A directory to attach to.
pub struct Root {
    /// The directory.
    pub dir: OwnedFd,
    /// The cgroup namespace whose root it is, by inode number, where it is not the root of the whole hierarchy.
    pub part: Option<u32>,
}

/// Finds the root of the hierarchy, or else that of this process's cgroup namespace.
///
/// # Errors
/// The kernel's: there is no cgroup2 hierarchy, or no privilege to mount it.
pub fn root(proc: &Path) -> io::Result<Root> {
    let own = namespace_of(proc, "self");
    let whole = |dir| Root { dir, part: None };
    let mut part = None;
    for mount in mounts(proc, "self") {
        let Ok(dir) = directory(&mount.point) else { continue };
        if is_whole(dir.as_fd()) {
            return Ok(whole(dir));
        }
        if mount.is_root && is_cgroup2(dir.as_fd()) {
            part = part.or(Some(dir));
        }
    }
    let mounted = sys::detached_mount("cgroup2");
    match mounted {
        Ok(dir) if is_whole(dir.as_fd()) => return Ok(whole(dir)),
        _ => {}
    }
    if own.as_ref().is_ok_and(|&own| own != INITIAL)
        && let Some(dir) = from_outside(proc)
    {
        return Ok(whole(dir));
    }
    // Without its number the namespace is one all the same.
    Ok(Root { dir: part.map_or(mounted, Ok)?, part: Some(own.unwrap_or(0)) })
}

/// Whether the hierarchy is in use, as far as this process can see: where it is not, every process is in its root.
pub fn is_used(proc: &Path) -> bool {
    !mounts(proc, "self").is_empty()
}

/// Notes in the coverage what the programs of a part of the hierarchy do not see.
pub fn limit(coverage: &mut Coverage, part: Option<u32>) {
    let attached = |hook: &HookCoverage| hook.variant == Some(super::Variant::Cgroup.name());
    coverage.cgroup_namespace = part.filter(|_| coverage.hooks.iter().any(attached));
}

/// The root of the hierarchy by way of a process that is in the initial cgroup namespace.
fn from_outside(proc: &Path) -> Option<OwnedFd> {
    let entries = std::fs::read_dir(proc).ok()?;
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    let outside = pids.into_iter().map(|pid| pid.to_string()).filter(|pid| namespace_of(proc, pid) == Ok(INITIAL));
    outside.take(TRIES).find_map(|pid| {
        let its_root = proc.join(&pid).join("root");
        let below = |mount: &CgroupMount| its_root.join(mount.point.strip_prefix("/").unwrap_or(&mount.point));
        let seen = mounts(proc, &pid)
            .into_iter()
            .find_map(|mount| directory(&below(&mount)).ok().filter(|dir| is_whole(dir.as_fd())));
        seen.or_else(|| within(&proc.join(&pid).join("ns/cgroup")).ok().filter(|dir| is_whole(dir.as_fd())))
    })
}

/// A mount of the hierarchy as a process in this cgroup namespace sees it, in no directory.
fn within(namespace: &Path) -> io::Result<OwnedFd> {
    let namespace = File::open(namespace)?;
    // A thread of its own: the namespace is the thread's, and ends with it.
    thread::scope(|scope| {
        let there = thread::Builder::new().spawn_scoped(scope, || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::ControlGroup))?;
            sys::detached_mount("cgroup2")
        });
        let there = there.map_err(sys::no_thread)?;
        there.join().unwrap_or_else(|_| Err(io::Error::other("the thread in the other cgroup namespace panicked")))
    })
}

/// Inode number of a process's cgroup namespace.
fn namespace_of(proc: &Path, pid: &str) -> Result<u32, io::ErrorKind> {
    let namespace = std::fs::metadata(proc.join(pid).join("ns/cgroup")).map_err(|error| error.kind())?;
    u32::try_from(namespace.ino()).map_err(|_| io::ErrorKind::InvalidData)
}

/// A mount of the hierarchy.
struct CgroupMount {
    point: PathBuf,
    /// Whether it is of the root that the reader's cgroup namespace shows.
    is_root: bool,
}

/// Where a process has the hierarchy mounted.
fn mounts(proc: &Path, pid: &str) -> Vec<CgroupMount> {
    let mounts = Process::new_with_root(proc.join(pid)).and_then(|process| process.mountinfo());
    let mounts = mounts.into_iter().flat_map(procfs::process::MountInfos::into_iter);
    mounts
        .filter(|mount| mount.fs_type == "cgroup2")
        .map(|mount| CgroupMount { is_root: mount.root == "/", point: mount.mount_point })
        .collect()
}

fn directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Whether the directory is of the hierarchy, and not of what somebody has mounted in its place.
fn is_cgroup2(dir: BorrowedFd<'_>) -> bool {
    fstatfs(dir).is_ok_and(|stat| stat.f_type == CGROUP2_MAGIC)
}

/// Whether the directory is the root of the whole hierarchy: every other cgroup has a file `cgroup.events` (cgroup-v2.rst).
fn is_whole(dir: BorrowedFd<'_>) -> bool {
    is_cgroup2(dir) && statat(dir, "cgroup.events", AtFlags::empty()).err() == Some(rustix::io::Errno::NOENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_told_from_other_directories() {
        let Ok(root) = root(Path::new("/proc")) else { return };
        if root.part.is_none() {
            assert!(is_whole(root.dir.as_fd()));
        }
        let other = directory(Path::new("/")).unwrap();
        assert!(!is_cgroup2(other.as_fd()) && !is_whole(other.as_fd()));
    }

    #[test]
    fn only_hooks_of_cgroups_are_limited_by_a_namespace() {
        let hook =
            |variant| HookCoverage { hook: "sock_create", without: "", variant, refused: Vec::new(), mend: None };
        let limited = |variant, part| {
            let mut coverage = Coverage { hooks: vec![hook(variant)], ..Coverage::default() };
            limit(&mut coverage, part);
            coverage.cgroup_namespace
        };
        assert_eq!(limited(Some("cgroup"), Some(7)), Some(7));
        assert_eq!(limited(Some("cgroup"), None), None);
        assert_eq!(limited(Some("tp_btf"), Some(7)), None);
        assert_eq!(limited(None, Some(7)), None);
    }
}
