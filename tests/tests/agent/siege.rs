//! The agent besieged: crowds of clients, some that stall, some that talk garbage. It lives on, and answers.

use crate::agent::{Agent, Reader};
use crate::churn::Place;
use bytes::BytesMut;
use netstat_tests::command::End;
use netstat_tests::truth::runner::{self, Done, Test};
use netstat_tests::truth::scale::{count, patience};
use netstat_user::model::Limits;
use netstat_user::query::{Answer, Request};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("siege::hundreds_of_clients", hundreds_of_clients),
    ("siege::stalled_readers_get_the_count_of_what_they_missed", stalled_readers_get_the_count_of_what_they_missed),
    ("siege::garbage", garbage),
    ("siege::a_second_agent_says_so", a_second_agent_says_so),
];

fn subscribe(agent: &Agent, netns: u64) -> Reader {
    let filter = Limits { netns: Some(vec![u32::try_from(netns).unwrap()]), ..Limits::default() };
    let mut reader = Reader::new(agent.connect().unwrap(), &Request::Events(filter)).unwrap();
    while !matches!(reader.next().unwrap(), Some(Answer::End)) {}
    reader
}

fn blink(place: &Place, sockets: usize) {
    let udp = || Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    place.namespace.enter(|| (0..sockets).for_each(|_| drop(udp())));
}

/// Readers of events, askers of everything else, all at once; and no place for one more than are allowed.
fn hundreds_of_clients() -> Done {
    let place = Place::new();
    let readers = count(200);
    let agent = Agent::start(&["--clients", &(readers + 100).to_string()]);
    let mut streams: Vec<Reader> = (0..readers).map(|_| subscribe(&agent, place.netns)).collect();
    thread::scope(|scope| {
        for number in 0..count(100) {
            let (agent, netns) = (&agent, place.netns);
            scope.spawn(move || match number % 3 {
                0 => drop(agent.status()),
                1 => drop(agent.table(netns)),
                _ => drop(agent.ask(&Request::Holders { of: vec![] })),
            });
        }
        blink(&place, 500);
    });
    for reader in &mut streams {
        let mut events = 0;
        while events < 1000 {
            match reader.next().unwrap() {
                Some(Answer::Event(_)) => events += 1,
                other => panic!("{other:?} after {events} events"),
            }
        }
    }
    // Now the rest of the places, and one more.
    let _more: Vec<Reader> = (0..100).map(|_| subscribe(&agent, place.netns)).collect();
    let refused = Reader::new(agent.connect().unwrap(), &Request::Status).unwrap().next().unwrap();
    assert!(matches!(&refused, Some(Answer::Refused(denial)) if denial.reason.contains("--clients")), "{refused:?}");
    drop((streams, _more));
    let deadline = Instant::now() + patience();
    // Those that have gone are noticed when they are written to.
    while !matches!(agent.try_ask(&Request::Status), Ok(answers) if !answers.is_empty()) {
        assert!(Instant::now() < deadline, "no place comes free");
        blink(&place, 10);
        thread::sleep(Duration::from_millis(50));
    }
    agent.stop();
    place.leave();
    Done::Passed
}

fn stalled_readers_get_the_count_of_what_they_missed() -> Done {
    let place = Place::new();
    let agent = Agent::start(&[]);
    let mut stalled: Vec<Reader> = (0..3).map(|_| subscribe(&agent, place.netns)).collect();
    let mut quick = subscribe(&agent, place.netns);
    // However small the rest is made: more than a reader's queue and its socket have room for.
    let sockets = count(60_000).max(40_000);
    let whole = 2 * sockets as u64;
    let read = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for events in 1..=whole {
                match quick.next().unwrap() {
                    Some(Answer::Event(_)) => read.store(events, Ordering::Relaxed),
                    other => panic!("a reader that reads gets {other:?} after {events} events"),
                }
            }
        });
        // Not faster than it can read.
        let deadline = Instant::now() + patience() * 5;
        for made in (0..sockets).step_by(500) {
            while read.load(Ordering::Relaxed) + 20_000 < 2 * made as u64 {
                assert!(Instant::now() < deadline, "a reader that reads is held up by those that do not");
                thread::sleep(Duration::from_millis(1));
            }
            blink(&place, 500.min(sockets - made));
        }
    });
    assert_eq!(agent.status().lost, 0);
    // All is published by now. The stalled ones wake up, and get the exact rest.
    for reader in &mut stalled {
        let (mut events, mut missed) = (0, None);
        while let Some(answer) = reader.next().unwrap() {
            match answer {
                Answer::Event(_) => events += 1,
                Answer::Dropped(count) => missed = Some(count),
                other => panic!("{other:?}"),
            }
        }
        let missed = missed.unwrap_or_else(|| panic!("no word that it was dropped, after {events} events"));
        assert!(missed > 0);
        assert_eq!(events + missed, whole, "{events} read, {missed} missed");
        runner::note(format!("stalled reader: {events} of {whole} events, with word that it missed {missed}"));
    }
    agent.wait("the dropped readers", |status| status.dropped_readers == 3);
    agent.stop();
    place.leave();
    Done::Passed
}

/// Bytes that are no request, in every way that was thought of.
fn nonsense(number: usize) -> Vec<u8> {
    let mut out = BytesMut::new();
    Request::Status.encode(&mut out);
    let good = out.to_vec();
    match number % 8 {
        0 => vec![0xff; 4096],
        1 => u32::MAX.to_le_bytes().to_vec(),
        // As long as is allowed, and then some.
        2 => [&8192u32.to_le_bytes()[..], &[7; 8192]].concat(),
        3 => vec![0; 64],
        4 => good[..good.len() - 1].to_vec(),
        // Another version.
        5 => good.iter().enumerate().map(|(at, &byte)| if at == 4 { 99 } else { byte }).collect(),
        // Another request.
        6 => good.iter().enumerate().map(|(at, &byte)| if at == 5 { 250 } else { byte }).collect(),
        _ => (0..number as u32 * 37).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
    }
}

fn garbage() -> Done {
    let agent = Agent::start(&[]);
    let mut open = Vec::new();
    for number in 0..count(400) {
        let mut stream = UnixStream::connect(&agent.socket).unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        // It may hang up in the middle of it.
        let _ = stream.write_all(&nonsense(number));
        match number % 3 {
            // Gone at once; gone after it has been answered; there to stay, in silence.
            0 => drop(stream),
            1 => {
                let _ = stream.shutdown(Shutdown::Write);
                let _ = stream.read_to_end(&mut Vec::new());
            }
            _ => open.push(stream),
        }
        if open.len() > 50 {
            open.clear();
        }
        if number % 50 == 0 {
            agent.status();
        }
    }
    let resident = agent.resident() >> 20;
    assert!(resident < 256, "{resident} MiB");
    agent.status();
    agent.stop();
    Done::Passed
}

fn a_second_agent_says_so() -> Done {
    let agent = Agent::start(&[]);
    match Agent::at(&agent.socket, &[]) {
        Err((End::Exit(1), said)) => {
            assert!(said.iter().any(|line| line.contains("something listens on")), "{said:?}");
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("two agents on one path"),
    }
    agent.status();
    agent.stop();
    Done::Passed
}
