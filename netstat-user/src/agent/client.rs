//! One connection: who it is, what it asks, and the answer.

use super::door::{Admission, Full, Places, Seat};
use super::feed::{Desk, Feed, Next};
use super::sight::{Peer, Sight};
use super::workers::Workers;
use super::{Ask, CHUNK, Lists, Spaces};
use crate::model::{NamespaceTables, RowsWanted};
use crate::query::{Answer, CGROUPS, Denial, MAX_REQUEST, Place, QueryError, ROWS, Request, next_frame};
use crate::sys;
use bytes::BytesMut;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// How long a client may take to ask, and to read a part of its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long what waits for a reader of events that is to be dropped is kept for it.
const STALL: Duration = Duration::from_secs(60);
/// How often it is looked what a reader of events may see by now.
const LOOK: Duration = Duration::from_secs(2);
/// How often a reader that takes nothing is looked at.
const GLANCE: Duration = Duration::from_millis(100);
/// Links in one frame.
const LINKS: usize = 16 << 10;
/// Sockets encoded before others get their turn.
const TURN: usize = 1024;
/// Bytes that waited for a reader, after which the memory is given back.
const MUCH: usize = 4 << 20;
/// Refusals under way at a time. Whoever comes in a crowd beyond that is hung up on.
const REFUSALS: usize = 32;

/// Where the clients of some users are served.
pub struct Counter {
    /// Its thread.
    pub thread: Handle,
    /// Where events wait for its readers.
    pub desk: Arc<Desk>,
    /// Its threads for what blocks.
    pub workers: Workers,
}

/// What a client needs to be served.
pub struct House<L> {
    /// Who is served.
    pub admission: Admission,
    /// The places.
    pub places: Arc<Places>,
    /// Where root and the agent's own user are served, and where all others are.
    pub staff: Counter,
    /// See `staff`.
    pub guests: Counter,
    /// Where this process's numbers are true.
    pub place: Place,
    /// To the task that owns the table.
    pub asks: mpsc::Sender<Ask>,
    /// The kernel's lists.
    pub lists: Arc<L>,
    /// Of refusals.
    refusals: Arc<Semaphore>,
}

impl<L: Lists> House<L> {
    /// A house where nobody is yet.
    pub fn new(
        admission: Admission,
        places: Arc<Places>,
        (staff, guests): (Counter, Counter),
        place: Place,
        asks: mpsc::Sender<Ask>,
        lists: Arc<L>,
    ) -> Arc<Self> {
        let refusals = Arc::new(Semaphore::new(REFUSALS));
        Arc::new(Self { admission, places, staff, guests, place, asks, lists, refusals })
    }

    /// Serves a connection on a task of its own, or refuses it. Runs on the thread of the staff.
    pub fn welcome(self: &Arc<Self>, stream: UnixStream) {
        let Ok(peer) = stream.peer_cred() else { return };
        let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|&pid| pid != 0);
        let peer = Peer { uid: peer.uid(), gid: peer.gid(), pid };
        let is_staff = self.admission.is_staff(&peer);
        let counter = if is_staff { &self.staff } else { &self.guests };
        let seat = match self.admission.admits(&peer, &stream) {
            false => Err("this user may not ask: see --mode and --group of netstat-user agent".to_owned()),
            true => self.places.take(peer.uid, is_staff).map_err(|full: Full| full.to_string()),
        };
        // A connection belongs to the thread that serves it.
        let Ok(stream) = stream.into_std() else { return };
        let house = Arc::clone(self);
        let refusal = seat.as_ref().err().and_then(|_| Arc::clone(&self.refusals).try_acquire_owned().ok());
        if seat.is_err() && refusal.is_none() {
            return;
        }
        counter.thread.spawn(async move {
            let Ok(stream) = UnixStream::from_std(stream) else { return };
            let mut client = Client { stream, house, peer, is_staff };
            // A client that goes in the middle is its own affair.
            let _ = match seat {
                Ok(seat) => client.serve(&seat).await,
                Err(reason) => client.refuse(&reason).await,
            };
            drop(refusal);
        });
    }
}

struct Client<L> {
    stream: UnixStream,
    house: Arc<House<L>>,
    peer: Peer,
    is_staff: bool,
}

async fn patient<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

impl<L: Lists> Client<L> {
    fn counter(&self) -> &Counter {
        if self.is_staff { &self.house.staff } else { &self.house.guests }
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        for chunk in bytes.chunks(CHUNK) {
            patient(self.stream.write_all(chunk)).await?;
        }
        Ok(())
    }

    async fn refuse(&mut self, reason: &str) -> io::Result<()> {
        self.deny(Denial::new(reason)).await
    }

    /// Refuses who asks for a network namespace of another user.
    async fn hide_namespace(&mut self) -> io::Result<()> {
        self.deny(Denial { reason: NOT_YOURS.into(), hides_namespace: true }).await
    }

    async fn deny(&mut self, denial: Denial) -> io::Result<()> {
        let mut out = BytesMut::new();
        Answer::Refused(denial).encode(&mut out);
        self.send(&out).await?;
        self.stream.shutdown().await?;
        // To close before all has been read would look like a reset.
        let (mut rest, mut left) = ([0; 4096], MAX_REQUEST);
        let drain = async {
            while left > 0 {
                match self.stream.read(&mut rest).await? {
                    0 => break,
                    count => left = left.saturating_sub(count),
                }
            }
            Ok(())
        };
        let asks = self.house.asks.clone();
        tokio::select! {
            biased;
            drained = patient(drain) => drained,
            () = asks.closed() => Ok(()),
        }
    }

    async fn request(&mut self) -> io::Result<Result<Request, QueryError>> {
        let mut arrived = BytesMut::new();
        patient(async {
            loop {
                match next_frame(&mut arrived, MAX_REQUEST) {
                    Ok(Some(body)) => return Ok(Request::decode(body)),
                    Ok(None) => {}
                    Err(error) => return Ok(Err(error)),
                }
                if self.stream.read_buf(&mut arrived).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        })
        .await
    }

    /// What this peer is shown now.
    async fn sight(&self) -> io::Result<Sight> {
        if self.is_staff || self.house.admission.shares_all {
            return Ok(Sight::All);
        }
        let (lists, peer) = (Arc::clone(&self.house.lists), self.peer);
        self.counter().workers.run(move || Sight::Own(lists.own(&peer))).await
    }

    async fn serve(&mut self, seat: &Seat) -> io::Result<()> {
        let asks = self.house.asks.clone();
        let request = tokio::select! {
            biased;
            request = self.request() => request?,
            // The agent ends: who has not asked by now has no answer to come.
            () = asks.closed() => return Ok(()),
        };
        let request = match request {
            Ok(request) => request,
            Err(error) => return self.refuse(&error.to_string()).await,
        };
        let mut begin = BytesMut::new();
        Answer::Begin(self.house.place).encode(&mut begin);
        self.send(&begin).await?;
        match request {
            Request::Holders => {
                let _turn = self.turn(seat).await?;
                self.holders().await
            }
            Request::Rows { wanted, netns, recorded } => {
                let _turn = self.turn(seat).await?;
                self.rows(wanted, netns, recorded).await
            }
            Request::Table { live, recent_ns, netns } => {
                let _turn = self.turn(seat).await?;
                self.table(live, recent_ns, netns).await
            }
            Request::Status => {
                let status = self.status().await?;
                self.send(&status).await
            }
            Request::Health => {
                let (answer, health) = oneshot::channel();
                self.ask(Ask::Health { answer }).await?;
                let mut health = health.await.map_err(io::Error::other)?;
                health.checks.splice(..0, self.house.lists.checks());
                let mut out = BytesMut::new();
                Answer::Health(health).encode(&mut out);
                // The end comes with the status.
                out.extend_from_slice(&self.status().await?);
                self.send(&out).await
            }
            Request::Cgroups(ids) => {
                // Who may not see every socket finds the cgroups that are still there by itself.
                let shown = if self.sight().await?.user().is_none() { ids } else { Vec::new() };
                let lists = Arc::clone(&self.house.lists);
                let look = move || {
                    let mut out = BytesMut::new();
                    let shown = &shown[..shown.len().min(CGROUPS)];
                    Answer::Cgroups(lists.cgroups(shown)).encode(&mut out);
                    Answer::End.encode(&mut out);
                    out
                };
                let out = self.counter().workers.run(look).await?;
                self.send(&out).await
            }
            Request::Events(filter) => {
                let sight = self.sight().await?;
                if filter.netns.is_some() && !sight.has(filter.netns) {
                    return self.hide_namespace().await;
                }
                let (answer, mine) = oneshot::channel();
                let wish = super::feed::Wish { filter, sight };
                let (desk, budget) = (Arc::clone(&self.counter().desk), Arc::clone(&seat.user.budget));
                self.ask(Ask::Events { wish, budget, desk, answer }).await?;
                let feed = mine.await.map_err(io::Error::other)?;
                // Subscribed: what happens from here on is in the stream.
                let outcome = self.stream_events(&feed).await;
                let (missed, bytes) = feed.leave();
                if bytes > MUCH || missed > 0 {
                    self.counter().workers.hand(sys::give_back_memory);
                }
                if missed > 0 {
                    self.ask(Ask::ReaderDropped).await?;
                }
                outcome
            }
        }
    }

    /// The turn of this user's clients whose requests cost something.
    async fn turn<'s>(&self, seat: &'s Seat) -> io::Result<tokio::sync::SemaphorePermit<'s>> {
        seat.user.turn.acquire().await.map_err(io::Error::other)
    }

    async fn holders(&mut self) -> io::Result<()> {
        let (lists, sight) = (Arc::clone(&self.house.lists), self.sight().await?);
        let look = move || {
            let mut links = lists.holders()?;
            links.retain(|link| sight.holds(link.pid));
            let mut out = BytesMut::with_capacity(links.len() * 12 + 64);
            links.chunks(LINKS).for_each(|links| Answer::Links(links.to_vec()).encode(&mut out));
            Answer::End.encode(&mut out);
            Ok(out)
        };
        match self.counter().workers.run(look).await? {
            Ok(out) => self.send(&out).await,
            Err(error) => {
                let error: io::Error = error;
                self.refuse(&format!("the agent cannot look into every process: {}", super::words(&error))).await
            }
        }
    }

    async fn rows(&mut self, wanted: RowsWanted, netns: Option<u32>, recorded: bool) -> io::Result<()> {
        let (lists, sight, peer) = (Arc::clone(&self.house.lists), self.sight().await?, self.peer);
        if netns.is_some() && !sight.has(netns) {
            return self.hide_namespace().await;
        }
        let uid = sight.user();
        let look = move || {
            let spaces = match (netns, &sight) {
                (Some(netns), _) => Spaces::One(netns, peer.pid),
                (None, Sight::All) => Spaces::All,
                (None, Sight::Own(own)) => Spaces::These(&own.namespaces),
            };
            lists.tables(&wanted, &spaces)
        };
        let Some(mut spaces) = self.counter().workers.run(look).await? else {
            return self.refuse("the agent cannot find the network namespace").await;
        };
        if recorded {
            let (answer, named) = oneshot::channel();
            self.ask(Ask::Recorded { spaces, uid, answer }).await?;
            spaces = named.await.map_err(io::Error::other)?;
        }
        let encoded = self.counter().workers.run(move || tables(&spaces)).await?;
        self.send(&encoded).await
    }

    async fn table(&mut self, live: bool, recent_ns: u64, netns: Option<u32>) -> io::Result<()> {
        let sight = self.sight().await?;
        if netns.is_some() && !sight.has(netns) {
            return self.hide_namespace().await;
        }
        let (answer, snapshot) = oneshot::channel();
        self.ask(Ask::Table { live, recent_ns, netns, sight: sight.clone(), hurry: self.is_staff, answer }).await?;
        let snapshot = snapshot.await.map_err(io::Error::other)?;
        let mut out = BytesMut::with_capacity(CHUNK);
        for sockets in snapshot.live.chunks(TURN) {
            sockets.iter().for_each(|socket| Answer::Live(*socket).encode(&mut out));
            self.send(&out).await?;
            out.clear();
            tokio::task::yield_now().await;
        }
        for closed in snapshot.closed.chunks(TURN) {
            closed.iter().for_each(|closed| Answer::Closed(*closed).encode(&mut out));
            self.send(&out).await?;
            out.clear();
            tokio::task::yield_now().await;
        }
        if recent_ns > 0 {
            Answer::Since(snapshot.past).encode(&mut out);
        }
        Answer::End.encode(&mut out);
        self.send(&out).await
    }

    async fn status(&self) -> io::Result<bytes::Bytes> {
        let (answer, status) = oneshot::channel();
        self.ask(Ask::Status { answer }).await?;
        status.await.map_err(io::Error::other)
    }

    async fn ask(&self, ask: Ask) -> io::Result<()> {
        self.house.asks.send(ask).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    async fn stream_events(&mut self, feed: &Arc<Feed>) -> io::Result<()> {
        let ready = self.status().await?;
        self.send(&ready).await?;
        let (desk, asks) = (Arc::clone(&self.counter().desk), self.house.asks.clone());
        let (lists, peer, workers) = (Arc::clone(&self.house.lists), self.peer, self.counter().workers.clone());
        let looks = !self.is_staff && !self.house.admission.shares_all;
        let (reader, mut writer) = self.stream.split();
        // A reader of events says nothing more. When it ends its side, or says something all the same, it wants what has been
        // recorded, and no more; one that has gone is noticed when it is written to.
        let finished = async {
            let (mut reader, mut byte) = (reader, [0]);
            let _ = reader.read(&mut byte).await;
        };
        // What it may see changes with the namespaces that its user's processes are in.
        let look = async {
            loop {
                tokio::time::sleep(LOOK).await;
                let lists = Arc::clone(&lists);
                if let Ok(own) = workers.run(move || lists.own(&peer)).await {
                    feed.show(Sight::Own(own));
                }
            }
        };
        tokio::pin!(finished, look);
        let mut finishing = false;
        loop {
            let next = tokio::select! {
                next = feed.next() => next,
                () = &mut finished, if !finishing => {
                    finishing = true;
                    let (feed, desk) = (Arc::clone(feed), Arc::clone(&desk));
                    asks.send(Ask::Finish { feed, desk }).await.map_err(|_| io::ErrorKind::BrokenPipe)?;
                    continue;
                }
                () = &mut look, if looks => continue,
            };
            match next {
                Next::Chunk(chunk) => {
                    write(&mut writer, &chunk, feed).await?;
                    feed.written(chunk.len());
                }
                Next::Dropped(count) => {
                    let mut last = BytesMut::new();
                    Answer::Dropped(count).encode(&mut last);
                    return writer.write_all(&last).await;
                }
                Next::End => {
                    let mut last = BytesMut::new();
                    Answer::End.encode(&mut last);
                    return patient(writer.write_all(&last)).await;
                }
            }
        }
    }
}

/// Writes a part of the stream, however long the reader takes: one that comes back after hours learns what it missed. Until then it costs no more
/// than this part, and its place.
async fn write(writer: &mut (impl AsyncWriteExt + Unpin), chunk: &[u8], feed: &Feed) -> io::Result<()> {
    let mut left = chunk;
    let mut since = tokio::time::Instant::now();
    while !left.is_empty() {
        match tokio::time::timeout(GLANCE, writer.write(left)).await {
            Ok(written) => {
                left = &left[written?..];
                since = tokio::time::Instant::now();
                feed.blocked(false);
            }
            Err(_) => {
                feed.blocked(true);
                if feed.is_full() && since.elapsed() > STALL {
                    feed.give_up();
                }
            }
        }
    }
    Ok(())
}

/// What a user is refused who asks for another one's network namespace.
const NOT_YOURS: &str =
    "the network namespace is of no process of yours: an agent started with --share all shows every one";

/// The frames of tables.
fn tables(spaces: &[NamespaceTables]) -> BytesMut {
    let mut out = BytesMut::new();
    for space in spaces {
        Answer::Namespace { netns: space.netns.unwrap_or(0), name: space.name.clone() }.encode(&mut out);
        for &(proto, ref table) in &space.tables {
            let table = match table {
                Ok(table) => table,
                Err(error) => {
                    let errno = error.raw_os_error().map_or(0, i32::unsigned_abs);
                    Answer::NoTable { proto, errno }.encode(&mut out);
                    continue;
                }
            };
            let mut recorded = table.recorded.iter().copied().peekable();
            for (number, rows) in table.rows.chunks(ROWS).enumerate() {
                let first = (number * ROWS) as u32;
                let mine = std::iter::from_fn(|| recorded.next_if(|(at, _)| *at < first + rows.len() as u32));
                let recorded = mine.map(|(at, owner)| (at - first, owner)).collect();
                Answer::Rows { proto, rows: rows.to_vec(), recorded }.encode(&mut out);
            }
            Answer::TableEnd { proto, bogus: table.bogus as u64 }.encode(&mut out);
        }
    }
    Answer::End.encode(&mut out);
    out
}
