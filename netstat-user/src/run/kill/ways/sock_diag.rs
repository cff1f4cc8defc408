//! Closing sockets by `SOCK_DESTROY`.

use super::{KillError, KillOutcome, Tried, WayError};
use crate::diag::destroy::{Destroyed, Target, destroy};
use crate::diag::inet::SocketId;
use crate::diag::tables::{self, DumpRequest};
use crate::diag::{Channel, Protocol};
use crate::model::{KillResult, SocketRow};
use rustix::io::Errno;
use std::collections::HashMap;
use std::sync::Arc;

/// Closes sockets, and fills in the cookies that the rows do not have.
pub fn close(rows: &mut [SocketRow]) -> Vec<Tried> {
    let mut channel = match Channel::open() {
        Ok(channel) => channel,
        Err(error) => {
            let none = Errno::from_io_error(&error).is_some_and(|errno| errno == Errno::PROTONOSUPPORT);
            let tried = if none {
                Tried::Unsupported(WayError::NoSockDiag)
            } else {
                Tried::failed(KillError::SockDiag(Arc::new(error.into())))
            };
            return vec![tried; rows.len()];
        }
    };
    // What names a socket beyond its row, its device and in the end its cookie, is in a dump.
    let mut known: HashMap<_, Vec<(SocketRow, u32)>> = HashMap::new();
    let mut refused = HashMap::new();
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::UdpLite, Protocol::Raw] {
        if !rows.iter().any(|row| Protocol::of(row.proto) == protocol) {
            continue;
        }
        let asked = DumpRequest::all(protocol);
        let dumped = tables::dump(&mut channel, &asked, |row| {
            let socket = row.socket;
            let ends = (socket.proto, socket.local, socket.remote);
            known.entry(ends).or_default().push((socket, row.interface()));
        });
        if let Err(error) = dumped {
            let why = if error.is_unsupported() {
                Tried::Unsupported(WayError::NotListed)
            } else {
                Tried::failed(KillError::SockDiag(Arc::new(error)))
            };
            refused.insert(protocol, why);
        }
    }
    let mut tried: Vec<Option<Tried>> = vec![None; rows.len()];
    let (mut places, mut targets) = (Vec::new(), Vec::new());
    for (at, row) in rows.iter_mut().enumerate() {
        let same = |(socket, _): &&(SocketRow, u32)| match row.cookie {
            Some(cookie) => socket.cookie == Some(cookie),
            None => socket.inode == row.inode && (row.inode != 0 || socket.state == row.state),
        };
        let found = known.get(&(row.proto, row.local, row.remote)).and_then(|sockets| sockets.iter().find(same));
        match (found, refused.get(&Protocol::of(row.proto))) {
            (Some((socket, interface)), _) => {
                row.cookie = socket.cookie;
                let cookie = socket.cookie.unwrap_or_default();
                places.push(at);
                let id = SocketId { local: socket.local, remote: socket.remote, interface: *interface, cookie };
                targets.push(Target { proto: socket.proto, id });
            }
            (None, Some(why)) => tried[at] = Some(why.clone()),
            (None, None) => tried[at] = Some(Tried::Decided(KillOutcome::fine(KillResult::Gone))),
        }
    }
    for (at, end) in places.into_iter().zip(destroy(&mut channel, &targets)) {
        tried[at] = Some(Tried::of(end, Protocol::of(rows[at].proto)));
    }
    tried.into_iter().map(|tried| tried.unwrap_or_else(|| Tried::failed(KillError::Unanswered))).collect()
}

impl Tried {
    fn of(end: Destroyed, protocol: Protocol) -> Self {
        Self::Decided(match end {
            Destroyed::Closed => KillOutcome::fine(KillResult::Closed),
            Destroyed::Aborted => KillOutcome::fine(KillResult::Aborted),
            Destroyed::Gone => KillOutcome::fine(KillResult::Gone),
            Destroyed::Hidden => KillOutcome::failed(KillError::Hidden),
            Destroyed::Refused(error) => match error.errno() {
                Some(errno) if errno == Errno::PERM.raw_os_error() => KillOutcome::failed(KillError::NeedsNetAdmin),
                Some(errno) if errno == Errno::OPNOTSUPP.raw_os_error() => {
                    return Self::Unsupported(match protocol {
                        Protocol::UdpLite => WayError::NoDestroyOfUdpLite,
                        _ => WayError::NoDestroy,
                    });
                }
                _ => KillOutcome::failed(KillError::SockDiag(Arc::new(error))),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::DiagError;
    use std::io;

    fn of(errno: Errno) -> Tried {
        of_protocol(errno, Protocol::Tcp)
    }

    fn of_protocol(errno: Errno, protocol: Protocol) -> Tried {
        let error = DiagError::Refused(io::Error::from_raw_os_error(errno.raw_os_error()));
        Tried::of(Destroyed::Refused(error), protocol)
    }

    #[test]
    fn another_way_is_tried_where_the_kernel_has_not_the_first() {
        assert!(matches!(of(Errno::OPNOTSUPP), Tried::Unsupported(WayError::NoDestroy)));
        assert!(
            matches!(of(Errno::PERM), Tried::Decided(end) if end.error.as_ref().is_some_and(|why| why.to_string().contains("CAP_NET_ADMIN")))
        );
        assert!(matches!(of(Errno::NOBUFS), Tried::Decided(end) if end.result == KillResult::Failed));
        let gone = Tried::of(Destroyed::Gone, Protocol::Tcp);
        assert!(matches!(gone, Tried::Decided(end) if end.result == KillResult::Gone));
    }

    /// A kernel that has just closed TCP sockets is not said to lack what that takes.
    #[test]
    fn what_is_missing_is_the_protocols_own() {
        let why = |protocol| match of_protocol(Errno::OPNOTSUPP, protocol) {
            Tried::Unsupported(why) => why.to_string(),
            Tried::Decided(_) => panic!("the kernel has no such way"),
        };
        assert!(why(Protocol::Tcp).contains("CONFIG_INET_DIAG_DESTROY"));
        assert_eq!(why(Protocol::UdpLite), "its sock_diag closes no UDP-Lite sockets");
    }
}
