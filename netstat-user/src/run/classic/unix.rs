//! The table of UNIX domain sockets.

use super::session::Session;
use crate::cli::classic::Want;
use crate::proc::unix;
use crate::view;
use crate::view::inet::beyond::Netns;
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
    let mut tables = Vec::new();
    for space in session.spaces()? {
        match space.within(|root| session.source.unix(root)) {
            Ok(table) => tables.push((space.namespace, table)),
            // The namespace has gone meanwhile.
            Err(_) => continue,
        }
    }
    let mut spaces = Vec::with_capacity(tables.len());
    for (namespace, table) in &tables {
        let unix::Rows { mut rows, bogus } = match table {
            Ok(Some(table)) => table.rows(),
            Ok(None) | Err(_) => unix::Rows::default(),
        };
        if bogus > 0 {
            let warning = session.lang.text("warning, got bogus unix line.\n").to_vec();
            session.out.note(&warning)?;
        }
        let listed = session.options.filter().into();
        rows.retain(|row| view::unix::is_listed(row, listed));
        let netns =
            namespace.as_ref().map(|namespace| Netns { inode: Some(namespace.inode), name: namespace.name.as_deref() });
        spaces.push((netns, rows));
    }
    let owners = session.owners(spaces.iter().flat_map(|(_, rows)| rows).map(|row| row.inode))?;
    let out = session.out.bytes();
    if !session.options.json {
        let (listed, options) = (session.options.filter().into(), session.options);
        view::unix::heading(out, &session.lang, listed, options.programs, options.all_netns);
    }
    for (netns, rows) in &spaces {
        for row in rows {
            if session.options.json {
                view::unix::json(out, row, owners.of(row.inode), *netns);
            } else {
                let holder = session.options.programs.then(|| owners.of(row.inode).next());
                view::unix::row(out, &session.lang, row, holder, *netns);
            }
        }
    }
    for (_, table) in tables {
        let code = match table {
            Ok(Some(_)) => 0,
            Ok(None) if session.tables.lenient => 0,
            Ok(None) => session.no_table("AF UNIX", session.tables.unix)?,
            Err(error) => session.unreadable("net/unix", &error)?,
        };
        if code != 0 {
            return Ok(code);
        }
    }
    Ok(0)
}
