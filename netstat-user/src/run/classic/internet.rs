//! The Internet table as bytes: what is wanted of the rows of all its protocols, under one heading.

use crate::cli::classic::Want;
use crate::field::{ClosedFields, Provider, RowContext, RowFields, SctpFields};
use crate::model::{ClosedSocket, Holder, Labels, SctpRow, SocketRow, SocketTable};
use crate::run::internet::files::{FileRows, Files, Namespaces, ReadFile};
use crate::run::internet::known::KnownOfRows;
use crate::run::internet::look;
use crate::run::table::asked::AskedFor;
use crate::run::table::round::Round;
use crate::run::table::selected::taken::TakenRows;
use crate::run::table::sources::Sources;
use crate::stdio::Written;
use crate::sys::{epoch_ns, kernel_monotonic_ns};
use crate::view;
use crate::view::inet::beyond::{self, Beyond, Netns};
use crate::view::inet::{self, Columns, Style};
use std::collections::HashMap;
use std::io;

/// Prints the Internet table where it is wanted; returns 0, or the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn print(asked: &AskedFor<'_>, sources: &mut Sources, taken: &mut TakenRows<'_>, round: &mut Round) -> Written<u8> {
    if !asked.tables.protocols.any() {
        return Ok(0);
    }
    match look(asked, sources, round)? {
        Some((files, known)) => show(asked, files, &known, sources.names.labels(), taken, round),
        None => Ok(1),
    }
}

/// Appends the table, and says what is wrong with its files; returns 0, or the exit code that ends the run.
fn show(
    asked: &AskedFor<'_>,
    files: Files,
    known: &KnownOfRows,
    labels: &Labels,
    taken: &mut TakenRows<'_>,
    round: &mut Round,
) -> Written<u8> {
    let options = asked.options;
    let columns = Columns {
        extend: options.extend > 0,
        programs: options.programs,
        timers: options.timers,
        netns: asked.shows_netns(),
        ended: options.recent.is_some(),
    };
    if !options.json && asked.selected.shows_view() {
        inet::heading(round.bytes(), &asked.lang, asked.listed(), columns);
    }
    // Names that only the expression or a column needs are not shown where numbers are asked for.
    let unnamed = (options.numeric.users && !options.json && !labels.users.is_empty())
        .then(|| Labels { users: HashMap::new(), ..labels.clone() });
    let shown = ShownWith {
        asked,
        known,
        labels,
        namespaces: &files.namespaces,
        providers: known.gathered.providers(),
        style: Style {
            lang: &asked.lang,
            columns,
            wide: options.wide,
            labels: unnamed.as_ref().unwrap_or(labels),
            numeric_hosts: options.numeric.hosts,
        },
    };
    let (mut code, mut name) = (0, "");
    for file in files.list {
        // What is wrong with one half of a protocol does not hide the other, but for SCTP's.
        if code != 0 && (name != file.name || name == "sctp") {
            break;
        }
        name = file.name;
        code = shown.file(&file, taken, round)?.max(code);
    }
    taken.end_table(round.bytes());
    Ok(code)
}

/// What the rows of all files are shown with.
struct ShownWith<'a> {
    asked: &'a AskedFor<'a>,
    known: &'a KnownOfRows,
    /// All names that were looked up.
    labels: &'a Labels,
    namespaces: &'a Namespaces,
    providers: Vec<&'a dyn Provider>,
    style: Style<'a>,
}

impl ShownWith<'_> {
    /// Appends the rows of a file, or says what is wrong with it.
    fn file(&self, file: &ReadFile, taken: &mut TakenRows<'_>, round: &mut Round) -> Written<u8> {
        let (bogus, what) = match &file.rows {
            Ok(FileRows::Sockets(table)) => (table.bogus, file.name),
            Ok(FileRows::Closed(_)) => (0, file.name),
            Ok(FileRows::Sctp(table)) if file.file.ends_with("eps") => (table.bogus, "sctp eps"),
            Ok(FileRows::Sctp(table)) => (table.bogus, "sctp assoc"),
            Err(error) => return self.failed(file, error, round),
        };
        if bogus > 0 {
            round.say(format!("warning, got bogus {what} line.\n").as_bytes())?;
        }
        let context = RowContext {
            owners: &self.known.owners,
            labels: self.labels,
            netns: file.netns,
            netns_names: self.namespaces,
            providers: &self.providers,
        };
        match &file.rows {
            Ok(FileRows::Sockets(table)) => self.sockets(table, &context, taken, round.bytes()),
            Ok(FileRows::Closed(closed)) => self.closed(closed, &context, taken, round.bytes()),
            Ok(FileRows::Sctp(table)) => self.sctp(&table.rows, &context, taken, round.bytes()),
            Err(_) => {}
        }
        Ok(0)
    }

    /// Says that a file could not be read, where netstat does.
    fn failed(&self, file: &ReadFile, error: &io::Error, round: &mut Round) -> Written<u8> {
        let missing = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied);
        if !missing {
            return self.asked.unreadable(round, file.file, error);
        }
        if file.optional || self.asked.tables.lenient {
            return Ok(0);
        }
        let want = if self.asked.options.protocols.any() { Want::Asked } else { Want::IfThere };
        self.asked.no_table(round, &format!("AF INET ({})", file.name), want)
    }

    /// The column of namespaces, where it is shown.
    fn netns(&self, inode: Option<u32>) -> Option<Netns<'_>> {
        self.asked.shows_netns().then(|| Netns::among(self.namespaces, inode))
    }

    fn sockets(&self, table: &SocketTable, context: &RowContext<'_>, taken: &mut TakenRows<'_>, out: &mut Vec<u8>) {
        let KnownOfRows { owners, infos, .. } = self.known;
        let (json, netns) = (self.asked.options.json, self.netns(context.netns));
        for (row, recorded) in table.with_recorded() {
            let info = infos.as_ref().filter(|_| row.proto.is_tcp()).map(|infos| infos.info(row, context.netns));
            taken.take(out, &RowFields { row, recorded, context }, |out| {
                let beyond = Beyond { netns, info, ..Beyond::default() };
                if json {
                    let row = SocketRow { netns: row.netns.or(context.netns), ..*row };
                    inet::json(out, &row, self.style.labels, owners.of(row.inode), &Beyond { recorded, ..beyond });
                } else {
                    inet::row(out, self.style, row, owners.first(row.inode), &beyond);
                }
            });
        }
    }

    fn closed(&self, closed: &[ClosedSocket], context: &RowContext<'_>, taken: &mut TakenRows<'_>, out: &mut Vec<u8>) {
        let now_ns = epoch_ns() + kernel_monotonic_ns();
        for closed in closed {
            let (socket, netns) = (&closed.socket, self.netns(closed.socket.netns));
            taken.take(out, &ClosedFields { closed, context }, |out| {
                if self.asked.options.json {
                    let user = socket.uid.and_then(|uid| self.style.labels.users.get(&uid)).map(Vec::as_slice);
                    return beyond::json(out, closed, user, netns);
                }
                let owner = socket.owner.map(|owner| Holder {
                    pid: owner.pid,
                    program: owner.comm.as_bytes().to_vec(),
                    comm: Some(owner.comm),
                });
                let beyond = Beyond { netns, ended: Some((closed, now_ns)), ..Beyond::default() };
                inet::row(out, self.style, &beyond::row(closed), owner.as_ref(), &beyond);
            });
        }
    }

    fn sctp(&self, rows: &[SctpRow], context: &RowContext<'_>, taken: &mut TakenRows<'_>, out: &mut Vec<u8>) {
        let (options, owners) = (self.asked.options, &self.known.owners);
        // Here anything that is to be a number makes the addresses numbers; so does -N.
        let numeric = options.numeric;
        let numeric_hosts = numeric.hosts || numeric.ports || numeric.users || options.symbolic;
        let style = Style { numeric_hosts, ..self.style };
        let beyond = Beyond { netns: self.netns(context.netns), ..Beyond::default() };
        for row in rows {
            taken.take(out, &SctpFields { row, context }, |out| {
                if options.json {
                    view::sctp::json(out, row, style.labels, owners.of(row.inode), &beyond);
                } else {
                    view::sctp::row(out, style, row, owners.first(row.inode), &beyond);
                }
            });
        }
    }
}
