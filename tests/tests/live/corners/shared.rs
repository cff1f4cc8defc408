//! Listeners that share a port (`SO_REUSEPORT`), and what the kernel moves from one to another.

use super::{ROLE, traced, wired};
use crate::actor::{self, Actor};
use crate::check::{self, Book};
use crate::event::{Event, Kind};
use crate::made::{self, Made};
use crate::runner::{Done, Test};
use crate::scale::count;
use crate::tracer::Outcome;
use netstat_tests::netns::NetNs;
use netstat_tests::truth::wire::{self, ACK, FIN, HERE, RST, Segment, Wire};
use socket2::Domain;
use std::collections::HashSet;
use std::fs;
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::thread;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("corners::syncookies_with_a_shared_port", || shared_port("2")),
    ("corners::requests_with_a_shared_port", || shared_port("1")),
    ("corners::requests_that_migrate_at_their_first_timer", || migrating(SOON, Some(AFTER_FIRST))),
    ("corners::requests_that_migrate_at_their_second_timer", || migrating(AFTER_FIRST, Some(AFTER_SECOND))),
    ("corners::requests_that_migrate_as_they_are_completed", || migrating(SOON, Some(SOON))),
    ("corners::requests_that_are_seen_and_migrate_as_they_are_completed", || migrating(AFTER_FIRST, Some(SOON))),
    ("corners::connections_that_migrate_before_accept", || migrating(SOON, None)),
    ("corners::requests_that_migrate_and_are_reset", requests_that_migrate_and_are_reset),
];

const SOON: Duration = Duration::ZERO;
/// The SYN-ACK is sent again after one second, and after two more.
const AFTER_FIRST: Duration = Duration::from_millis(1300);
const AFTER_SECOND: Duration = Duration::from_millis(2300);

/// Two processes that listen on the same port of this address.
fn sharing(address: SocketAddr) -> ([Actor; 2], SocketAddr) {
    let start = |name: &str, address: SocketAddr| {
        let mut actor = Actor::start(actor::named(name, ROLE, &["share", &address.to_string()]));
        let listens: Made = actor.hear();
        (actor, listens.local.unwrap())
    };
    let (one, taken) = start("sharer-one", address);
    let (two, _) = start("sharer-two", taken);
    ([one, two], taken)
}

/// Lets it accept all that wait.
fn accepted_by(actor: &mut Actor) -> Vec<Made> {
    actor.nudge();
    actor.hear()
}

fn step(event: &Event, from: &str, to: &str) -> bool {
    matches!(&event.kind, Kind::State { old, new, .. } if old == from && new == to)
}

fn established(events: &[Event]) -> usize {
    events.iter().filter(|event| step(event, "SYN_RECV", "ESTABLISHED")).count()
}

/// Connections that nobody has accepted yet belong to the one whose listener they wait at: who will accept them.
fn shared_port(syncookies: &str) -> Done {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let address: SocketAddr = address.parse().unwrap();
        let namespace = NetNs::new().unwrap();
        let mut tracer = traced(&namespace, &["--proto", "tcp,tcp6"]);
        let (mut sharers, clients) = namespace.enter(|| {
            // 2 stands for "always", not only when the backlog overflows.
            fs::write("/proc/sys/net/ipv4/tcp_syncookies", syncookies).unwrap();
            let (sharers, to) = sharing(address);
            let connect = |_| made::connect(Domain::for_address(to), to).unwrap();
            // So many that both listeners have some, whatever the kernel's hash is.
            (sharers, (0..count(60).max(30)).map(connect).collect::<Vec<TcpStream>>())
        });
        assert!(tracer.wait(|events| established(events) == clients.len()), "not all connections are seen");
        let accepted: Vec<Made> = sharers.iter_mut().flat_map(accepted_by).collect();
        assert_eq!(accepted.len(), clients.len());
        assert!(accepted.iter().any(|made| made.pid != accepted[0].pid), "one process has them all");
        sharers.into_iter().for_each(Actor::end);
        drop(clients);
        tracer.wait_closed(&accepted);
        let outcome = tracer.finish();
        check::stream(&outcome);
        check_whole(&outcome, &accepted, |event, made| {
            let waits = step(event, "LISTEN", "SYN_RECV") || step(event, "SYN_RECV", "ESTABLISHED");
            (event.pid, event.comm.as_deref()) == (Some(made.pid), Some(&made.comm))
                && (!waits || event.owner.as_deref() == Some("inherited"))
        });
    }
    Done::Passed
}

/// Each of these connections was born once, established once and closed once, with one cookie; and each event is as `fits` says.
fn check_whole(outcome: &Outcome, accepted: &[Made], fits: impl Fn(&Event, &Made) -> bool) {
    let book = Book::new(&outcome.events);
    let mut wrong = Vec::new();
    for made in accepted {
        let (local, remote) = (made.local.unwrap().port(), made.remote.unwrap().port());
        let port = |end: Option<crate::event::End>| end.and_then(|end| end.port);
        let same = |event: &&Event| port(event.local) == Some(local) && port(event.remote) == Some(remote);
        let events: Vec<&Event> = outcome.events.iter().filter(same).collect();
        let count = |what: fn(&Event) -> bool| events.iter().filter(|event| what(event)).count();
        let births = count(|event| step(event, "LISTEN", "SYN_RECV"));
        let made_it = count(|event| step(event, "SYN_RECV", "ESTABLISHED"));
        let closes = count(|event| matches!(event.kind, Kind::Close(_)));
        let odd = events.iter().find(|event| !fits(event, made));
        if (births, made_it, closes) != (1, 1, 1) || book.of(made).len() != events.len() || odd.is_some() {
            let seen: Vec<_> = events.iter().map(|event| format!("\n    {}", event.line)).collect();
            wrong.push(format!("{}, odd: {odd:?}{}", made.name(), seen.concat()));
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong, the first:\n  {}", wrong.len(), accepted.len(), wrong[0]);
}

/// Requests at listeners.
fn asked(wire: &Wire, to: SocketAddr) -> Vec<Segment> {
    let SocketAddr::V4(to) = to else { panic!("{to}") };
    (0..40).map(|number: u16| wire.syn(SocketAddrV4::new(wire::THERE, 20_000 + number), to)).collect()
}

/// Some requests move to the second listener when the first one is closed; the peers reset them all.
fn requests_that_migrate_and_are_reset() -> Done {
    let (namespace, wire) = match wired(Wire::tun) {
        Ok(both) => both,
        Err(done) => return done,
    };
    let mut tracer = traced(&namespace, &["--proto", "tcp"]);
    let requests = namespace.enter(|| {
        fs::write("/proc/sys/net/ipv4/tcp_migrate_req", "1").unwrap();
        let ([one, two], to) = sharing((HERE, 0).into());
        let requests = asked(&wire, to);
        thread::sleep(AFTER_FIRST);
        one.end();
        thread::sleep(AFTER_SECOND);
        let reset = |answer: &Segment| wire.send(&Segment { ack: 0, ..answer.answer(RST) });
        requests.iter().for_each(reset);
        thread::sleep(Duration::from_millis(100));
        two.end();
        requests
    });
    let ended = |events: &[Event]| events.iter().filter(|event| step(event, "SYN_RECV", "CLOSE")).count();
    tracer.wait(|events| ended(events) >= requests.len());
    let outcome = tracer.finish();
    check::stream(&outcome);
    let mut wrong = Vec::new();
    for answer in &requests {
        let port = Some(answer.to.port());
        let theirs = |event: &&Event| event.remote.and_then(|end| end.port) == port;
        let events: Vec<&Event> = outcome.events.iter().filter(theirs).collect();
        match events[..] {
            [begun, ended] if step(begun, "LISTEN", "SYN_RECV") && step(ended, "SYN_RECV", "CLOSE") => {}
            _ => wrong.push(format!("{events:#?}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong, the first: {}", wrong.len(), requests.len(), wrong[0]);
    Done::Passed
}

/// One of the listeners closes, and what waits at it goes to the other one: requests, completed so long afterwards, or connections that
/// were complete before.
fn migrating(closed_after: Duration, completed_after: Option<Duration>) -> Done {
    let (namespace, wire) = match wired(Wire::tun) {
        Ok(both) => both,
        Err(done) => return done,
    };
    let mut tracer = traced(&namespace, &["--proto", "tcp"]);
    let (mut two, gone, requests) = namespace.enter(|| {
        fs::write("/proc/sys/net/ipv4/tcp_migrate_req", "1").unwrap();
        let ([one, two], to) = sharing((HERE, 0).into());
        let requests = asked(&wire, to);
        let complete = || requests.iter().for_each(|answer| wire.send(&answer.answer(ACK)));
        if completed_after.is_none() {
            complete();
        }
        let gone = one.pid();
        thread::sleep(closed_after);
        one.end();
        if let Some(after) = completed_after {
            thread::sleep(after);
            complete();
        }
        (two, gone, requests)
    });
    let accepted = accepted_by(&mut two);
    let second = two.pid();
    // It closes them, and the far side is not interested.
    two.nudge();
    let mut open: HashSet<u16> = accepted.iter().map(|made| made.remote.unwrap().port()).collect();
    while !open.is_empty() {
        let fin = wire.expect(FIN);
        wire.send(&Segment { ack: 0, ..fin.answer(RST) });
        open.remove(&fin.to.port());
    }
    two.end();
    tracer.wait_closed(&accepted);
    let outcome = tracer.finish();
    check::stream(&outcome);
    assert_eq!(accepted.len(), requests.len(), "the kernel moves them all");
    check_whole(&outcome, &accepted, |event, _| {
        let waits = step(event, "LISTEN", "SYN_RECV") || step(event, "SYN_RECV", "ESTABLISHED");
        let first = completed_after.is_none() || step(event, "LISTEN", "SYN_RECV");
        // Both listeners have had some of them; what is complete only later is the second one's.
        event.pid == Some(second) || waits && first && event.pid == Some(gone)
    });
    Done::Passed
}
