//! `--where E` leaves what filtering the JSON of the whole table by hand leaves.

use crate::Zoo;
use netstat_tests::truth::runner::{Done, Test};
use serde_json::Value;

pub const TESTS: &[Test] = &[
    ("select: comparisons of fields, by hand", by_hand),
    ("select: unix sockets, by hand", unix_by_hand),
    ("select: short spellings are their expressions", short_spellings),
];

type Hand = fn(&Value) -> bool;

fn port(row: &Value, end: &str) -> u64 {
    row[end]["port"].as_u64().unwrap()
}

fn addr<'a>(row: &'a Value, end: &str) -> &'a str {
    row[end]["addr"].as_str().unwrap()
}

fn pids(row: &Value) -> Vec<u64> {
    row["owners"].as_array().unwrap().iter().map(|owner| owner["pid"].as_u64().unwrap()).collect()
}

const INTERNET: &[(&str, Hand)] = &[
    ("proto = tcp", |row| row["proto"] == "tcp"),
    ("proto = tcp6 or proto = udp6", |row| row["proto"] == "tcp6" || row["proto"] == "udp6"),
    ("proto = *6", |row| row["proto"].as_str().unwrap().ends_with('6')),
    ("proto != udp", |row| row["proto"] != "udp"),
    ("state = LISTEN", |row| row["state"] == "LISTEN"),
    ("state = listen or state = close-wait", |row| row["state"] == "LISTEN" || row["state"] == "CLOSE_WAIT"),
    ("state = null", |row| row["state"].is_null()),
    ("state != LISTEN", |row| !row["state"].is_null() && row["state"] != "LISTEN"),
    ("not state = LISTEN", |row| row["state"] != "LISTEN"),
    ("state ~ WAIT", |row| row["state"].as_str().is_some_and(|state| state.contains("WAIT"))),
    ("state !~ 'WAIT|LISTEN'", |row| {
        row["state"].as_str().is_some_and(|state| !state.contains("WAIT") && state != "LISTEN")
    }),
    ("state = FIN_WAIT?", |row| row["state"].as_str().is_some_and(|state| state.starts_with("FIN_WAIT"))),
    ("local.port = 80", |row| port(row, "local") == 80),
    ("local.port=80 or remote.port=80", |row| port(row, "local") == 80 || port(row, "remote") == 80),
    ("local.port = ssh", |row| port(row, "local") == 22),
    ("local.port >= 1024 and local.port < 9999", |row| (1024..9999).contains(&port(row, "local"))),
    ("remote.port > 1024", |row| port(row, "remote") > 1024),
    ("local.addr = 127.0.0.1", |row| addr(row, "local") == "127.0.0.1"),
    ("local.addr != 127.0.0.1", |row| addr(row, "local") != "127.0.0.1"),
    ("local.addr = 127.0.0.0/30", |row| ["127.0.0.1", "127.0.0.2", "127.0.0.3"].contains(&addr(row, "local"))),
    ("local.addr = ::/0", |row| addr(row, "local").contains(':')),
    ("remote.addr = 127.*", |row| addr(row, "remote").starts_with("127.")),
    ("remote.addr = ::ffff:*", |row| addr(row, "remote").starts_with("::ffff:")),
    ("remote.addr ~ '^::1$'", |row| addr(row, "remote") == "::1"),
    ("recv_q > 0", |row| row["recv_q"].as_u64().unwrap() > 0),
    ("recv_q > 4K", |row| row["recv_q"].as_u64().unwrap() > 4096),
    ("recv_q <= 4K and send_q = 0", |row| row["recv_q"].as_u64().unwrap() <= 4096 && row["send_q"] == 0),
    ("uid = 0", |row| row["uid"] == 0),
    ("uid = root and user = root", |row| row["uid"] == 0 && row["user"] == "root"),
    ("user ~ ^r", |row| row["user"].as_str().is_some_and(|user| user.starts_with('r'))),
    ("inode = 0", |row| row["inode"] == 0),
    ("inode != 0 and owners.pid = null", |row| row["inode"] != 0 && pids(row).is_empty()),
    ("owners.pid = null", |row| pids(row).is_empty()),
    ("owners.pid != null", |row| !pids(row).is_empty()),
    ("owners.pid > 1", |row| pids(row).iter().any(|&pid| pid > 1)),
    ("owners.program ~ ^select", |row| {
        row["owners"].as_array().unwrap().iter().any(|owner| owner["program"].as_str().unwrap().starts_with("select"))
    }),
    ("owners.comm = select*", |row| {
        row["owners"].as_array().unwrap().iter().any(|owner| owner["comm"].as_str().unwrap().starts_with("select"))
    }),
    ("not owners.comm = select*", |row| {
        !row["owners"].as_array().unwrap().iter().any(|owner| owner["comm"].as_str().unwrap().starts_with("select"))
    }),
    ("timer.name = timewait", |row| row["timer"]["name"] == "timewait"),
    ("timer.name != off", |row| row["timer"]["name"] != "off"),
    ("timer.seconds > 1ms", |row| row["timer"]["seconds"].as_f64().unwrap() > 0.001),
    ("timer.retransmits = 0", |row| row["timer"]["retransmits"] == 0),
    ("cookie != null", |row| !row["cookie"].is_null()),
    ("netns = self", |row| !row["netns"].is_null()),
    ("state = ESTABLISHED and (local.port = 80 or remote.port = 22) and not remote.addr = 127.0.0.3", |row| {
        row["state"] == "ESTABLISHED"
            && (port(row, "local") == 80 || port(row, "remote") == 22)
            && addr(row, "remote") != "127.0.0.3"
    }),
    ("state listening or local.port = 53 and proto = udp", |row| {
        row["state"] == "LISTEN" || port(row, "local") == 53 && row["proto"] == "udp"
    }),
];

/// What tells a row from the others: timers go on.
fn name(row: &Value) -> String {
    format!("{} {} {} {}", row["proto"], row["local"], row["remote"], row["inode"])
}

fn compare(args: &[&str], table: &[(&str, Hand)], name: fn(&Value) -> String) {
    let zoo = Zoo::get();
    let mut decided = 0;
    for (expression, hand) in table {
        let by_hand = || zoo.json(args).iter().filter(|row| hand(row)).map(name).collect::<Vec<_>>();
        let mut expected = by_hand();
        // A timer may fire in between.
        let agrees = (0..5).any(|_| {
            let got: Vec<String> = zoo.json(&[args, &["--where", expression]].concat()).iter().map(name).collect();
            let agrees = got == expected;
            assert!(agrees || expected != by_hand(), "{expression}:\n by hand {expected:#?}\n we {got:#?}");
            expected = by_hand();
            agrees
        });
        assert!(agrees, "the table does not stay: {expression}");
        decided += usize::from(!expected.is_empty());
    }
    assert!(decided * 4 > table.len() * 3, "most expressions select some rows: {decided} of {}", table.len());
}

fn by_hand() -> Done {
    compare(&["-tuap"], INTERNET, name);
    Done::Passed
}

const UNIX: &[(&str, Hand)] = &[
    ("state = LISTENING", |row| row["state"] == "LISTENING"),
    ("state listening", |row| row["state"] == "LISTENING"),
    ("flags = ACC and type = stream", |row| row["flags"].to_string().contains("ACC") && row["type"] == "STREAM"),
    ("path = *select*", |row| row["path"].as_str().is_some_and(|path| path.contains("select"))),
    ("src /*SELECT*", |row| row["path"].as_str().is_some_and(|path| path.contains("select"))),
    ("path != null", |row| !row["path"].is_null()),
    ("refcnt >= 2 and proto = unix", |row| row["refcnt"].as_u64().unwrap() >= 2),
];

fn unix_by_hand() -> Done {
    compare(&["-xa"], UNIX, |row| format!("{} {}", row["inode"], row["path"]));
    Done::Passed
}

fn short_spellings() -> Done {
    let zoo = Zoo::get();
    let me = std::process::id().to_string();
    let inode = zoo.netns.inode().unwrap().to_string();
    for (short, long) in [
        (&["--port", "80,22"][..], "sport = :80 or dport = :80 or sport = :22 or dport = :22"),
        (&["--lport", "80", "--lport", "ssh"], "sport = :80 or sport = :22"),
        (&["--rport", "8443"], "dport = :8443"),
        (&["--state", "LISTEN,time-wait"], "state listening state time-wait"),
        (&["--pid", &me], &format!("owners.pid = {me}")),
        (&["--comm", "select*"], "owners.comm = select*"),
        (&["--lport", "22-80"], "sport >= :22 and sport <= :80"),
        (&["--netns", &inode], "netns = self"),
        (&["--netns", "self"], &format!("netns = {inode}")),
        (&["--proto", "tcp"], "proto = tcp or proto = tcp6"),
        (&["--proto", "tcp4,udp6"], "proto = tcp or proto = udp6"),
        (&["--port", "80", "--state", "established"], "(sport = :80 or dport = :80) and state established"),
        (
            &["--lport", "80", "--where", "state listening or dport = :1"],
            "sport = :80 and (state listening or dport = :1)",
        ),
    ] {
        let names = |rows: Vec<Value>| rows.iter().map(name).collect::<Vec<_>>();
        let short_rows = names(zoo.json(&[&["-tua"][..], short].concat()));
        assert_eq!(short_rows, names(zoo.json(&["-tua", "--where", long])), "{short:?}");
        assert!(!short_rows.is_empty(), "{short:?}");
    }
    Done::Passed
}
