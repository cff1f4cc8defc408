//! The ways to close sockets: which is tried for which socket, and what became of each.

mod iterator;
mod sock_diag;

use crate::diag::DiagError;
use crate::kernel::closing::ClosingError;
use crate::model::{KillResult, SocketRow, reason};
use std::io;
use std::sync::Arc;

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
#[derive(Clone, Debug)]
pub struct KillOutcome {
    /// What became of it.
    pub result: KillResult,
    /// Why it was not closed.
    pub error: Option<KillError>,
}

/// Why a socket was not closed. Where many sockets have the same error of the kernel's, it is one.
#[derive(Clone, Debug, thiserror::Error)]
pub enum KillError {
    /// Its network namespace is not among those that were found the second time.
    #[error("its network namespace was not found again")]
    NamespaceLost,
    /// There is no way into its network namespace any more.
    #[error("its network namespace has gone, or no process was found in it")]
    NamespaceGone,
    /// The kernel refused the way into it.
    #[error("its network namespace cannot be entered: {}", reason(.0))]
    Namespace(#[source] Arc<io::Error>),
    /// There is none, and why none of them is.
    #[error("the kernel has no way to close it: {ways}", ways = joined(.0))]
    NoWay(Vec<WayError>),
    /// `SOCK_DESTROY` is denied.
    #[error("not permitted: closing other processes' sockets takes CAP_NET_ADMIN; run it as root")]
    NeedsNetAdmin,
    /// `bpf_sock_destroy` is denied.
    #[error(
        "not permitted: on a kernel without CONFIG_INET_DIAG_DESTROY it takes CAP_BPF and CAP_PERFMON; run it as root"
    )]
    NeedsBpf,
    /// The kernel finds another socket first.
    #[error("other sockets with the same address hide it from the kernel's look-up")]
    Hidden,
    /// It was closed without an error, and is still in the table.
    #[error("the kernel accepted the request but did not close it")]
    Remains,
    /// Nothing was heard of it.
    #[error("the kernel did not answer for it")]
    Unanswered,
    /// `sock_diag` failed.
    #[error("{0}")]
    SockDiag(#[source] Arc<DiagError>),
    /// `bpf_sock_destroy` failed.
    #[error("bpf_sock_destroy: {0}")]
    SockDestroy(#[source] Arc<io::Error>),
    /// The program that calls it failed.
    #[error("{0}")]
    Program(#[source] Arc<ClosingError>),
}

fn joined(ways: &[WayError]) -> String {
    ways.iter().map(WayError::to_string).collect::<Vec<_>>().join("; ")
}

impl KillOutcome {
    /// It is as it was.
    pub const fn failed(error: KillError) -> Self {
        Self { result: KillResult::Failed, error: Some(error) }
    }

    const fn fine(result: KillResult) -> Self {
        Self { result, error: None }
    }
}

/// What came of one way.
#[derive(Clone, Debug)]
enum Tried {
    /// It is decided.
    Decided(KillOutcome),
    /// The kernel cannot close this socket in this way.
    Unsupported(WayError),
}

/// Why the kernel cannot close a socket in a way.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WayError {
    /// No netlink protocol of that name.
    #[error("it has no sock_diag")]
    NoSockDiag,
    /// No handler for the protocol.
    #[error("its sock_diag has no such sockets")]
    NotListed,
    /// `SOCK_DESTROY` is not there.
    #[error("it was built without CONFIG_INET_DIAG_DESTROY, or the protocol has no way to")]
    NoDestroy,
    /// `SOCK_DESTROY` is not for this protocol (`udplite_diag_handler` has no `destroy`).
    #[error("its sock_diag closes no UDP-Lite sockets")]
    NoDestroyOfUdpLite,
    /// Neither TCP nor UDP.
    #[error("bpf_sock_destroy closes TCP and UDP sockets alone")]
    OtherProtocol,
    /// Its row came from a list without cookies.
    #[error("bpf_sock_destroy takes its cookie, which is not known")]
    NoCookie,
    /// A request or a minisocket.
    #[error("bpf_sock_destroy closes neither requests nor sockets in TIME_WAIT, which end by themselves")]
    Mini,
    /// One error for all sockets that the program was to close.
    #[error("{0}")]
    Program(#[source] Arc<ClosingError>),
}

impl Tried {
    const fn failed(error: KillError) -> Self {
        Self::Decided(KillOutcome::failed(error))
    }
}

/// Closes sockets of the calling thread's network namespace in the first of these ways that the kernel has; what became of each, in their order.
pub fn close(rows: &[SocketRow], ways: &[KillWay]) -> Vec<KillOutcome> {
    let mut rows = rows.to_vec();
    let mut ends: Vec<Option<KillOutcome>> = vec![None; rows.len()];
    let mut without: Vec<Vec<WayError>> = vec![Vec::new(); rows.len()];
    for way in ways {
        let left: Vec<usize> = (0..rows.len()).filter(|&at| ends[at].is_none()).collect();
        let mut here: Vec<SocketRow> = left.iter().map(|&at| rows[at]).collect();
        let tried = match way {
            _ if here.is_empty() => break,
            KillWay::SockDiag => sock_diag::close(&mut here),
            KillWay::Iterator => iterator::close(&here),
        };
        for ((at, row), tried) in left.into_iter().zip(here).zip(tried) {
            rows[at] = row;
            match tried {
                Tried::Decided(end) => ends[at] = Some(end),
                Tried::Unsupported(why) => without[at].push(why),
            }
        }
    }
    let no_way = |why| KillOutcome::failed(KillError::NoWay(why));
    ends.into_iter().zip(without).map(|(end, why)| end.unwrap_or_else(|| no_way(why))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Endpoint, Proto};
    use std::net::Ipv4Addr;

    #[test]
    fn with_no_way_the_line_names_what_is_missing() {
        let nowhere = Endpoint { addr: Ipv4Addr::UNSPECIFIED.into(), port: 1 };
        let row = SocketRow::bare(Proto::Raw, nowhere, nowhere, 7);
        let [end] = &close(&[row], &[KillWay::Iterator])[..] else { panic!("one end") };
        assert_eq!(
            end.error.as_ref().map(KillError::to_string).as_deref(),
            Some("the kernel has no way to close it: bpf_sock_destroy closes TCP and UDP sockets alone")
        );
    }
}
