//! What each target does with an input, one module a target: `cargo test` replays the committed corpus through them.

pub mod btf;
pub mod command_line;
pub mod filter;
pub mod groups;
pub mod inet;
pub mod interfaces;
pub mod kernel_records;
pub mod names;
pub mod packet_radio;
pub mod packet_routes;
pub mod query;
pub mod routes;
pub mod sock_diag;
pub mod statistics;
pub mod unix;

/// A target's name and what it does with an input.
pub type Body = (&'static str, fn(&[u8]));

/// Every target.
pub const ALL: &[Body] = &[
    ("btf", btf::run),
    ("command_line", command_line::run),
    ("filter", filter::run),
    ("groups", groups::run),
    ("inet", inet::run),
    ("interfaces", interfaces::run),
    ("kernel_records", kernel_records::run),
    ("names", names::run),
    ("packet_radio", packet_radio::run),
    ("packet_routes", packet_routes::run),
    ("query", query::run),
    ("routes", routes::run),
    ("sock_diag", sock_diag::run),
    ("statistics", statistics::run),
    ("unix", unix::run),
];
