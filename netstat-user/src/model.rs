//! Plain data every room speaks: sockets, endpoints, states, owners and events. No I/O, no formatting for people.

mod address;
mod health;
mod held;
mod kill_result;
mod life;
pub mod limits;
mod live;
pub mod net;
mod network;
pub mod packet_radio;
mod process_start;
mod reason;
mod row_test;
mod rows;
mod rows_wanted;
mod shares;
mod subordinate;
mod tables;
mod tcp_info;
mod this_second;
mod turns;
pub mod visible;
pub mod width;
mod workload;

pub use address::AddressText;
pub use health::{Check, Level, ProgramHealth};
pub use held::HeldSockets;
pub use kill_result::KillResult;
pub use life::{Direction, Ended, EventName, StateTimes};
pub use limits::Limits;
pub use live::{ClosedSocket, Ends, LiveSocket};
pub use network::Network;
pub use process_start::{START_SHIFT, TICK_NS, is_start};
pub use reason::reason;
pub use row_test::{ListedRow, RowFacts, RowNumber, RowTest, all_hold};
pub use rows::{
    Holder, Labels, SctpPeer, SctpRow, SocketHolders, SocketRow, Timer, UnixRow, UnixSocket, UnseenHolders,
};
pub use rows_wanted::RowsWanted;
pub use shares::Shares;
pub use subordinate::{Range as IdRange, Subordinates, UNKNOWN_USER};
pub use tables::{NamespaceTables, ProtoTable, SocketTable};
pub use tcp_info::{INFO_COUNT, INFO_FIELDS, INFO_WORDS, InfoField, TcpInfo};
pub use this_second::ThisSecond;
pub use turns::Turns;
pub use workload::Workload;

use std::net::IpAddr;
use std::num::NonZeroU64;

/// The Proto column of netstat: protocol and address family in one name (`tcp6` = an `AF_INET6` TCP socket).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the protocols")]
pub enum Proto {
    Tcp,
    Tcp6,
    Udp,
    Udp6,
    UdpLite,
    UdpLite6,
    Raw,
    Raw6,
}

impl Proto {
    /// Every protocol, in the order of the variants.
    pub const ALL: [Self; 8] =
        [Self::Tcp, Self::Tcp6, Self::Udp, Self::Udp6, Self::UdpLite, Self::UdpLite6, Self::Raw, Self::Raw6];

    /// The name in JSON and on the command line. netstat's own tables shorten `udplite` to `udpl`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tcp6 => "tcp6",
            Self::Udp => "udp",
            Self::Udp6 => "udp6",
            Self::UdpLite => "udplite",
            Self::UdpLite6 => "udplite6",
            Self::Raw => "raw",
            Self::Raw6 => "raw6",
        }
    }

    /// Whether the socket is of the `AF_INET6` family.
    pub const fn is_v6(self) -> bool {
        matches!(self, Self::Tcp6 | Self::Udp6 | Self::UdpLite6 | Self::Raw6)
    }

    /// Whether the socket is TCP, whatever its family.
    pub const fn is_tcp(self) -> bool {
        matches!(self, Self::Tcp | Self::Tcp6)
    }
}

/// A TCP state, numbered as in the kernel's `include/net/tcp_states.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the states of RFC 9293")]
#[repr(u8)]
pub enum TcpState {
    Established = 1,
    SynSent = 2,
    SynRecv = 3,
    FinWait1 = 4,
    FinWait2 = 5,
    TimeWait = 6,
    Close = 7,
    CloseWait = 8,
    LastAck = 9,
    Listen = 10,
    Closing = 11,
}

impl TcpState {
    /// Every state, in the kernel's order.
    pub const ALL: [Self; 11] = [
        Self::Established,
        Self::SynSent,
        Self::SynRecv,
        Self::FinWait1,
        Self::FinWait2,
        Self::TimeWait,
        Self::Close,
        Self::CloseWait,
        Self::LastAck,
        Self::Listen,
        Self::Closing,
    ];

    /// netstat's name for the state.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN_SENT",
            Self::SynRecv => "SYN_RECV",
            Self::FinWait1 => "FIN_WAIT1",
            Self::FinWait2 => "FIN_WAIT2",
            Self::TimeWait => "TIME_WAIT",
            Self::Close => "CLOSE",
            Self::CloseWait => "CLOSE_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::Listen => "LISTEN",
            Self::Closing => "CLOSING",
        }
    }

    /// The state with the kernel's number, `None` where the kernel has no such state. `TCP_NEW_SYN_RECV` (12), the
    /// state of a request socket, is shown as `SYN_RECV`, as in /proc/net/tcp.
    pub const fn from_kernel(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Established,
            2 => Self::SynSent,
            3 | 12 => Self::SynRecv,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Close,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            _ => return None,
        })
    }
}

/// One end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The address; an IPv4-mapped IPv6 address stays mapped.
    pub addr: IpAddr,
    /// The port (raw sockets: the protocol number), 0 for the wildcard.
    pub port: u16,
}

/// One end of a socket in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventEnd {
    /// The address; an IPv4-mapped IPv6 address stays mapped.
    pub addr: IpAddr,
    /// The port, 0 for the wildcard, `None` while the kernel has not assigned it (a TCP socket that begins to connect).
    pub port: Option<u16>,
}

/// How the owner of a socket is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grade {
    /// The process made the socket while it was traced.
    Created,
    /// The process took the connection from its listener with accept(2).
    Accepted,
    /// The owner of the listener; nobody has accepted the connection yet.
    Inherited,
    /// Found in /proc or by the file iterator.
    Scanned,
}

impl Grade {
    /// Every grade.
    pub const ALL: [Self; 4] = [Self::Created, Self::Accepted, Self::Inherited, Self::Scanned];

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Accepted => "accepted",
            Self::Inherited => "inherited",
            Self::Scanned => "scanned",
        }
    }
}

/// A process name as the kernel keeps it: at most 15 bytes, any bytes but NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Comm([u8; 16]);

impl Comm {
    /// From the kernel's `task_struct.comm`, or any bytes: what follows a NUL or the 15th byte is dropped.
    pub fn new(bytes: &[u8]) -> Self {
        let mut comm = [0; 16];
        let len = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len()).min(15);
        comm[..len].copy_from_slice(&bytes[..len]);
        Self(comm)
    }

    /// The name without padding.
    pub fn as_bytes(&self) -> &[u8] {
        let len = self.0.iter().position(|&b| b == 0).unwrap_or(self.0.len());
        &self.0[..len]
    }
}

/// The process that owns a socket, with how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Thread-group id, in the PID namespace of the reader.
    pub pid: u32,
    /// Name of the thread-group leader at the time of the event.
    pub comm: Comm,
    /// How the owner is known.
    pub grade: Grade,
    /// Id of the cgroup that it was in when it became the owner, in the unified hierarchy: the inode number of its directory. `None` where that is
    /// not known: nobody uses that hierarchy, say.
    pub cgroup_id: Option<NonZeroU64>,
    /// When it began, in units of 65,536 ns of `CLOCK_BOOTTIME`, in 32 bits ([`is_start`]); 0 where that is not known.
    pub start: u32,
}

/// Why a socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// In order: closed by its owner, or by both ends.
    Closed,
    /// The peer sent a reset.
    ResetReceived,
    /// This end sent a reset.
    ResetSent,
    /// The peer refused the connection (a reset, or an ICMP error, in answer to the SYN).
    Refused,
    /// No answer in time: connection, user, or keepalive timeout.
    TimedOut,
    /// There was no way to the destination, as the kernel or an ICMP message said.
    Unreachable,
    /// Its process closed it before it was established.
    Abandoned,
    /// The kernel did not say.
    Unknown,
}

impl CloseReason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::Closed,
        Self::ResetReceived,
        Self::ResetSent,
        Self::Refused,
        Self::TimedOut,
        Self::Unreachable,
        Self::Abandoned,
        Self::Unknown,
    ];

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::ResetReceived => "reset_received",
            Self::ResetSent => "reset_sent",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Abandoned => "abandoned",
            Self::Unknown => "unknown",
        }
    }
}

/// What a socket did in its life, known when the kernel destroys it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Life of the socket in nanoseconds, `None` if it was there before the tracer.
    pub duration_ns: Option<u64>,
    /// Payload bytes received, `None` where the protocol does not count them.
    pub rx_bytes: Option<u64>,
    /// Payload bytes sent, retransmissions not counted twice, `None` where the protocol does not count them.
    pub tx_bytes: Option<u64>,
    /// Smoothed round-trip time in microseconds, `None` if never measured.
    pub rtt_us: Option<u32>,
    /// Segments sent again, `None` where the protocol has none.
    pub retransmits: Option<u32>,
    /// Why it ended.
    pub reason: CloseReason,
    /// The process that closed it, by close(2), by its own end, or by shutting it down; `None` where the kernel ended it by itself.
    pub closed_by: Option<Closer>,
}

impl Totals {
    /// Of a socket of which no more is known than why it ended.
    pub const fn unknown(reason: CloseReason) -> Self {
        Self {
            duration_ns: None,
            rx_bytes: None,
            tx_bytes: None,
            rtt_us: None,
            retransmits: None,
            reason,
            closed_by: None,
        }
    }
}

/// The process that closed a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closer {
    /// Thread-group id, in the PID namespace of the reader.
    pub pid: u32,
    /// Name of the thread-group leader.
    pub comm: Comm,
    /// When it began, as [`Owner::start`].
    pub start: u32,
}

/// What happened to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Created; no addresses yet.
    Open,
    /// A TCP state transition.
    State {
        /// The state it left.
        old: TcpState,
        /// The state it entered.
        new: TcpState,
        /// Nanoseconds spent in the state it left, `None` if it entered that state before the tracer was there.
        in_state_ns: Option<u64>,
    },
    /// The kernel destroyed it.
    Close(Totals),
}

impl EventKind {
    /// The name in JSON.
    pub const fn name(&self) -> &'static str {
        self.event().name()
    }
}

/// One thing that happened to one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketEvent {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// What happened.
    pub kind: EventKind,
    /// Protocol and family.
    pub proto: Proto,
    /// The socket's own end, `None` while it has none.
    pub local: Option<EventEnd>,
    /// The other end, `None` while the socket has no addresses at all.
    pub remote: Option<EventEnd>,
    /// The owning process, `None` when nobody is known to own it.
    pub owner: Option<Owner>,
    /// User id of the socket, as the kernel's initial user namespace numbers it.
    pub uid: Option<u32>,
    /// Inode of the socket, 0 once it has none, `None` where the kernel could not be asked.
    pub inode: Option<u64>,
    /// Socket cookie, the `sk:` of `ss -e`.
    pub cookie: Option<u64>,
    /// Inode number of the network namespace.
    pub netns: Option<u32>,
}

/// One item of the event stream.
#[allow(clippy::large_enum_variant, reason = "nearly every item is a socket's, and none is kept")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something happened to a socket.
    Socket(SocketEvent),
    /// The kernel had no room for this many records since the last one delivered.
    Lost {
        /// Nanoseconds since the Unix epoch, when the loss was noticed.
        time_ns: u64,
        /// Exact number of records.
        count: u64,
    },
}

/// What the tracer sees, and what it does not, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// One entry per hook that was asked for.
    pub hooks: Vec<HookCoverage>,
    /// The cgroup namespace, by inode number, whose processes alone the hooks of cgroups see; `None` where they see every process.
    pub cgroup_namespace: Option<u32>,
}

impl Coverage {
    /// What the hooks of a cgroup namespace do not see.
    pub const OUTSIDE: &str = "no open events, no UDP events and no created owners";

    /// Whether a hook is attached.
    pub fn has(&self, hook: &str) -> bool {
        self.hooks.iter().any(|covered| covered.hook == hook && covered.variant.is_some())
    }
}

/// One hook of the tracer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookCoverage {
    /// Name of the hook.
    pub hook: &'static str,
    /// What is missing without it.
    pub without: &'static str,
    /// The variant attached, `None` if none could be.
    pub variant: Option<&'static str>,
    /// Variants that could not be used.
    pub refused: Vec<Refused>,
    /// What mends the refusals.
    pub mend: Option<&'static str>,
}

/// A variant of a hook that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The variant.
    pub variant: &'static str,
    /// Why.
    pub cause: String,
    /// What kind of cause it is.
    pub kind: RefusalKind,
}

/// Why a variant of a hook could not be used, as far as it matters to somebody who wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The kernel has no such thing, or not in this form.
    Unsupported,
    /// The kernel has it, and denies it to this process (`EPERM`): by a lockdown, a security module or a sandbox.
    Denied,
    /// It failed although the kernel supports it.
    Failed,
}
