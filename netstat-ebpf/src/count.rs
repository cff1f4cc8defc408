//! Counters: what could not be reported, and what user space needs to know of the hooks.

use crate::sys::Word;
use aya_ebpf::{macros::map, maps::PerCpuArray};
use netstat_ebpf::counter;

#[map]
static COUNTERS: PerCpuArray<Word> = PerCpuArray::with_max_entries(counter::COUNT, 0);

/// Adds one to a per-CPU counter. A softirq may interrupt the program: only an atomic addition keeps the count.
#[inline(always)]
pub fn count(index: u32) {
    if let Some(counter) = COUNTERS.get(index) {
        counter.add(1);
    }
}
