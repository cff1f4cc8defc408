//! /proc/net/unix: parsed, and printed in both forms.

use crate::{assert_json, assert_table};
use netstat_user::lang::Lang;
use netstat_user::proc::unix::parse;
use netstat_user::view::unix::{json, row};

/// Runs one input.
///
/// # Panics
/// On an input that breaks what the module says.
pub fn run(table: &[u8]) {
    let rows = parse(table).rows;
    let (mut text, mut lines) = (Vec::new(), Vec::new());
    for socket in &rows {
        row(&mut text, &Lang::ENGLISH, socket, Some(None), None);
        json(&mut lines, socket, [], None);
    }
    assert_table(&text, rows.len());
    assert_json(&lines, rows.len());
}
