//! A stream of events to one reader, behind the sockets that live where those are wanted, too.

use super::answer_memory::{AnswerMemory, AnswerShare, NoRoom};
use super::batch::Wish;
use super::client::{Client, TURN, patient};
use super::door::Seat;
use super::feed::{Feed, Next};
use super::keeper::{Ask, Subscription, TableAsk};
use super::sight::Sight;
use super::stream_view::{STALL, ShownView, StreamView};
use super::thrift::Thrift;
use super::{Lists, Snapshot, TableWish};
use crate::model::{Limits, LiveSocket};
use crate::query::Answer;
use bytes::{Bytes, BytesMut};
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{SemaphorePermit, oneshot};
use tokio::time::{Instant, timeout_at};

/// How often a reader that takes nothing is looked at.
const GLANCE: Duration = Duration::from_millis(100);

/// What is held until a list is sent: memory, and the user's turn.
struct HeldUntilSent<'s> {
    share: AnswerShare,
    _turn: Option<SemaphorePermit<'s>>,
}

/// What goes before the events.
struct Head<'s> {
    /// The sockets that live.
    live: std::vec::IntoIter<LiveSocket>,
    /// What ends the list of them, and says how the agent is.
    last: Option<Bytes>,
    /// What is held until all of them are sent.
    held: Option<HeldUntilSent<'s>>,
}

impl Head<'_> {
    /// The next part, `None` where all are sent.
    fn part(&mut self) -> Option<Bytes> {
        let mut out = BytesMut::new();
        self.live.by_ref().take(TURN).for_each(|socket| Answer::Live(socket).encode(&mut out));
        if out.is_empty() {
            (self.live, self.held) = (Vec::new().into_iter(), None);
            return self.last.take();
        }
        Some(out.freeze())
    }

    /// Whether all of it is sent.
    fn is_over(&self) -> bool {
        self.last.is_none()
    }
}

/// What a reader is sent next.
enum FrameSource {
    /// Of the head.
    Head(Bytes),
    /// Of what happens.
    Next(Next),
}

/// The next part; waits for it. May be broken off and called again.
async fn next(head: &mut Head<'_>, feed: &Feed) -> FrameSource {
    if !head.is_over() {
        tokio::task::yield_now().await;
        if let Some(part) = head.part() {
            return FrameSource::Head(part);
        }
    }
    FrameSource::Next(feed.next().await)
}

/// Does something, while it is looked what the reader may see.
async fn beside<T>(work: impl Future<Output = T>, look: Pin<&mut impl Future<Output = Infallible>>) -> T {
    tokio::select! {
        done = work => done,
        never = look => match never {},
    }
}

impl<L: Lists> Client<L> {
    /// Subscribes, and sends what happens until either side ends.
    ///
    /// # Errors
    /// The connection's.
    pub async fn events(
        &mut self,
        wanted: Limits,
        ShownView { sight, view }: ShownView<L>,
        seat: &Seat,
    ) -> io::Result<()> {
        let (answer, mine) = oneshot::channel();
        let subscription = self.subscription(Wish { wanted, sight }, seat);
        self.ask(Ask::Events { subscription, answer }).await?;
        let feed = mine.await.map_err(io::Error::other)?;
        // Subscribed: what happens from here on is in the stream.
        self.stream_to(&feed, view, Vec::new(), BytesMut::new(), None).await
    }

    /// Sends the sockets that live, and what happens from then on until either side ends.
    ///
    /// # Errors
    /// The connection's.
    pub async fn follow(
        &mut self,
        wanted: Limits,
        age_ns: u64,
        ShownView { sight, view }: ShownView<L>,
        seat: &Seat,
        turn: Option<SemaphorePermit<'_>>,
    ) -> io::Result<()> {
        // What was listed before a namespace got its number is of another one.
        let age_ns = match (&view, &sight) {
            (Some(view), Sight::Own(own)) => age_ns.min(view.age_ns(own)),
            _ => age_ns,
        };
        let wish = TableWish { live: true, unlisted: true, age_ns, recent_ns: 0, netns: wanted.only_netns() };
        self.listed(&wish).await?;
        let size = self.count_of_table(&sight, &wish).await?.bytes_of_table();
        let memory = &self.counter().memory;
        let mut share = self.unless_gone(memory.wait(size, AnswerMemory::patience())).await?;
        let (answer, snapshot) = oneshot::channel();
        let shown = Wish { wanted, sight: sight.clone() };
        let subscription = self.subscription(shown.clone(), seat);
        let ask = TableAsk { wish, sight, follow: Some(subscription), answer };
        self.ask(Ask::Table(ask)).await?;
        let Snapshot { time_ns, mut live, feed, .. } = snapshot.await.map_err(io::Error::other)?;
        let Some(feed) = feed else { return Err(io::ErrorKind::BrokenPipe.into()) };
        // Others may have come while it was waited for memory.
        if let Err(error) = share.is_enough_for(2 * size_of_val(&live[..])) {
            self.leave(&feed).await?;
            return Err(error);
        }
        live = live.iter().filter_map(|socket| shown.shows(socket)).collect();
        if let Some(view) = &view {
            // It waits for its turn among the user's others, with memory that others wait for.
            let looked = async {
                timeout_at(AnswerMemory::patience(), view.look()).await.unwrap_or_else(|_| Err(NoRoom::Busy.into()))
            };
            if let Err(error) = self.unless_gone(looked).await {
                drop((live, share));
                self.leave(&feed).await?;
                return self.refuse_blind(error).await;
            }
            view.retain_there(&mut live);
        }
        share.keep(size_of_val(&live[..]));
        let mut end = BytesMut::new();
        Answer::LiveEnd { time_ns }.encode(&mut end);
        self.stream_to(&feed, view, live, end, Some(HeldUntilSent { share, _turn: turn })).await
    }

    fn subscription(&self, wish: Wish, seat: &Seat) -> Subscription {
        let (desk, budget) = (Arc::clone(&self.counter().desk), Arc::clone(&seat.user.budget));
        Subscription { wish: Box::new(wish), budget, desk }
    }

    /// Sends the head, and then what comes, and leaves.
    async fn stream_to(
        &mut self,
        feed: &Arc<Feed>,
        view: Option<StreamView<L>>,
        live: Vec<LiveSocket>,
        end: BytesMut,
        held: Option<HeldUntilSent<'_>>,
    ) -> io::Result<()> {
        let outcome = self.send_events(feed, view, live, end, held).await;
        self.leave(feed).await?;
        outcome
    }

    /// Ends a subscription.
    ///
    /// # Errors
    /// The agent ends.
    async fn leave(&self, feed: &Arc<Feed>) -> io::Result<()> {
        let (missed, bytes) = self.counter().desk.leave(feed);
        if bytes > Thrift::MUCH || missed > 0 {
            self.house.thrift.want();
        }
        if missed > 0 {
            self.ask(Ask::ReaderDropped).await?;
        }
        Ok(())
    }

    async fn send_events(
        &mut self,
        feed: &Arc<Feed>,
        view: Option<StreamView<L>>,
        live: Vec<LiveSocket>,
        mut end: BytesMut,
        held: Option<HeldUntilSent<'_>>,
    ) -> io::Result<()> {
        let much = live.len() * size_of::<LiveSocket>() > Thrift::MUCH;
        end.extend_from_slice(&self.status().await?);
        let mut head = Head { live: live.into_iter(), last: Some(end.freeze()), held };
        let (desk, asks) = (Arc::clone(&self.counter().desk), self.house.asks.clone());
        let thrift = Arc::clone(&self.house.thrift);
        let (reader, mut writer) = self.stream.split();
        // A reader of events says nothing more. When it ends its side, or says something all the same, it wants what has been
        // recorded, and no more; one that has gone is noticed when it is written to.
        let finished = async {
            let (mut reader, mut byte) = (reader, [0]);
            let _ = reader.read(&mut byte).await;
        };
        // What it may see changes with the namespaces that its user's processes are in.
        let look = async {
            match &view {
                Some(view) => view.follow(feed).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(finished, look);
        let mut finishing = false;
        loop {
            let next = tokio::select! {
                next = next(&mut head, feed) => next,
                () = &mut finished, if !finishing => {
                    finishing = true;
                    let (feed, desk) = (Arc::clone(feed), Arc::clone(&desk));
                    asks.send(Ask::Finish { feed, desk }).await.map_err(|_| io::ErrorKind::BrokenPipe)?;
                    continue;
                }
                never = &mut look => match never {},
            };
            match next {
                FrameSource::Head(part) => {
                    // As with every list, a reader that takes nothing is not waited for.
                    let writing = patient(write(&mut writer, &part, feed));
                    match &head.held {
                        Some(held) => beside(held.share.before_deadline(writing), look.as_mut()).await?,
                        None => beside(writing, look.as_mut()).await?,
                    }
                    feed.preceded(part.len());
                    if much && head.is_over() {
                        thrift.want();
                    }
                }
                FrameSource::Next(Next::Chunk(chunk)) => {
                    let taken = chunk.len();
                    let chunk = match &view {
                        Some(view) => beside(view.pass(chunk, feed), look.as_mut()).await?,
                        None => chunk,
                    };
                    beside(write(&mut writer, &chunk, feed), look.as_mut()).await?;
                    feed.written(taken);
                }
                FrameSource::Next(Next::Stale) => {
                    let mut stale = BytesMut::new();
                    Answer::Stale.encode(&mut stale);
                    beside(patient(writer.write_all(&stale)), look.as_mut()).await?;
                }
                FrameSource::Next(Next::Dropped(count)) => {
                    let mut last = BytesMut::new();
                    Answer::Dropped(count).encode(&mut last);
                    return writer.write_all(&last).await;
                }
                FrameSource::Next(Next::End) => {
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
    let mut since = Instant::now();
    while !left.is_empty() {
        match tokio::time::timeout(GLANCE, writer.write(left)).await {
            Ok(written) => {
                left = &left[written?..];
                since = Instant::now();
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
