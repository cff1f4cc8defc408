//! The table of fields: every fact of a row or an event that can be selected by, shown as a column, sorted by or counted by,
//! once, with its name, type, unit and meaning. JSON, the JSON Schema, `--help` and `--columns help` are tested against it.
//!
//! To add a field, add a line to [`FIELDS`] below and answer for it: in [`rows`] where the row itself knows it, else in a
//! [`Provider`] of its [`Need`].

mod column;
mod kind;
mod nearest;
mod provider;
mod rows;
pub mod schema;
mod value;

pub use column::{Column, ColumnError};
pub use kind::{Unit, ValueKind};
pub use nearest::{instead_of, nearest, nearest_field};
pub use provider::{Provider, Subject};
pub use rows::{ClosedFields, EventFields, HasFields, RowContext, RowFields, SctpFields, UnixFields, UnseenValues};
pub use value::Value;

use crate::model::{CloseReason, Direction, EventName, Grade, Proto, TcpState, Timer, UnixRow};

/// A set of kinds of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowKinds(u8);

impl RowKinds {
    /// None.
    pub const NONE: Self = Self(0);
    /// Rows of the Internet tables.
    pub const INET: Self = Self(1);
    /// Rows of the table of UNIX domain sockets.
    pub const UNIX: Self = Self(2);
    /// Events.
    pub const EVENT: Self = Self(4);
    /// Sockets that ended, of `--recent`.
    pub const CLOSED: Self = Self(8);
    /// SCTP rows of the Internet tables.
    pub const SCTP: Self = Self(16);

    /// What the connections of `events --life` have beyond their event.
    pub const LIFE: Self = Self(32);
    /// Every kind.
    pub const ALL: Self = Self(u8::MAX);

    /// Those that are in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there are events, and nothing else.
    pub const fn is_events(self) -> bool {
        Self::EVENT.or(Self::LIFE).has(self)
    }

    /// Whether the sets have a kind in common.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether every kind of `other` is in this set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A set of things that are gathered only where an expression, a column, an order or a count asks for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need(u16);

impl Need {
    /// Nothing: the row has it.
    pub const NONE: Self = Self(0);
    /// The processes that hold the sockets.
    pub const OWNERS: Self = Self(1);
    /// Their names as the kernel keeps them.
    pub const COMMS: Self = Self(2);
    /// Names of users.
    pub const USERS: Self = Self(4);
    /// Socket cookies.
    pub const COOKIES: Self = Self(8);
    /// Names of network namespaces.
    pub const NETNS_NAMES: Self = Self(16);
    /// Cgroup, unit, container and pod of the owner.
    pub const CGROUPS: Self = Self(32);
    /// The other end's socket, where it is of this host.
    pub const PEERS: Self = Self(64);
    /// The kernel's `tcp_info`.
    pub const INFO: Self = Self(128);
    /// Since when the socket is there and in its state, which an agent knows.
    pub const AGES: Self = Self(256);
    /// What sock_diag alone lists: the device a socket is bound to, its mark, the cgroup it was made in.
    pub const DIAG: Self = Self(512);
    /// Whether a process chose the local port, which takes sock_diag a listing of its own.
    pub const BINDING: Self = Self(1024);
    /// The number of the user, which the row has as far as the kernel keeps it.
    pub const UIDS: Self = Self(2048);

    /// Those that are in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of this set that are not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the sets have a thing in common.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Everything.
    pub const ALL: Self = Self(u16::MAX);

    /// Whether everything in `other` is in this set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is nothing to gather.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// What is known of a field itself.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec {
    /// Its place in [`FIELDS`].
    pub field: Field,
    /// Its name; dotted where it is nested in JSON. What stands before a dot names the group, see [`GROUPS`].
    pub name: &'static str,
    /// What its values are.
    pub kind: ValueKind,
    /// The rows whose JSON object has it whether it is asked for or not.
    pub always: RowKinds,
    /// The other rows that have it when it is asked for.
    pub asked: RowKinds,
    /// What must be gathered for it.
    pub need: Need,
    /// What it means, in one line.
    pub doc: &'static str,
}

impl FieldSpec {
    /// The rows that can have it.
    pub const fn rows(&self) -> RowKinds {
        self.always.or(self.asked)
    }
}

impl Field {
    /// What is known of the field.
    pub const fn spec(self) -> &'static FieldSpec {
        &FIELDS[self as usize]
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// The field of this name.
    pub fn named(name: &str) -> Option<Self> {
        FIELDS.iter().find(|spec| spec.name == name).map(|spec| spec.field)
    }

    /// The state of which the field is the time spent in it, by a whole connection.
    pub const fn state_timed(self) -> Option<TcpState> {
        Some(match self {
            Self::StatesClose => TcpState::Close,
            Self::StatesSynSent => TcpState::SynSent,
            Self::StatesSynRecv => TcpState::SynRecv,
            Self::StatesEstablished => TcpState::Established,
            Self::StatesFinWait1 => TcpState::FinWait1,
            Self::StatesFinWait2 => TcpState::FinWait2,
            Self::StatesClosing => TcpState::Closing,
            Self::StatesCloseWait => TcpState::CloseWait,
            Self::StatesLastAck => TcpState::LastAck,
            _ => return None,
        })
    }

    /// The group the field belongs to, if its name is dotted, and its name in there.
    pub fn nested(self) -> Option<(&'static str, &'static str)> {
        self.name().split_once('.')
    }
}

/// The names that stand before dots, which may be asked for as columns: all their fields then. `owners` and the like are lists in JSON.
pub const GROUPS: [&str; 8] = ["local", "remote", "owners", "timer", "closed_by", STATE_TIMES, "peer", "info"];

/// The group of the times that a connection spent in its states: it has only the states that the connection was in.
pub const STATE_TIMES: &str = "states";

/// The groups of which such rows have fields.
pub fn groups(rows: RowKinds) -> impl Iterator<Item = &'static str> {
    GROUPS.into_iter().filter(move |name| group(name).any(|field| field.spec().rows().meets(rows)))
}

/// The groups that are lists of objects in JSON.
pub const LISTS: [&str; 1] = ["owners"];

/// The fields of a group, in their order.
pub fn group(name: &str) -> impl Iterator<Item = Field> {
    FIELDS.iter().map(|spec| spec.field).filter(move |field| field.nested().is_some_and(|(group, _)| group == name))
}

/// The fields that the JSON object of such a row always has, in order, groups as `local{addr,port}` and `owners[{pid,…}]`.
pub fn outline(rows: RowKinds) -> String {
    let always: Vec<Field> = FIELDS.iter().filter(|spec| spec.always.meets(rows)).map(|spec| spec.field).collect();
    let mut names: Vec<String> = Vec::new();
    for (at, field) in always.iter().enumerate() {
        let Some((group, _)) = field.nested() else {
            names.push(field.name().to_owned());
            continue;
        };
        let in_group = |field: &&Field| field.nested().is_some_and(|(other, _)| other == group);
        if !always[..at].iter().any(|field| in_group(&field)) {
            let inner: Vec<&str> =
                always.iter().filter(in_group).filter_map(|field| field.nested()).map(|(_, name)| name).collect();
            let (open, close) = if LISTS.contains(&group) { ("[{", "}]") } else { ("{", "}") };
            names.push(format!("{group}{open}{}{close}", inner.join(",")));
        }
    }
    names.join(" ")
}

/// Which rows have a field, and how these are listed: in words, for a message about rows that have it not.
pub fn had_by(rows: RowKinds) -> String {
    let mut places = Vec::new();
    for (kinds, words) in [
        (RowKinds::INET, "Internet sockets (-t -u)"),
        (RowKinds::UNIX, "UNIX sockets (-x)"),
        (RowKinds::CLOSED, "closed sockets (--recent 5m)"),
        (RowKinds::EVENT, "events (netstat-user events)"),
    ] {
        if rows.meets(kinds) {
            places.push(words);
        }
    }
    match places[..] {
        [] if rows.meets(RowKinds::SCTP) => "SCTP sockets (-S) have it".to_owned(),
        [] => "whole connections (netstat-user events --life) have it".to_owned(),
        [.., last] if places.len() > 1 => format!("{} and {last} have it", places[..places.len() - 1].join(", ")),
        [only, ..] => format!("{only} have it"),
    }
}

/// Names of values that have few: of every protocol shown.
const PROTOS: [&str; Proto::ALL.len() + 2] = {
    let mut names = ["sctp"; Proto::ALL.len() + 2];
    let mut at = 0;
    while at < Proto::ALL.len() {
        names[at] = Proto::ALL[at].name();
        at += 1;
    }
    names[Proto::ALL.len() + 1] = "unix";
    names
};

/// The names of every value of a type that has few.
macro_rules! names {
    ($words:ty) => {{
        let mut names = [""; <$words>::ALL.len()];
        let mut at = 0;
        while at < names.len() {
            names[at] = <$words>::ALL[at].name();
            at += 1;
        }
        names
    }};
}

const TCP_STATES: [&str; TcpState::ALL.len()] = names!(TcpState);

/// The names of the states of TCP and of UNIX domain sockets.
const STATES: [&str; TCP_STATES.len() + UnixRow::STATES.len()] = {
    let mut names = [""; TCP_STATES.len() + UnixRow::STATES.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = if at < TCP_STATES.len() { TCP_STATES[at] } else { UnixRow::STATES[at - TCP_STATES.len()] };
        at += 1;
    }
    names
};

/// The names of the flags of UNIX domain sockets.
const FLAGS: [&str; UnixRow::FLAGS.len()] = {
    let mut names = [""; UnixRow::FLAGS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = UnixRow::FLAGS[at].1;
        at += 1;
    }
    names
};

const GRADES: [&str; Grade::ALL.len()] = names!(Grade);
const REASONS: [&str; CloseReason::ALL.len()] = names!(CloseReason);
const DIRECTIONS: [&str; Direction::ALL.len()] = names!(Direction);
const EVENTS: [&str; EventName::ALL.len()] = names!(EventName);
/// Who chooses a local port, the word of `port_chosen_by`: the kernel does where a process connects or asks for port 0.
pub const CHOOSERS: [&str; 2] = ["process", "kernel"];

const NONE: RowKinds = RowKinds::NONE;
const I: RowKinds = RowKinds::INET;
const S: RowKinds = RowKinds::SCTP;
const U: RowKinds = RowKinds::UNIX;
const E: RowKinds = RowKinds::EVENT;
const C: RowKinds = RowKinds::CLOSED;
const L: RowKinds = RowKinds::LIFE;
const IC: RowKinds = I.or(C);
const ISC: RowKinds = IC.or(S);
const ISCE: RowKinds = ISC.or(E);
const ISCU: RowKinds = ISC.or(U);
const ISU: RowKinds = I.or(S).or(U);
const ICE: RowKinds = IC.or(E);
const ICU: RowKinds = IC.or(U);
const IU: RowKinds = I.or(U);
const EC: RowKinds = E.or(C);
const SU: RowKinds = S.or(U);
const ALL: RowKinds = ISCU.or(E);

const NO: Need = Need::NONE;

/// Stamps [`Field`] and [`FIELDS`] from one list.
macro_rules! fields {
    ($($field:ident $name:literal $kind:expr, $always:expr, $asked:expr, $need:expr, $doc:literal;)*) => {
        /// A field, by its place in [`FIELDS`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Field { $(#[doc = $doc] $field,)* }

        /// Every field, in the order of [`Field`], which is that of JSON: but for the object `info` of `--info`, whose order is that of
        /// [`INFO_FIELDS`](crate::model::INFO_FIELDS).
        pub const FIELDS: [FieldSpec; [$(Field::$field),*].len()] = [$(FieldSpec {
            field: Field::$field, name: $name, kind: $kind, always: $always, asked: $asked, need: $need, doc: $doc,
        },)*];
    };
}

fields! {
    // Field, name, kind, rows that always have it, rows that have it when asked for, what must be gathered, meaning.
    Time "time" ValueKind::Time, EC, NONE, NO, "when it happened, in UTC; of a closed socket, when the kernel destroyed it";
    Event "event" ValueKind::Word(&EVENTS), EC, NONE, NO, "what happened: open, state, close";
    Proto "proto" ValueKind::Word(&PROTOS), ALL, NONE, NO, "protocol and family: tcp tcp6 udp udp6 udplite udplite6 raw raw6; in the tables also sctp unix";
    RecvQ "recv_q" ValueKind::Bytes, ISC, NONE, NO, "bytes received and not read yet; of a listener, connections not accepted yet";
    SendQ "send_q" ValueKind::Bytes, ISC, NONE, NO, "bytes sent and not acknowledged yet";
    LocalAddr "local.addr" ValueKind::Address, ISCE, NONE, NO, "address of the socket's own end";
    LocalPort "local.port" ValueKind::Port, ISCE, NONE, NO, "its port";
    LocalAddrs "local_addrs" ValueKind::Address, S, NONE, NO, "SCTP: every address of the socket's own end";
    RemoteAddr "remote.addr" ValueKind::Address, ISCE, NONE, NO, "address of the other end";
    RemotePort "remote.port" ValueKind::Port, ISCE, NONE, NO, "its port";
    RemoteIp "remote_ip" ValueKind::Address, NONE, ISCE, NO, "address of the other end, without its family: an IPv4-mapped one as the IPv4 address";
    RemoteAddrs "remote_addrs" ValueKind::Address, S, NONE, NO, "SCTP: every address of the other end";
    Refcnt "refcnt" ValueKind::Number, U, NONE, NO, "references the kernel holds";
    Flags "flags" ValueKind::Word(&FLAGS), U, NONE, NO, "UNIX: ACC listens";
    Type "type" ValueKind::Word(&UnixRow::TYPES), U, NONE, NO, "UNIX: STREAM DGRAM RAW RDM SEQPACKET";
    State "state" ValueKind::Word(&STATES), ISCU, E, NO, "netstat's name of the state; of an event, the state entered";
    OldState "old_state" ValueKind::Word(&TCP_STATES), E, NONE, NO, "state events: the state left";
    NewState "new_state" ValueKind::Word(&TCP_STATES), E, NONE, NO, "state events: the state entered";
    InStateNs "in_state_ns" ValueKind::Span(Unit::Nanos), E, NONE, NO, "state events: time spent in old_state";
    Pid "pid" ValueKind::Number, EC, ISU, Need::OWNERS, "process that owns the socket; of a row held by several, the first";
    Comm "comm" ValueKind::Text, EC, ISU, Need::OWNERS.or(Need::COMMS), "its name as the kernel keeps it, at most 15 bytes";
    Uid "uid" ValueKind::User, ISCE, NONE, Need::UIDS, "user id of the socket";
    User "user" ValueKind::Text, ISC, E, Need::USERS.or(Need::UIDS), "the user's name";
    Owner "owner" ValueKind::Word(&GRADES), EC, NONE, NO, "how the owner is known: created accepted inherited scanned";
    Direction "direction" ValueKind::Word(&DIRECTIONS), NONE, E, NO, "events: who connected, the local end (out) or the remote end (in)";
    Inode "inode" ValueKind::Number, ALL, NONE, NO, "inode of the socket, 0 once it has none";
    OwnersPid "owners.pid" ValueKind::Number, ISCU, E, Need::OWNERS, "every process that holds the socket";
    OwnersProgram "owners.program" ValueKind::Text, ISCU, E, Need::OWNERS, "their programs, from their command lines; of closed sockets as owners.comm";
    OwnersComm "owners.comm" ValueKind::Text, ISCU, E, Need::OWNERS.or(Need::COMMS), "their names as the kernel keeps them";
    OwnersOwner "owners.owner" ValueKind::Word(&GRADES), NONE, ISCU, Need::OWNERS, "how an owner is known that events recorded for a socket no process holds";
    TimerName "timer.name" ValueKind::Word(&Timer::NAMES), IC, NONE, NO, "the running timer: off on keepalive timewait probe";
    TimerSeconds "timer.seconds" ValueKind::Span(Unit::Hundredths), IC, NONE, NO, "time to its expiry";
    TimerRetransmits "timer.retransmits" ValueKind::Number, IC, NONE, NO, "retransmissions of the oldest segment";
    TimerProbes "timer.probes" ValueKind::Number, IC, NONE, NO, "probes not answered";
    Netns "netns" ValueKind::Namespace, ICE, SU, NO, "inode number of the network namespace";
    NetnsName "netns_name" ValueKind::Text, NONE, ALL, Need::NETNS_NAMES, "its name in /run/netns";
    Cookie "cookie" ValueKind::Number, ICE, NONE, Need::COOKIES, "socket cookie, the sk: of ss -e";
    DurationNs "duration_ns" ValueKind::Span(Unit::Nanos), EC, NONE, NO, "life of a closed socket";
    RxBytes "rx_bytes" ValueKind::Bytes, EC, NONE, NO, "payload a closed socket received";
    TxBytes "tx_bytes" ValueKind::Bytes, EC, NONE, NO, "payload a closed socket sent, retransmissions not counted twice";
    RttUs "rtt_us" ValueKind::Span(Unit::Micros), EC, NONE, NO, "smoothed round-trip time of a closed socket";
    Retransmits "retransmits" ValueKind::Number, EC, NONE, NO, "segments a closed socket sent again";
    Reason "reason" ValueKind::Word(&REASONS), EC, NONE, NO, "why a socket ended: closed reset_received reset_sent refused timed_out unreachable abandoned unknown";
    ClosedByPid "closed_by.pid" ValueKind::Number, EC, NONE, NO, "process whose close, exit or shutdown ended the socket";
    ClosedByComm "closed_by.comm" ValueKind::Text, EC, NONE, NO, "its name as the kernel keeps it";
    StatesClose "states.CLOSE" ValueKind::Span(Unit::Nanos), NONE, L, NO, "--life: time in CLOSE, before it connected, and after it was over";
    StatesSynSent "states.SYN_SENT" ValueKind::Span(Unit::Nanos), NONE, L, NO, "--life: time in SYN_SENT, connecting";
    StatesSynRecv "states.SYN_RECV" ValueKind::Span(Unit::Nanos), NONE, L, NO, "--life: time in SYN_RECV, being connected to";
    StatesEstablished "states.ESTABLISHED" ValueKind::Span(Unit::Nanos), NONE, L, NO, "--life: time in ESTABLISHED, established";
    StatesFinWait1 "states.FIN_WAIT1" ValueKind::Span(Unit::Nanos), NONE, L, NO, "--life: time in FIN_WAIT1, closed here, not acknowledged yet";
    StatesFinWait2 "states.FIN_WAIT2" ValueKind::Span(Unit::Nanos), NONE, L, NO, "--life: time in FIN_WAIT2, closed here, and not by the other end yet";
    StatesClosing "states.CLOSING" ValueKind::Span(Unit::Nanos), NONE, L, NO, "--life: time in CLOSING, closed by both ends at once";
    StatesCloseWait "states.CLOSE_WAIT" ValueKind::Span(Unit::Nanos), NONE, L, NO, "--life: time in CLOSE_WAIT, closed by the other end, and not here yet";
    StatesLastAck "states.LAST_ACK" ValueKind::Span(Unit::Nanos), NONE, L, NO, "--life: time in LAST_ACK, closed here last, not acknowledged yet";
    Path "path" ValueKind::Text, U, NONE, NO, "UNIX: path, or @ and an abstract name";
    Cgroup "cgroup" ValueKind::Text, NONE, ALL, Need::OWNERS.or(Need::CGROUPS), "cgroup of the owner: path in the unified hierarchy";
    SystemdUnit "unit" ValueKind::Text, NONE, ALL, Need::OWNERS.or(Need::CGROUPS), "systemd unit of the owner";
    Container "container" ValueKind::Text, NONE, ALL, Need::OWNERS.or(Need::CGROUPS), "id of the owner's container, 64 hexadecimal digits";
    Pod "pod" ValueKind::Text, NONE, ALL, Need::OWNERS.or(Need::CGROUPS), "uid of the owner's Kubernetes pod";
    AgeNs "age_ns" ValueKind::Span(Unit::Nanos), NONE, ICU, Need::AGES, "time since the socket was opened or first seen; needs the agent";
    StateAgeNs "state_age_ns" ValueKind::Span(Unit::Nanos), NONE, I, Need::AGES, "time since it entered its state; needs the agent";
    PeerPid "peer.pid" ValueKind::Number, NONE, IU, Need::PEERS.or(Need::OWNERS), "process at the other end, where that is a socket of this host";
    PeerComm "peer.comm" ValueKind::Text, NONE, IU, Need::PEERS.or(Need::OWNERS).or(Need::COMMS), "its name as the kernel keeps it";
    PeerContainer "peer.container" ValueKind::Text, NONE, IU, Need::PEERS.or(Need::OWNERS).or(Need::CGROUPS), "id of its container";
    PeerPath "peer.path" ValueKind::Text, NONE, U, Need::PEERS, "UNIX: path of the socket at the other end";
    Dev "dev" ValueKind::Text, NONE, I, Need::DIAG, "device the socket is bound to";
    Fwmark "fwmark" ValueKind::Number, NONE, I, Need::DIAG, "mark of the socket (SO_MARK)";
    PortChosenBy "port_chosen_by" ValueKind::Word(&CHOOSERS), NONE, I, Need::BINDING, "who chose the local port: process kernel";
    InfoRttUs "info.rtt_us" ValueKind::Span(Unit::Micros), NONE, I, Need::INFO, "smoothed round-trip time";
    InfoRttvarUs "info.rttvar_us" ValueKind::Span(Unit::Micros), NONE, I, Need::INFO, "variation of the round-trip time";
    InfoMinRttUs "info.min_rtt_us" ValueKind::Span(Unit::Micros), NONE, I, Need::INFO, "least round-trip time";
    InfoRtoUs "info.rto_us" ValueKind::Span(Unit::Micros), NONE, I, Need::INFO, "retransmission timeout";
    InfoCwnd "info.cwnd" ValueKind::Number, NONE, I, Need::INFO, "congestion window, in segments";
    InfoSsthresh "info.ssthresh" ValueKind::Number, NONE, I, Need::INFO, "slow-start threshold, in segments; null while there is none";
    InfoMss "info.mss" ValueKind::Bytes, NONE, I, Need::INFO, "maximum segment size for sending";
    InfoPmtu "info.pmtu" ValueKind::Bytes, NONE, I, Need::INFO, "path MTU";
    InfoCongestion "info.congestion" ValueKind::Text, NONE, I, Need::INFO, "congestion control algorithm";
    InfoRetransmits "info.retransmits" ValueKind::Number, NONE, I, Need::INFO, "segments sent again, in the life of the socket";
    InfoLost "info.lost" ValueKind::Number, NONE, I, Need::INFO, "segments taken for lost now";
    InfoUnacked "info.unacked" ValueKind::Number, NONE, I, Need::INFO, "segments not acknowledged now";
    InfoBytesSent "info.bytes_sent" ValueKind::Bytes, NONE, I, Need::INFO, "payload sent, retransmissions included";
    InfoBytesRetrans "info.bytes_retrans" ValueKind::Bytes, NONE, I, Need::INFO, "payload sent again";
    InfoBytesAcked "info.bytes_acked" ValueKind::Bytes, NONE, I, Need::INFO, "bytes the other end acknowledged: payload, and one each for a FIN and for the SYN of the end that connected";
    InfoBytesReceived "info.bytes_received" ValueKind::Bytes, NONE, I, Need::INFO, "payload received";
    InfoSegsIn "info.segs_in" ValueKind::Number, NONE, I, Need::INFO, "segments received";
    InfoSegsOut "info.segs_out" ValueKind::Number, NONE, I, Need::INFO, "segments sent";
    InfoDeliveryRate "info.delivery_rate" ValueKind::Bytes, NONE, I, Need::INFO, "latest rate of delivery, in bytes a second";
    InfoPacingRate "info.pacing_rate" ValueKind::Bytes, NONE, I, Need::INFO, "rate of pacing, in bytes a second; null while there is none";
    InfoLastSendMs "info.last_send_ms" ValueKind::Span(Unit::Millis), NONE, I, Need::INFO, "time since data was last sent";
    InfoLastRecvMs "info.last_recv_ms" ValueKind::Span(Unit::Millis), NONE, I, Need::INFO, "time since data was last received";
    InfoRcvRttUs "info.rcv_rtt_us" ValueKind::Span(Unit::Micros), NONE, I, Need::INFO, "round-trip time as the receiving side estimates it";
    InfoAtoUs "info.ato_us" ValueKind::Span(Unit::Micros), NONE, I, Need::INFO, "time to a delayed acknowledgement";
    InfoRcvMss "info.rcv_mss" ValueKind::Bytes, NONE, I, Need::INFO, "largest segment received, bytes";
    InfoAdvmss "info.advmss" ValueKind::Bytes, NONE, I, Need::INFO, "largest segment announced to the peer, bytes";
    InfoSacked "info.sacked" ValueKind::Number, NONE, I, Need::INFO, "segments in flight that the peer acknowledged selectively";
    InfoRetransOut "info.retrans_out" ValueKind::Number, NONE, I, Need::INFO, "segments in flight that were sent again";
    InfoReordering "info.reordering" ValueKind::Number, NONE, I, Need::INFO, "reordering of segments that is tolerated, segments";
    InfoBackoff "info.backoff" ValueKind::Number, NONE, I, Need::INFO, "doublings of the retransmission time";
    InfoBytesNotSent "info.bytes_not_sent" ValueKind::Bytes, NONE, I, Need::INFO, "payload bytes queued and not sent yet";
    InfoDataSegsIn "info.data_segs_in" ValueKind::Number, NONE, I, Need::INFO, "segments received that carried payload";
    InfoDataSegsOut "info.data_segs_out" ValueKind::Number, NONE, I, Need::INFO, "segments sent that carried payload";
    InfoDelivered "info.delivered" ValueKind::Number, NONE, I, Need::INFO, "segments delivered to the peer";
    InfoMaxPacingRate "info.max_pacing_rate" ValueKind::Bytes, NONE, I, Need::INFO, "limit of that rate, bytes/s; null for none";
    InfoLastAckMs "info.last_ack_ms" ValueKind::Span(Unit::Millis), NONE, I, Need::INFO, "since an acknowledgement was last received";
    InfoBusyUs "info.busy_us" ValueKind::Span(Unit::Micros), NONE, I, Need::INFO, "time with payload in flight";
    InfoRwndLimitedUs "info.rwnd_limited_us" ValueKind::Span(Unit::Micros), NONE, I, Need::INFO, "time for which the peer's window held back payload";
    InfoSndbufLimitedUs "info.sndbuf_limited_us" ValueKind::Span(Unit::Micros), NONE, I, Need::INFO, "time for which the send buffer held back payload";
    InfoRcvSpace "info.rcv_space" ValueKind::Bytes, NONE, I, Need::INFO, "space for received payload, as it is tuned, bytes";
    InfoRcvSsthresh "info.rcv_ssthresh" ValueKind::Bytes, NONE, I, Need::INFO, "window that is announced at most now, bytes";
    InfoSndWnd "info.snd_wnd" ValueKind::Bytes, NONE, I, Need::INFO, "window that the peer announced, bytes";
    InfoRcvWnd "info.rcv_wnd" ValueKind::Bytes, NONE, I, Need::INFO, "window announced to the peer, bytes";
    InfoDsackDups "info.dsack_dups" ValueKind::Number, NONE, I, Need::INFO, "segments that the peer reported as received twice";
    InfoReordSeen "info.reord_seen" ValueKind::Number, NONE, I, Need::INFO, "times that segments were found reordered";
    InfoRcvOoopack "info.rcv_ooopack" ValueKind::Number, NONE, I, Need::INFO, "segments received out of order";
}

#[cfg(test)]
mod tests;
