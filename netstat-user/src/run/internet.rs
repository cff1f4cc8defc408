//! The Internet sockets that are listed: tcp, sctp, udp, udplite and raw sockets of both families.
//!
//! What is asked becomes a [`Plan`], the plan [`Files`] that were read, and these what is [`KnownOfRows`] of their rows.

pub mod files;
pub mod known;

use crate::field::{Need, RowContext, RowFields};
use crate::filter::UnseenAnswers;
use crate::model::{SocketHolders, SocketRow};
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
    /// Their rows, with their namespaces.
    pub rows: Vec<SocketRow>,
    /// The processes that hold them.
    pub owners: SocketHolders,
    /// The names of their namespaces.
    pub namespaces: Namespaces,
    /// How many more there may be, as processes could not be looked into that may hold them.
    pub undecided: usize,
    /// How many more there may be, as what the expression asks of them could not be read.
    pub unread: usize,
    /// Whether a table could not be read, which was reported.
    pub incomplete: bool,
}

/// Looks for the living sockets for which the expression holds, whoever holds them that cannot be looked into, and whatever could not be read of them.
///
/// # Errors
/// A failure to write to standard output.
pub fn matching(asked: &AskedFor<'_>, sources: &mut Sources, round: &mut Round) -> Written<Matching> {
    let Some((files, known)) = look(asked, sources, round)? else { return Ok(Matching::default()) };
    let providers = known.gathered.providers();
    let answers = UnseenAnswers::default();
    let (mut rows, mut undecided, mut unread, mut incomplete) = (Vec::new(), 0, 0, false);
    for file in &files.list {
        let table = match &file.rows {
            Ok(FileRows::Sockets(table)) => table,
            Ok(_) => continue,
            // The kernel has no such protocol; without a /proc that is not known.
            Err(error) if error.kind() == io::ErrorKind::NotFound && asked.proc.join("net").exists() => continue,
            Err(error) => {
                incomplete = true;
                asked.unreadable(round, file.file, error)?;
                continue;
            }
        };
        let context = RowContext {
            owners: &known.owners,
            labels: sources.names.labels(),
            netns: file.netns,
            netns_names: &files.namespaces,
            providers: &providers,
        };
        for (row, recorded) in table.with_recorded() {
            let fields = RowFields { row, recorded, context: &context };
            match asked.selected.is_certain(&fields, fields.unread(), &answers) {
                Some(true) => rows.push(SocketRow { netns: row.netns.or(file.netns), ..*row }),
                Some(false) => {}
                None if asked.selected.is_certain(&fields, Need::NONE, &answers).is_some() => unread += 1,
                None => undecided += 1,
            }
        }
    }
    if undecided > 0 {
        sources.report_hidden(round)?;
    }
    Ok(Matching { rows, owners: known.owners, namespaces: files.namespaces, undecided, unread, incomplete })
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
