//! Standard output and error: who reads them, how wide they are, whether they are coloured, and the outcome of writing to them.

pub mod debug;
pub mod lines;
pub mod output;
pub mod screen;
pub mod streaming;
pub mod waiting;

use crate::cli;
use crate::model::visible::escape_lines;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::AsFd;

/// Standard output cannot be written to.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub struct Unwritable(#[source] pub io::Error);

impl Unwritable {
    /// Whether nobody reads it any more.
    pub fn is_closed(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// The outcome of something that writes to standard output.
pub type Written<T> = Result<T, Unwritable>;

/// Writes all of it to standard output.
///
/// # Errors
/// It cannot be written to.
pub fn print(bytes: &[u8]) -> Written<()> {
    write_out(bytes).map_err(Unwritable)
}

/// Writes all of it to standard output at once.
fn write_out(bytes: &[u8]) -> io::Result<()> {
    write_to(&io::stdout(), bytes)
}

/// Writes all of it at once. Whoever shares the file may have made it one that does not wait (`O_NONBLOCK`): then this waits itself.
fn write_to(file: &impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => match poll(&mut [PollFd::new(file, PollFlags::OUT)], None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            },
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The name that messages begin with: netstat's, where the program was called by it.
pub fn program() -> &'static str {
    let called = std::env::args_os().next();
    called.map_or("netstat-user", |name| cli::program(&name))
}

/// A message on standard error, with what could drive a terminal in it made visible.
pub fn complain(message: &str) {
    lines::say(&line_of(message));
}

/// A message as it stands on standard error.
fn line_of(message: &str) -> Vec<u8> {
    format!("{}: {}\n", program(), escape_lines(message)).into_bytes()
}
