//! What listings change of the live sockets, for whoever keeps a copy of the table from a snapshot and the events since.

use super::Table;
use super::slots::Identity;
use crate::model::{LiveSocket, TcpState};

/// What a listing, and no event, changed of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The socket as it was known before, `None` where it was not.
    pub before: Option<LiveSocket>,
    /// The socket as it is known now, `None` where it is not there any more.
    pub after: Option<LiveSocket>,
}

impl Table {
    /// Whether from now on what listings change is noted, to be taken by [`Table::take_changes`].
    pub fn note_changes(&mut self, wanted: bool) {
        self.changes = wanted.then(Vec::new);
    }

    /// What listings have changed, in their order, since this was called last.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.changes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn note(&mut self, before: Option<LiveSocket>, after: Option<LiveSocket>) {
        if let Some(changes) = self.changes.as_mut().filter(|_| before != after) {
            changes.push(Change { before, after });
        }
    }

    /// Puts in a live socket of another table, of which this one is a copy.
    pub fn put(&mut self, socket: LiveSocket) {
        let at = self.slots.insert(socket);
        self.slots.at(at).mini = socket.state == TcpState::TimeWait;
    }

    /// Takes out a live socket that is not in the other table any more, or not as it was.
    pub fn take(&mut self, socket: &LiveSocket) {
        let identity = Identity::of(socket);
        let found = match socket.state {
            TcpState::TimeWait => self.slots.find_mini(&identity),
            _ => self.slots.find(&identity),
        };
        found.and_then(|at| self.slots.remove(at));
    }
}
