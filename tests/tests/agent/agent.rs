//! `netstat-user agent` as a child process, asked by its own language and by the command line.

use bytes::BytesMut;
use netstat_tests::command::{self, End};
use netstat_tests::programs;
use netstat_tests::truth::actor;
use netstat_tests::truth::scale::patience;
use netstat_tests::truth::tracer::Tracer;
use netstat_user::model::LiveSocket;
use netstat_user::query::{Answer, MAX_ANSWER, Request, Status, next_frame};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Instant;

/// A path for the socket of an agent that nobody else uses.
pub fn path() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    actor::scratch().join(format!("agent-{}.sock", NUMBER.fetch_add(1, Ordering::Relaxed)))
}

/// A running agent; killed when dropped.
pub struct Agent {
    child: Child,
    pub socket: PathBuf,
    stderr: Mutex<mpsc::Receiver<String>>,
}

impl Agent {
    /// Starts an agent that keeps all that ends, and waits until it serves.
    pub fn start(args: &[&str]) -> Self {
        Self::at(&path(), args).unwrap_or_else(|(end, said)| panic!("the agent ended with {end:?}: {said:?}"))
    }

    /// Starts an agent on this path, and waits until it serves, or has ended.
    pub fn at(socket: &Path, args: &[&str]) -> Result<Self, (End, Vec<String>)> {
        Self::with_env(socket, args, &[])
    }

    /// The same, with variables in its environment.
    pub fn with_env(socket: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<Self, (End, Vec<String>)> {
        let mut command = Command::new(programs::netstat_user());
        command.envs(env.iter().copied());
        Self::by(command, socket, args)
    }

    /// Starts an agent by a command that runs the program, and waits as the others.
    pub fn by(mut command: Command, socket: &Path, args: &[&str]) -> Result<Self, (End, Vec<String>)> {
        command.arg("agent").arg("--socket").arg(socket).args(args);
        if !args.contains(&"--recent") {
            command.args(["--recent", "1h"]);
        }
        if !args.contains(&"--recent-count") {
            command.args(["--recent-count", "1000000"]);
        }
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (say, stderr) = mpsc::channel();
        let pipe = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || {
            // Nobody may listen any more.
            pipe.lines().map_while(Result::ok).all(|line| say.send(line).is_ok())
        });
        let mut agent = Self { child, socket: socket.into(), stderr: Mutex::new(stderr) };
        let deadline = Instant::now() + patience();
        let mut said = Vec::new();
        loop {
            match agent.stderr.get_mut().unwrap().recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.starts_with("agent: serving") => return Ok(agent),
                Ok(line) => said.push(line),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err((command::wait(&mut agent.child, patience()).unwrap(), said));
                }
                Err(RecvTimeoutError::Timeout) => panic!("the agent does not serve within {:?}: {said:?}", patience()),
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// The next line with these words that it writes to standard error, while it runs.
    pub fn hear(&self, words: &str) -> String {
        let (stderr, deadline) = (self.stderr.lock().unwrap(), Instant::now() + patience());
        loop {
            match stderr.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(words) => return line,
                Ok(_) => {}
                Err(error) => panic!("the agent writes no line with `{words}' within {:?}: {error}", patience()),
            }
        }
    }

    /// SIGTERM: it must end with exit code 0. Returns what it said.
    pub fn stop(mut self) -> Vec<String> {
        self.signal(Signal::SIGTERM);
        let end = command::wait(&mut self.child, patience()).unwrap();
        let said: Vec<String> = self.stderr.get_mut().unwrap().iter().collect();
        assert_eq!(end, End::Exit(0), "after SIGTERM: {said:?}");
        assert!(!self.socket.exists(), "the socket's file is left behind");
        said
    }

    /// Asks, and returns the answers after the first, which only begins them.
    pub fn ask(&self, request: &Request) -> Vec<Answer> {
        self.try_ask(request).unwrap_or_else(|error| panic!("the agent does not answer {request:?}: {error}"))
    }

    pub fn try_ask(&self, request: &Request) -> io::Result<Vec<Answer>> {
        let mut reader = Reader::new(self.connect()?, request)?;
        let mut answers = Vec::new();
        loop {
            match reader.next()? {
                Some(Answer::Begin(_)) => {}
                Some(Answer::End) => return Ok(answers),
                Some(answer) => answers.push(answer),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// A connection to its socket.
    pub fn connect(&self) -> io::Result<UnixStream> {
        let stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(patience()))?;
        Ok(stream)
    }

    pub fn status(&self) -> Status {
        let answers = self.ask(&Request::Status);
        let found = answers
            .into_iter()
            .find_map(|answer| if let Answer::Status(status) = answer { Some(status) } else { None });
        found.expect("a status")
    }

    /// How often the kernel left out a program that no other makes up for, since one ran already on that processor.
    pub fn missed(&self) -> u64 {
        let answers = self.ask(&Request::Health);
        let programs = answers.into_iter().filter_map(|answer| match answer {
            Answer::Health(health) => Some(health.programs),
            _ => None,
        });
        netstat_user::kernel::missed(&programs.flatten().collect::<Vec<_>>()).alone
    }

    /// The live table, as the agent keeps it, set right from the kernel's lists.
    pub fn table(&self, netns: u64) -> Vec<LiveSocket> {
        let netns = Some(u32::try_from(netns).unwrap());
        let answers = self.ask(&Request::Table { live: true, recent_ns: 0, netns, age_ns: 0, only: None });
        answers
            .into_iter()
            .filter_map(|answer| if let Answer::Live(socket) = answer { Some(socket) } else { None })
            .collect()
    }

    /// `netstat-user ARGS --json --agent` in the calling thread's namespace, one object a line.
    pub fn classic(&self, args: &[&str]) -> Vec<Value> {
        let mut command = Command::new(programs::netstat_user());
        command.args(args).args(["--json", "--agent"]).arg(&self.socket);
        let outcome = command::run(&mut command, None, patience()).unwrap();
        assert_eq!(outcome.end, End::Exit(0), "{command:?}: {outcome:?}");
        let said = String::from_utf8_lossy(&outcome.stderr);
        assert!(!said.contains("reading the kernel instead"), "{command:?}: {said}");
        String::from_utf8(outcome.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// `events --json --agent ARGS`, tracing.
    pub fn events(&self, args: &[&str]) -> Tracer {
        let mut command = netstat_tests::truth::tracer::events(&["--json", "--agent"]);
        command.arg(&self.socket).args(args);
        Tracer::spawn(command)
    }

    /// Resident memory, in bytes.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// Waits until the agent says so of itself.
    pub fn wait(&self, what: &str, enough: impl Fn(&Status) -> bool) -> Status {
        let deadline = Instant::now() + patience();
        loop {
            let status = self.status();
            if enough(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{what} does not come: {status:?}");
            thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It has ended unless a test failed, or means it to be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks the agent behind this socket, and returns what it answers until the end or a refusal, that included.
pub fn ask(path: &str, request: &Request) -> Vec<Answer> {
    let mut reader = Reader::new(UnixStream::connect(path).unwrap(), request).unwrap();
    let mut answers = Vec::new();
    while let Ok(Some(answer)) = reader.next() {
        let ends = matches!(answer, Answer::End | Answer::Refused(_));
        answers.push(answer);
        if ends {
            break;
        }
    }
    answers
}

/// Reads answers one by one.
pub struct Reader {
    stream: UnixStream,
    arrived: BytesMut,
}

impl Reader {
    pub fn new(mut stream: UnixStream, request: &Request) -> io::Result<Self> {
        let mut out = BytesMut::new();
        request.encode(&mut out);
        stream.write_all(&out)?;
        Ok(Self { stream, arrived: BytesMut::new() })
    }

    /// The next answer, `None` at the end of the connection.
    pub fn next(&mut self) -> io::Result<Option<Answer>> {
        loop {
            if let Some(body) = next_frame(&mut self.arrived, MAX_ANSWER).map_err(io::Error::other)? {
                return Answer::decode(body).map(Some).map_err(io::Error::other);
            }
            let mut chunk = [0; 64 << 10];
            match self.stream.read(&mut chunk)? {
                0 => return Ok(None),
                count => self.arrived.extend_from_slice(&chunk[..count]),
            }
        }
    }
}
