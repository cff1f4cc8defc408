//! The table of UNIX domain sockets.

use crate::cli::classic::Want;
use crate::field::{Need, RowContext, UnixFields};
use crate::model::{Labels, SocketHolders, UnixRow};
use crate::proc::{netns, unix};
use crate::run::gather::Gathered;
use crate::run::table::asked::AskedFor;
use crate::run::table::round::Round;
use crate::run::table::selected::taken::TakenRows;
use crate::run::table::sources::Sources;
use crate::run::table::spaces::{Space, each, report_unread, spaces};
use crate::source::{KernelSource, UnixTable};
use crate::stdio::Written;
use crate::view;
use crate::view::inet::beyond::Netns;
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// What a namespace's table held, `None` where it has none.
type ReadTable = io::Result<Option<UnixTable>>;

/// The rows of a namespace that may be wanted.
struct UnixSpace<'a> {
    /// Where they are from, for the column of namespaces where it is shown.
    netns: Option<Netns<'a>>,
    /// Inode number of the namespace, where it is known.
    inode: Option<u32>,
    rows: Vec<UnixRow<'a>>,
}

/// Prints the UNIX domain sockets where they are wanted; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn print(asked: &AskedFor<'_>, sources: &mut Sources, taken: &mut TakenRows<'_>, round: &mut Round) -> Written<u8> {
    if asked.tables.unix == Want::No {
        return Ok(0);
    }
    // Where few rows may be left, nobody looks for holders before it is known whether any are.
    if asked.selected.passes_all() {
        sources.start_scan(asked);
    }
    let tables = read(asked, &sources.source, round)?;
    let namespaces = names(asked, &tables);
    let (nobody, labels) = (SocketHolders::default(), Labels::default());
    let unknown =
        RowContext { owners: &nobody, labels: &labels, netns: None, netns_names: &namespaces, providers: &[] };
    let mut listed = Vec::with_capacity(tables.len());
    for (space, table) in &tables {
        listed.push(rows(asked, space, table, unknown, round)?);
    }
    let inodes: Vec<u64> = listed.iter().flat_map(|listed| &listed.rows).map(|row| row.inode).collect();
    let mut owners = sources.owners(asked, round, inodes.iter().copied())?;
    let gathered = Gathered::unix(asked, &inodes, &mut owners, sources, round)?;
    let (labels, providers) = (sources.names.labels(), gathered.providers());
    let known = RowContext { owners: &owners, labels, providers: &providers, ..unknown };
    show(asked, &listed, known, taken, round.bytes());
    for (_, table) in tables {
        let code = match table {
            Ok(Some(_)) => 0,
            Ok(None) if asked.tables.lenient => 0,
            Ok(None) => asked.no_table(round, "AF UNIX", asked.tables.unix)?,
            Err(error) => asked.unreadable(round, "net/unix", &error)?,
        };
        if code != 0 {
            return Ok(code);
        }
    }
    Ok(0)
}

/// Reads the tables of the namespaces that are listed.
fn read(asked: &AskedFor<'_>, source: &KernelSource, round: &mut Round) -> Written<Vec<(Space, ReadTable)>> {
    let mut tables = Vec::new();
    for (space, read) in each(asked, spaces(asked, round)?, |_, root| source.unix(root)) {
        // Else the namespace has gone meanwhile.
        if let Ok(table) = read {
            tables.push((space, table));
        }
    }
    let read = tables.iter().filter_map(|(space, _)| match &space.namespace {
        Some(namespace) => Some(namespace.inode),
        None => netns::own(&asked.proc).ok(),
    });
    report_unread(asked, &read.collect::<Vec<_>>(), round)?;
    Ok(tables)
}

/// The namespace of a table, where it matters: one's own to the expression and the columns alone.
fn inode(asked: &AskedFor<'_>, space: &Space) -> Option<u32> {
    match &space.namespace {
        Some(namespace) => Some(namespace.inode),
        None => netns::own(&asked.proc).ok().filter(|_| !asked.selected.passes_all()),
    }
}

/// The names of the namespaces by inode number, where they are compared or shown.
fn names(asked: &AskedFor<'_>, tables: &[(Space, ReadTable)]) -> HashMap<u32, Vec<u8>> {
    let known = tables.iter().filter_map(|(space, _)| space.namespace.as_ref());
    let mut all: HashMap<_, _> = known.filter_map(|known| Some((known.inode, known.name.clone()?))).collect();
    if asked.selected.needs().meets(Need::NETNS_NAMES) {
        let mut names = netns::NamespaceNames::new(Path::new(netns::NAMES));
        let inodes = tables.iter().filter_map(|(space, _)| inode(asked, space));
        all.extend(inodes.filter_map(|inode| Some((inode, names.of(Some(inode))?.to_vec()))));
    }
    all
}

/// The rows of a table, but for those of which it is known without more that they are not wanted.
fn rows<'a>(
    asked: &AskedFor<'_>,
    space: &Space,
    table: &'a ReadTable,
    unknown: RowContext<'a>,
    round: &mut Round,
) -> Written<UnixSpace<'a>> {
    let unix::UnixRows { mut rows, bogus } = match table {
        Ok(Some(table)) => table.rows(),
        Ok(None) | Err(_) => unix::UnixRows::default(),
    };
    if bogus > 0 {
        round.say(asked.lang.text("warning, got bogus unix line.\n"))?;
    }
    let (listed, inode) = (asked.listed(), inode(asked, space));
    let context = RowContext { netns: inode, ..unknown };
    rows.retain(|row| {
        view::unix::is_listed(row, listed) && asked.selected.may_want(&UnixFields { row, context: &context })
    });
    let netns = asked.shows_netns().then(|| Netns::among(context.netns_names, inode));
    Ok(UnixSpace { netns, inode, rows })
}

/// Appends the table.
fn show(
    asked: &AskedFor<'_>,
    listed: &[UnixSpace<'_>],
    known: RowContext<'_>,
    taken: &mut TakenRows<'_>,
    out: &mut Vec<u8>,
) {
    let (options, owners) = (asked.options, known.owners);
    if !options.json && asked.selected.shows_view() {
        view::unix::heading(out, &asked.lang, asked.listed(), options.programs, asked.shows_netns());
    }
    for UnixSpace { netns, inode, rows } in listed {
        let context = RowContext { netns: *inode, ..known };
        for row in rows {
            taken.take(out, &UnixFields { row, context: &context }, |out| {
                if options.json {
                    view::unix::json(out, row, owners.of(row.inode), *netns);
                } else {
                    let holder = options.programs.then(|| owners.of(row.inode).next());
                    view::unix::row(out, &asked.lang, row, holder, *netns);
                }
            });
        }
    }
    taken.end_table(out);
}
