//! Corners: what happens to a socket rarely, each with a truth that the test knows beforehand.

mod accepts;
pub mod cast;
mod closers;
mod compat;
mod connects;
mod first;
mod found;
mod kinds;
mod lasting;
mod losses;
mod names;
mod older;
mod openings;
mod postgres;
mod reasons;
mod refusals;
mod requests;
mod shared;
mod soak;
mod traffic;

use crate::check::Book;
use crate::event::{Closer, Event, Kind, Totals};
use crate::made::Made;
use crate::runner::{Done, Test};
use crate::tracer::{Outcome, Tracer};
use netstat_tests::netns::NetNs;
use netstat_tests::truth::wire::Wire;
use std::io;

/// The role of every actor of the corners; what they play is their next argument.
const ROLE: &str = "corner";

/// The tests, module by module.
pub fn tests() -> Vec<Test> {
    let modules: &[&[Test]] = &[
        accepts::TESTS,
        connects::TESTS,
        reasons::TESTS,
        closers::TESTS,
        postgres::TESTS,
        requests::TESTS,
        openings::TESTS,
        names::TESTS,
        first::TESTS,
        soak::TESTS,
        shared::TESTS,
        kinds::TESTS,
        refusals::TESTS,
        lasting::TESTS,
        losses::TESTS,
        found::TESTS,
        older::TESTS,
    ];
    modules.concat()
}

/// A tracer of one namespace.
fn traced(namespace: &NetNs, arguments: &[&str]) -> Tracer {
    Tracer::start(&[arguments, &["--netns", &namespace.inode().unwrap().to_string()]].concat())
}

/// A namespace, with a wire in it.
fn wired(make: fn() -> io::Result<Wire>) -> Result<(NetNs, Wire), Done> {
    let namespace = NetNs::new().unwrap();
    match namespace.enter(make) {
        Ok(wire) => Ok((namespace, wire)),
        Err(error) => Err(Done::Skipped(format!("no TUN device: {error}"))),
    }
}

/// The end of a socket; it must have exactly one.
fn totals<'a>(outcome: &'a Outcome, made: &Made) -> (&'a Event, &'a Totals) {
    let events = Book::new(&outcome.events).of(made);
    let mut closes = events.iter().filter_map(|event| match &event.kind {
        Kind::Close(totals) => Some((*event, totals)),
        _ => None,
    });
    match (closes.next(), closes.next()) {
        (Some(close), None) => close,
        _ => panic!("not closed once: {}: {events:#?}", made.name()),
    }
}

/// Checks by whom each of these sockets was closed, all of them before it complains.
fn check_closers(outcome: &Outcome, expected: &[(&Made, u32, &str)]) {
    let mut wrong = Vec::new();
    for &(made, pid, comm) in expected {
        let (event, totals) = totals(outcome, made);
        let wanted = Closer { pid, comm: comm.to_owned() };
        if totals.closed_by.as_ref() != Some(&wanted) {
            wrong.push(format!("closed by {:?}, not {wanted:?}: {}", totals.closed_by, event.line));
        }
    }
    let first = wrong.iter().take(3).map(String::as_str).collect::<Vec<_>>().join("\n  ");
    assert!(wrong.is_empty(), "{} of {} wrong, the first:\n  {first}", wrong.len(), expected.len());
}
