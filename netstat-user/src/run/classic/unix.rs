//! The table of UNIX domain sockets.

use super::session::Session;
use crate::cli::classic::Want;
use crate::proc::unix;
use crate::view;
use std::io;

/// Prints the UNIX domain sockets where they are wanted; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn print(session: &mut Session<'_>) -> io::Result<u8> {
    if session.tables.unix == Want::No {
        return Ok(0);
    }
    session.start_scan();
    let table = unix::read(&session.proc);
    let unix::Rows { mut rows, bogus } = unix::parse(match &table {
        Ok(Some(table)) => table,
        Ok(None) | Err(_) => b"",
    });
    if bogus > 0 {
        let warning = session.lang.text("warning, got bogus unix line.\n").to_vec();
        session.out.note(&warning)?;
    }
    let listed = session.options.filter().into();
    rows.retain(|row| view::unix::is_listed(row, listed));
    let owners = session.owners(rows.iter().map(|row| row.inode))?;
    let out = session.out.bytes();
    if session.options.json {
        for row in &rows {
            view::unix::json(out, row, owners.of(row.inode));
        }
    } else {
        let programs = session.options.programs;
        view::unix::heading(out, &session.lang, listed, programs);
        for row in &rows {
            let holder = programs.then(|| owners.of(row.inode).next());
            view::unix::row(out, &session.lang, row, holder);
        }
    }
    match table {
        Ok(Some(_)) => Ok(0),
        Ok(None) if session.tables.lenient => Ok(0),
        Ok(None) => session.no_table("AF UNIX", session.tables.unix),
        Err(error) => session.unreadable("net/unix", &error),
    }
}
