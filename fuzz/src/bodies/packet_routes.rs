//! /proc/net/{ax25_route,nr_nodes,nr_neigh,rose_nodes,rose_neigh} and x25/route: the same bytes read as each table, and
//! printed in both forms.

use crate::{assert_json, assert_table};
use netstat_user::proc::packet_routes::{ax25, netrom, rose, x25};
use netstat_user::view::packet_routes as view;

fn check<R>(routes: impl Iterator<Item = R>, row: impl Fn(&mut Vec<u8>, &R), json: impl Fn(&mut Vec<u8>, &R)) {
    let (mut text, mut lines, mut count) = (Vec::new(), Vec::new(), 0);
    for route in routes {
        row(&mut text, &route);
        json(&mut lines, &route);
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
    // Nodes and their neighbours are two files; the second begins after a NUL.
    let (nodes, neighbours) = match table.iter().position(|&byte| byte == 0) {
        Some(at) => (&table[..at], &table[at + 1..]),
        None => (table, table),
    };
    check(ax25(table), view::ax25, view::ax25_json);
    check(netrom(nodes, neighbours), view::netrom, view::netrom_json);
    check(rose(nodes, neighbours), view::rose, view::rose_json);
    check(x25(table), view::x25, view::x25_json);
}
