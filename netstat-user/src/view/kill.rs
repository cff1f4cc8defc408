//! What became of sockets that were to be closed.

use super::inet::beyond::{self, Netns};
use super::inet::{json_end, json_owners};
use super::json::Object;
use super::text::{fill, number};
use crate::model::visible::{escape_text, escape_word};
use crate::model::width::{width as columns, wrap};
use crate::model::{Endpoint, Holder, KillResult, SocketRow, TcpState};

/// A socket, and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// What became of it.
    pub result: KillResult,
    /// The socket.
    pub row: &'a SocketRow,
    /// Its namespace, where several are listed.
    pub netns: Option<Netns<'a>>,
    /// The first process that holds it.
    pub holder: Option<&'a Holder>,
    /// Why it was not closed.
    pub error: Option<&'a str>,
}

/// Blanks before what does not fit beside the ends.
const INDENT: usize = 4;

/// A line for each: what became of it, the socket, its namespace, its first holder, and why where it was not closed. Columns are as wide as they need to be; on a
/// terminal of this width what does not fit follows on an indented line.
pub fn list(out: &mut Vec<u8>, outcomes: &[Outcome<'_>], terminal: Option<usize>) {
    let cells: Vec<Vec<Vec<u8>>> = outcomes.iter().map(cells).collect();
    let widths: Vec<usize> = (0..cells.first().map_or(0, Vec::len))
        .map(|at| cells.iter().map(|row| columns(&row[at])).max().unwrap_or_default())
        .collect();
    let width = terminal.unwrap_or(usize::MAX);
    for (row, outcome) in cells.iter().zip(outcomes) {
        let mut line = Vec::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.extend_from_slice(cell);
            fill(&mut line, width - columns(cell) + 1);
        }
        let mut rest = Vec::new();
        match outcome.holder {
            Some(holder) => {
                number(&mut rest, holder.pid);
                rest.push(b'/');
                rest.extend_from_slice(&escape_word(&holder.program));
            }
            None => rest.push(b'-'),
        }
        let mut at = columns(&line);
        if at + columns(&rest) > width {
            line.truncate(line.trim_ascii_end().len());
            line.push(b'\n');
            fill(&mut line, INDENT);
            at = INDENT;
        }
        if let Some(error) = outcome.error {
            rest.extend_from_slice(b": ");
            rest.extend_from_slice(&escape_text(error.as_bytes()));
        }
        wrap(&mut line, &rest, at, INDENT, width);
        out.extend_from_slice(&line);
        out.push(b'\n');
    }
}

/// What became of a socket, its protocol, both its ends, its state, and its namespace where that is shown.
fn cells(outcome: &Outcome<'_>) -> Vec<Vec<u8>> {
    let Outcome { result, row, netns, .. } = outcome;
    let end = |end: &Endpoint| match (end.addr.is_unspecified(), end.port) {
        (true, 0) => "*:*".to_owned(),
        (_, 0) => format!("{}:*", end.addr),
        _ => format!("{}:{}", end.addr, end.port),
    };
    let mut cells = vec![
        result.name().replace('_', " ").into_bytes(),
        row.proto.name().into(),
        end(&row.local).into_bytes(),
        end(&row.remote).into_bytes(),
        state(row).unwrap_or("-").into(),
    ];
    cells.extend(netns.map(|netns| {
        let mut cell = Vec::new();
        beyond::netns(&mut cell, netns);
        cell
    }));
    cells
}

/// The same as a JSON object.
pub fn json<'a>(
    out: &mut Vec<u8>,
    result: KillResult,
    row: &SocketRow,
    holders: impl IntoIterator<Item = &'a Holder>,
    error: Option<&str>,
) {
    let mut object = Object::begin(out);
    object.string("proto", row.proto.name().as_bytes());
    json_end(&mut object, "local", Some((row.local.addr, Some(row.local.port))));
    json_end(&mut object, "remote", Some((row.remote.addr, Some(row.remote.port))));
    object.optional_string("state", state(row).map(str::as_bytes));
    object.number("uid", row.uid);
    object.number("inode", row.inode);
    json_owners(&mut object, holders, None);
    object.optional("netns", row.netns);
    object.optional("cookie", row.cookie);
    object.string("result", result.name().as_bytes());
    object.optional_string("error", error.map(str::as_bytes));
    object.end();
}

fn state(row: &SocketRow) -> Option<&'static str> {
    row.named_state().map(TcpState::name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Proto;

    #[test]
    fn lines_fit_the_terminal_and_lack_nothing() {
        let end = |addr: &str, port| Endpoint { addr: addr.parse().unwrap(), port };
        let mut near = SocketRow::bare(Proto::Tcp, end("127.0.0.1", 8080), end("127.0.0.1", 53_812), 7);
        near.state = TcpState::Established as u8;
        let mut far = SocketRow::bare(Proto::Tcp6, end("2001:db8::1", 8080), end("2001:db8:1:2:3:4:5:6", 53_812), 7);
        far.state = TcpState::Established as u8;
        let holder = Holder { pid: 4_194_303, program: b"some-long-program-name".to_vec(), comm: None };
        let of =
            |row, error| Outcome { result: KillResult::WouldClose, row, netns: None, holder: Some(&holder), error };
        let shown = |outcomes: &[Outcome<'_>], width| {
            let mut out = Vec::new();
            list(&mut out, outcomes, width);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            shown(&[of(&near, None)], None),
            "would close tcp 127.0.0.1:8080 127.0.0.1:53812 ESTABLISHED 4194303/some-long-program-name\n"
        );
        assert_eq!(
            shown(&[of(&near, None)], Some(80)),
            "would close tcp 127.0.0.1:8080 127.0.0.1:53812 ESTABLISHED\n    4194303/some-long-program-name\n"
        );
        let within = |inode, name| Outcome { netns: Some(Netns { inode: Some(inode), name }), ..of(&near, None) };
        assert_eq!(
            shown(&[within(4_026_532_177, Some("blü e".as_bytes())), within(4_026_532_178, None)], None),
            "would close tcp 127.0.0.1:8080 127.0.0.1:53812 ESTABLISHED blü\\x20e   4194303/some-long-program-name\n\
             would close tcp 127.0.0.1:8080 127.0.0.1:53812 ESTABLISHED 4026532178 4194303/some-long-program-name\n"
        );
        let why = "not permitted: closing other processes' sockets takes CAP_NET_ADMIN; run it as root";
        for width in [80, 120] {
            let lines = shown(&[of(&near, Some(why)), of(&far, Some(why))], Some(width));
            assert!(lines.lines().all(|line| line.len() <= width && !line.ends_with(' ')), "{width}: {lines}");
            let words = lines.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(words.matches(&format!("4194303/some-long-program-name: {why}")).count(), 2, "{lines}");
        }
    }
}
