//! What other processes do in these tests.

use super::ROLE;
use crate::actor::{self, Actor, listen_up, say};
use crate::made::{self, Family, Made, Pair, tcp};
use crate::scale;
use nix::fcntl::{FcntlArg, FdFlag};
use nix::unistd::{ForkResult, fork};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags};
use socket2::{Domain, Protocol, Socket, Type};
use std::fs;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::iter;
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Plays a part; `None` if it is none of these.
pub fn run(arguments: &[String]) -> Option<ExitCode> {
    let argument = |index: usize| arguments.get(index).map(String::as_str).unwrap_or_default();
    if argument(0) != ROLE {
        return None;
    }
    match argument(1) {
        "begin" => begin(argument(2).parse().unwrap()),
        "keep" => keep(argument(2).parse().unwrap(), argument(3)),
        "name" => name(argument(2), argument(3), argument(4).parse().unwrap()),
        "named" => named(argument(2)),
        "give" => give(argument(2).parse().unwrap(), argument(3).parse().unwrap()),
        "take" => take(argument(2), argument(3).parse().unwrap(), argument(4).parse().unwrap(), argument(5)),
        "move" => move_pairs(argument(2).parse().unwrap()),
        "leave" => leave(argument(2).parse().unwrap(), argument(3).parse().unwrap()),
        "pairs" => {
            assert!(listen_up());
            move_pairs(argument(2).parse().unwrap());
        }
        "share" => share(argument(2).parse().unwrap()),
        "try" => try_sockets(),
        "mptcp-server" => mptcp_server(),
        "mptcp-client" => mptcp_client(argument(2).parse().unwrap()),
        #[cfg(target_arch = "x86_64")]
        "accept32-probe" => assert!(super::compat::probe()),
        #[cfg(target_arch = "x86_64")]
        "accept32" => accept32(argument(2).parse().unwrap(), argument(3)),
        "traffic" => super::traffic::run(),
        "idle" => while listen_up() {},
        part => panic!("no part {part}"),
    }
    Some(ExitCode::SUCCESS)
}

/// Begins to connect, says so, and waits for its end.
fn begin(to: SocketAddr) {
    let socket = tcp(Domain::for_address(to));
    socket.set_nonblocking(true).unwrap();
    socket.connect(&to.into()).unwrap_err();
    say(&Made { remote: Some(to), ..Made::of(&socket) });
    while listen_up() {}
}

/// A process of this name takes over a socket; the caller may let go of it. What it does to it in the end, see [`let_end`].
pub fn taken_by(name: &str, socket: &impl AsRawFd, how: &str) -> Actor {
    let mut actor = Actor::start(actor::named(name, ROLE, &["keep", &socket.as_raw_fd().to_string(), how]));
    assert!(actor.hear::<bool>());
    actor
}

/// Lets the keeper of a socket end it: `exit`, `killed`, `shutdown` (and close), `thread` (one of its threads closes it).
pub fn let_end(keeper: Actor, how: &str) {
    match how {
        "killed" => keeper.kill(),
        _ => keeper.end(),
    }
}

/// A descriptor of another process.
fn anothers(process: Pid, descriptor: i32) -> OwnedFd {
    let process = rustix::process::pidfd_open(process, PidfdFlags::empty()).unwrap();
    rustix::process::pidfd_getfd(process, descriptor, PidfdGetfdFlags::empty()).unwrap()
}

/// A descriptor of the process that started this one.
fn parents(descriptor: i32) -> OwnedFd {
    anothers(rustix::process::getppid().unwrap(), descriptor)
}

fn keep(descriptor: i32, how: &str) {
    let socket = Socket::from(parents(descriptor));
    say(&true);
    while listen_up() {}
    match how {
        "shutdown" => {
            socket.shutdown(Shutdown::Both).unwrap();
            // Long enough for the peer to answer, and for the connection to be over before the descriptor is.
            thread::sleep(Duration::from_millis(50));
            drop(socket);
        }
        "thread" => thread::Builder::new().name("a-worker".into()).spawn(move || drop(socket)).unwrap().join().unwrap(),
        _ => std::process::exit(0),
    }
}

/// A connection, a UDP socket and a listener.
fn three_sockets(to: SocketAddr) -> [Socket; 3] {
    let connection = made::connect(Domain::for_address(to), to).unwrap();
    [connection.into(), actor::bound(Domain::IPV4, "127.0.0.1:0".parse().unwrap()), made::listener(Family::V4).into()]
}

fn say_all<S: AsFd>(sockets: &[S]) {
    say(&sockets.iter().map(Made::of).collect::<Vec<_>>());
}

/// Makes sockets and says them; changes its name at a nudge and says them again; at another one accepts a connection and says it, and ends.
fn name(how: &str, new: &str, to: SocketAddr) {
    let sockets = three_sockets(to);
    say_all(&sockets);
    assert!(listen_up());
    match how {
        "rename" => fs::write("/proc/self/comm", new).unwrap(),
        "rename-thread" => {
            let rename = || fs::write("/proc/thread-self/comm", "another-thread").unwrap();
            thread::scope(|scope| scope.spawn(rename).join().unwrap());
            return finish_named(sockets);
        }
        _ => {
            let numbers: Vec<String> = sockets
                .iter()
                .map(|socket| {
                    nix::fcntl::fcntl(socket, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
                    socket.as_raw_fd().to_string()
                })
                .collect();
            let mut command = Command::new(std::env::current_exe().unwrap().with_file_name(new));
            command.args([actor::FLAG, ROLE, "named", &numbers.join(",")]);
            let mut become_it = move || panic!("exec: {}", command.exec());
            match how {
                "exec" => become_it(),
                _ => thread::spawn(become_it).join().unwrap(),
            }
        }
    }
    finish_named(sockets);
}

/// After exec: its descriptors.
fn named(descriptors: &str) {
    let parse = |number: &str| number.parse().unwrap();
    // SAFETY: who called exec has left these open, and nothing else here knows of them.
    let own = |number| Socket::from(unsafe { OwnedFd::from_raw_fd(number) });
    let sockets: Vec<Socket> = descriptors.split(',').map(parse).map(own).collect();
    finish_named(sockets.try_into().unwrap());
}

fn finish_named(sockets: [Socket; 3]) {
    say_all(&sockets);
    assert!(listen_up());
    let [_, _, listener] = &sockets;
    listener.set_nonblocking(true).unwrap();
    // Somebody may have come.
    let accepted = listener.accept().map(|(socket, _)| socket);
    say(&accepted.iter().map(Made::accepted).collect::<Vec<_>>());
    listen_up();
    drop((sockets, accepted));
    while listen_up() {}
}

/// Makes a connection and a UDP socket, says them and their descriptors, and passes them on at a nudge.
fn give(to: SocketAddr, over: i32) {
    let over = UnixStream::from(parents(over));
    let [connection, udp, _] = three_sockets(to);
    let sockets = [connection, udp];
    say_all(&sockets);
    say(&sockets.iter().map(AsRawFd::as_raw_fd).collect::<Vec<_>>());
    assert!(listen_up());
    let descriptors = sockets.each_ref().map(AsFd::as_fd);
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    rustix::net::sendmsg(&over, &[IoSlice::new(b"!")], &mut control, SendFlags::empty()).unwrap();
    while listen_up() {}
}

/// Takes the sockets of another process, says them, and has them to its end.
fn take(how: &str, over: i32, process: i32, descriptors: &str) {
    let over = UnixStream::from(parents(over));
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    rustix::net::recvmsg(&over, &mut [IoSliceMut::new(&mut [0])], &mut control, RecvFlags::empty()).unwrap();
    let process = Pid::from_raw(process).unwrap();
    let taken: Vec<OwnedFd> = match how {
        // What the message carries is let go of.
        "pidfd" => descriptors.split(',').map(|number| anothers(process, number.parse().unwrap())).collect(),
        _ => {
            let rights = |message| match message {
                RecvAncillaryMessage::ScmRights(rights) => rights.collect::<Vec<_>>(),
                _ => Vec::new(),
            };
            control.drain().flat_map(rights).collect()
        }
    };
    drop(control);
    say_all(&taken);
    while listen_up() {}
}

/// Listens on a port that others may listen on as well, says so; accepts all that wait at a nudge and says them; closes them at another one.
fn share(address: SocketAddr) {
    let listener = tcp(Domain::for_address(address));
    listener.set_reuse_port(true).unwrap();
    listener.bind(&address.into()).unwrap();
    listener.listen(1024).unwrap();
    say(&Made::of(&listener));
    if !listen_up() {
        return;
    }
    listener.set_nonblocking(true).unwrap();
    let accepted: Vec<Socket> = iter::from_fn(|| listener.accept().ok()).map(|(socket, _)| socket).collect();
    say(&accepted.iter().map(Made::accepted).collect::<Vec<_>>());
    listen_up();
    drop(accepted);
    while listen_up() {}
}

/// Listens by MPTCP, says where; at each nudge accepts a connection, says whose, and reads to its end.
fn mptcp_server() {
    let listener = super::kinds::mptcp().unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(16).unwrap();
    say(&listener.local_addr().unwrap().as_socket());
    while listen_up() {
        let (mut socket, from) = listener.accept().unwrap();
        say(&from.as_socket());
        assert_eq!(socket.read(&mut [0; 16]).unwrap(), 3);
        assert_eq!(socket.read(&mut [0; 16]).unwrap(), 0);
    }
}

/// Connects by MPTCP, says from where, and speaks.
fn mptcp_client(to: SocketAddr) {
    let mut socket = super::kinds::mptcp().unwrap();
    socket.connect(&to.into()).unwrap();
    socket.write_all(b"ask").unwrap();
    say(&socket.local_addr().unwrap().as_socket());
    while listen_up() {}
}

/// Accepts as a 32-bit process does, says it, and reads to its end.
#[cfg(target_arch = "x86_64")]
fn accept32(listener: i32, how: &str) {
    let listener = parents(listener);
    assert!(listen_up());
    let mut stream = TcpStream::from(super::compat::accept(&listener, how));
    say(&Made::accepted_unasked(&stream));
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    // It has the connection for a while longer.
    while listen_up() {}
}

/// Uses a socket so many times for a connection, connects another one, says that, and is gone at a nudge. A child of it has the last socket, says its
/// own PID, and lives to the end of the input.
fn leave(to: SocketAddr, uses: usize) {
    let kept = made::connect(Domain::for_address(to), to).unwrap();
    let used = tcp(Domain::for_address(to));
    for _ in 0..uses {
        used.connect(&to.into()).unwrap();
        used.shutdown(Shutdown::Both).unwrap();
        rustix::net::connect_unspec(&used).unwrap();
    }
    say(&Made::of(&kept));
    assert!(listen_up());
    // SAFETY: this process has but one thread.
    if let ForkResult::Parent { .. } = unsafe { fork() }.unwrap() {
        std::process::exit(0);
    }
    drop(used);
    fs::write("/proc/self/comm", "the-heir").unwrap();
    say(&std::process::id());
    while listen_up() {}
}

/// Tries at a nudge to make sockets of several kinds, and says by what error each was refused. Without one it just ends.
fn try_sockets() {
    if !listen_up() {
        return;
    }
    let kinds = [(Type::DGRAM, Protocol::UDP), (Type::STREAM, Protocol::TCP), (Type::RAW, Protocol::ICMPV4)];
    let mut errors: Vec<Option<i32>> = Vec::new();
    for domain in [Domain::IPV4, Domain::IPV6] {
        for (kind, protocol) in kinds {
            errors.push(Socket::new(domain, kind, Some(protocol)).err().and_then(|error| error.raw_os_error()));
        }
    }
    say(&errors);
    while listen_up() {}
}

/// Makes so many connections to itself, says both ends of each; half closes one after the other from a nudge on, and ends all at another one.
fn move_pairs(pairs: usize) {
    let pairs = pairs.min((scale::open_files() - 100) / 2);
    let listener = made::listener(Family::V4);
    let pairs: Vec<Pair> = (0..pairs).map(|_| Pair::new(Family::V4, &listener)).collect();
    say(&pairs.iter().flat_map(|pair| [&pair.client_made, &pair.server_made]).collect::<Vec<_>>());
    listen_up();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for pair in &pairs {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                pair.client.shutdown(Shutdown::Write).unwrap();
                thread::sleep(Duration::from_micros(400));
            }
        });
        listen_up();
        over.store(true, Ordering::Relaxed);
    });
    drop(pairs);
    while listen_up() {}
}
