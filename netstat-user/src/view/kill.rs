//! What became of sockets that were to be closed.

use super::inet::{json_end, json_owners};
use super::json::Object;
use super::text::{escape_word, left, number, put};
use crate::model::{Holder, SocketRow, TcpState};

/// One line: what became of it, the socket, its first holder, and why where it was not closed.
pub fn line(out: &mut Vec<u8>, result: &str, row: &SocketRow, holder: Option<&Holder>, error: Option<&str>) {
    left(out, result.as_bytes(), 11);
    out.push(b' ');
    left(out, row.proto.name().as_bytes(), 8);
    for end in [&row.local, &row.remote] {
        out.push(b' ');
        let end = match (end.addr.is_unspecified(), end.port) {
            (true, 0) => "*:*".to_owned(),
            (_, 0) => format!("{}:*", end.addr),
            _ => format!("{}:{}", end.addr, end.port),
        };
        left(out, end.as_bytes(), 23);
    }
    out.push(b' ');
    left(out, state(row).unwrap_or("-").as_bytes(), 11);
    out.push(b' ');
    match holder {
        Some(holder) => {
            number(out, holder.pid);
            out.push(b'/');
            out.extend_from_slice(&escape_word(&holder.program));
        }
        None => out.push(b'-'),
    }
    if let Some(error) = error {
        put!(out, ": {error}");
    }
    out.push(b'\n');
}

/// The same as a JSON object.
pub fn json<'a>(
    out: &mut Vec<u8>,
    result: &str,
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
    object.string("result", result.as_bytes());
    object.optional_string("error", error.map(str::as_bytes));
    object.end();
}

fn state(row: &SocketRow) -> Option<&'static str> {
    row.named_state().map(TcpState::name)
}
