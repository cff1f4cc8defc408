//! Rows of the table in corners: of processes that rename themselves, of sockets that change their family, of more sockets than the
//! kernel programs remember.

use crate::agent::Agent;
use crate::kernel::{self, Row};
use crate::stage;
use netstat_tests::command::{self, End};
use netstat_tests::netns::NetNs;
use netstat_tests::programs;
use netstat_tests::truth::actor::{self, Actor};
use netstat_tests::truth::made::{self, Family, Made};
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::{self, patience};
use nix::libc;
use serde_json::Value;
use socket2::{Domain, SockAddr};
use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Command;

pub const TESTS: &[Test] = &[
    ("corner_rows::who_renames_itself", who_renames_itself),
    ("corner_rows::what_becomes_ipv4_is_listed_as_such", what_becomes_ipv4_is_listed_as_such),
    ("corner_rows::what_becomes_ipv4_is_told_as_such", what_becomes_ipv4_is_told_as_such),
    ("corner_rows::more_sockets_than_are_remembered", more_sockets_than_are_remembered),
];

/// Standard output of `netstat-user ARGS`.
fn said(args: &[&str]) -> String {
    let mut command = Command::new(programs::netstat_user());
    let outcome = command::run(command.args(args), None, patience()).unwrap();
    assert_eq!(outcome.end, End::Exit(0), "{outcome:?}");
    String::from_utf8(outcome.stdout).unwrap()
}

/// A process whose name in the command line is one thing, and its name now another.
fn who_renames_itself() -> Done {
    let namespace = NetNs::new().unwrap();
    let mut renamer = namespace.enter(|| Actor::start(actor::named("first-name", "rename", &["second-name"])));
    let pid: u32 = renamer.hear();
    let agent = Agent::start(&[]);
    let socket = agent.socket.to_str().unwrap();
    let owners = || -> Vec<(String, Value)> {
        namespace.enter(|| {
            ["-tanp", "-xanp", "-tuanp"]
                .into_iter()
                .flat_map(|table| {
                    let [direct, asked] = [&["--no-agent"][..], &["--agent", socket]]
                        .map(|how| said(&[&[table, "--json"], how].concat()));
                    assert_eq!(direct, asked, "{table} with and without the agent");
                    assert!(!direct.is_empty(), "{table} is empty");
                    let rows = direct.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
                    rows.map(|row| (table.to_owned(), row["owners"].clone())).collect::<Vec<_>>()
                })
                .collect()
        })
    };
    let named = |comm: &str| {
        let wanted = serde_json::json!([{ "pid": pid, "program": "first-name", "comm": comm }]);
        for (table, owners) in owners() {
            assert_eq!(owners, wanted, "{table}");
        }
    };
    named("first-name");
    renamer.nudge();
    assert_eq!(renamer.hear::<String>(), "renamed");
    named("second-name");
    renamer.end();
    agent.stop();
    Done::Passed
}

/// `IPV6_ADDRFORM` of `include/uapi/linux/in6.h`.
const IPV6_ADDRFORM: libc::c_int = 1;

/// An IPv6 socket, connected to an IPv4 address by way of a mapped one, that then becomes an IPv4 socket (ipv6(7)); and its other end.
fn becomes_ipv4() -> (TcpStream, TcpStream, Made) {
    let listener = made::listener(Family::V4);
    let port = listener.local_addr().unwrap().port();
    let socket = made::tcp(Domain::IPV6);
    let to: SocketAddr = (Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port).into();
    socket.connect(&SockAddr::from(to)).unwrap();
    let before = Made::of(&socket);
    assert_eq!(before.proto, "tcp6");
    let family = libc::AF_INET;
    let length = size_of_val(&family) as libc::socklen_t;
    // SAFETY: the kernel reads an int of the length given.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IPV6, IPV6_ADDRFORM, (&raw const family).cast(), length)
    };
    assert_eq!(result, 0, "IPV6_ADDRFORM: {}", std::io::Error::last_os_error());
    let (server, _) = listener.accept().unwrap();
    let after = Made::of(&socket);
    assert_eq!((after.proto.as_str(), after.cookie), ("tcp", before.cookie));
    (socket.into(), server, after)
}

fn what_becomes_ipv4_is_listed_as_such() -> Done {
    let namespace = NetNs::new().unwrap();
    let netns = namespace.inode().unwrap();
    let inhabitant = namespace.enter(|| Actor::start(actor::named("inhabitant", "keep", &[])));
    let agent = Agent::start(&[]);
    namespace.enter(|| {
        let (mut client, server, made) = becomes_ipv4();
        let listed = |rows: &[Row]| rows.iter().filter(|row| row.inode == made.inode).cloned().collect::<Vec<_>>();
        let rows = listed(&stage::equal(&agent, netns, "after IPV6_ADDRFORM"));
        assert_eq!(rows.iter().map(|row| row.proto.as_str()).collect::<Vec<_>>(), ["tcp"], "{}", made.name());
        client.write_all(b"still here").unwrap();
        // An event of the socket, which the table takes in.
        server.shutdown(Shutdown::Write).unwrap();
        let closing = || listed(&kernel::lists()).iter().any(|row| row.state == "CLOSE_WAIT");
        while !closing() {
            std::thread::yield_now();
        }
        let rows = listed(&stage::equal(&agent, netns, "after an event"));
        assert_eq!(rows.iter().map(|row| row.proto.as_str()).collect::<Vec<_>>(), ["tcp"], "{}", made.name());
    });
    inhabitant.end();
    agent.stop();
    Done::Passed
}

/// This is the kernel programs' part: what they remember of the socket is of before, and its records say so until they look again.
fn what_becomes_ipv4_is_told_as_such() -> Done {
    let namespace = NetNs::new().unwrap();
    let agent = Agent::start(&[]);
    let mut tracer = agent.events(&["--netns", &namespace.inode().unwrap().to_string()]);
    let made = namespace.enter(|| {
        let (client, server, made) = becomes_ipv4();
        drop(client);
        drop(server);
        made
    });
    tracer.wait_closed([&made]);
    let outcome = tracer.finish();
    let of_it = || outcome.events.iter().filter(|event| event.cookie == Some(made.cookie));
    assert!(of_it().any(|event| event.proto == "tcp6"), "it began as IPv6: {outcome:?}");
    let ended = of_it().skip_while(|event| !event.line.contains("\"new_state\":\"FIN_WAIT1\""));
    let mut count = 0;
    for event in ended {
        count += 1;
        assert_eq!(event.proto, "tcp", "after IPV6_ADDRFORM: {event:?}");
        assert!(event.line.contains("\"addr\":\"127.0.0.1\""), "{event:?}");
    }
    assert!(count >= 3, "only {count} events of its end");
    agent.stop();
    Done::Passed
}

/// The agent says so at once, and `doctor` finds it bad and says what mends it.
fn more_sockets_than_are_remembered() -> Done {
    if scale::scale() < 1.0 {
        return Done::Skipped("an emulated machine takes too long to make so many sockets".into());
    }
    let agent = Agent::start(&["--remember", "1"]);
    let mut actors: Vec<Actor> =
        (0..6).map(|_| Actor::start(actor::named("agents-hoarder", "hoard", &["15000"]))).collect();
    for actor in &mut actors {
        assert!(!actor.hear::<Vec<Made>>().is_empty());
    }
    let status = agent.wait("a socket that is forgotten", |status| status.forgotten > 0);
    let mut command = Command::new(programs::netstat_user());
    let outcome =
        command::run(command.args(["doctor", "--json", "--agent"]).arg(&agent.socket), None, patience()).unwrap();
    assert_eq!(outcome.end, End::Exit(1), "{status:?} {outcome:?}");
    let report = String::from_utf8(outcome.stdout).unwrap();
    let mut rows = report.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let check = rows.find(|row| row["name"] == "forgotten").unwrap_or_else(|| panic!("no word of it: {report}"));
    assert_eq!(check["level"], "bad", "{check}");
    assert!(check["mend"].as_str().is_some_and(|mend| mend.contains("--remember ")), "{check}");
    // While it runs, and again at its end: the last ones may be newer than the last look.
    let line = agent.hear("could not be remembered");
    actors.into_iter().for_each(Actor::end);
    let said = agent.stop();
    let last = said.iter().find(|line| line.contains("could not be remembered"));
    for line in [Some(&line), last] {
        assert!(line.is_some_and(|line| line.contains("agent: ") && line.contains("--remember")), "{line:?} {said:?}");
    }
    Done::Passed
}
