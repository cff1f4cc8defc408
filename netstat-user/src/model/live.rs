//! Rows of the live table: sockets as the kernel's events and lists report them, and what remains of those that ended.

use super::{EventEnd, Owner, Proto, TcpState, Totals};

/// Network namespace, protocol, own end and other end: what two sockets that live at a time do not share, unless they listen or are not
/// connected.
pub type Ends = (Option<u32>, Proto, EventEnd, EventEnd);

/// A socket that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveSocket {
    /// Protocol and family.
    pub proto: Proto,
    /// The TCP state; of other protocols `Established` where connected and `Close` where not, as in the kernel's lists.
    pub state: TcpState,
    /// The socket's own end, `None` while it has none.
    pub local: Option<EventEnd>,
    /// The other end, `None` while the socket has no addresses at all.
    pub remote: Option<EventEnd>,
    /// Inode number of the network namespace.
    pub netns: Option<u32>,
    /// User id, in the initial user namespace.
    pub uid: Option<u32>,
    /// Inode of the socket, 0 where it has none.
    pub inode: u64,
    /// Socket cookie.
    pub cookie: Option<u64>,
    /// The owning process.
    pub owner: Option<Owner>,
    /// When it was made, in nanoseconds since the Unix epoch; `None` if it was there before the tracer.
    pub since_ns: Option<u64>,
    /// When it was made or, if it was there before the tracer, first seen; in nanoseconds since the Unix epoch.
    pub seen_ns: u64,
    /// When it entered its state or, if that was before the tracer, was first seen in it; in nanoseconds since the Unix epoch.
    pub state_ns: u64,
}

impl LiveSocket {
    /// A socket of which only the protocol and the state are known: no ends, no namespace, no user, nobody's, and all times 0.
    pub const fn bare(proto: Proto, state: TcpState) -> Self {
        Self {
            proto,
            state,
            local: None,
            remote: None,
            netns: None,
            uid: None,
            inode: 0,
            cookie: None,
            owner: None,
            since_ns: None,
            seen_ns: 0,
            state_ns: 0,
        }
    }

    /// Whether the kernel lists it in /proc/net: TCP from its first state to its last, other protocols once they are bound.
    pub const fn is_listed(&self) -> bool {
        if self.proto.is_tcp() { !matches!(self.state, TcpState::Close) } else { self.local.is_some() }
    }
}

/// A socket that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedSocket {
    /// The socket as it was last known; its state is the one it was left in.
    pub socket: LiveSocket,
    /// When the kernel destroyed it, in nanoseconds since the Unix epoch.
    pub closed_ns: u64,
    /// What it did in its life, and why it ended.
    pub totals: Totals,
}
