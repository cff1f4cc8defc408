//! The store: an entry by address for each socket, minisocket and request that something is remembered of.

use crate::{
    count::count,
    read::Memory,
    remembered::Remembered,
    sys::{Addr, Word, forget_value, jiffies, value, value_by_key},
};
use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, BPF_NOEXIST},
    macros::map,
    maps::{Array, HashMap},
};
use netstat_ebpf::{Field, counter};

/// Which entries of [`SOCKETS`] are whose. The flag has the values begin at a page, and so each set, and each entry, at a cache line.
#[map]
static KEYS: Array<Set> = Array::with_max_entries(SETS, BPF_F_MMAPABLE);

/// Live sockets, minisockets and requests: some 15 MB, taken beforehand.
#[map]
static SOCKETS: Array<Remembered> = Array::with_max_entries(SETS * WAYS as u32, BPF_F_MMAPABLE);

/// Those that found no room in their set. Memory is taken as they come.
#[map]
static MORE_SOCKETS: HashMap<u64, Remembered> = HashMap::with_max_entries(1 << 20, BPF_F_NO_PREALLOC);

/// In the object's read-only data, for the map to copy from.
static NOTHING: Remembered = Remembered::NOTHING;

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
    if r.is_over(now) { FREE } else { r.state_ns.max(FREE + 1) }
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
