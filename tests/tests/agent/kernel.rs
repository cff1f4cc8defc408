//! The kernel's own lists of the calling thread's namespace, read here by other code than the program's, and by `ss`.

use netstat_tests::command::{self, End};
use netstat_tests::truth::runner;
use netstat_tests::truth::scale::patience;
use netstat_user::model::{LiveSocket, TcpState};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::sync::Once;

/// A socket as lists are compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub proto: String,
    pub local: (IpAddr, u16),
    pub remote: (IpAddr, u16),
    /// netstat's name; for what has no TCP states, `ESTABLISHED` if connected, else `CLOSE`.
    pub state: String,
    pub inode: u64,
    pub uid: u32,
}

impl Row {
    pub fn name(&self) -> String {
        let Self { proto, local, remote, state, inode, uid } = self;
        let [local, remote] = [local, remote].map(|(addr, port)| SocketAddr::new(*addr, *port));
        format!("{proto} {local} {remote} {state} inode={inode} uid={uid}")
    }

    /// From a row of the agent's live table.
    pub fn of_live(socket: &LiveSocket) -> Self {
        let any: IpAddr =
            if socket.proto.is_v6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let end =
            |end: Option<netstat_user::model::EventEnd>| end.map_or((any, 0), |end| (end.addr, end.port.unwrap_or(0)));
        Self {
            proto: socket.proto.name().to_owned(),
            local: end(socket.local),
            remote: end(socket.remote),
            state: socket.state.name().to_owned(),
            inode: socket.inode,
            uid: socket.uid.expect("a user"),
        }
    }

    /// From a line of `--json`.
    pub fn of_json(value: &Value) -> Self {
        let end = |name: &str| {
            let end = &value[name];
            (end["addr"].as_str().unwrap().parse().unwrap(), end["port"].as_u64().unwrap_or(0) as u16)
        };
        let remote: (IpAddr, u16) = end("remote");
        let connected = if remote.0.is_unspecified() { "CLOSE" } else { "ESTABLISHED" };
        Self {
            proto: value["proto"].as_str().unwrap().to_owned(),
            local: end("local"),
            remote,
            state: value["state"].as_str().filter(|state| !state.is_empty()).unwrap_or(connected).to_owned(),
            inode: value["inode"].as_u64().unwrap_or(0),
            uid: value["uid"].as_u64().unwrap() as u32,
        }
    }
}

/// `0100007F:1F90` as /proc writes it: words of the address in the machine's byte order.
fn end(text: &str) -> (IpAddr, u16) {
    let (addr, port) = text.split_once(':').unwrap();
    let words: Vec<u8> = (0..addr.len() / 8)
        .flat_map(|word| u32::from_str_radix(&addr[word * 8..word * 8 + 8], 16).unwrap().to_ne_bytes())
        .collect();
    let addr = match <[u8; 4]>::try_from(&words[..]) {
        Ok(v4) => IpAddr::from(v4),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(&words[..]).unwrap()),
    };
    (addr, u16::from_str_radix(port, 16).unwrap())
}

/// What /proc/net lists, sorted.
pub fn lists() -> Vec<Row> {
    let mut rows = Vec::new();
    for proto in ["tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6"] {
        let Ok(text) = fs::read_to_string(format!("/proc/thread-self/net/{proto}")) else { continue };
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let state = u8::from_str_radix(words[3], 16).unwrap();
            rows.push(Row {
                proto: proto.to_owned(),
                local: end(words[1]),
                remote: end(words[2]),
                state: TcpState::from_kernel(state).unwrap().name().to_owned(),
                inode: words[9].parse().unwrap(),
                uid: words[7].parse().unwrap(),
            });
        }
    }
    rows.sort();
    // A list that grows while it is read may show one twice.
    rows.dedup_by(|a, b| a == b && a.inode != 0);
    rows
}

/// How many sockets there are of a kind, in a state, with these ports.
pub type Tally = BTreeMap<(String, String, u16, u16), usize>;

/// The same of rows.
pub fn tally(rows: &[Row]) -> Tally {
    let mut tally = Tally::new();
    for row in rows {
        let kind = row.proto.trim_end_matches('6').to_owned();
        *tally.entry((kind, row.state.clone(), row.local.1, row.remote.1)).or_default() += 1;
    }
    tally
}

/// What `ss` lists, which asks the kernel by netlink; `None` where it is not installed.
pub fn witness() -> Option<Tally> {
    let mut command = Command::new("ss");
    let outcome = match command::run(command.args(["-H", "-O", "-t", "-u", "-w", "-a", "-n"]), None, patience()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            static NOTED: Once = Once::new();
            NOTED.call_once(|| runner::note("agent: skipped: what ss lists: ss is not installed".into()));
            return None;
        }
        outcome => outcome.unwrap(),
    };
    assert_eq!(outcome.end, End::Exit(0), "ss: {outcome:?}");
    let mut tally = Tally::new();
    for line in String::from_utf8(outcome.stdout).unwrap().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let port = |end: &str| end.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(0);
        let state = match words[1] {
            "ESTAB" => "ESTABLISHED",
            "SYN-SENT" => "SYN_SENT",
            "SYN-RECV" => "SYN_RECV",
            "FIN-WAIT-1" => "FIN_WAIT1",
            "FIN-WAIT-2" => "FIN_WAIT2",
            "TIME-WAIT" => "TIME_WAIT",
            "UNCONN" => "CLOSE",
            "CLOSE-WAIT" => "CLOSE_WAIT",
            "LAST-ACK" => "LAST_ACK",
            other => other,
        };
        let (kind, state) = (words[0].to_owned(), state.to_owned());
        *tally.entry((kind, state, port(words[4]), port(words[5]))).or_default() += 1;
    }
    Some(tally)
}
