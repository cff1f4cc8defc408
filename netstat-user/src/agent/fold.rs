//! What the agent knows: events and the kernel's lists folded into the table in their order, and each batch of events handed to whoever reads.

use super::answer_memory::AnswerCount;
use super::batch::Batch;
use super::desk::Desk;
use super::sight::Sight;
use super::{KernelLists, ROWS_A_TURN, Settings, Snapshot, Source, TICK, TableWish};
use crate::model::{ClosedSocket, LiveSocket, NamespaceTables, Proto, SocketEvent, Subordinates};
use crate::owner::Owners;
use crate::query::{Answer, Crowd, Past, Status};
use crate::table::{Change, EndedByEnds, Table, may_be_orphan, may_be_remains};
use bytes::{Bytes, BytesMut};
use hashbrown::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long the number of live sockets is believed.
const TRUST: Duration = Duration::from_millis(100);
/// The longest that all of what has been recorded is waited for.
const LONGEST: Duration = Duration::from_secs(2);

/// The socket with its times in nanoseconds since the Unix epoch.
fn dated(socket: LiveSocket, epoch_ns: u64) -> LiveSocket {
    LiveSocket {
        since_ns: socket.since_ns.map(|ns| ns + epoch_ns),
        seen_ns: socket.seen_ns + epoch_ns,
        state_ns: socket.state_ns + epoch_ns,
        ..socket
    }
}

/// Of which sockets an answer is asked for.
#[derive(Clone, Debug)]
pub struct CountAsked {
    /// Their protocols.
    pub protos: Vec<Proto>,
    /// The one network namespace.
    pub netns: Option<u32>,
    /// How long ago those that have ended may have, in nanoseconds; none of them where that is 0.
    pub recent_ns: u64,
}

/// The source, and the table that its events are folded into.
pub struct Fold<S> {
    /// Where events come from.
    pub source: S,
    table: Table,
    owners: Owners,
    desks: [Arc<Desk>; 2],
    /// What has been counted; [`Fold::status`] fills in the rest.
    status: Status,
    batch: Vec<SocketEvent>,
    /// Most closed sockets kept.
    recent_count: u64,
    /// Records lost since the source began.
    lost: u64,
    /// When events were last lost.
    lost_ns: Option<u64>,
    /// When the listing under way began.
    listing_ns: u64,
    /// The last one that is folded in: when it began, and the network namespaces that were listed, `None` for all.
    listed: Option<(u64, Option<HashSet<u32>>)>,
    /// How many live sockets there were, and when that was counted.
    counted: Option<(Instant, u64)>,
}

impl<S: Source> Fold<S> {
    /// An empty table.
    ///
    /// # Errors
    /// The source's.
    pub fn new(mut source: S, desks: [Arc<Desk>; 2], settings: &Settings) -> io::Result<Self> {
        let status = Status {
            pid: std::process::id(),
            since_ns: source.now_ns(),
            uid: settings.admission.uid,
            shares_all: settings.admission.shares_all,
            keeps_ns: settings.limits.recent_ns,
            ..Status::default()
        };
        let lost = source.lost()?;
        Ok(Self {
            source,
            table: Table::new(settings.limits),
            owners: Owners::default(),
            desks,
            status,
            batch: Vec::new(),
            recent_count: settings.limits.recent_count as u64,
            lost,
            lost_ns: None,
            listing_ns: 0,
            listed: None,
            counted: None,
        })
    }

    /// Whether anybody reads events.
    pub fn is_read(&self) -> bool {
        self.desks.iter().any(|desk| !desk.is_idle())
    }

    /// Ends the readers behind what has been handed over.
    pub fn end_readers(&self) {
        self.desks.iter().for_each(|desk| desk.end_all());
    }

    /// A reader of events has been dropped.
    pub const fn reader_dropped(&mut self) {
        self.status.dropped_readers += 1;
    }

    /// Forgets closed sockets that are too old.
    pub fn expire(&mut self) {
        self.table.expire(self.source.now_ns());
    }

    /// Who holds whose ids, from now on.
    pub fn count_by(&mut self, subordinates: Arc<Subordinates>) {
        self.table.count_by(subordinates);
    }

    /// Begins a listing. All events recorded before must have been folded.
    pub fn begin_listing(&mut self) {
        self.listing_ns = self.source.now_ns();
        self.table.begin_listing();
    }

    /// Folds in a listing, with all events recorded until it ended before it; returns whether events were lost.
    ///
    /// # Errors
    /// The source's.
    pub fn end_listing(&mut self, KernelLists { listing, owners, .. }: &mut KernelLists) -> io::Result<bool> {
        let mut lost = self.drain(true)?;
        self.owners.renew(std::mem::take(owners));
        let are_wanted = listing.rows.iter().any(|(row, _)| may_be_orphan(row));
        let ended = self.index_ended(are_wanted, &mut lost)?;
        self.table.note_changes(self.desks.iter().any(|desk| desk.is_followed()));
        for rows in listing.rows.chunks(ROWS_A_TURN) {
            self.table.list(rows, &ended, self.source.now_ns());
            // Before the events that follow.
            self.publish_changes();
            lost |= self.drain(false)?;
        }
        let correction = self.table.end_listing(listing, self.source.now_ns());
        self.publish_changes();
        // The seed corrects nothing.
        if self.status.resyncs > 0 {
            self.status.corrected += correction.added + correction.removed + correction.changed;
        }
        self.status.resyncs += 1;
        self.listed = Some((self.listing_ns, listing.spaces.take()));
        Ok(lost)
    }

    /// Whether the last comparison with the kernel's lists is recent enough; its age counts from its start. A namespace that no process was in then has
    /// not been listed.
    pub fn is_new_enough(&self, wish: &TableWish) -> bool {
        let Some((listed_ns, spaces)) = &self.listed else { return false };
        let is_listed = |netns: u32| spaces.as_ref().is_none_or(|spaces| spaces.contains(&netns));
        wish.age_ns > 0
            && wish.netns.is_none_or(is_listed)
            && self.source.now_ns().saturating_sub(*listed_ns) <= wish.age_ns
            && self.lost_ns.is_none_or(|lost_ns| *listed_ns > lost_ns)
    }

    /// Folds what has been recorded: `all` of it, or what a busy kernel lets us have at a time. Returns whether events were lost.
    ///
    /// # Errors
    /// The source's.
    pub fn drain(&mut self, all: bool) -> io::Result<bool> {
        let until = Instant::now() + if all { LONGEST } else { TICK };
        loop {
            let more = self.source.take(&mut self.batch)?;
            self.status.events += self.batch.len() as u64;
            for event in &mut self.batch {
                self.owners.resolve(event);
                self.table.event(event);
            }
            self.source.note(&self.batch);
            self.publish();
            if !more || Instant::now() > until {
                break;
            }
        }
        let lost = self.source.lost()?;
        if lost <= self.lost {
            return Ok(false);
        }
        let (now_ns, count) = (self.source.now_ns(), lost - self.lost);
        self.status.lost += count;
        (self.lost, self.lost_ns) = (lost, Some(now_ns));
        let time_ns = now_ns + self.source.epoch_ns();
        self.desks.iter().for_each(|desk| desk.lost(time_ns, count));
        Ok(true)
    }

    /// Hands the batch to whoever reads.
    fn publish(&mut self) {
        if self.batch.is_empty() || !self.is_read() {
            self.batch.clear();
            return;
        }
        let epoch_ns = self.source.epoch_ns();
        let room = self.batch.len();
        let mut batch = std::mem::replace(&mut self.batch, Vec::with_capacity(room));
        batch.iter_mut().for_each(|event| event.time_ns += epoch_ns);
        let batch = Batch::Events(Arc::new(batch));
        self.desks.iter().filter(|desk| !desk.is_idle()).for_each(|desk| desk.publish(&batch));
    }

    /// Hands what the kernel's lists have changed to whoever follows the table.
    fn publish_changes(&mut self) {
        let epoch_ns = self.source.epoch_ns();
        let dated = |socket: Option<LiveSocket>| socket.map(|socket| dated(socket, epoch_ns));
        let mut changes = self.table.take_changes();
        for Change { before, after } in &mut changes {
            (*before, *after) = (dated(*before), dated(*after));
        }
        for changes in changes.chunks(ROWS_A_TURN) {
            let batch = Batch::Changes(Arc::new(changes.to_vec()));
            self.desks.iter().filter(|desk| desk.is_followed()).for_each(|desk| desk.publish(&batch));
        }
    }

    /// What is true now of the network namespaces that are shown; whose it is not to be shown, is hidden later.
    pub fn snapshot(&mut self, wish: &TableWish, sight: &Sight) -> Snapshot {
        let (now_ns, epoch_ns) = (self.source.now_ns(), self.source.epoch_ns());
        self.table.expire(now_ns);
        let wanted = |socket: &LiveSocket| wish.netns.is_none_or(|netns| socket.netns == Some(netns));
        let dated = |socket: LiveSocket| dated(socket, epoch_ns);
        let mut snapshot = Snapshot {
            time_ns: now_ns + epoch_ns,
            epoch_ns,
            live: Vec::new(),
            closed: Vec::new(),
            past: self.past(),
            crowd: self.crowd(),
            feed: None,
        };
        if wish.live {
            let is_there = |socket: &&LiveSocket| (wish.unlisted || socket.is_listed()) && wanted(socket);
            let listed = self.table.live().filter(is_there);
            snapshot.live.extend(listed.filter(|socket| sight.has(socket.netns)).copied().map(dated));
        }
        if wish.recent_ns > 0 {
            let recent = self.table.recent(now_ns, wish.recent_ns).filter(|closed| wanted(&closed.socket));
            snapshot.closed.extend(recent.filter(|closed| sight.had(closed, 0)).map(|closed| ClosedSocket {
                socket: dated(closed.socket),
                closed_ns: closed.closed_ns + epoch_ns,
                ..*closed
            }));
        }
        snapshot
    }

    /// Adds the owners that events recorded to the rows that nobody holds; of one user's sockets only, where a user is given. There may be any number
    /// of rows: events get their turn in between. Returns whether some were lost.
    ///
    /// # Errors
    /// The source's.
    pub fn add_recorded(&mut self, spaces: &mut [NamespaceTables], uid: Option<u32>) -> io::Result<bool> {
        let mut lost = self.drain(true)?;
        let tables = spaces.iter().flat_map(|space| &space.tables).filter_map(|(_, table)| table.as_ref().ok());
        let are_wanted = tables.flat_map(|table| &table.rows).any(may_be_remains);
        let ended = self.index_ended(are_wanted, &mut lost)?;
        for space in spaces {
            let Some(netns) = space.netns else { continue };
            for table in space.tables.iter_mut().filter_map(|(_, table)| table.as_mut().ok()) {
                for (part, rows) in table.rows.chunks(ROWS_A_TURN).enumerate() {
                    let first = (part * ROWS_A_TURN) as u32;
                    let recorded = self.table.recorded(netns, rows, uid, &ended);
                    table.recorded.extend(recorded.into_iter().map(|(at, owner)| (first + at, owner)));
                    lost |= self.drain(false)?;
                }
            }
        }
        Ok(lost)
    }

    /// The closed sockets by their ends, where they are looked for. There may be any number of them: events get their turn in between, and `lost` is
    /// set where some were lost.
    ///
    /// # Errors
    /// The source's.
    fn index_ended(&mut self, are_wanted: bool, lost: &mut bool) -> io::Result<EndedByEnds> {
        let mut ended = EndedByEnds::default();
        while are_wanted && self.table.index_ended(&mut ended) {
            *lost |= self.drain(false)?;
        }
        Ok(ended)
    }

    /// How many sockets an answer has, of those that are shown.
    pub fn count_of(&self, sight: &Sight, asked: &CountAsked) -> AnswerCount {
        let is_asked = |netns: Option<u32>, proto: Proto| {
            (asked.netns.is_none() || netns == asked.netns) && asked.protos.contains(&proto)
        };
        let recent = (asked.recent_ns > 0).then(|| self.table.recent(self.source.now_ns(), asked.recent_ns));
        let is_asked_of = |closed: &&ClosedSocket| is_asked(closed.socket.netns, closed.socket.proto);
        let recent = recent.into_iter().flatten().filter(is_asked_of);
        AnswerCount {
            live: self.table.len_in(|netns, proto| sight.has(netns) && is_asked(netns, proto)),
            closed: recent.filter(|closed| sight.had(closed, 0)).count(),
        }
    }

    /// How far back the closed sockets reach.
    fn past(&self) -> Past {
        let epoch_ns = self.source.epoch_ns();
        let forgotten_ns = self.table.forgotten_ns();
        Past {
            since_ns: forgotten_ns.max(self.status.since_ns) + epoch_ns,
            crowded: forgotten_ns > self.status.since_ns && self.table.is_crowded(),
            most: self.recent_count,
            lost_ns: self.lost_ns.map(|ns| ns + epoch_ns),
            lost: self.status.lost,
        }
    }

    /// Whose closed sockets found no room.
    fn crowd(&self) -> Option<Crowd> {
        let epoch_ns = self.source.epoch_ns();
        let crowd = self.table.crowd();
        crowd.map(|(uid, ns)| Crowd { uid, others_ns: ns.max(self.status.since_ns) + epoch_ns })
    }

    /// How the agent is, with so many clients.
    pub fn status(&mut self, clients: usize) -> Status {
        let Status { forgotten, buffer, peak_fill, .. } = self.source.status();
        let counted = self.counted.filter(|(at, _)| self.table.len() > ROWS_A_TURN && at.elapsed() < TRUST);
        let count = || self.table.live().filter(|socket| socket.is_listed()).count() as u64;
        let (_, live) = *self.counted.insert(counted.unwrap_or_else(|| (Instant::now(), count())));
        Status {
            live,
            recent: self.table.recent_len() as u64,
            clients: clients as u64,
            forgotten,
            buffer,
            peak_fill,
            past: self.past(),
            crowd: self.crowd(),
            since_ns: self.status.since_ns + self.source.epoch_ns(),
            ..self.status.clone()
        }
    }

    /// The same, with what is traced, as the frames of an answer.
    pub fn status_frames(&mut self, clients: usize) -> Bytes {
        let mut out = BytesMut::new();
        Answer::Status(self.status(clients)).encode(&mut out);
        Answer::Coverage(self.source.coverage()).encode(&mut out);
        Answer::End.encode(&mut out);
        out.freeze()
    }
}

#[cfg(test)]
mod tests;
