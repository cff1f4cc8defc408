//! Whose a timer is, and what it means that one is stopped. Both follow from the addresses of functions of the kernel. Where these are not
//! known, the first timer of a minisocket and the first of a request are recognised by what they are part of, and what a stop means shows a
//! little later.

use crate::{
    ehash,
    read::{Memory, Probed, Typed, offset},
    sys::{Addr, Word, address_of, callers},
};
use aya_ebpf::{EbpfContext, Global};
use netstat_ebpf::{
    ABSENT, Field,
    linux::tcp::{LISTEN, NEW_SYN_RECV, TIME_WAIT},
};

/// Addresses of kernel functions, from user space; 0 where they are not known.
macro_rules! addresses {
    ($($name:ident),+) => {
        $(#[unsafe(no_mangle)] static $name: Global<u64> = Global::new(0);)+
    };
}

addresses!(TW_TIMER, REQ_TIMER, MOD_TIMER, MOD_TIMER_END, MOD_PENDING, MOD_PENDING_END);

/// `tw_timer_handler` and `reqsk_timer_handler` where their addresses are not known, once one has come by.
static TW_TIMER_SEEN: Word = Word::new(0);
static REQ_TIMER_SEEN: Word = Word::new(0);

/// What a timer belongs to.
pub enum Of {
    TimeWait(Addr),
    Request(Addr),
}

/// The minisocket or request a timer is part of. `timer` is typed.
#[inline(always)]
pub fn owner_of(timer: Addr) -> Option<Of> {
    let is_mini = |mini: Addr, state: u8| netstat_is_mini(Typed::number(mini), state.into()) != 0;
    let function: u64 = Typed::get(timer, Field::TimerFunction)?;
    if function == 0 {
        return None;
    }
    let tw = timer.wrapping_sub(offset(Field::TwTimer) as usize);
    let req = timer.wrapping_sub(offset(Field::ReqTimer) as usize);
    if is(function, &TW_TIMER, &TW_TIMER_SEEN, || is_mini(tw, TIME_WAIT)) {
        Some(Of::TimeWait(tw))
    } else if is(function, &REQ_TIMER, &REQ_TIMER_SEEN, || is_mini(req, NEW_SYN_RECV)) {
        Some(Of::Request(req))
    } else {
        None
    }
}

/// Whether a timer's function is the one at the given address, or the one seen before. If there is neither, a look at what the timer is part
/// of decides, and the function is seen from then on.
#[inline(always)]
fn is(function: u64, given: &Global<u64>, seen: &Word, look: impl Fn() -> bool) -> bool {
    let known = match given.load() {
        0 => seen.load(),
        given => given,
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

/// Whether there is a minisocket, or a request, where a timer might be part of one: it has the state of one, and is where it would be. The verifier checks
/// it by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_is_mini(mini: u64, state: u32) -> u32 {
    let mini = mini as Addr;
    let is_it = Probed::get::<u8>(mini, Field::SkcState).map(u32::from) == Some(state)
        && (waits_at_listener(mini, state) || is_in_table(mini));
    u32::from(is_it)
}

/// Whether it is a request at a listener with its port: one that is given up is in no table any more.
#[inline(always)]
fn waits_at_listener(mini: Addr, state: u32) -> bool {
    state == u32::from(NEW_SYN_RECV)
        && Probed::follow(mini, Field::ReqListener).is_some_and(|listener| {
            Probed::get(listener, Field::SkcState) == Some(LISTEN)
                && Probed::get::<u16>(listener, Field::SkcNum) == Probed::get(mini, Field::SkcNum)
        })
}

/// Whether it is in the table of connections.
#[inline(always)]
fn is_in_table(mini: Addr) -> bool {
    Probed::follow(mini, Field::SkcNet)
        .zip(Probed::get(mini, Field::SkcHash))
        .is_some_and(|(net, hash)| ehash::search(net, hash, |entry| entry == mini).is_some())
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
pub fn has_run_out(ctx: &impl EbpfContext, timer: Addr) -> bool {
    /// Less than the stack of any kernel. What is compared are functions that call each other.
    const STACK: u64 = 8 << 10;
    let entry = offset(Field::TimerEntry);
    if entry == ABSENT {
        return false;
    }
    // `pprev`, the second word of a `struct hlist_node`.
    let before: u64 = Typed::at(timer.wrapping_add(entry as usize + 8));
    before.wrapping_sub(Typed::number(address_of(ctx))) < STACK
}

/// Whether it is known at once why a timer is stopped: that takes the addresses of the functions that do it.
#[inline(always)]
pub fn knows_why() -> bool {
    MOD_PENDING.load() != 0
}

/// Whether a timer is cancelled only to be started again (`mod_timer_pending`): that is among the callers then.
#[inline(always)]
pub fn is_set_anew(ctx: &impl EbpfContext) -> bool {
    const FRAMES: usize = 8;
    let within = |frame, from, to| frame >= from && frame < to;
    callers::<FRAMES>(ctx).iter().any(|&frame| {
        within(frame, MOD_TIMER.load(), MOD_TIMER_END.load())
            || within(frame, MOD_PENDING.load(), MOD_PENDING_END.load())
    })
}
