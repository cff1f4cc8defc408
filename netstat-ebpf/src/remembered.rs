//! What is remembered of each live socket, TIME_WAIT minisocket and connection request: an entry by address.

use crate::{
    COUNTERS, KEYS, MORE_SOCKETS, SOCKETS,
    atomic::Word,
    owner::Process,
    read::{Addr, Memory},
    report::jiffies,
};
use aya_ebpf::bindings::BPF_NOEXIST;
use netstat_ebpf::{Field, Grade, HAS_UID, IPPROTO_TCP, RAW, Reason, counter};

/// What is remembered of a socket, a TIME_WAIT minisocket or a connection request: two cache lines, the second for its beginning and end.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Remembered {
    /// When it entered its present state, 0 if before the tracer.
    pub state_ns: u64,
    /// Cookie, 0 if not known yet.
    pub cookie: u64,
    /// Owner; `grade` says whether there is one.
    pub owner: Process,
    pub uid: u32,
    pub netns: u32,
    pub lport: u16,
    pub rport: u16,
    /// `HAS_TUPLE`, `NO_LPORT`, `HAS_UID`, `RAW`, `UNSEEN` of the ABI, and the flags below.
    pub flags: u8,
    pub grade: u8,
    pub reason: u8,
    pub family: u8,
    pub protocol: u16,
    /// The TCP state it was seen to enter last, 0 if none was.
    pub state: u8,
    /// The marks below.
    pub marks: u8,
    /// Id of the cgroup that the owner was in when it became that, 0 if unknown.
    pub cgroup: u32,
    pub laddr: [u64; 2],
    pub raddr: [u64; 2],
    /// When it was created, 0 if before the tracer.
    pub created_ns: u64,
    /// Of a socket whose process has closed it: one more than the segments with data that had come until then, if none of them waits. Of a
    /// minisocket or a request: when its timer was stopped, if that may have been for good. Of a child whose birth was not reported: when it was
    /// made, in jiffies. 0 otherwise.
    pub mark: u64,
    /// The process that closed it; `tgid` is 0 if none has.
    pub closer: Process,
    /// Payload bytes received and sent on connections that are over.
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rtt_us: u32,
    pub retransmits: u32,
}

const _: () = assert!(size_of::<Remembered>() == 128);

/// [`Remembered::flags`]: totals of a finished connection are in.
pub const COUNTED: u8 = 1 << 5;
/// [`Remembered::flags`]: this end sent a reset.
pub const SENT_RESET: u8 = 1 << 6;
/// [`Remembered::flags`] of a child: its birth is not reported yet.
pub const UNREPORTED: u8 = 1 << 7;

/// [`Remembered::marks`]: its last connection ended while a process still held it, whose close(2) destroys it.
pub const HELD: u8 = 1 << 0;
/// [`Remembered::marks`]: another program refused its creation; nothing of it is reported.
pub const REFUSED: u8 = 1 << 1;
/// [`Remembered::marks`]: its process has asked for a connection, and no SYN was sent yet.
pub const CONNECTING: u8 = 1 << 2;
/// [`Remembered::marks`]: its end is reported, by the program that stands in for another. That one may still come.
pub const ENDED: u8 = 1 << 3;
/// [`Remembered::marks`]: it is what a connection leaves behind after its socket: `struct inet_timewait_sock`.
pub const MINI: u8 = 1 << 4;
/// [`Remembered::marks`]: when the owner became that, it was in none of the cgroups that are wanted.
pub const OUTSIDE: u8 = 1 << 5;

impl Remembered {
    /// A socket nothing is known of.
    pub const NOTHING: Self = Self {
        state_ns: 0,
        cookie: 0,
        owner: Process::NONE,
        uid: 0,
        netns: 0,
        lport: 0,
        rport: 0,
        flags: 0,
        grade: Grade::None as u8,
        reason: Reason::Closed as u8,
        family: 0,
        protocol: 0,
        state: 0,
        marks: 0,
        cgroup: 0,
        laddr: [0; 2],
        raddr: [0; 2],
        created_ns: 0,
        mark: 0,
        closer: Process::NONE,
        rx_bytes: 0,
        tx_bytes: 0,
        rtt_us: 0,
        retransmits: 0,
    };

    /// Whether this is of a TCP socket whose end no program has seen.
    #[inline(always)]
    fn is_unended(&self) -> bool {
        self.cookie != 0
            && self.protocol == IPPROTO_TCP
            && self.flags & (UNREPORTED | RAW) == 0
            && self.marks & (REFUSED | ENDED | MINI) == 0
    }

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

/// After how many jiffies a child whose birth was not reported cannot be one any more: a second, or up to ten.
const UNBORN: u64 = 1_000;

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
        let claimed = |&way: &usize| self.keys[way].load() == 0 && self.keys[way].exchange_if(0, key) == 0;
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

/// Gives a key an entry that says nothing yet; 0 if it could not: another processor was faster. The verifier checks it by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_remember(key: u64) -> u32 {
    let Some((set, index)) = Set::of(key) else { return 0 };
    let mut r = set.find(index, key);
    // SAFETY: a value of a map.
    if !r.is_null() && unsafe { (*r).is_unended() } {
        count(counter::LOST);
    }
    if r.is_null() {
        r = set.claim(index, key);
    }
    if r.is_null() && make_room(key).is_some() {
        r = set.find(index, key);
    }
    if r.is_null() {
        return 0;
    }
    // SAFETY: a value of a map.
    unsafe { *r = Remembered::NOTHING };
    1
}

/// Makes room where a set is full: in the map of those, else in the place of the entry of the set that nothing has happened to for the
/// longest time.
#[inline(always)]
fn make_room(key: u64) -> Option<()> {
    let (set, index) = Set::of(key)?;
    let now = jiffies();
    let (mut oldest, mut oldest_ns, mut free) = (0, u64::MAX, false);
    for way in 0..WAYS {
        let r = entry(index, way);
        if r.is_null() {
            return None;
        }
        // SAFETY: a value of a map.
        let (since_ns, flags, marks, mark) = unsafe { ((*r).state_ns, (*r).flags, (*r).marks, (*r).mark) };
        // The kernel drops a child that another processor has made first without a word (`inet_csk_complete_hashdance`).
        if marks & ENDED != 0 || flags & UNREPORTED != 0 && now.wrapping_sub(mark) > UNBORN {
            (oldest, free) = (way, true);
        } else if since_ns < oldest_ns && !free {
            (oldest, oldest_ns) = (way, since_ns);
        }
    }
    if !free && MORE_SOCKETS.insert(key, &NOTHING, u64::from(BPF_NOEXIST)).is_ok() {
        set.beyond.add(1);
        return Some(());
    }
    let word = set.keys.get(oldest)?;
    let before = word.load();
    if word.exchange_if(before, key) != before {
        return None;
    }
    if before != 0 && !free {
        count(counter::FORGOTTEN);
    }
    Some(())
}

/// What is remembered of a socket, null if nothing.
#[inline(always)]
pub fn recall<M: Memory>(sk: Addr) -> *mut Remembered {
    let key = M::key(sk);
    Set::of(key).map_or(core::ptr::null_mut(), |(set, index)| set.find(index, key))
}

/// Starts to remember a socket nothing is known of, in place of one that had its address before. Null only where another processor takes the
/// last place at the same moment.
#[inline(always)]
pub fn remember<M: Memory>(sk: Addr) -> *mut Remembered {
    let key = M::key(sk);
    if netstat_remember(key) == 0 {
        return core::ptr::null_mut();
    }
    Set::of(key).map_or(core::ptr::null_mut(), |(set, index)| set.find(index, key))
}

/// The state that a socket is remembered to be in, 0 if it is not. The verifier checks it by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_state_of(key: u64) -> u32 {
    let Some((set, index)) = Set::of(key) else { return 0 };
    let r = set.find(index, key);
    // SAFETY: a value of a map.
    if r.is_null() { 0 } else { u32::from(unsafe { (*r).state }) }
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

/// Adds one to a per-CPU counter. A softirq may interrupt the program: only an atomic addition keeps the count.
#[inline(always)]
pub fn count(index: u32) {
    if let Some(counter) = COUNTERS.get(index) {
        counter.add(1);
    }
}
