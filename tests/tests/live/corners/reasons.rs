//! Why a socket ended: a reset that did not end it is no reason.

use super::{totals, traced, wired};
use crate::check::{self, Life};
use crate::lives::{self, LISTENED};
use crate::made::{self, Family, Made, Pair, tcp};
use crate::runner::{Done, Test};
use netstat_tests::netns::NetNs;
use netstat_tests::truth::paths::{ACTIVE_CLIENT, ACTIVE_SERVER, BROKEN_SERVER};
use netstat_tests::truth::scale;
use netstat_tests::truth::tcp_info::tcp_info;
use netstat_tests::truth::wire::{
    self, ACK, FIN, HERE, HOST_UNREACHABLE, RST, SOURCE_ROUTE_FAILED, SYN, Segment, Wire,
};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, SockRef};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("corners::listener_that_reset_a_stray_segment", listener_that_reset_a_stray_segment),
    ("corners::client_that_reset_a_wrong_answer", client_that_reset_a_wrong_answer),
    ("corners::established_that_is_answered_unreachable", established_that_is_answered_unreachable),
    ("corners::socket_that_was_disconnected_and_connects_again", socket_that_was_disconnected_and_connects_again),
    ("corners::socket_that_was_disconnected_and_listens", socket_that_was_disconnected_and_listens),
    ("corners::connections_that_were_over_before_the_tracer", connections_that_were_over_before_the_tracer),
];

/// A listener's address as the wire takes it.
fn v4(listener: &TcpListener) -> SocketAddrV4 {
    match listener.local_addr().unwrap() {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(address) => panic!("{address}"),
    }
}

fn listener_that_reset_a_stray_segment() -> Done {
    let (namespace, wire) = match wired(Wire::tun) {
        Ok(both) => both,
        Err(done) => return done,
    };
    let mut tracer = traced(&namespace, &[]);
    let lives = namespace.enter(|| {
        let listener = TcpListener::bind((HERE, 0)).unwrap();
        let from = SocketAddrV4::new(wire::THERE, 4000);
        wire.send(&Segment { from, to: v4(&listener), seq: 7, ack: 9, flags: ACK, payload: 0 });
        assert_eq!(wire.expect(RST).seq, 9, "the kernel resets what is no connection");
        let mut lives = vec![Life::tcp(&Made::of(&listener), LISTENED, "closed")];
        // A connection that it accepts afterwards has nothing of it either.
        let answer = wire.syn(from, v4(&listener));
        wire.send(&answer.answer(ACK));
        let (server, _) = listener.accept().unwrap();
        lives.push(Life::tcp(&Made::accepted(&server), ACTIVE_SERVER, "closed"));
        drop(server);
        close_from_afar(&wire, answer.to);
        lives
    });
    tracer.wait_closed(lives.iter().map(|life| &life.made));
    check::lives(&tracer.finish(), &lives);
    Done::Passed
}

/// The kernel has closed: the far side takes that, and closes, too.
fn close_from_afar(wire: &Wire, end: SocketAddrV4) {
    let fin = wire.expect(FIN);
    assert_eq!(fin.to, end);
    wire.send(&fin.answer(ACK));
    wire.send(&fin.answer(FIN | ACK));
}

fn client_that_reset_a_wrong_answer() -> Done {
    let (namespace, wire) = match wired(Wire::tun) {
        Ok(both) => both,
        Err(done) => return done,
    };
    let mut tracer = traced(&namespace, &[]);
    let life = namespace.enter(|| {
        let socket = tcp(Domain::IPV4);
        thread::scope(|scope| {
            let connects = scope.spawn(|| socket.connect(&wire::there(80).into()));
            let syn = wire.expect(SYN);
            // It acknowledges what was never sent, as the other end of an old connection does (RFC 9293, 3.10.7.3).
            let wrong = Segment { ack: syn.seq.wrapping_add(9999), ..syn.answer(ACK) };
            wire.send(&wrong);
            assert_eq!(wire.expect(RST).seq, wrong.ack);
            wire.send(&Segment { seq: 5000, ..syn.answer(SYN | ACK) });
            connects.join().unwrap().unwrap();
        });
        let made = Made::of(&socket);
        // The SYN may have been sent again.
        let again = tcp_info(&socket).tcpi_total_retrans;
        drop(socket);
        close_from_afar(&wire, SocketAddrV4::new(wire::THERE, 80));
        Life::tcp(&made, ACTIVE_CLIENT, "closed").retransmits(again)
    });
    tracer.wait_closed([&life.made]);
    check::lives(&tracer.finish(), &[life]);
    Done::Passed
}

/// A connection sends, and hears from a router why nobody answers: the kernel goes on sending until it gives up, and then reports that
/// instead of the timeout. That there is no way is a reason; that a source route failed (`EOPNOTSUPP`) is none.
fn established_that_is_answered_unreachable() -> Done {
    let (namespace, wire) = match wired(Wire::tun) {
        Ok(both) => both,
        Err(done) => return done,
    };
    let mut tracer = traced(&namespace, &[]);
    let lives = namespace.enter(|| {
        let listener = TcpListener::bind((HERE, 0)).unwrap();
        let ends = [
            (HOST_UNREACHABLE, Errno::EHOSTUNREACH, "unreachable"),
            (SOURCE_ROUTE_FAILED, Errno::EOPNOTSUPP, "timed_out"),
        ];
        let lives = ends.map(|(code, error, reason)| {
            let from = SocketAddrV4::new(wire::THERE, 5000 + u16::from(code));
            let answer = wire.syn(from, v4(&listener));
            wire.send(&answer.answer(ACK));
            let (mut server, _) = listener.accept().unwrap();
            SockRef::from(&server).set_tcp_user_timeout(Some(Duration::from_millis(700))).unwrap();
            let made = Made::accepted(&server);
            server.write_all(b"into the void").unwrap();
            let sent = std::iter::repeat_with(|| wire.expect(ACK)).find(|segment| segment.payload > 0).unwrap();
            wire.send_unreachable(&sent, code);
            let failed = server.read(&mut [0; 1]).unwrap_err();
            assert_eq!(failed.raw_os_error(), Some(error as i32));
            let again = tcp_info(&server).tcpi_total_retrans;
            Life::tcp(&made, BROKEN_SERVER, reason).bytes(0, 13).retransmits(again)
        });
        Vec::from(lives)
    });
    tracer.wait_closed(lives.iter().map(|life| &life.made));
    check::lives(&tracer.finish(), &lives);
    Done::Passed
}

/// `connect` to nowhere (`AF_UNSPEC`) resets a connection, and the socket is as new. What it is then used for has an end of its own.
fn socket_that_was_disconnected_and_connects_again() -> Done {
    lives::traced(&["--proto", "tcp"], || {
        let listener = made::listener(Family::V4);
        let Pair { client, mut server, client_made, .. } = Pair::new(Family::V4, &listener);
        rustix::net::connect_unspec(&client).unwrap();
        server.read(&mut [0; 1]).unwrap_err();
        rustix::net::connect(&client, &listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let local = Some((Ipv4Addr::LOCALHOST, 0).into());
        drop(client);
        assert_eq!(lives::drain(&mut server), 0);
        drop(server);
        let path = "CLOSE SYN_SENT ESTABLISHED CLOSE SYN_SENT ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE";
        vec![Life::tcp(&Made { local, ..client_made }, path, "closed")]
    });
    Done::Passed
}

/// The same of one that listens next.
fn socket_that_was_disconnected_and_listens() -> Done {
    let namespace = NetNs::new().unwrap();
    let mut tracer = traced(&namespace, &["--proto", "tcp"]);
    let made = namespace.enter(|| {
        let listener = made::listener(Family::V4);
        let Pair { client, server, client_made, .. } = Pair::new(Family::V4, &listener);
        rustix::net::connect_unspec(&client).unwrap();
        drop(server);
        rustix::net::listen(&client, 8).unwrap();
        drop::<TcpStream>(client);
        client_made
    });
    tracer.wait_closed([&made]);
    let outcome = tracer.finish();
    check::stream(&outcome);
    let (event, totals) = super::totals(&outcome, &made);
    assert_eq!(totals.reason, "closed", "{}", event.line);
    Done::Passed
}

/// Their sockets are closed later. The reason is what the kernel still has: the error that no process has taken, or the peer's FIN.
fn connections_that_were_over_before_the_tracer() -> Done {
    let (namespace, wire) = match wired(Wire::tun) {
        Ok(both) => both,
        Err(done) => return done,
    };
    let dead = namespace.enter(|| {
        let listener = made::listener(Family::V4);
        let mut dead: Vec<(Made, TcpStream, &str)> = Vec::new();
        let mut die = |reason, end: fn(&mut TcpStream, TcpStream)| {
            let Pair { mut client, server, client_made, .. } = Pair::new(Family::V4, &listener);
            end(&mut client, server);
            dead.push((client_made, client, reason));
        };
        die("reset_received", |_, server| lives::reset(server));
        die("unknown", |client, server| {
            lives::reset(server);
            assert!(client.read(&mut [0; 1]).is_err(), "the error is taken");
        });
        die("closed", |client, server| {
            client.shutdown(std::net::Shutdown::Write).unwrap();
            drop(server);
            assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        });
        // It has sent nothing.
        let Pair { client, server, server_made, .. } = Pair::new(Family::V4, &listener);
        lives::reset(client);
        dead.push((server_made, server, "reset_received"));
        let refused = tcp(Domain::IPV4);
        let nobody = made::listener(Family::V4).local_addr().unwrap();
        assert!(refused.connect(&nobody.into()).is_err());
        dead.push((Made::of(&refused), refused.into(), "unknown"));
        let unheard = tcp(Domain::IPV4);
        unheard.set_nonblocking(true).unwrap();
        assert!(unheard.connect(&wire::there(80).into()).is_err(), "it takes time");
        wire.send_unreachable(&wire.expect(SYN), HOST_UNREACHABLE);
        // This asks for no error.
        let mut failed = [PollFd::new(unheard.as_fd(), PollFlags::empty())];
        assert_eq!(poll(&mut failed, PollTimeout::try_from(scale::patience()).unwrap()), Ok(1), "it fails");
        dead.push((Made::of(&unheard), unheard.into(), "unreachable"));
        let unused = tcp(Domain::IPV4);
        dead.push((Made::of(&unused), unused.into(), "closed"));
        dead
    });
    let mut tracer = traced(&namespace, &["--proto", "tcp"]);
    let dead: Vec<_> = dead.into_iter().map(|(made, _, reason)| (made, reason)).collect();
    tracer.wait_closed(dead.iter().map(|(made, _)| made));
    let outcome = tracer.finish();
    for (made, reason) in &dead {
        let (event, totals) = totals(&outcome, made);
        assert_eq!(totals.reason, *reason, "{}", event.line);
    }
    Done::Passed
}
