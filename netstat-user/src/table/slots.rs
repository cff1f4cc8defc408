//! Where the live sockets are, and by what each is found: its cookie, its inode, its ends.

use crate::model::{Ends, EventEnd, LiveSocket, Proto, SocketEvent};
use hashbrown::hash_map::Entry;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use std::hash::BuildHasher;
use std::ops::Index;

/// By what a socket can be found.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    pub cookie: Option<u64>,
    pub inode: u64,
    pub ends: Option<Ends>,
}

fn ends(netns: Option<u32>, proto: Proto, local: Option<EventEnd>, remote: Option<EventEnd>) -> Option<Ends> {
    let (local, remote) = local.zip(remote)?;
    local.port?;
    Some((netns, proto, local, remote))
}

impl Identity {
    /// Of a socket that lives.
    pub fn of(socket: &LiveSocket) -> Self {
        let LiveSocket { cookie, inode, netns, proto, local, remote, .. } = *socket;
        Self { cookie, inode, ends: ends(netns, proto, local, remote) }
    }

    /// Of the socket of an event.
    pub fn of_event(event: &SocketEvent) -> Self {
        let SocketEvent { cookie, inode, netns, proto, local, remote, .. } = *event;
        Self { cookie, inode: inode.unwrap_or(0), ends: ends(netns, proto, local, remote) }
    }

    /// Whether both may be the same socket, given that one key is the same.
    fn fits(&self, other: &LiveSocket) -> bool {
        let same = |a: u64, b: u64| a == b || a == 0 || b == 0;
        same(self.cookie.unwrap_or(0), other.cookie.unwrap_or(0)) && same(self.inode, other.inode)
    }
}

/// A place for a live socket.
#[derive(Clone, Copy, Debug)]
pub struct TableSlot {
    /// The socket; `None` in a slot to be used again.
    pub socket: Option<LiveSocket>,
    /// The listing during which an event last reported it.
    pub touched: u32,
    /// The last listing that it was in.
    pub listed: u32,
    /// The inode that the socket had before its process closed it, 0 where it has it still, or none was known. The kernel counts them in 32 bits
    /// (`get_next_ino()`).
    pub let_go: u32,
    /// Whether what lives is a minisocket: what remains of a connection in TIME_WAIT.
    pub mini: bool,
}

/// The live sockets.
#[derive(Debug, Default)]
pub struct Slots {
    slots: Vec<TableSlot>,
    free: Vec<u32>,
    hasher: DefaultHashBuilder,
    by_cookie: HashTable<u32>,
    by_inode: HashTable<u32>,
    /// The first of each chain: all sockets with the same ends, of which the same of inode and cookie is known. A user can make any number
    /// of them, and each is put in, found and taken out in the same time.
    by_ends: HashTable<u32>,
    /// How many there are of each protocol in each network namespace.
    by_netns: HashMap<(Option<u32>, Proto), usize>,
    /// The one after and the one before each slot in its chain, [`NONE`] at its ends.
    chains: Vec<ChainLinks>,
}

/// The neighbours of a slot.
#[derive(Clone, Copy, Debug)]
struct ChainLinks {
    next: u32,
    prev: u32,
}

/// No slot.
const NONE: u32 = u32::MAX;
const ALONE: ChainLinks = ChainLinks { next: NONE, prev: NONE };
/// How far a chain is looked through for a minisocket: no more of them have the same ends.
const MINIS: usize = 16;

/// What the sockets of a chain share: their ends, whether their inode is known, whether their cookie is.
type Kin = (Ends, bool, bool);

fn kin(socket: &LiveSocket) -> Option<Kin> {
    let identity = Identity::of(socket);
    Some((identity.ends?, identity.inode != 0, identity.cookie.is_some()))
}

impl Index<usize> for Slots {
    type Output = TableSlot;

    fn index(&self, at: usize) -> &TableSlot {
        &self.slots[at]
    }
}

impl Slots {
    /// Every live socket, in no order.
    pub fn sockets(&self) -> impl Iterator<Item = &LiveSocket> {
        self.slots.iter().filter_map(|slot| slot.socket.as_ref())
    }

    /// Number of live sockets.
    pub const fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Number of live sockets in these network namespaces, of these protocols.
    pub fn len_in(&self, is_in: impl Fn(Option<u32>, Proto) -> bool) -> usize {
        self.by_netns.iter().filter(|&(&(netns, proto), _)| is_in(netns, proto)).map(|(_, &count)| count).sum()
    }

    /// Number of places, free ones included.
    pub const fn places(&self) -> usize {
        self.slots.len()
    }

    /// Memory taken, in bytes.
    pub fn bytes(&self) -> usize {
        let index = self.by_cookie.allocation_size()
            + self.by_inode.allocation_size()
            + self.by_ends.allocation_size()
            + self.by_netns.allocation_size()
            + self.chains.capacity() * size_of::<ChainLinks>();
        self.slots.capacity() * size_of::<TableSlot>() + self.free.capacity() * size_of::<u32>() + index
    }

    /// The slot of a minisocket: of several with one cookie, the one with these ends.
    pub fn find_mini(&self, identity: &Identity) -> Option<usize> {
        let mini = |at: usize| {
            let slot = &self.slots[at];
            slot.mini && slot.socket.as_ref().is_some_and(|socket| identity.fits(socket))
        };
        let ends = identity.ends.iter();
        let mut chains = ends.flat_map(|&ends| [(ends, false, false), (ends, false, true)]).map(|kin| self.chain(kin));
        let by_ends = chains.find_map(|mut chain| chain.by_ref().take(MINIS).find(|&at| mini(at)));
        by_ends.or_else(|| self.find(identity).filter(|&at| self.slots[at].mini))
    }

    /// The slots of a chain.
    fn chain(&self, kin: Kin) -> impl Iterator<Item = usize> {
        let first = self.first(kin);
        std::iter::successors(first, |&at| Some(self.chains[at].next as usize).filter(|&next| next != NONE as usize))
    }

    /// The first slot of a chain.
    fn first(&self, wanted: Kin) -> Option<usize> {
        let same = |at: &u32| self.slots[*at as usize].socket.as_ref().and_then(kin) == Some(wanted);
        self.by_ends.find(self.hash(wanted), same).map(|&at| at as usize)
    }

    /// The socket's slot: by cookie, by inode, by its ends.
    pub fn find(&self, identity: &Identity) -> Option<usize> {
        let socket = |at: &u32| self.slots[*at as usize].socket.as_ref();
        let by_cookie = identity.cookie.and_then(|cookie| {
            self.by_cookie.find(self.hash(cookie), |at| socket(at).is_some_and(|s| s.cookie == Some(cookie)))
        });
        let by_inode = || {
            let inode = Some(identity.inode).filter(|&inode| inode != 0)?;
            let same = |at: &u32| socket(at).is_some_and(|s| s.inode == inode && identity.fits(s));
            self.by_inode.find(self.hash(inode), same)
        };
        // Where both know the inode, or the cookie, it is another one.
        let by_ends = || {
            let ends = identity.ends?;
            let inodes = if identity.inode == 0 { &[true, false][..] } else { &[false] };
            let cookies = if identity.cookie.is_none() { &[true, false][..] } else { &[false] };
            let kins = inodes.iter().flat_map(|&inode| cookies.iter().map(move |&cookie| (ends, inode, cookie)));
            kins.filter_map(|kin| self.first(kin)).next()
        };
        by_cookie.or_else(by_inode).map(|&at| at as usize).or_else(by_ends)
    }

    fn hash(&self, key: impl std::hash::Hash) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Puts a socket in, and returns where.
    pub fn insert(&mut self, socket: LiveSocket) -> usize {
        let slot = TableSlot { socket: Some(socket), touched: 0, listed: 0, let_go: 0, mini: false };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at as usize
            }
            None => {
                self.slots.push(slot);
                self.chains.push(ALONE);
                self.slots.len() - 1
            }
        };
        self.index(at);
        at
    }

    /// Changes what is in a place, its keys included.
    pub fn change(&mut self, at: usize, change: impl FnOnce(&mut TableSlot)) {
        self.unindex(at);
        change(&mut self.slots[at]);
        self.index(at);
    }

    /// A place whose keys stay as they are.
    pub fn at(&mut self, at: usize) -> &mut TableSlot {
        &mut self.slots[at]
    }

    /// Takes a socket out.
    pub fn remove(&mut self, at: usize) -> Option<LiveSocket> {
        self.unindex(at);
        let socket = self.slots[at].socket.take()?;
        self.free.push(at as u32);
        Some(socket)
    }

    fn index(&mut self, at: usize) {
        let Some(socket) = self.slots[at].socket else { return };
        *self.by_netns.entry((socket.netns, socket.proto)).or_default() += 1;
        let Self { slots, hasher, by_cookie, by_inode, by_ends, chains, .. } = self;
        let there = |at: &u32| slots[*at as usize].socket.as_ref();
        let cookie = |at: &u32| hasher.hash_one(there(at).and_then(|s| s.cookie).unwrap_or(0));
        let inode = |at: &u32| hasher.hash_one(there(at).map_or(0, |s| s.inode));
        let key = |at: &u32| there(at).and_then(kin).map_or(0, |kin| hasher.hash_one(kin));
        let at = at as u32;
        if socket.cookie.is_some() {
            by_cookie.insert_unique(cookie(&at), at, cookie);
        }
        if socket.inode != 0 {
            by_inode.insert_unique(inode(&at), at, inode);
        }
        if let Some(mine) = kin(&socket) {
            chains[at as usize] = ALONE;
            let same = |other: &u32| there(other).and_then(kin) == Some(mine);
            match by_ends.find_mut(hasher.hash_one(mine), same) {
                Some(first) => {
                    chains[*first as usize].prev = at;
                    chains[at as usize].next = *first;
                    *first = at;
                }
                None => drop(by_ends.insert_unique(key(&at), at, key)),
            }
        }
    }

    fn unindex(&mut self, at: usize) {
        let Some(socket) = &self.slots[at].socket else { return };
        let (identity, mine) = (Identity::of(socket), kin(socket));
        if let Entry::Occupied(mut counted) = self.by_netns.entry((socket.netns, socket.proto)) {
            *counted.get_mut() -= 1;
            if *counted.get() == 0 {
                counted.remove();
            }
        }
        let is = |other: &u32| *other as usize == at;
        let drop_from = |table: &mut HashTable<u32>, hash: u64| {
            if let Ok(entry) = table.find_entry(hash, is) {
                entry.remove();
            }
        };
        if let Some(cookie) = identity.cookie {
            drop_from(&mut self.by_cookie, self.hasher.hash_one(cookie));
        }
        if identity.inode != 0 {
            drop_from(&mut self.by_inode, self.hasher.hash_one(identity.inode));
        }
        let Some(mine) = mine else { return };
        let ChainLinks { next, prev } = self.chains[at];
        if next != NONE {
            self.chains[next as usize].prev = prev;
        }
        if prev != NONE {
            self.chains[prev as usize].next = next;
        } else if let Ok(mut first) = self.by_ends.find_entry(self.hasher.hash_one(mine), is) {
            if next == NONE {
                first.remove();
            } else {
                *first.get_mut() = next;
            }
        }
    }
}
