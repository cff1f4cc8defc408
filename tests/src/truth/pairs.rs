//! Every filter of `events`, and every pair of them, held against the whole stream.

use crate::truth::actor::{self, Actor};
use crate::truth::event::{End, Event, Kind};
use crate::truth::made::{self, Family, Made, Pair};
use crate::truth::tracer::Tracer;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::Read;
use std::net::{SocketAddr, TcpListener};

/// The name of the process that makes some of the sockets.
const OTHER: &str = "odd one, out";

/// A filter: its option, its value, and which events it lets through.
pub struct Filter {
    option: &'static str,
    value: String,
    fits: Box<dyn Fn(&Event) -> bool + Sync>,
}

/// The filters, for traffic at a listener of this port.
pub fn filters(port: u16) -> Vec<Filter> {
    let filter = |option, value: &dyn ToString, fits: Box<dyn Fn(&Event) -> bool + Sync>| {
        let value = value.to_string();
        Filter { option, value, fits }
    };
    let at = move |end: Option<End>| end.and_then(|end| end.port) == Some(port);
    let own = std::process::id();
    vec![
        filter("--proto", &"tcp", Box::new(|event| event.proto.starts_with("tcp"))),
        filter("--port", &port, Box::new(move |event| at(event.local) || at(event.remote))),
        filter("--lport", &port, Box::new(move |event| at(event.local))),
        filter("--rport", &port, Box::new(move |event| at(event.remote))),
        filter("--pid", &own, Box::new(move |event| event.pid == Some(own))),
        filter("--comm", &"odd one*", Box::new(|event| event.comm.as_deref() == Some(OTHER))),
        filter(
            "--state",
            &"established,CLOSE",
            Box::new(|event| matches!(&event.kind, Kind::State { new, .. } if new == "ESTABLISHED" || new == "CLOSE")),
        ),
        // With --state it must name transitions.
        filter("--event", &"state,close", Box::new(|event| event.kind != Kind::Open)),
        filter("--where", &"uid = 0 and inode = 0", Box::new(|event| event.uid == Some(0) && event.inode == Some(0))),
    ]
}

/// Each filter alone, and each two of them.
pub fn pairs(filters: &[Filter]) -> Vec<Vec<&Filter>> {
    let single = filters.iter().map(|filter| vec![filter]);
    let two = (0..filters.len()).flat_map(|one| (one + 1..filters.len()).map(move |other| (one, other)));
    single.chain(two.map(|(one, other)| vec![&filters[one], &filters[other]])).collect()
}

/// The options of some filters, and of the namespace that nothing else happens in.
pub fn arguments<'a>(filters: &[&'a Filter], netns: &'a str) -> Vec<&'a str> {
    let filters = filters.iter().flat_map(|filter| [filter.option, filter.value.as_str()]);
    ["--netns", netns].into_iter().chain(filters).collect()
}

/// A listener, whose port the filters name.
pub fn listener() -> (TcpListener, u16) {
    let listener = made::listener(Family::V4);
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Connections of this process and of another one, a refused one, and datagram sockets to, from and beside the port. The listener closes last.
pub fn traffic(listener: TcpListener) -> Made {
    let to = listener.local_addr().unwrap();
    let Pair { client, mut server, .. } = Pair::new(Family::V4, &listener);
    drop(client);
    assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
    drop(server);
    let mut other = Actor::start(actor::named(OTHER, "hold", &[&to.to_string()]));
    other.hear::<Vec<Made>>();
    let (mut server, _) = listener.accept().unwrap();
    other.end();
    assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
    drop(server);
    made::connect(Domain::IPV4, Family::V4.address(made::closed_port(Family::V4))).unwrap_err();
    let udp = |local: SocketAddr, remote: Option<SocketAddr>| {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        socket.bind(&local.into()).unwrap();
        if let Some(remote) = remote {
            socket.connect(&remote.into()).unwrap();
        }
    };
    let (any, elsewhere) = (Family::V4.address(0), Family::V4.address(9));
    udp(to, None);
    udp(to, Some(elsewhere));
    udp(any, Some(to));
    udp(any, Some(elsewhere));
    let made = Made::of(&listener);
    drop(listener);
    made
}

/// What one stream says of an event that another one says as well: each tracer has times of its own, and may see an accept sooner.
fn sign(event: &Event) -> String {
    let what = match &event.kind {
        Kind::Open => "open".to_owned(),
        Kind::State { old, new, .. } => format!("{old} -> {new}"),
        Kind::Close(totals) => format!("close {} {:?} {:?}", totals.reason, totals.retransmits, totals.closed_by),
    };
    let ends = [event.local, event.remote].map(|end| end.map(|end| (end.addr, end.port)));
    format!("{what} {} {ends:?} {:?} {:?} {:?} {:?}", event.proto, event.cookie, event.pid, event.inode, event.uid)
}

/// A stream with filters is the whole one without what does not fit, in the same order.
fn check(whole: &[Event], filters: &[&Filter], seen: &[Event]) {
    let fits = |event: &&Event| filters.iter().all(|filter| (filter.fits)(event));
    let wanted: Vec<String> = whole.iter().filter(fits).map(sign).collect();
    let seen: Vec<String> = seen.iter().map(sign).collect();
    let difference = wanted.iter().zip(&seen).find(|(wanted, seen)| wanted != seen);
    assert!(
        wanted == seen,
        "{:?}: {} events, and not {}; the first other one: {difference:#?}",
        arguments(filters, "…"),
        seen.len(),
        wanted.len()
    );
}

/// Ends the tracers, each with filters, and holds them against the whole stream, from the time on when all had begun.
pub fn check_all(whole: &[Event], since_ns: u64, tracers: Vec<(Vec<&Filter>, Tracer)>) {
    let later =
        |events: &[Event]| -> Vec<Event> { events.iter().filter(|event| event.time_ns > since_ns).cloned().collect() };
    let whole = later(whole);
    for (filters, tracer) in tracers {
        check(&whole, &filters, &later(&tracer.finish().events));
    }
}
