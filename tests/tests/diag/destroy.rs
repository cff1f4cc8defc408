//! `SOCK_DESTROY` closes the socket that was meant, and no other.

use crate::missing;
use netstat_tests::netns::NetNs;
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::zoo::{Keep, peer::Sink, tcp};
use netstat_user::diag::Channel;
use netstat_user::diag::Protocol;
use netstat_user::diag::destroy::{self, Destroyed, Target};
use netstat_user::diag::inet::SocketId;
use netstat_user::diag::loaded::Part;
use netstat_user::diag::tables::{self, DumpRequest};
use netstat_user::model::Proto;
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

pub const TESTS: &[Test] = &[
    ("the_socket_meant_and_no_other", the_socket_meant_and_no_other),
    ("never_one_that_took_the_place", never_one_that_took_the_place),
    ("every_state", every_state),
    ("sockets_that_share_a_port", sockets_that_share_a_port),
    ("datagram_sockets", datagram_sockets),
];

fn sockets(protocol: Protocol) -> Vec<(Proto, u8, u64, SocketId)> {
    let asked = DumpRequest::all(protocol);
    let mut all = Vec::new();
    tables::dump(&mut Channel::open().unwrap(), &asked, |row| {
        let socket = row.socket;
        let id = SocketId {
            local: socket.local,
            remote: socket.remote,
            interface: row.interface(),
            cookie: socket.cookie.unwrap(),
        };
        all.push((socket.proto, socket.state, socket.inode, id));
    })
    .unwrap();
    all
}

fn destroy(channel: &mut Channel, proto: Proto, id: &SocketId) -> Destroyed {
    destroy::destroy(channel, &[Target { proto, id: *id }]).remove(0)
}

/// Whether the kernel closes sockets at all, tried on one of our own.
fn unsupported() -> Option<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (proto, _, _, id) = of_port(Protocol::Tcp, listener.local_addr().unwrap().port());
    match destroy(&mut Channel::open().unwrap(), proto, &id) {
        Destroyed::Closed => None,
        Destroyed::Refused(error) => Some(format!("the kernel closes no sockets: {error}")),
        other => panic!("{other:?}"),
    }
}

fn of_port(protocol: Protocol, port: u16) -> (Proto, u8, u64, SocketId) {
    sockets(protocol).into_iter().find(|(.., id)| id.local.port == port).unwrap()
}

/// Runs `test` in a namespace of its own where the kernel closes sockets.
fn inside(test: impl FnOnce(&mut Channel) + Send) -> Done {
    if let Some(reason) = missing(Part::Tcp).or_else(|| missing(Part::Udp)) {
        return Done::Skipped(reason);
    }
    NetNs::new().unwrap().enter(|| match unsupported() {
        Some(reason) => Done::Skipped(reason),
        None => {
            test(&mut Channel::open().unwrap());
            Done::Passed
        }
    })
}

fn the_socket_meant_and_no_other() -> Done {
    inside(|channel| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let mut pairs: Vec<(TcpStream, TcpStream)> =
            (0..3).map(|_| (TcpStream::connect(to).unwrap(), listener.accept().unwrap().0)).collect();
        let port = pairs[1].0.local_addr().unwrap().port();
        let (proto, _, _, id) = of_port(Protocol::Tcp, port);
        assert!(matches!(destroy(channel, proto, &id), Destroyed::Closed));
        // The one closed, its peer reset, and nobody else.
        let (client, server) = &mut pairs[1];
        assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionAborted);
        assert_eq!(server.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(sockets(Protocol::Tcp).len(), 1 + 4);
        assert!(matches!(destroy(channel, proto, &id), Destroyed::Gone));
    })
}

fn never_one_that_took_the_place() -> Done {
    inside(|channel| {
        for open in
            [(|| Box::new(TcpListener::bind("127.0.0.1:7777").unwrap()) as Box<dyn std::any::Any>) as fn() -> _, || {
                Box::new(UdpSocket::bind("127.0.0.1:7777").unwrap())
            }]
        {
            let socket = open();
            let protocol = if socket.is::<TcpListener>() { Protocol::Tcp } else { Protocol::Udp };
            let (proto, _, _, id) = of_port(protocol, 7777);
            drop(socket);
            let _successor = open();
            let (_, _, inode, other) = of_port(protocol, 7777);
            assert_ne!(id.cookie, other.cookie);
            assert!(matches!(destroy(channel, proto, &id), Destroyed::Gone), "{proto:?}");
            assert_eq!(of_port(protocol, 7777).2, inode);
        }
    })
}

/// What is left of a connection and what is not yet one, too.
fn every_state() -> Done {
    inside(|channel| {
        let sink = Sink::new().unwrap();
        let _zoo: Keep = tcp::zoo(&sink).unwrap();
        let mut states: Vec<u8> = sockets(Protocol::Tcp).iter().map(|socket| socket.1).collect();
        states.sort_unstable();
        states.dedup();
        assert_eq!(states, [1, 2, 3, 4, 5, 6, 8, 9, 10, 11]);
        // Listeners last: with them go the requests.
        for state in states.into_iter().filter(|&state| state != 10).chain([10]) {
            for (proto, _, _, id) in sockets(Protocol::Tcp).into_iter().filter(|socket| socket.1 == state) {
                let end = destroy(channel, proto, &id);
                assert!(matches!(end, Destroyed::Closed | Destroyed::Gone), "state {state}, {id:?}: {end:?}");
            }
            // The peer of one that was closed may be left in TIME_WAIT or go on to another state, but none is in this.
            let left: Vec<_> = sockets(Protocol::Tcp).into_iter().filter(|socket| socket.1 == state).collect();
            assert_eq!(left, [], "state {state}");
        }
    })
}

fn sockets_that_share_a_port() -> Done {
    inside(|channel| {
        let share = |kind: Type| {
            let at: SocketAddr = "127.0.0.1:7070".parse().unwrap();
            let socket = Socket::new(Domain::IPV4, kind, None).unwrap();
            socket.set_reuse_port(true).unwrap();
            socket.bind(&at.into()).unwrap();
            if kind == Type::STREAM {
                socket.listen(4).unwrap();
            }
            socket
        };
        for (kind, protocol) in [(Type::STREAM, Protocol::Tcp), (Type::DGRAM, Protocol::Udp)] {
            let held: Vec<Socket> = (0..8).map(|_| share(kind)).collect();
            let all = sockets(protocol);
            assert_eq!(all.len(), 8);
            let (proto, _, inode, id) = all[5];
            let end = destroy(channel, proto, &id);
            let left = sockets(protocol);
            if protocol == Protocol::Tcp {
                assert!(matches!(end, Destroyed::Closed), "{end:?}");
                assert_eq!(left.len(), 7);
                assert!(left.iter().all(|socket| socket.2 != inode));
            } else {
                // A datagram socket keeps the port that it was bound to.
                assert!(matches!(end, Destroyed::Aborted), "{end:?}");
                let failed: Vec<_> = held.iter().filter(|socket| socket.take_error().unwrap().is_some()).collect();
                assert_eq!(failed.len(), 1);
                assert_eq!(std::fs::metadata(format!("/proc/self/fd/{}", failed[0].as_raw_fd())).unwrap().ino(), inode);
            }
        }
    })
}

fn datagram_sockets() -> Done {
    inside(|channel| {
        let (plain, six) = (UdpSocket::bind("0.0.0.0:0").unwrap(), UdpSocket::bind("[::]:0").unwrap());
        let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
        connected.connect(("127.0.0.1", plain.local_addr().unwrap().port())).unwrap();
        for socket in [&connected, &plain, &six] {
            let (proto, _, _, id) = of_port(Protocol::Udp, socket.local_addr().unwrap().port());
            assert!(matches!(destroy(channel, proto, &id), Destroyed::Closed), "{id:?}");
        }
        assert_eq!(sockets(Protocol::Udp), []);
    })
}
