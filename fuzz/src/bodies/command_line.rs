//! Command lines, one word per line: read or refused, with netstat's exit codes.

use netstat_user::cli::classic::parse;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// Runs one input.
///
/// # Panics
/// On an input that breaks what the module says.
pub fn run(words: &[u8]) {
    let words = words.split(|&byte| byte == b'\n').map(|word| OsString::from_vec(word.to_vec()));
    let argv: Vec<OsString> = std::iter::once("netstat".into()).chain(words).collect();
    for posix in [false, true] {
        if let Err(refusal) = parse(&argv, posix) {
            assert!(matches!(refusal.exit, 1 | 3));
            let said = refusal.reason.is_some() || !refusal.message.is_empty();
            assert!(said && (refusal.message.is_empty() || refusal.message.ends_with('\n')));
        }
    }
}
