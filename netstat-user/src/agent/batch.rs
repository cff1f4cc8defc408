//! A batch of what happened, as one reader gets it: what it asked for, and may see, in frames.

use super::sight::Sight;
use crate::model::{Limits, LiveSocket, SocketEvent};
use crate::query::Answer;
use crate::table::Change;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// What a reader wants, and is shown.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What it asked for.
    pub wanted: Limits,
    /// What it may see.
    pub sight: Sight,
}

impl Wish {
    /// The event as the reader may see it, if that is wanted: what is hidden from it decides nothing.
    fn grants(&self, event: &SocketEvent) -> Option<SocketEvent> {
        self.sight.event(event).filter(|shown| self.wanted.passes(shown))
    }

    /// The live socket as the reader may see it, if it is wanted.
    pub fn shows(&self, socket: &LiveSocket) -> Option<LiveSocket> {
        self.sight.live(socket).filter(|_| self.wanted.passes_socket(socket))
    }

    /// Whether both want the same and are shown the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.wanted == other.wanted && self.sight.is_same(&other.sight)
    }
}

/// What is handed over at a time.
#[derive(Clone, Debug)]
pub enum Batch {
    /// What happened.
    Events(Arc<Vec<SocketEvent>>),
    /// What the kernel's lists have changed of the table: for those who follow it.
    Changes(Arc<Vec<Change>>),
}

impl Batch {
    /// How much is in it.
    pub fn len(&self) -> usize {
        match self {
            Self::Events(events) => events.len(),
            Self::Changes(changes) => changes.len(),
        }
    }

    /// What of it is granted, as frames, and how much that is.
    pub fn encode(&self, wish: &Wish) -> (Bytes, u64) {
        let (mut out, mut count) = (BytesMut::new(), 0);
        match self {
            Self::Events(events) => {
                for event in events.iter().filter_map(|event| wish.grants(event)) {
                    Answer::Event(event).encode(&mut out);
                    count += 1;
                }
            }
            Self::Changes(changes) => {
                for change in &**changes {
                    let [before, after] = [change.before, change.after].map(|socket| wish.shows(&socket?));
                    if before != after {
                        before.iter().for_each(|socket| Answer::Gone(*socket).encode(&mut out));
                        after.iter().for_each(|socket| Answer::Live(*socket).encode(&mut out));
                        count += 1;
                    }
                }
            }
        }
        (out.freeze(), count)
    }

    /// How much of it is granted.
    pub fn count(&self, wish: &Wish) -> u64 {
        match self {
            Self::Events(events) => events.iter().filter_map(|event| wish.grants(event)).count() as u64,
            Self::Changes(_) => self.encode(wish).1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Own;
    use super::*;
    use crate::model::{Comm, EventKind, Grade, Owner, Proto};

    /// Whether an event passes must not depend on an owner that the reader may not see, or else the reader could find out the owner by asking.
    #[test]
    fn what_a_reader_may_not_see_decides_nothing() {
        let owner = Owner { pid: 4, comm: Comm::new(b"secret"), grade: Grade::Created, cgroup_id: None, start: 0 };
        let of = |uid| SocketEvent {
            time_ns: 1,
            kind: EventKind::Open,
            proto: Proto::Tcp,
            local: None,
            remote: None,
            owner: Some(owner),
            uid: Some(uid),
            inode: None,
            cookie: None,
            netns: Some(1),
        };
        let own = Own { uid: 7, namespaces: [1].into(), ..Own::default() };
        let wish = |pid| {
            let wanted = Limits { pids: Some(vec![pid]), ..Limits::default() };
            Wish { wanted, sight: Sight::Own(own.clone().into()) }
        };
        // The reader decides about owners that it is not shown.
        assert_eq!([4, 5].map(|pid| Batch::Events(Arc::new(vec![of(0)])).count(&wish(pid))), [1, 1]);
        assert_eq!([4, 5].map(|pid| Batch::Events(Arc::new(vec![of(7)])).count(&wish(pid))), [1, 0]);
    }
}
