//! The live suite: real sockets on the running kernel, and the stream of `netstat-user events` checked against what was
//! done with them. The test that makes a socket knows its truth: cookie, inode, ends, owner, bytes, how it ended.
//!
//! The tools for that are in `netstat_tests::truth`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expected by failing")]

mod corners;
mod crowds;
mod endings;
mod filters;
mod limits;
mod lives;
mod matrix;
mod owners;
mod places;
mod places_more;
mod remains;
mod stream;
mod text;
mod totals;

use libtest_mimic::Arguments;
use netstat_tests::truth::runner::Test;
use netstat_tests::truth::{self, actor, cgroup, check, event, made, runner, scale, tracer};
use std::process::ExitCode;

fn main() -> ExitCode {
    let argv: Vec<String> = std::env::args().collect();
    if argv.get(1).is_some_and(|first| first == actor::FLAG) {
        return corners::cast::run(&argv[2..]).unwrap_or_else(|| actor::run(&argv[2..]));
    }
    let arguments = Arguments::from_args();
    if !arguments.list
        && let Err(reason) = truth::prepare("live")
    {
        println!("{reason}");
        return ExitCode::FAILURE;
    }
    let modules: [&[Test]; 13] = [
        lives::TESTS,
        crowds::TESTS,
        owners::TESTS,
        remains::TESTS,
        filters::TESTS,
        limits::TESTS,
        endings::TESTS,
        stream::TESTS,
        text::TESTS,
        totals::TESTS,
        places::TESTS,
        places_more::TESTS,
        matrix::TESTS,
    ];
    let code = runner::run(arguments, &[modules.concat(), corners::tests()].concat());
    actor::sweep();
    code
}
