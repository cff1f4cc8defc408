//! Whether /proc hides processes from this one: `hidepid` of proc(5).

use crate::sys;
use procfs::process::{MountInfo, MountInfos, Process};
use rustix::process::{getegid, getgroups};
use std::io;
use std::path::Path;

/// Whether there may be processes that `/proc` at `root` does not show this one, as if there were none. What it shows and refuses is not meant.
pub fn hides_processes(root: &Path) -> bool {
    !sys::may_look_into_all() && (lacks_first(root) || is_mounted_to_hide(root))
}

/// Whether the first process is not there, which every PID namespace has for as long as there is any other in it.
fn lacks_first(root: &Path) -> bool {
    let is_missing =
        |name: &str| root.join(name).symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    is_missing("1") && !is_missing("self")
}

/// Whether `/proc` is mounted so that this process is not shown those of others.
fn is_mounted_to_hide(root: &Path) -> bool {
    let mounts = Process::new_with_root(root.join("self")).and_then(|own| own.mountinfo());
    let mut mounts = mounts.into_iter().flat_map(MountInfos::into_iter);
    // The last one lies on top of the others.
    let mounted = mounts.rfind(|mount| mount.fs_type == "proc" && mount.mount_point == root);
    let is_in = |group: u32| {
        getegid().as_raw() == group || getgroups().is_ok_and(|groups| groups.iter().any(|own| own.as_raw() == group))
    };
    mounted.is_some_and(|mount| hides(&mount, is_in))
}

/// What the options of a mount hide from a member of these groups (`has_pid_permissions`, `proc_show_options`).
fn hides(mount: &MountInfo, is_in: impl Fn(u32) -> bool) -> bool {
    let option = |name: &str| mount.super_options.get(name)?.as_deref();
    match option("hidepid") {
        Some("ptraceable" | "4") => true,
        Some("invisible" | "2") => !is_in(option("gid").and_then(|gid| gid.parse().ok()).unwrap_or(0)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(options: &str, groups: &[u32]) -> bool {
        let line = format!("23 28 0:21 / /proc rw,nosuid shared:12 - proc proc {options}");
        hides(&MountInfo::from_line(&line).unwrap(), |group| groups.contains(&group))
    }

    #[test]
    fn options_that_hide() {
        for options in ["rw,hidepid=invisible", "rw,hidepid=2", "rw,gid=27,hidepid=invisible", "rw,hidepid=ptraceable"]
        {
            assert!(hidden(options, &[1000]), "{options}");
        }
        for options in ["rw", "rw,hidepid=noaccess", "rw,hidepid=1", "rw,hidepid=off", "rw,gid=27"] {
            assert!(!hidden(options, &[1000]), "{options}");
        }
        // A group that is let see them, which is root's where none is named. The last way knows none.
        assert!(!hidden("rw,gid=27,hidepid=invisible", &[27]) && hidden("rw,gid=27,hidepid=invisible", &[0]));
        assert!(!hidden("rw,hidepid=2", &[0]) && hidden("rw,hidepid=4", &[0]));
    }

    #[test]
    fn a_tree_without_a_first_process_hides_some() {
        let root = std::env::temp_dir().join(format!("netstat-user-hidden-{}", std::process::id()));
        assert!(!lacks_first(&root), "nothing is mounted");
        std::fs::create_dir_all(root.join("self")).unwrap();
        let without = lacks_first(&root);
        std::fs::create_dir(root.join("1")).unwrap();
        let with = lacks_first(&root);
        std::fs::remove_dir_all(&root).unwrap();
        assert!(without && !with);
    }
}
