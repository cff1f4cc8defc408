//! The Internet sockets that are listed: tcp, sctp, udp, udplite and raw sockets of both families.
//!
//! What is asked becomes a [`Plan`], the plan [`Files`] that were read, and these what is [`KnownOfRows`] of their rows.

pub mod files;
pub mod known;

use crate::field::{Need, RowContext, RowFields};
use crate::filter::UnseenAnswers;
use crate::model::{Labels, SocketHolders, SocketRow, UnseenHolders};
use crate::proc::netns;
use crate::run::table::asked::AskedFor;
use crate::run::table::plan::Plan;
use crate::run::table::round::Round;
use crate::run::table::sources::Sources;
use crate::stdio::Written;
use files::{FileRows, Files, Namespaces};
use known::KnownOfRows;
use std::io;

/// The living sockets for which the expression holds.
#[derive(Default)]
pub struct Matching {
    /// Which they are, and how many more there may be.
    pub decided: DecidedRows,
    /// The processes that hold them.
    pub owners: SocketHolders,
    /// The names of their namespaces.
    pub namespaces: Namespaces,
    /// Whether a table could not be read, which was reported.
    pub incomplete: bool,
}

/// What of the rows an expression holds for.
#[derive(Default)]
pub struct DecidedRows {
    /// Those, with their namespaces.
    pub rows: Vec<SocketRow>,
    /// How many more there may be, as processes could not be looked into that may hold them.
    pub undecided: usize,
    /// How many more there may be, as no process was found that holds them, or their other ends, or one that was found ended before all was read of it.
    pub unheld: usize,
    /// How many more there may be, as what the expression asks of them could not be read.
    pub unread: usize,
}

/// Looks for the living sockets for which the expression holds, whoever holds them that was not seen, and whatever could not be read of them.
///
/// # Errors
/// A failure to write to standard output.
pub fn matching(asked: &AskedFor<'_>, sources: &mut Sources, round: &mut Round) -> Written<Matching> {
    let Some((files, mut known)) = look(asked, sources, round)? else { return Ok(Matching::default()) };
    let mut incomplete = false;
    for file in &files.list {
        // The kernel has no such protocol; without a /proc that is not known.
        if let Err(error) = &file.rows
            && (error.kind() != io::ErrorKind::NotFound || !asked.proc.join("net").exists())
        {
            incomplete = true;
            asked.unreadable(round, file.file, error)?;
        }
    }
    let mut decided = decide(asked, &files, &known, sources.names.labels());
    if decided.unheld > 0 {
        sources.look_again(asked);
        known = KnownOfRows::find(asked, &files, sources, round)?;
        decided = decide(asked, &files, &known, sources.names.labels());
    }
    if decided.undecided > 0 {
        sources.report_hidden(round)?;
    }
    Ok(Matching { decided, owners: known.owners, namespaces: files.namespaces, incomplete })
}

/// Asks the expression of the rows.
fn decide(asked: &AskedFor<'_>, files: &Files, known: &KnownOfRows, labels: &Labels) -> DecidedRows {
    let (providers, owners) = (known.gathered.providers(), &known.owners);
    let (strict, lenient) = (UnseenAnswers::strict(), UnseenAnswers::default());
    let sees_all = !owners.in_nested_pid_namespace && owners.unseen == UnseenHolders::default();
    let mut decided = DecidedRows::default();
    for file in &files.list {
        let Ok(FileRows::Sockets(table)) = &file.rows else { continue };
        let context =
            RowContext { owners, labels, netns: file.netns, netns_names: &files.namespaces, providers: &providers };
        for (row, recorded) in table.with_recorded() {
            let fields = RowFields { row, recorded, context: &context };
            let is_certain = |unread, answers| asked.selected.is_certain(&fields, unread, answers);
            match is_certain(fields.unread(), &lenient) {
                Some(true) => match is_certain(fields.unread(), &strict) {
                    Some(_) => decided.rows.push(SocketRow { netns: row.netns.or(file.netns), ..*row }),
                    None if sees_all || owners.first(row.inode).is_none() || owners.has_lost(row.inode) => {
                        decided.unheld += 1
                    }
                    None => decided.undecided += 1,
                },
                // Whoever holds it now may be asked for.
                Some(false) if owners.has_lost(row.inode) && is_certain(fields.unread(), &strict).is_none() => {
                    decided.unheld += 1
                }
                Some(false) => {}
                // A user that the kernel does not keep selects nothing, as 0 is what every listing shows of it.
                None if is_certain(fields.unread().without(Need::UIDS), &lenient) == Some(false) => {}
                None if is_certain(Need::NONE, &lenient).is_some() => decided.unread += 1,
                None => decided.undecided += 1,
            }
        }
    }
    decided
}

/// Reads the files, and gathers what is needed of their rows. `None` where sockets that ended cannot be had.
///
/// # Errors
/// A failure to write to standard output.
pub fn look(asked: &AskedFor<'_>, sources: &mut Sources, round: &mut Round) -> Written<Option<(Files, KnownOfRows)>> {
    let plan = Plan::of(asked, netns::own(&asked.proc).ok());
    let Some(mut files) = Files::read(asked, &plan, &sources.source, round)? else { return Ok(None) };
    let known = KnownOfRows::gather(asked, &mut files, sources, round)?;
    Ok(Some((files, known)))
}
