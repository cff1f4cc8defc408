//! What there is of a connection besides its socket: TIME_WAIT after it, a request that waits before it.

use crate::check;
use crate::event::{Event, Kind};
use crate::lives::{client_closes_first, go_deaf};
use crate::made::{self, Family, Made, Pair, tcp};
use crate::runner::{Done, Test};
use crate::scale::count;
use crate::tracer::{Outcome, Tracer};
use netstat_tests::netns::NetNs;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("remains::time_wait_begins_once", time_wait_begins_once),
    ("remains::time_wait_ends_with_its_namespace", time_wait_ends_with_its_namespace),
    ("remains::time_wait_that_was_there_before_ends", time_wait_that_was_there_before_ends),
    ("remains::time_wait_is_cut_short", time_wait_is_cut_short),
    ("remains::a_request_that_waits_becomes_its_connection", a_request_that_waits_becomes_its_connection),
    ("remains::a_request_that_is_given_up_ends", a_request_that_is_given_up_ends),
    ("remains::a_request_that_is_reset_ends", a_request_that_is_reset_ends),
    ("remains::a_slow_handshake_takes_its_time", a_slow_handshake_takes_its_time),
];

/// The transitions of a socket, by its cookie.
fn steps(events: &[Event], cookie: u64) -> Vec<(&Event, &str, &str)> {
    let mine = events.iter().filter(|event| event.cookie == Some(cookie));
    mine.filter_map(|event| match &event.kind {
        Kind::State { old, new, .. } => Some((event, old.as_str(), new.as_str())),
        _ => None,
    })
    .collect()
}

fn traced(namespace: &NetNs) -> Tracer {
    Tracer::start(&["--proto", "tcp,tcp6", "--netns", &namespace.inode().unwrap().to_string()])
}

/// The client closes, and the server so much later.
fn server_lingers(pair: Pair, by: Duration) -> Made {
    let Pair { client, mut server, client_made, .. } = pair;
    drop(client);
    server.read_to_end(&mut Vec::new()).unwrap();
    thread::sleep(by);
    client_made
}

fn is_time_wait(step: &(&Event, &str, &str)) -> bool {
    step.2 == "TIME_WAIT"
}

fn time_wait_begins_once() -> Done {
    let namespace = NetNs::new().unwrap();
    let mut tracer = traced(&namespace);
    let clients: Vec<Made> = namespace.enter(|| {
        let mut clients = Vec::new();
        for family in Family::ALL {
            let listener = made::listener(family);
            for _ in 0..count(200) {
                clients.push(client_closes_first(Pair::new(family, &listener), b"", b"")[0].made.clone());
            }
            // Long enough for the socket to be gone, and what remains of it to wait for the peer in FIN_WAIT2; too short, and long
            // enough, for the timer of that to move.
            for by in [50, 100, 2500] {
                clients.push(server_lingers(Pair::new(family, &listener), Duration::from_millis(by)));
            }
        }
        clients
    });
    let begun =
        |events: &[Event], made: &Made| steps(events, made.cookie).iter().filter(|step| is_time_wait(step)).count();
    tracer.wait(|events| clients.iter().all(|made| begun(events, made) > 0));
    let outcome = tracer.finish();
    check::stream(&outcome);
    for made in &clients {
        let steps = steps(&outcome.events, made.cookie);
        let waits: Vec<_> = steps.iter().filter(|step| is_time_wait(step)).collect();
        let [(event, old, _)] = waits[..] else { panic!("{} times in TIME_WAIT: {steps:?}", waits.len()) };
        assert!(matches!(*old, "FIN_WAIT1" | "FIN_WAIT2" | "CLOSING"), "from {old}: {}", event.line);
        assert_eq!((event.pid, event.owner.as_deref()), (Some(made.pid), Some("created")), "{}", event.line);
        assert_eq!(event.comm.as_deref(), Some(made.comm.as_str()), "{}", event.line);
        check_ends(event, made);
        assert_eq!(event.inode, Some(0), "{}", event.line);
        assert!(matches!(event.kind, Kind::State { in_state_ns: Some(_), .. }), "{}", event.line);
    }
    Done::Passed
}

/// Clients that have closed first, and are in TIME_WAIT.
fn closed_clients() -> Vec<Made> {
    let of_family = |family| {
        let listener = made::listener(family);
        (0..count(50)).map(|_| client_closes_first(Pair::new(family, &listener), b"", b"")[0].made.clone()).collect()
    };
    Family::ALL.into_iter().flat_map(|family| -> Vec<Made> { of_family(family) }).collect()
}

/// The ends are those of the socket, in the form that its family has.
fn check_ends(event: &Event, made: &Made) {
    let ends = [event.local, event.remote].map(|end| end.map(|end| (end.addr, end.port)));
    let wanted = [made.local, made.remote].map(|end| end.map(|end| (Some(end.ip()), Some(end.port()))));
    assert_eq!((event.proto.as_str(), ends), (made.proto.as_str(), wanted), "{}", event.line);
}

fn is_over(events: &[Event], made: &Made) -> bool {
    steps(events, made.cookie).iter().any(|step| step.1 == "TIME_WAIT")
}

/// It was in TIME_WAIT for as long as is said.
fn check_stay(steps: &[(&Event, &str, &str)]) {
    let [.., (began, _, "TIME_WAIT"), (ended, "TIME_WAIT", "CLOSE")] = steps else { panic!("{steps:?}") };
    let Kind::State { in_state_ns: Some(stayed), .. } = ended.kind else { panic!("how long? {}", ended.line) };
    let between = ended.time_ns - began.time_ns;
    assert!(between.abs_diff(stayed) < 1_000_000, "{stayed}, not {between}: {}", ended.line);
}

fn time_wait_ends_with_its_namespace() -> Done {
    let namespace = NetNs::new().unwrap();
    let mut tracer = traced(&namespace);
    let clients = namespace.enter(closed_clients);
    tracer.wait(|events| clients.iter().all(|made| steps(events, made.cookie).iter().any(is_time_wait)));
    assert!(!tracer.wait_briefly(|events| clients.iter().any(|made| is_over(events, made))), "over before its time");
    drop(namespace);
    tracer.wait(|events| clients.iter().all(|made| is_over(events, made)));
    let outcome = tracer.finish();
    check::stream(&outcome);
    for made in &clients {
        let steps = steps(&outcome.events, made.cookie);
        check_stay(&steps);
        let (ended, ..) = steps[steps.len() - 1];
        assert_eq!((ended.pid, ended.owner.as_deref()), (Some(made.pid), Some("created")), "{}", ended.line);
        check_ends(ended, made);
    }
    Done::Passed
}

/// The first minisockets that the tracer hears of are those that end.
fn time_wait_that_was_there_before_ends() -> Done {
    let namespace = NetNs::new().unwrap();
    let clients = namespace.enter(closed_clients);
    let mut tracer = traced(&namespace);
    drop(namespace);
    tracer.wait(|events| clients.iter().all(|made| !steps(events, made.cookie).is_empty()));
    let outcome = tracer.finish();
    check::stream(&outcome);
    for made in &clients {
        let steps = steps(&outcome.events, made.cookie);
        let [(ended, "TIME_WAIT", "CLOSE")] = steps[..] else { panic!("{}: {steps:?}", made.name()) };
        assert!(matches!(ended.kind, Kind::State { in_state_ns: None, .. }), "{}", ended.line);
        check_ends(ended, made);
    }
    Done::Passed
}

/// A new connection takes the place of one in TIME_WAIT, from the same ports, again and again: the end of one and the beginning of the next
/// often have the same piece of the kernel's memory.
fn time_wait_is_cut_short() -> Done {
    let namespace = NetNs::new().unwrap();
    let mut tracer = traced(&namespace);
    let connect_again = |family: Family| -> Vec<Made> {
        let listener = made::listener(family);
        let mut from = family.address(0);
        let connect = |_| {
            let client = tcp(Domain::for_address(from));
            client.set_reuse_address(true).unwrap();
            client.bind(&from.into()).unwrap();
            client.connect(&family.address(listener.local_addr().unwrap().port()).into()).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            let made = Made::of(&client);
            from = made.local.unwrap();
            // The client waits, and its SYN from the same port takes the place of what remains.
            drop(client);
            server.read_to_end(&mut Vec::new()).unwrap();
            drop(server);
            made
        };
        (0..count(100)).map(connect).collect()
    };
    let clients: Vec<Made> = namespace.enter(|| Family::ALL.into_iter().flat_map(connect_again).collect());
    drop(namespace);
    tracer.wait(|events| clients.iter().all(|made| is_over(events, made)));
    let outcome = tracer.finish();
    check::stream(&outcome);
    for made in &clients {
        check_stay(&steps(&outcome.events, made.cookie));
    }
    Done::Passed
}

/// A client that begins to connect but hears nothing.
pub fn deaf_client(family: Family, listener: &TcpListener) -> Socket {
    let to = family.address(listener.local_addr().unwrap().port());
    let client = tcp(Domain::for_address(to));
    go_deaf(SockRef::from(&client));
    client.set_nonblocking(true).unwrap();
    let error = client.connect(&to.into()).expect_err("connected at once");
    assert!(error.kind() == ErrorKind::WouldBlock || error.raw_os_error() == Some(nix::libc::EINPROGRESS), "{error}");
    client
}

/// The request that waits at a listener.
fn request<'a>(events: &'a [Event], listener: &Made) -> Option<&'a Event> {
    let port = listener.local.map(|end| end.port());
    events.iter().find(|event| {
        let begins = matches!(&event.kind, Kind::State { old, new, .. } if old == "LISTEN" && new == "SYN_RECV");
        begins && event.local.and_then(|end| end.port) == port
    })
}

fn check_request(outcome: &Outcome, listens: &Made) -> Event {
    check::stream(outcome);
    let event = request(&outcome.events, listens).expect("no request");
    assert_eq!((event.pid, event.owner.as_deref()), (Some(listens.pid), Some("inherited")), "{}", event.line);
    assert!(event.cookie.is_some() && event.inode == Some(0), "{}", event.line);
    event.clone()
}

/// A listener of each family, a client that asks it and hears nothing, and what the listener is.
fn requests() -> Vec<(TcpListener, Socket, Made)> {
    let ask = |family| {
        let listener = made::listener(family);
        let (client, listens) = (deaf_client(family, &listener), Made::of(&listener));
        (listener, client, listens)
    };
    Family::ALL.map(ask).into()
}

fn a_request_that_waits_becomes_its_connection() -> Done {
    let namespace = NetNs::new().unwrap();
    let mut tracer = traced(&namespace);
    let waiting = namespace.enter(requests);
    tracer.wait(|events| waiting.iter().all(|(.., listens)| request(events, listens).is_some()));
    let become_one = |(listener, client, listens): (TcpListener, Socket, Made)| {
        SockRef::from(&client).detach_filter().unwrap();
        let (server, _) = listener.accept().unwrap();
        (listens, Made::accepted(&server))
    };
    let made: Vec<(Made, Made)> = waiting.into_iter().map(become_one).collect();
    tracer.wait_closed(made.iter().flat_map(|(listens, accepted)| [listens, accepted]));
    let outcome = tracer.finish();
    for (listens, accepted) in &made {
        let begun = check_request(&outcome, listens);
        assert_eq!(begun.cookie, Some(accepted.cookie), "the connection has the cookie of its request");
        let steps = steps(&outcome.events, accepted.cookie);
        let [(_, "LISTEN", "SYN_RECV"), (established, "SYN_RECV", "ESTABLISHED"), ..] = steps[..] else {
            panic!("{}: {steps:?}", accepted.name())
        };
        let Kind::State { in_state_ns: Some(stayed), .. } = established.kind else { panic!("{}", established.line) };
        let between = established.time_ns - begun.time_ns;
        assert!(between.abs_diff(stayed) < 1_000_000, "{stayed}, not {between}: {}", established.line);
        check_ends(established, accepted);
    }
    Done::Passed
}

fn a_request_that_is_given_up_ends() -> Done {
    let namespace = NetNs::new().unwrap();
    let mut tracer = traced(&namespace);
    // The clients send their SYN again meanwhile, which sets the request's timer anew.
    let waiting = namespace.enter(|| {
        fs::write("/proc/sys/net/ipv4/tcp_synack_retries", "1").unwrap();
        requests()
    });
    let ends = |events: &[Event], listens: &Made| {
        let cookie = request(events, listens).and_then(|event| event.cookie);
        cookie.is_some_and(|cookie| steps(events, cookie).iter().any(|step| (step.1, step.2) == ("SYN_RECV", "CLOSE")))
    };
    tracer.wait(|events| waiting.iter().all(|(.., listens)| ends(events, listens)));
    let outcome = tracer.finish();
    for (.., listens) in &waiting {
        check_request(&outcome, listens);
    }
    Done::Passed
}

/// A SYN out of nowhere, and the kernel resets what comes of it: the half-open scan of a port.
fn scan(raw: &Socket, to: IpAddr, from_port: u16, to_port: u16) {
    let mut header = [0; 20];
    header[..2].copy_from_slice(&from_port.to_be_bytes());
    header[2..4].copy_from_slice(&to_port.to_be_bytes());
    // Five words of header, SYN, a window.
    header[12..16].copy_from_slice(&[5 << 4, 1 << 1, 0xff, 0xff]);
    // RFC 9293, 3.1: the pseudo header has both addresses, here the same, the protocol and the length.
    let address = match to {
        IpAddr::V4(addr) => addr.octets().to_vec(),
        IpAddr::V6(addr) => addr.octets().to_vec(),
    };
    let pseudo = [&address[..], &address, &[0, 6, 0, 20]].concat();
    let words = pseudo.chunks(2).chain(header.chunks(2)).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum: u32 = words.sum();
    let folded = (sum >> 16) + (sum & 0xffff);
    header[16..18].copy_from_slice(&(!(folded + (folded >> 16)) as u16).to_be_bytes());
    raw.send_to(&header, &SocketAddr::from((to, 0)).into()).unwrap();
}

fn a_request_that_is_reset_ends() -> Done {
    let namespace = NetNs::new().unwrap();
    let mut tracer = traced(&namespace);
    let scans = count(200) as u16;
    let listeners: Vec<Made> = namespace.enter(|| {
        let scan_one = |family: Family| {
            let listener = made::listener(family);
            let to = family.address(0).ip().to_canonical();
            let raw = Socket::new(Domain::for_address((to, 0).into()), Type::RAW, Some(Protocol::TCP)).unwrap();
            let listens = Made::of(&listener);
            let port = listens.local.unwrap().port();
            (0..scans).for_each(|number| scan(&raw, to, 1000 + number, port));
            listens
        };
        Family::ALL.map(scan_one).into()
    });
    tracer.wait_closed(&listeners);
    let outcome = tracer.finish();
    check::stream(&outcome);
    for (listens, number) in listeners.iter().flat_map(|listens| (0..scans).map(move |number| (listens, number))) {
        let ports = [listens.local.map(|end| end.port()), Some(1000 + number)];
        let theirs = |event: &&Event| [event.local, event.remote].map(|end| end.and_then(|end| end.port)) == ports;
        let mine: Vec<&Event> = outcome.events.iter().filter(theirs).collect();
        let [begun, ended] = mine[..] else { panic!("{}, port {}: {mine:?}", listens.proto, 1000 + number) };
        let is = |event: &Event, from: &str, to: &str| {
            assert!(matches!(&event.kind, Kind::State { old, new, .. } if old == from && new == to), "{}", event.line);
            assert_eq!((event.pid, event.owner.as_deref()), (Some(listens.pid), Some("inherited")), "{}", event.line);
            assert_eq!((event.cookie, event.inode), (None, Some(0)), "{}", event.line);
        };
        is(begun, "LISTEN", "SYN_RECV");
        is(ended, "SYN_RECV", "CLOSE");
        let Kind::State { in_state_ns: Some(stayed), .. } = ended.kind else { panic!("{}", ended.line) };
        assert_eq!(ended.time_ns - begun.time_ns, stayed, "{}", ended.line);
    }
    Done::Passed
}

/// The interface lets through a segment of a handshake every 60 ms or so.
fn a_slow_handshake_takes_its_time() -> Done {
    for family in [Family::V4, Family::V6] {
        let namespace = NetNs::new().unwrap();
        // A SYN with its options takes 74 bytes, of IPv6 94: what is larger than the burst is dropped.
        let burst = if matches!(family, Family::V6) { 100 } else { 80 };
        let slow = format!("qdisc add dev lo root tbf rate 8kbit burst {burst} latency 5s");
        match namespace.enter(|| Command::new("tc").args(slow.split(' ')).output()) {
            Ok(output) if output.status.success() => {}
            Ok(output) => return Done::Skipped(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => return Done::Skipped(format!("tc: {error}")),
        }
        let mut tracer = traced(&namespace);
        let (took, server) = namespace.enter(|| {
            let listener = made::listener(family);
            let start = Instant::now();
            let pair = Pair::new(family, &listener);
            (start.elapsed(), pair.server_made)
        });
        tracer.wait_closed([&server]);
        let outcome = tracer.finish();
        let steps = steps(&outcome.events, server.cookie);
        let [(begun, "LISTEN", "SYN_RECV"), (established, "SYN_RECV", "ESTABLISHED"), ..] = steps[..] else {
            panic!("{family:?}: {steps:?}")
        };
        let waited = Duration::from_nanos(established.time_ns - begun.time_ns);
        assert!(waited > Duration::from_millis(50) && waited <= took, "{waited:?} of {took:?}: {}", begun.line);
    }
    Done::Passed
}
