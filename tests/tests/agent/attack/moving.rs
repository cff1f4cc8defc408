//! Processes that are not where they were found: that go to and fro between network namespaces, or whose first thread has ended.

use super::open_to_all;
use netstat_tests::command::{self, End};
use netstat_tests::netns::NetNs;
use netstat_tests::programs;
use netstat_tests::truth::actor::{self, Actor, listen_up, say};
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::{count, patience};
use nix::libc;
use nix::sched::{CloneFlags, setns, unshare};
use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("attack::a_process_that_goes_to_and_fro_hides_no_socket", a_process_that_goes_to_and_fro_hides_no_socket),
    ("attack::sockets_of_a_process_without_its_first_thread", sockets_of_a_process_without_its_first_thread),
];

/// Listeners in the calling thread's namespace, and their ports.
fn listeners() -> (Vec<TcpListener>, Vec<u16>) {
    let listeners: Vec<_> = (0..5).map(|_| TcpListener::bind("0.0.0.0:0").unwrap()).collect();
    let ports = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
    (listeners, ports)
}

/// The actor that stays: listens on some ports, and says which.
pub fn rest() {
    let (_listeners, ports) = listeners();
    say(&ports);
    listen_up();
}

/// The actor that goes: starts one that stays in a namespace of its own, and says that one's number and ports. At a nudge it goes out of it and back again and
/// again, to the end of its input.
pub fn roam() {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    let first = NetNs::current().unwrap();
    let mut rests = Actor::start(actor::named("rests", "rest", &[]));
    let ports: Vec<u16> = rests.hear();
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    let second = NetNs::current().unwrap();
    say(&(first.inode().unwrap(), ports));
    listen_up();
    let is_over = Arc::new(AtomicBool::new(false));
    let ends = thread::spawn({
        let is_over = Arc::clone(&is_over);
        move || {
            listen_up();
            is_over.store(true, Ordering::Relaxed);
        }
    });
    while !is_over.load(Ordering::Relaxed) {
        for place in [&first, &second] {
            setns(place.file(), CloneFlags::CLONE_NEWNET).unwrap();
            thread::sleep(Duration::from_micros(300));
        }
    }
    ends.join().unwrap();
    rests.end();
}

/// The actor whose first thread ends: another one listens in a namespace of its own, and says its number and the ports.
pub fn leaderless() {
    thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let (_listeners, ports) = listeners();
        say(&(NetNs::current().unwrap().inode().unwrap(), ports));
        listen_up();
        std::process::exit(0);
    });
    // SAFETY: ends the calling thread alone (exit(2)), which holds nothing that another one waits for.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}

/// The namespaces and ports of the rows on these ports, each as often as it is listed.
fn listed(ports: &[u16], args: &[&str]) -> Vec<(u64, u16)> {
    let mut command = Command::new(programs::netstat_user());
    let outcome = command::run(command.args(["-tln", "--json"]).args(args), None, patience()).unwrap();
    assert!(outcome.end == End::Exit(0) && outcome.stderr.is_empty(), "{args:?}: {outcome:?}");
    let rows = outcome.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let rows = rows.map(|row| serde_json::from_slice::<serde_json::Value>(row).unwrap());
    let place = |row: serde_json::Value| {
        let port = u16::try_from(row["local"]["port"].as_u64()?).ok().filter(|port| ports.contains(port))?;
        Some((row["netns"].as_u64()?, port))
    };
    let mut all: Vec<_> = rows.filter_map(place).collect();
    all.sort_unstable();
    all
}

/// Looks at a namespace by its number, and among all: by agents that may enter it and may not, and without one.
fn ways(netns: u64, look: impl Fn(&[&str])) {
    let agents = ["full", "least"].map(|level| open_to_all(&["--privileges", level]));
    for space in [&["--all-netns"][..], &["--netns", &netns.to_string()]] {
        look(&[space, &["--no-agent"]].concat());
        for agent in &agents {
            look(&[space, &["--agent", agent.socket.to_str().unwrap()]].concat());
        }
    }
    for agent in agents {
        agent.stop();
    }
}

/// Each socket at rest is listed once, in the namespace it is in, whatever the process does that this one was found by.
fn a_process_that_goes_to_and_fro_hides_no_socket() -> Done {
    let mut roams = Actor::start(actor::named("roams", "roam", &[]));
    let (netns, ports): (u64, Vec<u16>) = roams.hear();
    roams.nudge();
    let expected: Vec<_> = ports.iter().map(|&port| (netns, port)).collect::<BTreeSet<_>>().into_iter().collect();
    ways(netns, |args| {
        for _ in 0..count(30) {
            assert_eq!(listed(&ports, args), expected, "{args:?}");
        }
    });
    roams.end();
    Done::Passed
}

/// A namespace in which only threads of a process are whose first one has ended.
fn sockets_of_a_process_without_its_first_thread() -> Done {
    let mut actor = Actor::start(actor::named("leaderless", "leaderless", &[]));
    let (netns, ports): (u64, Vec<u16>) = actor.hear();
    let (first, until) = (format!("/proc/{}/ns/net", actor.pid()), Instant::now() + patience());
    while fs::metadata(&first).is_ok() {
        assert!(Instant::now() < until, "the first thread does not end");
        thread::sleep(Duration::from_millis(5));
    }
    let expected: Vec<_> = ports.iter().map(|&port| (netns, port)).collect::<BTreeSet<_>>().into_iter().collect();
    ways(netns, |args| {
        assert_eq!(listed(&ports, args), expected, "{args:?}");
    });
    actor.end();
    Done::Passed
}
