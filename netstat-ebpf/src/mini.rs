//! What there is of a TCP connection besides its `struct sock`: TIME_WAIT minisockets after it, connection requests before it. Both are
//! known by the address of the minisocket, and told as further transitions of the connection, with its cookie.
//!
//! No tracepoint tells of them. A minisocket is found in the table of connections, where it has taken the place of its own, and its timer,
//! cancelled or run out, tells its end. A request is told when its SYN-ACK is sent again, when it outlives its first timer, or when it comes
//! to nothing before that: the others become a connection, which tells of them.

use crate::{
    BIRTHS, MOD_PENDING, MOD_PENDING_END, MOD_TIMER, MOD_TIMER_END, PENDING, REQ_TIMER, TW_TIMER,
    owner::Process,
    read::{Addr, Memory, Probed, Typed, offset},
    remembered::{Remembered, UNTOLD, forget, or_scratch, recall, remember},
    sock::{now, tell_state, wanted_tcp},
    tcp::{CLOSE, CLOSING, FIN_WAIT1, FIN_WAIT2, LISTEN, SYN_RECV, TIME_WAIT, Tuple},
};
use aya_ebpf::helpers::generated::{bpf_get_stack, bpf_jiffies64};
use netstat_ebpf::{ABSENT, AF_INET6, Field, Grade, HAS_TUPLE, UNKNOWN_NS};

/// How much of a chain of the kernel's table is looked at. The table has about as many chains as connections at its fullest.
const CHAIN: usize = 32;

/// What one hook leaves for the next on the same processor.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Pending {
    /// A child that has been made: the end of the request it was follows at once (`inet_csk_complete_hashdance`).
    pub child: u64,
    /// The listener of a request that has ended with no child seen, and both its ports: where the hook does not see a child being made
    /// (`tcp_set_state`), its first transition follows at once.
    pub listener: u64,
    pub ports: u32,
    pub pad: u32,
    /// The transition that the first program on it has seen: the socket's address and its new state.
    pub seen: u64,
    pub seen_state: u64,
}

#[inline(always)]
fn pending() -> Option<&'static mut Pending> {
    // SAFETY: the value is this CPU's own. A hook in a softirq may interrupt one in a process: each field is written and read whole, and
    // what is found in one is compared with the socket at hand before it is believed.
    PENDING.get_ptr_mut(0).map(|pending| unsafe { &mut *pending })
}

/// What a timer belongs to.
enum Of {
    TimeWait(Addr),
    Request(Addr),
}

/// The minisocket a timer is part of. `timer` is typed.
#[inline(always)]
fn owner_of(timer: Addr) -> Option<Of> {
    let function: u64 = Typed::get(timer, Field::TimerFunction)?;
    if function == 0 {
        return None;
    }
    if function == TW_TIMER.load() {
        Some(Of::TimeWait(timer.wrapping_sub(offset(Field::TwTimer) as usize)))
    } else if function == REQ_TIMER.load() {
        Some(Of::Request(timer.wrapping_sub(offset(Field::ReqTimer) as usize)))
    } else {
        None
    }
}

/// Body of the hooks that a segment for a minisocket passes. Its timer is set anew then, but that is silent where it stays in its
/// slot of the timer wheel (`__mod_timer`), two seconds wide.
#[inline(always)]
pub fn segment(tw: Addr) {
    if tw.is_null() {
        return;
    }
    let r = recall::<Typed>(tw);
    if r.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    let r = unsafe { &mut *r };
    if r.mini != 0 {
        moved(tw, r);
    }
}

/// Tells that the FIN that was waited for in FIN_WAIT2 has come, if it has.
#[inline(always)]
fn moved(tw: Addr, r: &mut Remembered) {
    let state = substate(tw);
    if r.state != state {
        step(r, state);
    }
}

/// The transition to CLOSE of a socket that was in `old` since `entered_ns` has been told. What remains of it follows: it goes on to
/// TIME_WAIT now, or stays in FIN_WAIT2 until the peer's FIN comes.
#[inline(always)]
pub fn time_wait<M: Memory>(sk: Addr, r: &Remembered, old: u8, entered_ns: u64) {
    // Where the end of a minisocket cannot be seen, its beginning is better not told.
    if TW_TIMER.load() == 0 || !matches!(old, FIN_WAIT1 | FIN_WAIT2 | CLOSING) {
        return;
    }
    let Some(tw) = left_behind::<M>(sk, r) else { return };
    let mini = or_scratch(remember::<Probed>(tw));
    if mini.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    let mini = unsafe { &mut *mini };
    *mini = *r;
    mini.mini = 1;
    mini.state = old;
    mini.state_ns = entered_ns;
    if substate(tw) == TIME_WAIT {
        step(mini, TIME_WAIT);
    }
}

/// The minisocket that has taken the place of a connection in the kernel's table, `None` if none has: the connection was reset, say, or
/// there were too many minisockets already (`tcp_time_wait`).
#[inline(always)]
fn left_behind<M: Memory>(sk: Addr, r: &Remembered) -> Option<Addr> {
    let (ipv4, death_row, node) =
        (offset(Field::NetIpv4), offset(Field::NetnsIpv4TcpDeathRow), offset(Field::SkcNullsNode));
    if ipv4 == ABSENT || death_row == ABSENT || node == ABSENT {
        return None;
    }
    let death_row = M::follow(sk, Field::SkcNet)?.wrapping_add(ipv4 as usize + death_row as usize);
    let table = Probed::follow(death_row, Field::DeathRowHashinfo)?;
    // Still there, although the connection is not in the table any more.
    let hash = M::get::<u32>(sk, Field::SkcHash)?;
    let bucket = (hash & Probed::get::<u32>(table, Field::HashinfoEhashMask)?) as usize;
    let cookie = M::get::<u64>(sk, Field::SkcCookie)?;
    // `struct inet_ehash_bucket` and `struct hlist_nulls_node` both begin with the address of a node; an odd number ends the chain.
    let mut next: u64 = Probed::at(Probed::follow(table, Field::HashinfoEhash)?.wrapping_add(bucket * 8));
    for _ in 0..CHAIN {
        if next & 1 != 0 || next == 0 {
            return None;
        }
        let tw = (next as Addr).wrapping_sub(node as usize);
        if Probed::get::<u8>(tw, Field::SkcState) == Some(TIME_WAIT)
            && Probed::get(tw, Field::SkcNum) == Some(r.lport)
            && Probed::get::<u16>(tw, Field::SkcDport).map(u16::from_be) == Some(r.rport)
            && Probed::get(tw, Field::SkcCookie) == Some(cookie)
        {
            return Some(tw);
        }
        next = Probed::at(next as Addr);
    }
    None
}

/// The state of a TIME_WAIT minisocket.
#[inline(always)]
fn substate(tw: Addr) -> u8 {
    if Probed::get::<u8>(tw, Field::TwSubstate) == Some(FIN_WAIT2) { FIN_WAIT2 } else { TIME_WAIT }
}

/// Tells that a minisocket enters a state.
#[inline(always)]
fn step(r: &mut Remembered, new: u8) {
    let time_ns = now();
    let in_state_ns = if r.state_ns == 0 { UNKNOWN_NS } else { time_ns - r.state_ns };
    tell_state(r, Some(0), r.state, new, time_ns, in_state_ns, 0);
    r.state = new;
    r.state_ns = time_ns;
}

/// Body of the hook on `timer_cancel`, which fires also when a timer has run out and its function is about to be called.
#[inline(always)]
pub fn timer_cancel(ctx: *mut core::ffi::c_void, timer: Addr) {
    let Some(of) = owner_of(timer) else { return };
    let Some(expires) = Typed::get::<u64>(timer, Field::TimerExpires) else { return };
    // SAFETY: takes nothing, returns a number.
    let over = unsafe { bpf_jiffies64() }.wrapping_sub(expires) as i64 >= 0;
    match of {
        Of::TimeWait(tw) => time_wait_stopped(ctx, tw, over),
        Of::Request(req) => request_stopped(ctx, req, over),
    }
}

#[inline(always)]
fn time_wait_stopped(ctx: *mut core::ffi::c_void, tw: Addr, over: bool) {
    let known = recall::<Typed>(tw);
    let r = or_scratch(known);
    if r.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    let r = unsafe { &mut *r };
    let state = substate(tw);
    // A segment for it sets its timer anew.
    if !over && is_set_anew(ctx) {
        if !known.is_null() {
            moved(tw, r);
        }
        return;
    }
    if known.is_null() {
        if !describe(tw, r) {
            return;
        }
        r.state = state;
    }
    if r.state != state {
        // Not seen when it happened.
        step(r, state);
        r.state_ns = 0;
    }
    // Of FIN_WAIT2 its socket has said that it was left.
    if state == TIME_WAIT {
        step(r, CLOSE);
    }
    forget::<Typed>(tw);
}

/// Whether a timer is cancelled only to be started again (`mod_timer_pending`): that is among the callers then.
#[inline(always)]
fn is_set_anew(ctx: *mut core::ffi::c_void) -> bool {
    const FRAMES: usize = 8;
    let mut frames = [0u64; FRAMES];
    // SAFETY: the length is that of the array.
    unsafe { bpf_get_stack(ctx, frames.as_mut_ptr().cast(), (FRAMES * 8) as u32, 0) };
    let within = |frame, from, to| frame >= from && frame < to;
    frames.iter().any(|&frame| {
        within(frame, MOD_TIMER.load(), MOD_TIMER_END.load())
            || within(frame, MOD_PENDING.load(), MOD_PENDING_END.load())
    })
}

/// Fills in what a minisocket knows of itself; false if it is not wanted.
#[inline(always)]
fn describe(mini: Addr, r: &mut Remembered) -> bool {
    let Some(family) = Probed::get::<u16>(mini, Field::SkcFamily) else { return false };
    let family = family as u8;
    let netns = Probed::netns(mini);
    if !wanted_tcp(family, netns) {
        return false;
    }
    r.describe_tcp(family, netns);
    r.cookie = Probed::cookie(mini);
    if let Some(tuple) = Tuple::read::<Probed>(mini, family == AF_INET6) {
        (r.laddr, r.raddr, r.lport, r.rport) = (tuple.laddr, tuple.raddr, tuple.lport, tuple.rport);
        r.flags |= HAS_TUPLE;
    }
    true
}

/// When a request was first answered: the kernel keeps the time for the connection's first round trip. Now, where it does not.
#[inline(always)]
fn asked_ns(req: Addr) -> u64 {
    let now_ns = now();
    match Probed::get::<u64>(req, Field::TcpReqSntSynack) {
        // In microseconds of the same clock.
        Some(answered_us) if answered_us != 0 => (answered_us * 1000).min(now_ns),
        _ => now_ns,
    }
}

/// Fills in what is known of a request, and tells its beginning; false if it is not wanted.
#[inline(always)]
fn begin(req: Addr, cookie: u64, r: &mut Remembered) -> bool {
    if !describe(req, r) {
        return false;
    }
    if cookie != 0 {
        r.cookie = cookie;
    }
    let listener = Probed::follow(req, Field::ReqListener);
    inherit(r, listener);
    if let Some(listener) = listener {
        r.learn_uid::<Probed>(listener);
    }
    r.created_ns = asked_ns(req);
    r.state_ns = r.created_ns;
    r.state = SYN_RECV;
    tell_state(r, Some(0), LISTEN, SYN_RECV, r.state_ns, 0, 0);
    true
}

/// Body of the hook on `tcp_retransmit_synack`: the one place where a request can be given a cookie, which its connection takes over.
#[inline(always)]
pub fn synack_again(req: Addr) {
    waits(req, Typed::cookie(req));
}

/// A request waits, and is told if it was not before.
#[inline(always)]
fn waits(req: Addr, cookie: u64) {
    if !recall::<Typed>(req).is_null() {
        return;
    }
    let r = or_scratch(remember::<Typed>(req));
    // SAFETY: a value of a map.
    if !r.is_null() && !begin(req, cookie, unsafe { &mut *r }) {
        forget::<Typed>(req);
    }
}

#[inline(always)]
fn request_stopped(ctx: *mut core::ffi::c_void, req: Addr, over: bool) {
    let told = recall::<Typed>(req);
    if let Some(child) = child_of(req) {
        if !child.is_null() {
            // SAFETY: a value of a map.
            let child = unsafe { &mut *child };
            inherit(child, Probed::follow(req, Field::ReqListener));
            if told.is_null() {
                child.created_ns = asked_ns(req);
                child.state_ns = child.created_ns;
            } else {
                // The connection goes on from where the request was.
                // SAFETY: a value of a map.
                let told = unsafe { &*told };
                child.flags &= !UNTOLD;
                child.state_ns = told.state_ns;
                child.created_ns = told.created_ns;
            }
        }
        if !told.is_null() {
            forget::<Typed>(req);
        }
        return;
    }
    if let Some(pending) = pending() {
        pending.listener = Probed::get(req, Field::ReqListener).unwrap_or_default();
        pending.ports = ports(req);
    }
    // Of one that is over, its function decides; the peer's SYN, when it comes again, sets it anew.
    if over || told.is_null() && BIRTHS.load() == 0 || is_set_anew(ctx) {
        return;
    }
    // It comes to nothing: the peer does not want it any more, say.
    let r = or_scratch(told);
    if r.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    let r = unsafe { &mut *r };
    if told.is_null() && !begin(req, 0, r) {
        return;
    }
    step(r, CLOSE);
    forget::<Typed>(req);
}

/// The child that a request has just become: null if it is not remembered, `None` if there is none.
#[inline(always)]
fn child_of(req: Addr) -> Option<*mut Remembered> {
    let pending = pending()?;
    let child = pending.child as Addr;
    if child.is_null() {
        return None;
    }
    pending.child = 0;
    (ports(child) == ports(req)).then(|| recall::<Probed>(child))
}

/// Both ports at once: `skc_portpair`.
#[inline(always)]
fn ports(sk: Addr) -> u32 {
    Probed::get(sk, Field::SkcDport).unwrap_or_default()
}

/// Gives a child that was not seen being made the owner of its listener.
#[inline(always)]
pub fn inherit_late(r: &mut Remembered, sk: Addr) {
    let Some(pending) = pending() else { return };
    let listener = pending.listener as Addr;
    pending.listener = 0;
    if !listener.is_null() && pending.ports == ports(sk) {
        inherit(r, Some(listener));
    }
}

/// Gives a connection the owner of its listener, until somebody accepts it.
#[inline(always)]
fn inherit(r: &mut Remembered, listener: Option<Addr>) {
    let Some(listener) = listener else { return };
    let owner = recall::<Probed>(listener);
    if owner.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    let owner = unsafe { &*owner };
    if owner.grade != Grade::None as u8 {
        Process { tgid: owner.tgid, comm: owner.comm }.own(r, Grade::Inherited);
    }
}

/// Body of the hook on `timer_expire_exit`: the function of a timer has returned. A request is gone then unless its timer was started again;
/// its memory may be, too, or may be another request's by now, whose timer has not run out yet.
#[inline(always)]
pub fn timer_done(timer: Addr) {
    let Some(Of::Request(req)) = owner_of(timer) else { return };
    let (entry, retrans) = (offset(Field::TimerEntry), offset(Field::ReqNumRetrans));
    if entry == ABSENT || retrans == ABSENT {
        return;
    }
    // `timer_pending`: the second word of a `struct hlist_node`.
    let pending = Typed::at::<u64>(timer.wrapping_add(entry as usize + 8)) != 0;
    let timeouts = Probed::at::<u8>(req.wrapping_add(retrans as usize + 1)) >> 1;
    if pending && timeouts > 0 {
        // It waits for something else than its SYN-ACK to be heard.
        waits(req, 0);
        return;
    }
    let r = recall::<Typed>(req);
    if !r.is_null() {
        // SAFETY: a value of a map.
        step(unsafe { &mut *r }, CLOSE);
        forget::<Typed>(req);
    }
}
