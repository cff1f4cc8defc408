//! Readers of events that stall, and pauses of the agent itself.

use super::{STRANGER, open_to_all};
use crate::agent::{Agent, Reader};
use crate::churn::Place;
use netstat_tests::command::End;
use netstat_tests::truth::actor::{self, Actor};
use netstat_tests::truth::runner::{self, Done, Test};
use netstat_tests::truth::scale::{count, patience, scale};
use netstat_tests::truth::tracer::Tracer;
use netstat_user::model::Limits;
use netstat_user::query::{Answer, Request};
use nix::sys::signal::{Signal, kill};
use socket2::{Domain, Protocol, Socket, Type};
use std::os::unix::process::CommandExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("attack::a_client_that_was_stopped_says_what_it_missed", a_client_that_was_stopped_says_what_it_missed),
    ("attack::pauses_of_the_agent_cost_no_reader_an_event", pauses_of_the_agent_cost_no_reader_an_event),
    ("attack::a_siege_by_one_user_costs_root_nothing", a_siege_by_one_user_costs_root_nothing),
];

/// Makes so many sockets that end at once: two events each.
fn blink(place: &Place, sockets: usize) {
    let udp = || Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    place.namespace.enter(|| (0..sockets).for_each(|_| drop(udp())));
}

/// The command line, stopped by SIGSTOP while more happens than is kept for it: with `--strict` it exits with 3, and names the exact rest.
fn a_client_that_was_stopped_says_what_it_missed() -> Done {
    let place = Place::new();
    let agent = Agent::start(&[]);
    let netns = place.netns.to_string();
    let sockets = count(60_000).max(45_000) / 1000 * 1000;
    for (strict, code) in [(true, 3), (false, 1)] {
        let mut args = vec!["--netns", netns.as_str()];
        args.extend(strict.then_some("--strict"));
        let reader: Tracer = agent.events(&args);
        kill(reader.pid(), Signal::SIGSTOP).unwrap();
        let (before, stopped) = (agent.status().events, Instant::now());
        for _ in 0..sockets / 1000 {
            blink(&place, 1000);
            // Longer in all than a reader that takes nothing is borne with.
            thread::sleep(Duration::from_millis(5));
        }
        agent.wait("all events", |status| status.events >= before + 2 * sockets as u64);
        kill(reader.pid(), Signal::SIGCONT).unwrap();
        let outcome = reader.ended();
        assert_eq!(outcome.end, End::Exit(code), "{:?}", outcome.stderr);
        let lost: u64 = outcome.lost.iter().sum();
        let read = outcome.events.len() as u64;
        // What waits for a reader that is to go is kept for it for a minute, in which a slow machine is not through.
        assert!(lost > 0 && (read > 0 || stopped.elapsed() > Duration::from_secs(55)), "{read} read, {lost} lost");
        assert_eq!(read + lost, 2 * sockets as u64, "{read} read, {lost} said to be lost");
        runner::note(format!("stopped client: {read} events, {lost} missed, exit code {code}"));
    }
    agent.stop();
    place.leave();
    Done::Passed
}

/// The agent is stopped for a while, and set right, beside a reader that reads: it gets every event.
fn pauses_of_the_agent_cost_no_reader_an_event() -> Done {
    let place = Place::new();
    let agent = Agent::start(&["--buffer", "256M"]);
    let filter = Limits { netns: Some(vec![u32::try_from(place.netns).unwrap()]), ..Limits::default() };
    let mut reader = Reader::new(agent.connect().unwrap(), &Request::Events(filter)).unwrap();
    while !matches!(reader.next().unwrap(), Some(Answer::End)) {}
    let sockets = count(60_000);
    let whole = 2 * sockets as u64;
    thread::scope(|scope| {
        let reading = scope.spawn(move || {
            for events in 0..whole {
                match reader.next().unwrap() {
                    Some(Answer::Event(_)) => {}
                    other => panic!("a reader that reads gets {other:?} after {events} events"),
                }
            }
        });
        for _ in 0..3 {
            agent.signal(Signal::SIGSTOP);
            // All of it is in the ring when the agent goes on.
            blink(&place, sockets / 3);
            agent.signal(Signal::SIGCONT);
            agent.signal(Signal::SIGHUP);
        }
        reading.join().unwrap();
    });
    let status = agent.status();
    assert_eq!((status.lost, status.dropped_readers), (0, 0), "{status:?}");
    agent.stop();
    place.leave();
    Done::Passed
}

/// Subscribers of one user that take nothing, as many as the agent lets in and more, for a while (`NETSTAT_SIEGE_SECONDS`, 5 unless given, 1 under emulation) at the
/// full rate: root's reader gets every event, nothing is lost, root gets in, and the memory is given back.
fn a_siege_by_one_user_costs_root_nothing() -> Done {
    let seconds = std::env::var("NETSTAT_SIEGE_SECONDS").ok().and_then(|text| text.parse().ok());
    // Under emulation one processor has the besiegers, the agent and the reader.
    let seconds = seconds.unwrap_or(if scale() < 1.0 { 1 } else { 5 });
    let place = Place::new();
    // What has ended is kept, and how much that is depends on the machine: here it is little beside what the besiegers could hold.
    let agent = open_to_all(&["--recent-count", "10000"]);
    let mut besiegers = actor::named("besiegers", "besiege", &[agent.socket.to_str().unwrap(), "250"]);
    let mut besiegers = Actor::start({
        besiegers.uid(STRANGER).gid(STRANGER);
        besiegers
    });
    let (inside, refused): (usize, usize) = besiegers.hear();
    // A quarter of the 256 places that there are unless asked otherwise.
    assert!((8..=64).contains(&inside) && refused > 0, "{inside} are let in, {refused} are not");
    let filter = Limits { netns: Some(vec![u32::try_from(place.netns).unwrap()]), ..Limits::default() };
    let mut reader = Reader::new(agent.connect().unwrap(), &Request::Events(filter)).unwrap();
    while !matches!(reader.next().unwrap(), Some(Answer::End)) {}
    let before = agent.resident() >> 20;
    // How many were made in all, once that is known.
    let total = AtomicU64::new(u64::MAX);
    let made = thread::scope(|scope| {
        let (place, agent, total) = (&place, &agent, &total);
        scope.spawn(move || {
            let until = Instant::now() + Duration::from_secs(seconds);
            let mut made = 1;
            while Instant::now() < until {
                blink(place, 1000);
                made += 1000;
            }
            total.store(made, Ordering::SeqCst);
            // The reader waits for another event before it looks.
            blink(place, 1);
        });
        let mut events: u64 = 0;
        while events / 2 < total.load(Ordering::SeqCst) {
            match reader.next().unwrap() {
                Some(Answer::Event(_)) => events += 1,
                other => panic!("root's reader gets {other:?} after {events} events"),
            }
            if events.is_multiple_of(100_000) {
                agent.status();
            }
        }
        total.load(Ordering::SeqCst)
    });
    let status = agent.status();
    assert_eq!(status.lost, 0, "{status:?}");
    let during = agent.resident() >> 20;
    besiegers.end();
    let deadline = Instant::now() + patience();
    // They are noticed to have gone when they are written to.
    while agent.status().clients > 3 || agent.resident() >> 20 > before + 96 {
        assert!(Instant::now() < deadline, "{} MiB are held, {:?}", agent.resident() >> 20, agent.status());
        blink(&place, 100);
        thread::sleep(Duration::from_millis(100));
    }
    let after = agent.resident() >> 20;
    runner::note(format!(
        "siege: {inside} besiegers of one user, {} events in {seconds} s, 0 lost; {before} MiB before, {during} during, {after} after",
        2 * made
    ));
    drop(reader);
    let start = Instant::now();
    agent.stop();
    assert!(start.elapsed() < patience(), "it takes {:?} to end", start.elapsed());
    place.leave();
    Done::Passed
}
