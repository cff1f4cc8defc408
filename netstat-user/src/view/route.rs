//! `-r`: routing tables.

use crate::lang::Lang;
use crate::model::net::{RTF_CACHE, RTF_GATEWAY, RTF_HOST, RTF_REJECT, RTF_UP, Route4, Route6};
use crate::model::visible::escape;
use crate::view::json::Object;
use crate::view::text::{left, put};

/// Columns of the IPv4 table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteColumns {
    /// MSS, window and round-trip time.
    Plain,
    /// `-e`: metric, references, use.
    Extended,
    /// `-ee`: both.
    Both,
}

impl RouteColumns {
    /// By the number of `-e`.
    pub const fn new(extend: u32) -> Self {
        match extend {
            0 => Self::Plain,
            1 => Self::Extended,
            _ => Self::Both,
        }
    }
}

/// A route with the names to show.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a, Route> {
    /// The route.
    pub route: &'a Route,
    /// Name or address of its destination, without prefix.
    pub destination: &'a [u8],
    /// Name or address of its gateway or next hop.
    pub gateway: &'a [u8],
}

/// Title and heading of the IPv4 table.
pub fn heading4(out: &mut Vec<u8>, lang: &Lang, columns: RouteColumns) {
    out.extend_from_slice(lang.text("Kernel IP routing table\n"));
    out.extend_from_slice(lang.text(match columns {
        RouteColumns::Plain => "Destination     Gateway         Genmask         Flags   MSS Window  irtt Iface\n",
        RouteColumns::Extended => "Destination     Gateway         Genmask         Flags Metric Ref    Use Iface\n",
        RouteColumns::Both => {
            "Destination     Gateway         Genmask         Flags Metric Ref    Use Iface    MSS   Window irtt\n"
        }
    }));
}

/// Title and heading of the IPv4 cache, which has been empty since Linux 3.6.
pub fn heading4_cache(out: &mut Vec<u8>, lang: &Lang, columns: RouteColumns) {
    out.extend_from_slice(lang.text("Kernel IP routing cache\n"));
    out.extend_from_slice(lang.text(match columns {
        RouteColumns::Plain => "Source          Destination     Gateway         Flags   MSS Window  irtt Iface\n",
        RouteColumns::Extended => "Source          Destination     Gateway         Flags Metric Ref    Use Iface\n",
        RouteColumns::Both => {
            "Source          Destination     Gateway         Flags Metric Ref    Use Iface    MSS   Window irtt  \
             TOS HHRef HHUptod     SpecDst\n"
        }
    }));
}

/// Title and heading of the IPv6 table, or of its cache.
pub fn heading6(out: &mut Vec<u8>, lang: &Lang, cache: bool) {
    let title = if cache { "Kernel IPv6 routing cache\n" } else { "Kernel IPv6 routing table\n" };
    out.extend_from_slice(lang.text(title));
    out.extend_from_slice(
        lang.text("Destination                    Next Hop                   Flag Met Ref  Use If\n"),
    );
}

/// A row of the IPv4 table.
pub fn row4(out: &mut Vec<u8>, row: &Row<'_, Route4>, columns: RouteColumns) {
    let route = row.route;
    let reject = route.flags & RTF_REJECT != 0;
    for text in [row.destination, if reject { b"-" } else { row.gateway }, route.mask.to_string().as_bytes()] {
        left(out, &text[..text.len().min(15)], 15);
        out.push(b' ');
    }
    left(out, flags4(route.flags).as_bytes(), 5);
    let (metric, refs, used) = (as_int(route.metric), as_int(route.refs), as_int(route.used));
    let (mss, window, irtt) = (as_int(route.mss), as_int(route.window), as_int(route.irtt));
    let iface = escape(&route.iface);
    match columns {
        RouteColumns::Plain if reject => out.extend_from_slice(b"     - -          - -"),
        RouteColumns::Plain => {
            put!(out, " {mss:>5} {window:<5} {irtt:>6} ");
            out.extend_from_slice(&iface);
        }
        RouteColumns::Extended if reject => put!(out, " {metric:<6} -  {used:>7} -"),
        RouteColumns::Extended => {
            put!(out, " {metric:<6} {refs:<2} {used:>7} ");
            out.extend_from_slice(&iface);
        }
        RouteColumns::Both if reject => put!(out, " {metric:<6} -  {used:>7} -        -     -      -"),
        RouteColumns::Both => {
            put!(out, " {metric:<6} {refs:<3} {used:>6} ");
            left(out, &iface[..iface.len().min(6)], 6);
            put!(out, "   {mss:<5} {window:<6} {irtt}");
        }
    }
    out.push(b'\n');
}

/// A row of the IPv6 table or cache.
pub fn row6(out: &mut Vec<u8>, row: &Row<'_, Route6>) {
    let route = row.route;
    let mut destination = row.destination.to_vec();
    put!(destination, "/{}", route.prefix);
    left(out, &destination, 30);
    out.push(b' ');
    left(out, row.gateway, 26);
    out.push(b' ');
    left(out, flags6(route.flags).as_bytes(), 4);
    let (metric, refs, used) = (route.metric.cast_signed(), route.refs.cast_signed(), route.used.cast_signed());
    put!(out, " {metric:<3} {refs:<1} {used:>6} ");
    out.extend_from_slice(&escape(&route.iface));
    out.push(b'\n');
}

/// A route as a JSON object: the columns of `-ee`, unabbreviated.
pub fn json4(out: &mut Vec<u8>, route: &Route4) {
    let reject = route.flags & RTF_REJECT != 0;
    let known = |value| (!reject).then_some(value);
    let gateway = (!reject).then(|| route.gateway.to_string());
    let iface = (!reject && route.iface != b"*").then_some(&route.iface[..]);
    let mut object = Object::begin(out);
    object.string("family", b"inet");
    object.string("destination", route.destination.to_string().as_bytes());
    object.optional_string("gateway", gateway.as_deref().map(str::as_bytes));
    object.string("genmask", route.mask.to_string().as_bytes());
    object.string("flags", flags4(route.flags).as_bytes());
    object.number("metric", route.metric);
    object.optional("ref", known(route.refs));
    object.number("use", route.used);
    object.optional_string("iface", iface);
    object.optional("mss", known(route.mss));
    object.optional("window", known(route.window));
    object.optional("irtt", known(route.irtt));
    object.end();
}

/// A route as a JSON object.
pub fn json6(out: &mut Vec<u8>, route: &Route6) {
    let mut object = Object::begin(out);
    object.string("family", b"inet6");
    object.string("destination", format!("{}/{}", route.destination, route.prefix).as_bytes());
    object.string("next_hop", route.next_hop.to_string().as_bytes());
    object.string("flag", flags6(route.flags).as_bytes());
    object.number("met", route.metric);
    object.number("ref", route.refs);
    object.number("use", route.used);
    object.string("if", &route.iface);
    object.end();
}

/// A number as C's int, which is how netstat keeps it.
#[allow(clippy::cast_possible_truncation, reason = "the int that netstat makes of it")]
const fn as_int(value: i64) -> i32 {
    value as i32
}

/// Letters of an IPv4 route's flags.
fn flags4(flags: u32) -> String {
    const LETTERS: [(u32, char); 17] = [
        (RTF_HOST, 'H'),
        (0x8, 'R'),
        (0x10, 'D'),
        (0x20, 'M'),
        (0x1_0000, 'd'),
        (0x2_0000, 'a'),
        (0x4_0000, 'c'),
        (0x20_0000, 'o'),
        (0x40_0000, 'e'),
        (0x100_0000, 'c'),
        (0x200_0000, 'f'),
        (0x400_0000, 'p'),
        (0x8000_0000, 'l'),
        (0x40, 'u'),
        (0x80, 'w'),
        (0x100, 'i'),
        (0x400, 'n'),
    ];
    let first: &[(u32, char)] =
        if flags & RTF_REJECT == 0 { &[(RTF_UP, 'U'), (RTF_GATEWAY, 'G')] } else { &[(RTF_REJECT, '!')] };
    letters(flags, first.iter().chain(&LETTERS))
}

/// Letters of an IPv6 route's flags.
fn flags6(flags: u32) -> String {
    const LETTERS: [(u32, char); 12] = [
        (RTF_UP, 'U'),
        (RTF_REJECT, '!'),
        (RTF_GATEWAY, 'G'),
        (RTF_HOST, 'H'),
        (0x1_0000, 'D'),
        (0x4_0000, 'A'),
        (RTF_CACHE, 'C'),
        (0x2_0000, 'a'),
        (0x40_0000, 'e'),
        (0x20, 'm'),
        (0x20_0000, 'n'),
        (0x200_0000, 'f'),
    ];
    letters(flags, LETTERS.iter())
}

fn letters<'a>(flags: u32, of: impl Iterator<Item = &'a (u32, char)>) -> String {
    of.filter(|(flag, _)| flags & flag != 0).map(|(_, letter)| letter).collect()
}

#[cfg(test)]
mod tests;
