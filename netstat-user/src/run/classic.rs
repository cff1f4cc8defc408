//! Runs the classic request: which views, in which order, how often, and what each one's outcome means.

mod groups;
mod interfaces;
pub mod internet;
mod masquerade;
mod packet_radio;
mod packet_routes;
mod route;
pub(super) mod rows;
pub mod selected;
pub(super) mod session;
mod statistics;
mod unix;

use crate::cli::classic::{Filter, Options, View};
use crate::stdio::output::BufferedOutput;
use crate::stdio::waiting::WaitNote;
use crate::stdio::{Written, complain};
use selected::Selected;
use session::Session;
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
    let Some(note) = &options.ignored else { return views(options) };
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
            return Ok(USAGE);
        }
    };
    let mut session = Session::new(options, selected);
    let what = match () {
        () if options.all_netns => "the sockets of every network namespace",
        () if options.numeric.hosts => "the kernel's tables",
        () => "the kernel's tables and the names of hosts (-n leaves names out)",
    };
    // With -c nobody waits for an end.
    let _waiting = (!options.continuous).then(|| WaitNote::for_(what));
    loop {
        let code = match options.view() {
            View::Masquerade => masquerade::print(&mut session)?,
            View::Statistics => statistics::print(&mut session)?,
            View::Routes => route::print(&mut session)?,
            View::Interfaces => interfaces::print(&mut session)?,
            View::Tables => {
                let code = tables(&mut session)?;
                session.end_selected();
                if session.round == 0 && options.verbose {
                    for fall in session.source.falls() {
                        session.note(&format!("{fall}; the kernel was asked in another way"))?;
                    }
                }
                if session.round == 0 && session.selected.is_in_vain() && all_would_help(options)? {
                    session.note("no socket with a peer is selected; with -a those without are listed, too")?;
                }
                code
            }
        };
        session.out.flush()?;
        // netstat says its counters once, -c or not.
        if code != 0 || !options.continuous || options.view() == View::Statistics {
            return Ok(code);
        }
        std::thread::sleep(PAUSE);
        session.next_round();
    }
}

/// Whether -a, which was not given, would list sockets for which the expression holds.
fn all_would_help(options: &Options) -> Written<bool> {
    if options.filter() != Filter::Connected {
        return Ok(false);
    }
    // As objects, so that no names are looked up.
    let options = Options { all: true, json: true, ..options.clone() };
    let Ok(selected) = Selected::new(&options) else { return Ok(false) };
    let mut trial = Session::new(&options, selected);
    trial.out = BufferedOutput::silent();
    tables(&mut trial)?;
    Ok(!trial.selected.is_in_vain())
}

/// A view over one session: prints itself and returns 0, or the exit code that ends the run.
type PrintTable = fn(&mut Session<'_>) -> Written<u8>;

/// The tables of sockets and groups in netstat's order, up to the first that fails. Each decides by
/// [`Session::tables`] whether it is wanted.
fn tables(session: &mut Session<'_>) -> Written<u8> {
    const ORDER: [PrintTable; 9] = [
        internet::print,
        groups::print,
        unix::print,
        packet_radio::ipx,
        packet_radio::ax25,
        packet_radio::x25,
        packet_radio::netrom,
        packet_radio::rose,
        unsupported,
    ];
    for print in ORDER {
        let code = print(session)?;
        if code != 0 {
            return Ok(code);
        }
    }
    Ok(0)
}

/// The families that were asked for and that no build or no kernel of today lists; last, as in netstat.
fn unsupported(session: &mut Session<'_>) -> Written<u8> {
    if let Some(family) = session.tables.tableless {
        let name = family.name().to_ascii_uppercase();
        session.out.note(format!("netstat: no support for `AF {name}' on this system.\n").as_bytes())?;
        return Ok(1);
    }
    if session.tables.bluetooth {
        session.out.note(
            b"netstat: feature `AF BLUETOOTH' not supported.\n\
              Please recompile `net-tools' with newer kernel source or full configuration.\n",
        )?;
        return Ok(1);
    }
    Ok(0)
}
