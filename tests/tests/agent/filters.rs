//! Filters of `events`, each alone and each two of them: through the agent come the same events as from a tracer of one's own with the same
//! options beside it.

use crate::agent::Agent;
use crate::churn::Place;
use netstat_tests::truth::actor::{self, Actor};
use netstat_tests::truth::event::{Event, Kind, Totals};
use netstat_tests::truth::made::{self, Family, Made, Pair};
use netstat_tests::truth::runner::{self, Done, Test};
use netstat_tests::truth::scale::{near_ns, scale};
use netstat_tests::truth::tracer::{Tracer, events, now_ns};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("filters::as_without_the_agent", as_without_the_agent),
    ("filters::in_other_forms_as_without_the_agent", in_other_forms_as_without_the_agent),
];

/// The name of the process that makes some of the sockets.
const OTHER: &str = "odd one, out";
/// Tracers at a time: each is a set of kernel programs and their maps.
const AT_A_TIME: usize = 4;
/// The same on an emulated machine, whose memory is small, and where the kernel may take a minute to check the programs of several.
const AT_A_TIME_EMULATED: usize = 1;

fn at_a_time() -> usize {
    if scale() < 1.0 { AT_A_TIME_EMULATED } else { AT_A_TIME }
}

/// How long a connection waits in between.
const PAUSE: Duration = Duration::from_millis(100);

/// An option and its value.
type Filter = (&'static str, String);

fn filters(port: u16, netns: u64) -> Vec<Filter> {
    vec![
        ("--pid", std::process::id().to_string()),
        ("--port", port.to_string()),
        ("--lport", port.to_string()),
        ("--rport", port.to_string()),
        ("--proto", "tcp".into()),
        ("--state", "established,CLOSE".into()),
        // With --state it must name transitions.
        ("--event", "state,close".into()),
        ("--netns", netns.to_string()),
        // A comma would divide two names.
        ("--comm", OTHER.replace(',', "?")),
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
fn traffic(port: u16) -> Made {
    let listener = listen(port);
    let to = listener.local_addr().unwrap();
    let Pair { mut client, mut server, .. } = Pair::new(Family::V4, &listener);
    client.write_all(b"ask").unwrap();
    server.read_exact(&mut [0; 3]).unwrap();
    server.write_all(b"answer").unwrap();
    client.read_exact(&mut [0; 6]).unwrap();
    // The durations of both readers are near each other because they are the same, not because all of them are short.
    thread::sleep(PAUSE);
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

/// What happened in these namespaces since then: every fact of each event but its times, and how long what ended with it had lasted. Both
/// readers see the same events of the kernel; the clock each reads by itself.
fn said(events: &[Event], namespaces: &[u64], since_ns: u64) -> Vec<(String, Option<u64>)> {
    // What is left in TIME_WAIT of an earlier set's connections may end meanwhile, where sets follow each other slowly: the agent knows whose it was.
    let is_older = |event: &Event| matches!(&event.kind, Kind::State { old, .. } if old == "TIME_WAIT");
    let ours = |event: &&Event| event.netns.is_some_and(|netns| namespaces.contains(&netns)) && !is_older(event);
    let fact = |event: &Event| {
        let (kind, lasted) = match event.kind.clone() {
            Kind::Open => (Kind::Open, None),
            Kind::State { old, new, in_state_ns } => (Kind::State { old, new, in_state_ns: None }, in_state_ns),
            Kind::Close(totals) => (Kind::Close(Totals { duration_ns: None, ..totals.clone() }), totals.duration_ns),
        };
        let Event { proto, local, remote, pid, comm, uid, owner, inode, cookie, netns, .. } = event;
        let whose = format!("{pid:?} {comm:?} {uid:?} {owner:?}");
        (format!("{cookie:?} {inode:?} {netns:?} {proto} {local:?} {remote:?} {whose} {kind:?}"), lasted)
    };
    let mut said: Vec<_> = events.iter().filter(ours).filter(|event| event.time_ns > since_ns).map(fact).collect();
    said.sort();
    said
}

/// The same was said, of events that had lasted about as long.
fn assert_same(asked: &[(String, Option<u64>)], direct: &[(String, Option<u64>)], what: &str) {
    let facts = |said: &[(String, Option<u64>)]| said.iter().map(|(fact, _)| fact.clone()).collect::<Vec<_>>();
    assert_eq!(facts(asked), facts(direct), "{what}");
    for ((fact, asked), (_, direct)) in asked.iter().zip(direct) {
        let is_near = match (asked, direct) {
            (Some(asked), Some(direct)) => asked.abs_diff(*direct) < near_ns(),
            (asked, direct) => asked == direct,
        };
        assert!(is_near, "{what}: {asked:?} ns, and {direct:?} without the agent: {fact}");
    }
}

/// A listener on this port, in the calling thread's namespace.
fn listen(port: u16) -> TcpListener {
    TcpListener::bind(("127.0.0.1", port)).unwrap()
}

/// A port that nobody uses in this namespace.
fn free_port(place: &Place) -> u16 {
    place.namespace.enter(|| listen(0).local_addr().unwrap().port())
}

fn as_without_the_agent() -> Done {
    let (place, elsewhere) = (Place::new(), Place::new());
    let agent = Agent::start(&[]);
    let port = free_port(&place);
    let filters = filters(port, place.netns);
    let mut all = pairs(&filters);
    if scale() < 1.0 {
        all.truncate(filters.len());
    }
    let namespaces = [place.netns, elsewhere.netns];
    let both = format!("{},{}", place.netns, elsewhere.netns);
    let mut compared = 0;
    for some in all.chunks(at_a_time()) {
        let mut whole = [&place, &elsewhere].map(|place| agent.events(&["--netns", &place.netns.to_string()]));
        let start = |filters: &[&Filter]| {
            let mut arguments: Vec<&str> =
                filters.iter().flat_map(|(option, value)| [*option, value.as_str()]).collect();
            // Others make sockets elsewhere.
            if !arguments.contains(&"--netns") {
                arguments.extend(["--netns", &both]);
            }
            (arguments.join(" "), filters.len(), Tracer::start(&arguments), agent.events(&arguments))
        };
        let tracers: Vec<(String, usize, Tracer, Tracer)> = thread::scope(|scope| {
            let starting: Vec<_> = some.iter().map(|filters| scope.spawn(|| start(filters))).collect();
            starting.into_iter().map(|starts| starts.join().unwrap()).collect()
        });
        let since_ns = now_ns();
        let last = [&place, &elsewhere].map(|place| place.namespace.enter(|| traffic(port)));
        whole.iter_mut().zip(&last).for_each(|(whole, last)| whole.wait_closed([last]));
        let everything: usize =
            whole.map(|whole| said(&whole.finish().events, &namespaces, since_ns).len()).iter().sum();
        for (arguments, filters, direct, asked) in tracers {
            let [direct, asked] = [direct, asked].map(|tracer| {
                let outcome = tracer.finish();
                assert!(outcome.lost.is_empty(), "{outcome:?}");
                said(&outcome.events, &namespaces, since_ns)
            });
            assert_same(&asked, &direct, &format!("events --agent {arguments}"));
            let count = direct.len();
            assert!(count < everything, "{arguments}: all of {everything} events");
            assert!(count > 0 || filters > 1, "{arguments}: no event");
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

/// Every fact of an event that is not a time.
const COLUMNS: &str = "event,proto,local,remote,direction,pid,comm,uid,owner,inode,cookie,netns,old_state,new_state,rx_bytes,tx_bytes,\
    rtt_us,retransmits,reason,closed_by";

/// Lines of chosen fields, counts by fields, and an end after so many events.
fn in_other_forms_as_without_the_agent() -> Done {
    let agent = Agent::start(&[]);
    // The sockets of a protocol without connections come one after the other.
    let forms: [(&[&str], usize); 4] = [
        (&["--columns", COLUMNS], 0),
        (&["--count-by", "event,proto,owner,comm,new_state,reason"], 0),
        (&["--columns", COLUMNS, "--count", "4"], 4),
        (&["--columns", COLUMNS, "--count", "5", "--proto", "udp"], 5),
    ];
    for some in forms.chunks(at_a_time()) {
        // Each in a namespace of its own: what is left in TIME_WAIT may end while the next ones look on.
        let place = Place::new();
        let port = free_port(&place);
        let netns = place.netns.to_string();
        let mut whole = agent.events(&["--netns", &netns]);
        let readers: Vec<[Tracer; 2]> = some
            .iter()
            .map(|(form, _)| {
                let direct = [form, &["--json", "--netns", &netns][..]].concat();
                let asked = [form, &["--netns", &netns][..]].concat();
                [Tracer::spawn(events(&direct)).unparsed(), agent.events(&asked).unparsed()]
            })
            .collect();
        let last = place.namespace.enter(|| traffic(port));
        whole.wait_closed([&last]);
        let everything = whole.finish().events.len();
        for (&(form, count), readers) in some.iter().zip(readers) {
            let [direct, asked] = readers.map(|reader| {
                let mut lines = reader.finish().raw;
                lines.sort();
                lines
            });
            assert_eq!(asked, direct, "events --agent {form:?}");
            assert!(!direct.is_empty() && direct.len() <= everything, "{form:?}: {direct:?}");
            assert!(count == 0 || direct.len() == count, "{form:?}: {direct:?}");
        }
        place.leave();
    }
    agent.stop();
    Done::Passed
}
