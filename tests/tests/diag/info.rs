//! `--info` and the fields `info.*` against getsockopt(TCP_INFO) and ss.

use crate::missing;
use netstat_tests::netns::NetNs;
use netstat_tests::programs::netstat_user;
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::tcp_info::{at_rest, tcp_info};
use netstat_user::diag::loaded::Part;
use netstat_user::diag::tables::{self, DumpRequest};
use netstat_user::diag::{Channel, Protocol};
use rustix::net::{AddressFamily, SocketType, ipproto, socket};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

pub const TESTS: &[Test] = &[
    ("info_is_what_the_kernel_says", info_is_what_the_kernel_says),
    ("info_fields_select_and_show", info_fields_select_and_show),
    ("info_in_text_as_ss_has_it", info_in_text_as_ss_has_it),
    ("devices_that_are_not_known_are_said_to_be", devices_that_are_not_known_are_said_to_be),
    ("what_may_not_be_asked_for_is_named", what_may_not_be_asked_for_is_named),
];

/// A connection with payload sent and read, at rest.
fn exchanged() -> (TcpListener, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(&[7; 5000]).unwrap();
    server.read_exact(&mut [0; 5000]).unwrap();
    server.write_all(&[7; 300]).unwrap();
    client.read_exact(&mut [0; 300]).unwrap();
    // An acknowledgement may be put off.
    at_rest(&client);
    at_rest(&server);
    (listener, client, server)
}

fn output(options: &[&str]) -> String {
    let output = Command::new(netstat_user()).args(options).output().unwrap();
    assert!(output.status.success(), "{options:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn rows(options: &[&str]) -> Vec<Value> {
    output(options).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_port(rows: &[Value], port: u16) -> &Value {
    rows.iter().find(|row| row["local"]["port"] == port && row["state"] == "ESTABLISHED").unwrap()
}

fn inside(test: impl FnOnce() + Send) -> Done {
    if let Some(reason) = missing(Part::Tcp) {
        return Done::Skipped(reason);
    }
    NetNs::new().unwrap().enter(test);
    Done::Passed
}

fn info_is_what_the_kernel_says() -> Done {
    inside(|| {
        let (listener, client, server) = exchanged();
        let _datagram = UdpSocket::bind("127.0.0.1:0").unwrap();
        let ends = [&client, &server];
        let before = ends.map(tcp_info);
        let all = rows(&["-tuan", "--info", "--json", "--no-agent"]);
        for (socket, before) in ends.into_iter().zip(before) {
            let info = &of_port(&all, socket.local_addr().unwrap().port())["info"];
            let own = tcp_info(socket);
            for (name, value) in [
                ("rtt_us", u64::from(own.tcpi_rtt)),
                ("rttvar_us", own.tcpi_rttvar.into()),
                ("cwnd", own.tcpi_snd_cwnd.into()),
                ("mss", own.tcpi_snd_mss.into()),
                ("pmtu", own.tcpi_pmtu.into()),
                ("rto_us", own.tcpi_rto.into()),
                ("retransmits", own.tcpi_total_retrans.into()),
                ("lost", own.tcpi_lost.into()),
                ("segs_in", own.tcpi_segs_in.into()),
                ("segs_out", own.tcpi_segs_out.into()),
            ] {
                assert_eq!(info[name], value, "{name} in {info}");
            }
            let sent = if std::ptr::eq(socket, &client) { (5000, 300) } else { (300, 5000) };
            assert_eq!((&info["bytes_sent"], &info["bytes_received"]), (&sent.0.into(), &sent.1.into()), "{info}");
            // These go on with the clock, and so are between what they were before and what they are now.
            for (name, from, to) in [
                ("last_send_ms", before.tcpi_last_data_sent, own.tcpi_last_data_sent),
                ("last_recv_ms", before.tcpi_last_data_recv, own.tcpi_last_data_recv),
            ] {
                let value = info[name].as_u64().unwrap();
                assert!((from.into()..=to.into()).contains(&value), "{name}: {from} to {to}, {info}");
            }
            let algorithm = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap();
            assert_eq!(info["congestion"], algorithm.trim());
        }
        let port = listener.local_addr().unwrap().port();
        let listening = all.iter().find(|row| row["local"]["port"] == port && row["state"] == "LISTEN").unwrap();
        assert_eq!(listening["info"]["rtt_us"], Value::Null);
        let datagram = all.iter().find(|row| row["proto"] == "udp").unwrap();
        assert!(datagram.get("info").is_none(), "{datagram}");
        assert!(rows(&["-tan", "--json", "--no-agent"]).iter().all(|row| row.get("info").is_none()));
    })
}

fn info_fields_select_and_show() -> Done {
    inside(|| {
        let (_listener, client, server) = exchanged();
        let shown = rows(&[
            "-tan",
            "--no-agent",
            "--json",
            "--where",
            "info.bytes_sent >= 5000",
            "--columns",
            "local.port,info.bytes_sent,info.congestion",
        ]);
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert_eq!(shown[0]["local"]["port"], client.local_addr().unwrap().port());
        assert_eq!(shown[0]["info"]["bytes_sent"], 5000);
        let sorted =
            rows(&["-tn", "--no-agent", "--json", "--sort", "-info.bytes_received", "--columns", "local.port"]);
        assert_eq!(sorted[0]["local"]["port"], server.local_addr().unwrap().port());
    })
}

/// Where sock_diag does not list sockets of a protocol, nothing can be said of their devices and marks.
fn devices_that_are_not_known_are_said_to_be() -> Done {
    if let Some(reason) = missing(Part::Tcp) {
        return Done::Skipped(reason);
    }
    let raw = tables::dump(&mut Channel::open().unwrap(), &DumpRequest::all(Protocol::Raw), |_| {});
    let is_missing = raw.is_err();
    NetNs::new().unwrap().enter(|| {
        let _raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)).unwrap();
        let _listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let run = |words: &[&str]| Command::new(netstat_user()).args(words).args(["--no-agent"]).output().unwrap();
        for (words, is_known) in [
            (&["-wan", "--where", "dev != lo"][..], !is_missing),
            (&["-wan", "--where", "not fwmark = 3"], !is_missing),
            (&["-wan", "--count-by", "dev"], !is_missing),
            (&["-tan", "--where", "not fwmark = 3"], true),
            (&["-twan", "--where", "dev != lo and proto = tcp"], true),
        ] {
            let output = run(words);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(i32::from(!is_known)), "{words:?}: {output:?}");
            assert_eq!(said.contains("dev and fwmark of raw sockets are null"), !is_known, "{words:?}: {said}");
        }
        // The network belongs to another user namespace than the one in which this root has its rights.
        let words = ["-Ur", netstat_user().to_str().unwrap(), "-tan", "--no-agent", "--where", "not fwmark = 3"];
        match Command::new("unshare").args(words).output() {
            Ok(output) if output.status.code() == Some(1) => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(said.contains("fwmark is null") || said.starts_with("unshare: "), "{said}");
            }
            Ok(output) => panic!("{output:?}"),
            Err(_) => {}
        }
    });
    Done::Passed
}

/// A user may read the tables of a namespace that a process of their own is in, and not enter it.
fn what_may_not_be_asked_for_is_named() -> Done {
    const NOBODY: u32 = 65_534;
    if let Some(reason) = missing(Part::Tcp) {
        return Done::Skipped(reason);
    }
    let namespace = NetNs::new().unwrap();
    let (_held, _paths, mut sleep) = namespace.enter(|| {
        let sleep = Command::new("sleep").arg("60").uid(NOBODY).gid(NOBODY).spawn().unwrap();
        (exchanged(), UnixStream::pair().unwrap(), sleep)
    });
    let inode = namespace.inode().unwrap().to_string();
    let ended = |options: &[&str]| {
        let mut command = Command::new(netstat_user());
        command.uid(NOBODY).gid(NOBODY).args(["-an", "--json", "--no-agent", "--netns", &inode]).args(options);
        command.output().unwrap()
    };
    let shown = [["-t", "--columns", "local.port,info.rtt_us"], ["-x", "--columns", "inode,peer.pid"]].map(|options| {
        let output = ended(&options);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    });
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    for ((rows, said), lacks) in shown.into_iter().zip(["is left out", "are null"]) {
        assert!(rows.lines().count() >= 2 && rows.lines().all(|row| row.contains("null}")), "{rows}");
        let why = format!("network namespace `{inode}' cannot be entered: ");
        assert_eq!(said.lines().filter(|line| line.contains(&why) && line.contains(lacks)).count(), 1, "{said}");
    }
    Done::Passed
}

fn info_in_text_as_ss_has_it() -> Done {
    let Ok(ss) = Command::new("ss").arg("-V").output() else { return Done::Skipped("ss is not installed".to_owned()) };
    assert!(ss.status.success());
    inside(|| {
        let _held = exchanged();
        let lines = |text: String| -> Vec<Vec<String>> {
            let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
            text.lines().filter(|line| line.starts_with('\t')).map(words).collect()
        };
        let ours = lines(output(&["-tn", "--info", "--no-agent"]));
        let theirs = Command::new("ss").args(["-tniH"]).output().unwrap();
        let theirs = lines(String::from_utf8(theirs.stdout).unwrap());
        assert_eq!((ours.len(), theirs.len()), (2, 2));
        for line in &ours {
            let find = |name: &str| line.iter().find(|word| word.starts_with(&format!("{name}:"))).cloned();
            let same =
                theirs.iter().find(|other| find("bytes_sent").is_some_and(|word| other.contains(&word))).unwrap();
            // What does not change while nothing is sent.
            for name in
                ["rto", "rtt", "mss", "pmtu", "advmss", "cwnd", "bytes_sent", "bytes_received", "segs_in", "segs_out"]
            {
                assert!(same.contains(&find(name).unwrap()), "{name}: {line:?} and {same:?}");
            }
            assert_eq!(line[0], same[0], "the congestion algorithm");
        }
    })
}
