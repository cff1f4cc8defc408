//! Where the rooms are wired together: a module per verb, each from a request to an outcome, and what several of them need.

pub mod agent;
pub mod classic;
pub mod doctor;
pub mod events;
pub mod failure;
mod forgotten;
pub mod gather;
mod hint;
mod internet;
pub mod kill;
pub mod locale;
mod printing;
mod ready;
pub mod resolve;
mod shielded;
mod table;

use crate::cli::{Invocation, Refusal, RefusalReason, help};
use crate::stdio::{Unwritable, lines, print, program, screen};
use crate::view::columns;
use failure::Failure;
use std::path::Path;

/// Serves a request and returns the exit code.
///
/// # Errors
/// A [`Failure`]; that nobody reads the output any more is one, too.
pub fn run(invocation: Invocation) -> Result<u8, Failure> {
    // A table or stream that nobody can get is a failure to write from the start. The agent prints nothing.
    if !matches!(invocation, Invocation::Agent(_) | Invocation::Contexts) && crate::sys::output_is_closed() {
        return Err(Unwritable(rustix::io::Errno::BADF.into()).into());
    }
    match invocation {
        Invocation::Classic(options) => Ok(classic::run(&options)?),
        Invocation::Agent(options) => agent::run(&options),
        Invocation::Doctor(options) => Ok(doctor::run(&options)?),
        Invocation::Events(options) => events::run(&options),
        Invocation::Kill(options) => kill::run(&options),
        Invocation::Contexts => Ok(refuse(&contexts(Path::new(SELINUX)))),
        Invocation::Version => {
            print(version().as_bytes())?;
            Ok(0)
        }
        Invocation::Fields(rows) => {
            let mut text = Vec::new();
            columns::help(&mut text, rows, screen::width().map_or(help::COLUMNS, usize::from));
            print(&text)?;
            Ok(0)
        }
        Invocation::Print(text) => {
            print(text.as_bytes())?;
            Ok(0)
        }
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
    let values = if text.starts_with("%s") { vec![program().into()] } else { Vec::new() };
    Refusal { reason: Some(RefusalReason { text, values }), message: String::new(), exit: 1 }
}

/// Says on standard error why the command line cannot be served, and returns the exit code.
pub fn refuse(refusal: &Refusal) -> u8 {
    let mut text = Vec::new();
    if let Some(reason) = &refusal.reason {
        text = locale::lang().fill_bytes(reason.text, &reason.values);
    }
    text.extend(refusal.message.as_bytes());
    // Standard error may be closed; the exit code still says it all.
    lines::write(&text);
    refusal.exit
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
    fn contexts_where_selinux_is_on_and_off() {
        let text = |path: &str| contexts(Path::new(path)).reason.map(|reason| reason.text).unwrap_or_default();
        assert_eq!(text("/nowhere/enforce"), "SELinux is not enabled on this machine.\n");
        assert!(text("/proc/self/stat").contains("not shown"));
    }
}
