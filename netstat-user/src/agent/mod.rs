//! The agent: holds the live table, answers queries, feeds events to several readers.
//!
//! One task owns the source of events and the table, and does nothing that blocks: the kernel's lists are read on another thread
//! while events are folded as they come. Each client has a task of its own, which asks the first one through a channel.

mod client;
mod feed;

pub use client::Admission;

use crate::model::{Check, Event, LiveSocket, NamespaceTables, ProgramHealth, RowsWanted, SocketEvent};
use crate::owner::Owners;
use crate::query::{Answer, CoverageRows, EventFilter, Link, Place, Status};
use crate::table::{Limits, Listing, Table};
use bytes::{Bytes, BytesMut};
use feed::Feed;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

/// How long a record may lie in the ring before it is looked for, without and with readers of events.
const TICK: Duration = Duration::from_millis(20);
const TICK_READ: Duration = Duration::from_millis(5);
/// Pause after a listing that was asked for by a loss, so that a flood cannot keep the agent at reading lists.
const RESYNC_PAUSE: Duration = Duration::from_millis(500);
/// How long clients may take for the last of their answers.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often it is looked whether the kernel left out runs of the programs: what those would have told, only a listing tells.
const LOOK_FOR_MISSED: Duration = Duration::from_secs(10);
/// Bytes of an answer gathered before they are handed to the client.
const CHUNK: usize = 256 << 10;

/// Where events come from.
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
    fn lost(&self) -> io::Result<u64>;

    /// What the source says of itself: `forgotten`, `buffer` and `peak_fill` are taken.
    fn status(&self) -> Status;

    /// What is traced, and what is not.
    fn coverage(&self) -> CoverageRows;

    /// How the kernel programs fare.
    fn programs(&self) -> Vec<ProgramHealth>;

    /// Runs of the programs that the kernel left out, and that no other program makes up for.
    fn missed(&self) -> u64;

    /// Nanoseconds since the Unix epoch.
    fn now_ns(&self) -> u64;
}

/// The kernel's lists; read on threads of their own.
pub trait Lists: Send + Sync + 'static {
    /// Everything the kernel lists, in every namespace that can be reached, and who holds it.
    fn list(&self) -> Lookup;

    /// Which processes hold which sockets, in the order of /proc; `None` where not every process can be looked into.
    fn holders(&self) -> Option<Vec<Link>>;

    /// What tracing depends on here.
    fn checks(&self) -> Vec<Check>;

    /// The kernel's tables as they are: of a namespace by its inode number, or of all of them. `None` where the namespace cannot be
    /// found; `peer` is the process that asks, which may be the only one in it.
    fn tables(&self, wanted: &RowsWanted, netns: Option<u32>, peer: Option<u32>) -> Option<Vec<NamespaceTables>>;
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
}

/// What happens besides queries and events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Set the table right from the kernel's lists.
    Resync,
    /// Fold what has been recorded, and end.
    Stop,
}

/// A question of a client's task to the one that owns the table.
enum Ask {
    Table {
        live: bool,
        recent_ns: u64,
        netns: Option<u32>,
        answer: mpsc::Sender<Bytes>,
    },
    Events {
        filter: EventFilter,
        feed: oneshot::Sender<Arc<Feed>>,
    },
    Status {
        answer: oneshot::Sender<Bytes>,
    },
    Programs {
        answer: oneshot::Sender<Vec<ProgramHealth>>,
    },
    /// Whom events recorded as the owners of rows that nobody holds.
    Recorded {
        spaces: Vec<NamespaceTables>,
        answer: oneshot::Sender<Vec<NamespaceTables>>,
    },
    /// A reader of events wants those that have been recorded, and no more.
    Finish(Arc<Feed>),
    /// A reader of events has been dropped.
    ReaderDropped,
}

struct Agent<S, L> {
    source: S,
    lists: Arc<L>,
    settings: Settings,
    table: Table,
    owners: Owners,
    status: Status,
    clients: Arc<Semaphore>,
    feeds: Vec<(EventFilter, Arc<Feed>)>,
    batch: Vec<SocketEvent>,
    lost: u64,
    /// Questions that wait for the table to be set right.
    waiting: Vec<Ask>,
    /// A listing is wanted after the one under way.
    again: bool,
}

/// Serves until told to stop.
///
/// `ready` is called once the table is seeded; `signals` ends or brings [`Signal`]s.
///
/// # Errors
/// The source's, or the listener's.
pub async fn run<S: Source, L: Lists>(
    listener: UnixListener,
    admission: Admission,
    mut signals: mpsc::Receiver<Signal>,
    source: S,
    lists: L,
    settings: Settings,
    ready: impl FnOnce(),
) -> io::Result<Status> {
    let (asks, mut asked) = mpsc::channel(64);
    let (looked, mut lookups) = mpsc::channel(1);
    let status = Status { pid: std::process::id(), since_ns: source.now_ns(), ..Status::default() };
    let lost = source.lost()?;
    let mut agent = Agent {
        source,
        lists: Arc::new(lists),
        settings,
        table: Table::new(settings.limits),
        owners: Owners::default(),
        status,
        clients: Arc::new(Semaphore::new(settings.clients)),
        feeds: Vec::new(),
        batch: Vec::new(),
        lost,
        waiting: Vec::new(),
        again: false,
    };
    let mut ready = Some(ready);
    let mut looking = true;
    agent.look(&looked)?;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut missed, mut look_at) = (agent.source.missed(), Instant::now() + LOOK_FOR_MISSED);
    let (mut read_by, mut poll_at) = (false, Instant::now() + settings.poll);
    let mut not_before = Instant::now();
    loop {
        let due = not_before.min(poll_at);
        let want = agent.again || !agent.waiting.is_empty();
        tokio::select! {
            signal = signals.recv() => match signal {
                Some(Signal::Resync) => agent.again = true,
                Some(Signal::Stop) | None => break,
            },
            found = lookups.recv() => if let Some(found) = found {
                agent.found(found)?;
                looking = false;
                poll_at = Instant::now() + settings.poll;
                if let Some(ready) = ready.take() {
                    ready();
                }
            },
            accepted = listener.accept() => {
                // Out of descriptors, or a client that has gone already: neither is the end of the agent.
                if let Ok((stream, _)) = accepted {
                    client::serve(stream, &admission, &agent.clients, settings.place, asks.clone(), Arc::clone(&agent.lists));
                } else {
                    tokio::time::sleep(TICK).await;
                }
            }
            ask = asked.recv() => if let Some(ask) = ask { agent.ask(ask)? },
            () = agent.source.ready() => agent.drain(false)?,
            _ = tick.tick() => agent.drain(false)?,
            () = tokio::time::sleep_until(due), if want || poll_at == due => {}
        }
        if Instant::now() >= look_at {
            look_at = Instant::now() + LOOK_FOR_MISSED;
            let before = std::mem::replace(&mut missed, agent.source.missed());
            agent.again |= missed > before;
        }
        let wanted =
            !agent.waiting.is_empty() || agent.again && Instant::now() >= not_before || Instant::now() >= poll_at;
        if wanted && !looking {
            agent.again = false;
            looking = true;
            not_before = Instant::now() + RESYNC_PAUSE;
            agent.look(&looked)?;
        }
        if read_by == agent.feeds.is_empty() {
            read_by = !read_by;
            tick = tokio::time::interval(if read_by { TICK_READ } else { TICK });
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
    }
    agent.drain(true)?;
    agent.feeds.iter().for_each(|(_, feed)| feed.end());
    let status = agent.status();
    // Who waits for the table has no answer to come; who is being answered, or told the end of the events, takes it.
    drop((asked, listener));
    agent.waiting.clear();
    let all = u32::try_from(settings.clients).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(FAREWELL, agent.clients.acquire_many(all)).await;
    Ok(status)
}

impl<S: Source, L: Lists> Agent<S, L> {
    /// Begins to read the kernel's lists. All events recorded before are folded first.
    fn look(&mut self, looked: &mpsc::Sender<(Lookup, Vec<Ask>)>) -> io::Result<()> {
        self.drain(true)?;
        self.table.begin_listing();
        let (lists, looked) = (Arc::clone(&self.lists), looked.clone());
        let asks = std::mem::take(&mut self.waiting);
        tokio::task::spawn_blocking(move || {
            let found = lists.list();
            // The agent may have ended meanwhile.
            let _ = looked.blocking_send((found, asks));
        });
        Ok(())
    }

    /// Folds in a listing, with all events recorded until it ended before it, and answers those who waited for it.
    fn found(&mut self, (found, asks): (Lookup, Vec<Ask>)) -> io::Result<()> {
        let lost = self.lost;
        self.drain(true)?;
        self.owners.renew(found.owners);
        let correction = self.table.listing(&found.listing, self.source.now_ns());
        // The seed corrects nothing.
        if self.status.resyncs > 0 {
            self.status.corrected += correction.added + correction.removed + correction.changed;
        }
        self.status.resyncs += 1;
        self.again |= self.lost > lost;
        for ask in asks {
            self.answer(ask);
        }
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
            feed::publish(&mut self.feeds, &self.batch);
            self.batch.clear();
            if !more || Instant::now() > until {
                break;
            }
        }
        let lost = self.source.lost()?;
        if lost > self.lost {
            let event = Event::Lost { time_ns: self.source.now_ns(), count: lost - self.lost };
            self.status.lost += lost - self.lost;
            self.lost = lost;
            self.again = true;
            feed::publish_lost(&self.feeds, &event);
        }
        Ok(())
    }

    fn ask(&mut self, ask: Ask) -> io::Result<()> {
        match ask {
            Ask::Table { live: true, .. } => self.waiting.push(ask),
            Ask::ReaderDropped => self.status.dropped_readers += 1,
            Ask::Finish(feed) => {
                self.drain(true)?;
                feed.end();
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

    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Table { live, recent_ns, netns, answer } => {
                let answers = self.rows(live, recent_ns, netns);
                tokio::spawn(async move {
                    for chunk in answers {
                        if answer.send(chunk).await.is_err() {
                            return;
                        }
                    }
                });
            }
            Ask::Events { filter, feed } => {
                let mine = Arc::new(Feed::default());
                if feed.send(Arc::clone(&mine)).is_ok() {
                    self.feeds.push((filter, mine));
                }
            }
            Ask::Status { answer } => {
                let mut out = BytesMut::new();
                Answer::Status(self.status()).encode(&mut out);
                Answer::Coverage(self.source.coverage()).encode(&mut out);
                Answer::End.encode(&mut out);
                // The client may have gone.
                let _ = answer.send(out.freeze());
            }
            Ask::Recorded { mut spaces, answer } => {
                for space in &mut spaces {
                    let Some(netns) = space.netns else { continue };
                    for table in space.tables.iter_mut().filter_map(|(_, table)| table.as_mut().ok()) {
                        table.recorded = self.table.recorded(netns, &table.rows);
                    }
                }
                let _ = answer.send(spaces);
            }
            Ask::Programs { answer } => drop(answer.send(self.source.programs())),
            Ask::Finish(_) | Ask::ReaderDropped => {}
        }
    }

    /// The answer to a table query: what is true now, whatever happens while it is sent.
    fn rows(&mut self, live: bool, recent_ns: u64, netns: Option<u32>) -> Vec<Bytes> {
        let now = self.source.now_ns();
        self.table.expire(now);
        let wanted = |socket: &LiveSocket| netns.is_none_or(|netns| socket.netns == Some(netns));
        let (mut chunks, mut out) = (Vec::new(), BytesMut::with_capacity(CHUNK + 1024));
        let mut put = |answer: Answer| {
            answer.encode(&mut out);
            if out.len() >= CHUNK || answer == Answer::End {
                chunks.push(out.split().freeze());
            }
        };
        if live {
            self.table.live().filter(|s| s.is_listed() && wanted(s)).for_each(|socket| put(Answer::Live(*socket)));
        }
        if recent_ns > 0 {
            let recent = self.table.recent(now, recent_ns).filter(|closed| wanted(&closed.socket));
            recent.for_each(|closed| put(Answer::Closed(*closed)));
            put(Answer::Since(self.table.forgotten_ns().max(self.status.since_ns)));
        }
        put(Answer::End);
        chunks
    }

    fn status(&self) -> Status {
        let Status { forgotten, buffer, peak_fill, .. } = self.source.status();
        Status {
            live: self.table.live().filter(|socket| socket.is_listed()).count() as u64,
            recent: self.table.recent_len() as u64,
            clients: (self.settings.clients - self.clients.available_permits()) as u64,
            forgotten,
            buffer,
            peak_fill,
            ..self.status.clone()
        }
    }
}

#[cfg(test)]
mod tests;
