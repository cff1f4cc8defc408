//! The kernel's table of connections, requests and TIME_WAIT minisockets: `struct inet_hashinfo`.

use crate::{
    read::{Memory, Probed, offset},
    sys::Addr,
};
use netstat_ebpf::{ABSENT, Field};

/// How much of a chain of the table is looked at. The table has about as many chains as connections at its fullest.
const CHAIN: usize = 32;

/// The entry with this hash in the table of a `struct net` that is the one; `None` if there is none.
#[inline(always)]
pub fn search(net: Addr, hash: u32, is_it: impl Fn(Addr) -> bool) -> Option<Addr> {
    let (ipv4, death_row, node) =
        (offset(Field::NetIpv4), offset(Field::NetnsIpv4TcpDeathRow), offset(Field::SkcNullsNode));
    if ipv4 == ABSENT || death_row == ABSENT || node == ABSENT {
        return None;
    }
    let death_row = net.wrapping_add(ipv4 as usize + death_row as usize);
    let table = Probed::follow(death_row, Field::DeathRowHashinfo)?;
    let bucket = (hash & Probed::get::<u32>(table, Field::HashinfoEhashMask)?) as usize;
    // `struct inet_ehash_bucket` and `struct hlist_nulls_node` both begin with the address of a node; an odd number ends the chain.
    let mut next: u64 = Probed::at(Probed::follow(table, Field::HashinfoEhash)?.wrapping_add(bucket * 8));
    for _ in 0..CHAIN {
        if next & 1 != 0 || next == 0 {
            return None;
        }
        let entry = (next as Addr).wrapping_sub(node as usize);
        if is_it(entry) {
            return Some(entry);
        }
        next = Probed::at(next as Addr);
    }
    None
}
