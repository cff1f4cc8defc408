//! Other processes: this binary again, under another name, another user, in other surroundings.
//!
//! An actor speaks JSON lines on its standard output: the [`Made`] of each socket it makes. It goes on when it reads a line.

use crate::truth::cgroup::{self, Cgroup};
use crate::truth::made::{self, Made};
use crate::truth::scale::{self, patience};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use serde::Serialize;
use serde::de::DeserializeOwned;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

/// The first argument that makes this binary an actor.
pub const FLAG: &str = "--actor";

/// A folder of this run's own, readable by every user.
pub fn scratch() -> &'static Path {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("netstat-live-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    })
}

/// Forgets the folder; what is in it is links and copies.
pub fn sweep() {
    // A leftover folder in /tmp is no failure of the suite.
    let _ = fs::remove_dir_all(scratch());
}

/// A copy of this binary that every user may run.
fn everybodys_copy() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let path = scratch().join("live");
        fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
        path
    })
}

/// A copy of a program that every user may run.
pub fn everybodys(program: &Path) -> PathBuf {
    // Nobody runs what another test still writes.
    static COPIES: Mutex<()> = Mutex::new(());
    let _one = COPIES.lock().unwrap_or_else(PoisonError::into_inner);
    let copy = scratch().join("everybodys").join(program.file_name().unwrap());
    if !copy.exists() {
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(program, &copy).unwrap();
    }
    copy
}

/// This binary as an actor of this name: the kernel calls a process by the last part of the path it was started by.
pub fn named(name: &str, role: &str, arguments: &[&str]) -> Command {
    let link = scratch().join(name);
    if !link.exists() {
        // Another thread may have been faster.
        if let Err(error) = symlink(everybodys_copy(), &link) {
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        }
    }
    let mut command = Command::new(link);
    command.arg(FLAG).arg(role).args(arguments);
    command
}

/// A command line that first does `steps` to its own surroundings and then becomes the program that is to be appended.
/// The steps: `hide=DIR` (an empty filesystem over it), `unmount=DIR`, `tracefs`, `notracefs`, `memlock=BYTES`, `netns=FILE`, `uncap=NUMBER` (a capability),
/// `types=FILE` (in place of the kernel's BTF), `cgroup=NAME`, `cgroupns` (a cgroup namespace, whose root is all that is mounted), `pidns` (a PID namespace with its /proc; the last step).
pub fn prepared(steps: &[&str]) -> Command {
    let mut command = named("live-prepare", "prepare", &[]);
    command.args(steps).arg("--");
    command
}

/// A running actor.
pub struct Actor {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Actor {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        Self { input: child.stdin.take(), output: BufReader::new(child.stdout.take().unwrap()), child }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next thing it says.
    pub fn hear<T: DeserializeOwned>(&mut self) -> T {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("an actor said {line:?}: {error}"))
    }

    /// Lets it go on.
    pub fn nudge(&mut self) {
        self.write_line("");
    }

    /// Writes a line to its standard input.
    pub fn write_line(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Kills it, whatever it holds.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets it end, and waits for that.
    pub fn end(mut self) {
        drop(self.input.take());
        let end = crate::command::wait(&mut self.child, patience()).unwrap();
        assert_eq!(end, crate::command::End::Exit(0), "an actor failed");
    }
}

/// Says something to whoever started this process.
pub fn say(what: &impl Serialize) {
    let mut line = serde_json::to_vec(what).unwrap();
    line.push(b'\n');
    // One write: many actors may share the pipe, which keeps short writes whole.
    io::stdout().lock().write_all(&line).unwrap();
    io::stdout().flush().unwrap();
}

/// Waits for a nudge, or the end of the input.
pub fn listen_up() -> bool {
    io::stdin().lock().read_line(&mut String::new()).unwrap() > 0
}

/// Plays a role.
pub fn run(arguments: &[String]) -> ExitCode {
    let argument = |index: usize| arguments.get(index).map(String::as_str).unwrap_or_default();
    match argument(0) {
        "visit" => visit(argument(1).parse().unwrap(), argument(2)),
        "serve" => serve(),
        "hold" => hold(argument(1)),
        "hoard" => hoard(argument(1).parse().unwrap()),
        "accept" => accept(argument(1).parse().unwrap(), argument(2)),
        "inside" => inside(argument(1).parse().unwrap()),
        "thread" => from_a_thread(argument(1).parse().unwrap()),
        "prepare" => {
            let error = prepare(&arguments[1..]);
            eprintln!("live-prepare: {error}");
            return ExitCode::from(70);
        }
        role => panic!("no role {role}"),
    }
    ExitCode::SUCCESS
}

/// Connects, sends, says what it made, and is gone, all sockets still open.
fn visit(to: SocketAddr, payload: &str) {
    let mut stream = made::connect(Domain::for_address(to), to).unwrap();
    stream.write_all(payload.as_bytes()).unwrap();
    say(&Made::of(&stream));
    std::process::exit(0);
}

/// Listens on IPv4 loopback, says the listener; at each nudge accepts one, echoes to its end, closes it, says what it was.
fn serve() {
    let listener = made::listener(made::Family::V4);
    say(&Made::of(&listener));
    while listen_up() {
        let (mut stream, made) = made::accept(&listener);
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        stream.write_all(&heard).unwrap();
        drop(stream);
        say(&made);
    }
}

/// A worker: at each nudge accepts a connection from a listener of its parent without asking who it is from, says it, reads to its end,
/// and closes it.
fn accept(listener: i32, how: &str) {
    let parent = rustix::process::getppid().unwrap();
    let parent = rustix::process::pidfd_open(parent, rustix::process::PidfdFlags::empty()).unwrap();
    let listener = rustix::process::pidfd_getfd(parent, listener, rustix::process::PidfdGetfdFlags::empty()).unwrap();
    while listen_up() {
        let accepted = match how {
            "accept" => rustix::net::accept(&listener),
            _ => rustix::net::accept_with(&listener, rustix::net::SocketFlags::CLOEXEC),
        };
        let mut stream = TcpStream::from(accepted.unwrap());
        say(&Made::accepted_unasked(&stream));
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
}

/// Makes sockets of several kinds, says them, and closes them at a nudge.
fn hold(kind: &str) {
    let sockets: Vec<Socket> = match kind {
        "listener" => vec![made::listener(made::Family::V4).into()],
        "udp" => vec![Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap()],
        "pair" => {
            let listener = made::listener(made::Family::V4);
            let pair = made::Pair::new(made::Family::V4, &listener);
            vec![pair.client.into(), pair.server.into(), listener.into()]
        }
        to => {
            let to: SocketAddr = to.parse().unwrap();
            vec![made::connect(Domain::for_address(to), to).unwrap().into()]
        }
    };
    say(&sockets.iter().map(Made::of).collect::<Vec<_>>());
    listen_up();
}

/// Makes so many sockets, as far as it may, says them, and closes them at a nudge.
fn hoard(sockets: usize) {
    let sockets: Vec<Socket> = (0..sockets.min(scale::open_files() - 100))
        .map(|number| {
            let domain = if number % 2 == 0 { Domain::IPV4 } else { Domain::IPV6 };
            Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).unwrap()
        })
        .collect();
    say(&sockets.iter().map(Made::of).collect::<Vec<_>>());
    listen_up();
}

/// Has a process of this user make a socket in each cgroup whose path is a line of standard input.
fn inside(user: u32) {
    for cgroup in io::stdin().lines() {
        cgroup::socket_inside(&File::open(cgroup.unwrap()).unwrap(), user).unwrap();
    }
}

/// A thread with a name of its own makes the socket: the owner is the process all the same.
fn from_a_thread(to: SocketAddr) {
    let worker = thread::Builder::new().name("worker-thread".into());
    let made = worker.spawn(move || {
        let stream = made::connect(Domain::for_address(to), to).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        (Made::of(&stream), Made::of(&listener))
    });
    let (stream, listener) = made.unwrap().join().unwrap();
    say(&vec![stream, listener]);
}

/// Does the steps, then becomes the program after `--`. Only a failure returns.
fn prepare(arguments: &[String]) -> io::Error {
    let Some(at) = arguments.iter().position(|argument| argument == "--") else {
        return io::Error::other("no program");
    };
    for step in &arguments[..at] {
        let (what, value) = step.split_once('=').unwrap_or((step, ""));
        if let Err(error) = one_step(what, value) {
            return io::Error::other(format!("{step}: {error}"));
        }
    }
    Command::new(&arguments[at + 1]).args(&arguments[at + 2..]).exec()
}

fn one_step(what: &str, value: &str) -> io::Result<()> {
    const NONE: Option<&str> = None;
    let own_mounts = cgroup::private_mounts;
    match what {
        "hide" => {
            own_mounts()?;
            mount(Some("none"), value, Some("tmpfs"), MsFlags::empty(), NONE)?;
        }
        "unmount" => {
            own_mounts()?;
            umount2(value, MntFlags::MNT_DETACH)?;
        }
        "tracefs" => {
            own_mounts()?;
            match mount(Some("tracefs"), "/sys/kernel/tracing", Some("tracefs"), MsFlags::empty(), NONE) {
                // It is there already.
                Ok(()) | Err(Errno::EBUSY) => {}
                Err(error) => return Err(error.into()),
            }
        }
        "notracefs" => {
            own_mounts()?;
            // debugfs may hold it.
            for path in mounted(&["tracefs", "debugfs"])? {
                umount2(path.as_str(), MntFlags::MNT_DETACH)?;
            }
        }
        "memlock" => {
            let bytes = value.parse().map_err(io::Error::other)?;
            setrlimit(Resource::RLIMIT_MEMLOCK, bytes, bytes)?;
        }
        "netns" => setns(File::open(value)?, CloneFlags::CLONE_NEWNET)?,
        "types" => {
            own_mounts()?;
            mount(Some(value), "/sys/kernel/btf/vmlinux", NONE, MsFlags::MS_BIND, NONE)?;
        }
        "cgroup" => Cgroup::enter(value)?,
        "cgroupns" => cgroup_namespace()?,
        "pidns" => pid_namespace()?,
        "uncap" => uncap(value.parse().map_err(io::Error::other)?)?,
        _ => return Err(io::Error::other("no such step")),
    }
    Ok(())
}

/// A cgroup namespace of its own: what was mounted of the hierarchy before shows more than that, and goes.
fn cgroup_namespace() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWCGROUP)?;
    cgroup::private_mounts()?;
    let mounts = mounted(&["cgroup2"])?;
    for path in &mounts {
        umount2(path.as_str(), MntFlags::MNT_DETACH)?;
    }
    cgroup::mount_hierarchy(Path::new(mounts.first().map_or("/mnt", String::as_str)))
}

/// A PID namespace of its own, where this process goes on as the first. Who has started it sees a process that hands signals on, and ends
/// as the other does.
fn pid_namespace() -> io::Result<()> {
    let handed_on = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    let mut waited: SigSet = handed_on.into_iter().collect();
    waited.add(Signal::SIGCHLD);
    waited.thread_block()?;
    unshare(CloneFlags::CLONE_NEWPID)?;
    // SAFETY: this process has but one thread.
    let ForkResult::Parent { child } = (unsafe { fork() })? else {
        waited.thread_unblock()?;
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        cgroup::private_mounts()?;
        const NONE: Option<&str> = None;
        return Ok(mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), NONE)?);
    };
    loop {
        let signal = waited.wait()?;
        if handed_on.contains(&signal) {
            kill(child, signal)?;
            continue;
        }
        match waitpid(child, Some(WaitPidFlag::WNOHANG))? {
            WaitStatus::Exited(_, code) => std::process::exit(code),
            WaitStatus::Signaled(_, signal, _) => std::process::exit(128 + signal as i32),
            _ => {}
        }
    }
}

/// Takes a capability from this process and from what it becomes, root or not.
fn uncap(number: u32) -> io::Result<()> {
    use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};
    Ok(remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number))?)
}

/// Where these filesystems are mounted, the last mounts first.
fn mounted(filesystems: &[&str]) -> io::Result<Vec<String>> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    Ok(fields
        .filter(|fields| fields.get(2).is_some_and(|filesystem| filesystems.contains(filesystem)))
        .filter_map(|fields| fields.get(1).map(|path| path.to_string()))
        .rev()
        .collect())
}

/// A bound UDP address as a socket address.
pub fn bound(domain: Domain, address: SocketAddr) -> Socket {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    socket.bind(&SockAddr::from(address)).unwrap();
    socket
}
