//! Whose a timer is, and what it means that one is stopped. Both follow from where functions of the kernel are. Where nobody tells, the
//! first timer of a minisocket and the first of a request are known by what they are part of, and what a stop means shows a little later.

use crate::{
    MOD_PENDING, MOD_PENDING_END, MOD_TIMER, MOD_TIMER_END, REQ_TIMER, REQ_TIMER_SEEN, TW_TIMER, TW_TIMER_SEEN,
    atomic::Word,
    ehash,
    read::{Addr, Memory, Probed, Typed, offset},
    tcp::{LISTEN, TIME_WAIT},
};
use aya_ebpf::{Global, helpers::generated::bpf_get_stack};
use netstat_ebpf::{ABSENT, Field};

/// `TCP_NEW_SYN_RECV` of `include/net/tcp_states.h`: the state of a request.
pub const NEW_SYN_RECV: u8 = 12;

/// What a timer belongs to.
pub enum Of {
    TimeWait(Addr),
    Request(Addr),
}

/// The minisocket or request a timer is part of. `timer` is typed.
#[inline(always)]
pub fn owner_of(timer: Addr) -> Option<Of> {
    let function: u64 = Typed::get(timer, Field::TimerFunction)?;
    if function == 0 {
        return None;
    }
    let tw = timer.wrapping_sub(offset(Field::TwTimer) as usize);
    let req = timer.wrapping_sub(offset(Field::ReqTimer) as usize);
    if is(function, &TW_TIMER, &TW_TIMER_SEEN, || netstat_is_time_wait(Typed::number(tw)) != 0) {
        Some(Of::TimeWait(tw))
    } else if is(function, &REQ_TIMER, &REQ_TIMER_SEEN, || is_request(req)) {
        Some(Of::Request(req))
    } else {
        None
    }
}

/// Whether a timer's function is the one whose address was told, or was seen before. If neither was, a look at what the timer is part of
/// decides, and it is seen from then on.
#[inline(always)]
fn is(function: u64, told: &Global<u64>, seen: &Word, look: impl Fn() -> bool) -> bool {
    let known = match told.load() {
        0 => seen.load(),
        told => told,
    };
    if known == 0 && look() {
        seen.exchange_if(0, function);
        return true;
    }
    function == known
}

/// Sees the function in the timer of a minisocket. The first one to end need not be in the table any more.
#[inline(always)]
pub fn learn(tw: Addr) {
    if TW_TIMER.load() == 0 && TW_TIMER_SEEN.load() == 0 {
        let timer = tw.wrapping_add(offset(Field::TwTimer) as usize);
        TW_TIMER_SEEN.exchange_if(0, Probed::get(timer, Field::TimerFunction).unwrap_or_default());
    }
}

/// Whether there is a minisocket where a timer might be part of one: it has the state of one, and is in the table it would be in.
/// The verifier checks it by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_is_time_wait(tw: u64) -> u32 {
    let tw = tw as Addr;
    let is_it = Probed::get(tw, Field::SkcState) == Some(TIME_WAIT)
        && Probed::follow(tw, Field::SkcNet)
            .zip(Probed::get(tw, Field::SkcHash))
            .is_some_and(|(net, hash)| ehash::search(net, hash, |entry| entry == tw).is_some());
    u32::from(is_it)
}

/// Whether there is a request where a timer might be part of one: it has the state of one, and waits at a listener with its port.
#[inline(always)]
fn is_request(req: Addr) -> bool {
    Probed::get(req, Field::SkcState) == Some(NEW_SYN_RECV)
        && Probed::follow(req, Field::ReqListener).is_some_and(|listener| {
            Probed::get(listener, Field::SkcState) == Some(LISTEN)
                && Probed::get::<u16>(listener, Field::SkcNum) == Probed::get(req, Field::SkcNum)
        })
}

/// Whether a timer is running (`timer_pending`): the second word of a `struct hlist_node` leads back to the list it is in.
#[inline(always)]
pub fn runs(timer: Addr) -> bool {
    let entry = offset(Field::TimerEntry);
    entry != ABSENT && Probed::at::<u64>(timer.wrapping_add(entry as usize + 8)) != 0
}

/// Whether a timer is stopped because it has run out, and its function is about to be called: then it is the first of a list that lies on
/// the stack (`heads` in `__run_timers`), as does the context `ctx` of the program. The others are in the wheel.
#[inline(always)]
pub fn has_run_out(ctx: *mut core::ffi::c_void, timer: Addr) -> bool {
    /// Less than the stack of any kernel. What is compared are functions that call each other.
    const STACK: u64 = 8 << 10;
    let entry = offset(Field::TimerEntry);
    if entry == ABSENT {
        return false;
    }
    // `pprev`, the second word of a `struct hlist_node`.
    let before: u64 = Typed::at(timer.wrapping_add(entry as usize + 8));
    before.wrapping_sub(Typed::number(ctx.cast_const().cast())) < STACK
}

/// Whether it is known at once why a timer is stopped: that takes the addresses of the functions that do it.
#[inline(always)]
pub fn tells_why() -> bool {
    MOD_PENDING.load() != 0
}

/// Whether a timer is cancelled only to be started again (`mod_timer_pending`): that is among the callers then.
#[inline(always)]
pub fn is_set_anew(ctx: *mut core::ffi::c_void) -> bool {
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
