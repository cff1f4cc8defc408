//! Two outputs side by side: what is masked, and how a difference is shown.

use crate::command::Outcome;
use similar::{ChangeTag, TextDiff};
use std::fmt::Write;

/// What moves on its own between two runs, and is therefore not compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mask {
    /// Nothing: every byte counts.
    #[default]
    None,
    /// The seconds in a timer, `on (0.20/1/0)` → `on (#/1/0)`: they run down while we look. Retransmissions and probes
    /// count.
    Timers,
}

impl Mask {
    /// `bytes` with what moves replaced by `#`.
    pub fn apply(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::None => bytes.to_owned(),
            Self::Timers => bytes.split_inclusive(|&b| b == b'\n').flat_map(mask_timer).collect(),
        }
    }
}

fn mask_timer(line: &[u8]) -> Vec<u8> {
    let masked = || {
        let open = line.iter().rposition(|&b| b == b'(')? + 1;
        let slash = open + line[open..].iter().position(|&b| b == b'/')?;
        let seconds = &line[open..slash];
        let number = !seconds.is_empty() && seconds.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b','));
        // A timer that is off does not run: its zeros count.
        (number && !seconds.ends_with(b"0.00")).then(|| [&line[..open], b"#", &line[slash..]].concat())
    };
    masked().unwrap_or_else(|| line.to_owned())
}

/// Printable text of any bytes: one line per line, what is not ASCII text escaped, trailing blanks made visible.
fn visible(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        let (body, end) = line.strip_suffix(b"\n").map_or((line, "\\ no newline\n"), |body| (body, "\n"));
        let trimmed = body.trim_ascii_end().len();
        for &byte in &body[..trimmed] {
            match byte {
                b' '..=b'~' => text.push(char::from(byte)),
                _ => text.extend(byte.escape_ascii().map(char::from)),
            }
        }
        text.push_str(&"·".repeat(body.len() - trimmed));
        text.push_str(end);
    }
    text
}

/// The differences of two byte strings with a line of context, `-` expected and `+` got; `None` when they are equal.
pub fn diff(what: &str, expected: &[u8], got: &[u8]) -> Option<String> {
    if expected == got {
        return None;
    }
    let (expected, got) = (visible(expected), visible(got));
    let diff = TextDiff::from_lines(&expected, &got);
    let mut report = format!("{what} differs (- expected, + got):\n");
    for group in diff.grouped_ops(1).iter().take(12) {
        for change in group.iter().flat_map(|op| diff.iter_changes(op)).take(24) {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            // Writing to a String cannot fail.
            let _ = write!(report, "  {sign}{}", change.value());
        }
        report.push_str("  …\n");
    }
    Some(report)
}

/// How far standard error must agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stderr {
    /// To the byte.
    #[default]
    Exact,
    /// Both say something, or both nothing: our message may be clearer.
    Presence,
    /// The first line to the byte, which is getopt's; below it stands a usage in words of our own.
    FirstLine,
}

/// Compares two outcomes: exit code, standard output under `mask`, standard error.
///
/// # Errors
/// A report of everything that differs.
pub fn outcomes(expected: &Outcome, got: &Outcome, mask: Mask, stderr: Stderr) -> Result<(), String> {
    let mut report = String::new();
    if expected.end != got.end {
        let _ = writeln!(report, "ended with {:?}, expected {:?}", got.end, expected.end);
    }
    report.extend(diff("stdout", &mask.apply(&expected.stdout), &mask.apply(&got.stdout)));
    match stderr {
        Stderr::Exact => report.extend(diff("stderr", &expected.stderr, &got.stderr)),
        Stderr::Presence if expected.stderr.is_empty() != got.stderr.is_empty() => {
            report.extend(diff("stderr", &expected.stderr, &got.stderr));
        }
        Stderr::Presence => {}
        Stderr::FirstLine => {
            let first = |text: &[u8]| text.split_inclusive(|&byte| byte == b'\n').next().unwrap_or_default().to_vec();
            report.extend(diff("the first line of stderr", &first(&expected.stderr), &first(&got.stderr)));
        }
    }
    if report.is_empty() { Ok(()) } else { Err(report) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_running_seconds_are_masked() {
        let mask = |text: &str| String::from_utf8(Mask::Timers.apply(text.as_bytes())).unwrap();
        assert_eq!(mask("LISTEN  off (0.00/0/0)\n"), "LISTEN  off (0.00/0/0)\n");
        assert_eq!(mask("X  on (0.20/1/0)\nY  ein (19,88/0/7)\n"), "X  on (#/1/0)\nY  ein (#/0/7)\n");
        assert_eq!(mask("(w/o servers)\n"), "(w/o servers)\n");
        assert_eq!(mask("unix  2  [ ]  /tmp/(x\n"), "unix  2  [ ]  /tmp/(x\n");
    }

    #[test]
    fn a_difference_in_trailing_blanks_is_seen() {
        assert_eq!(diff("stdout", b"a\n", b"a\n"), None);
        let report = diff("stdout", b"a  \n", b"a\n").unwrap();
        assert!(report.contains("-a··") && report.contains("+a\n"), "{report}");
    }
}
