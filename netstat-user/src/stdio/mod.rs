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
use std::io::{self, BufRead};
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

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// It was not written, or not all of it.
    #[error("cannot write the question to standard error: {0}")]
    NotAsked(#[source] io::Error),
    /// No answer to it can be read.
    #[error("cannot read standard input: {0}")]
    NotRead(#[source] io::Error),
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
            // A device may take nothing: it would do so for ever.
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_for(file, PollFlags::OUT)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits until the file may be read or written, or a signal has come.
fn wait_for(file: &impl AsFd, what: PollFlags) -> io::Result<()> {
    match poll(&mut [PollFd::new(file, what)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Writes a question to standard error, all of it, and reads the line that answers it.
///
/// # Errors
/// What failed of the two.
pub fn ask(question: &[u8]) -> Result<String, Unanswered> {
    write_to(&io::stderr(), question).map_err(Unanswered::NotAsked)?;
    let answer = line_of_input(&mut io::stdin().lock(), || wait_for(&io::stdin(), PollFlags::IN));
    answer.map_err(Unanswered::NotRead)
}

/// The next line, its end included. Whoever shares the file may have made it one that does not wait (`O_NONBLOCK`): then `wait` does.
fn line_of_input(input: &mut impl BufRead, wait: impl Fn() -> io::Result<()>) -> io::Result<String> {
    let mut line = Vec::new();
    loop {
        match input.read_until(b'\n', &mut line) {
            Ok(_) => return Ok(String::from_utf8_lossy(&line).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait()?,
            Err(error) => return Err(error),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{OFlags, fcntl_setfl};
    use std::io::{BufReader, Read, Write};
    use std::thread;
    use std::time::Duration;

    #[test]
    fn what_does_not_wait_is_waited_for() {
        let (mut reader, writer) = io::pipe().unwrap();
        fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
        // More than a pipe holds.
        let written = vec![b'x'; 1 << 20];
        let read = thread::spawn(move || {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            read
        });
        write_to(&writer, &written).unwrap();
        drop(writer);
        assert!(read.join().unwrap() == written);
    }

    #[test]
    fn an_answer_that_comes_in_parts_is_waited_for() {
        let (reader, mut writer) = io::pipe().unwrap();
        fcntl_setfl(&reader, OFlags::NONBLOCK).unwrap();
        let typed = thread::spawn(move || {
            for part in [&b"y"[..], b"es\nmore"] {
                thread::sleep(Duration::from_millis(20));
                writer.write_all(part).unwrap();
            }
        });
        let file = reader.try_clone().unwrap();
        let answer = line_of_input(&mut BufReader::new(reader), || wait_for(&file, PollFlags::IN));
        assert_eq!(answer.unwrap(), "yes\n");
        typed.join().unwrap();
    }
}
