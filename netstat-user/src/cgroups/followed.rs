//! The memory of a stream of events: what the owners of its sockets run as part of, also once they have gone.

use super::kept::KeptWorkloads;
use super::workloads::{WorkloadKey, Workloads, key, value};
use crate::field::{Field, Need, Provider, Subject, Value};
use crate::model::{EventKind, SocketEvent, Workload};
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Most sockets that are kept as alive: of some the close is lost, and they would stay for ever.
const ALIVE: usize = 1 << 20;

/// What the owners of a stream's sockets run as part of: what was found when the owner of a socket was first seen is kept for the later events of the socket,
/// whose process may have gone.
#[derive(Debug)]
pub struct Followed {
    workloads: Workloads,
    /// By cookie, with the owner it was found for.
    by_socket: HashMap<u64, (u32, Arc<Workload>)>,
    /// What was last found for a process.
    by_owner: KeptWorkloads<WorkloadKey>,
    /// The sockets that closed since the last batch.
    closed: Vec<u64>,
    /// Whether a failure was reported.
    reported: bool,
}

impl Followed {
    /// Nothing seen yet; /proc is mounted at `root`.
    pub fn new(root: &Path) -> Self {
        let workloads = Workloads::new(root);
        let (by_socket, by_owner, closed) = Default::default();
        Self { workloads, by_socket, by_owner, closed, reported: false }
    }

    /// Takes in an event, before its fields are asked for.
    pub fn note(&mut self, event: &SocketEvent) {
        if let (Some(cookie), EventKind::Close(_)) = (event.cookie, event.kind) {
            self.closed.push(cookie);
        }
        let Some(owner) = event.owner else { return };
        let known = event.cookie.and_then(|cookie| self.by_socket.get(&cookie));
        if known.is_some_and(|(pid, _)| *pid == owner.pid) {
            return;
        }
        let found = self.workloads.recorded(&owner);
        if let Some(workload) = &found {
            self.by_owner.insert(key(&owner), 0, Arc::clone(workload));
        }
        let workload = found.or_else(|| self.by_owner.get(&key(&owner)).cloned());
        if let Some((cookie, workload)) = event.cookie.zip(workload) {
            if self.by_socket.len() >= ALIVE {
                self.by_socket.clear();
            }
            self.by_socket.insert(cookie, (owner.pid, workload));
        }
    }

    /// Why not every process could be looked into, the first time that this is so.
    pub fn new_failure(&mut self) -> Option<&io::Error> {
        let is_new = !self.reported && self.workloads.failure().is_some();
        self.reported |= is_new;
        self.workloads.failure().filter(|_| is_new)
    }

    /// Forgets the sockets that have closed. Call it once their last events are written.
    pub fn forget_closed(&mut self) {
        for cookie in self.closed.drain(..) {
            self.by_socket.remove(&cookie);
        }
    }

    fn of(&self, event: &SocketEvent) -> Option<&Workload> {
        let by_socket = event.cookie.and_then(|cookie| self.by_socket.get(&cookie)).map(|(_, workload)| workload);
        let by_owner = || self.by_owner.get(&event.owner.as_ref().map(key)?);
        by_socket.or_else(by_owner).map(|workload| &**workload)
    }
}

impl Provider for Followed {
    fn provides(&self) -> Need {
        Need::CGROUPS
    }

    fn value<'a>(&'a self, subject: &Subject<'a>, field: Field) -> Value<'a> {
        let Subject::Event(event) = subject else { return Value::Null };
        self.of(event).map_or(Value::Null, |workload| value(workload, field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroups::test_tree::{ID, tree};
    use crate::model::{Comm, EventEnd, Grade, Owner, Proto};
    use std::fs;

    fn event(kind: EventKind, cookie: Option<u64>, pid: u32) -> SocketEvent {
        let end = EventEnd { addr: [127, 0, 0, 1].into(), port: Some(1) };
        SocketEvent {
            time_ns: 0,
            kind,
            proto: Proto::Tcp,
            local: Some(end),
            remote: Some(end),
            owner: Some(Owner { pid, comm: Comm::new(b"server"), grade: Grade::Created, cgroup_id: None, start: 0 }),
            uid: None,
            inode: None,
            cookie,
            netns: None,
        }
    }

    #[test]
    fn a_socket_keeps_what_was_found_when_its_owner_was_first_seen() {
        let root = tree("followed", 7, &format!("/docker/{ID}"));
        let mut followed = Followed::new(&root);
        let first = event(EventKind::Open, Some(1), 7);
        followed.note(&first);
        fs::remove_dir_all(&root).unwrap();
        let later = event(EventKind::Open, Some(1), 7);
        followed.note(&later);
        let container = |followed: &Followed, event: &SocketEvent| {
            followed.of(event).and_then(|workload| workload.container.clone())
        };
        assert_eq!(container(&followed, &later).as_deref(), Some(ID));
        // Another socket of the process, which is gone already.
        let second = event(EventKind::Open, Some(2), 7);
        followed.note(&second);
        assert_eq!(container(&followed, &second).as_deref(), Some(ID));
        // And of somebody else.
        let other = event(EventKind::Open, Some(3), 8);
        followed.note(&other);
        assert_eq!(container(&followed, &other), None);
        followed.closed.push(1);
        followed.forget_closed();
        assert_eq!(followed.by_socket.len(), 1);
    }

    #[test]
    fn a_process_that_cannot_be_read_is_reported_once() {
        let root = tree("unread-followed", 7, "/");
        fs::remove_file(root.join("7/cgroup")).unwrap();
        fs::create_dir(root.join("7/cgroup")).unwrap();
        let mut followed = Followed::new(&root);
        let reported = [1, 2].map(|cookie| {
            followed.note(&event(EventKind::Open, Some(cookie), 7));
            followed.new_failure().is_some()
        });
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(reported, [true, false]);
    }
}
