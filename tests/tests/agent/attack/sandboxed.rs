//! Users in namespaces of their own, whose numbers are given to other namespaces as soon as they have ended.

use super::{STRANGER, open_to_all};
use crate::agent::{Reader, ask};
use crate::attack::rights::Seen;
use netstat_tests::netns::NetNs;
use netstat_tests::truth::actor::{self, Actor, listen_up, say};
use netstat_tests::truth::runner::{Done, Test};
use netstat_user::model::Limits;
use netstat_user::query::{Answer, Request};
use nix::sched::{CloneFlags, unshare};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use std::collections::HashMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("attack::a_reader_that_stops_sees_no_later_namespace", a_reader_that_stops_sees_no_later_namespace),
    ("attack::a_sandbox_sees_nothing_outside", a_sandbox_sees_nothing_outside),
    ("attack::a_witness_that_comes_back_sees_no_foreign_history", a_witness_that_comes_back_sees_no_foreign_history),
];

pub fn as_stranger(role: &str, arguments: &[&str]) -> Command {
    let mut command = actor::named("stranger", role, arguments);
    command.uid(STRANGER).gid(STRANGER);
    command
}

/// The same, in namespaces of its own.
pub fn apart(role: &str, arguments: &[&str], flags: CloneFlags) -> Actor {
    let mut command = as_stranger(role, arguments);
    // SAFETY: the closure makes a system call only.
    unsafe { command.pre_exec(move || Ok(unshare(flags)?)) };
    Actor::start(command)
}

/// Whether a user may have a user namespace here.
pub fn may_unshare() -> bool {
    let mut command = Command::new("unshare");
    command.args(["-U", "true"]).uid(STRANGER).gid(STRANGER).status().is_ok_and(|status| status.success())
}

/// The network namespace that gets a number which has just come free, and those that keep lower numbers taken; `None` where none gets it in time.
pub fn next_with(number: u64) -> Option<(NetNs, Vec<NetNs>)> {
    let mut others = Vec::new();
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        let namespace = NetNs::new().unwrap();
        if namespace.inode().unwrap() == number {
            return Some((namespace, others));
        }
        others.push(namespace);
        // It takes the kernel a moment to end one.
        thread::sleep(Duration::from_millis(50));
    }
    None
}

/// A connection of root's that ends; returns its port.
fn connect_once(namespace: &NetNs) -> u16 {
    namespace.enter(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        drop((listener.accept().unwrap(), client));
        listener.local_addr().unwrap().port()
    })
}

/// Subscribes, and reads no further before a nudge; then says how many events each user's sockets had until nothing more came for a while, and the
/// ports of root's.
pub fn freeze(path: &str) {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let mut reader = Reader::new(stream, &Request::Events(Limits::default())).unwrap();
    while !matches!(reader.next().unwrap(), Some(Answer::End)) {}
    say(&"subscribed");
    listen_up();
    let (mut events, mut ports) = (HashMap::<u32, usize>::new(), Vec::new());
    while let Ok(Some(answer)) = reader.next() {
        if let Answer::Event(event) = answer {
            *events.entry(event.uid.unwrap_or(u32::MAX)).or_default() += 1;
            // A number may be a port of the stranger's in their namespace, too.
            if event.uid != Some(STRANGER) {
                ports.extend([event.local, event.remote].into_iter().flatten().filter_map(|end| end.port));
            }
        }
    }
    say(&(events, ports));
    listen_up();
}

/// What is sent to a reader that stops reading is of its own namespace, and of none that gets the number while it does not read.
fn a_reader_that_stops_sees_no_later_namespace() -> Done {
    let agent = open_to_all(&[]);
    let theirs = NetNs::new().unwrap();
    let number = theirs.inode().unwrap();
    let witness = theirs.enter(|| Actor::start(as_stranger("keep", &[])));
    let mut reader = Actor::start(as_stranger("freeze", &[agent.socket.to_str().unwrap()]));
    let _: String = reader.hear();
    // More than fits into the socket.
    let before = agent.status().events;
    let mut filler = theirs.enter(|| Actor::start(as_stranger("blink", &["6000"])));
    let _: String = filler.hear();
    agent.wait("the stranger's sockets", |status| status.events >= before + 12_000);
    // All of it is looked at while the namespace is there.
    thread::sleep(Duration::from_secs(4));
    filler.end();
    witness.end();
    drop(theirs);
    let Some((roots, _lower)) = next_with(number) else {
        return Done::Skipped("no namespace gets the number again".into());
    };
    // Long enough for each reader to be looked at.
    thread::sleep(Duration::from_secs(5));
    let port = connect_once(&roots);
    thread::sleep(Duration::from_millis(500));
    reader.nudge();
    let (events, ports): (HashMap<u32, usize>, Vec<u16>) = reader.hear();
    assert!(events.get(&STRANGER).is_some_and(|&count| count > 11_000), "{events:?}");
    assert!(!ports.contains(&port), "a connection of root's in another namespace with the number");
    reader.end();
    agent.stop();
    Done::Passed
}

/// Lets nobody but root look into this process.
pub fn hide() {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable).unwrap();
}

/// Who is in a user namespace of their own is shown no network namespace outside, and lends nobody their own.
fn a_sandbox_sees_nothing_outside() -> Done {
    let agent = open_to_all(&[]);
    let path = agent.socket.to_str().unwrap();
    let own = u32::try_from(NetNs::current().unwrap().inode().unwrap()).unwrap();
    if !may_unshare() {
        return Done::Skipped("no user namespace to be had".into());
    }
    let elsewhere = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET;
    let mut sandbox = apart("look-hidden", &[path, &own.to_string()], elsewhere);
    let seen: Seen = sandbox.hear();
    let theirs = fs::metadata(format!("/proc/{}/ns/net", sandbox.pid())).unwrap();
    let theirs = std::os::unix::fs::MetadataExt::ino(&theirs) as u32;
    assert_eq!((&seen.namespaces[..], seen.refused), (&[theirs][..], true), "{seen:?}");
    assert!(seen.ended_in.iter().all(|&netns| netns == theirs), "{seen:?}");
    // Another process of the user, at once: it may not look into the sandbox's.
    let mut outside = Actor::start(as_stranger("look", &[path, &theirs.to_string()]));
    let seen: Seen = outside.hear();
    assert_eq!((&seen.namespaces[..], seen.refused), (&[own][..], true), "{seen:?}");
    outside.end();
    sandbox.end();
    agent.stop();
    Done::Passed
}

/// Goes to a network namespace of its own, says its number and the ports of what ended there; at a nudge goes to another one, and then as often to a
/// new one as it takes to get the number again; says whether it did, and the ports once more.
pub fn wander(path: &str) {
    let number = || NetNs::current().unwrap().inode().unwrap() as u32;
    let go = || {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).unwrap();
        // Who has a number may make the next one.
        fs::write("/proc/self/setgroups", "deny").unwrap();
        fs::write("/proc/self/uid_map", format!("{STRANGER} {STRANGER} 1")).unwrap();
        fs::write("/proc/self/gid_map", format!("{STRANGER} {STRANGER} 1")).unwrap();
    };
    // Who has capabilities may not be looked into.
    let settle = || {
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).unwrap();
    };
    let ended = |netns: u32| -> Vec<u16> {
        let table = Request::Table { live: true, recent_ns: u64::MAX, netns: Some(netns), age_ns: 0, only: None };
        let closed = ask(path, &table).into_iter().filter_map(|answer| match answer {
            Answer::Closed(closed) => Some([closed.socket.local, closed.socket.remote]),
            Answer::Refused(denial) => panic!("{denial:?}"),
            _ => None,
        });
        closed.flatten().flatten().filter_map(|end| end.port).collect()
    };
    go();
    settle();
    let first = number();
    say(&(first, ended(first)));
    listen_up();
    go();
    say(&"left");
    listen_up();
    let is_back = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(50));
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        number() == first
    });
    settle();
    say(&(is_back, if is_back { ended(first) } else { Vec::new() }));
    listen_up();
}

/// A process that was in a namespace, left it, and is in another one with its number, is shown nothing that ended in a third one in between.
fn a_witness_that_comes_back_sees_no_foreign_history() -> Done {
    if !may_unshare() {
        return Done::Skipped("no user namespace to be had".into());
    }
    let agent = open_to_all(&[]);
    // Whoever else makes namespaces meanwhile may get the number.
    for _ in 0..5 {
        let mut wanderer = Actor::start(as_stranger("wander", &[agent.socket.to_str().unwrap()]));
        let (number, ended): (u32, Vec<u16>) = wanderer.hear();
        assert!(ended.is_empty(), "{ended:?}");
        wanderer.nudge();
        let _: String = wanderer.hear();
        let Some((roots, _lower)) = next_with(u64::from(number)) else { continue };
        let before = agent.status().events;
        let port = connect_once(&roots);
        agent.wait("root's connection", |status| status.events > before + 3);
        drop(roots);
        thread::sleep(Duration::from_millis(500));
        wanderer.nudge();
        let (is_back, ended): (bool, Vec<u16>) = wanderer.hear();
        wanderer.end();
        if is_back {
            assert!(!ended.contains(&port), "what root's connection left in another namespace: {ended:?}");
            agent.stop();
            return Done::Passed;
        }
    }
    Done::Skipped("no namespace gets the number a third time".into())
}
