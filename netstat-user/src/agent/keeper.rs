//! The task that owns the table: it folds what happens, has the kernel's lists read when they are due, and answers the clients' tasks.

use super::answer_memory::AnswerCount;
use super::batch::Wish;
use super::budget::Budget;
use super::desk::Desk;
use super::door::Places;
use super::feed::Feed;
use super::fold::{CountAsked, Fold};
use super::pace::{Pace, Waiting};
use super::sight::Sight;
use super::thrift::Thrift;
use super::workers::Workers;
use super::{KernelLists, Lists, Notice, Settings, Signal, Snapshot, Source, TICK, TICK_READ, TableWish};
use crate::model::NamespaceTables;
use crate::query::{Health, Status};
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior};

/// How long clients may take for the last of their answers.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often closed sockets that are too old are dropped, and how often it is looked whether the kernel left out runs of the programs: what those
/// would have recorded, only a listing shows.
pub(super) const LOOK: Duration = Duration::from_secs(10);

/// A question of a client's task.
pub enum Ask {
    /// Whether the table has been compared with the kernel's lists as lately as is wished: answered once it has.
    Listed(ListedAsk),
    /// What is true now.
    Table(TableAsk),
    /// What happens from now on.
    Events {
        /// Whose, and what of it.
        subscription: Subscription,
        /// To the client.
        answer: oneshot::Sender<Arc<Feed>>,
    },
    /// How the agent is, as frames.
    Status {
        /// To the client.
        answer: oneshot::Sender<Bytes>,
    },
    /// How many sockets the client would be shown, in the table or in all others.
    Count {
        /// What it is shown.
        sight: Sight,
        /// Which of them it asks for.
        asked: CountAsked,
        /// To the client.
        answer: oneshot::Sender<AnswerCount>,
    },
    /// How the kernel programs fare.
    Health {
        /// To the client: what looks.
        answer: oneshot::Sender<HealthLook>,
    },
    /// Whom events recorded as the owners of rows that nobody holds; of this user's sockets only, where one is given.
    Recorded {
        /// The rows.
        spaces: Vec<NamespaceTables>,
        /// The user.
        uid: Option<u32>,
        /// To the client.
        answer: oneshot::Sender<Vec<NamespaceTables>>,
    },
    /// A reader of events wants those that have been recorded, and no more.
    Finish {
        /// The reader.
        feed: Arc<Feed>,
        /// Its thread's.
        desk: Arc<Desk>,
    },
    /// A reader of events has been dropped.
    ReaderDropped,
}

/// Looks how the kernel programs fare, which takes too long here.
pub type HealthLook = Box<dyn FnOnce() -> Health + Send>;

/// Events that are asked for.
pub struct Subscription {
    /// What of them.
    pub wish: Box<Wish>,
    /// Of the client's user.
    pub budget: Arc<Budget>,
    /// Of the client's thread.
    pub desk: Arc<Desk>,
}

impl Subscription {
    fn begin(self, follows: bool) -> Arc<Feed> {
        self.desk.join(*self.wish, self.budget, follows)
    }
}

/// A table that is to be asked for, and may wait for the listing that makes it as new as it is to be.
pub struct ListedAsk {
    /// What of it.
    pub wish: TableWish,
    /// Whether its listing waits for no pause.
    pub hurry: bool,
    /// To the client.
    pub answer: oneshot::Sender<()>,
}

/// A table that is asked for.
pub struct TableAsk {
    /// What of it.
    pub wish: TableWish,
    /// What the client is shown.
    pub sight: Sight,
    /// What happens from that moment on, where that is wanted.
    pub follow: Option<Subscription>,
    /// To the client.
    pub answer: oneshot::Sender<Snapshot>,
}

/// A listing, with those who wait for it.
type AwaitedLists = (KernelLists, Vec<ListedAsk>);

/// The task.
pub struct Keeper<S, L> {
    fold: Fold<S>,
    lists: Arc<L>,
    lister: Workers,
    places: Arc<Places>,
    thrift: Arc<Thrift>,
    pace: Pace,
    waiting: Vec<ListedAsk>,
    /// Runs that the kernel left out when it was last looked, and when to look again.
    missed: u64,
    look_at: Instant,
}

/// Ticks as often as a reader of events wants.
fn ticks(is_read: bool) -> Interval {
    let mut tick = tokio::time::interval(if is_read { TICK_READ } else { TICK });
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

impl<S: Source, L: Lists> Keeper<S, L> {
    /// A task that has not begun.
    ///
    /// # Errors
    /// The source's, or no room for the thread that reads the lists.
    pub fn new(
        source: S,
        lists: Arc<L>,
        desks: [Arc<Desk>; 2],
        places: Arc<Places>,
        thrift: Arc<Thrift>,
        settings: &Settings,
    ) -> io::Result<Self> {
        let (missed, now) = (source.missed(), Instant::now());
        let mut fold = Fold::new(source, desks, settings)?;
        let subordinates = lists.subordinates();
        places.count_by(Arc::clone(&subordinates));
        fold.count_by(subordinates);
        Ok(Self {
            fold,
            lists,
            lister: Workers::new("lists", 1, 1, || ())?,
            places,
            thrift,
            pace: Pace::new(settings.poll, now),
            waiting: Vec::new(),
            missed,
            look_at: now + LOOK,
        })
    }

    /// Works until it is to stop; `door` lets clients in, and does not end by itself.
    ///
    /// # Errors
    /// The source's, or nobody can be let in any more.
    pub async fn run(
        mut self,
        mut signals: mpsc::Receiver<Signal>,
        mut asked: mpsc::Receiver<Ask>,
        mut door: JoinHandle<io::Result<()>>,
        mut notice: impl FnMut(Notice),
    ) -> io::Result<Status> {
        let (listed, mut listings) = mpsc::channel(1);
        let mut is_read = false;
        let mut tick = ticks(is_read);
        self.look(&listed)?;
        loop {
            let due = self.pace.due(self.waits());
            let due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                signal = signals.recv() => match signal {
                    Some(Signal::Resync) => {
                        self.pace.reload();
                        notice(Notice::Reloading);
                    }
                    Some(Signal::Stop) | None => break,
                },
                () = self.fold.source.ready() => self.drain(false)?,
                _ = tick.tick() => self.drain(false)?,
                Some(found) = listings.recv() => if self.found(found)? {
                    notice(Notice::Ready);
                },
                Some(ask) = asked.recv() => self.ask(ask)?,
                _ = &mut door => return Err(io::Error::other("nobody can be let in any more")),
                () = due => {}
            }
            self.look_around();
            if self.pace.due(self.waits()).is_some_and(|due| due <= Instant::now()) {
                self.look(&listed)?;
            }
            if is_read != self.fold.is_read() {
                is_read = !is_read;
                tick = ticks(is_read);
            }
        }
        door.abort();
        self.end(asked).await
    }

    /// Folds and hands over what has been recorded, and waits for clients to take it.
    async fn end(mut self, asked: mpsc::Receiver<Ask>) -> io::Result<Status> {
        self.drain(true)?;
        self.fold.end_readers();
        let status = self.fold.status(self.places.taken());
        // Clients that wait for the table get no answer any more. Those that are being answered finish, readers of events with the end.
        drop(asked);
        self.waiting.clear();
        let until = Instant::now() + FAREWELL;
        while self.places.taken() > 0 && Instant::now() < until {
            tokio::time::sleep(TICK_READ).await;
        }
        Ok(status)
    }

    /// Who waits for the next listing.
    fn waits(&self) -> Waiting {
        match (&self.waiting[..], self.waiting.iter().any(|ask| ask.hurry)) {
            ([], _) => Waiting::None,
            (_, false) => Waiting::User,
            (_, true) => Waiting::Staff,
        }
    }

    fn drain(&mut self, all: bool) -> io::Result<()> {
        if self.fold.drain(all)? {
            self.pace.want();
        }
        Ok(())
    }

    /// What is to be looked at now and then.
    fn look_around(&mut self) {
        let now = Instant::now();
        if now < self.look_at {
            return;
        }
        self.look_at = now + LOOK;
        self.fold.expire();
        // What waited for readers that fell behind for a while has been sent.
        self.thrift.want();
        let before = std::mem::replace(&mut self.missed, self.fold.source.missed());
        if self.missed > before {
            self.pace.want();
        }
    }

    /// Begins to read the kernel's lists. All events recorded before are folded first.
    fn look(&mut self, listed: &mpsc::Sender<AwaitedLists>) -> io::Result<()> {
        self.drain(true)?;
        self.pace.begin(Instant::now());
        self.fold.begin_listing();
        let (lists, listed) = (Arc::clone(&self.lists), listed.clone());
        let asks = std::mem::take(&mut self.waiting);
        self.lister.of(0).hand(move || {
            let found = lists.list();
            // The agent may have ended meanwhile.
            let _ = listed.blocking_send((found, asks));
        });
        Ok(())
    }

    /// Folds in a listing, and answers those who waited for it. Returns whether it was the first, or a reload's.
    fn found(&mut self, (mut lists, asks): AwaitedLists) -> io::Result<bool> {
        self.places.count_by(Arc::clone(&lists.subordinates));
        self.fold.count_by(Arc::clone(&lists.subordinates));
        if self.fold.end_listing(&mut lists)? {
            self.pace.want();
        }
        // Whoever asked may have gone.
        for ask in asks {
            let _ = ask.answer.send(());
        }
        // Large lists are not freed here.
        let thrift = Arc::clone(&self.thrift);
        self.lister.of(0).hand(move || {
            let much = size_of_val(&lists.listing.rows[..]) > Thrift::MUCH;
            drop(lists);
            if much {
                thrift.want();
            }
        });
        Ok(self.pace.end(Instant::now()))
    }

    /// Answers with the table.
    fn show(&mut self, TableAsk { wish, sight, follow, answer }: TableAsk) {
        let mut snapshot = self.fold.snapshot(&wish, &sight);
        // All that the snapshot shows has been handed to the readers, and nothing else.
        let desk = follow.as_ref().map(|subscription| Arc::clone(&subscription.desk));
        snapshot.feed = follow.map(|subscription| subscription.begin(true));
        // Whoever asked may have gone.
        if let (Err(Snapshot { feed: Some(feed), .. }), Some(desk)) = (answer.send(snapshot), desk) {
            desk.leave(&feed);
        }
    }

    /// Answers, now or once the kernel's lists have been read; whoever asked may have gone.
    fn ask(&mut self, ask: Ask) -> io::Result<()> {
        match ask {
            Ask::Listed(ask) => {
                // What the kernel has lost until now counts, too.
                self.drain(true)?;
                if self.fold.is_new_enough(&ask.wish) {
                    let _ = ask.answer.send(());
                } else {
                    self.waiting.push(ask);
                }
            }
            Ask::Table(ask) => {
                // What the kernel has recorded until now, or lost, is part of the answer.
                self.drain(true)?;
                self.show(ask);
            }
            Ask::Recorded { mut spaces, uid, answer } => {
                if self.fold.add_recorded(&mut spaces, uid)? {
                    self.pace.want();
                }
                drop(answer.send(spaces));
            }
            Ask::Events { subscription, answer } => {
                let desk = Arc::clone(&subscription.desk);
                if let Err(feed) = answer.send(subscription.begin(false)) {
                    desk.leave(&feed);
                }
            }
            Ask::Status { answer } => drop(answer.send(self.fold.status_frames(self.places.taken()))),
            Ask::Count { sight, asked, answer } => {
                let _ = answer.send(self.fold.count_of(&sight, &asked));
            }
            Ask::Health { answer } => drop(answer.send(Box::new(self.fold.source.health()))),
            Ask::Finish { feed, desk } => {
                self.drain(true)?;
                desk.end(feed);
            }
            Ask::ReaderDropped => self.fold.reader_dropped(),
        }
        Ok(())
    }
}
