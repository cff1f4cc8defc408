//! Where batches of events wait for the readers of one thread: the task that folds events hands each batch over, and goes on; the thread chooses and
//! encodes for every reader.

use super::batch::{Batch, Wish};
use super::feed::{Budget, Feed};
use crate::query::Answer;
use crate::sys::lock;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// What a desk has still to do.
#[derive(Debug)]
enum Item {
    Batch(u64, Batch),
    /// The frame of a loss.
    Lost(u64, Bytes),
    /// This reader gets no more.
    End(Arc<Feed>),
}

/// Where batches wait for one thread's readers.
#[derive(Debug)]
pub struct Desk {
    items: Mutex<Items>,
    feeds: Mutex<Vec<Arc<Feed>>>,
    news: Notify,
    /// Events that may wait.
    most: usize,
}

#[derive(Debug, Default)]
struct Items {
    queue: VecDeque<Item>,
    /// Events and changes in it.
    events: usize,
    /// Number of the next batch.
    next: u64,
}

impl Desk {
    /// A desk at which so many events may wait: what is more is missed by all its readers.
    pub fn new(most: usize) -> Self {
        Self { items: Mutex::default(), feeds: Mutex::default(), news: Notify::new(), most }
    }

    /// Whether nobody reads.
    pub fn is_idle(&self) -> bool {
        lock(&self.feeds).is_empty()
    }

    /// Whether somebody follows the table.
    pub fn is_followed(&self) -> bool {
        lock(&self.feeds).iter().any(|feed| feed.follows && !feed.is_over())
    }

    /// A reader of what is handed over from now on; one that `follows` the table, of what the kernel's lists change, too.
    pub fn join(&self, wish: Wish, budget: Arc<Budget>, follows: bool) -> Arc<Feed> {
        let feed = Arc::new(Feed::new(wish, budget, lock(&self.items).next, follows));
        lock(&self.feeds).push(Arc::clone(&feed));
        feed
    }

    /// Hands over a batch.
    pub fn publish(&self, batch: &Batch) {
        let number = {
            let mut items = lock(&self.items);
            let number = items.next;
            items.next += 1;
            if items.events + batch.len() <= self.most {
                items.events += batch.len();
                items.queue.push_back(Item::Batch(number, batch.clone()));
                self.news.notify_one();
                return;
            }
            number
        };
        for feed in self.readers_of(number, batch) {
            let missed = batch.count(&lock(&feed.wish));
            feed.miss(missed);
        }
    }

    /// Reports a loss to every reader.
    pub fn lost(&self, time_ns: u64, count: u64) {
        let mut out = BytesMut::new();
        Answer::Lost { time_ns, count }.encode(&mut out);
        let mut items = lock(&self.items);
        let number = items.next;
        items.next += 1;
        items.queue.push_back(Item::Lost(number, out.freeze()));
        self.news.notify_one();
    }

    /// Ends a reader behind what has been handed over.
    pub fn end(&self, feed: Arc<Feed>) {
        lock(&self.items).queue.push_back(Item::End(feed));
        self.news.notify_one();
    }

    /// Ends every reader behind what has been handed over.
    pub fn end_all(&self) {
        let feeds = lock(&self.feeds).clone();
        feeds.into_iter().for_each(|feed| self.end(feed));
    }

    /// The readers for whom a batch is; those that have gone are forgotten.
    fn readers(&self, number: u64) -> Vec<Arc<Feed>> {
        let mut feeds = lock(&self.feeds);
        feeds.retain(|feed| !feed.is_over());
        feeds.iter().filter(|feed| feed.from <= number).cloned().collect()
    }

    /// The same, without those whom the batch is not for.
    fn readers_of(&self, number: u64, batch: &Batch) -> Vec<Arc<Feed>> {
        let mut readers = self.readers(number);
        readers.retain(|feed| feed.follows || matches!(batch, Batch::Events(_)));
        readers
    }

    /// Serves the readers, for ever.
    pub async fn serve(&self) {
        loop {
            let news = self.news.notified();
            let item = {
                let mut items = lock(&self.items);
                let item = items.queue.pop_front();
                if let Some(Item::Batch(_, batch)) = &item {
                    items.events -= batch.len();
                }
                item
            };
            match item {
                None => news.await,
                Some(item) => {
                    self.deliver(item);
                    // The readers' own tasks are on this thread.
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    fn deliver(&self, item: Item) {
        match item {
            Item::Batch(number, batch) => {
                // Readers that want the same share the same bytes.
                let mut made: Vec<(Wish, Bytes, u64)> = Vec::new();
                for feed in self.readers_of(number, &batch) {
                    let wish = lock(&feed.wish);
                    if feed.is_full() {
                        feed.miss(batch.count(&wish));
                        continue;
                    }
                    let at = made.iter().position(|(other, ..)| other.is_same(&wish)).unwrap_or_else(|| {
                        let (bytes, count) = batch.encode(&wish);
                        made.push((wish.clone(), bytes, count));
                        made.len() - 1
                    });
                    let (_, bytes, count) = &made[at];
                    if *count > 0 {
                        feed.push(bytes, *count);
                    }
                }
            }
            Item::Lost(number, frame) => {
                for feed in self.readers(number) {
                    feed.push(&frame, 0);
                }
            }
            Item::End(feed) => feed.end(),
        }
    }
}
