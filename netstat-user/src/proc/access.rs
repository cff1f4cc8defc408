//! Which processes a user may look into, by the rules of `PTRACE_MODE_READ` in ptrace(2). A process about which the rules cannot be decided from
//! outside is not looked into.

use super::stat::Stat;
use crate::sys::{self, unless_scarce};
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// User and PID namespaces, one in the other, that the kernel allows (`create_user_ns()`, `create_pid_namespace()`).
const LEVELS: usize = 33;

/// What matters of /proc/PID/status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Credentials {
    /// Real, effective and saved user and group ids, where those of each are the same.
    uid: Option<u32>,
    gid: Option<u32>,
    /// Effective user id.
    effective: Option<u32>,
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
        let effective = field("Uid").and_then(|ids| ids.split_ascii_whitespace().nth(1)?.parse().ok());
        let (uid, gid, permitted) = (same(field("Uid")), same(field("Gid")), permitted.unwrap_or(u64::MAX));
        Self { uid, gid, effective, permitted }
    }

    fn of(root: &Path, pid: u32) -> io::Result<Option<Self>> {
        // The name of a process may be any bytes, but no newline: the kernel escapes that.
        let status = unless_scarce(fs::read(root.join(pid.to_string()).join("status")))?;
        Ok(status.map(|status| Self::parse(&String::from_utf8_lossy(&status))))
    }
}

/// The namespaces that say which processes somebody can name, and may look into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vantage {
    user: u64,
    pid: u64,
}

impl Vantage {
    /// Where a process under `root` is.
    ///
    /// # Errors
    /// The process has gone, or may not be looked at.
    pub fn of(root: &Path, pid: u32) -> io::Result<Self> {
        Self::within(&root.join(pid.to_string()))
    }

    /// Where this process is.
    ///
    /// # Errors
    /// No /proc, or one of another PID namespace.
    pub fn own(root: &Path) -> io::Result<Self> {
        Self::within(&root.join("self"))
    }

    fn within(process: &Path) -> io::Result<Self> {
        let inode = |kind: &str| fs::metadata(process.join("ns").join(kind)).map(|namespace| namespace.ino());
        Ok(Self { user: inode("user")?, pid: inode("pid")? })
    }
}

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Viewer {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// The namespaces that the user looks from.
    pub place: Vantage,
    /// Whether these are others than this process's.
    pub is_nested: bool,
}

/// Where a process is, seen from somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Out of reach.
    No,
    /// In the same user namespace.
    Same,
    /// In one that the viewer has every capability over.
    Above,
}

impl Viewer {
    /// Whether the namespaces of a process are the viewer's or below them; a user namespace below them counts where the viewer made it, or one
    /// above it: that is `CAP_SYS_PTRACE` over it (`cap_capable_helper()`).
    fn reach(&self, root: &Path, pid: u32) -> io::Result<Reach> {
        let Some(place) = unless_scarce(Vantage::of(root, pid))? else { return Ok(Reach::No) };
        let open = |kind: &str| File::open(root.join(pid.to_string()).join("ns").join(kind)).map(OwnedFd::from);
        let is_above = |kind: &str, inode: u64, may: &dyn Fn(&OwnedFd) -> bool| {
            let above = || {
                let mut below = open(kind)?;
                for _ in 0..LEVELS {
                    let parent = sys::parent_namespace(&below)?;
                    if rustix::fs::fstat(&parent)?.st_ino == inode {
                        return Ok(may(&below));
                    }
                    below = parent;
                }
                io::Result::Ok(false)
            };
            Ok::<_, io::Error>(unless_scarce(above())?.unwrap_or(false))
        };
        let made = |below: &OwnedFd| sys::namespace_owner(below).is_ok_and(|owner| owner == self.uid);
        if place.pid != self.place.pid && !is_above("pid", self.place.pid, &|_| true)? {
            return Ok(Reach::No);
        }
        if place.user != self.place.user {
            // A nested viewer may be root of its own namespace. Then a process that cannot be dumped looks like one of theirs: deny.
            if self.is_nested {
                return Ok(Reach::No);
            }
            return Ok(if is_above("user", self.place.user, &made)? { Reach::Above } else { Reach::No });
        }
        // The same where the viewer is root of the namespace that both are in.
        let is_seen = !self.is_nested || unless_scarce(root_of(root, pid))?.flatten() != Some(self.uid);
        Ok(if is_seen { Reach::Same } else { Reach::No })
    }

    /// When a process began that the viewer may look into, and what was read of it meanwhile: what it was before it changed its user, or another
    /// process with its number, is not returned. It may be looked into where all its ids are the viewer's, it can be dumped, and is permitted no
    /// capability; whatever it is permitted where it is in a user namespace that the viewer made.
    ///
    /// # Errors
    /// Something ran out.
    pub fn look<T>(&self, root: &Path, pid: u32, read: impl FnOnce() -> T) -> io::Result<Option<(u64, T)>> {
        let is_theirs = || Ok::<_, io::Error>(dumper(root, pid)? == Some(self.uid));
        if !is_theirs()? {
            return Ok(None);
        }
        let Some(begun) = start(root, pid)? else { return Ok(None) };
        let read = read();
        let (uid, gid) = (Some(self.uid), Some(self.gid));
        let mine = Credentials { uid, gid, effective: uid, permitted: 0 };
        let is_like = |its: Credentials| match self.reach(root, pid)? {
            Reach::No => Ok(false),
            Reach::Same => Ok(its == mine),
            Reach::Above => Ok::<_, io::Error>(Credentials { permitted: 0, ..its } == mine),
        };
        let may = Credentials::of(root, pid)?.map_or(Ok(false), is_like)? && is_theirs()?;
        Ok((may && start(root, pid)? == Some(begun)).then_some((begun, read)))
    }
}

/// What is read of a process that runs as this user, whatever it may do, and when it began; `None` where it is another one's, or another process by
/// then.
///
/// # Errors
/// Something ran out.
pub fn run_by<T>(root: &Path, pid: u32, uid: u32, read: impl FnOnce() -> T) -> io::Result<Option<(u64, T)>> {
    let Some(begun) = start(root, pid)? else { return Ok(None) };
    let read = read();
    let effective = Credentials::of(root, pid)?.and_then(|credentials| credentials.effective);
    Ok((effective == Some(uid) && start(root, pid)? == Some(begun)).then_some((begun, read)))
}

/// Which user of this process's user namespace is root in that of a process (user_namespaces(7), "User and group ID mappings").
fn root_of(root: &Path, pid: u32) -> io::Result<Option<u32>> {
    let map = fs::read_to_string(root.join(pid.to_string()).join("uid_map"))?;
    let mut lines = map.lines().map(|line| line.split_ascii_whitespace());
    Ok(lines.find_map(|mut words| if words.next()? == "0" { words.next()?.parse().ok() } else { None }))
}

/// When a process began (proc_pid_stat(5), field 22), in nanoseconds of the kernel's `CLOCK_BOOTTIME`, rounded down to a tick.
///
/// # Errors
/// Something ran out.
pub fn start(root: &Path, pid: u32) -> io::Result<Option<u64>> {
    Ok(Stat::of(root, pid)?.and_then(|stat| stat.start_ns))
}

/// The owner of a process's files in /proc: its effective user if it can be dumped, otherwise root. Its folder itself is the effective user's in either
/// case (`task_dump_owner()` in fs/proc/base.c).
fn dumper(root: &Path, pid: u32) -> io::Result<Option<u32>> {
    Ok(unless_scarce(fs::metadata(root.join(pid.to_string()).join("ns")))?.map(|folder| folder.uid()))
}

/// Whether a user may look into a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Yes, whatever the user's group.
    Open,
    /// No; or something ran out.
    Denied,
    /// There is no such process any more, or one that is only waited for.
    Ended,
}

impl Access {
    /// Of a process under `root`.
    pub fn of(root: &Path, pid: u32, uid: u32) -> Self {
        let is_open = || {
            let (Some(dumper), Some(its)) = (dumper(root, pid)?, Credentials::of(root, pid)?) else { return Ok(false) };
            Ok::<_, io::Error>(dumper == uid && its.uid == Some(uid) && its.gid.is_some() && its.permitted == 0)
        };
        let has_ended = || Ok::<_, io::Error>(Stat::of(root, pid)?.is_none_or(|stat| stat.is_over()));
        match is_open() {
            Ok(true) => Self::Open,
            // It may have ended meanwhile.
            Ok(false) if has_ended().unwrap_or(false) => Self::Ended,
            _ => Self::Denied,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;

    #[test]
    fn ids_count_where_they_are_all_the_same() {
        let read = |uid: &str, gid: &str, capabilities: &str| {
            Credentials::parse(&format!("Name:\tx\nUid:\t{uid}\nGid:\t{gid}\nCapPrm:\t{capabilities}\n"))
        };
        let found = |uid, gid, effective, permitted| Credentials { uid, gid, effective, permitted };
        assert_eq!(read("7\t7\t7\t7", "8\t8\t8\t8", "0000000000000000"), found(Some(7), Some(8), Some(7), 0));
        assert_eq!(read("7\t0\t0\t0", "8\t8\t9\t8", "0000000000002000"), found(None, None, Some(0), 0x2000));
        assert_eq!(read("7\t7", "x", "x"), found(None, None, Some(7), u64::MAX));
        assert_eq!(Credentials::parse(""), found(None, None, None, u64::MAX));
    }

    /// The rules of `ptrace_may_access()` for processes with the same ids: whoever is below may be looked into by who made it, and by nobody else.
    #[test]
    fn other_namespaces_are_reached_from_above_by_who_made_them() {
        let root = Path::new("/proc");
        let run = |script: &str| {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65533", "--regid=65533", "--clear-groups", "sh", "-c", script]);
            let mut child = command.stdout(std::process::Stdio::piped()).spawn().ok()?;
            let mut pid = String::new();
            std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take()?), &mut pid).ok()?;
            Some((child, pid.trim().parse::<u32>().ok()?))
        };
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let inside = "unshare -U setpriv --bounding-set=-all --inh-caps=-all sh -c 'echo $$; exec sleep 60'";
        let Some((mut outside, outside_pid)) = run("echo $$; exec sleep 60") else { return };
        let Some((below, below_pid)) = run(inside) else { return };
        let from = |uid, pid| Viewer { uid, gid: 65_533, place: Vantage::of(root, pid).unwrap(), is_nested: false };
        let look = |viewer: &Viewer, pid| viewer.look(root, pid, || 7).unwrap();
        let reach = |uid, from_pid, pid| from(uid, from_pid).reach(root, pid).unwrap();
        assert_eq!(reach(65_533, outside_pid, below_pid), Reach::Above, "by who made it");
        assert_eq!(reach(65_532, outside_pid, below_pid), Reach::No, "by another user");
        assert_eq!(reach(65_533, below_pid, outside_pid), Reach::No, "from below");
        assert!(look(&from(65_533, outside_pid), outside_pid).is_some_and(|(begun, read)| begun > 0 && read == 7));
        assert_eq!(look(&from(65_533, below_pid), outside_pid), None);
        // With every capability there, and in the place of its root.
        let Some((capable, capable_pid)) = run("unshare -Ur sh -c 'echo $$; exec sleep 60'") else { return };
        assert!(look(&from(65_533, outside_pid), capable_pid).is_some());
        assert_eq!(look(&Viewer { is_nested: true, ..from(65_533, capable_pid) }, capable_pid), None);
        assert!(look(&Viewer { is_nested: true, ..from(65_533, below_pid) }, below_pid).is_some());
        for mut child in [below, capable] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        // What was read of one that was gone a moment later may have been read of another one.
        let ends = || {
            outside.kill().unwrap();
            outside.wait().unwrap();
        };
        assert_eq!(from(65_533, outside_pid).look(root, outside_pid, ends).unwrap(), None);
        assert_eq!(
            look(
                &Viewer { uid: 65_533, gid: 65_533, place: Vantage::own(root).unwrap(), is_nested: false },
                outside_pid
            ),
            None
        );
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
        let place = Vantage::own(root).unwrap();
        let viewer = |gid| Viewer { uid: 65_533, gid, place, is_nested: false };
        let sees = |gid, pid| viewer(gid).look(root, pid, || ()).unwrap().is_some();
        while !sees(65_533, theirs.id()) {
            assert!(std::time::Instant::now() < until, "a process of the user is not found");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let is_run_by = |uid| run_by(root, theirs.id(), uid, || ()).unwrap().is_some();
        assert!(is_run_by(65_533) && !is_run_by(0));
        assert!(!sees(0, theirs.id()), "of another group");
        assert!(!sees(65_533, std::process::id()));
        assert_eq!([65_533, 65_532].map(|uid| Access::of(root, theirs.id(), uid)), [Access::Open, Access::Denied]);
        // Whatever bytes its name has: cut in the middle of a letter, say.
        let folder = std::env::temp_dir().join(format!("netstat-user-access-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let odd = folder.join(std::ffi::OsStr::from_bytes(b"odd-\xc3"));
        fs::copy("/bin/sleep", &odd).unwrap();
        let ids = ["--ruid=65532", "--euid=65533", "--regid=65533", "--clear-groups"];
        let mut odd = Command::new("setpriv").args(ids).arg(odd).arg("60").spawn().unwrap();
        let name = |pid| fs::read(format!("/proc/{pid}/comm")).unwrap();
        while name(odd.id()) != b"odd-\xc3\n" {
            assert!(std::time::Instant::now() < until, "a process of that name is not found");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!([65_532, 65_533].map(|uid| Access::of(root, odd.id(), uid)), [Access::Denied; 2]);
        odd.kill().unwrap();
        odd.wait().unwrap();
        fs::remove_dir_all(&folder).unwrap();
        // Run by another user, with the file's rights.
        let mut setuid = run(&["--ruid=65532", "--euid=65533", "--regid=65533", "--clear-groups"]).unwrap();
        while !is_of_effective(setuid.id(), 65_533) {
            assert!(std::time::Instant::now() < until, "a setuid process is not found");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!([65_532, 65_533].iter().all(|&uid| Access::of(root, setuid.id(), uid) == Access::Denied));
        setuid.kill().unwrap();
        while Access::of(root, setuid.id(), 65_533) != Access::Ended {
            assert!(std::time::Instant::now() < until, "one that is only waited for has not ended");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        setuid.wait().unwrap();
        assert_eq!(Access::of(root, setuid.id(), 65_533), Access::Ended);
        theirs.kill().unwrap();
        theirs.wait().unwrap();
    }
}
