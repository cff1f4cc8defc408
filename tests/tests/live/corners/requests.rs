//! Connections that wait for the last step of their handshake: each begins once and ends once, whatever its timer does.

use super::wired;
use crate::check;
use crate::event::{Event, Kind};
use crate::made::Made;
use crate::places::Hidden;
use crate::runner::{Done, Test};
use crate::scale::{count, is_late};
use netstat_tests::truth::wire::{self, ACK, FIN, HERE, RST, SYN, Segment, Wire};
use nix::libc;
use std::collections::HashSet;
use std::fs;
use std::net::{Shutdown, SocketAddr, SocketAddrV4};
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    // The timer sends the SYN-ACK again after one second, and after two more; the kernel may run it so many ticks late.
    ("corners::requests_reset_at_their_first_timer", || reset_at(Duration::from_millis(998))),
    ("corners::requests_reset_at_their_second_timer", || reset_at(Duration::from_millis(2998))),
    ("corners::requests_asked_again_at_their_first_timer", asked_again),
    ("corners::requests_reset_with_hidden_symbols", reset_with_hidden_symbols),
    ("corners::requests_asked_again_with_hidden_symbols", asked_again_with_hidden_symbols),
    ("corners::requests_whose_listener_ends", requests_whose_listener_ends),
    ("corners::requests_whose_listener_ends_with_hidden_symbols", requests_whose_listener_ends_with_hidden_symbols),
    ("corners::requests_that_are_answered_once", requests_that_are_answered_once),
    ("corners::requests_completed_at_their_first_timer", || completed_at(Duration::from_millis(998))),
];

/// The window that the resets, one by one, are spread over: before, while and after the timers run.
const SPREAD: Duration = Duration::from_millis(40);

/// Requests at a listener, each with the SYN-ACK that answered it and the time of its SYN.
struct Crowd {
    listener: socket2::Socket,
    listens: Made,
    requests: Vec<(Segment, Instant)>,
}

impl Crowd {
    fn new(wire: &Wire) -> Self {
        let listener = crate::made::tcp(socket2::Domain::IPV4);
        listener.bind(&SocketAddr::from((HERE, 0)).into()).unwrap();
        listener.listen(4096).unwrap();
        let listens = Made::of(&listener);
        let SocketAddr::V4(to) = listens.local.unwrap() else { unreachable!() };
        let ask = |number| {
            // So that they come at all phases of the timer wheel.
            thread::sleep(Duration::from_micros(300));
            let asked = Instant::now();
            (wire.syn(SocketAddrV4::new(wire::THERE, 10_000 + number as u16), to), asked)
        };
        Self { requests: (0..count(300)).map(ask).collect(), listener, listens }
    }

    /// Sends each peer's last word, so long after its SYN and a little more each time.
    fn each_after(&self, wire: &Wire, after: Duration, word: impl Fn(&Segment) -> Segment) {
        hurry();
        for (number, (answer, asked)) in self.requests.iter().enumerate() {
            let until = *asked + after + SPREAD * (number % 50) as u32 / 50;
            thread::sleep(until.saturating_duration_since(Instant::now()));
            wire.send(&word(answer));
        }
    }
}

/// Has the calling thread, which is one for this test alone, not wait for others who want its processor: some milliseconds matter.
fn hurry() {
    let lowest = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameters are there for the time of the call. Who may not have it goes on as before.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const lowest) };
}

/// What the stream says of a request: the transitions, in order, of this port of the far side.
fn of_port(events: &[Event], port: u16) -> Vec<&Event> {
    let theirs = |event: &&Event| event.remote.and_then(|end| end.port) == Some(port);
    events.iter().filter(theirs).collect()
}

fn is(event: &Event, from: &str, to: &str) -> bool {
    matches!(&event.kind, Kind::State { old, new, .. } if old == from && new == to)
}

/// The peers reset what they began.
fn reset_at(after: Duration) -> Done {
    ended_by_reset(None, |crowd, wire| crowd.each_after(wire, after, reset))
}

/// The same where the kernel shows the addresses of its functions to nobody, as it does by default to all but root.
fn reset_with_hidden_symbols() -> Done {
    let first = Duration::from_millis(998);
    ended_by_reset(Some(Hidden::new()), |crowd, wire| crowd.each_after(wire, first, reset))
}

fn asked_again_with_hidden_symbols() -> Done {
    ended_by_reset(Some(Hidden::new()), ask_again)
}

/// The peers send their SYNs again, which sets the timers anew, and reset what they began later.
fn asked_again() -> Done {
    ended_by_reset(None, ask_again)
}

/// Their listener listens no more before their first timer, which then gives them up without a word.
fn requests_whose_listener_ends() -> Done {
    ended_by_reset(None, |crowd, _| crowd.listener.shutdown(Shutdown::Both).unwrap())
}

/// The same where the timer of a request is recognised by what it is part of.
fn requests_whose_listener_ends_with_hidden_symbols() -> Done {
    ended_by_reset(Some(Hidden::new()), |crowd, _| crowd.listener.shutdown(Shutdown::Both).unwrap())
}

/// Their first timer is the last one.
fn requests_that_are_answered_once() -> Done {
    ended_by_reset(None, |_, _| fs::write("/proc/sys/net/ipv4/tcp_synack_retries", "0").unwrap())
}

fn ask_again(crowd: &Crowd, wire: &Wire) {
    let again = |answer: &Segment| Segment { seq: answer.ack.wrapping_sub(1), ack: 0, ..answer.answer(SYN) };
    crowd.each_after(wire, Duration::from_millis(998), again);
    crowd.each_after(wire, Duration::from_millis(1500), reset);
}

fn reset(answer: &Segment) -> Segment {
    Segment { ack: 0, ..answer.answer(RST) }
}

/// Every request is seen to begin once and to end once, whatever is done to it before all are reset.
fn ended_by_reset(hidden: Option<Hidden>, play: impl FnOnce(&Crowd, &Wire) + Send) -> Done {
    let (namespace, wire) = match wired(Wire::tun) {
        Ok(both) => both,
        Err(done) => return done,
    };
    let mut tracer = super::traced(&namespace, &["--proto", "tcp"]);
    drop(hidden);
    let crowd = namespace.enter(|| {
        let crowd = Crowd::new(&wire);
        play(&crowd, &wire);
        // The kernel has taken them all: it answers none of these again.
        thread::sleep(Duration::from_millis(200));
        while wire.receive(Duration::ZERO).is_some() {}
        assert!(wire.receive(Duration::from_millis(2300)).is_none(), "a request was not reset");
        crowd
    });
    let Crowd { listener, listens, requests } = crowd;
    drop(listener);
    tracer.wait_closed([&listens]);
    let outcome = tracer.finish();
    check::stream(&outcome);
    assert!(outcome.lost.is_empty(), "events were lost: {:?}", outcome.lost);
    let (mut unseen, mut endless, mut odd) = (0, 0, Vec::new());
    for (answer, _) in &requests {
        match of_port(&outcome.events, answer.to.port())[..] {
            [] => unseen += 1,
            [begun] if is(begun, "LISTEN", "SYN_RECV") => endless += 1,
            [begun, ended] if is(begun, "LISTEN", "SYN_RECV") && is(ended, "SYN_RECV", "CLOSE") => {
                assert_eq!((begun.pid, ended.pid), (Some(listens.pid), Some(listens.pid)), "{}", begun.line);
            }
            ref events => odd.push(format!("{events:?}")),
        }
    }
    let all = requests.len();
    assert!(
        (unseen, endless, odd.len()) == (0, 0, 0),
        "of {all} requests {unseen} are never seen, {endless} never end, {} are otherwise: {:?}",
        odd.len(),
        odd.first()
    );
    Done::Passed
}

/// The peers complete their handshakes: each request becomes its connection, which begins once.
fn completed_at(after: Duration) -> Done {
    let (namespace, wire) = match wired(Wire::tun) {
        Ok(both) => both,
        Err(done) => return done,
    };
    let mut tracer = super::traced(&namespace, &["--proto", "tcp"]);
    let (accepted, listens) = namespace.enter(|| {
        let Crowd { listener, listens, requests } = {
            let crowd = Crowd::new(&wire);
            crowd.each_after(&wire, after, |answer| answer.answer(ACK));
            crowd
        };
        let accept = |_| {
            let (socket, _) = listener.accept().unwrap();
            Made::accepted(&socket)
        };
        let accepted: Vec<Made> = (0..requests.len()).map(accept).collect();
        // The far side answers each close by a reset. A crowded wire may lose a FIN, which then comes again.
        let mut open: HashSet<u16> = requests.iter().map(|(answer, _)| answer.to.port()).collect();
        while !open.is_empty() {
            let fin = wire.expect(FIN);
            wire.send(&Segment { ack: 0, ..fin.answer(RST) });
            open.remove(&fin.to.port());
        }
        (accepted, listens)
    });
    tracer.wait_closed(accepted.iter().chain([&listens]));
    let outcome = tracer.finish();
    check::stream(&outcome);
    let mut wrong = Vec::new();
    for made in &accepted {
        let events = of_port(&outcome.events, made.remote.unwrap().port());
        let births = events.iter().filter(|event| is(event, "LISTEN", "SYN_RECV")).count();
        let made_it = events.iter().filter(|event| is(event, "SYN_RECV", "ESTABLISHED")).count();
        let closes = events.iter().filter(|event| matches!(event.kind, Kind::Close(_))).count();
        // While one processor completes the request, the other one's timer may report it with a cookie that the child does not get any more.
        let late = |event: &Event| is_late() && is(event, "LISTEN", "SYN_RECV");
        let same = events.iter().all(|event| event.cookie == Some(made.cookie) || late(event));
        if (births, made_it, closes, same) != (1, 1, 1, true) {
            wrong.push(format!("{}: {events:#?}", made.name()));
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong: {}", wrong.len(), accepted.len(), wrong[0]);
    Done::Passed
}
