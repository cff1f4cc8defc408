//! Ground truth: real sockets on the running kernel, each known by the test that made it, and what the program says of them.
//!
//! Needs root and nothing else: no `ip`, no tracefs, no tools, so that it also runs in an initramfs under emulation.
//! `NETSTAT_TEST_SCALE` (1 unless given) scales the number of sockets; below 1 the time limits grow. `NETSTAT_SOAK_EVENTS` is how many events
//! the soak looks at.

#![allow(missing_docs, reason = "most of it is named after the fields of the lines it reads")]

pub mod actor;
pub mod cgroup;
pub mod check;
pub mod clock;
pub mod event;
pub mod glance;
pub mod made;
mod outcome;
pub mod paths;
pub mod readers;
pub mod runner;
pub mod scale;
pub mod tcp_info;
pub mod tracer;
pub mod unheard;
pub mod wire;

use crate::{netns, programs};
use std::net::TcpListener;

/// What every test needs, said once: the program, root, a loopback interface.
///
/// # Errors
/// What is missing.
pub fn prepare(suite: &str) -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err(format!("the {suite} suite makes namespaces and loads kernel programs: run it as root"));
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
        "{suite} suite: kernel {}, {} under test, scale {}",
        scale::kernel(),
        programs::netstat_user().display(),
        scale::scale()
    );
    Ok(())
}
