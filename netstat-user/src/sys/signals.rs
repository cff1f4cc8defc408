//! Signals that a process waits for. Where no descriptor is left to wait on, that is an error; tokio's own would panic.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::io;
use std::os::unix::net::UnixStream as Pipe;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

/// What ends a process that is asked to.
pub const ENDING: &[i32] = &[SIGINT, SIGTERM];
/// What has it look again at what it has read.
pub const RELOADING: &[i32] = &[SIGHUP];

/// Some signals, which from here on are not fatal.
#[derive(Debug)]
pub struct Signals(UnixStream);

impl Signals {
    /// Waits for these. Needs a runtime.
    ///
    /// # Errors
    /// The kernel's: no descriptor is left.
    pub fn of(signals: &[i32]) -> io::Result<Self> {
        let (reader, writer) = Pipe::pair()?;
        for &signal in signals {
            pipe::register(signal, writer.try_clone()?)?;
        }
        reader.set_nonblocking(true)?;
        UnixStream::from_std(reader).map(Self)
    }

    /// One or several have come.
    ///
    /// # Errors
    /// The kernel's: they cannot be waited for any more.
    pub async fn next(&mut self) -> io::Result<()> {
        // The other end is kept for the process's life: there is nothing but bytes to come.
        match self.0.read(&mut [0; 64]).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
