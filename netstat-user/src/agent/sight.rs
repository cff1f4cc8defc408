//! What a peer is shown: everything, or what it could see itself without the agent.

use crate::model::{ClosedSocket, LiveSocket, SocketEvent};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

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

/// What a user could see without the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// The user.
    pub uid: u32,
    /// Inode numbers of the network namespaces that processes are in which the user may look into.
    pub namespaces: HashSet<u32>,
    /// Since when each is known to be the same, in the kernel's monotonic nanoseconds: what closed before may have been in another one with that
    /// number.
    pub since: HashMap<u32, u64>,
    /// Those processes, as in ptrace(2), "Ptrace access mode checking", `PTRACE_MODE_READ`.
    pub processes: HashSet<u32>,
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
            Self::Own(own) => own.processes.contains(&pid),
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

    fn hides_owner(&self, uid: Option<u32>) -> bool {
        matches!(self, Self::Own(own) if uid != Some(own.uid))
    }

    /// What is shown of an event.
    pub fn event(&self, event: &SocketEvent) -> Option<SocketEvent> {
        use crate::model::EventKind;
        if !self.has(event.netns) {
            return None;
        }
        let mut event = *event;
        if self.hides_owner(event.uid) {
            event.owner = None;
            if let EventKind::Close(totals) = &mut event.kind {
                totals.closed_by = None;
            }
        }
        Some(event)
    }

    /// What is shown of a live socket.
    pub fn live(&self, socket: &LiveSocket) -> Option<LiveSocket> {
        let owner = socket.owner.filter(|_| !self.hides_owner(socket.uid));
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
        totals.closed_by = totals.closed_by.filter(|_| !self.hides_owner(socket.uid));
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
            Sight::Own(Arc::new(Own { uid, namespaces: [1].into(), since: [(1, 2)].into(), processes: [4].into() }))
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
        for netns in [Some(2), None] {
            assert_eq!(own(7).event(&SocketEvent { netns, ..event }), None);
            assert_eq!(own(7).live(&LiveSocket { netns, ..socket }), None);
            assert!(Sight::All.event(&SocketEvent { netns, ..event }).is_some());
        }
        assert!(own(7).holds(4) && !own(7).holds(5) && Sight::All.holds(5));
        assert!(own(7).is_same(&own(7)) && !own(7).is_same(&own(8)) && !own(7).is_same(&Sight::All));
    }
}
