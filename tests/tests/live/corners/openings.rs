//! TCP Fast Open: the connection is there, with data, before its handshake is over.

use super::{totals, traced, wired};
use crate::check::{self, Book};
use crate::event::{Event, Kind};
use crate::made::{Made, tcp};
use crate::runner::{Done, Test};
use netstat_tests::truth::wire::{self, ACK, HERE, RST, SYN, Segment, Wire};
use socket2::{Domain, Socket};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;
use std::{fs, thread};

pub const TESTS: &[Test] = &[("corners::opened_with_data", opened_with_data)];

/// `TFO_SERVER_ENABLE`, `TFO_SERVER_COOKIE_NOT_REQD` and `TFO_SERVER_WO_SOCKOPT1`: every listener takes data with a SYN from everybody.
const FROM_EVERYBODY: &str = "1538";

/// What is sent with the SYN.
const DATA: usize = 6;

/// Longer than the first SYN-ACK waits for its acknowledgement.
const LATE: Duration = Duration::from_millis(1500);

/// A listener that takes data with a SYN, and where it is.
fn listener() -> Option<(Socket, SocketAddrV4)> {
    fs::write("/proc/sys/net/ipv4/tcp_fastopen", FROM_EVERYBODY).ok()?;
    let listener = tcp(Domain::IPV4);
    listener.bind(&SocketAddr::from((HERE, 0)).into()).unwrap();
    listener.listen(16).unwrap();
    let to = listener.local_addr().unwrap().as_socket_ipv4().unwrap();
    Some((listener, to))
}

/// A peer opens a connection with data; the SYN-ACK that it gets.
fn open(wire: &Wire, port: u16, to: SocketAddrV4) -> Segment {
    let from = SocketAddrV4::new(wire::THERE, port);
    wire.send(&Segment { from, to, seq: 1000, ack: 0, flags: SYN, payload: DATA });
    let answer = wire.expect(SYN | ACK);
    assert_eq!((answer.to, answer.ack), (from, 1001 + DATA as u32), "it is opened with the data");
    answer
}

fn accepted(listener: &Socket) -> (TcpStream, Made) {
    let (server, _) = listener.accept().unwrap();
    let made = Made::accepted(&server);
    (server.into(), made)
}

/// The transition of a connection between two states.
fn step<'a>(events: &[&'a Event], from: &str, to: &str) -> (&'a Event, Option<u64>) {
    let found = events.iter().find_map(|event| match &event.kind {
        Kind::State { old, new, in_state_ns } if old == from && new == to => Some((*event, *in_state_ns)),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no {from} to {to}: {events:#?}"))
}

fn opened_with_data() -> Done {
    let (namespace, wire) = match wired(Wire::tun) {
        Ok(both) => both,
        Err(done) => return done,
    };
    let mut tracer = traced(&namespace, &["--proto", "tcp"]);
    let Some((reset, late)) = namespace.enter(|| {
        let (listener, to) = listener()?;
        // The peer resets it before it has acknowledged anything.
        let answer = open(&wire, 1, to);
        let (server, reset) = accepted(&listener);
        wire.send(&Segment { ack: 0, ..answer.answer(RST) });
        drop(server);
        // The SYN-ACK is sent again before it is acknowledged.
        let answer = open(&wire, 2, to);
        let (server, late) = accepted(&listener);
        thread::sleep(LATE);
        wire.send(&answer.answer(ACK));
        thread::sleep(Duration::from_millis(100));
        drop(server);
        wire.send(&Segment { ack: 0, ..answer.answer(RST) });
        Some((reset, late))
    }) else {
        return Done::Skipped("this kernel takes no data with a SYN".into());
    };
    tracer.wait_closed([&reset, &late]);
    let outcome = tracer.finish();
    check::stream(&outcome);
    let (close, end) = totals(&outcome, &reset);
    assert_eq!(
        (end.reason.as_str(), close.pid, close.owner.as_deref()),
        ("reset_received", Some(reset.pid), Some("accepted"))
    );
    let book = Book::new(&outcome.events);
    let events = book.of(&late);
    let (opened, _) = step(&events, "LISTEN", "SYN_RECV");
    let (settled, waited) = step(&events, "SYN_RECV", "ESTABLISHED");
    assert!(waited.is_some_and(|ns| ns >= LATE.as_nanos() as u64), "{}", settled.line);
    assert_eq!((opened.owner.as_deref(), settled.owner.as_deref()), (Some("accepted"), Some("accepted")));
    assert!(totals(&outcome, &late).1.duration_ns.is_some_and(|ns| ns >= LATE.as_nanos() as u64));
    // The request whose SYN-ACK is sent again is no second connection.
    let begun = |event: &&Event| matches!(&event.kind, Kind::State { old, .. } if old == "LISTEN");
    let of_late = |event: &&Event| event.remote.and_then(|end| end.port) == Some(2);
    assert_eq!(outcome.events.iter().filter(begun).filter(of_late).count(), 1, "{:#?}", outcome.events);
    Done::Passed
}
