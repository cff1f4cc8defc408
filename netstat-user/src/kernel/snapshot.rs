//! Tables straight from the kernel's memory: iterator programs that walk its sockets and its processes' descriptors, and write a
//! record for each where /proc would write a line of text.
//!
//! The programs are an object of their own, loaded without aya: see [`crate::sys::bpf`].

use super::btf::Btf;
pub use super::linked::SnapshotError;
use super::linked::{Linked, Prepared};
pub use super::refusal::is_unsupported;
use super::shapes::{self, FoundMember};
use crate::model::{Endpoint, HeldSockets, Proto, SocketRow, Timer};
use crate::sys::{self, Awaited, bpf};
use bytes::Buf;
use netstat_ebpf::snapshot::{HolderRecord, NO_ORDER, Program, SocketRecord, UdpRecord};
use netstat_ebpf::{ABSENT, FIELDS, Field, globals::OFFSETS, linux::AF_INET6};
use rustix::time::{ClockId, clock_getres};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::{fs, io};

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../objects/netstat-iter.o");

/// Bytes asked for at once: the kernel's buffer for a walk (`bpf_iter.c`), and so the most it gives.
const CHUNK: usize = 8 * 4096;

/// The transport protocols that have an iterator. UDP-Lite and raw sockets have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// The rows of a transport protocol, each family in the order of its file in /proc.
#[derive(Debug, Default)]
pub struct IteratedRows {
    /// IPv4 sockets.
    pub v4: Vec<SocketRow>,
    /// IPv6 sockets.
    pub v6: Vec<SocketRow>,
}

/// The iterator programs, prepared once. Each is loaded when it is first asked for; walks may run side by side.
#[derive(Debug)]
pub struct Iterators {
    /// The table of offsets, which the programs' code refers to by number.
    _offsets: OwnedFd,
    tcp: Prepared,
    udp: Prepared,
    holders: Prepared,
    /// Nanoseconds of the kernel's tick: timers are in ticks.
    tick_ns: u64,
}

impl Iterators {
    /// Prepares the programs: about three milliseconds, most of them for the kernel's type information.
    ///
    /// # Errors
    /// A [`SnapshotError`]: without privilege, without BTF, on kernels too old. /proc has the same rows.
    pub fn load() -> Result<Self, SnapshotError> {
        let blob = sys::kernel_types().map_err(SnapshotError::NoBtf)?;
        let btf = Btf::parse(&blob, &wanted())?;
        let offsets = offsets(&btf)?;
        let bytes: Vec<u8> = offsets.iter().flat_map(|offset| offset.to_ne_bytes()).collect();
        let linked = Linked::new(OBJECT, HashMap::from([(OFFSETS, (&bytes[..], true))]), bpf::constants)?;
        let prepare = |program| linked.prepare(program, &btf);
        let tick = clock_getres(ClockId::MonotonicCoarse);
        Ok(Self {
            tcp: prepare(Program::Tcp)?,
            udp: prepare(Program::Udp)?,
            holders: prepare(Program::Holders)?,
            _offsets: linked.into_map(),
            // A tick is shorter than a second.
            tick_ns: u64::try_from(tick.tv_nsec).unwrap_or(1),
        })
    }

    /// The sockets of a protocol in the calling thread's network namespace, as far as `keep` wants them: the rows of /proc, with
    /// cookie and namespace. A socket is listed once, also when the kernel's table changes meanwhile.
    ///
    /// # Errors
    /// The kernel's, also where it refuses the program.
    pub fn sockets(&self, transport: Transport, mut keep: impl FnMut(&SocketRow) -> bool) -> io::Result<IteratedRows> {
        let netns = sys::thread_network();
        let row = |record: &SocketRecord| self.row(record, transport, netns);
        let mut rows = IteratedRows::default();
        let reads = match transport {
            Transport::Tcp => {
                self.walk(&self.tcp, &Awaited::default(), |bytes: &[u8; size_of::<SocketRecord>()]| {
                    rows.push(row(&socket_record(bytes)), &mut keep);
                    true
                })?
            }
            Transport::Udp => {
                let mut records = Vec::new();
                let reads = self.walk(&self.udp, &Awaited::default(), |bytes| {
                    records.push(udp_record(bytes));
                    true
                })?;
                for record in in_order(&records) {
                    rows.push(row(&record.socket), &mut keep);
                }
                reads
            }
        };
        // A single read shows each socket once. Up to Linux 6.15 a walk may show a socket again if the table changed between two reads.
        if reads > 1 {
            drop_repeated(&mut rows.v4);
            drop_repeated(&mut rows.v6);
        }
        Ok(rows)
    }

    /// Whether the program for a protocol is loaded, and another walk costs no more than itself.
    pub fn is_loaded(&self, transport: Transport) -> bool {
        let prepared = match transport {
            Transport::Tcp => &self.tcp,
            Transport::Udp => &self.udp,
        };
        prepared.is_loaded()
    }

    /// Process and inode of every socket that a process holds, lowest process first, until there are more than so many. They are of every network
    /// namespace and family; process ids are those of the initial PID namespace.
    ///
    /// # Errors
    /// The kernel's, also where it refuses the program; [`GivenUp`](crate::sys::GivenUp) where nobody waits for it any more.
    pub fn holders(&self, most: usize, awaited: &Awaited) -> io::Result<HeldSockets> {
        let mut holders = HeldSockets::new(most);
        let take = |bytes: &_| {
            let record = holder_record(bytes);
            holders.add(record.pid, record.inode);
            !holders.is_over()
        };
        self.walk(&self.holders, awaited, take)?;
        Ok(holders)
    }

    /// Walks once over all that an iterator has, while that is waited for and `take` wants more; returns how many reads brought something.
    fn walk<const SIZE: usize>(
        &self,
        prepared: &Prepared,
        awaited: &Awaited,
        mut take: impl FnMut(&[u8; SIZE]) -> bool,
    ) -> io::Result<usize> {
        let walk = bpf::walk(prepared.link()?.as_fd())?;
        let mut buffer = vec![0u8; CHUNK];
        let (mut held, mut reads) = (0, 0);
        loop {
            awaited.go_on()?;
            match rustix::io::read(&walk, &mut buffer[held..]) {
                Ok(0) => return Ok(reads),
                Ok(length) => held += length,
                // EAGAIN: a million objects went by, and none was worth a record.
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
                Err(error) => return Err(error.into()),
            }
            reads += 1;
            let (records, rest) = buffer[..held].as_chunks::<SIZE>();
            if !records.iter().all(&mut take) {
                return Ok(reads);
            }
            let rest = held - rest.len()..held;
            held = rest.len();
            buffer.copy_within(rest, 0);
        }
    }

    fn row(&self, record: &SocketRecord, transport: Transport, netns: Option<u32>) -> SocketRow {
        let v6 = record.family == AF_INET6;
        let address = |words: [u64; 2]| {
            let mut octets = [0; 16];
            octets[..8].copy_from_slice(&words[0].to_ne_bytes());
            octets[8..].copy_from_slice(&words[1].to_ne_bytes());
            if v6 {
                IpAddr::V6(Ipv6Addr::from(octets))
            } else {
                IpAddr::V4(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]))
            }
        };
        SocketRow {
            proto: match (transport, v6) {
                (Transport::Tcp, false) => Proto::Tcp,
                (Transport::Tcp, true) => Proto::Tcp6,
                (Transport::Udp, false) => Proto::Udp,
                (Transport::Udp, true) => Proto::Udp6,
            },
            local: Endpoint { addr: address(record.laddr), port: record.lport },
            remote: Endpoint { addr: address(record.raddr), port: record.rport },
            state: record.state,
            recv_q: record.recv_q.into(),
            send_q: record.send_q.into(),
            uid: record.uid,
            inode: record.inode,
            timer: Timer {
                kind: record.timer.into(),
                expires: clock_ticks(record.expires, self.tick_ns),
                retransmits: record.retransmits.into(),
                probes: record.probes.into(),
            },
            cookie: Some(record.cookie).filter(|&cookie| cookie != 0),
            netns,
        }
    }
}

impl IteratedRows {
    fn push(&mut self, row: SocketRow, keep: &mut impl FnMut(&SocketRow) -> bool) {
        if keep(&row) {
            if row.proto.is_v6() { &mut self.v6 } else { &mut self.v4 }.push(row);
        }
    }
}

/// Whether the process ids that [`Iterators::holders`] gives are those that `/proc` at `root` shows, and `/proc` hides none of them:
/// in the initial PID namespace, with the right to look at every process.
pub fn sees_all_processes(root: &Path) -> bool {
    let own = fs::read_link(root.join("self")).ok();
    own.is_some_and(|own| own.as_os_str() == std::process::id().to_string().as_str())
        && sys::pid_namespace_if_nested() == 0
        && sys::may_list_all_descriptors()
}

/// Whether [`offsets`] or the programs' targets need this name of the kernel's BTF. It is called some ninety thousand times: the length and the
/// first letter rule out nearly all names.
fn wanted() -> impl Fn(&[u8]) -> bool {
    let targets = [Program::Tcp, Program::Udp, Program::Holders].map(Program::target);
    let mut names: Vec<&[u8]> =
        Field::of_tables().map(|(_, strukt, _)| strukt).chain(targets).map(str::as_bytes).collect();
    names.sort_unstable();
    names.dedup();
    let mut lengths = [0u64; 256];
    for name in &names {
        lengths[usize::from(name[0])] |= 1 << (name.len() % 64);
    }
    move |name| {
        let first = name.first().map_or(0, |&first| usize::from(first));
        lengths[first] >> (name.len() % 64) & 1 == 1 && names.binary_search(&name).is_ok()
    }
}

/// The table of offsets.
fn offsets(btf: &Btf<'_>) -> Result<[u32; FIELDS], SnapshotError> {
    let mut offsets = [ABSENT; FIELDS];
    for (field, strukt, member) in Field::of_tables() {
        if let FoundMember::At(offset) = shapes::find(btf, strukt, member) {
            offsets[field as usize] = offset;
        }
    }
    let has = |field: Field| offsets[field as usize] != ABSENT;
    // Fields that one kernel or another has under another name; of each group one is enough, and the program prefers the first.
    let groups = [
        &[Field::SkIno, Field::SkSocket][..],
        &[Field::IcskTimeout, Field::IcskRetransmitTimer, Field::TcpRetransmitTimer],
        &[Field::IcskKeepaliveTimer, Field::SkTimer],
    ];
    for (field, strukt, member) in Field::of_tables() {
        let group = groups.iter().find(|group| group.contains(&field));
        let covered = group.map_or(has(field), |group| group.iter().any(|&field| has(field)));
        // Before Linux 6.2 the table of UDP sockets is no namespace's own, and the walk is in its order.
        if !covered && field != Field::Ipv4UdpTable {
            return Err(SnapshotError::Lacks(strukt, member));
        }
    }
    Ok(offsets)
}

/// `jiffies_to_clock_t`: hundredths of a second, rounded down.
fn clock_ticks(jiffies: u64, tick_ns: u64) -> u64 {
    jiffies.saturating_mul(tick_ns) / 10_000_000
}

/// Leaves out what was seen before. A socket keeps its cookie from request to TIME_WAIT.
fn drop_repeated(rows: &mut Vec<SocketRow>) {
    let mut seen = hashbrown::HashSet::with_capacity(rows.len());
    rows.retain(|row| row.cookie.is_none_or(|cookie| seen.insert(cookie)));
}

/// The records in the order of /proc: slot by slot, each slot from its head along `next`. Where the table changed during the walk,
/// and `next` leads nowhere, the rest of the slot follows as it came.
fn in_order(records: &[UdpRecord]) -> Vec<&UdpRecord> {
    let mut ordered: Vec<&UdpRecord> = records.iter().collect();
    if records.iter().all(|record| record.next == NO_ORDER) {
        return ordered;
    }
    ordered.sort_by_key(|record| record.slot);
    for slot in ordered.chunk_by_mut(|one, other| one.slot == other.slot) {
        if let [_] = slot {
            continue;
        }
        let mut left: hashbrown::HashMap<u64, &UdpRecord> = slot.iter().map(|&record| (record.node, record)).collect();
        let followers: hashbrown::HashSet<u64> = slot.iter().map(|record| record.next).collect();
        let mut chain = Vec::with_capacity(slot.len());
        for &head in slot.iter().filter(|record| !followers.contains(&record.node)) {
            let mut next = left.remove(&head.node);
            while let Some(record) = next {
                chain.push(record);
                next = left.remove(&record.next);
            }
        }
        chain.extend(slot.iter().copied().filter(|record| left.contains_key(&record.node)));
        // A node that came twice is in the chain but once: the walk repeated itself.
        if chain.len() == slot.len() {
            slot.copy_from_slice(&chain);
        }
    }
    ordered
}

fn socket_record(bytes: &[u8; size_of::<SocketRecord>()]) -> SocketRecord {
    let mut bytes = &bytes[..];
    // In the order of the record's fields, as they are evaluated.
    SocketRecord {
        cookie: bytes.get_u64_ne(),
        inode: bytes.get_u64_ne(),
        expires: bytes.get_u64_ne(),
        laddr: [bytes.get_u64_ne(), bytes.get_u64_ne()],
        raddr: [bytes.get_u64_ne(), bytes.get_u64_ne()],
        recv_q: bytes.get_u32_ne(),
        send_q: bytes.get_u32_ne(),
        uid: bytes.get_u32_ne(),
        lport: bytes.get_u16_ne(),
        rport: bytes.get_u16_ne(),
        family: bytes.get_u8(),
        state: bytes.get_u8(),
        timer: bytes.get_u8(),
        retransmits: bytes.get_u8(),
        probes: bytes.get_u32_ne(),
    }
}

fn udp_record(bytes: &[u8; size_of::<UdpRecord>()]) -> UdpRecord {
    let (socket, mut rest) = bytes.split_first_chunk().unwrap_or((&[0; size_of::<SocketRecord>()], &[0; 24]));
    UdpRecord {
        socket: socket_record(socket),
        node: rest.get_u64_ne(),
        next: rest.get_u64_ne(),
        slot: rest.get_u32_ne(),
        pad: 0,
    }
}

fn holder_record(bytes: &[u8; size_of::<HolderRecord>()]) -> HolderRecord {
    let mut bytes = &bytes[..];
    HolderRecord { inode: bytes.get_u64_ne(), pid: bytes.get_u32_ne(), pad: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_hundredths_of_a_second() {
        // HZ of 100, 250, 300 and 1000: `TICK_NSEC` of each.
        assert_eq!(clock_ticks(7, 10_000_000), 7);
        assert_eq!(clock_ticks(7, 4_000_000), 2);
        assert_eq!(clock_ticks(300, 3_333_333), 99);
        assert_eq!(clock_ticks(1009, 1_000_000), 100);
        assert_eq!(clock_ticks(u64::MAX, 4_000_000), u64::MAX / 10_000_000);
    }

    fn udp(node: u64, next: u64, slot: u32) -> UdpRecord {
        let mut record = udp_record(&[0; size_of::<UdpRecord>()]);
        (record.node, record.next, record.slot) = (node, next, slot);
        record
    }

    fn nodes(records: &[UdpRecord]) -> Vec<u64> {
        in_order(records).iter().map(|record| record.node).collect()
    }

    #[test]
    fn udp_follows_the_chains_of_its_slots() {
        let (one, two, three, other) = (udp(11, 12, 5), udp(12, 13, 5), udp(13, 0, 5), udp(20, 0, 4));
        assert_eq!(nodes(&[three, one, two, other]), [20, 11, 12, 13]);
        // `two` has gone: two pieces of a chain, each whole.
        assert_eq!(nodes(&[three, other, one]), [20, 13, 11]);
        // A chain without a head, and a socket that came twice, stay as they came.
        assert_eq!(nodes(&[udp(1, 2, 0), udp(2, 1, 0)]), [1, 2]);
        assert_eq!(nodes(&[three, three]), [13, 13]);
        assert_eq!(nodes(&[udp(3, NO_ORDER, 9), udp(1, NO_ORDER, 8)]), [3, 1]);
    }

    #[test]
    fn a_kernel_without_a_field_is_named() {
        let Ok(blob) = sys::kernel_types() else { return };
        let whole = Btf::parse(&blob, &wanted()).unwrap();
        assert!(offsets(&whole).is_ok());
        assert!(whole.function_id("bpf_iter_tcp").is_some());
        let cut = Btf::parse(&blob, &|name| name != b"tcp_sock" && wanted()(name)).unwrap();
        assert_eq!(
            offsets(&cut).unwrap_err().to_string(),
            "this kernel has no tcp_sock.rcv_nxt as the programs know it"
        );
    }
}
