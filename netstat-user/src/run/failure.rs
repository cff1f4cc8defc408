//! Why a request could not be served to its end, as `main` reports it.

use crate::stdio::{Unanswered, Unwritable};
use crate::sys::{why, why_below};
use std::io;

/// Why a request could not be served to its end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Standard output cannot be written to.
    #[error(transparent)]
    Output(#[from] Unwritable),
    /// What has to be answered first is not.
    #[error("{0}: give --yes to do without the question")]
    Question(#[from] Unanswered),
    /// No descriptor, thread or signal handler to wait with.
    #[error("cannot wait for events and signals: {}", why_below(.0))]
    Runtime(#[source] io::Error),
    /// What the kernel programs recorded cannot be read.
    #[error("cannot read what the kernel programs recorded: {}", why_below(.0))]
    Programs(#[source] io::Error),
    /// The connection to the agent cannot be handed over.
    #[error("cannot read from the agent: {}", why_below(.0))]
    Agent(#[source] io::Error),
}

impl Failure {
    /// Whether the output has no reader any more, which is no failure.
    pub fn is_closed_output(&self) -> bool {
        matches!(self, Self::Output(unwritable) if unwritable.is_closed())
    }
}

/// That of processes which are there and may be looked at something could not be read, and why.
pub fn unread_processes(error: &io::Error) -> String {
    format!("not every process could be looked into: {}", why(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failure_to_write_is_said_to_be_one() {
        let os = io::Error::from_raw_os_error;
        let output = |errno: i32| Failure::Output(Unwritable(os(errno)));
        assert!(output(libc::ENOSPC).to_string().starts_with("cannot write to standard output: No space"));
        assert!(output(libc::EPIPE).is_closed_output() && !output(libc::ENOSPC).is_closed_output());
        for other in [Failure::Runtime, Failure::Programs, Failure::Agent] {
            let said = other(os(libc::EMFILE)).to_string();
            assert!(said.contains(": too many open files: raise their limit (ulimit -n), which is "), "{said}");
            assert!(other(os(libc::ENFILE)).to_string().contains("on this machine"));
            assert!(other(os(libc::ENOMEM)).to_string().contains("MemoryMax of the unit"));
            assert!(other(io::Error::other(os(libc::ENFILE))).to_string().contains("on this machine"));
            let said = other(os(libc::EPERM)).to_string();
            assert!(said.contains("Operation not permitted") && !said.contains("standard output"), "{said}");
            assert!(!other(os(libc::EPIPE)).is_closed_output());
        }
    }
}
