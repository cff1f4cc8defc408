//! The classic command line: netstat's own options.

use super::{Refusal, Request};
use std::ffi::OsString;

/// A classic command line, resolved.
#[derive(Debug, PartialEq)]
pub struct Options {}

/// Reads netstat's options.
///
/// # Errors
/// A [`Refusal`] with netstat's exit code.
pub fn parse(_argv: &[OsString]) -> Result<Request, Refusal> {
    Ok(Request::Classic(Options {}))
}
