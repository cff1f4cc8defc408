//! Shared harness for the suites in `tests/`: the program under test, commands with a time limit, and network
//! namespaces of a test's own. No `ip` is needed for any of it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this crate is all tests")]

pub mod again;
pub mod case;
pub mod cases;
pub mod command;
pub mod compare;
pub mod locales;
pub mod netns;
pub mod programs;
pub mod sandbox;
pub mod scenes;
pub mod schema;
pub mod terminal;
pub mod truth;
pub mod zoo;
