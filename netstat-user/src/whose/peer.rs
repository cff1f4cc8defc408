//! Finds the socket at the other end of a connection, where that is a socket of this host: over loopback, over the host's own addresses,
//! or in another network namespace.
//!
//! Two sockets are each other's ends if the local end of one is the remote end of the other. In one namespace that is enough. Between
//! namespaces it is enough while there is but one such pair: addresses may repeat there, and then nothing is said. Loopback
//! addresses never lead out of a namespace.

use crate::model::{Endpoint, Proto, SocketRow, TcpState};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// An end of a socket; IPv4 addresses mapped into IPv6 are those of IPv4, so that both families meet.
type PeerEnd = (IpAddr, u16);

/// Protocols that have ports of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum PortProtocol {
    Tcp,
    Udp,
    UdpLite,
}

impl PortProtocol {
    const fn of(proto: Proto) -> Option<Self> {
        match proto {
            Proto::Tcp | Proto::Tcp6 => Some(Self::Tcp),
            Proto::Udp | Proto::Udp6 => Some(Self::Udp),
            Proto::UdpLite | Proto::UdpLite6 => Some(Self::UdpLite),
            Proto::Raw | Proto::Raw6 => None,
        }
    }
}

/// A socket that may be somebody's other end.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    netns: u32,
    inode: u64,
    state: u8,
    /// Whether it is of `AF_INET6`, and so may take what is sent to IPv4 addresses as well.
    v6: bool,
    local: PeerEnd,
}

/// The sockets of all namespaces that can be looked into, by what they can be found by.
#[derive(Debug, Default)]
pub struct Peers {
    /// With a remote end, by local and remote end.
    connected: HashMap<(PortProtocol, PeerEnd, PeerEnd), Vec<Candidate>>,
    /// Without one, by local port: listeners, and what takes datagrams from anybody.
    waiting: HashMap<(PortProtocol, u16), Vec<Candidate>>,
    /// Addresses that are a namespace's own.
    addresses: HashSet<(u32, IpAddr)>,
}

fn end(end: Endpoint) -> PeerEnd {
    (end.addr.to_canonical(), end.port)
}

fn is_loopback(end: PeerEnd) -> bool {
    end.0.is_loopback()
}

impl Peers {
    /// Adds a socket of a namespace.
    pub fn add(&mut self, netns: u32, row: &SocketRow) {
        let Some(transport) = PortProtocol::of(row.proto) else { return };
        let (local, remote) = (end(row.local), end(row.remote));
        let v6 = row.proto.is_v6();
        let candidate = Candidate { netns, inode: row.inode, state: row.state, v6, local };
        if !local.0.is_unspecified() {
            self.addresses.insert((netns, local.0));
        }
        if row.has_peer() {
            self.connected.entry((transport, local, remote)).or_default().push(candidate);
        } else {
            self.waiting.entry((transport, local.1)).or_default().push(candidate);
        }
    }

    /// Adds an address that is a namespace's own.
    pub fn add_address(&mut self, netns: u32, addr: IpAddr) {
        self.addresses.insert((netns, addr.to_canonical()));
    }

    /// The inodes of the sockets that are at the other end of this one: none where there is none here or it is not known which one it
    /// is; several where they share the port, so that any of them may have what was sent. An inode may be that of a listener whose
    /// connection has not been accepted yet.
    pub fn of(&self, netns: u32, row: &SocketRow) -> Vec<u64> {
        let Some(transport) = PortProtocol::of(row.proto).filter(|_| row.has_peer()) else { return Vec::new() };
        let (local, remote) = (end(row.local), end(row.remote));
        let there = self.connected.get(&(transport, remote, local)).map_or(&[][..], Vec::as_slice);
        // What remains of a connection in TIME_WAIT may have the ends of its successor.
        let lives = |candidate: &&Candidate| candidate.state != TcpState::TimeWait as u8;
        let mut here = there.iter().filter(|candidate| candidate.netns == netns).filter(lives);
        match (here.next(), here.next()) {
            (Some(only), None) => return self.holder(transport, only),
            (Some(_), Some(_)) => return Vec::new(),
            (None, _) => {}
        }
        let leaves = !is_loopback(local) && !is_loopback(remote);
        let mut away = there.iter().filter(|candidate| leaves && candidate.netns != netns).filter(lives);
        match (away.next(), away.next()) {
            (Some(only), None) if !self.has_twin(transport, netns, local, remote) => self.holder(transport, only),
            (Some(_), _) => Vec::new(),
            (None, _) if transport == PortProtocol::Tcp => Vec::new(),
            (None, _) => self.receivers(transport, netns, local, remote),
        }
    }

    /// Whether the other end of a socket may be in another namespace.
    pub fn may_be_elsewhere(row: &SocketRow) -> bool {
        let leaves = !is_loopback(end(row.local)) && !is_loopback(end(row.remote));
        leaves && row.has_peer() && PortProtocol::of(row.proto).is_some()
    }

    /// Whether a socket of another namespace has the same ends: one of the two has its other end elsewhere.
    fn has_twin(&self, transport: PortProtocol, netns: u32, local: PeerEnd, remote: PeerEnd) -> bool {
        let same = self.connected.get(&(transport, local, remote)).map_or(&[][..], Vec::as_slice);
        same.iter().any(|candidate| candidate.netns != netns)
    }

    /// The candidate's inode, or that of its listener while nobody has accepted it.
    fn holder(&self, transport: PortProtocol, candidate: &Candidate) -> Vec<u64> {
        if candidate.inode != 0 {
            return vec![candidate.inode];
        }
        let waits = [TcpState::Established, TcpState::SynRecv, TcpState::CloseWait];
        if transport != PortProtocol::Tcp || !waits.iter().any(|&state| state as u8 == candidate.state) {
            return Vec::new();
        }
        self.at(transport, candidate.netns, candidate.local)
    }

    /// The sockets that take datagrams for `remote` from anybody.
    fn receivers(&self, transport: PortProtocol, netns: u32, local: PeerEnd, remote: PeerEnd) -> Vec<u64> {
        // What is sent to an address of this host comes from the same address, unless the sender is bound to another.
        let own = is_loopback(remote) || remote.0 == local.0 || self.addresses.contains(&(netns, remote.0));
        if own {
            return self.at(transport, netns, remote);
        }
        let spaces = self.waiting.get(&(transport, remote.1)).into_iter().flatten().map(|candidate| candidate.netns);
        let spaces: HashSet<u32> = spaces.filter(|&space| self.addresses.contains(&(space, remote.0))).collect();
        match spaces.iter().next() {
            Some(&space) if spaces.len() == 1 => self.at(transport, space, remote),
            _ => Vec::new(),
        }
    }

    /// The sockets without a remote end that are at `addressed` in this namespace, as the kernel chooses: bound to the address, else to
    /// any of its family, else to any of IPv6.
    fn at(&self, transport: PortProtocol, netns: u32, addressed: PeerEnd) -> Vec<u64> {
        let there = self.waiting.get(&(transport, addressed.1)).map_or(&[][..], Vec::as_slice);
        let rank = |candidate: &Candidate| match candidate.local.0 {
            bound if bound == addressed.0 => Some(0),
            any if !any.is_unspecified() => None,
            IpAddr::V4(_) => addressed.0.is_ipv4().then_some(1),
            IpAddr::V6(_) if addressed.0.is_ipv6() => Some(1),
            IpAddr::V6(_) => candidate.v6.then_some(2),
        };
        let ranked = there.iter().filter(|candidate| candidate.netns == netns && candidate.inode != 0);
        let ranked: Vec<_> = ranked.filter_map(|candidate| Some((rank(candidate)?, candidate.inode))).collect();
        let best = ranked.iter().map(|&(rank, _)| rank).min();
        ranked.iter().filter(|&&(rank, _)| Some(rank) == best).map(|&(_, inode)| inode).collect()
    }
}

#[cfg(test)]
mod tests;
