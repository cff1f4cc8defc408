//! `netstat-user events` as a child process, and its stream as it comes.

use crate::command::{self, End};
use crate::programs;
pub use crate::truth::clock::now_ns;
use crate::truth::event::{self, Event, Line};
use crate::truth::made::Made;
pub use crate::truth::outcome::Outcome;
use crate::truth::scale::patience;
use crate::truth::{actor, check};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A running `netstat-user events --json`.
pub struct Tracer {
    child: Child,
    command: String,
    /// The readiness line.
    pub ready: String,
    lines: mpsc::Receiver<String>,
    stderr: JoinHandle<Vec<String>>,
    seen: Seen,
    started_ns: u64,
}

/// What a tracer has said so far.
#[derive(Default)]
struct Seen {
    raw: Vec<String>,
    events: Vec<Event>,
    lost: Vec<u64>,
    bad: Vec<String>,
    closed: HashSet<u64>,
    json: bool,
}

/// `netstat-user events ARGS`, not yet started.
pub fn events(args: &[&str]) -> Command {
    let mut command = Command::new(programs::netstat_user());
    command.arg("events").args(args);
    command
}

/// The same, started by an actor that first does `steps` to its own surroundings (see [`actor`]).
pub fn events_after(steps: &[&str], args: &[&str]) -> Command {
    let mut command = actor::prepared(steps);
    command.arg(programs::netstat_user()).arg("events").args(args);
    command
}

/// What each thread of a process waits for: its state, its processor time in ticks, and where it is in the kernel.
fn doing(pid: u32) -> String {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let said = threads.map(|thread| {
        let read = |name: &str| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        let stat = read("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let [state, user, system] = [0, 11, 12].map(|at| fields.get(at).copied().unwrap_or_default());
        format!("{} {state} {user}+{system}\n{}", read("comm").trim_end(), read("stack"))
    });
    said.collect::<Vec<_>>().concat()
}

impl Tracer {
    /// Starts `events --json ARGS` and waits until it says that it traces.
    pub fn start(args: &[&str]) -> Self {
        Self::spawn(events(&[&["--json"], args].concat()))
    }

    /// Starts a command like those of [`events`] and waits until it says that it traces.
    pub fn spawn(command: Command) -> Self {
        Self::try_spawn(command).unwrap_or_else(|outcome| panic!("not tracing: {outcome:?}"))
    }

    /// The same, with the outcome if it ends instead of tracing.
    pub fn try_spawn(mut command: Command) -> Result<Self, Box<Outcome>> {
        let started_ns = now_ns();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = each_line(child.stdout.take().unwrap());
        let (say_ready, ready) = mpsc::channel();
        let pipe = child.stderr.take().unwrap();
        let stderr = thread::spawn(move || {
            let mut all = Vec::new();
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                if line.contains("tracing:") {
                    // Nobody waits for a second one.
                    let _ = say_ready.send(line.clone());
                }
                all.push(line);
            }
            all
        });
        // The lines of whole lives have a field more: their tests read them.
        let given = |name: &str| command.get_args().any(|argument| argument == name);
        let json = given("--json") && !given("--life");
        let mut tracer = Self {
            child,
            command: format!("{command:?}"),
            ready: String::new(),
            lines,
            stderr,
            seen: Seen { json, ..Seen::default() },
            started_ns,
        };
        match ready.recv_timeout(patience()) {
            Ok(line) => {
                tracer.ready = line;
                Ok(tracer)
            }
            Err(RecvTimeoutError::Disconnected) => Err(Box::new(tracer.ended())),
            Err(RecvTimeoutError::Timeout) => {
                let threads = doing(tracer.child.id());
                let _ = tracer.child.kill();
                panic!("no readiness line within {:?}: {:?}\n{threads}", patience(), tracer.ended());
            }
        }
    }

    /// The same, whose lines are kept as they are: of columns that were chosen.
    #[must_use]
    pub fn unparsed(mut self) -> Self {
        self.seen.json = false;
        self
    }

    /// The lines that have come.
    pub fn raw(&self) -> &[String] {
        &self.seen.raw
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Reads on until `enough` says so; false if that did not come in time.
    pub fn wait(&mut self, mut enough: impl FnMut(&[Event]) -> bool) -> bool {
        let deadline = Instant::now() + patience();
        while !enough(&self.seen.events) {
            // Look again only now and then: what is looked for may be costly to find.
            let pause = Instant::now() + Duration::from_millis(20);
            loop {
                let left = pause.saturating_duration_since(Instant::now());
                match self.lines.recv_timeout(left) {
                    Ok(line) => self.seen.take(line),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return enough(&self.seen.events),
                }
            }
            if Instant::now() > deadline {
                return enough(&self.seen.events);
            }
        }
        true
    }

    /// Reads what has come by now, and whether that is enough.
    pub fn wait_briefly(&mut self, enough: impl FnOnce(&[Event]) -> bool) -> bool {
        while let Ok(line) = self.lines.try_recv() {
            self.seen.take(line);
        }
        enough(&self.seen.events)
    }

    /// Hands over the events that have come, or come soon, and keeps none of them: for streams that are too long to be kept.
    pub fn take_each(&mut self, mut each: impl FnMut(Event)) {
        let first = self.lines.recv_timeout(Duration::from_millis(20));
        for line in first.into_iter().chain(self.lines.try_iter().take(10_000)) {
            match event::parse(&line) {
                Ok(Line::Event(event)) => each(*event),
                Ok(Line::Lost(count)) => self.seen.lost.push(count),
                Err(reason) => self.seen.bad.push(format!("{reason}: {line}")),
            }
        }
    }

    /// How many events are reported as lost until now.
    pub fn lost(&self) -> u64 {
        self.seen.lost.iter().sum()
    }

    /// Reads on until so many lines have come; false if they did not in time.
    pub fn wait_lines(&mut self, lines: usize) -> bool {
        let deadline = Instant::now() + patience();
        while self.seen.raw.len() < lines {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.take(line),
                Err(_) => return false,
            }
        }
        true
    }

    /// Reads on until the close of every one of these sockets has come. What is still missing at the deadline is left for
    /// the checks, which say what they expected.
    pub fn wait_closed<'a>(&mut self, made: impl IntoIterator<Item = &'a Made>) {
        // A cookie that nobody could ask for is no use to wait for.
        let mut open: Vec<u64> = made.into_iter().map(|made| made.cookie).filter(|&cookie| cookie != 0).collect();
        let deadline = Instant::now() + patience();
        loop {
            open.retain(|cookie| !self.seen.closed.contains(cookie));
            if open.is_empty() || Instant::now() > deadline {
                return;
            }
            match self.lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => self.seen.take(line),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // As much as there is, but not for ever: somebody else may make sockets faster than they are read here.
            for line in self.lines.try_iter().take(10_000) {
                self.seen.take(line);
            }
        }
    }

    /// SIGINT, and all it still says; it must end with exit code 0.
    pub fn finish(self) -> Outcome {
        self.signal(Signal::SIGINT);
        let outcome = self.ended();
        assert_eq!(outcome.end, End::Exit(0), "after SIGINT: {outcome:?}");
        outcome
    }

    /// The same, with nothing checked of what it said but its form.
    pub fn finish_unchecked(self) -> Outcome {
        self.signal(Signal::SIGINT);
        self.ended_unchecked()
    }

    /// Waits for the end by itself.
    pub fn ended(self) -> Outcome {
        let outcome = self.ended_unchecked();
        check::stream(&outcome);
        outcome
    }

    fn ended_unchecked(mut self) -> Outcome {
        let deadline = Instant::now() + patience();
        while let left = deadline.saturating_duration_since(Instant::now())
            && !left.is_zero()
            && let Ok(line) = self.lines.recv_timeout(left)
        {
            self.seen.take(line);
        }
        let end = command::wait(&mut self.child, deadline.saturating_duration_since(Instant::now())).unwrap();
        let stderr = self.stderr.join().unwrap();
        let seen = self.seen;
        let outcome = Outcome {
            command: self.command,
            end,
            ready: self.ready,
            raw: seen.raw,
            events: seen.events,
            lost: seen.lost,
            stderr,
            span_ns: (self.started_ns, now_ns()),
        };
        assert!(
            seen.bad.is_empty(),
            "{} lines are not as the contract says, the first: {}\n{outcome:?}",
            seen.bad.len(),
            seen.bad[0]
        );
        outcome
    }
}

impl Seen {
    fn take(&mut self, line: String) {
        if self.json {
            match event::parse(&line) {
                Ok(Line::Event(event)) => {
                    if let (event::Kind::Close(_), Some(cookie)) = (&event.kind, event.cookie) {
                        self.closed.insert(cookie);
                    }
                    self.events.push(*event);
                }
                Ok(Line::Lost(count)) => self.lost.push(count),
                Err(reason) => self.bad.push(format!("{reason}: {line}")),
            }
        }
        self.raw.push(line);
    }
}

fn each_line(pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::with_capacity(1 << 20, pipe).split(b'\n').map_while(Result::ok) {
            if send.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    receive
}
