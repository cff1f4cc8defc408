//! Runs the classic request: which views, in which order, how often, and what each one's outcome means.

mod groups;
mod interfaces;
mod internet;
mod masquerade;
mod packet_radio;
mod packet_routes;
mod route;
mod statistics;
mod unix;

use crate::cli::classic::{Filter, Options, View};
use crate::field::{Column, Field};
use crate::run::table::asked::AskedFor;
use crate::run::table::round::Round;
use crate::run::table::selected::Selected;
use crate::run::table::selected::taken::TakenRows;
use crate::run::table::sources::Sources;
use crate::stdio::waiting::WaitNote;
use crate::stdio::{Written, complain, screen};
use std::time::Duration;

/// Exit code of a wrong command line, as netstat has it.
const USAGE: u8 = 3;

/// Pause of `-c` between two rounds.
const PAUSE: Duration = Duration::from_secs(1);

/// Serves the request and returns the exit code.
///
/// # Errors
/// A failure to write to standard output.
pub fn run(options: &Options) -> Written<u8> {
    let Some(note) = &options.remark else { return views(options) };
    // Below the table it is still to be seen, however long that is; -c has no end.
    if options.continuous {
        complain(note);
        return views(options);
    }
    let outcome = views(options);
    complain(note);
    outcome
}

/// Prints the views, round by round.
fn views(options: &Options) -> Written<u8> {
    let selected = match Selected::new(options) {
        Ok(selected) => selected,
        Err(error) => {
            complain(&error.to_string());
            return Ok(if error.is_denied() { 1 } else { USAGE });
        }
    };
    let asked = AskedFor::new(options, selected);
    let mut sources = Sources::new(&asked);
    let (mut taken, mut round) = (TakenRows::new(&asked.selected), Round::first());
    let what = match () {
        () if options.all_netns => "the sockets of every network namespace",
        () if options.numeric.hosts => "the kernel's tables",
        () => "the tables and host names (-n leaves names out)",
    };
    // With -c nobody waits for an end.
    let _waiting = (!options.continuous).then(|| WaitNote::start(what));
    loop {
        let code = match options.view() {
            View::Masquerade => masquerade::print(&mut round)?,
            View::Statistics => statistics::print(&asked, &mut round)?,
            View::Routes => route::print(&asked, &mut sources.names, &mut round)?,
            View::Interfaces => interfaces::print(&asked, &mut round)?,
            View::Tables => sockets(&asked, &mut sources, &mut taken, &mut round)?,
        };
        round.flush()?;
        if let Some(complaint) = sources.names.complaint() {
            round.note(&complaint)?;
        }
        // netstat says its counters once, -c or not.
        if code != 0 || !options.continuous || options.view() == View::Statistics {
            return Ok(code);
        }
        std::thread::sleep(PAUSE);
        sources.next_round();
        taken.next_round();
        round.next();
    }
}

/// The tables of sockets and groups, and what is to be said below them.
fn sockets(asked: &AskedFor<'_>, sources: &mut Sources, taken: &mut TakenRows<'_>, round: &mut Round) -> Written<u8> {
    let code = tables(asked, sources, taken, round)?;
    taken.end(round.bytes(), screen::width().map(usize::from));
    if asked.options.verbose {
        for fall in sources.source.falls() {
            round.note_at_first(&format!("{fall}; the kernel was asked in another way"))?;
        }
    }
    for unknown in asked.selected.unknown_names() {
        round.note_at_first(&unknown)?;
    }
    if taken.lacks_owners() {
        sources.report_hidden(round)?;
    }
    let lacks_facts = taken.lacks_owners() || round.lacks_facts();
    if round.lacks_namespaces() || lacks_facts || round.lacks_processes() && !asked.is_netstats() {
        return Ok(code.max(1));
    }
    if let Some(why) = asked.selected.never().filter(|_| round.is_first()) {
        let instead = if asked.tables.protocols.any() { "-x" } else { "-t, -u or --proto without -x" };
        round.note(&format!("no row can match: {why}; give {instead}"))?;
        return Ok(code);
    }
    if round.is_first()
        && taken.is_in_vain()
        && let Some(why) = all_would_help(asked.options, sources)?
    {
        round.note(why)?;
    }
    Ok(code)
}

/// What to say where -a, which was not given, would list sockets for which the expression holds. Only those are read that were not.
fn all_would_help(options: &Options, sources: &mut Sources) -> Written<Option<&'static str>> {
    let (listening, why) = match options.filter() {
        Filter::All => return Ok(None),
        Filter::Connected => (true, "no socket with a peer is selected; with -a those without are listed, too"),
        Filter::Listening => {
            (false, "no socket that listens is selected; with -a in place of -l all others are listed, too")
        }
    };
    // One column, so that nothing is gathered but what the expression needs.
    let mut options = Options { listening, recent: None, ..options.clone() };
    let selection = &mut options.selection;
    selection.columns = vec![Column::Field(Field::Proto)];
    (selection.sort, selection.count_by, selection.limit) = (Vec::new(), Vec::new(), None);
    let Ok(selected) = Selected::new(&options) else { return Ok(None) };
    let asked = AskedFor::new(&options, selected);
    let (mut taken, mut round) = (TakenRows::new(&asked.selected), Round::silent());
    sources.next_tables();
    tables(&asked, sources, &mut taken, &mut round)?;
    Ok((!taken.is_in_vain()).then_some(why))
}

/// A table of sockets or groups. Each is printed where [`AskedFor::tables`] wants it.
#[derive(Clone, Copy)]
enum ClassicTable {
    Internet,
    Groups,
    Unix,
    Ipx,
    Ax25,
    X25,
    Netrom,
    Rose,
    Unsupported,
}

/// netstat's order.
const ORDER: [ClassicTable; 9] = [
    ClassicTable::Internet,
    ClassicTable::Groups,
    ClassicTable::Unix,
    ClassicTable::Ipx,
    ClassicTable::Ax25,
    ClassicTable::X25,
    ClassicTable::Netrom,
    ClassicTable::Rose,
    ClassicTable::Unsupported,
];

/// The tables up to the first that fails; returns 0, or the exit code of that one.
fn tables(asked: &AskedFor<'_>, sources: &mut Sources, taken: &mut TakenRows<'_>, round: &mut Round) -> Written<u8> {
    for table in ORDER {
        let code = match table {
            ClassicTable::Internet => internet::print(asked, sources, taken, round)?,
            ClassicTable::Groups => groups::print(asked, &mut sources.names, round)?,
            ClassicTable::Unix => unix::print(asked, sources, taken, round)?,
            ClassicTable::Ipx => packet_radio::ipx(asked, &mut sources.names, round)?,
            ClassicTable::Ax25 => packet_radio::ax25(asked, round)?,
            ClassicTable::X25 => packet_radio::x25(asked, round)?,
            ClassicTable::Netrom => packet_radio::netrom(asked, round)?,
            ClassicTable::Rose => packet_radio::rose(asked, round)?,
            ClassicTable::Unsupported => unsupported(asked, round)?,
        };
        if code != 0 {
            return Ok(code);
        }
    }
    Ok(0)
}

/// The families that were asked for and that no build or no kernel of today lists; last, as in netstat.
fn unsupported(asked: &AskedFor<'_>, round: &mut Round) -> Written<u8> {
    if let Some(family) = asked.tables.tableless {
        let name = family.name().to_ascii_uppercase();
        round.say(format!("netstat: no support for `AF {name}' on this system.\n").as_bytes())?;
        return Ok(1);
    }
    if asked.tables.bluetooth {
        round.say(
            b"netstat: feature `AF BLUETOOTH' not supported.\n\
              Please recompile `net-tools' with newer kernel source or full configuration.\n",
        )?;
        return Ok(1);
    }
    Ok(0)
}
