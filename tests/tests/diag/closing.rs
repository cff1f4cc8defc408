//! `bpf_sock_destroy` from an iterator, which `kill` falls back on where `sock_diag` closes nothing: asked for by itself here, on the test's own
//! sockets, and judged by what they and `sock_diag`'s lists say.

use crate::missing;
use netstat_tests::netns::NetNs;
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale;
use netstat_tests::zoo::{Keep, peer::Sink, tcp};
use netstat_user::diag::loaded::Part;
use netstat_user::diag::tables::{self, DumpRequest};
use netstat_user::diag::{Channel, Protocol};
use netstat_user::kernel::closing::{ClosingError, ClosingProgram};
use netstat_user::kernel::snapshot::Transport;
use netstat_user::model::{KillResult, Level, SocketRow, TcpState};
use netstat_user::run::doctor;
use netstat_user::run::kill::ways::{self, KillOutcome, KillWay};
use socket2::{Domain, Socket, Type};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("iterator_closes_every_state", iterator_closes_every_state),
    ("iterator_closes_the_socket_meant_and_no_other", iterator_closes_the_socket_meant_and_no_other),
    ("iterator_closes_none_that_took_the_place", iterator_closes_none_that_took_the_place),
    (
        "iterator_closes_listeners_with_connections_not_accepted",
        iterator_closes_listeners_with_connections_not_accepted,
    ),
    ("iterator_closes_datagram_sockets", iterator_closes_datagram_sockets),
    ("iterator_closes_many_at_once", iterator_closes_many_at_once),
    ("iterator_closes_in_its_namespace_alone", iterator_closes_in_its_namespace_alone),
    ("doctor_names_the_way_that_kill_goes", doctor_names_the_way_that_kill_goes),
];

/// Runs `test` in a namespace of its own where the kernel has the function. A kernel that has it must be able to use it.
fn inside(test: impl FnOnce() + Send) -> Done {
    if let Some(reason) = missing(Part::Tcp).or_else(|| missing(Part::Udp)) {
        return Done::Skipped(reason);
    }
    match ClosingProgram::load(Transport::Tcp, 1) {
        Err(error @ ClosingError::NoFunction) => return Done::Skipped(error.to_string()),
        Err(error) => panic!("{error}"),
        Ok(_) => {}
    }
    NetNs::new().unwrap().enter(test);
    Done::Passed
}

fn rows(protocol: Protocol) -> Vec<SocketRow> {
    let mut all = Vec::new();
    tables::dump(&mut Channel::open().unwrap(), &DumpRequest::all(protocol), |row| all.push(row.socket)).unwrap();
    all
}

fn of_port(protocol: Protocol, port: u16) -> SocketRow {
    rows(protocol).into_iter().find(|row| row.local.port == port).unwrap()
}

fn close(row: &SocketRow) -> KillOutcome {
    ways::close(&[*row], &[KillWay::Iterator]).remove(0)
}

/// What became of it, and why it was not closed, in words.
fn closed(row: &SocketRow) -> (KillResult, Option<String>) {
    let end = close(row);
    (end.result, end.error.map(|error| error.to_string()))
}

fn name(row: &SocketRow) -> &'static str {
    row.named_state().map(TcpState::name).unwrap()
}

fn is_there(row: &SocketRow) -> bool {
    rows(Protocol::of(row.proto)).iter().any(|other| other.cookie == row.cookie)
}

fn pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

fn talks(client: &mut TcpStream, server: &mut TcpStream) -> bool {
    client.write_all(b"x").is_ok() && server.read_exact(&mut [0]).is_ok()
}

/// One socket of each state and family at a time, since the end of one ends its peer.
fn iterator_closes_every_state() -> Done {
    inside(|| {
        let sink = Sink::new().unwrap();
        let _zoo: Keep = tcp::zoo(&sink).unwrap();
        let kinds: BTreeSet<_> = rows(Protocol::Tcp).iter().map(|row| (row.state, row.proto.is_v6())).collect();
        let mut said: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (state, v6) in kinds {
            let all = rows(Protocol::Tcp);
            let of_kind = all.iter().filter(|row| (row.state, row.proto.is_v6()) == (state, v6));
            // A process that ended left what is a minisocket in FIN_WAIT2; of each state take one of either sort.
            for held in [true, false] {
                let Some(row) = of_kind.clone().find(|row| (row.inode != 0) == held) else { continue };
                let (name, end) = (name(row), close(row));
                said.entry(name).or_default().insert(end.result.name());
                match end.result {
                    KillResult::Closed => assert!(!is_there(row), "{name}: {row:?}"),
                    KillResult::Failed => {
                        let why = end.error.unwrap().to_string();
                        assert!(why.contains("neither requests nor sockets in TIME_WAIT"), "{name}: {why}");
                        assert!(is_there(row), "{name}: {row:?}");
                    }
                    other => panic!("{name}: {other:?}: {row:?}"),
                }
            }
        }
        println!("{said:?}");
        for name in tcp::STATES {
            let expected = match name {
                "SYN_RECV" | "TIME_WAIT" => &["failed"][..],
                // A socket, or a minisocket once nobody holds it.
                "FIN_WAIT2" => &["closed", "failed"],
                _ => &["closed"],
            };
            assert_eq!(said[name].iter().copied().collect::<Vec<_>>(), expected, "{name}");
        }
    })
}

fn iterator_closes_the_socket_meant_and_no_other() -> Done {
    inside(|| {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let mut pairs: Vec<_> = (0..3).map(|_| pair(&listener)).collect();
            let row = of_port(Protocol::Tcp, pairs[1].0.local_addr().unwrap().port());
            assert_eq!(closed(&row), (KillResult::Closed, None));
            let (client, server) = &mut pairs[1];
            assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionAborted);
            assert_eq!(server.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
            for at in [0, 2] {
                let (client, server) = &mut pairs[at];
                assert!(talks(client, server), "{address}");
            }
            assert_eq!(closed(&row), (KillResult::Gone, None));
        }
        // A connection that is being made, to an address where nobody answers.
        let sink = Sink::new().unwrap();
        let _zoo: Keep = tcp::zoo(&sink).unwrap();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let to: SocketAddr = "198.51.100.200:80".parse().unwrap();
        socket.connect(&to.into()).unwrap_err();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        let row = rows(Protocol::Tcp).into_iter().find(|row| row.local.port == port && row.remote.port == 80).unwrap();
        assert_eq!(name(&row), "SYN_SENT");
        assert_eq!(close(&row).result, KillResult::Closed);
        assert_eq!(socket.take_error().unwrap().unwrap().kind(), ErrorKind::ConnectionAborted);
    })
}

fn iterator_closes_none_that_took_the_place() -> Done {
    inside(|| {
        for address in ["127.0.0.1:7777", "[::1]:7777"] {
            let old = TcpListener::bind(address).unwrap();
            let row = of_port(Protocol::Tcp, 7777);
            drop(old);
            let new = TcpListener::bind(address).unwrap();
            assert_eq!(close(&row).result, KillResult::Gone);
            let (mut client, mut server) = pair(&new);
            assert!(talks(&mut client, &mut server));
            let old = UdpSocket::bind(address).unwrap();
            let row = of_port(Protocol::Udp, 7777);
            drop(old);
            let new = UdpSocket::bind(address).unwrap();
            assert_eq!(close(&row).result, KillResult::Gone);
            assert!(new.take_error().unwrap().is_none());
        }
        // A connection with the same four numbers as one before.
        let listener = TcpListener::bind("127.0.0.1:7778").unwrap();
        let connect = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_reuse_address(true).unwrap();
            // Without TIME_WAIT.
            socket.set_linger(Some(Duration::ZERO)).unwrap();
            socket.bind(&"127.0.0.1:7779".parse::<SocketAddr>().unwrap().into()).unwrap();
            socket.connect(&listener.local_addr().unwrap().into()).unwrap();
            (TcpStream::from(socket), listener.accept().unwrap().0)
        };
        let old = connect();
        let row = of_port(Protocol::Tcp, 7779);
        drop(old);
        let (mut client, mut server) = connect();
        let new = of_port(Protocol::Tcp, 7779);
        assert_eq!((row.local, row.remote), (new.local, new.remote));
        assert_ne!(row.cookie, new.cookie);
        assert_eq!(close(&row).result, KillResult::Gone);
        assert!(talks(&mut client, &mut server));
    })
}

fn iterator_closes_listeners_with_connections_not_accepted() -> Done {
    inside(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let mut waiting: Vec<_> = (0..50).map(|_| TcpStream::connect(to).unwrap()).collect();
        let row = rows(Protocol::Tcp).into_iter().find(|row| row.remote.port == 0).unwrap();
        assert_eq!(close(&row).result, KillResult::Closed);
        assert_eq!(TcpStream::connect(to).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        for client in &mut waiting {
            assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
        // Others that listen on the same port go on.
        let group: Vec<_> = (0..4)
            .map(|_| {
                let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
                socket.set_reuse_port(true).unwrap();
                socket.bind(&"[::1]:7070".parse::<SocketAddr>().unwrap().into()).unwrap();
                socket.listen(8).unwrap();
                socket
            })
            .collect();
        let rows: Vec<_> = rows(Protocol::Tcp).into_iter().filter(|row| row.local.port == 7070).collect();
        assert_eq!(rows.len(), group.len());
        assert_eq!(close(&rows[2]).result, KillResult::Closed);
        assert_eq!(rows.iter().map(is_there).collect::<Vec<_>>(), [true, true, false, true]);
        assert!(TcpStream::connect("[::1]:7070").is_ok());
    })
}

fn iterator_closes_datagram_sockets() -> Done {
    inside(|| {
        for (address, other) in [("127.0.0.1:5353", "127.0.0.1:0"), ("[::1]:5353", "[::1]:0")] {
            let (bound, free) = (UdpSocket::bind(address).unwrap(), UdpSocket::bind(other).unwrap());
            let connected = UdpSocket::bind(other).unwrap();
            connected.connect(free.local_addr().unwrap()).unwrap();
            let row = |socket: &UdpSocket| of_port(Protocol::Udp, socket.local_addr().unwrap().port());
            for (socket, result, stays) in [
                (&connected, KillResult::Closed, false),
                (&free, KillResult::Closed, false),
                (&bound, KillResult::Aborted, true),
            ] {
                let row = row(socket);
                assert_eq!(closed(&row), (result, None), "{row:?}");
                assert_eq!(socket.take_error().unwrap().unwrap().kind(), ErrorKind::ConnectionAborted);
                assert_eq!(is_there(&row), stays);
            }
        }
        let group: Vec<_> = (0..4)
            .map(|_| {
                let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
                socket.set_reuse_port(true).unwrap();
                socket.bind(&"127.0.0.1:5454".parse::<SocketAddr>().unwrap().into()).unwrap();
                socket
            })
            .collect();
        let rows: Vec<_> = rows(Protocol::Udp).into_iter().filter(|row| row.local.port == 5454).collect();
        assert_eq!(close(&rows[1]).result, KillResult::Aborted);
        let errors: Vec<_> = group.iter().filter_map(|socket| socket.take_error().unwrap()).collect();
        assert!(matches!(&errors[..], [error] if error.kind() == ErrorKind::ConnectionAborted), "{errors:?}");
        // What has no iterator is refused with the reason.
        let raw = Socket::new(Domain::IPV4, Type::RAW, Some(socket2::Protocol::ICMPV4)).unwrap();
        let row = SocketRow { proto: netstat_user::model::Proto::Raw, ..rows[1] };
        let refused = close(&row);
        assert_eq!(refused.result, KillResult::Failed);
        assert!(refused.error.unwrap().to_string().contains("TCP and UDP sockets alone"));
        drop(raw);
    })
}

fn iterator_closes_many_at_once() -> Done {
    inside(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut pairs: Vec<_> = (0..scale::count(4_000)).map(|_| pair(&listener)).collect();
        let ports: BTreeMap<u16, usize> =
            pairs.iter().enumerate().map(|(at, (client, _))| (client.local_addr().unwrap().port(), at)).collect();
        let is_chosen = |row: &SocketRow| ports.get(&row.local.port).is_some_and(|at| at % 2 == 1);
        let chosen: Vec<_> = rows(Protocol::Tcp).into_iter().filter(is_chosen).collect();
        assert_eq!(chosen.len(), pairs.len() / 2);
        let ends = ways::close(&chosen, &[KillWay::Iterator]);
        assert!(ends.iter().all(|end| end.result == KillResult::Closed), "{ends:?}");
        for (at, (client, server)) in pairs.iter_mut().enumerate() {
            if at % 2 == 1 {
                assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionAborted);
                assert_eq!(server.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
            } else {
                assert!(talks(client, server), "{at}");
            }
        }
    })
}

fn iterator_closes_in_its_namespace_alone() -> Done {
    let elsewhere = NetNs::new().unwrap();
    let listener = elsewhere.enter(|| TcpListener::bind("127.0.0.1:7654").unwrap());
    let done = inside(|| {
        let _same = TcpListener::bind("127.0.0.1:7654").unwrap();
        let row = elsewhere.enter(|| of_port(Protocol::Tcp, 7654));
        // It is of another namespace than the one that is walked.
        assert_eq!(close(&row).result, KillResult::Gone);
        assert!(elsewhere.enter(|| is_there(&row)));
        assert_eq!(elsewhere.enter(|| close(&row)).result, KillResult::Closed);
        assert!(TcpStream::connect("127.0.0.1:7654").is_ok(), "the listener in the caller's own namespace");
        let refused = elsewhere.enter(|| TcpStream::connect("127.0.0.1:7654"));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
    drop(listener);
    done
}

/// What `doctor` says without closing anything is what a socket of our own meets.
fn doctor_names_the_way_that_kill_goes() -> Done {
    inside(|| {
        let check = doctor::closing::check(Path::new("/proc"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let row = of_port(Protocol::Tcp, listener.local_addr().unwrap().port());
        let end = ways::close(&[row], &[KillWay::SockDiag]).remove(0);
        let way = if end.result == KillResult::Closed { "by sock_diag" } else { "by bpf_sock_destroy" };
        assert!(check.level == Level::Ok && check.found.contains(way), "{check:?}, {end:?}");
    })
}
