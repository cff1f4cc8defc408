//! Connections that are never made: nobody can be reached, or who asked gives up.

use super::wired;
use crate::check::{self, Life};
use crate::lives::{retransmitted, traced};
use crate::made::{self, Family, Made, tcp};
use crate::runner::{Done, Test};
use crate::tracer::Tracer;
use netstat_tests::netns::NetNs;
use netstat_tests::truth::actor::{self, Actor};
use netstat_tests::truth::tcp_info::tcp_info;
use netstat_tests::truth::wire::{
    self, HOST_UNREACHABLE, NET_UNREACHABLE, PROTOCOL_UNREACHABLE, SOURCE_ROUTE_FAILED, SYN, Wire,
};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use socket2::{Domain, Socket};
use std::fs;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("corners::connect_that_is_answered_unreachable", connect_that_is_answered_unreachable),
    ("corners::connect_that_nobody_answers_for", connect_that_nobody_answers_for),
    ("corners::connect_that_has_no_route", connect_that_has_no_route),
    ("corners::connect_that_is_abandoned", connect_that_is_abandoned),
    ("corners::connect_that_is_abandoned_by_shutdown", connect_that_is_abandoned_by_shutdown),
    ("corners::connect_that_is_abandoned_by_a_kill", connect_that_is_abandoned_by_a_kill),
    ("corners::connect_to_a_full_backlog_that_is_abandoned", connect_to_a_full_backlog_that_is_abandoned),
];

const TRIED: &str = "CLOSE SYN_SENT CLOSE";

/// Traces what `work` does beside a wire, and checks the lives.
fn on_a_wire(make: fn() -> io::Result<Wire>, work: impl FnOnce(&Wire) -> Vec<Life> + Send) -> Done {
    let (namespace, wire) = match wired(make) {
        Ok(both) => both,
        Err(done) => return done,
    };
    let mut tracer = super::traced(&namespace, &[]);
    let lives = namespace.enter(|| work(&wire));
    tracer.wait_closed(lives.iter().map(|life| &life.made));
    check::lives(&tracer.finish(), &lives);
    Done::Passed
}

/// A life whose SYN was sent again so many times.
fn tried(made: &Made, to: SocketAddr, reason: &'static str, again: u64) -> Life {
    let local = Some((wire::HERE, 0).into());
    Life::tcp(&Made { local, remote: Some(to), ..made.clone() }, TRIED, reason).retransmits(again)
}

/// The kernel hears of a router that there is no way, while it connects.
fn connect_that_is_answered_unreachable() -> Done {
    on_a_wire(Wire::tun, |wire| {
        let mut lives = Vec::new();
        let codes = [
            (HOST_UNREACHABLE, Errno::EHOSTUNREACH),
            (NET_UNREACHABLE, Errno::ENETUNREACH),
            (PROTOCOL_UNREACHABLE, Errno::ENOPROTOOPT),
            (SOURCE_ROUTE_FAILED, Errno::EOPNOTSUPP),
        ];
        for (code, error) in codes {
            // At once; and when the SYN has been sent again, so that the reason might be taken for another one.
            for syns in [1, 2] {
                let to = wire::there(80);
                let socket = tcp(Domain::IPV4);
                let (made, before) = (Made::of(&socket), retransmitted());
                let failed = thread::scope(|scope| {
                    let connects = scope.spawn(|| socket.connect(&to.into()).unwrap_err());
                    let heard = (1..syns).fold(wire.expect(SYN), |_, _| wire.expect(SYN));
                    wire.send_unreachable(&heard, code);
                    connects.join().unwrap()
                });
                assert_eq!(failed.raw_os_error(), Some(error as i32));
                drop(socket);
                lives.push(tried(&made, to, "unreachable", retransmitted() - before));
            }
        }
        lives
    })
}

/// The next hop does not exist: the kernel asks for its address, and gives up.
fn connect_that_nobody_answers_for() -> Done {
    on_a_wire(Wire::tap, |_| {
        fs::write("/proc/sys/net/ipv4/neigh/wire0/retrans_time_ms", "100").unwrap();
        let to = wire::there(80);
        let socket = tcp(Domain::IPV4);
        let made = Made::of(&socket);
        assert_eq!(socket.connect(&to.into()).unwrap_err().raw_os_error(), Some(Errno::EHOSTUNREACH as i32));
        vec![tried(&made, to, "unreachable", retransmitted())]
    })
}

/// `connect` fails before anything is sent, and leaves nothing in the socket of where it wanted to.
fn connect_that_has_no_route() -> Done {
    traced(&[], || {
        let mut lives = Vec::new();
        for to in ["203.0.113.7:80", "[2001:db8::7]:80", "[::ffff:203.0.113.7]:80"] {
            let to: SocketAddr = to.parse().unwrap();
            let socket = tcp(Domain::for_address(to));
            let made = Made::of(&socket);
            assert_eq!(socket.connect(&to.into()).unwrap_err().raw_os_error(), Some(Errno::ENETUNREACH as i32), "{to}");
            lives.push(Life::tcp(&Made { local: None, remote: Some(to), ..made }, "", "unreachable"));
        }
        lives
    });
    Done::Passed
}

/// A socket that has begun to connect.
fn begun(to: SocketAddr) -> (Socket, Made) {
    let socket = tcp(Domain::for_address(to));
    socket.set_nonblocking(true).unwrap();
    let made = Made::of(&socket);
    assert_eq!(socket.connect(&to.into()).unwrap_err().raw_os_error(), Some(Errno::EINPROGRESS as i32));
    (socket, made)
}

/// Whether a connection that was begun is made, soon.
fn is_connected(socket: &Socket) -> bool {
    let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
    poll(&mut ready, 200_u16).unwrap() > 0
}

/// A process waits for its connection for as long as it will, and closes it.
fn connect_that_is_abandoned() -> Done {
    on_a_wire(Wire::tun, |wire| {
        let mut lives = Vec::new();
        let to = wire::there(81);
        // The SYN was sent once, and more than once.
        for pause in [Duration::ZERO, Duration::from_millis(50), Duration::from_millis(1300)] {
            let before = retransmitted();
            let (socket, made) = begun(to);
            thread::sleep(pause);
            drop(socket);
            lives.push(tried(&made, to, "abandoned", retransmitted() - before));
        }
        // By a time limit of the socket's own.
        let socket = tcp(Domain::IPV4);
        let (made, before) = (Made::of(&socket), retransmitted());
        socket.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
        assert_eq!(socket.connect(&to.into()).unwrap_err().raw_os_error(), Some(Errno::EINPROGRESS as i32));
        drop(socket);
        lives.push(tried(&made, to, "abandoned", retransmitted() - before));
        while wire.receive(Duration::ZERO).is_some() {}
        lives
    })
}

/// `shutdown` and `connect` to nowhere (`AF_UNSPEC`) end the attempt as `close` does; the kernel leaves `ECONNRESET` in the socket.
fn connect_that_is_abandoned_by_shutdown() -> Done {
    on_a_wire(Wire::tun, |_| {
        let to = wire::there(82);
        let (shut, made_shut) = begun(to);
        // The attempt is over; and yet `ENOTCONN` is what it says.
        let _ = shut.shutdown(Shutdown::Both);
        drop(shut);
        let again = retransmitted();
        let (left, made_left) = begun(to);
        rustix::net::connect_unspec(&left).unwrap();
        drop(left);
        let left_again = retransmitted() - again;
        vec![tried(&made_shut, to, "abandoned", again), tried(&made_left, to, "abandoned", left_again)]
    })
}

/// A process is killed while it connects.
fn connect_that_is_abandoned_by_a_kill() -> Done {
    on_a_wire(Wire::tun, |_| {
        let to = wire::there(83);
        let mut actor = Actor::start(actor::named("the-killed", super::ROLE, &["begin", &to.to_string()]));
        let made: Made = actor.hear();
        actor.kill();
        vec![tried(&made, to, "abandoned", retransmitted())]
    })
}

/// A listener that nobody accepts from, with no room left: the client's SYN is dropped until it gives up.
fn connect_to_a_full_backlog_that_is_abandoned() -> Done {
    let namespace = NetNs::new().unwrap();
    let mut tracer: Tracer = super::traced(&namespace, &[]);
    let (lives, full) = namespace.enter(|| {
        let listener = made::listener_with(Family::V4, 0);
        let to = Family::V4.address(listener.local_addr().unwrap().port());
        let mut full = Vec::new();
        // One fills it; each that is made has room.
        let (waiting, made) = loop {
            let (socket, made) = begun(to);
            let established = is_connected(&socket);
            if !established {
                break (socket, made);
            }
            full.push(socket);
            assert!(full.len() < 10, "the backlog is never full");
        };
        // The namespace also counts what its listener sends again.
        let again = tcp_info(&waiting).tcpi_total_retrans;
        drop(waiting);
        let made = Made { local: Some(Family::V4.address(0)), remote: Some(to), ..made };
        (vec![Life::tcp(&made, TRIED, "abandoned").retransmits(again)], (full, listener))
    });
    tracer.wait_closed(lives.iter().map(|life| &life.made));
    let outcome = tracer.finish();
    check::lives(&outcome, &lives);
    drop(full);
    Done::Passed
}
