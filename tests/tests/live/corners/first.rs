//! The first events: a tracer that starts in the middle of traffic reports nothing that it has not seen whole.

use super::{ROLE, traced};
use crate::actor::{self, Actor};
use crate::check;
use crate::event::{Event, Kind};
use crate::made::Made;
use crate::runner::{self, Done, Test};
use crate::scale::{count, preempts_programs, scale};
use crate::tracer::{Outcome, now_ns};
use netstat_tests::netns::NetNs;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::thread;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("corners::started_in_the_middle_of_traffic", started_in_the_middle_of_traffic),
    ("corners::started_while_older_sockets_move", started_while_older_sockets_move),
];

/// How often the tracer is started. On an emulated machine each time takes long.
fn times() -> usize {
    if scale() < 1.0 { 2 } else { 5 }
}

/// Nobody listens on this one, and clients ask there all the same.
pub const REFUSING_PORT: u16 = 1;

const FALSE_END: &str = "SYN_RECV to CLOSE of a connection that was made";

/// What is wrong in a stream, by symptom: how often, and the first sight of each.
#[derive(Default)]
struct Symptoms(BTreeMap<&'static str, (usize, String)>);

impl Symptoms {
    fn add(&mut self, what: &'static str, events: &[&Event]) {
        let (count, _) = self
            .0
            .entry(what)
            .or_insert_with(|| (0, events.iter().map(|event| format!("\n    {}", event.line)).collect()));
        *count += 1;
    }
}

/// Connections over loopback at full rate, all of them served, but for those that are refused.
fn started_in_the_middle_of_traffic() -> Done {
    let namespace = NetNs::new().unwrap();
    let mut traffic = namespace.enter(|| Actor::start(actor::named("the-traffic", ROLE, &["traffic"])));
    traffic.hear::<bool>();
    let mut symptoms = Symptoms::default();
    let (mut whole, mut starts) = (0, 0);
    let mut streams = Vec::new();
    while starts < times() {
        let tracer = traced(&namespace, &["--proto", "tcp"]);
        let ready_ns = now_ns();
        thread::sleep(Duration::from_millis(250));
        let outcome = tracer.finish_unchecked();
        // What is lost may be missing; then nothing can be said.
        if outcome.lost.is_empty() {
            streams.push((outcome, ready_ns));
        } else {
            runner::note(format!("start {starts}: {:?} events were lost, and it does not count", outcome.lost));
        }
        starts += 1;
    }
    traffic.nudge();
    let longest: u64 = traffic.hear();
    traffic.end();
    for (outcome, ready_ns) in &streams {
        // A socket that lived longer than any of them does not began before.
        whole += examine(outcome, ready_ns + longest + 50_000_000, &mut symptoms);
    }
    let Symptoms(symptoms) = symptoms;
    let list = symptoms.iter().map(|(what, (count, first))| format!("\n  {count} times {what}, the first:{first}"));
    assert!(symptoms.is_empty(), "{starts} starts, {whole} whole lives:{}", list.collect::<String>());
    assert!(scale() < 1.0 || whole > 500 * streams.len(), "too little traffic: {whole} lives");
    assert!(!streams.is_empty(), "events were lost at every start");
    runner::note(format!("{starts} starts amid traffic: {whole} whole lives, the longest {} ms", longest / 1_000_000));
    Done::Passed
}

/// Looks at each socket of a stream; from `settled_ns` on every one must be seen from its beginning. Returns how many whole lives there are.
fn examine(outcome: &Outcome, settled_ns: u64, symptoms: &mut Symptoms) -> usize {
    let step = |event: &Event, from: &str, to: &str| matches!(&event.kind, Kind::State { old, new, .. } if old == from && new == to);
    let mut sockets: HashMap<u64, Vec<&Event>> = HashMap::new();
    // Events without a cookie cannot be assigned to a socket: those with the same ends are left out.
    let nameless = outcome.events.iter().filter(|event| event.cookie.is_none() && preempts_programs());
    let nameless: HashSet<_> = nameless.map(|event| (event.local, event.remote)).collect();
    for event in outcome.events.iter().filter(|event| !nameless.contains(&(event.local, event.remote))) {
        match event.cookie {
            Some(cookie) => sockets.entry(cookie).or_default().push(event),
            None if step(event, "SYN_RECV", "CLOSE") => symptoms.add(FALSE_END, &[event]),
            // Its socket was gone before anybody asked for a cookie.
            None if step(event, "TIME_WAIT", "CLOSE") => {}
            None => symptoms.add("a request without the cookie of the connection that it became", &[event]),
        }
    }
    let mut whole = 0;
    for events in sockets.values() {
        let first = events[0];
        let born = first.kind == Kind::Open || step(first, "LISTEN", "SYN_RECV");
        let steps = events.iter().filter(|event| matches!(event.kind, Kind::State { .. })).count();
        let close = events.iter().find_map(|event| match &event.kind {
            Kind::Close(totals) => Some(totals),
            _ => None,
        });
        if first.time_ns + 1_000_000 < outcome.span_ns.0 {
            symptoms.add("an event from before the tracer was started", events);
        }
        if check::order(events, false, false).is_err() {
            symptoms.add("events that do not follow each other", events);
        }
        if events.iter().any(|event| step(event, "SYN_RECV", "CLOSE")) {
            symptoms.add(FALSE_END, events);
        }
        if first.kind == Kind::Open && close.is_some() && steps == 0 {
            symptoms.add("open and close alone of a socket that connected", events);
        }
        // Only TIME_WAIT lasts long.
        if !born && first.time_ns > settled_ns && !step(first, "TIME_WAIT", "CLOSE") {
            symptoms.add("no beginning, although the tracer was there", events);
        }
        if born && events.iter().any(|event| event.pid.is_none()) {
            symptoms.add("no owner, although the beginning was seen", events);
        }
        let unknown = |event: &&Event| matches!(event.kind, Kind::State { in_state_ns: None, .. });
        if events[1..].iter().any(unknown) {
            symptoms.add("a stay of unknown length in a state whose beginning was seen", events);
        }
        let Some(totals) = close else { continue };
        if totals.duration_ns.is_some() != born {
            symptoms.add("a duration that is known without its beginning, or unknown with it", events);
        }
        let refusing = events.iter().any(|event| event.remote.and_then(|end| end.port) == Some(REFUSING_PORT));
        if refusing && !(totals.reason == "refused" || totals.reason == "unknown" && !born) {
            symptoms.add("a refused connection that ended otherwise", events);
        }
        whole += usize::from(born);
    }
    whole
}

/// Connections that are older than the tracer, and half closed one after the other while it starts: whatever it reports of them is right.
fn started_while_older_sockets_move() -> Done {
    let pairs = count(1500).to_string();
    let mut wrong = Vec::new();
    for _ in 0..3 {
        let namespace = NetNs::new().unwrap();
        let mut actor = namespace.enter(|| Actor::start(actor::named("the-movers", ROLE, &["move", &pairs])));
        let made: Vec<Made> = actor.hear();
        actor.nudge();
        let mut tracer = traced(&namespace, &["--proto", "tcp"]);
        let ready_ns = now_ns();
        actor.nudge();
        tracer.wait_closed(&made);
        let outcome = tracer.finish_unchecked();
        let pid = actor.pid();
        actor.end();
        let book = check::Book::new(&outcome.events);
        for made in &made {
            let events = book.of(made);
            let closes = events.iter().filter(|event| matches!(event.kind, Kind::Close(_))).count();
            let (mut stays, mut steps) = (0, 0);
            for event in check::without_remains(&events) {
                if let Kind::State { in_state_ns, .. } = event.kind {
                    steps += 1;
                    stays += usize::from(in_state_ns.is_some());
                }
            }
            // The first state began before the tracer; of all others it is known when they did.
            let orderly = check::order(&events, false, false).is_ok() && closes == 1 && stays + 1 == steps.max(1);
            let owned = |event: &&Event| match event.pid {
                Some(seen) => seen == pid && event.comm.as_deref() == Some("the-movers"),
                None => event.time_ns < ready_ns,
            };
            if !orderly || !events.iter().all(owned) || events.iter().any(|event| event.kind == Kind::Open) {
                wrong.push(format!("{}: {events:#?}", made.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong, the first: {}", wrong.len(), wrong[0]);
    Done::Passed
}
