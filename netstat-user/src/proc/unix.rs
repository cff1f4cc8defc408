//! Reader of /proc/net/unix.
//!
//! The kernel writes a path as it is, newlines included, so that a line is not always a row, and not every line that looks like a row is one: anybody
//! may bind an abstract name with a row of their own making in it. [`parse_known`] believes what `sock_diag` confirms, where names have a
//! length; without it, [`parse`] takes what does not begin like a row for a part of the path before it.

use super::words::hex;
use crate::model::{TcpState, UnixRow, UnixSocket};
use hashbrown::hash_map::Entry;
use hashbrown::{HashMap, HashSet};
use std::io;
use std::iter;
use std::path::Path;

/// The table's bytes, `None` where the kernel has no such table or does not let us see it.
///
/// # Errors
/// Any other failure to read it.
pub fn read(proc: &Path) -> io::Result<Option<Vec<u8>>> {
    match super::whole(&proc.join("net/unix")) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The rows of a table.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct UnixRows<'a> {
    /// In the order of the kernel, each socket once.
    pub rows: Vec<UnixRow<'a>>,
    /// How many lines were not rows.
    pub bogus: usize,
}

/// The longest name, `sun_path`, as /proc writes it.
const NAME_MAX: usize = 108;

/// Reads a table, headings included. The kernel hands it out page by page, and a socket that moves between two pages stands in both: the first
/// counts. Two rows of one socket with different names are both kept, for one of them is forged, and nobody knows which. A row so close behind a
/// newline in a name that it may belong to that name is not believed.
pub fn parse(table: &[u8]) -> UnixRows<'_> {
    let mut rows = Vec::with_capacity(table.len() / 64);
    let mut bogus = 0;
    let mut seen = HashMap::with_capacity(table.len() / 64);
    let mut rest = after_line(table);
    // Up to here a name may reach that has a newline in it.
    let mut dubious = table.len();
    while !rest.is_empty() {
        let parsed = line(rest);
        let is_whole = rest.len() - line_length(rest) < dubious;
        rest = after_line(rest);
        let Some(UnixLine { address, text, mut row, has_path }) = parsed.filter(|_| is_whole) else {
            bogus += 1;
            continue;
        };
        if has_path {
            let start = line_length(text) - row.path.len();
            let end = path_end(text, text.len() - rest.len());
            row.path = &text[start..end];
            if row.path.contains(&b'\n') {
                dubious = (text.len() - start).saturating_sub(NAME_MAX);
            }
            rest = after_line(&text[end..]);
        }
        if is_unknown(&row, address) || seen.insert((row.inode, address), row.path) != Some(row.path) {
            rows.push(row);
        }
    }
    UnixRows { rows, bogus }
}

/// Type of a socket and the name that it is bound to.
type OtherEnd = (u32, Option<Vec<u8>>);

/// What `sock_diag` knows of sockets: by inode their types and names as /proc shows them, of one socket several where it was asked several times.
#[derive(Debug, Default)]
pub struct Known {
    sockets: HashMap<u64, (OtherEnd, Vec<OtherEnd>)>,
    /// The names of listeners, which the connections that wait for them have too: those are in no answer.
    listeners: HashSet<Vec<u8>>,
}

impl Known {
    /// Adds what an answer says.
    pub fn add(&mut self, sockets: &[UnixSocket]) {
        self.sockets.reserve(sockets.len());
        for socket in sockets {
            let name = socket.shown();
            // UNIX sockets have `TCP_LISTEN` as well.
            if socket.state == TcpState::Listen as u8 {
                self.listeners.extend(name.clone());
            }
            let peer = (socket.kind, name);
            match self.sockets.entry(socket.inode) {
                Entry::Vacant(free) => drop(free.insert((peer, Vec::new()))),
                Entry::Occupied(known) => known.into_mut().1.push(peer),
            }
        }
    }

    /// The shortest and the longest name that the row may have, given what stands behind its numbers; `None` where it is not known.
    fn names<'a>(&self, row: &UnixRow<'_>, path: Option<&'a [u8]>) -> Option<(&'a [u8], &'a [u8])> {
        let is_here = |name: &&[u8], path: &[u8]| {
            path.strip_prefix(*name).is_some_and(|rest| rest.first().is_none_or(|&byte| byte == b'\n'))
        };
        let same = || {
            let known = self.sockets.get(&row.inode);
            let all = known.into_iter().flat_map(|(first, more)| iter::once(first).chain(more));
            all.filter(|(kind, _)| *kind == row.kind).map(|(_, name)| name.as_deref())
        };
        let Some(path) = path else {
            return same().any(|name| name.is_none()).then_some((b"", b""));
        };
        let extremes = |lengths: &mut dyn Iterator<Item = usize>| {
            let first = lengths.next()?;
            Some(lengths.fold((first, first), |(least, most), length| (least.min(length), most.max(length))))
        };
        let (least, most) = if row.inode == 0 {
            let names = self.listeners.iter().map(Vec::as_slice);
            extremes(&mut names.filter(|name| is_here(name, path)).map(<[u8]>::len))?
        } else {
            extremes(&mut same().flatten().filter(|name| is_here(name, path)).map(<[u8]>::len))?
        };
        Some((&path[..least], &path[..most]))
    }
}

/// The rows of a table as far as `known` confirms them, and whether all of it was confirmed. A socket that is not known, for it came and went
/// since, is believed where its line cannot belong to a name before it.
pub fn parse_known<'a>(table: &'a [u8], known: &Known) -> (UnixRows<'a>, bool) {
    let mut rows = Vec::with_capacity(table.len() / 64);
    let (mut bogus, mut sure) = (0, true);
    let mut seen = HashSet::with_capacity(table.len() / 64);
    let mut rest = after_line(table);
    // Whether `rest` begins where a row begins, and how long it is where a name may end that might reach so far.
    let (mut at_row, mut reach) = (true, table.len());
    while !rest.is_empty() {
        let in_name = rest.len() > reach;
        let Some(UnixLine { address, text, mut row, has_path }) = line(rest) else {
            rest = after_line(rest);
            if !in_name {
                (bogus, sure, at_row) = (bogus + 1, false, false);
            }
            continue;
        };
        let path = has_path.then(|| &text[line_length(text) - row.path.len()..]);
        let names = known.names(&row, path).filter(|_| !in_name || row.inode != 0);
        match names {
            Some((shortest, longest)) => {
                rest = match path {
                    Some(path) => {
                        if shortest.len() < longest.len() {
                            reach = path.len() - longest.len();
                        }
                        after_line(&path[shortest.len()..])
                    }
                    None => after_line(rest),
                };
                row.path = shortest;
                at_row = true;
            }
            None => {
                rest = after_line(rest);
                if in_name {
                    continue;
                }
                sure = false;
                if !std::mem::replace(&mut at_row, !has_path) {
                    bogus += 1;
                    continue;
                }
            }
        }
        // An inode is one socket's; a connection not accepted yet has none, and is identified by its address.
        let key = if row.inode == 0 { (0, address) } else { (row.inode, &b""[..]) };
        if is_unknown(&row, address) || seen.insert(key) {
            rows.push(row);
        }
    }
    (UnixRows { rows, bogus }, sure)
}

/// A line that looks like a row.
struct UnixLine<'a> {
    address: &'a [u8],
    /// All that follows the address, to the end of the table.
    text: &'a [u8],
    /// The row, its path as far as the line goes.
    row: UnixRow<'a>,
    has_path: bool,
}

fn line(text: &[u8]) -> Option<UnixLine<'_>> {
    let (address, text) = address(text)?;
    let (row, has_path) = row(&text[..line_length(text)])?;
    Some(UnixLine { address, text, row, has_path })
}

/// Whether the row has no identity: a connection not accepted yet has no inode, and the address of all zeroes is what the kernel shows to
/// people it does not trust.
fn is_unknown(row: &UnixRow<'_>, address: &[u8]) -> bool {
    row.inode == 0 && address.iter().all(|&digit| digit == b'0')
}

/// Where a path ends that begins in the first line of `text`, which ends at `end` with its newline: before the next row.
fn path_end(text: &[u8], mut end: usize) -> usize {
    while end < text.len() && address(&text[end..]).is_none() {
        end += line_length(&text[end..]) + 1;
    }
    let end = end.min(text.len());
    if text[..end].ends_with(b"\n") { end - 1 } else { end }
}

/// The socket's address (hashed, or zero), and what follows it in the text.
fn address(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (digits, rest) = text.split_at(text.iter().take(17).take_while(|b| b.is_ascii_hexdigit()).count());
    matches!(digits.len(), 1..=16).then_some((digits, rest.strip_prefix(b": ")?))
}

/// What follows the address in a row, and whether there is a path, which may be empty in its first line:
/// `RefCount Protocol Flags Type St Inode Path`.
fn row(line: &[u8]) -> Option<(UnixRow<'_>, bool)> {
    let mut rest = line;
    let mut field = || {
        let start = rest.trim_ascii_start();
        let (word, after) = start.split_at(start.iter().position(|&b| b == b' ').unwrap_or(start.len()));
        rest = after;
        word
    };
    let refcnt = hex::<8>(field())?;
    let protocol = hex::<8>(field())?;
    let (flags, kind, state) = (hex::<8>(field())?, hex::<8>(field())?, hex::<8>(field())?);
    let inode = str::from_utf8(field()).ok()?.parse().ok()?;
    // One blank stands before the path; what else is blank belongs to it.
    let path = rest.strip_prefix(b" ");
    Some((UnixRow { refcnt, protocol, flags, kind, state, inode, path: path.unwrap_or_default() }, path.is_some()))
}

/// Length of the first line without its newline.
fn line_length(text: &[u8]) -> usize {
    memchr::memchr(b'\n', text).unwrap_or(text.len())
}

fn after_line(text: &[u8]) -> &[u8] {
    text.get(line_length(text) + 1..).unwrap_or_default()
}

#[cfg(test)]
mod tests;
