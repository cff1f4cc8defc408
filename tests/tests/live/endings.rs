//! How a run ends: by count, by time, by a reader that goes away, and before it begins.

use crate::actor::{self, Actor};
use crate::made::Made;
use crate::runner::{Done, Test};
use crate::scale::{patience, scale};
use crate::tracer::{Tracer, events};
use netstat_tests::command::{self, End};
use netstat_tests::netns::NetNs;
use netstat_tests::programs;
use netstat_tests::truth::readers;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;
use socket2::{Domain, Protocol, Socket, Type};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("endings::after_a_count", after_a_count),
    ("endings::after_a_time", after_a_time),
    ("endings::a_reader_that_leaves", a_reader_that_leaves),
    ("endings::no_room_for_output", no_room_for_output),
    ("endings::a_reader_that_stopped", a_reader_that_stopped),
    ("endings::an_output_that_does_not_wait", an_output_that_does_not_wait),
    ("endings::summary_on_stderr", summary_on_stderr),
    ("endings::interrupted_while_attaching", interrupted_while_attaching),
    ("endings::interrupted_again_and_again", interrupted_again_and_again),
    ("endings::bad_usage_starts_nothing", bad_usage_starts_nothing),
    ("endings::schema_and_help_need_no_rights", schema_and_help_need_no_rights),
];

/// A socket that opens and closes: two events.
pub fn blink() -> Made {
    Made::of(Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap())
}

fn after_a_count() -> Done {
    let namespace = NetNs::new().unwrap();
    let number = namespace.inode().unwrap().to_string();
    for count in [1, 7, 500] {
        let tracer = Tracer::start(&["--netns", &number, "--count", &count.to_string()]);
        namespace.enter(|| (0..600).for_each(|_| drop(blink())));
        let outcome = tracer.ended();
        assert_eq!((outcome.end, outcome.raw.len()), (End::Exit(0), count), "{outcome:?}");
        let summary = if count == 1 { "1 event, ".to_owned() } else { format!("{count} events, ") };
        assert!(outcome.stderr.last().is_some_and(|last| last.contains(&format!(" {summary}"))), "{outcome:?}");
    }
    // What no kernel program leaves out is not counted either.
    let tracer = Tracer::start(&["--netns", &number, "--where", "uid = 12345", "--count", "7"]);
    namespace.enter(|| (0..600).for_each(|_| drop(blink())));
    let mut theirs = actor::named("somebody", "hoard", &["10"]);
    theirs.uid(12345);
    let mut theirs = namespace.enter(|| Actor::start(theirs));
    assert_eq!(theirs.hear::<Vec<Made>>().len(), 10);
    theirs.end();
    let outcome = tracer.ended();
    assert_eq!((outcome.end, outcome.raw.len()), (End::Exit(0), 7), "{outcome:?}");
    assert!(outcome.events.iter().all(|event| event.uid == Some(12345)), "{outcome:?}");
    Done::Passed
}

fn after_a_time() -> Done {
    let start = Instant::now();
    let mut tracer = Tracer::start(&["--duration", "700ms", "--proto", "udp"]);
    let made = blink();
    tracer.wait_closed([&made]);
    let outcome = tracer.ended();
    assert_eq!(outcome.end, End::Exit(0), "{outcome:?}");
    assert!(start.elapsed() >= Duration::from_millis(700), "ended after {:?}", start.elapsed());
    let seen = outcome.events.iter().filter(|event| event.cookie == Some(made.cookie)).count();
    assert_eq!(seen, 2, "{outcome:?}");
    Done::Passed
}

fn a_reader_that_leaves() -> Done {
    readers::leaves(&[]);
    readers::leaves_after_a_loss();
    Done::Passed
}

fn no_room_for_output() -> Done {
    // Lines that are written as they come, and counts that are written at the end.
    for how in [&["--json"][..], &["--count-by", "event", "--duration", "1500ms"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = events(&[how, &["--proto", "udp"]].concat());
        let mut child = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("tracing:") {
            assert!(stderr.read_line(&mut said).unwrap() > 0, "not tracing: {said}");
        }
        blink();
        let end = command::wait(&mut child, patience()).unwrap();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(end, End::Exit(1), "{how:?}: {said}");
        assert!(said.contains("netstat-user: ") && said.contains("o space left"), "{how:?}: no clear line: {said}");
    }
    Done::Passed
}

fn a_reader_that_stopped() -> Done {
    readers::stops_reading(&[]);
    Done::Passed
}

/// Whoever shares a pipe, or a terminal, can make it one that does not wait: then the program does.
fn an_output_that_does_not_wait() -> Done {
    const SOCKETS: usize = 200;
    let namespace = NetNs::new().unwrap();
    let made = || (0..SOCKETS).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect::<Vec<_>>();
    let listeners = namespace.enter(made);
    let both_events = (2 * SOCKETS).to_string();
    for args in [
        &["-tan", "--json", "--no-agent"][..],
        &["events", "--json", "--netns", "self", "--proto", "udp", "--count", &both_events],
    ] {
        let (mut reader, writer) = std::io::pipe().unwrap();
        fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
        let mut command = Command::new(programs::netstat_user());
        command.args(args).stdout(writer).stderr(Stdio::piped());
        let mut child = namespace.enter(|| command.spawn().unwrap());
        drop(command);
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        if args[0] == "events" {
            while !said.contains("tracing:") {
                assert!(stderr.read_line(&mut said).unwrap() > 0, "not tracing: {said}");
            }
            namespace.enter(|| (0..SOCKETS).for_each(|_| drop(blink())));
        }
        std::thread::sleep(Duration::from_millis(500));
        let mut out = String::new();
        reader.read_to_string(&mut out).unwrap();
        let end = command::wait(&mut child, patience()).unwrap();
        stderr.read_to_string(&mut said).unwrap();
        let lines = if args[0] == "events" { 2 * SOCKETS } else { SOCKETS };
        assert_eq!((end, out.lines().count()), (End::Exit(0), lines), "{args:?}: {said}");
    }
    drop(listeners);
    Done::Passed
}

fn summary_on_stderr() -> Done {
    let namespace = NetNs::new().unwrap();
    let mut tracer = Tracer::start(&["--netns", &namespace.inode().unwrap().to_string()]);
    let made: Vec<Made> = namespace.enter(|| (0..5).map(|_| blink()).collect());
    tracer.wait_closed(&made);
    let outcome = tracer.finish();
    let last = outcome.stderr.last().cloned().unwrap_or_default();
    assert!(last.contains("10 events") && last.contains("0 lost"), "the summary is {last:?}: {outcome:?}");
    Done::Passed
}

/// SIGINT or SIGTERM while the hooks are being attached: the closing line, and exit code 0, without waiting for the rest of the hooks.
fn interrupted_while_attaching() -> Done {
    let signals = [Signal::SIGINT, Signal::SIGTERM];
    let ends: Vec<Interrupted> = (0..6).map(|round| interrupted(signals[round % 2], "bpf-map")).collect();
    // The signal may come when the last hook is attached already.
    let early: Vec<_> = ends.iter().filter(|end| !end.said.contains("tracing:")).collect();
    assert!(early.len() >= 3, "{ends:?}");
    let quickest = early.iter().map(|end| end.took).min();
    assert!(quickest < Some(Duration::from_millis(100).mul_f64(1.0 / scale())), "{ends:?}");
    Done::Passed
}

/// Signals that come all the while, from when they are caught on, leave no hook out: a program that is being loaded never sees one.
fn interrupted_again_and_again() -> Done {
    for _ in 0..4 {
        let end = interrupted(Signal::SIGINT, "");
        assert!(!end.said.contains("not traced") && !end.said.contains("cannot trace"), "{end:?}");
    }
    Done::Passed
}

#[derive(Debug)]
struct Interrupted {
    said: String,
    took: Duration,
}

/// Ends `events` by a signal as soon as it catches signals and holds such an object of the kernel, and sends it again until it has ended.
fn interrupted(signal: Signal, object: &str) -> Interrupted {
    let mut child = events(&["--duration", "60s"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let proc = format!("/proc/{}", child.id());
    let catches = || {
        let status = std::fs::read_to_string(format!("{proc}/status")).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default();
        u64::from_str_radix(caught.trim(), 16).unwrap_or(0) >> (Signal::SIGTERM as u32 - 1) & 1 == 1
    };
    let holds = || {
        let fds = std::fs::read_dir(format!("{proc}/fd")).into_iter().flatten().flatten();
        fds.filter_map(|fd| fd.path().read_link().ok()).any(|target| target.to_string_lossy().contains(object))
    };
    let deadline = Instant::now() + patience();
    while !(catches() && holds()) {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "no {object} of the kernel programs");
        std::thread::sleep(Duration::from_millis(1));
    }
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), signal).unwrap();
        std::thread::sleep(Duration::from_micros(200));
        assert!(Instant::now() < deadline, "it does not end");
    }
    let took = start.elapsed();
    let outcome = child.wait_with_output().unwrap();
    let said = String::from_utf8(outcome.stderr).unwrap();
    assert_eq!(outcome.status.code(), Some(0), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("netstat-user: ") && last.ends_with(" lost"), "{said}");
    Interrupted { said, took }
}

fn bad_usage_starts_nothing() -> Done {
    let bad: &[&[&str]] = &[
        &["--proto", "icmp"],
        &["--proto", ""],
        &["--proto", "tcp,,udp"],
        &["--state", "OPEN"],
        &["--port", "65536"],
        &["--port", "-1"],
        &["--lport", "no-such-service"],
        &["--rport", ""],
        &["--pid", "0"],
        &["--pid", "me"],
        &["--netns", "nowhere"],
        &["--netns", "0"],
        &["--count", "0"],
        &["--count", "many"],
        &["--duration", "soon"],
        &["--duration", "5parsecs"],
        &["--duration", "-1s"],
        &["--probe", "guess"],
        &["--buffer", "0"],
        &["--buffer", "16X"],
        &["--buffer", "99999999G"],
        &["--port"],
        &["--no-such-option"],
        &["an-operand"],
        &["-Q"],
    ];
    for arguments in bad {
        let outcome = command::run(&mut events(arguments), None, patience()).unwrap();
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert_eq!(outcome.end, End::Exit(2), "{arguments:?}: {outcome:?}");
        assert!(outcome.stdout.is_empty(), "{arguments:?}: {outcome:?}");
        assert!(!said.contains("tracing:") && !said.contains("panicked"), "{arguments:?}: {outcome:?}");
        // The culprit, or as much of it as looks like an option (`-1`).
        let names = |argument: &&str| !argument.is_empty() && said.contains(&argument[..argument.len().min(2)]);
        let named = arguments[1..].iter().any(names) || said.contains(arguments[0]);
        assert!(named, "{arguments:?} does not say what is wrong: {outcome:?}");
    }
    Done::Passed
}

fn schema_and_help_need_no_rights() -> Done {
    for flag in ["--schema", "--help"] {
        let mut command = std::process::Command::new(actor::everybodys(netstat_tests::programs::netstat_user()));
        let outcome = command::run(command.args(["events", flag]).uid(65534), None, patience()).unwrap();
        assert_eq!(outcome.end, End::Exit(0), "{flag}: {outcome:?}");
        assert!(outcome.stderr.is_empty(), "{flag}: {outcome:?}");
        let text = String::from_utf8(outcome.stdout).unwrap();
        if flag == "--schema" {
            serde_json::from_str::<serde_json::Value>(&text).expect("the schema is JSON");
        }
        for word in ["in_state_ns", "reset_received", "inherited", "TIME_WAIT"] {
            assert!(flag == "--help" || text.contains(word), "the schema lacks {word}");
        }
        for word in ["--proto", "--strict", "raw_tp"] {
            assert!(flag == "--schema" || text.contains(word), "the help lacks {word}");
        }
    }
    let full = Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let outcome = command::run(&mut events(&["--schema"]), Some(full), patience()).unwrap();
    assert_eq!(outcome.end, End::Exit(1), "standard output cannot be written to: {outcome:?}");
    Done::Passed
}
