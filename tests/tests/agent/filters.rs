//! Filters of `events`, each alone and each two of them: through the agent come the same events as from a tracer of one's own with the same
//! options beside it.

use crate::agent::Agent;
use crate::churn::Place;
use netstat_tests::truth::actor::{self, Actor};
use netstat_tests::truth::event::{Event, Kind};
use netstat_tests::truth::made::{self, Family, Made, Pair};
use netstat_tests::truth::runner::{self, Done, Test};
use netstat_tests::truth::scale::scale;
use netstat_tests::truth::tracer::{Tracer, now_ns};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::thread;

pub const TESTS: &[Test] = &[("filters::as_without_the_agent", as_without_the_agent)];

/// The name of the process that makes some of the sockets.
const OTHER: &str = "odd one, out";
/// Tracers at a time: each is a set of kernel programs and their maps.
const AT_A_TIME: usize = 4;
/// The same on an emulated machine, whose memory is small, and where the kernel may take a minute to check the programs of several.
const AT_A_TIME_EMULATED: usize = 1;

/// An option and its value.
type Filter = (&'static str, String);

fn filters(port: u16, netns: u64) -> Vec<Filter> {
    vec![
        ("--pid", std::process::id().to_string()),
        ("--port", port.to_string()),
        ("--state", "established,CLOSE".into()),
        // With --state it must name transitions.
        ("--event", "state,close".into()),
        ("--netns", netns.to_string()),
        ("--comm", OTHER.into()),
        ("--where", format!("uid = 0 and (dport != :{port} or not proto = tcp)")),
    ]
}

/// Each alone, and each two.
fn pairs(filters: &[Filter]) -> Vec<Vec<&Filter>> {
    let single = filters.iter().map(|filter| vec![filter]);
    let two = (0..filters.len()).flat_map(|one| (one + 1..filters.len()).map(move |other| (one, other)));
    single.chain(two.map(|(one, other)| vec![&filters[one], &filters[other]])).collect()
}

/// Connections of this process and of another one, a refused one, and datagram sockets to, from and beside the port. The listener closes last.
fn traffic(listener: TcpListener) -> Made {
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

/// What happened in these namespaces since then: socket, kind, states and owner, each as often as it was said.
fn said(events: &[Event], namespaces: [u64; 2], since_ns: u64) -> HashMap<String, usize> {
    let mut said = HashMap::new();
    let ours = |event: &&Event| event.netns.is_some_and(|netns| namespaces.contains(&netns));
    for event in events.iter().filter(ours).filter(|event| event.time_ns > since_ns) {
        let what = match &event.kind {
            Kind::Open => "open".to_owned(),
            Kind::State { old, new, .. } => format!("{old} -> {new}"),
            Kind::Close(totals) => format!("close {}", totals.reason),
        };
        *said.entry(format!("{:?} {} {what} {:?}", event.cookie, event.proto, event.pid)).or_default() += 1;
    }
    said
}

fn as_without_the_agent() -> Done {
    let (place, elsewhere) = (Place::new(), Place::new());
    let agent = Agent::start(&[]);
    let listen = |place: &Place, port: u16| place.namespace.enter(|| TcpListener::bind(("127.0.0.1", port)).unwrap());
    let port = listen(&place, 0).local_addr().unwrap().port();
    let filters = filters(port, place.netns);
    let mut all = pairs(&filters);
    let mut at_a_time = AT_A_TIME;
    if scale() < 1.0 {
        all.truncate(filters.len());
        at_a_time = AT_A_TIME_EMULATED;
    }
    let namespaces = [place.netns, elsewhere.netns];
    let both = format!("{},{}", place.netns, elsewhere.netns);
    let mut compared = 0;
    for some in all.chunks(at_a_time) {
        let listeners = [listen(&place, port), listen(&elsewhere, port)];
        let mut whole = [&place, &elsewhere].map(|place| agent.events(&["--netns", &place.netns.to_string()]));
        let start = |filters: &[&Filter]| {
            let mut arguments: Vec<&str> =
                filters.iter().flat_map(|(option, value)| [*option, value.as_str()]).collect();
            // Others make sockets elsewhere.
            if !arguments.contains(&"--netns") {
                arguments.extend(["--netns", &both]);
            }
            (arguments.join(" "), Tracer::start(&arguments), agent.events(&arguments))
        };
        let tracers: Vec<(String, Tracer, Tracer)> = thread::scope(|scope| {
            let starting: Vec<_> = some.iter().map(|filters| scope.spawn(|| start(filters))).collect();
            starting.into_iter().map(|starts| starts.join().unwrap()).collect()
        });
        let since_ns = now_ns();
        let [here, there] = listeners;
        let last = [place.namespace.enter(|| traffic(here)), elsewhere.namespace.enter(|| traffic(there))];
        whole.iter_mut().zip(&last).for_each(|(whole, last)| whole.wait_closed([last]));
        let everything: usize =
            whole.map(|whole| said(&whole.finish().events, namespaces, since_ns).values().sum::<usize>()).iter().sum();
        for (arguments, direct, asked) in tracers {
            let [direct, asked] = [direct, asked].map(|tracer| {
                let outcome = tracer.finish();
                assert!(outcome.lost.is_empty(), "{outcome:?}");
                said(&outcome.events, namespaces, since_ns)
            });
            assert_eq!(asked, direct, "events --agent {arguments}");
            let count = direct.values().sum::<usize>();
            assert!(count < everything, "{arguments}: all of {everything} events");
            compared += count;
        }
    }
    assert!(compared > 100, "only {compared} events passed a filter");
    runner::note(format!("{} filters and pairs of filters, {compared} events", all.len()));
    agent.stop();
    place.leave();
    elsewhere.leave();
    Done::Passed
}
