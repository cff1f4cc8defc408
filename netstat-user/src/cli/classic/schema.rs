//! `--schema`: the JSON Schema of what `--json` prints with the same options.

use super::{Options, View, Want};
use crate::field::{RowKinds, schema};

/// Keys of a view's rows, each with a word for the type of its values; a question mark: not every row has it.
type Keys = &'static [(&'static str, &'static str)];

const ROUTE: Keys = &[
    ("family", "text"),
    ("destination", "text"),
    ("gateway", "text"),
    ("genmask", "text"),
    ("flags", "text"),
    ("metric", "number"),
    ("ref", "number"),
    ("use", "number"),
    ("iface", "text"),
    ("mss", "number"),
    ("window", "number"),
    ("irtt", "number"),
];
const ROUTE6: Keys = &[
    ("family", "text"),
    ("destination", "text"),
    ("next_hop", "text"),
    ("flag", "text"),
    ("met", "number"),
    ("ref", "number"),
    ("use", "number"),
    ("if", "text"),
];
const OTHER_ROUTES: Keys = &[("family", "text"), ("destination", "any")];
const INTERFACE: Keys = &[
    ("iface", "text"),
    ("mtu", "number"),
    ("rx_ok", "any"),
    ("rx_err", "any"),
    ("rx_drp", "any"),
    ("rx_ovr", "any"),
    ("tx_ok", "any"),
    ("tx_err", "any"),
    ("tx_drp", "any"),
    ("tx_ovr", "any"),
    ("flg", "text"),
];
const GROUP: Keys = &[("family", "text"), ("interface", "text"), ("refcnt", "number"), ("group", "text")];
const STATISTICS: Keys = &[("table", "text")];
const PACKET_RADIO: Keys = &[("proto", "text"), ("state", "any")];

/// The schema of the view that the options ask for.
pub fn of(options: &Options) -> String {
    match options.view() {
        View::Routes => schema::of_keys("routes", &[ROUTE, ROUTE6, OTHER_ROUTES]),
        View::Interfaces => schema::of_keys("interfaces", &[INTERFACE]),
        View::Statistics => schema::of_keys("statistics", &[STATISTICS]),
        View::Masquerade | View::Tables => match (&options.selection.columns[..], &options.selection.count_by[..]) {
            ([], []) => sockets(options),
            ([], counted) => schema::of_columns("counts of sockets", counted, true),
            (columns, _) => schema::of_columns("columns of sockets", columns, false),
        },
    }
}

fn sockets(options: &Options) -> String {
    let tables = options.tables();
    let mut kinds = Vec::new();
    if tables.protocols.any() {
        kinds.push((RowKinds::INET, "an Internet socket"));
    }
    if tables.protocols.sctp {
        kinds.push((RowKinds::SCTP, "an SCTP endpoint or association"));
    }
    if options.recent.is_some() {
        kinds.push((RowKinds::CLOSED, "an Internet socket that closed, of --recent"));
    }
    if tables.unix != Want::No {
        kinds.push((RowKinds::UNIX, "a UNIX domain socket"));
    }
    if tables.groups {
        return schema::of_keys("groups", &[GROUP]);
    }
    if kinds.is_empty() {
        return schema::of_keys("packet radio", &[PACKET_RADIO]);
    }
    schema::of_rows("sockets", &kinds)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_view_has_a_schema_that_is_json() {
        let of_line = |line: &str| {
            let argv: Vec<std::ffi::OsString> =
                std::iter::once("netstat-user").chain(line.split_whitespace()).map(Into::into).collect();
            match super::super::parse(&argv) {
                Ok(crate::cli::Request::Print(text)) => text,
                other => panic!("{line}: {other:?}"),
            }
        };
        for (line, words) in [
            ("--schema -t", &["\"recv_q\"", "\"owners\"", "\"cookie\""][..]),
            ("-ta --recent 5s --schema", &["\"reason\"", "\"duration_ns\"", "that closed"]),
            ("-x --schema", &["\"path\"", "\"refcnt\""]),
            ("-r --schema", &["\"genmask\"", "\"next_hop\""]),
            ("-i --schema", &["\"rx_ok\""]),
            ("-s --schema", &["\"table\""]),
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
