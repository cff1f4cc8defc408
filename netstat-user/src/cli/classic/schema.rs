//! `--schema`: the JSON Schema of what `--json` prints with the same options.

use super::{Options, View, Want};
use crate::field::RowKinds;
use crate::field::schema::{self, KeyValues::*, SchemaKey};

const ROUTE: &[SchemaKey] = &[
    SchemaKey::new("family", Text, "inet"),
    SchemaKey::new("destination", Text, "address of the destination"),
    SchemaKey::new("gateway", Text, "address of the router; null where packets are refused"),
    SchemaKey::new("genmask", Text, "mask of the destination"),
    SchemaKey::new("flags", Text, "netstat's letters: U up, G by a router, H one host, ! refused"),
    SchemaKey::new("metric", Number, "cost; the least one is taken"),
    SchemaKey::new("ref", Number, "references; null where packets are refused"),
    SchemaKey::new("use", Number, "uses, as the kernel counts them"),
    SchemaKey::new("iface", Text, "interface that packets leave by; null where they are refused"),
    SchemaKey::new("mss", Number, "segment size of TCP, 0 for that of the interface"),
    SchemaKey::new("window", Number, "window of TCP, 0 for the default"),
    SchemaKey::new("irtt", Number, "first round-trip time of TCP, 0 for the default"),
];
const ROUTE6: &[SchemaKey] = &[
    SchemaKey::new("family", Text, "inet6"),
    SchemaKey::new("destination", Text, "address of the destination, with its prefix length"),
    SchemaKey::new("next_hop", Text, "address of the router, :: for none"),
    SchemaKey::new("flag", Text, "netstat's letters"),
    SchemaKey::new("met", Number, "cost; the least one is taken"),
    SchemaKey::new("ref", Number, "references"),
    SchemaKey::new("use", Number, "uses, as the kernel counts them"),
    SchemaKey::new("if", Text, "interface that packets leave by"),
];
/// Routes of the packet-radio families.
const OTHER_ROUTE: &[SchemaKey] = &[
    SchemaKey::new("family", Text, "ax25, netrom, rose or x25"),
    SchemaKey::new("destination", Text, "address of the destination; null for any"),
    SchemaKey::sometimes("iface", Text, "interface that packets leave by"),
    SchemaKey::sometimes("mnemonic", Text, "NET/ROM: name of the node"),
    SchemaKey::sometimes("quality", Number, "NET/ROM: quality of the route"),
    SchemaKey::sometimes("neighbour", Text, "NET/ROM: callsign of the neighbour"),
    SchemaKey::sometimes("mask", Number, "ROSE: digits of the address that count"),
    SchemaKey::sometimes("neighbours", Objects(NEIGHBOURS), "ROSE: neighbours that lead there"),
    SchemaKey::sometimes("digits", Number, "X.25: digits of the address that count"),
];
const NEIGHBOURS: &[SchemaKey] = &[
    SchemaKey::new("number", Number, "number of the neighbour"),
    SchemaKey::new("callsign", Text, "its callsign"),
    SchemaKey::new("iface", Text, "interface that it is reached by"),
];
const INTERFACE: &[SchemaKey] = &[
    SchemaKey::new("iface", Text, "name"),
    SchemaKey::new("mtu", Number, "largest packet, bytes"),
    SchemaKey::new("rx_ok", Number, "packets received"),
    SchemaKey::new("rx_err", Number, "errors of packets received"),
    SchemaKey::new("rx_drp", Number, "packets dropped on receiving"),
    SchemaKey::new("rx_ovr", Number, "overruns of the queue of packets received"),
    SchemaKey::new("tx_ok", Number, "packets sent"),
    SchemaKey::new("tx_err", Number, "errors of packets sent"),
    SchemaKey::new("tx_drp", Number, "packets dropped that were to be sent"),
    SchemaKey::new("tx_ovr", Number, "overruns of the queue of packets sent"),
    SchemaKey::new("flg", Text, "netstat's letters: B broadcast, L loopback, M multicast, R running, U up"),
    SchemaKey::new("flags", Number, "the kernel's flags (IFF_ of netdevice(7))"),
    SchemaKey::new("inet", Text, "IPv4 address"),
    SchemaKey::new("netmask", Text, "its mask"),
    SchemaKey::new("broadcast", Text, "its broadcast address"),
    SchemaKey::new("destination", Text, "IPv4 address of the other end of a point-to-point link"),
    SchemaKey::new("inet6", Texts, "IPv6 addresses, with their prefix lengths"),
    SchemaKey::new("hardware", Text, "kind of hardware, as ifconfig names it"),
    SchemaKey::new("address", Text, "hardware address"),
    SchemaKey::new("txqueuelen", Number, "length of the queue of packets to send"),
    SchemaKey::new("rx_bytes", Number, "bytes received"),
    SchemaKey::new("rx_frame", Number, "framing errors"),
    SchemaKey::new("rx_multicast", Number, "multicast packets received"),
    SchemaKey::new("tx_bytes", Number, "bytes sent"),
    SchemaKey::new("tx_carrier", Number, "losses of the carrier"),
    SchemaKey::new("collisions", Number, "collisions"),
];
const GROUP: &[SchemaKey] = &[
    SchemaKey::new("family", Text, "inet or inet6"),
    SchemaKey::new("interface", Text, "interface that receives the group"),
    SchemaKey::new("refcnt", Number, "sockets that joined it, as the kernel counts them"),
    SchemaKey::new("group", Text, "address of the group"),
];
const STATISTICS: &[SchemaKey] =
    &[SchemaKey::new("table", Text, "the kernel's group of counters: Ip, Tcp, TcpExt, Udp")];
/// The counters of a kernel are its own: none is named here.
const COUNTER: SchemaKey = SchemaKey::new("", Number, "the kernel's counter of this name, in snake_case");
const PACKET_RADIO: &[SchemaKey] = &[
    SchemaKey::new("proto", Text, "ax25, netrom, rose, x25 or ipx"),
    SchemaKey::new("state", Text, "netstat's name of the state"),
    SchemaKey::sometimes("user", Text, "NET/ROM: callsign of the user; IPX: name of the user"),
    SchemaKey::sometimes("dest", Text, "callsign or address of the other end"),
    SchemaKey::sometimes("source", Text, "callsign or address of the socket's own end"),
    SchemaKey::sometimes("digipeaters", Texts, "AX.25: stations on the way"),
    SchemaKey::sometimes("device", Text, "device"),
    SchemaKey::sometimes("dest_addr", Text, "ROSE: address of the other end"),
    SchemaKey::sometimes("dest_call", Text, "ROSE: its callsign"),
    SchemaKey::sometimes("src_addr", Text, "ROSE: address of the socket's own end"),
    SchemaKey::sometimes("src_call", Text, "ROSE: its callsign"),
    SchemaKey::sometimes("dev", Text, "ROSE: device"),
    SchemaKey::sometimes("lci", Number, "ROSE and X.25: number of the logical channel"),
    SchemaKey::sometimes("neigh", Number, "ROSE: number of the neighbour"),
    SchemaKey::sometimes("local", Object(IPX_END), "IPX: the socket's own end"),
    SchemaKey::sometimes("remote", Object(IPX_END), "IPX: the other end"),
    SchemaKey::sometimes("uid", Number, "IPX: user id of the socket"),
    SchemaKey::sometimes("vr", Number, "number of the frame that is expected next"),
    SchemaKey::sometimes("vs", Number, "number of the frame that is sent next"),
    SchemaKey::sometimes("send_q", Number, "bytes sent and not acknowledged yet"),
    SchemaKey::sometimes("recv_q", Number, "bytes received and not read yet"),
    SchemaKey::sometimes("inode", Number, "inode of the socket"),
];
const IPX_END: &[SchemaKey] = &[
    SchemaKey::new("network", Text, "network, hexadecimal"),
    SchemaKey::new("node", Text, "node"),
    SchemaKey::new("port", Number, "socket number"),
];

/// The schema of the view that the options ask for.
pub fn of(options: &Options) -> String {
    match options.view() {
        View::Routes => schema::of_lines(
            "routes",
            &[
                schema::of_keys("a route of IPv4", ROUTE, None),
                schema::of_keys("a route of IPv6", ROUTE6, None),
                schema::of_keys("a route of packet radio", OTHER_ROUTE, None),
            ],
        ),
        View::Interfaces => schema::of_lines("interfaces", &[schema::of_keys("an interface", INTERFACE, None)]),
        View::Statistics => {
            schema::of_lines("statistics", &[schema::of_keys("a group of counters", STATISTICS, Some(COUNTER))])
        }
        View::Masquerade | View::Tables => match (&options.selection.columns[..], &options.selection.count_by[..]) {
            ([], []) => sockets(options),
            ([], counted) => {
                let count = schema::of_columns("a count", counted, &[schema::COUNT]);
                schema::of_lines("counts of sockets", &[count])
            }
            (columns, _) => {
                schema::of_lines("columns of sockets", &[schema::of_columns("the chosen columns", columns, &[])])
            }
        },
    }
}

fn sockets(options: &Options) -> String {
    let tables = options.tables();
    let mut rows = Vec::new();
    if tables.protocols.any() {
        rows.push(schema::of_fields(RowKinds::INET, "an Internet socket"));
    }
    if tables.protocols.sctp {
        rows.push(schema::of_fields(RowKinds::SCTP, "an SCTP endpoint or association"));
    }
    if options.recent.is_some() {
        rows.push(schema::of_fields(RowKinds::CLOSED, "an Internet socket that closed, of --recent"));
    }
    if tables.unix != Want::No {
        rows.push(schema::of_fields(RowKinds::UNIX, "a UNIX domain socket"));
    }
    if tables.groups {
        rows.push(schema::of_keys("a multicast group", GROUP, None));
    }
    if [tables.ipx, tables.ax25, tables.x25, tables.netrom, tables.rose].iter().any(|want| *want != Want::No) {
        rows.push(schema::of_keys("a socket of packet radio, X.25 or IPX", PACKET_RADIO, None));
    }
    schema::of_lines("sockets", &rows)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_view_has_a_schema_that_is_json() {
        let of_line = |line: &str| {
            let argv: Vec<std::ffi::OsString> =
                std::iter::once("netstat-user").chain(line.split_whitespace()).map(Into::into).collect();
            match super::super::parse(&argv, false) {
                Ok(crate::cli::Invocation::Print(text)) => text,
                other => panic!("{line}: {other:?}"),
            }
        };
        for (line, words) in [
            ("--schema -t", &["\"recv_q\"", "\"owners\"", "\"cookie\""][..]),
            ("-ta --recent 5s --schema", &["\"reason\"", "\"duration_ns\"", "that closed"]),
            ("-x --schema", &["\"path\"", "\"refcnt\""]),
            ("-r --schema", &["\"genmask\"", "\"next_hop\""]),
            ("-i --schema", &["\"rx_ok\"", "\"collisions\""]),
            ("-s --schema", &["\"table\"", "additionalProperties"]),
            ("-g --schema", &["\"interface\""]),
            ("--ax25 --schema", &["\"proto\""]),
            ("--schema", &["\"path\"", "\"recv_q\"", "\"local_addrs\""]),
            ("-t --columns state,local,pid --schema", &["\"required\": [\"state\", \"pid\", \"local\"]", "\"port\""]),
            ("-t --schema --count-by state", &["\"required\": [\"count\", \"state\"]"]),
        ] {
            let schema = of_line(line);
            let value: serde_json::Value =
                serde_json::from_str(&schema).unwrap_or_else(|error| panic!("{line}: {error}\n{schema}"));
            assert!(value["anyOf"].as_array().is_some_and(|rows| !rows.is_empty()), "{line}");
            for word in words {
                assert!(schema.contains(word), "{line} lacks {word}: {schema}");
            }
        }
    }
}
