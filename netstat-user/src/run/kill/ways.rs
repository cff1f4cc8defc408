//! The ways to close sockets: which is tried for which socket, and what became of each.

mod iterator;
mod sock_diag;

use crate::kernel::closing::ClosingError;
use crate::model::{KillResult, SocketRow};
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillOutcome {
    /// What became of it.
    pub result: KillResult,
    /// Why it was not closed.
    pub error: Option<String>,
}

impl KillOutcome {
    /// It is as it was.
    pub fn failed(error: impl Into<String>) -> Self {
        Self { result: KillResult::Failed, error: Some(error.into()) }
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
enum WayError {
    #[error("it has no sock_diag")]
    NoSockDiag,
    #[error("its sock_diag has no such sockets")]
    NotListed,
    #[error("it was built without CONFIG_INET_DIAG_DESTROY, or the protocol has no way to")]
    NoDestroy,
    #[error("bpf_sock_destroy closes TCP and UDP sockets alone")]
    OtherProtocol,
    #[error("bpf_sock_destroy takes its cookie, which is not known")]
    NoCookie,
    #[error("bpf_sock_destroy closes neither requests nor sockets in TIME_WAIT, which end by themselves")]
    Mini,
    /// One error for all sockets that the program was to close.
    #[error("{0}")]
    Program(#[source] Arc<ClosingError>),
}

impl Tried {
    fn failed(error: impl Into<String>) -> Self {
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
    let no_way = |why: Vec<WayError>| {
        let why: Vec<String> = why.iter().map(WayError::to_string).collect();
        KillOutcome::failed(format!("the kernel has no way to close it: {}", why.join("; ")))
    };
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
            end.error.as_deref(),
            Some("the kernel has no way to close it: bpf_sock_destroy closes TCP and UDP sockets alone")
        );
    }
}
