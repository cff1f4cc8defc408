//! Dumps of Internet sockets as the rows that /proc has: the same sockets in the same order, for the kernel walks the same tables.

use super::Protocol;
use super::bytecode::Narrowed;
use super::channel::{Channel, DiagError};
use super::inet::{self, DiagFamily, EVERY_STATE, LISTENING, Reply, extension};
use super::info;
use crate::model::{Endpoint, SocketRow, TcpInfo, TcpState, Timer};
use hashbrown::{HashMap, HashSet};
use rustix::time::{ClockId, clock_getres};

/// What to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpRequest {
    /// The protocol.
    pub protocol: Protocol,
    /// IPv4 sockets.
    pub v4: bool,
    /// IPv6 sockets.
    pub v6: bool,
    /// TCP: only sockets with a peer, or only listeners; `None`: all. It spares the kernel a walk; of the other protocols all come.
    pub peer: Option<bool>,
    /// Also `tcp_info` and the name of the congestion algorithm. Without it a timer has only one of its two counts: the other is 0.
    pub info: bool,
    /// What the kernel leaves out.
    pub narrowed: Narrowed,
    /// Inode number of the channel's network namespace, for the rows.
    pub netns: Option<u32>,
}

impl DumpRequest {
    /// All that a protocol has, of both families, without further facts.
    pub const fn all(protocol: Protocol) -> Self {
        Self { protocol, v4: true, v6: true, peer: None, info: false, narrowed: Narrowed::NOTHING, netns: None }
    }
}

/// One socket of a dump.
#[derive(Clone, Copy, Debug)]
pub struct DumpedRow<'a> {
    /// The row of /proc, with cookie and namespace.
    pub socket: SocketRow,
    /// Whether it is a request: a connection in its handshake that has no socket yet. Its user and its count of timeouts are not known here:
    /// both are 0.
    pub is_request: bool,
    reply: Reply<'a>,
}

impl DumpedRow<'_> {
    /// What the kernel knows of the connection, if it was asked for.
    pub fn info(&self) -> Option<TcpInfo> {
        self.reply.info().map(|bytes| info::parse(bytes, self.reply.congestion()))
    }

    /// The interface that the socket is bound to, 0 for none.
    pub const fn interface(&self) -> u32 {
        self.reply.id.interface
    }

    /// The socket's mark, as far as the reader may know it.
    pub fn mark(&self) -> Option<u32> {
        self.reply.mark()
    }

    /// The id of its cgroup.
    pub fn cgroup(&self) -> Option<u64> {
        self.reply.cgroup()
    }
}

/// Dumps a protocol's sockets in the channel's namespace, IPv4 and IPv6 mixed for TCP, else IPv4 first; returns the greatest number of datagrams
/// that one dump took. With more than one a socket may come twice, since its table changes between them: see [`once`].
///
/// # Errors
/// A [`DiagError`].
pub fn dump(
    channel: &mut Channel,
    asked: &DumpRequest,
    mut take: impl FnMut(&DumpedRow<'_>),
) -> Result<usize, DiagError> {
    let (tcp, tick_ns) = (asked.protocol == Protocol::Tcp, tick_ns());
    let states = match asked.peer {
        Some(false) if tcp => LISTENING,
        Some(true) if tcp => EVERY_STATE & !LISTENING,
        _ => EVERY_STATE,
    };
    let extensions = if asked.info && tcp { extension::INFO | extension::CONGESTION } else { 0 };
    let mut take = |bytes: &[u8]| {
        if let Some(reply) = Reply::parse(bytes) {
            take(&row(reply, asked, tick_ns));
        }
    };
    let states = states & asked.narrowed.states;
    if states == 0 {
        return Ok(0);
    }
    let filter = inet::filtered(&asked.narrowed.program);
    if tcp && asked.v4 && asked.v6 {
        let request = [inet::of_both_families(states, extensions), filter].concat();
        return channel.dump(inet::TCP_OF_BOTH_FAMILIES, &request, take);
    }
    let mut most = 0;
    for (_, family) in
        [(asked.v4, DiagFamily::V4), (asked.v6, DiagFamily::V6)].into_iter().filter(|(wanted, _)| *wanted)
    {
        let request = [&inet::of_family(family, asked.protocol.number(), states, extensions)[..], &filter].concat();
        most = channel.dump(inet::BY_FAMILY, &request, &mut take)?.max(most);
    }
    Ok(most)
}

/// Leaves out what was seen before. A socket keeps its cookie from request to TIME_WAIT.
pub fn once(rows: &mut Vec<SocketRow>) {
    let mut seen = HashSet::with_capacity(rows.len());
    rows.retain(|row| row.cookie.is_none_or(|cookie| seen.insert(cookie)));
}

/// The ends of the requests among the rows.
pub fn requests(rows: &[SocketRow]) -> HashSet<(Endpoint, Endpoint)> {
    rows.iter().filter(|row| is_request(row)).map(|row| (row.local, row.remote)).collect()
}

/// Gives the requests among the rows what only /proc knows of them; `known` are the rows of /proc with the same ends, read since. A request that
/// became a connection meanwhile is that; one that is in /proc no more has ended.
pub fn complete(rows: &mut Vec<SocketRow>, known: &[SocketRow]) {
    let known: HashMap<_, _> = known.iter().map(|row| ((row.local, row.remote), row)).collect();
    rows.retain_mut(|row| {
        if !is_request(row) {
            return true;
        }
        let Some(same) = known.get(&(row.local, row.remote)) else { return false };
        *row = SocketRow { cookie: row.cookie, netns: row.netns, ..**same };
        true
    });
}

/// A connection in its handshake without an inode: a request, or what Fast Open makes of one, which /proc knows as well.
fn is_request(row: &SocketRow) -> bool {
    row.proto.is_tcp() && row.state == TcpState::SynRecv as u8 && row.inode == 0
}

fn row<'a>(reply: Reply<'a>, asked: &DumpRequest, tick_ns: u64) -> DumpedRow<'a> {
    let tcp = asked.protocol == Protocol::Tcp;
    let listens = tcp && reply.state == TcpState::Listen as u8;
    let (retransmits, probes) = match reply.info().and_then(info::attempts) {
        Some(both) => both,
        None if reply.timer == 1 => (reply.attempts, 0),
        None => (0, reply.attempts),
    };
    let socket = SocketRow {
        proto: asked.protocol.of_family(reply.v6),
        local: reply.id.local,
        remote: reply.id.remote,
        state: reply.state,
        recv_q: reply.recv_q.into(),
        // /proc has the bytes that were sent, of which a listener has none; the limit of its queue is here.
        send_q: if listens { 0 } else { reply.send_q.into() },
        uid: reply.uid,
        inode: reply.inode.into(),
        timer: Timer {
            kind: reply.timer.into(),
            expires: if reply.timer == 0 { 0 } else { hundredths(reply.expires_ms, tick_ns) },
            retransmits: retransmits.into(),
            probes: probes.into(),
        },
        cookie: Some(reply.id.cookie).filter(|&cookie| cookie != 0),
        netns: asked.netns,
    };
    DumpedRow { socket, is_request: is_request(&socket), reply }
}

/// Nanoseconds of the kernel's tick.
fn tick_ns() -> u64 {
    // A tick is shorter than a second.
    u64::try_from(clock_getres(ClockId::MonotonicCoarse).tv_nsec).unwrap_or(1).max(1)
}

/// Milliseconds as the kernel makes them of ticks (`jiffies_to_msecs`, rounded up), as the hundredths of a second that /proc makes of the same
/// ticks (`jiffies_to_clock_t`, rounded down).
fn hundredths(ms: u32, tick_ns: u64) -> u64 {
    // Older kernels do not take care of a timer that is late, and give a number near the greatest.
    if ms > i32::MAX as u32 {
        return 0;
    }
    let ticks = u64::from(ms) * 1_000_000 / tick_ns;
    ticks * tick_ns / 10_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Proto;

    #[test]
    fn hundredths_are_those_of_proc() {
        // HZ of 100, 250, 300 and 1000.
        for tick_ns in [10_000_000u64, 4_000_000, 3_333_333, 1_000_000] {
            for ticks in (0..5000u64).chain([30_000, 720_000, 2_160_000]) {
                let hz = (1_000_000_000 + tick_ns / 2) / tick_ns;
                let ms = (ticks * 1000).div_ceil(hz);
                let proc = match hz {
                    100 => ticks,
                    1000 => ticks / 10,
                    _ => ticks * tick_ns / 10_000_000,
                };
                assert_eq!(hundredths(ms as u32, tick_ns), proc, "{ticks} ticks of {tick_ns} ns");
            }
        }
        assert_eq!(hundredths(u32::MAX - 3, 4_000_000), 0);
    }

    #[test]
    fn requests_are_completed_from_proc() {
        let end = |port| Endpoint { addr: [127, 0, 0, 1].into(), port };
        let row = |port, state, inode, uid, cookie| SocketRow {
            uid,
            inode,
            cookie,
            ..SocketRow::bare(Proto::Tcp, end(80), end(port), state)
        };
        let mut rows = vec![
            row(1, 3, 0, 0, Some(11)),
            row(2, 3, 0, 0, Some(12)),
            row(3, 1, 9, 5, Some(13)),
            row(4, 3, 0, 0, Some(14)),
        ];
        let meant = requests(&rows);
        assert_eq!((meant.len(), meant.contains(&(end(80), end(3)))), (3, false));
        // The first still waits, the second is accepted, the fourth has gone.
        complete(&mut rows, &[row(1, 3, 0, 1000, None), row(2, 1, 8, 1000, None)]);
        assert_eq!(rows, [row(1, 3, 0, 1000, Some(11)), row(2, 1, 8, 1000, Some(12)), row(3, 1, 9, 5, Some(13))]);
    }
}
