//! A soak: connects, accepts, resets and refusals from several threads at once, and of every single socket a beginning, an end and no gap.
//!
//! `NETSTAT_SOAK_EVENTS` says how many events; none of them are kept.

use super::losses::{PACED, pace};
use super::traced;
use crate::check;
use crate::event::{End, Event, Kind};
use crate::lives::reset;
use crate::made::{self, Family, tcp};
use crate::runner::{self, Done, Test};
use crate::scale::{patience, preempts_programs, soak};
use crate::tracer::Tracer;
use netstat_tests::netns::NetNs;
use socket2::Domain;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::AddAssign;
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] =
    &[("corners::soak", || soaked(NetNs::new().unwrap())), ("corners::soak_amid_interrupts", soaked_amid_interrupts)];

const THREADS: usize = 4;

/// Connections of a thread in a round. A round is far less than the tracer keeps room for.
const ROUND: usize = 400;

/// When no event has come for so long, no more do.
const LULL: Duration = Duration::from_secs(5);

/// Sockets that were made, by what their lives begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Births {
    opened: usize,
    accepted: usize,
}

impl AddAssign for Births {
    fn add_assign(&mut self, other: Self) {
        (self.opened, self.accepted) = (self.opened + other.opened, self.accepted + other.accepted);
    }
}

/// What the stream has said so far.
#[derive(Default)]
struct Ledger {
    events: usize,
    /// Sockets that are not over, or were over in this round.
    open: HashMap<u64, Vec<Event>>,
    /// Cookies by the ends of a connection, and the events of those without one: see [`preempts_programs`].
    cookies: HashMap<(End, End), u64>,
    nameless: HashMap<(End, End), Vec<Event>>,
    closed: usize,
    /// Those that were over in an earlier one.
    over: HashSet<u64>,
    /// In TIME_WAIT.
    waiting: HashSet<u64>,
    waited: usize,
    births: Births,
    wrong: Vec<String>,
}

impl Ledger {
    fn take(&mut self, event: Event) {
        self.events += 1;
        let ends = event.local.zip(event.remote);
        let known = || ends.and_then(|ends| self.cookies.get(&ends).copied()).filter(|_| preempts_programs());
        let Some(cookie) = event.cookie.or_else(known) else {
            match (ends, &event.kind) {
                (_, Kind::State { new, .. }) if preempts_programs() && new == "TIME_WAIT" => self.waited += 1,
                (_, Kind::State { old, .. }) if preempts_programs() && old == "TIME_WAIT" => {}
                (Some(ends), kind) if preempts_programs() => {
                    self.closed += usize::from(matches!(kind, Kind::Close(_)));
                    self.nameless.entry(ends).or_default().push(event);
                }
                _ => self.complain("no cookie", &event),
            }
            return;
        };
        self.cookies.extend(ends.map(|ends| (ends, cookie)));
        match &event.kind {
            Kind::State { new, .. } if new == "TIME_WAIT" => {
                self.waited += 1;
                if !self.waiting.insert(cookie) {
                    self.complain("TIME_WAIT begins twice", &event);
                }
                return;
            }
            Kind::State { old, .. } if old == "TIME_WAIT" => {
                if !self.waiting.remove(&cookie) {
                    self.complain("TIME_WAIT ends without a beginning", &event);
                }
                return;
            }
            Kind::Close(_) => self.closed += 1,
            _ => {}
        }
        if self.over.contains(&cookie) {
            return self.complain("an event after the end", &event);
        }
        let nameless = ends.and_then(|ends| self.nameless.remove(&ends));
        let life = self.open.entry(cookie).or_default();
        life.extend(nameless.into_iter().flatten());
        life.push(event);
    }

    fn complain(&mut self, what: &str, event: &Event) {
        self.wrong.push(format!("{what}: {}", event.line));
    }

    /// All sockets are over: each must have been whole.
    fn settle(&mut self) {
        self.cookies.clear();
        let lives = self.open.drain().map(|(cookie, events)| (Some(cookie), events));
        for (cookie, events) in lives.chain(self.nameless.drain().map(|(_, events)| (None, events))) {
            let events: Vec<&Event> = events.iter().collect();
            let opened = events.iter().filter(|event| event.kind == Kind::Open).count();
            let step = |event: &Event, step: (&str, &str)| matches!(&event.kind, Kind::State { old, new, .. } if (old.as_str(), new.as_str()) == step);
            let accepted = events.iter().filter(|event| step(event, ("LISTEN", "SYN_RECV"))).count();
            let closed = events.iter().filter(|event| matches!(event.kind, Kind::Close(_))).count();
            let ends =
                events.len() > 1 && matches!(&events[events.len() - 2].kind, Kind::State { new, .. } if new == "CLOSE");
            let order = check::order(&events, false, false);
            if (opened + accepted, closed, ends) != (1, 1, true) || order.is_err() {
                self.wrong.push(format!("not one whole life, {order:?}: {events:#?}"));
            }
            self.births += Births { opened, accepted };
            self.over.extend(cookie);
        }
    }
}

/// One thread's part of a round.
fn round(thread: usize, listener: &TcpListener, refusing: u16) -> Births {
    let mut births = Births::default();
    let to = listener.local_addr().unwrap();
    for number in 0..ROUND {
        births.opened += 1;
        // Addresses to divide the ports in TIME_WAIT among.
        let address = Ipv4Addr::new(127, 0, thread as u8, 1 + (number % 200) as u8);
        if number % 8 == 7 {
            tcp(Domain::IPV4).connect(&std::net::SocketAddr::from((address, refusing)).into()).unwrap_err();
            continue;
        }
        let client = made::connect(Domain::IPV4, (address, to.port()).into()).unwrap();
        let (server, _) = listener.accept().unwrap();
        births.accepted += 1;
        part(number, client, server);
    }
    births
}

/// The ways a connection may end.
fn part(number: usize, mut client: TcpStream, mut server: TcpStream) {
    match number % 8 {
        0 => reset(client),
        1 => reset(server),
        2 => {
            // Not read before the close.
            server.write_all(b"unheard").unwrap();
            client.peek(&mut [0; 7]).unwrap();
        }
        3 => {
            drop(server);
            assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        }
        4 => {
            client.write_all(b"ask").unwrap();
            server.read_exact(&mut [0; 3]).unwrap();
            server.write_all(b"answer").unwrap();
            client.read_exact(&mut [0; 6]).unwrap();
            reset(client);
        }
        _ => {
            drop(client);
            assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
        }
    }
}

/// The same with segments that are delivered by interrupts, whichever task these come upon. Only on request: there are machines whose kernel
/// runs no programs in an interrupt of certain tasks, and counts no miss. That is seen where the hits of the tracepoint by tracefs are more
/// than the runs and misses of its program by `bpf_stats_enabled`, by just those that have such a task as theirs.
fn soaked_amid_interrupts() -> Done {
    if std::env::var_os("NETSTAT_SOAK_INTERRUPTS").is_none() {
        return Done::Skipped(
            "NETSTAT_SOAK_INTERRUPTS is not set: not every kernel runs programs in every interrupt".into(),
        );
    }
    let namespace = NetNs::new().unwrap();
    match namespace.enter(|| pace(PACED)) {
        Ok(()) => soaked(namespace),
        Err(reason) => Done::Skipped(reason),
    }
}

fn soaked(namespace: NetNs) -> Done {
    let mut tracer = traced(&namespace, &["--proto", "tcp"]);
    let (listeners, refusing) = namespace.enter(|| {
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", "1024 65000").unwrap();
        fs::write("/proc/sys/net/ipv4/tcp_max_tw_buckets", "2000").unwrap();
        let listener = |_| TcpListener::bind("0.0.0.0:0").unwrap();
        ((0..THREADS).map(listener).collect::<Vec<_>>(), made::closed_port(Family::V4))
    });
    // The listeners, and the one whose port was given back.
    let mut expected = Births::default();
    let mut ledger = Ledger::default();
    let (start, wanted) = (Instant::now(), soak());
    while ledger.events < wanted && ledger.wrong.is_empty() {
        thread::scope(|scope| {
            let rounds = scope.spawn(|| {
                namespace.enter(|| {
                    let mut births = Births::default();
                    thread::scope(|scope| {
                        let start = |(thread, listener)| scope.spawn(move || round(thread, listener, refusing));
                        let threads: Vec<_> = listeners.iter().enumerate().map(start).collect();
                        threads.into_iter().for_each(|thread| births += thread.join().unwrap());
                    });
                    births
                })
            });
            while !rounds.is_finished() {
                tracer.take_each(|event| ledger.take(event));
            }
            expected += rounds.join().unwrap();
        });
        // The one with the port that was given back is among them.
        let wanted = expected.opened + expected.accepted + 1;
        take_until(&mut tracer, &mut ledger, |ledger| ledger.closed >= wanted);
        // The listeners go on.
        let listens = ledger.open.extract_if(|_, events| is_listener(events)).collect::<Vec<_>>();
        ledger.settle();
        ledger.open.extend(listens);
    }
    drop(listeners);
    drop(namespace);
    take_until(&mut tracer, &mut ledger, |ledger| ledger.waiting.is_empty());
    let outcome = tracer.finish_unchecked();
    outcome.events.iter().for_each(|event| ledger.take(event.clone()));
    ledger.settle();
    expected += Births { opened: THREADS + 1, accepted: 0 };
    runner::note(format!(
        "soak: {} events of {} sockets, {} times in TIME_WAIT, {:.0} events a second",
        ledger.events,
        ledger.over.len(),
        ledger.waited,
        ledger.events as f64 / start.elapsed().as_secs_f64()
    ));
    let lost: u64 = outcome.lost.iter().sum();
    assert!(lost == 0 || preempts_programs(), "events were lost: {lost}");
    if lost > 0 {
        runner::note(format!("soak: {lost} events were counted as lost, of {} sockets", ledger.wrong.len()));
    }
    assert!(
        ledger.wrong.len() as u64 <= lost,
        "{lost} events lost, and {} wrong, the first: {}",
        ledger.wrong.len(),
        ledger.wrong[0]
    );
    if lost == 0 {
        assert_eq!(ledger.births, expected, "sockets that were made");
    }
    let left = ledger.waiting.len() as u64;
    assert!(left <= lost, "{left} still in TIME_WAIT when their namespace is gone");
    Done::Passed
}

/// Takes events until there are no more to come. Of those that are lost nobody knows which they were.
fn take_until(tracer: &mut Tracer, ledger: &mut Ledger, all: impl Fn(&Ledger) -> bool) {
    let (deadline, mut last, mut seen) = (Instant::now() + patience(), Instant::now(), ledger.events);
    while !all(ledger) && Instant::now() < deadline && (tracer.lost() == 0 || last.elapsed() < LULL) {
        tracer.take_each(|event| ledger.take(event));
        if ledger.events > seen {
            (last, seen) = (Instant::now(), ledger.events);
        }
    }
}

fn is_listener(events: &[Event]) -> bool {
    matches!(&events.last().unwrap().kind, Kind::State { new, .. } if new == "LISTEN")
}
