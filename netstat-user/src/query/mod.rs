//! The agent's language: length-limited frames, and the requests and answers in them. Pure: no sockets here.
//!
//! A frame is the length of its body (u32, little-endian), then the body: a byte of [`VERSION`], a byte that says what it is, and the
//! fields in their order. Numbers are little-endian; what may be unknown has a byte before it, 0 or 1; texts and lists have their
//! length before them, and so have the records of a list that may grow. A client sends one request per connection and reads answers until
//! [`Answer::End`], an [`Answer::Refused`], or the end of the connection.
//!
//! Agents and clients of different releases understand each other: new fields are only ever added at the end of a frame, or of a record
//! with a length. Whoever does not know them passes over them, and where they are missing they are unknown or zero. An answer of a kind
//! that is not known is [`Answer::Unknown`], and is passed over too. What cannot be had so needs another [`VERSION`]: a new word among those that are sent
//! by their place (a state, a protocol, a reason), above all, which an earlier release takes for garbage.
//!
//! Nothing on the wire has a name, so the order of a record's fields is the language itself: it never changes, and need not be that of the table
//! of fields ([`FIELDS`](crate::field::FIELDS)). The encoding is written by hand, and not by a library whose encodings describe themselves,
//! because a frame is encoded and decoded for every event: it holds the values, and the lengths by which a reader passes over what it does
//! not know, and nothing else. docs/cost.md has what the agent costs with it.

mod bits;
mod codec;
mod limits;
mod row_test;
mod rows;

use crate::model::{
    Check, ClosedSocket, Coverage, HookCoverage, Limits, LiveSocket, Owner, ProgramHealth, Proto, RefusalKind, RowTest,
    RowsWanted, SocketEvent, SocketRow,
};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The version of the language. Another one is refused.
pub const VERSION: u8 = 5;
/// Longest body of a request, in bytes.
pub const MAX_REQUEST: usize = 4 << 10;
/// Most cgroups asked for at a time.
pub const CGROUPS: usize = 128;
/// Longest body of an answer, in bytes.
pub const MAX_ANSWER: usize = 1 << 20;

/// Why bytes are no frame.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum QueryError {
    /// A body longer than the limit.
    #[error("a frame of {0} bytes is longer than allowed")]
    Length(usize),
    /// Another version of the language.
    #[error(
        "the other side uses version {0} of the query protocol, this program version {VERSION}: use the same release for agent and client"
    )]
    Version(u8),
    /// A body that ends too early, or holds what no side writes.
    #[error("a frame that cannot be understood")]
    Garbage,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Which processes hold which sockets at this moment. Refused where the agent may not look into every process.
    Holders {
        /// Only of the sockets with these inodes; where none is named, of all. An older agent does not look at it.
        of: Vec<u64>,
    },
    /// The kernel's own tables at this moment, queues and timers included.
    Rows {
        /// Which rows. An older agent does not look at their condition.
        wanted: RowsWanted,
        /// Whether the owners are wanted that events recorded for rows nobody holds.
        recorded: bool,
        /// Whether [`Answer::Links`] with the holders of these rows are to follow them. An agent that may not look into every process sends none,
        /// and neither does an older one.
        holders: bool,
    },
    /// The live table, and what ended recently.
    Table {
        /// Whether live sockets are wanted.
        live: bool,
        /// Also the sockets that ended within this time, in nanoseconds; 0: none.
        recent_ns: u64,
        /// Inode of the network namespace, `None` for all.
        netns: Option<u32>,
        /// How long ago the live table may have been compared with the kernel's lists, in nanoseconds; where that was before, or events were lost
        /// since, it is compared first.
        age_ns: u64,
        /// What more is known of the sockets that ended and are wanted. An older agent does not look at it.
        only: Option<RowTest>,
    },
    /// What happens from now on; limited by kinds, protocols, states that are entered, and one network namespace.
    Events(Limits),
    /// The sockets that live, and what happens to them from then on: [`Answer::Live`] for each, [`Answer::LiveEnd`], and then as for
    /// [`Request::Events`], with [`Answer::Live`] and [`Answer::Gone`] where the kernel's lists, and no event, have changed the table since. To
    /// an older agent it is a request for events: its first [`Answer::End`] comes without an [`Answer::LiveEnd`].
    Follow {
        /// Limits of the events; those of protocols and of one network namespace are limits of the sockets, too.
        wanted: Limits,
        /// As in [`Request::Table`].
        age_ns: u64,
    },
    /// How the agent is.
    Status,
    /// How the agent is, and what hinders it.
    Health,
    /// The paths of cgroups by their ids, also of those that were removed since the agent saw them. At most [`CGROUPS`].
    Cgroups(Vec<u64>),
}

impl Request {
    /// Whether an agent takes it: it is not too long, and asks for no more conditions than one looks at.
    pub fn fits(&self) -> bool {
        let mut out = BytesMut::new();
        self.encode(&mut out);
        next_frame(&mut out, MAX_REQUEST).is_ok_and(|body| body.is_some_and(|body| Self::decode(body).is_ok()))
    }

    /// The request, without its conditions if an agent would not take it with them: there is more in the answer then.
    #[must_use]
    pub fn fitting(mut self) -> Self {
        if !self.fits() {
            match &mut self {
                Self::Rows { wanted: RowsWanted { only, .. }, .. } | Self::Table { only, .. } => *only = None,
                Self::Holders { of } => of.clear(),
                Self::Events(_) | Self::Follow { .. } | Self::Status | Self::Health | Self::Cgroups(_) => {}
            }
        }
        self
    }

    /// The network namespace that it is about alone.
    pub fn netns(&self) -> Option<u32> {
        match self {
            Self::Rows { wanted: RowsWanted { netns, .. }, .. } | Self::Table { netns, .. } => *netns,
            Self::Events(wanted) | Self::Follow { wanted, .. } => wanted.only_netns(),
            Self::Holders { .. } | Self::Status | Self::Health | Self::Cgroups(_) => None,
        }
    }
}

/// Where an agent's numbers are true: process numbers are those of its PID namespace, user numbers those of its user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Inode of the PID namespace.
    pub pidns: u64,
    /// Inode of the user namespace.
    pub userns: u64,
}

/// One holder of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Inode of the socket.
    pub inode: u64,
    /// Thread-group id, in the agent's PID namespace.
    pub pid: u32,
}

/// How the agent is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Its process id.
    pub pid: u32,
    /// Nanoseconds since the epoch when it began to trace.
    pub since_ns: u64,
    /// Live sockets known.
    pub live: u64,
    /// Closed sockets kept.
    pub recent: u64,
    /// Events folded.
    pub events: u64,
    /// Events lost since it began.
    pub lost: u64,
    /// Sockets the kernel programs could not remember.
    pub forgotten: u64,
    /// Times the table was set right from the kernel's lists.
    pub resyncs: u64,
    /// Sockets those had to add, remove or change, the first one left out.
    pub corrected: u64,
    /// Clients connected.
    pub clients: u64,
    /// Readers of events dropped because they were too slow.
    pub dropped_readers: u64,
    /// Size of the ring buffer, in bytes.
    pub buffer: u64,
    /// Most bytes of records found in the ring buffer at a time.
    pub peak_fill: u64,
    /// What the history of closed sockets lacks.
    pub past: Past,
    /// User the agent runs as.
    pub uid: u32,
    /// Whether whoever may ask is shown everything, and not only what they could see themselves.
    pub shares_all: bool,
    /// Whose closed sockets found no room.
    pub crowd: Option<Crowd>,
    /// How long closed sockets are kept (`--recent`), in nanoseconds; 0 where an earlier release does not say.
    pub keeps_ns: u64,
}

impl Status {
    /// Whether the ring buffer was ever more than half full, as it is found to be where it had no room: what is known of its fill is a lower bound.
    pub const fn is_buffer_short(&self) -> bool {
        self.peak_fill > self.buffer / 2
    }
}

/// How far back the history of closed sockets reaches. Times are in nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Since when every socket that closed is kept, but for those that a loss has hidden.
    pub since_ns: u64,
    /// Whether that is because there were more than are kept (`--recent-count`), and not because the agent began then, or keeps none longer.
    pub crowded: bool,
    /// How many are kept at most.
    pub most: u64,
    /// When events were last lost, if any were. Sockets that opened and closed then are not known.
    pub lost_ns: Option<u64>,
    /// How many events have been lost in all.
    pub lost: u64,
}

/// The user whose closed sockets found no room recently: only of theirs the history reaches back no further than [`Past::since_ns`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// The user.
    pub uid: u32,
    /// Since when every socket of all other users that closed is kept.
    pub others_ns: u64,
}

/// What the agent answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The request is served from here on.
    Begin(Place),
    /// The tables that follow are of this network namespace.
    Namespace {
        /// Its inode number.
        netns: u32,
        /// Its name in /run/netns, if it has one.
        name: Option<Vec<u8>>,
    },
    /// Rows of one protocol, in the kernel's order; more may follow. Their `netns` is not set.
    Rows {
        /// The protocol.
        proto: Proto,
        /// The rows.
        rows: Vec<SocketRow>,
        /// Owners that events recorded for rows nobody holds, by place in `rows`.
        recorded: Vec<(u32, Owner)>,
    },
    /// All rows of the protocol have been sent.
    TableEnd {
        /// The protocol.
        proto: Proto,
        /// Lines of the kernel's table that are no rows.
        bogus: u64,
    },
    /// The protocol's table could not be read.
    NoTable {
        /// The protocol.
        proto: Proto,
        /// The kernel's error number, 0 where it was none of the kernel's.
        errno: u32,
    },
    /// Some of the holders, in the order of /proc; of rows, behind all their tables.
    Links(Vec<Link>),
    /// A live socket; behind [`Answer::LiveEnd`], one that the kernel's lists have shown, or shown so.
    Live(LiveSocket),
    /// All sockets that lived at this moment have been sent.
    LiveEnd {
        /// Nanoseconds since the epoch.
        time_ns: u64,
    },
    /// The kernel's lists have shown that this socket does not live any more, or not as it was sent: then [`Answer::Live`] follows.
    Gone(LiveSocket),
    /// The reader is shown other network namespaces from now on. What lives in them, only another request answers.
    Stale,
    /// A socket that ended.
    Closed(ClosedSocket),
    /// How far back the sockets that ended reach.
    Since(Past, Option<Crowd>),
    /// Something happened.
    Event(SocketEvent),
    /// The kernel had no room for so many records.
    Lost {
        /// Nanoseconds since the epoch.
        time_ns: u64,
        /// How many.
        count: u64,
    },
    /// This reader was too slow: so many events are missing from here on, and the connection ends.
    Dropped(u64),
    /// How the agent is.
    Status(Status),
    /// What is traced and what is not.
    Coverage(CoverageRows),
    /// What hinders tracing, and how the programs fare.
    Health(Health),
    /// Ids and paths of cgroups, as far as they are known.
    Cgroups(Vec<(u64, Vec<u8>)>),
    /// The answer is complete.
    End,
    /// The request is not served, and why.
    Refused(Denial),
    /// A kind of answer that this release does not know, by its tag.
    Unknown(u8),
}

/// Why a request is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// In words for the user.
    pub reason: String,
    /// Whether it is the network namespace that is not shown to this user: other requests may be served.
    pub hides_namespace: bool,
    /// Whether no place is left, for all or for this user.
    pub is_full: bool,
    /// Whether this user may ask nothing at all.
    pub turns_away: bool,
    /// Whether there is no room for it now: the same request may be served later.
    pub is_busy: bool,
}

impl Denial {
    /// A request that is not served for this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), hides_namespace: false, is_full: false, turns_away: false, is_busy: false }
    }
}

/// What the tracer sees, in words of its own lifetime.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoverageRows {
    /// One row per hook.
    pub hooks: Vec<HookRow>,
    /// The cgroup namespace, by inode number, whose processes alone the hooks of cgroups see.
    pub cgroup_namespace: Option<u32>,
}

/// What tracing depends on, where the agent runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// What was looked at.
    pub checks: Vec<Check>,
    /// The programs in the kernel.
    pub programs: Vec<ProgramHealth>,
}

/// One hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookRow {
    /// Name of the hook.
    pub hook: String,
    /// What is missing without it.
    pub without: String,
    /// The variant attached.
    pub variant: Option<String>,
    /// Variants refused, with causes.
    pub refused: Vec<(String, String)>,
    /// What mends the refusals; empty where that is not known.
    pub mend: String,
    /// Those of the refused variants that failed although the kernel supports them.
    pub failed: Vec<String>,
    /// Those that the kernel denies; none from an agent of an earlier release.
    pub denied: Vec<String>,
}

impl From<&Coverage> for CoverageRows {
    fn from(coverage: &Coverage) -> Self {
        let refused_as = |hook: &HookCoverage, kind| {
            hook.refused.iter().filter(|refused| refused.kind == kind).map(|refused| refused.variant.into()).collect()
        };
        let row = |hook: &HookCoverage| HookRow {
            hook: hook.hook.into(),
            without: hook.without.into(),
            variant: hook.variant.map(Into::into),
            refused: hook.refused.iter().map(|refused| (refused.variant.into(), refused.cause.clone())).collect(),
            mend: hook.mend.unwrap_or_default().into(),
            failed: refused_as(hook, RefusalKind::Failed),
            denied: refused_as(hook, RefusalKind::Denied),
        };
        Self { hooks: coverage.hooks.iter().map(row).collect(), cgroup_namespace: coverage.cgroup_namespace }
    }
}

/// Most rows in one frame, so that the longest fit [`MAX_ANSWER`] with an owner each.
pub const ROWS: usize = 4096;
const _: () = assert!(ROWS * (rows::LONGEST + 32) < MAX_ANSWER);

/// Takes the next whole body out of what has arrived; `None` while it is not whole.
///
/// # Errors
/// [`QueryError::Length`]: the rest of the stream means nothing then.
pub fn next_frame(arrived: &mut BytesMut, max: usize) -> Result<Option<Bytes>, QueryError> {
    let Some(head) = arrived.first_chunk::<4>() else { return Ok(None) };
    let len = u32::from_le_bytes(*head) as usize;
    if len > max {
        return Err(QueryError::Length(len));
    }
    if arrived.len() < 4 + len {
        return Ok(None);
    }
    arrived.advance(4);
    Ok(Some(arrived.split_to(len).freeze()))
}

/// Writes a frame whose body `write` appends.
fn frame(out: &mut BytesMut, tag: u8, write: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32_le(0);
    out.put_u8(VERSION);
    out.put_u8(tag);
    write(out);
    let len = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
}

#[cfg(test)]
mod tests;
