//! The life of TCP sockets: transitions, resets, the end.

use crate::{
    PENDING, mini, owner,
    read::{Addr, Memory, Probed, offset},
    remembered::{COUNTED, Remembered, SENT_RESET, UNTOLD, forget, or_scratch, recall, remember, still},
    sock::{now, tell_close, tell_state, wanted_state, wanted_tcp},
};
use netstat_ebpf::{ABSENT, AF_INET6, BORN, Field, Grade, HAS_TUPLE, IPPROTO_TCP, NO_LPORT, Reason, UNKNOWN_NS};

/// States of `include/net/tcp_states.h` that the bodies look at.
const ESTABLISHED: u8 = 1;
pub const SYN_SENT: u8 = 2;
pub const SYN_RECV: u8 = 3;
pub const FIN_WAIT1: u8 = 4;
pub const FIN_WAIT2: u8 = 5;
pub const TIME_WAIT: u8 = 6;
pub const CLOSE: u8 = 7;
const CLOSE_WAIT: u8 = 8;
const LAST_ACK: u8 = 9;
pub const LISTEN: u8 = 10;
pub const CLOSING: u8 = 11;

/// Errors of `include/uapi/asm-generic/errno*.h` that end a connection.
const EPIPE: i32 = 32;
const ECONNRESET: i32 = 104;
const ETIMEDOUT: i32 = 110;
const ECONNREFUSED: i32 = 111;

/// `SOCK_DONE` of `enum sock_flags`: set by `tcp_fin`, that is, when the peer's FIN has come.
const SOCK_DONE: u64 = 1 << 1;

/// Bytes 8 to 11 of an IPv4-mapped IPv6 address (RFC 4291), as they lie in memory.
const MAPPED: u32 = u32::from_be(0xffff);

/// The ends of a socket.
pub struct Tuple {
    pub laddr: [u64; 2],
    pub raddr: [u64; 2],
    pub lport: u16,
    pub rport: u16,
}

/// What a hook tells of its socket by itself, for kernels whose `struct sock` cannot be read. Not in an `Option`: of a `None` the
/// compiler copies bytes it never wrote, which the verifier refuses.
pub struct Given {
    /// 0 if it tells nothing.
    pub family: u16,
    pub protocol: u16,
    pub tuple: Tuple,
}

impl Given {
    pub const NOTHING: Self =
        Self { family: 0, protocol: 0, tuple: Tuple { laddr: [0; 2], raddr: [0; 2], lport: 0, rport: 0 } };
}

impl Tuple {
    /// The ends as `struct sock` has them now.
    #[inline(always)]
    pub fn read<M: Memory>(sk: Addr, v6: bool) -> Option<Self> {
        let mut tuple = Self {
            laddr: M::address(sk, v6, Field::SkcRcvSaddr, Field::SkcV6RcvSaddr)?,
            raddr: M::address(sk, v6, Field::SkcDaddr, Field::SkcV6Daddr)?,
            lport: M::get(sk, Field::SkcNum)?,
            rport: u16::from_be(M::get(sk, Field::SkcDport)?),
        };
        // An IPv6 socket that connects to an IPv4-mapped address gets its IPv6 source address only after the transition.
        if v6 && tuple.laddr == [0, 0] && tuple.raddr[0] == 0 && tuple.raddr[1] as u32 == MAPPED {
            let v4 = M::get::<u32>(sk, Field::SkcRcvSaddr)?;
            if v4 != 0 {
                tuple.laddr[1] = u64::from(MAPPED) | u64::from(v4) << 32;
            }
        }
        Some(tuple)
    }
}

/// Body of the hooks on a TCP transition. `sk` still has the old state.
#[inline(always)]
pub fn state<M: Memory>(sk: Addr, old: u8, new: u8, given: Given) {
    if old == new {
        // `tcp_close` announces where a socket that was shut down before already is.
        if matches!(new, FIN_WAIT1 | FIN_WAIT2) {
            mark_close::<M>(sk);
        }
        return;
    }
    let birth = old == LISTEN && new == SYN_RECV;
    let mut r = if birth { core::ptr::null_mut() } else { recall::<M>(sk) };
    if r.is_null() {
        let protocol = M::get(sk, Field::SkProtocol).unwrap_or(given.protocol);
        let family = M::get(sk, Field::SkcFamily).unwrap_or(given.family) as u8;
        let netns = M::netns(sk);
        if protocol != IPPROTO_TCP || !wanted_tcp(family, netns) {
            return;
        }
        r = or_scratch(remember::<M>(sk));
        if r.is_null() {
            return;
        }
        // SAFETY: a value of a map.
        let r = unsafe { &mut *r };
        r.describe_tcp(family, netns);
        // A child begins its life: in the same softirq it nearly always goes on to ESTABLISHED, and up to 6.12 has neither its peer nor
        // its cookie yet. It is told then. Hooks that do not see the birth see the child leave `SYN_RECV` first.
        if birth || old == SYN_RECV {
            r.created_ns = now();
            r.state_ns = r.created_ns;
            r.state = SYN_RECV;
            r.flags = UNTOLD;
        }
        if birth {
            if let Some(pending) = PENDING.get_ptr_mut(0) {
                // SAFETY: the value is this CPU's own.
                unsafe { (*pending).child = sk as u64 };
            }
            return;
        }
        if old == SYN_RECV {
            mini::inherit_late(r, sk);
        }
    }
    // SAFETY: a value of a map.
    let r = unsafe { &mut *r };
    let v6 = r.family == AF_INET6;
    let time_ns = now();
    r.learn_uid::<M>(sk);

    // The ends of a connection stay as they are once it is established.
    let settled = r.flags & (HAS_TUPLE | NO_LPORT) == HAS_TUPLE && !matches!(old, CLOSE | LISTEN | SYN_SENT | SYN_RECV);
    let tuple = if settled {
        None
    } else {
        Tuple::read::<M>(sk, v6).or(if given.family != 0 { Some(given.tuple) } else { None })
    };
    if let Some(mut tuple) = tuple {
        if tuple.lport == 0 && new != SYN_SENT && new != LISTEN {
            // The port has been given back: the copy, or the field that keeps it longest.
            tuple.lport = if r.flags & HAS_TUPLE != 0 && r.lport != 0 { r.lport } else { kept_port::<M>(sk) };
        }
        (r.laddr, r.raddr, r.lport, r.rport) = (tuple.laddr, tuple.raddr, tuple.lport, tuple.rport);
        r.flags = (r.flags & !NO_LPORT) | HAS_TUPLE | if r.lport == 0 { NO_LPORT } else { 0 };
    }
    if r.cookie == 0 {
        r.cookie = M::cookie(sk);
    }
    if new == CLOSE {
        finish::<M>(sk, r);
    }
    let inode = M::inode(sk);
    // Only a process that holds a connection ends its own half (`tcp_close_state`): if none was seen to accept it, this one did.
    if r.grade == Grade::Inherited as u8
        && matches!((old, new), (ESTABLISHED, FIN_WAIT1) | (CLOSE_WAIT, LAST_ACK))
        && inode.is_some_and(|inode| inode != 0)
        && let Some(process) = owner::current()
    {
        process.own(r, Grade::Accepted);
    }

    let mut marks = 0;
    if r.flags & UNTOLD != 0 {
        r.flags &= !UNTOLD;
        if wanted_state(SYN_RECV) && wanted_state(new) {
            marks = BORN;
        } else {
            tell_state(r, inode, LISTEN, SYN_RECV, r.state_ns, 0, 0);
        }
    }
    let in_state_ns = if r.state_ns == 0 || r.state != old {
        // Older than the tracer, or a transition between was not seen: some do not pass `tcp_set_state`.
        UNKNOWN_NS
    } else {
        time_ns - r.state_ns
    };
    let entered_ns = if in_state_ns == UNKNOWN_NS { 0 } else { r.state_ns };
    r.state_ns = time_ns;
    r.state = new;
    tell_state(r, inode, old, new, time_ns, in_state_ns, marks);

    match new {
        FIN_WAIT1 => mark_close::<M>(sk),
        CLOSE => mini::time_wait::<M>(sk, (r.lport, r.rport), old, entered_ns),
        _ => {}
    }
}

/// Leaves word that a transition is being taken care of.
#[inline(always)]
pub fn see(sk: Addr, new: u8) {
    if let Some(pending) = PENDING.get_ptr_mut(0) {
        // SAFETY: the value is this CPU's own.
        unsafe { ((*pending).seen, (*pending).seen_state) = (sk as u64, u64::from(new)) };
    }
}

/// Whether nobody has taken care of a transition. The kernel does not run a program that it has interrupted for a softirq, once more in
/// that: what happens there is left to a second program. Most transitions are seen at once by the word left; the word may have been written
/// over meanwhile, and then the state that the socket is remembered to be in decides.
#[inline(always)]
pub fn is_unseen<M: Memory>(sk: Addr, new: u8) -> bool {
    if let Some(pending) = PENDING.get_ptr_mut(0)
        // SAFETY: the value is this CPU's own.
        && unsafe { (*pending).seen == sk as u64 && (*pending).seen_state == u64::from(new) }
    {
        return false;
    }
    let r = recall::<M>(sk);
    // SAFETY: a value of a map.
    r.is_null() || unsafe { (*r).state } != new
}

/// `inet_sport`: still there when `skc_num` has been given back.
#[inline(always)]
fn kept_port<M: Memory>(sk: Addr) -> u16 {
    let tcp = M::tcp_sock(sk);
    if tcp.is_null() { 0 } else { u16::from_be(M::get(tcp, Field::InetSport).unwrap_or_default()) }
}

/// Counts a connection that is over, before `tcp_disconnect` clears the counters, and why it is.
#[inline(always)]
fn finish<M: Memory>(sk: Addr, r: &mut Remembered) {
    let tcp = M::tcp_sock(sk);
    if tcp.is_null() {
        return;
    }
    add_totals::<M>(sk, tcp, r);
    let Some(error) = M::get::<i32>(sk, Field::SkErr) else {
        r.reason = Reason::Unknown as u8;
        return;
    };
    let retransmits = M::get::<u8>(tcp, Field::IcskRetransmits).unwrap_or_default();
    r.reason = match error {
        ECONNREFUSED => Reason::Refused,
        ETIMEDOUT => Reason::TimedOut,
        ECONNRESET if is_late_data::<M>(sk, r) => {
            r.flags |= SENT_RESET;
            Reason::Closed
        }
        ECONNRESET | EPIPE => Reason::ResetReceived,
        // Somebody who asks for the error all the time (`SO_ERROR`) may have taken it already.
        0 if retransmits > 0 && !both_ways_shut::<M>(sk) => Reason::TimedOut,
        0 => Reason::Closed,
        // A soft error (an ICMP message, say) is what `tcp_write_err` reports when the retransmissions ran out.
        _ if retransmits > 0 => Reason::TimedOut,
        _ => Reason::Unknown,
    } as u8;
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
fn mark_close<M: Memory>(sk: Addr) {
    let closed = M::get::<u8>(sk, Field::SkShutdown).is_some_and(is_both_ways);
    let mark = match data_segments::<M>(sk).filter(|_| closed) {
        None => 0,
        // These are counted already.
        Some(_) if do_data_wait(sk) => DATA_WAIT,
        Some(segments) => u64::from(segments) + 1,
    };
    let r = still::<M>(sk);
    if !r.is_null() {
        // SAFETY: a value of a map.
        unsafe { (*r).mark = mark };
    }
}

/// Whether segments with data wait for a socket's lock.
#[inline(always)]
fn do_data_wait(sk: Addr) -> bool {
    const FIN: u8 = 1;
    let (backlog, cb) = (offset(Field::SkBacklog), offset(Field::SkbCb));
    if backlog == ABSENT || cb == ABSENT {
        return false;
    }
    // A segment is counted, and put away to wait, under the spinlock.
    for _ in 0..PUT_AWAY {
        if Probed::get::<u32>(sk, Field::SkLock).unwrap_or_default() == 0 {
            break;
        }
    }
    let mut skb = Probed::at::<u64>(sk.wrapping_add(backlog as usize + 8)) as Addr;
    for _ in 0..WAITING {
        if skb.is_null() {
            return false;
        }
        let cb = skb.wrapping_add(cb as usize);
        let [from, to]: [u32; 2] = Probed::at(cb);
        let fin = Probed::get::<u8>(cb, Field::TcpCbFlags).unwrap_or_default() & FIN;
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
        DATA_WAIT => true,
        mark => data_segments::<M>(sk).is_some_and(|segments| u64::from(segments) + 1 != mark),
    }
}

/// `SHUTDOWN_MASK` is set before the transition by who closes a socket (`tcp_close`), after it by what ends one (`tcp_done`).
#[inline(always)]
fn both_ways_shut<M: Memory>(sk: Addr) -> bool {
    M::get::<u8>(sk, Field::SkShutdown).is_none_or(is_both_ways)
}

/// `SHUTDOWN_MASK` of `include/net/sock.h`.
#[inline(always)]
fn is_both_ways(shut: u8) -> bool {
    shut & 3 == 3
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
    let fin = M::get::<u64>(sk, Field::SkcFlags).is_some_and(|flags| flags & SOCK_DONE != 0);
    r.rx_bytes += received.saturating_sub(u64::from(fin));
    r.tx_bytes += sent.saturating_sub(again);
    r.retransmits += M::get::<u32>(tcp, Field::TcpTotalRetrans).unwrap_or_default();
    let rtt = M::get::<u32>(tcp, Field::TcpSrttUs).unwrap_or_default() >> 3;
    if rtt != 0 {
        r.rtt_us = rtt;
    }
    r.flags |= COUNTED;
}

/// Body of the hooks on `tcp_send_reset`: this end resets the connection.
#[inline(always)]
pub fn send_reset<M: Memory>(sk: Addr) {
    if sk.is_null() {
        return;
    }
    let r = recall::<M>(sk);
    if !r.is_null() {
        // SAFETY: a value of a map.
        unsafe { (*r).flags |= SENT_RESET };
    }
}

/// Body of the hooks on `tcp_destroy_sock`: the end of a TCP socket.
#[inline(always)]
pub fn destroy<M: Memory>(sk: Addr) {
    let known = recall::<M>(sk);
    let r = or_scratch(known);
    if r.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    tell_end::<M>(sk, unsafe { &mut *r });
    if !known.is_null() {
        forget::<M>(sk);
    }
}

#[inline(always)]
fn tell_end<M: Memory>(sk: Addr, r: &mut Remembered) {
    if r.family == 0 {
        let family = M::get::<u16>(sk, Field::SkcFamily).unwrap_or(0) as u8;
        let netns = M::netns(sk);
        let protocol = M::get::<u16>(sk, Field::SkProtocol).unwrap_or(IPPROTO_TCP);
        if protocol != IPPROTO_TCP || !wanted_tcp(family, netns) {
            return;
        }
        r.describe_tcp(family, netns);
    }
    let v6 = r.family == AF_INET6;
    r.learn_uid::<M>(sk);
    if r.flags & HAS_TUPLE == 0
        && let Some(mut tuple) = Tuple::read::<M>(sk, v6)
    {
        if tuple.lport == 0 {
            tuple.lport = kept_port::<M>(sk);
        }
        (r.laddr, r.raddr, r.lport, r.rport) = (tuple.laddr, tuple.raddr, tuple.lport, tuple.rport);
        r.flags |= HAS_TUPLE;
    }
    if r.cookie == 0 {
        r.cookie = M::cookie(sk);
    }
    if r.flags & COUNTED == 0 {
        let tcp = M::tcp_sock(sk);
        if !tcp.is_null() {
            add_totals::<M>(sk, tcp, r);
        }
    }
    let reason = match r.reason {
        reason if reason == Reason::ResetReceived as u8 => Reason::ResetReceived,
        reason if reason == Reason::Refused as u8 => Reason::Refused,
        reason if reason == Reason::TimedOut as u8 => Reason::TimedOut,
        _ if r.flags & SENT_RESET != 0 => Reason::ResetSent,
        reason if reason == Reason::Unknown as u8 => Reason::Unknown,
        _ => Reason::Closed,
    };
    tell_close(r, M::inode(sk), r.flags & COUNTED != 0, reason);
}

/// The state a socket is in, for hooks that are told only the new one.
#[inline(always)]
pub fn current_state<M: Memory>(sk: Addr) -> u8 {
    M::get(sk, Field::SkcState).unwrap_or_default()
}
