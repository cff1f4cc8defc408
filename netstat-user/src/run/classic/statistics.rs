//! The `statistics` view: /proc/net/snmp and its neighbours, as the options select them.

use crate::cli::classic::Family;
use crate::model::net::CounterTable;
use crate::proc::{snmp, whole};
use crate::run::table::asked::AskedFor;
use crate::run::table::round::Round;
use crate::stdio::Written;
use crate::view::statistics::{Sections, SentencePrinter, json};

/// Prints the counters of the protocols where they are wanted; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn print(asked: &AskedFor<'_>, round: &mut Round) -> Written<u8> {
    let v6 = match asked.options.families[..] {
        [] | [Family::Inet] => false,
        [Family::Inet6] => true,
        ref families => {
            // Standard output, as in netstat.
            let names: Vec<_> = families.iter().map(|family| family.name()).collect();
            let refusal = format!("netstat: No statistics support for specified address family: {}\n", names.join(","));
            round.bytes().extend_from_slice(refusal.as_bytes());
            return Ok(1);
        }
    };
    let given = asked.options.protocols;
    let select = match given.any() {
        true => Sections { tcp: given.tcp, udp: given.udp, raw: given.raw, sctp: given.sctp },
        false => Sections::ALL,
    };
    let mut tables = Vec::new();
    if v6 {
        let Some(text) = asked.read(round, "net/snmp6", "cannot open /proc/net/snmp6")? else { return Ok(0) };
        tables.extend(snmp::snmp6(&text));
        // TCP counts both families together.
        let (tcp, _) = snmp(asked, round)?;
        tables.extend(tcp.into_iter().filter(|table| table.name == b"Tcp"));
    } else {
        let (snmp, there) = snmp(asked, round)?;
        if !there {
            return Ok(0);
        }
        tables.extend(snmp);
        if let Ok(text) = whole(&asked.proc.join("net/netstat")) {
            tables.extend(pairs(asked, round, &text, "Problem while parsing /proc/net/netstat\n")?);
        }
        if let Ok(text) = whole(&asked.proc.join("net/sctp/snmp")) {
            tables.push(snmp::sctp(&text));
        }
    }
    let mut printer = SentencePrinter::new(&asked.lang, select);
    for table in &tables {
        match asked.options.json {
            true if select.takes(&table.name) => json(round.bytes(), table),
            true => {}
            false => printer.table(round.bytes(), table),
        }
    }
    Ok(0)
}

/// The tables of /proc/net/snmp, and whether there is such a file.
fn snmp(asked: &AskedFor<'_>, round: &mut Round) -> Written<(Vec<CounterTable>, bool)> {
    match asked.read(round, "net/snmp", "cannot open /proc/net/snmp")? {
        Some(text) => Ok((pairs(asked, round, &text, "Problem while parsing /proc/net/snmp\n")?, true)),
        None => Ok((Vec::new(), false)),
    }
}

/// The tables of a file of line pairs; says so where it breaks off.
fn pairs(asked: &AskedFor<'_>, round: &mut Round, text: &[u8], broken: &str) -> Written<Vec<CounterTable>> {
    let pairs = snmp::pairs(text);
    if pairs.broken {
        round.say(asked.lang.text(broken))?;
    }
    Ok(pairs.tables)
}
