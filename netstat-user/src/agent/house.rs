//! Where clients are served: at two counters, each a thread with a desk for events and threads for what blocks.

use super::desk::Desk;
use super::door::{Admission, Places};
use super::keeper::Ask;
use super::thrift::Thrift;
use super::turned_away::TurnedAway;
use super::workers::Workers;
use crate::query::{Health, Place};
use crate::sys;
use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};

/// Events that may wait for the thread of root's clients, and for that of all others: some 200 bytes each.
const STAFF_EVENTS: usize = 1 << 20;
const GUEST_EVENTS: usize = 1 << 18;
/// Threads for what blocks, of either. Those of guests work for one user one at a time.
const STAFF_WORKERS: usize = 2;
const GUEST_WORKERS: usize = 8;
/// By how much the thread of the guests' clients, and their workers, step back: readers of events miss some where they wait for long, requests do not.
const GUESTS_BACK: i32 = 5;
const WORKERS_BACK: i32 = 15;
/// Memory that answers for guests may take while they are made, in MiB: several large ones are made one after another.
const MEMORY_FOR_GUESTS: usize = 256;
/// Where the clients of some users are served.
pub struct Counter {
    /// Its thread.
    pub thread: Handle,
    /// Where events wait for its readers.
    pub desk: Arc<Desk>,
    /// Its threads for what blocks.
    pub workers: Workers,
    /// The memory for answers that are being made, in MiB.
    memory: Semaphore,
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
        Self::open("staff", desk, workers, Semaphore::MAX_PERMITS, confine)
    }

    /// Everybody else's, with less claim to the processor.
    ///
    /// # Errors
    /// As [`Counter::for_staff`].
    pub fn for_guests(confine: fn()) -> io::Result<(Self, Open)> {
        let desk = Desk::new(GUEST_EVENTS);
        let workers = Workers::new("guests", GUEST_WORKERS, 1, || sys::step_back(WORKERS_BACK))?;
        Self::open("guests", desk, workers, MEMORY_FOR_GUESTS, move || {
            sys::step_back(GUESTS_BACK);
            confine();
        })
    }

    fn open(
        name: &str,
        desk: Desk,
        workers: Workers,
        memory: usize,
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
        Ok((Self { thread, desk, workers, memory: Semaphore::new(memory) }, Open(open)))
    }

    /// Waits until there is memory for an answer of so many bytes: for one that is larger than all there is, until no other one is being made.
    ///
    /// # Errors
    /// None that is expected.
    pub async fn memory_for(&self, bytes: usize) -> io::Result<SemaphorePermit<'_>> {
        let share = (bytes >> 20).clamp(1, MEMORY_FOR_GUESTS) as u32;
        self.memory.acquire_many(share).await.map_err(io::Error::other)
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
    /// How many sockets the table has, open and closed.
    pub sockets: Arc<AtomicUsize>,
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
