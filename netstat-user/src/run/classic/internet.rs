//! The Internet table: tcp, sctp, udp, udplite and raw sockets of both families under one header.
//!
//! What is asked becomes a [`Plan`], the plan [`Files`] that were read, these what is [`KnownOfRows`] of their rows, and all of it bytes.

mod files;
mod known;
mod show;

use super::asked::AskedFor;
use super::plan::Plan;
use super::round::Round;
use super::selected::taken::Taken;
use super::sources::Sources;
use crate::field::{RowContext, RowFields};
use crate::model::{SocketHolders, SocketRow};
use crate::proc::netns;
use crate::stdio::Written;
use files::{Files, Rows};
use known::KnownOfRows;

/// Prints the Internet table where it is wanted; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn print(asked: &AskedFor<'_>, sources: &mut Sources, taken: &mut Taken<'_>, round: &mut Round) -> Written<u8> {
    if !asked.tables.protocols.any() {
        return Ok(0);
    }
    match look(asked, sources, round)? {
        Some((files, known)) => show::show(asked, files, &known, sources.names.labels(), taken, round),
        None => Ok(1),
    }
}

/// The living sockets for which the expression holds, with their namespaces, and the processes that hold them.
///
/// # Errors
/// A failure to write to standard output.
pub fn matching(
    asked: &AskedFor<'_>,
    sources: &mut Sources,
    round: &mut Round,
) -> Written<(Vec<SocketRow>, SocketHolders)> {
    let Some((files, known)) = look(asked, sources, round)? else { return Ok(Default::default()) };
    let providers = known.gathered.providers();
    let mut rows = Vec::new();
    for file in &files.list {
        let Ok(Rows::Sockets(table)) = &file.rows else { continue };
        let context = RowContext {
            owners: &known.owners,
            labels: sources.names.labels(),
            netns: file.netns,
            netns_names: &files.namespaces,
            providers: &providers,
        };
        let wanted = |(row, recorded)| asked.selected.holds(&RowFields { row, recorded, context: &context });
        let found = table.with_recorded().filter(|&(row, recorded)| wanted((row, recorded)));
        rows.extend(found.map(|(row, _)| SocketRow { netns: row.netns.or(file.netns), ..*row }));
    }
    Ok((rows, known.owners))
}

/// Reads the files, and gathers what is needed of their rows. `None` where sockets that ended cannot be had.
fn look(asked: &AskedFor<'_>, sources: &mut Sources, round: &mut Round) -> Written<Option<(Files, KnownOfRows)>> {
    let plan = Plan::of(asked, netns::own(&asked.proc).ok());
    let Some(mut files) = Files::read(asked, &plan, &sources.source, round)? else { return Ok(None) };
    let known = KnownOfRows::gather(asked, &mut files, sources, round)?;
    Ok(Some((files, known)))
}
