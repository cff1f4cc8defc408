//! The `masquerade` view: /proc/net/ip_masquerade went with Linux 2.4, whose connection tracking replaced it.

use crate::run::table::round::Round;
use crate::stdio::Written;

/// Says that the kernel has no such table; returns the exit code that ends the run.
///
/// # Errors
/// A failure to write to standard output.
pub fn print(round: &mut Round) -> Written<u8> {
    round.say(b"netstat: no support for `ip_masquerade' on this system.\n")?;
    Ok(1)
}
