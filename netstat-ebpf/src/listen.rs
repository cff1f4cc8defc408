//! Listeners by port: whose a connection is that no request links to its listener.

use crate::{
    read::{Addr, Memory, Probed, offset},
    sys::Word,
};
use aya_ebpf::{macros::map, maps::Array};
use netstat_ebpf::{ABSENT, Field};

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

/// Puts a listener in the place of another, or of none (0). Where too many listen at such ports, it is not noted. The verifier checks it by
/// itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_listener(from: u64, to: u64, port: u16) -> u32 {
    let Some(set) = set(port) else { return 0 };
    for way in &set.0 {
        if way.load() == from && way.exchange_if(from, to) == from {
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
    netstat_listener(M::number(sk), 0, port);
}

/// The listener at which a connection waits to be accepted.
#[inline(always)]
pub fn of_child<M: Memory>(sk: Addr, port: u16) -> Option<Addr> {
    let listener = netstat_listener_of(M::number(sk), port) as Addr;
    (!listener.is_null()).then_some(listener)
}

/// The same, 0 for none. The verifier checks it by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_listener_of(sk: u64, port: u16) -> u64 {
    find(sk, port).unwrap_or(0)
}

#[inline(always)]
fn find(sk: u64, port: u16) -> Option<u64> {
    let queue = offset(Field::IcskAcceptQueue);
    if queue == ABSENT || offset(Field::ReqSk) == ABSENT {
        return None;
    }
    let set = set(port)?;
    for way in &set.0 {
        let listener = way.load();
        if listener != 0
            && Probed::get::<u16>(listener as Addr, Field::SkcNum) == Some(port)
            && netstat_waits_at(listener.wrapping_add(u64::from(queue)), sk) != 0
        {
            return Some(listener);
        }
    }
    None
}

/// Whether a connection is in the accept queue of a listener. The verifier checks it by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_waits_at(queue: u64, sk: u64) -> u32 {
    u32::from(waits_at(queue as Addr, sk))
}

#[inline(always)]
fn waits_at(queue: Addr, sk: u64) -> bool {
    let is_it = |req: Addr| Probed::get::<u64>(req, Field::ReqSk) == Some(sk);
    if Probed::follow(queue, Field::AcceptQueueTail).is_some_and(is_it) {
        return true;
    }
    let mut next = Probed::follow(queue, Field::AcceptQueueHead);
    for _ in 0..WAITING {
        let Some(req) = next else { return false };
        if is_it(req) {
            return true;
        }
        next = Probed::follow(req, Field::ReqNext);
    }
    false
}
