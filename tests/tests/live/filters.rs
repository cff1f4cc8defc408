//! Each filter alone: everything it lets through fits, and nothing that fits is missing.

use crate::actor::{self, Actor, bound};
use crate::check::{self, Book, Life};
use crate::event::{Event, Kind};
use crate::lives::{ACTIVE_CLIENT, LISTENED, PASSIVE_SERVER, client_closes_first};
use crate::made::{self, Family, Made, Pair, tcp};
use crate::runner::{Done, Test};
use crate::tracer::{Outcome, Tracer, events};
use netstat_tests::netns::NetNs;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};

pub const TESTS: &[Test] = &[
    ("filters::proto", proto),
    ("filters::netns", netns),
    ("filters::pid_and_comm", pid_and_comm),
    ("filters::ports", ports),
    ("filters::ports_of_datagram_sockets", ports_of_datagram_sockets),
    ("filters::state", state),
    ("filters::several_at_once", several_at_once),
];

/// One of everything.
fn zoo() -> Vec<Life> {
    let mut lives = Vec::new();
    for family in [Family::V4, Family::V6] {
        let listener = made::listener(family);
        lives.extend(client_closes_first(Pair::new(family, &listener), b"ask", b"answer"));
        lives.push(Life::tcp(&Made::of(&listener), LISTENED, "closed"));
        let address = family.address(0);
        lives.push(Life::stateless(&Made::of(bound(Domain::for_address(address), address))));
        let icmp = if family == Family::V4 { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
        let raw = Socket::new(Domain::for_address(address), Type::RAW, Some(icmp)).unwrap();
        lives.push(Life::stateless(&Made::of(&raw)));
    }
    lives
}

/// Nothing that does not fit came through.
fn only(outcome: &Outcome, fits: impl Fn(&Event) -> bool) {
    let odd = outcome.events.iter().find(|event| !fits(event));
    assert!(odd.is_none(), "{} let this through: {odd:?}", outcome.command);
}

/// Traces with these arguments while the zoo comes and goes here, and looks for the lives that fit.
fn zoo_through(arguments: &[&str], fits: impl Fn(&Made) -> bool) -> Outcome {
    let mut tracer = Tracer::start(arguments);
    let lives: Vec<Life> = zoo().into_iter().filter(|life| fits(&life.made)).collect();
    assert!(!lives.is_empty());
    tracer.wait_closed(lives.iter().map(|life| &life.made));
    let outcome = tracer.finish();
    check::lives(&outcome, &lives);
    outcome
}

fn proto() -> Done {
    for protos in ["tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "raw", "raw4", "raw6", "tcp6,udp4", "udp6,raw4,tcp4"] {
        // Without a number both families.
        let means = |one: &str, proto: &str| {
            one == proto || one.strip_suffix('4') == Some(proto) || proto.strip_suffix('6') == Some(one)
        };
        let wanted = |proto: &str| protos.split(',').any(|one| means(one, proto));
        let outcome = zoo_through(&["--proto", protos], |made| wanted(&made.proto));
        only(&outcome, |event| wanted(&event.proto));
    }
    Done::Passed
}

fn netns() -> Done {
    let (here, there) = (NetNs::new().unwrap(), NetNs::new().unwrap());
    let number = here.inode().unwrap();
    for by_number in [true, false] {
        let mut tracer = if by_number {
            Tracer::start(&["--netns", &number.to_string()])
        } else {
            here.enter(|| Tracer::start(&["--netns", "self"]))
        };
        there.enter(zoo);
        let lives = here.enter(zoo);
        tracer.wait_closed(lives.iter().map(|life| &life.made));
        let outcome = tracer.finish();
        check::lives(&outcome, &lives);
        only(&outcome, |event| event.netns == Some(number));
        assert_eq!(
            outcome.events.iter().filter(|event| !check::in_time_wait(&event.kind)).count(),
            // Four TCP ends with five or six transitions, the listeners, and what has no states.
            2 * ((5 + 2) + (5 + 1) + (2 + 2) + 2 + 2),
            "{}: all that happened in this namespace, and no more: {outcome:?}",
            outcome.command
        );
    }
    Done::Passed
}

fn pid_and_comm() -> Done {
    let own = std::process::id();
    for by_pid in [true, false] {
        let own_pid = own.to_string();
        let arguments = if by_pid { ["--pid", own_pid.as_str()] } else { ["--where", "comm = 'odd one, out'"] };
        let mut tracer = Tracer::start(&arguments);
        let listener = made::listener(Family::V4);
        let listens = Made::of(&listener);
        let to = listener.local_addr().unwrap().to_string();
        let mut actor = Actor::start(actor::named("odd one, out", "hold", &[&to]));
        let theirs = actor.hear::<Vec<Made>>().remove(0);
        let (server, _) = listener.accept().unwrap();
        let accepted = Made::accepted(&server);
        actor.end();
        drop((server, listener));
        let mut lives = vec![
            Life::tcp(&theirs, ACTIVE_CLIENT, "closed"),
            Life::tcp(&accepted, PASSIVE_SERVER, "closed"),
            Life::tcp(&listens, LISTENED, "closed"),
        ];
        lives.retain(|life| (life.made.pid == own) == by_pid);
        tracer.wait_closed(lives.iter().map(|life| &life.made));
        let outcome = tracer.finish();
        check::lives(&outcome, &lives);
        only(&outcome, |event| if by_pid { event.pid == Some(own) } else { event.pid == Some(theirs.pid) });
    }
    Done::Passed
}

/// A connection between two ports that are known before: the listener's and the client's.
struct Ends {
    listener: std::net::TcpListener,
    client: Socket,
}

impl Ends {
    fn new() -> Self {
        let client = tcp(Domain::IPV4);
        client.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        Self { listener: made::listener(Family::V4), client }
    }

    fn ports(&self) -> (u16, u16) {
        let client = self.client.local_addr().unwrap().as_socket().unwrap();
        (self.listener.local_addr().unwrap().port(), client.port())
    }

    /// Connects and closes; the listener, the client, the child.
    fn live(self) -> [Made; 3] {
        self.client.connect(&self.listener.local_addr().unwrap().into()).unwrap();
        let (mut server, _) = self.listener.accept().unwrap();
        let made = [Made::of(&self.listener), Made::of(&self.client), Made::accepted(&server)];
        drop(self.client);
        // One end after the other, and not both at once.
        server.read_to_end(&mut Vec::new()).unwrap();
        drop(server);
        drop(self.listener);
        // Another connection, of other ports.
        let other = made::listener(Family::V4);
        drop(Pair::new(Family::V4, &other));
        made
    }
}

/// The states of a socket as the stream reports them, and `.` for its close; without what remains of it in TIME_WAIT.
fn walked(book: &Book, made: &Made) -> String {
    let mut words = Vec::new();
    for event in book.of(made).into_iter().filter(|event| !check::in_time_wait(&event.kind)) {
        match &event.kind {
            Kind::Open => words.push("open"),
            Kind::State { old, new, .. } => {
                if words.last() != Some(&old.as_str()) {
                    words.push(old);
                }
                words.push(new);
            }
            Kind::Close(_) => words.push("."),
        }
    }
    words.join(" ")
}

fn ports() -> Done {
    for option in ["--port", "--lport", "--rport"] {
        for of_client in [false, true] {
            let ends = Ends::new();
            let (listening, connecting) = ends.ports();
            let port = if of_client { connecting } else { listening };
            let mut tracer = Tracer::start(&["--proto", "tcp", option, &port.to_string()]);
            let made = ends.live();
            let seen = |made: &Made| {
                let local = made.local.is_some_and(|end| end.port() == port) && option != "--rport";
                local || made.remote.is_some_and(|end| end.port() == port) && option != "--lport"
            };
            tracer.wait_closed(made.iter().filter(|made| seen(made)));
            let outcome = tracer.finish();
            let at = |end: Option<crate::event::End>| end.and_then(|end| end.port) == Some(port);
            only(&outcome, |event| {
                (at(event.local) && option != "--rport") || (at(event.remote) && option != "--lport")
            });
            let book = Book::new(&outcome.events);
            for (made, path) in made.iter().zip(["LISTEN CLOSE", ACTIVE_CLIENT, PASSIVE_SERVER]) {
                // The listener was there before the tracer; a socket has no port yet when it is opened.
                let wanted = if seen(made) { format!("{path} .") } else { String::new() };
                assert_eq!(walked(&book, made), wanted, "{} of {}: {:?}", outcome.command, made.name(), book.of(made));
            }
        }
    }
    Done::Passed
}

/// A socket of UDP has its ports when it is closed.
fn ports_of_datagram_sockets() -> Done {
    let namespace = NetNs::new().unwrap();
    let number = namespace.inode().unwrap().to_string();
    let bind = || bound(Domain::IPV4, Family::V4.address(0));
    let (one, other) = namespace.enter(|| (bind(), bind()));
    let port = one.local_addr().unwrap().as_socket().unwrap().port();
    other.connect(&Family::V4.address(port).into()).unwrap();
    let made = [Made::of(&one), Made::of(&other)];
    let mut tracers = [("--port", [true, true]), ("--lport", [true, false]), ("--rport", [false, true])]
        .map(|(option, seen)| (Tracer::start(&["--netns", &number, option, &port.to_string()]), seen));
    let mut whole = Tracer::start(&["--netns", &number]);
    drop((one, other));
    whole.wait_closed(&made);
    for (tracer, seen) in &mut tracers {
        tracer.wait_closed(made.iter().zip(*seen).filter(|(_, seen)| *seen).map(|(made, _)| made));
    }
    for (tracer, seen) in tracers {
        let outcome = tracer.finish();
        let cookies: Vec<u64> = outcome.events.iter().filter_map(|event| event.cookie).collect();
        let wanted: Vec<u64> = made.iter().zip(seen).filter(|(_, seen)| *seen).map(|(made, _)| made.cookie).collect();
        assert_eq!(cookies, wanted, "{outcome:?}");
    }
    Done::Passed
}

fn state() -> Done {
    let cases: [(&str, [&[&str]; 3]); 4] = [
        ("ESTABLISHED", [&[], &["ESTABLISHED"], &["ESTABLISHED"]]),
        ("LISTEN", [&["LISTEN"], &[], &[]]),
        ("CLOSE_WAIT,FIN_WAIT2", [&[], &["FIN_WAIT2"], &["CLOSE_WAIT"]]),
        ("syn_sent,CLOSE", [&["CLOSE"], &["SYN_SENT", "CLOSE"], &["CLOSE"]]),
    ];
    let namespace = NetNs::new().unwrap();
    let number = namespace.inode().unwrap().to_string();
    for (states, wanted) in cases {
        let mut tracer = Tracer::start(&["--netns", &number, "--state", states]);
        let made = namespace.enter(|| Ends::new().live());
        let all: usize = wanted.iter().map(|states| states.len()).sum();
        tracer.wait(|events| events.iter().filter(|e| made.iter().any(|m| e.cookie == Some(m.cookie))).count() >= all);
        let outcome = tracer.finish();
        let fits = |new: &str| states.split(',').any(|state| state.eq_ignore_ascii_case(new));
        only(&outcome, |event| matches!(&event.kind, Kind::State { new, .. } if fits(new)));
        let book = Book::new(&outcome.events);
        for (made, wanted) in made.iter().zip(wanted) {
            let entered: Vec<&str> = book.of(made).iter().map(|event| new_state(event)).collect();
            assert_eq!(entered, wanted, "{} of {}", outcome.command, made.name());
        }
    }
    Done::Passed
}

fn new_state(event: &Event) -> &str {
    if let Kind::State { new, .. } = &event.kind { new } else { "none" }
}

fn several_at_once() -> Done {
    let ends = Ends::new();
    let (port, own) = (ends.ports().0.to_string(), std::process::id().to_string());
    let mut command = events(&["--json", "--proto=tcp,udp", "--lport", &port, "--pid", &own, "--netns", "self"]);
    command.args(["--state", "established", "--state", "last_ack"]);
    let mut tracer = Tracer::spawn(command);
    let made = ends.live();
    tracer.wait(|events| events.len() >= 2);
    let outcome = tracer.finish();
    let seen: Vec<(Option<u64>, &str)> = outcome.events.iter().map(|event| (event.cookie, new_state(event))).collect();
    assert_eq!(seen, [(Some(made[2].cookie), "ESTABLISHED"), (Some(made[2].cookie), "LAST_ACK")], "{outcome:?}");
    Done::Passed
}
