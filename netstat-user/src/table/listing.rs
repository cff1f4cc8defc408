//! What the kernel lists, and how it is folded in.

use super::slots::{Identity, TableSlot};
use super::socket::{listed_socket, may_be_left_of, may_be_orphan};
use super::{EndedByEnds, Table, had};
use crate::model::{CloseReason, ClosedSocket, Owner, Proto, SocketRow, TcpState, Totals};
use hashbrown::HashSet;

/// What the kernel lists.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The rows, each with the process that holds it, if one was found. Their `netns` is set.
    pub rows: Vec<(SocketRow, Option<Owner>)>,
    /// The protocols that were read.
    pub protos: Vec<Proto>,
    /// The network namespaces that were read, `None` if all that there are: of the sockets of another one nothing is known.
    pub spaces: Option<HashSet<u32>>,
    /// Every inode that a process holds, if all processes could be looked at: a socket that is in no list lives if it is among them.
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
pub(super) const UNSEEN: u32 = 10;

impl Table {
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
        let mut ended = EndedByEnds::default();
        while self.index_ended(&mut ended) {}
        self.list(&listing.rows, &ended, now_ns);
        self.end_listing(listing, now_ns)
    }

    /// Folds in a part of the rows that were listed since [`Table::begin_listing`], of which some may be the remains of those in `ended`. Events
    /// may be folded between the parts.
    pub fn list(&mut self, rows: &[(SocketRow, Option<Owner>)], ended: &EndedByEnds, now_ns: u64) {
        let mut correction = self.correction;
        for (row, owner) in rows {
            self.listed(row, *owner, ended, now_ns, &mut correction);
        }
        self.correction = correction;
    }

    /// Ends a listing, once all its rows are folded in: what was not listed is not there.
    pub fn end_listing(&mut self, listing: &Listing, now_ns: u64) -> Correction {
        let mut correction = std::mem::take(&mut self.correction);
        for at in 0..self.slots.places() {
            let TableSlot { socket: Some(socket), touched, listed, mini, .. } = self.slots[at] else { continue };
            if touched == self.listing || listed == self.listing || !listing.protos.contains(&socket.proto) {
                continue;
            }
            let held = listing.held.as_ref().map(|held| socket.inode != 0 && held.contains(&socket.inode));
            let read = |spaces: &HashSet<u32>| socket.netns.is_none_or(|netns| spaces.contains(&netns));
            let is_read = listing.spaces.as_ref().is_none_or(read);
            let is_old = self.listing - touched.max(listed) > UNSEEN;
            match held {
                // What nobody holds does not stay for long.
                _ if !is_read && !is_old => continue,
                Some(true) if !is_read || !socket.is_listed() => continue,
                Some(true) => {
                    // No event reported its end, and it has not ended: it is in no list any more.
                    correction.changed += 1;
                    self.unlist(at, now_ns);
                    self.note(Some(socket), self.slots[at].socket);
                    continue;
                }
                // Whether it lives, nobody knows: it is forgotten after a while, and does not count as one that ended.
                None if !is_read || !socket.is_listed() => {
                    if is_old {
                        self.remove(at);
                        self.note(Some(socket), None);
                    }
                    continue;
                }
                _ => {}
            }
            correction.removed += 1;
            self.remove(at);
            self.note(Some(socket), None);
            // Minisockets end without a close: the socket that they were, or never became, has been reported.
            let mini = mini || socket.inode == 0 && matches!(socket.state, TcpState::TimeWait | TcpState::SynRecv);
            if !mini {
                let duration_ns = socket.since_ns.map(|since| now_ns.saturating_sub(since));
                let totals = Totals { duration_ns, ..Totals::unknown(CloseReason::Unknown) };
                self.past.keep(ClosedSocket { socket, closed_ns: now_ns, totals });
            }
        }
        self.reading = false;
        self.gone_inodes.clear();
        self.gone_ends.clear();
        self.gone_minis.clear();
        correction
    }

    /// A socket that lives on in no list: a connection that is over, or one that has given back its port.
    fn unlist(&mut self, at: usize, now_ns: u64) {
        self.slots.change(at, |slot| {
            if let Some(socket) = &mut slot.socket {
                socket.state = TcpState::Close;
                socket.state_ns = now_ns;
                if !socket.proto.is_tcp() {
                    (socket.local, socket.remote) = (None, None);
                }
            }
        });
    }

    fn listed(
        &mut self,
        row: &SocketRow,
        owner: Option<Owner>,
        ended: &EndedByEnds,
        now_ns: u64,
        correction: &mut Correction,
    ) {
        let mut socket = listed_socket(row, owner, now_ns);
        let identity = Identity::of(&socket);
        let Some(at) = self.slots.find(&identity) else {
            let connected = row.proto.is_tcp() && row.remote.port != 0;
            let sock = |ends| socket.state != TcpState::TimeWait && self.gone_ends.contains(ends);
            let mini = |ends| socket.inode == 0 && self.gone_minis.contains(ends);
            let gone = socket.inode != 0 && self.gone_inodes.contains(&socket.inode)
                || (connected || socket.inode == 0)
                    && identity.ends.as_ref().is_some_and(|ends| sock(ends) || mini(ends));
            if !gone {
                // What an orphan may have left, of which no event was reported.
                if may_be_orphan(row) {
                    let before = identity.ends.and_then(|ends| self.past.last_with(ended, &ends));
                    if let Some(before) = before.filter(|before| may_be_left_of(&socket, before)) {
                        (socket.since_ns, socket.seen_ns) = (before.since_ns, before.seen_ns);
                        socket.state_ns = before.state_ns;
                    }
                }
                let at = self.slots.insert(socket);
                let slot = self.slots.at(at);
                slot.listed = self.listing;
                slot.mini = socket.state == TcpState::TimeWait;
                correction.added += 1;
                self.note(None, Some(socket));
            }
            return;
        };
        let (listing, was) = (self.listing, self.slots[at].socket);
        self.slots.change(at, |slot| {
            slot.listed = listing;
            let Some(known) = &mut slot.socket else { return };
            // No event reports a bind or an accept: what is not known is taken in any case.
            let newer = slot.touched == listing;
            let before = known.state;
            // IPV6_ADDRFORM makes an IPv6 socket one of IPv4, and no event reports that: the list is right.
            if !newer && known.proto != socket.proto {
                known.proto = socket.proto;
                (known.local, known.remote) = (socket.local, socket.remote);
                correction.changed += 1;
            }
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
                slot.let_go = had(known.inode).filter(|_| socket.inode == 0).unwrap_or(slot.let_go);
                known.inode = socket.inode;
            }
            if known.state != before {
                known.state_ns = now_ns;
            }
            known.uid = known.uid.or(socket.uid);
            known.netns = known.netns.or(socket.netns);
            known.cookie = known.cookie.or(socket.cookie);
            known.owner = known.owner.or(owner);
        });
        self.note(was, self.slots[at].socket);
    }
}
