//! Cgroups of a test's own, in the cgroup2 hierarchy, wherever that is mounted, or nowhere.

use crate::netns::in_thread;
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A cgroup right below the root; removed when dropped, if nobody is in it any more.
pub struct Cgroup {
    name: String,
    dir: File,
}

/// Cgroups along a path below the root, each in the one before, as a runtime makes them; those that were not there before are removed
/// when dropped, if nobody is in them any more.
pub struct Nest {
    path: String,
    /// Those that were made, outermost first.
    made: Vec<String>,
}

impl Nest {
    /// Makes what is missing of a path, which begins with a slash.
    ///
    /// # Errors
    /// The hierarchy cannot be mounted or written.
    pub fn new(path: &str) -> io::Result<Self> {
        let mut nest = Self { path: path.to_owned(), made: Vec::new() };
        let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
        for end in ends {
            let part = &path[1..end];
            match try_with_hierarchy(|root| fs::create_dir(root.join(part)))? {
                Ok(()) => nest.made.push(part.to_owned()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(nest)
    }

    /// The step that moves an actor to the innermost.
    pub fn step(&self) -> String {
        format!("cgroup={}", &self.path[1..])
    }

    /// The path of the innermost, as /proc/PID/cgroup has it.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl Drop for Nest {
    fn drop(&mut self) {
        for part in self.made.iter().rev() {
            // The last process may be on its way out.
            for _ in 0..100 {
                match with_hierarchy(|root| fs::remove_dir(root.join(part))) {
                    Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                        std::thread::sleep(std::time::Duration::from_millis(10));
                    }
                    _ => break,
                }
            }
        }
    }
}

/// As [`with_hierarchy`], where there may be none.
fn try_with_hierarchy<T: Send>(f: impl FnOnce(&Path) -> T + Send) -> io::Result<T> {
    in_thread(|| {
        private_mounts()?;
        let point = Path::new("/mnt");
        fs::create_dir_all(point)?;
        mount_hierarchy(point)?;
        Ok(f(point))
    })
}

/// Runs `f` with the root of the hierarchy, as the calling thread's cgroup namespace has it.
fn with_hierarchy<T: Send>(f: impl FnOnce(&Path) -> T + Send) -> T {
    in_thread(|| {
        private_mounts().expect("a mount namespace");
        // Nobody else sees what is mounted here.
        let point = Path::new("/mnt");
        fs::create_dir_all(point).expect("a place to mount at");
        mount_hierarchy(point).expect("the cgroup2 hierarchy");
        f(point)
    })
}

const NONE: Option<&str> = None;

/// A mount namespace of the caller's own, whose mounts nobody else sees.
///
/// # Errors
/// The kernel's.
pub fn private_mounts() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    Ok(mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?)
}

/// Mounts the hierarchy.
///
/// # Errors
/// The kernel's.
pub fn mount_hierarchy(point: &Path) -> io::Result<()> {
    Ok(mount(Some("none"), point, Some("cgroup2"), MsFlags::empty(), NONE)?)
}

/// Has a process of this user make a UDP socket in the cgroup, and end; its number. The process begins in the cgroup: to move there takes a grace
/// period of RCU each time.
///
/// # Errors
/// The kernel's.
pub fn socket_inside(dir: &File, user: u32) -> io::Result<u32> {
    const CLONE_INTO_CGROUP: u64 = 1 << 33;
    // struct clone_args up to `cgroup`, its size since Linux 5.7.
    let mut args = [0u64; 11];
    args[0] = CLONE_INTO_CGROUP;
    args[4] = libc::SIGCHLD as u64;
    args[10] = dir.as_raw_fd() as u64;
    // SAFETY: the arguments outlive the call; without CLONE_VM the child has its own memory, and makes only system calls (fork(2)).
    let pid = unsafe { libc::syscall(libc::SYS_clone3, args.as_ptr(), size_of_val(&args)) };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    if pid == 0 {
        // SAFETY: system calls without pointers; the child ends with them.
        unsafe {
            let failed = libc::syscall(libc::SYS_setresuid, user, user, user) != 0
                || libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0) < 0;
            libc::syscall(libc::SYS_exit_group, libc::c_long::from(failed));
        }
        unreachable!("it has ended");
    }
    let status = waitpid(Pid::from_raw(pid as i32), None)?;
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
    Ok(pid as u32)
}

impl Cgroup {
    /// Makes one.
    pub fn new(what: &str) -> Self {
        let name = format!("netstat-tests-{}-{what}", std::process::id());
        let dir = with_hierarchy(|root| {
            let path = root.join(&name);
            fs::create_dir(&path).and_then(|()| File::open(&path)).unwrap()
        });
        Self { name, dir }
    }

    /// The step that moves an actor here.
    pub fn step(&self) -> String {
        format!("cgroup={}", self.name)
    }

    /// Its id: the inode number of its directory.
    pub fn id(&self) -> u64 {
        self.dir.metadata().expect("a directory").ino()
    }

    /// Moves a process here.
    pub fn take(&self, pid: u32) {
        with_hierarchy(|root| fs::write(root.join(&self.name).join("cgroup.procs"), pid.to_string())).expect("a move");
    }

    /// Moves the calling process to the cgroup of this name; it has a mount namespace of its own then.
    ///
    /// # Errors
    /// The kernel's.
    pub fn enter(name: &str) -> io::Result<()> {
        let pid = std::process::id().to_string();
        with_hierarchy(|root| fs::write(root.join(name).join("cgroup.procs"), pid))
    }

    /// Attaches a program that does nothing to the creation of sockets, alone: the kernel lets no other one in at this cgroup.
    ///
    /// # Errors
    /// The kernel's.
    pub fn occupy(&self, name: &str) -> io::Result<()> {
        const BPF_PROG_LOAD: libc::c_long = 5;
        const BPF_PROG_ATTACH: libc::c_long = 8;
        const BPF_PROG_TYPE_CGROUP_SOCK: u32 = 9;
        const BPF_CGROUP_INET_SOCK_CREATE: u32 = 2;
        #[repr(C)]
        struct Load {
            prog_type: u32,
            insn_cnt: u32,
            insns: *const [u8; 8],
            license: *const libc::c_char,
            log: [u32; 4],
            kern_version: u32,
            prog_flags: u32,
            prog_name: [u8; 16],
            prog_ifindex: u32,
            expected_attach_type: u32,
        }
        // r0 = 1; exit
        let code = [[0xb7, 0, 0, 0, 1, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];
        let mut load = Load {
            prog_type: BPF_PROG_TYPE_CGROUP_SOCK,
            insn_cnt: code.len() as u32,
            insns: code.as_ptr(),
            license: c"GPL".as_ptr(),
            log: [0; 4],
            kern_version: 0,
            prog_flags: 0,
            prog_name: [0; 16],
            prog_ifindex: 0,
            expected_attach_type: BPF_CGROUP_INET_SOCK_CREATE,
        };
        load.prog_name[..name.len()].copy_from_slice(name.as_bytes());
        // SAFETY: the fields of BPF_PROG_LOAD; code and license outlive the call, and there is no log.
        let program = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &load, size_of::<Load>()) };
        if program < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: new, and nobody else's.
        let program = unsafe { OwnedFd::from_raw_fd(program as i32) };
        // The cgroup, the program, what it is attached to, no flags.
        let attach = [self.dir.as_raw_fd() as u32, program.as_raw_fd() as u32, BPF_CGROUP_INET_SOCK_CREATE, 0];
        // SAFETY: the fields of BPF_PROG_ATTACH; no pointers.
        let attached = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &attach, size_of_val(&attach)) };
        if attached < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A test that failed may have left a process in it.
        with_hierarchy(|root| fs::remove_dir(root.join(&self.name))).unwrap_or_default();
    }
}
