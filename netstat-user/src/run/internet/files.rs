//! The files that the Internet table is made of, as they were read.

use crate::cli::classic::Filter;
use crate::field::Need;
use crate::model::{ClosedSocket, NamespaceTables, Proto, ProtoTable, SocketRow, SocketTable};
use crate::proc::{fds, inet, netns, sctp};
use crate::run::table::asked::AskedFor;
use crate::run::table::history::{self, RecentSockets};
use crate::run::table::plan::Plan;
use crate::run::table::round::Round;
use crate::run::table::{rows, spaces};
use crate::source::KernelSource;
use crate::stdio::Written;
use crate::view::inet::beyond;
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// What one file of a protocol held, or why it could not be read.
pub struct ReadFile {
    /// The protocol in netstat's messages.
    pub name: &'static str,
    /// The file, under the root of /proc.
    pub file: &'static str,
    /// Whether netstat passes over the file in silence where it is missing: the IPv6 half of a protocol.
    pub optional: bool,
    /// Inode number of the network namespace, `None` where it is not known.
    pub netns: Option<u32>,
    /// Its rows.
    pub rows: io::Result<FileRows>,
}

/// The rows of a file.
pub enum FileRows {
    /// Sockets that live.
    Sockets(SocketTable),
    /// SCTP's.
    Sctp(sctp::SctpTable),
    /// Sockets that ended, from the agent.
    Closed(Vec<ClosedSocket>),
}

/// Names of network namespaces, by inode number.
pub type Namespaces = HashMap<u32, Vec<u8>>;

/// All that was read.
pub struct Files {
    /// The files in netstat's order, and with them the sockets that ended.
    pub list: Vec<ReadFile>,
    /// The namespaces that they are of.
    pub namespaces: Namespaces,
    /// The look for holders that was begun beside.
    pub scan: Option<fds::Scan>,
    /// Whether owners of sockets that ended are kept from this process, which were asked for.
    pub withholds_owners: bool,
}

impl ReadFile {
    /// The sockets that live.
    pub fn sockets(&self) -> &[SocketRow] {
        match &self.rows {
            Ok(FileRows::Sockets(table)) => &table.rows,
            _ => &[],
        }
    }

    /// The inodes of the sockets that live.
    pub fn inodes(&self) -> impl Iterator<Item = u64> {
        let sctp = match &self.rows {
            Ok(FileRows::Sctp(table)) => &table.rows[..],
            _ => &[],
        };
        self.sockets().iter().map(|row| row.inode).chain(sctp.iter().map(|row| row.inode))
    }
}

impl Files {
    /// Reads what the plan names. `None` where sockets that ended are wanted and cannot be had.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn read(
        asked: &AskedFor<'_>,
        plan: &Plan<'_>,
        source: &KernelSource,
        round: &mut Round,
    ) -> Written<Option<Self>> {
        let RecentSockets { list: mut closed, withholds_owners } = match plan.recent {
            None => RecentSockets::default(),
            Some(within) => match history::recent(asked, within, round)? {
                Some(ended) => ended,
                None => return Ok(None),
            },
        };
        let filter = asked.options.filter();
        closed.retain(|closed| plan.rows.keeps(&beyond::row(closed)) && is_listed(closed, filter));
        let (mut spaces, scan) = rows::read(asked, plan, source, round)?;
        let names = spaces.iter().filter_map(|space| Some((space.netns?, space.name.clone()?)));
        let mut files = Self { list: Vec::new(), namespaces: names.collect(), scan, withholds_owners };
        for &proto in plan.rows.protos.iter().filter(|proto| proto.is_tcp()) {
            files.add(proto, &mut spaces, &mut closed);
        }
        if plan.endpoints || plan.associations {
            files.add_sctp(asked, plan, round)?;
        }
        for &proto in plan.rows.protos.iter().filter(|proto| !proto.is_tcp()) {
            files.add(proto, &mut spaces, &mut closed);
        }
        if asked.selected.needs().meets(Need::NETNS_NAMES) {
            let mut names = netns::NamespaceNames::new(Path::new(netns::NAMES));
            for inode in files.list.iter().filter_map(|file| file.netns) {
                files.namespaces.extend(names.of(Some(inode)).map(|name| (inode, name.to_vec())));
            }
        }
        Ok(Some(files))
    }

    /// Adds the next table of each namespace, and the sockets of the protocol that ended, oldest first.
    fn add(&mut self, proto: Proto, spaces: &mut [NamespaceTables], closed: &mut Vec<ClosedSocket>) {
        let (file, optional) = (inet::file(proto), proto.is_v6());
        let name = match proto {
            Proto::Tcp | Proto::Tcp6 => "tcp",
            Proto::Udp | Proto::Udp6 => "udp",
            Proto::UdpLite | Proto::UdpLite6 => "udplite",
            Proto::Raw | Proto::Raw6 => "raw",
        };
        for space in spaces {
            let mine = |table: &mut ProtoTable| {
                (table.0 == proto).then(|| std::mem::replace(&mut table.1, Ok(SocketTable::default())))
            };
            if let Some(rows) = space.tables.iter_mut().find_map(mine) {
                self.list.push(ReadFile {
                    name,
                    file,
                    optional,
                    netns: space.netns,
                    rows: rows.map(FileRows::Sockets),
                });
            }
        }
        let ended: Vec<_> = closed.extract_if(.., |closed| closed.socket.proto == proto).collect();
        if !ended.is_empty() {
            self.list.push(ReadFile { name, file, optional, netns: None, rows: Ok(FileRows::Closed(ended)) });
        }
    }

    /// Adds the SCTP tables of the reader's namespace, or of all of them.
    fn add_sctp(&mut self, asked: &AskedFor<'_>, plan: &Plan<'_>, round: &mut Round) -> Written<()> {
        let read = |_, root: &Path| {
            let endpoints = plan.endpoints.then(|| sctp::endpoints(root));
            (endpoints, plan.associations.then(|| sctp::associations(root)))
        };
        for (space, read) in spaces::each(asked, spaces::spaces(asked, round)?, read) {
            let Ok((endpoints, associations)) = read else { continue };
            let netns = space.namespace.as_ref().map(|namespace| namespace.inode);
            for (file, table) in [("net/sctp/eps", endpoints), ("net/sctp/assocs", associations)] {
                let Some(table) = table else { continue };
                self.list.push(ReadFile {
                    name: "sctp",
                    file,
                    optional: false,
                    netns,
                    rows: table.map(FileRows::Sctp),
                });
            }
            self.namespaces.extend(space.namespace.and_then(|namespace| Some((namespace.inode, namespace.name?))));
        }
        Ok(())
    }
}

/// Whether a table lists the socket although it ended: with -l only what had a port to listen on.
fn is_listed(closed: &ClosedSocket, filter: Filter) -> bool {
    filter != Filter::Listening || closed.socket.local.is_some_and(|local| local.port.is_some_and(|port| port != 0))
}
