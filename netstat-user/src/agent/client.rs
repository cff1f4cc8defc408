//! One connection: who it is, what it asks, and the answer.

use super::door::Seat;
use super::house::{Counter, House};
use super::keeper::{Ask, TableAsk};
use super::sight::{Peer, Sight};
use super::{CHUNK, Lists, Snapshot, Spaces, TableWish};
use crate::model::{ListedRow, NamespaceTables, Owner, RowTest, RowsWanted, SocketRow, reason};
use crate::query::{Answer, CGROUPS, Denial, Link, MAX_REQUEST, QueryError, ROWS, Request, next_frame};
use crate::sys;
use bytes::{Bytes, BytesMut};
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{SemaphorePermit, oneshot};

/// How long a client may take to ask, and to read a part of its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Links in one frame.
const LINKS: usize = 16 << 10;
/// Sockets encoded before others get their turn.
pub const TURN: usize = 1024;

/// Bytes that an answer takes for a while, and those for each socket in it: as row, with its holders and owner, and as frames.
const OF_AN_ANSWER: usize = 4 << 20;
const OF_A_SOCKET: usize = 512;

/// One connection.
pub struct Client<L> {
    /// The connection.
    pub stream: UnixStream,
    /// Where it is served.
    pub house: Arc<House<L>>,
    /// Who is at the other end.
    pub peer: Peer,
    /// Whether that is root or the agent's own user.
    pub is_staff: bool,
}

/// Does what a client must not hold up for long.
///
/// # Errors
/// `TimedOut`, or the work's.
pub async fn patient<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

impl<L: Lists> Client<L> {
    /// Where this client is served.
    pub fn counter(&self) -> &Counter {
        if self.is_staff { &self.house.staff } else { &self.house.guests }
    }

    /// Writes an answer, or a part of it.
    ///
    /// # Errors
    /// The connection's, or the client takes too long.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        for chunk in bytes.chunks(CHUNK) {
            patient(self.stream.write_all(chunk)).await?;
        }
        Ok(())
    }

    /// Says why there is no answer.
    ///
    /// # Errors
    /// The connection's.
    pub async fn refuse(&mut self, reason: &str) -> io::Result<()> {
        self.deny(Denial::new(reason)).await
    }

    /// The same, with what kind of reason it is.
    ///
    /// # Errors
    /// The connection's.
    pub async fn deny(&mut self, denial: Denial) -> io::Result<()> {
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

    /// Reads a request and answers it.
    ///
    /// # Errors
    /// The connection's, or the agent ends.
    pub async fn serve(&mut self, seat: &Seat) -> io::Result<()> {
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
        let turn = match request {
            Request::Holders { .. } | Request::Rows { .. } | Request::Table { .. } | Request::Follow { .. } => {
                Some(self.turn(seat).await?)
            }
            Request::Status | Request::Health | Request::Cgroups(_) | Request::Events(_) => None,
        };
        if turn.is_some() && !self.has_memory() {
            return self.refuse(&format!("the agent has {}", sys::NO_MEMORY)).await;
        }
        let sight = match request {
            // How the agent is, everybody is shown.
            Request::Status | Request::Health => Sight::All,
            _ => self.sight().await?,
        };
        if request.netns().is_some() && !sight.has(request.netns()) {
            return self.deny(Denial { hides_namespace: true, ..Denial::new(NOT_YOURS) }).await;
        }
        match request {
            Request::Holders { of } => self.holders(of, sight).await,
            Request::Rows { wanted, recorded, holders } => self.rows(wanted, recorded, holders, sight).await,
            Request::Table { live, recent_ns, netns, age_ns, only } => {
                self.table(TableWish { live, unlisted: false, age_ns, recent_ns, netns }, only, sight).await
            }
            Request::Follow { wanted, age_ns } => self.follow(wanted, age_ns, sight, seat, turn).await,
            Request::Status => {
                let status = self.status().await?;
                self.send(&status).await
            }
            Request::Health => self.health().await,
            Request::Cgroups(ids) => self.cgroups(ids, &sight).await,
            Request::Events(wanted) => self.events(wanted, sight, seat).await,
        }
    }

    /// Whether there is memory for an answer with all sockets: where it is not found to be missing before, the whole agent ends for want of it.
    fn has_memory(&self) -> bool {
        sys::has_memory(OF_AN_ANSWER + self.house.sockets.load(Ordering::Relaxed) * OF_A_SOCKET)
    }

    /// The turn of this user's clients whose requests cost something.
    async fn turn<'s>(&self, seat: &'s Seat) -> io::Result<SemaphorePermit<'s>> {
        seat.user.turn.acquire().await.map_err(io::Error::other)
    }

    async fn holders(&mut self, of: Vec<u64>, sight: Sight) -> io::Result<()> {
        let lists = Arc::clone(&self.house.lists);
        let look = move || {
            let mut links = lists.holders()?;
            let of: HashSet<u64> = of.into_iter().collect();
            links.retain(|link| (of.is_empty() || of.contains(&link.inode)) && sight.holds(link.pid));
            let mut out = BytesMut::with_capacity(links.len() * 12 + 64);
            put_links(&mut out, &links);
            Answer::End.encode(&mut out);
            Ok(out)
        };
        let looked: io::Result<BytesMut> = self.counter().workers.run(look).await?;
        match looked {
            Ok(out) => self.send(&out).await,
            Err(error) => {
                self.refuse(&format!("the agent cannot look into every process: {}", reason(&error).to_lowercase()))
                    .await
            }
        }
    }

    /// The rows are read, left out where they are not wanted, given their owners and encoded in one go, on a thread for what blocks. The processes
    /// are looked into once at most: to leave out rows, and to send their holders.
    async fn rows(&mut self, wanted: RowsWanted, recorded: bool, holders: bool, sight: Sight) -> io::Result<()> {
        let (lists, asks, peer) = (Arc::clone(&self.house.lists), self.house.asks.clone(), self.peer);
        let read = move || -> io::Result<Option<BytesMut>> {
            let spaces = match (wanted.netns, &sight) {
                (Some(netns), _) => Spaces::One(netns, peer.pid),
                (None, Sight::All) => Spaces::All,
                (None, Sight::Own(own)) => Spaces::These(&own.namespaces),
            };
            let Some(mut spaces) = lists.tables(&wanted, &spaces) else { return Ok(None) };
            let only = wanted.only.as_ref();
            if let Some(only) = only {
                // Whose they are is looked at below.
                retain(&mut spaces, |row, netns, _| only.passes(&ListedRow { row, netns, held: &|_| None }));
            }
            if recorded {
                let (answer, named) = oneshot::channel();
                let ask = Ask::Recorded { spaces, uid: sight.user(), answer };
                asks.blocking_send(ask).map_err(|_| io::ErrorKind::BrokenPipe)?;
                spaces = named.blocking_recv().map_err(io::Error::other)?;
            }
            let pids: HashSet<u32> = only.map(RowTest::pids).unwrap_or_default().into_iter().collect();
            let mut links = None;
            if holders || !pids.is_empty() {
                // Nobody holds what is not there. Where the agent may not look into every process, the client finds the holders.
                let some = spaces.iter().flat_map(NamespaceTables::inodes).next().is_some();
                links = if some { lists.holders().ok() } else { Some(Vec::new()) };
                links.iter_mut().for_each(|links| links.retain(|link| sight.holds(link.pid)));
            }
            if let (Some(only), false, Some(links)) = (only, pids.is_empty(), &links) {
                let mut held: HashMap<u64, Vec<u32>> = HashMap::new();
                let named = links.iter().filter(|link| pids.contains(&link.pid));
                named.for_each(|link| held.entry(link.inode).or_default().push(link.pid));
                retain(&mut spaces, |row, netns, owner| {
                    let holders = held.get(&row.inode).map_or(&[][..], Vec::as_slice);
                    let owners = || holders.iter().copied().chain(owner.map(|owner| owner.pid));
                    let is_theirs = |pids: &[u32]| Some(owners().any(|owner| pids.contains(&owner)));
                    only.passes(&ListedRow { row, netns, held: &is_theirs })
                });
            }
            let mut out = BytesMut::new();
            put_tables(&mut out, &spaces);
            if let (true, Some(mut links)) = (holders, links) {
                let shown: HashSet<u64> = spaces.iter().flat_map(NamespaceTables::inodes).collect();
                links.retain(|link| shown.contains(&link.inode));
                // That nobody holds them is an answer, too.
                if links.is_empty() {
                    Answer::Links(Vec::new()).encode(&mut out);
                }
                put_links(&mut out, &links);
            }
            Answer::End.encode(&mut out);
            Ok(Some(out))
        };
        match self.counter().workers.run(read).await?? {
            Some(out) => self.send(&out).await,
            None => self.refuse("the agent cannot find the network namespace").await,
        }
    }

    async fn table(&mut self, wish: TableWish, only: Option<RowTest>, sight: Sight) -> io::Result<()> {
        let (answer, snapshot) = oneshot::channel();
        let ask = TableAsk { wish, sight, hurry: self.is_staff, follow: None, answer };
        self.ask(Ask::Table(ask)).await?;
        let Snapshot { live, closed, past, crowd, .. } = snapshot.await.map_err(io::Error::other)?;
        let live = live.into_iter().map(Answer::Live);
        let mut answers = live.chain(closed.into_iter().map(Answer::Closed)).peekable();
        let mut out = BytesMut::with_capacity(CHUNK);
        let wanted = |answer: &Answer| match (answer, &only) {
            (Answer::Closed(closed), Some(only)) => only.passes(closed),
            _ => true,
        };
        while answers.peek().is_some() {
            answers.by_ref().take(TURN).filter(wanted).for_each(|answer| answer.encode(&mut out));
            self.send(&out).await?;
            out.clear();
            tokio::task::yield_now().await;
        }
        if wish.recent_ns > 0 {
            Answer::Since(past, crowd).encode(&mut out);
        }
        Answer::End.encode(&mut out);
        self.send(&out).await
    }

    async fn health(&mut self) -> io::Result<()> {
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

    async fn cgroups(&mut self, mut ids: Vec<u64>, sight: &Sight) -> io::Result<()> {
        // Who may not see every socket finds the cgroups that are still there by itself.
        ids.truncate(if sight.user().is_none() { CGROUPS } else { 0 });
        let lists = Arc::clone(&self.house.lists);
        let look = move || {
            let mut out = BytesMut::new();
            Answer::Cgroups(lists.cgroups(&ids)).encode(&mut out);
            Answer::End.encode(&mut out);
            out
        };
        let out = self.counter().workers.run(look).await?;
        self.send(&out).await
    }

    /// How the agent is, as the frames of a whole answer.
    ///
    /// # Errors
    /// The agent ends.
    pub async fn status(&self) -> io::Result<Bytes> {
        let (answer, status) = oneshot::channel();
        self.ask(Ask::Status { answer }).await?;
        status.await.map_err(io::Error::other)
    }

    /// Hands a question to the task that owns the table.
    ///
    /// # Errors
    /// The agent ends.
    pub async fn ask(&self, ask: Ask) -> io::Result<()> {
        self.house.asks.send(ask).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Leaves out the rows that are not wanted, given their namespaces and the owners that events recorded.
fn retain(spaces: &mut [NamespaceTables], wanted: impl Fn(&SocketRow, Option<u32>, Option<&Owner>) -> bool) {
    for space in spaces {
        for table in space.tables.iter_mut().filter_map(|(_, table)| table.as_mut().ok()) {
            table.retain(|row, owner| wanted(row, space.netns, owner));
        }
    }
}

/// What a user is refused who asks for another one's network namespace.
const NOT_YOURS: &str =
    "the network namespace is of no process of yours: an agent started with --share all shows every one";

/// Appends links as frames.
fn put_links(out: &mut BytesMut, links: &[Link]) {
    links.chunks(LINKS).for_each(|links| Answer::Links(links.to_vec()).encode(out));
}

/// Appends tables as frames.
fn put_tables(out: &mut BytesMut, spaces: &[NamespaceTables]) {
    for space in spaces {
        Answer::Namespace { netns: space.netns.unwrap_or(0), name: space.name.clone() }.encode(out);
        for &(proto, ref table) in &space.tables {
            let table = match table {
                Ok(table) => table,
                Err(error) => {
                    let errno = error.raw_os_error().map_or(0, i32::unsigned_abs);
                    Answer::NoTable { proto, errno }.encode(out);
                    continue;
                }
            };
            let mut recorded = table.recorded.iter().copied().peekable();
            for (number, rows) in table.rows.chunks(ROWS).enumerate() {
                let first = (number * ROWS) as u32;
                let mine = std::iter::from_fn(|| recorded.next_if(|(at, _)| *at < first + rows.len() as u32));
                let recorded = mine.map(|(at, owner)| (at - first, owner)).collect();
                Answer::Rows { proto, rows: rows.to_vec(), recorded }.encode(out);
            }
            Answer::TableEnd { proto, bogus: table.bogus as u64 }.encode(out);
        }
    }
}
