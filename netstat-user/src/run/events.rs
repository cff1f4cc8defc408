//! `events`: the ring is drained every few milliseconds, its records become lines, the lines go to standard output.

mod owners;

use super::{
    clock::{epoch_ns, monotonic_ns},
    failure::Failure,
    forgotten::Forgotten,
    hint,
    printing::{Chosen, Printer, kinds},
    ready::{LOST, report},
    resolve::unknown_names,
};
use crate::{
    cli::Refusal,
    cli::agent::SOCKET,
    cli::events::{self, Options, Probe},
    cli::help::mistake,
    daemon::privileges,
    field::schema,
    kernel::{AttachError, Hook, Sees, Tracer, Variant, Wanted},
    owner::Owners,
    stdio::{
        complain,
        debug::log_debug,
        print,
        streaming::{Asked, Output, Stop},
        waiting::WaitNote,
    },
    sys,
    view::{event::SCHEMA, text::counted},
};
use bytes::BytesMut;
use std::{
    borrow::Cow,
    io::{self, Write},
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};
use tokio::{
    io::Interest,
    sync::oneshot,
    time::{MissedTickBehavior, timeout},
};

/// How long a record may lie in the ring before it is looked for. Measured: waking the reader for each record halves the rate of
/// connections, looking every 5 ms takes a few per cent.
const TICK: Duration = Duration::from_millis(5);

/// How long the reader of standard output may take for a batch once the end is decided.
const FAREWELL: Duration = Duration::from_secs(3);

/// Serves the request and returns the exit code.
///
/// # Errors
/// A [`Failure`].
pub fn run(options: &Options) -> Result<u8, Failure> {
    if options.schema {
        print(schema_of(options).as_bytes())?;
        return Ok(0);
    }
    if options.debug {
        log_debug();
    }
    let chosen = match Chosen::new(options) {
        Ok(chosen) => chosen,
        Err(error) => {
            let refusal = mistake::wrong(events::NAME, &error);
            return Ok(super::refuse(&if error.is_denied() { Refusal { exit: 1, ..refusal } } else { refusal }));
        }
    };
    for unknown in unknown_names(options.selection.expr.as_ref()) {
        complain(&unknown);
    }
    if let Some(code) = super::subscribe::run(options, &chosen)? {
        return Ok(code);
    }
    let runtime = sys::runtime().map_err(Failure::Runtime)?;
    let mut asked = {
        let _inside = runtime.enter();
        Asked::new().map_err(Failure::Runtime)?
    };
    let Some(started) = runtime.block_on(start_unless_stopped(wanted(options, &chosen), &mut asked)) else {
        // What is loaded by now goes with this process.
        runtime.shutdown_background();
        return nothing(options, &chosen);
    };
    match started {
        Ok((tracer, owners)) => {
            // Nothing is loaded from here on; what may have to be attached again takes more than the rest.
            if let Some(refusal) = privileges::drop_to(!tracer.is_settled(), None).refusal() {
                complain(&refusal);
            }
            let outcome = runtime.block_on(Stream::new(options, &chosen, tracer, owners)?.run(asked));
            // A write that nobody reads must not hold up the end.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => {
            let mut said = error.to_string();
            if options.agent.is_none() && matches!(error, AttachError::Capabilities(_)) {
                said += &format!("; {}", hint::could(Path::new(SOCKET), "serve events", ""));
            }
            complain(&said);
            Ok(1)
        }
    }
}

/// The schema of the lines that the options ask for.
fn schema_of(options: &Options) -> Cow<'static, str> {
    match (&options.selection.columns[..], &options.selection.count_by[..]) {
        ([], []) => SCHEMA.into(),
        ([], counted) => {
            schema::of_lines("counts of events", &[schema::of_columns("a count", counted, &[schema::COUNT])]).into()
        }
        (columns, _) => {
            schema::of_lines("columns of events", &[schema::of_columns("the chosen columns", columns, &[])]).into()
        }
    }
}

/// What is there once the probes are attached.
type Started = Result<(Tracer, Owners), AttachError>;

/// [`start`] on a thread that takes no signals, which end the wait for it: then nothing is traced.
async fn start_unless_stopped(wanted: Wanted, asked: &mut Asked) -> Option<Started> {
    let (sender, started) = oneshot::channel();
    let wanted = Arc::new(wanted);
    let attach = {
        let wanted = Arc::clone(&wanted);
        // Nobody receives it where the wait has ended.
        move || drop(sender.send(start(&wanted)))
    };
    let Ok(thread) = sys::undisturbed(|| thread::Builder::new().name("attaching".into()).spawn(attach)) else {
        return Some(sys::undisturbed(|| start(&wanted)));
    };
    let started = tokio::select! {
        biased;
        started = started => started,
        _ = asked.stop() => return None,
    };
    // Privileges are given up thread by thread. It has nothing left to do; a panic in it has been reported.
    let _ = thread.join();
    Some(started.unwrap_or_else(|_| start(&wanted)))
}

/// The end of a run that was stopped before it began.
fn nothing(options: &Options, chosen: &Chosen) -> Result<u8, Failure> {
    let (printer, mut out) = (Printer::new(options, chosen), Vec::new());
    printer.end(&mut out);
    print(&out)?;
    let _ = writeln!(io::stderr(), "{}", printer.summary(0));
    Ok(0)
}

/// Attaches the probes, and learns who holds the sockets that are there already.
fn start(wanted: &Wanted) -> Started {
    let _waiting = WaitNote::for_("the kernel programs, and the owners of older sockets");
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

/// Why the stream ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// A signal, or the time is up: what the kernel has recorded is still printed.
    Drain,
    /// The count is reached.
    Count,
    /// Nobody reads any more.
    Closed,
}

impl From<Stop> for End {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Asked => Self::Drain,
            Stop::Closed => Self::Closed,
        }
    }
}

struct Stream<'a> {
    options: &'a Options,
    tracer: Tracer,
    owners: Owners,
    printer: Printer<'a>,
    records: BytesMut,
    output: Output,
    out: Vec<u8>,
    /// Lines that were handed over.
    written: u64,
    lost: u64,
    forgotten: Forgotten,
    undecoded: u64,
}

impl<'a> Stream<'a> {
    fn new(options: &'a Options, chosen: &Chosen, tracer: Tracer, owners: Owners) -> Result<Self, Failure> {
        Ok(Self {
            options,
            tracer,
            owners,
            printer: Printer::new(options, chosen),
            records: BytesMut::new(),
            output: Output::new().map_err(Failure::Runtime)?,
            out: Vec::new(),
            written: 0,
            lost: 0,
            forgotten: Forgotten::default(),
            undecoded: 0,
        })
    }

    async fn run(mut self, asked: Asked) -> Result<u8, Failure> {
        let end = self.follow(asked).await?;
        let mut stalled = end == End::Drain && !self.drain().await?;
        if stalled {
            self.count_rest()?;
        }
        let lost = self.lost;
        self.printer.end(&mut self.out);
        let mut written = Ok(());
        if end != End::Closed && !stalled {
            match timeout(FAREWELL, self.output.write(&self.out)).await {
                Ok(outcome) => written = outcome,
                Err(_) => stalled = true,
            }
            self.out.clear();
        }
        let _ = writeln!(io::stderr(), "{}", self.printer.summary(lost));
        self.forgotten.at_last(&self.tracer).map_err(Failure::Programs)?;
        if self.undecoded > 0 {
            complain(&format!(
                "{} of the kernel programs could not be understood",
                counted(self.undecoded, "record", "records")
            ));
        }
        written?;
        if stalled {
            let rest = counted(self.printer.lines() - self.written, "line", "lines");
            complain(&format!(
                "standard output was not read for {} s: the last {rest} are not printed, or not whole",
                FAREWELL.as_secs()
            ));
            return Ok(1);
        }
        Ok(if self.options.strict && lost > 0 { LOST } else { 0 })
    }

    /// Prints events until there is a reason to end.
    async fn follow(&mut self, mut asked: Asked) -> Result<End, Failure> {
        asked.begin(self.options.duration);
        // Who waits for this may send a signal at once.
        report(self.tracer.coverage(), self.options.verbose);
        let ring = sys::watch(&self.tracer, Interest::READABLE).map_err(Failure::Runtime)?;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = asked.stop();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                biased;
                end = &mut stop => return Ok(end.into()),
                _ = tick.tick() => {}
                ready = ring.readable() => ready.map_err(Failure::Runtime)?.clear_ready(),
            }
            loop {
                let more = self.take()?;
                tokio::select! {
                    biased;
                    // The write, and what the ring holds, are left to the drain.
                    end = &mut stop => return Ok(end.into()),
                    written = self.output.write(&self.out) => written?,
                }
                self.written = self.printer.lines();
                self.out.clear();
                if self.printer.is_full() {
                    return Ok(End::Count);
                }
                if !more {
                    break;
                }
                // A file takes every write at once: let signals and the clock be seen all the same.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Prints what the kernel had recorded when the end was decided, and not what comes in meanwhile. False if nobody reads it.
    async fn drain(&mut self) -> Result<bool, Failure> {
        self.tracer.catch_up().map_err(Failure::Programs)?;
        let mut more = true;
        loop {
            match timeout(FAREWELL, self.output.write(&self.out)).await {
                Ok(written) => written?,
                Err(_) => return Ok(false),
            }
            self.written = self.printer.lines();
            self.out.clear();
            if !more || self.printer.is_full() {
                return Ok(true);
            }
            more = self.take()?;
        }
    }

    /// Counts what nobody reads: it was not lost in the kernel.
    fn count_rest(&mut self) -> Result<(), Failure> {
        while !self.printer.is_full() && self.take()? {
            self.out.clear();
        }
        Ok(())
    }

    /// Takes a batch from the ring and turns it into lines. True when the ring may hold more: what is recorded while it is printed waits
    /// for the next look, so that an endless stream is paced by the tick and its end is not put off by filters that drop a batch.
    fn take(&mut self) -> Result<bool, Failure> {
        let mut records = self.tracer.take(&mut self.records).map_err(Failure::Programs)?;
        let more = records.is_full();
        self.tracer.flush_log();
        let epoch_ns = epoch_ns();
        self.printer.begin_batch(&mut self.out);
        while !self.printer.is_full()
            && let Some(record) = self.tracer.next(&mut records, epoch_ns)
        {
            let Ok(mut event) = record else {
                self.undecoded += 1;
                continue;
            };
            self.owners.resolve(&mut event);
            self.printer.event(&mut self.out, event);
        }
        self.forgotten.look(&self.tracer, "").map_err(Failure::Programs)?;
        if let Some(mishap) = self.tracer.mishap() {
            complain(&mishap);
        }
        let lost = self.tracer.lost().map_err(Failure::Programs)?;
        if lost > self.lost {
            let count = lost - self.lost;
            self.lost = lost;
            self.printer.lost(&mut self.out, epoch_ns + monotonic_ns(), count);
        }
        Ok(more)
    }
}
