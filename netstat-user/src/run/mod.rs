//! Where the rooms are wired together: one file per verb, each from a request to an outcome.

pub mod classic;
pub mod events;
pub mod locale;

use crate::cli::Request;
use std::io;

/// Serves a request and returns the exit code.
///
/// # Errors
/// Only a failure to write to standard output; `main` ends quietly on a closed pipe.
pub fn run(request: Request) -> io::Result<u8> {
    match request {
        Request::Classic(options) => classic::run(&options),
        Request::Events(options) => events::run(&options),
        Request::Print(text) => {
            use io::Write;
            io::stdout().lock().write_all(text.as_bytes())?;
            Ok(0)
        }
    }
}
