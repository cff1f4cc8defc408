//! /proc/net/igmp and /proc/net/igmp6: the same bytes read as each, and printed in both forms.

use crate::{assert_json, assert_table};
use netstat_user::proc::igmp::{v4, v6};
use netstat_user::view::groups::{json, row};

/// Runs one input.
///
/// # Panics
/// On an input that breaks what the module says.
pub fn run(file: &[u8]) {
    let (mut text, mut lines) = (Vec::new(), Vec::new());
    let groups = [v4(file).groups, v6(file).groups].concat();
    for group in &groups {
        row(&mut text, group, b"name");
        json(&mut lines, group);
    }
    assert_table(&text, groups.len());
    assert_json(&lines, groups.len());
}
