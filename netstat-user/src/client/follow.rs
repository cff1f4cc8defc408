//! The agent's live table, followed: the sockets that live, and what changes of that from then on.

use super::{AskError, Asking};
use crate::model::{Limits, LiveSocket, SocketEvent};
use crate::query::{Answer, Request};
use std::path::Path;
use std::time::Duration;

/// What the agent sends to one that follows its table. A copy of the table is kept by [`crate::table`] or anything that folds the same: what
/// is live is put in, what has gone is taken out, and events are folded, each in its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableNews {
    /// A socket that lives: one of those that lived at first, or one that the kernel's lists have shown, or shown so.
    Live(LiveSocket),
    /// All that lived at this moment, in nanoseconds since the epoch, have been sent.
    Complete(u64),
    /// Something happened to a socket.
    Event(SocketEvent),
    /// The kernel's lists have shown that this socket does not live any more, or not as it was sent.
    Gone(LiveSocket),
    /// So many events were lost. The agent compares its table with the kernel's lists: what that changes, follows.
    Lost(u64),
    /// This user is shown other network namespaces from now on. What lives in them, only following anew shows.
    Stale,
    /// This reader was too slow: so much is missing from here on, and no more follows.
    Dropped(u64),
    /// The agent has ended, or was asked to send no more.
    End,
}

/// The agent's live table as it goes on.
#[derive(Debug)]
pub struct Follower {
    asking: Asking,
    /// Whether the agent's process and user numbers are ours.
    here: bool,
    /// Whether all sockets that lived have been sent.
    complete: bool,
    /// Whether the events have begun.
    begun: bool,
}

impl Follower {
    /// Follows the agent's table, which it has compared with the kernel's lists within `age`, or compares first. Of what is wanted, only
    /// protocols and a network namespace are limits of the sockets, too; with others, the events do not give the table.
    ///
    /// # Errors
    /// The agent does not answer as it should.
    pub fn new(path: &Path, wanted: Limits, age: Duration) -> Result<Self, AskError> {
        let age_ns = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        let asking = Asking::new(path, &Request::Follow { wanted, age_ns })?;
        Ok(Self { here: asking.is_here(), asking, complete: false, begun: false })
    }

    /// Whether the agent's process and user numbers are ours; owners and users are only sent where they are.
    pub const fn is_here(&self) -> bool {
        self.here
    }

    /// What the agent sends next; waits for it, for ever once the sockets that lived have been sent.
    ///
    /// # Errors
    /// The agent does not answer as it should, has gone, or is of an earlier release.
    pub fn read(&mut self) -> Result<TableNews, AskError> {
        loop {
            let read = match self.asking.answer()? {
                Answer::End if self.begun => TableNews::End,
                Answer::End if self.complete => {
                    self.asking.reader.get_ref().set_read_timeout(None)?;
                    self.begun = true;
                    continue;
                }
                // Events would follow, and nothing that they happen to.
                Answer::End => return Err(AskError::Older),
                Answer::Live(socket) => TableNews::Live(self.known(socket)),
                Answer::LiveEnd { time_ns } => {
                    self.complete = true;
                    TableNews::Complete(time_ns)
                }
                Answer::Gone(socket) if self.begun => TableNews::Gone(self.known(socket)),
                Answer::Event(mut event) if self.begun => {
                    if !self.here {
                        (event.owner, event.uid) = (None, None);
                    }
                    TableNews::Event(event)
                }
                Answer::Lost { count, .. } => TableNews::Lost(count),
                Answer::Stale => TableNews::Stale,
                Answer::Dropped(count) => TableNews::Dropped(count),
                Answer::Status(_) | Answer::Coverage(_) | Answer::Unknown(_) => continue,
                _ => return Err(AskError::OffTopic),
            };
            return Ok(read);
        }
    }

    /// Has the agent send what was recorded until now, and end.
    pub fn stop(&self) {
        // One that has gone sends nothing more anyway.
        let _ = rustix::net::shutdown(self.asking.reader.get_ref(), rustix::net::Shutdown::Write);
    }

    /// The socket as far as its numbers are ours.
    const fn known(&self, socket: LiveSocket) -> LiveSocket {
        if self.here { socket } else { LiveSocket { owner: None, uid: None, ..socket } }
    }
}
