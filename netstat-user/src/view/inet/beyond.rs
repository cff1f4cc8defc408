//! What our own options add to netstat's tables: the namespace of each socket, and how sockets ended.

use super::{SocketRow, Style, json_end};
use crate::model::visible::escape_word;
use crate::model::{ClosedSocket, Endpoint, EventEnd, Owner, TcpInfo, TcpState};
use crate::view::event;
use crate::view::json::Object;
use crate::view::text;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Width of the columns that stand before others here: a timer, a namespace, a reason, an age.
const TIMER: usize = 22;
const NETNS: usize = 15;
const REASON: usize = 14;
const AGE: usize = 9;

/// A network namespace, as it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Netns<'a> {
    /// Inode number, `None` where it is not known.
    pub inode: Option<u32>,
    /// Its name, if it has one.
    pub name: Option<&'a [u8]>,
}

impl<'a> Netns<'a> {
    /// The one of this inode number, where that is known, with its name among these.
    pub fn among(names: &'a HashMap<u32, Vec<u8>>, inode: Option<u32>) -> Self {
        Self { inode, name: inode.and_then(|inode| names.get(&inode)).map(Vec::as_slice) }
    }
}

/// What is known of a row beyond what netstat shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beyond<'a> {
    /// The namespace, where several are listed.
    pub netns: Option<Netns<'a>>,
    /// The owner that events recorded for a socket that nobody holds; in JSON only.
    pub recorded: Option<&'a Owner>,
    /// What the kernel knows of the connection, where that is asked for; `None` inside where it knows nothing.
    pub info: Option<Option<&'a TcpInfo>>,
    /// How the socket ended, and the time now, in nanoseconds since the epoch.
    pub ended: Option<(&'a ClosedSocket, u64)>,
}

/// The headings.
pub fn heading(out: &mut Vec<u8>, columns: super::Columns) {
    if columns.timers && (columns.netns || columns.ended) {
        text::left(out, b"", TIMER - b"Timer".len());
    }
    if columns.netns {
        out.push(b' ');
        text::left(out, b"Netns", if columns.ended { NETNS } else { 0 });
    }
    if columns.ended {
        out.push(b' ');
        text::left(out, b"Ended", REASON);
        out.push(b' ');
        text::left(out, b"Ago", AGE);
        out.extend_from_slice(b" Lived");
    }
}

/// The cells of a row; `timer` is where its timer's cell begins. A socket that lives has none for its end.
pub fn cells(out: &mut Vec<u8>, style: Style<'_>, beyond: &Beyond<'_>, timer: usize) {
    let ended = beyond.ended;
    if style.columns.timers && (beyond.netns.is_some() || ended.is_some()) {
        text::pad(out, timer, TIMER);
    }
    if let Some(namespace) = beyond.netns {
        out.push(b' ');
        let start = out.len();
        netns(out, namespace);
        if ended.is_some() {
            text::pad(out, start, NETNS);
        }
    }
    if let Some((closed, now_ns)) = ended {
        out.push(b' ');
        text::left(out, closed.totals.reason.name().as_bytes(), REASON);
        out.push(b' ');
        text::left(out, text::span(now_ns.saturating_sub(closed.closed_ns)).as_bytes(), AGE);
        out.push(b' ');
        out.extend_from_slice(closed.totals.duration_ns.map_or_else(|| "-".into(), text::span).as_bytes());
    }
}

/// A namespace's name, or its inode number.
pub fn netns(out: &mut Vec<u8>, netns: Netns<'_>) {
    match (netns.name, netns.inode) {
        (Some(name), _) => out.extend_from_slice(&escape_word(name)),
        (None, Some(inode)) => text::number(out, inode),
        (None, None) => out.push(b'-'),
    }
}

/// `netns` and `netns_name`.
pub fn json_netns(object: &mut Object<'_>, netns: Netns<'_>) {
    object.optional("netns", netns.inode);
    object.optional_string("netns_name", netns.name);
}

/// The row of a socket that ended, in CLOSE, for the columns that netstat has.
pub fn row(closed: &ClosedSocket) -> SocketRow {
    let socket = &closed.socket;
    let unspecified: IpAddr =
        if socket.proto.is_v6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let end = |end: Option<EventEnd>| Endpoint {
        addr: end.map_or(unspecified, |end| end.addr),
        port: end.and_then(|end| end.port).unwrap_or(0),
    };
    SocketRow {
        // The kernel's number for a user that has none.
        uid: socket.uid.unwrap_or(u32::MAX),
        inode: socket.inode,
        cookie: socket.cookie,
        netns: socket.netns,
        ..SocketRow::bare(socket.proto, end(socket.local), end(socket.remote), TcpState::Close as u8)
    }
}

/// A socket that ended as a JSON object: the fields of the other rows, and those of its `close` event.
pub fn json(out: &mut Vec<u8>, closed: &ClosedSocket, user: Option<&[u8]>, netns: Option<Netns<'_>>) {
    let (socket, totals) = (&closed.socket, &closed.totals);
    let end = |end: Option<EventEnd>| end.map(|end| (end.addr, end.port));
    let mut object = Object::begin(out);
    object.string("proto", socket.proto.name().as_bytes());
    // What was queued, and which timer ran, nobody knows any more.
    object.optional("recv_q", None::<u8>);
    object.optional("send_q", None::<u8>);
    json_end(&mut object, "local", end(socket.local));
    json_end(&mut object, "remote", end(socket.remote));
    object.string("state", TcpState::Close.name().as_bytes());
    object.optional("uid", socket.uid);
    object.optional_string("user", user);
    object.optional("inode", (socket.inode != 0).then_some(socket.inode));
    super::json_owners(&mut object, [], socket.owner.as_ref());
    object.optional("timer", None::<u8>);
    match netns {
        Some(netns) => json_netns(&mut object, netns),
        None => object.optional("netns", socket.netns),
    }
    object.optional("cookie", socket.cookie);
    object.string("event", b"close");
    object.string("time", &event::timestamp(closed.closed_ns));
    object.optional("pid", socket.owner.map(|owner| owner.pid));
    object.optional_string("comm", socket.owner.as_ref().map(|owner| owner.comm.as_bytes()));
    object.optional_string("owner", socket.owner.map(|owner| owner.grade.name().as_bytes()));
    object.optional("duration_ns", totals.duration_ns);
    object.optional("rx_bytes", totals.rx_bytes);
    object.optional("tx_bytes", totals.tx_bytes);
    object.optional("rtt_us", totals.rtt_us);
    object.optional("retransmits", totals.retransmits);
    object.string("reason", totals.reason.name().as_bytes());
    match &totals.closed_by {
        Some(closer) => {
            let mut closed_by = object.object("closed_by");
            closed_by.number("pid", closer.pid);
            closed_by.string("comm", closer.comm.as_bytes());
            closed_by.close();
        }
        None => object.optional("closed_by", None::<u8>),
    }
    object.end();
}
