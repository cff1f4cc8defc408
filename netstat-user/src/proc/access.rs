//! Which processes a user may look into, without being that user: the rules of `PTRACE_MODE_READ` in ptrace(2), where they are in doubt on the
//! side of less.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What matters of /proc/PID/status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Credentials {
    /// Real, effective and saved user and group ids, where those of each are the same.
    uid: Option<u32>,
    gid: Option<u32>,
    /// Permitted capabilities.
    permitted: u64,
}

impl Credentials {
    fn parse(status: &str) -> Self {
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        // Real, effective, saved, and that of the filesystem.
        let same = |ids: Option<&str>| -> Option<u32> {
            let mut ids = ids?.split_ascii_whitespace().take(3).map(|id| id.parse().ok());
            let first = ids.next()??;
            let count = ids.by_ref().take_while(|id| *id == Some(first)).count();
            (count == 2).then_some(first)
        };
        let permitted = field("CapPrm").and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
        // What cannot be read is not looked into.
        Self { uid: same(field("Uid")), gid: same(field("Gid")), permitted: permitted.unwrap_or(u64::MAX) }
    }

    fn of(root: &Path, pid: u32) -> Self {
        let status = fs::read_to_string(root.join(pid.to_string()).join("status"));
        status.map_or(Self { permitted: u64::MAX, ..Self::default() }, |status| Self::parse(&status))
    }
}

/// The processes under `root` that a user with this group may look into: all ids of the process are theirs, it can be dumped, and it is permitted
/// no capability.
pub fn processes(root: &Path, uid: u32, gid: u32) -> HashSet<u32> {
    let mut found = HashSet::new();
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // The folder is root's where the process cannot be dumped (proc_pid(5)).
        if entry.metadata().is_ok_and(|folder| folder.uid() == uid)
            && Credentials::of(root, pid) == (Credentials { uid: Some(uid), gid: Some(gid), permitted: 0 })
        {
            found.insert(pid);
        }
    }
    found
}

/// Whether there is this process under `root`, and a user, whatever their group, may not look into it: see [`processes`].
pub fn is_guarded(root: &Path, pid: u32, uid: u32) -> bool {
    let Ok(folder) = fs::metadata(root.join(pid.to_string())) else { return false };
    let Credentials { uid: its, gid, permitted } = Credentials::of(root, pid);
    let is_open = folder.uid() == uid && its == Some(uid) && gid.is_some() && permitted == 0;
    // It may have ended meanwhile.
    !is_open && root.join(pid.to_string()).exists()
}

/// Whether a process under `root` is the user's, whatever it may do.
pub fn is_of(root: &Path, pid: u32, uid: u32) -> bool {
    Credentials::of(root, pid).uid == Some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn ids_count_where_they_are_all_the_same() {
        let read = |uid: &str, gid: &str, capabilities: &str| {
            Credentials::parse(&format!("Name:\tx\nUid:\t{uid}\nGid:\t{gid}\nCapPrm:\t{capabilities}\n"))
        };
        let found = |uid, gid, permitted| Credentials { uid, gid, permitted };
        assert_eq!(read("7\t7\t7\t7", "8\t8\t8\t8", "0000000000000000"), found(Some(7), Some(8), 0));
        assert_eq!(read("7\t0\t0\t0", "8\t8\t9\t8", "0000000000002000"), found(None, None, 0x2000));
        assert_eq!(read("7\t7", "x", "x"), found(None, None, u64::MAX));
        assert_eq!(Credentials::parse(""), found(None, None, u64::MAX));
    }

    fn is_of_effective(pid: u32, uid: u32) -> bool {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let uids = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
        uids.split_whitespace().nth(2) == Some(&uid.to_string())
    }

    #[test]
    fn a_user_sees_their_own_processes_and_not_roots() {
        let root = Path::new("/proc");
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let run = |args: &[&str]| Command::new("setpriv").args(args).args(["sleep", "60"]).spawn();
        let Ok(mut theirs) = run(&["--reuid=65533", "--regid=65533", "--clear-groups"]) else { return };
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !processes(root, 65_533, 65_533).contains(&theirs.id()) {
            assert!(std::time::Instant::now() < until, "a process of the user is not found");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(is_of(root, theirs.id(), 65_533) && !is_of(root, theirs.id(), 0));
        assert!(!processes(root, 65_533, 0).contains(&theirs.id()), "of another group");
        assert!(!processes(root, 65_533, 65_533).contains(&std::process::id()));
        assert!(!is_guarded(root, theirs.id(), 65_533) && is_guarded(root, theirs.id(), 65_532));
        // Run by another user, with the file's rights.
        let mut setuid = run(&["--ruid=65532", "--euid=65533", "--regid=65533", "--clear-groups"]).unwrap();
        while !is_of_effective(setuid.id(), 65_533) {
            assert!(std::time::Instant::now() < until, "a setuid process is not found");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!([65_532, 65_533].iter().all(|&uid| is_guarded(root, setuid.id(), uid)));
        setuid.kill().unwrap();
        setuid.wait().unwrap();
        assert!(!is_guarded(root, setuid.id(), 65_533), "one that has ended");
        theirs.kill().unwrap();
        theirs.wait().unwrap();
    }
}
