//! Thousands of sockets, and processes that are gone before anybody could look.

use crate::actor::{self, Actor};
use crate::check::{self, Life};
use crate::lives::{ACTIVE_CLIENT, BROKEN_CLIENT, BROKEN_SERVER, PASSIVE_SERVER, client_closes_first, reset, traced};
use crate::made::{self, Family, Made, Pair};
use crate::runner::{self, Done, Test};
use crate::scale::{count, open_files};
use crate::tracer::Tracer;
use netstat_tests::netns::NetNs;
use nix::sys::signal::Signal;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Mutex;
use std::thread;

pub const TESTS: &[Test] = &[
    ("crowds::thousands_of_connections", thousands_of_connections),
    ("crowds::processes_that_exit_at_once", || NetNs::new().unwrap().enter(processes_that_exit_at_once)),
    ("crowds::thousands_open_at_the_same_time", thousands_open_at_the_same_time),
    ("crowds::drained_after_sigint", || NetNs::new().unwrap().enter(drained_after_sigint)),
    ("crowds::thousands_of_udp_sockets", thousands_of_udp_sockets),
    ("crowds::more_than_are_kept_room_for", more_than_are_kept_room_for),
];

fn reset_at_once(pair: Pair) -> [Life; 2] {
    let Pair { client, mut server, client_made, server_made } = pair;
    reset(client);
    // A reset, or the end if it came while accepting; both say that the other end is gone.
    let _ = server.read(&mut [0; 1]);
    drop(server);
    [Life::tcp(&client_made, BROKEN_CLIENT, "reset_sent"), Life::tcp(&server_made, BROKEN_SERVER, "reset_received")]
}

/// Connections from two threads at once, of every family, orderly and reset.
fn churn(connections: usize) -> Vec<Life> {
    let lives = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for part in 0..2 {
            let lives = &lives;
            scope.spawn(move || {
                let listeners = Family::ALL.map(|family| (family, made::listener(family)));
                let mut mine = Vec::new();
                for number in 0..connections / 2 {
                    let (family, listener) = &listeners[number % listeners.len()];
                    let pair = Pair::new(*family, listener);
                    mine.extend(match (number / 4 + part) % 2 {
                        0 => client_closes_first(pair, b"ping", b"pong!"),
                        _ => reset_at_once(pair),
                    });
                }
                lives.lock().unwrap().extend(mine);
            });
        }
    });
    lives.into_inner().unwrap()
}

fn thousands_of_connections() -> Done {
    traced(&[], || churn(count(4000)));
    Done::Passed
}

/// Stopped at once after the last socket is closed: what the kernel has recorded by then is still reported.
fn drained_after_sigint() -> Done {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let tracer = Tracer::start(&["--proto", "udp,tcp", "--netns", "self"]);
        let listener = made::listener(Family::V4);
        let mut lives = Vec::new();
        for _ in 0..count(500) {
            lives.extend(reset_at_once(Pair::new(Family::V4, &listener)));
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
            lives.push(Life::stateless(&Made::of(&socket)));
        }
        tracer.signal(signal);
        let outcome = tracer.ended();
        assert_eq!(outcome.end, netstat_tests::command::End::Exit(0), "{outcome:?}");
        check::lives(&outcome, &lives);
    }
    Done::Passed
}

fn processes_that_exit_at_once() -> Done {
    let mut tracer = Tracer::start(&["--proto", "tcp", "--netns", "self"]);
    let listener = made::listener(Family::V4);
    let to: SocketAddr = listener.local_addr().unwrap();
    let visitors = count(1500);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut lives = Vec::new();
    thread::scope(|scope| {
        let spawner = scope.spawn(move || {
            for number in 0..visitors {
                let name = format!("visitor-{}", number % 7);
                let mut command = actor::named(&name, "visit", &[&to.to_string(), "hi"]);
                let mut child = command.stdin(Stdio::null()).stdout(writer.try_clone().unwrap()).spawn().unwrap();
                assert!(child.wait().unwrap().success());
            }
        });
        let server = scope.spawn(|| {
            let mut served = Vec::new();
            for _ in 0..visitors {
                let (mut stream, made) = made::accept(&listener);
                let mut heard = Vec::new();
                stream.read_to_end(&mut heard).unwrap();
                served.push(Life::tcp(&made, PASSIVE_SERVER, "closed").bytes(2, 0).accepted_late());
            }
            served
        });
        let mut names = HashMap::new();
        for line in BufReader::new(reader).lines() {
            let made: Made = serde_json::from_str(&line.unwrap()).unwrap();
            *names.entry(made.comm.clone()).or_insert(0) += 1;
            lives.push(Life::tcp(&made, ACTIVE_CLIENT, "closed").bytes(0, 2));
        }
        assert_eq!((lives.len(), names.len()), (visitors, 7.min(visitors)));
        spawner.join().unwrap();
        lives.extend(server.join().unwrap());
    });
    tracer.wait_closed(lives.iter().map(|life| &life.made));
    check::lives(&tracer.finish(), &lives);
    Done::Passed
}

fn thousands_open_at_the_same_time() -> Done {
    let pairs = count(3000).min(open_files().saturating_sub(100) / 2);
    traced(&["--proto", "tcp"], || {
        let listener = made::listener(Family::V4);
        let open: Vec<Pair> = (0..pairs).map(|_| Pair::new(Family::V4, &listener)).collect();
        open.into_iter().flat_map(|pair| client_closes_first(pair, b"at last", b"")).collect()
    });
    Done::Passed
}

fn thousands_of_udp_sockets() -> Done {
    traced(&["--proto", "udp,udp6"], || {
        let mut lives = Vec::new();
        for number in 0..count(6000) {
            let domain = if number % 2 == 0 { Domain::IPV4 } else { Domain::IPV6 };
            let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).unwrap();
            lives.push(Life::stateless(&Made::of(&socket)));
        }
        lives
    });
    Done::Passed
}

/// Nearly as many at a time as the programs have taken memory for: many of the sets it is divided into run over.
fn more_than_are_kept_room_for() -> Done {
    traced(&["--proto", "udp,udp6"], || {
        let start =
            |number| Actor::start(actor::named(&format!("hoarder-{number}"), "hoard", &[&count(19_000).to_string()]));
        let mut hoarders: Vec<Actor> = (0..5).map(start).collect();
        let made: Vec<Made> = hoarders.iter_mut().flat_map(Actor::hear::<Vec<Made>>).collect();
        runner::note(format!("{} sockets open at the same time", made.len()));
        hoarders.into_iter().for_each(Actor::end);
        made.iter().map(Life::stateless).collect()
    });
    Done::Passed
}
