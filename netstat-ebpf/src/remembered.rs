//! What is remembered of each live socket, and of what remains of one: an entry by address.

use crate::{
    COUNTERS, MORE_SOCKETS, SCRATCH, SOCKETS,
    read::{Addr, Memory},
};
use netstat_ebpf::{Field, Grade, HAS_UID, Reason, counter};

/// What is remembered of a socket, a TIME_WAIT minisocket or a connection request.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Remembered {
    /// When it was created, 0 if before the tracer.
    pub created_ns: u64,
    /// When it entered its present state, 0 if before the tracer.
    pub state_ns: u64,
    /// Cookie, 0 if not known yet.
    pub cookie: u64,
    /// Payload bytes received and sent on connections that are over.
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub laddr: [u64; 2],
    pub raddr: [u64; 2],
    /// Owner; `grade` tells whether there is one.
    pub comm: [u64; 2],
    pub tgid: u32,
    pub uid: u32,
    pub netns: u32,
    pub rtt_us: u32,
    pub retransmits: u32,
    pub lport: u16,
    pub rport: u16,
    /// `HAS_TUPLE`, `HAS_UID`, `RAW` of the ABI, and the marks below.
    pub flags: u8,
    pub grade: u8,
    pub reason: u8,
    pub family: u8,
    pub protocol: u16,
    /// The TCP state it was told to enter last, 0 if none was.
    pub state: u8,
    /// 1 for what remains of a connection after its socket: `struct inet_timewait_sock`.
    pub mini: u8,
}

/// [`Remembered::flags`]: totals of a finished connection are in.
pub const COUNTED: u8 = 1 << 5;
/// [`Remembered::flags`]: this end sent a reset.
pub const SENT_RESET: u8 = 1 << 6;
/// [`Remembered::flags`] of a child: its birth is still to be told. Of a connection request: its timer has run out.
pub const UNTOLD: u8 = 1 << 7;

impl Remembered {
    /// A socket nothing is known of.
    pub const NOTHING: Self = Self {
        created_ns: 0,
        state_ns: 0,
        cookie: 0,
        rx_bytes: 0,
        tx_bytes: 0,
        laddr: [0; 2],
        raddr: [0; 2],
        comm: [0; 2],
        tgid: 0,
        uid: 0,
        netns: 0,
        rtt_us: 0,
        retransmits: 0,
        lport: 0,
        rport: 0,
        flags: 0,
        grade: Grade::None as u8,
        reason: Reason::Closed as u8,
        family: 0,
        protocol: 0,
        state: 0,
        mini: 0,
    };

    /// Takes over the user of the socket; it may change.
    #[inline(always)]
    pub fn learn_uid<M: Memory>(&mut self, sk: Addr) {
        if let Some(uid) = M::get(sk, Field::SkUid) {
            self.uid = uid;
            self.flags |= HAS_UID;
        }
    }
}

/// In the object's read-only data, for the map to copy from: built on the stack it would cost more than the copy.
static NOTHING: Remembered = Remembered::NOTHING;

/// What is remembered of a socket, null if nothing.
#[inline(always)]
pub fn recall(sk: Addr) -> *mut Remembered {
    match SOCKETS.get_ptr_mut(sk as u64) {
        Some(known) => known,
        None => MORE_SOCKETS.get_ptr_mut(sk as u64).unwrap_or(core::ptr::null_mut()),
    }
}

/// Remembers a socket with what is known of it, in place of one that had its address before; counts it where there is no room.
#[inline(always)]
pub fn remember_as(sk: Addr, known: &Remembered) {
    let sk = sk as u64;
    if SOCKETS.insert(sk, known, 0).is_err() && MORE_SOCKETS.insert(sk, known, 0).is_err() {
        count(counter::FORGOTTEN);
    }
}

/// Starts to remember a socket nothing is known of; null where there is no room.
#[inline(always)]
pub fn remember(sk: Addr) -> *mut Remembered {
    remember_as(sk, &NOTHING);
    recall(sk)
}

/// The entry of a socket, or one that lasts as long as this call.
#[inline(always)]
pub fn or_scratch(r: *mut Remembered) -> *mut Remembered {
    if !r.is_null() {
        return r;
    }
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return core::ptr::null_mut() };
    // SAFETY: the value is this CPU's own.
    unsafe { *scratch = NOTHING };
    scratch
}

/// Forgets a socket.
#[inline(always)]
pub fn forget(sk: Addr) {
    if SOCKETS.remove(sk as u64).is_err() {
        // Nothing is left to do if it was never remembered.
        let _ = MORE_SOCKETS.remove(sk as u64);
    }
}

/// Adds one to a per-CPU counter.
#[inline(always)]
pub fn count(index: u32) {
    if let Some(counter) = COUNTERS.get_ptr_mut(index) {
        // SAFETY: the counter is this CPU's own.
        unsafe { *counter += 1 };
    }
}
