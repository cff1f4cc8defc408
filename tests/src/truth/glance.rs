//! The forms of `events` for people, and the one line of a connection, held against the lines of `events --json` about the same sockets.

use crate::truth::event::{self, End, Event, Kind, Line};
use crate::truth::made::{self, Family, Made, Pair};
use serde_json::{Map, Value};
use socket2::SockRef;
use std::collections::HashSet;
use std::io::{Read, Write};
use std::time::Duration;

/// Columns of a short line of IPv4.
const COLUMNS: usize = 120;

/// An end as the text forms write it.
pub fn end(end: Option<End>) -> String {
    match end {
        // As in netstat, a port that is none is a star.
        Some(End { addr: Some(addr), port: Some(0) }) => format!("{addr}:*"),
        Some(End { addr: Some(addr), port: Some(port) }) => format!("{addr}:{port}"),
        Some(End { addr: Some(addr), port: None }) => format!("{addr}:-"),
        _ => "-".into(),
    }
}

fn has_peer(event: &Event) -> bool {
    event.remote.is_some_and(|remote| remote.port.is_some_and(|port| port != 0))
}

/// Whether the event is the end of a connection that failed.
pub fn is_failure(event: &Event) -> bool {
    let Kind::Close(totals) = &event.kind else { return false };
    event.proto.starts_with("tcp") && has_peer(event) && totals.reason != "closed"
}

/// Whether the event is the end of a connection.
pub fn is_life(event: &Event) -> bool {
    matches!(event.kind, Kind::Close(_)) && has_peer(event)
}

/// Between local and remote end: who connected.
fn arrow(event: &Event) -> Option<&'static str> {
    match event.owner.as_deref() {
        _ if !has_peer(event) => None,
        Some("created") => Some("->"),
        Some("accepted" | "inherited") => Some("<-"),
        _ => None,
    }
}

fn is_clock(word: &str) -> bool {
    let shape = b"00:00:00.000000";
    word.len() == shape.len()
        && word
            .bytes()
            .zip(shape)
            .all(|(byte, shape)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == *shape })
}

/// Connections that end in order, by a reset, and refused; and the listeners that they came from, which close last.
pub fn endings() -> Vec<Made> {
    let mut listeners = Vec::new();
    for family in [Family::V4, Family::V6] {
        let listener = made::listener(family);
        let Pair { mut client, mut server, .. } = Pair::new(family, &listener);
        client.write_all(b"ask").unwrap();
        server.read_exact(&mut [0; 3]).unwrap();
        drop(client);
        assert_eq!(server.read(&mut [0; 9]).unwrap(), 0);
        drop(server);
        let Pair { client, server, .. } = Pair::new(family, &listener);
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        drop(server);
        let domain = SockRef::from(&listener).domain().unwrap();
        made::connect(domain, family.address(made::closed_port(family))).unwrap_err();
        listeners.push(Made::of(&listener));
    }
    listeners
}

/// Checks the line of an event that has every fact (`-v`). Its times may be that far from those of the event, where two tracers took them.
pub fn verbose(line: &str, event: &Event, near_ns: u64) {
    let mut words = vec![event.proto.clone()];
    let has_end = |end: &End| end.addr.is_some() && end.port.is_some();
    words.extend([event.local, event.remote].into_iter().filter(|this| this.as_ref().is_some_and(has_end)).map(end));
    words.push(format!("{}/{}", event.pid.unwrap(), event.comm.clone().unwrap()));
    words.push(event.owner.clone().unwrap());
    let numbers =
        [("uid", event.uid.map(u64::from)), ("inode", event.inode), ("cookie", event.cookie), ("netns", event.netns)];
    words.extend(numbers.map(|(label, value)| format!("{label}={}", value.unwrap())));
    let near = |label: &str, wanted: Option<u64>| {
        let word = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix(label))
            .unwrap_or_else(|| panic!("no {label} in {line:?}"));
        let seen = (word != "-").then(|| word.parse::<u64>().unwrap());
        let is = match (seen, wanted) {
            (Some(seen), Some(wanted)) => seen.abs_diff(wanted) <= near_ns,
            (seen, wanted) => seen == wanted,
        };
        assert!(is, "{label}{seen:?}, and not {wanted:?}: {line:?}, which is {event:?}");
    };
    match &event.kind {
        Kind::Open => words.push("open".into()),
        Kind::State { old, new, in_state_ns } => {
            words.extend(["state".into(), old.clone(), new.clone()]);
            near("in_state_ns=", *in_state_ns);
        }
        Kind::Close(totals) => {
            words.extend(["close".into(), totals.reason.clone()]);
            let or_none = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
            for (label, value) in [
                ("rx_bytes", totals.rx_bytes),
                ("tx_bytes", totals.tx_bytes),
                ("rtt_us", totals.rtt_us),
                ("retransmits", totals.retransmits),
            ] {
                words.push(format!("{label}={}", or_none(value)));
            }
            let closer = totals.closed_by.as_ref();
            words.push(closer.map_or("closed_by=-".into(), |by| format!("closed_by={}/{}", by.pid, by.comm)));
            near("duration_ns=", totals.duration_ns);
        }
    }
    let there: Vec<&str> = line.split_whitespace().collect();
    for word in &words {
        assert!(there.contains(&word.as_str()), "no {word:?} in {line:?}, which is {event:?}");
    }
    let time_ns = event::time(there[0]).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    assert!(time_ns.abs_diff(event.time_ns) <= near_ns, "{line:?} is not of the time of {event:?}");
    assert!(!line.contains('\x1b'), "coloured, but not on a terminal: {line:?}");
}

/// Checks the short line of an event.
pub fn short(line: &str, event: &Event) {
    let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
    let kind = match &event.kind {
        Kind::Open => "open",
        Kind::State { .. } => "state",
        Kind::Close(_) => "close",
    };
    assert!(is_clock(words[0]), "no time in {line:?}");
    let local = end(event.local);
    assert_eq!((words[1], words[2], words[3]), (kind, event.proto.as_str(), local.as_str()), "{line:?}");
    let mut rest = &words[4..];
    if let Some(arrow) = arrow(event) {
        assert_eq!(rest[0], arrow, "{line:?}");
        rest = &rest[1..];
    }
    assert_eq!(rest[0], end(event.remote), "{line:?}");
    let text = rest[1..].join(" ");
    let (pid, comm) = (event.pid.unwrap(), event.comm.as_ref().unwrap());
    let grade = event.owner.as_ref().unwrap();
    // A long name may be cut, where the line would be too long otherwise.
    let fits = |owner: &String| text.ends_with(owner.as_str());
    let cut = (4..comm.len()).rev().map(|len| format!("{pid}/{}~ {grade}", &comm[..len]));
    let owner = std::iter::once(format!("{pid}/{comm} {grade}")).chain(cut).find(fits);
    let owner = owner.unwrap_or_else(|| panic!("no {pid}/{comm} {grade} in {line:?}"));
    match &event.kind {
        Kind::Open => assert_eq!(text, owner, "{line:?}"),
        Kind::State { old, new, .. } => assert_eq!(text, format!("{old} -> {new} {owner}"), "{line:?}"),
        Kind::Close(totals) => assert!(text.starts_with(&totals.reason), "no {:?} in {line:?}", totals.reason),
    }
    if !event.proto.ends_with('6') {
        assert!(line.len() <= COLUMNS, "{} columns: {line:?}", line.len());
    }
    assert!(!line.contains('\x1b'), "coloured, but not on a terminal: {line:?}");
}

/// The states that a connection was in, in no order, as its events say it: those that it left before its close, and CLOSE where it
/// entered that.
fn states(events: &[Event], cookie: Option<u64>) -> HashSet<String> {
    let of_it = events.iter().filter(|event| event.cookie == cookie && cookie.is_some());
    let before = of_it.take_while(|event| !matches!(event.kind, Kind::Close(_)));
    let were = before.flat_map(|event| match &event.kind {
        Kind::State { old, new, .. } if old != "LISTEN" && new != "TIME_WAIT" && new != "LISTEN" => {
            vec![Some(old.clone()), Some(new.clone()).filter(|new| new == "CLOSE")]
        }
        _ => Vec::new(),
    });
    were.flatten().collect()
}

/// Checks a line of `--life --json`: the close event of a connection, and `states`.
pub fn life_json(line: &str, events: &[Event]) -> Event {
    let mut object: Map<String, Value> = serde_json::from_str(line).unwrap();
    let Some(Value::Object(states_of_it)) = object.remove("states") else { panic!("states is no object: {line}") };
    let Ok(Line::Event(close)) = event::parse(&Value::Object(object).to_string()) else { panic!("no event: {line}") };
    let Kind::Close(totals) = &close.kind else { panic!("no close: {line}") };
    assert!(has_peer(&close), "{line}");
    let there = events.iter().find(|event| matches!(event.kind, Kind::Close(_)) && event.cookie == close.cookie);
    let there = there.unwrap_or_else(|| panic!("no close event of {line}"));
    let Kind::Close(same) = &there.kind else { unreachable!() };
    let facts = |event: &Event| (event.local, event.remote, event.pid, event.comm.clone(), event.owner.clone());
    assert_eq!(facts(&close), facts(there), "{line}\n{there:?}");
    assert_eq!((&totals.reason, totals.rx_bytes, totals.tx_bytes), (&same.reason, same.rx_bytes, same.tx_bytes));
    let names: HashSet<String> = states_of_it.keys().cloned().collect();
    assert_eq!(names, states(events, close.cookie), "the states that it was in: {line}");
    let sum: u64 = states_of_it.values().map(|ns| ns.as_u64().unwrap_or_else(|| panic!("not whole: {line}"))).sum();
    let lived = totals.duration_ns.unwrap();
    assert!(sum <= lived, "{sum} ns in its states, of {lived}: {line}");
    *close
}

/// Checks the text of a connection's end.
pub fn life(line: &str, event: &Event) {
    let Kind::Close(totals) = &event.kind else { panic!("{event:?}") };
    let words: Vec<&str> = line.split_whitespace().collect();
    assert!(is_clock(words[0]), "no time in {line:?}");
    let ends = format!("{} {} {} {}", end(event.local), arrow(event).unwrap(), end(event.remote), totals.reason);
    let line = words.join(" ");
    for part in [ends, format!("{}/{}", event.pid.unwrap(), event.comm.as_ref().unwrap())] {
        assert!(line.contains(&part), "no {part:?} in {line:?}");
    }
    if event.proto.starts_with("tcp") {
        for label in [" rx ", " tx ", " retrans "] {
            assert!(line.contains(label), "no {label:?} in {line:?}");
        }
    }
}
