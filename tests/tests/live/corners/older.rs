//! Sockets that are older than the tracer: what they do from its next event on.

use super::{check_closers, totals, traced, wired};
use crate::event::{Event, Kind};
use crate::made::{self, Family, Made, tcp};
use crate::runner::{Done, Test};
use netstat_tests::netns::NetNs;
use netstat_tests::truth::wire::{self, ACK, FIN, Segment, Wire};
use socket2::Domain;
use std::net::{Shutdown, TcpStream};

pub const TESTS: &[Test] = &[
    ("corners::a_long_queue_before_the_tracer", a_long_queue_before_the_tracer),
    ("corners::data_for_what_was_closed_before_the_tracer", data_for_what_was_closed_before_the_tracer),
    ("corners::reset_of_what_both_ends_had_shut_before_the_tracer", reset_of_what_both_ends_had_shut_before_the_tracer),
];

/// More connections wait than are looked through for one of them. Most of them hear their peers close before they are accepted, by whoever closes them;
/// the last ones end with their listener, which is theirs until then.
fn a_long_queue_before_the_tracer() -> Done {
    const ACCEPTED: usize = 40;
    const LEFT: usize = 3;
    let namespace = NetNs::new().unwrap();
    let (listener, peers) = namespace.enter(|| {
        let listener = made::listener(Family::V4);
        let to = listener.local_addr().unwrap();
        let peers: Vec<TcpStream> = (0..ACCEPTED + LEFT).map(|_| TcpStream::connect(to).unwrap()).collect();
        (listener, peers)
    });
    let listens = Made::of(&listener);
    let port = listens.local.unwrap().port();
    let mut tracer = traced(&namespace, &["--proto", "tcp"]);
    let (made, kept) = namespace.enter(|| {
        let mut peers = peers;
        let kept = peers.split_off(ACCEPTED);
        drop(peers);
        let hears = |event: &&Event| matches!(&event.kind, Kind::State { new, .. } if new == "CLOSE_WAIT");
        tracer.wait(|events| events.iter().filter(hears).count() >= ACCEPTED);
        let made: Vec<Made> = (0..ACCEPTED)
            .map(|number| match number % 2 {
                0 => Made::accepted(&listener.accept().unwrap().0),
                _ => Made::accepted_unasked(TcpStream::from(rustix::net::accept(&listener).unwrap())),
            })
            .collect();
        tracer.wait_closed(&made);
        drop(listener);
        (made, kept)
    });
    let is_close =
        |event: &&Event| matches!(event.kind, Kind::Close(_)) && event.local.is_some_and(|end| end.port == Some(port));
    tracer.wait(|events| events.iter().filter(is_close).count() > ACCEPTED + LEFT);
    let outcome = tracer.finish();
    drop(kept);
    let closes: Vec<&Event> = outcome.events.iter().filter(is_close).collect();
    assert_eq!(closes.len(), ACCEPTED + LEFT + 1);
    let wrong: Vec<_> = closes.iter().filter(|event| event.pid != Some(listens.pid)).map(|event| &event.line).collect();
    assert!(wrong.is_empty(), "{} have another owner, the first: {}", wrong.len(), wrong[0]);
    let inherited = closes.iter().filter(|event| event.owner.as_deref() == Some("inherited")).count();
    assert_eq!(inherited, LEFT, "nobody has accepted the last ones: {closes:#?}");
    check_closers(&outcome, &made.iter().map(|made| (made, made.pid, made.comm.as_str())).collect::<Vec<_>>());
    Done::Passed
}

/// Data come for a connection that its process has closed, or shut down both ways, before the tracer began: this end resets it. How much had come by
/// then is known only of one that a process still holds.
fn data_for_what_was_closed_before_the_tracer() -> Done {
    let (namespace, wire) = match wired(Wire::tun) {
        Ok(both) => both,
        Err(done) => return done,
    };
    let closed = namespace.enter(|| {
        [(80, true), (81, true), (82, false), (83, false)].map(|(port, is_held)| {
            let socket = tcp(Domain::IPV4);
            wire.take(&socket, port);
            let made = Made::of(&socket);
            socket.shutdown(Shutdown::Both).unwrap();
            let fin = wire.expect(FIN);
            (made, fin, is_held.then_some(socket))
        })
    });
    let mut tracer = traced(&namespace, &["--proto", "tcp"]);
    namespace.enter(|| {
        for (number, (_, fin, _)) in closed.iter().enumerate() {
            // The FIN is acknowledged, or not yet.
            let answer = fin.answer(ACK);
            let ack = if number % 2 == 0 { answer.ack } else { fin.seq };
            wire.send(&Segment { payload: 4, ack, ..answer });
            wire.expect(wire::RST);
        }
    });
    let closed = closed.map(|(made, _, held)| (made, held.is_some()));
    tracer.wait_closed(closed.iter().map(|(made, _)| made));
    let outcome = tracer.finish();
    for (made, was_held) in &closed {
        let (event, totals) = totals(&outcome, made);
        assert_eq!(totals.reason, if *was_held { "reset_sent" } else { "unknown" }, "{}", event.line);
    }
    Done::Passed
}

/// The peer resets a connection that both ends had shut before the tracer began: LAST_ACK, or CLOSING. Nobody could know by which end, had its process
/// closed it.
fn reset_of_what_both_ends_had_shut_before_the_tracer() -> Done {
    let (namespace, wire) = match wired(Wire::tun) {
        Ok(both) => both,
        Err(done) => return done,
    };
    let shut = namespace.enter(|| {
        [(80, true, true), (81, false, true), (82, true, false), (83, false, false)].map(
            |(port, peer_first, is_held)| {
                let socket = tcp(Domain::IPV4);
                wire.take(&socket, port);
                let made = Made::of(&socket);
                let connected = wire.expect(ACK);
                let shuts = || {
                    socket.shutdown(Shutdown::Write).unwrap();
                    wire.expect(FIN)
                };
                let last = if peer_first {
                    wire.send(&connected.answer(FIN | ACK));
                    wire.expect(ACK);
                    shuts()
                } else {
                    let fin = shuts();
                    wire.send(&Segment { ack: fin.seq, ..fin.answer(FIN | ACK) });
                    wire.expect(ACK)
                };
                (made, last, is_held.then_some(socket))
            },
        )
    });
    let mut tracer = traced(&namespace, &["--proto", "tcp"]);
    namespace.enter(|| {
        for (_, last, _) in &shut {
            wire.send(&last.answer(wire::RST | ACK));
        }
    });
    let shut = shut.map(|(made, _, held)| (made, held.is_some()));
    tracer.wait_closed(shut.iter().map(|(made, _)| made));
    let outcome = tracer.finish();
    for (made, was_held) in &shut {
        let (event, totals) = totals(&outcome, made);
        assert_eq!(totals.reason, if *was_held { "reset_received" } else { "unknown" }, "{}", event.line);
    }
    Done::Passed
}
