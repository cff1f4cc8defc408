//! The classic tables from the agent and from the kernel: the same bytes.

use crate::agent::Agent;
use crate::churn::Place;
use netstat_tests::command::{self, Outcome};
use netstat_tests::programs;
use netstat_tests::truth::made::{self, Family, Pair};
use netstat_tests::truth::runner::{self, Done, Test};
use netstat_tests::truth::scale::patience;
use netstat_user::query::Request;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

pub const TESTS: &[Test] = &[
    ("same::bytes_with_and_without_the_agent", bytes_with_and_without_the_agent),
    ("same::one_request_brings_the_rows_of_a_process_and_its_holders", one_request),
    ("same::no_row_is_read_twice_to_name_the_option_that_lists_more", no_row_twice),
];

const TABLES: [&str; 18] = [
    "-tan", "-tuan", "-tapen", "-tuapen", "-l", "-tlnp", "-an", "-uan", "-wan", "-tuwan", "-6an", "-4an", "-tanW",
    "-tn", "-s", "-axn", "-anp", "-tanee",
];

/// Sockets at rest, and of every kind.
fn zoo() -> Vec<Box<dyn std::any::Any + Send>> {
    let mut keep: Vec<Box<dyn std::any::Any + Send>> = Vec::new();
    for family in Family::ALL {
        let listener = made::listener(family);
        for _ in 0..5 {
            let Pair { client, server, .. } = Pair::new(family, &listener);
            keep.push(Box::new((client, server)));
        }
        keep.push(Box::new(listener));
    }
    for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
        let address: SocketAddr = address.parse().unwrap();
        let domain = Domain::for_address(address);
        let udp = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        udp.bind(&address.into()).unwrap();
        let raw = if address.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
        keep.push(Box::new((udp, Socket::new(domain, Type::RAW, Some(raw)).unwrap())));
    }
    keep
}

fn run(line: &str, how: &[&str]) -> Outcome {
    let mut command = Command::new(programs::netstat_user());
    command.args(line.split_whitespace()).args(how);
    command::run(&mut command, None, patience()).unwrap()
}

/// The lines that name this namespace.
fn only(netns: &str, text: &[u8]) -> Vec<u8> {
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    lines.filter(|line| String::from_utf8_lossy(line).contains(netns)).flatten().copied().collect()
}

fn bytes_with_and_without_the_agent() -> Done {
    let place = Place::new();
    let agent = Agent::start(&[]);
    let socket = agent.socket.to_str().unwrap();
    let mut lines: Vec<String> = TABLES.iter().map(|line| (*line).to_owned()).collect();
    lines.extend(TABLES.iter().map(|line| format!("{line} --json")));
    lines.extend(["-tuapen --all-netns", "-tan --all-netns --json"].map(str::to_owned));
    place.namespace.enter(|| {
        let zoo = zoo();
        for line in &lines {
            let deadline = Instant::now() + patience();
            loop {
                let mut outcomes =
                    [run(line, &["--no-agent"]), run(line, &["--agent", socket]), run(line, &["--no-agent"])];
                if line.contains("--all-netns") {
                    // Other namespaces are not as quiet.
                    outcomes.iter_mut().for_each(|outcome| outcome.stdout = only(&place.netns.to_string(), &outcome.stdout));
                }
                let [direct, asked, after] = outcomes;
                if direct == asked {
                    break;
                }
                // Timers run, and other processes open UNIX sockets: only what the kernel says before and after alike can be compared.
                assert!(Instant::now() < deadline, "netstat-user {line}: the table never stood still");
                if direct == after {
                    let text = |outcome: &Outcome| String::from_utf8_lossy(&outcome.stdout).into_owned();
                    let (direct_text, asked_text) = (text(&direct), text(&asked));
                    let differ = direct_text.lines().zip(asked_text.lines()).find(|(direct, asked)| direct != asked);
                    let [direct, asked] = [direct, asked].map(|outcome| (outcome.end, outcome.stdout.len(), outcome.stderr));
                    panic!("netstat-user {line}: {direct:?} with --no-agent, {asked:?} with --agent; the first other line: {differ:#?}");
                }
            }
        }
        drop(zoo);
    });
    runner::note(format!("the same bytes with and without the agent: {} command lines", lines.len()));
    agent.stop();
    place.leave();
    Done::Passed
}

/// Passes requests on to the agent behind `to` and its answers back, and hands over what was asked.
fn overheard(at: &Path, to: &Path) -> Receiver<Request> {
    let (listener, to) = (UnixListener::bind(at).unwrap(), to.to_owned());
    let (requests, heard) = mpsc::channel();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut head = [0; 4];
            client.read_exact(&mut head).unwrap();
            let mut body = vec![0; u32::from_le_bytes(head) as usize];
            client.read_exact(&mut body).unwrap();
            let mut agent = UnixStream::connect(&to).unwrap();
            agent.write_all(&[&head[..], &body].concat()).unwrap();
            // The test may have ended.
            let _ = requests.send(Request::decode(body.into()).unwrap());
            thread::spawn(move || io::copy(&mut agent, &mut client));
        }
    });
    heard
}

/// What `netstat-user LINE` prints while this process listens, the same with and without an agent, and what it asks the agent.
fn asked(line: &str) -> (Outcome, Vec<Request>) {
    let place = Place::new();
    let agent = Agent::start(&[]);
    let between = agent.socket.with_extension("between");
    let heard = overheard(&between, &agent.socket);
    let outcome = place.namespace.enter(|| {
        let listener = made::listener(Family::ALL[0]);
        let hows = ["--no-agent".into(), format!("--agent={}", between.display())];
        let [direct, asked] = hows.map(|how| run(line, &[&how]));
        assert_eq!(asked, direct, "netstat-user {line}");
        drop(listener);
        asked
    });
    std::fs::remove_file(between).unwrap();
    agent.stop();
    place.leave();
    (outcome, heard.try_iter().collect())
}

/// The agent looks into the processes once for a question by process: the holders of the rows that are left come with them.
fn one_request() -> Done {
    let (outcome, requests) = asked(&format!("-tanp --pid {}", std::process::id()));
    let held = format!("{}/", std::process::id());
    assert!(String::from_utf8_lossy(&outcome.stdout).contains(&held), "{outcome:?}");
    assert!(matches!(&requests[..], [Request::Rows { holders: true, .. }]), "{requests:?}");
    Done::Passed
}

/// Where nothing with a peer is selected, -a is named if it would list more: what that could be is read, and nothing else.
fn no_row_twice() -> Done {
    let (outcome, requests) = asked(&format!("-tnp --pid {}", std::process::id()));
    assert!(String::from_utf8_lossy(&outcome.stderr).contains("with -a those without"), "{outcome:?}");
    let peers = requests.iter().map(|request| match request {
        Request::Rows { wanted, .. } => wanted.peer,
        other => panic!("{other:?} is asked, too"),
    });
    assert_eq!(peers.collect::<Vec<_>>(), [Some(true), Some(false)], "{requests:?}");
    Done::Passed
}
