//! A live socket as a row of the kernel's lists or an event describes it.

use crate::model::{Endpoint, EventEnd, LiveSocket, Owner, SocketEvent, SocketRow, TcpState};

/// A socket of which only its row in the kernel's list is known, and who holds it.
pub fn listed_socket(row: &SocketRow, owner: Option<Owner>, now_ns: u64) -> LiveSocket {
    let end = |end: Endpoint| EventEnd { addr: end.addr, port: Some(end.port) };
    LiveSocket {
        local: Some(end(row.local)),
        remote: Some(end(row.remote)),
        netns: row.netns,
        uid: Some(row.uid),
        inode: row.inode,
        cookie: row.cookie,
        owner,
        seen_ns: now_ns,
        state_ns: now_ns,
        ..LiveSocket::bare(row.proto, TcpState::from_kernel(row.state).unwrap_or(TcpState::Close))
    }
}

/// Whether there may be no socket any more, only what the kernel keeps of it.
pub fn may_be_remains(row: &SocketRow) -> bool {
    may_be_orphan(row) || row.inode == 0 && row.state == TcpState::TimeWait as u8
}

/// Whether it may be what a closed socket left while the kernel waits for the peer's FIN (`tcp_time_wait()`).
pub fn may_be_orphan(row: &SocketRow) -> bool {
    row.inode == 0 && row.state == TcpState::FinWait2 as u8
}

/// The user of a socket; `None` where it is not known: the kernel reports 0 for what remains of one (`get_timewait4_sock()`).
pub fn known_user(socket: &LiveSocket) -> Option<u32> {
    let may_be_remains = socket.inode == 0 && matches!(socket.state, TcpState::TimeWait | TcpState::FinWait2);
    socket.uid.filter(|&uid| uid != 0 || !may_be_remains)
}

/// Whether what is listed may be left of a socket that ended with the same ends, and not of another connection.
pub fn may_be_left_of(listed: &LiveSocket, before: &LiveSocket) -> bool {
    let agree = |one: Option<u64>, other: Option<u64>| one.is_none() || other.is_none() || one == other;
    agree(listed.cookie, before.cookie) && agree(known_user(listed).map(u64::from), before.uid.map(u64::from))
}

/// A socket of which only the event is known.
pub fn blank(event: &SocketEvent) -> LiveSocket {
    LiveSocket {
        netns: event.netns,
        cookie: event.cookie,
        seen_ns: event.time_ns,
        state_ns: event.time_ns,
        ..LiveSocket::bare(event.proto, TcpState::Close)
    }
}

/// Takes over what the event knows. A socket that is `closing` has given back its port and lost its inode: what was known stays.
pub fn merge(socket: &mut LiveSocket, event: &SocketEvent, closing: bool) {
    let useful = |end: Option<EventEnd>| end.is_some_and(|end| end.port.is_some_and(|port| port != 0));
    if event.local.is_some() && (!closing || socket.local.is_none() || useful(event.local)) {
        socket.local = event.local;
    }
    if event.remote.is_some() && (!closing || socket.remote.is_none() || useful(event.remote)) {
        socket.remote = event.remote;
    }
    match event.inode {
        Some(inode) if inode != 0 || !closing => socket.inode = inode,
        _ => {}
    }
    // What was IPv6 may have become IPv4 (IPV6_ADDRFORM), and so have its ends.
    socket.proto = event.proto;
    socket.netns = event.netns.or(socket.netns);
    socket.uid = event.uid.or(socket.uid);
    socket.cookie = event.cookie.or(socket.cookie);
    socket.owner = event.owner.or(socket.owner);
}
