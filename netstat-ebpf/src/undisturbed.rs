//! Since Linux 7.0 a task that runs a program on a tracepoint can be preempted there, and the kernel then leaves the program out for every
//! other task on that processor until the first one goes on. So preemption is put off until after the program: it is switched on again while
//! interrupts are off, when the kernel does not look for another task.
//!
//! The functions that do that are called by numbers that are no helper's (`BPF_CALL`): user space puts those of the kernel's BTF in their place,
//! and sets [`UNDISTURBED`], before it loads the object.

use crate::UNDISTURBED;
use core::mem::{MaybeUninit, transmute};
use netstat_ebpf::kfunc;

/// Runs the body of a program with preemption off, where user space found out how that is done.
#[inline(always)]
pub fn undisturbed(body: impl FnOnce()) {
    if UNDISTURBED.load() == 0 {
        body();
        return;
    }
    let mut flags = MaybeUninit::<u64>::uninit();
    // SAFETY: when this is loaded, these are the numbers of functions that take nothing, and of two that take the address of a word of the stack.
    unsafe {
        call(kfunc::PREEMPT_DISABLE)();
        body();
        call_with(kfunc::LOCAL_IRQ_SAVE)(flags.as_mut_ptr());
        call(kfunc::PREEMPT_ENABLE)();
        call_with(kfunc::LOCAL_IRQ_RESTORE)(flags.as_mut_ptr());
    }
}

#[inline(always)]
fn call(number: u32) -> unsafe extern "C" fn() {
    // SAFETY: it is never looked at, but for the call.
    unsafe { transmute(number as usize) }
}

#[inline(always)]
fn call_with(number: u32) -> unsafe extern "C" fn(*mut u64) {
    // SAFETY: as above.
    unsafe { transmute(number as usize) }
}
