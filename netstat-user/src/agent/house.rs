//! Where clients are served: at two counters, each a thread with a desk for events and threads for what blocks.

use super::answer_memory::{AnswerMemory, AnswerShare};
use super::desk::Desk;
use super::door::{Admission, Places};
use super::keeper::Ask;
use super::thrift::Thrift;
use super::turned_away::TurnedAway;
use super::workers::{UserWorkers, Workers};
use crate::query::{Health, Place};
use crate::sys::{self, Awaited};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// Events that may wait for the thread of root's clients, and for that of all others: some 200 bytes each.
const STAFF_EVENTS: usize = 1 << 20;
const GUEST_EVENTS: usize = 1 << 18;
/// Threads for what blocks, of either. Those of guests work for one user one at a time.
const STAFF_WORKERS: usize = 2;
const GUEST_WORKERS: usize = 8;
/// By how much the thread of the guests' clients, and their workers, step back: readers of events miss some where they wait for long, requests do not.
const GUESTS_BACK: i32 = 5;
const WORKERS_BACK: i32 = 15;

/// Where the clients of some users are served.
pub struct Counter {
    /// Its thread.
    pub thread: Handle,
    /// Where events wait for its readers.
    pub desk: Arc<Desk>,
    /// Its threads for what blocks.
    pub workers: Workers,
    /// Held by whoever looks how the kernel programs fare.
    pub looking: Arc<tokio::sync::Mutex<()>>,
    /// The memory for answers.
    pub memory: Arc<AnswerMemory>,
}

/// Holds a counter's thread: it ends when this is dropped.
pub struct Open(#[allow(dead_code, reason = "it is there to be dropped")] oneshot::Sender<()>);

impl Counter {
    /// Root's and the agent's own user's. `confine` is called by its thread first.
    ///
    /// # Errors
    /// No room for its threads.
    pub fn for_staff(confine: fn()) -> io::Result<(Self, Open)> {
        let desk = Desk::new(STAFF_EVENTS);
        let workers = Workers::new("staff", STAFF_WORKERS, STAFF_WORKERS, || ())?;
        Self::open("staff", desk, workers, AnswerMemory::boundless(), confine)
    }

    /// Everybody else's, with less claim to the processor.
    ///
    /// # Errors
    /// As [`Counter::for_staff`].
    pub fn for_guests(confine: fn()) -> io::Result<(Self, Open)> {
        let desk = Desk::new(GUEST_EVENTS);
        let workers = Workers::new("guests", GUEST_WORKERS, 1, || sys::step_back(WORKERS_BACK))?;
        Self::open("guests", desk, workers, AnswerMemory::bounded(), move || {
            sys::step_back(GUESTS_BACK);
            confine();
        })
    }

    fn open(
        name: &str,
        desk: Desk,
        workers: Workers,
        memory: AnswerMemory,
        begin: impl FnOnce() + Send + 'static,
    ) -> io::Result<(Self, Open)> {
        let desk = Arc::new(desk);
        let (open, closed) = oneshot::channel();
        let serve = Arc::clone(&desk);
        let (made, made_here) = std::sync::mpsc::sync_channel(1);
        // The runtime is made by its thread: where there is no room for that, none is left behind here, where it could not be dropped.
        std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                begin();
                let runtime = match sys::runtime() {
                    Ok(runtime) => runtime,
                    // Whoever waits for it is the first to know.
                    Err(error) => return drop(made.send(Err(error))),
                };
                drop(made.send(Ok(runtime.handle().clone())));
                runtime.block_on(async {
                    tokio::select! {
                        () = serve.serve() => {}
                        // The sender is dropped, not used.
                        _ = closed => {}
                    }
                });
                runtime.shutdown_background();
            })
            .map_err(sys::no_thread)?;
        let thread = made_here.recv().map_err(io::Error::other)??;
        Ok((Self { thread, desk, workers, looking: Arc::default(), memory: Arc::new(memory) }, Open(open)))
    }

    /// Has an answer of at most so many bytes made on a thread for what blocks, as soon as there is memory for it. Returns both.
    ///
    /// # Errors
    /// As [`UserWorkers::run_with`] and [`AnswerMemory::wait`].
    pub async fn make<T: Send + 'static>(
        &self,
        workers: &UserWorkers,
        bytes: usize,
        work: impl FnOnce(&Awaited, &AnswerShare) -> T + Send + 'static,
    ) -> io::Result<(T, AnswerShare)> {
        let until = AnswerMemory::patience();
        let free = || async move {
            drop(self.memory.wait(bytes, until).await?);
            Ok(None)
        };
        let memory = Arc::clone(&self.memory);
        let work = move |awaited: &Awaited, share: io::Result<AnswerShare>| {
            let share = share?;
            Ok((work(awaited, &share), share))
        };
        workers.run_with(free, move || memory.take(bytes), work).await?
    }
}

/// What a client needs to be served.
pub struct House<L> {
    /// Who is served.
    pub admission: Admission,
    /// The places.
    pub places: Arc<Places>,
    /// Where root and the agent's own user are served, and where all others are.
    pub staff: Counter,
    /// See `staff`.
    pub guests: Counter,
    /// Where this process's numbers are true.
    pub place: Place,
    /// To the task that owns the table.
    pub asks: mpsc::Sender<Ask>,
    /// Notified of memory that is free.
    pub thrift: Arc<Thrift>,
    /// The kernel's lists.
    pub lists: Arc<L>,
    /// Those who could not be let in.
    pub turned_away: TurnedAway,
    /// How the kernel programs fared, and when.
    pub health: Mutex<Option<(Instant, Health)>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::{Context, Waker};
    use std::time::Duration;

    const HUGE: usize = 256 << 20;

    #[test]
    fn large_answers_for_guests_are_made_one_after_another() {
        let (counter, _open) = Counter::for_guests(|| ()).unwrap();
        let _runtime = counter.thread.enter();
        let (one, other) = (counter.workers.of(7), counter.workers.of(8));
        let (go, gate) = mpsc::channel::<()>();
        let (begun, begins) = mpsc::channel();
        let mut context = Context::from_waker(Waker::noop());
        let mut large = Box::pin(counter.make(&one, HUGE, move |_, _| {
            begun.send(()).unwrap();
            gate.recv()
        }));
        assert!(large.as_mut().poll(&mut context).is_pending());
        begins.recv_timeout(Duration::from_secs(10)).unwrap();
        let mut next = pin!(counter.make(&other, HUGE, |_, _| ()));
        assert!(next.as_mut().poll(&mut context).is_pending());
        // That the client has gone takes the memory from nobody who fills it.
        drop(large);
        assert!(next.as_mut().poll(&mut context).is_pending());
        assert_eq!(counter.memory.left()[1], 0);
        go.send(()).unwrap();
        let ended = Instant::now();
        while next.as_mut().poll(&mut context).is_pending() {
            assert!(ended.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(1));
        }
        // The last thing that a thread does with an answer is to give the memory back.
        while counter.memory.left() != AnswerMemory::bounded().left() {
            assert!(ended.elapsed() < Duration::from_secs(10));
        }
    }

    #[test]
    fn what_waits_for_its_turn_takes_no_memory() {
        let (counter, _open) = Counter::for_guests(|| ()).unwrap();
        let _runtime = counter.thread.enter();
        let one = counter.workers.of(7);
        let (go, gate) = mpsc::channel::<()>();
        one.hand(move || assert!(gate.recv().is_err()));
        let mut context = Context::from_waker(Waker::noop());
        let mut large = pin!(counter.make(&one, HUGE, |_, _| ()));
        assert!(large.as_mut().poll(&mut context).is_pending());
        assert_eq!(counter.memory.left(), AnswerMemory::bounded().left());
        drop(go);
    }

    #[test]
    fn answers_for_staff_do_not_wait_for_memory() {
        let (counter, _open) = Counter::for_staff(|| ()).unwrap();
        let _runtime = counter.thread.enter();
        let workers = counter.workers.of(0);
        let mut context = Context::from_waker(Waker::noop());
        let (begun, begins) = mpsc::channel();
        let answers = [(); 2].map(|()| {
            let begun = begun.clone();
            let mut answer = Box::pin(counter.make(&workers, HUGE, move |_, _| begun.send(()).unwrap()));
            drop(answer.as_mut().poll(&mut context));
            answer
        });
        // Neither has been taken back yet.
        assert!((0..2).all(|_| begins.recv_timeout(Duration::from_secs(10)).is_ok()));
        drop(answers);
    }
}
