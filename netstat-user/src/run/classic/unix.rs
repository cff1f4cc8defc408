//! The table of UNIX domain sockets.

use super::session::Session;
use crate::cli::classic::Want;
use crate::field::{Need, RowContext, UnixFields};
use crate::model::SocketHolders;
use crate::proc::{netns, unix};
use crate::run::gather::Gathered;
use crate::stdio::Written;
use crate::view;
use crate::view::inet::beyond::Netns;
use std::collections::HashMap;
use std::path::Path;

/// Prints the UNIX domain sockets where they are wanted; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn print(session: &mut Session<'_>) -> Written<u8> {
    if session.tables.unix == Want::No {
        return Ok(0);
    }
    if session.selected.passes_all() {
        session.start_scan();
    }
    let mut tables = Vec::new();
    for space in session.spaces()? {
        match space.within(|root| session.source.unix(root)) {
            // The namespace has gone meanwhile.
            Err(_) | Ok(Ok(None) | Err(_)) if space.is_gone() => continue,
            Err(_) => continue,
            Ok(table) => tables.push((space.namespace, table)),
        }
    }
    let mut spaces = Vec::with_capacity(tables.len());
    let mut names_of = HashMap::new();
    for (namespace, table) in &tables {
        let unix::UnixRows { mut rows, bogus } = match table {
            Ok(Some(table)) => table.rows(),
            Ok(None) | Err(_) => unix::UnixRows::default(),
        };
        if bogus > 0 {
            let warning = session.lang.text("warning, got bogus unix line.\n").to_vec();
            session.out.note(&warning)?;
        }
        let listed = session.options.filter().into();
        rows.retain(|row| view::unix::is_listed(row, listed));
        let inode = match namespace {
            Some(namespace) => Some(namespace.inode),
            None => netns::own(&session.proc).ok().filter(|_| !session.selected.passes_all()),
        };
        if let Some(inode) = inode.filter(|_| session.selected.needs().meets(Need::NETNS_NAMES)) {
            let mut names = netns::NamespaceNames::new(Path::new(netns::NAMES));
            names_of.extend(names.of(Some(inode)).map(|name| (inode, name.to_vec())));
        }
        let owners = SocketHolders::default();
        let labels = session.names.labels();
        let context = RowContext { owners: &owners, labels, netns: inode, netns_names: &names_of, providers: &[] };
        let selected = &session.selected;
        rows.retain(|row| selected.may_want(&UnixFields { row, context: &context }));
        let shown = namespace.as_ref().filter(|_| session.options.all_netns);
        let netns = shown.map(|namespace| Netns { inode: Some(namespace.inode), name: namespace.name.as_deref() });
        spaces.push((netns, inode, rows));
    }
    let inodes: Vec<u64> = spaces.iter().flat_map(|(.., rows)| rows).map(|row| row.inode).collect();
    let owners = session.owners(inodes.iter().copied())?;
    let gathered = Gathered::unix(session, session.selected.needs(), &inodes, &owners)?;
    let providers = gathered.providers();
    let mut selected = std::mem::take(&mut session.selected);
    let out = session.out.bytes();
    if !session.options.json && selected.shows_view() {
        let (listed, options) = (session.options.filter().into(), session.options);
        view::unix::heading(out, &session.lang, listed, options.programs, options.all_netns);
    }
    let options = session.options;
    for (netns, inode, rows) in &spaces {
        let labels = session.names.labels();
        let context =
            RowContext { owners: &owners, labels, netns: *inode, netns_names: &names_of, providers: &providers };
        let out = session.out.bytes();
        for row in rows {
            selected.take(out, &UnixFields { row, context: &context }, |out| {
                if options.json {
                    view::unix::json(out, row, owners.of(row.inode), *netns);
                } else {
                    let holder = options.programs.then(|| owners.of(row.inode).next());
                    view::unix::row(out, &session.lang, row, holder, *netns);
                }
            });
        }
    }
    selected.end_table(session.out.bytes());
    session.selected = selected;
    for (_, table) in tables {
        let code = match table {
            Ok(Some(_)) => 0,
            Ok(None) if session.tables.lenient => 0,
            Ok(None) => session.no_table("AF UNIX", session.tables.unix)?,
            Err(error) => session.unreadable("net/unix", &error)?,
        };
        if code != 0 {
            return Ok(code);
        }
    }
    Ok(0)
}
