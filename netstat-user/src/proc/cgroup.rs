//! Readers of /proc/PID/cgroup, and of the paths of cgroups by their ids.

use super::whole;
use crate::sys::{self, Scarce};
use procfs::process::Process;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use std::cell::OnceCell;
use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The cgroups of a process, one per hierarchy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memberships {
    /// Path in the unified hierarchy; `None` on a host that has only those of version 1.
    pub unified: Option<Vec<u8>>,
    /// Path in the hierarchy of version 1 that systemd or another manager tracks processes with: `name=systemd`.
    pub named: Option<Vec<u8>>,
    /// Paths in the hierarchies of the controllers of version 1: that of memory first, then of pids, of cpu, and the others.
    pub controllers: Vec<Vec<u8>>,
}

impl Memberships {
    /// The path that is shown: in the unified hierarchy, or else in the first that there is.
    pub fn shown(&self) -> Option<&[u8]> {
        self.unified.iter().chain(&self.named).chain(&self.controllers).next().map(Vec::as_slice)
    }

    /// All paths. On a host with both versions those of version 1 come first: systemd and the runtimes of such a host use these, and
    /// the unified hierarchy may have no more than the runtime's own service.
    pub fn paths(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.named.iter().chain(&self.unified).chain(&self.controllers).map(Vec::as_slice)
    }
}

/// The cgroups of a process.
///
/// # Errors
/// The process has gone, or the kernel has no cgroups.
pub fn of(root: &Path, pid: u32) -> io::Result<Memberships> {
    Ok(parse(&whole(&root.join(pid.to_string()).join("cgroup"))?))
}

/// The cgroups of the process that asks.
///
/// # Errors
/// The kernel has no cgroups.
pub fn own(root: &Path) -> io::Result<Memberships> {
    Ok(parse(&whole(&root.join("self/cgroup"))?))
}

/// The lines of /proc/PID/cgroup: `HIERARCHY:CONTROLLERS:PATH`, cgroups(7). A path may have any bytes but a newline.
pub fn parse(text: &[u8]) -> Memberships {
    let (mut memberships, mut others) = (Memberships::default(), Vec::new());
    for line in text.split(|&byte| byte == b'\n') {
        let mut fields = line.splitn(3, |&byte| byte == b':');
        let (Some(hierarchy), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        // After the path of a cgroup that has been removed `proc_cgroup_show` puts ` (deleted)`. It stays: a name may end so, and whoever gives one
        // to a cgroup of theirs is not to be in the unit of the rest. Processes in a removed cgroup have ended, and hold nothing.
        let path = path.to_vec();
        match (hierarchy, controllers) {
            (b"0", b"") => memberships.unified = Some(path),
            (_, b"name=systemd") => memberships.named = Some(path),
            _ => others.push((rank(controllers), path)),
        }
    }
    others.sort_by_key(|&(rank, _)| rank);
    memberships.controllers = others.into_iter().map(|(_, path)| path).collect();
    memberships
}

/// Where in the order a hierarchy stands: runtimes make cgroups for each container in these without fail.
fn rank(controllers: &[u8]) -> usize {
    let first: [&[u8]; 3] = [b"memory", b"pids", b"cpu"];
    let of = |controller: &[u8]| first.iter().position(|other| *other == controller).unwrap_or(first.len());
    controllers.split(|&byte| byte == b',').map(of).min().unwrap_or(first.len())
}

/// Paths of the unified hierarchy by the ids of cgroups, which are the inode numbers of their directories. What was found is kept, also when
/// the cgroup is removed.
#[derive(Debug)]
pub struct Ids {
    root: PathBuf,
    /// Looked for when it is first needed; `None` inside where there is no hierarchy to be seen.
    mount: OnceCell<Option<Mount>>,
    known: HashMap<u64, Option<Vec<u8>>>,
    /// Whether cgroups cannot be opened by their ids: the hierarchy is walked then.
    walks: bool,
    /// When the hierarchy may be walked again.
    not_before: Option<Instant>,
}

#[derive(Debug)]
struct Mount {
    point: PathBuf,
    dir: OwnedFd,
}

impl Ids {
    /// Most ids kept. Above it all are dropped, and those of cgroups that are still there are found again.
    const KEPT: usize = 1 << 16;
    /// How much longer than a walk over the hierarchy is waited before the next one.
    const PAUSE: u32 = 20;

    /// The hierarchy as the process sees it whose /proc is mounted at `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.into(), mount: OnceCell::new(), known: HashMap::new(), walks: false, not_before: None }
    }

    fn mount(&self) -> Option<&Mount> {
        let look = || {
            let mounts = Process::new_with_root(self.root.join("self")).and_then(|own| own.mountinfo());
            let mounts = mounts.into_iter().flat_map(procfs::process::MountInfos::into_iter);
            let mut whole = mounts.filter(|mount| mount.fs_type == "cgroup2" && mount.root == "/");
            whole.find_map(|mount| {
                let dir = open(&mount.mount_point, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
                Some(Mount { point: mount.mount_point, dir })
            })
        };
        self.mount.get_or_init(look).as_ref()
    }

    /// The path of a cgroup, `None` where it is not known: it was removed before it was looked up, or is outside of what can be seen.
    pub fn path(&mut self, id: u64) -> Option<&[u8]> {
        if !self.known.contains_key(&id) {
            self.look_up(id);
        }
        self.known.get(&id)?.as_deref()
    }

    fn look_up(&mut self, id: u64) {
        if self.walks {
            return self.walk(Self::KEPT);
        }
        if self.known.len() >= Self::KEPT {
            self.known.clear();
        }
        let Some(mount) = self.mount() else { return };
        match sys::open_cgroup(&mount.dir, id) {
            Ok(dir) => {
                let path = fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd())).ok();
                let path = path.and_then(|path| Some(below(&mount.point, &path)?.to_vec()));
                self.known.insert(id, path);
            }
            // Ids are not used again: it is gone for good.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::STALE) => drop(self.known.insert(id, None)),
            // It is tried again with the next one.
            Err(error) if Scarce::of(&error).is_some() => {}
            Err(_) => {
                self.walks = true;
                self.walk(Self::KEPT);
            }
        }
    }

    /// Takes in the cgroups there are, until so many are known: those at the top first.
    fn walk(&mut self, most: usize) {
        let begun = Instant::now();
        if self.not_before.is_some_and(|at| begun < at) {
            return;
        }
        let Some(mount) = self.mount() else { return };
        let mut found = HashMap::new();
        let mut left = VecDeque::from([mount.point.clone()]);
        while let Some(dir) = left.pop_front() {
            for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                if found.len() >= most {
                    left.clear();
                    break;
                }
                let path = entry.path();
                found.extend(below(&mount.point, &path).map(|name| (entry.ino(), Some(name.to_vec()))));
                left.push_back(path);
            }
        }
        // What was known before, and has been removed, is kept while there is room.
        let room = most.saturating_sub(found.len());
        let before = std::mem::replace(&mut self.known, found);
        for (id, path) in before.into_iter().take(room) {
            self.known.entry(id).or_insert(path);
        }
        self.not_before = Some(Instant::now() + begun.elapsed() * Self::PAUSE);
    }
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

    fn shown(text: &str) -> (Option<String>, Vec<String>) {
        let memberships = parse(text.as_bytes());
        let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        (memberships.shown().map(text), memberships.paths().map(text).collect())
    }

    #[test]
    fn version_two_alone() {
        assert_eq!(
            shown("0::/system.slice/ssh.service\n"),
            (Some("/system.slice/ssh.service".into()), vec!["/system.slice/ssh.service".into()])
        );
        assert_eq!(shown("0::/a:b (deleted)\n").0.as_deref(), Some("/a:b (deleted)"));
    }

    #[test]
    fn version_one_alone() {
        let text = "12:name=systemd:/docker/x\n11:hugetlb:/h\n10:cpuacct,cpu:/c\n5:pids:/p\n4:memory:/m\n3:rdma:/\n";
        let (path, paths) = shown(text);
        assert_eq!(path.as_deref(), Some("/docker/x"));
        assert_eq!(paths, ["/docker/x", "/m", "/p", "/c", "/h", "/"]);
        assert_eq!(shown("4:memory:/m\n2:cpu:/c\n").0.as_deref(), Some("/m"));
    }

    #[test]
    fn both_versions() {
        let (path, paths) = shown("2:memory:/m\n1:name=systemd:/docker/x\n0::/system.slice/docker.service\n");
        assert_eq!(path.as_deref(), Some("/system.slice/docker.service"));
        assert_eq!(paths, ["/docker/x", "/system.slice/docker.service", "/m"]);
    }

    #[test]
    fn what_is_no_line_is_left_out() {
        assert_eq!(shown("\n::\nx\n1:2\n"), (Some(String::new()), vec![String::new()]));
        assert_eq!(shown(""), (None, vec![]));
    }

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
        let mut ids = Ids::new(Path::new("/proc"));
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
        let by_id = ids.path(id).map(<[u8]>::to_vec);
        let mut walking = Ids::new(Path::new("/proc"));
        walking.walk(Ids::KEPT);
        let by_walk = walking.known.get(&id).cloned().flatten();
        fs::remove_dir(&inner).unwrap();
        fs::remove_dir(&outer).unwrap();
        let path = format!("/{name}/inner.scope").into_bytes();
        assert_eq!(by_id.as_deref(), Some(path.as_slice()));
        assert_eq!(by_walk, by_id);
        // No more than may be known, however many there are, and what was known before counts.
        let mut full = Ids::new(Path::new("/proc"));
        full.known.extend((0..10).map(|id| (u64::MAX - id, None)));
        full.walk(1);
        assert_eq!(full.known.len(), 1);
        assert_eq!(ids.path(id), Some(path.as_slice()), "kept");
        assert_eq!(Ids::new(Path::new("/proc")).path(id), None, "gone");
    }

    #[test]
    fn a_name_that_ends_like_a_removed_cgroups_is_that_name() {
        let ids = Ids::new(Path::new("/proc"));
        let Some(mount) = ids.mount() else {
            println!("skipped: no hierarchy of cgroups is mounted");
            return;
        };
        let name = format!("netstat-user-forged-{}.service (deleted)", std::process::id());
        let forged = mount.point.join(&name);
        // Without privilege there is nothing to make.
        if let Err(error) = fs::create_dir(&forged) {
            println!("skipped: no cgroup can be made: {error}");
            return;
        }
        let mut inside = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let moved = fs::write(forged.join("cgroup.procs"), inside.id().to_string());
        let found = of(Path::new("/proc"), inside.id()).unwrap().unified;
        inside.kill().unwrap();
        inside.wait().unwrap();
        fs::remove_dir(&forged).unwrap();
        moved.unwrap();
        assert!(found.unwrap().ends_with(name.as_bytes()));
    }

    #[test]
    fn our_own() {
        assert!(of(Path::new("/proc"), std::process::id()).unwrap().shown().is_some_and(|path| path.starts_with(b"/")));
        assert!(of(Path::new("/nonexistent"), 1).is_err());
    }
}
