//! How TCP sockets end: why, after how much, by whom.

use crate::{
    ends::{Tuple, kept_port},
    owner::{self, is_holder},
    process::Process,
    read::{Memory, Probed, offset},
    remembered::{CONNECTING, COUNTED, ENDED, HELD, REFUSED, Remembered, SENT_RESET, UNREPORTED},
    report::report_close,
    setup::enabled,
    store::{forget, recall, recall_same, remember},
    sys::Addr,
    wanted,
};
use netstat_ebpf::{
    ABSENT, Field, HAS_TUPLE, Reason,
    linux::{
        AF_INET6, IPPROTO_TCP, SHUTDOWN_MASK, SOCK_DONE, TCPHDR_FIN,
        errno::{
            EACCES, ECONNABORTED, ECONNREFUSED, ECONNRESET, EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH, ENONET,
            ENOPROTOOPT, EOPNOTSUPP, EPIPE, EPROTO, ETIMEDOUT,
        },
        tcp::{CLOSE, CLOSE_WAIT, ESTABLISHED, LISTEN, SYN_RECV, SYN_SENT},
    },
};

/// Counts a connection that is over, before `tcp_disconnect` clears the counters, and why it is.
#[inline(always)]
pub fn finish<M: Memory>(sk: Addr, old: u8, held: bool, r: &mut Remembered) {
    let tcp = M::tcp_sock(sk);
    if tcp.is_null() {
        return;
    }
    add_totals::<M>(sk, tcp, r);
    let shut = both_ways_shut::<M>(sk);
    // Its process closes it at this moment, or still has to.
    if held && shut && matches!(old, ESTABLISHED | SYN_SENT | CLOSE_WAIT | LISTEN) {
        owner::close_accepted(r);
    } else if held {
        r.marks |= HELD;
    }
    let Some(error) = M::get::<i32>(sk, Field::SkErr) else {
        r.reason = Reason::Unknown as u8;
        return;
    };
    let again = M::get::<u8>(tcp, Field::IcskRetransmits).unwrap_or_default() > 0;
    let late = error == ECONNRESET && is_late_data::<M>(sk, r);
    if late {
        r.flags |= SENT_RESET;
    }
    let fact = |is: bool, bit: u32| if is { bit } else { 0 };
    let facts = fact(shut, SHUT)
        | fact(late, LATE)
        | fact(shut && is_unmarked(r), CLOSED_BEFORE)
        | fact(again, AGAIN)
        | fact(M::get::<u32>(tcp, Field::TcpSegsOut) == Some(0), NO_SYN)
        | fact(error == 0 && (again || old == SYN_SENT) && is_locked(sk), LOCKED);
    r.reason = netstat_reason(error, old, facts) as u8;
}

/// Facts for [`netstat_reason`]: no more data is taken or sent.
const SHUT: u32 = 1 << 0;
/// Data came after the process had closed the connection.
const LATE: u32 = 1 << 1;
/// The last segments were sent again, and not acknowledged.
const AGAIN: u32 = 1 << 2;
/// No segment was sent, not even a SYN.
const NO_SYN: u32 = 1 << 3;
/// A process has the socket's lock.
const LOCKED: u32 = 1 << 4;
/// It was closed before the tracer began: nobody knows how much had come by then.
const CLOSED_BEFORE: u32 = 1 << 5;

/// The [`Reason`] for which a socket in the state `old` has ended with an error, 0 if none, and in what circumstances. The verifier checks it by
/// itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_reason(error: i32, old: u8, facts: u32) -> u32 {
    let is = |bit: u32| facts & bit != 0;
    let reason = match error {
        // What there is of an error is of a connection before.
        _ if old == LISTEN => Reason::Closed,
        // Somebody had the kernel end it (`tcp_abort`), with a reset where there is a peer.
        ECONNABORTED => Reason::Unknown,
        ECONNREFUSED => Reason::Refused,
        ETIMEDOUT => Reason::TimedOut,
        // Also what `tcp_write_err` reports when the retransmissions ran out, and an ICMP message said why.
        ENETUNREACH | EHOSTUNREACH | ENETDOWN | EHOSTDOWN | ENONET | EACCES => Reason::Unreachable,
        // The other ICMP messages that end an attempt at once (`icmp_err_convert`, `ipv6_icmp_err_convert`).
        EPROTO | ENOPROTOOPT | EOPNOTSUPP if old == SYN_SENT => Reason::Unreachable,
        ECONNRESET if is(LATE) => Reason::Closed,
        ECONNRESET if is(CLOSED_BEFORE) => Reason::Unknown,
        ECONNRESET | EPIPE => Reason::ResetReceived,
        0 if old == SYN_SENT && is(SHUT) => Reason::Abandoned,
        // There is no local port left, say.
        0 if old == SYN_SENT && is(NO_SYN) => Reason::Unknown,
        0 if old == SYN_SENT && is(LOCKED) => Reason::Abandoned,
        // Somebody who asks for the error all the time (`SO_ERROR`) may have taken it already.
        0 if old == SYN_SENT && !is(AGAIN) => Reason::Refused,
        // A child that its listener resets has not timed out, though its SYN-ACK was sent again (TCP Fast Open).
        0 if is(AGAIN) && !is(SHUT) && !is(LOCKED) && old != SYN_RECV => Reason::TimedOut,
        0 => Reason::Closed,
        _ if is(AGAIN) => Reason::TimedOut,
        _ => Reason::Unknown,
    };
    reason as u32
}

/// Segments with data that have come for a connection, taken or not.
#[inline(always)]
fn data_segments<M: Memory>(sk: Addr) -> Option<u32> {
    let tcp = M::tcp_sock(sk);
    if tcp.is_null() { None } else { M::get(tcp, Field::TcpDataSegsIn) }
}

/// [`Remembered::mark`]: data wait for the socket's lock, which the process that closes it holds.
const DATA_WAIT: u64 = u64::MAX;

/// How many of the segments that wait for a socket's lock are looked at.
const WAITING: usize = 8;

/// How often it is looked whether another processor has put away the segment it has counted.
const PUT_AWAY: usize = 32;

/// Marks a connection whose process ends its own half: does it close the other one, too?
#[inline(always)]
pub fn mark_close<M: Memory>(sk: Addr) {
    let closed = M::get::<u8>(sk, Field::SkShutdown).is_some_and(is_both_ways);
    let mark = match data_segments::<M>(sk).filter(|_| closed) {
        None => 0,
        // These are counted already.
        Some(_) if netstat_data_wait(M::number(sk)) != 0 => DATA_WAIT,
        Some(segments) => u64::from(segments) + 1,
    };
    if let Some(r) = recall::<M>(sk) {
        r.mark = mark;
    }
}

/// Whether segments with data wait for a socket's lock. The verifier checks it by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_data_wait(sk: u64) -> u32 {
    u32::from(do_data_wait(sk as Addr))
}

#[inline(always)]
fn do_data_wait(sk: Addr) -> bool {
    let cb = offset(Field::SkbCb);
    if cb == ABSENT {
        return false;
    }
    // A segment is counted, and put away to wait, under the spinlock.
    for _ in 0..PUT_AWAY {
        if Probed::get::<u32>(sk, Field::SkLockSlock).unwrap_or_default() == 0 {
            break;
        }
    }
    let mut skb = Probed::get::<u64>(sk, Field::SkBacklogHead).unwrap_or_default() as Addr;
    for _ in 0..WAITING {
        if skb.is_null() {
            return false;
        }
        let cb = skb.wrapping_add(cb as usize);
        let [from, to]: [u32; 2] = Probed::at(cb);
        let fin = Probed::get::<u8>(cb, Field::TcpCbFlags).unwrap_or_default() & TCPHDR_FIN;
        if to.wrapping_sub(from) > u32::from(fin) {
            return true;
        }
        skb = Probed::get::<u64>(skb, Field::SkbNext).unwrap_or_default() as Addr;
    }
    false
}

/// Whether data came for a connection after its process had closed it (RFC 1122, 4.2.2.13): they are answered by a reset, once the socket
/// has ended, and the kernel notes the error as if one had been received.
#[inline(always)]
pub fn is_late_data<M: Memory>(sk: Addr, r: &Remembered) -> bool {
    match r.mark {
        0 => false,
        // The mark says when it was born.
        _ if r.flags & UNREPORTED != 0 => false,
        DATA_WAIT => true,
        mark => data_segments::<M>(sk).is_some_and(|segments| u64::from(segments) + 1 != mark),
    }
}

/// Whether nobody has seen how much had come when this connection was closed: that was before the tracer began.
#[inline(always)]
pub fn is_unmarked(r: &Remembered) -> bool {
    r.mark == 0 && r.created_ns == 0
}

/// Whether a process has the socket's lock, and not a softirq.
#[inline(always)]
fn is_locked(sk: Addr) -> bool {
    Probed::get::<u32>(sk, Field::SkLockOwned).is_some_and(|owned| owned != 0)
}

/// `SHUTDOWN_MASK` is set before the transition by who closes a socket (`tcp_close`), after it by what ends one (`tcp_done`).
#[inline(always)]
fn both_ways_shut<M: Memory>(sk: Addr) -> bool {
    M::get::<u8>(sk, Field::SkShutdown).is_none_or(is_both_ways)
}

#[inline(always)]
fn is_both_ways(shut: u8) -> bool {
    shut & SHUTDOWN_MASK == SHUTDOWN_MASK
}

/// Adds the counters of `struct tcp_sock` to the totals.
#[inline(always)]
fn add_totals<M: Memory>(sk: Addr, tcp: Addr, r: &mut Remembered) {
    let (Some(received), Some(sent), Some(again)) = (
        M::get::<u64>(tcp, Field::TcpBytesReceived),
        M::get::<u64>(tcp, Field::TcpBytesSent),
        M::get::<u64>(tcp, Field::TcpBytesRetrans),
    ) else {
        return;
    };
    // `bytes_received` also counts the FIN, which takes a sequence number.
    r.rx_bytes += received.saturating_sub(u64::from(has_fin::<M>(sk)));
    r.tx_bytes += sent.saturating_sub(again);
    r.retransmits += M::get::<u32>(tcp, Field::TcpTotalRetrans).unwrap_or_default();
    let rtt = M::get::<u32>(tcp, Field::TcpSrttUs).unwrap_or_default() >> 3;
    if rtt != 0 {
        r.rtt_us = rtt;
    }
    r.flags |= COUNTED;
}

/// Body of the hooks on `tcp_send_reset`: this end resets the connection. What a listener, or a socket that asks for a connection, answers
/// with a reset ends nothing (`tcp_rcv_state_process`).
#[inline(always)]
pub fn send_reset<M: Memory>(sk: Addr) {
    if sk.is_null() || !enabled() {
        return;
    }
    let Some(r) = recall::<M>(sk) else { return };
    if !matches!(M::state(sk), LISTEN | SYN_SENT) {
        r.flags |= SENT_RESET;
    }
}

/// Body of the hooks on `tcp_destroy_sock`: the end of a TCP socket.
#[inline(always)]
pub fn destroy<M: Memory>(sk: Addr) {
    if !enabled() {
        return;
    }
    // Read here, as in `tcp::state`.
    let (netns, inode) = (M::netns(sk), M::inode(sk));
    let mut known = recall_same::<M>(sk);
    if known.is_none() {
        let family = M::get::<u16>(sk, Field::SkcFamily).map_or(0, |family| family as u8);
        if wanted::is_cleared_stranger::<M>(sk)
            || wanted::is_stranger_excluded::<M>(sk, family == AF_INET6, false)
            || !wanted::netns(netns)
        {
            return;
        }
        known = remember::<M>(sk);
    }
    let Some(r) = known else { return };
    end::<M>(sk, r, netns, inode);
    forget::<M>(sk);
}

/// The same where [`destroy`] did not run: the entry is still there then. It stays, marked as ended: `destroy` may run after this.
#[inline(always)]
pub fn destroy_left_out<M: Memory>(sk: Addr) {
    if !enabled() {
        return;
    }
    if let Some(r) = recall_same::<M>(sk) {
        end::<M>(sk, r, M::netns(sk), M::inode(sk));
        r.marks |= ENDED;
    }
}

/// Why a socket had no connection any more when the tracer began, as far as it still shows: the error is there until a process takes it, and who has
/// sent segments and got no FIN did not end in order.
#[inline(always)]
fn ended_before<M: Memory>(sk: Addr, r: &mut Remembered) -> u8 {
    if r.rport == 0 {
        // Of a connection that failed, or was given up, `tcp_disconnect` clears the peer's port, and keeps its address.
        let failed = r.raddr != [0, 0];
        r.raddr = [0, 0];
        return if failed { Reason::Unknown } else { Reason::Closed } as u8;
    }
    match M::get::<i32>(sk, Field::SkErr) {
        Some(0) if has_fin::<M>(sk) => Reason::Closed as u8,
        None | Some(0) => Reason::Unknown as u8,
        // An attempt is what most errors end that nobody has asked for.
        Some(error) => netstat_reason(error, SYN_SENT, 0) as u8,
    }
}

/// Whether the peer's FIN has come.
#[inline(always)]
fn has_fin<M: Memory>(sk: Addr) -> bool {
    M::get::<u64>(sk, Field::SkcFlags).is_some_and(|flags| flags & SOCK_DONE != 0)
}

#[inline(always)]
fn end<M: Memory>(sk: Addr, r: &mut Remembered, netns: Option<u32>, inode: u64) {
    if r.marks & (REFUSED | ENDED) != 0 {
        return;
    }
    if r.family == 0 {
        let family = M::get::<u16>(sk, Field::SkcFamily).unwrap_or(0) as u8;
        let protocol = M::get::<u16>(sk, Field::SkProtocol).unwrap_or(IPPROTO_TCP);
        if protocol != IPPROTO_TCP || !wanted::tcp(family, netns) {
            return;
        }
        r.describe_tcp(family, netns);
    }
    r.family = M::get::<u16>(sk, Field::SkcFamily).map_or(r.family, |family| family as u8);
    let v6 = r.family == AF_INET6;
    r.learn_uid::<M>(sk);
    if r.flags & HAS_TUPLE == 0
        && let Some(mut tuple) = Tuple::read::<M>(sk, v6)
    {
        if tuple.lport == 0 {
            tuple.lport = kept_port::<M>(sk);
        }
        (r.laddr, r.lport) = (tuple.laddr, tuple.lport);
        // One that could not connect has no destination of its own.
        if r.marks & CONNECTING == 0 {
            (r.raddr, r.rport) = (tuple.raddr, tuple.rport);
        }
        r.flags |= HAS_TUPLE;
    }
    if r.cookie == 0 {
        r.cookie = M::cookie(sk);
    }
    // Whether its counters were added already, in a transition to CLOSE.
    let was_finished = r.flags & COUNTED != 0;
    if !was_finished {
        let tcp = M::tcp_sock(sk);
        if !tcp.is_null() {
            add_totals::<M>(sk, tcp, r);
        }
    }
    let skipped = r.count_skipped(CLOSE);
    if r.reason == Reason::Closed as u8 {
        if skipped {
            r.reason = Reason::Unknown as u8;
        } else if !was_finished {
            r.reason = ended_before::<M>(sk, r);
        }
    }
    // Its last connection had ended before, and a process had it still: that is the one that closes it here. One that was never finished is closed by
    // whoever runs; else the kernel itself has closed it, for want of anybody who holds it, in a softirq, and whoever that interrupts has not.
    if r.marks & HELD != 0 || r.closer == Process::NONE && is_holder(r) && !was_finished {
        owner::close_accepted(r);
    }
    let reason = match r.reason {
        _ if r.marks & CONNECTING != 0 => Reason::Unreachable,
        reason if reason == Reason::ResetReceived as u8 => Reason::ResetReceived,
        reason if reason == Reason::Refused as u8 => Reason::Refused,
        reason if reason == Reason::TimedOut as u8 => Reason::TimedOut,
        reason if reason == Reason::Unreachable as u8 => Reason::Unreachable,
        reason if reason == Reason::Abandoned as u8 => Reason::Abandoned,
        _ if r.flags & SENT_RESET != 0 => Reason::ResetSent,
        reason if reason == Reason::Unknown as u8 => Reason::Unknown,
        _ => Reason::Closed,
    };
    report_close(r, inode, r.flags & COUNTED != 0, reason);
}
