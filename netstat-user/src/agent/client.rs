//! One connection: who it is, what it asks, and the answer.

use super::feed::{Feed, Next};
use super::{Ask, CHUNK, Lists};
use crate::model::{NamespaceTables, RowsWanted};
use crate::query::{Answer, Health, MAX_REQUEST, Place, QueryError, ROWS, Request, next_frame};
use crate::sys;
use bytes::{Bytes, BytesMut};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// How long a client may take to ask, and to read a part of its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a reader of events that is to be dropped may take for what waits for it, so that it can be told.
const STALL: Duration = Duration::from_secs(60);
/// Links in one frame.
const LINKS: usize = 16 << 10;

/// Who is served: root, the agent's own user, the members of a group, or everyone.
#[derive(Clone, Copy, Debug)]
pub struct Admission {
    /// User the agent runs as.
    pub uid: u32,
    /// Group of the socket, if one was set.
    pub gid: Option<u32>,
    /// The socket's mode lets everyone write.
    pub everyone: bool,
}

impl Admission {
    /// Whether the peer is served.
    fn admits(&self, stream: &UnixStream) -> bool {
        let Ok(peer) = stream.peer_cred() else { return false };
        let member = |gid| peer.gid() == gid || sys::peer_groups(stream).is_ok_and(|groups| groups.contains(&gid));
        self.everyone || peer.uid() == 0 || peer.uid() == self.uid || self.gid.is_some_and(member)
    }
}

/// Serves a connection on a task of its own, or refuses it.
pub fn serve<L: Lists>(
    stream: UnixStream,
    admission: &Admission,
    clients: &Arc<Semaphore>,
    place: Place,
    asks: mpsc::Sender<Ask>,
    lists: Arc<L>,
) {
    let room = Arc::clone(clients).try_acquire_owned();
    let admitted = admission.admits(&stream);
    tokio::spawn(async move {
        let mut client = Client { stream, asks };
        // A client that goes in the middle is its own affair.
        let _ = match room {
            _ if !admitted => {
                client.refuse("this user may not ask: see --mode and --group of netstat-user agent").await
            }
            Err(_) => client.refuse("too many clients: try again, or start the agent with a larger --clients").await,
            Ok(_room) => client.serve(place, lists).await,
        };
    });
}

struct Client {
    stream: UnixStream,
    asks: mpsc::Sender<Ask>,
}

async fn patient<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

impl Client {
    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        patient(self.stream.write_all(bytes)).await
    }

    async fn refuse(&mut self, reason: &str) -> io::Result<()> {
        let mut out = BytesMut::new();
        Answer::Refused(reason.into()).encode(&mut out);
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
        patient(drain).await
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

    async fn serve<L: Lists>(&mut self, place: Place, lists: Arc<L>) -> io::Result<()> {
        let request = match self.request().await? {
            Ok(request) => request,
            Err(error) => return self.refuse(&error.to_string()).await,
        };
        let mut begin = BytesMut::new();
        Answer::Begin(place).encode(&mut begin);
        self.send(&begin).await?;
        match request {
            Request::Holders => {
                let links = tokio::task::spawn_blocking(move || lists.holders()).await.map_err(io::Error::other)?;
                let Some(links) = links else {
                    return self.refuse("the agent may not look into every process: run it as root").await;
                };
                let mut out = BytesMut::with_capacity(links.len() * 12 + 64);
                links.chunks(LINKS).for_each(|links| Answer::Links(links.to_vec()).encode(&mut out));
                Answer::End.encode(&mut out);
                for chunk in out.chunks(CHUNK) {
                    self.send(chunk).await?;
                }
                Ok(())
            }
            Request::Rows { wanted, netns, recorded } => {
                let peer = self.stream.peer_cred().ok().and_then(|peer| u32::try_from(peer.pid()?).ok());
                self.rows(lists, wanted, netns, peer, recorded).await
            }
            Request::Table { live, recent_ns, netns } => {
                let (answer, mut chunks) = mpsc::channel::<Bytes>(1);
                self.ask(Ask::Table { live, recent_ns, netns, answer }).await?;
                while let Some(chunk) = chunks.recv().await {
                    self.send(&chunk).await?;
                }
                Ok(())
            }
            Request::Status => {
                let (answer, status) = oneshot::channel();
                self.ask(Ask::Status { answer }).await?;
                self.send(&status.await.map_err(io::Error::other)?).await
            }
            Request::Health => {
                let checks = tokio::task::spawn_blocking(move || lists.checks()).await.map_err(io::Error::other)?;
                let (answer, programs) = oneshot::channel();
                self.ask(Ask::Programs { answer }).await?;
                let programs = programs.await.map_err(io::Error::other)?;
                let mut out = BytesMut::new();
                Answer::Health(Health { checks, programs }).encode(&mut out);
                // The end comes with the status.
                let (answer, status) = oneshot::channel();
                self.ask(Ask::Status { answer }).await?;
                out.extend_from_slice(&status.await.map_err(io::Error::other)?);
                self.send(&out).await
            }
            Request::Events(filter) => {
                let (feed, mine) = oneshot::channel();
                self.ask(Ask::Events { filter, feed }).await?;
                let feed = mine.await.map_err(io::Error::other)?;
                // Subscribed: what happens from here on is in the stream.
                let mut ready = BytesMut::new();
                let (answer, status) = oneshot::channel();
                self.ask(Ask::Status { answer }).await?;
                ready.extend_from_slice(&status.await.map_err(io::Error::other)?);
                let outcome = self.stream_events(&feed, &ready).await;
                if feed.leave() > 0 {
                    self.ask(Ask::ReaderDropped).await?;
                }
                outcome
            }
        }
    }

    async fn rows<L: Lists>(
        &mut self,
        lists: Arc<L>,
        wanted: RowsWanted,
        netns: Option<u32>,
        peer: Option<u32>,
        recorded: bool,
    ) -> io::Result<()> {
        let read = tokio::task::spawn_blocking(move || lists.tables(&wanted, netns, peer));
        let Some(mut spaces) = read.await.map_err(io::Error::other)? else {
            return self.refuse("the agent cannot find the network namespace").await;
        };
        if recorded {
            let (answer, named) = oneshot::channel();
            self.ask(Ask::Recorded { spaces, answer }).await?;
            spaces = named.await.map_err(io::Error::other)?;
        }
        let encoded = tokio::task::spawn_blocking(move || tables(&spaces)).await.map_err(io::Error::other)?;
        for chunk in encoded.chunks(CHUNK) {
            self.send(chunk).await?;
        }
        Ok(())
    }

    async fn ask(&self, ask: Ask) -> io::Result<()> {
        self.asks.send(ask).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    async fn stream_events(&mut self, feed: &Arc<Feed>, ready: &[u8]) -> io::Result<()> {
        self.send(ready).await?;
        let Self { stream, asks } = self;
        let (reader, mut writer) = stream.split();
        // A reader of events says nothing more. When it ends its side, or says something all the same, it wants what has been
        // recorded, and no more; one that has gone is noticed when it is written to.
        let finished = async {
            let (mut reader, mut byte) = (reader, [0]);
            let _ = reader.read(&mut byte).await;
        };
        tokio::pin!(finished);
        let mut finishing = false;
        loop {
            let next = tokio::select! {
                next = feed.next() => next,
                () = &mut finished, if !finishing => {
                    finishing = true;
                    asks.send(Ask::Finish(Arc::clone(feed))).await.map_err(|_| io::ErrorKind::BrokenPipe)?;
                    continue;
                }
            };
            let mut last = BytesMut::new();
            match next {
                Next::Chunk(chunk) => {
                    let write = writer.write_all(&chunk);
                    tokio::pin!(write);
                    loop {
                        match tokio::time::timeout(STALL, &mut write).await {
                            Ok(written) => break written?,
                            // Nothing is missing yet: it may take its time.
                            Err(_) if !feed.is_full() => {}
                            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
                        }
                    }
                    continue;
                }
                Next::Dropped(count) => Answer::Dropped(count).encode(&mut last),
                Next::End => Answer::End.encode(&mut last),
            }
            return patient(writer.write_all(&last)).await;
        }
    }
}

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
