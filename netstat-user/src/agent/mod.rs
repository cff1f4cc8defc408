//! The agent: holds the live table, answers queries, feeds events to several readers.
//!
//! One task owns the source of events and the table, and does nothing that blocks or takes long: the kernel's lists are read on a thread of
//! their own, and folded in part by part, with events in between. Clients are served on two other threads, one for root and the agent's own
//! user, one for everybody else: who asks much slows down their like. A client asks the task through a channel; events go the other way over
//! [`feed::Desk`]s. Times of events and of the table are those of the kernel's monotonic clock, whatever becomes of the wall clock; what is sent
//! is in wall-clock time.

mod client;
mod door;
mod feed;
mod sight;
mod workers;

pub use door::Admission;
pub use sight::{Own, Peer};

use crate::model::{Check, ClosedSocket, LiveSocket, NamespaceTables, RowsWanted, SocketEvent};
use crate::owner::Owners;
use crate::query::{Answer, CoverageRows, Health, Link, Past, Place, Status};
use crate::sys;
use crate::table::{Limits, Listing, Table};
use bytes::{Bytes, BytesMut};
use client::{Counter, House};
use door::Places;
use feed::{Budget, Desk, Feed, Wish};
use sight::Sight;
use std::collections::HashSet;
use std::future::Future;
use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};
use workers::Workers;

/// How long a record may lie in the ring before it is looked for, without and with readers of events.
const TICK: Duration = Duration::from_millis(20);
const TICK_READ: Duration = Duration::from_millis(5);
/// Pause after a listing that was asked for by a loss, or by a user, so that a flood cannot keep the agent at reading lists.
const RESYNC_PAUSE: Duration = Duration::from_millis(500);
/// How long clients may take for the last of their answers.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often it is looked whether the kernel left out runs of the programs: what those would have recorded, only a listing shows.
const LOOK_FOR_MISSED: Duration = Duration::from_secs(10);
/// Bytes of an answer handed to the client at a time.
const CHUNK: usize = 256 << 10;
/// Rows of a listing that are folded in before events get their turn.
const ROWS_A_TURN: usize = 4096;
/// How long the number of live sockets is believed.
const TRUST: Duration = Duration::from_millis(100);
/// Events that may wait for the thread of root's clients, and for that of all others: some 200 bytes each.
const STAFF_EVENTS: usize = 1 << 20;
const GUEST_EVENTS: usize = 1 << 18;
/// Threads for what blocks, of either.
const STAFF_WORKERS: usize = 2;
const GUEST_WORKERS: usize = 1;

/// Where events come from. Their times are those of the kernel's monotonic clock.
pub trait Source {
    /// Appends what has been recorded, up to a batch; false when nothing was left.
    ///
    /// # Errors
    /// The kernel's.
    fn take(&mut self, events: &mut Vec<SocketEvent>) -> io::Result<bool>;

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

    /// How the kernel programs fare, and what is to be said of them.
    fn health(&self) -> Health;

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
    fn list(&self) -> Lookup;

    /// Which processes hold which sockets, in the order of /proc.
    ///
    /// # Errors
    /// Not every process can be looked into: `PermissionDenied`, or for want of descriptors.
    fn holders(&self) -> io::Result<Vec<Link>>;

    /// What tracing depends on here, as it was when the programs were loaded, and what this process still holds.
    fn checks(&self) -> Vec<Check>;

    /// The kernel's tables as they are. `None` where the one namespace cannot be found.
    fn tables(&self, wanted: &RowsWanted, spaces: &Spaces<'_>) -> Option<Vec<NamespaceTables>>;

    /// The paths of these cgroups, as far as they are known, also of those that were removed since an owner in them was recorded.
    fn cgroups(&self, ids: &[u64]) -> Vec<(u64, Vec<u8>)>;

    /// What a peer could see by itself.
    fn own(&self, peer: &Peer) -> Arc<Own>;
}

/// What a look at the kernel's lists found.
#[derive(Debug, Default)]
pub struct Lookup {
    /// The rows.
    pub listing: Listing,
    /// Who holds sockets, and what listens: evidence for the owners of later events.
    pub owners: Owners,
}

/// How the agent is set up.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How much of the past is kept.
    pub limits: Limits,
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

/// What is true at one moment, times in nanoseconds since the Unix epoch.
struct Snapshot {
    live: Vec<LiveSocket>,
    closed: Vec<ClosedSocket>,
    past: Past,
}

/// A question of a client's task to the one that owns the table.
enum Ask {
    Table {
        live: bool,
        recent_ns: u64,
        netns: Option<u32>,
        sight: Sight,
        /// The listing for this one waits for no pause.
        hurry: bool,
        answer: oneshot::Sender<Snapshot>,
    },
    Events {
        wish: Wish,
        budget: Arc<Budget>,
        desk: Arc<Desk>,
        answer: oneshot::Sender<Arc<Feed>>,
    },
    Status {
        answer: oneshot::Sender<Bytes>,
    },
    Health {
        answer: oneshot::Sender<Health>,
    },
    /// Whom events recorded as the owners of rows that nobody holds; of this user's sockets only, where one is given.
    Recorded {
        spaces: Vec<NamespaceTables>,
        uid: Option<u32>,
        answer: oneshot::Sender<Vec<NamespaceTables>>,
    },
    /// A reader of events wants those that have been recorded, and no more.
    Finish {
        feed: Arc<Feed>,
        desk: Arc<Desk>,
    },
    /// A reader of events has been dropped.
    ReaderDropped,
}

struct Agent<S, L> {
    source: S,
    lists: Arc<L>,
    lister: Workers,
    settings: Settings,
    table: Table,
    owners: Owners,
    status: Status,
    places: Arc<Places>,
    desks: [Arc<Desk>; 2],
    batch: Vec<SocketEvent>,
    lost: u64,
    /// When events were last lost.
    lost_ns: Option<u64>,
    /// How many live sockets there were, and when that was counted.
    counted: Option<(Instant, u64)>,
    /// Questions that wait for the table to be set right.
    waiting: Vec<Ask>,
    /// A listing is wanted after the one under way.
    again: bool,
    /// A reload was asked for; with the listing of that, once it has begun.
    reload: Option<bool>,
}

/// The kernel's words without the number.
fn words(error: &io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// A thread with a runtime of its own, and its desk and workers. It ends with the sender that is returned.
fn counter(
    name: &str,
    events: usize,
    workers: usize,
    begin: fn(),
    confine: fn(),
) -> io::Result<(Counter, oneshot::Sender<()>)> {
    let workers = Workers::new(name, workers, begin)?;
    let desk = Arc::new(Desk::new(events));
    let runtime = sys::runtime()?;
    let thread = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel();
    let serve = Arc::clone(&desk);
    std::thread::Builder::new().name(name.into()).spawn(move || {
        begin();
        confine();
        runtime.block_on(async {
            tokio::select! {
                () = serve.serve() => {}
                // The sender is dropped, not used.
                _ = stopped => {}
            }
        });
        runtime.shutdown_background();
    })?;
    Ok((Counter { thread, desk, workers }, stop))
}

/// Serves until it is to stop.
///
/// `notice` is called once the table is seeded, and around reloads; `signals` ends or brings [`Signal`]s.
///
/// # Errors
/// The source's, the listener's, or no room for the threads that serve.
pub async fn run<S: Source, L: Lists>(
    listener: UnixListener,
    mut signals: mpsc::Receiver<Signal>,
    mut source: S,
    lists: L,
    settings: Settings,
    mut notice: impl FnMut(Notice),
) -> io::Result<Status> {
    let (asks, mut asked) = mpsc::channel(64);
    let (looked, mut lookups) = mpsc::channel(1);
    let (staff, _staff) = counter("staff", STAFF_EVENTS, STAFF_WORKERS, || (), settings.confine)?;
    let (guests, _guests) = counter("guests", GUEST_EVENTS, GUEST_WORKERS, sys::step_back, settings.confine)?;
    let status = Status {
        pid: std::process::id(),
        since_ns: source.now_ns(),
        uid: settings.admission.uid,
        shares_all: settings.admission.shares_all,
        ..Status::default()
    };
    let lost = source.lost()?;
    let mut agent = Agent {
        source,
        lists: Arc::new(lists),
        lister: Workers::new("lists", 1, || ())?,
        settings,
        table: Table::new(settings.limits),
        owners: Owners::default(),
        status,
        places: Places::new(settings.clients),
        desks: [Arc::clone(&staff.desk), Arc::clone(&guests.desk)],
        batch: Vec::new(),
        lost,
        lost_ns: None,
        counted: None,
        waiting: Vec::new(),
        again: false,
        reload: None,
    };
    let thread = staff.thread.clone();
    let (places, lists) = (Arc::clone(&agent.places), Arc::clone(&agent.lists));
    let house = House::new(settings.admission, places, (staff, guests), settings.place, asks, lists);
    let door = thread.spawn(async move {
        let listener = tokio::net::UnixListener::from_std(listener)?;
        loop {
            // Out of descriptors, or a client that has gone already: neither is the end of the agent.
            match listener.accept().await {
                Ok((stream, _)) => house.welcome(stream),
                Err(_) => tokio::time::sleep(TICK).await,
            }
        }
        #[allow(unreachable_code, reason = "says what the task's result is")]
        io::Result::Ok(())
    });
    let far = Instant::now() + Duration::from_secs(86_400 * 365);
    let poll_after = |poll: Duration| Instant::now().checked_add(poll).map_or(far, |at| at.min(far));
    let (mut seeded, mut looking) = (false, true);
    agent.look(&looked)?;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut missed, mut look_at) = (agent.source.missed(), Instant::now() + LOOK_FOR_MISSED);
    let (mut read_by, mut poll_at) = (false, poll_after(settings.poll));
    let mut not_before = Instant::now();
    loop {
        let due = not_before.min(poll_at);
        let want = agent.again || !agent.waiting.is_empty();
        tokio::select! {
            signal = signals.recv() => match signal {
                Some(Signal::Resync) => {
                    agent.again = true;
                    agent.reload = Some(false);
                    notice(Notice::Reloading);
                }
                Some(Signal::Stop) | None => break,
            },
            () = agent.source.ready() => agent.drain(false)?,
            _ = tick.tick() => agent.drain(false)?,
            found = lookups.recv() => if let Some(found) = found {
                agent.found(found)?;
                looking = false;
                poll_at = poll_after(settings.poll);
                if !std::mem::replace(&mut seeded, true) || agent.reload == Some(true) {
                    agent.reload = agent.reload.filter(|begun| !begun);
                    notice(Notice::Ready);
                }
            },
            ask = asked.recv() => if let Some(ask) = ask { agent.ask(ask)? },
            () = tokio::time::sleep_until(due), if want || poll_at == due => {}
        }
        if door.is_finished() {
            return Err(io::Error::other("nobody can be let in any more"));
        }
        if Instant::now() >= look_at {
            look_at = Instant::now() + LOOK_FOR_MISSED;
            let before = std::mem::replace(&mut missed, agent.source.missed());
            agent.again |= missed > before;
        }
        let in_a_hurry = agent.waiting.iter().any(|ask| matches!(ask, Ask::Table { hurry: true, .. }));
        let wanted = agent.again || !agent.waiting.is_empty();
        if !looking && (in_a_hurry || wanted && Instant::now() >= not_before || Instant::now() >= poll_at) {
            agent.again = false;
            looking = true;
            not_before = Instant::now() + RESYNC_PAUSE;
            agent.reload = agent.reload.map(|_| true);
            agent.look(&looked)?;
        }
        if read_by == agent.desks.iter().all(|desk| desk.is_idle()) {
            read_by = !read_by;
            tick = tokio::time::interval(if read_by { TICK_READ } else { TICK });
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
    }
    door.abort();
    agent.drain(true)?;
    agent.desks.iter().for_each(|desk| desk.end_all());
    let status = agent.status();
    // Who waits for the table has no answer to come; who is being answered, or gets the end of the events, takes it.
    drop(asked);
    agent.waiting.clear();
    let until = Instant::now() + FAREWELL;
    while agent.places.taken() > 0 && Instant::now() < until {
        tokio::time::sleep(TICK_READ).await;
    }
    Ok(status)
}

impl<S: Source, L: Lists> Agent<S, L> {
    /// Begins to read the kernel's lists. All events recorded before are folded first.
    fn look(&mut self, looked: &mpsc::Sender<(Lookup, Vec<Ask>)>) -> io::Result<()> {
        self.drain(true)?;
        self.table.begin_listing();
        let (lists, looked) = (Arc::clone(&self.lists), looked.clone());
        let asks = std::mem::take(&mut self.waiting);
        self.lister.hand(move || {
            let found = lists.list();
            // The agent may have ended meanwhile.
            let _ = looked.blocking_send((found, asks));
        });
        Ok(())
    }

    /// Folds in a listing, with all events recorded until it ended before it, and answers those who waited for it.
    fn found(&mut self, (Lookup { listing, owners }, asks): (Lookup, Vec<Ask>)) -> io::Result<()> {
        let lost = self.lost;
        self.drain(true)?;
        self.owners.renew(owners);
        for rows in listing.rows.chunks(ROWS_A_TURN) {
            self.table.list(rows, self.source.now_ns());
            self.drain(false)?;
        }
        let correction = self.table.end_listing(&listing, self.source.now_ns());
        // The seed corrects nothing.
        if self.status.resyncs > 0 {
            self.status.corrected += correction.added + correction.removed + correction.changed;
        }
        self.status.resyncs += 1;
        self.again |= self.lost > lost;
        for ask in asks {
            self.answer(ask);
        }
        // Large lists are not freed here, and what they took is given back.
        let much = listing.rows.len() > 16 * ROWS_A_TURN;
        self.lister.hand(move || {
            drop(listing);
            if much {
                sys::give_back_memory();
            }
        });
        Ok(())
    }

    /// Folds what has been recorded; `all` of it, or what a busy kernel lets us have at a time.
    fn drain(&mut self, all: bool) -> io::Result<()> {
        let until = Instant::now() + if all { Duration::from_secs(2) } else { TICK };
        loop {
            let more = self.source.take(&mut self.batch)?;
            self.status.events += self.batch.len() as u64;
            for event in &mut self.batch {
                self.owners.resolve(event);
                self.table.event(event);
            }
            self.publish();
            if !more || Instant::now() > until {
                break;
            }
        }
        let lost = self.source.lost()?;
        if lost > self.lost {
            let (now_ns, count) = (self.source.now_ns(), lost - self.lost);
            self.status.lost += count;
            (self.lost, self.lost_ns) = (lost, Some(now_ns));
            self.again = true;
            let time_ns = now_ns + self.source.epoch_ns();
            self.desks.iter().for_each(|desk| desk.lost(time_ns, count));
        }
        Ok(())
    }

    /// Hands the batch to whoever reads.
    fn publish(&mut self) {
        if self.batch.is_empty() || self.desks.iter().all(|desk| desk.is_idle()) {
            self.batch.clear();
            return;
        }
        let epoch_ns = self.source.epoch_ns();
        let room = self.batch.len();
        let mut batch = std::mem::replace(&mut self.batch, Vec::with_capacity(room));
        batch.iter_mut().for_each(|event| event.time_ns += epoch_ns);
        let batch = Arc::new(batch);
        self.desks.iter().filter(|desk| !desk.is_idle()).for_each(|desk| desk.publish(&batch));
    }

    fn ask(&mut self, ask: Ask) -> io::Result<()> {
        match ask {
            Ask::Table { live: true, .. } => self.waiting.push(ask),
            Ask::ReaderDropped => self.status.dropped_readers += 1,
            Ask::Finish { feed, desk } => {
                self.drain(true)?;
                desk.end(feed);
            }
            Ask::Table { .. } | Ask::Recorded { .. } => {
                // What the kernel has recorded until now is part of the answer.
                self.drain(true)?;
                self.answer(ask);
            }
            other => self.answer(other),
        }
        Ok(())
    }

    /// Answers; whoever asked may have gone.
    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Table { live, recent_ns, netns, sight, answer, .. } => {
                drop(answer.send(self.snapshot(live, recent_ns, netns, &sight)));
            }
            Ask::Events { wish, budget, desk, answer } => {
                let feed = desk.join(wish, budget);
                if let Err(feed) = answer.send(feed) {
                    feed.leave();
                }
            }
            Ask::Status { answer } => {
                let mut out = BytesMut::new();
                Answer::Status(self.status()).encode(&mut out);
                Answer::Coverage(self.source.coverage()).encode(&mut out);
                Answer::End.encode(&mut out);
                drop(answer.send(out.freeze()));
            }
            Ask::Recorded { mut spaces, uid, answer } => {
                for space in &mut spaces {
                    let Some(netns) = space.netns else { continue };
                    for table in space.tables.iter_mut().filter_map(|(_, table)| table.as_mut().ok()) {
                        table.recorded = self.table.recorded(netns, &table.rows, uid);
                    }
                }
                drop(answer.send(spaces));
            }
            Ask::Health { answer } => drop(answer.send(self.source.health())),
            Ask::Finish { .. } | Ask::ReaderDropped => {}
        }
    }

    /// What is true now.
    fn snapshot(&mut self, live: bool, recent_ns: u64, netns: Option<u32>, sight: &Sight) -> Snapshot {
        let (now_ns, epoch_ns) = (self.source.now_ns(), self.source.epoch_ns());
        self.table.expire(now_ns);
        let wanted = |socket: &LiveSocket| netns.is_none_or(|netns| socket.netns == Some(netns));
        let dated = |socket: LiveSocket| LiveSocket {
            since_ns: socket.since_ns.map(|ns| ns + epoch_ns),
            seen_ns: socket.seen_ns + epoch_ns,
            state_ns: socket.state_ns + epoch_ns,
            ..socket
        };
        let mut snapshot = Snapshot { live: Vec::new(), closed: Vec::new(), past: self.past() };
        if live {
            let listed = self.table.live().filter(|socket| socket.is_listed() && wanted(socket));
            snapshot.live.extend(listed.filter_map(|socket| sight.live(socket)).map(dated));
        }
        if recent_ns > 0 {
            let recent = self.table.recent(now_ns, recent_ns).filter(|closed| wanted(&closed.socket));
            snapshot.closed.extend(recent.filter_map(|closed| sight.closed(closed)).map(|closed| ClosedSocket {
                socket: dated(closed.socket),
                closed_ns: closed.closed_ns + epoch_ns,
                ..closed
            }));
        }
        snapshot
    }

    /// How far back the closed sockets reach.
    fn past(&self) -> Past {
        let epoch_ns = self.source.epoch_ns();
        let forgotten_ns = self.table.forgotten_ns();
        Past {
            since_ns: forgotten_ns.max(self.status.since_ns) + epoch_ns,
            crowded: forgotten_ns > self.status.since_ns && self.table.is_crowded(),
            most: self.settings.limits.recent_count as u64,
            lost_ns: self.lost_ns.map(|ns| ns + epoch_ns),
            lost: self.status.lost,
        }
    }

    fn status(&mut self) -> Status {
        let Status { forgotten, buffer, peak_fill, .. } = self.source.status();
        let counted = self.counted.filter(|(at, _)| self.table.len() > ROWS_A_TURN && at.elapsed() < TRUST);
        let (_, live) =
            *self.counted.insert(counted.unwrap_or_else(|| {
                (Instant::now(), self.table.live().filter(|socket| socket.is_listed()).count() as u64)
            }));
        Status {
            live,
            recent: self.table.recent_len() as u64,
            clients: self.places.taken() as u64,
            forgotten,
            buffer,
            peak_fill,
            past: self.past(),
            since_ns: self.status.since_ns + self.source.epoch_ns(),
            ..self.status.clone()
        }
    }
}

#[cfg(test)]
mod tests;
