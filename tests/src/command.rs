//! Running a command to its end, or to a time limit, with all it wrote.

use std::fmt;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It exited with this code.
    Exit(i32),
    /// This signal killed it.
    Signal(i32),
    /// It was still running at the limit, and was killed.
    TimedOut,
}

impl From<ExitStatus> for End {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exit(code),
            (None, signal) => Self::Signal(signal.unwrap_or(0)),
        }
    }
}

/// What a command wrote, and how it ended.
#[derive(Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Standard output; empty where the caller sent it elsewhere.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub end: End,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.end)?;
        writeln!(f, "--- stdout\n{}", String::from_utf8_lossy(&self.stdout))?;
        write!(f, "--- stderr\n{}", String::from_utf8_lossy(&self.stderr))
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A pipe that breaks ends the output; what came before it counts.
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = send.send(bytes);
    });
    receive
}

/// Waits for a child until `limit` has passed, then kills it.
///
/// # Errors
/// When the child cannot be waited for.
pub fn wait(child: &mut Child, limit: Duration) -> io::Result<End> {
    let start = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.into());
        }
        if start.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(End::TimedOut);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}

/// Runs `command` with no input until it ends or `limit` has passed. Its output is collected; a caller that wants
/// standard output elsewhere (`/dev/full`) gives it as `stdout`.
///
/// # Errors
/// When the command cannot be started.
pub fn run(command: &mut Command, stdout: Option<Stdio>, limit: Duration) -> io::Result<Outcome> {
    command.stdin(Stdio::null()).stdout(stdout.unwrap_or_else(Stdio::piped)).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let (out, err) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let end = wait(&mut child, limit)?;
    // A grandchild may hold the pipes open; a second is long enough for bytes that are already written.
    let grace = Duration::from_secs(1);
    Ok(Outcome {
        stdout: out.recv_timeout(grace).unwrap_or_default(),
        stderr: err.recv_timeout(grace).unwrap_or_default(),
        end,
    })
}
