//! Events that this process traces: the ring is drained every few milliseconds.

use super::follower::{EventSource, NextBatch};
use super::owners;
use crate::cli::events::{Options, Probe};
use crate::kernel::{AttachError, Hook, Sees, Tracer, Variant, Wanted};
use crate::owner::Owners;
use crate::run::failure::Failure;
use crate::run::forgotten::Forgotten;
use crate::run::printing::{Chosen, Printer, kinds};
use crate::run::ready::report;
use crate::stdio::complain;
use crate::stdio::streaming::{Asked, Stop};
use crate::stdio::waiting::WaitNote;
use crate::sys::{self, epoch_ns, kernel_monotonic_ns};
use crate::view::text::counted;
use bytes::BytesMut;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::io::{Interest, unix::AsyncFd};
use tokio::sync::oneshot;
use tokio::time::{Interval, MissedTickBehavior};

/// How long a record may lie in the ring before it is looked for. Measured: waking the reader for each record halves the rate of
/// connections, looking every 5 ms takes a few per cent.
const TICK: Duration = Duration::from_millis(5);

/// What is there once the probes are attached.
type Started = Result<(Tracer, Owners), AttachError>;

/// Attaches the probes on a thread that takes no signals, which end the wait for it: then nothing is traced.
///
/// # Errors
/// The reason to stop that came first.
pub async fn start_unless_stopped(options: &Options, chosen: &Chosen, asked: &mut Asked) -> Result<Started, Stop> {
    let (sender, started) = oneshot::channel();
    let wanted = Arc::new(wanted(options, chosen));
    let attach = {
        let wanted = Arc::clone(&wanted);
        // Nobody receives it where the wait has ended.
        move || drop(sender.send(start(&wanted)))
    };
    let Ok(thread) = sys::undisturbed(|| thread::Builder::new().name("attaching".into()).spawn(attach)) else {
        return Ok(sys::undisturbed(|| start(&wanted)));
    };
    let started = tokio::select! {
        biased;
        started = started => started,
        stop = asked.stop() => return Err(stop),
    };
    // Privileges are given up thread by thread. It has nothing left to do; a panic in it has been reported.
    let _ = thread.join();
    Ok(started.unwrap_or_else(|_| start(&wanted)))
}

/// Attaches the probes, and learns who holds the sockets that are there already.
fn start(wanted: &Wanted) -> Started {
    let _waiting = WaitNote::start("the kernel programs, and the owners of older sockets");
    let tracer = Tracer::start(wanted)?;
    // Attached first, looked at /proc second: a socket made in between is known to the programs.
    Ok((tracer, owners::of_older_sockets()))
}

fn wanted(options: &Options, chosen: &Chosen) -> Wanted {
    let tcp = chosen.limits.protos.as_ref().is_none_or(|protos| protos.iter().any(|proto| proto.is_tcp()));
    let hooks = Hook::ALL.into_iter().filter(|hook| tcp || hook.spec().sees != Sees::Tcp).collect();
    let forced = match options.probe {
        Probe::Auto => None,
        Probe::TpBtf => Some(Variant::TpBtf),
        Probe::RawTp => Some(Variant::RawTp),
        Probe::Tracepoint => Some(Variant::Tracepoint),
        Probe::Fentry => Some(Variant::Fentry),
        Probe::Kprobe => Some(Variant::Kprobe),
    };
    Wanted {
        hooks,
        forced: forced.map(|variant| (Hook::State, variant)).into_iter().collect(),
        ring_bytes: options.buffer,
        remember: options.remember,
        limits: kinds(options).and(chosen.limits.clone()),
        debug: options.debug,
    }
}

/// The kernel programs, and what they recorded.
pub struct TracedEvents {
    tracer: Tracer,
    owners: Owners,
    records: BytesMut,
    ring: AsyncFd<OwnedFd>,
    tick: Interval,
    /// Whether no more is taken than what had been recorded by then.
    stopping: bool,
    lost: u64,
    forgotten: Forgotten,
    undecoded: u64,
}

impl TracedEvents {
    /// What these programs record. Needs a runtime.
    ///
    /// # Errors
    /// The runtime cannot watch the ring, or there is no room for a thread.
    pub fn new(mut tracer: Tracer, owners: Owners) -> Result<Self, Failure> {
        let ring = sys::watch(&tracer, Interest::READABLE).map_err(Failure::Runtime)?;
        tracer.begin_looking().map_err(Failure::Runtime)?;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            tracer,
            owners,
            records: BytesMut::new(),
            ring,
            tick,
            stopping: false,
            lost: 0,
            forgotten: Forgotten::default(),
            undecoded: 0,
        })
    }
}

impl EventSource for TracedEvents {
    fn report(&self, whole: bool) {
        report(self.tracer.coverage(), whole);
    }

    async fn ready(&mut self) -> Result<(), Failure> {
        if self.stopping {
            return Ok(());
        }
        tokio::select! {
            biased;
            _ = self.tick.tick() => {}
            ready = self.ring.readable() => ready.map_err(Failure::Runtime)?.clear_ready(),
        }
        Ok(())
    }

    /// What is recorded while a batch is printed waits for the next look, so that an endless stream is paced by the tick and its end is not put
    /// off by filters that drop a batch.
    fn take(&mut self, printer: &mut Printer<'_>, out: &mut Vec<u8>) -> Result<NextBatch, Failure> {
        let mut records = self.tracer.take(&mut self.records).map_err(Failure::Programs)?;
        let more = records.is_full();
        self.tracer.flush_log();
        let epoch_ns = epoch_ns();
        while !printer.is_full()
            && let Some(record) = self.tracer.next(&mut records, epoch_ns)
        {
            let Ok(mut event) = record else {
                self.undecoded += 1;
                continue;
            };
            self.owners.resolve(&mut event);
            printer.event(out, event);
        }
        self.forgotten.look(&self.tracer, "").map_err(Failure::Programs)?;
        if let Some(mishap) = self.tracer.mishap() {
            complain(&mishap);
        }
        let lost = self.tracer.lost().map_err(Failure::Programs)?;
        if lost > self.lost {
            let count = lost - self.lost;
            self.lost = lost;
            printer.lose(out, epoch_ns + kernel_monotonic_ns(), count);
        }
        Ok(match (more, self.stopping) {
            (true, _) => NextBatch::AtOnce,
            (false, false) => NextBatch::Later,
            (false, true) => NextBatch::Never,
        })
    }

    fn stop(&mut self) -> Result<(), Failure> {
        self.stopping = true;
        self.tracer.catch_up().map_err(Failure::Programs)
    }

    fn end(&mut self) -> Result<u8, Failure> {
        self.forgotten.at_last(&self.tracer).map_err(Failure::Programs)?;
        if self.undecoded > 0 {
            complain(&format!(
                "{} of the kernel programs could not be understood",
                counted(self.undecoded, "record", "records")
            ));
        }
        Ok(0)
    }
}
