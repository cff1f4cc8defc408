//! Standard output of a stream of events, which may not be read for long, and when the stream is to stop.

use super::{Unwritable, Written, write_out};
use crate::sys;
use crate::sys::signals::{ENDING, Signals};
use rustix::fs::{FileType, fstat};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use tokio::io::{Interest, unix::AsyncFd};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout};

/// How long the reader of standard output may take for a batch once the end is decided.
pub const FAREWELL: Duration = Duration::from_secs(3);

/// Why to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A signal, or the time is up: what has been recorded is still printed.
    Asked,
    /// Nobody reads our output any more.
    Closed,
}

/// Whatever may ask a stream to stop.
pub struct Asked {
    signals: Signals,
    reader: OutputGone,
    deadline: Option<Instant>,
}

impl Asked {
    /// From here on a signal is no longer fatal.
    ///
    /// # Errors
    /// A signal that cannot be waited for.
    pub fn new() -> io::Result<Self> {
        Ok(Self { signals: Signals::of(ENDING)?, reader: OutputGone::watch(), deadline: None })
    }

    /// The time to stop after begins now.
    pub fn begin(&mut self, duration: Option<Duration>) {
        self.deadline = duration.map(|duration| Instant::now() + duration);
    }

    /// Waits until it is time to stop.
    pub async fn stop(&mut self) -> Stop {
        let deadline = self.deadline;
        let time_is_up = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // One that no signal would reach any more ends while it can.
            _ = self.signals.next() => Stop::Asked,
            () = time_is_up => Stop::Asked,
            () = self.reader.gone() => Stop::Closed,
        }
    }
}

/// Standard output. A file is written to at once; a pipe or a terminal may not be read for long, and so from another thread.
pub struct Output {
    file: Option<File>,
    /// What the other thread does: it writes a batch.
    writing: Option<JoinHandle<io::Result<()>>>,
}

impl Output {
    /// The process's standard output.
    ///
    /// # Errors
    /// No descriptor left, or no room for the other thread.
    pub fn new() -> io::Result<Self> {
        let is_file = stdout_type() == Some(FileType::RegularFile);
        if !is_file {
            // The runtime makes it when it is needed, and has no words for it.
            sys::try_threads(1)?;
        }
        let file = if is_file { Some(io::stdout().as_fd().try_clone_to_owned()?.into()) } else { None };
        Ok(Self { file, writing: None })
    }

    /// Writes a batch. If this is broken off, the next call must be with the same batch, and goes on where this was.
    ///
    /// # Errors
    /// A failure to write.
    pub async fn write(&mut self, out: &[u8]) -> Written<()> {
        match &mut self.file {
            Some(file) => file.write_all(out).map_err(Unwritable)?,
            None => {
                let begin = || {
                    let batch = out.to_vec();
                    spawn_blocking(move || write_out(&batch))
                };
                let written = self.writing.get_or_insert_with(begin).await;
                self.writing = None;
                written.map_err(io::Error::other).flatten().map_err(Unwritable)?;
            }
        }
        Ok(())
    }

    /// The same once the end is decided: false where the reader takes too long for it.
    ///
    /// # Errors
    /// A failure to write.
    pub async fn write_at_last(&mut self, out: &[u8]) -> Written<bool> {
        timeout(FAREWELL, self.write(out)).await.map_or(Ok(false), |written| written.map(|()| true))
    }
}

fn stdout_type() -> Option<FileType> {
    fstat(io::stdout()).ok().map(|stat| FileType::from_raw_mode(stat.st_mode))
}

/// Pause between two looks at a socket of which one side has ended.
const GLANCE: Duration = Duration::from_millis(200);

/// Whether nobody is at the other end of a socket any more.
fn hung_up(socket: &OwnedFd) -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut wanted = [PollFd::new(socket, PollFlags::empty())];
    let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut wanted, Some(&now)).is_ok() && wanted[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

/// Notices that the reader of our standard output has gone, before there is anything to write to it.
struct OutputGone(Option<AsyncFd<OwnedFd>>);

impl OutputGone {
    /// Begins to watch.
    fn watch() -> Self {
        // A file cannot be watched, and has no reader that could go.
        Self(match stdout_type() {
            Some(FileType::Fifo) => sys::watch(io::stdout(), Interest::ERROR).ok(),
            Some(FileType::Socket) => sys::watch(io::stdout(), Interest::READABLE).ok(),
            _ => None,
        })
    }

    /// Returns once it has gone.
    async fn gone(&self) {
        match &self.0 {
            Some(socket) if stdout_type() == Some(FileType::Socket) => {
                // The other end may have sent something, or have ended its side only.
                while !hung_up(socket.get_ref()) {
                    if let Ok(mut ready) = socket.readable().await {
                        ready.clear_ready();
                    }
                    tokio::time::sleep(GLANCE).await;
                }
            }
            Some(pipe) if pipe.ready(Interest::ERROR).await.is_ok() => {}
            _ => std::future::pending().await,
        }
    }
}
