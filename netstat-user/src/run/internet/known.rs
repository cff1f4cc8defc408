//! What is known of the rows beyond themselves: names, holders, and what the expression and the columns need.

use super::files::{FileRows, Files};
use crate::field::{ClosedFields, Need, RowContext, RowFields, SctpFields};
use crate::model::{Labels, SctpRow, SocketHolders, SocketRow};
use crate::names::WantedNames;
use crate::run::gather::{Gathered, Infos, ListedTable};
use crate::run::table::asked::AskedFor;
use crate::run::table::round::Round;
use crate::run::table::sources::Sources;
use crate::stdio::Written;
use crate::view::inet::beyond;
use std::net::IpAddr;

/// What the rows are decided and shown with; the names are the machine's.
pub struct KnownOfRows {
    /// The processes that hold the sockets.
    pub owners: SocketHolders,
    /// What fields are asked of.
    pub gathered: Gathered,
    /// `tcp_info`, where it is shown with the rows.
    pub infos: Option<Infos>,
}

impl KnownOfRows {
    /// Leaves out the rows of which it is known without more that they are not wanted, and gathers what is needed of the rest.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn gather(asked: &AskedFor<'_>, files: &mut Files, sources: &mut Sources, round: &mut Round) -> Written<Self> {
        let wanted = leave_out(asked, files, sources.names.labels());
        sources.names.look_up(wanted);
        if asked.selected.needs().meets(Need::USERS)
            && let Some(why) = sources.names.unread_users()
        {
            round.report_users(&why)?;
        }
        sources.scanned(files.scan.take());
        Self::find(asked, files, sources, round)
    }

    /// Gathers what is needed of the rows that were not left out.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn find(asked: &AskedFor<'_>, files: &Files, sources: &mut Sources, round: &mut Round) -> Written<Self> {
        let list = &files.list;
        let mut owners = sources.owners(asked, round, list.iter().flat_map(|file| file.inodes()))?;
        owners.of_ended_withheld = files.withholds_owners;
        let listed = list.iter().map(|file| {
            let empty = ListedTable { netns: file.netns, rows: &[], recorded: &[], closed: &[] };
            match &file.rows {
                Ok(FileRows::Sockets(table)) => ListedTable { rows: &table.rows, recorded: &table.recorded, ..empty },
                Ok(FileRows::Closed(closed)) => ListedTable { closed, ..empty },
                Ok(FileRows::Sctp(_)) | Err(_) => empty,
            }
        });
        let gathered = Gathered::inet(asked, &listed.collect::<Vec<_>>(), &mut owners, sources, round)?;
        let infos = match asked.options.info && asked.selected.shows_view() {
            false => None,
            true => {
                let rows = list.iter().flat_map(|file| file.sockets().iter().map(|row| (file.netns, row)));
                Some(Infos::gather(asked, Need::INFO, rows, round)?)
            }
        };
        Ok(Self { owners, gathered, infos })
    }
}

/// Leaves out rows, and returns the names that the others need: each row is looked at once.
fn leave_out(asked: &AskedFor<'_>, files: &mut Files, labels: &Labels) -> WantedNames {
    let (selected, owners) = (&asked.selected, SocketHolders::default());
    let (mut needed, every) = (NeededNames::of(asked), selected.passes_all());
    let Files { list, namespaces, .. } = files;
    for file in list {
        let context =
            RowContext { owners: &owners, labels, netns: file.netns, netns_names: namespaces, providers: &[] };
        match &mut file.rows {
            Ok(FileRows::Sockets(table)) if every => table.rows.iter().for_each(|row| needed.socket(row)),
            Ok(FileRows::Sockets(table)) => table.retain(|row, recorded| {
                let wanted = selected.may_want(&RowFields { row, recorded, context: &context });
                if wanted {
                    needed.socket(row);
                }
                wanted
            }),
            Ok(FileRows::Sctp(table)) => table.rows.retain(|row| {
                let wanted = selected.may_want(&SctpFields { row, context: &context });
                if wanted {
                    needed.sctp(row);
                }
                wanted
            }),
            Ok(FileRows::Closed(closed)) => closed.retain(|closed| {
                let wanted = selected.may_want(&ClosedFields { closed, context: &context });
                if wanted {
                    needed.socket(&beyond::row(closed));
                }
                wanted
            }),
            Err(_) => {}
        }
    }
    needed.names
}

/// The names that rows need.
struct NeededNames {
    hosts: bool,
    users: bool,
    names: WantedNames,
}

impl NeededNames {
    /// None yet, of those that what is asked shows or compares.
    fn of(asked: &AskedFor<'_>) -> Self {
        let (options, shows_view) = (asked.options, asked.selected.shows_view());
        // JSON has the number beside the name: -n takes nothing from it.
        let shown = shows_view && (options.json || options.extend > 0 && !options.numeric.users);
        let text = shows_view && !options.json;
        Self {
            hosts: text && !options.numeric.hosts,
            users: shown || asked.selected.needs().meets(Need::USERS),
            names: WantedNames { ports: text && !options.numeric.ports, ..WantedNames::default() },
        }
    }

    fn socket(&mut self, row: &SocketRow) {
        self.row([&row.local.addr, &row.remote.addr].into_iter(), row.uid);
    }

    fn sctp(&mut self, row: &SctpRow) {
        let remote = row.peer.iter().flat_map(|peer| &peer.addrs);
        self.row(row.local.iter().chain(remote), row.uid);
    }

    fn row<'a>(&mut self, addrs: impl Iterator<Item = &'a IpAddr>, uid: u32) {
        if self.hosts {
            // netstat never asks for the wildcard. IPv4 in IPv6's clothes is asked for in them, and seldom has a name.
            self.names.hosts.extend(addrs.filter(|addr| !addr.is_unspecified()));
        }
        self.names.users.extend(self.users.then_some(uid));
    }
}
