//! What a process still holds after it gave up the rest, and what the kernel would not let it give up.

use super::confined::drop_all;
use crate::model::{Check, Level};
use crate::sys::Scarce;
use std::error::Error;
use std::sync::Arc;

/// What lets a process give up the rest.
const MEND: &str = "run as root, on a kernel with CONFIG_SECCOMP_FILTER=y and CONFIG_SECURITY_LANDLOCK=y";

/// The same where something ran out on the way.
const MEND_SCARCE: &str = "restart it when that limit is raised";

/// One thing that is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivilegeStep {
    /// The user that the process was started by.
    User,
    /// All capabilities but those that are needed.
    Capabilities,
    /// What capabilities another program could bring.
    BoundingSet,
    /// Rights that another program could bring.
    NewPrivileges,
    /// System calls that are not needed.
    SystemCalls,
    /// All that threads which talk to clients do not need.
    Threads,
}

/// What could not be given up, and what is still held.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Capabilities, by name.
    pub(super) capabilities: Vec<String>,
    /// The user that the process runs as from now on, where that was changed.
    pub(super) user: Option<String>,
    /// Whether other network namespaces are entered.
    enters: bool,
    /// What was refused.
    refused: Vec<RefusedStep>,
}

/// A step that the kernel refused.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}: {}", self.scarce().map_or_else(|| error.to_string(), Scarce::words))]
struct RefusedStep {
    step: PrivilegeStep,
    /// Its name.
    what: String,
    /// Why.
    #[source]
    error: Arc<dyn Error + Send + Sync>,
}

impl RefusedStep {
    /// What ran out, where that is why.
    fn scarce(&self) -> Option<Scarce> {
        Scarce::below(&*self.error)
    }
}

impl Held {
    /// The rights of a process that enters other network namespaces, or does not.
    pub(super) fn entering(enters: bool) -> Self {
        Self { enters, ..Self::default() }
    }

    /// Takes down what came of a step, and returns whether it was done.
    pub(super) fn note(
        &mut self,
        step: PrivilegeStep,
        what: &str,
        outcome: Result<(), impl Into<Box<dyn Error + Send + Sync>>>,
    ) -> bool {
        let refused =
            |error: Box<dyn Error + Send + Sync>| RefusedStep { step, what: what.into(), error: error.into() };
        outcome.map_err(|error| self.refused.push(refused(error.into()))).is_ok()
    }

    /// Tries on a thread of its own whether [`drop_all`] is allowed to those that talk to clients.
    pub fn try_threads(&mut self) {
        // Without a thread nobody is talked to.
        let tried = std::thread::Builder::new().spawn(drop_all).map(std::thread::JoinHandle::join);
        if let Ok(Ok(outcome)) = tried {
            self.note(PrivilegeStep::Threads, "threads that talk to clients", outcome);
        }
    }

    fn causes(&self) -> String {
        self.refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    /// What mends that something was refused: where it is that something ran out, the kernel can do it.
    fn mend(&self) -> &'static str {
        if self.refused.iter().all(|refused| refused.scarce().is_some()) { MEND_SCARCE } else { MEND }
    }

    /// What was refused, and what mends it; `None` where nothing was.
    pub fn refusal(&self) -> Option<String> {
        (!self.refused.is_empty()).then(|| format!("not given up: {}: {}", self.causes(), self.mend()))
    }

    /// What `doctor` says of it.
    pub fn checks(&self) -> Vec<Check> {
        let user = self.user.as_ref().map_or_else(String::new, |user| format!("user {user}, "));
        let mut held = match self.capabilities.is_empty() {
            true => format!("{user}no capability"),
            false => format!("{user}{}", self.capabilities.join(", ")),
        };
        for (step, limit) in [
            (PrivilegeStep::NewPrivileges, "no new privileges"),
            (
                PrivilegeStep::SystemCalls,
                "no other program, no file opened for writing, no new map or program of bpf(2)",
            ),
            (PrivilegeStep::Threads, "threads that talk to clients hold nothing"),
        ] {
            if self.refused.iter().all(|refused| refused.step != step) {
                held = format!("{held}; {limit}");
            }
        }
        let mut checks = vec![Check::ok("still_held", held)];
        checks.push(match self.enters {
            true => Check::ok(
                "privileges",
                "full: other network namespaces are entered, for the cookies of their sockets; --privileges least gives that up",
            ),
            false => Check::ok(
                "privileges",
                "least: sockets of other network namespaces have no cookie unless an event had it; --privileges full enters them",
            ),
        });
        if !self.refused.is_empty() {
            checks.push(Check::amiss("not_given_up", Level::Note, self.causes(), self.mend()));
        }
        checks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_and_what_was_refused_is_said() {
        let whole = Held::default();
        assert_eq!((whole.checks().len(), whole.refusal()), (2, None));
        let all = whole.checks()[0].found.clone();
        assert_eq!(all.split("; ").next(), Some("no capability"));
        for (step, what, limit) in [
            (PrivilegeStep::SystemCalls, "seccomp", "no other program"),
            (PrivilegeStep::NewPrivileges, "no_new_privs", "no new privileges"),
            (PrivilegeStep::Threads, "threads", "hold nothing"),
        ] {
            let mut held = Held { capabilities: vec!["cap_x".into()], ..Held::default() };
            assert!(!held.note(step, what, Err("no")));
            assert_eq!(held.refused[0].source().unwrap().to_string(), "no");
            let checks = held.checks();
            assert!(all.contains(limit) && !checks[0].found.contains(limit), "{}", checks[0].found);
            assert!(checks[0].found.starts_with("cap_x; ") && checks[1].found.starts_with("least"));
            assert_eq!((checks[2].level, checks[2].found.as_str()), (Level::Note, &*format!("{what}: no")));
            assert_eq!(held.refusal().unwrap(), format!("not given up: {what}: no: {MEND}"));
        }
    }

    /// A kernel that can do it all may be short of files or memory at that moment.
    #[test]
    fn what_ran_out_is_no_question_of_the_kernels_configuration() {
        let mut held = Held::default();
        let full = std::io::Error::from_raw_os_error(libc::ENFILE);
        held.note(PrivilegeStep::Threads, "threads", Err(super::super::confined::KeptError::Capabilities(full)));
        let said = held.refusal().unwrap();
        assert!(said.starts_with("not given up: threads: too many open files on this machine: "), "{said}");
        assert!(said.ends_with(MEND_SCARCE) && !said.contains("CONFIG"), "{said}");
        let checks = held.checks();
        assert_eq!(checks.last().and_then(|check| check.mend.as_deref()), Some(MEND_SCARCE));
        // What else was refused has its own reason.
        held.note(PrivilegeStep::SystemCalls, "seccomp", Err("no"));
        assert!(held.refusal().unwrap().ends_with(MEND));
    }
}
