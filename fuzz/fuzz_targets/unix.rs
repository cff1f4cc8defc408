//! /proc/net/unix: parsed, and printed in both forms.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netstat_fuzz::{assert_json, assert_table};
use netstat_user::lang::Lang;
use netstat_user::proc::unix::parse;
use netstat_user::view::unix::{json, row};

fuzz_target!(|table: &[u8]| {
    let rows = parse(table).rows;
    let (mut text, mut lines) = (Vec::new(), Vec::new());
    for socket in &rows {
        row(&mut text, &Lang::ENGLISH, socket, Some(None), None);
        json(&mut lines, socket, [], None);
    }
    assert_table(&text, rows.len());
    assert_json(&lines, rows.len());
});
