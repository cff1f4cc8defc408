//! What a peer is shown: everything, or what it could see itself without the agent.

use super::guarded::{Guarded, SocketProcess};
use crate::model::{ClosedSocket, Closer, LiveSocket, Owner, SocketEvent, is_start};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Who is at the other end, as the kernel says (`SO_PEERCRED`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Process id, `None` where it is of another PID namespace, or has gone.
    pub pid: Option<u32>,
    /// When that process began, in nanoseconds of `CLOCK_BOOTTIME`, as found while it was there: another one with its number is not it. `None` of those who are
    /// shown everything.
    pub begun: Option<u64>,
    /// A number that it alone has, where the kernel says it (Linux 6.9): two may begin in one tick.
    pub id: Option<u64>,
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
    /// Those processes, as in ptrace(2), "Ptrace access mode checking", `PTRACE_MODE_READ`, and when each began, in nanoseconds of
    /// `CLOCK_BOOTTIME`, rounded down to a tick.
    pub processes: HashMap<u32, u64>,
    /// Whether the user looks from a user or PID namespace that is not the agent's: processes outside of it are not named at all.
    pub is_nested: bool,
    /// Those whose sockets may be the user's, and that the user may not look into.
    pub guarded: Arc<Guarded>,
    /// The number of the look that found it: with the same one a user sees the same. `None` of what comes of several.
    pub look: Option<u64>,
}

/// A network namespace beyond its inode number, which is given to another one as soon as it has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownNamespace {
    /// A number that no other namespace has while the kernel runs; `None` where the kernel does not say it.
    pub id: Option<u64>,
    /// Processes in it.
    pub witnesses: Vec<u32>,
}

impl Own {
    /// Whether the same was found. Which processes are guarded is the agent's knowledge, and the same for all.
    pub fn found_same(&self, other: &Self) -> bool {
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

    /// Whether both show the same. This is asked for each reader and each batch: what was found is not compared.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, Self::All) => true,
            (Self::Own(one), Self::Own(other)) => one.look.is_some() && (one.uid, one.look) == (other.uid, other.look),
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

    /// What both looks found, for data that was read between the two. A number that belongs to another namespace or process by then is left out, and so
    /// is a process that changed its user meanwhile.
    pub fn and(&self, later: &Own) -> Self {
        let Self::Own(own) = self else { return Self::All };
        let mut both = Own { look: None, ..Own::clone(own) };
        let id = |own: &Own, netns: &u32| own.objects.get(netns).map(|object| object.id);
        both.namespaces.retain(|netns| later.namespaces.contains(netns) && id(own, netns) == id(later, netns));
        both.processes.retain(|pid, begun| later.processes.get(pid) == Some(begun));
        for (netns, since) in &mut both.since {
            *since = later.since.get(netns).map_or(u64::MAX, |&later| later.max(*since));
        }
        Self::Own(Arc::new(both))
    }

    /// Whether to hide that this process, with its start as [`Owner::start`](crate::model::Owner) has it, owned or closed a socket of this user.
    fn hides(&self, (pid, start): (u32, u32), uid: Option<u32>) -> bool {
        let Self::Own(own) = self else { return false };
        if uid != Some(own.uid) {
            return true;
        }
        // Those that the user sees by itself; and where all is known that is not to be shown, those that have ended.
        let is_seen = own.processes.get(&pid).is_some_and(|&begun| is_start(start, begun));
        let is_hidden = || own.guarded.has(SocketProcess { pid, start, uid: own.uid });
        !is_seen && (own.is_nested || !own.guarded.is_whole(own.uid) || is_hidden())
    }

    /// Whether this owner of a socket of the user is not shown.
    pub fn hides_owner(&self, owner: &Owner, uid: Option<u32>) -> bool {
        self.hides((owner.pid, owner.start), uid)
    }

    /// Whether it is not shown that this process closed a socket of the user.
    fn hides_closer(&self, closer: &Closer, uid: Option<u32>) -> bool {
        self.hides((closer.pid, closer.start), uid)
    }

    /// What is shown of an event.
    pub fn event(&self, event: &SocketEvent) -> Option<SocketEvent> {
        use crate::model::EventKind;
        if !self.has(event.netns) {
            return None;
        }
        let mut event = *event;
        event.owner = event.owner.filter(|owner| !self.hides_owner(owner, event.uid));
        if let EventKind::Close(totals) = &mut event.kind {
            totals.closed_by = totals.closed_by.filter(|closer| !self.hides_closer(closer, event.uid));
        }
        Some(event)
    }

    /// What is shown of a live socket.
    pub fn live(&self, socket: &LiveSocket) -> Option<LiveSocket> {
        let owner = socket.owner.filter(|owner| !self.hides_owner(owner, socket.uid));
        self.has(socket.netns).then_some(LiveSocket { owner, ..*socket })
    }

    /// Whether this closed socket is shown. One that closed before its network namespace was first seen is hidden: its number may have belonged to
    /// another one. Its time is `epoch_ns` ahead of the kernel's monotonic one.
    pub fn had(&self, closed: &ClosedSocket, epoch_ns: u64) -> bool {
        let netns = closed.socket.netns;
        let is_older = |own: &Own, netns| {
            own.since.get(&netns).is_some_and(|&since| closed.closed_ns < since.saturating_add(epoch_ns))
        };
        self.has(netns) && !matches!((self, netns), (Self::Own(own), Some(netns)) if is_older(own, netns))
    }

    /// What is shown of a closed socket; its times are `epoch_ns` ahead.
    pub fn closed(&self, closed: &ClosedSocket, epoch_ns: u64) -> Option<ClosedSocket> {
        if !self.had(closed, epoch_ns) {
            return None;
        }
        let socket = self.live(&closed.socket)?;
        let mut totals = closed.totals;
        totals.closed_by = totals.closed_by.filter(|closer| !self.hides_closer(closer, socket.uid));
        Some(ClosedSocket { socket, totals, ..*closed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CloseReason, Comm, EventKind, Grade, Proto, TcpState, Totals};

    /// When a process began, by its tick and as its records have it.
    const BEGUN: u64 = 7 * crate::model::TICK_NS;
    const START: u32 = (BEGUN >> crate::model::START_SHIFT) as u32 + 1;

    #[test]
    fn where_some_are_forgotten_that_may_not_be_looked_into_all_but_the_users_own_are_hidden() {
        let guarded = Arc::new(Guarded::new(u64::MAX));
        let most = Guarded::MOST as u32;
        (0..=most).for_each(|pid| guarded.note(SocketProcess { pid, start: START, uid: 8 }, 1));
        let own = Own { uid: 8, processes: [(most + 1, BEGUN)].into(), guarded, ..Own::default() };
        let sight = Sight::Own(Arc::new(own));
        let hides = |pid, start| sight.hides((pid, start), Some(8));
        assert_eq!([hides(most + 1, START), hides(most + 1, 0), hides(most + 2, START)], [false, true, true]);
    }

    #[test]
    fn others_sockets_have_no_owner_and_other_namespaces_no_sockets() {
        let comm = Comm::new(b"secret");
        let totals =
            Totals { closed_by: Some(Closer { pid: 4, comm, start: START }), ..Totals::unknown(CloseReason::Closed) };
        let event = SocketEvent {
            time_ns: 1,
            kind: EventKind::Close(totals),
            proto: Proto::Tcp,
            local: None,
            remote: None,
            owner: Some(Owner { pid: 4, comm, grade: Grade::Created, cgroup_id: None, start: START }),
            uid: Some(7),
            inode: None,
            cookie: None,
            netns: Some(1),
        };
        let socket = LiveSocket {
            netns: event.netns,
            uid: event.uid,
            owner: event.owner,
            ..LiveSocket::bare(event.proto, TcpState::Close)
        };
        let closed = ClosedSocket { socket, closed_ns: 2, totals };
        let own = |uid| {
            let (namespaces, since, processes) = ([1].into(), [(1, 2)].into(), [(4, 1)].into());
            Sight::Own(Arc::new(Own { uid, namespaces, since, processes, look: Some(1), ..Own::default() }))
        };
        for sight in [Sight::All, own(7)] {
            assert_eq!((sight.event(&event), sight.closed(&closed, 0)), (Some(event), Some(closed)));
        }
        // Of another namespace that had the number before.
        assert_eq!(own(7).closed(&ClosedSocket { closed_ns: 1, ..closed }, 0), None);
        assert!(Sight::All.closed(&ClosedSocket { closed_ns: 1, ..closed }, 0).is_some());
        for uid in [Some(0), None] {
            let others = own(7);
            let event = others.event(&SocketEvent { uid, ..event }).unwrap();
            assert!(matches!((event.owner, event.kind), (None, EventKind::Close(Totals { closed_by: None, .. }))));
            let closed = others.closed(&ClosedSocket { socket: LiveSocket { uid, ..socket }, ..closed }, 0).unwrap();
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
        let process = |pid| SocketProcess { pid, start: START, uid: 7 };
        guarded.note(process(4), 1);
        let shown = of_guarded.event(&event).unwrap();
        assert!(matches!((shown.owner, shown.kind), (None, EventKind::Close(Totals { closed_by: None, .. }))));
        let shown = of_guarded.closed(&closed, 0).unwrap();
        assert_eq!((shown.socket.owner, shown.totals.closed_by), (None, None));
        // Another process with its number.
        let other = Owner { start: START + 1000, ..event.owner.unwrap() };
        assert!(of_guarded.event(&SocketEvent { owner: Some(other), ..event }).unwrap().owner.is_some());
        for netns in [Some(2), None] {
            assert_eq!(own(7).event(&SocketEvent { netns, ..event }), None);
            assert_eq!(own(7).live(&LiveSocket { netns, ..socket }), None);
            assert!(Sight::All.event(&SocketEvent { netns, ..event }).is_some());
        }
        // Both looks have to find it: another namespace, or process, with the number is not it.
        let with = |id, begun| {
            let objects = [(1, KnownNamespace { id: Some(id), witnesses: vec![4] })].into();
            Own { uid: 7, namespaces: [1].into(), objects, processes: [(4, begun)].into(), ..Own::default() }
        };
        let both = |id, begun| {
            let both = Sight::Own(Arc::new(with(5, 1))).and(&with(id, begun));
            (both.has(Some(1)), matches!(&both, Sight::Own(own) if own.processes.contains_key(&4)))
        };
        assert_eq!([both(5, 1), both(6, 1), both(5, 2)], [(true, true), (false, true), (true, false)]);
        assert!(matches!(Sight::All.and(&with(5, 1)), Sight::All));
        // Whoever looks from below names no process outside.
        let nested = |pid, begun| {
            let own = Own { is_nested: true, processes: [(pid, begun)].into(), ..with(5, 1) };
            Sight::Own(Arc::new(own)).event(&event).unwrap().owner.is_some()
        };
        assert_eq!([nested(4, BEGUN), nested(4, 2 * BEGUN), nested(5, BEGUN)], [true, false, false]);
        assert!(own(7).is_same(&own(7)) && !own(7).is_same(&own(8)) && !own(7).is_same(&Sight::All));
        let of_two = own(7).and(&Own { look: Some(1), ..Own::default() });
        assert!(
            !of_two.is_same(&own(7)) && !of_two.is_same(&of_two),
            "what two looks found is less than what either did"
        );
    }
}
