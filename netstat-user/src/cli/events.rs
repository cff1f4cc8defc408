//! The command line of `events`.

use super::{Refusal, Request};
use std::ffi::OsString;

/// An `events` command line, resolved.
#[derive(Debug, PartialEq)]
pub struct Options {}

/// Reads the options of `events`.
///
/// # Errors
/// A [`Refusal`] with exit code 2.
pub fn parse(_argv: &[OsString]) -> Result<Request, Refusal> {
    Ok(Request::Events(Options {}))
}
