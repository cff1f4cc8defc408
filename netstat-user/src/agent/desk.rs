//! Where batches of events wait for the readers of one thread: the task that folds events hands each batch over, and goes on; the thread chooses and
//! encodes for every reader.

use super::batch::{Batch, Wish};
use super::budget::Budget;
use super::feed::Feed;
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
    /// A batch for which there was no room: what of it its readers miss is counted.
    Skipped(u64, Batch),
    /// From this number on there was no room for batches even to be counted: the readers that are there by then are dropped.
    Cut(u64),
    /// A loss: when, and how much.
    Lost(u64, u64, u64),
    /// This reader gets no more.
    End(Arc<Feed>),
}

/// Where batches wait for one thread's readers.
#[derive(Debug)]
pub struct Desk {
    items: Mutex<Items>,
    feeds: Mutex<Vec<Arc<Feed>>>,
    news: Notify,
    /// Events that may wait to be handed on, and as many more to be counted.
    most: usize,
}

#[derive(Debug, Default)]
struct Items {
    queue: VecDeque<Item>,
    /// Events and changes in it that are to be handed on, and that are to be counted.
    events: usize,
    skipped: usize,
    /// Number of the next batch.
    next: u64,
    /// That of the first batch for the reader that came last.
    joined: u64,
}

impl Items {
    /// The last cut, or the last loss, if nothing but such has come since; not where a reader has come since.
    fn last(&mut self, is_wanted: fn(&Item) -> bool) -> Option<&mut Item> {
        let joined = self.joined;
        let among = self.queue.iter_mut().rev().take_while(|item| matches!(item, Item::Cut(_) | Item::Lost(..)));
        let mut wanted = among.filter(|item| is_wanted(item));
        wanted.next().filter(|item| matches!(item, Item::Cut(number) | Item::Lost(number, ..) if *number >= joined))
    }
}

impl Desk {
    /// A desk that holds this many events. As many more are only counted, for each reader; beyond that, its readers are dropped.
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

    /// Registers a reader of the batches from now on; if it `follows` the table, also of what listings change.
    pub fn join(&self, wish: Wish, budget: Arc<Budget>, follows: bool) -> Arc<Feed> {
        let from = {
            let mut items = lock(&self.items);
            items.joined = items.next;
            items.next
        };
        let feed = Arc::new(Feed::new(wish, budget, from, follows));
        lock(&self.feeds).push(Arc::clone(&feed));
        feed
    }

    /// A reader has gone; returns how many events found no room, and how many bytes waited for it.
    pub fn leave(&self, feed: &Arc<Feed>) -> (u64, usize) {
        lock(&self.feeds).retain(|other| !Arc::ptr_eq(other, feed));
        feed.leave()
    }

    /// Queues a batch. It takes no longer where there is no room: what each reader misses is counted later.
    pub fn publish(&self, batch: &Batch) {
        let mut items = lock(&self.items);
        let number = items.next;
        items.next += 1;
        if items.events + batch.len() <= self.most {
            items.events += batch.len();
            items.queue.push_back(Item::Batch(number, batch.clone()));
        } else if items.skipped + batch.len() <= self.most {
            items.skipped += batch.len();
            items.queue.push_back(Item::Skipped(number, batch.clone()));
        } else if let Some(Item::Cut(last)) = items.last(|item| matches!(item, Item::Cut(_))) {
            *last = number;
        } else {
            items.queue.push_back(Item::Cut(number));
        }
        self.news.notify_one();
    }

    /// Reports a loss to every reader.
    pub fn lost(&self, time_ns: u64, count: u64) {
        let mut items = lock(&self.items);
        let number = items.next;
        items.next += 1;
        if let Some(Item::Lost(last, at_ns, sum)) = items.last(|item| matches!(item, Item::Lost(..))) {
            (*last, *at_ns, *sum) = (number, time_ns, *sum + count);
        } else {
            items.queue.push_back(Item::Lost(number, time_ns, count));
        }
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
                match &item {
                    Some(Item::Batch(_, batch)) => items.events -= batch.len(),
                    Some(Item::Skipped(_, batch)) => items.skipped -= batch.len(),
                    _ => {}
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
                let mut made = MadeOf::new(&batch);
                for feed in self.readers_of(number, &batch) {
                    if feed.is_full() {
                        made.miss(&feed);
                    } else {
                        made.send(&feed);
                    }
                }
            }
            Item::Skipped(number, batch) => {
                let mut made = MadeOf::new(&batch);
                self.readers_of(number, &batch).iter().for_each(|feed| made.miss(feed));
            }
            Item::Cut(number) => self.readers(number).iter().for_each(|feed| feed.cut()),
            Item::Lost(number, time_ns, count) => {
                let mut frame = BytesMut::new();
                Answer::Lost { time_ns, count }.encode(&mut frame);
                let frame = frame.freeze();
                for feed in self.readers(number) {
                    feed.push(&frame, 0);
                }
            }
            Item::End(feed) => feed.end(),
        }
    }
}

/// A batch encoded for its readers, once for all that want the same. The first reader of each user is always served, the others while there is time.
struct MadeOf<'b> {
    batch: &'b Batch,
    sent: Vec<(Arc<Wish>, (Bytes, u64))>,
    counted: Vec<(Arc<Wish>, u64)>,
    /// The first readers of each user.
    firsts: Vec<Arc<Feed>>,
}

impl<'b> MadeOf<'b> {
    const fn new(batch: &'b Batch) -> Self {
        Self { batch, sent: Vec::new(), counted: Vec::new(), firsts: Vec::new() }
    }

    /// What the batch is for a reader.
    fn send(&mut self, feed: &Arc<Feed>) {
        let batch = self.batch;
        if let Some((bytes, count)) = Self::of(&mut self.sent, &mut self.firsts, feed, |wish| batch.encode(wish))
            && count > 0
        {
            feed.push(&bytes, count);
        }
    }

    /// A reader misses the batch.
    fn miss(&mut self, feed: &Arc<Feed>) {
        let batch = self.batch;
        if let Some(count) = Self::of(&mut self.counted, &mut self.firsts, feed, |wish| batch.count(wish)) {
            feed.miss(count);
        }
    }

    /// What was made for such a reader, or is made now; `None` where there is no time for the reader, which is dropped.
    fn of<T: Clone>(
        made: &mut Vec<(Arc<Wish>, T)>,
        firsts: &mut Vec<Arc<Feed>>,
        feed: &Arc<Feed>,
        make: impl FnOnce(&Wish) -> T,
    ) -> Option<T> {
        if !firsts.iter().any(|first| first.shares_with(feed)) {
            firsts.push(Arc::clone(feed));
        } else if !feed.has_time() {
            feed.cut();
            return None;
        }
        let wish = feed.wish();
        if let Some((_, made)) = made.iter().find(|(other, _)| other.is_same(&wish)) {
            return Some(made.clone());
        }
        let it = feed.timed(|| make(&wish));
        made.push((wish, it.clone()));
        Some(it)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{sight::Sight, tests::opened};
    use super::*;
    use crate::model::Limits;
    use std::time::{Duration, Instant};

    fn batch(events: usize, netns: u32) -> Batch {
        Batch::Events(Arc::new(vec![opened(netns, 1); events]))
    }

    fn join(desk: &Desk, netns: u32) -> Arc<Feed> {
        let wanted = Limits { netns: Some(vec![netns]), ..Limits::default() };
        desk.join(Wish { wanted, sight: Sight::All }, Budget::unbounded(), false)
    }

    /// Who has many readers takes no more of the thread's time than is theirs; one of them is served in any case.
    #[test]
    fn readers_beyond_their_users_time_are_dropped() {
        let desk = Desk::new(1000);
        let join = |budget: &Arc<Budget>, other| {
            let wanted = Limits { netns: Some(vec![1, other]), ..Limits::default() };
            desk.join(Wish { wanted, sight: Sight::All }, Arc::clone(budget), false)
        };
        let [crowd, other] = [Budget::new(usize::MAX, Duration::ZERO, None), Budget::unbounded()];
        let feeds = [join(&crowd, 1), join(&crowd, 2), join(&other, 3), join(&other, 4)];
        desk.publish(&batch(3, 1));
        deliver_all(&desk);
        assert_eq!(feeds.each_ref().map(|feed| feed.is_over()), [false, true, false, false]);
    }

    fn deliver_all(desk: &Desk) {
        while let Some(item) = { lock(&desk.items).queue.pop_front() } {
            desk.deliver(item);
        }
        let mut items = lock(&desk.items);
        (items.events, items.skipped) = (0, 0);
    }

    /// Whoever hands over is held up neither by readers that want different things nor by one whose wish is in use, however full the desk is.
    #[test]
    fn what_finds_no_room_is_counted_by_the_desk() {
        let desk = Desk::new(10);
        let feeds: Vec<_> = (0..64).map(|netns| join(&desk, netns)).collect();
        std::thread::scope(|scope| {
            let (hold, held) = (std::sync::mpsc::channel::<()>(), std::sync::mpsc::channel());
            let feed = &feeds[0];
            scope.spawn(move || {
                let _wish = feed.hold_wish();
                held.0.send(()).unwrap();
                let _ = hold.1.recv_timeout(Duration::from_secs(20));
            });
            held.1.recv().unwrap();
            let begun = Instant::now();
            desk.publish(&batch(8, 3));
            desk.publish(&batch(5, 3));
            desk.publish(&batch(5, 4));
            assert!(begun.elapsed() < Duration::from_secs(10));
            assert_eq!(feeds[3].leave().0, 0, "not counted here");
            drop(hold.0);
        });
        deliver_all(&desk);
        assert_eq!([feeds[4].leave().0, feeds[5].leave().0], [5, 0]);
    }

    /// However far behind a desk is, what waits there has an end: first events are counted only, then their readers are dropped.
    #[test]
    fn what_waits_at_a_desk_has_an_end() {
        let desk = Desk::new(10);
        let (three, four) = (join(&desk, 3), join(&desk, 4));
        for _ in 0..1000 {
            desk.publish(&batch(5, 3));
            desk.lost(7, 2);
        }
        assert!(lock(&desk.items).queue.len() < 12, "{}", lock(&desk.items).queue.len());
        let late = join(&desk, 4);
        desk.lost(8, 5);
        assert_eq!(lock(&desk.items).joined, late.from);
        deliver_all(&desk);
        let frames = |feed: &Feed| {
            let mut lost = Vec::new();
            while let Some(frame) = feed.waiting() {
                let mut frame = BytesMut::from(&frame[..]);
                while let Ok(Some(body)) = crate::query::next_frame(&mut frame, crate::query::MAX_ANSWER) {
                    if let Ok(Answer::Lost { count, .. }) = Answer::decode(body) {
                        lost.push(count);
                    }
                }
            }
            lost
        };
        assert_eq!(frames(&late), [5], "what was lost before is not its loss");
        assert!(frames(&four).iter().sum::<u64>() < 2005 && four.is_over(), "dropped, with a last frame");
        // Two batches were handed on, two were counted.
        assert!(three.leave().0 >= 10 && four.leave().0 >= 1 && late.leave().0 == 0);
    }

    #[test]
    fn a_reader_that_has_gone_leaves_nothing_behind() {
        let desk = Desk::new(10);
        let feeds: Vec<_> = (0..100).map(|_| join(&desk, 1)).collect();
        assert!(feeds.iter().all(|feed| desk.leave(feed) == (0, 0)));
        assert!(desk.is_idle());
        assert!(feeds.iter().all(|feed| Arc::strong_count(feed) == 1));
    }
}
