//! The kernel programs as the agent's source of events.

use crate::agent::Source;
use crate::cgroups::Seen;
use crate::kernel::{self, RECORD_BYTES, Tracer};
use crate::looks::GuardedFinder;
use crate::model::SocketEvent;
use crate::query::{CoverageRows, Health, Status};
use crate::run::forgotten::{Forgotten, Losses};
use crate::stdio::complain;
use crate::sys::{self, epoch_ns, kernel_monotonic_ns, lock};
use bytes::BytesMut;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{Interest, unix::AsyncFd};

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
    guarded: Arc<Mutex<GuardedFinder>>,
}

impl Traced {
    /// What the tracer records, from a ring of `buffer` bytes.
    ///
    /// # Errors
    /// The ring cannot be watched, or there is no room for a thread.
    pub fn new(mut tracer: Tracer, buffer: u32, cgroups: Seen, guarded: Arc<Mutex<GuardedFinder>>) -> io::Result<Self> {
        let ring = sys::watch(&tracer, Interest::READABLE)?;
        tracer.begin_looking()?;
        let (records, peak) = (BytesMut::new(), AtomicU64::new(0));
        let (forgotten, losses) = Default::default();
        Ok(Self { tracer, ring, records, buffer: buffer.into(), pending: 0, peak, forgotten, losses, cgroups, guarded })
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
                events.push(event);
            }
        }
        self.pending = if more { self.pending + (events.len() - before) as u64 * RECORD_BYTES } else { 0 };
        self.peak.fetch_max(self.pending.min(self.buffer), Ordering::Relaxed);
        Ok(more)
    }

    fn note(&mut self, events: &[SocketEvent]) {
        let mut guarded = lock(&self.guarded);
        for event in events {
            self.cgroups.note(event, || guarded.counts_as(event.uid));
            guarded.note(event);
        }
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

    fn health(&self) -> impl FnOnce() -> Health + Send + 'static {
        let (checks, programs) = (self.tracer.stand_ins().into_iter().collect(), self.tracer.look_at_programs());
        move || Health { checks, programs: programs() }
    }

    fn missed(&self) -> u64 {
        kernel::missed(&self.tracer.programs()).alone
    }

    fn now_ns(&self) -> u64 {
        kernel_monotonic_ns()
    }

    fn epoch_ns(&self) -> u64 {
        epoch_ns()
    }
}
