//! The live table: every socket that the kernel's events and lists report, and those that ended a short while ago.
//!
//! The table is a fold. [`Table::event`] takes what happened, in the order it happened; [`Table::begin_listing`] and
//! [`Table::listing`] take what the kernel lists, both for the seed and after a loss. Reading the kernel's lists takes time, and events
//! go on meanwhile: they are folded as they come, and what an event has reported of a socket since the listing began is believed before
//! what the listing says of it. So nothing is lost and nothing is doubled, provided that the events recorded before the listing
//! began have been folded before [`Table::begin_listing`], and those recorded until it ended before [`Table::listing`].
//!
//! A socket is identified by its cookie where that is known, else by its inode, else by namespace, protocol and ends.
//!
//! A live socket takes [`Table::ROW_BYTES`] and at most 48 bytes of index; one that ended takes [`Table::CLOSED_BYTES`].

mod changes;
mod listing;
mod past;
mod recorded;
mod slots;
mod socket;

use crate::model::{ClosedSocket, Ends, EventKind, LiveSocket, Proto, SocketEvent, Subordinates, TcpState, Totals};
pub use changes::Change;
use hashbrown::HashSet;
pub use listing::{Correction, Listing};
pub use past::EndedByEnds;
use past::{EndedSockets, Entry};
use slots::{Identity, Slots, TableSlot};
use socket::{blank, merge};
pub use socket::{may_be_orphan, may_be_remains};
use std::sync::Arc;

/// How much of the past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Longest time a closed socket is kept, in nanoseconds.
    pub recent_ns: u64,
    /// Most closed sockets kept.
    pub recent_count: usize,
}

/// The table.
#[derive(Debug)]
pub struct Table {
    slots: Slots,
    past: EndedSockets,
    /// Number of the listing that is being read or was read last.
    listing: u32,
    /// What ended while a listing is being read, so that it is not taken for new.
    gone_inodes: HashSet<u64>,
    gone_ends: HashSet<Ends>,
    /// The same of minisockets: one may outlive its socket, and be older than the tracer.
    gone_minis: HashSet<Ends>,
    reading: bool,
    /// What the rows folded in so far have changed.
    correction: Correction,
    /// The same, socket by socket, where somebody wants it.
    changes: Option<Vec<Change>>,
}

impl Table {
    /// Bytes of a live socket, without its index.
    pub const ROW_BYTES: usize = size_of::<TableSlot>();
    /// Bytes of a closed socket.
    pub const CLOSED_BYTES: usize = size_of::<Entry>();

    /// An empty table.
    pub fn new(limits: Retention) -> Self {
        Self {
            slots: Slots::default(),
            past: EndedSockets::new(limits),
            listing: 0,
            gone_inodes: HashSet::new(),
            gone_ends: HashSet::new(),
            gone_minis: HashSet::new(),
            reading: false,
            correction: Correction::default(),
            changes: None,
        }
    }

    /// Takes from now on who holds whose subordinate ids: what is kept of a user and of their ids is counted together.
    pub fn count_by(&mut self, subordinates: Arc<Subordinates>) {
        self.past.count_by(subordinates);
    }

    /// Every live socket, those included that the kernel's lists leave out; in no order.
    pub fn live(&self) -> impl Iterator<Item = &LiveSocket> {
        self.slots.sockets()
    }

    /// Number of live sockets.
    pub const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Number of live sockets in these network namespaces, of these protocols.
    pub fn len_in(&self, is_in: impl Fn(Option<u32>, Proto) -> bool) -> usize {
        self.slots.len_in(is_in)
    }

    /// Memory taken, in bytes.
    pub fn bytes(&self) -> usize {
        self.slots.bytes() + self.past.bytes()
    }

    /// Whether there is no live socket.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sockets that ended within `within_ns` before `now_ns`, last ended first.
    pub fn recent(&self, now_ns: u64, within_ns: u64) -> impl Iterator<Item = &ClosedSocket> {
        self.past.latest().take_while(move |closed| now_ns.saturating_sub(closed.closed_ns) <= within_ns)
    }

    /// Number of closed sockets kept.
    pub const fn recent_len(&self) -> usize {
        self.past.len()
    }

    /// When the last of the closed sockets ended that are not kept any more, in nanoseconds since the epoch; 0 where all are.
    pub const fn forgotten_ns(&self) -> u64 {
        self.past.forgotten_ns()
    }

    /// Whether the last of those was forgotten because there were too many, and not because it was too old.
    pub const fn is_crowded(&self) -> bool {
        self.past.is_crowded()
    }

    /// The user whose closed sockets alone were forgotten recently for want of room, and when the last socket of all others ended that is not kept
    /// any more, in nanoseconds since the epoch.
    pub fn crowd(&self) -> Option<(u32, u64)> {
        self.past.crowd()
    }

    /// Forgets closed sockets that are too old.
    pub fn expire(&mut self, now_ns: u64) {
        self.past.expire(now_ns);
    }

    /// Folds in what happened to a socket.
    pub fn event(&mut self, event: &SocketEvent) {
        match event.kind {
            EventKind::Open => {
                let at = self.learn(event, TcpState::Close);
                if let Some(socket) = at.and_then(|at| self.slots.at(at).socket.as_mut()) {
                    socket.since_ns = Some(event.time_ns);
                    socket.seen_ns = event.time_ns;
                }
            }
            // Up to Linux 6.12 a connection that comes in is reported before it is made: it has no identity yet.
            EventKind::State { old: TcpState::Listen, new: TcpState::SynRecv, .. }
                if event.cookie.is_none() || event.remote.is_none_or(|remote| remote.port.unwrap_or(0) == 0) => {}
            EventKind::State { old, new: TcpState::Close, .. } => self.closing(event, old),
            EventKind::State { new: TcpState::TimeWait, .. } => self.remains(event),
            EventKind::State { new, .. } => {
                let at = self.learn(event, new);
                if let Some(socket) = at.and_then(|at| self.slots.at(at).socket.as_mut())
                    && new == TcpState::SynRecv
                {
                    socket.since_ns = socket.since_ns.or(Some(event.time_ns));
                }
            }
            EventKind::Close(totals) => self.close(event, totals),
        }
    }

    /// What remains of a connection is in TIME_WAIT, before or after its socket is closed and destroyed. In FIN_WAIT2, where it may have
    /// waited without its owner, it was not reported.
    fn remains(&mut self, event: &SocketEvent) {
        let identity = Identity::of_event(event);
        let found = self.slots.find_mini(&identity).or_else(|| self.slots.find(&identity));
        let Some(at) = found.or_else(|| self.insert_blank(event)) else { return };
        self.take_over(at, event, TcpState::TimeWait);
        self.slots.change(at, |slot| {
            slot.mini = true;
            if let Some(socket) = &mut slot.socket {
                let before = std::mem::take(&mut socket.inode);
                slot.let_go = had(before).unwrap_or(slot.let_go);
            }
        });
    }

    /// A transition to CLOSE: of the socket itself, whose destruction follows, or of a minisocket, which is the end.
    fn closing(&mut self, event: &SocketEvent, old: TcpState) {
        let identity = Identity::of_event(event);
        let wait = old == TcpState::TimeWait;
        let found = if wait { self.slots.find_mini(&identity) } else { self.slots.find(&identity) };
        let Some(at) = found else {
            match old {
                TcpState::TimeWait => self.note_gone(&identity, true),
                TcpState::SynRecv => self.note_gone(&identity, false),
                // An orphan, or what remains of one: the end of an orphan is reported with all that is known.
                TcpState::FinWait2 if event.inode == Some(0) => {
                    self.note_gone(&identity, true);
                    self.note_gone(&identity, false);
                }
                _ => drop(self.learn(event, TcpState::Close)),
            }
            return;
        };
        let TableSlot { socket: Some(socket), mini, .. } = self.slots[at] else { return };
        let nobodys = socket.inode == 0 && socket.state == old;
        let ends = match old {
            TcpState::TimeWait => true,
            TcpState::SynRecv => nobodys,
            // One that only a listing showed may be either: if a socket is destroyed after this, that is reported with all that is known.
            TcpState::FinWait2 => nobodys && socket.cookie.is_none(),
            _ => false,
        };
        if ends {
            self.remove(at);
        } else if mini {
            // The socket goes, what remains of it stays.
            self.slots.at(at).touched = self.listing;
        } else {
            let entered_ns = (socket.state == TcpState::FinWait2).then_some(socket.state_ns);
            let at = self.learn(event, TcpState::Close);
            // A minisocket may be left of an orphan that no event reports: it is in FIN_WAIT2 since the socket was.
            let orphan = old == TcpState::FinWait2 && event.inode == Some(0);
            if let (Some(at), Some(entered_ns)) = (at.filter(|_| orphan), entered_ns)
                && let Some(socket) = &mut self.slots.at(at).socket
            {
                socket.state_ns = entered_ns;
            }
        }
    }

    fn close(&mut self, event: &SocketEvent, totals: Totals) {
        let identity = Identity::of_event(event);
        let found = self.slots.find(&identity);
        let mut socket = match found.and_then(|at| self.slots[at].socket) {
            Some(socket) => socket,
            None => blank(event),
        };
        merge(&mut socket, event, true);
        if let Some(at) = found.filter(|_| socket.inode == 0) {
            socket.inode = self.slots[at].let_go.into();
        }
        self.past.keep(ClosedSocket { socket, closed_ns: event.time_ns, totals });
        match found {
            Some(at) if self.slots[at].mini => self.slots.at(at).touched = self.listing,
            Some(at) => drop(self.remove(at)),
            None => self.note_gone(&identity, false),
        }
    }

    /// Finds or makes the socket of an event and takes over what the event says. `None` where the event gives no identity.
    fn learn(&mut self, event: &SocketEvent, state: TcpState) -> Option<usize> {
        let mut found = self.slots.find(&Identity::of_event(event));
        if let Some(at) = found.filter(|&at| self.slots[at].mini && state != TcpState::Close) {
            if self.slots[at].socket.is_some_and(|socket| socket.cookie.is_some()) {
                // The socket is used again, and what remains of its last connection is nobody's.
                self.slots.change(at, |slot| {
                    if let Some(socket) = &mut slot.socket {
                        socket.cookie = None;
                    }
                });
            } else {
                // A new connection of the same ends, in place of what was left of the old one.
                self.remove(at);
            }
            found = None;
        }
        let at = found.or_else(|| self.insert_blank(event))?;
        self.take_over(at, event, state);
        Some(at)
    }

    /// A place for the socket of an event that is not known yet; `None` where the event gives no identity.
    fn insert_blank(&mut self, event: &SocketEvent) -> Option<usize> {
        let identity = Identity::of_event(event);
        let nameless = identity.cookie.is_none() && identity.inode == 0 && identity.ends.is_none();
        (!nameless).then(|| self.slots.insert(blank(event)))
    }

    /// Takes over what an event says of a socket.
    fn take_over(&mut self, at: usize, event: &SocketEvent, state: TcpState) {
        let listing = self.listing;
        let mut let_go = 0;
        self.slots.change(at, |slot| {
            slot.touched = listing;
            if let Some(socket) = &mut slot.socket {
                let before = socket.inode;
                merge(socket, event, state == TcpState::Close);
                socket.state = state;
                socket.state_ns = event.time_ns;
                let_go = if socket.inode == 0 { before } else { 0 };
                slot.let_go = had(let_go).unwrap_or(slot.let_go);
            }
        });
        // A row that still has it is of before. By its end the socket is known by other things.
        if self.reading && let_go != 0 {
            self.gone_inodes.insert(let_go);
        }
    }

    fn remove(&mut self, at: usize) -> Option<LiveSocket> {
        let mini = self.slots[at].mini;
        let socket = self.slots.remove(at)?;
        self.note_gone(&Identity::of(&socket), mini);
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
}

/// An inode, if it is one.
fn had(inode: u64) -> Option<u32> {
    u32::try_from(inode).ok().filter(|&inode| inode != 0)
}

#[cfg(test)]
mod tests;
