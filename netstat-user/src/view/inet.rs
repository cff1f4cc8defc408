//! The Internet table of netstat, and its rows as JSON.

pub mod beyond;
pub mod info;

use super::json::Object;
use super::{Listed, text};
use crate::lang::Lang;
use crate::model::visible::escape;
use crate::model::{AddressText, Comm, Endpoint, Holder, Labels, Owner, Proto, SocketRow, TcpState, Timer};
use beyond::Beyond;
use std::net::IpAddr;

/// Room for an address and its port, the colon not counted, where they are not shown in full.
const ADDRESS_WIDTH: usize = 22;

/// The optional columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// User and inode.
    pub extend: bool,
    /// PID and program.
    pub programs: bool,
    /// Timer.
    pub timers: bool,
    /// Network namespace: ours.
    pub netns: bool,
    /// How sockets ended: ours.
    pub ended: bool,
}

/// How rows are printed.
#[derive(Clone, Copy, Debug)]
pub struct Style<'a> {
    /// The reader's language.
    pub lang: &'a Lang,
    /// The columns.
    pub columns: Columns,
    /// Whether addresses are printed in full, however long.
    pub wide: bool,
    /// Names of hosts, ports and users; what is not in here is printed as a number.
    pub labels: &'a Labels,
    /// Whether hosts are meant to be numbers, whatever names are known; then the IPv6 wildcard is written without
    /// brackets.
    pub numeric_hosts: bool,
}

/// Title and column headings.
pub fn heading(out: &mut Vec<u8>, lang: &Lang, listed: Listed, columns: Columns) {
    out.extend_from_slice(lang.text("Active Internet connections "));
    out.extend_from_slice(lang.text(listed.suffix()));
    out.extend_from_slice(
        lang.text("\nProto Recv-Q Send-Q Local Address           Foreign Address         State      "),
    );
    if columns.extend {
        out.extend_from_slice(lang.text(" User       Inode     "));
    }
    if columns.programs {
        out.extend_from_slice(lang.text(" PID/Program name    "));
    }
    if columns.timers {
        out.extend_from_slice(lang.text(" Timer"));
    }
    beyond::heading(out, columns);
    out.push(b'\n');
}

/// One row.
pub fn row(out: &mut Vec<u8>, style: Style<'_>, row: &SocketRow, holder: Option<&Holder>, beyond: &Beyond<'_>) {
    text::left(out, proto_name(row.proto).as_bytes(), 5);
    out.push(b' ');
    text::right(out, row.recv_q, 6);
    out.push(b' ');
    text::right(out, row.send_q, 6);
    out.push(b' ');
    endpoint(out, style, row.proto, &row.local);
    out.push(b' ');
    endpoint(out, style, row.proto, &row.remote);
    out.push(b' ');
    let start = out.len();
    match beyond.ended {
        // The state of a socket that ended is shown whatever its protocol; of one that lives netstat leaves it out for some.
        Some(_) => out.extend_from_slice(style.lang.text(TcpState::Close.name())),
        None => state(out, style.lang, row),
    }
    text::pad(out, start, 11);
    ending(out, style, row.uid, row.inode, holder);
    if style.columns.timers {
        out.push(b' ');
    }
    let start = out.len();
    if style.columns.timers {
        timer(out, style.lang, row);
    }
    beyond::cells(out, style, beyond, start);
    out.push(b'\n');
    if let Some(Some(known)) = beyond.info {
        info::line(out, known);
    }
}

/// The columns of user, inode and process, as far as they are wanted.
pub fn ending(out: &mut Vec<u8>, style: Style<'_>, uid: u32, inode: u64, holder: Option<&Holder>) {
    if style.columns.extend {
        out.push(b' ');
        let start = out.len();
        match style.labels.users.get(&uid) {
            Some(name) => out.extend_from_slice(&escape(name)),
            None => text::number(out, uid),
        }
        text::pad(out, start, 10);
        out.push(b' ');
        let start = out.len();
        text::number(out, inode);
        text::pad(out, start, 10);
    }
    if style.columns.programs {
        super::program(out, holder);
    }
}

/// netstat's name for the protocol.
const fn proto_name(proto: Proto) -> &'static str {
    match proto {
        Proto::UdpLite => "udpl",
        Proto::UdpLite6 => "udpl6",
        other => other.name(),
    }
}

/// The key of the protocol's ports in [`Labels::ports`].
const fn port_key(proto: Proto) -> &'static str {
    match proto {
        Proto::Tcp | Proto::Tcp6 => "tcp",
        Proto::Udp | Proto::Udp6 | Proto::UdpLite | Proto::UdpLite6 => "udp",
        Proto::Raw | Proto::Raw6 => "raw",
    }
}

/// An address and its port, cut to the column if need be: the address first, the port only where it is a long name.
fn endpoint(out: &mut Vec<u8>, style: Style<'_>, proto: Proto, end: &Endpoint) {
    let start = out.len();
    host(out, style, &end.addr);
    let address = out.len() - start;
    out.push(b':');
    let port = out.len();
    self::port(out, style.labels, port_key(proto), end.port);
    let length = out.len() - port;
    if !style.wide && address + length > ADDRESS_WIDTH {
        let length = length.min(ADDRESS_WIDTH - 4);
        // An address may be shorter than what a long port leaves it.
        let address = address.min(ADDRESS_WIDTH - length);
        out.truncate(port + length);
        out.drain(start + address..port - 1);
    }
    text::pad(out, start, ADDRESS_WIDTH + 1);
}

/// A port by the key of its protocol in [`Labels::ports`]: its name, its number, or a star for none.
pub fn port(out: &mut Vec<u8>, labels: &Labels, key: &'static str, port: u16) {
    match labels.ports.get(&(key, port)) {
        _ if port == 0 => out.push(b'*'),
        Some(name) => out.extend_from_slice(&escape(name)),
        None => text::number(out, port),
    }
}

/// An address: its name, or its number in full.
pub fn host(out: &mut Vec<u8>, style: Style<'_>, addr: &IpAddr) {
    match addr {
        _ if !style.numeric_hosts && style.labels.hosts.contains_key(addr) => {
            out.extend_from_slice(&escape(&style.labels.hosts[addr]));
        }
        IpAddr::V4(v4) => {
            let [first, rest @ ..] = v4.octets();
            text::number(out, first);
            for octet in rest {
                out.push(b'.');
                text::number(out, octet);
            }
        }
        IpAddr::V6(v6) if v6.is_unspecified() && !style.numeric_hosts => out.extend_from_slice(b"[::]"),
        IpAddr::V6(_) => out.extend_from_slice(text::numeric(*addr).as_bytes()),
    }
}

/// The state column: of UDP only what differs from "not connected", of raw sockets the number itself.
fn state(out: &mut Vec<u8>, lang: &Lang, row: &SocketRow) {
    match (row.proto, TcpState::from_kernel(row.state)) {
        (Proto::Raw | Proto::Raw6, _) => text::number(out, row.state),
        (Proto::Tcp | Proto::Tcp6, Some(state)) => out.extend_from_slice(lang.text(state.name())),
        (_, Some(TcpState::Established)) => out.extend_from_slice(lang.text("ESTABLISHED")),
        (Proto::Tcp | Proto::Tcp6, None) if row.state == 0 => {}
        (_, Some(TcpState::Close)) => {}
        _ => out.extend_from_slice(lang.text("UNKNOWN")),
    }
}

/// The timer column: name, time to expiry, retransmissions and probes.
fn timer(out: &mut Vec<u8>, lang: &Lang, row: &SocketRow) {
    let Timer { kind, expires, retransmits, probes } = row.timer;
    // Datagrams are not sent again; of raw sockets netstat shows what the kernel says.
    let resends = row.proto.is_tcp() || matches!(row.proto, Proto::Raw | Proto::Raw6);
    let retransmits = if resends { retransmits } else { 0 };
    if kind == 0 {
        out.extend_from_slice(&lang.fill("off (0.00/%ld/%d)", &[&retransmits, &probes]));
        return;
    }
    let point = String::from_utf8_lossy(lang.decimal_point());
    let seconds = format!("{}{point}{:02}", expires / 100, expires % 100);
    let filled = match (row.proto.is_tcp(), kind) {
        (true, 1) => lang.fill("on (%2.2f/%ld/%d)", &[&seconds, &retransmits, &probes]),
        (true, 2) => lang.fill("keepalive (%2.2f/%ld/%d)", &[&seconds, &retransmits, &probes]),
        (true, 3) => lang.fill("timewait (%2.2f/%ld/%d)", &[&seconds, &retransmits, &probes]),
        (true, 4) => lang.fill("probe (%2.2f/%ld/%d)", &[&seconds, &retransmits, &probes]),
        (false, 1 | 2) => lang.fill("on%d (%2.2f/%ld/%d)", &[&kind, &seconds, &retransmits, &probes]),
        _ => lang.fill("unkn-%d (%2.2f/%ld/%d)", &[&kind, &seconds, &retransmits, &probes]),
    };
    out.extend_from_slice(&filled);
}

/// One row as a JSON object on a line of its own, names as in `labels`, holders all of them.
pub fn json<'a>(
    out: &mut Vec<u8>,
    row: &SocketRow,
    labels: &Labels,
    holders: impl IntoIterator<Item = &'a Holder>,
    beyond: &Beyond<'_>,
) {
    let mut object = Object::begin(out);
    object.string("proto", row.proto.name().as_bytes());
    object.number("recv_q", row.recv_q);
    object.number("send_q", row.send_q);
    json_end(&mut object, "local", Some((row.local.addr, Some(row.local.port))));
    json_end(&mut object, "remote", Some((row.remote.addr, Some(row.remote.port))));
    object.optional_string("state", row.named_state().map(|state| state.name().as_bytes()));
    object.number("uid", row.uid);
    object.optional_string("user", labels.users.get(&row.uid).map(Vec::as_slice));
    object.number("inode", row.inode);
    json_owners(&mut object, holders, beyond.recorded);
    let mut timer = object.object("timer");
    timer.optional_string("name", row.timer.name().map(str::as_bytes));
    timer.optional("seconds", Some(format_args!("{}.{:02}", row.timer.expires / 100, row.timer.expires % 100)));
    timer.number("retransmits", row.timer.retransmits);
    timer.number("probes", row.timer.probes);
    timer.close();
    match beyond.netns {
        Some(netns) => beyond::json_netns(&mut object, netns),
        None => object.optional("netns", row.netns),
    }
    object.optional("cookie", row.cookie);
    if let Some(known) = beyond.info {
        info::json(&mut object, known);
    }
    object.end();
}

/// One end as `{"addr":…,"port":…}`, or `null`.
pub fn json_end(object: &mut Object<'_>, key: &str, end: Option<(IpAddr, Option<u16>)>) {
    let Some((addr, port)) = end else { return object.optional(key, None::<u8>) };
    let mut inner = object.object(key);
    inner.string("addr", AddressText(addr).to_string().as_bytes());
    inner.optional("port", port);
    inner.close();
}

/// The processes that hold the socket, all of them; if there is none, the one that events recorded as its owner, with how that is known.
pub fn json_owners<'a>(
    object: &mut Object<'_>,
    holders: impl IntoIterator<Item = &'a Holder>,
    recorded: Option<&Owner>,
) {
    let mut holders = holders.into_iter().peekable();
    let recorded = recorded.filter(|_| holders.peek().is_none());
    let holders = holders.map(|holder| (holder.pid, holder.program.as_slice(), holder.comm, None));
    let recorded = recorded.map(|owner| (owner.pid, owner.comm.as_bytes(), Some(owner.comm), Some(owner.grade)));
    object.objects("owners", holders.chain(recorded), |object, (pid, program, comm, grade)| {
        object.number("pid", pid);
        object.string("program", program);
        object.optional_string("comm", comm.as_ref().map(Comm::as_bytes));
        if let Some(grade) = grade {
            object.string("owner", grade.name().as_bytes());
        }
    });
}

#[cfg(test)]
mod tests;
