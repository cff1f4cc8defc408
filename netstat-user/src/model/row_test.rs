//! Conditions of rows, as far as the rows themselves and the processes that hold their sockets decide them: an agent leaves out what is not wanted
//! before it sends anything.

use super::{Network, Proto, SocketRow, TcpState};

/// A condition of a row of the Internet tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowTest {
    /// All hold; with none it does.
    All(Vec<Self>),
    /// One holds; with none it does not.
    Any(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// Of one of these protocols.
    Protos(Vec<Proto>),
    /// In one of these states, a bit each by the kernel's number. Every socket has a state.
    States(u16),
    /// In one of these states by its name, which a datagram socket has only while it is connected.
    NamedStates {
        /// A bit each by the kernel's number.
        states: u16,
        /// Whether a row without the name of a state is one of them.
        unnamed: bool,
    },
    /// An end whose address is of this family.
    Family {
        /// The socket's own end.
        local: bool,
        /// IPv6.
        v6: bool,
    },
    /// An end whose address is of this network.
    Addr {
        /// The socket's own end.
        local: bool,
        /// The network.
        net: Network,
        /// Whether an IPv4-mapped address is an IPv4 address.
        mapped: bool,
    },
    /// A number from the first to the last.
    Number {
        /// Which.
        number: RowNumber,
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// Held by one of these processes, or by nobody while events recorded one of them as the owner.
    HeldBy(Vec<u32>),
}

/// A number of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the row's fields")]
pub enum RowNumber {
    LocalPort,
    RemotePort,
    RecvQ,
    SendQ,
    Uid,
    Inode,
    Cookie,
    Netns,
    TimerExpires,
    TimerRetransmits,
    TimerProbes,
}

impl RowNumber {
    /// Every one.
    pub const ALL: [Self; 11] = [
        Self::LocalPort,
        Self::RemotePort,
        Self::RecvQ,
        Self::SendQ,
        Self::Uid,
        Self::Inode,
        Self::Cookie,
        Self::Netns,
        Self::TimerExpires,
        Self::TimerRetransmits,
        Self::TimerProbes,
    ];

    /// What it is in a row of a table of this namespace; `None` where that is not known.
    fn of(self, row: &SocketRow, netns: Option<u32>) -> Option<u64> {
        match self {
            Self::LocalPort => Some(row.local.port.into()),
            Self::RemotePort => Some(row.remote.port.into()),
            Self::RecvQ => Some(row.recv_q),
            Self::SendQ => Some(row.send_q),
            Self::Uid => Some(row.uid.into()),
            Self::Inode => Some(row.inode),
            Self::Cookie => row.cookie,
            Self::Netns => row.netns.or(netns).map(u64::from),
            Self::TimerExpires => Some(row.timer.expires),
            Self::TimerRetransmits => Some(row.timer.retransmits),
            Self::TimerProbes => Some(row.timer.probes),
        }
    }
}

impl RowTest {
    /// Whether it holds of a row of a table of the namespace `netns`; `held` says whether one of these processes holds the socket.
    pub fn passes(&self, row: &SocketRow, netns: Option<u32>, held: &dyn Fn(&[u32]) -> bool) -> bool {
        let end = |local: bool| if local { row.local.addr } else { row.remote.addr };
        let among = |states: u16, state: TcpState| states & 1 << state as u16 != 0;
        match self {
            Self::All(list) => list.iter().all(|test| test.passes(row, netns, held)),
            Self::Any(list) => list.iter().any(|test| test.passes(row, netns, held)),
            Self::Not(inner) => !inner.passes(row, netns, held),
            Self::Protos(protos) => protos.contains(&row.proto),
            Self::States(states) => TcpState::from_kernel(row.state).is_some_and(|state| among(*states, state)),
            Self::NamedStates { states, unnamed } => row.named_state().map_or(*unnamed, |state| among(*states, state)),
            Self::Family { local, v6 } => end(*local).is_ipv6() == *v6,
            Self::Addr { local, net, mapped: true } => net.has_mapped(end(*local)),
            Self::Addr { local, net, mapped: false } => net.has(end(*local)),
            Self::Number { number, first, last } => {
                number.of(row, netns).is_some_and(|number| (first..=last).contains(&&number))
            }
            Self::HeldBy(pids) => held(pids),
        }
    }

    /// Every process that it names.
    pub fn pids(&self) -> Vec<u32> {
        match self {
            Self::All(list) | Self::Any(list) => list.iter().flat_map(Self::pids).collect(),
            Self::Not(inner) => inner.pids(),
            Self::HeldBy(pids) => pids.clone(),
            _ => Vec::new(),
        }
    }
}
