//! The life of TCP sockets: their transitions.

use crate::{
    ending::{finish, mark_close},
    ends::{Given, Tuple, kept_port},
    listen, owner,
    pending::pending,
    process,
    read::{Memory, UNKNOWN_INODE},
    remembered::{ENDED, OUTSIDE, Remembered, SENT_RESET, UNREPORTED},
    report::report_state,
    request,
    setup::{are_preempted, enabled, sees_births, since},
    store::{forget, recall, recall_same, remember},
    sys::{Addr, forget_truth, forget_value, jiffies, now},
    time_wait, wanted,
};
use netstat_ebpf::{
    Field, Grade, HAS_TUPLE, NO_LPORT, Reason,
    linux::{
        AF_INET6, IPPROTO_TCP,
        tcp::{CLOSE, CLOSE_WAIT, CLOSING, ESTABLISHED, FIN_WAIT1, FIN_WAIT2, LAST_ACK, LISTEN, SYN_RECV, SYN_SENT},
    },
};

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
    // Read here, where the verifier comes by once: whether it may trust what such a pointer leads to, it looks up by name among all the
    // kernel's types.
    let (netns, inode) = (M::netns(sk), forget_value(M::inode(sk)));
    let Some(r) = admit::<M>(sk, old, new, netns, &given) else { return };
    // An MPTCP socket passes the hook, too: it is no TCP socket, but what is in front of some.
    if r.protocol != IPPROTO_TCP {
        return;
    }
    let time_ns = now();
    if !update_ends::<M>(sk, old, new, given, r) {
        owner::release(r);
        forget::<M>(sk);
        return;
    }
    if r.cookie == 0 {
        r.cookie = M::cookie(sk);
    }
    let held = forget_truth(!matches!(inode, 0 | UNKNOWN_INODE));
    let (old, new) = (forget_value(old.into()) as u8, forget_value(new.into()) as u8);
    let closer_before = r.closer;
    if new == CLOSE {
        finish::<M>(sk, old, held, r);
    } else if old == CLOSE {
        begin_anew::<M>(sk, new, r);
    }
    // Only a process that holds a connection ends its own half (`tcp_close_state`).
    if held && matches!((old, new), (ESTABLISHED | SYN_RECV, FIN_WAIT1) | (CLOSE_WAIT, LAST_ACK)) {
        owner::close_accepted(r);
    }
    // Of what it closes now, the process is the owner although it may have ended.
    let held_on = forget_truth(held && r.closer == closer_before);
    let (old, new) = (forget_value(old.into()) as u8, forget_value(new.into()) as u8);
    // What became a connection without a request (SYN cookies) is not linked to its listener by one. Nor is what waits since before the tracer.
    if r.grade == Grade::None as u8 && inode == 0 && matches!(old, SYN_RECV | ESTABLISHED | CLOSE_WAIT) {
        request::inherit(r, listen::of_child::<M>(sk, r.lport));
    }
    report::<M>(sk, old, new, (inode, held_on), time_ns, r);
}

/// What is remembered of a socket, which begins to be if it was not and is wanted. `None` also of a child that is born: its first transition
/// reports it.
#[inline(always)]
fn admit<M: Memory>(sk: Addr, old: u8, new: u8, netns: Option<u32>, given: &Given) -> Option<&'static mut Remembered> {
    let birth = old == LISTEN && new == SYN_RECV;
    if birth && let Some(pending) = pending() {
        // Also of a child that is not wanted: the end of its request is nothing to look into.
        pending.child.store(sk as u64);
    }
    let mut known = if birth { None } else { recall_living::<M>(sk) };
    if known.is_none() {
        let protocol = M::get(sk, Field::SkProtocol).unwrap_or(given.protocol);
        let family = M::get(sk, Field::SkcFamily).unwrap_or(given.family) as u8;
        if protocol != IPPROTO_TCP || !wanted::tcp(family, netns) {
            return None;
        }
        let asks = birth || new == SYN_SENT;
        if new != LISTEN && wanted::is_stranger_excluded::<M>(sk, family == AF_INET6, asks) {
            return None;
        }
        known = remember::<M>(sk);
        let Some(r) = &mut known else { return None };
        r.describe_tcp(family, netns);
        // A child begins its life: in the same softirq it nearly always goes on to ESTABLISHED, and up to 6.12 has neither its peer nor
        // its cookie yet. It is reported then. Hooks that do not see the birth see the child leave `SYN_RECV` first.
        if birth || old == SYN_RECV && !sees_births() {
            // When, its request knows.
            r.mark = jiffies();
            r.state = SYN_RECV;
            r.flags = UNREPORTED;
            if birth {
                r.state_ns = now();
            }
        }
        if birth {
            return None;
        }
        if old == SYN_RECV && !sees_births() {
            request::inherit_late(r, sk);
        }
        // A socket that the kernel made for a process (MPTCP): only a process connects, or listens.
        if old == CLOSE
            && let Some(process) = process::current()
        {
            process.take(r, Grade::Created);
        }
    }
    known
}

/// Learns the user and the ends of a socket; false if nothing of it is wanted any more.
#[inline(always)]
fn update_ends<M: Memory>(sk: Addr, old: u8, new: u8, given: Given, r: &mut Remembered) -> bool {
    // `setsockopt(IPV6_ADDRFORM)` makes an IPv6 socket an IPv4 one.
    let family = M::get::<u16>(sk, Field::SkcFamily).map_or(r.family, |family| family as u8);
    let settled = r.flags & (HAS_TUPLE | NO_LPORT) == HAS_TUPLE
        && r.family == family
        && !matches!(old, CLOSE | LISTEN | SYN_SENT | SYN_RECV);
    r.family = family;
    let v6 = family == AF_INET6;
    r.learn_uid::<M>(sk);

    // The ends of a connection stay as they are once it is established.
    let tuple = if settled {
        None
    } else {
        Tuple::read::<M>(sk, v6).or(if given.family != 0 { Some(given.tuple) } else { None })
    };
    if let Some(mut tuple) = tuple {
        // Unless it is connected anew: then it is remembered anew.
        if matches!(new, SYN_SENT | ESTABLISHED) && wanted::is_excluded(&tuple, v6, new == SYN_SENT) {
            return false;
        }
        if tuple.lport == 0 && new != SYN_SENT && new != LISTEN {
            // The port has been given back: the copy, or the field that keeps it longest.
            tuple.lport = if r.flags & HAS_TUPLE != 0 && r.lport != 0 { r.lport } else { kept_port::<M>(sk) };
        }
        (r.laddr, r.raddr, r.lport, r.rport) = (tuple.laddr, tuple.raddr, tuple.lport, tuple.rport);
        r.flags = (r.flags & !NO_LPORT) | HAS_TUPLE | if r.lport == 0 { NO_LPORT } else { 0 };
    }
    true
}

/// A socket leaves `CLOSE`: for the first time, or for another life after `connect(AF_UNSPEC)`. What ended the one before says nothing of this one.
#[inline(always)]
fn begin_anew<M: Memory>(sk: Addr, new: u8, r: &mut Remembered) {
    r.flags &= !SENT_RESET;
    r.reason = Reason::Closed as u8;
    r.mark = 0;
    r.marks &= OUTSIDE;
    owner::reopen(r);
    if new == LISTEN {
        listen::begin::<M>(sk, r.lport);
    }
}

/// Reports a transition, and before it a birth that was not reported yet. `held`: the inode, and whether the process that holds the socket goes on to.
#[inline(always)]
fn report<M: Memory>(sk: Addr, old: u8, new: u8, held: (u64, bool), time_ns: u64, r: &mut Remembered) {
    let mut born = false;
    if r.flags & UNREPORTED != 0 {
        r.flags &= !UNREPORTED;
        r.mark = 0;
        r.state_ns = if r.state_ns == 0 { time_ns } else { r.state_ns.min(time_ns) };
        r.created_ns = r.state_ns;
        if wanted::transition(LISTEN, SYN_RECV) && wanted::transition(SYN_RECV, new) {
            born = true;
        } else if since().is_some_and(|since_ns| r.state_ns >= since_ns) {
            report_state(r, held, (LISTEN, SYN_RECV), r.state_ns, r.state_ns, false);
        }
    } else {
        r.count_skipped(old);
    }
    // Older than the tracer, or a transition between was not seen: some do not pass `tcp_set_state`.
    let entered_ns = forget_value(if r.state == old { r.state_ns } else { 0 });
    let born = forget_truth(born);
    let (old, new) = (forget_value(old.into()) as u8, forget_value(new.into()) as u8);
    r.state_ns = time_ns;
    r.state = new;
    report_state(r, held, (old, new), time_ns, entered_ns, born);

    match new {
        FIN_WAIT1 => mark_close::<M>(sk),
        CLOSE => {
            if old == LISTEN {
                listen::end::<M>(sk, r.lport);
            }
            time_wait::begin::<M>(sk, (r.lport, r.rport), old, entered_ns);
        }
        _ => {}
    }
}

/// What is remembered of a TCP socket, unless its end is reported: the socket is another one, then.
#[inline(always)]
fn recall_living<M: Memory>(sk: Addr) -> Option<&'static mut Remembered> {
    let r = recall_same::<M>(sk)?;
    if are_preempted() && r.marks & ENDED != 0 {
        forget::<M>(sk);
        return None;
    }
    Some(r)
}

/// A process closes a socket that it, or another, has shut down before.
#[inline(always)]
fn closes<M: Memory>(sk: Addr, state: u8) {
    let Some(r) = recall::<M>(sk) else { return };
    owner::close(r);
    if matches!(state, FIN_WAIT1 | FIN_WAIT2) {
        mark_close::<M>(sk);
    }
}
