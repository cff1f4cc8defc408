//! The forms of `events` for people, through the agent: the same events in each.

use crate::agent::Agent;
use netstat_tests::netns::NetNs;
use netstat_tests::truth::event::{Event, Kind};
use netstat_tests::truth::glance;
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::tracer::{Tracer, events};
use nix::sys::signal::Signal;
use serde_json::Value;

pub const TESTS: &[Test] = &[("glance::every_form_through_the_agent", every_form_through_the_agent)];

/// Which events of [`glance::endings`] have a line.
type Wanted = fn(&Event) -> bool;

const FORMS: [(&[&str], Wanted); 6] = [
    (&[], |_| true),
    (&["-v"], |_| true),
    (&["--json", "--event", "open,close"], |event| !matches!(event.kind, Kind::State { .. })),
    (&["--life"], glance::is_life),
    (&["--life", "--json"], glance::is_life),
    (&["--failed"], glance::is_failure),
];

fn every_form_through_the_agent() -> Done {
    let namespace = NetNs::new().unwrap();
    let number = namespace.inode().unwrap().to_string();
    let agent = Agent::start(&[]);
    let mut json = agent.events(&["--netns", &number]);
    let readers = FORMS.map(|(args, _)| {
        let mut command = events(args);
        command.args(["--netns", &number, "--agent"]).arg(&agent.socket);
        Tracer::spawn(command)
    });
    let listeners = namespace.enter(glance::endings);
    json.wait_closed(&listeners);
    let all = json.finish().events;
    for ((args, wanted), mut reader) in FORMS.into_iter().zip(readers) {
        let expected: Vec<&Event> = all.iter().filter(|event| wanted(event)).collect();
        assert!(!expected.is_empty(), "{args:?}: {all:?}");
        reader.wait_lines(expected.len());
        reader.signal(Signal::SIGINT);
        let outcome = reader.ended();
        assert_eq!(outcome.raw.len(), expected.len(), "{args:?}: {outcome:?}");
        let value = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        for (line, event) in outcome.raw.iter().zip(expected) {
            match args {
                [] | ["--failed"] => glance::short(line, event),
                ["--life"] => glance::life(line, event),
                ["--life", ..] => assert_eq!(value(&glance::life_json(line, &all).line), value(&event.line)),
                // The times of one agent are the same for every reader.
                ["-v"] => glance::verbose(line, event, 0),
                _ => assert_eq!(line, &event.line, "{args:?}"),
            }
        }
    }
    agent.stop();
    Done::Passed
}
