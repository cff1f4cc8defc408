//! One connection: who it is, what it asks, and the answer.

use super::answer_memory::{AnswerCount, AnswerShare, NoRoom};
use super::door::Seat;
use super::fold::CountAsked;
use super::house::{Counter, House};
use super::keeper::Ask;
use super::peer_read::PeerRead;
use super::sight::{Peer, Sight};
use super::stream_view::{ShownView, StreamView};
use super::workers::UserWorkers;
use super::{CHUNK, Lists, TableWish};
use crate::model::RowsWanted;
use crate::query::{Answer, CGROUPS, Denial, MAX_REQUEST, QueryError, Request, next_frame};
use crate::sys::{self, Awaited};
use bytes::{Bytes, BytesMut};
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{SemaphorePermit, oneshot};

/// How long a client may take to ask, and to read a part of its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether a client that waits has gone.
const GLANCE: Duration = Duration::from_millis(50);
/// Sockets encoded before others get their turn.
pub const TURN: usize = 1024;

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

    /// What this peer may see now. The inner error says why that is unknown.
    async fn sight(&self) -> io::Result<io::Result<Sight>> {
        if self.house.admission.shows_all(self.is_staff) {
            return Ok(Ok(Sight::All));
        }
        let (lists, peer) = (Arc::clone(&self.house.lists), self.peer);
        self.have_done(move |_| lists.own_since(&peer, None).map(Sight::Own)).await
    }

    /// What this peer may see for this request; for a stream, from now on. The inner error says why that is unknown.
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
    /// The connection's; [`NoRoom`] where too much waits already.
    pub async fn refuse_blind(&mut self, error: io::Error) -> io::Result<()> {
        if NoRoom::of(&error).is_some() {
            return Err(error);
        }
        self.refuse(&blind(&error)).await
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

    /// Reads a request and answers it, or refuses it where too much waits already, or is being answered, or memory is missing.
    ///
    /// # Errors
    /// The connection's, or the agent ends.
    pub async fn serve(&mut self, seat: &Seat) -> io::Result<()> {
        match self.answer_request(seat).await {
            Err(error) => match NoRoom::of(&error) {
                Some(no_room) => {
                    self.deny(Denial { is_busy: no_room.passes(), ..Denial::new(no_room.to_string()) }).await
                }
                None => Err(error),
            },
            Ok(()) => Ok(()),
        }
    }

    async fn answer_request(&mut self, seat: &Seat) -> io::Result<()> {
        if let Err(error) = self.meet().await? {
            return self.refuse_blind(error).await;
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
            Err(error) => return self.refuse_blind(error).await,
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

    /// How many sockets an answer has.
    ///
    /// # Errors
    /// The agent ends.
    pub async fn count_of_answer(&self, sight: &Sight, asked: CountAsked) -> io::Result<AnswerCount> {
        let (answer, size) = oneshot::channel();
        self.ask(Ask::Count { sight: sight.clone(), asked, answer }).await?;
        size.await.map_err(io::Error::other)
    }

    /// How a thread for what blocks reads what this peer is shown.
    pub fn reading(&self, sight: Sight) -> PeerRead<L> {
        PeerRead { lists: Arc::clone(&self.house.lists), asks: self.house.asks.clone(), peer: self.peer, sight }
    }

    /// The turn of this user's clients whose requests cost something.
    async fn turn<'s>(&self, seat: &'s Seat) -> io::Result<SemaphorePermit<'s>> {
        self.unless_gone(async { seat.user.turn.acquire().await.map_err(io::Error::other) }).await
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

/// That it cannot be found out what a peer may see.
pub fn blind(error: &io::Error) -> String {
    format!("the agent cannot find out what this user may see: {}", sys::why(error))
}

/// What a user is refused who asks for another one's network namespace.
const NOT_YOURS: &str =
    "the network namespace is of no process of yours: an agent started with --share all shows every one";
