//! The agent suite: real sockets on the running kernel, each known by the test that made it, and what the agent says of them: in its
//! stream, in its table while they live, and among what has ended. And the agent itself: under load, after losses, killed, besieged.
//!
//! Needs root; `ss` and netstat are witnesses where they are installed. `NETSTAT_CHURN_SECONDS` (20 unless given) is how long the
//! mixed churn goes on.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expected by failing")]

mod agent;
mod attack;
mod cast;
mod churn;
mod connections;
mod corner_rows;
mod datagrams;
mod endings;
mod filters;
mod follow;
mod glance;
mod history;
mod kernel;
mod owners;
mod pushed;
mod same;
mod siege;
mod stage;
mod upheavals;
mod whose;

use libtest_mimic::Arguments;
use netstat_tests::truth::runner::{self, Test};
use netstat_tests::truth::{self, actor, scale};
use std::process::ExitCode;

fn main() -> ExitCode {
    let argv: Vec<String> = std::env::args().collect();
    if argv.get(1).is_some_and(|first| first == actor::FLAG) {
        return cast::run(&argv[2..]);
    }
    let arguments = Arguments::from_args();
    if !arguments.list
        && let Err(reason) = truth::prepare("agent")
    {
        println!("{reason}");
        return ExitCode::FAILURE;
    }
    // Crowds of sockets in one process.
    scale::open_files();
    let modules: [&[Test]; 14] = [
        connections::TESTS,
        owners::TESTS,
        datagrams::TESTS,
        filters::TESTS,
        follow::TESTS,
        same::TESTS,
        pushed::TESTS,
        siege::TESTS,
        upheavals::TESTS,
        corner_rows::TESTS,
        glance::TESTS,
        endings::TESTS,
        history::TESTS,
        whose::TESTS,
    ];
    let tests = [modules.concat(), attack::tests()].concat();
    let code = runner::run(arguments, &tests);
    actor::sweep();
    code
}
