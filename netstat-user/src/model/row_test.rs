//! Conditions of rows, as far as the rows themselves and the processes that hold their sockets decide them: an agent leaves out what is not wanted
//! before it sends anything.
//!
//! What is not known of a row decides nothing there: it is left to whoever asks, who checks the whole expression once more.

use super::{ClosedSocket, EventEnd, Network, Proto, SocketRow, TcpState};
use std::net::IpAddr;

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
}

/// What is known of a row or of a socket that ended, for conditions.
pub trait RowFacts {
    /// Protocol and family.
    fn proto(&self) -> Proto;
    /// The state, which every socket has; `None` for one that has no name.
    fn state(&self) -> Option<TcpState>;
    /// The state by the name that JSON has.
    fn named_state(&self) -> Option<TcpState>;
    /// The address of the socket's own end or of the other; `None` where it is not known.
    fn addr(&self, local: bool) -> Option<IpAddr>;
    /// A number; `None` where it is not known.
    fn number(&self, number: RowNumber) -> Option<u64>;
    /// Whether one of these processes holds the socket, or is its owner by record; `None` where that is not known yet.
    fn is_held_by(&self, pids: &[u32]) -> Option<bool>;
}

/// A row of a table, and what is known beside it.
pub struct ListedRow<'a> {
    /// The row.
    pub row: &'a SocketRow,
    /// The namespace of the table.
    pub netns: Option<u32>,
    /// Whether one of these processes holds the socket; `None` where that is not known yet.
    pub held: &'a dyn Fn(&[u32]) -> Option<bool>,
}

impl RowFacts for ListedRow<'_> {
    fn proto(&self) -> Proto {
        self.row.proto
    }

    fn state(&self) -> Option<TcpState> {
        TcpState::from_kernel(self.row.state)
    }

    fn named_state(&self) -> Option<TcpState> {
        self.row.named_state()
    }

    fn addr(&self, local: bool) -> Option<IpAddr> {
        Some(if local { self.row.local.addr } else { self.row.remote.addr })
    }

    fn number(&self, number: RowNumber) -> Option<u64> {
        let row = self.row;
        match number {
            RowNumber::LocalPort => Some(row.local.port.into()),
            RowNumber::RemotePort => Some(row.remote.port.into()),
            RowNumber::RecvQ => Some(row.recv_q),
            RowNumber::SendQ => Some(row.send_q),
            RowNumber::Uid => Some(row.uid.into()),
            RowNumber::Inode => Some(row.inode),
            RowNumber::Cookie => row.cookie,
            RowNumber::Netns => row.netns.or(self.netns).map(u64::from),
            RowNumber::TimerExpires => Some(row.timer.expires),
            RowNumber::TimerRetransmits => Some(row.timer.retransmits),
            RowNumber::TimerProbes => Some(row.timer.probes),
        }
    }

    fn is_held_by(&self, pids: &[u32]) -> Option<bool> {
        (self.held)(pids)
    }
}

impl RowFacts for ClosedSocket {
    fn proto(&self) -> Proto {
        self.socket.proto
    }

    fn state(&self) -> Option<TcpState> {
        Some(TcpState::Close)
    }

    fn named_state(&self) -> Option<TcpState> {
        Some(TcpState::Close)
    }

    fn addr(&self, local: bool) -> Option<IpAddr> {
        let end = if local { self.socket.local } else { self.socket.remote };
        end.map(|end| end.addr)
    }

    fn number(&self, number: RowNumber) -> Option<u64> {
        let port = |end: Option<EventEnd>| end.and_then(|end| end.port).map(u64::from);
        match number {
            RowNumber::LocalPort => port(self.socket.local),
            RowNumber::RemotePort => port(self.socket.remote),
            RowNumber::Uid => self.socket.uid.map(u64::from),
            RowNumber::Inode => Some(self.socket.inode).filter(|&inode| inode != 0),
            RowNumber::Cookie => self.socket.cookie,
            RowNumber::Netns => self.socket.netns.map(u64::from),
            RowNumber::RecvQ
            | RowNumber::SendQ
            | RowNumber::TimerExpires
            | RowNumber::TimerRetransmits
            | RowNumber::TimerProbes => None,
        }
    }

    fn is_held_by(&self, pids: &[u32]) -> Option<bool> {
        Some(self.socket.owner.is_some_and(|owner| pids.contains(&owner.pid)))
    }
}

impl RowTest {
    /// Whether it may hold: what is not known decides nothing.
    pub fn passes(&self, facts: &dyn RowFacts) -> bool {
        self.decide(facts) != Some(false)
    }

    fn decide(&self, facts: &dyn RowFacts) -> Option<bool> {
        let among = |states: u16, state: TcpState| states & 1 << state as u16 != 0;
        match self {
            Self::All(list) => all_hold(list.iter().map(|test| test.decide(facts))),
            // De Morgan: not one holds where all do not.
            Self::Any(list) => {
                all_hold(list.iter().map(|test| test.decide(facts).map(|holds| !holds))).map(|none| !none)
            }
            Self::Not(inner) => inner.decide(facts).map(|holds| !holds),
            Self::Protos(protos) => Some(protos.contains(&facts.proto())),
            Self::States(states) => Some(facts.state().is_some_and(|state| among(*states, state))),
            Self::NamedStates { states, unnamed } => {
                Some(facts.named_state().map_or(*unnamed, |state| among(*states, state)))
            }
            Self::Family { local, v6 } => Some(facts.addr(*local)?.is_ipv6() == *v6),
            Self::Addr { local, net, mapped: true } => Some(net.has_mapped(facts.addr(*local)?)),
            Self::Addr { local, net, mapped: false } => Some(net.has(facts.addr(*local)?)),
            Self::Number { number, first, last } => Some((*first..=*last).contains(&facts.number(*number)?)),
            Self::HeldBy(pids) if pids.is_empty() => Some(false),
            Self::HeldBy(pids) => facts.is_held_by(pids),
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

/// Whether all hold, if that can be decided.
pub fn all_hold(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut all = Some(true);
    for answer in answers {
        match answer {
            Some(false) => return Some(false),
            None => all = None,
            Some(true) => {}
        }
    }
    all
}
