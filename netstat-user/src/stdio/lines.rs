//! Lines for standard error of a process that must not wait for whoever reads it: a thread of its own writes them.

use super::{program, write_to};
use crate::sys;
use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Lines that wait while nobody reads. Those beyond are counted.
const MOST: usize = 1000;

/// How long the end waits for who does not read.
const PATIENCE: Duration = Duration::from_secs(1);

struct Unwritten {
    lines: VecDeque<Vec<u8>>,
    left_out: u64,
    /// Whether lines are to wait here.
    queues: bool,
    /// Whether the thread is there, and whether it is writing.
    threaded: bool,
    writes: bool,
}

static WAITING: Mutex<Unwritten> =
    Mutex::new(Unwritten { lines: VecDeque::new(), left_out: 0, queues: false, threaded: false, writes: false });
static CHANGED: Condvar = Condvar::new();

/// While it is there, nobody who has something to say on standard error waits for its reader.
#[must_use]
pub struct ErrorQueue(());

impl ErrorQueue {
    /// From now on lines wait to be written.
    pub fn open() -> Self {
        sys::lock(&WAITING).queues = true;
        Self(())
    }

    /// Has them written by a new thread, which first does `confine`.
    ///
    /// # Errors
    /// There is no room for a thread.
    pub fn write(&self, confine: fn()) -> io::Result<()> {
        let work = move || {
            confine();
            write_for_ever();
        };
        std::thread::Builder::new().name("lines".into()).spawn(work).map_err(sys::no_thread)?;
        sys::lock(&WAITING).threaded = true;
        Ok(())
    }
}

impl Drop for ErrorQueue {
    /// Waits a while for what is not written yet.
    fn drop(&mut self) {
        let threaded = sys::lock(&WAITING).threaded || self.write(|| ()).is_ok();
        let mut waiting = sys::lock(&WAITING);
        waiting.queues = false;
        if threaded {
            let unwritten = |waiting: &mut Unwritten| waiting.writes || !waiting.lines.is_empty();
            // What nobody reads by then is lost.
            drop(CHANGED.wait_timeout_while(waiting, PATIENCE, unwritten).unwrap_or_else(PoisonError::into_inner));
        } else {
            write(&waiting.take());
        }
    }
}

impl Unwritten {
    fn take(&mut self) -> Vec<u8> {
        let mut all = Vec::from(std::mem::take(&mut self.lines)).concat();
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            all.extend(
                format!("{}: {left_out} lines of standard error were left out: nobody read it\n", program()).bytes(),
            );
        }
        all
    }
}

/// Writes to standard error: at once, or by the thread that does so for this process.
pub fn say(line: &[u8]) {
    let mut waiting = sys::lock(&WAITING);
    if !waiting.queues {
        drop(waiting);
        write(line);
    } else if waiting.lines.len() < MOST {
        waiting.lines.push_back(line.to_vec());
        CHANGED.notify_all();
    } else {
        waiting.left_out += 1;
    }
}

/// Writes to standard error at once. Without its lock: what Rust writes to it elsewhere does not wait for this.
pub fn write(bytes: &[u8]) {
    // If it is closed, there is nobody to read it.
    let _ = write_to(&io::stderr(), bytes);
}

fn write_for_ever() {
    let mut waiting = sys::lock(&WAITING);
    loop {
        if waiting.lines.is_empty() {
            waiting = CHANGED.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let taken = waiting.take();
        waiting.writes = true;
        drop(waiting);
        write(&taken);
        waiting = sys::lock(&WAITING);
        waiting.writes = false;
        CHANGED.notify_all();
    }
}
