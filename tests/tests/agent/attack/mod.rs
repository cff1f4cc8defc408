//! The agent attacked by other users of the machine: in its place, at its socket's file, by what they ask and how they read. Each test
//! is a thing that worked once.

mod besieged;
mod cgroups;
pub mod denied;
mod granted;
mod kept;
mod limits;
pub mod moving;
pub mod numbers;
mod places;
mod processes;
mod readers;
mod rights;
pub mod sandboxed;
mod scarce;
mod subordinate;
mod unread;

use crate::agent::Agent;
use netstat_tests::truth::runner::Test;

/// A user without any rights of their own.
pub const STRANGER: u32 = 54_321;

pub fn tests() -> Vec<Test> {
    [
        besieged::TESTS,
        cgroups::TESTS,
        denied::TESTS,
        granted::TESTS,
        kept::TESTS,
        limits::TESTS,
        moving::TESTS,
        numbers::TESTS,
        places::TESTS,
        processes::TESTS,
        readers::TESTS,
        rights::TESTS,
        sandboxed::TESTS,
        scarce::TESTS,
        subordinate::TESTS,
        unread::TESTS,
    ]
    .concat()
}

/// An agent that everybody may ask.
pub fn open_to_all(args: &[&str]) -> Agent {
    Agent::start(&[&["--mode", "666"], args].concat())
}
