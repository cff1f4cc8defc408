//! Closing sockets of any process: `SOCK_DESTROY`, from Linux 4.5 with `CONFIG_INET_DIAG_DESTROY`.
//!
//! The kernel looks a socket up by its addresses and then compares the cookie, so that no socket is ever closed that took the place of the one
//! that was meant.

use super::Protocol;
use super::channel::{Channel, DiagError};
use super::inet::{self, DiagFamily, SocketId};
use super::tables::{self, DumpRequest};
use crate::model::{Endpoint, Proto};
use hashbrown::HashSet;
use rustix::io::Errno;
use std::net::Ipv4Addr;

/// How many other peers are made up to find one socket of a group that shares its port. The kernel spreads a group of N evenly: one in N hits.
const TRIES: u16 = 4096;

/// A socket to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its protocol and family.
    pub proto: Proto,
    /// Its addresses and its cookie.
    pub id: SocketId,
}

/// What became of a socket that was to be closed.
#[derive(Debug)]
pub enum Destroyed {
    /// The kernel closed it.
    Closed,
    /// The kernel reported `ECONNABORTED` to its process and took its peer from it, but a datagram socket that was bound to a port keeps that until
    /// its process closes it (`udp_abort`).
    Aborted,
    /// It was not there any more.
    Gone,
    /// Its addresses lead to another socket, which was left alone.
    Hidden,
    /// The kernel refused.
    Refused(DiagError),
}

/// Whether the kernel closes TCP sockets at all: it is asked to close one that cannot be, between two ports 0, and looks for it only where it would
/// close it.
///
/// # Errors
/// A [`DiagError`]: it knows no TCP sockets, or nothing can be said.
pub fn is_supported(channel: &mut Channel) -> Result<bool, DiagError> {
    // Without the handler of TCP the answer would be ENOENT, too.
    tables::dump(channel, &DumpRequest { peer: Some(false), ..DumpRequest::all(Protocol::Tcp) }, |_| {})?;
    let nowhere = Endpoint { addr: Ipv4Addr::LOCALHOST.into(), port: 0 };
    let id = SocketId { local: nowhere, remote: nowhere, interface: 0, cookie: 0 };
    match attempt(channel, &Target { proto: Proto::Tcp, id }) {
        Destroyed::Refused(error) if error.errno() == Some(Errno::OPNOTSUPP.raw_os_error()) => Ok(false),
        Destroyed::Refused(error) => Err(error),
        _ => Ok(true),
    }
}

/// Closes these sockets and no others; what became of each, in their order. The channel's network namespace is theirs.
pub fn destroy(channel: &mut Channel, targets: &[Target]) -> Vec<Destroyed> {
    let mut ends: Vec<_> = targets.iter().map(|target| attempt(channel, target)).collect();
    // The kernel says the same of a socket that ended and of one that another hides, by sharing its port; and the same of a datagram socket that is
    // closed and of one that is not. Only a look at them all shows which it was.
    let is_unsure = |(target, end): (&Target, &Destroyed)| match end {
        Destroyed::Closed => !target.proto.is_tcp(),
        end => matches!(end, Destroyed::Gone),
    };
    if !targets.iter().zip(&ends).any(is_unsure) {
        return ends;
    }
    let mut living = cookies(channel, targets);
    for (target, end) in targets.iter().zip(&mut ends) {
        if matches!(end, Destroyed::Gone) && living.contains(&target.id.cookie) {
            *end = search(channel, target);
        }
    }
    if ends.iter().any(|end| matches!(end, Destroyed::Closed)) {
        living = cookies(channel, targets);
    }
    for (target, end) in targets.iter().zip(&mut ends) {
        if matches!(end, Destroyed::Closed) && !target.proto.is_tcp() && living.contains(&target.id.cookie) {
            *end = Destroyed::Aborted;
        }
    }
    ends
}

/// Finds a socket behind another: which of a group that shares its port (`SO_REUSEPORT`) the kernel finds depends on the peer, of which listeners
/// and datagram sockets have none, so that any can be made up. The cookie makes it a mere search.
fn search(channel: &mut Channel, target: &Target) -> Destroyed {
    if target.id.remote.port != 0 || matches!(target.proto, Proto::Raw | Proto::Raw6) {
        return Destroyed::Hidden;
    }
    for port in 1..=TRIES {
        let mut other = *target;
        other.id.remote.port = port;
        match attempt(channel, &other) {
            Destroyed::Gone | Destroyed::Hidden => {}
            end => return end,
        }
    }
    Destroyed::Hidden
}

/// The cookies of all sockets of the targets' protocols. Where they cannot be had there are none.
fn cookies(channel: &mut Channel, targets: &[Target]) -> HashSet<u64> {
    let mut cookies = HashSet::new();
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::UdpLite, Protocol::Raw] {
        if targets.iter().any(|target| Protocol::of(target.proto) == protocol) {
            let asked = DumpRequest::all(protocol);
            let dumped = tables::dump(channel, &asked, |row| cookies.extend(row.socket.cookie));
            if let Err(error) = dumped {
                log::debug!("{protocol:?} sockets cannot be listed: {error}");
            }
        }
    }
    cookies
}

fn attempt(channel: &mut Channel, target: &Target) -> Destroyed {
    let family = if target.proto.is_v6() { DiagFamily::V6 } else { DiagFamily::V4 };
    let protocol = Protocol::of(target.proto);
    // The port of a raw socket is its protocol, which the kernel wants where others have padding.
    let raw = if protocol == Protocol::Raw { target.id.local.port as u8 } else { 0 };
    match channel.ask(inet::DESTROY, &inet::of_socket(family, protocol.number(), raw, &target.id)) {
        Ok(()) => Destroyed::Closed,
        Err(error) if [Errno::NOENT, Errno::STALE].iter().any(|e| error.errno() == Some(e.raw_os_error())) => {
            Destroyed::Gone
        }
        Err(error) => Destroyed::Refused(error),
    }
}
