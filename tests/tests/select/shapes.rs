//! What is printed of the rows that are selected: netstat's own lines, columns, orders, sums; and what is said of mistakes.

use crate::Zoo;
use netstat_tests::command::{self, End, Outcome};
use netstat_tests::netns::NetNs;
use netstat_tests::programs;
use netstat_tests::truth::runner::{Done, Test};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("select: netstat's heading and lines, only fewer", fewer_lines),
    ("select: columns are the fields of the whole objects", columns),
    ("select: order and limit", order_and_limit),
    ("select: sums", sums),
    ("select: every namespace, and one by its name", namespaces),
    ("select: the same through the agent, and closed sockets", through_the_agent),
    ("select: mistakes are marked and nothing is printed", mistakes),
    ("select: mistakes of verbs", mistakes_of_verbs),
    ("select: -a is named where it would help", all_is_named_where_it_helps),
    ("select: a table in which no row can match", no_row_can_match),
    ("select: namespaces that begin and end", fleeting_namespaces),
    ("select: ignored words are named on standard error only", ignored_words),
];

fn text(outcome: &Outcome) -> String {
    assert_eq!(outcome.end, End::Exit(0), "{outcome:?}");
    String::from_utf8(outcome.stdout.clone()).unwrap()
}

fn fewer_lines() -> Done {
    let zoo = Zoo::get();
    for (table, expression) in [
        ("-tuan", "sport = :80 or sport = :22"),
        ("-tuanpe", "state listening"),
        ("-tuan", "proto = udp and local.port != 53"),
    ] {
        let whole = text(&zoo.ours(&[table, "--no-agent"]));
        let got = text(&zoo.ours(&[table, "--no-agent", "--where", expression]));
        let (heading, lines): (Vec<&str>, Vec<&str>) = (got.lines().take(2).collect(), got.lines().skip(2).collect());
        assert_eq!(heading, whole.lines().take(2).collect::<Vec<_>>());
        assert!(!lines.is_empty() && lines.len() < whole.lines().count() - 2, "{expression}: {got}");
        let mut rest = whole.lines().skip(2);
        for line in lines {
            assert!(
                rest.any(|known| known == line),
                "{expression}: `{line}' is no line of the whole table, or out of order"
            );
        }
    }
    Done::Passed
}

fn columns() -> Done {
    let zoo = Zoo::get();
    // The user has a name, and a number beside it, with -n as without.
    let whole = zoo.json(&["-tuanp", "--sort", "inode,local.port,remote.port"]);
    assert!(whole.iter().all(|row| row["user"] == "root" && row["uid"] == 0), "{whole:?}");
    let names = "state,local.port,remote,owners.pid,uid,local.addr,recv_q,user,netns";
    let got = zoo.json(&["-tua", "--sort", "inode,local.port,remote.port", "--columns", names]);
    let expected: Vec<Value> = whole
        .iter()
        .map(|row| {
            let pids: Vec<Value> =
                row["owners"].as_array().unwrap().iter().map(|owner| serde_json::json!({"pid": owner["pid"]})).collect();
            serde_json::json!({
                "state": row["state"], "local": row["local"], "remote": row["remote"], "owners": pids, "uid": row["uid"],
                "recv_q": row["recv_q"], "user": row["user"], "netns": row["netns"],
            })
        })
        .collect();
    assert_eq!(got, expected);

    let table = text(&zoo.ours(&["-tua", "--no-agent", "--columns", "recv_q,local,state", "--where", "sport = :22"]));
    let mut lines = table.lines();
    assert_eq!(
        lines.next().map(|line| line.split_whitespace().collect::<Vec<_>>()),
        Some(vec!["recv_q", "local", "state"])
    );
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
    assert!(rows.len() >= 3 && rows.iter().all(|row| row.len() == 3 && row[1] == "127.0.0.1:22"), "{table}");
    assert!(table.lines().all(|line| !line.ends_with(' ')), "{table}");

    let help = text(&zoo.ours(&["--columns", "help"]));
    for name in ["local.port", "owners.comm", "info.rtt_us", "duration_ns", "container"] {
        assert!(help.lines().any(|line| line.starts_with(name)), "{name} is not in --columns help");
    }
    Done::Passed
}

fn order_and_limit() -> Done {
    let zoo = Zoo::get();
    let ports = |args: &[&str]| -> Vec<u64> {
        zoo.json(&[&["-tua"], args].concat()).iter().map(|row| row["local"]["port"].as_u64().unwrap()).collect()
    };
    let all = ports(&[]);
    let mut sorted = all.clone();
    sorted.sort_unstable();
    assert_eq!(ports(&["--sort", "local.port"]), sorted);
    sorted.reverse();
    assert_eq!(ports(&["--sort", "-local.port"]), sorted);
    assert_eq!(ports(&["--sort", "-local.port", "--limit", "3"]), sorted[..3]);
    assert_eq!(ports(&["--limit", "4"]), all[..4], "without an order, netstat's own");
    assert_eq!(ports(&["--limit", "0"]), [0u64; 0]);
    // Rows of equal keys stay in netstat's order: sorting by a field that all share changes nothing.
    assert_eq!(ports(&["--sort", "netns"]), all);
    let table = text(&zoo.ours(&["-tan", "--no-agent", "--sort", "-local.port", "--limit", "2"]));
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.starts_with("Active Internet connections "));
    // Each round has as many.
    for order in [&[][..], &["--sort", "local.port"]] {
        let mut command = Command::new(programs::netstat_user());
        command.args([&["-tanc", "--no-agent", "--limit", "2"], order].concat());
        let rounds = zoo.netns.enter(|| command::run(&mut command, None, Duration::from_millis(3500)).unwrap());
        assert_eq!(rounds.end, End::TimedOut);
        let rounds = String::from_utf8(rounds.stdout).unwrap();
        let count = |prefix: &str| rounds.lines().filter(|line| line.starts_with(prefix)).count();
        assert!(count("Proto") > 1 && count("tcp") == 2 * count("Proto"), "{order:?}: {rounds}");
    }
    Done::Passed
}

fn sums() -> Done {
    let zoo = Zoo::get();
    let mut by_hand: BTreeMap<String, u64> = BTreeMap::new();
    for row in zoo.json(&["-tua"]) {
        *by_hand.entry(format!("{} {}", row["state"], row["local"]["port"])).or_default() += 1;
    }
    let got = zoo.json(&["-tua", "--count-by", "state,local.port"]);
    let counts: BTreeMap<String, u64> = got
        .iter()
        .map(|line| (format!("{} {}", line["state"], line["local"]["port"]), line["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(counts, by_hand);
    let in_order: Vec<u64> = got.iter().map(|line| line["count"].as_u64().unwrap()).collect();
    assert!(in_order.is_sorted_by(|a, b| a >= b), "most first: {in_order:?}");
    let first = serde_json::to_string(&got[0]).unwrap();
    assert!(first.starts_with("{\"count\":"), "{first}");
    assert_eq!(zoo.json(&["-tua", "--count-by", "state", "--limit", "2"]).len(), 2);
    let counts = |sort: &str| -> Vec<u64> {
        let lines = zoo.json(&["-tua", "--count-by", "state,local.port", "--sort", sort, "--limit", "4"]);
        lines.iter().map(|line| line["count"].as_u64().unwrap()).collect()
    };
    assert_eq!(counts("-count"), in_order[..4]);
    assert_eq!(counts("count"), in_order.iter().rev().copied().take(4).collect::<Vec<_>>());
    assert_eq!(counts("count,-local.port").len(), 4);
    // Over IPv4 or in the form of IPv6, it is the same host.
    let hosts = |field: &str| -> BTreeMap<String, u64> {
        let counts = zoo.json(&["-t", "--where", "sport = :8443", "--count-by", field]);
        let host = |line: &Value| line["remote_ip"].as_str().or(line["remote"]["addr"].as_str()).unwrap().to_owned();
        counts.iter().map(|line| (host(line), line["count"].as_u64().unwrap())).collect()
    };
    let (apart, together) = (hosts("remote.addr"), hosts("remote_ip"));
    let mapped = apart["::ffff:127.0.0.1"];
    assert!(mapped > 0 && !together.contains_key("::ffff:127.0.0.1"), "{together:?}");
    assert_eq!(together["127.0.0.1"], mapped + apart.get("127.0.0.1").unwrap_or(&0));
    assert_eq!(together["::1"], apart["::1"]);
    let table = text(&zoo.ours(&["-tua", "--no-agent", "--count-by", "state"]));
    assert_eq!(table.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(), ["count", "state"]);
    assert!(table.lines().any(|line| line.split_whitespace().nth(1) == Some("LISTEN")), "{table}");
    Done::Passed
}

fn namespaces() -> Done {
    let zoo = Zoo::get();
    let inode = zoo.netns.inode().unwrap();
    // A namespace is found by a process in it.
    let mut resident = zoo.netns.enter(|| Command::new("sleep").arg("1000").spawn().unwrap());
    let inside = zoo.json(&["-tua"]).len();
    let here = |args: &[&str]| -> Vec<Value> {
        let mut command = Command::new(programs::netstat_user());
        let outcome = command.args(args).args(["--json", "--no-agent"]).output().unwrap();
        let text = String::from_utf8(outcome.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(here(&["-tua", "--netns", &inode.to_string()]).len(), inside, "from another namespace");
    let all = here(&["-tua", "--all-netns", "--where", &format!("netns = {inode}")]);
    assert_eq!(all.len(), inside);
    assert!(all.iter().all(|row| row["netns"] == inode && row.get("netns_name").is_some()));
    let own = NetNs::current().unwrap().inode().unwrap();
    assert!(here(&["-tua", "--all-netns", "--where", "netns = self"]).iter().all(|row| row["netns"] == own));
    resident.kill().unwrap();
    resident.wait().unwrap();
    Done::Passed
}

fn through_the_agent() -> Done {
    let zoo = Zoo::get();
    let socket = std::env::temp_dir().join(format!("netstat-user-select-agent-{}.sock", std::process::id()));
    let mut agent = Command::new(programs::netstat_user())
        .args(["agent", "--socket"])
        .arg(&socket)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(agent.stderr.take().unwrap()).lines().map_while(Result::ok);
    let serves = said.any(|line| line.starts_with("agent: serving"));
    let path = socket.to_str().unwrap();
    let outcome = std::panic::catch_unwind(|| {
        if !serves {
            return Done::Skipped("the agent does not serve here".into());
        }
        for args in [
            &["-tuan", "--where", "sport = :80 and pid > 1"][..],
            &["-tuanp", "--where", "state listening"],
            &["-tuan", "--columns", "proto,local,remote,state,owners", "--where", "dst 127/8"],
            &["-tua", "--count-by", "state,proto"],
            &["-tuan", "--netns", "self", "--sort", "-local.port", "--limit", "5"],
        ] {
            let with = |more: &[&str]| zoo.ours(&[args, more].concat());
            let (direct, asked) = (with(&["--no-agent"]), with(&["--agent", path]));
            assert_eq!(String::from_utf8_lossy(&asked.stdout), String::from_utf8_lossy(&direct.stdout), "{args:?}");
            assert!(asked.stderr.is_empty(), "{asked:?}");
        }
        // Closed sockets have the fields of their events.
        let (client, server) = zoo.netns.enter(|| {
            let listener = netstat_tests::zoo::tcp::listener("127.0.0.1:50001", 1).unwrap();
            netstat_tests::zoo::tcp::pair(&listener, "127.0.0.1:50001", None).unwrap()
        });
        let port = client.local_addr().unwrap().as_socket().unwrap().port();
        drop((client, server));
        let expression = format!("reason != null and (sport = :{port} or dport = :{port})");
        let args = ["-tua", "--json", "--recent", "1m", "--agent", path, "--where", &expression];
        for _ in 0..100 {
            let found = text(&zoo.ours(&args));
            if !found.is_empty() {
                let row: Value = serde_json::from_str(found.lines().next().unwrap()).unwrap();
                assert_eq!((row["event"].as_str(), row["state"].as_str()), (Some("close"), Some("CLOSE")), "{found}");
                let columns = ["--columns", "event,comm,duration_ns"];
                let cut = text(&zoo.ours(&[&args[..], &columns].concat()));
                let cut: Value = serde_json::from_str(cut.lines().next().unwrap()).unwrap();
                assert_eq!(cut.as_object().unwrap().keys().collect::<Vec<_>>(), ["comm", "duration_ns", "event"]);
                return Done::Passed;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("no closed socket of port {port} is listed");
    });
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(agent.id() as i32), nix::sys::signal::Signal::SIGTERM);
    let _ = agent.wait();
    outcome.unwrap_or_else(|cause| std::panic::resume_unwind(cause))
}

fn mistakes() -> Done {
    let zoo = Zoo::get();
    for (args, says) in [
        (&["-tan", "--where", "sprt = :80"][..], &["sprt = :80\n  ^^^^\n", "did you mean `sport'?"][..]),
        (&["-tan", "--where", ""], &["--where: expected a condition"]),
        (&["-tan", "--where", "state listning"], &["      ^^^^^^^^\n", "did you mean `listening'?"]),
        (&["-tan", "--where", "uid = no-such-user-here"], &["there is no user", "      ^^^^^^^^"]),
        (&["-tan", "--where", "path = /x"], &["no row that is listed has a field `path': UNIX sockets (-x) have it\n"]),
        (
            &["-tan", "--columns", "reason"],
            &["a field `reason': closed sockets (--recent 5m) and events (netstat-user"],
        ),
        (&["-tan", "--columns", "count"], &["`count' is no field of a row: --count-by FIELD,... counts"]),
        (&["-tan", "--columns", "owners.nme"], &["of `owners' there are owners.pid owners.program"]),
        (&["-tan", "--limit", "-1"], &["--limit: `-1' is no number of rows: write a whole number from 0 on"]),
        (&["-tan", "--columns", "local.prt"], &["--columns help lists them; did you mean `local.port'?\n"]),
        (
            &["-tan", "--port", "nosuch"],
            &["--port: there is no service `nosuch': write a number or the name of a service"],
        ),
        (&["-tan", "--comm", "x", "--rport", "nosuch"], &["--rport: there is no service `nosuch'"]),
        (&["-tan", "--recent", "soon"], &["--recent: `soon' is not accepted: write a time above zero"]),
        (&["-tan", "--sort", "-nosuch"], &["--sort: there is no field `nosuch'"]),
        (&["-tan", "--limit", "x"], &["--limit: `x' is no number"]),
        (&["-tan", "--count-by", "state", "--columns", "uid"], &["--count-by has columns of its own"]),
        (&["-tan", "--port", "70000"], &["--port: "]),
        (&["-tan", "--pid", "0"], &["--pid: `0' is no process id"]),
        (&["-tan", "--netns", "1"], &["--netns: there is no network namespace `1': write `self', a name in"]),
        (
            &["-tan", "--netns", "no-such-name"],
            &["--netns: there is no network namespace `no-such-name': write `self', a name in"],
        ),
        (&["-tan", "--state", "open"], &["--state: `open' is no state"]),
        (&["-r", "--where", "state listening"], &["--where selects Internet and UNIX sockets"]),
        (&["-tan", "--wher", "x"], &["unrecognized option '--wher'\nusage: ", "\ndid you mean `--where'?\n"]),
        (&["-tan", "--life"], &["\ndid you mean `netstat-user events --life'?\n"]),
        (&["-tan", "--uid", "0"], &["unrecognized option '--uid'\nusage: ", "\ndid you mean `--where \"uid = N\"'?\n"]),
        (&["--tan"], &["unrecognized option '--tan'\nusage: ", "\ndid you mean `-tan'?\n"]),
        (
            &["-tan", "--csv"],
            &["unrecognized option '--csv'\nusage: ", "\nthere is no CSV: --json prints one object per line"],
        ),
        (&["-tan", "--sort", "count"], &["--sort: `count' orders what --count-by counts"]),
    ] {
        let outcome = zoo.ours(args);
        assert_eq!(outcome.end, End::Exit(3), "{args:?}: {outcome:?}");
        assert!(outcome.stdout.is_empty(), "{args:?}: {outcome:?}");
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert!(says.iter().all(|says| said.contains(says)), "{args:?}: {said}");
        // Our own messages begin with our name, and getopt's with the word that the program was called by.
        assert_eq!(said.starts_with("netstat-user: "), !said.contains("unrecognized option"), "{args:?}: {said}");
    }
    let family = zoo.ours(&["-tan", "--proto", "tpc"]);
    let said = String::from_utf8_lossy(&family.stderr).into_owned();
    assert_eq!((family.end, &*said), (End::Exit(1), "Unknown address family `tpc'.\ndid you mean `tcp'?\n"));
    Done::Passed
}

fn mistakes_of_verbs() -> Done {
    let zoo = Zoo::get();
    for (args, says) in [
        (&["events", "--lport", "nosuch"][..], "events: --lport: there is no service `nosuch': write a number"),
        (
            &["events", "--life", "--event", "close"],
            "events: --life cannot be given with --event: leave one of them out",
        ),
        (&["kill", "--lport", "80"], "would be closed, and standard input is no terminal"),
        (&["events", "--where", "dev lo"], "no row that is listed has a field `dev'"),
        (&["events", "--where", "fwmark = 1"], "no row that is listed has a field `fwmark'"),
        (&["events", "--proto", "unix"], "`unix' sockets are not seen here: write one of tcp tcp4"),
        (&["kill", "--dry-run", "--proto", "unix"], "`unix' sockets are not seen here: write one of tcp tcp4"),
        (&["kill", "--dry-run", "--where", "age_ns > 1s"], "which kill does not ask"),
        (&["kill", "--dry-run", "--netns", "1", "--lport", "1"], "there is no network namespace `1': write `self'"),
        (
            &["agent", "--group", "nosuch"],
            "netstat-user agent: --group: there is no group `nosuch': give the name or number",
        ),
        (
            &["agent", "--user", "nosuch"],
            "netstat-user agent: --user: there is no user `nosuch': give the name or number",
        ),
        (&["agent", "--socket", "/"], "netstat-user agent: --socket: `/' is no file: give the path of a file"),
        (&["agent", "--recent-count", "-1"], "--recent-count: `-1' is not accepted: write a whole number from 0 on"),
        (&["events", "--sort", "pid"], "--sort and --limit are for what --count-by counts: "),
        (&["events", "--limit", "3"], "events are printed as they come, and --count N ends after N of them"),
        (&["events", "--proto", "tpc"], "; did you mean `tcp'?"),
    ] {
        let outcome = zoo.ours(args);
        assert_eq!(outcome.end, End::Exit(2), "{args:?}: {outcome:?}");
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert!(said.contains(says) && !said.contains("--no-agent"), "{args:?}: {said}");
    }
    // What has not begun is no mistake of the command line.
    for (args, says) in [
        (
            &["agent", "--socket", "/etc/passwd"][..],
            "agent: /etc/passwd is there and is no socket: give another --socket\n",
        ),
        (&["agent", "--socket", "/etc/passwd/x"], "agent: /etc/passwd: not a directory: give another --socket\n"),
        (
            &["events", "--agent", "/nonexistent"],
            "no such file or directory: as root: netstat-user agent --socket /none",
        ),
    ] {
        let outcome = zoo.ours(args);
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert!(
            outcome.end == End::Exit(1) && said.contains(says) && said.lines().count() == 1,
            "{args:?}: {outcome:?}"
        );
    }
    // Nothing to ask about.
    let none = zoo.ours(&["kill", "--lport", "2"]);
    assert_eq!((none.end, &none.stderr[..]), (End::Exit(0), &b"netstat-user: no socket matches\n"[..]));
    Done::Passed
}

/// -a is named where it would help, and nowhere else.
fn all_is_named_where_it_helps() -> Done {
    let zoo = Zoo::get();
    for (args, helps) in [
        (&["-tn", "--where", "state listening"][..], true),
        (&["-un", "--where", "sport = :68"], true),
        (&["-tn", "--where", "sport = :2"], false),
        (&["-tn", "--where", "sport = :80"], false),
        (&["-x", "--where", "path ~ netstat-user-select"], true),
        (&["-x", "--where", "path = /nowhere"], false),
        (&["-tan", "--where", "sport = :2"], false),
        (&["-tln", "--state", "established"], true),
        (&["-tln", "--where", "sport = :2"], false),
        (&["-tln", "--where", "sport = :80"], false),
    ] {
        let outcome = zoo.ours(&[args, &["--no-agent"]].concat());
        assert_eq!(outcome.end, End::Exit(0), "{args:?}: {outcome:?}");
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert_eq!(said.contains("with -a"), helps, "{args:?}: {said}");
        assert!(said.lines().count() <= 1, "{args:?}: {said}");
    }
    Done::Passed
}

/// A condition that holds of other kinds of sockets alone is named; where one of several may hold, it is not.
fn no_row_can_match() -> Done {
    let zoo = Zoo::get();
    for (args, says) in [
        (&["-xan", "--where", "sport = :80"][..], Some("UNIX sockets have no ports; give -t, -u")),
        (&["-xan", "--lport", "80"], Some("UNIX sockets have no ports; give -t, -u")),
        (&["-x", "--port", "80"], Some("UNIX sockets have no ports; give -t, -u")),
        (&["-xan", "--where", "dst 10.0.0.0/8"], Some("UNIX sockets have no Internet address; give -t, -u")),
        (&["-xan", "--proto", "tcp"], Some("UNIX sockets are of no Internet protocol; give -t, -u")),
        (&["-tan", "--where", "src unix:/x"], Some("Internet sockets have no path; give -x")),
        (&["-xan", "--where", "sport = :80 or path = /nowhere"], None),
        (&["-an", "--where", "sport = :2"], None),
        (&["-tan", "--where", "sport = :2"], None),
    ] {
        let outcome = zoo.ours(&[args, &["--no-agent"]].concat());
        assert_eq!(outcome.end, End::Exit(0), "{args:?}: {outcome:?}");
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        match says {
            Some(says) => {
                assert!(said.contains(&format!("no row can match: {says}")) && said.lines().count() == 1, "{said}");
            }
            None => assert_eq!(said, "", "{args:?}"),
        }
    }
    Done::Passed
}

/// Namespaces that begin and end while all are listed are there or not; what is said of the others stays true.
fn fleeting_namespaces() -> Done {
    let end = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !end.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = std::process::Command::new("unshare").args(["-n", "true"]).status();
            }
        });
        let runs = (0..30).map(|_| Zoo::get().ours(&["-tuwxan", "--all-netns", "--no-agent"])).collect::<Vec<_>>();
        end.store(true, std::sync::atomic::Ordering::Relaxed);
        for outcome in runs {
            assert!(outcome.end == End::Exit(0) && outcome.stderr.is_empty(), "{outcome:?}");
        }
    });
    Done::Passed
}

fn ignored_words() -> Done {
    let zoo = Zoo::get();
    for (words, says) in [
        (&["evnts"][..], "did you mean `netstat-user events'"),
        (&["help"], "--help"),
        (&["help", "events"], "did you mean `netstat-user events --help'?"),
        (&["state", "established"], "--where 'state established'"),
        (&["sport", "=", ":8080"], "--where 'sport = :8080'"),
        (&["5"], "ignored: 5"),
        (&["-t", "events"], "a verb stands before its options: netstat-user events --help"),
    ] {
        let plain = zoo.ours(&["-tuan", "--no-agent"]);
        let verb_first = zoo.ours(&[words, &["-tuan", "--no-agent"]].concat());
        assert_eq!((verb_first.end, &verb_first.stdout), (plain.end, &plain.stdout), "{words:?}");
        let said = String::from_utf8_lossy(&verb_first.stderr).into_owned();
        assert!(said.lines().count() == 1 && said.contains(says), "{words:?}: {said}");
        assert!(plain.stderr.is_empty());
    }
    // Letters that ss reads in another way: netstat's table, and a line.
    let (interfaces, as_ss) = (zoo.ours(&["-i"]), zoo.ours(&["-ti"]));
    assert_eq!((as_ss.end, &as_ss.stdout), (interfaces.end, &interfaces.stdout));
    let said = String::from_utf8_lossy(&as_ss.stderr).into_owned();
    assert!(interfaces.stderr.is_empty() && said.lines().count() == 1 && said.contains("--info"), "{said}");
    Done::Passed
}
