//! The agent's stream of events, frame by frame as they arrive.

use super::{AskError, Asking};
use crate::query::{Answer, CoverageRows, MAX_ANSWER, next_frame};
use bytes::BytesMut;
use std::io;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Bytes taken from the agent at a time.
const BATCH: usize = 256 << 10;

/// A connection over which events come.
#[derive(Debug)]
pub struct EventStream {
    stream: UnixStream,
    arrived: BytesMut,
    /// Whether the agent's process and user numbers are ours.
    here: bool,
}

impl EventStream {
    /// The connection of a request for events whose coverage was read. Needs a runtime.
    ///
    /// # Errors
    /// The runtime cannot watch the connection.
    pub fn new(asking: Asking) -> io::Result<Self> {
        let here = asking.is_here();
        let (stream, arrived) = asking.into_parts();
        stream.set_nonblocking(true)?;
        Ok(Self { stream: UnixStream::from_std(stream)?, arrived, here })
    }

    /// Has the agent send what was recorded until now, and end.
    pub fn stop(&self) {
        // One that has gone sends nothing more anyway.
        let _ = rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Write);
    }

    /// The next frame, if it has arrived as a whole; owners and users only where their numbers are ours.
    pub fn arrived(&mut self) -> Option<Result<Answer, AskError>> {
        let answer = match next_frame(&mut self.arrived, MAX_ANSWER) {
            Ok(None) => return None,
            Ok(Some(body)) => Answer::decode(body),
            Err(error) => Err(error),
        };
        Some(match answer {
            Ok(Answer::Event(mut event)) => {
                if !self.here {
                    (event.owner, event.uid) = (None, None);
                }
                Ok(Answer::Event(event))
            }
            other => other.map_err(AskError::from),
        })
    }

    /// Waits for more, for ever or as long as `patience` lasts; false where the agent has gone. May be broken off and called again.
    ///
    /// # Errors
    /// The connection broke, or nothing came in time.
    pub async fn fill(&mut self, patience: Option<Duration>) -> Result<bool, AskError> {
        self.arrived.reserve(BATCH);
        let read = self.stream.read_buf(&mut self.arrived);
        let read = match patience {
            Some(patience) => timeout(patience, read).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
            None => read.await,
        };
        Ok(read? > 0)
    }
}

/// What the agent traces, which it sends before the first event.
///
/// # Errors
/// The agent does not answer as it should.
pub fn coverage(asking: &mut Asking) -> Result<CoverageRows, AskError> {
    let mut coverage = CoverageRows::default();
    loop {
        match asking.answer()? {
            Answer::Coverage(rows) => coverage = rows,
            Answer::Status(_) | Answer::Unknown(_) => {}
            Answer::End => return Ok(coverage),
            _ => return Err(AskError::OffTopic),
        }
    }
}
