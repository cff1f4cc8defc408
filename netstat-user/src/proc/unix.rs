//! Reader of /proc/net/unix.
//!
//! The kernel writes a path as it is, newlines included, so that a line is not always a row: what does not begin like a
//! row belongs to the path before it.

use super::words::hex;
use crate::model::UnixRow;
use std::collections::HashSet;
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
#[derive(Debug, PartialEq, Eq)]
pub struct Rows<'a> {
    /// In the order of the kernel, each socket once.
    pub rows: Vec<UnixRow<'a>>,
    /// How many lines were not rows.
    pub bogus: usize,
}

/// Reads a table, headings included. The kernel hands it out page by page, and a socket that moves between two pages
/// stands in both: the first counts.
pub fn parse(table: &[u8]) -> Rows<'_> {
    let mut rows = Vec::with_capacity(table.len() / 64);
    let mut bogus = 0;
    let mut seen = HashSet::with_capacity(table.len() / 64);
    let mut rest = after_line(table);
    while !rest.is_empty() {
        let parsed = address(rest).and_then(|(address, text)| Some((address, text, row(&text[..line_length(text)])?)));
        rest = after_line(rest);
        let Some((address, text, (mut row, has_path))) = parsed else {
            bogus += 1;
            continue;
        };
        if has_path {
            let start = line_length(text) - row.path.len();
            let end = path_end(text, text.len() - rest.len());
            row.path = &text[start..end];
            rest = after_line(&text[end..]);
        }
        // A connection not accepted yet has no inode; the address of all zeroes is what the kernel shows of it to
        // people it does not trust.
        let unknown = row.inode == 0 && address.iter().all(|&digit| digit == b'0');
        if unknown || seen.insert((row.inode, address)) {
            rows.push(row);
        }
    }
    Rows { rows, bogus }
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
        let Rows { rows, bogus } = parse(table.as_bytes());
        (rows.iter().map(|r| (r.inode, String::from_utf8_lossy(r.path).into_owned())).collect(), bogus)
    }

    #[test]
    fn every_column() {
        let table = format!("{HEADINGS}0000000000000000: 00000002 00000000 00010000 0005 01 12345 /run/x\n");
        let row = UnixRow { refcnt: 2, protocol: 0, flags: 0x10000, kind: 5, state: 1, inode: 12345, path: b"/run/x" };
        assert_eq!(parse(table.as_bytes()), Rows { rows: vec![row], bogus: 0 });
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
             0000000000000010: 00000002 00000000 00010000 0001 01 17 /last\n\n",
        );
        let expected = [
            (11, "/a b  c "),
            (12, " /blank"),
            (13, ""),
            (0, "@a@"),
            (15, "/new\nline\n"),
            (16, "\n"),
            (17, "/last\n"),
        ];
        assert_eq!(rows, expected.map(|(inode, path)| (inode, path.to_owned())));
        assert_eq!(bogus, 0);
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

    #[test]
    fn nothing() {
        for table in ["", "\n", "Num", HEADINGS] {
            assert_eq!(parse(table.as_bytes()), Rows { rows: vec![], bogus: 0 });
        }
    }
}
