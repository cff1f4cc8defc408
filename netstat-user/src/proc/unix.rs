//! Reader of /proc/net/unix.
//!
//! The kernel writes a path as it is, newlines included, so that a line is not always a row, and not every line that looks like a row is one: anybody
//! may bind an abstract name with a row of their own making in it. [`parse_known`] believes what `sock_diag` confirms, where names have a
//! length; without it, [`parse`] takes what does not begin like a row for a part of the path before it.

use super::words::hex;
use crate::model::{UnixRow, UnixSocket};
use std::collections::{HashMap, HashSet};
use std::io;
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
        let Some(Line { address, text, mut row, has_path }) = parsed.filter(|_| is_whole) else {
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
type Peer = (u32, Option<Vec<u8>>);

/// What `sock_diag` knows of sockets: by inode their types and names as /proc shows them, of one socket several where it was asked several times.
#[derive(Debug, Default)]
pub struct Known {
    sockets: HashMap<u64, Vec<Peer>>,
    /// The names of listeners, which the connections that wait for them have too: those are in no answer.
    listeners: HashSet<Vec<u8>>,
}

impl Known {
    /// Adds what an answer says.
    pub fn add(&mut self, sockets: &[UnixSocket]) {
        for socket in sockets {
            let name = socket.shown();
            if socket.state == LISTEN {
                self.listeners.extend(name.clone());
            }
            self.sockets.entry(socket.inode).or_default().push((socket.kind, name));
        }
    }

    /// The shortest and the longest name that the row may have, given what stands behind its numbers; `None` where it is not known.
    fn names<'a>(&self, row: &UnixRow<'_>, path: Option<&'a [u8]>) -> Option<(&'a [u8], &'a [u8])> {
        let is_here = |name: &&[u8], path: &[u8]| {
            path.strip_prefix(*name).is_some_and(|rest| rest.first().is_none_or(|&byte| byte == b'\n'))
        };
        let Some(path) = path else {
            let known = self.sockets.get(&row.inode)?;
            return known.iter().any(|(kind, name)| *kind == row.kind && name.is_none()).then_some((b"", b""));
        };
        let lengths: Vec<usize> = if row.inode == 0 {
            self.listeners.iter().map(Vec::as_slice).filter(|name| is_here(name, path)).map(<[u8]>::len).collect()
        } else {
            let same = self.sockets.get(&row.inode)?.iter().filter(|(kind, _)| *kind == row.kind);
            same.filter_map(|(_, name)| name.as_deref()).filter(|name| is_here(name, path)).map(<[u8]>::len).collect()
        };
        let (least, most) = (lengths.iter().min()?, lengths.iter().max()?);
        Some((&path[..*least], &path[..*most]))
    }
}

/// `TCP_LISTEN`, which UNIX sockets have as well.
const LISTEN: u8 = 10;

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
        let Some(Line { address, text, mut row, has_path }) = line(rest) else {
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
struct Line<'a> {
    address: &'a [u8],
    /// All that follows the address, to the end of the table.
    text: &'a [u8],
    /// The row, its path as far as the line goes.
    row: UnixRow<'a>,
    has_path: bool,
}

fn line(text: &[u8]) -> Option<Line<'_>> {
    let (address, text) = address(text)?;
    let (row, has_path) = row(&text[..line_length(text)])?;
    Some(Line { address, text, row, has_path })
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
mod tests {
    use super::*;

    const HEADINGS: &str = "Num       RefCount Protocol Flags    Type St Inode Path\n";

    fn parse_lines(lines: &str) -> (Vec<(u64, String)>, usize) {
        let table = format!("{HEADINGS}{lines}");
        let UnixRows { rows, bogus } = parse(table.as_bytes());
        (rows.iter().map(|r| (r.inode, String::from_utf8_lossy(r.path).into_owned())).collect(), bogus)
    }

    #[test]
    fn every_column() {
        let table = format!("{HEADINGS}0000000000000000: 00000002 00000000 00010000 0005 01 12345 /run/x\n");
        let row = UnixRow { refcnt: 2, protocol: 0, flags: 0x10000, kind: 5, state: 1, inode: 12345, path: b"/run/x" };
        assert_eq!(parse(table.as_bytes()), UnixRows { rows: vec![row], bogus: 0 });
    }

    #[test]
    fn whole_paths() {
        let (rows, bogus) = parse_lines(
            "000000000000000a: 00000002 00000000 00010000 0001 01 11 /a b  c \n\
             000000000000000b: 00000002 00000000 00010000 0001 01 12  /blank\n\
             000000000000000c: 00000003 00000000 00000000 0001 03 13\n\
             000000000000000d: 00000003 00000000 00000000 0001 03     0 @a@\n\
             000000000000000e: 00000002 00000000 00010000 0001 01 15 /new\nline\n\n\
             000000000000000f: 00000002 00000000 00010000 0001 01 16 \n\n\
             0000000000000010: 00000002 00000000 00010000 0001 01 17 /last-and-long-enough-to-be-no-part-of-the-name-before-it-which-has-a-newline-in-it-\
             and-may-have-been-made-to-deceive\n\n",
        );
        let expected = [
            (11, "/a b  c "),
            (12, " /blank"),
            (13, ""),
            (0, "@a@"),
            (15, "/new\nline\n"),
            (
                17,
                "/last-and-long-enough-to-be-no-part-of-the-name-before-it-which-has-a-newline-in-it-\
                 and-may-have-been-made-to-deceive\n",
            ),
        ];
        assert_eq!(rows, expected.map(|(inode, path)| (inode, path.to_owned())));
        // The row of 16, which could belong to the name before it, and what follows it.
        assert_eq!(bogus, 2);
    }

    #[test]
    fn lines_that_are_no_rows() {
        let (rows, bogus) = parse_lines(
            "foo\n\
             000000000000000a: 00000002 00000000 00010000 0001\n\
             000000000000000b: 00000002 00000000 00010000 0001 01 99999999999999999999 /a\n\
             000000000000000c: 1FFFFFFFF 00000000 00010000 0001 01 1 /a\n\
             000000000000000d: 00000002 00000000 00010000 0001 01 14\nrubbish\n",
        );
        assert_eq!(rows, [(14, String::new())]);
        assert_eq!(bogus, 5);
    }

    #[test]
    fn a_socket_once() {
        let (rows, _) = parse_lines(
            "000000000000000a: 00000002 00000000 00000000 0001 03 11 /a\n\
             000000000000000b: 00000002 00000000 00000000 0001 02 0 /l\n\
             000000000000000c: 00000002 00000000 00000000 0001 02 0 /l\n\
             000000000000000b: 00000002 00000000 00000000 0001 02 0 /l\n\
             000000000000000a: 00000003 00000000 00000000 0001 03 11 /a\n\
             0000000000000000: 00000002 00000000 00000000 0001 02 0 /h\n\
             0000000000000000: 00000002 00000000 00000000 0001 02 0 /h\n",
        );
        assert_eq!(rows.iter().map(|(inode, _)| *inode).collect::<Vec<_>>(), [11, 0, 0, 0, 0]);
    }

    /// A victim's listener and its row, and a name of an attacker that has the same row in it.
    const VICTIM: &str = "00000000cf450cff: 00000002 00000000 00010000 0001 01 77 /run/victim";
    const FORGED: &str = "00000000cf450cff: 00000009 00000000 00010000 0001 01 77 /tmp/other";

    fn socket(inode: u64, state: u8, name: &str) -> UnixSocket {
        let name = name.strip_prefix('@').map_or_else(|| format!("{name}\0"), |name| format!("\0{name}"));
        UnixSocket { kind: 1, state, inode, name: Some(name.into_bytes()), ..UnixSocket::default() }
    }

    fn parse_with(lines: &str, known: &[UnixSocket]) -> (Vec<(u64, String)>, usize, bool) {
        let table = format!("{HEADINGS}{lines}");
        let mut all = Known::default();
        all.add(known);
        let (UnixRows { rows, bogus }, sure) = parse_known(table.as_bytes(), &all);
        (rows.iter().map(|r| (r.inode, String::from_utf8_lossy(r.path).into_owned())).collect(), bogus, sure)
    }

    #[test]
    fn a_row_in_a_name_is_a_name() {
        let evil = format!("@x\n{FORGED}");
        let known = [socket(5, 10, &evil), socket(77, 10, "/run/victim")];
        let name = "0000000000000001: 00000002 00000000 00010000 0001 01 5 ";
        for lines in [format!("{name}{evil}\n{VICTIM}\n"), format!("{VICTIM}\n{name}{evil}\n")] {
            let (mut rows, bogus, sure) = parse_with(&lines, &known);
            rows.sort();
            assert_eq!(rows, [(5, evil.clone()), (77, "/run/victim".to_owned())]);
            assert_eq!((bogus, sure), (0, true));
        }
        // Without sock_diag nobody knows which of the two is true: none hides the other.
        let (rows, _) = parse_lines(&format!("{name}{evil}\n{VICTIM}\n"));
        assert!(rows.contains(&(77, "/run/victim".to_owned())), "{rows:?}");
        // A row behind a newline that shows is not believed.
        let (rows, bogus) = parse_lines(&format!("{name}@x\ny\n{FORGED}\n{VICTIM}\n"));
        assert_eq!((rows.len(), bogus), (2, 1), "{rows:?}");
        assert!(rows.contains(&(77, "/run/victim".to_owned())), "{rows:?}");
    }

    #[test]
    fn connections_that_wait_have_the_name_of_their_listener() {
        let row = "00000000000000a1: 00000003 00000000 00000000 0001 02     0 @x";
        let known = [socket(5, 10, "@x"), socket(77, 10, "/run/victim")];
        let (rows, bogus, sure) = parse_with(&format!("{row}\n{}2\n", row.replace("a1:", "a2:")), &known);
        assert_eq!((rows, bogus, sure), (vec![(0, "@x".to_owned()), (0, "@x2".to_owned())], 0, false));
        // Two listeners of an attacker, so that a victim's row looks like a part of the longer name: it is shown all the same.
        let known = [socket(5, 10, "@x"), socket(6, 10, &format!("@x\n{VICTIM}")), socket(77, 10, "/run/victim")];
        let (rows, bogus, sure) = parse_with(&format!("{row}\n{VICTIM}\n"), &known);
        assert_eq!((rows, bogus, sure), (vec![(0, "@x".to_owned()), (77, "/run/victim".to_owned())], 0, true));
        // And the row of nobody in such a name is not.
        let known = [socket(5, 10, "@x"), socket(6, 10, &format!("@x\n{FORGED}")), socket(77, 10, "/run/victim")];
        let (rows, _, sure) = parse_with(&format!("{row}\n{FORGED}\n{VICTIM}\n"), &known);
        assert_eq!((rows, sure), (vec![(0, "@x".to_owned()), (77, "/run/victim".to_owned())], true));
    }

    #[test]
    fn a_socket_that_is_not_known_is_believed_where_it_cannot_be_in_a_name() {
        let row = |inode, path| format!("00000000000000{inode}: 00000002 00000000 00010000 0001 01 {inode}{path}\n");
        let known = [socket(11, 10, "/a")];
        let (rows, bogus, sure) =
            parse_with(&[row(11, " /a"), row(12, ""), row(13, " /b"), row(14, " /c"), row(11, " /a")].concat(), &known);
        let expected = [(11, "/a"), (12, ""), (13, "/b")];
        assert_eq!(rows, expected.map(|(inode, path)| (inode, path.to_owned())));
        assert_eq!((bogus, sure), (1, false));
    }

    #[test]
    fn nothing() {
        for table in ["", "\n", "Num", HEADINGS] {
            assert_eq!(parse(table.as_bytes()), UnixRows { rows: vec![], bogus: 0 });
        }
    }
}
