//! The records of sockets: which are wanted, and how they are written.

use crate::{
    count::count,
    owner::owner_now,
    read::UNKNOWN_INODE,
    remembered::Remembered,
    ring::{reserve, submit},
    setup::since,
    sys::{bytes, now},
    wanted,
};
use netstat_ebpf::{
    BORN, CloseRecord, Grade, HAS_INODE, HAS_TOTALS, HAS_TUPLE, HAS_UID, Kind, NO_LPORT, RAW, Reason, Record,
    UNKNOWN_NS, UNSEEN, counter,
};

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
