//! What user space has set up: whether the programs do anything yet, and which hooks are theirs.

use crate::sys::{self, Word};
use aya_ebpf::{Global, macros::map, maps::Array};
use netstat_ebpf::phase;

/// What the programs do: [`phase`].
#[map]
static STARTED: Array<Word> = Array::with_max_entries(1, 0);

/// Whether the hook on transitions sees connections begin (`LISTEN` → `SYN_RECV`).
#[map]
static BIRTHS: Array<Word> = Array::with_max_entries(1, 0);

/// Whether a task can be preempted in a program, and others stand in for it.
#[unsafe(no_mangle)]
static PREEMPTED: Global<u32> = Global::new(0);

/// Whether the programs are to run without being preempted.
#[unsafe(no_mangle)]
static UNDISTURBED: Global<u32> = Global::new(0);

/// What the programs do: [`phase`], or since when they report.
#[inline(always)]
fn started() -> u64 {
    STARTED.get(0).map_or(phase::OFF, |started| started.load())
}

/// Whether every hook is attached.
#[inline(always)]
pub fn enabled() -> bool {
    started() != phase::OFF
}

/// Since when events are reported; `None` while they are not.
#[inline(always)]
pub fn since() -> Option<u64> {
    Some(started()).filter(|&started| started > phase::QUIET)
}

/// Whether the hook on transitions sees connections begin (`LISTEN` → `SYN_RECV`).
#[inline(always)]
pub fn sees_births() -> bool {
    BIRTHS.get(0).is_some_and(|births| births.load() != 0)
}

/// Whether a task can be preempted in a program, and others stand in for it.
#[inline(always)]
pub fn are_preempted() -> bool {
    PREEMPTED.load() != 0
}

/// Runs the body of a program, with preemption off where user space found out how that is done.
#[inline(always)]
pub fn undisturbed(body: impl FnOnce()) {
    sys::undisturbed_if(UNDISTURBED.load() != 0, body);
}
