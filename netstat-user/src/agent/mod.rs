//! The agent: holds the live table, answers queries, feeds events to several readers.
//!
//! One task, the [`keeper`], owns the source of events and the table, and does nothing that blocks or takes long: the kernel's lists are read on a
//! thread of their own, and folded in part by part, with events in between. Clients are served at two counters, each a thread with its workers: one
//! for root and the agent's own user (the staff), one for everybody else (the guests). So guests slow down only other guests. A client asks the task
//! through a channel; events go the other way over [`desk::Desk`]s. Times of events and of the table are those of the kernel's monotonic clock, which
//! nobody sets; what is sent is in wall-clock time.
//!
//! | room | what it does |
//! |---|---|
//! | `house`, `welcome`, `turned_away` | where clients are served, how they are let in, and that they could not be |
//! | `door`, `sight` | who is let in, and what they are shown |
//! | `guarded`, `look_up_waits` | which processes are not shown to the users of their sockets, and how long it is waited until that is known |
//! | `stream_view`, `stay` | what a reader of events is shown while it reads; when it was shown which network namespace |
//! | `client` | one connection: who it is, and its request |
//! | `tables`, `live_table`, `stream`, `health` | answers: the kernel's tables; the agent's own; a stream of events; how the kernel programs fare |
//! | `peer_read` | reads for a peer, limited to what it may see |
//! | `desk`, `batch`, `feed`, `budget` | where events wait for the readers of a thread; what of them one reader gets; what it has not read yet, and how much that may be |
//! | `keeper`, `pace`, `fold` | the task; when it has the kernel's lists read; what it knows |
//! | `workers`, `turn_queue` | threads for what blocks; where that waits |
//! | `answer_memory`, `thrift` | memory for answers; memory that is given back to the kernel |

mod answer_memory;
mod batch;
mod budget;
mod client;
mod desk;
mod door;
mod feed;
mod fold;
mod guarded;
mod health;
mod house;
mod keeper;
mod live_table;
mod look_up_waits;
mod pace;
mod peer_read;
mod sight;
mod stay;
mod stream;
mod stream_view;
mod tables;
mod thrift;
mod turn_queue;
mod turned_away;
mod welcome;
mod workers;

pub use door::Admission;
pub use guarded::{Guarded, SocketProcess};
pub use sight::{KnownNamespace, Own, Peer};
pub use stay::Presence;
pub use turn_queue::{TurnLimits, TurnQueue};

use crate::model::{Check, ClosedSocket, LiveSocket, NamespaceTables, RowsWanted, SocketEvent, Subordinates};
use crate::owner::Owners;
use crate::query::{CoverageRows, Crowd, Health, Link, Past, Place, Status};
use crate::sys::Awaited;
use crate::table::{Listing, Retention};
use door::Places;
use feed::Feed;
use house::{Counter, House};
use keeper::Keeper;
use std::collections::HashSet;
use std::future::Future;
use std::io;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use thrift::Thrift;
use tokio::sync::mpsc;
use turned_away::TurnedAway;

/// How long a record may lie in the ring before it is looked for, without and with readers of events.
const TICK: Duration = Duration::from_millis(20);
const TICK_READ: Duration = Duration::from_millis(5);
/// How long what somebody could see, or how the kernel programs fared, is believed.
pub const TRUST: Duration = Duration::from_secs(1);
/// Bytes of an answer handed to the client at a time.
const CHUNK: usize = 256 << 10;
/// Rows of a listing that are folded in before events get their turn.
const ROWS_A_TURN: usize = 4096;

/// Where events come from. Their times are those of the kernel's monotonic clock.
pub trait Source {
    /// Appends what has been recorded, up to a batch; false when nothing was left.
    ///
    /// # Errors
    /// The kernel's.
    fn take(&mut self, events: &mut Vec<SocketEvent>) -> io::Result<bool>;

    /// Looks up what will be asked of the processes of events, whose owners are all found by then. It waits for nothing.
    fn note(&mut self, events: &[SocketEvent]);

    /// Waits until much is pending; may wait for ever.
    fn ready(&self) -> impl Future<Output = ()>;

    /// Records lost since the beginning.
    ///
    /// # Errors
    /// The kernel's.
    fn lost(&mut self) -> io::Result<u64>;

    /// What the source says of itself: `forgotten`, `buffer` and `peak_fill` are taken.
    fn status(&self) -> Status;

    /// What is traced, and what is not.
    fn coverage(&self) -> CoverageRows;

    /// How the kernel programs fare, and what is to be said of them, to be looked at by another thread.
    fn health(&self) -> impl FnOnce() -> Health + Send + 'static;

    /// Runs of the programs that the kernel left out, and that no other program makes up for.
    fn missed(&self) -> u64;

    /// Nanoseconds of the kernel's monotonic clock.
    fn now_ns(&self) -> u64;

    /// What the wall clock is ahead of it, in nanoseconds since the Unix epoch.
    fn epoch_ns(&self) -> u64;
}

/// Of which network namespaces tables are wanted.
#[derive(Clone, Copy, Debug)]
pub enum Spaces<'a> {
    /// Of all.
    All,
    /// Of those with these inode numbers.
    These(&'a HashSet<u32>),
    /// Of one; with the process that asks, which may be the only one in it.
    One(u32, Option<u32>),
}

/// The kernel's lists; read on threads of their own.
pub trait Lists: Send + Sync + 'static {
    /// Everything the kernel lists, in every namespace that can be reached, and who holds it.
    fn list(&self) -> KernelLists;

    /// Which processes hold which sockets, in the order of /proc.
    ///
    /// # Errors
    /// Not every process can be looked into: `PermissionDenied`, or for want of descriptors; there are too many links; or nobody waits for them any
    /// more.
    fn holders(&self, awaited: &Awaited) -> io::Result<Vec<Link>>;

    /// How many links the last look at all holders found.
    fn held(&self) -> usize;

    /// What tracing depends on here, as it was when the programs were loaded, and what this process still holds.
    fn checks(&self) -> Vec<Check>;

    /// The kernel's tables as they are; rows that do not pass the condition may be left out. `None` where the one namespace cannot be found.
    ///
    /// # Errors
    /// Something ran out before it was known which namespaces there are, or nobody waits for them any more.
    fn tables(
        &self,
        wanted: &RowsWanted,
        spaces: &Spaces<'_>,
        awaited: &Awaited,
    ) -> io::Result<Option<Vec<NamespaceTables>>>;

    /// The paths of these cgroups, as far as they are known, also of those that were removed since an owner in them was recorded.
    fn cgroups(&self, ids: &[u64]) -> Vec<(u64, Vec<u8>)>;

    /// Which users hold whose ids: those of a user and all that they hold have one share together.
    fn subordinates(&self) -> Arc<Subordinates>;

    /// When a process began, in nanoseconds of `CLOCK_BOOTTIME`, rounded down to a tick; `None` where it has gone.
    ///
    /// # Errors
    /// Something ran out.
    fn begun(&self, pid: u32) -> io::Result<Option<u64>>;

    /// What a peer could see by itself: as it was at this time or later, or without one a moment ago. A look that takes long is believed for longer.
    ///
    /// # Errors
    /// Something ran out.
    fn own_since(&self, peer: &Peer, since: Option<Instant>) -> io::Result<Arc<Own>>;

    /// Which of the network namespaces are still there.
    ///
    /// # Errors
    /// Something ran out.
    fn present(&self, own: &Own) -> io::Result<Presence>;
}

/// What a look at the kernel's lists found.
#[derive(Debug, Default)]
pub struct KernelLists {
    /// The rows.
    pub listing: Listing,
    /// Who holds sockets, and what listens: evidence for the owners of later events.
    pub owners: Owners,
    /// As [`Lists::subordinates`].
    pub subordinates: Arc<Subordinates>,
}

/// How the agent is set up.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How much of the past is kept.
    pub limits: Retention,
    /// Most clients served at a time.
    pub clients: usize,
    /// How often the table is compared with the kernel's lists although nothing was lost.
    pub poll: Duration,
    /// Where this process's numbers are true.
    pub place: Place,
    /// Who is served, and what they are shown.
    pub admission: Admission,
    /// Called first by the threads that talk to clients and look at nothing themselves: what they do not need is given up.
    pub confine: fn(),
    /// Called with what somebody should know who looks after the agent.
    pub complain: fn(&str),
}

/// What happens besides queries and events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Set the table right from the kernel's lists.
    Resync,
    /// Fold what has been recorded, and end.
    Stop,
}

/// What a service manager is to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The table is seeded, or set right after [`Notice::Reloading`].
    Ready,
    /// The table is being set right, as [`Signal::Resync`] asked.
    Reloading,
}

/// What of the table is wanted.
#[derive(Clone, Copy, Debug)]
struct TableWish {
    /// Live sockets.
    live: bool,
    /// Those among them, too, that the kernel's lists leave out.
    unlisted: bool,
    /// How long ago the comparison with the kernel's lists may have begun, in nanoseconds.
    age_ns: u64,
    /// Sockets that ended within this time, in nanoseconds.
    recent_ns: u64,
    /// Of one network namespace only.
    netns: Option<u32>,
}

/// What is true at one moment, times in nanoseconds since the Unix epoch.
struct Snapshot {
    /// That moment.
    time_ns: u64,
    /// What these times are ahead of the kernel's monotonic clock.
    epoch_ns: u64,
    live: Vec<LiveSocket>,
    closed: Vec<ClosedSocket>,
    past: Past,
    crowd: Option<Crowd>,
    /// What happens from that moment on, where that is wanted.
    feed: Option<Arc<Feed>>,
}

/// Serves until it is to stop.
///
/// Clients come by the last of the `listeners`, which do not block; `notice` is called once the table is seeded, and around reloads; `signals` ends or brings [`Signal`]s.
///
/// # Errors
/// The source's, the listener's, or no room for the threads that serve.
pub async fn run<S: Source, L: Lists>(
    listeners: mpsc::Receiver<UnixListener>,
    signals: mpsc::Receiver<Signal>,
    source: S,
    lists: L,
    settings: Settings,
    notice: impl FnMut(Notice),
) -> io::Result<Status> {
    let (asks, asked) = mpsc::channel(64);
    // The threads end with these.
    let (staff, _staff) = Counter::for_staff(settings.confine)?;
    let (guests, _guests) = Counter::for_guests(settings.confine)?;
    let (lists, places) = (Arc::new(lists), Places::new(settings.clients));
    let desks = [Arc::clone(&staff.desk), Arc::clone(&guests.desk)];
    let thrift = Arc::<Thrift>::default();
    staff.thread.spawn(Arc::clone(&thrift).serve(staff.workers.of(0)));
    let keeper = Keeper::new(source, Arc::clone(&lists), desks, Arc::clone(&places), Arc::clone(&thrift), &settings)?;
    let (admission, place) = (settings.admission, settings.place);
    let (turned_away, health) = (TurnedAway::new(settings.complain), Mutex::default());
    let house = Arc::new(House { admission, places, staff, guests, place, asks, thrift, lists, turned_away, health });
    keeper.run(signals, asked, house.open(listeners), notice).await
}

#[cfg(test)]
mod tests;
