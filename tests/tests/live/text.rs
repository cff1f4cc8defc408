//! The text form: the same facts, one aligned line per event.

use crate::event::{End, Kind};
use crate::lives::client_closes_first;
use crate::made::{self, Family, Made, Pair};
use crate::runner::{Done, Test};
use crate::tracer::{Tracer, events};
use netstat_tests::command;
use netstat_tests::netns::NetNs;

pub const TESTS: &[Test] = &[("text::says_what_json_says", says_what_json_says)];

fn says_what_json_says() -> Done {
    let namespace = NetNs::new().unwrap();
    let number = namespace.inode().unwrap().to_string();
    // Two tracers of the same sockets.
    let mut json = Tracer::start(&["--netns", &number]);
    let mut text = Tracer::spawn(events(&["--netns", &number]));
    let listens = namespace.enter(|| {
        let listener = made::listener(Family::V4);
        for _ in 0..3 {
            client_closes_first(Pair::new(Family::V4, &listener), b"ask", b"answer");
        }
        crate::endings::blink();
        Made::of(&listener)
    });
    json.wait_closed([&listens]);
    let json = json.finish();
    text.wait_lines(json.events.len());
    text.signal(nix::sys::signal::Signal::SIGINT);
    let text = text.ended();
    assert_eq!(text.end, command::End::Exit(0), "{text:?}");
    assert_eq!(text.raw.len(), json.events.len(), "{text:?}\n{json:?}");

    let mut columns = None;
    for (line, event) in text.raw.iter().zip(&json.events) {
        let mut words = vec![event.proto.clone()];
        let end = |end: &Option<End>| match end {
            // As in netstat, a port that is none is a star.
            Some(End { addr: Some(addr), port: Some(0) }) => Some(format!("{addr}:*")),
            Some(End { addr: Some(addr), port: Some(port) }) => Some(format!("{addr}:{port}")),
            _ => None,
        };
        words.extend(end(&event.local));
        words.extend(end(&event.remote));
        words.push(format!("{}/{}", event.pid.unwrap(), event.comm.clone().unwrap()));
        words.push(event.owner.clone().unwrap());
        for (label, value) in [("uid", event.uid.map(u64::from)), ("inode", event.inode), ("cookie", event.cookie)] {
            words.push(format!("{label}={}", value.unwrap()));
        }
        match &event.kind {
            Kind::Open => words.push("open".into()),
            Kind::State { old, new, .. } => words.extend(["state".into(), old.clone(), new.clone()]),
            Kind::Close(totals) => {
                words.extend(["close".into(), totals.reason.clone()]);
                words.extend(totals.rx_bytes.map(|bytes| format!("rx_bytes={bytes}")));
                words.extend(totals.tx_bytes.map(|bytes| format!("tx_bytes={bytes}")));
            }
        }
        let there: Vec<&str> = line.split_whitespace().collect();
        for word in &words {
            assert!(there.contains(&word.as_str()), "no {word:?} in {line:?}, which is {event:?}");
        }
        // The date is the same but for how the tracers' clocks were read.
        assert!(there[0].ends_with('Z') && there[0].len() == 30, "no time in {line:?}");
        assert!(!line.contains('\x1b'), "coloured, but not on a terminal: {line:?}");
        // Aligned: the labels begin in the same column.
        let column = line.find(" uid=");
        assert_eq!(*columns.get_or_insert(column), column, "not aligned: {line:?}");
    }
    Done::Passed
}
