//! What a person waits for: said on a terminal after a second, and nowhere else.

use super::{line_of, lines};
use rustix::fs::{FileType, fstat};
use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Waits shorter than this are not reported.
const PATIENCE: Duration = Duration::from_secs(1);

/// Ends the wait, and its thread, when it is dropped: what is waited for has come.
pub struct WaitNote(Option<(Sender<()>, JoinHandle<()>)>);

impl WaitNote {
    /// From now on `what` is waited for. Standard output into a pipe may be a pager's, whose screen is left alone.
    pub fn start(what: &'static str) -> Self {
        let piped = fstat(io::stdout()).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
        if piped || !io::stderr().is_terminal() {
            return Self(None);
        }
        let (sender, receiver) = mpsc::channel::<()>();
        let watch = move || {
            if receiver.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                // Now: other lines may wait until what this is about has come.
                lines::write(&line_of(&format!("waiting for {what} …")));
            }
        };
        // Without a thread nothing is said.
        let started = thread::Builder::new().name("waiting".into()).spawn(watch);
        Self(started.ok().map(|thread| (sender, thread)))
    }
}

impl Drop for WaitNote {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.0.take() {
            drop(sender);
            // It has nothing to fail at.
            let _ = thread.join();
        }
    }
}
