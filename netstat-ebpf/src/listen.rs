//! Listeners by port: whose a connection is that no request links to its listener.

use crate::{
    pending::pending,
    read::{Memory, Probed, offset},
    store::netstat_state_of,
    sys::{Addr, Word},
};
use aya_ebpf::{macros::map, maps::Array};
use netstat_ebpf::{ABSENT, Field, linux::tcp::CLOSE};

/// Sockets that listen.
#[map]
static LISTENERS: Array<Listeners> = Array::with_max_entries(LISTENER_SETS, 0);

/// Binary logarithm of the number of sets in [`LISTENERS`].
const SETS_BITS: u32 = 8;

/// Number of sets of [`LISTENERS`].
const LISTENER_SETS: u32 = 1 << SETS_BITS;

/// Listeners of a set.
const WAYS: usize = 64;

/// How many of the connections that wait at a listener are looked at, from the oldest on, where another has come after the one.
const WAITING: usize = 16;

/// Addresses of sockets that listen at some ports, 0 where there is none.
#[repr(C)]
struct Listeners([Word; WAYS]);

#[inline(always)]
fn set(port: u16) -> Option<&'static Listeners> {
    LISTENERS.get(u32::from(port) & (LISTENER_SETS - 1))
}

/// Where in the set of a port a listener is, or a free place (0): one more than its index, 0 if nowhere. The verifier checks it by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_listener_place(listener: u64, port: u16) -> u32 {
    let Some(set) = set(port) else { return 0 };
    (0..WAYS).find(|&way| set.0[way].load() == listener).map_or(0, |way| way as u32 + 1)
}

/// How often a place is looked for that another processor does not take at the same moment.
const TRIES: usize = 4;

/// Puts a listener in the place of another, or of none (0). Where too many listen at such ports, it is not noted. The verifier checks it by
/// itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_listener(from: u64, to: u64, port: u16) -> u32 {
    let Some(set) = set(port) else { return 0 };
    for _ in 0..TRIES {
        let place = netstat_listener_place(from, port) as usize;
        let Some(way) = set.0.get(place.wrapping_sub(1)) else { return 0 };
        if way.exchange_if(from, to) == from {
            return 1;
        }
    }
    0
}

/// A socket begins to listen.
#[inline(always)]
pub fn begin<M: Memory>(sk: Addr, port: u16) {
    netstat_listener(0, M::number(sk), port);
}

/// A socket listens no more.
#[inline(always)]
pub fn end<M: Memory>(sk: Addr, port: u16) {
    let listener = M::number(sk);
    netstat_listener(listener, 0, port);
    if let Some(pending) = pending() {
        pending.ending.store(listener);
        pending.ending_port.store(port.into());
    }
}

/// The listener at which a connection waits to be accepted, or waited until the listener ended just now.
#[inline(always)]
pub fn of_child<M: Memory>(sk: Addr, port: u16) -> Option<Addr> {
    let listener = netstat_listener_of(M::number(sk), port) as Addr;
    (!listener.is_null()).then_some(listener)
}

/// The same, 0 for none. The verifier checks it by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_listener_of(sk: u64, port: u16) -> u64 {
    find(sk, port).or_else(|| ending(port)).unwrap_or(0)
}

/// The listener of a port that ends on this processor.
#[inline(always)]
fn ending(port: u16) -> Option<u64> {
    let pending = pending()?;
    let listener = pending.ending.load();
    let ends = pending.ending_port.load() == u64::from(port)
        && netstat_state_of(Probed::key(listener as Addr)) == u32::from(CLOSE);
    (listener != 0 && ends).then_some(listener)
}

#[inline(always)]
fn find(sk: u64, port: u16) -> Option<u64> {
    if offset(Field::IcskAcceptQueue) == ABSENT || offset(Field::ReqSk) == ABSENT {
        return None;
    }
    let set = set(port)?;
    for way in &set.0 {
        let listener = way.load();
        if listener != 0 && netstat_waits_at(listener, sk, port) != 0 {
            return Some(listener);
        }
    }
    None
}

/// Whether a connection to a port is in the accept queue of a listener. The verifier checks it by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_waits_at(listener: u64, sk: u64, port: u16) -> u32 {
    let listener = listener as Addr;
    let queue = listener.wrapping_add(offset(Field::IcskAcceptQueue) as usize);
    u32::from(Probed::get(listener, Field::SkcNum) == Some(port) && waits_at(queue, sk))
}

#[inline(always)]
fn waits_at(queue: Addr, sk: u64) -> bool {
    let next = |of: Addr, field: Field| Probed::get::<u64>(of, field).unwrap_or(0);
    let is_it = |req: u64| req != 0 && next(req as Addr, Field::ReqSk) == sk;
    if is_it(next(queue, Field::AcceptQueueTail)) {
        return true;
    }
    let mut req = next(queue, Field::AcceptQueueHead);
    for _ in 0..WAITING {
        if is_it(req) {
            return true;
        }
        if req == 0 {
            return false;
        }
        req = next(req as Addr, Field::ReqNext);
    }
    false
}
