//! One connection: who it is, what it asks, and the answer.

use super::answer_memory::AnswerShare;
use super::door::Seat;
use super::fold::{AnswerSize, SizeAsked};
use super::house::{Counter, House};
use super::keeper::{Ask, ListedAsk, TableAsk};
use super::sight::{Peer, Sight};
use super::stream_view::{ShownView, StreamView};
use super::workers::UserWorkers;
use super::{CHUNK, Lists, Snapshot, TRUST, TableWish};
use crate::model::{ClosedSocket, LiveSocket, Proto, RowTest, RowsWanted};
use crate::query::{Answer, CGROUPS, Denial, Health, MAX_REQUEST, QueryError, Request, next_frame};
use crate::sys::{self, Awaited, lock};
use bytes::{Bytes, BytesMut};
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{SemaphorePermit, mpsc, oneshot};

/// How long a client may take to ask, and to read a part of its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether a client that waits has gone.
const GLANCE: Duration = Duration::from_millis(50);
/// Sockets encoded before others get their turn.
pub const TURN: usize = 1024;

/// Bytes that an answer takes while it is made, and those for each socket in it: as row, with its owner, and as frames; of the table, before and after it
/// was found out what may be shown.
const OF_AN_ANSWER: usize = 4 << 20;
pub const OF_A_ROW: usize = 256;
const OF_A_LIVE_SOCKET: usize = 2 * size_of::<LiveSocket>();
const OF_A_CLOSED_SOCKET: usize = 2 * size_of::<ClosedSocket>();
/// Those for each link from a process to a socket, where holders are asked for: as it is read, as it is handed over, and as frame.
const OF_A_LINK: usize = 64;

/// One connection.
pub struct Client<L> {
    /// The connection.
    pub stream: UnixStream,
    /// Where it is served.
    pub house: Arc<House<L>>,
    /// Threads for what blocks.
    pub workers: UserWorkers,
    /// Who is at the other end.
    pub peer: Peer,
    /// The process that connected, until it is known when that began; `None` where the kernel does not say it.
    pub process: Option<OwnedFd>,
    /// Whether that is root or the agent's own user.
    pub is_staff: bool,
}

/// Rows that are asked for.
pub struct RowsAsked {
    /// Which.
    pub wanted: RowsWanted,
    /// Whether the owners that events recorded are wanted.
    pub recorded: bool,
    /// Whether the holders are.
    pub holders: bool,
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

/// Returns when the client has closed the connection. What it sends is left to whoever reads it, and one that sends no more still reads.
async fn gone(stream: &UnixStream) {
    while !sys::has_hung_up(stream) {
        tokio::time::sleep(GLANCE).await;
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

    /// Runs on a thread for what blocks what takes long, until the client has gone.
    ///
    /// # Errors
    /// It has, or the agent ends.
    pub async fn have_done<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Awaited) -> T + Send + 'static,
    ) -> io::Result<T> {
        self.unless_gone(self.workers.run(work)).await
    }

    /// Has an answer made the same way, once there is memory for it.
    ///
    /// # Errors
    /// As [`Client::have_done`].
    pub async fn have_made<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&Awaited, &AnswerShare) -> T + Send + 'static,
    ) -> io::Result<(T, AnswerShare)> {
        self.unless_gone(self.counter().make(&self.workers, bytes, work)).await
    }

    /// Waits for something, until the client has gone.
    ///
    /// # Errors
    /// It has, or those of what is waited for.
    pub async fn unless_gone<T>(&self, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        tokio::select! {
            biased;
            done = work => done,
            () = gone(&self.stream) => Err(io::ErrorKind::BrokenPipe.into()),
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

    /// What this peer is shown now; else why that cannot be found out.
    async fn sight(&self) -> io::Result<io::Result<Sight>> {
        if self.house.admission.shows_all(self.is_staff) {
            return Ok(Ok(Sight::All));
        }
        let (lists, peer) = (Arc::clone(&self.house.lists), self.peer);
        self.have_done(move |_| lists.own_since(&peer, None).map(Sight::Own)).await
    }

    /// What this peer is shown of what it asks for, from now on where that goes on; else why that cannot be found out.
    async fn shown(&self, request: &Request) -> io::Result<io::Result<ShownView<L>>> {
        let sight = match request {
            // How the agent is, everybody is shown.
            Request::Status | Request::Health => Sight::All,
            _ => match self.sight().await? {
                Ok(sight) => sight,
                Err(error) => return Ok(Err(error)),
            },
        };
        let view = match (&sight, request) {
            (Sight::Own(own), Request::Events(_) | Request::Follow { .. }) => {
                let (lists, workers) = (Arc::clone(&self.house.lists), self.workers.clone());
                let view = StreamView::begin(lists, workers, self.peer, Arc::clone(own));
                self.unless_gone(async { Ok(view.await.map(Some)) }).await?
            }
            _ => Ok(None),
        };
        Ok(view.map(|view| ShownView { sight, view }))
    }

    /// Refuses, since it cannot be found out what the peer may see.
    ///
    /// # Errors
    /// The connection's; `QuotaExceeded` where too much waits already.
    pub async fn refuse_blind(&mut self, error: &io::Error) -> io::Result<()> {
        if error.kind() == io::ErrorKind::QuotaExceeded {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        self.refuse(&blind(error)).await
    }

    /// Finds out when the process began that connected, if it is to be looked at what it may see: another one may get its number.
    async fn meet(&mut self) -> io::Result<io::Result<()>> {
        let Some(pid) = self.peer.pid.filter(|_| !self.house.admission.shows_all(self.is_staff)) else {
            return Ok(Ok(()));
        };
        let (lists, process) = (Arc::clone(&self.house.lists), self.process.take());
        let look = move |_: &Awaited| {
            let begun = lists.begun(pid)?;
            let id = process.as_ref().and_then(|process| sys::process_id(process).ok());
            // Where it is still there, that was of it.
            io::Result::Ok((begun.filter(|_| !process.is_some_and(sys::has_ended)), id))
        };
        let found = self.have_done(look).await?;
        let known = |(begun, id): (Option<u64>, Option<u64>)| {
            self.peer = Peer { pid: begun.map(|_| pid), begun, id, ..self.peer };
        };
        Ok(found.map(known))
    }

    /// Reads a request and answers it, or refuses it where too much waits already, or is being answered.
    ///
    /// # Errors
    /// The connection's, or the agent ends.
    pub async fn serve(&mut self, seat: &Seat) -> io::Result<()> {
        match self.answer_request(seat).await {
            Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => {
                self.deny(Denial { is_busy: true, ..Denial::new(error.to_string()) }).await
            }
            served => served,
        }
    }

    async fn answer_request(&mut self, seat: &Seat) -> io::Result<()> {
        if let Err(error) = self.meet().await? {
            return self.refuse_blind(&error).await;
        }
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
        // What the peer may see, or how the programs fare, is more than a look-up, too.
        let turn = match request {
            Request::Status => None,
            _ => Some(self.turn(seat).await?),
        };
        let shown = match self.shown(&request).await? {
            Ok(shown) => shown,
            Err(error) => return self.refuse_blind(&error).await,
        };
        if request.netns().is_some() && !shown.sight.has(request.netns()) {
            return self.deny(Denial { hides_namespace: true, ..Denial::new(NOT_YOURS) }).await;
        }
        self.answer(request, shown, seat, turn).await
    }

    async fn answer(
        &mut self,
        request: Request,
        shown: ShownView<L>,
        seat: &Seat,
        turn: Option<SemaphorePermit<'_>>,
    ) -> io::Result<()> {
        match request {
            Request::Holders { of } => self.holders(of, shown.sight).await,
            Request::Rows { wanted, recorded, holders } => {
                self.rows(RowsAsked { wanted, recorded, holders }, shown.sight).await
            }
            Request::Table { live, recent_ns, netns, age_ns, only } => {
                self.table(TableWish { live, unlisted: false, age_ns, recent_ns, netns }, only, shown.sight).await
            }
            Request::Follow { wanted, age_ns } => self.follow(wanted, age_ns, shown, seat, turn).await,
            Request::Status => {
                let status = self.status().await?;
                self.send(&status).await
            }
            Request::Health => self.health().await,
            Request::Cgroups(ids) => self.cgroups(ids, &shown.sight).await,
            Request::Events(wanted) => {
                drop(turn);
                self.events(wanted, shown, seat).await
            }
        }
    }

    /// Bytes that an answer takes while it is made, so many for each socket that lives; `None`, and the client is refused it, where those are missing: the
    /// whole agent would end for want of them.
    ///
    /// # Errors
    /// The connection's, or the agent ends.
    pub async fn size_of_answer(
        &mut self,
        sight: &Sight,
        asked: SizeAsked,
        each: usize,
        links: bool,
    ) -> io::Result<Option<usize>> {
        let (answer, size) = oneshot::channel();
        self.ask(Ask::Size { sight: sight.clone(), asked, answer }).await?;
        let AnswerSize { live, closed } = size.await.map_err(io::Error::other)?;
        // Guests are refused them, or look themselves.
        let links = if links && sight.user().is_none() { self.house.lists.held() } else { 0 };
        let sockets = (live * each).saturating_add(closed * OF_A_CLOSED_SOCKET);
        let size = links.saturating_mul(OF_A_LINK).saturating_add(OF_AN_ANSWER + sockets);
        if sys::has_memory(size) {
            return Ok(Some(size));
        }
        self.refuse(&format!("the agent has {}", sys::NO_MEMORY)).await?;
        Ok(None)
    }

    /// The same for sockets of the table.
    ///
    /// # Errors
    /// As [`Client::size_of_answer`].
    pub async fn size_of_table(&mut self, sight: &Sight, wish: &TableWish) -> io::Result<Option<usize>> {
        let asked = SizeAsked { protos: Proto::ALL.to_vec(), netns: wish.netns, recent_ns: wish.recent_ns };
        let each = if wish.live { OF_A_LIVE_SOCKET } else { 0 };
        self.size_of_answer(sight, asked, each, false).await
    }

    /// Waits until the table is as new as is wished. What is asked of it afterwards is so, too, unless events are lost in between.
    ///
    /// # Errors
    /// The client has gone, or the agent ends.
    pub async fn listed(&self, wish: &TableWish) -> io::Result<()> {
        if !wish.live {
            return Ok(());
        }
        let (answer, listed) = oneshot::channel();
        self.ask(Ask::Listed(ListedAsk { wish: *wish, hurry: self.is_staff, answer })).await?;
        self.unless_gone(async { listed.await.map_err(io::Error::other) }).await
    }

    /// The turn of this user's clients whose requests cost something.
    async fn turn<'s>(&self, seat: &'s Seat) -> io::Result<SemaphorePermit<'s>> {
        self.unless_gone(async { seat.user.turn.acquire().await.map_err(io::Error::other) }).await
    }

    async fn table(&mut self, wish: TableWish, only: Option<RowTest>, sight: Sight) -> io::Result<()> {
        self.listed(&wish).await?;
        let Some(size) = self.size_of_table(&sight, &wish).await? else { return Ok(()) };
        let reading = TableRead {
            lists: Arc::clone(&self.house.lists),
            asks: self.house.asks.clone(),
            peer: self.peer,
            sight,
            wish,
        };
        let (read, mut share) = self.have_made(size, move |_, share| reading.snapshot(share)).await?;
        let Snapshot { live, closed, past, crowd, .. } = match read {
            Ok(snapshot) => snapshot,
            // The agent ends, which says nothing of what the peer may see.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(error),
            Err(error) => {
                drop(share);
                return self.refuse_blind(&error).await;
            }
        };
        share.keep(size_of_val(&live[..]) + size_of_val(&closed[..]));
        let live = live.into_iter().map(Answer::Live);
        let mut answers = live.chain(closed.into_iter().map(Answer::Closed)).peekable();
        let mut out = BytesMut::with_capacity(CHUNK);
        let wanted = |answer: &Answer| match (answer, &only) {
            (Answer::Closed(closed), Some(only)) => only.passes(closed),
            _ => true,
        };
        while answers.peek().is_some() {
            answers.by_ref().take(TURN).filter(wanted).for_each(|answer| answer.encode(&mut out));
            share.before_deadline(self.send(&out)).await?;
            out.clear();
            tokio::task::yield_now().await;
        }
        if wish.recent_ns > 0 {
            Answer::Since(past, crowd).encode(&mut out);
        }
        Answer::End.encode(&mut out);
        share.before_deadline(self.send(&out)).await
    }

    /// How the kernel programs fare, or did a moment ago.
    async fn look_at_health(&self) -> io::Result<Health> {
        if let Some(health) = fresh(&lock(&self.house.health)) {
            return Ok(health);
        }
        let (answer, look) = oneshot::channel();
        self.ask(Ask::Health { answer }).await?;
        let mut look = look.await.map_err(io::Error::other)?;
        loop {
            // Others at this counter may have asked at the same time: one of them looks, and the rest wait for that.
            drop(self.unless_gone(async { Ok(self.counter().looking.lock().await) }).await?);
            if let Some(health) = fresh(&lock(&self.house.health)) {
                return Ok(health);
            }
            let (looking, house) = (Arc::clone(&self.counter().looking), Arc::clone(&self.house));
            // By the thread that looks, until it has: what waits for its user's turn, or is given up, holds up nobody.
            let look_once = move |_: &Awaited| {
                let Ok(_looking) = looking.try_lock_owned() else { return Err(look) };
                let health = look();
                *lock(&house.health) = Some((Instant::now(), health.clone()));
                Ok(health)
            };
            match self.have_done(look_once).await? {
                Ok(health) => return Ok(health),
                // Somebody else's was begun first.
                Err(waiting) => look = waiting,
            }
        }
    }

    async fn health(&mut self) -> io::Result<()> {
        let mut health = self.look_at_health().await?;
        health.checks.splice(..0, self.house.lists.checks());
        health.checks.extend(self.house.turned_away.check());
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
        let look = move |_: &Awaited| {
            let mut out = BytesMut::new();
            Answer::Cgroups(lists.cgroups(&ids)).encode(&mut out);
            Answer::End.encode(&mut out);
            out
        };
        let out = self.have_done(look).await?;
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

/// A table that is read for a client.
struct TableRead<L> {
    lists: Arc<L>,
    asks: mpsc::Sender<Ask>,
    peer: Peer,
    /// What the peer could see before.
    sight: Sight,
    wish: TableWish,
}

impl<L: Lists> TableRead<L> {
    /// What the client is shown of it, with this memory.
    ///
    /// # Errors
    /// The agent ends, it cannot be found out what the peer may see, or the table takes more memory by now than that.
    fn snapshot(self, share: &AnswerShare) -> io::Result<Snapshot> {
        let (answer, snapshot) = oneshot::channel();
        let ask = TableAsk { wish: self.wish, sight: self.sight.clone(), follow: None, answer };
        self.asks.blocking_send(Ask::Table(ask)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        let mut snapshot = snapshot.blocking_recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
        let Snapshot { live, closed, epoch_ns, .. } = &mut snapshot;
        if matches!(self.sight, Sight::Own(_)) {
            share.is_enough_for(2 * (size_of_val(&live[..]) + size_of_val(&closed[..])))?;
            let sight = confirmed(&*self.lists, &self.peer, &self.sight)?;
            *live = live.iter().filter_map(|socket| sight.live(socket)).collect();
            *closed = closed.iter().filter_map(|closed| sight.closed(closed, *epoch_ns)).collect();
        }
        Ok(snapshot)
    }
}

/// What was known a moment ago.
fn fresh(known: &Option<(Instant, Health)>) -> Option<Health> {
    known.as_ref().filter(|(at, _)| at.elapsed() < TRUST).map(|(_, health)| health.clone())
}

/// What is shown of what has been read: what the peer could see before and can see after it.
///
/// # Errors
/// Something ran out.
pub fn confirmed(lists: &impl Lists, peer: &Peer, before: &Sight) -> io::Result<Sight> {
    match before {
        Sight::All => Ok(Sight::All),
        Sight::Own(_) => Ok(before.and(&*lists.own_since(peer, Some(Instant::now()))?)),
    }
}

/// That it cannot be found out what a peer may see.
pub fn blind(error: &io::Error) -> String {
    format!("the agent cannot find out what this user may see: {}", sys::why(error))
}

/// What a user is refused who asks for another one's network namespace.
const NOT_YOURS: &str =
    "the network namespace is of no process of yours: an agent started with --share all shows every one";
