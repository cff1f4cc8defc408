//! Where the rooms are wired together: one file per verb, each from a request to an outcome.

pub mod agent;
mod bound;
pub mod classic;
pub mod clock;
pub mod doctor;
pub mod events;
mod forgotten;
mod hint;
mod infos;
mod kill;
pub mod locale;
mod printing;
mod privileges;
mod remote;
pub mod resolve;
mod screen;
pub mod source;
mod streaming;
mod subscribe;
mod waiting;
pub mod whose;

use crate::cli::{self, Reason, Refusal, Request};
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

/// Serves a request and returns the exit code.
///
/// # Errors
/// A failure to write to standard output, of which `main` ends quietly on a closed pipe; any other is wrapped by [`io::Error::other`]. See
/// [`failure`].
pub fn run(request: Request) -> io::Result<u8> {
    // A table or stream that nobody can get is a failure to write from the start. The agent prints nothing.
    if !matches!(request, Request::Agent(_) | Request::Contexts) && crate::sys::output_is_closed() {
        return Err(rustix::io::Errno::BADF.into());
    }
    match request {
        Request::Classic(options) => classic::run(&options),
        Request::Agent(options) => agent::run(&options),
        Request::Doctor(options) => doctor::run(&options),
        Request::Events(options) => events::run(&options),
        Request::Kill(options) => kill::run(&options),
        Request::Contexts => Ok(refuse(&contexts(Path::new(SELINUX)))),
        Request::Version => {
            io::stdout().lock().write_all(version().as_bytes())?;
            Ok(0)
        }
        Request::Print(text) => {
            io::stdout().lock().write_all(text.as_bytes())?;
            Ok(0)
        }
    }
}

/// What is said of an error that [`run`] returns.
pub fn failure(error: &io::Error) -> String {
    let inner = error.get_ref();
    let cause = inner.and_then(|inner| inner.downcast_ref::<io::Error>()).unwrap_or(error);
    let errno = cause.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    // To write takes no descriptor.
    if matches!(errno, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE)) {
        return crate::sys::too_many_open_files();
    }
    match inner {
        Some(inner) => inner.to_string(),
        None => format!("cannot write to standard output: {error}"),
    }
}

/// The text of `--version`: our own, whose options and bytes these are, and what was built for what, from what.
fn version() -> String {
    format!(
        "netstat-user {}\nThe options and output are those of netstat from net-tools 2.10.\ncommit {}, for {}\nkernel object sha256:{}\n",
        env!("CARGO_PKG_VERSION"),
        env!("NETSTAT_USER_COMMIT"),
        env!("NETSTAT_USER_TARGET"),
        crate::kernel::object_digest()
    )
}

/// Where the kernel has its SELinux files, if SELinux is enabled.
const SELINUX: &str = "/sys/fs/selinux/enforce";

/// Why there are no security contexts to see.
fn contexts(selinux: &Path) -> Refusal {
    let text = match selinux.exists() {
        false => "SELinux is not enabled on this machine.\n",
        true => "%s: security contexts are not shown; see `ls -Z' of /proc/PID for those of processes\n",
    };
    let values = if text.starts_with("%s") { vec![program().to_owned()] } else { Vec::new() };
    Refusal { reason: Some(Reason { text, values }), message: String::new(), exit: 1 }
}

/// Says on standard error why the command line cannot be served, and returns the exit code.
pub fn refuse(refusal: &Refusal) -> u8 {
    let mut text = Vec::new();
    if let Some(reason) = &refusal.reason {
        let values: Vec<&dyn Display> = reason.values.iter().map(|value| value as &dyn Display).collect();
        text = locale::lang().fill(reason.text, &values);
    }
    text.extend(refusal.message.as_bytes());
    // Standard error may be closed; the exit code still says it all.
    let _ = io::stderr().write_all(&text);
    refusal.exit
}

/// The name that messages begin with: netstat's, where the program was called by it.
pub fn program() -> &'static str {
    let called = std::env::args_os().next();
    if called.is_some_and(|name| cli::is_netstat(&name)) { "netstat" } else { "netstat-user" }
}

/// One line on standard error. If that is closed, there is nobody to tell.
pub fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "{}: {message}", program());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_names_what_was_built() {
        let version = version();
        let lines: Vec<_> = version.lines().collect();
        assert_eq!(lines[0], concat!("netstat-user ", env!("CARGO_PKG_VERSION")));
        let (commit, target) = lines[2].strip_prefix("commit ").unwrap().split_once(", for ").unwrap();
        assert!(commit == "unknown" || commit.len() == 12, "{commit}");
        assert!(target.starts_with(std::env::consts::ARCH), "{target}");
        let digest = lines[3].strip_prefix("kernel object sha256:").unwrap();
        assert!(digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest}");
    }

    #[test]
    fn only_a_failure_to_write_is_said_to_be_one() {
        let os = |errno: rustix::io::Errno| io::Error::from(errno);
        assert!(failure(&os(rustix::io::Errno::NOSPC)).starts_with("cannot write to standard output: No space"));
        for many in [os(rustix::io::Errno::MFILE), io::Error::other(os(rustix::io::Errno::NFILE))] {
            assert!(failure(&many).starts_with("too many open files: raise their limit (ulimit -n), which is "));
        }
        assert!(failure(&io::Error::other(os(rustix::io::Errno::PERM))).starts_with("Operation not permitted"));
        assert_eq!(failure(&io::Error::other("no room")), "no room");
    }

    #[test]
    fn contexts_where_selinux_is_on_and_off() {
        let text = |path: &str| contexts(Path::new(path)).reason.map(|reason| reason.text).unwrap_or_default();
        assert_eq!(text("/nowhere/enforce"), "SELinux is not enabled on this machine.\n");
        assert!(text("/proc/self/stat").contains("not shown"));
    }
}
