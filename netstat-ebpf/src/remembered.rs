//! What is remembered of each live socket, and of what remains of one: an entry by address.

use crate::{
    COUNTERS, KEYS, MORE_SOCKETS, SCRATCH, SOCKETS,
    atomic::Word,
    read::{Addr, Memory},
};
use aya_ebpf::bindings::BPF_NOEXIST;
use netstat_ebpf::{Field, Grade, HAS_UID, IPPROTO_TCP, Reason, counter};

/// What is remembered of a socket, a TIME_WAIT minisocket or a connection request.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Remembered {
    /// When it was created, 0 if before the tracer.
    pub created_ns: u64,
    /// When it entered its present state, 0 if before the tracer.
    pub state_ns: u64,
    /// Of a socket whose process has closed it: one more than the segments with data that had come until then, if none of them waits. Of a
    /// minisocket or a request: when its timer was stopped, if that may have been for good. 0 otherwise.
    pub mark: u64,
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
/// [`Remembered::flags`] of a child: its birth is still to be told.
pub const UNTOLD: u8 = 1 << 7;

impl Remembered {
    /// A socket nothing is known of.
    pub const NOTHING: Self = Self {
        created_ns: 0,
        state_ns: 0,
        mark: 0,
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

    /// Fills in what a TCP socket is told apart by.
    #[inline(always)]
    pub fn describe_tcp(&mut self, family: u8, netns: Option<u32>) {
        self.family = family;
        self.protocol = IPPROTO_TCP;
        self.netns = netns.unwrap_or(0);
    }

    /// Takes over the user of the socket; it may change.
    #[inline(always)]
    pub fn learn_uid<M: Memory>(&mut self, sk: Addr) {
        if let Some(uid) = M::get(sk, Field::SkUid) {
            self.uid = uid;
            self.flags |= HAS_UID;
        }
    }
}

/// In the object's read-only data, for the map to copy from.
static NOTHING: Remembered = Remembered::NOTHING;

/// Binary logarithm of [`SETS`].
const SETS_BITS: u32 = 14;

/// Number of sets.
pub const SETS: u32 = 1 << SETS_BITS;

/// Entries of a set.
pub const WAYS: usize = 7;

/// The keys of some entries of [`SOCKETS`], those whose addresses hash to it: a cache line. A lookup is a handful of instructions in the
/// program itself; in the kernel's hash map it is a call, ten times as long, and there are some fifteen to a connection.
#[repr(C)]
pub struct Set {
    /// [`Memory::key`] of each entry, 0 where it is free.
    keys: [Word; WAYS],
    /// How many are in [`MORE_SOCKETS`] because this was full.
    beyond: Word,
}

impl Set {
    /// The set that a key belongs to, and its index.
    #[inline(always)]
    fn of(key: u64) -> Option<(&'static Self, u32)> {
        // Fibonacci hashing: addresses of one slab are multiples of its objects' size.
        let index = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - SETS_BITS)) as u32;
        // SAFETY: a value of the map; its words are atomics.
        KEYS.get_ptr(index).map(|set| (unsafe { &*set }, index))
    }

    /// The entry of a key, here or beyond, null if it has none.
    #[inline(always)]
    fn find(&self, index: u32, key: u64) -> *mut Remembered {
        match (0..WAYS).find(|&way| self.keys[way].load() == key) {
            Some(way) => entry(index, way),
            None if self.beyond.load() != 0 => MORE_SOCKETS.get_ptr_mut(key).unwrap_or(core::ptr::null_mut()),
            None => core::ptr::null_mut(),
        }
    }

    /// Gives a key an entry, null if none is free. What is in it is of one before.
    #[inline(always)]
    fn claim(&self, index: u32, key: u64) -> *mut Remembered {
        // The iterator that primes the table may come at the same time as an event.
        let claimed = |&way: &usize| {
            self.keys[way].load() == 0
                && matches!(self.keys[way].exchange_if(0, key), before if before == 0 || before == key)
        };
        match (0..WAYS).find(claimed) {
            Some(way) => entry(index, way),
            None => core::ptr::null_mut(),
        }
    }
}

#[inline(always)]
fn entry(index: u32, way: usize) -> *mut Remembered {
    SOCKETS.get_ptr_mut(index * WAYS as u32 + way as u32).unwrap_or(core::ptr::null_mut())
}

/// What is remembered of a socket, null if nothing.
#[inline(always)]
pub fn recall<M: Memory>(sk: Addr) -> *mut Remembered {
    let key = M::key(sk);
    Set::of(key).map_or(core::ptr::null_mut(), |(set, index)| set.find(index, key))
}

/// Starts to remember a socket nothing is known of, in place of one that had its address before; null, and counted, where there is no room.
#[inline(always)]
pub fn remember<M: Memory>(sk: Addr) -> *mut Remembered {
    let key = M::key(sk);
    let Some((set, index)) = Set::of(key) else { return core::ptr::null_mut() };
    let mut r = set.find(index, key);
    if r.is_null() {
        r = set.claim(index, key);
    }
    if r.is_null() {
        if MORE_SOCKETS.insert(key, &NOTHING, u64::from(BPF_NOEXIST)).is_ok() {
            set.beyond.add(1);
        }
        r = MORE_SOCKETS.get_ptr_mut(key).unwrap_or(core::ptr::null_mut());
    }
    if r.is_null() {
        count(counter::FORGOTTEN);
    } else {
        // SAFETY: a value of a map.
        unsafe { *r = Remembered::NOTHING };
    }
    r
}

/// The entry of a socket, or one that lasts as long as this call.
#[inline(always)]
pub fn or_scratch(r: *mut Remembered) -> *mut Remembered {
    if !r.is_null() {
        return r;
    }
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return core::ptr::null_mut() };
    // SAFETY: the value is this CPU's own.
    unsafe { *scratch = Remembered::NOTHING };
    scratch
}

/// The entry that a program has found or made for a socket before, once more: if that was kept through a loop, the verifier would follow the
/// loop for each place that it may come from.
#[inline(always)]
pub fn still<M: Memory>(sk: Addr) -> *mut Remembered {
    let r = recall::<M>(sk);
    if r.is_null() { SCRATCH.get_ptr_mut(0).unwrap_or(core::ptr::null_mut()) } else { r }
}

/// Forgets a socket.
#[inline(always)]
pub fn forget<M: Memory>(sk: Addr) {
    let key = M::key(sk);
    let Some((set, _)) = Set::of(key) else { return };
    for way in &set.keys {
        if way.load() == key {
            // What was read of the entry was read before somebody else fills it.
            way.exchange_if(key, 0);
            return;
        }
    }
    if set.beyond.load() != 0 && MORE_SOCKETS.remove(key).is_ok() {
        set.beyond.add(u64::MAX);
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
