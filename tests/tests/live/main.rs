//! The live suite: real sockets on the running kernel, and the stream of `netstat-user events` checked against what was
//! done with them. The test that makes a socket knows its truth: cookie, inode, ends, owner, bytes, how it ended.
//!
//! Needs root and nothing else: no `ip`, no tracefs, no tools, so that it also runs in an initramfs under emulation.
//! `NETSTAT_TEST_SCALE` (1 unless given) scales the number of sockets; below 1 the time limits grow.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expected by failing")]

mod actor;
mod check;
mod crowds;
mod endings;
mod event;
mod filters;
mod lives;
mod made;
mod matrix;
mod owners;
mod places;
mod remains;
mod runner;
mod scale;
mod stream;
mod text;
mod tracer;

use libtest_mimic::Arguments;
use netstat_tests::{netns, programs};
use runner::Test;
use std::net::TcpListener;
use std::process::ExitCode;

fn main() -> ExitCode {
    let argv: Vec<String> = std::env::args().collect();
    if argv.get(1).is_some_and(|first| first == actor::FLAG) {
        return actor::run(&argv[2..]);
    }
    let arguments = Arguments::from_args();
    if !arguments.list
        && let Err(reason) = prepare()
    {
        println!("{reason}");
        return ExitCode::FAILURE;
    }
    let modules: [&[Test]; 10] = [
        lives::TESTS,
        crowds::TESTS,
        owners::TESTS,
        remains::TESTS,
        filters::TESTS,
        endings::TESTS,
        stream::TESTS,
        text::TESTS,
        places::TESTS,
        matrix::TESTS,
    ];
    let code = runner::run(arguments, &modules.concat());
    actor::sweep();
    code
}

/// What every test needs, said once: the program, root, a loopback interface.
fn prepare() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("the live suite makes namespaces and loads kernel programs: run it as root".into());
    }
    let works = || {
        TcpListener::bind("127.0.0.1:0").and_then(|listener| {
            let to = listener.local_addr()?;
            std::net::TcpStream::connect_timeout(&to, std::time::Duration::from_secs(2))
        })
    };
    if works().is_err() {
        netns::loopback_up().map_err(|error| format!("cannot bring the loopback interface up: {error}"))?;
        works().map_err(|error| format!("no connection over the loopback interface: {error}"))?;
    }
    println!(
        "live suite: kernel {}, {} under test, scale {}",
        scale::kernel(),
        programs::netstat_user().display(),
        scale::scale()
    );
    Ok(())
}
