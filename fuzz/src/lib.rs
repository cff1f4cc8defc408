//! What every target asserts of what is printed. `cargo xtask fuzz` runs them all; an input that breaks one is fixed, and
//! kept below `corpus/TARGET`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is what a target reports by")]

pub mod bodies;

/// A table of text: whole lines without control characters.
///
/// # Panics
/// On any other text.
pub fn assert_table(text: &[u8], lines: usize) {
    assert!(text.is_empty() || text.ends_with(b"\n"));
    assert!(text.iter().all(|&byte| byte == b'\n' || !byte.is_ascii_control()));
    assert_eq!(text.iter().filter(|&&byte| byte == b'\n').count(), lines);
}

/// JSON Lines: the same, and UTF-8.
///
/// # Panics
/// On any other text.
pub fn assert_json(text: &[u8], lines: usize) {
    assert_table(text, lines);
    let text = str::from_utf8(text).unwrap();
    assert!(text.lines().all(|line| line.starts_with('{') && line.ends_with('}')));
}
