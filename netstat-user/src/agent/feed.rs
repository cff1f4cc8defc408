//! What readers of events have not read yet. The task that folds events hands each batch to a desk, and goes on; the desk's thread chooses and
//! encodes for every reader. A reader's room is for its own slowness: what the agent hands over in one go because it paused itself does not
//! count against a reader that takes what it gets.

use super::sight::Sight;
use crate::model::{Limits, LiveSocket, SocketEvent};
use crate::query::Answer;
use crate::sys::lock;
use crate::table::Change;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Bytes that may wait for a reader that takes nothing.
const ROOM: usize = 4 << 20;
/// Bytes that may wait for one that takes some.
const MOST: usize = 32 << 20;
/// How long a reader may take nothing before its room is [`ROOM`].
const STUCK: Duration = Duration::from_millis(250);

/// Bytes that may wait for all readers of one user, or of all of them.
#[derive(Debug)]
pub struct Budget {
    waiting: AtomicUsize,
    most: usize,
    /// That of which this is a part.
    whole: Option<Arc<Self>>,
}

impl Budget {
    /// So many bytes, within another budget.
    pub fn new(most: usize, whole: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self { waiting: AtomicUsize::new(0), most, whole })
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.waiting.load(Ordering::Relaxed) + bytes <= self.most
            && self.whole.as_ref().is_none_or(|whole| whole.has_room(bytes))
    }

    fn take(&self, bytes: usize) {
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        self.whole.iter().for_each(|whole| whole.take(bytes));
    }

    fn give_back(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        self.whole.iter().for_each(|whole| whole.give_back(bytes));
    }
}

/// What a reader wants, and is shown.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What it asked for.
    pub wanted: Limits,
    /// What it may see.
    pub sight: Sight,
}

impl Wish {
    /// The event as the reader may see it, if that is wanted: what is hidden from it decides nothing.
    fn grants(&self, event: &SocketEvent) -> Option<SocketEvent> {
        self.sight.event(event).filter(|shown| self.wanted.passes(shown))
    }

    /// The live socket as the reader may see it, if it is wanted: its kind and its network namespace decide.
    pub fn shows(&self, socket: &LiveSocket) -> Option<LiveSocket> {
        let Limits { protos, netns, .. } = &self.wanted;
        let is_wanted = protos.as_ref().is_none_or(|protos| protos.contains(&socket.proto))
            && netns.as_ref().is_none_or(|wanted| socket.netns.is_some_and(|netns| wanted.contains(&netns)));
        self.sight.live(socket).filter(|_| is_wanted)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.wanted == other.wanted && self.sight.is_same(&other.sight)
    }
}

/// What is handed over at a time.
#[derive(Clone, Debug)]
pub enum Batch {
    /// What happened.
    Events(Arc<Vec<SocketEvent>>),
    /// What the kernel's lists have changed of the table: for those who follow it.
    Changes(Arc<Vec<Change>>),
}

impl Batch {
    fn len(&self) -> usize {
        match self {
            Self::Events(events) => events.len(),
            Self::Changes(changes) => changes.len(),
        }
    }

    /// What of it is granted, as frames, and how much that is.
    fn encode(&self, wish: &Wish) -> (Bytes, u64) {
        let (mut out, mut count) = (BytesMut::new(), 0);
        match self {
            Self::Events(events) => {
                for event in events.iter().filter_map(|event| wish.grants(event)) {
                    Answer::Event(event).encode(&mut out);
                    count += 1;
                }
            }
            Self::Changes(changes) => {
                for change in &**changes {
                    let [before, after] = [change.before, change.after].map(|socket| wish.shows(&socket?));
                    if before != after {
                        before.iter().for_each(|socket| Answer::Gone(*socket).encode(&mut out));
                        after.iter().for_each(|socket| Answer::Live(*socket).encode(&mut out));
                        count += 1;
                    }
                }
            }
        }
        (out.freeze(), count)
    }

    /// How much of it is granted.
    fn count(&self, wish: &Wish) -> u64 {
        match self {
            Self::Events(events) => events.iter().filter_map(|event| wish.grants(event)).count() as u64,
            Self::Changes(_) => self.encode(wish).1,
        }
    }
}

/// The queue of one reader.
#[derive(Debug)]
pub struct Feed {
    wish: Mutex<Wish>,
    queue: Mutex<Queue>,
    news: Notify,
    budget: Arc<Budget>,
    /// Number of the first batch that is for it.
    from: u64,
    /// Whether it follows the table: what the kernel's lists change of that is for it, too.
    follows: bool,
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
        Self { wish: Mutex::new(wish), queue: Mutex::default(), news: Notify::new(), budget, from, follows }
    }

    /// Shows the reader something else from now on.
    pub fn show(&self, sight: Sight) {
        let mut wish = lock(&self.wish);
        if self.follows && !wish.sight.has_same_namespaces(&sight) {
            lock(&self.queue).stale = true;
            self.news.notify_one();
        }
        wish.sight = sight;
    }

    /// So many bytes of the table have been sent before anything of the queue. They make room for as many: a reader that takes what it gets as
    /// fast as it comes does not lose it to a table that is long.
    pub fn preceded(&self, bytes: usize) {
        let mut queue = lock(&self.queue);
        queue.extra += bytes;
        queue.blocked = None;
    }

    /// Puts frames that hold `events` events into the queue, or counts these where there is no room.
    fn push(&self, chunk: &Bytes, events: u64) {
        let mut queue = lock(&self.queue);
        if queue.ended || queue.gone {
            return;
        }
        let bytes = queue.bytes + chunk.len();
        let stuck = || queue.blocked.is_some_and(|since| since.elapsed() >= STUCK);
        let full = bytes > MOST + queue.extra || bytes > ROOM && stuck() || !self.budget.has_room(chunk.len());
        if queue.missed > 0 || full {
            queue.missed += events;
        } else {
            queue.bytes = bytes;
            self.budget.take(chunk.len());
            queue.chunks.push_back((chunk.clone(), events));
        }
        self.news.notify_one();
    }

    /// Counts events that are not put into the queue: from here on the reader gets no more.
    fn miss(&self, events: u64) {
        let mut queue = lock(&self.queue);
        if events > 0 && !queue.ended && !queue.gone {
            queue.missed += events;
            self.news.notify_one();
        }
    }

    fn is_over(&self) -> bool {
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
            queue.missed += events;
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

    /// No more will come.
    pub fn end(&self) {
        lock(&self.queue).ended = true;
        self.news.notify_one();
    }
}

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

#[cfg(test)]
mod tests {
    use super::super::Own;
    use super::*;
    use crate::model::{Comm, EventKind, Grade, Owner, Proto};

    fn feed(most: usize) -> Feed {
        let wish = Wish { wanted: Limits::default(), sight: Sight::All };
        Feed::new(wish, Budget::new(most, Some(Budget::new(usize::MAX, None))), 0, true)
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

    /// Whether an event passes must not depend on an owner that the reader may not see, or else the reader could find out the owner by asking.
    #[test]
    fn what_a_reader_may_not_see_decides_nothing() {
        let owner = Owner { pid: 4, comm: Comm::new(b"secret"), grade: Grade::Created, cgroup_id: None };
        let of = |uid| SocketEvent {
            time_ns: 1,
            kind: EventKind::Open,
            proto: Proto::Tcp,
            local: None,
            remote: None,
            owner: Some(owner),
            uid: Some(uid),
            inode: None,
            cookie: None,
            netns: Some(1),
        };
        let own = Own { uid: 7, namespaces: [1].into(), ..Own::default() };
        let wish = |pid| {
            let wanted = Limits { pids: Some(vec![pid]), ..Limits::default() };
            Wish { wanted, sight: Sight::Own(own.clone().into()) }
        };
        // The reader decides about owners that it is not shown.
        assert_eq!([4, 5].map(|pid| Batch::Events(Arc::new(vec![of(0)])).count(&wish(pid))), [1, 1]);
        assert_eq!([4, 5].map(|pid| Batch::Events(Arc::new(vec![of(7)])).count(&wish(pid))), [1, 0]);
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
    fn who_follows_the_table_is_told_that_other_namespaces_are_shown() {
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
        assert_eq!(feed.budget.waiting.load(Ordering::Relaxed), 1 << 20, "one is being written");
        feed.written(chunk.len());
        feed.miss(7);
        assert_eq!(next(&feed), Next::Dropped(47));
        assert_eq!(feed.leave(), (47, 0));
        assert_eq!(feed.budget.waiting.load(Ordering::Relaxed), 0);
    }
}
