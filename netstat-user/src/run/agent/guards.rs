//! Which processes may not be looked into by the user of their sockets: looked up when an event or a listing first has one, as it may be gone when
//! somebody asks.

use crate::agent::Guarded;
use crate::model::{EventKind, SocketEvent};
use crate::proc::access;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// How long what was found is believed, in nanoseconds.
const TRUST_NS: u64 = 1_000_000_000;

/// The look-ups, and what they found.
pub struct Guards {
    root: PathBuf,
    found: Arc<Guarded>,
    /// When a process was looked at, with the user of its socket.
    looked: HashMap<(u32, u32), u64>,
    /// Whether anybody asks who is not shown everything.
    is_asked: bool,
}

impl Guards {
    /// Most look-ups that are remembered.
    const MOST: usize = 1 << 16;

    /// Nothing is looked up where nobody asks who is not shown everything.
    pub fn new(root: PathBuf, is_asked: bool) -> Self {
        Self { root, found: Arc::default(), looked: HashMap::new(), is_asked }
    }

    /// What was found, and will be.
    pub fn found(&self) -> Arc<Guarded> {
        Arc::clone(&self.found)
    }

    /// Looks at the processes of an event.
    pub fn note(&mut self, event: &SocketEvent) {
        let closer = match &event.kind {
            EventKind::Close(totals) => totals.closed_by.map(|closer| closer.pid),
            _ => None,
        };
        for pid in event.owner.map(|owner| owner.pid).into_iter().chain(closer) {
            self.look(pid, event.uid, event.time_ns);
        }
    }

    /// Looks at a process with a socket of this user, unless that was done a moment ago.
    pub fn look(&mut self, pid: u32, uid: Option<u32>, now_ns: u64) {
        // Root's own sockets are shown to nobody who is not shown everything.
        let Some(uid) = uid.filter(|&uid| uid != 0 && self.is_asked) else { return };
        if self.looked.get(&(pid, uid)).is_some_and(|&at| now_ns.saturating_sub(at) < TRUST_NS) {
            return;
        }
        if self.looked.len() >= Self::MOST {
            self.looked.clear();
        }
        self.looked.insert((pid, uid), now_ns);
        // Of one that has ended what was found before stays.
        if access::is_guarded(&self.root, pid, uid) {
            self.found.note(pid, uid, true);
        } else if self.root.join(pid.to_string()).exists() {
            self.found.note(pid, uid, false);
        }
    }
}
