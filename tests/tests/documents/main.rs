//! The `documents` suite: what README, docs/ and the pages of help show is what the program prints, the questions of docs/how-do-i.md are
//! answered by their commands, and terminals get what they are promised.
//!
//! Needs root, for namespaces and tracing. With `NETSTAT_DOCUMENTS=write` the samples are written anew (`cargo xtask readme`).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expected by failing")]

mod info;
mod markdown;
mod names;
mod player;
mod questions;
mod samples;
mod shape;
mod terminals;
mod world;

use libtest_mimic::Arguments;
use netstat_tests::truth::runner::{self, Test};
use netstat_tests::truth::{self, actor};
use std::process::ExitCode;

fn main() -> ExitCode {
    let argv: Vec<String> = std::env::args().collect();
    if argv.get(1).is_some_and(|first| first == actor::FLAG) {
        return player::play(&argv[2]);
    }
    let arguments = Arguments::from_args();
    if !arguments.list
        && let Err(reason) = truth::prepare("documents")
    {
        println!("documents: skipped: {reason}");
        return ExitCode::SUCCESS;
    }
    let modules: [&[Test]; 5] = [samples::TESTS, questions::TESTS, terminals::TESTS, info::TESTS, names::TESTS];
    let code = runner::run(arguments, &modules.concat());
    actor::sweep();
    code
}
