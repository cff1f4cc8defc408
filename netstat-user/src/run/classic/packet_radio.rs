//! The tables of the families beside Internet and UNIX: IPX, AX.25, X.25, NET/ROM and ROSE.

use crate::cli::classic::{Filter, Want};
use crate::names::{Names, WantedNames};
use crate::proc::packet_radio::{self as reader, Bogus, PacketTable};
use crate::run::table::asked::AskedFor;
use crate::run::table::round::Round;
use crate::stdio::Written;
use crate::view::packet_radio as view;

/// The IPX table; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn ipx(asked: &AskedFor<'_>, names: &mut Names, round: &mut Round) -> Written<u8> {
    let table = match read(asked, round, PacketTable::Ipx, asked.tables.ipx)? {
        Ok(table) => table,
        Err(code) => return Ok(code),
    };
    let rows: Vec<_> = reader::ipx(&table).collect();
    let (json, extended) = (asked.options.json, asked.options.extend > 0);
    if json || extended && !asked.options.numeric.users {
        let users = rows.iter().flatten().map(|row| row.uid).collect();
        names.look_up(WantedNames { users, ..WantedNames::default() });
    }
    if !json {
        view::ipx_heading(round.bytes(), &asked.lang, extended);
    }
    let labels = names.labels();
    print(asked, round, PacketTable::Ipx, rows, |out, row| {
        let name = labels.users.get(&row.uid).map(Vec::as_slice);
        if json {
            view::ipx_json(out, row, name);
        } else {
            let uid = row.uid.to_string();
            view::ipx(out, &asked.lang, row, extended.then(|| name.unwrap_or(uid.as_bytes())));
        }
    })
}

/// The AX.25 table; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn ax25(asked: &AskedFor<'_>, round: &mut Round) -> Written<u8> {
    let table = match read(asked, round, PacketTable::Ax25, asked.tables.ax25)? {
        Ok(table) => table,
        Err(code) => return Ok(code),
    };
    if !asked.options.json {
        view::ax25_heading(round.bytes(), &asked.lang);
    }
    print(asked, round, PacketTable::Ax25, reader::ax25(&table), |out, row| {
        if asked.options.json { view::ax25_json(out, row) } else { view::ax25(out, &asked.lang, row) }
    })
}

/// The X.25 table; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn x25(asked: &AskedFor<'_>, round: &mut Round) -> Written<u8> {
    let table = match read(asked, round, PacketTable::X25, asked.tables.x25)? {
        Ok(table) => table,
        Err(code) => return Ok(code),
    };
    if !asked.options.json {
        view::x25_heading(round.bytes());
    }
    let all = asked.options.filter() == Filter::All;
    // netstat shows nothing of today's tables, which are folders; there the address is whole.
    let cut = asked.proc.join(PacketTable::X25.file()).is_file();
    let rows = reader::x25(&table).filter(|row| all || row.as_ref().is_ok_and(|row| row.lci != 0) || row.is_err());
    print(asked, round, PacketTable::X25, rows, |out, row| {
        if asked.options.json { view::x25_json(out, row) } else { view::x25(out, row, cut) }
    })
}

/// The NET/ROM table; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn netrom(asked: &AskedFor<'_>, round: &mut Round) -> Written<u8> {
    let table = match read(asked, round, PacketTable::Netrom, asked.tables.netrom)? {
        Ok(table) => table,
        Err(code) => return Ok(code),
    };
    if !asked.options.json {
        view::netrom_heading(round.bytes(), &asked.lang);
    }
    print(asked, round, PacketTable::Netrom, reader::netrom(&table), |out, row| {
        if asked.options.json { view::netrom_json(out, row) } else { view::netrom(out, &asked.lang, row) }
    })
}

/// The ROSE table; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn rose(asked: &AskedFor<'_>, round: &mut Round) -> Written<u8> {
    let table = match read(asked, round, PacketTable::Rose, asked.tables.rose)? {
        Ok(table) => table,
        Err(code) => return Ok(code),
    };
    if !asked.options.json {
        view::rose_heading(round.bytes());
    }
    print(asked, round, PacketTable::Rose, reader::rose(&table), |out, row| {
        if asked.options.json { view::rose_json(out, row) } else { view::rose(out, &asked.lang, row) }
    })
}

/// The table's bytes, or else the exit code: 0 where nothing is wanted of it.
fn read(asked: &AskedFor<'_>, round: &mut Round, table: PacketTable, want: Want) -> Written<Result<Vec<u8>, u8>> {
    if want == Want::No {
        return Ok(Err(0));
    }
    match table.read(&asked.proc) {
        Ok(Some(bytes)) => Ok(Ok(bytes)),
        Ok(None) => asked.no_table(round, table.name(), want).map(Err),
        Err(error) => asked.unreadable(round, table.file(), &error).map(Err),
    }
}

/// Prints rows. A line that is none is said so in its place, as netstat does; beside JSON it is said once.
fn print<R>(
    asked: &AskedFor<'_>,
    round: &mut Round,
    table: PacketTable,
    rows: impl IntoIterator<Item = Result<R, Bogus>>,
    write: impl Fn(&mut Vec<u8>, &R),
) -> Written<u8> {
    let path = asked.proc.join(table.file());
    let path = path.display();
    let out = round.bytes();
    let mut bogus = false;
    for row in rows {
        match row {
            Ok(row) => write(out, &row),
            Err(Bogus) if asked.options.json => bogus = true,
            Err(Bogus) => view::bogus(out, &asked.lang, &path),
        }
    }
    if bogus {
        round.say(&asked.lang.fill("Problem reading data from %s\n", &[&path]))?;
    }
    Ok(0)
}
