//! The tables of the families beside Internet and UNIX: IPX, AX.25, X.25, NET/ROM and ROSE.

use super::session::Session;
use std::io;

/// The IPX table; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn ipx(_session: &mut Session<'_>) -> io::Result<u8> {
    Ok(0)
}

/// The AX.25 table; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn ax25(_session: &mut Session<'_>) -> io::Result<u8> {
    Ok(0)
}

/// The X.25 table; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn x25(_session: &mut Session<'_>) -> io::Result<u8> {
    Ok(0)
}

/// The NET/ROM table; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn netrom(_session: &mut Session<'_>) -> io::Result<u8> {
    Ok(0)
}

/// The ROSE table; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn rose(_session: &mut Session<'_>) -> io::Result<u8> {
    Ok(0)
}
