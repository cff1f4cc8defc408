//! What TIME_WAIT minisockets and connection requests have in common: each is known by an address that is no `struct sock`, enters states that
//! no tracepoint reports, and ends with its timer, which may also have been stopped only to be set anew.

use crate::{
    ends::Tuple,
    read::{Memory, Probed, offset},
    remembered::{MINI, Remembered},
    report::report_state,
    store::{forget, recall},
    sys::{Addr, Word, now},
    timer::{self, knows_why},
    wanted,
};
use aya_ebpf::{
    macros::map,
    maps::{Array, PerCpuArray},
};
use netstat_ebpf::{
    Doubt, Field, HAS_TUPLE,
    linux::{
        AF_INET6,
        tcp::{CLOSE, TIME_WAIT},
    },
};

/// A [`Doubt`], as the programs change it.
#[repr(C)]
struct Left {
    mini: Word,
    time_ns: Word,
}

const _: () = assert!(size_of::<Left>() == size_of::<Doubt>());

/// The minisocket, or request, whose timer was stopped last on each processor, where it is not known at once whether for good.
#[map]
static DOUBTS: PerCpuArray<Left> = PerCpuArray::with_max_entries(1, 0);

/// The one that user space asks to be decided.
#[map]
static ASKED: Array<u64> = Array::with_max_entries(1, 0);

/// Reports that a minisocket or a request enters a state.
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

/// Fills in what a minisocket or a request has of its own; false if it is not wanted.
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

/// Records that the timer of a minisocket or request was stopped, maybe only to be set anew.
#[inline(always)]
pub fn doubt(mini: Addr, r: &mut Remembered) {
    r.mark = now();
    // The value is this processor's own; timers are stopped with interrupts off.
    let Some(left) = DOUBTS.get(0) else { return };
    // What became of the one before shows by now; what becomes of this one does not.
    let before = left.mini.load();
    if before != 0 && before != mini as u64 {
        known::<Probed>(before as Addr);
    }
    left.mini.store(mini as u64);
    left.time_ns.store(r.mark);
}

/// Body of the iterator that user space runs when a doubt was left standing.
#[inline(always)]
pub fn decide() {
    if let Some(&mini) = ASKED.get(0) {
        known::<Probed>(mini as Addr);
    }
}

/// What is remembered of a minisocket or a request, `None` if nothing. The end of one whose timer was stopped for good is reported first.
#[inline(always)]
pub fn known<M: Memory>(mini: Addr) -> Option<&'static mut Remembered> {
    let r = recall::<M>(mini)?;
    if !knows_why() && r.mark != 0 && !goes_on(mini, r) {
        forget::<M>(mini);
        return None;
    }
    Some(r)
}

/// Whether a minisocket or a request whose timer was stopped is still there, its timer set anew. Its end is reported if not. Seldom
/// needed, and so not part of its callers.
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
