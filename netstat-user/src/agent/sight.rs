//! What a peer is shown: everything, or what it could see itself without the agent.

use crate::model::{ClosedSocket, LiveSocket, SocketEvent};
use crate::sys::lock;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};

/// Who is at the other end, as the kernel says (`SO_PEERCRED`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Process id, `None` where it is of another PID namespace.
    pub pid: Option<u32>,
}

/// Processes that the user of their sockets may not look into, as the agent found when they were first met: a setuid program, for one, makes sockets
/// of the user whose file it is, and is run by another one.
#[derive(Debug, Default)]
pub struct Guarded(Mutex<GuardedBy>);

/// A process, and the user of a socket of it.
type Guard = (u32, u32);

#[derive(Debug, Default)]
struct GuardedBy {
    guards: HashSet<Guard>,
    /// In the order they were met.
    met: VecDeque<Guard>,
}

impl Guarded {
    /// Most that are remembered; beyond it, those that were met first are not.
    const MOST: usize = 1 << 16;

    /// Notes whether this user may not look into this process.
    pub fn note(&self, pid: u32, uid: u32, is_guarded: bool) {
        let mut known = lock(&self.0);
        if !is_guarded {
            // The number of one that ended may be another one's by now.
            known.guards.remove(&(pid, uid));
        } else if known.guards.insert((pid, uid)) {
            known.met.push_back((pid, uid));
            if known.met.len() > Self::MOST
                && let Some(first) = known.met.pop_front()
            {
                known.guards.remove(&first);
            }
        }
    }

    fn has(&self, pid: u32, uid: u32) -> bool {
        lock(&self.0).guards.contains(&(pid, uid))
    }
}

/// What a user could see without the agent.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// The user.
    pub uid: u32,
    /// Inode numbers of the network namespaces that processes are in which the user may look into.
    pub namespaces: HashSet<u32>,
    /// Since when each is known to be the same, in the kernel's monotonic nanoseconds: what closed before may have been in another one with that
    /// number.
    pub since: HashMap<u32, u64>,
    /// What each is known by besides its number.
    pub objects: HashMap<u32, KnownNamespace>,
    /// Those processes, as in ptrace(2), "Ptrace access mode checking", `PTRACE_MODE_READ`, and when each began, in ticks since the boot.
    pub processes: HashMap<u32, u64>,
    /// Whether the user looks from a user or PID namespace that is not the agent's: processes outside of it are not named at all.
    pub is_nested: bool,
    /// When the process that asks began, where it can be found.
    pub asker: Option<u64>,
    /// Those whose sockets may be the user's, and that the user may not look into.
    pub guarded: Arc<Guarded>,
}

/// A network namespace beyond its inode number, which is given to another one as soon as it has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownNamespace {
    /// A number that no other namespace has while the kernel runs; `None` where the kernel does not say it.
    pub id: Option<u64>,
    /// Processes in it.
    pub witnesses: Vec<u32>,
}

impl PartialEq for Own {
    /// Which processes are guarded is the agent's knowledge, and the same for all.
    fn eq(&self, other: &Self) -> bool {
        let seen = |own: &Self| (own.uid, own.is_nested, own.namespaces == self.namespaces && own.since == self.since);
        seen(self) == seen(other) && self.processes == other.processes
    }
}

/// What a peer is shown.
#[derive(Clone, Debug)]
pub enum Sight {
    /// Everything.
    All,
    /// Rows and events of these network namespaces; owners of the user's own sockets.
    Own(Arc<Own>),
}

impl Sight {
    /// Whether sockets of this network namespace are shown.
    pub fn has(&self, netns: Option<u32>) -> bool {
        match self {
            Self::All => true,
            Self::Own(own) => netns.is_some_and(|netns| own.namespaces.contains(&netns)),
        }
    }

    /// The user whose sockets alone are shown with their owners.
    pub fn user(&self) -> Option<u32> {
        match self {
            Self::All => None,
            Self::Own(own) => Some(own.uid),
        }
    }

    /// Whether the process is shown as a holder.
    pub fn holds(&self, pid: u32) -> bool {
        match self {
            Self::All => true,
            Self::Own(own) => own.processes.contains_key(&pid),
        }
    }

    /// Whether both show the same.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, Self::All) => true,
            (Self::Own(one), Self::Own(other)) => Arc::ptr_eq(one, other) || one == other,
            _ => false,
        }
    }

    /// Whether both show sockets of the same network namespaces.
    pub fn has_same_namespaces(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, Self::All) => true,
            (Self::Own(one), Self::Own(other)) => one.namespaces == other.namespaces,
            _ => false,
        }
    }

    /// What is shown of what was read after this look, and before another one: what both found. A number that is another namespace's or another
    /// process's by then, or a process that changed its user meanwhile, is in neither.
    pub fn and(&self, later: &Own) -> Self {
        let Self::Own(own) = self else { return Self::All };
        let mut both = Own::clone(own);
        let id = |own: &Own, netns: &u32| own.objects.get(netns).map(|object| object.id);
        both.namespaces.retain(|netns| later.namespaces.contains(netns) && id(own, netns) == id(later, netns));
        both.processes.retain(|pid, begun| later.processes.get(pid) == Some(begun));
        Self::Own(Arc::new(both))
    }

    /// Whether it is not shown that this process owned, or closed, a socket of this user.
    pub fn hides(&self, pid: u32, uid: Option<u32>) -> bool {
        let is_outside = |own: &Own| own.is_nested && !own.processes.contains_key(&pid);
        matches!(self, Self::Own(own) if uid != Some(own.uid) || own.guarded.has(pid, own.uid) || is_outside(own))
    }

    /// What is shown of an event.
    pub fn event(&self, event: &SocketEvent) -> Option<SocketEvent> {
        use crate::model::EventKind;
        if !self.has(event.netns) {
            return None;
        }
        let mut event = *event;
        event.owner = event.owner.filter(|owner| !self.hides(owner.pid, event.uid));
        if let EventKind::Close(totals) = &mut event.kind {
            totals.closed_by = totals.closed_by.filter(|closer| !self.hides(closer.pid, event.uid));
        }
        Some(event)
    }

    /// What is shown of a live socket.
    pub fn live(&self, socket: &LiveSocket) -> Option<LiveSocket> {
        let owner = socket.owner.filter(|owner| !self.hides(owner.pid, socket.uid));
        self.has(socket.netns).then_some(LiveSocket { owner, ..*socket })
    }

    /// What is shown of a closed socket.
    pub fn closed(&self, closed: &ClosedSocket) -> Option<ClosedSocket> {
        if let (Self::Own(own), Some(netns)) = (self, closed.socket.netns)
            && own.since.get(&netns).is_some_and(|&since| closed.closed_ns < since)
        {
            return None;
        }
        let socket = self.live(&closed.socket)?;
        let mut totals = closed.totals;
        totals.closed_by = totals.closed_by.filter(|closer| !self.hides(closer.pid, socket.uid));
        Some(ClosedSocket { socket, totals, ..*closed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CloseReason, Closer, Comm, EventKind, Grade, Owner, Proto, TcpState, Totals};

    #[test]
    fn others_sockets_have_no_owner_and_other_namespaces_no_sockets() {
        let comm = Comm::new(b"secret");
        let totals = Totals { closed_by: Some(Closer { pid: 4, comm }), ..Totals::unknown(CloseReason::Closed) };
        let event = SocketEvent {
            time_ns: 1,
            kind: EventKind::Close(totals),
            proto: Proto::Tcp,
            local: None,
            remote: None,
            owner: Some(Owner { pid: 4, comm, grade: Grade::Created, cgroup_id: None }),
            uid: Some(7),
            inode: None,
            cookie: None,
            netns: Some(1),
        };
        let socket = LiveSocket {
            proto: event.proto,
            state: TcpState::Close,
            local: None,
            remote: None,
            netns: event.netns,
            uid: event.uid,
            inode: 0,
            cookie: None,
            owner: event.owner,
            since_ns: None,
            seen_ns: 0,
            state_ns: 0,
        };
        let closed = ClosedSocket { socket, closed_ns: 2, totals };
        let own = |uid| {
            let (namespaces, since, processes) = ([1].into(), [(1, 2)].into(), [(4, 1)].into());
            Sight::Own(Arc::new(Own { uid, namespaces, since, processes, ..Own::default() }))
        };
        for sight in [Sight::All, own(7)] {
            assert_eq!((sight.event(&event), sight.closed(&closed)), (Some(event), Some(closed)));
        }
        // Of another namespace that had the number before.
        assert_eq!(own(7).closed(&ClosedSocket { closed_ns: 1, ..closed }), None);
        assert!(Sight::All.closed(&ClosedSocket { closed_ns: 1, ..closed }).is_some());
        for uid in [Some(0), None] {
            let others = own(7);
            let event = others.event(&SocketEvent { uid, ..event }).unwrap();
            assert!(matches!((event.owner, event.kind), (None, EventKind::Close(Totals { closed_by: None, .. }))));
            let closed = others.closed(&ClosedSocket { socket: LiveSocket { uid, ..socket }, ..closed }).unwrap();
            assert_eq!((closed.socket.owner, closed.totals.closed_by), (None, None));
        }
        // Of a process that the user may not look into, whoever its sockets belong to.
        let guarded = Arc::new(Guarded::default());
        let of_guarded = Sight::Own(Arc::new(Own {
            uid: 7,
            namespaces: [1].into(),
            guarded: Arc::clone(&guarded),
            ..Own::default()
        }));
        assert!(of_guarded.event(&event).unwrap().owner.is_some());
        guarded.note(4, 7, true);
        let shown = of_guarded.event(&event).unwrap();
        assert!(matches!((shown.owner, shown.kind), (None, EventKind::Close(Totals { closed_by: None, .. }))));
        let shown = of_guarded.closed(&closed).unwrap();
        assert_eq!((shown.socket.owner, shown.totals.closed_by), (None, None));
        guarded.note(4, 7, false);
        assert_eq!(of_guarded.closed(&closed), Some(closed));
        (0..=Guarded::MOST as u32).for_each(|pid| guarded.note(pid, 7, true));
        assert_eq!([0, 1, Guarded::MOST as u32].map(|pid| guarded.has(pid, 7)), [false, true, true]);
        for netns in [Some(2), None] {
            assert_eq!(own(7).event(&SocketEvent { netns, ..event }), None);
            assert_eq!(own(7).live(&LiveSocket { netns, ..socket }), None);
            assert!(Sight::All.event(&SocketEvent { netns, ..event }).is_some());
        }
        assert!(own(7).holds(4) && !own(7).holds(5) && Sight::All.holds(5));
        // Both looks have to find it: another namespace, or process, with the number is not it.
        let with = |id, begun| {
            let objects = [(1, KnownNamespace { id: Some(id), witnesses: vec![4] })].into();
            Own { uid: 7, namespaces: [1].into(), objects, processes: [(4, begun)].into(), ..Own::default() }
        };
        let both = |id, begun| {
            let both = Sight::Own(Arc::new(with(5, 1))).and(&with(id, begun));
            (both.has(Some(1)), both.holds(4))
        };
        assert_eq!([both(5, 1), both(6, 1), both(5, 2)], [(true, true), (false, true), (true, false)]);
        assert!(matches!(Sight::All.and(&with(5, 1)), Sight::All));
        // Whoever looks from below names no process outside.
        let nested = |pid| {
            let own = Own { is_nested: true, processes: [(pid, 1)].into(), ..with(5, 1) };
            Sight::Own(Arc::new(own)).event(&event).unwrap().owner.is_some()
        };
        assert_eq!([nested(4), nested(5)], [true, false]);
        assert!(own(7).is_same(&own(7)) && !own(7).is_same(&own(8)) && !own(7).is_same(&Sight::All));
    }
}
