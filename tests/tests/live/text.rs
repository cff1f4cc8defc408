//! The text forms: the same facts, one aligned line per event; the short lines, and the one line of a connection.

use crate::endings::blink;
use crate::event::{Event, Kind};
use crate::lives::{client_closes_first, drain};
use crate::made::{self, Family, Made, Pair};
use crate::runner::{Done, Test};
use crate::scale::{near_ns, patience, scale};
use crate::tracer::{Tracer, events};
use netstat_tests::command;
use netstat_tests::netns::NetNs;
use netstat_tests::truth::glance;
use std::io::Write;
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("text::says_what_json_says", says_what_json_says),
    ("text::at_a_glance", at_a_glance),
    ("text::one_line_a_connection", one_line_a_connection),
    ("text::only_the_kinds_asked_for", only_the_kinds_asked_for),
    ("text::who_connected", who_connected),
    ("text::in_the_zone_that_is_named", in_the_zone_that_is_named),
    ("text::counts_of_more_values_than_are_kept", counts_of_more_values_than_are_kept),
];

/// How long connections stay as they are, some of them far longer than two tracers may measure differently.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(200), Duration::from_millis(400)];

fn says_what_json_says() -> Done {
    let namespace = NetNs::new().unwrap();
    let number = namespace.inode().unwrap().to_string();
    // Two tracers of the same sockets.
    let mut json = Tracer::start(&["--netns", &number]);
    let mut text = Tracer::spawn(events(&["-v", "--netns", &number]));
    let listens = namespace.enter(|| {
        let listener = made::listener(Family::V4);
        for pause in PAUSES {
            let Pair { mut client, mut server, .. } = Pair::new(Family::V4, &listener);
            client.write_all(b"ask").unwrap();
            thread::sleep(pause);
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(drain(&mut server), 3);
            thread::sleep(pause);
            server.write_all(b"answer").unwrap();
            drop(server);
            assert_eq!(drain(&mut client), 6);
        }
        blink();
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
        glance::verbose(line, event, near_ns());
        // Aligned: the labels begin in the same column.
        let column = line.find(" uid=");
        assert_eq!(*columns.get_or_insert(column), column, "not aligned: {line:?}");
    }
    // Of the two ends of each connection that waited: for how long they were ESTABLISHED, half closed, and open. The acknowledgement of a FIN may
    // be delayed by 40 ms, which FIN_WAIT2 is the shorter for.
    for pause in PAUSES.into_iter().filter(|pause| *pause > Duration::ZERO) {
        let at_least = pause.as_nanos() as u64;
        // An emulated machine takes as long as it takes.
        let at_most = |ns: u64| if scale() < 1.0 { u64::MAX } else { ns };
        let lasted = |event: &&Event, wanted: &str, least: u64| match &event.kind {
            Kind::State { old, in_state_ns: Some(ns), .. } => {
                old == wanted && (least..at_most(least + at_least)).contains(ns)
            }
            Kind::Close(totals) => {
                let is_whole = |ns: u64| (2 * least..at_most(4 * at_least)).contains(&ns);
                wanted == "close" && event.cookie != Some(listens.cookie) && totals.duration_ns.is_some_and(is_whole)
            }
            _ => false,
        };
        let count = |wanted: &str, least: u64| json.events.iter().filter(|event| lasted(event, wanted, least)).count();
        let counts =
            [count("ESTABLISHED", at_least), count("CLOSE_WAIT", at_least), count("FIN_WAIT2", at_least - 50_000_000)];
        let is_right = |counted: usize, expected: usize| if scale() < 1.0 { counted > 0 } else { counted == expected };
        // What is left of the connection is in FIN_WAIT2 as long as the socket was.
        assert!(
            is_right(counts[0], 2) && is_right(counts[1], 1) && counts[2] >= 1,
            "{pause:?}: {counts:?} times ESTABLISHED, CLOSE_WAIT and FIN_WAIT2: {json:?}"
        );
        assert!(is_right(count("close", at_least), 2), "{pause:?}: {json:?}");
    }
    Done::Passed
}

/// SIGINT, once so many lines are there; what was printed.
fn lines(mut tracer: Tracer, count: usize) -> Vec<String> {
    tracer.wait_lines(count);
    tracer.signal(nix::sys::signal::Signal::SIGINT);
    let outcome = tracer.ended();
    assert_eq!(outcome.end, command::End::Exit(0), "{outcome:?}");
    assert_eq!(outcome.raw.len(), count, "{outcome:?}");
    outcome.raw
}

/// The events of [`glance::endings`], as JSON has them, and other tracers of the same namespace that look on.
fn look_on(others: &[&[&str]]) -> (Vec<Event>, Vec<Tracer>, NetNs) {
    let namespace = NetNs::new().unwrap();
    let number = namespace.inode().unwrap().to_string();
    let mut json = Tracer::start(&["--netns", &number]);
    let started =
        others.iter().map(|args| Tracer::spawn(events(&[args, &["--netns", &number][..]].concat()))).collect();
    let listeners = namespace.enter(glance::endings);
    json.wait_closed(&listeners);
    // What is in TIME_WAIT ends with the namespace, and so after the tracers.
    (json.finish().events, started, namespace)
}

fn at_a_glance() -> Done {
    let (events, mut others, _namespace) = look_on(&[&[]]);
    let short = lines(others.remove(0), events.len());
    for (line, event) in short.iter().zip(&events) {
        glance::short(line, event);
    }
    Done::Passed
}

fn one_line_a_connection() -> Done {
    let (events, others, _namespace) =
        look_on(&[&["--life", "--json"], &["--life"], &["--failed"], &["--failed", "--life", "--json"]]);
    let of = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).collect::<Vec<_>>();
    let (lives, failures) = (of(glance::is_life), of(glance::is_failure));
    assert!(lives.len() > failures.len() && failures.len() >= 6, "{events:?}");
    let mut others = others.into_iter();
    let mut next = |count: usize| lines(others.next().unwrap(), count);
    for line in next(lives.len()) {
        glance::life_json(&line, &events);
    }
    for (line, event) in next(lives.len()).iter().zip(&lives) {
        glance::life(line, event);
    }
    for (line, event) in next(failures.len()).iter().zip(&failures) {
        glance::short(line, event);
    }
    for line in next(failures.len()) {
        assert!(glance::is_failure(&glance::life_json(&line, &events)), "{line}");
    }
    Done::Passed
}

fn only_the_kinds_asked_for() -> Done {
    let (events, others, _namespace) = look_on(&[
        &["--json", "--event", "state"],
        &["--json", "--event", "open,close"],
        &["--json", "--event", "open", "--event", "state"],
    ]);
    let kinds: [fn(&Kind) -> bool; 3] = [
        |kind| matches!(kind, Kind::State { .. }),
        |kind| !matches!(kind, Kind::State { .. }),
        |kind| !matches!(kind, Kind::Close(_)),
    ];
    for (tracer, wanted) in others.into_iter().zip(kinds) {
        let kind = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].clone();
        let expected: Vec<_> =
            events.iter().filter(|event| wanted(&event.kind)).map(|event| kind(&event.line)).collect();
        let seen: Vec<_> = lines(tracer, expected.len()).iter().map(|line| kind(line)).collect();
        assert_eq!(seen, expected);
    }
    Done::Passed
}

/// Who connected, and the other end without its family, as fields.
fn who_connected() -> Done {
    let namespace = NetNs::new().unwrap();
    let number = namespace.inode().unwrap().to_string();
    let columns = ["--json", "--event", "close", "--columns", "direction,cookie,remote_ip", "--netns", &number];
    let all = Tracer::spawn(events(&columns)).unparsed();
    let lives = ["--json", "--life", "--columns", "direction,cookie,remote_ip", "--netns", &number];
    let lives = Tracer::spawn(events(&lives));
    let incoming = Tracer::spawn(events(&[&columns[..], &["--where", "direction = in"]].concat())).unparsed();
    let (listener, client, server) = namespace.enter(|| {
        let listener = made::listener(Family::Mapped);
        let pair = Pair::new(Family::Mapped, &listener);
        let made = (Made::of(&listener), pair.client_made.clone(), pair.server_made.clone());
        client_closes_first(pair, b"ask", b"answer");
        made
    });
    let line = |direction: Option<&str>, made: &Made, remote_ip: &str| serde_json::json!({ "direction": direction, "cookie": made.cookie, "remote_ip": remote_ip });
    let of_client = line(Some("out"), &client, "127.0.0.1");
    let of_server = line(Some("in"), &server, "127.0.0.1");
    let of_listener = line(None, &listener, "::");
    for (tracer, mut expected) in [
        (all, vec![of_client.clone(), of_server.clone(), of_listener]),
        (lives, vec![of_client, of_server.clone()]),
        (incoming, vec![of_server]),
    ] {
        let cookie = |line: &serde_json::Value| line["cookie"].as_u64();
        let mut seen: Vec<serde_json::Value> =
            lines(tracer, expected.len()).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        seen.sort_by_key(cookie);
        expected.sort_by_key(cookie);
        assert_eq!(seen, expected);
    }
    Done::Passed
}

/// Local time is that of `$TZ`, also where that is the name of a zone.
fn in_the_zone_that_is_named() -> Done {
    if !std::path::Path::new("/usr/share/zoneinfo/Asia/Tokyo").exists() {
        return Done::Skipped("there are no time zones by name".into());
    }
    let namespace = NetNs::new().unwrap();
    let number = namespace.inode().unwrap().to_string();
    let start = |zone: &str| {
        let mut command = events(&["--netns", &number]);
        command.env("TZ", zone);
        Tracer::spawn(command)
    };
    let mut tracers = ["JST-9", "Asia/Tokyo", "UTC"].map(start);
    namespace.enter(|| drop(blink()));
    let hours = tracers.each_mut().map(|tracer| {
        assert!(tracer.wait_lines(1), "no event");
        tracer.raw()[0][..2].to_owned()
    });
    assert!(hours[0] == hours[1] && hours[0] != hours[2], "{hours:?}");
    tracers.into_iter().for_each(|tracer| drop(tracer.finish_unchecked()));
    Done::Passed
}

/// As many values are counted one by one as the schema says, and all others together.
fn counts_of_more_values_than_are_kept() -> Done {
    if scale() < 1.0 {
        return Done::Skipped("an emulated machine takes too long for so many sockets".into());
    }
    const KEPT: usize = 131_072;
    let namespace = NetNs::new().unwrap();
    let number = namespace.inode().unwrap().to_string();
    let args = ["--event", "open", "--count-by", "cookie", "--buffer", "64M", "--netns", &number];
    let schema = command::run(&mut events(&[&args[..], &["--schema"]].concat()), None, patience()).unwrap();
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
    assert!(schema["anyOf"][1]["properties"]["others"].to_string().contains(&KEPT.to_string()), "{schema}");
    let [json, text] = [&["--json"][..], &[]].map(|how| Tracer::spawn(events(&[&args, how].concat())).unparsed());
    const MORE: u64 = 1_000;
    namespace.enter(|| (0..KEPT as u64 + MORE).for_each(|_| drop(blink())));
    let json = json.finish();
    let (mut kept, mut others) = (0, Vec::new());
    for line in &json.raw {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        match line["others"].as_u64() {
            Some(count) => others.push((count, line.as_object().unwrap().len())),
            None => kept += usize::from(line["count"] == 1 && line["cookie"].is_u64()),
        }
    }
    assert_eq!((kept, others), (KEPT, vec![(MORE, 1)]), "{json:?}");
    let text = text.finish();
    let last = format!("{MORE} are of other values, as there are more than {KEPT}");
    assert_eq!((text.raw.len(), text.raw.last()), (1 + KEPT + 1, Some(&last)), "{text:?}");
    Done::Passed
}
