//! Sockets that another program at a control group refuses: they never come to be.

use super::{ROLE, traced};
use crate::actor::{self, Actor};
use crate::check;
use crate::event::{Event, Kind};
use crate::made::Made;
use crate::places::cgroups;
use crate::runner::{Done, Test};
use netstat_tests::netns::NetNs;
use nix::libc;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

pub const TESTS: &[Test] =
    &[("corners::refused_creation", || refused(false)), ("corners::refused_creation_from_before", || refused(true))];

/// bpf(2): the commands, the type of program and where it is attached, from `include/uapi/linux/bpf.h`.
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_PROG_TYPE_CGROUP_SOCK: u32 = 9;
const BPF_CGROUP_INET_SOCK_CREATE: u32 = 2;

/// What `union bpf_attr` begins with when a program is loaded.
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    instructions: u32,
    code: u64,
    licence: u64,
    log: [u32; 4],
    version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
}

/// The same for a link.
#[repr(C)]
struct Link {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
}

fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads so many bytes of the attributes, which live for the time of the call, as does what they point to.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *attributes, size_of::<T>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both commands return a descriptor of their own.
    Ok(unsafe { OwnedFd::from_raw_fd(result as RawFd) })
}

/// A control group below the root, in which nobody may make a socket.
struct Refusing {
    path: PathBuf,
    _link: OwnedFd,
}

impl Refusing {
    fn new(root: &str) -> io::Result<Self> {
        let path = PathBuf::from(root).join(format!("netstat-refusing-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        // `r0 = 0; exit`: not allowed.
        let code: [u64; 2] = [0xb7, 0x95];
        let load = Load {
            kind: BPF_PROG_TYPE_CGROUP_SOCK,
            instructions: code.len() as u32,
            code: code.as_ptr() as u64,
            licence: c"GPL".as_ptr() as u64,
            attach_type: BPF_CGROUP_INET_SOCK_CREATE,
            ..Load::default()
        };
        let linked = bpf(BPF_PROG_LOAD, &load).and_then(|program| {
            let group = File::open(&path)?;
            let (program, target) = (program.as_raw_fd() as u32, group.as_raw_fd() as u32);
            bpf(BPF_LINK_CREATE, &Link { program, target, attach_type: BPF_CGROUP_INET_SOCK_CREATE, flags: 0 })
        });
        match linked {
            Ok(link) => Ok(Self { path, _link: link }),
            Err(error) => {
                fs::remove_dir(&path)?;
                Err(error)
            }
        }
    }
}

impl Drop for Refusing {
    fn drop(&mut self) {
        // Processes that were in it may not all be reaped.
        let _ = fs::remove_dir(&self.path);
    }
}

/// What is refused has no beginning, or an end as well.
fn refused(before: bool) -> Done {
    let Some(root) = cgroups() else { return Done::Skipped("no cgroup2 hierarchy is mounted".into()) };
    let early = if before { Refusing::new(&root).map(Some) } else { Ok(None) };
    let namespace = NetNs::new().unwrap();
    let mut tracer = traced(&namespace, &[]);
    let refusing = match early.and_then(|early| early.map_or_else(|| Refusing::new(&root), Ok)) {
        Ok(refusing) => refusing,
        Err(error) => return Done::Skipped(format!("no program can be put at a control group: {error}")),
    };
    let (pid, errors, last) = namespace.enter(|| {
        let mut maker = Actor::start(actor::named("the-refused", ROLE, &["try"]));
        fs::write(refusing.path.join("cgroup.procs"), maker.pid().to_string()).unwrap();
        maker.nudge();
        let errors: Vec<Option<i32>> = maker.hear();
        let pid = maker.pid();
        maker.end();
        // The stream is there up to this one.
        (pid, errors, Made::of(actor::bound(socket2::Domain::IPV4, "127.0.0.1:0".parse().unwrap())))
    });
    assert!(errors.iter().all(|error| *error == Some(libc::EPERM)), "not refused: {errors:?}");
    drop(refusing);
    tracer.wait_closed([&last]);
    let outcome = tracer.finish();
    check::stream(&outcome);
    let theirs: Vec<&Event> = outcome.events.iter().filter(|event| event.pid == Some(pid)).collect();
    let closed = |cookie| theirs.iter().any(|event| event.cookie == cookie && matches!(event.kind, Kind::Close(_)));
    let open: Vec<_> = theirs.iter().filter(|event| event.kind == Kind::Open && !closed(event.cookie)).collect();
    assert!(open.is_empty(), "{} of {} have a beginning and no end: {open:#?}", open.len(), errors.len());
    Done::Passed
}
