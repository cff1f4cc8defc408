//! The live table: every socket that the kernel's events and lists tell of, and those that ended a short while ago.
//!
//! The table is a fold. [`Table::event`] takes what happened, in the order it happened; [`Table::begin_listing`] and
//! [`Table::listing`] take what the kernel lists, both for the seed and after a loss. Reading the kernel's lists takes time, and events
//! go on meanwhile: they are folded as they come, and what an event has told of a socket since the listing began is believed before
//! what the listing says of it. So nothing is lost and nothing is doubled, provided that the events recorded before the listing
//! began have been folded before [`Table::begin_listing`], and those recorded until it ended before [`Table::listing`].
//!
//! A socket is told from another by its cookie where that is known, else by its inode, else by namespace, protocol and ends.
//!
//! A live socket takes [`Table::ROW_BYTES`] and at most 40 bytes of index; one that ended takes [`Table::CLOSED_BYTES`].

mod recorded;

use crate::model::{
    CloseReason, ClosedSocket, Endpoint, EventEnd, EventKind, LiveSocket, Owner, Proto, SocketEvent, SocketRow,
    TcpState, Totals,
};
use hashbrown::{DefaultHashBuilder, HashSet, HashTable};
use std::collections::VecDeque;
use std::hash::BuildHasher;

/// How much of the past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest time a closed socket is kept, in nanoseconds.
    pub recent_ns: u64,
    /// Most closed sockets kept.
    pub recent_count: usize,
}

/// What the kernel lists.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The rows, each with the process that holds it, if one was found. Their `netns` is set.
    pub rows: Vec<(SocketRow, Option<Owner>)>,
    /// The protocols that were read.
    pub protos: Vec<Proto>,
    /// The network namespaces that were read, `None` if all that there are: of the sockets of another one nothing is known.
    pub spaces: Option<HashSet<u32>>,
    /// Every inode that a process holds, if all processes could be looked at: tells whether a socket that is in no list lives.
    pub held: Option<HashSet<u64>>,
}

/// What a listing changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Correction {
    /// Sockets that were not known.
    pub added: u64,
    /// Sockets that are not there any more.
    pub removed: u64,
    /// Sockets in another state than was known.
    pub changed: u64,
}

/// Listings that a socket nobody holds, in a namespace that cannot be read, outlives without an event.
const UNSEEN: u32 = 10;

/// What two sockets that live at a time do not share, unless they listen or are not connected.
type Ends = (Option<u32>, Proto, EventEnd, EventEnd);

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The socket; `None` in a slot to be used again.
    socket: Option<LiveSocket>,
    /// The listing during which an event last told of it.
    touched: u32,
    /// The last listing that it was in.
    listed: u32,
    /// Whether what lives is a minisocket: what remains of a connection in TIME_WAIT.
    mini: bool,
}

/// The table.
#[derive(Debug)]
pub struct Table {
    limits: Limits,
    slots: Vec<Slot>,
    free: Vec<u32>,
    hasher: DefaultHashBuilder,
    by_cookie: HashTable<u32>,
    by_inode: HashTable<u32>,
    by_ends: HashTable<u32>,
    closed: VecDeque<ClosedSocket>,
    /// When the last of the closed sockets that have been forgotten had ended.
    forgotten_ns: u64,
    /// Number of the listing that is being read or was read last.
    listing: u32,
    /// What ended while a listing is being read, so that it is not taken for new.
    gone_inodes: HashSet<u64>,
    gone_ends: HashSet<Ends>,
    /// The same of minisockets: one may outlive its socket, and be older than the tracer.
    gone_minis: HashSet<Ends>,
    reading: bool,
}

/// By what a socket can be found.
#[derive(Clone, Copy, Debug)]
struct Identity {
    cookie: Option<u64>,
    inode: u64,
    ends: Option<Ends>,
}

fn ends(netns: Option<u32>, proto: Proto, local: Option<EventEnd>, remote: Option<EventEnd>) -> Option<Ends> {
    let (local, remote) = local.zip(remote)?;
    local.port?;
    Some((netns, proto, local, remote))
}

impl Identity {
    fn of(socket: &LiveSocket) -> Self {
        let LiveSocket { cookie, inode, netns, proto, local, remote, .. } = *socket;
        Self { cookie, inode, ends: ends(netns, proto, local, remote) }
    }

    fn of_event(event: &SocketEvent) -> Self {
        let SocketEvent { cookie, inode, netns, proto, local, remote, .. } = *event;
        Self { cookie, inode: inode.unwrap_or(0), ends: ends(netns, proto, local, remote) }
    }

    /// Whether both may be the same socket, given that one key is the same.
    fn fits(&self, other: &LiveSocket) -> bool {
        let same = |a: u64, b: u64| a == b || a == 0 || b == 0;
        same(self.cookie.unwrap_or(0), other.cookie.unwrap_or(0)) && same(self.inode, other.inode)
    }
}

impl Table {
    /// Bytes of a live socket, without its index.
    pub const ROW_BYTES: usize = size_of::<Slot>();
    /// Bytes of a closed socket.
    pub const CLOSED_BYTES: usize = size_of::<ClosedSocket>();

    /// An empty table.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            slots: Vec::new(),
            free: Vec::new(),
            hasher: DefaultHashBuilder::default(),
            by_cookie: HashTable::new(),
            by_inode: HashTable::new(),
            by_ends: HashTable::new(),
            closed: VecDeque::new(),
            forgotten_ns: 0,
            listing: 0,
            gone_inodes: HashSet::new(),
            gone_ends: HashSet::new(),
            gone_minis: HashSet::new(),
            reading: false,
        }
    }

    /// Every live socket, those included that the kernel's lists leave out; in no order.
    pub fn live(&self) -> impl Iterator<Item = &LiveSocket> {
        self.slots.iter().filter_map(|slot| slot.socket.as_ref())
    }

    /// Number of live sockets.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Memory taken, in bytes.
    pub fn bytes(&self) -> usize {
        let index = self.by_cookie.allocation_size() + self.by_inode.allocation_size() + self.by_ends.allocation_size();
        let rows = self.slots.capacity() * Self::ROW_BYTES + self.free.capacity() * size_of::<u32>();
        rows + index + self.closed.capacity() * Self::CLOSED_BYTES
    }

    /// Whether there is no live socket.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sockets that ended within `within_ns` before `now_ns`, last ended first.
    pub fn recent(&self, now_ns: u64, within_ns: u64) -> impl Iterator<Item = &ClosedSocket> {
        self.closed.iter().rev().take_while(move |closed| now_ns.saturating_sub(closed.closed_ns) <= within_ns)
    }

    /// Number of closed sockets kept.
    pub fn recent_len(&self) -> usize {
        self.closed.len()
    }

    /// When the last of the closed sockets ended that are not kept any more, in nanoseconds since the epoch; 0 where all are.
    pub const fn forgotten_ns(&self) -> u64 {
        self.forgotten_ns
    }

    /// Forgets closed sockets that are too old.
    pub fn expire(&mut self, now_ns: u64) {
        while self.closed.front().is_some_and(|c| now_ns.saturating_sub(c.closed_ns) > self.limits.recent_ns) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some(closed) = self.closed.pop_front() {
            self.forgotten_ns = self.forgotten_ns.max(closed.closed_ns);
        }
    }

    /// Folds in what happened to a socket.
    pub fn event(&mut self, event: &SocketEvent) {
        match event.kind {
            EventKind::Open => {
                let at = self.learn(event, TcpState::Close);
                if let Some(socket) = at.and_then(|at| self.slots[at].socket.as_mut()) {
                    socket.since_ns = Some(event.time_ns);
                }
            }
            // Up to Linux 6.12 a connection that comes in is told of before it is made: it has no identity yet.
            EventKind::State { old: TcpState::Listen, new: TcpState::SynRecv, .. }
                if event.cookie.is_none() || event.remote.is_none_or(|remote| remote.port.unwrap_or(0) == 0) => {}
            EventKind::State { old, new: TcpState::Close, .. } => self.closing(event, old),
            EventKind::State { new: TcpState::TimeWait, .. } => self.remains(event),
            EventKind::State { new, .. } => {
                let at = self.learn(event, new);
                if let Some(socket) = at.and_then(|at| self.slots[at].socket.as_mut())
                    && new == TcpState::SynRecv
                {
                    socket.since_ns = socket.since_ns.or(Some(event.time_ns));
                }
            }
            EventKind::Close(totals) => self.close(event, totals),
        }
    }

    /// What remains of a connection is in TIME_WAIT, before or after its socket is closed and destroyed. In FIN_WAIT2, where it may have
    /// waited without its owner, it was not told of.
    fn remains(&mut self, event: &SocketEvent) {
        let identity = Identity::of_event(event);
        let Some(at) = self.find_mini(&identity).or_else(|| self.find(&identity)).or_else(|| self.insert_blank(event))
        else {
            return;
        };
        self.take_over(at, event, TcpState::TimeWait);
        self.unindex(at);
        let slot = &mut self.slots[at];
        slot.mini = true;
        if let Some(socket) = &mut slot.socket {
            socket.inode = 0;
        }
        self.index(at);
    }

    /// A transition to CLOSE: of the socket itself, whose destruction follows, or of a minisocket, which is the end.
    fn closing(&mut self, event: &SocketEvent, old: TcpState) {
        let identity = Identity::of_event(event);
        let found = if old == TcpState::TimeWait { self.find_mini(&identity) } else { self.find(&identity) };
        let Some(at) = found else {
            match old {
                TcpState::TimeWait => self.note_gone(&identity, true),
                TcpState::SynRecv => self.note_gone(&identity, false),
                // Of an orphan, or of what remains of it: the end of an orphan is told with all there is to know.
                TcpState::FinWait2 if event.inode == Some(0) => {
                    self.note_gone(&identity, true);
                    self.note_gone(&identity, false);
                }
                _ => drop(self.learn(event, TcpState::Close)),
            }
            return;
        };
        let Slot { socket: Some(socket), mini, .. } = self.slots[at] else { return };
        let nobodys = socket.inode == 0 && socket.state == old;
        let ends = match old {
            TcpState::TimeWait => true,
            TcpState::SynRecv => nobodys,
            // One that only a listing told of may be either: if a socket is destroyed after this, that is told with all there is to know.
            TcpState::FinWait2 => nobodys && socket.cookie.is_none(),
            _ => false,
        };
        if ends {
            self.remove(at);
        } else if mini {
            // The socket goes, what remains of it stays.
            self.slots[at].touched = self.listing;
        } else {
            self.learn(event, TcpState::Close);
        }
    }

    fn close(&mut self, event: &SocketEvent, totals: Totals) {
        let identity = Identity::of_event(event);
        let found = self.find(&identity);
        let mut socket = match found.and_then(|at| self.slots[at].socket) {
            Some(socket) => socket,
            None => blank(event),
        };
        merge(&mut socket, event, true);
        self.keep(ClosedSocket { socket, closed_ns: event.time_ns, totals });
        match found {
            Some(at) if self.slots[at].mini => self.slots[at].touched = self.listing,
            Some(at) => drop(self.remove(at)),
            None => self.note_gone(&identity, false),
        }
    }

    fn keep(&mut self, closed: ClosedSocket) {
        if self.limits.recent_count == 0 {
            self.forgotten_ns = self.forgotten_ns.max(closed.closed_ns);
            return;
        }
        while self.closed.len() >= self.limits.recent_count {
            self.forget_first();
        }
        self.expire(closed.closed_ns);
        self.closed.push_back(closed);
    }

    /// Finds or makes the socket of an event and takes over what the event says. `None` where the event gives no identity.
    fn learn(&mut self, event: &SocketEvent, state: TcpState) -> Option<usize> {
        let mut found = self.find(&Identity::of_event(event));
        if let Some(at) = found.filter(|&at| self.slots[at].mini && state != TcpState::Close) {
            if self.slots[at].socket.is_some_and(|socket| socket.cookie.is_some()) {
                // The socket is used again, and what remains of its last connection is nobody's.
                self.unindex(at);
                if let Some(socket) = &mut self.slots[at].socket {
                    socket.cookie = None;
                }
                self.index(at);
                found = None;
            } else {
                // A new connection of the same ends, in place of what was left of the old one.
                self.remove(at);
                found = None;
            }
        }
        let at = found.or_else(|| self.insert_blank(event))?;
        self.take_over(at, event, state);
        Some(at)
    }

    /// A place for the socket of an event that is not known yet; `None` where the event gives no identity.
    fn insert_blank(&mut self, event: &SocketEvent) -> Option<usize> {
        let identity = Identity::of_event(event);
        let nameless = identity.cookie.is_none() && identity.inode == 0 && identity.ends.is_none();
        (!nameless).then(|| self.insert(blank(event)))
    }

    /// Takes over what an event says of a socket.
    fn take_over(&mut self, at: usize, event: &SocketEvent, state: TcpState) {
        self.unindex(at);
        let slot = &mut self.slots[at];
        slot.touched = self.listing;
        if let Some(socket) = &mut slot.socket {
            merge(socket, event, state == TcpState::Close);
            socket.state = state;
        }
        self.index(at);
    }

    /// Begins to read the kernel's lists. Call [`Table::listing`] with what was read.
    pub fn begin_listing(&mut self) {
        self.listing += 1;
        self.reading = true;
        self.gone_inodes.clear();
        self.gone_ends.clear();
        self.gone_minis.clear();
    }

    /// Folds in what the kernel listed since [`Table::begin_listing`].
    pub fn listing(&mut self, listing: &Listing, now_ns: u64) -> Correction {
        let mut correction = Correction::default();
        for (row, owner) in &listing.rows {
            self.listed(row, *owner, &mut correction);
        }
        for at in 0..self.slots.len() {
            let Slot { socket: Some(socket), touched, listed, mini } = self.slots[at] else { continue };
            if touched == self.listing || listed == self.listing || !listing.protos.contains(&socket.proto) {
                continue;
            }
            let held = |held: &HashSet<u64>| socket.inode != 0 && held.contains(&socket.inode);
            let read = |spaces: &HashSet<u32>| socket.netns.is_none_or(|netns| spaces.contains(&netns));
            if !listing.spaces.as_ref().is_none_or(read) {
                // What a process holds is there, and what nobody holds does not stay for long.
                let forgotten = self.listing - touched.max(listed) > UNSEEN;
                if !forgotten || listing.held.as_ref().is_none_or(held) {
                    continue;
                }
            }
            if !socket.is_listed() && listing.held.as_ref().is_none_or(held) {
                continue;
            }
            if listing.held.as_ref().is_some_and(held) {
                // Nobody told of its end, and it has not ended: it is in no list any more.
                correction.changed += 1;
                self.unlist(at);
                continue;
            }
            correction.removed += 1;
            self.remove(at);
            // Minisockets end without a close: the socket that they were, or never became, has been told of.
            let mini = mini || socket.inode == 0 && matches!(socket.state, TcpState::TimeWait | TcpState::SynRecv);
            if !mini {
                let duration_ns = socket.since_ns.map(|since| now_ns.saturating_sub(since));
                let totals = Totals {
                    duration_ns,
                    rx_bytes: None,
                    tx_bytes: None,
                    rtt_us: None,
                    retransmits: None,
                    reason: CloseReason::Unknown,
                };
                self.keep(ClosedSocket { socket, closed_ns: now_ns, totals });
            }
        }
        self.reading = false;
        self.gone_inodes.clear();
        self.gone_ends.clear();
        self.gone_minis.clear();
        correction
    }

    /// A socket that lives on in no list: a connection that is over, or one that has given back its port.
    fn unlist(&mut self, at: usize) {
        self.unindex(at);
        if let Some(socket) = &mut self.slots[at].socket {
            socket.state = TcpState::Close;
            if !socket.proto.is_tcp() {
                (socket.local, socket.remote) = (None, None);
            }
        }
        self.index(at);
    }

    fn listed(&mut self, row: &SocketRow, owner: Option<Owner>, correction: &mut Correction) {
        let socket = listed_socket(row, owner);
        let identity = Identity::of(&socket);
        let Some(at) = self.find(&identity) else {
            let connected = row.proto.is_tcp() && row.remote.port != 0;
            let sock = |ends| socket.state != TcpState::TimeWait && self.gone_ends.contains(ends);
            let mini = |ends| socket.inode == 0 && self.gone_minis.contains(ends);
            let gone = socket.inode != 0 && self.gone_inodes.contains(&socket.inode)
                || (connected || socket.inode == 0)
                    && identity.ends.as_ref().is_some_and(|ends| sock(ends) || mini(ends));
            if !gone {
                let at = self.insert(socket);
                self.slots[at].listed = self.listing;
                self.slots[at].mini = socket.state == TcpState::TimeWait;
                correction.added += 1;
            }
            return;
        };
        self.unindex(at);
        let slot = &mut self.slots[at];
        slot.listed = self.listing;
        if let Some(known) = &mut slot.socket {
            // No event tells of a bind, or of an accept: what is not known is taken in any case.
            let newer = slot.touched == self.listing;
            if !newer && known.state != socket.state {
                known.state = socket.state;
                slot.mini = socket.state == TcpState::TimeWait;
                correction.changed += 1;
            }
            if !newer || known.local.is_none_or(|local| local.port.is_none()) || !known.proto.is_tcp() {
                (known.local, known.remote) = (socket.local, socket.remote);
                if !known.proto.is_tcp() {
                    known.state = socket.state;
                }
            }
            if !newer || known.inode == 0 && known.state == TcpState::Established {
                known.inode = socket.inode;
            }
            known.uid = known.uid.or(socket.uid);
            known.netns = known.netns.or(socket.netns);
            known.cookie = known.cookie.or(socket.cookie);
            known.owner = known.owner.or(owner);
        }
        self.index(at);
    }

    /// The slot of a minisocket: of several with one cookie, the one with these ends.
    fn find_mini(&self, identity: &Identity) -> Option<usize> {
        let mini = |at: &u32| {
            let slot = &self.slots[*at as usize];
            slot.mini && slot.socket.as_ref().is_some_and(|s| Identity::of(s).ends == identity.ends && identity.fits(s))
        };
        let by_ends = identity.ends.and_then(|ends| self.by_ends.find(self.hash(ends), mini)).map(|&at| at as usize);
        by_ends.or_else(|| self.find(identity).filter(|&at| self.slots[at].mini))
    }

    /// The socket's slot: by cookie, by inode, by its ends.
    fn find(&self, identity: &Identity) -> Option<usize> {
        let socket = |at: &u32| self.slots[*at as usize].socket.as_ref();
        let by_cookie = identity.cookie.and_then(|cookie| {
            self.by_cookie.find(self.hash(cookie), |at| socket(at).is_some_and(|s| s.cookie == Some(cookie)))
        });
        let by_inode = || {
            let inode = Some(identity.inode).filter(|&inode| inode != 0)?;
            let same = |at: &u32| socket(at).is_some_and(|s| s.inode == inode && identity.fits(s));
            self.by_inode.find(self.hash(inode), same)
        };
        let by_ends = || {
            let wanted = identity.ends?;
            let same = |at: &u32| socket(at).is_some_and(|s| Identity::of(s).ends == Some(wanted) && identity.fits(s));
            self.by_ends.find(self.hash(wanted), same)
        };
        by_cookie.or_else(by_inode).or_else(by_ends).map(|&at| at as usize)
    }

    fn hash(&self, key: impl std::hash::Hash) -> u64 {
        self.hasher.hash_one(key)
    }

    fn insert(&mut self, socket: LiveSocket) -> usize {
        let slot = Slot { socket: Some(socket), touched: 0, listed: 0, mini: false };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at as usize
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        self.index(at);
        at
    }

    fn remove(&mut self, at: usize) -> Option<LiveSocket> {
        self.unindex(at);
        let socket = self.slots[at].socket.take()?;
        self.free.push(at as u32);
        self.note_gone(&Identity::of(&socket), self.slots[at].mini);
        Some(socket)
    }

    fn note_gone(&mut self, identity: &Identity, mini: bool) {
        if self.reading {
            if identity.inode != 0 {
                self.gone_inodes.insert(identity.inode);
            }
            let gone = if mini { &mut self.gone_minis } else { &mut self.gone_ends };
            gone.extend(identity.ends);
        }
    }

    fn index(&mut self, at: usize) {
        let Some(socket) = self.slots[at].socket else { return };
        let Self { slots, hasher, by_cookie, by_inode, by_ends, .. } = self;
        let there = |at: &u32| slots[*at as usize].socket.as_ref();
        let cookie = |at: &u32| hasher.hash_one(there(at).and_then(|s| s.cookie).unwrap_or(0));
        let inode = |at: &u32| hasher.hash_one(there(at).map_or(0, |s| s.inode));
        let key = |at: &u32| there(at).and_then(|s| Identity::of(s).ends).map_or(0, |ends| hasher.hash_one(ends));
        let at = at as u32;
        if socket.cookie.is_some() {
            by_cookie.insert_unique(cookie(&at), at, cookie);
        }
        if socket.inode != 0 {
            by_inode.insert_unique(inode(&at), at, inode);
        }
        if Identity::of(&socket).ends.is_some() {
            by_ends.insert_unique(key(&at), at, key);
        }
    }

    fn unindex(&mut self, at: usize) {
        let Some(socket) = &self.slots[at].socket else { return };
        let identity = Identity::of(socket);
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
        if let Some(ends) = identity.ends {
            drop_from(&mut self.by_ends, self.hasher.hash_one(ends));
        }
    }
}

/// A socket of which only its row in the kernel's list is known, and who holds it.
fn listed_socket(row: &SocketRow, owner: Option<Owner>) -> LiveSocket {
    let end = |end: Endpoint| EventEnd { addr: end.addr, port: Some(end.port) };
    LiveSocket {
        proto: row.proto,
        state: TcpState::from_kernel(row.state).unwrap_or(TcpState::Close),
        local: Some(end(row.local)),
        remote: Some(end(row.remote)),
        netns: row.netns,
        uid: Some(row.uid),
        inode: row.inode,
        cookie: row.cookie,
        owner,
        since_ns: None,
    }
}

/// A socket of which only the event is known.
fn blank(event: &SocketEvent) -> LiveSocket {
    LiveSocket {
        proto: event.proto,
        state: TcpState::Close,
        local: None,
        remote: None,
        netns: event.netns,
        uid: None,
        inode: 0,
        cookie: event.cookie,
        owner: None,
        since_ns: None,
    }
}

/// Takes over what the event knows. A socket that is `closing` has given back its port and lost its inode: what was known stays.
fn merge(socket: &mut LiveSocket, event: &SocketEvent, closing: bool) {
    let useful = |end: Option<EventEnd>| end.is_some_and(|end| end.port.is_some_and(|port| port != 0));
    if event.local.is_some() && (!closing || socket.local.is_none() || useful(event.local)) {
        socket.local = event.local;
    }
    if event.remote.is_some() && (!closing || socket.remote.is_none() || useful(event.remote)) {
        socket.remote = event.remote;
    }
    match event.inode {
        Some(inode) if inode != 0 || !closing => socket.inode = inode,
        _ => {}
    }
    socket.netns = event.netns.or(socket.netns);
    socket.uid = event.uid.or(socket.uid);
    socket.cookie = event.cookie.or(socket.cookie);
    socket.owner = event.owner.or(socket.owner);
}

#[cfg(test)]
mod tests;
