//! Merges ownership evidence and keeps its grade.
//!
//! The kernel programs record who made or accepted a socket while they are attached. The owner of an older socket is looked up in a scan of
//! /proc, by inode; that of a child of a scanned listener, by the listener's port. An owner that was found stays with the socket's cookie, or with
//! its ends where the kernel has made no cookie: a closed socket loses its inode before its last events. Ends without a local port identify no
//! socket, and are not kept.

use crate::model::{Comm, EventEnd, EventKind, Grade, Owner, SocketEvent, TcpState};
use std::{collections::HashMap, net::IpAddr};

/// The listening sockets of one port whose owners are known. Any number of sockets may share a port: none of this takes longer for it.
#[derive(Debug, Default)]
struct Listeners {
    /// Address and process of each, by inode.
    by_inode: HashMap<u64, (IpAddr, u32)>,
    /// How many each process has on each address, and the name of the process.
    by_addr: HashMap<IpAddr, HashMap<u32, (usize, Comm)>>,
}

impl Listeners {
    fn add(&mut self, inode: u64, addr: IpAddr, pid: u32, comm: Comm) {
        self.remove(inode);
        self.by_inode.insert(inode, (addr, pid));
        let (count, name) = self.by_addr.entry(addr).or_default().entry(pid).or_default();
        (*count, *name) = (*count + 1, comm);
    }

    fn remove(&mut self, inode: u64) {
        let Some((addr, pid)) = self.by_inode.remove(&inode) else { return };
        let Some(there) = self.by_addr.get_mut(&addr) else { return };
        if let Some((count, _)) = there.get_mut(&pid) {
            *count -= 1;
            if *count == 0 {
                there.remove(&pid);
            }
        }
        if there.is_empty() {
            self.by_addr.remove(&addr);
        }
    }

    /// The process that all those belong to that listen on one of these addresses; `None` where there are several, `Some(None)` where none listens.
    fn only(&self, addrs: &[IpAddr]) -> Option<Option<(u32, Comm)>> {
        let there = addrs.iter().filter_map(|addr| self.by_addr.get(addr));
        // Two of each are enough to know.
        let mut pids = there.flat_map(|there| there.iter().take(2)).map(|(&pid, &(_, comm))| (pid, comm));
        let Some(first) = pids.next() else { return Some(None) };
        pids.all(|(pid, _)| pid == first.0).then_some(Some(first))
    }
}

/// The wildcards of both families.
const ANY: [IpAddr; 2] = [IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)];

/// What identifies a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Identity {
    Cookie(u64),
    Ends(Option<u32>, EventEnd, EventEnd),
}

/// The identities an event gives its socket.
fn identities(event: &SocketEvent) -> impl Iterator<Item = Identity> {
    let ends = event.local.zip(event.remote).filter(|(local, remote)| local.port.is_some() && remote.port.is_some());
    let ends = ends.map(|(local, remote)| Identity::Ends(event.netns, local, remote));
    event.cookie.map(Identity::Cookie).into_iter().chain(ends)
}

/// Whether the event may be of a connection request, not of a socket.
const fn is_request(event: &SocketEvent) -> bool {
    matches!(
        event.kind,
        EventKind::State { old: TcpState::Listen, new: TcpState::SynRecv, .. }
            | EventKind::State { old: TcpState::SynRecv, new: TcpState::Close, .. }
    )
}

/// The evidence gathered so far.
#[derive(Debug, Default)]
pub struct Owners {
    by_inode: HashMap<u64, (u32, Comm)>,
    by_identity: HashMap<Identity, Owner>,
    /// Listeners by namespace and port.
    listeners: HashMap<(u32, u16), Listeners>,
}

impl Owners {
    /// A process that holds a descriptor of a socket. The first one added wins, as in netstat.
    pub fn scanned(&mut self, inode: u64, pid: u32, comm: Comm) {
        self.by_inode.entry(inode).or_insert((pid, comm));
    }

    /// A TCP socket that listens, found in the kernel's lists. Its process must have been added before.
    pub fn listening(&mut self, netns: u32, local: EventEnd, inode: u64) {
        let (Some(port), Some(&(pid, comm))) = (local.port, self.by_inode.get(&inode)) else { return };
        let there = self.listeners.entry((netns, port)).or_default();
        if !there.by_inode.contains_key(&inode) {
            there.add(inode, unmapped(local.addr), pid, comm);
        }
    }

    /// Replaces what the last scan of the machine found with what a later one found. Owners of single sockets stay.
    pub fn renew(&mut self, later: Self) {
        self.by_inode = later.by_inode;
        self.listeners = later.listeners;
    }

    /// The process that was found to hold the socket.
    pub fn holder(&self, inode: u64) -> Option<Owner> {
        let &(pid, comm) = self.by_inode.get(&inode)?;
        Some(Owner { pid, comm, grade: Grade::Scanned, cgroup_id: None })
    }

    /// Fills in the owner of an event that the kernel programs recorded without one, and learns from the event.
    pub fn resolve(&mut self, event: &mut SocketEvent) {
        if event.owner.is_none() {
            event.owner = self.find(event);
            // Remembered while it lives: an orphan has no inode to look up. A request may end without a close, and is found by its port.
            if let Some(owner) = event.owner
                && !is_request(event)
            {
                self.by_identity.extend(identities(event).map(|identity| (identity, owner)));
            }
        }
        match event.kind {
            EventKind::State { new: TcpState::Listen, .. } => self.learn_listener(event),
            EventKind::State { old: TcpState::Listen, new: TcpState::Close, .. } => self.forget_listener(event),
            EventKind::Close(_) => {
                if !self.by_identity.is_empty() {
                    for identity in identities(event) {
                        self.by_identity.remove(&identity);
                    }
                }
                if let Some(inode) = event.inode.filter(|&inode| inode != 0) {
                    self.by_inode.remove(&inode);
                }
            }
            _ => {}
        }
    }

    fn find(&self, event: &SocketEvent) -> Option<Owner> {
        if let Some(&(pid, comm)) = event.inode.and_then(|inode| self.by_inode.get(&inode)) {
            return Some(Owner { pid, comm, grade: Grade::Scanned, cgroup_id: None });
        }
        if let Some(&owner) = identities(event).find_map(|identity| self.by_identity.get(&identity)) {
            return Some(owner);
        }
        self.inherited(event)
    }

    /// The owner of the listener, for a connection that came in. Several listeners may share a port: only when all that could
    /// have taken it belong to one process is there an answer.
    fn inherited(&self, event: &SocketEvent) -> Option<Owner> {
        let came_in = matches!(event.kind, EventKind::State { old: TcpState::Listen | TcpState::SynRecv, .. });
        let local = event.local.filter(|_| came_in)?;
        let there = self.listeners.get(&(event.netns?, local.port?))?;
        let (pid, comm) = match there.only(&[unmapped(local.addr)])? {
            Some(owner) => owner,
            None => there.only(&ANY)??,
        };
        Some(Owner { pid, comm, grade: Grade::Inherited, cgroup_id: None })
    }

    fn learn_listener(&mut self, event: &SocketEvent) {
        let (Some(netns), Some(local), Some(owner)) = (event.netns, event.local, event.owner) else { return };
        let (Some(port), Some(inode)) = (local.port, event.inode.filter(|&inode| inode != 0)) else { return };
        let there = self.listeners.entry((netns, port)).or_default();
        there.add(inode, unmapped(local.addr), owner.pid, owner.comm);
    }

    fn forget_listener(&mut self, event: &SocketEvent) {
        let (Some(netns), Some(EventEnd { port: Some(port), .. })) = (event.netns, event.local) else { return };
        if let Some(there) = self.listeners.get_mut(&(netns, port)) {
            event.inode.iter().for_each(|&inode| there.remove(inode));
            if there.by_inode.is_empty() {
                self.listeners.remove(&(netns, port));
            }
        }
    }
}

fn unmapped(addr: IpAddr) -> IpAddr {
    addr.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CloseReason, Proto, Totals};

    fn end(addr: &str, port: u16) -> EventEnd {
        EventEnd { addr: addr.parse().unwrap(), port: Some(port) }
    }

    fn event(kind: EventKind, local: EventEnd, inode: u64, cookie: u64) -> SocketEvent {
        SocketEvent {
            time_ns: 0,
            kind,
            proto: Proto::Tcp,
            local: Some(local),
            remote: Some(end("127.0.0.1", 9)),
            owner: None,
            uid: None,
            inode: Some(inode),
            cookie: Some(cookie),
            netns: Some(1),
        }
    }

    fn state(old: TcpState, new: TcpState) -> EventKind {
        EventKind::State { old, new, in_state_ns: None }
    }

    const CLOSE: EventKind = EventKind::Close(Totals::unknown(CloseReason::Closed));

    fn resolved(owners: &mut Owners, mut event: SocketEvent) -> Option<(u32, Grade)> {
        owners.resolve(&mut event);
        event.owner.map(|owner| (owner.pid, owner.grade))
    }

    #[test]
    fn a_scanned_owner_stays_when_the_inode_has_gone() {
        let mut owners = Owners::default();
        owners.scanned(5, 100, Comm::new(b"first"));
        owners.scanned(5, 200, Comm::new(b"second"));
        let here = end("127.0.0.1", 80);
        let leaving = state(TcpState::Established, TcpState::FinWait1);
        assert_eq!(resolved(&mut owners, event(leaving, here, 5, 77)), Some((100, Grade::Scanned)));
        let orphan = state(TcpState::FinWait1, TcpState::FinWait2);
        assert_eq!(resolved(&mut owners, event(orphan, here, 0, 77)), Some((100, Grade::Scanned)));
        assert_eq!(resolved(&mut owners, event(CLOSE, here, 0, 77)), Some((100, Grade::Scanned)));
        assert_eq!(resolved(&mut owners, event(orphan, here, 0, 77)), None, "forgotten once closed");
    }

    #[test]
    fn nothing_is_kept_of_lives_that_are_over() {
        let mut owners = Owners::default();
        let there = end("127.0.0.1", 80);
        for port in 1..100 {
            let (inode, cookie) = (u64::from(port), u64::from(port) + 1000);
            owners.scanned(inode, 100, Comm::new(b"client"));
            // The local port is not chosen yet, then it is.
            let here = EventEnd { port: None, ..end("127.0.0.1", 0) };
            let beginning = SocketEvent {
                remote: Some(there),
                ..event(state(TcpState::Close, TcpState::SynSent), here, inode, cookie)
            };
            assert_eq!(resolved(&mut owners, beginning), Some((100, Grade::Scanned)));
            let here = end("127.0.0.1", port);
            for kind in
                [state(TcpState::SynSent, TcpState::Established), state(TcpState::Established, TcpState::Close), CLOSE]
            {
                resolved(&mut owners, SocketEvent { remote: Some(there), ..event(kind, here, inode, cookie) });
            }
        }
        // A request that is given up.
        owners.scanned(1, 100, Comm::new(b"server"));
        owners.listening(1, there, 1);
        for kind in [state(TcpState::Listen, TcpState::SynRecv), state(TcpState::SynRecv, TcpState::Close)] {
            assert_eq!(resolved(&mut owners, event(kind, there, 0, 7)), Some((100, Grade::Inherited)));
        }
        assert_eq!((owners.by_identity.len(), owners.by_inode.len()), (0, 1));
    }

    #[test]
    fn a_child_inherits_from_the_one_listener_that_could_have_taken_it() {
        let mut owners = Owners::default();
        for (inode, pid) in [(1, 10), (2, 20), (3, 30)] {
            owners.scanned(inode, pid, Comm::new(b"server"));
        }
        owners.listening(1, end("0.0.0.0", 80), 1);
        owners.listening(1, end("127.0.0.2", 80), 2);
        let child = |addr| SocketEvent {
            cookie: None,
            remote: None,
            ..event(state(TcpState::Listen, TcpState::SynRecv), end(addr, 80), 0, 0)
        };
        assert_eq!(resolved(&mut owners, child("127.0.0.1")), Some((10, Grade::Inherited)));
        assert_eq!(resolved(&mut owners, child("127.0.0.2")), Some((20, Grade::Inherited)));
        assert_eq!(resolved(&mut owners, child("::ffff:127.0.0.2")), Some((20, Grade::Inherited)));
        owners.listening(1, end("::", 80), 3);
        assert_eq!(resolved(&mut owners, child("127.0.0.1")), None, "two could have taken it");
        let gone = event(state(TcpState::Listen, TcpState::Close), end("0.0.0.0", 80), 1, 9);
        assert_eq!(resolved(&mut owners, gone), Some((10, Grade::Scanned)));
        assert_eq!(resolved(&mut owners, child("127.0.0.1")), Some((30, Grade::Inherited)));
    }

    /// The kernel gives the number of an inode to another socket when the one that had it is gone.
    #[test]
    fn an_inode_that_is_used_again_has_not_its_old_owner() {
        let mut owners = Owners::default();
        owners.scanned(5, 100, Comm::new(b"first"));
        let here = end("127.0.0.1", 80);
        assert_eq!(resolved(&mut owners, event(CLOSE, here, 5, 77)), Some((100, Grade::Scanned)));
        let next = state(TcpState::Close, TcpState::SynSent);
        assert_eq!(resolved(&mut owners, event(next, end("127.0.0.1", 81), 5, 78)), None);
    }

    /// A connection that comes in at this address, of a listener at port 80.
    fn child(addr: &str) -> SocketEvent {
        let began = state(TcpState::Listen, TcpState::SynRecv);
        SocketEvent { cookie: None, remote: None, ..event(began, end(addr, 80), 0, 0) }
    }

    /// Two that share a port (`SO_REUSEPORT`) are one process's; the one that is left is as good as both.
    #[test]
    fn listeners_of_one_process_go_one_by_one() {
        let mut owners = Owners::default();
        for inode in [1, 2] {
            owners.scanned(inode, 10, Comm::new(b"server"));
            owners.listening(1, end("127.0.0.1", 80), inode);
        }
        for (inode, left) in [(1, Some((10, Grade::Inherited))), (2, None)] {
            assert_eq!(resolved(&mut owners, child("127.0.0.1")), Some((10, Grade::Inherited)));
            resolved(&mut owners, event(state(TcpState::Listen, TcpState::Close), end("127.0.0.1", 80), inode, 9));
            assert_eq!(resolved(&mut owners, child("127.0.0.1")), left);
        }
        assert!(owners.listeners.is_empty(), "nothing is kept");
    }

    /// A listener of another address, port or namespace is none of a connection's.
    #[test]
    fn a_child_inherits_within_its_namespace_and_port() {
        let mut owners = Owners::default();
        owners.scanned(1, 10, Comm::new(b"server"));
        owners.listening(1, end("127.0.0.1", 80), 1);
        assert_eq!(resolved(&mut owners, SocketEvent { netns: Some(2), ..child("127.0.0.1") }), None);
        assert_eq!(
            resolved(&mut owners, SocketEvent { local: Some(end("127.0.0.1", 81)), ..child("127.0.0.1") }),
            None
        );
        assert_eq!(resolved(&mut owners, child("127.0.0.2")), None);
        // What is no beginning inherits nothing; a connection that was not seen to begin does.
        let kind = state(TcpState::Established, TcpState::CloseWait);
        assert_eq!(resolved(&mut owners, SocketEvent { kind, ..child("127.0.0.1") }), None);
        let kind = state(TcpState::SynRecv, TcpState::Established);
        assert_eq!(resolved(&mut owners, SocketEvent { kind, ..child("127.0.0.1") }), Some((10, Grade::Inherited)));
    }

    #[test]
    fn listeners_are_learnt_from_their_events() {
        let mut owners = Owners::default();
        let begins = |inode| SocketEvent {
            owner: Some(Owner { pid: 7, comm: Comm::new(b"maker"), grade: Grade::Created, cgroup_id: None }),
            ..event(state(TcpState::Close, TcpState::Listen), end("::ffff:127.0.0.1", 80), inode, 9)
        };
        resolved(&mut owners, begins(0));
        assert_eq!(resolved(&mut owners, child("127.0.0.1")), None, "without an inode it could not be forgotten");
        resolved(&mut owners, begins(4));
        assert_eq!(resolved(&mut owners, child("127.0.0.1")), Some((7, Grade::Inherited)));
        // A listing that names another one first does not overrule it.
        owners.scanned(4, 8, Comm::new(b"other"));
        owners.listening(1, end("127.0.0.1", 80), 4);
        assert_eq!(resolved(&mut owners, child("127.0.0.1")), Some((7, Grade::Inherited)));
    }

    #[test]
    fn a_later_look_takes_the_place_of_the_last_one() {
        let mut owners = Owners::default();
        owners.scanned(5, 100, Comm::new(b"before"));
        owners.scanned(6, 100, Comm::new(b"before"));
        owners.listening(1, end("127.0.0.1", 80), 6);
        let leaving = state(TcpState::Established, TcpState::FinWait1);
        resolved(&mut owners, event(leaving, end("127.0.0.1", 81), 5, 77));
        let mut later = Owners::default();
        later.scanned(7, 200, Comm::new(b"after"));
        later.listening(1, end("127.0.0.2", 80), 7);
        owners.renew(later);
        assert_eq!((owners.holder(5), owners.holder(7).map(|owner| owner.pid)), (None, Some(200)));
        assert_eq!(resolved(&mut owners, child("127.0.0.1")), None);
        assert_eq!(resolved(&mut owners, child("127.0.0.2")), Some((200, Grade::Inherited)));
        let orphan = state(TcpState::FinWait1, TcpState::FinWait2);
        let known = resolved(&mut owners, event(orphan, end("127.0.0.1", 81), 0, 77));
        assert_eq!(known, Some((100, Grade::Scanned)), "what was learnt of a socket stays");
    }

    #[test]
    fn what_the_kernel_knows_is_not_overruled() {
        let mut owners = Owners::default();
        owners.scanned(5, 100, Comm::new(b"scan"));
        let mut made = event(state(TcpState::Close, TcpState::SynSent), end("127.0.0.1", 1), 5, 6);
        made.owner = Some(Owner { pid: 7, comm: Comm::new(b"maker"), grade: Grade::Created, cgroup_id: None });
        assert_eq!(resolved(&mut owners, made), Some((7, Grade::Created)));
    }
}
