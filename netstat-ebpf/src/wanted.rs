//! Which sockets and events are wanted: the filters that user space sets before load. One that is off costs nothing: the globals are frozen, and
//! the verifier drops what hangs on it. More may pass than is wanted, where the programs cannot decide, and never less.

use crate::{
    ends::{MAPPED, Tuple, kept_port},
    read::Memory,
    remembered::{OUTSIDE, Remembered},
    sys::{Addr, current_ancestor_cgroup, frozen},
};
use aya_ebpf::{Global, macros::map, maps::Array};
use netstat_ebpf::{
    Field, Grade, HAS_TUPLE, Kind, NO_LPORT, filter,
    linux::{AF_INET6, IPPROTO_TCP},
    proto_bit,
};

#[unsafe(no_mangle)]
static LISTED: [u32; 2 * filter::LISTED] = [0; 2 * filter::LISTED];

#[unsafe(no_mangle)]
static CGROUPS: [u64; 2 * filter::CGROUPS_LISTED] = [0; 2 * filter::CGROUPS_LISTED];

/// Sets of ports by end.
#[map]
static PORT_SETS: Array<[u64; filter::PORT_WORDS]> = Array::with_max_entries(filter::ENDS, 0);

/// Sets of prefixes by end.
#[map]
static PREFIXES: Array<[u64; 4]> = Array::with_max_entries(filter::ENDS * filter::PREFIXES_LISTED as u32, 0);

/// What user space sets, see [`netstat_ebpf::globals`].
macro_rules! limits {
    ($($name:ident = $default:expr),+ $(,)?) => {
        $(#[unsafe(no_mangle)] static $name: Global<u32> = Global::new($default);)+
    };
}

limits! {
    PROTOS = u32::MAX,
    KINDS = u32::MAX,
    ENTERED = u32::MAX,
    LEFT = u32::MAX,
    PORTS = 0,
    ADDRS = 0,
    UNKNOWN_ADDRS = 0,
    PREFIX_COUNTS = 0,
    LISTS = 0,
    LISTED_PIDS = 0,
    LISTED_NETNS = 0,
}

/// Whether sockets of this kind are wanted.
#[inline(always)]
pub fn protocol(protocol: u16, raw: bool, v6: bool) -> bool {
    proto_bit(protocol, raw, v6).is_some_and(|bit| PROTOS.load() & bit != 0)
}

/// Whether TCP sockets of this family and namespace are wanted.
#[inline(always)]
pub fn tcp(family: u8, namespace: Option<u32>) -> bool {
    family != 0 && protocol(IPPROTO_TCP, false, family == AF_INET6) && netns(namespace)
}

/// Whether a network namespace is wanted.
#[inline(always)]
pub fn netns(namespace: Option<u32>) -> bool {
    LISTS.load() & filter::NETNS == 0 || namespace.is_none_or(|netns| netstat_is_listed(filter::NETNS, netns) != 0)
}

/// Whether events of this kind are wanted at all.
#[inline(always)]
pub fn kind(kind: Kind) -> bool {
    KINDS.load() & 1 << kind as u32 != 0
}

/// Whether transitions between these states are wanted.
#[inline(always)]
pub fn transition(old: u8, new: u8) -> bool {
    kind(Kind::State) && ENTERED.load() & 1 << new != 0 && LEFT.load() & 1 << old != 0
}

/// Whether what a socket is known by is wanted: its owner and its ends.
#[inline(always)]
pub fn socket(r: &Remembered, inode: u64) -> bool {
    owner(r, inode) && ends(r)
}

/// Whether the owner is wanted. One the kernel side does not know passes: user space may. So does the owner of the listener of a connection
/// that a process holds, as its inode shows: user space looks up the process.
#[inline(always)]
fn owner(r: &Remembered, inode: u64) -> bool {
    let lists = LISTS.load();
    if lists & (filter::PIDS | filter::CGROUPS) == 0
        || r.grade == Grade::None as u8
        || r.grade == Grade::Inherited as u8 && inode != 0
    {
        return true;
    }
    (lists & filter::PIDS == 0 || netstat_is_listed(filter::PIDS, r.owner.tgid) != 0)
        && (lists & filter::CGROUPS == 0 || r.marks & OUTSIDE == 0)
        || r.owner.is_gone()
}

/// Whether a number is in a list. The verifier checks it by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_is_listed(list: u32, number: u32) -> u32 {
    let (from, count) =
        if list == filter::NETNS { (filter::LISTED, LISTED_NETNS.load()) } else { (0, LISTED_PIDS.load()) };
    for i in 0..filter::LISTED {
        if i as u32 >= count {
            break;
        }
        if frozen(&LISTED, from + i) == number {
            return 1;
        }
    }
    0
}

/// Whether the current process is in none of the cgroups that are wanted, nor below one.
#[inline(always)]
pub fn is_outside() -> bool {
    LISTS.load() & filter::CGROUPS != 0 && netstat_is_outside() != 0
}

/// The same. The verifier checks it by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_is_outside() -> u32 {
    for i in 0..filter::CGROUPS_LISTED {
        let (id, level) = (frozen(&CGROUPS, 2 * i), frozen(&CGROUPS, 2 * i + 1));
        if id != 0 && current_ancestor_cgroup(level as i32) == id {
            return 0;
        }
    }
    1
}

/// Whether the ends are wanted.
#[inline(always)]
fn ends(r: &Remembered) -> bool {
    if !are_ends_limited() {
        return true;
    }
    let known = r.flags & HAS_TUPLE != 0;
    let lport = if known && r.flags & NO_LPORT == 0 { u32::from(r.lport) } else { filter::UNKNOWN_PORT };
    let rport = if known { u32::from(r.rport) } else { filter::UNKNOWN_PORT };
    if !ports(|set| is_in(set, lport), |set| is_in(set, rport)) {
        return false;
    }
    let v6 = r.family == AF_INET6;
    let has = |set: u32, addr: [u64; 2]| {
        if known { is_within(set, addr, v6) } else { UNKNOWN_ADDRS.load() & 1 << set != 0 }
    };
    addrs(|set| has(set, r.laddr), |set| has(set, r.raddr))
}

/// Whether there is a limit of ports or addresses.
#[inline(always)]
pub fn are_ends_limited() -> bool {
    PORTS.load() | ADDRS.load() != 0
}

/// Whether ports pass: `local` and `remote` say whether one is in a set.
#[inline(always)]
fn ports(local: impl Fn(u32) -> bool, remote: impl Fn(u32) -> bool) -> bool {
    pass(PORTS.load(), local, remote)
}

/// The same of addresses.
#[inline(always)]
fn addrs(local: impl Fn(u32) -> bool, remote: impl Fn(u32) -> bool) -> bool {
    pass(ADDRS.load(), local, remote)
}

#[inline(always)]
fn pass(limits: u32, local: impl Fn(u32) -> bool, remote: impl Fn(u32) -> bool) -> bool {
    (limits & 1 << filter::LOCAL == 0 || local(filter::LOCAL))
        && (limits & 1 << filter::REMOTE == 0 || remote(filter::REMOTE))
        && (limits & 1 << filter::EITHER == 0 || local(filter::EITHER) || remote(filter::EITHER))
}

/// Whether a port is in a set.
#[inline(always)]
fn is_in(set: u32, port: u32) -> bool {
    let Some(words) = PORT_SETS.get(set) else { return true };
    let word = (port >> 6) as usize;
    word >= filter::PORT_WORDS || words[word] >> (port & 63) & 1 != 0
}

/// Whether an address is in a set.
#[inline(always)]
fn is_within(set: u32, addr: [u64; 2], v6: bool) -> bool {
    let [high, low] = if v6 { addr } else { [0, u64::from(MAPPED) | addr[0] << 32] };
    netstat_is_within(set, high, low) != 0
}

/// Whether an IPv6 address is in a set. The verifier checks it by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_is_within(set: u32, high: u64, low: u64) -> u32 {
    let count = PREFIX_COUNTS.load() >> (set * 8) & 0xff;
    for i in 0..filter::PREFIXES_LISTED {
        if i as u32 >= count {
            break;
        }
        let Some(prefix) = PREFIXES.get(set * filter::PREFIXES_LISTED as u32 + i as u32) else { return 1 };
        if high & prefix[2] == prefix[0] && low & prefix[3] == prefix[1] {
            return 1;
        }
    }
    0
}

/// Whether the ends of a TCP connection, as far as it has them, are such that nothing of it can be wanted any more. Where they are known, they
/// stay as they are until it is closed; `asks`: its local address may still change.
#[inline(always)]
pub fn is_excluded(tuple: &Tuple, v6: bool, asks: bool) -> bool {
    if !are_ends_limited() {
        return false;
    }
    let (lport, rport) = (u32::from(tuple.lport), u32::from(tuple.rport));
    let may = |port: u32, set: u32| port == 0 || is_in(set, port);
    let may_be_at = |addr: [u64; 2], set: u32| addr == [0, 0] || is_within(set, addr, v6);
    !ports(|set| may(lport, set), |set| may(rport, set))
        || !addrs(|set| asks || may_be_at(tuple.laddr, set), |set| may_be_at(tuple.raddr, set))
}

/// The same of a socket that nothing is remembered of.
#[inline(always)]
pub fn is_stranger_excluded<M: Memory>(sk: Addr, v6: bool, asks: bool) -> bool {
    if !are_ends_limited() {
        return false;
    }
    let Some(mut tuple) = Tuple::read::<M>(sk, v6) else { return false };
    if tuple.lport == 0 && !asks {
        tuple.lport = kept_port::<M>(sk);
    }
    is_excluded(&tuple, v6, asks)
}

/// Whether a socket that ends, and that nothing is remembered of, has been cleared of its ends (`tcp_disconnect`): those that it had are why it
/// was left out, and what is left is no reason to show it.
#[inline(always)]
pub fn is_cleared_stranger<M: Memory>(sk: Addr) -> bool {
    are_ends_limited() && M::get::<u16>(sk, Field::SkcDport) == Some(0)
}
