//! What a reader of events has not read yet: bounded, so that a reader that stalls costs a little memory and nobody else anything.

use crate::model::{Event, SocketEvent};
use crate::query::{Answer, EventFilter};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Bytes that may wait for a reader.
const ROOM: usize = 4 << 20;

/// The queue of one reader.
#[derive(Debug, Default)]
pub struct Feed {
    queue: Mutex<Queue>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    /// Events that found no room. From the first on the reader gets no more.
    missed: u64,
    /// No more will come.
    ended: bool,
    /// The reader has gone.
    gone: bool,
}

/// What a reader gets next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Frames.
    Chunk(Bytes),
    /// It was too slow, and so many events are missing.
    Dropped(u64),
    /// The agent ends.
    End,
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts frames that hold `events` events into the queue, or counts these where there is no room. False once the reader is gone, or
    /// wants no more.
    fn push(&self, chunk: Bytes, events: u64) -> bool {
        let mut queue = self.lock();
        if queue.ended || queue.gone {
            return false;
        }
        if queue.missed > 0 || queue.bytes + chunk.len() > ROOM {
            queue.missed += events;
        } else {
            queue.bytes += chunk.len();
            queue.chunks.push_back(chunk);
        }
        self.news.notify_one();
        true
    }

    fn is_over(&self) -> bool {
        let queue = self.lock();
        queue.gone || queue.ended
    }

    /// Whether events found no room.
    pub fn is_full(&self) -> bool {
        self.lock().missed > 0
    }

    /// What comes next; waits for it.
    pub async fn next(&self) -> Next {
        loop {
            let news = self.news.notified();
            {
                let mut queue = self.lock();
                if let Some(chunk) = queue.chunks.pop_front() {
                    queue.bytes -= chunk.len();
                    return Next::Chunk(chunk);
                }
                if queue.missed > 0 {
                    queue.gone = true;
                    return Next::Dropped(queue.missed);
                }
                if queue.ended {
                    return Next::End;
                }
            }
            news.await;
        }
    }

    /// The reader has gone; returns how many events found no room.
    pub fn leave(&self) -> u64 {
        let mut queue = self.lock();
        queue.gone = true;
        queue.chunks.clear();
        queue.missed
    }

    /// No more will come.
    pub fn end(&self) {
        self.lock().ended = true;
        self.news.notify_one();
    }
}

/// Gives each reader those events of a batch that it wants, and forgets the readers that have gone.
pub fn publish(feeds: &mut Vec<(EventFilter, Arc<Feed>)>, batch: &[SocketEvent]) {
    feeds.retain(|(filter, feed)| {
        let (mut out, mut count) = (BytesMut::new(), 0);
        for event in batch.iter().filter(|event| filter.passes(event)) {
            Answer::Event(*event).encode(&mut out);
            count += 1;
        }
        if count == 0 { !feed.is_over() } else { feed.push(out.freeze(), count) }
    });
}

/// Tells every reader of a loss.
pub fn publish_lost(feeds: &[(EventFilter, Arc<Feed>)], event: &Event) {
    let Event::Lost { time_ns, count } = *event else { return };
    let mut out = BytesMut::new();
    Answer::Lost { time_ns, count }.encode(&mut out);
    let out = out.freeze();
    for (_, feed) in feeds {
        feed.push(out.clone(), 0);
    }
}
