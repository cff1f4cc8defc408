//! `netstat-user kill`: the binary, on sockets that the test made.

use crate::missing;
use netstat_tests::netns::NetNs;
use netstat_tests::programs::{has_util, netstat_user};
use netstat_tests::terminal::Terminal;
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::zoo::{Keep, peer::Sink, tcp};
use netstat_user::diag::loaded::Part;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketType, bind, ipproto, sendmsg, socket,
};
use std::io::{ErrorKind, IoSlice, Read};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("kill_closes_what_is_selected_and_reports_each", kill_closes_what_is_selected_and_reports_each),
    ("kill_needs_an_expression_and_a_yes", kill_needs_an_expression_and_a_yes),
    ("kill_says_why_it_could_not", kill_says_why_it_could_not),
    ("kill_that_cannot_report_says_what_it_did", kill_that_cannot_report_says_what_it_did),
    ("kill_asks_on_a_terminal_that_does_not_wait", kill_asks_on_a_terminal_that_does_not_wait),
    ("kill_closes_every_state_and_datagrams", kill_closes_every_state_and_datagrams),
    ("kill_is_seen_by_the_processes_as_it_is_documented", kill_is_seen_by_the_processes_as_it_is_documented),
    ("kill_knows_that_udp_lite_has_no_way", kill_knows_that_udp_lite_has_no_way),
    ("kill_in_another_namespace", kill_in_another_namespace),
    (
        "kill_takes_devices_and_ports_by_the_namespace_of_the_row",
        kill_takes_devices_and_ports_by_the_namespace_of_the_row,
    ),
    ("kill_leaves_out_what_a_hidden_process_decides", kill_leaves_out_what_a_hidden_process_decides),
    ("kill_leaves_out_what_nobody_was_found_to_hold", kill_leaves_out_what_nobody_was_found_to_hold),
    ("kill_takes_no_socket_for_roots_whose_user_is_not_kept", kill_takes_no_socket_for_roots_whose_user_is_not_kept),
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

/// Each network namespace has devices and a range of ports of its own.
fn kill_takes_devices_and_ports_by_the_namespace_of_the_row() -> Done {
    let ip = |words: &str| Command::new("ip").args(words.split(' ')).status().is_ok_and(|status| status.success());
    let elsewhere = NetNs::new().unwrap();
    let added = elsewhere.enter(|| {
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "20000 20100").unwrap();
        ip("link add there index 77 type veth peer name other index 78")
    });
    if !added {
        return Done::Skipped("ip(8) or the kernel makes no veth device".to_owned());
    }
    let inode = elsewhere.inode().unwrap().to_string();
    let mut there = elsewhere.enter(|| Command::new("sleep").arg("60").spawn().unwrap());
    let _sockets = elsewhere.enter(|| {
        ["there", "other"].map(|device| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
            socket.bind_device(Some(device.as_bytes())).unwrap();
            socket.bind(&"0.0.0.0:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
            socket
        })
    });
    let done = inside(|| {
        // The same index is another device here.
        assert!(ip("link add here index 77 type veth peer name here2 index 79"));
        for (expression, matches) in [
            ("dev = there", 1),
            ("dev = 77", 1),
            ("dev != 77", 1),
            ("dev = here", 0),
            ("dev = no-such-device", 0),
            ("autobound", 2),
            ("autobound and dev = 78", 1),
            ("not autobound", 0),
        ] {
            for netns in [&["--netns", &inode][..], &["--netns", &format!("{inode},self")]] {
                let found = kill(&[&["--where", expression, "--dry-run", "--json"], netns].concat());
                assert_eq!((code(&found), objects(&found).len()), (0, matches), "{expression}: {found:?}");
            }
        }
        let refused = kill(&["--where", "dev = there", "--dry-run"]);
        assert!(code(&refused) == 2 && text(&refused.stderr).contains("there is no device `there'"), "{refused:?}");
    });
    there.kill().unwrap();
    there.wait().unwrap();
    done
}

/// Root in a container may not look into processes of other users.
fn kill_leaves_out_what_a_hidden_process_decides() -> Done {
    if !has_util("setpriv") {
        return Done::Skipped("setpriv of util-linux is not installed".to_owned());
    }
    let capabilities = "-sys_ptrace,-dac_read_search,-dac_override";
    let blind = |words: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", capabilities, "--inh-caps", capabilities]);
        command.arg(netstat_user()).args(words).stdin(Stdio::null()).output().unwrap()
    };
    inside(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let mut holder = Command::new("sleep").arg("60").uid(61_234).stdin(OwnedFd::from(listener)).spawn().unwrap();
        for (expression, doubtful) in [
            ("not comm = sleep", true),
            ("comm = sleep", true),
            ("owners.comm = sleep and state listening", true),
            ("owners = null", true),
            ("comm = no-such-comm", false),
            ("comm = sleep and sport = :1", false),
        ] {
            for way in ["--dry-run", "--yes"] {
                let left = blind(&["kill", "--where", expression, way]);
                let said = text(&left.stderr);
                assert_eq!(
                    (code(&left), text(&left.stdout)),
                    (i32::from(doubtful), String::new()),
                    "{expression}: {said}"
                );
                assert_eq!(said.contains("1 socket was left out: its owners could not be seen"), doubtful, "{said}");
                assert_eq!(said.contains("the owners of some sockets are unknown"), doubtful, "{said}");
                let of = if doubtful {
                    "no socket matches of those whose owners could be seen"
                } else {
                    "no socket matches\n"
                };
                assert!(said.contains(of), "{expression}: {said}");
            }
            // A table shows what is known, and says that this is not all.
            let listed = blind(&["-tln", "--no-agent", "--where", expression]);
            assert_eq!(code(&listed), i32::from(doubtful), "{expression}: {listed:?}");
        }
        assert_eq!(code(&blind(&["-tln", "--no-agent", "--count-by", "unit"])), 1);
        assert_eq!(code(&blind(&["-tlnp", "--no-agent"])), 0);
        // None of those that may not be looked into is this one, but the holder may be one that began meanwhile.
        let found = blind(&["kill", "--where", "not comm = no-such-comm", "--dry-run"]);
        assert_eq!((code(&found), text(&found.stdout)), (1, String::new()), "{found:?}");
        assert!(text(&found.stderr).contains("no process was found that holds"), "{found:?}");
        // The other end may be in a namespace that is not seen.
        let words = ["addr", "add", "192.0.2.1/24", "dev", "lo"];
        assert!(Command::new("ip").args(words).status().unwrap().success());
        let sender = UdpSocket::bind("192.0.2.1:0").unwrap();
        sender.connect("192.0.2.9:9").unwrap();
        for (words, expected, rows) in [
            (["kill", "--where", "proto = udp and not peer.comm = sshd", "--dry-run"], 1, 0),
            (["kill", "--where", "proto = udp and not dport = :8", "--dry-run"], 0, 1),
        ] {
            let found = blind(&words);
            assert_eq!((code(&found), text(&found.stdout).lines().count()), (expected, rows), "{found:?}");
        }
        assert!(TcpStream::connect(to).is_ok(), "the listener was closed");
        holder.kill().unwrap();
        holder.wait().unwrap();
    })
}

/// The kernel keeps no user for a connection in TIME_WAIT, and shows root there.
fn kill_takes_no_socket_for_roots_whose_user_is_not_kept() -> Done {
    inside(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        drop(client);
        drop(listener.accept().unwrap());
        for (expression, expected, lines) in [
            ("state time-wait", 0, 1),
            ("state time-wait and uid = 0", 1, 0),
            ("state time-wait and user = root", 1, 0),
            ("state time-wait and not uid = 1", 1, 0),
            ("state time-wait and user = nobody", 0, 0),
            ("state listening and uid = 0", 0, 1),
        ] {
            let found = kill(&["--where", expression, "--dry-run"]);
            let of = (code(&found), text(&found.stdout).lines().count());
            assert_eq!(of, (expected, lines), "{expression}: {found:?}");
            assert_eq!(text(&found.stderr).contains("1 socket was left out"), expected == 1, "{expression}: {found:?}");
        }
    })
}

/// The descriptor of a socket is on its way from one process to another.
fn kill_leaves_out_what_nobody_was_found_to_hold() -> Done {
    inside(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let (sender, receiver) = UnixStream::pair().unwrap();
        let descriptors = [listener.as_fd()];
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut message = SendAncillaryBuffer::new(&mut room);
        assert!(message.push(SendAncillaryMessage::ScmRights(&descriptors)));
        sendmsg(&sender, &[IoSlice::new(b"x")], &mut message, SendFlags::empty()).unwrap();
        drop(listener);
        for (expression, left_out) in
            [("not comm = sshd", true), ("owners = null", true), ("state listening", false), ("uid = 0", false)]
        {
            let found = kill(&["--where", expression, "--dry-run"]);
            let lines = text(&found.stdout).lines().count();
            assert_eq!((code(&found), lines), (i32::from(left_out), usize::from(!left_out)), "{expression}: {found:?}");
            assert_eq!(text(&found.stderr).contains("1 socket was left out"), left_out, "{expression}: {found:?}");
        }
        assert!(TcpStream::connect(to).is_ok(), "the listener was closed");
        drop(receiver);
    })
}

fn kill_says_why_it_could_not() -> Done {
    if !has_util("setpriv") {
        return Done::Skipped("setpriv of util-linux is not installed".to_owned());
    }
    inside(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let without = |words: &[&str], to: Stdio| {
            let mut command = Command::new("setpriv");
            command.args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]).arg(netstat_user());
            command.args(words).stdout(to).output().unwrap()
        };
        for words in [&["-tln", "--no-agent", "--where", "fwmark = 3"][..], &["kill", "--where", "fwmark = 3", "--yes"]]
        {
            let unknown = without(words, Stdio::piped());
            assert!(code(&unknown) == 1 && text(&unknown.stderr).contains("CAP_NET_ADMIN"), "{words:?}: {unknown:?}");
        }
        // A mark that is not shown may be this one.
        let unknown = without(&["kill", "--where", "not fwmark = 3", "--dry-run"], Stdio::piped());
        assert_eq!((code(&unknown), text(&unknown.stdout)), (1, String::new()), "{unknown:?}");
        assert!(text(&unknown.stderr).contains("1 socket was left out: the expression asks for what"), "{unknown:?}");
        let some = without(&["kill", "--where", "not fwmark = 3 or sport > :0", "--dry-run"], unread());
        assert_eq!(code(&some), 1, "{some:?}");
        let refused = without(&["kill", "--lport", &port, "--yes", "--json"], Stdio::piped());
        assert_eq!(code(&refused), 1, "{refused:?}");
        let rows = objects(&refused);
        assert_eq!((rows.len(), &rows[0]["result"]), (1, &"failed".into()));
        assert!(rows[0]["error"].as_str().unwrap().contains("CAP_NET_ADMIN"), "{rows:?}");
        // Also where nobody reads what became of each.
        let unread = without(&["kill", "--lport", &port, "--yes"], unread());
        let said = text(&unread.stderr);
        assert!(code(&unread) == 1 && said.contains("1 of 1 socket could not be closed"), "{unread:?}");
        assert!(said.contains("closed 0 of 1 socket, but could not report them"), "{said}");
        assert!(TcpStream::connect(listener.local_addr().unwrap()).is_ok());
    })
}

/// A pipe that nobody reads.
fn unread() -> Stdio {
    std::io::pipe().unwrap().1.into()
}

fn kill_that_cannot_report_says_what_it_did() -> Done {
    inside(|| {
        let full = || Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
        for (to, expected, reason) in [(full(), 1, true), (unread(), 0, false)] {
            let listeners = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
            let mut command = Command::new(netstat_user());
            command.args(["kill", "--where", "state listening", "--yes"]).stdin(Stdio::null());
            let done = command.stdout(to).output().unwrap();
            let said = text(&done.stderr);
            assert_eq!(code(&done), expected, "{said}");
            assert!(said.contains("closed 2 of 2 sockets, but could not report them\n"), "{said}");
            assert_eq!(said.contains("cannot write to standard output: No space left"), reason, "{said}");
            for listener in &listeners {
                assert!(TcpStream::connect(listener.local_addr().unwrap()).is_err(), "it is open");
            }
        }
    })
}

/// Standard input, output and error are one terminal as a rule, and so is its flag.
fn kill_asks_on_a_terminal_that_does_not_wait() -> Done {
    const SOCKETS: usize = 400;
    inside(|| {
        let sockets: Vec<_> = (0..SOCKETS).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let mut terminal = Terminal::new(200).unwrap();
        terminal.does_not_wait();
        let mut command = Command::new(netstat_user());
        command.args(["kill", "--proto", "udp"]).stdin(terminal.file()).stdout(terminal.file()).stderr(terminal.file());
        let mut asking = command.spawn().unwrap();
        drop(command);
        terminal.started();
        // The list is longer than what a terminal takes before anybody reads it.
        std::thread::sleep(Duration::from_millis(300));
        let question = format!("Close these {SOCKETS} sockets? [y/N] ");
        assert!(terminal.shows(&question, Duration::from_secs(20)), "{}", terminal.text());
        assert_eq!(terminal.text().matches("would close udp ").count(), SOCKETS);
        std::thread::sleep(Duration::from_millis(100));
        terminal.type_line("y");
        let shown = terminal.rest(Duration::from_secs(20));
        assert_eq!(asking.wait().unwrap().code(), Some(0), "{shown}");
        assert_eq!(shown.matches("\nclosed udp ").count(), SOCKETS, "{shown}");
        drop(sockets);
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
    if socket(AddressFamily::INET, SocketType::DGRAM, Some(ipproto::UDPLITE)).is_err() {
        return Done::Skipped("this kernel has no UDP-Lite".to_owned());
    }
    inside(|| {
        let socket = socket(AddressFamily::INET, SocketType::DGRAM, Some(ipproto::UDPLITE)).unwrap();
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
