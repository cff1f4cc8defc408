//! Room in the ring buffer, and when its reader is woken.

use crate::{count::count, sys::bytes};
use aya_ebpf::{
    Global,
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    macros::map,
    maps::{RingBuf, ring_buf::RingBufEntry},
};
use netstat_ebpf::{Kind, ProcessRecord, counter};

#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(16 << 20, 0);

#[unsafe(no_mangle)]
static WAKE_BYTES: Global<u32> = Global::new(1 << 20);
#[unsafe(no_mangle)]
static WAKE_MASK: Global<u32> = Global::new(0);

/// Room in the ring buffer, or `None` and one more lost.
#[inline(always)]
pub fn reserve<T: 'static>() -> Option<RingBufEntry<T>> {
    let entry = EVENTS.reserve::<T>(0);
    if entry.is_none() {
        count(counter::LOST);
    }
    entry
}

/// Hands a filled record over. The reader comes by every few milliseconds; it is woken only when much is pending, which not every record
/// looks for.
#[inline(always)]
pub fn submit<T: 'static>(entry: RingBufEntry<T>, time_ns: u64) {
    let look = time_ns as u32 & WAKE_MASK.load() == 0;
    let much = look && EVENTS.query(u64::from(BPF_RB_AVAIL_DATA)) >= u64::from(WAKE_BYTES.load());
    entry.submit(u64::from(if much { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP }));
}

/// Reports the name of the process with an id and a start, or its end; false where there is no room. It is no event: the name can be found out
/// in another way.
#[inline(always)]
pub fn report_process(kind: Kind, (pid, start): (u32, u32), name: [u64; 2]) -> bool {
    let Some(mut entry) = EVENTS.reserve::<ProcessRecord>(0) else { return false };
    entry.write(ProcessRecord { kind: kind as u8, pad: [0; 3], pid, start, pad2: 0, comm: bytes(name) });
    entry.submit(u64::from(BPF_RB_NO_WAKEUP));
    true
}
