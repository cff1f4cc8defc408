//! The same rows as `ss -Htuan EXPR`.

use crate::Zoo;
use netstat_tests::truth::runner::{Done, Test};
use std::process::Command;

pub const TESTS: &[Test] = &[("select: the rows of ss with the same filter", same_rows)];

/// ss's own spelling, split into words at blanks.
const EXPRESSIONS: &[&str] = &[
    "state all",
    "state established",
    "state syn-sent",
    "state syn-recv",
    "state fin-wait-1",
    "state fin-wait-2",
    "state time-wait",
    "state closed",
    "state close",
    "state unconnected",
    "state close-wait",
    "state last-ack",
    "state listening",
    "state closing",
    "state connected",
    "state synchronized",
    "state bucket",
    "state big",
    "exclude listening",
    "exclude established exclude time-wait",
    "state established state listening",
    "state connected exclude time-wait",
    "state all exclude bucket exclude closed",
    "state syn-recv exclude listening",
    "state syn-recv state listening exclude listening",
    "state all exclude listening exclude established",
    "exclude all state established",
    "exclude established state established",
    "exclude listening state listening",
    "state connected exclude synchronized",
    "state estab",
    "state syn-rcv",
    "excl listening",
    "exclude big",
    "autobound",
    "not autobound",
    "state listening autobound",
    "state established ! autobound",
    "not not autobound",
    "not ( not autobound )",
    "! ( ! ( ! autobound ) )",
    "autobound autobound",
    "autobound and not autobound",
    "autobound or not autobound",
    "( not autobound ) or autobound",
    "autobound or sport = :80",
    "sport = :80 or autobound",
    "not autobound or sport = :80",
    "not autobound and not dport = :80",
    "autobound and sport > :1024",
    "not ( autobound or sport = :22 )",
    "not ( autobound and sport = :80 )",
    "not ( autobound and dport = :80 )",
    "not ( not autobound and sport = :80 )",
    "not ( ( autobound or sport = :80 ) and ( not autobound or dport = :8443 ) )",
    "( autobound and dport = :80 ) or ( not autobound and sport = :80 )",
    "not ( ( autobound and dport = :80 ) or ( not autobound and sport = :80 ) )",
    "( autobound or sport = :22 ) and not ( autobound and dport = :22 )",
    "autobound ( src 127.0.0.1 or src [::1] )",
    "! autobound ( src 127.0.0.1 or src [::1] )",
    "state time-wait autobound",
    "state time-wait not autobound",
    "state time-wait not ( autobound and dport = :80 )",
    "exclude listening not ( autobound or dport = :80 )",
    "exclude listening not ( not autobound or dport = :80 )",
    "state bucket not autobound",
    "state established sport = :80",
    "state time-wait dport = :80",
    "state established ( dport = :80 or sport = :80 )",
    "src 127.0.0.1",
    "src = 127.0.0.1",
    "dst 127.0.0.1",
    "src 127.0.0.0/8",
    "src 127.0.0.0/30",
    "src 127/8",
    "src 127.1/16",
    "src 127.0/16",
    "src 127.1",
    "src 127.0.0",
    "dst 127.1.2",
    "dst 127.1:80",
    "src 127.0.0.0/255.0.0.0",
    "src 127.0.0.0/255.255.255.252:80",
    "dst 127.0.0.0/255.255.255.255",
    "src 0/0",
    "src 0.0.0.0/0",
    "src ::/0",
    "src [::/0]",
    "src any",
    "src all",
    "dst default",
    "src any:80",
    "src == 127.0.0.1",
    "src eq 127.0.0.1",
    "dst inet:127.0.0.1",
    "dst inet:*",
    "dst inet:*:80",
    "src inet:127.0.0.1:80",
    "dst inet6:[::1]",
    "dst inet6:[::1]:443",
    "src inet6:*",
    "src inet6::8443",
    "src [127.0.0.1]:80",
    "src [127.0.0.0/8]:80",
    "src ::1:443",
    "dst ::1:8443",
    "src ::ffff:0:0/96",
    "src [::ffff:127.0.0.0/104]",
    "src localhost",
    "src localhost:80",
    "dst [::1]:https",
    "dst 127.0.0.0/8:http",
    "dst 127.0.0.2:80",
    "dst 127.0.0.2:*",
    "src 127.0.0.1:22",
    "src 127.0.0.0/8:80",
    "src *:80",
    "src :80",
    "dst *:8443",
    "dst *",
    "src [::1]",
    "src [::1]:8443",
    "dst [::1]:*",
    "src [::ffff:127.0.0.1]",
    "src [::ffff:127.0.0.1]:8443",
    "src [::1/128]:443",
    "src 0.0.0.0",
    "dst 0.0.0.0",
    "sport = :80",
    "sport :80",
    "sport 80",
    "sport == :80",
    "sport eq :80",
    "sport = 80",
    "sport = :22",
    "sport = :0x50",
    "sport = 0x50",
    "sport = http",
    "sport https",
    "sport inet:80",
    "sport = inet::80",
    "sport = inet6:443",
    "sport = inet6::22",
    "sport = inet6::8443",
    "sport != inet6::8443",
    "sport != inet::80",
    "sport > inet6::1",
    "sport >= inet6:1024",
    "sport < inet::1024",
    "dport <= inet6::443",
    "dport = inet::443",
    "dport inet6:443",
    "sport = inet6:*",
    "sport gt inet::1000 and dport lt :100",
    "sport = *",
    "sport = :*",
    "sport = :",
    "sport = :0",
    "sport > :0",
    "sport < :0",
    "sport >= :65535",
    "sport <= :65535",
    "sport > 1000",
    "sport gt 1000",
    "sport gt :http",
    "dport neq 1",
    "dport lt 1024 dport ne 0",
    "dport = :443",
    "dport = 443",
    "sport != :80",
    "sport ne :80",
    "sport neq :80",
    "dport != :8443",
    "sport > :1024",
    "sport gt :1024",
    "sport >= :1024",
    "sport ge :1024",
    "sport geq :1024",
    "sport < :1024",
    "sport lt :1024",
    "sport <= :1024",
    "sport le :1024",
    "sport leq :1024",
    "dport > :80 dport < :9999",
    "dport >= :1 and dport <= :80",
    "not sport = :80",
    "! sport = :80",
    "not ( sport = :80 or dport = :80 )",
    "! ( sport = :80 || dport = :80 )",
    "sport = :80 or sport = :22",
    "sport = :80 || sport = :22",
    "sport = :80 | sport = :22",
    "sport = :80 and dport > :1024",
    "sport = :80 && dport > :1024",
    "sport = :80 & dport > :1024",
    "sport = :80 dport > :1024",
    "( sport = :80 or sport = :22 ) and dst 127.0.0.1",
    "dst 127.0.0.1 and ( sport = :80 or sport = :22 )",
    "( ( sport = :80 ) )",
    "not not sport = :80",
    "src 127.0.0.1 or src [::1]",
    "not src 127.0.0.0/8 not src [::1]",
    "src 127.0.0.1:22 or dst 127.0.0.1:22",
    "sport = :domain",
    "sport = :ssh or sport = :https",
    "dport = :http",
    "src 127.0.0.1:ssh",
    "state listening ( sport = :ssh or sport = :443 )",
    "exclude listening src 127.0.0.1:80",
    "dev lo",
    "dev != lo",
    "fwmark = 0x1/0x3",
];

/// Protocol and both ends, as ss prints them with -n.
type Row = (String, String, String);

fn same_rows() -> Done {
    if Command::new("ss").arg("-V").output().is_err() {
        return Done::Skipped("ss is not installed".into());
    }
    let zoo = Zoo::get();
    let mut compared = 0;
    let mut wrong = Vec::new();
    for expression in EXPRESSIONS {
        let Some(mut expected) = theirs(zoo, expression) else {
            println!("left out, this ss does not take it: {expression}");
            continue;
        };
        // Timers go on: what ss itself does not list twice is asked again.
        let agrees = (0..5).any(|_| {
            let got = ours(zoo, expression);
            let again = theirs(zoo, expression).unwrap_or_default();
            let agrees = got == expected || got == again;
            if !agrees && again == expected {
                wrong.push(format!("{expression}:\n  ss       {expected:?}\n  we       {got:?}"));
            }
            expected = again;
            agrees || !wrong.is_empty()
        });
        assert!(agrees || !wrong.is_empty(), "ss does not list the same twice: {expression}");
        compared += 1;
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared >= 180, "only {compared} expressions were compared");
    Done::Passed
}

fn theirs(zoo: &Zoo, expression: &str) -> Option<Vec<Row>> {
    let outcome = zoo.run(Command::new("ss").arg("-Htuan").args(expression.split(' ')));
    if outcome.end != netstat_tests::command::End::Exit(0) {
        return None;
    }
    let text = String::from_utf8(outcome.stdout).unwrap();
    // With one state left, the column of states is left out, too.
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [netid, .., local, peer] = words[..] else { panic!("{line}") };
        // A socket bound to a device says so, and `*` is both families' wildcard.
        let end = |end: &str| {
            let (addr, port) = end.rsplit_once(':').unwrap();
            let addr = addr.split('%').next().unwrap().trim_matches(['[', ']']);
            format!("{}|{port}", if addr == "*" { "::" } else { addr })
        };
        (netid.to_owned(), end(local), end(peer))
    };
    let mut rows: Vec<Row> = text.lines().map(row).collect();
    rows.sort();
    Some(rows)
}

fn ours(zoo: &Zoo, expression: &str) -> Vec<Row> {
    let rows = zoo.json(&["-tuan", "--where", expression]);
    let row = |row: &serde_json::Value| {
        let end = |name: &str| {
            let port = row[name]["port"].as_u64().unwrap();
            let port = if port == 0 { "*".into() } else { port.to_string() };
            format!("{}|{port}", row[name]["addr"].as_str().unwrap())
        };
        (row["proto"].as_str().unwrap().trim_end_matches('6').to_owned(), end("local"), end("remote"))
    };
    let mut rows: Vec<Row> = rows.iter().map(row).collect();
    rows.sort();
    rows
}
