//! The tables of the families beside Internet and UNIX: IPX, AX.25, X.25, NET/ROM and ROSE.

use super::session::Session;
use crate::cli::classic::{Filter, Want};
use crate::names::WantedNames;
use crate::proc::packet_radio::{self as reader, Bogus, PacketTable};
use crate::stdio::Written;
use crate::view::packet_radio as view;

/// The IPX table; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn ipx(session: &mut Session<'_>) -> Written<u8> {
    let table = match read(session, PacketTable::Ipx, session.tables.ipx)? {
        Ok(table) => table,
        Err(code) => return Ok(code),
    };
    let rows: Vec<_> = reader::ipx(&table).collect();
    let (json, extended) = (session.options.json, session.options.extend > 0);
    if json || extended && !session.options.numeric.users {
        let users = rows.iter().flatten().map(|row| row.uid).collect();
        session.names.look_up(WantedNames { users, ..WantedNames::default() });
    }
    if !json {
        view::ipx_heading(session.out.bytes(), &session.lang, extended);
    }
    print(session, PacketTable::Ipx, rows, |out, session, row| {
        let name = session.names.labels().users.get(&row.uid).map(Vec::as_slice);
        if json {
            view::ipx_json(out, row, name);
        } else {
            let uid = row.uid.to_string();
            view::ipx(out, &session.lang, row, extended.then(|| name.unwrap_or(uid.as_bytes())));
        }
    })
}

/// The AX.25 table; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn ax25(session: &mut Session<'_>) -> Written<u8> {
    let table = match read(session, PacketTable::Ax25, session.tables.ax25)? {
        Ok(table) => table,
        Err(code) => return Ok(code),
    };
    if !session.options.json {
        view::ax25_heading(session.out.bytes(), &session.lang);
    }
    print(session, PacketTable::Ax25, reader::ax25(&table), |out, session, row| {
        if session.options.json { view::ax25_json(out, row) } else { view::ax25(out, &session.lang, row) }
    })
}

/// The X.25 table; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn x25(session: &mut Session<'_>) -> Written<u8> {
    let table = match read(session, PacketTable::X25, session.tables.x25)? {
        Ok(table) => table,
        Err(code) => return Ok(code),
    };
    if !session.options.json {
        view::x25_heading(session.out.bytes());
    }
    let all = session.options.filter() == Filter::All;
    // Of today's tables, which are folders, netstat shows nothing; there the address is whole.
    let cut = session.proc.join(PacketTable::X25.file()).is_file();
    let rows = reader::x25(&table).filter(|row| all || row.as_ref().is_ok_and(|row| row.lci != 0) || row.is_err());
    print(session, PacketTable::X25, rows, |out, session, row| {
        if session.options.json { view::x25_json(out, row) } else { view::x25(out, row, cut) }
    })
}

/// The NET/ROM table; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn netrom(session: &mut Session<'_>) -> Written<u8> {
    let table = match read(session, PacketTable::Netrom, session.tables.netrom)? {
        Ok(table) => table,
        Err(code) => return Ok(code),
    };
    if !session.options.json {
        view::netrom_heading(session.out.bytes(), &session.lang);
    }
    print(session, PacketTable::Netrom, reader::netrom(&table), |out, session, row| {
        if session.options.json { view::netrom_json(out, row) } else { view::netrom(out, &session.lang, row) }
    })
}

/// The ROSE table; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn rose(session: &mut Session<'_>) -> Written<u8> {
    let table = match read(session, PacketTable::Rose, session.tables.rose)? {
        Ok(table) => table,
        Err(code) => return Ok(code),
    };
    if !session.options.json {
        view::rose_heading(session.out.bytes());
    }
    print(session, PacketTable::Rose, reader::rose(&table), |out, session, row| {
        if session.options.json { view::rose_json(out, row) } else { view::rose(out, &session.lang, row) }
    })
}

/// The table's bytes, or else the exit code: 0 where nothing is wanted of it.
fn read(session: &mut Session<'_>, table: PacketTable, want: Want) -> Written<Result<Vec<u8>, u8>> {
    if want == Want::No {
        return Ok(Err(0));
    }
    match table.read(&session.proc) {
        Ok(Some(bytes)) => Ok(Ok(bytes)),
        Ok(None) => session.no_table(table.name(), want).map(Err),
        Err(error) => session.unreadable(table.file(), &error).map(Err),
    }
}

/// Prints rows. A line that is none is said so in its place, as netstat does; beside JSON it is said once.
fn print<'s, R>(
    session: &mut Session<'s>,
    table: PacketTable,
    rows: impl IntoIterator<Item = Result<R, Bogus>>,
    write: impl Fn(&mut Vec<u8>, &Session<'s>, &R),
) -> Written<u8> {
    let path = session.proc.join(table.file());
    let path = path.display();
    let mut out = std::mem::take(session.out.bytes());
    let mut bogus = false;
    for row in rows {
        match row {
            Ok(row) => write(&mut out, session, &row),
            Err(Bogus) if session.options.json => bogus = true,
            Err(Bogus) => view::bogus(&mut out, &session.lang, &path),
        }
    }
    *session.out.bytes() = out;
    if bogus {
        session.out.note(&session.lang.fill("Problem reading data from %s\n", &[&path]))?;
    }
    Ok(0)
}
