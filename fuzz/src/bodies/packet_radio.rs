//! /proc/net/{ax25,nr,rose,x25,ipx}: the same bytes read as each table, and printed in both forms.

use crate::{assert_json, assert_table};
use netstat_user::lang::Lang;
use netstat_user::proc::packet_radio::{Line, ax25, ipx, netrom, rose, x25};
use netstat_user::view::packet_radio as view;

fn check<R>(rows: impl Iterator<Item = Line<R>>, row: impl Fn(&mut Vec<u8>, &R), json: impl Fn(&mut Vec<u8>, &R)) {
    let (mut text, mut lines, mut count) = (Vec::new(), Vec::new(), 0);
    for line in rows.flatten() {
        row(&mut text, &line);
        json(&mut lines, &line);
        count += 1;
    }
    assert_table(&text, count);
    assert_json(&lines, count);
}

/// Runs one input.
///
/// # Panics
/// On an input that breaks what the module says.
pub fn run(table: &[u8]) {
    let lang = &Lang::ENGLISH;
    check(ax25(table), |out, row| view::ax25(out, lang, row), view::ax25_json);
    check(netrom(table), |out, row| view::netrom(out, lang, row), view::netrom_json);
    check(rose(table), |out, row| view::rose(out, lang, row), view::rose_json);
    check(x25(table), |out, row| view::x25(out, row, true), view::x25_json);
    check(
        ipx(table),
        |out, row| view::ipx(out, lang, row, Some(b"user")),
        |out, row| view::ipx_json(out, row, Some(b"user")),
    );
}
