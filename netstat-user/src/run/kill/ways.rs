//! The ways to close sockets, and what became of each.

use crate::diag::destroy::{self, Destroyed, Target, destroy};
use crate::diag::inet::SocketId;
use crate::diag::loaded::{Part, loads_nothing};
use crate::diag::tables::{self, DumpRequest};
use crate::diag::{Channel, Protocol};
use crate::kernel;
use crate::kernel::closing::{CloseOutcome, ClosingError, ClosingProgram};
use crate::kernel::snapshot::Transport;
use crate::model::{Check, Level, SocketRow};
use rustix::io::Errno;
use std::collections::HashMap;
use std::path::Path;

/// A way to close sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillWay {
    /// `SOCK_DESTROY`: from Linux 4.5, with `CONFIG_INET_DIAG_DESTROY`.
    SockDiag,
    /// `bpf_sock_destroy`: from Linux 6.5, TCP and UDP, neither requests nor TIME_WAIT.
    Iterator,
}

impl KillWay {
    /// All, the best first: each is tried for the sockets that the kernel cannot close in those before.
    pub const ALL: &[Self] = &[Self::SockDiag, Self::Iterator];
}

/// What became of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The word for it.
    pub result: &'static str,
    /// Why it was not closed.
    pub error: Option<String>,
}

impl End {
    /// It is as it was.
    pub fn failed(error: impl Into<String>) -> Self {
        Self { result: "failed", error: Some(error.into()) }
    }

    const fn fine(result: &'static str) -> Self {
        Self { result, error: None }
    }
}

/// What came of one way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tried {
    /// It is decided.
    End(End),
    /// The kernel cannot close this socket in this way, and why.
    Unsupported(String),
}

impl Tried {
    fn failed(error: impl Into<String>) -> Self {
        Self::End(End::failed(error))
    }
}

/// Closes sockets of the calling thread's network namespace in the first of these ways that the kernel has; what became of each, in their order.
pub fn close(rows: &[SocketRow], ways: &[KillWay]) -> Vec<End> {
    let mut rows = rows.to_vec();
    let mut ends: Vec<Option<End>> = vec![None; rows.len()];
    let mut without: Vec<Vec<String>> = vec![Vec::new(); rows.len()];
    for way in ways {
        let left: Vec<usize> = (0..rows.len()).filter(|&at| ends[at].is_none()).collect();
        let mut here: Vec<SocketRow> = left.iter().map(|&at| rows[at]).collect();
        let tried = match way {
            _ if here.is_empty() => break,
            KillWay::SockDiag => by_sock_diag(&mut here),
            KillWay::Iterator => by_iterator(&here),
        };
        for ((at, row), tried) in left.into_iter().zip(here).zip(tried) {
            rows[at] = row;
            match tried {
                Tried::End(end) => ends[at] = Some(end),
                Tried::Unsupported(why) => without[at].push(why),
            }
        }
    }
    let no_way = |why: Vec<String>| End::failed(format!("the kernel has no way to close it: {}", why.join("; ")));
    ends.into_iter().zip(without).map(|(end, why)| end.unwrap_or_else(|| no_way(why))).collect()
}

/// Fills in the cookies that the rows do not have.
fn by_sock_diag(rows: &mut [SocketRow]) -> Vec<Tried> {
    let mut channel = match Channel::open() {
        Ok(channel) => channel,
        Err(error) => {
            let none = Errno::from_io_error(&error).is_some_and(|errno| errno == Errno::PROTONOSUPPORT);
            let tried = if none {
                Tried::Unsupported("it has no sock_diag".to_owned())
            } else {
                Tried::failed(format!("sock_diag: {error}"))
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
                Tried::Unsupported("its sock_diag has no such sockets".to_owned())
            } else {
                Tried::failed(error.to_string())
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
            (None, None) => tried[at] = Some(Tried::End(End::fine("gone"))),
        }
    }
    for (at, end) in places.into_iter().zip(destroy(&mut channel, &targets)) {
        tried[at] = Some(end.into());
    }
    tried.into_iter().map(|tried| tried.unwrap_or_else(|| Tried::failed("unknown"))).collect()
}

impl From<Destroyed> for Tried {
    fn from(end: Destroyed) -> Self {
        Self::End(match end {
            Destroyed::Closed => End::fine("closed"),
            Destroyed::Aborted => End::fine("aborted"),
            Destroyed::Gone => End::fine("gone"),
            Destroyed::Hidden => End::failed("other sockets with the same address hide it from the kernel's look-up"),
            Destroyed::Refused(error) => match error.errno() {
                Some(errno) if errno == Errno::PERM.raw_os_error() => {
                    End::failed("not permitted: closing other processes' sockets takes CAP_NET_ADMIN; run it as root")
                }
                Some(errno) if errno == Errno::OPNOTSUPP.raw_os_error() => {
                    let why = "it was built without CONFIG_INET_DIAG_DESTROY, or the protocol has no way to";
                    return Self::Unsupported(why.to_owned());
                }
                _ => End::failed(error.to_string()),
            },
        })
    }
}

fn by_iterator(rows: &[SocketRow]) -> Vec<Tried> {
    let unsupported = || Tried::Unsupported("bpf_sock_destroy closes TCP and UDP sockets alone".to_owned());
    let mut tried: Vec<Tried> = rows.iter().map(|_| unsupported()).collect();
    for (protocol, transport) in [(Protocol::Tcp, Transport::Tcp), (Protocol::Udp, Transport::Udp)] {
        let (mut places, mut cookies) = (Vec::new(), Vec::new());
        for (at, row) in rows.iter().enumerate().filter(|(_, row)| Protocol::of(row.proto) == protocol) {
            match row.cookie {
                Some(cookie) => {
                    places.push(at);
                    cookies.push(cookie);
                }
                None => {
                    tried[at] = Tried::Unsupported("bpf_sock_destroy takes its cookie, which is not known".to_owned());
                }
            }
        }
        if cookies.is_empty() {
            continue;
        }
        match ClosingProgram::load(transport, cookies.len()).and_then(|closer| closer.close(&cookies)) {
            Ok(ends) => places.into_iter().zip(ends).for_each(|(at, end)| tried[at] = of_iterator(protocol, end)),
            Err(error) => places.into_iter().for_each(|at| tried[at] = refused(&error)),
        }
    }
    tried
}

fn of_iterator(protocol: Protocol, end: CloseOutcome) -> Tried {
    Tried::End(match end {
        CloseOutcome::Closed => End::fine("closed"),
        CloseOutcome::Remains if protocol == Protocol::Udp => End::fine("aborted"),
        CloseOutcome::Remains => End::failed("the kernel took the order to close it, and it is still there"),
        CloseOutcome::Gone => End::fine("gone"),
        CloseOutcome::Mini => {
            return Tried::Unsupported(
                "bpf_sock_destroy closes neither requests nor sockets in TIME_WAIT, which end by themselves".to_owned(),
            );
        }
        CloseOutcome::Refused(error) => End::failed(format!("bpf_sock_destroy: {error}")),
    })
}

fn refused(error: &ClosingError) -> Tried {
    match error {
        error if error.is_denied() => Tried::failed(
            "not permitted: on a kernel without CONFIG_INET_DIAG_DESTROY it takes CAP_BPF and CAP_PERFMON; run it as root",
        ),
        error if error.is_unsupported() => Tried::Unsupported(error.to_string()),
        error => Tried::failed(error.to_string()),
    }
}

/// What `doctor` reports of closing TCP sockets, the kernel's /proc being at `root`.
pub fn check(root: &Path) -> Check {
    if kernel::missing_capabilities().contains(&"cap_net_admin") {
        let found = "this user closes no socket, also none of its own: that takes cap_net_admin";
        return Check::amiss("kill", Level::Note, found, "run as root");
    }
    // A look is no reason to load a module.
    if loads_nothing(root, Part::Tcp) {
        match Channel::open().map_err(Into::into).and_then(|mut channel| destroy::is_supported(&mut channel)) {
            Ok(true) => return Check::ok("kill", "sockets are closed by sock_diag"),
            Ok(false) => {}
            Err(error) if error.is_unsupported() => {}
            Err(error) => {
                log::debug!("whether sock_diag closes sockets is not known: {error}");
                return Check::ok("kill", "whether sock_diag closes sockets shows when it is asked to");
            }
        }
    } else {
        return Check::ok(
            "kill",
            "whether sock_diag closes sockets shows when its modules are loaded, which kill does",
        );
    }
    match ClosingProgram::load(Transport::Tcp, 1) {
        Ok(_) => Check::ok(
            "kill",
            "sockets are closed by bpf_sock_destroy, as sock_diag closes none here: TCP but requests and TIME_WAIT, and UDP",
        ),
        Err(error) => Check::amiss(
            "kill",
            Level::Note,
            format!("no socket can be closed: the kernel was built without CONFIG_INET_DIAG_DESTROY, and {error}"),
            if error.is_denied() {
                "run as root"
            } else {
                "boot a kernel built with CONFIG_INET_DIAG_DESTROY=y, or Linux 6.5 or later"
            },
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::DiagError;
    use crate::model::{Endpoint, Proto};
    use std::io;
    use std::net::Ipv4Addr;

    fn of(errno: Errno) -> Tried {
        Destroyed::Refused(DiagError::Refused(io::Error::from_raw_os_error(errno.raw_os_error()))).into()
    }

    #[test]
    fn another_way_is_tried_where_the_kernel_has_not_the_first() {
        assert!(matches!(of(Errno::OPNOTSUPP), Tried::Unsupported(why) if why.contains("CONFIG_INET_DIAG_DESTROY")));
        assert!(
            matches!(of(Errno::PERM), Tried::End(end) if end.error.as_deref().is_some_and(|why| why.contains("CAP_NET_ADMIN")))
        );
        assert!(matches!(of(Errno::NOBUFS), Tried::End(end) if end.result == "failed"));
        assert_eq!(Tried::from(Destroyed::Gone), Tried::End(End::fine("gone")));
    }

    #[test]
    fn what_the_iterator_did() {
        let tried = |protocol, end| of_iterator(protocol, end);
        assert_eq!(tried(Protocol::Udp, CloseOutcome::Remains), Tried::End(End::fine("aborted")));
        assert!(matches!(tried(Protocol::Tcp, CloseOutcome::Remains), Tried::End(end) if end.result == "failed"));
        assert!(
            matches!(tried(Protocol::Tcp, CloseOutcome::Mini), Tried::Unsupported(why) if why.contains("TIME_WAIT"))
        );
        assert!(
            matches!(refused(&ClosingError::NoFunction), Tried::Unsupported(why) if why.contains("which came with Linux 6.5"))
        );
        let denied = ClosingError::Refused(io::Error::from_raw_os_error(Errno::PERM.raw_os_error()));
        assert!(
            matches!(refused(&denied), Tried::End(end) if end.error.as_deref().is_some_and(|why| why.contains("CAP_BPF")))
        );
    }

    #[test]
    fn with_no_way_the_line_names_what_is_missing() {
        let nowhere = Endpoint { addr: Ipv4Addr::UNSPECIFIED.into(), port: 1 };
        let row = SocketRow::bare(Proto::Raw, nowhere, nowhere, 7);
        let [end] = &close(&[row], &[KillWay::Iterator])[..] else { panic!("one end") };
        assert_eq!(
            end.error.as_deref(),
            Some("the kernel has no way to close it: bpf_sock_destroy closes TCP and UDP sockets alone")
        );
    }
}
