//! What one reader of events has not read yet, and how much that may be. A reader's room is for its own slowness: what the agent hands over in one go
//! because it paused itself does not count against a reader that takes what it gets.

use super::batch::Wish;
use super::budget::Budget;
use super::sight::Sight;
use crate::sys::{self, lock};
use bytes::Bytes;
use rustix::time::ClockId;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Bytes that may wait for a reader that takes nothing.
const ROOM: usize = 4 << 20;
/// Bytes that may wait for one that takes some.
const MOST: usize = 32 << 20;
/// How long a reader may take nothing before its room is [`ROOM`].
const STUCK: Duration = Duration::from_millis(250);

/// The queue of one reader.
#[derive(Debug)]
pub struct Feed {
    /// What it wants and is shown now.
    wish: Mutex<Arc<Wish>>,
    queue: Mutex<Queue>,
    news: Notify,
    budget: Arc<Budget>,
    /// Number of the first batch that is for it.
    pub from: u64,
    /// Whether it follows the table: what the kernel's lists change of that is for it, too.
    pub follows: bool,
}

#[derive(Debug, Default)]
struct Queue {
    /// Frames, and how many events are in them.
    chunks: VecDeque<(Bytes, u64)>,
    /// Bytes of those, and of the one that is being written.
    bytes: usize,
    /// Room beside the usual, for what has come while the table was sent.
    extra: usize,
    /// [`Next::Stale`] is still to be sent.
    stale: bool,
    /// Events that found no room. From the first on the reader gets no more.
    missed: u64,
    /// Since when the reader takes nothing of what is being written.
    blocked: Option<Instant>,
    /// No more will come.
    ended: bool,
    /// The reader has gone.
    gone: bool,
}

/// What a reader gets next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Frames. [`Feed::written`] follows.
    Chunk(Bytes),
    /// Other network namespaces are shown from here on.
    Stale,
    /// It was too slow, and so many events are missing.
    Dropped(u64),
    /// The agent ends.
    End,
}

impl Feed {
    /// An empty queue; `from` is the number of the first batch for it.
    pub fn new(wish: Wish, budget: Arc<Budget>, from: u64, follows: bool) -> Self {
        Self { wish: Mutex::new(Arc::new(wish)), queue: Mutex::default(), news: Notify::new(), budget, from, follows }
    }

    /// Whether both are of the same user.
    pub fn shares_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.budget, &other.budget)
    }

    /// Whether its user's readers have time left in this second.
    pub fn has_time(&self) -> bool {
        self.budget.has_time()
    }

    /// Does something for it, in processor time of its user.
    pub fn timed<T>(&self, work: impl FnOnce() -> T) -> T {
        let begun_ns = sys::clock_ns(ClockId::ThreadCPUTime);
        let done = work();
        self.budget.spend(Duration::from_nanos(sys::clock_ns(ClockId::ThreadCPUTime) - begun_ns));
        done
    }

    /// What it wants and is shown now. Nobody waits for whoever has it.
    pub fn wish(&self) -> Arc<Wish> {
        Arc::clone(&lock(&self.wish))
    }

    /// Shows the reader something else from now on.
    pub fn show(&self, sight: Sight) {
        let before = self.wish();
        if self.follows && !before.sight.has_same_namespaces(&sight) {
            lock(&self.queue).stale = true;
            self.news.notify_one();
        }
        let after = Arc::new(Wish { wanted: before.wanted.clone(), sight });
        *lock(&self.wish) = after;
    }

    /// So many bytes of the table have been sent before anything of the queue. They make room for as many: a reader that takes what it gets as
    /// fast as it comes does not lose it to a table that is long.
    pub fn preceded(&self, bytes: usize) {
        let mut queue = lock(&self.queue);
        queue.extra += bytes;
        queue.blocked = None;
    }

    /// Puts frames that hold `events` events into the queue, or counts these where there is no room.
    pub fn push(&self, chunk: &Bytes, events: u64) {
        let mut queue = lock(&self.queue);
        if queue.ended || queue.gone {
            return;
        }
        let bytes = queue.bytes + chunk.len();
        let stuck = || queue.blocked.is_some_and(|since| since.elapsed() >= STUCK);
        let full = bytes > MOST + queue.extra || bytes > ROOM && stuck() || !self.budget.has_room(chunk.len());
        if queue.missed > 0 || full {
            // A loss that cannot be reported has no events.
            queue.missed += events.max(1);
        } else {
            queue.bytes = bytes;
            self.budget.take(chunk.len());
            queue.chunks.push_back((chunk.clone(), events));
        }
        self.news.notify_one();
    }

    /// Counts events that are not put into the queue: from here on the reader gets no more.
    pub fn miss(&self, events: u64) {
        let mut queue = lock(&self.queue);
        if events > 0 && !queue.ended && !queue.gone {
            queue.missed += events;
            self.news.notify_one();
        }
    }

    /// The reader is dropped here and now: what comes later is not counted any more.
    pub fn cut(&self) {
        let mut queue = lock(&self.queue);
        if !queue.ended && !queue.gone {
            // Something of what comes was for it, or could have been.
            queue.missed = queue.missed.max(1);
            queue.ended = true;
            self.news.notify_one();
        }
    }

    /// Whether the reader has gone, or no more will come for it.
    pub fn is_over(&self) -> bool {
        let queue = lock(&self.queue);
        queue.gone || queue.ended
    }

    /// Whether events found no room.
    pub fn is_full(&self) -> bool {
        lock(&self.queue).missed > 0
    }

    /// The reader takes nothing, or takes something again.
    pub fn blocked(&self, blocked: bool) {
        let mut queue = lock(&self.queue);
        queue.blocked = if blocked { queue.blocked.or_else(|| Some(Instant::now())) } else { None };
    }

    /// Frames have been written.
    pub fn written(&self, bytes: usize) {
        let mut queue = lock(&self.queue);
        queue.bytes -= bytes.min(queue.bytes);
        queue.extra = queue.extra.min(queue.bytes);
        queue.blocked = None;
        self.budget.give_back(bytes);
    }

    /// Counts what waits as missed, too: its memory is wanted, and the reader does not come for it.
    pub fn give_up(&self) {
        let mut queue = lock(&self.queue);
        for (chunk, events) in std::mem::take(&mut queue.chunks) {
            queue.bytes -= chunk.len().min(queue.bytes);
            self.budget.give_back(chunk.len());
            queue.missed += events.max(1);
        }
    }

    /// What comes next; waits for it.
    pub async fn next(&self) -> Next {
        loop {
            let news = self.news.notified();
            {
                let mut queue = lock(&self.queue);
                if std::mem::take(&mut queue.stale) {
                    return Next::Stale;
                }
                if let Some((chunk, _)) = queue.chunks.pop_front() {
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

    /// The reader has gone; returns how many events found no room, and how many bytes waited.
    pub fn leave(&self) -> (u64, usize) {
        let mut queue = lock(&self.queue);
        queue.gone = true;
        queue.chunks = VecDeque::new();
        let bytes = std::mem::take(&mut queue.bytes);
        self.budget.give_back(bytes);
        (queue.missed, bytes)
    }

    /// What waits, for tests.
    #[cfg(test)]
    pub fn waiting(&self) -> Option<Bytes> {
        lock(&self.queue).chunks.pop_front().map(|(chunk, _)| chunk)
    }

    /// Keeps others from what the reader wants, for tests.
    #[cfg(test)]
    pub fn hold_wish(&self) -> std::sync::MutexGuard<'_, Arc<Wish>> {
        lock(&self.wish)
    }

    /// No more will come.
    pub fn end(&self) {
        lock(&self.queue).ended = true;
        self.news.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Own;
    use super::*;
    use crate::model::Limits;

    fn feed(most: usize) -> Feed {
        let wish = Wish { wanted: Limits::default(), sight: Sight::All };
        Feed::new(wish, Budget::new(most, Duration::MAX, Some(Budget::unbounded())), 0, true)
    }

    fn next(feed: &Feed) -> Next {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(feed.next())
    }

    #[test]
    fn a_reader_that_takes_some_has_more_room_than_one_that_takes_nothing() {
        let chunk = Bytes::from(vec![0; 1 << 20]);
        let (quick, stuck) = (feed(usize::MAX), feed(usize::MAX));
        lock(&stuck.queue).blocked = Instant::now().checked_sub(STUCK);
        for _ in 0..10 {
            quick.push(&chunk, 100);
            stuck.push(&chunk, 100);
        }
        assert!(!quick.is_full());
        assert_eq!(lock(&stuck.queue).missed, 600);
        (0..40).for_each(|_| quick.push(&chunk, 1));
        assert_eq!(lock(&quick.queue).missed, 18);
    }

    /// The room that the table made is there until what came meanwhile has been read.
    #[test]
    fn a_long_table_makes_room_for_what_happens_while_it_is_sent() {
        let chunk = Bytes::from(vec![0; 1 << 20]);
        let feed = feed(usize::MAX);
        feed.preceded(64 << 20);
        (0..96).for_each(|_| feed.push(&chunk, 1));
        assert!(!feed.is_full());
        for _ in 0..80 {
            assert!(matches!(next(&feed), Next::Chunk(_)));
            feed.written(chunk.len());
        }
        (0..32).for_each(|_| feed.push(&chunk, 1));
        assert!(!feed.is_full(), "16 of before, and the usual");
        feed.push(&chunk, 1);
        assert!(feed.is_full());
        // One that takes nothing has no more than others have.
        let stuck = self::feed(usize::MAX);
        stuck.preceded(64 << 20);
        lock(&stuck.queue).blocked = Instant::now().checked_sub(STUCK);
        (0..5).for_each(|_| stuck.push(&chunk, 1));
        assert!(stuck.is_full());
    }

    #[test]
    fn who_follows_the_table_learns_that_other_namespaces_are_shown() {
        let own = |netns| Sight::Own(Arc::new(Own { namespaces: [netns].into(), ..Own::default() }));
        let feed = feed(usize::MAX);
        feed.show(own(1));
        assert_eq!(next(&feed), Next::Stale);
        feed.show(own(1));
        feed.push(&Bytes::from_static(b"x"), 1);
        assert!(matches!(next(&feed), Next::Chunk(_)));
        feed.show(own(2));
        assert_eq!(next(&feed), Next::Stale);
    }

    #[test]
    fn what_is_given_up_is_counted_and_its_room_is_given_back() {
        let feed = feed(3 << 20);
        let chunk = Bytes::from(vec![0; 1 << 20]);
        (0..5).for_each(|_| feed.push(&chunk, 10));
        assert!(matches!(next(&feed), Next::Chunk(_)));
        feed.give_up();
        assert_eq!(feed.budget.waiting(), 1 << 20, "one is being written");
        feed.written(chunk.len());
        feed.miss(7);
        assert_eq!(next(&feed), Next::Dropped(47));
        assert_eq!(feed.leave(), (47, 0));
        assert_eq!(feed.budget.waiting(), 0);
    }
}
