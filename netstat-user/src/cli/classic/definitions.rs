//! Every classic option once: the parser, `--help` and the man page read these.

use crate::cli::{
    Colour,
    help::{self, Page, Section},
    pages, select,
};
use crate::field::{self, RowKinds};
use crate::filter::Spelling;
use crate::model::INFO_WORDS;
use clap::{Arg, ArgAction, Command};
use std::borrow::Cow;

/// Names of the options inside the program. Families are named as `-A` takes them.
pub mod id {
    #![allow(missing_docs, reason = "the names are the options")]
    pub const ROUTE: &str = "route";
    pub const INTERFACES: &str = "interfaces";
    pub const GROUPS: &str = "groups";
    pub const STATISTICS: &str = "statistics";
    pub const MASQUERADE: &str = "masquerade";
    pub const TCP: &str = "tcp";
    pub const SCTP: &str = "sctp";
    pub const UDP: &str = "udp";
    pub const UDPLITE: &str = "udplite";
    pub const RAW: &str = "raw";
    pub const L2CAP: &str = "l2cap";
    pub const RFCOMM: &str = "rfcomm";
    pub const ALL: &str = "all";
    pub const LISTENING: &str = "listening";
    pub const NUMERIC: &str = "numeric";
    pub const NUMERIC_HOSTS: &str = "numeric-hosts";
    pub const NUMERIC_PORTS: &str = "numeric-ports";
    pub const NUMERIC_USERS: &str = "numeric-users";
    pub const SYMBOLIC: &str = "symbolic";
    pub const EXTEND: &str = "extend";
    pub const PROGRAMS: &str = "programs";
    pub const TIMERS: &str = "timers";
    pub const WIDE: &str = "wide";
    pub const CONTEXT: &str = "context";
    pub const CONTINUOUS: &str = "continuous";
    pub const VERBOSE: &str = "verbose";
    pub const FIB: &str = "fib";
    pub const CACHE: &str = "cache";
    pub const DEBUG: &str = "debug";
    pub const PROTOCOL: &str = "protocol";
    pub const VERSION: &str = "version";
    pub const HELP: &str = "help";
    pub const SHORT_HELP: &str = "short-help";
    pub const MAN: &str = "man";
    pub const COMPLETIONS: &str = "completions";
    pub const QUESTION: &str = "question";
    pub const JSON: &str = "json";
    pub const SCHEMA: &str = "schema";
    pub const COLOR: &str = "color";
    pub const RECENT: &str = "recent";
    pub const AGENT: &str = "agent";
    pub const NO_AGENT: &str = "no-agent";
    pub const ALL_NETNS: &str = "all-netns";
    pub const INFO: &str = "info";
}

const VIEWS: &str = "Views (default: tables of sockets)";
const SOCKETS: &str = "Sockets";
const FAMILIES: &str = "Rare families";
const FILTERS: &str = "Which sockets (default: those with a peer)";
const COLUMNS: &str = "Columns";
const NAMES: &str = "Names";
const RUNNING: &str = "Running";
const BEYOND: &str = "Beyond netstat";

/// A flag whose long name is its id.
fn flag(id: &'static str, short: Option<char>, heading: &'static str, help: &'static str) -> Arg {
    let arg = Arg::new(id).long(id).action(ArgAction::SetTrue).help_heading(heading).help(help);
    match short {
        Some(short) => arg.short(short),
        None => arg,
    }
}

/// netstat's options. Where a prefix fits several families, the first in this order is meant, as in netstat.
pub fn netstats() -> Vec<Arg> {
    vec![
        flag(id::ROUTE, Some('r'), VIEWS, "The routing tables of the kernel"),
        flag(
            id::INTERFACES,
            Some('i'),
            VIEWS,
            "The network interfaces and their counters; those that are up, all with -a",
        ),
        flag(id::GROUPS, Some('g'), VIEWS, "Multicast group memberships; may stand among tables of sockets"),
        flag(id::STATISTICS, Some('s'), VIEWS, "The counters of each protocol; choose with -t -u -w -S and -6"),
        flag(id::MASQUERADE, Some('M'), VIEWS, "Masqueraded connections, which no current kernel lists"),
        flag(id::TCP, Some('t'), SOCKETS, "TCP sockets"),
        flag(id::SCTP, Some('S'), SOCKETS, "SCTP endpoints and associations"),
        flag(id::UDP, Some('u'), SOCKETS, "UDP sockets"),
        flag(id::UDPLITE, Some('U'), SOCKETS, "UDP-Lite sockets"),
        flag(id::RAW, Some('w'), SOCKETS, "Raw sockets; the port is the protocol number"),
        flag(id::L2CAP, Some('2'), FAMILIES, "Bluetooth L2CAP sockets (not supported)"),
        flag(id::RFCOMM, Some('f'), FAMILIES, "Bluetooth RFCOMM sockets (not supported)"),
        Arg::new(id::PROTOCOL)
            .short('A')
            .long(id::PROTOCOL)
            .action(ArgAction::Append)
            .value_name("FAMILY,…")
            .help_heading(FAMILIES)
            .help("Only these families, by the names of their options: inet, inet6, unix, and those below; may be given again"),
        flag("inet", Some('4'), SOCKETS, "IPv4").visible_aliases(["ip", "tcpip"]),
        flag("inet6", Some('6'), SOCKETS, "IPv6"),
        flag("unix", Some('x'), SOCKETS, "UNIX domain sockets"),
        flag("ax25", None, FAMILIES, "Amateur radio AX.25"),
        flag("netrom", None, FAMILIES, "Amateur radio NET/ROM"),
        flag("rose", None, FAMILIES, "Amateur radio ROSE"),
        flag("ipx", None, FAMILIES, "Novell IPX"),
        flag("x25", None, FAMILIES, "CCITT X.25"),
        flag("ddp", None, FAMILIES, "AppleTalk: has routes at most, no table of sockets").visible_alias("appletalk"),
        flag("bluetooth", None, FAMILIES, "Bluetooth (not supported)"),
        flag(id::ALL, Some('a'), FILTERS, "Every socket, or every interface with -i"),
        flag(id::LISTENING, Some('l'), FILTERS, "Only sockets that listen; -a overrules it"),
        flag(
            id::EXTEND,
            Some('e'),
            COLUMNS,
            "More columns: user and inode; with -r and -i other forms, -ee still others",
        )
        .action(ArgAction::Count),
        flag(id::PROGRAMS, Some('p'), COLUMNS, "The process that holds each socket: PID and program name"),
        flag(id::TIMERS, Some('o'), COLUMNS, "Timers: seconds to expiry, retransmissions, unanswered probes"),
        flag(id::WIDE, Some('W'), COLUMNS, "Addresses in full length, never cut"),
        flag(
            id::CONTEXT,
            Some('Z'),
            COLUMNS,
            "SELinux security contexts (not supported; ends as netstat does where SELinux is off)",
        ),
        flag(id::NUMERIC, Some('n'), NAMES, "Numbers instead of host, port and user names"),
        flag(id::NUMERIC_HOSTS, None, NAMES, "Numbers instead of host names"),
        flag(id::NUMERIC_PORTS, None, NAMES, "Numbers instead of port names"),
        flag(id::NUMERIC_USERS, None, NAMES, "Numbers instead of user names"),
        flag(id::SYMBOLIC, Some('N'), NAMES, "Hardware names, with -r"),
        flag(id::FIB, Some('F'), RUNNING, "With -r: the forwarding table, which is the default"),
        flag(id::CACHE, Some('C'), RUNNING, "With -r: the routing cache, which current kernels keep empty"),
        flag(id::CONTINUOUS, Some('c'), RUNNING, "Print again every second until interrupted"),
        flag(id::VERBOSE, Some('v'), RUNNING, "Say on standard error which tables the kernel does not have, and which rows had to be read in another way than the best"),
        Arg::new(id::DEBUG)
            .short('d')
            .action(ArgAction::SetTrue)
            .help_heading(RUNNING)
            .help("Accepted, without effect"),
        flag(id::VERSION, Some('V'), RUNNING, "The version"),
        Arg::new(id::SHORT_HELP)
            .short('h')
            .action(ArgAction::SetTrue)
            .help_heading(RUNNING)
            .help("The most used options and examples, on one screen"),
        flag(id::HELP, None, RUNNING, "This help"),
        Arg::new(id::QUESTION).short('?').action(ArgAction::SetTrue).hide(true),
    ]
}

/// Our own options, which are written in full.
pub fn ours() -> Vec<Arg> {
    let mut options = vec![
        flag(id::JSON, None, BEYOND, "One JSON object per line instead of the view, described below"),
        flag(id::SCHEMA, None, BEYOND, "The JSON Schema of the lines that --json prints of this view"),
        Arg::new(id::COLOR)
            .long(id::COLOR)
            .action(ArgAction::Set)
            .value_name("WHEN")
            .value_parser(clap::value_parser!(Colour))
            .help_heading(BEYOND)
            .help("Colour of states, failures and headings in columns that were chosen: auto (on terminals), always, never; netstat's own tables have none"),
        Arg::new(id::RECENT)
            .long(id::RECENT)
            .action(ArgAction::Set)
            .value_name("DURATION")
            .help_heading(BEYOND)
            .help(
                "Also the Internet sockets closed within this time (500ms, 1.5s, 5m, 2h, 1d; a bare number is seconds), after those of \
                 their protocol: in state CLOSE, with -p the process they belonged to, and in columns of their own why they \
                 ended, how long ago, and how long they lived; needs the agent",
            ),
        Arg::new(id::AGENT)
            .long(id::AGENT)
            .action(ArgAction::Set)
            .value_name("PATH")
            .help_heading(BEYOND)
            .help(
                "Ask the agent behind this socket; where it does not answer, say so and read the kernel. Without this \
                 option the agent on /run/netstat-user/agent.sock is asked if one is there. The table is the same",
            ),
        flag(id::NO_AGENT, None, BEYOND, "Read the kernel, whether an agent runs or not"),
        flag(
            id::INFO,
            None,
            BEYOND,
            "Below each TCP connection what the kernel knows of it (tcp_info), in ss's words, explained below; an object `info' with --json",
        ),
        flag(
            id::ALL_NETNS,
            None,
            BEYOND,
            "The sockets of every network namespace, and the namespace of each by its name in /run/netns, else by its \
             inode number",
        ),
        Arg::new(id::COMPLETIONS)
            .long(id::COMPLETIONS)
            .action(ArgAction::Set)
            .value_name("SHELL")
            .help_heading(BEYOND)
            .help("The script by which a shell completes this program's words: bash, zsh or fish"),
        flag(id::MAN, None, BEYOND, "This help as a manual page, in roff: netstat-user --man | man -l -"),
    ];
    // Behind `--proto' stands a family, too: netstat's own abbreviation of `--protocol'.
    let with_families = |arg: Arg| match arg.get_id() == Spelling::Proto.option() {
        true => arg.help(format!("{}; or as --protocol", select::PROTO)),
        false => arg,
    };
    options.extend(select::options().into_iter().map(with_families));
    options
}

const SYNOPSIS: [&str; 8] = [
    "netstat-user [OPTIONS] [SOCKETS]  tables of sockets",
    "netstat-user [OPTIONS] -r         routes",
    "netstat-user [OPTIONS] -i         interfaces",
    "netstat-user [OPTIONS] -s         statistics",
    "netstat-user events [OPTIONS]     what happens to sockets, as it happens",
    "netstat-user agent [OPTIONS]      keep the table of all sockets; serve it",
    "netstat-user kill --where EXPR    close the sockets that EXPR selects",
    "netstat-user doctor [OPTIONS]     what can be traced here",
];

/// What `--json` prints: the view, and the fields of its rows.
const JSON_ROWS: [(&str, &str); 14] = [
    ("SCTP", "as Internet sockets with local_addrs[] and remote_addrs[], without timer, netns and cookie"),
    ("AX.25", "proto dest source digipeaters[] device state vr vs send_q recv_q inode"),
    ("NET/ROM", "proto user dest source device state vr vs send_q recv_q inode"),
    ("ROSE", "proto dest_addr dest_call src_addr src_call dev lci neigh state vr vs send_q recv_q inode"),
    ("X.25", "proto dest source device lci state vr vs send_q recv_q inode"),
    ("IPX", "proto recv_q send_q local{network,node,port} remote{network,node,port} state uid user"),
    ("-g", "family interface refcnt group"),
    ("-r", "family destination gateway genmask flags metric ref use iface mss window irtt"),
    ("-r --inet6", "family destination next_hop flag met ref use if"),
    ("-r --ax25, --x25", "family destination iface, and digits of X.25"),
    ("-r --netrom", "family destination mnemonic quality neighbour iface"),
    ("-r --rose", "family destination mask neighbours[{number,callsign,iface}]"),
    (
        "-i",
        "iface mtu rx_ok rx_err rx_drp rx_ovr tx_ok tx_err tx_drp tx_ovr flg flags inet netmask broadcast destination \
         inet6[] hardware address txqueuelen rx_bytes rx_frame rx_multicast tx_bytes tx_carrier collisions",
    ),
    ("-s", "table, then the kernel's counters, their names in snake_case"),
];

/// The same with the rows whose fields stand in the table of fields.
fn json_rows() -> Vec<(&'static str, Cow<'static, str>)> {
    let (inet, unix) = (field::outline(RowKinds::INET), field::outline(RowKinds::UNIX));
    let mut rows = vec![("Internet sockets", inet.into()), ("UNIX sockets", unix.into())];
    rows.extend(JSON_ROWS.map(|(view, fields)| (view, Cow::Borrowed(fields))));
    rows
}

const JSON_NOTE: &str = "One object per line. Values are never cut, formatted or translated; what is not known is null. \
    Every process that holds a socket is one of its owners, with or without -p; root sees those of all users. An owner's \
    program is from its command line; its comm is the name that the kernel keeps, as in events. user is a name also with \
    -n; the number is uid. What is not UTF-8 in a path or a program's name becomes U+FFFD.";

/// The whole command, for help, manual and completions.
pub fn command() -> Command {
    Command::new("netstat-user")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Which sockets exist, who owns them, and what happened to them")
        .long_about(
            "Which sockets exist, who owns them, and what happened to them. Without a verb, the options are those of \
             net-tools' netstat, and so is every byte of the output. Letters combine (-tapen), options may stand \
             anywhere, netstat's long options may be shortened, and other words are ignored. Without any option it lists the \
             sockets of every family that have a peer, and of UNIX sockets all that do not listen.",
        )
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(in_order())
}

/// Every option in the order of the pages: what is used every day first, rare families last.
fn in_order() -> Vec<Arg> {
    const ORDER: [&str; 9] = [FILTERS, SOCKETS, COLUMNS, NAMES, select::HEADING, BEYOND, VIEWS, RUNNING, FAMILIES];
    let mut all = netstats();
    all.extend(ours());
    all.sort_by_key(|arg| ORDER.iter().position(|heading| arg.get_help_heading() == Some(heading)));
    all
}

/// The pages of help.
pub fn page() -> Page {
    let rows = json_rows().into_iter().map(|(view, fields)| (view.to_owned(), fields.into_owned())).collect();
    let mut sections = vec![Section { title: "JSON ROWS", text: JSON_NOTE.to_owned(), entries: rows }];
    sections.push(Section { title: "THE LINE OF --info", text: INFO_WORDS.to_owned(), entries: Vec::new() });
    sections.extend(help::closing_sections());
    Page { command: command(), synopsis: SYNOPSIS.to_vec(), short: help::short_of(""), sections }
}

/// What a wrong command line gets.
pub fn usage() -> String {
    format!("usage: {}\n`netstat-user --help' describes every option\n", SYNOPSIS.join("\n       "))
}

/// The manual page of the program, with the options of every verb.
pub fn man_page() -> String {
    let verbs = pages().into_iter().map(|(name, page)| help::verb_sections(name, &page));
    page().man_with(&verbs.collect::<String>())
}
