//! Tables from the kernel's iterators against tables from /proc: the same rows in the same order, the same holders.
//!
//! Needs root, `ip` and nothing else, so that it also runs in an initramfs under emulation.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expected by failing")]

mod tables;

use libtest_mimic::{Arguments, Failed, Trial};
use netstat_tests::again;
use netstat_tests::netns::NetNs;
use netstat_tests::programs::{net_tools, netstat_user};
use netstat_tests::sandbox::{Invocation, Sandbox};
use netstat_tests::truth::scale::count;
use netstat_tests::zoo::actor::Actor;
use netstat_tests::zoo::peer::Sink;
use netstat_tests::zoo::{Keep, tcp, udp};
use netstat_user::diag::tables::{DumpRequest, dump};
use netstat_user::diag::{self, Channel};
use netstat_user::kernel::Iterators;
use netstat_user::kernel::closing::{ClosingError, ClosingProgram};
use netstat_user::kernel::snapshot::{Transport, sees_all_processes};
use netstat_user::model::{Proto, SocketRow};
use netstat_user::proc::fds;
use netstat_user::sys::Awaited;
use nix::sched::{CloneFlags, unshare};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashSet;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The argument with which this executable says only whether it sees all processes.
const SEES: &str = "--sees-all-processes";

fn main() {
    netstat_tests::zoo::actor::serve_if_asked();
    if std::env::args().nth(1).is_some_and(|first| first == SEES) {
        println!("{}", sees_all_processes(Path::new("/proc")));
        return;
    }
    let mut arguments = Arguments::from_args();
    // They share the processor, of which an emulated machine has but one.
    arguments.test_threads = Some(1);
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("snapshot: skipped: it needs root, to load kernel programs and to make namespaces");
    }
    netstat_tests::truth::scale::open_files();
    let tests: [(&str, fn()); 11] = [
        ("every_tcp_state_and_timer", every_tcp_state_and_timer),
        ("every_kind_of_udp_socket", every_kind_of_udp_socket),
        ("udp_sockets_that_share_a_port", udp_sockets_that_share_a_port),
        ("listeners_that_share_a_port", listeners_that_share_a_port),
        ("more_than_one_read", more_than_one_read),
        ("one_row_per_socket_while_they_come_and_go", one_row_per_socket_while_they_come_and_go),
        ("holders_in_the_order_of_proc", holders_in_the_order_of_proc),
        ("not_from_inside_a_pid_namespace", not_from_inside_a_pid_namespace),
        ("the_same_bytes_as_net_tools", the_same_bytes_as_net_tools),
        ("namespaces_elsewhere", namespaces_elsewhere),
        ("kill_where_sock_diag_knows_no_sockets", kill_where_sock_diag_knows_no_sockets),
    ];
    let trial = |(name, test): (&'static str, fn())| {
        let run = move || {
            again::run(name, test, || None);
            Ok::<(), Failed>(())
        };
        Trial::test(name, run).with_ignored_flag(!root)
    };
    let conclusion = libtest_mimic::run(&arguments, tests.map(trial).into());
    again::print_notes();
    conclusion.exit();
}

/// Reports, and counts, what cannot be looked at here.
fn skipped(what: &str) {
    again::note(format!("snapshot: skipped: {what}"));
}

fn iterators() -> &'static Iterators {
    static LOADED: OnceLock<Iterators> = OnceLock::new();
    LOADED.get_or_init(|| Iterators::load().unwrap_or_else(|error| panic!("{error}")))
}

const fn protos(transport: Transport) -> [Proto; 2] {
    match transport {
        Transport::Tcp => [Proto::Tcp, Proto::Tcp6],
        Transport::Udp => [Proto::Udp, Proto::Udp6],
    }
}

fn walked(transport: Transport) -> [Vec<SocketRow>; 2] {
    let rows = iterators().sockets(transport, |_| true).unwrap();
    [rows.v4, rows.v6]
}

/// The rows of both sources, which must agree.
fn agreed(transport: Transport) -> Vec<SocketRow> {
    let netns = u32::try_from(NetNs::current().unwrap().inode().unwrap()).unwrap();
    tables::agreed(protos(transport), netns, || walked(transport))
}

fn every_tcp_state_and_timer() {
    NetNs::new().unwrap().enter(|| {
        let sink = Sink::new().unwrap();
        let _zoo: Keep = tcp::zoo(&sink).unwrap();
        let rows = agreed(Transport::Tcp);
        tables::assert_every_state_and_timer(&rows);
        let some = |what: &str, is: fn(&SocketRow) -> bool| assert!(rows.iter().any(is), "no row with {what}");
        some("a receive queue", |row| row.state == 1 && row.recv_q > 0);
        some("a send queue", |row| row.state == 1 && row.send_q > 0);
        some("a backlog", |row| row.state == 10 && row.recv_q > 0);
        some("an owner's inode", |row| row.inode > 0);
        some("no owner", |row| row.state == 4 && row.inode == 0);
        some("a mapped address", |row| row.proto == Proto::Tcp6 && row.remote.addr.to_canonical().is_ipv4());
        tables::wait_for_retransmissions(|| agreed(Transport::Tcp));
    });
}

fn every_kind_of_udp_socket() {
    NetNs::new().unwrap().enter(|| {
        let _sink = Sink::new().unwrap();
        let _zoo: Keep = udp::zoo().unwrap();
        let rows = agreed(Transport::Udp);
        assert!(rows.iter().any(|row| row.recv_q > 0), "waiting data");
        assert!(rows.iter().any(|row| row.state == 1) && rows.iter().any(|row| row.state == 7), "both states");
        assert!(rows.iter().any(|row| row.proto == Proto::Udp6), "IPv6");
    });
}

/// A socket that lets others have its address too.
fn sharing(kind: Type, at: &str) -> Socket {
    let at: SocketAddr = at.parse().unwrap();
    let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
    let socket = Socket::new(Domain::for_address(at), kind, Some(protocol)).unwrap();
    if at.is_ipv6() {
        socket.set_only_v6(true).unwrap();
    }
    socket.set_reuse_port(true).unwrap();
    socket.bind(&at.into()).unwrap();
    socket
}

/// The kernel keeps one chain per port for /proc, and others by address and port for the iterator.
fn udp_sockets_that_share_a_port() {
    NetNs::new().unwrap().enter(|| {
        let mut sockets = Vec::new();
        for round in 0..4 {
            for port in [53, 5353, 53 + 256, 53 + 1024] {
                for address in ["127.0.0.1", "0.0.0.0", "127.0.0.2", "[::1]", "[::]"] {
                    sockets.push(sharing(Type::DGRAM, &format!("{address}:{port}")));
                }
            }
            // Gaps in the chains.
            sockets.remove(round * 7);
        }
        let many: Vec<_> = (0..count(3000)).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        assert_eq!(agreed(Transport::Udp).len(), sockets.len() + many.len());
    });
}

fn listeners_that_share_a_port() {
    NetNs::new().unwrap().enter(|| {
        let mut listeners = Vec::new();
        for _ in 0..5 {
            for address in ["127.0.0.1:80", "0.0.0.0:80", "[::1]:80", "[::]:80", "127.0.0.1:8080"] {
                let listener = sharing(Type::STREAM, address);
                listener.listen(3).unwrap();
                listeners.push(listener);
            }
        }
        assert_eq!(agreed(Transport::Tcp).len(), listeners.len());
    });
}

/// Connected pairs over one listener.
fn pairs(count: usize) -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let ends = (0..count).flat_map(|_| {
        let client = TcpStream::connect(to).unwrap();
        [client, listener.accept().unwrap().0]
    });
    let ends = ends.collect();
    (listener, ends)
}

fn more_than_one_read() {
    let namespace = NetNs::new().unwrap();
    let elsewhere = NetNs::new().unwrap();
    let _other = elsewhere.enter(|| pairs(3));
    namespace.enter(|| {
        // 32 KiB hold 409 records.
        let held = pairs(count(4000).max(450));
        assert_eq!(agreed(Transport::Tcp).len(), 1 + held.1.len());
        let listening = iterators().sockets(Transport::Tcp, |row| row.state == 10).unwrap();
        assert_eq!((listening.v4.len(), listening.v6.len()), (1, 0));
    });
    assert_eq!(elsewhere.enter(|| agreed(Transport::Tcp)).len(), 7);
}

fn one_row_per_socket_while_they_come_and_go() {
    NetNs::new().unwrap().enter(|| {
        let held = pairs(count(2000).max(450));
        let expected: HashSet<SocketAddr> = held.1.iter().map(|end| end.local_addr().unwrap()).collect();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let to = listener.local_addr().unwrap();
                while !stop.load(Ordering::Relaxed) {
                    let client = TcpStream::connect(to).unwrap();
                    drop((client, listener.accept().unwrap()));
                }
            });
            for _ in 0..count(60).max(5) {
                let rows = iterators().sockets(Transport::Tcp, |_| true).unwrap();
                let cookies: HashSet<_> = rows.v4.iter().map(|row| row.cookie.unwrap()).collect();
                let doubled = rows.v4.len() - cookies.len();
                let seen: HashSet<_> =
                    rows.v4.iter().map(|row| SocketAddr::new(row.local.addr, row.local.port)).collect();
                let missing = expected.difference(&seen).count();
                if doubled + missing > 0 {
                    stop.store(true, Ordering::Relaxed);
                    panic!("{doubled} twice, {missing} missing");
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
}

/// What both sources say of these processes, in their order.
fn holders_in_the_order_of_proc() {
    let sandbox = Sandbox::new().unwrap();
    let shared = sandbox.netns().enter(|| tcp::listener("127.0.0.1:7999", 1)).unwrap();
    let folder = std::env::temp_dir().join(format!("netstat-snapshot-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("actor.sock");
    let script = format!("unix {}\nlisten 127.0.0.1:7001\nudp 127.0.0.1:7001\nudp [::1]:7001", path.display());
    let actors = [
        Actor::start(&sandbox, &[b"one"], None, &script, Some(&shared)).unwrap(),
        Actor::start(&sandbox, &[b"two"], Some(65_534), "", Some(&shared)).unwrap(),
        Actor::start(&sandbox, &[b"three"], None, "listen [::1]:7002", None).unwrap(),
    ];
    // Sockets in no table: not bound, and of families without one. And one held twice.
    let unbound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let twice: OwnedFd = unbound.try_clone().unwrap().into();
    let netlink = Socket::new(Domain::from(nix::libc::AF_NETLINK), Type::RAW, Some(Protocol::from(0))).unwrap();
    let pair = std::os::unix::net::UnixStream::pair().unwrap();

    // A thread with descriptors of its own: what it opens is nobody's in /proc.
    let (send, receive) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let loner = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_FILES).unwrap();
        let alone = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        let link = std::fs::read_link(format!("/proc/thread-self/fd/{}", alone.as_raw_fd())).unwrap();
        send.send(link).unwrap();
        let _ = ended.recv();
    });
    let alone: u64 =
        receive.recv().unwrap().to_str().unwrap().trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();

    let of_ours = |links: Vec<(u32, u64)>| -> Vec<(u32, u64)> {
        let ours: Vec<u32> = actors.iter().map(Actor::pid).chain([std::process::id()]).collect();
        links.into_iter().filter(|(pid, _)| ours.contains(pid)).collect()
    };
    assert!(sees_all_processes(Path::new("/proc")));
    let walked = of_ours(iterators().holders(usize::MAX, &Awaited::default()).unwrap().into_pairs());
    let scanned = of_ours(fds::Scan::start(Path::new("/proc"), usize::MAX).links().collect());
    assert_eq!(walked, scanned);
    let count = |fd: i32| {
        use std::os::unix::fs::MetadataExt;
        let inode = std::fs::metadata(format!("/proc/self/fd/{fd}")).unwrap().ino();
        walked.iter().filter(|&&(_, held)| held == inode).count()
    };
    assert_eq!(count(shared.as_raw_fd()), 3, "a socket of three processes");
    assert_eq!(
        (count(unbound.as_raw_fd()), count(twice.as_raw_fd())),
        (1, 1),
        "a socket of two descriptors is held once"
    );
    assert_eq!((count(netlink.as_raw_fd()), count(pair.0.as_raw_fd())), (1, 1), "sockets of other families");
    assert!(!walked.iter().any(|&(_, inode)| inode == alone), "a thread's own socket");
    drop(end);
    loner.join().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}

fn not_from_inside_a_pid_namespace() {
    // The children of this thread are in a PID namespace of their own, and see the outer one's /proc.
    let inside = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWPID).unwrap();
        Command::new(std::env::current_exe().unwrap()).arg(SEES).output().unwrap()
    });
    assert_eq!(inside.join().unwrap().stdout, b"false\n");
    let outside = Command::new(std::env::current_exe().unwrap()).arg(SEES).output().unwrap();
    assert_eq!(outside.stdout, b"true\n");
    use std::os::unix::process::CommandExt;
    let nobody = Command::new("/proc/self/exe").arg(SEES).uid(65_534).gid(65_534).output();
    match nobody {
        Ok(nobody) => assert_eq!(nobody.stdout, b"false\n"),
        Err(error) => skipped(&format!("what nobody sees: this executable is closed to others: {error}")),
    }
}

/// A table large enough that the program takes it from the iterators, with and without the right to; where there is one, net-tools'.
fn the_same_bytes_as_net_tools() {
    let sandbox = Sandbox::new().unwrap();
    let held = sandbox.netns().enter(|| pairs(2500));
    let print = |program: &Path, options: &str, uid: Option<u32>| -> io::Result<Vec<u8>> {
        let invocation = Invocation {
            args: vec![options.into()],
            env: vec![("LC_ALL".into(), "C".into())],
            uid,
            ..Invocation::default()
        };
        let outcome = sandbox.run(program, &invocation, None, Duration::from_secs(120))?;
        Ok(outcome.stdout)
    };
    let lines = |text: &[u8]| text.iter().filter(|&&byte| byte == b'\n').count();
    let theirs = net_tools();
    if theirs.is_none() {
        skipped("the bytes of net-tools, which is not installed");
    }
    for options in ["-tan", "-tanpe", "-tulnp", "-xanp"] {
        let ours = print(netstat_user(), options, None).unwrap();
        if options.starts_with("-tan") {
            assert_eq!(lines(&ours), 2 + 1 + held.1.len(), "{options}");
        }
        if let Some(netstat) = theirs {
            let theirs = print(netstat, options, None).unwrap();
            assert!(ours == theirs, "{options}: {} bytes of ours, {} of netstat's", ours.len(), theirs.len());
        }
    }
    let (root, nobody) = (print(netstat_user(), "-tan", None), print(netstat_user(), "-tan", Some(65_534)));
    match nobody {
        Ok(nobody) => assert!(root.unwrap() == nobody, "the same table from /proc"),
        Err(error) => skipped(&format!("the table that nobody sees: the binary is closed to others: {error}")),
    }
}

/// A large table of another namespace. Only iterators know cookies: that they are there says which source was used.
fn namespaces_elsewhere() {
    let (here, there) = (Sandbox::new().unwrap(), Sandbox::new().unwrap());
    let held = there.netns().enter(|| pairs(2500));
    // A namespace without a name is found by a process in it.
    let _inhabitant = Actor::start(&there, &[b"inhabitant"], None, "", None).unwrap();
    let few = here.netns().enter(|| pairs(1));
    let print = |sandbox: &Sandbox, more: &[&str]| {
        let args = ["--no-agent", "--json", "-tan"].iter().chain(more).map(Into::into).collect();
        let invocation = Invocation { args, ..Invocation::default() };
        let outcome = sandbox.run(netstat_user(), &invocation, None, Duration::from_secs(120)).unwrap();
        String::from_utf8(outcome.stdout).unwrap()
    };
    let known = |text: &str, sandbox: &Sandbox| {
        let netns = format!("\"netns\":{},", sandbox.netns().inode().unwrap());
        let rows: Vec<_> = text.lines().filter(|line| line.contains(&netns)).collect();
        (rows.len(), rows.iter().filter(|row| !row.contains("\"cookie\":null")).count())
    };
    let whole = 1 + held.1.len();
    assert_eq!(known(&print(&there, &[]), &there), (whole, whole), "from inside");
    let all = print(&here, &["--all-netns"]);
    assert_eq!(known(&all, &there), (whole, whole), "from outside");
    assert_eq!(known(&all, &here).0, 1 + few.1.len(), "one's own");
}

/// The kernel's part of `sock_diag` may be a module that is not there, as in an emulated machine without it: then `kill` has the iterators alone.
fn kill_where_sock_diag_knows_no_sockets() {
    NetNs::new().unwrap().enter(|| {
        let mut channel = Channel::open().unwrap();
        if dump(&mut channel, &DumpRequest::all(diag::Protocol::Tcp), |_| {}).is_ok() {
            return skipped("kill where sock_diag knows no sockets: it knows TCP sockets here");
        }
        let listener = TcpListener::bind("127.0.0.1:7070").unwrap();
        let mut client = TcpStream::connect("127.0.0.1:7070").unwrap();
        let server = listener.accept().unwrap().0;
        let _datagrams = UdpSocket::bind("127.0.0.1:7071").unwrap();
        let kill = |options: &[&str]| {
            let done = Command::new(netstat_user()).arg("kill").args(options).output().unwrap();
            (done.status.code(), String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap())
        };
        let (code, out, err) = kill(&["--lport", "7070,7071", "--yes"]);
        print!("{out}{err}");
        match ClosingProgram::load(Transport::Tcp, 1) {
            Ok(_) => {
                assert_eq!((code, out.lines().count(), err.as_str()), (Some(0), 3, ""));
                for (result, socket) in [("closed", "LISTEN"), ("closed", "ESTABLISHED"), ("aborted", "udp")] {
                    assert!(out.lines().any(|line| line.starts_with(result) && line.contains(socket)), "{out}");
                }
                assert_eq!(client.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
                assert_eq!(TcpStream::connect("127.0.0.1:7070").unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            }
            Err(ClosingError::NoFunction) => {
                assert_eq!((code, out.lines().count()), (Some(1), 3));
                for line in out.lines() {
                    assert!(
                        line.starts_with("failed") && line.contains("no bpf_sock_destroy, which came with Linux 6.5")
                    );
                }
                assert!(TcpStream::connect("127.0.0.1:7070").is_ok());
            }
            Err(error) => panic!("{error}"),
        }
        drop(server);
    });
}
