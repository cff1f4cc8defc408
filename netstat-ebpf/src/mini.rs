//! What there is of a TCP connection besides its `struct sock`: TIME_WAIT minisockets after it, connection requests before it. Both are
//! known by the address of the minisocket, and told as further transitions of the connection, with its cookie.
//!
//! No tracepoint tells of them. A minisocket is found in the table of connections, where it has taken the place of its own, and its timer,
//! cancelled or run out, tells its end. A request is told when its SYN-ACK is sent again, when it outlives its first timer, or when it comes
//! to nothing before that: the others become a connection, which tells of them.

use crate::{
    ASKED, BIRTHS, DOUBTS, PENDING, ehash,
    owner::Process,
    read::{Addr, Memory, Probed, Typed, offset},
    remembered::{self, Remembered, SENT_RESET, UNTOLD, forget, or_scratch, recall, remember},
    sock::{now, tell_state, wanted_tcp},
    tcp::{CLOSE, CLOSING, FIN_WAIT1, FIN_WAIT2, LISTEN, SYN_RECV, TIME_WAIT, Tuple, is_late_data},
    timer::{self, Of, is_set_anew, tells_why},
};
use aya_ebpf::helpers::generated::bpf_jiffies64;
use netstat_ebpf::{ABSENT, AF_INET6, Field, Grade, HAS_TUPLE, Reason, UNKNOWN_NS};

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
pub fn time_wait<M: Memory>(sk: Addr, ends: (u16, u16), old: u8, entered_ns: u64) {
    if !matches!(old, FIN_WAIT1 | FIN_WAIT2 | CLOSING) {
        return;
    }
    let tw = left_behind::<M>(sk, ends);
    let r = remembered::still::<M>(sk);
    if r.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    let r = unsafe { &mut *r };
    let Some(tw) = tw else {
        if r.reason == Reason::Closed as u8 && is_late_data::<M>(sk, r) {
            r.flags |= SENT_RESET;
        }
        return;
    };
    timer::learn(tw);
    // One that was there before and has ended is told first.
    known::<Probed>(tw);
    let mini = or_scratch(remember::<Probed>(tw));
    if mini.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    let mini = unsafe { &mut *mini };
    *mini = *r;
    mini.mark = 0;
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
fn left_behind<M: Memory>(sk: Addr, (lport, rport): (u16, u16)) -> Option<Addr> {
    // Still there, although the connection is not in the table any more.
    let hash = M::get(sk, Field::SkcHash)?;
    let cookie = M::get::<u64>(sk, Field::SkcCookie)?;
    ehash::search(M::follow(sk, Field::SkcNet)?, hash, |tw| {
        Probed::get::<u8>(tw, Field::SkcState) == Some(TIME_WAIT)
            && Probed::get(tw, Field::SkcNum) == Some(lport)
            && Probed::get::<u16>(tw, Field::SkcDport).map(u16::from_be) == Some(rport)
            && Probed::get(tw, Field::SkcCookie) == Some(cookie)
    })
}

/// The state of a TIME_WAIT minisocket.
#[inline(always)]
fn substate(tw: Addr) -> u8 {
    if Probed::get::<u8>(tw, Field::TwSubstate) == Some(FIN_WAIT2) { FIN_WAIT2 } else { TIME_WAIT }
}

/// Tells that a minisocket enters a state.
#[inline(always)]
fn step(r: &mut Remembered, new: u8) {
    step_at(r, new, now());
}

#[inline(always)]
fn step_at(r: &mut Remembered, new: u8, time_ns: u64) {
    let in_state_ns = if r.state_ns == 0 { UNKNOWN_NS } else { time_ns - r.state_ns };
    tell_state(r, Some(0), r.state, new, time_ns, in_state_ns, 0);
    r.state = new;
    r.state_ns = time_ns;
}

/// Body of the hook on `timer_cancel`, which fires also when a timer has run out and its function is about to be called.
#[inline(always)]
pub fn timer_cancel(ctx: *mut core::ffi::c_void, timer: Addr) {
    let Some(of) = timer::owner_of(timer) else { return };
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
    let known = known::<Typed>(tw);
    let doubtful = !over && !tells_why();
    let r = or_scratch(if known.is_null() && doubtful { remember::<Typed>(tw) } else { known });
    if r.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    let r = unsafe { &mut *r };
    let state = substate(tw);
    // A segment for it sets its timer anew.
    if !over && !doubtful && is_set_anew(ctx) {
        if !known.is_null() {
            moved(tw, r);
        }
        return;
    }
    if known.is_null() {
        if !describe(tw, r) {
            if doubtful {
                forget::<Typed>(tw);
            }
            return;
        }
        r.state = state;
        r.mini = 1;
    }
    if doubtful {
        moved(tw, r);
        doubt(tw, r);
        return;
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
    if !known::<Typed>(req).is_null() {
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
    let told = known::<Typed>(req);
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
    if over || told.is_null() && BIRTHS.load() == 0 || tells_why() && is_set_anew(ctx) {
        return;
    }
    // It comes to nothing: the peer does not want it any more, say.
    let r = or_scratch(if told.is_null() && !tells_why() { remember::<Typed>(req) } else { told });
    if r.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    let r = unsafe { &mut *r };
    if told.is_null() && !begin(req, 0, r) {
        if !tells_why() {
            forget::<Typed>(req);
        }
        return;
    }
    if !tells_why() {
        doubt(req, r);
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
    let Some(Of::Request(req)) = timer::owner_of(timer) else { return };
    let retrans = offset(Field::ReqNumRetrans);
    if retrans == ABSENT {
        return;
    }
    let timeouts = Probed::at::<u8>(req.wrapping_add(retrans as usize + 1)) >> 1;
    if timer::runs(timer) && timeouts > 0 {
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

/// Leaves word that the timer of a minisocket or request was stopped, maybe only to be set anew.
#[inline(always)]
fn doubt(mini: Addr, r: &mut Remembered) {
    r.mark = now();
    let Some(doubt) = DOUBTS.get_ptr_mut(0) else { return };
    // SAFETY: the value is this CPU's own; timers are stopped with interrupts off.
    let doubt = unsafe { &mut *doubt };
    // By now it shows what became of the one before; of this one it does not.
    if doubt.mini != 0 && doubt.mini != mini as u64 {
        known::<Probed>(doubt.mini as Addr);
    }
    (doubt.mini, doubt.time_ns) = (mini as u64, r.mark);
}

/// Body of the iterator that user space runs when a doubt was left standing.
#[inline(always)]
pub fn decide() {
    if let Some(&mini) = ASKED.get(0) {
        known::<Probed>(mini as Addr);
    }
}

/// What is remembered of a minisocket or a request, null if nothing. The end of one whose timer was stopped for good is told first.
#[inline(always)]
fn known<M: Memory>(mini: Addr) -> *mut Remembered {
    let r = recall::<M>(mini);
    if tells_why() || r.is_null() {
        return r;
    }
    // SAFETY: a value of a map.
    if unsafe { (*r).mark != 0 && !goes_on(mini, &mut *r) } {
        forget::<M>(mini);
        return core::ptr::null_mut();
    }
    r
}

/// Whether a minisocket or a request whose timer was stopped is still there, its timer set anew. Its end is told if not. Seldom needed, and
/// so not part of its callers.
#[inline(never)]
fn goes_on(mini: Addr, r: &mut Remembered) -> bool {
    let timer = offset(if r.mini != 0 { Field::TwTimer } else { Field::ReqTimer });
    if timer::runs(mini.wrapping_add(timer as usize)) && is_still(mini, r) {
        r.mark = 0;
        return true;
    }
    if r.mini == 0 || r.state == TIME_WAIT {
        step_at(r, CLOSE, r.mark);
    }
    false
}

/// Whether an address has what is remembered of it, and not another one of its kind.
#[inline(always)]
fn is_still(mini: Addr, r: &Remembered) -> bool {
    Probed::get(mini, Field::SkcNum) == Some(r.lport)
        && Probed::get::<u16>(mini, Field::SkcDport).map(u16::from_be) == Some(r.rport)
        && (r.cookie == 0 || Probed::cookie(mini) == r.cookie)
}
