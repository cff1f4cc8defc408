//! The ABI between the kernel programs and user space: records, tags, the table of field offsets, filters, map and
//! program names.
//!
//! Records hold integers and byte arrays only, with explicit padding, in the byte order of the machine; tags are decoded through
//! `TryFrom` on the user side. Both sides build this file: it is `no_std` and has no dependency.
#![no_std]

mod fields;
pub mod kfunc;
pub mod linux;
pub mod snapshot;

pub use fields::{ABSENT, FIELDS, Field};
use linux::{IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE};

/// What a record reports; the first byte of every record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A socket was created: a [`Record`].
    Open = 1,
    /// A TCP state transition: a [`Record`].
    State = 2,
    /// The kernel destroyed a socket: a [`CloseRecord`].
    Close = 3,
    /// A process became an owner, or changed its name: a [`ProcessRecord`].
    Process = 4,
    /// A process is gone that others hold sockets of: a [`ProcessRecord`].
    Gone = 5,
}

impl TryFrom<u8> for Kind {
    type Error = u8;

    fn try_from(tag: u8) -> Result<Self, u8> {
        Ok(match tag {
            1 => Self::Open,
            2 => Self::State,
            3 => Self::Close,
            4 => Self::Process,
            5 => Self::Gone,
            other => return Err(other),
        })
    }
}

/// How the kernel side knows the owner in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Grade {
    /// It does not: `pid` and `start` are zero.
    None = 0,
    /// The process created the socket.
    Created = 1,
    /// The process accepted the connection.
    Accepted = 2,
    /// The owner of the listener.
    Inherited = 3,
    /// The first process found to hold the socket, which is older than the tracer, or whose owner has ended.
    Scanned = 4,
}

impl TryFrom<u8> for Grade {
    type Error = u8;

    fn try_from(tag: u8) -> Result<Self, u8> {
        Ok(match tag {
            0 => Self::None,
            1 => Self::Created,
            2 => Self::Accepted,
            3 => Self::Inherited,
            4 => Self::Scanned,
            other => return Err(other),
        })
    }
}

/// Why a socket ended, as far as the kernel side could see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// Nothing out of order was seen.
    Closed = 0,
    /// `sk_err` says that the peer reset it.
    ResetReceived = 1,
    /// `tcp_send_reset` fired for the socket.
    ResetSent = 2,
    /// `sk_err` was `ECONNREFUSED`.
    Refused = 3,
    /// `sk_err` was `ETIMEDOUT`, or a soft error after retransmissions.
    TimedOut = 4,
    /// Another error ended it, or the hook that would see why is not attached.
    Unknown = 5,
    /// No route to the destination: `sk_err` was `EHOSTUNREACH` or its like, or connect(2) failed before the first SYN.
    Unreachable = 6,
    /// Its process closed it before it was established.
    Abandoned = 7,
}

impl TryFrom<u8> for Reason {
    type Error = u8;

    fn try_from(tag: u8) -> Result<Self, u8> {
        Ok(match tag {
            0 => Self::Closed,
            1 => Self::ResetReceived,
            2 => Self::ResetSent,
            3 => Self::Refused,
            4 => Self::TimedOut,
            5 => Self::Unknown,
            6 => Self::Unreachable,
            7 => Self::Abandoned,
            other => return Err(other),
        })
    }
}

/// [`Record::flags`]: `laddr`, `raddr`, `lport` and `rport` are known.
pub const HAS_TUPLE: u8 = 1 << 0;
/// [`Record::flags`]: the local port is not assigned yet, although the tuple is known.
pub const NO_LPORT: u8 = 1 << 1;
/// [`Record::flags`]: the socket is `SOCK_RAW`; `protocol` is what it listens to.
pub const RAW: u8 = 1 << 2;
/// [`Record::flags`]: `uid` is known.
pub const HAS_UID: u8 = 1 << 3;
/// [`Record::flags`]: no hook saw who accepted the connection; the process that closed it is named.
pub const UNSEEN: u8 = 1 << 4;
/// [`Record::flags`]: `inode` is known (0 then means that the socket has none).
pub const HAS_INODE: u8 = 1 << 6;

/// [`Record::flags`] of a child's first transition after its birth: `in_state_ns` before it, its request was answered (`LISTEN` →
/// `SYN_RECV`). The child is made with the transition nearly always, and one record reports both.
pub const BORN: u8 = 1 << 5;

/// [`Record::in_state_ns`] and [`CloseRecord::duration_ns`] of a socket that was there before the tracer.
pub const UNKNOWN_NS: u64 = u64::MAX;

/// A thing that happened to a socket.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Record {
    /// A [`Kind`].
    pub kind: u8,
    /// The TCP state it left (`State`), as numbered in `net/tcp_states.h`.
    pub old_state: u8,
    /// The TCP state it entered (`State`).
    pub new_state: u8,
    /// A [`Grade`].
    pub grade: u8,
    /// [`linux::AF_INET`] or [`linux::AF_INET6`].
    pub family: u8,
    /// [`HAS_TUPLE`] and its like.
    pub flags: u8,
    /// `sk_protocol`.
    pub protocol: u16,
    /// `bpf_ktime_get_ns`: nanoseconds of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// Nanoseconds spent in `old_state`, or [`UNKNOWN_NS`].
    pub in_state_ns: u64,
    /// Socket cookie, 0 if the kernel has not made one.
    pub cookie: u64,
    /// Socket inode, 0 if it has none.
    pub inode: u64,
    /// Inode number of the network namespace, 0 if unknown.
    pub netns: u32,
    /// `sk_uid`.
    pub uid: u32,
    /// Thread-group id of the owner, 0 if unknown.
    pub pid: u32,
    /// When the owner started, see [`start_tag`]: with `pid` its identity, by which a [`ProcessRecord`] before gave its name.
    pub start: u32,
    /// Local port, host byte order.
    pub lport: u16,
    /// Remote port, host byte order.
    pub rport: u16,
    /// Id of the cgroup that the owner was in when it became that, 0 if unknown.
    pub cgroup: u32,
    /// Local address in network order; IPv4 in the first four bytes.
    pub laddr: [u8; 16],
    /// Remote address, likewise.
    pub raddr: [u8; 16],
}

/// [`CloseRecord::totals`]: `rx_bytes`, `tx_bytes` and `retransmits` are known.
pub const HAS_TOTALS: u8 = 1 << 0;

/// The end of a socket: the record, and what it did in its life.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CloseRecord {
    /// The common part.
    pub record: Record,
    /// Life of the socket in nanoseconds, or [`UNKNOWN_NS`].
    pub duration_ns: u64,
    /// Payload bytes received.
    pub rx_bytes: u64,
    /// Payload bytes sent.
    pub tx_bytes: u64,
    /// Smoothed round-trip time in microseconds, 0 if never measured.
    pub rtt_us: u32,
    /// `tcp_sock.total_retrans`.
    pub retransmits: u32,
    /// Thread-group id of the process that closed the socket, 0 if none did.
    pub closer_pid: u32,
    /// When that process started, see [`start_tag`].
    pub closer_start: u32,
    /// A [`Reason`].
    pub reason: u8,
    /// [`HAS_TOTALS`].
    pub totals: u8,
    /// Zero.
    pub pad: [u8; 6],
}

/// The name of a process, as it is from now on ([`Kind::Process`]), or the end of one ([`Kind::Gone`]).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ProcessRecord {
    /// A [`Kind`].
    pub kind: u8,
    /// Zero.
    pub pad: [u8; 3],
    /// Thread-group id, as the reader's PID namespace numbers it.
    pub pid: u32,
    /// When it started, see [`start_tag`].
    pub start: u32,
    /// Zero.
    pub pad2: u32,
    /// Name of the thread-group leader, NUL padded.
    pub comm: [u8; 16],
}

/// What the iterator over open files writes of a connection that a process holds and that no hook saw it accept.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct FoundRecord {
    /// Inode of the socket.
    pub inode: u64,
    /// Thread-group id, as the reader's PID namespace numbers it.
    pub pid: u32,
    /// When it started, see [`start_tag`].
    pub start: u32,
}

/// When a process started, as records have it, from nanoseconds of `CLOCK_BOOTTIME` (`task_struct.start_boottime`): units of 65 µs, so that
/// a process id is not used again within one; the number overflows after 78 hours.
pub const fn start_tag(boottime_ns: u64) -> u32 {
    (boottime_ns >> START_SHIFT) as u32
}

/// Binary logarithm of the nanoseconds in a unit of [`start_tag`].
pub const START_SHIFT: u32 = 16;

const _: () = {
    assert!(size_of::<Record>() == 96 && align_of::<Record>() == 8);
    assert!(size_of::<CloseRecord>() == 144 && align_of::<CloseRecord>() == 8);
    assert!(size_of::<ProcessRecord>() == 32 && align_of::<ProcessRecord>() == 4);
    assert!(size_of::<FoundRecord>() == 16 && align_of::<FoundRecord>() == 8);
};

/// A minisocket, or a request, whose timer was stopped, maybe for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Doubt {
    /// Its address, 0 if there was none yet.
    pub mini: u64,
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
}

/// The shape of the filters.
pub mod filter {
    /// Sets of the local end.
    pub const LOCAL: u32 = 0;
    /// Sets of the remote end.
    pub const REMOTE: u32 = 1;
    /// Sets of either end.
    pub const EITHER: u32 = 2;
    /// How many ends there are.
    pub const ENDS: u32 = 3;
    /// In a set of ports, what stands for one that is not known.
    pub const UNKNOWN_PORT: u32 = 1 << 16;
    /// Words of a set of ports, a bit each.
    pub const PORT_WORDS: usize = (1 << 10) + 1;
    /// Prefixes of a set of addresses.
    pub const PREFIXES_LISTED: usize = 16;
    /// The list of owners limits.
    pub const PIDS: u32 = 1 << 0;
    /// The list of network namespaces limits.
    pub const NETNS: u32 = 1 << 1;
    /// The list of cgroups limits.
    pub const CGROUPS: u32 = 1 << 2;
    /// Members of the lists of owners and of network namespaces.
    pub const LISTED: usize = 16;
    /// Members of the list of cgroups.
    pub const CGROUPS_LISTED: usize = 8;
}

/// Names of the read-only globals that user space sets before load.
pub mod globals {
    /// `[u32; FIELDS]`: an offset in bytes per [`Field`](super::Field), or [`ABSENT`](super::ABSENT).
    pub const OFFSETS: &str = "OFFSETS";
    /// `u32`: a bit per protocol and family, see [`proto_bit`](super::proto_bit).
    pub const PROTOS: &str = "PROTOS";
    /// `u32`: bit n is set where records of [`Kind`](super::Kind) n are wanted.
    pub const KINDS: &str = "KINDS";
    /// `u32`: bit n is set where `State` records that enter state n are wanted.
    pub const ENTERED: &str = "ENTERED";
    /// `u32`: bit n is set where `State` records that leave state n are wanted.
    pub const LEFT: &str = "LEFT";
    /// `u32`: the ends of which ports are limited, a bit each by [`filter::LOCAL`](super::filter::LOCAL) and its like.
    pub const PORTS: &str = "PORTS";
    /// `u32`: the ends of which addresses are limited, likewise.
    pub const ADDRS: &str = "ADDRS";
    /// `u32`: the sets of addresses that sockets pass that have none, likewise.
    pub const UNKNOWN_ADDRS: &str = "UNKNOWN_ADDRS";
    /// `u32`: how many prefixes each set of addresses has, a byte each from the lowest.
    pub const PREFIX_COUNTS: &str = "PREFIX_COUNTS";
    /// `u32`: which lists limit: [`filter::PIDS`](super::filter::PIDS) and its like.
    pub const LISTS: &str = "LISTS";
    /// `u32`: how many process ids of owners are listed.
    pub const LISTED_PIDS: &str = "LISTED_PIDS";
    /// `u32`: how many network namespaces are listed.
    pub const LISTED_NETNS: &str = "LISTED_NETNS";
    /// `[u32; 2 * LISTED]`: process ids of owners, then from [`filter::LISTED`](super::filter::LISTED) on inodes of network namespaces.
    pub const LISTED: &str = "LISTED";
    /// `[u64; 2 * CGROUPS_LISTED]`: pairs of a cgroup's id, 0 for none, and how many levels below the root it is.
    pub const CGROUPS: &str = "CGROUPS";
    /// `u32`: inode of the PID namespace whose numbers are wanted; 0 for the initial one.
    pub const PIDNS: &str = "PIDNS";
    /// `u32`: pending bytes from which a record wakes the reader.
    pub const WAKE_BYTES: &str = "WAKE_BYTES";
    /// `u32`: how often a record looks whether to wake the reader: when the time has none of these bits.
    pub const WAKE_MASK: &str = "WAKE_MASK";
    /// `u32`: whether a task can be preempted in a program, and others stand in for it.
    pub const PREEMPTED: &str = "PREEMPTED";
    /// `u32`: 1 where the programs are to run without being preempted, see [`kfunc`](super::kfunc).
    pub const UNDISTURBED: &str = "UNDISTURBED";
    /// `u64`: address of `tw_timer_handler`; 0 if unknown, and the programs look for it themselves.
    pub const TW_TIMER: &str = "TW_TIMER";
    /// `u64`: address of `reqsk_timer_handler`, likewise.
    pub const REQ_TIMER: &str = "REQ_TIMER";
    /// `u64`: where `__mod_timer` begins, and where the next function does.
    pub const MOD_TIMER: &str = "MOD_TIMER";
    /// See [`MOD_TIMER`].
    pub const MOD_TIMER_END: &str = "MOD_TIMER_END";
    /// `u64`: the same of `mod_timer_pending`, which may hold the former. 0 if unknown: what it means that a timer is stopped is then in
    /// [`DOUBTS`](super::maps::DOUBTS) until the next is, or user space asks.
    pub const MOD_PENDING: &str = "MOD_PENDING";
    /// See [`MOD_PENDING`].
    pub const MOD_PENDING_END: &str = "MOD_PENDING_END";
    /// `u8`: aya-log's own level, 0 for silence.
    pub const LOG_LEVEL: &str = "AYA_LOG_LEVEL";
}

/// The bit of [`globals::PROTOS`] for a protocol and a family: TCP 0, UDP 1, UDP-Lite 2, raw 3, and four higher for IPv6.
pub const fn proto_bit(protocol: u16, raw: bool, v6: bool) -> Option<u32> {
    let bit = match (raw, protocol) {
        (true, _) => 3,
        (false, IPPROTO_TCP) => 0,
        (false, IPPROTO_UDP) => 1,
        (false, IPPROTO_UDPLITE) => 2,
        _ => return None,
    };
    Some(1 << if v6 { bit + 4 } else { bit })
}

/// Names of the maps.
pub mod maps {
    /// Ring buffer of [`Record`](super::Record)s, [`CloseRecord`](super::CloseRecord)s and [`ProcessRecord`](super::ProcessRecord)s.
    pub const EVENTS: &str = "EVENTS";
    /// Per-CPU counters, see [`counter`](super::counter).
    pub const COUNTERS: &str = "COUNTERS";
    /// A [`Doubt`](super::Doubt) per CPU: the last one.
    pub const DOUBTS: &str = "DOUBTS";
    /// Sets of ports by end: a bit for each port, and one for ports that are not known.
    pub const PORT_SETS: &str = "PORT_SETS";
    /// Sets of prefixes by end, [`PREFIXES_LISTED`](super::filter::PREFIXES_LISTED) each: the first IPv6 address, and the bits that count, as two words
    /// each.
    pub const PREFIXES: &str = "PREFIXES";
    /// `u64`: the address of the minisocket or request that is to be decided.
    pub const ASKED: &str = "ASKED";
    /// `u64`: what the programs do, see [`phase`](super::phase).
    pub const STARTED: &str = "STARTED";
    /// `u64`: whether the hook on transitions sees connections begin (`LISTEN` → `SYN_RECV`). That depends on the way in which it is attached, which
    /// is known after load.
    pub const BIRTHS: &str = "BIRTHS";
    /// The program that `state_nested` is attached behind, and goes on in.
    pub const BEFORE: &str = "BEFORE";
}

/// What [`maps::STARTED`] says. Any other number: nanoseconds of `CLOCK_MONOTONIC` since when events are reported.
pub mod phase {
    /// Not every hook is attached: the programs do nothing.
    pub const OFF: u64 = 0;
    /// Sockets are remembered, nothing is reported: those that are there already are being looked up.
    pub const QUIET: u64 = 1;
}

/// Indices of the per-CPU counters.
pub mod counter {
    /// Events lost: the ring buffer was full, or the kernel left out the program that would have reported them.
    pub const LOST: u32 = 0;
    /// Sockets of which what was remembered was given up, because the map was full or the kernel had no memory.
    pub const FORGOTTEN: u32 = 1;
    /// Connections that the hook on the return of accept(2) was the first to see accepted.
    pub const ACCEPTED: u32 = 2;
    /// Those of which it was known before, or cannot be known, who accepted them, or which are not wanted.
    pub const ACCEPTED_TWICE: u32 = 3;
    /// Not 0 where the programs that stand in for others report nothing any more: the kernel runs them before those.
    pub const STAND_INS_OFF: u32 = 4;
    /// Number of counters.
    pub const COUNT: u32 = 5;
}
