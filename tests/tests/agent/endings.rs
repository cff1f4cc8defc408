//! How a run of `events` ends that reads from the agent: as one that traces by itself.

use crate::agent::Agent;
use netstat_tests::truth::readers;
use netstat_tests::truth::runner::{Done, Test};

pub const TESTS: &[Test] = &[
    ("endings::a_reader_that_stopped", || of_readers(readers::stops_reading)),
    ("endings::a_reader_that_leaves", || of_readers(readers::leaves)),
];

fn of_readers(test: fn(&[&str])) -> Done {
    let agent = Agent::start(&[]);
    test(&["--agent", agent.socket.to_str().unwrap()]);
    agent.stop();
    Done::Passed
}
