//! Where the rooms are wired together: one file per verb, each from a request to an outcome.

pub mod agent;
pub mod classic;
pub mod doctor;
pub mod events;
pub mod locale;
mod remote;
pub mod source;
mod subscribe;

use crate::cli::{Refusal, Request};
use std::fmt::Display;
use std::io::{self, Write};

/// Serves a request and returns the exit code.
///
/// # Errors
/// Only a failure to write to standard output; `main` ends quietly on a closed pipe.
pub fn run(request: Request) -> io::Result<u8> {
    match request {
        Request::Classic(options) => classic::run(&options),
        Request::Agent(options) => agent::run(&options),
        Request::Doctor(options) => doctor::run(&options),
        Request::Events(options) => events::run(&options),
        Request::Print(text) => {
            io::stdout().lock().write_all(text.as_bytes())?;
            Ok(0)
        }
    }
}

/// Says on standard error why the command line cannot be served, and returns the exit code.
pub fn refuse(refusal: &Refusal) -> u8 {
    let mut text = Vec::new();
    if let Some(reason) = &refusal.reason {
        let values: Vec<&dyn Display> = reason.values.iter().map(|value| value as &dyn Display).collect();
        text = locale::lang().fill(reason.text, &values);
    }
    text.extend(refusal.message.as_bytes());
    // Standard error may be closed; the exit code still says it all.
    let _ = io::stderr().write_all(&text);
    refusal.exit
}
