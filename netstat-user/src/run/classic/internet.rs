//! The Internet table: tcp, udp, udplite and raw sockets of both families under one header.

use super::session::Session;
use crate::view::inet;
use std::io;

/// Prints the Internet table where it is wanted; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn print(session: &mut Session<'_>) -> io::Result<u8> {
    if !session.tables.protocols.any() {
        return Ok(0);
    }
    session.owners(std::iter::empty())?;
    if !session.options.json {
        let columns = inet::Columns {
            extend: session.options.extend > 0,
            programs: session.options.programs,
            timers: session.options.timers,
        };
        inet::heading(session.out.bytes(), &session.lang, session.options.filter().into(), columns);
    }
    Ok(0)
}
