//! Records into the ring buffer: which are wanted, and how they are written.

use crate::{
    EVENTS, STARTED, WAKE_BYTES, WAKE_MASK,
    owner::{Process, owner_now},
    remembered::{Remembered, count},
    wanted,
};
use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::{bpf_jiffies64, bpf_ktime_get_ns},
    maps::ring_buf::RingBufEntry,
};
use netstat_ebpf::{
    BORN, CloseRecord, Grade, HAS_INODE, HAS_TOTALS, HAS_TUPLE, HAS_UID, Kind, NO_LPORT, ProcessRecord, RAW, Reason,
    Record, UNKNOWN_NS, UNSEEN, counter, phase,
};

/// The time, in nanoseconds of `CLOCK_MONOTONIC`.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: takes nothing, returns a number.
    unsafe { bpf_ktime_get_ns() }
}

/// The time in jiffies, which costs nothing.
#[inline(always)]
pub fn jiffies() -> u64 {
    // SAFETY: takes nothing, returns a number.
    unsafe { bpf_jiffies64() }
}

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

/// Room in the ring buffer, or `None` and one more lost.
#[inline(always)]
fn reserve<T: 'static>() -> Option<RingBufEntry<T>> {
    let entry = EVENTS.reserve::<T>(0);
    if entry.is_none() {
        count(counter::LOST);
    }
    entry
}

/// Hands a filled record over. The reader comes by every few milliseconds; it is woken only when much is pending, which not every record
/// looks for.
#[inline(always)]
fn submit<T: 'static>(entry: RingBufEntry<T>, time_ns: u64) {
    let look = time_ns as u32 & WAKE_MASK.load() == 0;
    let much = look && EVENTS.query(u64::from(BPF_RB_AVAIL_DATA)) >= u64::from(WAKE_BYTES.load());
    entry.submit(u64::from(if much { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP }));
}

/// In place of an inode that cannot be read. Not an `Option`: of a `None` the compiler copies what it never wrote, which the verifier refuses.
pub const UNKNOWN_INODE: u64 = u64::MAX;

/// The part that all records of a socket have.
#[inline(always)]
fn record(kind: Kind, r: &Remembered, time_ns: u64, inode: u64, held: bool) -> Record {
    let (owner, grade) = owner_now(r, held);
    Record {
        kind: kind as u8,
        old_state: 0,
        new_state: 0,
        grade,
        family: r.family,
        flags: (r.flags & (HAS_TUPLE | NO_LPORT | RAW | HAS_UID | UNSEEN))
            | if inode == UNKNOWN_INODE { 0 } else { HAS_INODE },
        protocol: r.protocol,
        time_ns,
        in_state_ns: UNKNOWN_NS,
        cookie: r.cookie,
        inode: if inode == UNKNOWN_INODE { 0 } else { inode },
        netns: r.netns,
        uid: r.uid,
        pid: owner.tgid,
        start: owner.start,
        lport: r.lport,
        rport: r.rport,
        cgroup: if grade == Grade::None as u8 { 0 } else { r.cgroup },
        laddr: bytes(r.laddr),
        raddr: bytes(r.raddr),
    }
}

/// Two words as they lie in memory.
#[inline(always)]
fn bytes(words: [u64; 2]) -> [u8; 16] {
    // SAFETY: any sixteen bytes are a byte array.
    unsafe { core::mem::transmute(words) }
}

/// How long ago something was, [`UNKNOWN_NS`] if that was before the tracer.
#[inline(always)]
fn lasted(from_ns: u64, time_ns: u64, since_ns: u64) -> u64 {
    // `from_ns` is 0 where it is not known.
    if from_ns < since_ns { UNKNOWN_NS } else { time_ns.saturating_sub(from_ns) }
}

/// Reports that a socket was created.
#[inline(always)]
pub fn report_open(r: &Remembered, inode: u64, time_ns: u64) {
    if since().is_none() || !wanted::kind(Kind::Open) || !wanted::socket(r, inode) {
        return;
    }
    if let Some(mut entry) = reserve::<Record>() {
        entry.write(record(Kind::Open, r, time_ns, inode, false));
        submit(entry, time_ns);
    }
}

/// Reports a transition. `entered_ns` is when the socket entered the old state, 0 if unknown. `born`: it is the first one of a child that began
/// its life when it entered that state. `held`: a process holds the socket, and has not closed it just now.
#[inline(always)]
pub fn report_state(
    r: &Remembered,
    (inode, held): (u64, bool),
    (old, new): (u8, u8),
    time_ns: u64,
    entered_ns: u64,
    born: bool,
) {
    let Some(since_ns) = since() else { return };
    if !wanted::transition(old, new) || !wanted::socket(r, inode) {
        return;
    }
    let born = born && entered_ns >= since_ns;
    let entry = reserve::<Record>();
    if entry.is_none() && born {
        // It would have reported two transitions.
        count(counter::LOST);
    }
    if let Some(mut entry) = entry {
        let written = entry.write(record(Kind::State, r, time_ns, inode, held));
        if born {
            written.flags |= BORN;
        }
        written.old_state = old;
        written.new_state = new;
        written.in_state_ns = lasted(entered_ns, time_ns, since_ns);
        submit(entry, time_ns);
    }
}

/// Reports the end of a socket.
#[inline(always)]
pub fn report_close(r: &Remembered, inode: u64, totals: bool, reason: Reason) {
    let Some(since_ns) = since() else { return };
    if !wanted::kind(Kind::Close) || !wanted::socket(r, inode) {
        return;
    }
    let time_ns = now();
    if let Some(mut entry) = reserve::<CloseRecord>() {
        entry.write(CloseRecord {
            record: record(Kind::Close, r, time_ns, inode, false),
            duration_ns: lasted(r.created_ns, time_ns, since_ns),
            rx_bytes: r.rx_bytes,
            tx_bytes: r.tx_bytes,
            rtt_us: r.rtt_us,
            retransmits: r.retransmits,
            closer_pid: r.closer.tgid,
            closer_start: r.closer.start,
            reason: reason as u8,
            totals: if totals { HAS_TOTALS } else { 0 },
            pad: [0; 6],
        });
        submit(entry, time_ns);
    }
}

/// Reports the name of a process, or its end; false where there is no room. It is no event: the name can be found out in another way.
#[inline(always)]
pub fn report_process(kind: Kind, process: Process, name: [u64; 2]) -> bool {
    let Some(mut entry) = EVENTS.reserve::<ProcessRecord>(0) else { return false };
    entry.write(ProcessRecord {
        kind: kind as u8,
        pad: [0; 3],
        pid: process.tgid,
        start: process.start,
        pad2: 0,
        comm: bytes(name),
    });
    entry.submit(u64::from(BPF_RB_NO_WAKEUP));
    true
}
