//! The `diag` suite: what comes over `NETLINK_SOCK_DIAG` against /proc and against what the test did.
//!
//! Needs root. Where the kernel lacks a part of `sock_diag`, or has it as a module that is not loaded, a test skips with that reason.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expected by failing")]

mod closing;
mod destroy;
mod info;
mod kill;
mod narrowed;
mod same;
#[path = "../tables/mod.rs"]
mod tables;
mod unix;

use libtest_mimic::Arguments;
use netstat_tests::truth::runner::{self, Test};
use netstat_user::diag::loaded::{Part, loads_nothing};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    netstat_tests::zoo::actor::serve_if_asked();
    let arguments = Arguments::from_args();
    if !nix::unistd::geteuid().is_root() {
        println!("diag: skipped: it needs root, to make namespaces and to close sockets");
        return ExitCode::SUCCESS;
    }
    netstat_tests::truth::scale::open_files();
    let modules: [&[Test]; 7] =
        [same::TESTS, narrowed::TESTS, destroy::TESTS, closing::TESTS, unix::TESTS, info::TESTS, kill::TESTS];
    runner::run(arguments, &modules.concat())
}

/// Why a test of this part of `sock_diag` cannot run here.
fn missing(part: Part) -> Option<String> {
    (!loads_nothing(Path::new("/proc"), part)).then(|| format!("the kernel's {part:?} part of sock_diag is not loaded"))
}
