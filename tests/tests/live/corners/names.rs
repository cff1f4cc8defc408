//! Processes that change their names, and sockets that change their processes.

use super::{ROLE, check_closers, traced};
use crate::actor::{self, Actor};
use crate::check::{self, Book};
use crate::event::Event;
use crate::made::{self, Family, Made};
use crate::runner::{self, Done, Test};
use crate::tracer::{Outcome, now_ns};
use netstat_tests::netns::NetNs;
use socket2::Domain;
use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

pub const TESTS: &[Test] = &[
    ("corners::names_follow_exec", || names_follow("exec", false)),
    ("corners::names_follow_exec_by_a_thread", || names_follow("exec-by-thread", false)),
    ("corners::names_follow_exec_of_older_processes", || names_follow("exec", true)),
    ("corners::names_follow_a_renaming", || names_follow("rename", false)),
    ("corners::names_follow_a_renaming_of_older_processes", || names_follow("rename", true)),
    ("corners::threads_rename_only_themselves", threads_rename_only_themselves),
    ("corners::sockets_passed_on_as_rights", || passed_on("rights")),
    ("corners::sockets_passed_on_by_pidfd", || passed_on("pidfd")),
];

const OLD: &str = "the-old-name";
const NEW: &str = "the-new-name";

/// What an actor has made: a connection, a UDP socket and a listener.
struct Named {
    actor: Actor,
    made: Vec<Made>,
    /// When it had made them.
    made_ns: u64,
}

impl Named {
    fn start(how: &str, listener: &TcpListener) -> Self {
        let to = listener.local_addr().unwrap().to_string();
        // So that there is a program of this name.
        actor::named(NEW, ROLE, &[]);
        let mut actor = Actor::start(actor::named(OLD, ROLE, &["name", how, NEW, &to]));
        let made: Vec<Made> = actor.hear();
        assert!(made.iter().all(|made| made.comm == OLD));
        Self { actor, made, made_ns: now_ns() }
    }
}

/// The events of a socket that come after a time carry this name and this process; those before another one.
fn check_names(outcome: &Outcome, named: &Named, renamed_ns: u64, new: &str) {
    let book = Book::new(&outcome.events);
    let mut wrong = Vec::new();
    let mut seen_after = 0;
    for made in &named.made {
        for event in book.of(made) {
            let wanted = match event.time_ns {
                time if time < named.made_ns => OLD,
                time if time > renamed_ns => new,
                _ => continue,
            };
            seen_after += usize::from(event.time_ns > renamed_ns);
            if (event.pid, event.comm.as_deref()) != (Some(named.actor.pid()), Some(wanted)) {
                wrong.push(format!("not {wanted}: {}", event.line));
            }
        }
    }
    assert!(seen_after >= named.made.len(), "only {seen_after} events after the renaming");
    assert!(wrong.is_empty(), "{} wrong, the first:\n  {}", wrong.len(), wrong[..wrong.len().min(3)].join("\n  "));
}

/// A process makes sockets, and has another name afterwards.
fn names_follow(how: &str, older: bool) -> Done {
    let namespace = NetNs::new().unwrap();
    let start = || {
        namespace.enter(|| {
            let listener = made::listener(Family::V4);
            let named = Named::start(how, &listener);
            (named, listener.accept().unwrap().0, listener)
        })
    };
    let before = older.then(&start);
    let mut tracer = traced(&namespace, &[]);
    let (mut named, mut server, _listener) = before.unwrap_or_else(start);
    if older {
        named.made_ns = 0;
    }
    named.actor.nudge();
    let now: Vec<Made> = named.actor.hear();
    assert!(now.iter().zip(&named.made).all(|(now, was)| now.comm == NEW && now.cookie == was.cookie));
    let renamed_ns = now_ns();
    // A connection that comes to its listener now.
    let to = named.made[2].local.unwrap();
    let visitor = namespace.enter(|| made::connect(Domain::IPV4, to).unwrap());
    named.actor.nudge();
    let accepted: Vec<Made> = named.actor.hear();
    let ended: Vec<(Made, u32)> =
        named.made.iter().chain(&accepted).map(|made| (made.clone(), named.actor.pid())).collect();
    named.made.extend(accepted);
    named.actor.nudge();
    assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
    drop((server, visitor));
    tracer.wait_closed(&named.made);
    let outcome = tracer.finish();
    check::stream(&outcome);
    check_names(&outcome, &named, renamed_ns, NEW);
    named.actor.end();
    check_closers(&outcome, &ended.iter().map(|(made, pid)| (made, *pid, NEW)).collect::<Vec<_>>());
    Done::Passed
}

/// A thread that is not the first one has a name of its own, which is not the process's.
fn threads_rename_only_themselves() -> Done {
    let namespace = NetNs::new().unwrap();
    let mut tracer = traced(&namespace, &[]);
    let (named, server, _listener) = namespace.enter(|| {
        let listener = made::listener(Family::V4);
        let mut named = Named::start("rename-thread", &listener);
        named.actor.nudge();
        named.actor.hear::<Vec<Made>>();
        (named, listener.accept().unwrap(), listener)
    });
    let renamed_ns = now_ns();
    let pid = named.actor.pid();
    let Named { mut actor, made, made_ns } = named;
    actor.nudge();
    actor.hear::<Vec<Made>>();
    actor.nudge();
    drop(server);
    tracer.wait_closed(&made);
    let outcome = tracer.finish();
    let named = Named { actor, made, made_ns };
    check_names(&outcome, &named, renamed_ns, OLD);
    named.actor.end();
    check_closers(&outcome, &named.made.iter().map(|made| (made, pid, OLD)).collect::<Vec<_>>());
    Done::Passed
}

/// Starts a process with the number that another one had; `None` where that cannot be had.
fn with_number(number: u32, name: &str) -> Option<Actor> {
    for _ in 0..200 {
        fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string()).ok()?;
        let actor = Actor::start(actor::named(name, ROLE, &["idle"]));
        if actor.pid() == number {
            return Some(actor);
        }
        actor.end();
    }
    None
}

/// One process makes a connection and gives it to another one, and is gone; its number is used again.
fn passed_on(how: &str) -> Done {
    let namespace = NetNs::new().unwrap();
    let mut tracer = traced(&namespace, &[]);
    let (made, first, second, gone_ns) = namespace.enter(|| {
        let listener = made::listener(Family::V4);
        let to = listener.local_addr().unwrap().to_string();
        let (near, far) = UnixStream::pair().unwrap();
        let (near_fd, far_fd) = (near.as_raw_fd().to_string(), far.as_raw_fd().to_string());
        let mut giver = Actor::start(actor::named("the-giver", ROLE, &["give", &to, &near_fd]));
        let made: Vec<Made> = giver.hear();
        let descriptors: Vec<i32> = giver.hear();
        let (first, numbers) = (giver.pid(), descriptors.iter().map(i32::to_string).collect::<Vec<_>>().join(","));
        let mut taker =
            Actor::start(actor::named("the-taker", ROLE, &["take", how, &far_fd, &first.to_string(), &numbers]));
        giver.nudge();
        assert_eq!(taker.hear::<Vec<Made>>().len(), made.len());
        giver.end();
        drop((near, far));
        let gone_ns = now_ns();
        let again = with_number(first, "the-newcomer");
        if again.is_none() {
            runner::note(format!("{how}: no process got the number {first} again"));
        }
        let second = taker.pid();
        taker.end();
        let (mut server, _) = listener.accept().unwrap();
        assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
        again.into_iter().for_each(Actor::end);
        (made, first, second, gone_ns)
    });
    tracer.wait_closed(&made);
    let outcome = tracer.finish();
    check::stream(&outcome);
    let book = Book::new(&outcome.events);
    let later =
        |made: &Made| book.of(made).into_iter().filter(|event| event.time_ns > gone_ns).collect::<Vec<&Event>>();
    let after: Vec<&Event> = made.iter().flat_map(later).collect();
    assert!(after.len() >= made.len() + 3, "a close each, and the end of a connection: {after:#?}");
    // Whoever has it is its owner; that the first one is unknown to be gone is no reason to name it, or who has its number now.
    let named: Vec<_> = after.iter().filter(|event| event.pid.is_some_and(|pid| pid != second)).collect();
    assert!(
        named.is_empty(),
        "{} events name {first}, which is gone, and not {second}: {}",
        named.len(),
        named[0].line
    );
    check_closers(&outcome, &made.iter().map(|made| (made, second, "the-taker")).collect::<Vec<_>>());
    Done::Passed
}
