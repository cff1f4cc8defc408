//! An agent whose standard error is a pipe that nobody reads.

use super::readers::blink;
use crate::agent::{Reader, path};
use crate::churn::Place;
use netstat_tests::command::{self, End};
use netstat_tests::programs;
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::patience;
use netstat_user::query::{Answer, Request};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{self, PipeReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("attack::nobody_waits_for_standard_error", nobody_waits_for_standard_error),
    ("attack::the_end_for_want_of_memory_waits_for_nobody", the_end_for_want_of_memory_waits_for_nobody),
];

/// A running agent, and the full pipe. Killed when dropped.
struct Unread {
    child: Child,
    socket: PathBuf,
    _pipe: PipeReader,
}

impl Unread {
    fn start() -> Self {
        let (reader, mut writer) = io::pipe().unwrap();
        let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
        rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
        while writer.write(&[b'.'; 4096]).is_ok() {}
        // The flag is the pipe's, and so the agent's.
        rustix::fs::fcntl_setfl(&writer, flags).unwrap();
        let (socket, mut command) = (path(), Command::new(programs::netstat_user()));
        command.arg("agent").arg("--socket").arg(&socket).args(["--recent", "1h", "--recent-count", "1000000"]);
        let child = command.stdin(Stdio::null()).stderr(writer.as_fd().try_clone_to_owned().unwrap()).spawn().unwrap();
        let unread = Self { child, socket, _pipe: reader };
        unread.wait_until_it_serves();
        unread
    }

    fn ask(&self) -> io::Result<bool> {
        let stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let mut reader = Reader::new(stream, &Request::Status)?;
        while let Some(answer) = reader.next()? {
            if matches!(answer, Answer::Status(_)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn wait_until_it_serves(&self) {
        let deadline = Instant::now() + patience();
        while !self.ask().unwrap_or(false) {
            assert!(Instant::now() < deadline, "nobody serves {}", self.socket.display());
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        // It has ended unless a test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn nobody_waits_for_standard_error() -> Done {
    let mut unread = Unread::start();
    kill(unread.pid(), Signal::SIGHUP).unwrap();
    // A line for it to write.
    fs::remove_file(&unread.socket).unwrap();
    unread.wait_until_it_serves();
    kill(unread.pid(), Signal::SIGTERM).unwrap();
    assert_eq!(command::wait(&mut unread.child, patience()).unwrap(), End::Exit(0));
    assert!(!unread.socket.exists());
    Done::Passed
}

fn the_end_for_want_of_memory_waits_for_nobody() -> Done {
    let mut unread = Unread::start();
    let none = libc::rlimit { rlim_cur: 1, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the pointers are to a live value and to nothing.
    let failed =
        unsafe { libc::prlimit(unread.pid().as_raw(), libc::RLIMIT_DATA, &raw const none, std::ptr::null_mut()) };
    assert_eq!(failed, 0, "{}", io::Error::last_os_error());
    // What has ended is remembered, and takes memory.
    let (place, deadline) = (Place::new(), Instant::now() + patience());
    let end = loop {
        if let Some(status) = unread.child.try_wait().unwrap() {
            break End::from(status);
        }
        assert!(Instant::now() < deadline, "it neither has memory nor ends");
        blink(&place, 1000);
    };
    place.leave();
    assert_eq!(end, End::Exit(1));
    Done::Passed
}
