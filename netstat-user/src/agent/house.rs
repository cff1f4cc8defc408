//! Where clients are let in and served: two counters, each a thread with a desk for events and threads for what blocks.

use super::client::Client;
use super::door::{Admission, Full, Places};
use super::feed::Desk;
use super::keeper::Ask;
use super::sight::Peer;
use super::workers::Workers;
use super::{Lists, TICK};
use crate::query::Place;
use crate::sys;
use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Events that may wait for the thread of root's clients, and for that of all others: some 200 bytes each.
const STAFF_EVENTS: usize = 1 << 20;
const GUEST_EVENTS: usize = 1 << 18;
/// Threads for what blocks, of either.
const STAFF_WORKERS: usize = 2;
const GUEST_WORKERS: usize = 1;

/// Where the clients of some users are served.
pub struct Counter {
    /// Its thread.
    pub thread: Handle,
    /// Where events wait for its readers.
    pub desk: Arc<Desk>,
    /// Its threads for what blocks.
    pub workers: Workers,
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
        Self::open("staff", desk, Workers::new("staff", STAFF_WORKERS, || ())?, confine)
    }

    /// Everybody else's, with less claim to the processor.
    ///
    /// # Errors
    /// As [`Counter::for_staff`].
    pub fn for_guests(confine: fn()) -> io::Result<(Self, Open)> {
        let desk = Desk::new(GUEST_EVENTS);
        let workers = Workers::new("guests", GUEST_WORKERS, sys::step_back)?;
        Self::open("guests", desk, workers, move || {
            sys::step_back();
            confine();
        })
    }

    fn open(
        name: &str,
        desk: Desk,
        workers: Workers,
        begin: impl FnOnce() + Send + 'static,
    ) -> io::Result<(Self, Open)> {
        let desk = Arc::new(desk);
        let runtime = sys::runtime()?;
        let thread = runtime.handle().clone();
        let (open, closed) = oneshot::channel();
        let serve = Arc::clone(&desk);
        std::thread::Builder::new().name(name.into()).spawn(move || {
            begin();
            runtime.block_on(async {
                tokio::select! {
                    () = serve.serve() => {}
                    // The sender is dropped, not used.
                    _ = closed => {}
                }
            });
            runtime.shutdown_background();
        })?;
        Ok((Self { thread, desk, workers }, Open(open)))
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
    /// The kernel's lists.
    pub lists: Arc<L>,
}

impl<L: Lists> House<L> {
    /// Lets clients in from here on.
    pub fn open(self: Arc<Self>, listener: UnixListener) -> JoinHandle<io::Result<()>> {
        let thread = self.staff.thread.clone();
        thread.spawn(async move {
            let listener = tokio::net::UnixListener::from_std(listener)?;
            loop {
                // Out of descriptors, or a client that has gone already: neither is the end of the agent.
                match listener.accept().await {
                    Ok((stream, _)) => self.welcome(stream),
                    Err(_) => tokio::time::sleep(TICK).await,
                }
            }
        })
    }

    /// Serves a connection on a task of its own, or refuses it. Runs on the thread of the staff.
    fn welcome(self: &Arc<Self>, stream: UnixStream) {
        let Ok(peer) = stream.peer_cred() else { return };
        let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|&pid| pid != 0);
        let peer = Peer { uid: peer.uid(), gid: peer.gid(), pid };
        let is_staff = self.admission.is_staff(&peer);
        let counter = if is_staff { &self.staff } else { &self.guests };
        let seat = match self.admission.admits(&peer, &stream) {
            false => Err("this user may not ask: see --mode and --group of netstat-user agent".to_owned()),
            true => self.places.take(peer.uid, is_staff).map_err(|full: Full| full.to_string()),
        };
        let refusal = seat.as_ref().err().and_then(|_| self.places.refusal());
        if seat.is_err() && refusal.is_none() {
            return;
        }
        // A connection belongs to the thread that serves it.
        let Ok(stream) = stream.into_std() else { return };
        let house = Arc::clone(self);
        counter.thread.spawn(async move {
            let Ok(stream) = UnixStream::from_std(stream) else { return };
            let mut client = Client { stream, house, peer, is_staff };
            // A client that goes in the middle is its own affair.
            let _ = match seat {
                Ok(seat) => client.serve(&seat).await,
                Err(reason) => client.refuse(&reason).await,
            };
            drop(refusal);
        });
    }
}
