//! `netstat-user kill`: the binary, on sockets that the test made.

use crate::missing;
use netstat_tests::netns::NetNs;
use netstat_tests::programs::netstat_user;
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::zoo::{Keep, peer::Sink, tcp};
use netstat_user::diag::loaded::Part;
use rustix::net::{AddressFamily, SocketType, bind, ipproto, socket};
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Output, Stdio};

pub const TESTS: &[Test] = &[
    ("kill_closes_what_is_selected_and_reports_each", kill_closes_what_is_selected_and_reports_each),
    ("kill_needs_an_expression_and_a_yes", kill_needs_an_expression_and_a_yes),
    ("kill_says_why_it_could_not", kill_says_why_it_could_not),
    ("kill_closes_every_state_and_datagrams", kill_closes_every_state_and_datagrams),
    ("kill_is_seen_by_the_processes_as_it_is_documented", kill_is_seen_by_the_processes_as_it_is_documented),
    ("kill_knows_that_udp_lite_has_no_way", kill_knows_that_udp_lite_has_no_way),
    ("kill_in_another_namespace", kill_in_another_namespace),
];

fn kill(options: &[&str]) -> Output {
    Command::new(netstat_user()).arg("kill").args(options).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn objects(output: &Output) -> Vec<serde_json::Value> {
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs `test` in a namespace of its own where the kernel closes sockets.
fn inside(test: impl FnOnce() + Send) -> Done {
    if let Some(reason) = missing(Part::Tcp).or_else(|| missing(Part::Udp)) {
        return Done::Skipped(reason);
    }
    NetNs::new().unwrap().enter(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let tried = kill(&["--lport", &port, "--yes"]);
        let said = text(&tried.stdout);
        if said.contains("CONFIG_INET_DIAG_DESTROY") {
            assert_eq!(code(&tried), 1);
            return Done::Skipped("the kernel closes no sockets".to_owned());
        }
        assert_eq!(code(&tried), 0, "{tried:?}");
        drop(listener);
        test();
        Done::Passed
    })
}

fn kill_closes_what_is_selected_and_reports_each() -> Done {
    inside(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let mut pairs: Vec<_> =
            (0..3).map(|_| (TcpStream::connect(to).unwrap(), listener.accept().unwrap().0)).collect();
        let port = pairs[1].0.local_addr().unwrap().port().to_string();
        let expression = format!("sport = {port} and state established");
        let looked = kill(&["--where", &expression, "--dry-run"]);
        assert_eq!((code(&looked), text(&looked.stdout).lines().count()), (0, 1), "{looked:?}");
        assert!(text(&looked.stdout).contains(&format!("127.0.0.1:{port}")), "{looked:?}");
        let found = kill(&["--where", &expression, "--dry-run", "--json"]);
        assert_eq!(objects(&found)[0]["result"], "would_close");

        let closed = kill(&["--where", &expression, "--yes", "--json"]);
        let rows = objects(&closed);
        assert_eq!((code(&closed), rows.len()), (0, 1), "{closed:?}");
        assert_eq!((&rows[0]["result"], &rows[0]["error"]), (&"closed".into(), &serde_json::Value::Null));
        assert_eq!(rows[0]["cookie"], objects(&found)[0]["cookie"]);
        assert_eq!(rows[0]["owners"][0]["pid"], std::process::id());
        let (client, server) = &mut pairs[1];
        assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionAborted);
        assert_eq!(server.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        for at in [0, 2] {
            let (client, server) = &mut pairs[at];
            std::io::Write::write_all(client, b"x").unwrap();
            server.read_exact(&mut [0]).unwrap();
        }
        let again = kill(&["--where", &expression, "--yes"]);
        assert_eq!((code(&again), text(&again.stdout)), (0, String::new()));
        assert!(text(&again.stderr).contains("no socket matches"), "{again:?}");
    })
}

fn kill_needs_an_expression_and_a_yes() -> Done {
    inside(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        for options in [
            &["--yes"][..],
            &["--where", "", "--yes"],
            &["--netns", "self", "--yes"],
            &["--where", "nonsense = 1", "--yes"],
            // Standard input is no terminal.
            &["--lport", &port],
        ] {
            let refused = kill(options);
            assert_eq!((code(&refused), text(&refused.stdout)), (2, String::new()), "{options:?}: {refused:?}");
            assert!(!refused.stderr.is_empty());
        }
        let still = TcpStream::connect(listener.local_addr().unwrap());
        assert!(still.is_ok(), "the listener was closed");
    })
}

fn kill_says_why_it_could_not() -> Done {
    // Busybox has one that takes no bounding set, and no `--version`.
    if !Command::new("setpriv").arg("--version").output().is_ok_and(|version| version.status.success()) {
        return Done::Skipped("setpriv of util-linux is not installed".to_owned());
    }
    inside(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let refused = Command::new("setpriv")
            .args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"])
            .arg(netstat_user())
            .args(["kill", "--lport", &port, "--yes", "--json"])
            .output()
            .unwrap();
        assert_eq!(code(&refused), 1, "{refused:?}");
        let rows = objects(&refused);
        assert_eq!((rows.len(), &rows[0]["result"]), (1, &"failed".into()));
        assert!(rows[0]["error"].as_str().unwrap().contains("CAP_NET_ADMIN"), "{rows:?}");
        assert!(TcpStream::connect(listener.local_addr().unwrap()).is_ok());
    })
}

fn kill_closes_every_state_and_datagrams() -> Done {
    inside(|| {
        let sink = Sink::new().unwrap();
        let _zoo: Keep = tcp::zoo(&sink).unwrap();
        let bound = UdpSocket::bind("127.0.0.1:5353").unwrap();
        let free = UdpSocket::bind("127.0.0.1:0").unwrap();
        for state in ["syn-recv", "time-wait", "established", "listen"] {
            let closed = kill(&["--proto", "tcp", "--state", state, "--yes", "--json"]);
            let rows = objects(&closed);
            assert_eq!(code(&closed), 0, "{state}: {closed:?}");
            assert!(rows.iter().any(|row| row["result"] == "closed"), "{state}: {rows:?}");
            assert_eq!(text(&kill(&["--proto", "tcp", "--state", state, "--dry-run"]).stdout), "", "{state}");
        }
        let of = |socket: &UdpSocket| socket.local_addr().unwrap().port().to_string();
        let end = |port: String| objects(&kill(&["--lport", &port, "--yes", "--json"]))[0]["result"].clone();
        assert_eq!(end(of(&free)), "closed");
        assert_eq!(end(of(&bound)), "aborted");
        assert!(bound.take_error().unwrap().is_some());
    })
}

/// What the table of results in docs/kill-and-info.md says.
fn kill_is_seen_by_the_processes_as_it_is_documented() -> Done {
    inside(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut server = listener.accept().unwrap().0;
        let port = listener.local_addr().unwrap().port().to_string();
        let closed = kill(&["--port", &port, "--state", "established", "--yes", "--json"]);
        let rows = objects(&closed);
        assert_eq!((code(&closed), rows.len()), (0, 2), "{closed:?}");
        for end in [&mut client, &mut server] {
            let port = end.local_addr().unwrap().port();
            let row = rows.iter().find(|row| row["local"]["port"] == port).unwrap();
            let seen = match row["result"].as_str().unwrap() {
                "closed" => ErrorKind::ConnectionAborted,
                "gone" => ErrorKind::ConnectionReset,
                other => panic!("{other}"),
            };
            assert_eq!(end.read(&mut [0]).unwrap_err().kind(), seen, "{rows:?}");
        }
        assert_eq!(code(&kill(&["--lport", &port, "--yes"])), 0);
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(listener.take_error().unwrap().unwrap().kind(), ErrorKind::ConnectionAborted);
    })
}

/// The kernel has just closed TCP sockets: nothing that it was built without is why.
fn kill_knows_that_udp_lite_has_no_way() -> Done {
    inside(|| {
        let Ok(socket) = socket(AddressFamily::INET, SocketType::DGRAM, Some(ipproto::UDPLITE)) else { return };
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5354)).unwrap();
        let refused = kill(&["--lport", "5354", "--yes"]);
        let said = text(&refused.stdout);
        assert_eq!((code(&refused), said.lines().count()), (1, 1), "{refused:?}");
        assert!(said.contains("the kernel has no way to close it") && !said.contains("CONFIG_"), "{said}");
    })
}

fn kill_in_another_namespace() -> Done {
    let elsewhere = NetNs::new().unwrap();
    let listener = elsewhere.enter(|| TcpListener::bind("127.0.0.1:7654").unwrap());
    let inode = elsewhere.inode().unwrap().to_string();
    // A process is there by which the namespace can be found.
    let mut there = elsewhere.enter(|| Command::new("sleep").arg("60").spawn().unwrap());
    let done = inside(|| {
        let _same = TcpListener::bind("127.0.0.1:7654").unwrap();
        let closed = kill(&["--lport", "7654", "--netns", &inode, "--yes", "--json"]);
        let rows = objects(&closed);
        assert_eq!((code(&closed), rows.len()), (0, 1), "{closed:?}");
        assert_eq!(rows[0]["netns"].to_string(), inode);
        assert!(TcpStream::connect("127.0.0.1:7654").is_ok(), "the listener in the caller's own namespace");
    });
    if matches!(done, Done::Passed) {
        let refused = elsewhere.enter(|| TcpStream::connect("127.0.0.1:7654"));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
    there.kill().unwrap();
    there.wait().unwrap();
    drop(listener);
    done
}
