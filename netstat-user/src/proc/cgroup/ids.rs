//! Paths of cgroups by their ids.

use super::recorded::RecordedPaths;
use super::walk::WalkedPaths;
use crate::sys::{self, Scarce};
use procfs::process::Process;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Paths of the unified hierarchy by the ids of cgroups, which are the inode numbers of their directories. What was recorded for a user is kept, also
/// when the cgroup is removed, until that user has no room for it.
#[derive(Debug)]
pub struct Ids {
    root: PathBuf,
    /// Looked for when it is first needed; `None` inside where there is no hierarchy to be seen.
    mount: OnceCell<Option<Mount>>,
    recorded: RecordedPaths,
    /// Where cgroups cannot be opened by their ids: what the last walk over the hierarchy found.
    walked: Option<WalkedPaths>,
    /// When the hierarchy may be walked again.
    not_before: Option<Instant>,
    /// Why a cgroup was not found, where something ran out.
    failed: Option<io::Error>,
}

#[derive(Debug)]
struct Mount {
    point: PathBuf,
    dir: OwnedFd,
}

/// What a look for a cgroup finds.
enum CgroupLook {
    Found(Box<[u8]>),
    /// It has no path that can be seen, and never will.
    Gone,
    /// It may be found later.
    Missing,
}

impl Ids {
    /// Most bytes of all that is kept.
    const ROOM: usize = 16 << 20;
    /// Most cgroups that a walk takes in.
    const WALKED: usize = 1 << 16;
    /// How much longer than a walk over the hierarchy is waited before the next one.
    const PAUSE: u32 = 20;

    /// The hierarchy as the process sees it whose /proc is mounted at `root`.
    pub fn new(root: &Path) -> Self {
        let recorded = RecordedPaths::new(Self::ROOM);
        let (walked, not_before, failed) = Default::default();
        Self { root: root.into(), mount: OnceCell::new(), recorded, walked, not_before, failed }
    }

    /// What ran out since this was last asked, so that a cgroup was not found which may be there.
    pub const fn take_failure(&mut self) -> Option<io::Error> {
        self.failed.take()
    }

    fn mount(&self) -> Option<&Mount> {
        let look = || {
            mount_points(&self.root).find_map(|point| {
                let dir = open(&point, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
                Some(Mount { point, dir })
            })
        };
        self.mount.get_or_init(look).as_ref()
    }

    /// Looks up a cgroup, unless that was done before, and keeps its path in the share of this user.
    pub fn record(&mut self, id: u64, user: u32) {
        if self.recorded.get(id).is_some() {
            return;
        }
        match self.look_up(id) {
            CgroupLook::Found(path) => self.recorded.keep(id, user, Some(path)),
            CgroupLook::Gone => self.recorded.keep(id, user, None),
            CgroupLook::Missing => {}
        }
    }

    /// The path of a cgroup that was recorded, or is there now; `None` where it is not known: it was removed before it was looked up, or is outside of
    /// what can be seen. What is looked up for this is not kept.
    pub fn path(&mut self, id: u64) -> Option<Cow<'_, [u8]>> {
        if self.recorded.get(id).is_none() {
            return match self.look_up(id) {
                CgroupLook::Found(path) => Some(Cow::Owned(path.into_vec())),
                CgroupLook::Gone | CgroupLook::Missing => None,
            };
        }
        self.recorded.get(id).flatten().map(Cow::Borrowed)
    }

    fn look_up(&mut self, id: u64) -> CgroupLook {
        if self.walked.is_some() {
            return self.look_up_walking(id);
        }
        let Some(mount) = self.mount() else { return CgroupLook::Missing };
        match sys::open_cgroup(&mount.dir, id) {
            Ok(dir) => match fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd())) {
                Ok(path) => below(&mount.point, &path).map_or(CgroupLook::Gone, |path| CgroupLook::Found(path.into())),
                Err(error) if Scarce::of(&error).is_some() => self.ran_out(error),
                Err(_) => CgroupLook::Gone,
            },
            // Ids are not used again: it is gone for good.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::STALE) => CgroupLook::Gone,
            // It is tried again with the next one.
            Err(error) if Scarce::of(&error).is_some() => self.ran_out(error),
            Err(_) => self.look_up_walking(id),
        }
    }

    fn ran_out(&mut self, error: io::Error) -> CgroupLook {
        self.failed.get_or_insert(error);
        CgroupLook::Missing
    }

    fn look_up_walking(&mut self, id: u64) -> CgroupLook {
        let known = |walked: &WalkedPaths| walked.path(id).map(Vec::into_boxed_slice);
        if let Some(path) = self.walked.as_ref().and_then(known) {
            return CgroupLook::Found(path);
        }
        let begun = Instant::now();
        if self.not_before.is_some_and(|at| begun < at) {
            return CgroupLook::Missing;
        }
        let Some(mount) = self.mount() else { return CgroupLook::Missing };
        let walked = WalkedPaths::of(&mount.point, Self::WALKED);
        let path = known(&walked);
        self.walked = Some(walked);
        self.not_before = Some(Instant::now() + begun.elapsed() * Self::PAUSE);
        path.map_or(CgroupLook::Missing, CgroupLook::Found)
    }
}

/// Where the whole unified hierarchy is mounted.
pub(super) fn mount_points(root: &Path) -> impl Iterator<Item = PathBuf> {
    let mounts = Process::new_with_root(root.join("self")).and_then(|own| own.mountinfo());
    let mounts = mounts.into_iter().flat_map(procfs::process::MountInfos::into_iter);
    mounts.filter(|mount| mount.fs_type == "cgroup2" && mount.root == "/").map(|mount| mount.mount_point)
}

/// The path of a cgroup whose directory is at `path`.
fn below<'a>(mount: &Path, path: &'a Path) -> Option<&'a [u8]> {
    let rest = path.as_os_str().as_bytes().strip_prefix(mount.as_os_str().as_bytes())?;
    match rest {
        b"" => Some(b"/"),
        rest => rest.starts_with(b"/").then_some(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_below_a_mount() {
        let path = |mount, path| {
            below(Path::new(mount), Path::new(path)).map(|path| String::from_utf8_lossy(path).into_owned())
        };
        assert_eq!(path("/sys/fs/cgroup", "/sys/fs/cgroup/a.slice/b.scope").as_deref(), Some("/a.slice/b.scope"));
        assert_eq!(path("/sys/fs/cgroup", "/sys/fs/cgroup").as_deref(), Some("/"));
        assert_eq!(path("/sys/fs/cgroup", "/sys/fs/cgroups/a"), None);
        assert_eq!(path("/sys/fs/cgroup", "/../a"), None);
    }

    #[test]
    fn a_cgroup_is_found_by_its_id_and_kept_when_it_is_removed() {
        use std::os::unix::fs::MetadataExt;
        let new = || Ids::new(Path::new("/proc"));
        let (mut ids, mut asked) = (new(), new());
        let Some(mount) = ids.mount() else {
            println!("skipped: no hierarchy of cgroups is mounted");
            return;
        };
        let name = format!("netstat-user-ids-{}", std::process::id());
        let (outer, inner) = (mount.point.join(&name), mount.point.join(&name).join("inner.scope"));
        // Without privilege there is nothing to make.
        if let Err(error) = fs::create_dir_all(&inner) {
            println!("skipped: no cgroup can be made: {error}");
            return;
        }
        let id = fs::metadata(&inner).unwrap().ino();
        ids.record(id, 7);
        let mut walking = Ids { walked: Some(WalkedPaths::default()), ..new() };
        walking.record(id, 7);
        let found = [&mut ids, &mut asked, &mut walking].map(|ids| ids.path(id).map(Cow::into_owned));
        // A later walk finds it no more.
        walking.walked = Some(WalkedPaths::default());
        fs::remove_dir(&inner).unwrap();
        fs::remove_dir(&outer).unwrap();
        let path = Some(format!("/{name}/inner.scope").into_bytes());
        assert_eq!(found, [(); 3].map(|()| path.clone()));
        // What was only asked for is not kept, and takes nobody's room.
        let kept = [&mut ids, &mut walking, &mut asked, &mut new()].map(|ids| ids.path(id).map(Cow::into_owned));
        assert_eq!(kept, [path.clone(), path, None, None]);
    }
}
