//! What is remembered of each live socket, TIME_WAIT minisocket and connection request: an entry by address.

use crate::{
    count::count,
    process::Process,
    read::Memory,
    setup::sees_births,
    sys::{Addr, Word, forget_value, jiffies, value, value_by_key},
};
use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, BPF_NOEXIST},
    macros::map,
    maps::{Array, HashMap},
};
use netstat_ebpf::{
    Field, Grade, HAS_UID, RAW, Reason, counter,
    linux::{IPPROTO_TCP, tcp::LISTEN},
};

/// Which entries of [`SOCKETS`] are whose. The flag has the values begin at a page, and so each set, and each entry, at a cache line.
#[map]
static KEYS: Array<Set> = Array::with_max_entries(SETS, BPF_F_MMAPABLE);

/// Live sockets, minisockets and requests: some 15 MB, taken beforehand.
#[map]
static SOCKETS: Array<Remembered> = Array::with_max_entries(SETS * WAYS as u32, BPF_F_MMAPABLE);

/// Those that found no room in their set. Memory is taken as they come.
#[map]
static MORE_SOCKETS: HashMap<u64, Remembered> = HashMap::with_max_entries(1 << 20, BPF_F_NO_PREALLOC);

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

    /// Another socket has its address: counts the end that the kernel left out of every program, if none has seen it.
    #[inline(always)]
    fn note_replaced(&self) {
        if self.cookie != 0
            && self.protocol == IPPROTO_TCP
            && self.flags & (UNREPORTED | RAW) == 0
            && self.marks & (REFUSED | ENDED | MINI) == 0
        {
            count(counter::LOST);
        }
    }

    /// Counts the transition, or the end, that the kernel left out of every program, if there was one before the socket was in this state; whether
    /// there was. Where the hook is on `tcp_set_state`, sockets begin to listen unseen.
    #[inline(always)]
    pub fn count_skipped(&self, state: u8) -> bool {
        let unseen = state == LISTEN && !sees_births();
        let skipped = self.state != 0 && self.state != state && self.flags & UNREPORTED == 0 && !unseen;
        if skipped {
            count(counter::LOST);
        }
        skipped
    }

    /// Fills in what distinguishes a TCP socket.
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
const SETS: u32 = 1 << SETS_BITS;

/// Entries of a set.
const WAYS: usize = 7;

/// The keys of some entries of [`SOCKETS`], those whose addresses hash to it: a cache line. A lookup is a handful of instructions in the
/// program itself; in the kernel's hash map it is a call, ten times as long, and there are some fifteen to a connection.
#[repr(C)]
struct Set {
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
        KEYS.get(index).map(|set| (set, index))
    }

    /// The entry of a key, here or beyond, `None` if it has none.
    #[inline(always)]
    fn find(&self, index: u32, key: u64) -> Option<&'static mut Remembered> {
        match (0..WAYS).find(|&way| self.keys[way].load() == key) {
            Some(way) => entry(index, way),
            None if self.beyond.load() != 0 => value_by_key(&MORE_SOCKETS, key),
            None => None,
        }
    }

    /// Gives a key an entry, `None` if none is free. What is in it is of one before.
    #[inline(always)]
    fn claim(&self, index: u32, key: u64) -> Option<&'static mut Remembered> {
        let claimed = |&way: &usize| self.keys[way].load() == 0 && self.keys[way].exchange_if(0, key) == 0;
        entry(index, (0..WAYS).find(claimed)?)
    }
}

#[inline(always)]
fn entry(index: u32, way: usize) -> Option<&'static mut Remembered> {
    value(&SOCKETS, index * WAYS as u32 + way as u32)
}

/// How often room is made that another processor does not take at the same moment.
const TRIES: usize = 4;

/// Gives a key an entry that says nothing yet; 0, and one more lost, if it could not: another processor was faster each time. The verifier checks it
/// by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_remember(key: u64) -> u32 {
    let Some((set, index)) = Set::of(key) else { return 0 };
    let mut found = set.find(index, key);
    if let Some(r) = &found {
        r.note_replaced();
    }
    if found.is_none() {
        found = set.claim(index, key);
    }
    for _ in 0..TRIES {
        if found.is_none() && netstat_make_room(key) != 0 {
            found = set.find(index, key);
        }
    }
    let Some(r) = found else {
        count(counter::LOST);
        return 0;
    };
    *r = Remembered::NOTHING;
    1
}

/// In place of the time since which nothing has happened to a socket, for an entry that can be given away.
const FREE: u64 = 0;

/// Since when nothing has happened to a socket, by its index in [`SOCKETS`]; [`FREE`] if the entry can be given away. The verifier checks it by itself,
/// once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_idle_since(index: u32, now: u64) -> u64 {
    let Some(r) = value(&SOCKETS, index) else { return u64::MAX };
    // The kernel drops a child that another processor has made first without a word (`inet_csk_complete_hashdance`).
    let over = r.marks & ENDED != 0 || r.flags & UNREPORTED != 0 && now.wrapping_sub(r.mark) > UNBORN;
    if over { FREE } else { r.state_ns.max(FREE + 1) }
}

/// Makes room where a set is full: in the map of those, else in the place of the entry of the set that nothing has happened to for the
/// longest time. 0 if another processor was faster. The verifier checks it by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_make_room(key: u64) -> u32 {
    u32::from(make_room(key).is_some())
}

#[inline(always)]
fn make_room(key: u64) -> Option<()> {
    let (set, index) = Set::of(key)?;
    let now = jiffies();
    let (mut oldest, mut oldest_ns) = (0, u64::MAX);
    for way in 0..WAYS {
        let since_ns = netstat_idle_since(index * WAYS as u32 + way as u32, now);
        if since_ns < oldest_ns {
            (oldest, oldest_ns) = (way, since_ns);
        }
        oldest = forget_value(oldest as u64) as usize;
    }
    let free = oldest_ns == FREE;
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

/// What is remembered of a socket, `None` if nothing.
#[inline(always)]
pub fn recall<M: Memory>(sk: Addr) -> Option<&'static mut Remembered> {
    let key = M::key(sk);
    let (set, index) = Set::of(key)?;
    set.find(index, key)
}

/// The same of a TCP socket: not of another one that had its address before, and whose end the kernel left out.
#[inline(always)]
pub fn recall_same<M: Memory>(sk: Addr) -> Option<&'static mut Remembered> {
    let r = recall::<M>(sk)?;
    let remembered = r.cookie;
    if remembered == 0 || M::get::<u64>(sk, Field::SkcCookie).is_none_or(|cookie| cookie == remembered) {
        return Some(r);
    }
    r.note_replaced();
    forget::<M>(sk);
    None
}

/// Starts to remember a socket nothing is known of, in place of one that had its address before. `None` only where another processor takes the
/// last place at the same moment.
#[inline(always)]
pub fn remember<M: Memory>(sk: Addr) -> Option<&'static mut Remembered> {
    let key = M::key(sk);
    if netstat_remember(key) == 0 {
        return None;
    }
    let (set, index) = Set::of(key)?;
    set.find(index, key)
}

/// The state that a socket is remembered to be in, 0 if it is not. The verifier checks it by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_state_of(key: u64) -> u32 {
    let Some((set, index)) = Set::of(key) else { return 0 };
    set.find(index, key).map_or(0, |r| u32::from(r.state))
}

/// Forgets a socket.
#[inline(always)]
pub fn forget<M: Memory>(sk: Addr) {
    let key = M::key(sk);
    let Some((set, _)) = Set::of(key) else { return };
    for way in &set.keys {
        if way.load() == key {
            // Every read of the entry comes before another socket can be given it.
            way.exchange_if(key, 0);
            return;
        }
    }
    if set.beyond.load() != 0 && MORE_SOCKETS.remove(key).is_ok() {
        set.beyond.add(u64::MAX);
    }
}
