//! Closing sockets from an iterator: `bpf_sock_destroy`, from Linux 6.5, which needs no `CONFIG_INET_DIAG_DESTROY`.
//!
//! The programs meet every socket of a network namespace and close those whose cookies they are given. The kernel gives a cookie to no second
//! socket, so that none is ever closed that took the place of the one that was meant.

use super::btf::Btf;
use super::linked::{Linked, Prepared};
use super::object::{BPF_PSEUDO_KFUNC_CALL, call};
use super::snapshot::{SnapshotError, Transport, is_unsupported};
use crate::sys::{self, bpf};
use netstat_ebpf::kfunc::SOCK_DESTROY;
use netstat_ebpf::snapshot::Program;
use netstat_ebpf::snapshot::closing::{MINI, SEEN, SOUGHT, WANTED};
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../objects/netstat-kill.o");

/// How often the table is walked for a socket that was not met: up to Linux 6.15 a walk may skip one if the table changes meanwhile.
const WALKS: usize = 3;

/// Why the kernel closes no sockets in this way.
#[derive(Debug, thiserror::Error)]
pub enum ClosingError {
    /// It has no such function.
    #[error("the kernel has no bpf_sock_destroy, which came with Linux 6.5")]
    NoFunction,
    /// It has no iterators as the programs need them.
    #[error(transparent)]
    Iterators(#[from] SnapshotError),
    /// It refused the program.
    #[error("the kernel refused the program that closes sockets: {0}")]
    Refused(#[source] io::Error),
    /// The walk failed.
    #[error("the walk over the sockets: {0}")]
    Walk(#[source] io::Error),
}

impl ClosingError {
    /// Whether the kernel lacks what this needs, as opposed to a want of rights and to a failure that may pass.
    pub fn is_unsupported(&self) -> bool {
        if self.is_denied() {
            return false;
        }
        match self {
            Self::NoFunction => true,
            Self::Iterators(error) => error.is_unsupported(),
            Self::Refused(error) => is_unsupported(error),
            Self::Walk(_) => false,
        }
    }

    /// Whether this process lacks the rights: `CAP_BPF` and `CAP_PERFMON`.
    pub fn is_denied(&self) -> bool {
        let (Self::Iterators(SnapshotError::NoBtf(error) | SnapshotError::Map(error))
        | Self::Refused(error)
        | Self::Walk(error)) = self
        else {
            return false;
        };
        // The verifier's own refusals are EACCES.
        bpf::errno(error) == Some(libc::EPERM)
    }
}

/// What became of a socket that was to be closed.
#[derive(Debug)]
pub enum CloseOutcome {
    /// The kernel closed it.
    Closed,
    /// The kernel reported `ECONNABORTED` to its process, and the socket is still in the table: a datagram socket keeps a port that it was bound to.
    Remains,
    /// It was not there any more.
    Gone,
    /// It is a request or in TIME_WAIT, which `bpf_sock_destroy` is not made for: it reads beyond the end of such a socket.
    Mini,
    /// The kernel refused.
    Refused(io::Error),
}

/// The program that closes sockets of a protocol, loaded.
#[derive(Debug)]
pub struct ClosingProgram {
    /// What is to be done, and what came of it, by cookie.
    sockets: OwnedFd,
    program: Prepared,
}

impl ClosingProgram {
    /// Loads the program for so many sockets: a few milliseconds.
    ///
    /// # Errors
    /// A [`ClosingError`].
    pub fn load(transport: Transport, sockets: usize) -> Result<Self, ClosingError> {
        let program = match transport {
            Transport::Tcp => Program::CloseTcp,
            Transport::Udp => Program::CloseUdp,
        };
        let (placeholder, function) = SOCK_DESTROY;
        let names = [program.target().as_bytes(), function.as_bytes()];
        let blob = sys::kernel_types().map_err(SnapshotError::NoBtf)?;
        let btf = Btf::parse(&blob, &|name| names.contains(&name)).map_err(SnapshotError::Btf)?;
        let function = btf.function_id(function).ok_or(ClosingError::NoFunction)?;
        let linked = Linked::new(OBJECT, HashMap::new(), |_| bpf::numbers_by_cookie(sockets))?;
        let mut program = linked.prepare(program, &btf)?;
        if !program.replace(call(0, placeholder), call(BPF_PSEUDO_KFUNC_CALL, function)) {
            return Err(SnapshotError::ObjectLacks(SOCK_DESTROY.1).into());
        }
        program.link().map_err(ClosingError::Refused)?;
        Ok(Self { sockets: linked.into_map(), program })
    }

    /// Closes the sockets of the calling thread's network namespace that have these cookies, and no others; what became of each, in their order.
    ///
    /// # Errors
    /// A [`ClosingError`]: some may have been closed.
    pub fn close(&self, cookies: &[u64]) -> Result<Vec<CloseOutcome>, ClosingError> {
        let mut found: Vec<i32> = vec![WANTED; cookies.len()];
        self.ask(cookies, WANTED)?;
        for _ in 0..WALKS {
            self.walk()?;
            for (found, &cookie) in found.iter_mut().zip(cookies) {
                *found = self.answer(cookie)?;
            }
            if !found.contains(&WANTED) {
                break;
            }
        }
        // The kernel says the same of a datagram socket that is closed and of one that is not.
        let taken: Vec<u64> = cookies.iter().zip(&found).filter(|&(_, &found)| found == 0).map(|(&c, _)| c).collect();
        let mut remain = HashSet::new();
        if !taken.is_empty() {
            self.ask(&taken, SOUGHT)?;
            self.walk()?;
            for &cookie in &taken {
                if self.answer(cookie)? == SEEN {
                    remain.insert(cookie);
                }
            }
        }
        Ok(cookies.iter().zip(found).map(|(cookie, found)| CloseOutcome::of(found, remain.contains(cookie))).collect())
    }

    /// Says what is to be done with sockets.
    fn ask(&self, cookies: &[u64], what: i32) -> Result<(), ClosingError> {
        let put = |&cookie| bpf::put_number(self.sockets.as_fd(), cookie, what);
        cookies.iter().try_for_each(put).map_err(ClosingError::Walk)
    }

    fn answer(&self, cookie: u64) -> Result<i32, ClosingError> {
        bpf::number(self.sockets.as_fd(), cookie).map_err(ClosingError::Walk)
    }

    /// Lets the program meet every socket of the calling thread's network namespace.
    fn walk(&self) -> Result<(), ClosingError> {
        let walk =
            bpf::walk(self.program.link().map_err(ClosingError::Refused)?.as_fd()).map_err(ClosingError::Walk)?;
        loop {
            match rustix::io::read(&walk, &mut [0u8; 64]) {
                // The program writes nothing.
                Ok(0) => return Ok(()),
                // EAGAIN: a million sockets went by.
                Ok(_) | Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(ClosingError::Walk(error.into())),
            }
        }
    }
}

impl CloseOutcome {
    /// From what the map says, and whether the socket is still there.
    fn of(found: i32, remains: bool) -> Self {
        match found {
            0 if remains => Self::Remains,
            0 => Self::Closed,
            MINI => Self::Mini,
            // It was closed between the walk's look at it and the call.
            error if error == -libc::ENOENT => Self::Gone,
            error if error < 0 => Self::Refused(io::Error::from_raw_os_error(-error)),
            _ => Self::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_answered() {
        let said = |found, remains| format!("{:?}", CloseOutcome::of(found, remains));
        assert_eq!([said(0, false), said(0, true), said(WANTED, false)], ["Closed", "Remains", "Gone"]);
        assert_eq!([said(MINI, false), said(-libc::ENOENT, false)], ["Mini", "Gone"]);
        assert!(
            matches!(CloseOutcome::of(-libc::EOPNOTSUPP, false), CloseOutcome::Refused(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP))
        );
    }

    #[test]
    fn a_want_of_rights_is_no_want_of_the_kernel() {
        let os = io::Error::from_raw_os_error;
        let of = |error: ClosingError| (error.is_denied(), error.is_unsupported());
        assert_eq!(of(ClosingError::NoFunction), (false, true));
        assert_eq!(of(ClosingError::Refused(os(libc::EACCES))), (false, true));
        assert_eq!(of(ClosingError::Refused(os(libc::EPERM))), (true, false));
        assert_eq!(of(SnapshotError::Map(os(libc::EPERM)).into()), (true, false));
        assert_eq!(of(SnapshotError::NoBtf(os(libc::ENOENT)).into()), (false, true));
        assert_eq!(of(ClosingError::Refused(os(libc::ENOMEM))), (false, false));
        assert_eq!(of(ClosingError::Walk(os(libc::EACCES))), (false, false));
    }

    #[test]
    fn the_object_calls_the_function_by_its_placeholder() {
        let calls = memchr::memmem::find_iter(OBJECT, &call(0, SOCK_DESTROY.0)).count();
        assert_eq!(calls, 2);
    }
}
