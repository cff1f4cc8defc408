//! TIME_WAIT minisockets: what a TCP connection leaves behind after its `struct sock`, known by the address of the `struct
//! inet_timewait_sock` and reported as further transitions of the connection, with its cookie; and what they have in common with requests.
//!
//! No tracepoint reports them. A minisocket is found in the table of connections, in the place of its connection; its timer, cancelled or run
//! out, shows its end.

use crate::{
    ASKED, DOUBTS, PENDING, ehash,
    ending::is_late_data,
    read::{Addr, Memory, Probed, Typed, offset},
    remembered::{MINI, Remembered, SENT_RESET, forget, recall, remember},
    report::{enabled, now, report_state},
    request,
    tcp::{CLOSE, CLOSING, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, Tuple},
    timer::{self, Of, is_set_anew, tells_why},
    wanted,
};
use netstat_ebpf::{AF_INET6, Field, HAS_TUPLE, Reason, UNSEEN};

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
    /// Likewise, the transition that `state_left_out` has reported last.
    pub stood_in: u64,
    pub stood_in_state: u64,
}

#[inline(always)]
pub fn pending() -> Option<&'static mut Pending> {
    // SAFETY: the value is this CPU's own. A hook in a softirq may interrupt one in a process: each field is written and read whole, and
    // what is found in one is compared with the socket at hand before it is believed.
    PENDING.get_ptr_mut(0).map(|pending| unsafe { &mut *pending })
}

/// Body of the hooks that a segment for a minisocket passes. Its timer is set anew then, but that is silent where it stays in its
/// slot of the timer wheel (`__mod_timer`), two seconds wide.
#[inline(always)]
pub fn segment(tw: Addr) {
    if tw.is_null() || !enabled() {
        return;
    }
    let r = recall::<Typed>(tw);
    if r.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    let r = unsafe { &mut *r };
    if r.marks & MINI != 0 {
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
    let tw = left_behind(sk, ends);
    let r = recall::<M>(sk);
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
    let mini = remember::<Probed>(tw);
    if mini.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    let mini = unsafe { &mut *mini };
    *mini = *r;
    mini.flags &= !UNSEEN;
    mini.mark = 0;
    mini.marks |= MINI;
    mini.state = old;
    mini.state_ns = entered_ns;
    if substate(tw) == TIME_WAIT {
        step(mini, TIME_WAIT);
    }
}

/// The minisocket that has taken the place of a connection in the kernel's table, `None` if none has: the connection was reset, say, or
/// there were too many minisockets already (`tcp_time_wait`).
#[inline(always)]
fn left_behind(sk: Addr, (lport, rport): (u16, u16)) -> Option<Addr> {
    // Still there, although the connection is not in the table any more.
    let hash = Probed::get(sk, Field::SkcHash)?;
    let cookie = Probed::get::<u64>(sk, Field::SkcCookie)?;
    let net = Probed::get::<u64>(sk, Field::SkcNet)?;
    let tw = netstat_left_behind(net, hash, u32::from(lport) << 16 | u32::from(rport), cookie) as Addr;
    (!tw.is_null()).then_some(tw)
}

/// The same, 0 for none. The verifier checks it by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_left_behind(net: u64, hash: u32, ports: u32, cookie: u64) -> u64 {
    let is_it = |tw: Addr| netstat_is_left_behind(tw as u64, ports, cookie) != 0;
    ehash::search(net as Addr, hash, is_it).map_or(0, |tw| tw as u64)
}

/// Whether an entry of the table is the minisocket with these ports and this cookie. The verifier checks it by itself, once, and not for each turn.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_is_left_behind(tw: u64, ports: u32, cookie: u64) -> u32 {
    let tw = tw as Addr;
    let is_it = Probed::get::<u8>(tw, Field::SkcState) == Some(TIME_WAIT)
        && Probed::get(tw, Field::SkcNum) == Some((ports >> 16) as u16)
        && Probed::get::<u16>(tw, Field::SkcDport).map(u16::from_be) == Some(ports as u16)
        && Probed::get(tw, Field::SkcCookie) == Some(cookie);
    u32::from(is_it)
}

/// The state of a TIME_WAIT minisocket.
#[inline(always)]
fn substate(tw: Addr) -> u8 {
    if Probed::get::<u8>(tw, Field::TwSubstate) == Some(FIN_WAIT2) { FIN_WAIT2 } else { TIME_WAIT }
}

/// Tells that a minisocket enters a state.
#[inline(always)]
pub fn step(r: &mut Remembered, new: u8) {
    step_at(r, new, now());
}

#[inline(always)]
fn step_at(r: &mut Remembered, new: u8, time_ns: u64) {
    report_state(r, (0, false), (r.state, new), time_ns, r.state_ns, false);
    r.state = new;
    r.state_ns = time_ns;
}

/// Body of the hook on `timer_cancel`, which fires also when a timer has run out and its function is about to be called.
#[inline(always)]
pub fn timer_cancel(ctx: *mut core::ffi::c_void, timer: Addr) {
    if !enabled() {
        return;
    }
    match timer::owner_of(timer) {
        Some(Of::TimeWait(tw)) => time_wait_stopped(ctx, tw, timer::has_run_out(ctx, timer)),
        // Of one that has run out, its function decides.
        Some(Of::Request(req)) if !timer::has_run_out(ctx, timer) => request::stopped(ctx, req),
        _ => {}
    }
}

#[inline(always)]
fn time_wait_stopped(ctx: *mut core::ffi::c_void, tw: Addr, over: bool) {
    let mut r = known::<Typed>(tw);
    let (new, doubtful) = (r.is_null(), !over && !tells_why());
    let state = substate(tw);
    // A segment for it sets its timer anew.
    if !over && !doubtful && is_set_anew(ctx) {
        if !new {
            // SAFETY: a value of a map.
            moved(tw, unsafe { &mut *r });
        }
        return;
    }
    if new {
        r = remember::<Typed>(tw);
    }
    if r.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    let r = unsafe { &mut *r };
    if new {
        if !describe(tw, r) {
            forget::<Typed>(tw);
            return;
        }
        r.state = state;
        r.marks |= MINI;
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
pub fn describe(mini: Addr, r: &mut Remembered) -> bool {
    let Some(family) = Probed::get::<u16>(mini, Field::SkcFamily) else { return false };
    let family = family as u8;
    let netns = Probed::netns(mini);
    if !wanted::tcp(family, netns) {
        return false;
    }
    r.describe_tcp(family, netns);
    r.cookie = Probed::cookie(mini);
    if let Some(tuple) = Tuple::read::<Probed>(mini, family == AF_INET6) {
        if wanted::is_excluded(&tuple, family == AF_INET6, false) {
            return false;
        }
        (r.laddr, r.raddr, r.lport, r.rport) = (tuple.laddr, tuple.raddr, tuple.lport, tuple.rport);
        r.flags |= HAS_TUPLE;
    }
    true
}

/// Leaves word that the timer of a minisocket or request was stopped, maybe only to be set anew.
#[inline(always)]
pub fn doubt(mini: Addr, r: &mut Remembered) {
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
pub fn known<M: Memory>(mini: Addr) -> *mut Remembered {
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
    let timer = offset(if r.marks & MINI != 0 { Field::TwTimer } else { Field::ReqTimer });
    if timer::runs(mini.wrapping_add(timer as usize)) && is_still(mini, r) {
        r.mark = 0;
        return true;
    }
    if r.marks & MINI == 0 || r.state == TIME_WAIT {
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
