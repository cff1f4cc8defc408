//! Requests for Internet sockets and the kernel's answers: `struct inet_diag_req_v2`, `struct inet_diag_req` and
//! `struct inet_diag_msg` of `linux/inet_diag.h`.

use super::wire::{Attributes, port_at, u32_at, u64_at};
use crate::model::{Endpoint, TcpState};
use rustix::net::AddressFamily;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `TCPDIAG_GETSOCK`: the older request for TCP, the only one that walks the kernel's tables once for both families.
pub const TCP_OF_BOTH_FAMILIES: u16 = 18;
/// `SOCK_DIAG_BY_FAMILY`: one family of one protocol.
pub const BY_FAMILY: u16 = 20;
/// `SOCK_DESTROY`
pub const DESTROY: u16 = 21;

const V4: u8 = AddressFamily::INET.as_raw() as u8;
const V6: u8 = AddressFamily::INET6.as_raw() as u8;

/// Bytes of `struct inet_diag_msg`.
const REPLY: usize = 72;

/// Every TCP state, requests (`TCP_NEW_SYN_RECV`) included, but not `TCP_BOUND_INACTIVE`: those sockets are in no table of /proc.
pub const EVERY_STATE: u32 = 0x1ffe;
/// `TCPF_LISTEN`
pub const LISTENING: u32 = 1 << TcpState::Listen as u32;

/// Extensions that can be asked for: a bit each (`1 << (INET_DIAG_… - 1)`).
pub mod extension {
    /// `INET_DIAG_INFO`: `struct tcp_info`.
    pub const INFO: u8 = 1 << 1;
    /// `INET_DIAG_CONG`: the name of the congestion algorithm.
    pub const CONGESTION: u8 = 1 << 3;
}

/// Numbers of the attributes of answers that are read here.
mod attribute {
    pub const INFO: u16 = 2;
    pub const CONGESTION: u16 = 4;
    pub const MARK: u16 = 15;
    pub const CGROUP: u16 = 21;
}

/// The sockets of which family are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiagFamily {
    /// IPv4.
    V4,
    /// IPv6, also sockets with IPv4-mapped addresses.
    V6,
}

impl DiagFamily {
    /// `AF_…`.
    pub const fn number(self) -> u8 {
        match self {
            Self::V4 => V4,
            Self::V6 => V6,
        }
    }
}

/// What a request is followed by for sockets alone that a program lets through (`inet_diag_bc_sk`), in the attribute `INET_DIAG_REQ_BYTECODE`;
/// nothing for the empty program.
pub fn filtered(program: &[u8]) -> Vec<u8> {
    const REQ_BYTECODE: u16 = 1;
    if program.is_empty() {
        return Vec::new();
    }
    // Programs are short: see `super::bytecode`.
    let mut bytes: Vec<u8> = [4 + program.len() as u16, REQ_BYTECODE].into_iter().flat_map(u16::to_ne_bytes).collect();
    bytes.extend(program);
    bytes
}

/// What names one socket: `struct inet_diag_sockid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketId {
    /// The socket's own end.
    pub local: Endpoint,
    /// The other end, all zero where there is none.
    pub remote: Endpoint,
    /// The interface that it is bound to, 0 for none.
    pub interface: u32,
    /// Its cookie, which no other socket ever has.
    pub cookie: u64,
}

/// A request for the sockets of one family of a protocol (`IPPROTO_…`) in these states.
pub fn of_family(family: DiagFamily, protocol: u8, states: u32, extensions: u8) -> Vec<u8> {
    let mut bytes = vec![family.number(), protocol, extensions, 0];
    bytes.extend(states.to_ne_bytes());
    bytes.extend([0; 48]);
    bytes
}

/// A request for TCP sockets of both families, for [`TCP_OF_BOTH_FAMILIES`].
pub fn of_both_families(states: u32, extensions: u8) -> Vec<u8> {
    let mut bytes = vec![V4, 0, 0, extensions];
    bytes.extend([0; 48]);
    bytes.extend(states.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes
}

/// A request that means one socket, for [`DESTROY`]; `raw` is the protocol of a raw socket, else 0.
pub fn of_socket(family: DiagFamily, protocol: u8, raw: u8, id: &SocketId) -> Vec<u8> {
    let mut bytes = vec![family.number(), protocol, 0, raw];
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(id.local.port.to_be_bytes());
    bytes.extend(id.remote.port.to_be_bytes());
    for addr in [id.local.addr, id.remote.addr] {
        let mut octets = [0; 16];
        match addr {
            IpAddr::V4(v4) => octets[..4].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => octets = v6.octets(),
        }
        bytes.extend(octets);
    }
    bytes.extend(id.interface.to_ne_bytes());
    // Low half first, whatever the machine's byte order (`sock_diag_save_cookie`).
    bytes.extend((id.cookie as u32).to_ne_bytes());
    bytes.extend(((id.cookie >> 32) as u32).to_ne_bytes());
    bytes
}

/// One socket of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// Whether it is an `AF_INET6` socket.
    pub v6: bool,
    /// The kernel's state; a request shows as `TCP_SYN_RECV`, what is left of a closed connection by its sub-state.
    pub state: u8,
    /// 0 none, 1 retransmission, 2 keepalive, 3 TIME_WAIT, 4 zero-window probe.
    pub timer: u8,
    /// Retransmissions if the timer is 1, unanswered probes if it is 2 or 4.
    pub attempts: u8,
    /// Its addresses and cookie.
    pub id: SocketId,
    /// Milliseconds to the timer's expiry.
    pub expires_ms: u32,
    /// Bytes not read yet; a listener's connections not accepted yet.
    pub recv_q: u32,
    /// Bytes not acknowledged yet; a listener's limit of connections not accepted yet.
    pub send_q: u32,
    /// User id, 0 for a request.
    pub uid: u32,
    /// Inode, 0 where there is none.
    pub inode: u32,
    attributes: Attributes<'a>,
}

impl<'a> Reply<'a> {
    /// Reads an answer, `None` where it is cut short or of another family.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = bytes.split_at_checked(REPLY)?;
        let v6 = match fixed[0] {
            V4 => false,
            V6 => true,
            _ => return None,
        };
        let end = |port, at: usize| {
            Some(Endpoint { addr: address(fixed.get(at..)?.first_chunk()?, v6), port: port_at(fixed, port)? })
        };
        let id = SocketId {
            local: end(4, 8)?,
            remote: end(6, 24)?,
            interface: u32_at(fixed, 40)?,
            cookie: u64::from(u32_at(fixed, 44)?) | u64::from(u32_at(fixed, 48)?) << 32,
        };
        Some(Self {
            v6,
            state: fixed[1],
            timer: fixed[2],
            attempts: fixed[3],
            id,
            expires_ms: u32_at(fixed, 52)?,
            recv_q: u32_at(fixed, 56)?,
            send_q: u32_at(fixed, 60)?,
            uid: u32_at(fixed, 64)?,
            inode: u32_at(fixed, 68)?,
            attributes: Attributes::new(rest),
        })
    }

    fn attribute(&self, wanted: u16) -> Option<&'a [u8]> {
        let mut attributes = self.attributes;
        attributes.find(|&(number, _)| number == wanted).map(|(_, value)| value)
    }

    /// `struct tcp_info`, if it was asked for and the socket has one: no request has, and nothing in TIME_WAIT.
    pub fn info(&self) -> Option<&'a [u8]> {
        self.attribute(attribute::INFO).filter(|info| !info.is_empty())
    }

    /// The name of the congestion algorithm with its NUL, if it was asked for.
    pub fn congestion(&self) -> Option<&'a [u8]> {
        self.attribute(attribute::CONGESTION)
    }

    /// The socket's mark (`SO_MARK`), for readers with `CAP_NET_ADMIN` alone.
    pub fn mark(&self) -> Option<u32> {
        u32_at(self.attribute(attribute::MARK)?, 0)
    }

    /// The id of the socket's cgroup in the unified hierarchy, from Linux 5.9.
    pub fn cgroup(&self) -> Option<u64> {
        u64_at(self.attribute(attribute::CGROUP)?, 0)
    }
}

fn address(octets: &[u8; 16], v6: bool) -> IpAddr {
    match v6 {
        true => Ipv6Addr::from(*octets).into(),
        false => Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]).into(),
    }
}

#[cfg(test)]
mod tests;
