//! `--json` of every view: JSON Lines with the fields that are promised, as many rows as netstat prints, all owners.

use netstat_tests::case::Case;
use netstat_tests::programs;
use netstat_tests::scenes::{Scene, Theatre};
use netstat_tests::schema;
use serde_json::Value as Row;
use std::collections::HashSet;

/// What a view's rows must look like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    case: Case,
    /// The same without `--json`, for netstat; empty where nothing is to be counted by it.
    table: &'static str,
    /// Whether a line of netstat's table is a row.
    is_row: fn(&str) -> bool,
    /// The fields of every row, all of them and no others; empty: whatever the view has.
    fields: &'static [&'static str],
    /// More that must hold of the rows.
    holds: fn(&[Row]) -> bool,
}

const INTERNET: &[&str] = &[
    "proto", "recv_q", "send_q", "local", "remote", "state", "uid", "user", "inode", "owners", "timer", "netns",
    "cookie",
];
const UNIX: &[&str] = &["proto", "refcnt", "flags", "type", "state", "inode", "owners", "path"];

fn socket(line: &str) -> bool {
    ["tcp", "sctp", "udp", "raw", "unix "].iter().any(|proto| line.starts_with(proto))
}

fn radio(line: &str) -> bool {
    !["Active", "Dest", "User"].iter().any(|word| line.starts_with(word))
}

fn no_heading(line: &str) -> bool {
    !["Kernel", "Destination", "Iface", "IPv6/IPv4", "Interface", "-----"].iter().any(|word| line.starts_with(word))
}

const fn shape(
    scene: Scene,
    args: &'static str,
    table: &'static str,
    is_row: fn(&str) -> bool,
    fields: &'static [&'static str],
    holds: fn(&[Row]) -> bool,
) -> Shape {
    Shape { case: Case::new(scene, args), table, is_row, fields, holds }
}

fn any(rows: &[Row], test: impl Fn(&Row) -> bool) -> bool {
    rows.iter().any(test)
}

fn no_inode(row: &Row) -> bool {
    row["inode"].is_null() || row["inode"] == 0
}

/// Nobody holds it. An agent, where one answers, names whom events recorded as its owner, and how that is known.
fn nobodys(row: &Row) -> bool {
    row["owners"].as_array().is_some_and(|owners| owners.iter().all(|owner| owner["owner"].is_string()))
}

const TABLE: &[Shape] = &[
    shape(Scene::Sockets, "-tan --json", "-tan", socket, INTERNET, |rows| {
        any(rows, |row| {
            row["local"]["addr"] == "2001:db8:1234:5678:9abc:def0:1234:5678" && row["local"]["port"] == 65432
        }) && any(rows, |row| row["remote"]["addr"] == "::ffff:127.0.0.1" && row["proto"] == "tcp6")
            && any(rows, |row| row["state"] == "CLOSING" && no_inode(row) && nobodys(row))
    }),
    shape(Scene::Sockets, "-tapeno --json", "-tapeno", socket, INTERNET, |rows| {
        // One listener of three processes: netstat names one of them.
        let shared = rows.iter().find(|row| row["local"]["port"] == 7999);
        shared.is_some_and(|row| row["owners"].as_array().is_some_and(|owners| owners.len() == 3))
            && any(rows, |row| row["timer"]["name"] == "probe" && row["timer"]["seconds"].is_number())
    }),
    shape(Scene::Sockets, "-uan --json", "-uan", socket, INTERNET, |rows| any(rows, |row| row["recv_q"] == 3328)),
    shape(Scene::Sockets, "-wan --json", "-wan", socket, INTERNET, |rows| any(rows, |row| row["proto"] == "raw6")),
    shape(Scene::Sockets, "-tle --json", "-tle", socket, INTERNET, |rows| {
        any(rows, |row| row["user"] == "annabella-longname" && row["uid"] == 1001)
    }),
    shape(Scene::BigUid, "-tln --json", "-tln", socket, INTERNET, |rows| {
        any(rows, |row| row["uid"] == 3_000_000_000_u32)
    }),
    shape(Scene::Sockets, "-xa --json", "-xa", socket, UNIX, |rows| {
        any(rows, |row| row["type"] == "SEQPACKET" && row["state"] == "LISTENING")
            && any(rows, |row| row["state"] == "CONNECTING" && no_inode(row))
    }),
    shape(Scene::Blanks, "-xl --json", "-xl", socket, UNIX, |rows| {
        any(rows, |row| row["path"].as_str().is_some_and(|path| path.ends_with("/a  b   c.sock")))
    }),
    shape(Scene::Sockets, "-an --json", "-an", socket, &[], |rows| any(rows, |row| row["proto"] == "unix")),
    shape(Scene::Network, "-rn --json", "-rn", no_heading, &[], |rows| {
        any(rows, |row| row["destination"] == "100.64.0.0" && row["metric"] == 100 && row["iface"] == "eth1")
    }),
    shape(Scene::Network, "-rn -6 --json", "-rn -6", no_heading, &[], |rows| {
        any(rows, |row| row["destination"] == "2001:db8:1::/48" && row["met"] == 77 && row["if"] == "eth1")
    }),
    shape(Scene::Network, "-ia --json", "-ia", no_heading, &[], |rows| {
        any(rows, |row| row["iface"] == "eth10" && row["mtu"] == 9000)
    }),
    shape(Scene::Network, "-gn --json", "-gn", no_heading, &[], |rows| {
        any(rows, |row| row["group"] == "239.1.2.3" && row["refcnt"] == 2)
    }),
    shape(Scene::Tree("tables"), "-an --json", "-an", socket, &[], |rows| any(rows, |row| row["send_q"] == u32::MAX)),
    shape(
        Scene::Tree("counters"),
        "-s --json",
        "-s",
        |line| line.ends_with(':') && !line.starts_with(' '),
        &[],
        |rows| any(rows, |row| row["table"] == "Tcp"),
    ),
    shape(Scene::Tree("families"), "-A ax25,netrom,x25 -a --json", "-A ax25,netrom,x25 -a", radio, &[], |rows| {
        any(rows, |row| row["proto"] == "ax25" && row["vs"].is_number())
    }),
    shape(
        Scene::Tree("families"),
        "-r -A ax25,netrom,rose,x25 --json",
        "-r -A ax25,netrom,rose,x25",
        no_heading,
        &[],
        |rows| {
            any(rows, |row| row["family"] == "netrom" && row["neighbour"] == "NEIGH-1")
                && any(rows, |row| row["family"] == "rose" && row["neighbours"][2]["callsign"].is_null())
        },
    ),
    shape(Scene::Tree("odd"), "-Sa --json", "-Sa", socket, &[], |rows| {
        any(rows, |row| row["remote_addrs"][1] == "::1" && row["send_q"] == i32::MAX)
    }),
    // Nothing in a name or a table may tear a line, as it does in netstat's: there is nothing to count by.
    shape(Scene::Tree("hostile"), "-anp --json", "", |_| false, &[], |rows| !rows.is_empty()),
];

/// Every view.
pub fn all() -> Vec<Shape> {
    TABLE.to_vec()
}

impl Shape {
    /// Where it is judged.
    pub fn scene(&self) -> Scene {
        self.case.scene
    }

    /// A name that says what it is of.
    pub fn name(&self) -> String {
        format!("json: {}", self.case.name())
    }

    /// Runs both and looks.
    ///
    /// # Errors
    /// What is wrong with the rows.
    pub fn judge(&self, theatre: &Theatre) -> Result<(), String> {
        let outcome = self.case.run(theatre, programs::netstat_user(), None)?;
        let text = str::from_utf8(&outcome.stdout).map_err(|error| format!("not UTF-8: {error}"))?;
        let mut rows = Vec::new();
        for line in text.lines() {
            let row: Row = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
            let object = row.as_object().ok_or_else(|| format!("not an object: {line}"))?;
            let missing: Vec<_> = self.fields.iter().filter(|field| !object.contains_key(**field)).collect();
            let extra: Vec<_> = object.keys().filter(|key| !self.fields.contains(&key.as_str())).collect();
            if !missing.is_empty() || (!self.fields.is_empty() && !extra.is_empty()) {
                return Err(format!("without {missing:?}, and with {extra:?}: {line}"));
            }
            rows.push(row);
        }
        // The counters of -s are the kernel's words, not ours.
        if !self.case.args.starts_with("-s") {
            let help = Case::new(self.case.scene, "--help").run(theatre, programs::netstat_user(), None)?;
            let help = String::from_utf8_lossy(&help.stdout).into_owned();
            let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let known: HashSet<&str> = help.split(|c| !is_letter(c)).collect();
            let keys: HashSet<&String> = rows.iter().filter_map(Row::as_object).flat_map(|row| row.keys()).collect();
            if let Some(key) = keys.iter().find(|key| !known.contains(key.as_str())) {
                return Err(format!("--help does not know the field {key}"));
            }
        }
        let schema = Case { args: format!("{} --schema", self.case.args).leak(), ..self.case };
        let schema = schema.run(theatre, programs::netstat_user(), None)?;
        let schema = serde_json::from_slice(&schema.stdout).map_err(|error| format!("the schema: {error}"))?;
        for row in &rows {
            let problems = schema::problems(&schema, row);
            if !problems.is_empty() {
                return Err(format!("not as --schema says: {problems:?}: {row}"));
            }
        }
        if !(self.holds)(&rows) {
            return Err(format!("what must hold of the rows does not:\n{outcome:?}"));
        }
        if self.table.is_empty() {
            return Ok(());
        }
        let net_tools = programs::net_tools().ok_or("net-tools is not installed")?;
        let table = Case { args: self.table, ..self.case }.run(theatre, net_tools, None)?;
        let expected = String::from_utf8_lossy(&table.stdout).lines().filter(|line| (self.is_row)(line)).count();
        if expected != rows.len() {
            return Err(format!("{} rows, and netstat prints {expected}\n{outcome:?}", rows.len()));
        }
        Ok(())
    }
}
