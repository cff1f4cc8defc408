//! Closing sockets by `bpf_sock_destroy`.

use super::{KillError, KillOutcome, Tried, WayError};
use crate::diag::Protocol;
use crate::kernel::closing::{CloseOutcome, ClosingError, ClosingProgram};
use crate::kernel::snapshot::Transport;
use crate::model::{KillResult, SocketRow};
use std::sync::Arc;

/// Closes sockets whose cookies are known.
pub fn close(rows: &[SocketRow]) -> Vec<Tried> {
    let mut tried = vec![Tried::Unsupported(WayError::OtherProtocol); rows.len()];
    for (protocol, transport) in [(Protocol::Tcp, Transport::Tcp), (Protocol::Udp, Transport::Udp)] {
        let (mut places, mut cookies) = (Vec::new(), Vec::new());
        for (at, row) in rows.iter().enumerate().filter(|(_, row)| Protocol::of(row.proto) == protocol) {
            match row.cookie {
                Some(cookie) => {
                    places.push(at);
                    cookies.push(cookie);
                }
                None => tried[at] = Tried::Unsupported(WayError::NoCookie),
            }
        }
        if cookies.is_empty() {
            continue;
        }
        match ClosingProgram::load(transport, cookies.len()).and_then(|closer| closer.close(&cookies)) {
            Ok(ends) => places.into_iter().zip(ends).for_each(|(at, end)| tried[at] = of_iterator(protocol, end)),
            Err(error) => {
                let why = refused(error);
                places.into_iter().for_each(|at| tried[at] = why.clone());
            }
        }
    }
    tried
}

fn of_iterator(protocol: Protocol, end: CloseOutcome) -> Tried {
    Tried::Decided(match end {
        CloseOutcome::Closed => KillOutcome::fine(KillResult::Closed),
        CloseOutcome::Remains if protocol == Protocol::Udp => KillOutcome::fine(KillResult::Aborted),
        CloseOutcome::Remains => KillOutcome::failed(KillError::Remains),
        CloseOutcome::Gone => KillOutcome::fine(KillResult::Gone),
        CloseOutcome::Mini => return Tried::Unsupported(WayError::Mini),
        CloseOutcome::Refused(error) => KillOutcome::failed(KillError::SockDestroy(Arc::new(error))),
    })
}

fn refused(error: ClosingError) -> Tried {
    match error {
        error if error.is_denied() => Tried::failed(KillError::NeedsBpf),
        error if error.is_unsupported() => Tried::Unsupported(WayError::Program(Arc::new(error))),
        error => Tried::failed(KillError::Program(Arc::new(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;
    use std::io;

    #[test]
    fn what_the_iterator_did() {
        let tried = |protocol, end| of_iterator(protocol, end);
        assert!(
            matches!(tried(Protocol::Udp, CloseOutcome::Remains), Tried::Decided(end) if end.result == KillResult::Aborted)
        );
        assert!(
            matches!(tried(Protocol::Tcp, CloseOutcome::Remains), Tried::Decided(end) if end.result == KillResult::Failed)
        );
        assert!(
            matches!(tried(Protocol::Tcp, CloseOutcome::Mini), Tried::Unsupported(why) if why.to_string().contains("TIME_WAIT"))
        );
        assert!(
            matches!(refused(ClosingError::NoFunction), Tried::Unsupported(why) if why.to_string().contains("which came with Linux 6.5"))
        );
        let denied = ClosingError::Refused(io::Error::from_raw_os_error(Errno::PERM.raw_os_error()));
        assert!(
            matches!(refused(denied), Tried::Decided(end) if end.error.as_ref().is_some_and(|why| why.to_string().contains("CAP_BPF")))
        );
    }
}
