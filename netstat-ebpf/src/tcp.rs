//! The life of TCP sockets: their transitions.

use crate::{
    BIRTHS, CLASSIC_FIRST, PENDING, PREEMPTED,
    ending::{finish, mark_close},
    listen, mini, owner,
    read::{Addr, Memory},
    remembered::{
        ENDED, OUTSIDE, Remembered, SENT_RESET, UNREPORTED, count, forget, netstat_state_of, recall, remember,
    },
    report::{UNKNOWN_INODE, enabled, jiffies, now, report_state, since},
    request, wanted,
};
use netstat_ebpf::{AF_INET6, Field, Grade, HAS_TUPLE, IPPROTO_TCP, NO_LPORT, Reason, counter};

/// States of `include/net/tcp_states.h` that the bodies look at.
pub const ESTABLISHED: u8 = 1;
pub const SYN_SENT: u8 = 2;
pub const SYN_RECV: u8 = 3;
pub const FIN_WAIT1: u8 = 4;
pub const FIN_WAIT2: u8 = 5;
pub const TIME_WAIT: u8 = 6;
pub const CLOSE: u8 = 7;
pub const CLOSE_WAIT: u8 = 8;
const LAST_ACK: u8 = 9;
pub const LISTEN: u8 = 10;
pub const CLOSING: u8 = 11;

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
    if !enabled() {
        return;
    }
    if old == new {
        // `tcp_close` announces where a socket that was shut down before already is.
        if matches!(new, FIN_WAIT1 | FIN_WAIT2 | CLOSING | LAST_ACK) {
            closes::<M>(sk, new);
        }
        return;
    }
    let birth = old == LISTEN && new == SYN_RECV;
    if birth && let Some(pending) = PENDING.get_ptr_mut(0) {
        // Also of a child that is not wanted: the end of its request is nothing to look into.
        // SAFETY: the value is this CPU's own.
        unsafe { (*pending).child = sk as u64 };
    }
    let mut r = if birth { core::ptr::null_mut() } else { recall_living::<M>(sk) };
    if r.is_null() {
        let protocol = M::get(sk, Field::SkProtocol).unwrap_or(given.protocol);
        let family = M::get(sk, Field::SkcFamily).unwrap_or(given.family) as u8;
        let netns = M::netns(sk);
        if protocol != IPPROTO_TCP || !wanted::tcp(family, netns) {
            return;
        }
        let asks = birth || new == SYN_SENT;
        if new != LISTEN && wanted::is_stranger_excluded::<M>(sk, family == AF_INET6, asks) {
            return;
        }
        r = remember::<M>(sk);
        if r.is_null() {
            return;
        }
        // SAFETY: a value of a map.
        let r = unsafe { &mut *r };
        r.describe_tcp(family, netns);
        // A child begins its life: in the same softirq it nearly always goes on to ESTABLISHED, and up to 6.12 has neither its peer nor
        // its cookie yet. It is reported then. Hooks that do not see the birth see the child leave `SYN_RECV` first.
        if birth || old == SYN_RECV && BIRTHS.load() == 0 {
            // When, its request knows.
            r.mark = jiffies();
            r.state = SYN_RECV;
            r.flags = UNREPORTED;
        }
        if birth {
            return;
        }
        if old == SYN_RECV && BIRTHS.load() == 0 {
            request::inherit_late(r, sk);
        }
        // A socket that the kernel made for a process (MPTCP): only a process connects, or listens.
        if old == CLOSE
            && let Some(process) = owner::current()
        {
            process.take(r, Grade::Created);
        }
    }
    // SAFETY: a value of a map.
    let r = unsafe { &mut *r };
    // An MPTCP socket passes the hook, too: it is no TCP socket, but what is in front of some.
    if r.protocol != IPPROTO_TCP {
        return;
    }
    // `setsockopt(IPV6_ADDRFORM)` makes an IPv6 socket an IPv4 one.
    let family = M::get::<u16>(sk, Field::SkcFamily).map_or(r.family, |family| family as u8);
    let settled = r.flags & (HAS_TUPLE | NO_LPORT) == HAS_TUPLE
        && r.family == family
        && !matches!(old, CLOSE | LISTEN | SYN_SENT | SYN_RECV);
    r.family = family;
    let v6 = family == AF_INET6;
    let time_ns = now();
    r.learn_uid::<M>(sk);

    // The ends of a connection stay as they are once it is established.
    let tuple = if settled {
        None
    } else {
        Tuple::read::<M>(sk, v6).or(if given.family != 0 { Some(given.tuple) } else { None })
    };
    if let Some(mut tuple) = tuple {
        // Nothing of it is wanted any more, unless it is connected anew: then it is remembered anew.
        if matches!(new, SYN_SENT | ESTABLISHED) && wanted::is_excluded(&tuple, v6, new == SYN_SENT) {
            owner::release(r);
            forget::<M>(sk);
            return;
        }
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
    let inode = M::inode(sk);
    let held = !matches!(inode, 0 | UNKNOWN_INODE);
    let closer_before = r.closer;
    if new == CLOSE {
        finish::<M>(sk, old, held, r);
    } else if old == CLOSE {
        // Another life, after `connect(AF_UNSPEC)`: what ended the one before says nothing of this one.
        r.flags &= !SENT_RESET;
        r.reason = Reason::Closed as u8;
        r.mark = 0;
        r.marks &= OUTSIDE;
        owner::reopen(r);
        if new == LISTEN {
            listen::begin::<M>(sk, r.lport);
        }
    }
    // Only a process that holds a connection ends its own half (`tcp_close_state`).
    if held && matches!((old, new), (ESTABLISHED | SYN_RECV, FIN_WAIT1) | (CLOSE_WAIT, LAST_ACK)) {
        owner::close_accepted(r);
    }
    // Of what it closes now, the process is the owner although it may have ended.
    let held_on = held && r.closer == closer_before;
    // What became a connection without a request (SYN cookies) is not linked to its listener by one.
    if r.grade == Grade::None as u8 && old == SYN_RECV && r.flags & UNREPORTED != 0 {
        request::inherit(r, listen::of_child::<M>(sk, r.lport));
    }

    let mut born = false;
    if r.flags & UNREPORTED != 0 {
        r.flags &= !UNREPORTED;
        r.mark = 0;
        r.state_ns = if r.state_ns == 0 { time_ns } else { r.state_ns.min(time_ns) };
        r.created_ns = r.state_ns;
        if wanted::transition(LISTEN, SYN_RECV) && wanted::transition(SYN_RECV, new) {
            born = true;
        } else if since().is_some_and(|since_ns| r.state_ns >= since_ns) {
            report_state(r, (inode, held_on), (LISTEN, SYN_RECV), r.state_ns, r.state_ns, false);
        }
    } else if r.state != old && r.state != 0 && BIRTHS.load() != 0 {
        // The kernel left out every program on a transition.
        count(counter::LOST);
    }
    // Older than the tracer, or a transition between was not seen: some do not pass `tcp_set_state`.
    let entered_ns = if r.state == old { r.state_ns } else { 0 };
    r.state_ns = time_ns;
    r.state = new;
    report_state(r, (inode, held_on), (old, new), time_ns, entered_ns, born);

    match new {
        FIN_WAIT1 => mark_close::<M>(sk),
        CLOSE => {
            if old == LISTEN {
                listen::end::<M>(sk, r.lport);
            }
            mini::time_wait::<M>(sk, (r.lport, r.rport), old, entered_ns);
        }
        _ => {}
    }
}

/// What is remembered of a TCP socket: not of another one that had its address before, and whose end the kernel left out.
#[inline(always)]
pub fn recall_same<M: Memory>(sk: Addr) -> *mut Remembered {
    let r = recall::<M>(sk);
    if r.is_null() {
        return r;
    }
    // SAFETY: a value of a map.
    let (remembered, marks) = unsafe { ((*r).cookie, (*r).marks) };
    if remembered == 0 || M::get::<u64>(sk, Field::SkcCookie).is_none_or(|cookie| cookie == remembered) {
        return r;
    }
    if marks & ENDED == 0 {
        count(counter::LOST);
    }
    forget::<M>(sk);
    core::ptr::null_mut()
}

/// The same, unless its end is reported: the socket is another one, then.
#[inline(always)]
fn recall_living<M: Memory>(sk: Addr) -> *mut Remembered {
    let r = recall_same::<M>(sk);
    // SAFETY: a value of a map.
    if !r.is_null() && PREEMPTED.load() != 0 && unsafe { (*r).marks } & ENDED != 0 {
        forget::<M>(sk);
        return core::ptr::null_mut();
    }
    r
}

/// A process closes a socket that it, or another, has shut down before.
#[inline(always)]
fn closes<M: Memory>(sk: Addr, state: u8) {
    let r = recall::<M>(sk);
    if r.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    owner::close(unsafe { &mut *r });
    if matches!(state, FIN_WAIT1 | FIN_WAIT2) {
        mark_close::<M>(sk);
    }
}

/// Notes that a transition is being taken care of.
#[inline(always)]
pub fn see(sk: Addr, new: u8) {
    if let Some(pending) = PENDING.get_ptr_mut(0) {
        // SAFETY: the value is this CPU's own.
        unsafe { ((*pending).seen, (*pending).seen_state) = (sk as u64, u64::from(new)) };
    }
}

/// Notes that a transition was taken care of in place of another program.
#[inline(always)]
pub fn stand_in(sk: Addr, new: u8) {
    if let Some(pending) = PENDING.get_ptr_mut(0) {
        // SAFETY: the value is this CPU's own.
        unsafe { ((*pending).stood_in, (*pending).stood_in_state) = (sk as u64, u64::from(new)) };
    }
}

/// Whether `state_left_out` has just reported this transition. It runs before the program that it stands in for where another tracer was on
/// the classic tracepoint first. Then it cannot know what is left out, and it reports nothing any more.
#[inline(always)]
pub fn is_taken<M: Memory>(sk: Addr, old: u8, new: u8) -> bool {
    if PREEMPTED.load() == 0 || CLASSIC_FIRST.load() != 0 || old == new {
        return false;
    }
    let Some(pending) = PENDING.get_ptr_mut(0) else { return false };
    // SAFETY: the value is this CPU's own.
    let noted = unsafe { (*pending).stood_in == sk as u64 && (*pending).stood_in_state == u64::from(new) };
    // SAFETY: as above. The next transition of this kind is another one.
    unsafe { (*pending).stood_in = 0 };
    // Either of them alone may be of a socket that had the address before.
    let taken = noted && !is_left_out::<M>(sk, new);
    if taken {
        CLASSIC_FIRST.store(1);
    }
    taken
}

/// Whether nobody has taken care of a transition. The kernel does not run a program that it has interrupted for a softirq, once more in
/// that: what happens there is left to a second program. Most transitions are seen at once by the note; it may have been written over
/// meanwhile, and then the state that the socket is remembered to be in decides.
#[inline(always)]
pub fn is_unseen<M: Memory>(sk: Addr, new: u8) -> bool {
    if let Some(pending) = PENDING.get_ptr_mut(0)
        // SAFETY: the value is this CPU's own.
        && unsafe { (*pending).seen == sk as u64 && (*pending).seen_state == u64::from(new) }
    {
        // It says nothing of the socket that has this address next.
        // SAFETY: as above.
        unsafe { (*pending).seen = 0 };
        return false;
    }
    is_left_out::<M>(sk, new)
}

/// The same, by the state that the socket is remembered to be in.
#[inline(always)]
pub fn is_left_out<M: Memory>(sk: Addr, new: u8) -> bool {
    netstat_state_of(M::key(sk)) != u32::from(new)
}

/// `inet_sport`: still there when `skc_num` has been given back.
#[inline(always)]
pub fn kept_port<M: Memory>(sk: Addr) -> u16 {
    let tcp = M::tcp_sock(sk);
    if tcp.is_null() { 0 } else { u16::from_be(M::get(tcp, Field::InetSport).unwrap_or_default()) }
}

/// The state a socket is in, for hooks that are told only the new one.
#[inline(always)]
pub fn current_state<M: Memory>(sk: Addr) -> u8 {
    M::get(sk, Field::SkcState).unwrap_or_default()
}
