//! The kernel programs as the agent's source of events.

use super::guards::Guards;
use crate::agent::Source;
use crate::kernel::{self, Tracer};
use crate::model::SocketEvent;
use crate::proc::cgroup::Ids;
use crate::query::{CoverageRows, Health, Status};
use crate::run::clock::{epoch_ns, monotonic_ns};
use crate::run::forgotten::{Forgotten, Losses};
use crate::stdio::complain;
use crate::sys;
use crate::sys::lock;
use bytes::BytesMut;
use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{Interest, unix::AsyncFd};

/// The cgroups of owners that events recorded: each path is looked up when its id is first met, as the cgroup may be removed soon.
pub struct Seen {
    paths: Arc<Mutex<Ids>>,
    ids: HashSet<u64>,
    /// The last one: the next event is of the same more often than not.
    last: Option<u64>,
}

impl Seen {
    /// Most ids remembered as met.
    const MOST: usize = 1 << 16;

    /// No id met yet.
    pub fn new(paths: Arc<Mutex<Ids>>) -> Self {
        Self { paths, ids: HashSet::new(), last: None }
    }

    fn note(&mut self, event: &SocketEvent) {
        let id = event.owner.and_then(|owner| owner.cgroup_id);
        let Some(new) = id.filter(|_| id != self.last) else { return };
        if self.ids.contains(&new) {
            self.last = id;
            return;
        }
        // One that is not found now is tried again with its next event.
        if lock(&self.paths).path(new).is_some() {
            if self.ids.len() >= Self::MOST {
                self.ids.clear();
            }
            self.ids.insert(new);
        }
    }
}

/// The kernel programs as the agent's source.
pub struct Traced {
    tracer: Tracer,
    ring: AsyncFd<OwnedFd>,
    records: BytesMut,
    buffer: u64,
    /// Bytes of records taken since the ring was last empty, and the most there ever were.
    pending: u64,
    peak: AtomicU64,
    forgotten: Forgotten,
    losses: Losses,
    cgroups: Seen,
    guards: Arc<Mutex<Guards>>,
}

/// Bytes that a record takes in the ring at least, its header included.
const RECORD: u64 = 104;

impl Traced {
    /// What the tracer records, from a ring of `buffer` bytes.
    ///
    /// # Errors
    /// The ring cannot be watched.
    pub fn new(tracer: Tracer, buffer: u32, cgroups: Seen, guards: Arc<Mutex<Guards>>) -> io::Result<Self> {
        let ring = sys::watch(&tracer, Interest::READABLE)?;
        let (records, peak) = (BytesMut::new(), AtomicU64::new(0));
        let (forgotten, losses) = Default::default();
        Ok(Self { tracer, ring, records, buffer: buffer.into(), pending: 0, peak, forgotten, losses, cgroups, guards })
    }
}

impl Source for Traced {
    fn take(&mut self, events: &mut Vec<SocketEvent>) -> io::Result<bool> {
        let mut records = self.tracer.take(&mut self.records)?;
        self.forgotten.look(&self.tracer, "agent: ")?;
        if let Some(mishap) = self.tracer.mishap() {
            complain(&format!("agent: {mishap}"));
        }
        let before = events.len();
        let more = !records.is_empty();
        while let Some(record) = self.tracer.next(&mut records, 0) {
            // What cannot be understood is of another build's programs; the next listing shows what it was about.
            if let Ok(event) = record {
                self.cgroups.note(&event);
                lock(&self.guards).note(&event);
                events.push(event);
            }
        }
        self.pending = if more { self.pending + (events.len() - before) as u64 * RECORD } else { 0 };
        self.peak.fetch_max(self.pending.min(self.buffer), Ordering::Relaxed);
        Ok(more)
    }

    async fn ready(&self) {
        match self.ring.readable().await {
            Ok(mut ready) => ready.clear_ready(),
            // The tick looks all the same.
            Err(_) => std::future::pending().await,
        }
    }

    fn lost(&mut self) -> io::Result<u64> {
        let lost = self.tracer.lost()?;
        if lost > 0 {
            self.losses.look(lost, self.status().is_buffer_short());
        }
        Ok(lost)
    }

    fn status(&self) -> Status {
        Status {
            forgotten: self.tracer.forgotten().unwrap_or(0),
            buffer: self.buffer,
            peak_fill: self.peak.load(Ordering::Relaxed),
            ..Status::default()
        }
    }

    fn coverage(&self) -> CoverageRows {
        self.tracer.coverage().into()
    }

    fn health(&self) -> Health {
        Health { checks: self.tracer.stand_ins().into_iter().collect(), programs: self.tracer.programs() }
    }

    fn missed(&self) -> u64 {
        kernel::missed(&self.tracer.programs()).alone
    }

    fn now_ns(&self) -> u64 {
        monotonic_ns()
    }

    fn epoch_ns(&self) -> u64 {
        epoch_ns()
    }
}
