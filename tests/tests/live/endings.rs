//! How a run ends: by count, by time, by a reader that goes away, and before it begins.

use crate::actor::{self, Actor};
use crate::made::Made;
use crate::runner::{Done, Test};
use crate::scale::patience;
use crate::tracer::{Tracer, events};
use netstat_tests::command::{self, End};
use netstat_tests::netns::NetNs;
use socket2::{Domain, Protocol, Socket, Type};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("endings::after_a_count", after_a_count),
    ("endings::after_a_time", after_a_time),
    ("endings::reader_goes_away", reader_goes_away),
    ("endings::no_room_for_output", no_room_for_output),
    ("endings::summary_on_stderr", summary_on_stderr),
    ("endings::interrupted_while_attaching", interrupted_while_attaching),
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

fn reader_goes_away() -> Done {
    for json in [true, false] {
        let arguments: &[&str] = if json { &["--json", "--proto", "udp"] } else { &["--proto", "udp"] };
        let mut child = events(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("tracing:") {
            assert!(stderr.read_line(&mut said).unwrap() > 0, "not tracing: {said}");
        }
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        blink();
        stdout.read_line(&mut String::new()).unwrap();
        drop(stdout);
        for _ in 0..200 {
            blink();
        }
        let end = command::wait(&mut child, patience()).unwrap();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(end, End::Exit(0), "{said}");
        assert!(!said.contains("panicked") && !said.to_lowercase().contains("broken pipe"), "not quiet: {said}");
    }
    Done::Passed
}

fn no_room_for_output() -> Done {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut child = events(&["--json", "--proto", "udp"]).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("tracing:") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "not tracing: {said}");
    }
    blink();
    let end = command::wait(&mut child, patience()).unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(end, End::Exit(1), "{said}");
    assert!(said.contains("netstat-user: ") && said.contains("o space left"), "no clear line: {said}");
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

/// SIGINT while the hooks are being attached: the closing line, and exit code 0.
fn interrupted_while_attaching() -> Done {
    let mut child = events(&["--duration", "60s"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let fds = format!("/proc/{}/fd", child.id());
    let attaches = || {
        let targets =
            std::fs::read_dir(&fds).into_iter().flatten().flatten().filter_map(|fd| fd.path().read_link().ok());
        targets.into_iter().any(|target| target.to_string_lossy().contains("bpf-map"))
    };
    let deadline = Instant::now() + patience();
    while !attaches() {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "no map of the kernel programs");
        std::thread::sleep(Duration::from_millis(1));
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGINT).unwrap();
    let outcome = child.wait_with_output().unwrap();
    let said = String::from_utf8(outcome.stderr).unwrap();
    assert_eq!(outcome.status.code(), Some(0), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("netstat-user: ") && last.ends_with(" lost"), "{said}");
    Done::Passed
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
        let mut command = std::process::Command::new(crate::places::everybodys_program());
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
