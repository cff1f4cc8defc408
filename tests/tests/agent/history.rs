//! What `--recent` lists: the namespaces that are asked for, and in which order.

use crate::agent::Agent;
use crate::churn::Place;
use netstat_tests::truth::event::time;
use netstat_tests::truth::runner::{Done, Test};
use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashSet;

pub const TESTS: &[Test] = &[("history::of_ones_own_namespace_oldest_first", of_ones_own_namespace_oldest_first)];

fn ended(agent: &Agent, more: &[&str]) -> Vec<Value> {
    let rows = agent.classic(&[&["-u", "-a", "-n", "--recent", "1h"], more].concat());
    rows.into_iter().filter(|row| row["event"] == "close").collect()
}

fn of_ones_own_namespace_oldest_first() -> Done {
    let places = [Place::new(), Place::new()];
    let agent = Agent::start(&[]);
    let blink = || Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap().cookie().unwrap();
    let mut made: Vec<(u64, u64)> = Vec::new();
    for number in 0..20 {
        let place = &places[number % 2];
        made.push((place.netns, place.namespace.enter(blink)));
    }
    agent.wait("all ends", |status| status.recent >= made.len() as u64);
    let facts = |rows: &[Value]| -> Vec<(u64, u64)> {
        let number = |value: &Value| value.as_u64().unwrap();
        // Others may come and go in namespaces of their own.
        let known: HashSet<u64> = made.iter().map(|(_, cookie)| *cookie).collect();
        let facts = rows.iter().map(|row| (number(&row["netns"]), number(&row["cookie"])));
        facts.filter(|(_, cookie)| known.contains(cookie)).collect()
    };
    let is_in_order = |rows: &[Value]| rows.is_sorted_by_key(|row| time(row["time"].as_str().unwrap()).unwrap());
    for place in &places {
        let rows = place.namespace.enter(|| ended(&agent, &[]));
        let theirs: Vec<_> = made.iter().copied().filter(|(netns, _)| *netns == place.netns).collect();
        assert_eq!((facts(&rows), rows.len()), (theirs.clone(), theirs.len()), "{rows:#?}");
        assert!(is_in_order(&rows), "{rows:#?}");
        // Also a socket of UDP is in CLOSE once it has ended, and is found by that.
        assert!(rows.iter().all(|row| row["state"] == "CLOSE"), "{rows:#?}");
        for (expression, found) in [("state closed", true), ("state = CLOSE", true), ("state established", false)] {
            let wanted = place.namespace.enter(|| ended(&agent, &["--where", expression]));
            assert_eq!(facts(&wanted), if found { facts(&rows) } else { vec![] }, "{expression}");
        }
    }
    let rows = ended(&agent, &["--all-netns"]);
    let seen: Vec<_> = facts(&rows).into_iter().map(|(_, cookie)| cookie).collect();
    let of_each = |netns: u64| made.iter().filter(move |one| one.0 == netns).map(|one| one.1).collect::<Vec<_>>();
    for place in &places {
        let theirs = of_each(place.netns);
        let seen: Vec<_> = seen.iter().copied().filter(|cookie| theirs.contains(cookie)).collect();
        assert_eq!(seen, theirs, "{rows:#?}");
    }
    agent.stop();
    places.into_iter().for_each(Place::leave);
    Done::Passed
}
