//! The Internet table: tcp, sctp, udp, udplite and raw sockets of both families under one header.

use super::session::Session;
use crate::cli::classic::{Filter, Want};
use crate::model::{Owners, Proto, SctpRow, SocketRow};
use crate::names::Wanted;
use crate::proc::{inet as sockets, sctp};
use crate::view::inet::{self, Columns, Style};
use crate::view::{self, Listed};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;

/// What one file of a protocol held, or why it could not be read.
struct Read {
    /// The protocol in netstat's messages.
    name: &'static str,
    /// The file, under the root of /proc.
    file: &'static str,
    /// Whether netstat passes over the file in silence where it is missing: the IPv6 half of a protocol.
    optional: bool,
    rows: io::Result<Rows>,
}

/// Rows, and the number of lines that were none.
enum Rows {
    Sockets(sockets::Table),
    Sctp(sctp::Table),
}

/// Prints the Internet table where it is wanted; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn print(session: &mut Session<'_>) -> io::Result<u8> {
    if !session.tables.protocols.any() {
        return Ok(0);
    }
    session.start_scan();
    let files = read(session);
    let wanted = wanted(session, &files);
    session.names.look_up(wanted);
    let inodes = files.iter().flat_map(Read::inodes);
    let owners = session.owners(inodes)?;
    if !session.options.json {
        let (listed, columns) = (session.options.filter().into(), columns(session));
        inet::heading(session.out.bytes(), &session.lang, listed, columns);
    }
    let (mut code, mut name) = (0, "");
    for file in files {
        // What is wrong with one half of a protocol does not hide the other, but for SCTP's.
        if code != 0 && (name != file.name || name == "sctp") {
            break;
        }
        name = file.name;
        code = print_file(session, file, &owners)?.max(code);
    }
    Ok(code)
}

impl Read {
    fn sockets(&self) -> &[SocketRow] {
        match &self.rows {
            Ok(Rows::Sockets(table)) => &table.rows,
            _ => &[],
        }
    }

    fn sctp(&self) -> &[SctpRow] {
        match &self.rows {
            Ok(Rows::Sctp(table)) => &table.rows,
            _ => &[],
        }
    }

    fn inodes(&self) -> impl Iterator<Item = u64> {
        self.sockets().iter().map(|row| row.inode).chain(self.sctp().iter().map(|row| row.inode))
    }
}

/// Reads every file the table is made of, in netstat's order. The two large ones are read side by side.
fn read(session: &Session<'_>) -> Vec<Read> {
    let tables = session.tables;
    let protocols = tables.protocols;
    let listed: Listed = session.options.filter().into();
    let root = session.proc.as_path();
    let keep = |row: &SocketRow| inet::is_listed(row, listed);
    let mut files = Vec::new();
    if protocols.tcp {
        let [v4, v6] = read_both(root, tables.v4, tables.v6, keep);
        files.extend(v4.map(|rows| of_file("tcp", Proto::Tcp, rows)));
        files.extend(v6.map(|rows| of_file("tcp", Proto::Tcp6, rows)));
    }
    // There is but one pair of files for SCTP, and it counts as IPv4.
    if protocols.sctp && tables.v4 {
        let mut add = |file, table: io::Result<sctp::Table>| {
            files.push(Read { name: "sctp", file, optional: false, rows: table.map(Rows::Sctp) });
        };
        if session.options.filter() != Filter::Connected {
            add("net/sctp/eps", sctp::endpoints(root));
        }
        if session.options.filter() != Filter::Listening {
            add("net/sctp/assocs", sctp::associations(root));
        }
    }
    for (wanted, name, v4, v6) in [
        (protocols.udp, "udp", Proto::Udp, Proto::Udp6),
        (protocols.udplite, "udplite", Proto::UdpLite, Proto::UdpLite6),
        (protocols.raw, "raw", Proto::Raw, Proto::Raw6),
    ] {
        let halves = [(v4, tables.v4), (v6, tables.v6)];
        for (proto, _) in halves.into_iter().filter(|&(_, half)| wanted && half) {
            files.push(of_file(name, proto, sockets::read(root, proto, keep)));
        }
    }
    files
}

fn of_file(name: &'static str, proto: Proto, rows: io::Result<sockets::Table>) -> Read {
    Read { name, file: sockets::file(proto), optional: proto.is_v6(), rows: rows.map(Rows::Sockets) }
}

/// Reads the TCP tables that are wanted. Each costs a walk over the kernel's whole hash table, however few sockets there
/// are, and so they are read at the same time.
fn read_both(
    root: &Path,
    v4: bool,
    v6: bool,
    keep: impl Fn(&SocketRow) -> bool + Sync,
) -> [Option<io::Result<sockets::Table>>; 2] {
    let read = |proto| sockets::read(root, proto, &keep);
    thread::scope(|scope| {
        let other = (v4 && v6).then(|| thread::Builder::new().spawn_scoped(scope, || read(Proto::Tcp6)).ok()).flatten();
        let first = v4.then(|| read(Proto::Tcp));
        let second = other.and_then(|other| other.join().ok());
        [first, second.or_else(|| v6.then(|| read(Proto::Tcp6)))]
    })
}

/// The names the rows need.
fn wanted(session: &Session<'_>, files: &[Read]) -> Wanted {
    let (options, mut wanted) = (session.options, Wanted::default());
    let users = !options.numeric.users && (options.extend > 0 || options.json);
    wanted.ports = !options.numeric.ports && !options.json;
    let hosts = !options.numeric.hosts && !options.json;
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
    Columns { extend: options.extend > 0, programs: options.programs, timers: options.timers }
}

/// Prints the rows of a file, or says what is wrong with it.
fn print_file(session: &mut Session<'_>, file: Read, owners: &Owners) -> io::Result<u8> {
    let options = session.options;
    let (bogus, what) = match &file.rows {
        Ok(Rows::Sockets(table)) => (table.bogus, file.name),
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
    let style = Style {
        lang: &session.lang,
        columns: columns(session),
        wide: options.wide,
        labels: session.names.labels(),
        numeric_hosts: options.numeric.hosts,
    };
    // All of /proc/net is of the reader's own namespace.
    let own = options.json.then(|| std::fs::metadata(session.proc.join("self/ns/net")).ok()).flatten();
    let netns = own.and_then(|netns| u32::try_from(netns.ino()).ok());
    let out = session.out.bytes();
    for row in file.sockets() {
        if options.json {
            let row = SocketRow { netns: row.netns.or(netns), ..*row };
            inet::json(out, &row, style.labels, owners.of(row.inode));
        } else {
            inet::row(out, style, row, owners.first(row.inode));
        }
    }
    // Here anything that is to be a number makes the addresses numbers; so does -N.
    let numeric = options.numeric;
    let numeric_hosts = numeric.hosts || numeric.ports || numeric.users || options.symbolic;
    let style = Style { numeric_hosts, ..style };
    for row in file.sctp() {
        if options.json {
            view::sctp::json(out, row, style.labels, owners.of(row.inode));
        } else {
            view::sctp::row(out, style, row, owners.first(row.inode));
        }
    }
    Ok(0)
}
