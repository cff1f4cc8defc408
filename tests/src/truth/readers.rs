//! Readers of `events` that stop reading, and readers that leave: what comes of it, traced here or read from an agent.

use super::scale::patience;
use super::tracer::events;
use crate::command::{self, End};
use crate::netns::NetNs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Sockets that open and close: two events each.
fn blinks(netns: &NetNs, sockets: usize) {
    let blink = || Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    netns.enter(|| (0..sockets).for_each(|_| drop(blink())));
}

/// `events` with its output in a pipe that nobody reads yet.
struct Stream {
    child: Child,
    stdout: Option<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Stream {
    /// Starts `events ARGS` for the sockets of this namespace, and waits until it traces.
    fn start(netns: &NetNs, args: &[&str]) -> Self {
        let number = netns.inode().unwrap().to_string();
        let mut command = events(&[args, &["--netns", &number]].concat());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut before = String::new();
        while !before.contains("tracing:") {
            assert!(stderr.read_line(&mut before).unwrap() > 0, "not tracing: {before}");
        }
        Self { stdout: child.stdout.take(), child, stderr }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Waits for the end; how it came, and what was said since it traced.
    fn ended(mut self) -> (End, String) {
        let end = command::wait(&mut self.child, patience()).unwrap();
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        (end, said)
    }
}

/// A reader that stops reading before the end, which signals ask for: it comes soon all the same, and says how much was not read.
pub fn stops_reading(args: &[&str]) {
    let netns = NetNs::new().unwrap();
    let mut stream = Stream::start(&netns, &[&["--json"], args].concat());
    // Some lines that are written, and then more than the 64 KiB of a pipe.
    blinks(&netns, 10);
    thread::sleep(Duration::from_millis(200));
    blinks(&netns, 990);
    let (begun, mut stdout) = (Instant::now(), stream.stdout.take().unwrap());
    stream.signal(Signal::SIGINT);
    thread::sleep(Duration::from_millis(500));
    stream.signal(Signal::SIGTERM);
    let (end, said) = stream.ended();
    assert_eq!(end, End::Exit(1), "{args:?}: {said}");
    assert!(begun.elapsed() < patience() / 2, "{args:?}: it took {:?}: {said}", begun.elapsed());
    let mut got = String::new();
    stdout.read_to_string(&mut got).unwrap();
    let whole = got.matches('\n').count();
    let number =
        |before: &str, after: &str| -> Option<usize> { said.split(before).nth(1)?.split(after).next()?.parse().ok() };
    let all = number("netstat-user: ", " events, 0 lost").unwrap_or_else(|| panic!("{args:?}: no summary: {said}"));
    let missing = number("the last ", " lines").unwrap_or_else(|| panic!("{args:?}: {said}"));
    assert!(all == 2_000 && whole + missing >= all && missing < all, "{whole} of {all} lines are there: {said}");
}

/// A reader that leaves, while sockets come and go and while nothing happens: a quiet end, and always the same.
pub fn leaves(args: &[&str]) {
    let netns = NetNs::new().unwrap();
    for round in 0..3 {
        for args in [args, &[args, &["--json", "--strict"]].concat()] {
            let mut stream = Stream::start(&netns, args);
            let mut stdout = BufReader::new(stream.stdout.take().unwrap());
            let has_ended = AtomicBool::new(false);
            let (end, said) = thread::scope(|scope| {
                scope.spawn(|| {
                    while !has_ended.load(Ordering::Relaxed) {
                        blinks(&netns, 50);
                    }
                });
                // As `head -1` does.
                let read = stdout.read_line(&mut String::new()).unwrap();
                drop(stdout);
                let ended = stream.ended();
                has_ended.store(true, Ordering::Relaxed);
                assert!(read > 0, "{args:?}: no line");
                ended
            });
            assert_eq!((end, &*said), (End::Exit(0), ""), "{args:?} | head -1, round {round}");

            let mut stream = Stream::start(&netns, args);
            drop(stream.stdout.take());
            assert_eq!(stream.ended(), (End::Exit(0), String::new()), "{args:?} | :, round {round}");
        }
    }
}

/// With --strict, what was lost before the last line that could be read is a gap, and what was lost after that is none.
pub fn leaves_after_a_loss() {
    let netns = NetNs::new().unwrap();
    for is_reported in [true, false] {
        let mut stream = Stream::start(&netns, &["--json", "--strict", "--buffer", "4096"]);
        let mut stdout = BufReader::new(stream.stdout.take().unwrap());
        stream.signal(Signal::SIGSTOP);
        blinks(&netns, 2_000);
        if is_reported {
            stream.signal(Signal::SIGCONT);
            let mut line = String::new();
            while !line.contains("\"lost\"") {
                line.clear();
                assert!(stdout.read_line(&mut line).unwrap() > 0, "nothing was lost");
            }
            // A line of a later batch: the one with the loss is written.
            thread::sleep(Duration::from_millis(50));
            blinks(&netns, 1);
            assert!(stdout.read_line(&mut line).unwrap() > 0);
        }
        drop(stdout);
        stream.signal(Signal::SIGCONT);
        let code = if is_reported { 3 } else { 0 };
        assert_eq!(stream.ended(), (End::Exit(code), String::new()), "loss reported: {is_reported}");
    }
}
