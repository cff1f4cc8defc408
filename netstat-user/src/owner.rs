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
struct ScannedListeners {
    /// Address and process of each, by inode.
    by_inode: HashMap<u64, (IpAddr, u32)>,
    /// How many each process has on each address, and the name of the process.
    by_addr: HashMap<IpAddr, HashMap<u32, (usize, Comm)>>,
}

impl ScannedListeners {
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
enum OwnerKey {
    Cookie(u64),
    Ends(Option<u32>, EventEnd, EventEnd),
}

/// The identities an event gives its socket.
fn identities(event: &SocketEvent) -> impl Iterator<Item = OwnerKey> {
    let ends = event.local.zip(event.remote).filter(|(local, remote)| local.port.is_some() && remote.port.is_some());
    let ends = ends.map(|(local, remote)| OwnerKey::Ends(event.netns, local, remote));
    event.cookie.map(OwnerKey::Cookie).into_iter().chain(ends)
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
    by_identity: HashMap<OwnerKey, Owner>,
    /// Listeners by namespace and port.
    listeners: HashMap<(u32, u16), ScannedListeners>,
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
        Some(Owner { pid, comm, grade: Grade::Scanned, cgroup_id: None, start: 0 })
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
            return Some(Owner { pid, comm, grade: Grade::Scanned, cgroup_id: None, start: 0 });
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
        Some(Owner { pid, comm, grade: Grade::Inherited, cgroup_id: None, start: 0 })
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
mod tests;
