//! The checks: what the stream says of a socket against what is true of it, and rules that hold for every stream.

mod life;

pub use life::{Life, Sight};

use crate::truth::event::{End, Event, Kind};
use crate::truth::made::Made;
use crate::truth::outcome::Outcome;
use crate::truth::scale;
use std::collections::HashMap;

/// Clocks may be read some instructions apart, and wall-clock time may be slewed under a tracer.
const CLOCK_SLACK_NS: u64 = 1_000_000;

/// How far the wall-clock time of an event, slewed or not, may be from that of the test.
const WALL_SLACK_NS: u64 = 50 * CLOCK_SLACK_NS;

/// Every transition that Linux can announce for a socket (RFC 9293, and `tcp_done` from anywhere).
fn legal(old: &str, new: &str) -> bool {
    matches!(
        (old, new),
        ("CLOSE", "SYN_SENT" | "LISTEN")
            | ("LISTEN", "SYN_RECV")
            | ("SYN_SENT", "ESTABLISHED" | "SYN_RECV")
            | ("SYN_RECV", "ESTABLISHED" | "FIN_WAIT1")
            | ("ESTABLISHED", "FIN_WAIT1" | "CLOSE_WAIT")
            | ("FIN_WAIT1", "FIN_WAIT2" | "CLOSING" | "TIME_WAIT")
            | ("FIN_WAIT2" | "CLOSING", "TIME_WAIT")
            | ("CLOSE_WAIT", "LAST_ACK")
    ) || (new == "CLOSE" && old != "CLOSE")
}

/// Whether a transition belongs to what remains of a socket in TIME_WAIT, which outlives the socket itself.
pub fn in_time_wait(kind: &Kind) -> bool {
    matches!(kind, Kind::State { old, new, .. } if old == "TIME_WAIT" || new == "TIME_WAIT")
}

/// Those events of a socket, in order, that are not of what remains of it in TIME_WAIT, or in FIN_WAIT2 without its owner: that goes on
/// after the socket's own CLOSE, from the state it was in.
pub fn without_remains<'a, 'b>(events: &'b [&'a Event]) -> impl Iterator<Item = &'a Event> + use<'a, 'b> {
    let mut closed = false;
    events.iter().copied().filter(move |event| {
        let Kind::State { old, new, .. } = &event.kind else { return true };
        let remains = closed && (old == "FIN_WAIT1" || old == "FIN_WAIT2" || old == "CLOSING" || old == "TIME_WAIT");
        closed = closed && old != "CLOSE" || new == "CLOSE";
        !remains
    })
}

fn show(events: &[&Event]) -> String {
    if events.is_empty() {
        return "    nothing".to_owned();
    }
    events.iter().map(|event| format!("    {}", event.line)).collect::<Vec<_>>().join("\n")
}

fn complain(what: &str, failures: &[String]) {
    if failures.is_empty() {
        return;
    }
    let mut text = format!("{what}: {} wrong, the first:", failures.len());
    for failure in failures.iter().take(3) {
        text.push_str("\n  ");
        text.push_str(failure);
    }
    panic!("{text}");
}

/// What holds for every stream, whoever made the sockets in it.
pub fn stream(outcome: &Outcome) {
    let mut sockets: HashMap<u64, Vec<&Event>> = HashMap::new();
    let mut failures = Vec::new();
    for event in &outcome.events {
        let (from, to) = outcome.span_ns;
        if event.time_ns + WALL_SLACK_NS < from || event.time_ns > to + WALL_SLACK_NS {
            failures.push(format!("an event outside the time of the tracer ({from} to {to}): {}", event.line));
        }
        if let Some(cookie) = event.cookie {
            sockets.entry(cookie).or_default().push(event);
        }
    }
    // Events that were lost, or not asked for, leave gaps.
    let gaps = !outcome.lost.is_empty() || outcome.command.contains("--state");
    // `tcp_set_state` is not passed when a socket begins to listen.
    let unseen_listen = outcome.command.contains("fentry") || outcome.command.contains("kprobe");
    for events in sockets.values() {
        if let Err(reason) = order(events, gaps, unseen_listen) {
            failures.push(format!("{reason}\n  seen:\n{}", show(events)));
        }
    }
    complain("order of events", &failures);
}

/// The order of the events of one socket: whether there are gaps that may be, and whether it may have begun to listen unseen.
pub fn order(events: &[&Event], gaps: bool, unseen_listen: bool) -> Result<(), String> {
    let mut state: Option<&str> = None;
    let mut closed = false;
    // When the present state was entered.
    let mut entered: Option<u64> = None;
    // What a socket leaves behind may move on while the socket itself is destroyed, each on a processor of its own.
    let sorted = match scale::is_late() {
        true => without_remains(events).is_sorted_by_key(|event| event.time_ns),
        false => events.is_sorted_by_key(|event| event.time_ns),
    };
    if !sorted {
        return Err("time runs backwards".into());
    }
    for (index, event) in without_remains(events).enumerate() {
        if closed {
            return Err("an event after the close".into());
        }
        match &event.kind {
            Kind::Open if index > 0 => return Err("opened, but not as the first thing".into()),
            Kind::Open => {
                state = Some("CLOSE");
                entered = Some(event.time_ns);
            }
            Kind::Close(_) => closed = true,
            Kind::State { old, new, in_state_ns } => {
                if !legal(old, new) {
                    return Err(format!("no socket goes from {old} to {new}"));
                }
                // Then it is not known either how long it listened.
                let unseen = unseen_listen && state == Some("CLOSE") && old == "LISTEN" && in_state_ns.is_none();
                if !gaps && !unseen && state.is_some_and(|state| state != old) {
                    return Err(format!("it was in {}, and now it leaves {old}", state.unwrap_or_default()));
                }
                if let (Some(entered), Some(stayed), false) = (entered, in_state_ns, gaps) {
                    let between = event.time_ns - entered;
                    if between.abs_diff(*stayed) > CLOCK_SLACK_NS {
                        return Err(format!("in_state_ns {stayed} of {old}, but the times say {between}"));
                    }
                }
                state = Some(new);
                entered = Some(event.time_ns);
            }
        }
    }
    Ok(())
}

/// Checks that each of these lives is in the stream, whole and right.
pub fn lives(outcome: &Outcome, lives: &[Life]) {
    lives_with(outcome, lives, Sight::default());
}

/// The same, for a tracer that may see less.
pub fn lives_with(outcome: &Outcome, lives: &[Life], sight: Sight) {
    let lost = outcome.lost.iter().sum::<u64>();
    assert!(lost == 0 || sight.may_miss, "events were lost: {:?}\n{outcome:?}", outcome.lost);
    let book = Book::new(&outcome.events);
    let mut failures = Vec::new();
    for life in lives {
        let events = book.of(&life.made);
        if let Err(reason) = life.check(&events, sight) {
            failures.push(format!(
                "{}\n  {reason}\n  expected: {}{} and close ({}), bytes {:?}\n  seen:\n{}",
                life.made.name(),
                if life.made.child || life.scanned { "" } else { "open, " },
                life.paths.join(" or "),
                life.reasons.join(" or "),
                life.bytes,
                show(&events)
            ));
        }
    }
    // Each misses an event at least. A child whose first transition is missing looks older than the tracer, and is not counted: it is one of
    // two ends at most.
    if failures.len() as u64 > 2 * lost {
        complain(&format!("{} sockets, {}, {lost} events lost", lives.len(), outcome.ready), &failures);
    }
}

/// The events of a stream by socket.
pub struct Book<'a> {
    by_cookie: HashMap<u64, Vec<&'a Event>>,
    /// Events with ports, by namespace and ports.
    by_ports: HashMap<(u64, u16, u16), Vec<&'a Event>>,
}

impl<'a> Book<'a> {
    pub fn new(events: &'a [Event]) -> Self {
        let mut book = Self { by_cookie: HashMap::new(), by_ports: HashMap::new() };
        for event in events {
            if let Some(cookie) = event.cookie {
                book.by_cookie.entry(cookie).or_default().push(event);
            }
            let port = |end: Option<End>| end.and_then(|end| end.port);
            if let (Some(local), Some(remote)) = (port(event.local), port(event.remote)) {
                book.by_ports.entry((event.netns.unwrap_or(0), local, remote)).or_default().push(event);
            }
        }
        book
    }

    /// What is said of a socket: by its cookie, else (a cookie nobody could ask for) by its ports.
    pub fn of(&self, made: &Made) -> Vec<&'a Event> {
        let mut events = self.by_cookie.get(&made.cookie).cloned().unwrap_or_default();
        if let (Some(local), Some(remote)) = (made.local, made.remote) {
            let ports = [made.netns, 0].map(|netns| self.by_ports.get(&(netns, local.port(), remote.port())));
            let nameless = ports.into_iter().flatten().flatten();
            let nameless = nameless.filter(|event| event.cookie.is_none() || made.cookie == 0);
            events.extend(nameless);
            events.sort_by_key(|event| event.time_ns);
        }
        events
    }
}
