//! `kill`: closes the sockets that an expression selects.

pub mod ways;

use super::internet::files::Namespaces;
use super::internet::{DecidedRows, Matching, matching};
use super::table::asked::AskedFor;
use super::table::round::Round;
use super::table::selected::Selected;
use super::table::sources::Sources;
use super::table::spaces::{Space, each, spaces};
use crate::cli::Refusal;
use crate::cli::classic::{self, AgentChoice, Protocols};
use crate::cli::help::mistake::wrong;
use crate::cli::kill::Options;
use crate::cli::names::KILL;
use crate::field::Need;
use crate::kernel;
use crate::model::{KillResult, SocketHolders, SocketRow};
use crate::proc::netns;
use crate::run::failure::Failure;
use crate::run::refuse;
use crate::stdio::{Written, ask, complain, print, screen};
use crate::view::inet::beyond::Netns;
use crate::view::kill as view;
use crate::view::text::counted;
use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use ways::{KillError, KillOutcome, KillWay};

/// What is shown of the selected sockets beside their rows.
#[derive(Clone, Copy)]
struct KnownOfSelected<'a> {
    /// The processes that hold them.
    owners: &'a SocketHolders,
    /// The names of their namespaces, where they may be of several.
    namespaces: Option<&'a Namespaces>,
}

impl<'a> KnownOfSelected<'a> {
    /// The namespace of a row, where it is shown.
    fn netns(self, row: &SocketRow) -> Option<Netns<'a>> {
        self.namespaces.map(|names| Netns::among(names, row.netns))
    }
}

/// Serves the request and returns the exit code.
///
/// # Errors
/// A failure to write to standard output, or to read the answer.
pub fn run(options: &Options) -> Result<u8, Failure> {
    let tables = tables(options);
    let selected = match Selected::new(&tables) {
        Ok(selected) => selected,
        Err(error) => {
            let refusal = wrong(KILL, &error);
            return Ok(refuse(&if error.is_denied() { Refusal { exit: 1, ..refusal } } else { refusal }));
        }
    };
    if selected.needs().meets(Need::AGES) {
        let what =
            "age_ns and state_age_ns are known to the agent alone, which kill does not ask: select by other fields";
        return Ok(refuse(&wrong(KILL, &what)));
    }
    let (asked, mut round) = (AskedFor::new(&tables, selected), Round::first());
    let Matching { decided, owners, namespaces, incomplete } =
        matching(&asked, &mut Sources::deciding_first(&asked), &mut round)?;
    let DecidedRows { rows, undecided, unheld, unread } = decided;
    round.flush()?;
    if rows.is_empty() && round.lacks_namespaces() {
        return Ok(1);
    }
    let is_unread =
        incomplete || unread > 0 || round.lacks_namespaces() || round.lacks_processes() || round.lacks_facts();
    let incomplete = is_unread || undecided > 0 || unheld > 0;
    for unknown in asked.selected.unknown_names() {
        complain(&unknown);
    }
    let left_out = |count: usize| format!("{} {} left out", sockets(count), if count == 1 { "was" } else { "were" });
    if undecided > 0 {
        let whose = if undecided == 1 { "its" } else { "their" };
        complain(&format!(
            "{}: {whose} owners could not be seen, and the expression asks for them",
            left_out(undecided)
        ));
    }
    if unheld > 0 {
        complain(&format!(
            "{}: the expression asks for owners, and no process was found that holds the socket or its other end, or one ended meanwhile",
            left_out(unheld)
        ));
    }
    if unread > 0 {
        complain(&format!(
            "{}: the expression asks for what could not be read: what sock_diag did not show, a user that the kernel does not keep, the name of a device or of a user, or peers in network namespaces",
            left_out(unread)
        ));
    }
    if rows.is_empty() {
        complain(match (is_unread, undecided + unheld) {
            (true, _) => "no socket matches of those that could be read",
            (false, 0) => "no socket matches",
            (false, _) => "no socket matches of those whose owners could be seen",
        });
        return Ok(u8::from(incomplete));
    }
    let namespaces = asked.lists_several_netns().then_some(&namespaces);
    let known = KnownOfSelected { owners: &owners, namespaces };
    if let Some(code) = withheld(options, &rows, known, incomplete)? {
        return Ok(code);
    }
    let ends = close(&asked, &rows, &mut round)?;
    let closed = |end: &&KillOutcome| matches!(end.result, KillResult::Closed | KillResult::Aborted);
    let closed = ends.iter().filter(closed).count();
    let failed = ends.iter().filter(|end| end.error.is_some()).count();
    let why: Vec<Option<String>> = ends.iter().map(|end| end.error.as_ref().map(KillError::to_string)).collect();
    let all: Vec<_> =
        rows.iter().zip(&ends).zip(&why).map(|((row, end), why)| (end.result, row, why.as_deref())).collect();
    let printed = print(&report(&all, known, options.json, screen::width()));
    if printed.is_err() {
        complain(&format!("closed {closed} of {}, but could not report them", sockets(rows.len())));
    }
    if failed > 0 {
        complain(&format!("{failed} of {} could not be closed", sockets(rows.len())));
    }
    unless_unread(printed)?;
    Ok(u8::from(failed > 0 || incomplete))
}

/// The outcome of a report, in which it is no failure that nobody reads it: the exit code is the same.
fn unless_unread(printed: Written<()>) -> Written<()> {
    match printed {
        Err(error) if error.is_closed() => Ok(()),
        printed => printed,
    }
}

/// The tables that are looked through: their rows, holders and all; an agent knows no more of them that matters here.
fn tables(options: &Options) -> classic::Options {
    classic::Options {
        protocols: Protocols { tcp: true, udp: true, udplite: true, raw: true, sctp: false },
        all: true,
        json: true,
        agent: AgentChoice::Never,
        selection: options.selection.clone(),
        ..classic::Options::default()
    }
}

/// Prints the dry run, or asks for confirmation; the exit code if nothing is to be closed.
fn withheld(
    options: &Options,
    rows: &[SocketRow],
    known: KnownOfSelected<'_>,
    incomplete: bool,
) -> Result<Option<u8>, Failure> {
    if options.dry_run {
        let all: Vec<_> = rows.iter().map(|row| (KillResult::WouldClose, row, None)).collect();
        unless_unread(print(&report(&all, known, options.json, screen::width())))?;
        complain(&format!("{} would be closed{}", sockets(rows.len()), by_root()));
        return Ok(Some(u8::from(incomplete)));
    }
    if !options.yes && !io::stdin().is_terminal() {
        let found = sockets(rows.len());
        let what = format!(
            "{found} would be closed, and standard input is no terminal to ask on: give --yes to close, or --dry-run to list"
        );
        return Ok(Some(refuse(&wrong(KILL, &what))));
    }
    if options.yes {
        return Ok(None);
    }
    // What is asked about goes where the question goes.
    let all: Vec<_> = rows.iter().map(|row| (KillResult::WouldClose, row, None)).collect();
    let mut question = report(&all, known, false, screen::width_of(&io::stderr()));
    question.extend(format!("Close {}{}? [y/N] ", these(rows.len()), by_root()).bytes());
    if !matches!(ask(&question)?.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        complain("nothing was closed");
        return Ok(Some(1));
    }
    Ok(None)
}

/// What to say before a process tries what takes more rights than it has.
fn by_root() -> &'static str {
    if kernel::may_close() { "" } else { " (that takes CAP_NET_ADMIN: run it as root)" }
}

fn sockets(count: usize) -> String {
    counted(count as u64, "socket", "sockets")
}

fn these(count: usize) -> String {
    if count == 1 { "this socket".to_owned() } else { format!("these {count} sockets") }
}

/// What became of sockets, as lines or as objects.
fn report(
    all: &[(KillResult, &SocketRow, Option<&str>)],
    known: KnownOfSelected<'_>,
    json: bool,
    terminal: Option<u16>,
) -> Vec<u8> {
    let mut out = Vec::new();
    if json {
        for &(result, row, error) in all {
            view::json(&mut out, result, row, known.owners.of(row.inode), error);
        }
        return out;
    }
    let outcomes = all.iter().map(|&(result, row, error)| view::Outcome {
        result,
        row,
        netns: known.netns(row),
        holder: known.owners.first(row.inode),
        error,
    });
    let outcomes: Vec<_> = outcomes.collect();
    view::list(&mut out, &outcomes, terminal.map(usize::from));
    out
}

/// Closes the sockets, each in its namespace; what became of each, in their order.
fn close(asked: &AskedFor<'_>, rows: &[SocketRow], round: &mut Round) -> Written<Vec<KillOutcome>> {
    let own = netns::own(&asked.proc).ok();
    let mut ends = vec![KillOutcome::failed(KillError::NamespaceLost); rows.len()];
    // The places of the rows in each namespace.
    let mut places = HashMap::<Option<u32>, Vec<usize>>::new();
    rows.iter().enumerate().for_each(|(at, row)| places.entry(row.netns.or(own)).or_default().push(at));
    let here = |inode: Option<u32>| places.get(&inode.or(own)).map_or(&[][..], |places| places);
    let inode = |space: &Space| space.namespace.as_ref().map(|namespace| namespace.inode);
    let mut spaces = spaces(asked, round)?;
    spaces.retain(|space| !here(inode(space)).is_empty());
    let within = |inode: Option<u32>, root: &Path| {
        netns::inside(&asked.proc, root, || {
            // By a process that has left it, another one would be entered.
            let entered = netns::of_thread(&asked.proc)?;
            if inode.is_some_and(|inode| inode != entered) {
                return Err(io::ErrorKind::NotFound.into());
            }
            Ok(ways::close(&here(inode).iter().map(|&at| rows[at]).collect::<Vec<_>>(), KillWay::ALL))
        })?
    };
    for (space, closed) in each(asked, spaces, within) {
        let here = here(inode(&space));
        match closed.and_then(|inside| inside) {
            Ok(closed) => here.iter().zip(closed).for_each(|(&at, end)| ends[at] = end),
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::NotFound => KillError::NamespaceGone,
                    _ => KillError::Namespace(Arc::new(error)),
                };
                here.iter().for_each(|&at| ends[at] = KillOutcome::failed(why.clone()));
            }
        }
    }
    Ok(ends)
}
