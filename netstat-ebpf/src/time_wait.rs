//! TIME_WAIT minisockets: what a TCP connection leaves behind after its `struct sock`, known by the address of the `struct
//! inet_timewait_sock` and reported as further transitions of the connection, with its cookie.
//!
//! No tracepoint reports them. A minisocket is found in the table of connections, in the place of its connection; its timer, cancelled or run
//! out, shows its end.

use crate::{
    ehash,
    ending::{is_late_data, is_unmarked},
    mini::{describe, doubt, known, step},
    read::{Memory, Probed, Typed},
    remembered::{MINI, Remembered, SENT_RESET},
    request,
    setup::enabled,
    store::{forget, recall, remember},
    sys::Addr,
    timer::{self, Of, is_set_anew, knows_why},
};
use aya_ebpf::EbpfContext;
use netstat_ebpf::{
    Field, Reason, UNSEEN,
    linux::tcp::{CLOSE, CLOSING, FIN_WAIT1, FIN_WAIT2, TIME_WAIT},
};

/// Body of the hooks that a segment for a minisocket passes. Its timer is set anew then, but that is silent where it stays in its
/// slot of the timer wheel (`__mod_timer`), two seconds wide.
#[inline(always)]
pub fn segment(tw: Addr) {
    if tw.is_null() || !enabled() {
        return;
    }
    if let Some(r) = recall::<Typed>(tw)
        && r.marks & MINI != 0
    {
        moved(tw, r);
    }
}

/// Reports that the FIN that was waited for in FIN_WAIT2 has come, if it has.
#[inline(always)]
fn moved(tw: Addr, r: &mut Remembered) {
    let state = substate(tw);
    if r.state != state {
        step(r, state);
    }
}

/// The transition to CLOSE of a socket that was in `old` since `entered_ns` has been reported. Its minisocket follows: it goes on to
/// TIME_WAIT now, or stays in FIN_WAIT2 until the peer's FIN comes.
#[inline(always)]
pub fn begin<M: Memory>(sk: Addr, ends: (u16, u16), old: u8, entered_ns: u64) {
    if !matches!(old, FIN_WAIT1 | FIN_WAIT2 | CLOSING) {
        return;
    }
    let tw = left_behind(sk, ends);
    let Some(r) = recall::<M>(sk) else { return };
    let Some(tw) = tw else {
        if r.reason == Reason::Closed as u8 {
            if is_late_data::<M>(sk, r) {
                r.flags |= SENT_RESET;
            } else if is_unmarked(r) {
                r.reason = Reason::Unknown as u8;
            }
        }
        return;
    };
    timer::learn(tw);
    // The end of one that had the address before is reported first.
    known::<Probed>(tw);
    let Some(mini) = remember::<Probed>(tw) else { return };
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

/// Body of the hook on `timer_cancel`, which fires also when a timer has run out and its function is about to be called.
#[inline(always)]
pub fn timer_cancel(ctx: &impl EbpfContext, timer: Addr) {
    if !enabled() {
        return;
    }
    match timer::owner_of(timer) {
        Some(Of::TimeWait(tw)) => stopped(ctx, tw, timer::has_run_out(ctx, timer)),
        // Of one that has run out, its function decides.
        Some(Of::Request(req)) if timer::has_run_out(ctx, timer) => request::runs_out(req),
        Some(Of::Request(req)) => request::stopped(ctx, req),
        None => {}
    }
}

#[inline(always)]
fn stopped(ctx: &impl EbpfContext, tw: Addr, over: bool) {
    let mut known = known::<Typed>(tw);
    let (new, doubtful) = (known.is_none(), !over && !knows_why());
    let state = substate(tw);
    // A segment for it sets its timer anew.
    if !over && !doubtful && is_set_anew(ctx) {
        if let Some(r) = known {
            moved(tw, r);
        }
        return;
    }
    if new {
        known = remember::<Typed>(tw);
    }
    let Some(r) = known else { return };
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
