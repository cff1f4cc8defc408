//! Reads on a thread for what blocks, for a peer: the kernel's lists and the table, limited to what the peer may see.

use super::Lists;
use super::keeper::Ask;
use super::sight::{Peer, Sight};
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// Where is read for a peer, and what it may see.
pub struct PeerRead<L> {
    /// The kernel's lists.
    pub lists: Arc<L>,
    /// To the task that owns the table.
    pub asks: mpsc::Sender<Ask>,
    /// Who asks.
    pub peer: Peer,
    /// What the peer could see before.
    pub sight: Sight,
}

impl<L: Lists> PeerRead<L> {
    /// Asks the task that owns the table, and waits for its answer.
    ///
    /// # Errors
    /// `BrokenPipe`: the agent ends.
    pub fn ask_keeper<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> io::Result<T> {
        let (answer, answered) = oneshot::channel();
        self.asks.blocking_send(ask(answer)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        answered.blocking_recv().map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// What is shown of what has been read: what the peer could see before and can see after it.
    ///
    /// # Errors
    /// Something ran out.
    pub fn confirmed(&self) -> io::Result<Sight> {
        match &self.sight {
            Sight::All => Ok(Sight::All),
            before @ Sight::Own(_) => Ok(before.and(&*self.lists.own_since(&self.peer, Some(Instant::now()))?)),
        }
    }
}
