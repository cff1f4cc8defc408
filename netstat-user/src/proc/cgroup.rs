//! Readers of /proc/PID/cgroup, and of the paths of cgroups by their ids.

mod ids;
mod recorded;
mod walk;

pub use ids::Ids;

use super::whole;
use std::io;
use std::path::Path;

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

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
    fn a_name_that_ends_like_a_removed_cgroups_is_that_name() {
        let Some(point) = ids::mount_points(Path::new("/proc")).next() else {
            println!("skipped: no hierarchy of cgroups is mounted");
            return;
        };
        let name = format!("netstat-user-forged-{}.service (deleted)", std::process::id());
        let forged = point.join(&name);
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
