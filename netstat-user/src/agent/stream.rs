//! A stream of events to one reader.

use super::Lists;
use super::client::{Client, patient};
use super::door::Seat;
use super::feed::{Feed, Next, Wish};
use super::keeper::Ask;
use super::sight::Sight;
use crate::model::Limits;
use crate::query::Answer;
use crate::sys;
use bytes::BytesMut;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long what waits for a reader that is to be dropped is kept for it.
const STALL: Duration = Duration::from_secs(60);
/// How often it is looked what a reader may see by now.
const LOOK: Duration = Duration::from_secs(2);
/// How often a reader that takes nothing is looked at.
const GLANCE: Duration = Duration::from_millis(100);
/// Bytes that waited for a reader, after which the memory is given back.
const MUCH: usize = 4 << 20;

impl<L: Lists> Client<L> {
    /// Subscribes, and sends what happens until either side ends.
    ///
    /// # Errors
    /// The connection's.
    pub async fn events(&mut self, wanted: Limits, sight: Sight, seat: &Seat) -> io::Result<()> {
        let (answer, mine) = oneshot::channel();
        let wish = Box::new(Wish { wanted, sight });
        let (desk, budget) = (Arc::clone(&self.counter().desk), Arc::clone(&seat.user.budget));
        self.ask(Ask::Events { wish, budget, desk, answer }).await?;
        let feed = mine.await.map_err(io::Error::other)?;
        // Subscribed: what happens from here on is in the stream.
        let outcome = self.send_events(&feed).await;
        let (missed, bytes) = feed.leave();
        if bytes > MUCH || missed > 0 {
            self.counter().workers.hand(sys::give_back_memory);
        }
        if missed > 0 {
            self.ask(Ask::ReaderDropped).await?;
        }
        outcome
    }

    async fn send_events(&mut self, feed: &Arc<Feed>) -> io::Result<()> {
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
