//! What one hook leaves for the next on the same processor. A hook in a softirq may interrupt one in a process: each word is written and read
//! whole, and what is found in one is compared with the socket at hand before it is believed.

use crate::sys::{Addr, Word};
use aya_ebpf::{macros::map, maps::PerCpuArray};

#[map]
static PENDING: PerCpuArray<Pending> = PerCpuArray::with_max_entries(1, 0);

/// The notes of a processor.
#[repr(C)]
pub struct Pending {
    /// A child that has been made: the end of the request it was follows at once (`inet_csk_complete_hashdance`).
    pub child: Word,
    /// The listener of a request that has ended with no child seen, and both its ports: where the hook does not see a child being made
    /// (`tcp_set_state`), its first transition follows at once.
    pub listener: Word,
    pub ports: Word,
    /// The listener that ends, and its port: the connections that still wait there end after it (`inet_csk_listen_stop`).
    pub ending: Word,
    pub ending_port: Word,
    /// The transition that the first program on it has seen.
    pub seen: Note,
    /// The transition that the program that stands in for others has reported last.
    pub stood_in: Note,
}

/// The notes of this processor.
#[inline(always)]
pub fn pending() -> Option<&'static Pending> {
    PENDING.get(0)
}

/// A transition.
#[repr(C)]
pub struct Note {
    /// The socket's address, 0 for none.
    sk: Word,
    /// Its new state.
    state: Word,
}

impl Note {
    /// Notes a transition.
    #[inline(always)]
    pub fn set(&self, sk: Addr, state: u8) {
        self.sk.store(sk as u64);
        self.state.store(u64::from(state));
    }

    /// Whether it is this transition.
    #[inline(always)]
    pub fn is(&self, sk: Addr, state: u8) -> bool {
        self.sk.load() == sk as u64 && self.state.load() == u64::from(state)
    }

    /// Says nothing any more of the socket that has this address next.
    #[inline(always)]
    pub fn clear(&self) {
        self.sk.store(0);
    }
}
