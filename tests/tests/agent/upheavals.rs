//! The table under load, after losses, after a kill: at rest it is the kernel's own list.

use crate::agent::{Agent, Reader, path};
use crate::churn::{Place, while_they_come_and_go};
use crate::kernel::{self, Row};
use crate::stage::equal;
use netstat_tests::command;
use netstat_tests::programs;
use netstat_tests::truth::event::{self, Event, Kind, Line};
use netstat_tests::truth::runner::{self, Done, Test};
use netstat_tests::truth::scale::{self, count, patience};
use netstat_tests::truth::tracer::{Outcome, Tracer};
use netstat_user::model::Limits;
use netstat_user::model::{EventEnd, SocketEvent};
use netstat_user::query::{Answer, Request};
use netstat_user::table::{Retention, Table};
use nix::sys::signal::Signal;
use socket2::{Domain, Protocol, Socket, Type};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("upheavals::mixed_churn_ends_in_equality", mixed_churn_ends_in_equality),
    ("upheavals::events_alone_make_the_same_table", events_alone_make_the_same_table),
    ("upheavals::what_is_lost_is_counted_and_made_good", what_is_lost_is_counted_and_made_good),
    ("upheavals::a_loss_is_bad_while_it_affects_an_answer", a_loss_is_bad_while_it_affects_an_answer),
    ("upheavals::set_right_on_sighup_under_load", set_right_on_sighup_under_load),
    ("upheavals::killed_and_started_again_under_load", killed_and_started_again_under_load),
    ("upheavals::memory_is_bounded", memory_is_bounded),
];

/// Pause after every few sockets: many thousands a second are no test of what is true, but of who is faster.
const PAUSE: Duration = Duration::from_millis(1);

fn places(count: usize) -> Vec<Place> {
    (0..count).map(|_| Place::new()).collect()
}

fn equal_everywhere(agent: &Agent, places: &[Place], when: &str) -> usize {
    let rows = places.iter().map(|place| place.namespace.enter(|| equal(agent, place.netns, when)).len());
    rows.sum()
}

fn mixed_churn_ends_in_equality() -> Done {
    let places = places(3);
    let agent = Agent::start(&[]);
    let mut rows = 0;
    let work = || {
        let until = Instant::now() + scale::churn();
        while Instant::now() < until {
            // Somebody looks on.
            places.iter().for_each(|place| drop(agent.table(place.netns)));
            thread::sleep(Duration::from_millis(300));
        }
    };
    let made = while_they_come_and_go(&places, PAUSE, work, || rows = equal_everywhere(&agent, &places, "at rest"));
    equal_everywhere(&agent, &places, "all closed");
    let status = agent.status();
    assert_eq!(status.forgotten, 0, "{status:?}");
    runner::note(format!(
        "churn: {made} sockets and pairs in {} s, {rows} rows equal at rest; {} events, {} lost, {} resyncs corrected {} \
         sockets of the machine",
        scale::churn().as_secs(),
        status.events,
        status.lost,
        status.resyncs,
        status.corrected
    ));
    agent.stop();
    places.into_iter().for_each(Place::leave);
    Done::Passed
}

/// What a table and the kernel's lists are compared by where only events were folded: TCP, without inodes, which an accept gives
/// unreported; and without what waits in FIN_WAIT2 for nobody, which is reported when it is over.
fn reported(mut rows: Vec<Row>) -> Vec<Row> {
    rows.retain(|row| row.proto.starts_with("tcp") && (row.state != "FIN_WAIT2" || row.inode != 0));
    rows.iter_mut().for_each(|row| (row.inode, row.uid) = (0, 0));
    rows.sort();
    rows
}

/// A copy of the table, made from the agent's events and nothing else, of a namespace that was empty at first.
fn events_alone_make_the_same_table() -> Done {
    let place = Place::new();
    let agent = Agent::start(&[]);
    let netns = u32::try_from(place.netns).unwrap();
    // Of every namespace, to show what was reported if something is wrong.
    let mut reader = Reader::new(agent.connect().unwrap(), &Request::Events(Limits::default())).unwrap();
    while !matches!(reader.next().unwrap(), Some(Answer::End)) {}
    let copy = Mutex::new(Table::new(Retention { recent_ns: 0, recent_count: 0 }));
    let seen = Mutex::new(Vec::new());
    let lost = AtomicU64::new(0);
    // What was wrong at rest: a transition that is missing is counted as lost with the next one of its socket.
    let mut wrong = None;
    let made = thread::scope(|scope| {
        scope.spawn(|| {
            // Ends with the agent.
            while let Ok(Some(answer)) = reader.next() {
                match answer {
                    Answer::Event(event) => {
                        if event.netns == Some(netns) {
                            copy.lock().unwrap().event(&event);
                        }
                        seen.lock().unwrap().push(event);
                    }
                    Answer::Lost { count, .. } => drop(lost.fetch_add(count, Ordering::Relaxed)),
                    Answer::End => return,
                    other => panic!("the stream is not whole: {other:?}"),
                }
            }
        });
        let rest = || {
            let deadline = Instant::now() + patience();
            loop {
                let before = kernel_of(&place);
                let mine = copy.lock().unwrap().live().filter(|socket| socket.is_listed()).map(Row::of_live).collect();
                let mine = reported(mine);
                if mine == before {
                    break;
                }
                if Instant::now() < deadline {
                    thread::sleep(Duration::from_millis(200));
                    continue;
                }
                let odd =
                    mine.iter().find(|row| !before.contains(row)).or(before.iter().find(|row| !mine.contains(row)));
                let seen = seen.lock().unwrap();
                let ends = |event: &&SocketEvent| {
                    let port = |end: Option<EventEnd>| end.and_then(|end| end.port);
                    odd.is_some_and(|row| {
                        (port(event.local), port(event.remote)) == (Some(row.local.1), Some(row.remote.1))
                    })
                };
                let cookies: Vec<_> = seen.iter().filter(ends).map(|event| event.cookie).collect();
                let reported: Vec<_> = seen.iter().filter(|event| cookies.contains(&event.cookie)).collect();
                let missing: Vec<_> = before.iter().filter(|row| !mine.contains(row)).take(5).map(Row::name).collect();
                let extra: Vec<_> = mine.iter().filter(|row| !before.contains(row)).take(5).map(Row::name).collect();
                let odd_rows = missing_in(&before, &mine) + missing_in(&mine, &before);
                wrong = Some((
                    odd_rows as u64,
                    format!(
                        "{} rows in the kernel, {} from events: missing {missing:#?}, extra {extra:#?}, of the first was reported: {reported:#?}\n\
                     the programs were passed over {} times; {:?}",
                        before.len(),
                        mine.len(),
                        agent.missed(),
                        agent.status()
                    ),
                ));
                break;
            }
        };
        let made =
            while_they_come_and_go(std::slice::from_ref(&place), 4 * PAUSE, || thread::sleep(scale::churn() / 2), rest);
        agent.stop();
        made
    });
    // Each event that was lost can make a row wrong: one that is missing, or is still there, or both, in another state.
    if let (Some((rows, wrong)), lost) = (wrong, lost.into_inner()) {
        assert!(rows <= 2 * lost, "{lost} losses reported, and {rows} rows are wrong: {wrong}");
        runner::note(format!("events alone: {rows} rows were wrong, as {lost} events were lost"));
    }
    runner::note(format!("events alone: the same table after {made} sockets and pairs"));
    place.leave();
    Done::Passed
}

/// How many of these rows are not among those.
fn missing_in(these: &[Row], those: &[Row]) -> usize {
    these.iter().filter(|row| !those.contains(row)).count()
}

fn kernel_of(place: &Place) -> Vec<Row> {
    reported(place.namespace.enter(kernel::lists))
}

/// A socket by which a place in a stream is known again.
fn marker(place: &Place) -> u64 {
    place.namespace.enter(|| udp().cookie().unwrap())
}

fn udp() -> Socket {
    Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap()
}

/// Waits until the tracer has reported a whole marker, which is made again while it is lost.
fn mark(place: &Place, tracer: &mut Tracer) -> u64 {
    let deadline = Instant::now() + patience();
    loop {
        let cookie = marker(place);
        let whole = |events: &[Event]| events.iter().rev().filter(|event| event.cookie == Some(cookie)).count() == 2;
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(20));
            if tracer.wait_briefly(whole) {
                return cookie;
            }
        }
        assert!(Instant::now() < deadline, "nothing comes through after a loss");
    }
}

/// How many events a stream reports as lost after the first event of one socket and before the close of another.
fn lost_between(outcome: &Outcome, first: u64, last: u64) -> u64 {
    let lines = outcome.raw.iter().map(|line| event::parse(line).unwrap());
    let is_of = |line: &Line, cookie| matches!(line, Line::Event(event) if event.cookie == Some(cookie));
    let after = lines.skip_while(|line| !is_of(line, first));
    let is_last =
        |line: &Line| is_of(line, last) && matches!(line, Line::Event(event) if matches!(event.kind, Kind::Close(_)));
    let after: Vec<Line> = after.collect();
    let end = after.iter().position(is_last).unwrap_or(after.len());
    let count = |line: &Line| if let Line::Lost(count) = line { *count } else { 0 };
    match after[..end].iter().map(count).sum() {
        // Where the marker came with what was left in the ring, the loss is reported behind it.
        0 => after[end..].iter().map(count).find(|&count| count > 0).unwrap_or(0),
        lost => lost,
    }
}

/// `doctor` names a loss with its time and until when `--recent` is affected; afterwards it is no reason to fail.
fn a_loss_is_bad_while_it_affects_an_answer() -> Done {
    let place = Place::new();
    let agent = Agent::start(&["--buffer", "4K", "--recent", "4s"]);
    agent.signal(Signal::SIGSTOP);
    place.namespace.enter(|| (0..count(2000)).for_each(|_| drop(udp())));
    agent.signal(Signal::SIGCONT);
    agent.wait("a loss", |status| status.lost > 0);
    let doctor = || {
        let mut command = Command::new(programs::netstat_user());
        let outcome = command::run(command.args(["doctor", "--agent"]).arg(&agent.socket), None, patience()).unwrap();
        (outcome.end, String::from_utf8(outcome.stdout).unwrap())
    };
    let (end, said) = doctor();
    assert_eq!(end, command::End::Exit(1), "{said}");
    let verdict = said.lines().next().unwrap();
    assert!(!verdict.contains("missing: lost") && verdict.contains(" events were lost, the last at "), "{said}");
    assert!(verdict.contains("; the table is right since then, but --recent lacks sockets"), "{said}");
    assert!(verdict.contains(" at that time, until ") && verdict.ends_with('.'), "{said}");
    let deadline = Instant::now() + patience();
    loop {
        thread::sleep(Duration::from_millis(500));
        let (end, said) = doctor();
        if end == command::End::Exit(0) {
            let line = said.lines().find(|line| line.contains(" lost ")).unwrap_or_default();
            assert!(line.contains(" events were lost, the last at ") && line.starts_with("  ok "), "{said}");
            break;
        }
        assert!(Instant::now() < deadline, "the loss is held against it for ever: {said}");
    }
    agent.stop();
    place.leave();
    Done::Passed
}

/// An agent whose ring holds some thirty records, stopped while thousands are made. What it lost is counted exactly: a tracer with room
/// for all of them is the witness.
fn what_is_lost_is_counted_and_made_good() -> Done {
    let place = Place::new();
    let agent = Agent::start(&["--buffer", "4K"]);
    let number = place.netns.to_string();
    let mut witness = Tracer::start(&[]);
    let mut reported = agent.events(&[]);
    // What was lost before is reported when a second one comes through.
    let first = [mark(&place, &mut reported), mark(&place, &mut reported)][1];
    agent.signal(Signal::SIGSTOP);
    let kept: Vec<Socket> = place.namespace.enter(|| {
        let listener = netstat_tests::truth::made::listener(netstat_tests::truth::made::Family::V4);
        let mut kept: Vec<Socket> = vec![listener.into()];
        for number in 0..count(4000) {
            let socket = udp();
            if number % 10 == 0 {
                socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
                kept.push(socket);
            }
        }
        kept
    });
    agent.signal(Signal::SIGCONT);
    let last = mark(&place, &mut reported);
    let status = agent.wait("a resync after the loss", |status| status.resyncs > 1);
    assert!(status.lost as usize > count(4000), "{status:?}");
    place.namespace.enter(|| equal(&agent, place.netns, "after a loss"));
    witness
        .wait(|events| events.iter().any(|event| event.cookie == Some(last) && matches!(event.kind, Kind::Close(_))));
    let (reported, witness) = (reported.finish(), witness.finish());
    assert!(witness.lost.is_empty(), "the witness lost some itself: {witness:?}");
    // The machine makes other sockets meanwhile, and they are lost like ours. Between the markers both have seen the same.
    let between = |events: &[Event]| {
        let begin = events.iter().position(|event| event.cookie == Some(first)).unwrap();
        let end =
            events.iter().position(|event| event.cookie == Some(last) && matches!(event.kind, Kind::Close(_))).unwrap();
        (end - begin + 1) as u64
    };
    let lost = lost_between(&reported, first, last);
    let (whole, seen) = (between(&witness.events), between(&reported.events));
    // One record may be two events: a birth is reported with what follows it. Ours are UDP; another's may be among the lost.
    let births = |events: &[Event]| {
        let birth = |event: &&Event| {
            matches!(&event.kind, Kind::State { old, .. } if old == "LISTEN") && event.netns != Some(place.netns)
        };
        events.iter().filter(birth).count() as u64
    };
    let slack = births(&witness.events);
    assert!(
        seen + lost <= whole && whole <= seen + lost + slack,
        "{whole} events, {seen} reported, {lost} lost, {slack} births elsewhere, in {number}"
    );
    runner::note(format!("loss: {whole} events, {seen} reported, {lost} counted as lost, the table equal"));
    drop(kept);
    place.namespace.enter(|| equal(&agent, place.netns, "all closed"));
    agent.stop();
    place.leave();
    Done::Passed
}

fn set_right_on_sighup_under_load() -> Done {
    let places = places(2);
    let agent = Agent::start(&[]);
    let before = agent.status().resyncs;
    let work = || {
        for round in 1..=8 {
            agent.signal(Signal::SIGHUP);
            agent.wait("a resync on SIGHUP", |status| status.resyncs >= before + round);
        }
    };
    while_they_come_and_go(&places, PAUSE, work, || {
        assert!(equal_everywhere(&agent, &places, "at rest after SIGHUP") > 0)
    });
    agent.stop();
    places.into_iter().for_each(Place::leave);
    Done::Passed
}

fn killed_and_started_again_under_load() -> Done {
    let places = places(2);
    let socket = path();
    let agent = std::cell::RefCell::new(Agent::at(&socket, &[]).unwrap());
    let work = || {
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(300));
            agent.borrow().signal(Signal::SIGKILL);
            // Its socket's file is left behind, and nobody answers on it.
            assert!(agent.borrow().try_ask(&Request::Status).is_err());
            assert!(socket.exists());
            agent.replace(Agent::at(&socket, &[]).unwrap());
        }
    };
    while_they_come_and_go(&places, PAUSE, work, || {
        assert!(equal_everywhere(&agent.borrow(), &places, "at rest after a kill") > 0)
    });
    agent.into_inner().stop();
    places.into_iter().for_each(Place::leave);
    Done::Passed
}

fn memory_is_bounded() -> Done {
    let place = Place::new();
    let agent = Agent::start(&["--recent-count", "10000"]);
    let flood = |sockets: usize| place.namespace.enter(|| (0..sockets).for_each(|_| drop(udp())));
    let mut seen = agent.status().events;
    let mut settle = |sockets: usize| {
        flood(sockets);
        let wanted = seen + 2 * sockets as u64;
        seen = agent.wait("all events", |status| status.events + status.lost >= wanted).events;
        agent.resident()
    };
    let before = settle(count(20_000));
    let after = settle(count(150_000));
    let grown = after.saturating_sub(before) >> 20;
    runner::note(format!("memory: {} MiB, and {grown} MiB more after {} sockets", before >> 20, count(150_000)));
    assert!(grown < 16, "{grown} MiB more");
    let status = agent.status();
    assert!(status.recent <= 10_000, "{status:?}");
    agent.stop();
    place.leave();
    Done::Passed
}
