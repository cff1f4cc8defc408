//! The Internet table: tcp, sctp, udp, udplite and raw sockets of both families under one header.

use super::rows;
use super::selected::Selected;
use super::session::Session;
use crate::cli::classic::{Filter, Want};
use crate::field::{ClosedFields, Need, RowContext, RowFields, SctpFields};
use crate::model::{
    ClosedSocket, Holder, Labels, NamespaceTables, Proto, ProtoTable, RowsWanted, SctpRow, SocketHolders, SocketRow,
    SocketTable,
};
use crate::names::WantedNames;
use crate::proc::{inet as sockets, netns, sctp};
use crate::run::clock::{epoch_ns, monotonic_ns};
use crate::run::gather::{self, Gathered, Infos};
use crate::stdio::Written;
use crate::view::inet::beyond::{self, Beyond, Netns};
use crate::view::inet::{self, Columns, Style};
use crate::view::{self, Listed};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;

/// What one file of a protocol held, or why it could not be read.
struct Read {
    /// The protocol in netstat's messages.
    name: &'static str,
    /// The file, under the root of /proc.
    file: &'static str,
    /// Whether netstat passes over the file in silence where it is missing: the IPv6 half of a protocol.
    optional: bool,
    /// Inode number of the network namespace, `None` where it is not known.
    netns: Option<u32>,
    rows: io::Result<Rows>,
}

/// Rows, and the number of lines that were none.
enum Rows {
    Sockets(SocketTable),
    Sctp(sctp::SctpTable),
    /// Sockets that ended, from the agent: their rows in the table, and what is known beyond.
    Closed(Vec<SocketRow>, Vec<ClosedSocket>),
}

/// Names of network namespaces, by inode number.
type Namespaces = HashMap<u32, Vec<u8>>;

/// What the rows are decided and shown with.
struct Prepared {
    files: Vec<Read>,
    namespaces: Namespaces,
    owners: SocketHolders,
    gathered: Gathered,
    /// `tcp_info`, where it is shown with the rows.
    infos: Option<Infos>,
}

/// Prints the Internet table where it is wanted; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn print(session: &mut Session<'_>) -> Written<u8> {
    if !session.tables.protocols.any() {
        return Ok(0);
    }
    let Some(mut prepared) = prepare(session)? else { return Ok(1) };
    if !session.options.json && session.selected.shows_view() {
        let (listed, columns) = (session.options.filter().into(), columns(session));
        inet::heading(session.out.bytes(), &session.lang, listed, columns);
    }
    let (mut code, mut name) = (0, "");
    for file in std::mem::take(&mut prepared.files) {
        // What is wrong with one half of a protocol does not hide the other, but for SCTP's.
        if code != 0 && (name != file.name || name == "sctp") {
            break;
        }
        name = file.name;
        code = print_file(session, file, &prepared)?.max(code);
    }
    session.selected.end_table(session.out.bytes());
    Ok(code)
}

/// The living sockets for which the expression holds, with their namespaces, and the processes that hold them.
///
/// # Errors
/// A failure to write to standard output.
pub fn matching(session: &mut Session<'_>) -> Written<(Vec<SocketRow>, SocketHolders)> {
    let Some(prepared) = prepare(session)? else { return Ok(Default::default()) };
    let providers = prepared.gathered.providers();
    let mut rows = Vec::new();
    for file in &prepared.files {
        let Ok(Rows::Sockets(table)) = &file.rows else { continue };
        let context = RowContext {
            owners: &prepared.owners,
            labels: session.names.labels(),
            netns: file.netns,
            netns_names: &prepared.namespaces,
            providers: &providers,
        };
        let wanted = |(row, recorded)| session.selected.holds(&RowFields { row, recorded, context: &context });
        let found = table.with_recorded().filter(|&(row, recorded)| wanted((row, recorded)));
        rows.extend(found.map(|(row, _)| SocketRow { netns: row.netns.or(file.netns), ..*row }));
    }
    Ok((rows, prepared.owners))
}

/// Reads the files, leaves out what is not wanted without more, and gathers what is needed of the rest. `None` where sockets that ended cannot be had.
fn prepare(session: &mut Session<'_>) -> Written<Option<Prepared>> {
    let mut namespaces = Namespaces::new();
    let Some(mut files) = read(session, &mut namespaces)? else { return Ok(None) };
    if session.selected.needs().meets(Need::NETNS_NAMES) {
        let mut names = netns::NamespaceNames::new(Path::new(netns::NAMES));
        for inode in files.iter().filter_map(|file| file.netns) {
            if let Some(name) = names.of(Some(inode)) {
                namespaces.insert(inode, name.to_vec());
            }
        }
    }
    leave_out(session, &mut files, &namespaces);
    let wanted = wanted(session, &files);
    session.names.look_up(wanted);
    let inodes = files.iter().flat_map(Read::inodes);
    let owners = session.owners(inodes)?;
    let gathered = gather(session, &files, &owners)?;
    let infos = match session.options.info && session.selected.shows_view() {
        false => None,
        true => {
            let living = files.iter().filter(|file| matches!(file.rows, Ok(Rows::Sockets(_))));
            let rows = living.flat_map(|file| file.sockets().iter().map(|row| (file.netns, row)));
            Some(Infos::gather(session, Need::INFO, rows)?)
        }
    };
    Ok(Some(Prepared { files, namespaces, owners, gathered, infos }))
}

/// Leaves out the rows of which it is known without more that they are not wanted.
fn leave_out(session: &Session<'_>, files: &mut [Read], namespaces: &Namespaces) {
    let selected = &session.selected;
    if selected.passes_all() {
        return;
    }
    let owners = SocketHolders::default();
    for file in files {
        let context = RowContext {
            owners: &owners,
            labels: session.names.labels(),
            netns: file.netns,
            netns_names: namespaces,
            providers: &[],
        };
        match &mut file.rows {
            Ok(Rows::Sockets(table)) => {
                table.retain(|row, recorded| selected.may_want(&RowFields { row, recorded, context: &context }))
            }
            Ok(Rows::Sctp(table)) => {
                table.rows.retain(|row| selected.may_want(&SctpFields { row, context: &context }));
            }
            Ok(Rows::Closed(rows, closed)) => {
                closed.retain(|closed| selected.may_want(&ClosedFields { closed, context: &context }));
                *rows = closed.iter().map(beyond::row).collect();
            }
            Err(_) => {}
        }
    }
}

/// What is needed beyond the rows and their owners.
fn gather(session: &mut Session<'_>, files: &[Read], owners: &SocketHolders) -> Written<Gathered> {
    let tables = files.iter().map(|file| gather::ListedTable {
        netns: file.netns,
        rows: if matches!(file.rows, Ok(Rows::Sockets(_))) { file.sockets() } else { &[] },
        recorded: match &file.rows {
            Ok(Rows::Sockets(table)) => &table.recorded,
            _ => &[],
        },
        closed: if let Ok(Rows::Closed(_, closed)) = &file.rows { closed } else { &[] },
    });
    let need = session.selected.needs();
    Gathered::inet(session, need, &tables.collect::<Vec<_>>(), owners)
}

impl Read {
    fn sockets(&self) -> &[SocketRow] {
        match &self.rows {
            Ok(Rows::Sockets(table)) => &table.rows,
            Ok(Rows::Closed(rows, _)) => rows,
            _ => &[],
        }
    }

    fn sctp(&self) -> &[SctpRow] {
        match &self.rows {
            Ok(Rows::Sctp(table)) => &table.rows,
            _ => &[],
        }
    }

    /// The inodes of the sockets that live.
    fn inodes(&self) -> impl Iterator<Item = u64> {
        let living = if matches!(self.rows, Ok(Rows::Closed(..))) { &[] } else { self.sockets() };
        living.iter().map(|row| row.inode).chain(self.sctp().iter().map(|row| row.inode))
    }
}

/// Reads every file the table is made of, in netstat's order, and with them the sockets that ended. `None` where these cannot be had.
fn read(session: &mut Session<'_>, names: &mut Namespaces) -> Written<Option<Vec<Read>>> {
    let (tables, filter) = (session.tables, session.options.filter());
    let (protocols, listed) = (tables.protocols, Listed::from(filter));
    let mut wanted = RowsWanted { protos: Vec::new(), peer: listed.peer() };
    for (letter, v4, v6) in [
        (protocols.tcp, Proto::Tcp, Proto::Tcp6),
        (protocols.udp, Proto::Udp, Proto::Udp6),
        (protocols.udplite, Proto::UdpLite, Proto::UdpLite6),
        (protocols.raw, Proto::Raw, Proto::Raw6),
    ] {
        let halves = [(v4, tables.v4), (v6, tables.v6)];
        wanted.protos.extend(halves.into_iter().filter(|&(_, half)| letter && half).map(|(proto, _)| proto));
    }
    let mut closed = match session.options.recent {
        None => Vec::new(),
        Some(within) => match rows::recent(session, within)? {
            Some(closed) => closed,
            None => return Ok(None),
        },
    };
    closed.retain(|closed| wanted.keeps(&beyond::row(closed)) && is_listed(closed, filter));
    let mut spaces = rows::read(session, &wanted)?;
    names.extend(spaces.iter().filter_map(|space| Some((space.netns?, space.name.clone()?))));
    let mut files = Vec::new();
    for &proto in wanted.protos.iter().filter(|proto| proto.is_tcp()) {
        add(&mut files, proto, &mut spaces, &mut closed);
    }
    // There is but one pair of files for SCTP, and it counts as IPv4.
    if protocols.sctp && tables.v4 {
        sctp_files(session, filter, names, &mut files)?;
    }
    for &proto in wanted.protos.iter().filter(|proto| !proto.is_tcp()) {
        add(&mut files, proto, &mut spaces, &mut closed);
    }
    Ok(Some(files))
}

/// Whether a table lists the socket although it ended: with -l only what had a port to listen on.
fn is_listed(closed: &ClosedSocket, filter: Filter) -> bool {
    filter != Filter::Listening || closed.socket.local.is_some_and(|local| local.port.is_some_and(|port| port != 0))
}

/// Adds the next table of each namespace, and the sockets of the protocol that ended, oldest first.
fn add(files: &mut Vec<Read>, proto: Proto, spaces: &mut [NamespaceTables], closed: &mut Vec<ClosedSocket>) {
    let (file, optional) = (sockets::file(proto), proto.is_v6());
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
            files.push(Read { name, file, optional, netns: space.netns, rows: rows.map(Rows::Sockets) });
        }
    }
    let ended: Vec<_> = closed.extract_if(.., |closed| closed.socket.proto == proto).collect();
    if !ended.is_empty() {
        let rows = Rows::Closed(ended.iter().map(beyond::row).collect(), ended);
        files.push(Read { name, file, optional, netns: None, rows: Ok(rows) });
    }
}

/// Reads the SCTP tables of the reader's namespace, or of all of them.
fn sctp_files(session: &mut Session<'_>, filter: Filter, names: &mut Namespaces, files: &mut Vec<Read>) -> Written<()> {
    for space in session.spaces()? {
        let mut add = |file, table: io::Result<sctp::SctpTable>| {
            let netns = space.namespace.as_ref().map(|namespace| namespace.inode);
            files.push(Read { name: "sctp", file, optional: false, netns, rows: table.map(Rows::Sctp) });
        };
        let read = |root: &Path| {
            let endpoints = (filter != Filter::Connected).then(|| sctp::endpoints(root));
            (endpoints, (filter != Filter::Listening).then(|| sctp::associations(root)))
        };
        let Ok((endpoints, associations)) = space.within(read) else { continue };
        let failed = [&endpoints, &associations].into_iter().flatten().any(Result::is_err);
        if failed && space.is_gone() {
            continue;
        }
        endpoints.into_iter().for_each(|table| add("net/sctp/eps", table));
        associations.into_iter().for_each(|table| add("net/sctp/assocs", table));
        names.extend(space.namespace.and_then(|namespace| Some((namespace.inode, namespace.name?))));
    }
    Ok(())
}

/// The names the rows need.
fn wanted(session: &Session<'_>, files: &[Read]) -> WantedNames {
    let (options, mut wanted) = (session.options, WantedNames::default());
    let shows_view = session.selected.shows_view();
    // JSON has the number beside the name: -n takes nothing from it.
    let shown = shows_view && (options.json || options.extend > 0 && !options.numeric.users);
    let users = shown || session.selected.needs().meets(Need::USERS);
    wanted.ports = shows_view && !options.numeric.ports && !options.json;
    let hosts = shows_view && !options.numeric.hosts && !options.json;
    // netstat never asks for the wildcard. IPv4 in IPv6's clothes is asked for in them, and seldom has a name.
    let named = |addr: &IpAddr| hosts && !addr.is_unspecified();
    for file in files {
        for row in file.sockets() {
            wanted.hosts.extend([row.local.addr, row.remote.addr].iter().filter(|addr| named(addr)));
            wanted.users.extend(users.then_some(row.uid));
        }
        for row in file.sctp() {
            let remote = row.peer.iter().flat_map(|peer| &peer.addrs);
            wanted.hosts.extend(row.local.iter().chain(remote).filter(|addr| named(addr)));
            wanted.users.extend(users.then_some(row.uid));
        }
    }
    wanted
}

fn columns(session: &Session<'_>) -> Columns {
    let options = session.options;
    Columns {
        extend: options.extend > 0,
        programs: options.programs,
        timers: options.timers,
        netns: options.all_netns,
        ended: options.recent.is_some(),
    }
}

/// Prints the rows of a file, or says what is wrong with it.
fn print_file(session: &mut Session<'_>, file: Read, prepared: &Prepared) -> Written<u8> {
    let options = session.options;
    let (bogus, what) = match &file.rows {
        Ok(Rows::Sockets(table)) => (table.bogus, file.name),
        Ok(Rows::Closed(..)) => (0, file.name),
        Ok(Rows::Sctp(table)) if file.file.ends_with("eps") => (table.bogus, "sctp eps"),
        Ok(Rows::Sctp(table)) => (table.bogus, "sctp assoc"),
        Err(error) => {
            let missing = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied);
            return match (missing, file.optional) {
                (true, true) => Ok(0),
                (true, false) => {
                    let want = if options.protocols.any() { Want::Asked } else { Want::IfThere };
                    match session.tables.lenient {
                        true => Ok(0),
                        false => session.no_table(&format!("AF INET ({})", file.name), want),
                    }
                }
                (false, _) => session.unreadable(file.file, error),
            };
        }
    };
    if bogus > 0 {
        session.out.note(format!("warning, got bogus {what} line.\n").as_bytes())?;
    }
    let wanted = std::mem::take(&mut session.selected);
    let wanted = print_rows(session, wanted, &file, prepared);
    session.selected = wanted;
    Ok(0)
}

/// Prints the rows of a file that are wanted, and gives back what says which are.
fn print_rows(session: &mut Session<'_>, mut selected: Selected, file: &Read, prepared: &Prepared) -> Selected {
    let Prepared { namespaces, owners, gathered, infos, .. } = prepared;
    let options = session.options;
    let style = Style {
        lang: &session.lang,
        columns: columns(session),
        wide: options.wide,
        labels: session.names.labels(),
        numeric_hosts: options.numeric.hosts,
    };
    // Names that only the expression or a column needs are not shown where numbers are asked for.
    let unnamed = (options.numeric.users && !options.json && !style.labels.users.is_empty())
        .then(|| Labels { users: HashMap::new(), ..style.labels.clone() });
    let all_labels = style.labels;
    let style = Style { labels: unnamed.as_ref().unwrap_or(style.labels), ..style };
    let netns = |inode: Option<u32>| {
        let name = inode.and_then(|inode| namespaces.get(&inode)).map(Vec::as_slice);
        options.all_netns.then_some(Netns { inode, name })
    };
    let out = session.out.bytes();
    let beyond = Beyond { netns: netns(file.netns), ..Beyond::default() };
    let providers = gathered.providers();
    let context =
        RowContext { owners, labels: all_labels, netns: file.netns, netns_names: namespaces, providers: &providers };
    match &file.rows {
        Ok(Rows::Closed(rows, closed)) => {
            let now_ns = epoch_ns() + monotonic_ns();
            for (row, closed) in rows.iter().zip(closed) {
                let netns = netns(row.netns);
                selected.take(out, &ClosedFields { closed, context: &context }, |out| {
                    if options.json {
                        let user = closed.socket.uid.and_then(|uid| style.labels.users.get(&uid)).map(Vec::as_slice);
                        return beyond::json(out, closed, user, netns);
                    }
                    let owner = closed.socket.owner.map(|owner| Holder {
                        pid: owner.pid,
                        program: owner.comm.as_bytes().to_vec(),
                        comm: Some(owner.comm),
                    });
                    let beyond = Beyond { netns, ended: Some((closed, now_ns)), ..Beyond::default() };
                    inet::row(out, style, row, owner.as_ref(), &beyond);
                });
            }
        }
        Ok(Rows::Sockets(table)) => {
            for (row, recorded) in table.with_recorded() {
                let info = infos.as_ref().filter(|_| row.proto.is_tcp()).map(|infos| infos.info(row, file.netns));
                selected.take(out, &RowFields { row, recorded, context: &context }, |out| {
                    if options.json {
                        let row = SocketRow { netns: row.netns.or(file.netns), ..*row };
                        inet::json(out, &row, style.labels, owners.of(row.inode), &Beyond { recorded, info, ..beyond });
                    } else {
                        inet::row(out, style, row, owners.first(row.inode), &Beyond { info, ..beyond });
                    }
                });
            }
        }
        _ => {}
    }
    // Here anything that is to be a number makes the addresses numbers; so does -N.
    let numeric = options.numeric;
    let numeric_hosts = numeric.hosts || numeric.ports || numeric.users || options.symbolic;
    let style = Style { numeric_hosts, ..style };
    for row in file.sctp() {
        selected.take(out, &SctpFields { row, context: &context }, |out| {
            if options.json {
                view::sctp::json(out, row, style.labels, owners.of(row.inode), &beyond);
            } else {
                view::sctp::row(out, style, row, owners.first(row.inode), &beyond);
            }
        });
    }
    selected
}
