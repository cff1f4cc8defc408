//! The `interfaces` view.

use super::session::Session;
use std::io;

/// Prints the interfaces where they are wanted; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn print(_session: &mut Session<'_>) -> io::Result<u8> {
    Ok(0)
}
