//! Several programs on one transition, or end: which of them reports it.
//!
//! The kernel does not run a program that it has interrupted for a softirq once more in that, and since Linux 7.0 it leaves a program out while
//! another task has been preempted in it. What happens then is left to a second and a third program.

use crate::{
    count::count,
    pending::pending,
    read::Memory,
    setup::are_preempted,
    store::netstat_state_of,
    sys::{Addr, Word},
};
use netstat_ebpf::counter;

/// Whether the programs that stand in for others are run before those. Then they cannot know what is left out, and report nothing any more.
static CLASSIC_FIRST: Word = Word::new(0);

/// Whether the programs that stand in for others report what is left out.
#[inline(always)]
pub fn stand_ins_report() -> bool {
    CLASSIC_FIRST.load() == 0
}

/// In [`Pending::seen`](crate::pending::Pending::seen), beside the state: the first program on a transition was left out, and the second goes on in
/// it.
const NESTED: u8 = 1 << 7;

/// Notes that a transition is being taken care of, for the second program on it: unless it is that one that goes on here.
#[inline(always)]
pub fn see(sk: Addr, new: u8) {
    let Some(pending) = pending() else { return };
    if pending.seen.is(sk, new | NESTED) {
        pending.seen.clear();
    } else {
        pending.seen.set(sk, new);
    }
}

/// Notes that a transition was taken care of in place of another program.
#[inline(always)]
pub fn stand_in(sk: Addr, new: u8) {
    if let Some(pending) = pending() {
        pending.stood_in.set(sk, new);
    }
}

/// Whether `state_left_out` has just reported this transition. It runs before the program that it stands in for where another tracer was on
/// the classic tracepoint first.
#[inline(always)]
pub fn is_taken<M: Memory>(sk: Addr, old: u8, new: u8) -> bool {
    if !are_preempted() || !stand_ins_report() || old == new {
        return false;
    }
    let Some(pending) = pending() else { return false };
    let noted = pending.stood_in.is(sk, new);
    // The next transition of this kind is another one.
    pending.stood_in.clear();
    // Either of them alone may be of a socket that had the address before.
    let taken = noted && !is_left_out::<M>(sk, new);
    if taken {
        CLASSIC_FIRST.store(1);
        count(counter::STAND_INS_OFF);
    }
    taken
}

/// Whether nobody has taken care of a transition, so that the second program on it goes on in the first. Most are found by the note alone; it may
/// have been written over meanwhile, and then the state that the socket is remembered to be in decides.
#[inline(always)]
pub fn is_unseen<M: Memory>(sk: Addr, new: u8) -> bool {
    let Some(pending) = pending() else { return false };
    if pending.seen.is(sk, new) {
        // It says nothing of the socket that has this address next.
        pending.seen.clear();
        return false;
    }
    let unseen = is_left_out::<M>(sk, new);
    if unseen {
        pending.seen.set(sk, new | NESTED);
    }
    unseen
}

/// The same, by the state that the socket is remembered to be in.
#[inline(always)]
pub fn is_left_out<M: Memory>(sk: Addr, new: u8) -> bool {
    netstat_state_of(M::key(sk)) != u32::from(new)
}
