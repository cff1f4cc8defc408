//! /proc/net/route and /proc/net/ipv6_route: the same bytes read as each table, and printed in every form.

use crate::{assert_json, assert_table};
use netstat_user::proc::route::{v4, v6};
use netstat_user::view::route::{RouteColumns, Row, json4, json6, row4, row6};
use netstat_user::view::text::numeric;

/// Runs one input.
///
/// # Panics
/// On an input that breaks what the module says.
pub fn run(table: &[u8]) {
    let (mut text, mut lines) = (Vec::new(), Vec::new());
    let (routes4, routes6) = (v4(table), v6(table));
    for route in &routes4 {
        let (destination, gateway) = (numeric(route.destination.into()), numeric(route.gateway.into()));
        let row = Row { route, destination: destination.as_bytes(), gateway: gateway.as_bytes() };
        for extend in 0..3 {
            row4(&mut text, &row, RouteColumns::new(extend));
        }
        json4(&mut lines, route);
    }
    for route in &routes6 {
        let (destination, gateway) = (numeric(route.destination.into()), numeric(route.next_hop.into()));
        row6(&mut text, &Row { route, destination: destination.as_bytes(), gateway: gateway.as_bytes() });
        json6(&mut lines, route);
    }
    assert_table(&text, 3 * routes4.len() + routes6.len());
    assert_json(&lines, routes4.len() + routes6.len());
}
