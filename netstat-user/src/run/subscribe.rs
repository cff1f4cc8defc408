//! `events` from the agent: its frames become lines, with no privilege but the socket's.

use super::clock::{epoch_ns, monotonic_ns};
use super::failure::Failure;
use super::hint::{SHARE_ALL, could, way_in};
use super::printing::{Chosen, Printer, kinds};
use super::ready::{LOST, outside, report_ready};
use crate::cli::agent::SOCKET;
use crate::cli::events::{Options, Probe};
use crate::client::{self, AskError, Asking, EventStream, PATIENCE};
use crate::kernel;
use crate::model::Limits;
use crate::model::limits::Kinds;
use crate::query::{Answer, CoverageRows, Request};
use crate::stdio::streaming::{Asked, Output, Stop};
use crate::stdio::waiting::WaitNote;
use crate::stdio::{Written, complain};
use crate::sys;
use std::io::{self, Write};
use std::path::Path;

/// Serves the request from the agent, where it was asked for, or where this process may not trace and an agent answers. Returns the exit
/// code; `None` where the caller is to trace by itself.
///
/// # Errors
/// A [`Failure`].
pub fn run(options: &Options, chosen: &Chosen) -> Result<Option<u8>, Failure> {
    let path = match &options.agent {
        Some(path) => path.as_path(),
        // What belongs to a tracer of one's own was asked for, or it may be had.
        None if options.debug
            || options.probe != Probe::Auto
            || options.remember.is_some()
            || kernel::missing_capabilities().is_empty() =>
        {
            return Ok(None);
        }
        None => Path::new(SOCKET),
    };
    let asking = {
        let _waiting = WaitNote::for_("an answer of the agent");
        Asking::new(path, &Request::Events(limits(options, chosen)))
    };
    match asking {
        Ok(asking) => {
            let runtime = sys::runtime().map_err(Failure::Runtime)?;
            let outcome = runtime.block_on(follow(options, chosen, path, asking));
            // A write that nobody reads must not hold up the end.
            runtime.shutdown_background();
            outcome.map(Some)
        }
        // Where nobody answers, or only somebody who is not to be believed, it is said what tracing needs.
        Err(error) if options.agent.is_none() => {
            if matches!(error, AskError::Stranger(_)) {
                complain(&format!("agent {}: {error}", path.display()));
            }
            Ok(None)
        }
        Err(error) => {
            complain(&format!("agent {}: {error}: {}", path.display(), way_in(path, &error)));
            Ok(Some(1))
        }
    }
}

/// What the agent may leave out; what is wanted is decided once more when it arrives. Containers are learned from whatever event of a process
/// comes first: of what the expression limits, no more is left out here than protocols, namespaces and, among transitions, states.
fn limits(options: &Options, chosen: &Chosen) -> Limits {
    let chosen = &chosen.limits;
    let transitions = chosen.kinds.filter(|&kinds| kinds == Kinds::STATE && chosen.entered.is_some());
    let limits = Limits {
        kinds: transitions,
        entered: chosen.entered.filter(|_| transitions.is_some()),
        protos: chosen.protos.clone(),
        netns: chosen.netns.clone(),
        ..Limits::default()
    };
    kinds(options).and(limits)
}

/// How the stream ended.
#[derive(Debug)]
enum End {
    /// As it was asked to.
    Asked,
    /// Nobody reads our output any more.
    Closed,
    /// The agent ended it, and why.
    Broken(Broken),
}

/// Why the agent ended the stream.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// In order.
    #[error("it has ended")]
    Ended,
    /// Without a word.
    #[error("it has gone")]
    Gone,
    /// Its lines were not read in time.
    #[error("this reader was too slow: the agent dropped it, and {0} events are missing at the end")]
    Dropped(u64),
    /// It does not answer as it should.
    #[error(transparent)]
    Ask(#[from] AskError),
}

async fn follow(options: &Options, chosen: &Chosen, path: &Path, mut asking: Asking) -> Result<u8, Failure> {
    let say = |message: &str| complain(&format!("agent {}: {message}", path.display()));
    let mut asked = Asked::new().map_err(Failure::Runtime)?;
    asked.begin(options.duration);
    let here = asking.is_here();
    if !here {
        if options.select.names_owners() {
            say(&format!("{}: --pid and --comm cannot be served", AskError::Elsewhere));
            return Ok(1);
        }
        say(&format!("{}; owners and users are left out", AskError::Elsewhere));
    }
    // Of owners that are not shown, none is selected.
    if options.select.names_owners() && !rustix::process::geteuid().is_root() && !client::shows_all(path, PATIENCE) {
        let could = could(path, "name them", SHARE_ALL);
        complain(&format!("the owners of other users' sockets are unknown to this user: {could}"));
    }
    match client::coverage(&mut asking) {
        Ok(coverage) => report(&coverage, path, options.verbose),
        Err(error) => {
            say(&error.to_string());
            return Ok(1);
        }
    }
    let mut stream = Stream::new(options, chosen, EventStream::new(asking).map_err(Failure::Agent)?)?;
    let stop = asked.stop();
    tokio::pin!(stop);
    let end = loop {
        tokio::select! {
            biased;
            stop = &mut stop, if !stream.stopping => match stop {
                // The agent sends what was recorded until now, and ends.
                Stop::Asked => {
                    stream.stopping = true;
                    stream.frames.stop();
                }
                Stop::Closed => break End::Closed,
            },
            end = stream.next() => if let Some(end) = end? {
                break if stream.stopping && matches!(end, End::Broken(Broken::Ended)) { End::Asked } else { end };
            },
        }
    };
    stream.finish().await?;
    stream.printer.end(&mut stream.out);
    stream.finish().await?;
    let _ = writeln!(io::stderr(), "{}", stream.printer.summary(stream.lost));
    let code = match &end {
        End::Broken(why) => {
            say(&why.to_string());
            1
        }
        End::Asked | End::Closed => 0,
    };
    Ok(if options.strict && stream.lost > 0 { LOST } else { code })
}

/// The line that scripts wait for, with the agent's hooks.
fn report(coverage: &CoverageRows, path: &Path, whole: bool) {
    let hooks = coverage.hooks.iter().map(|row| (&*row.hook, row.variant.as_deref())).collect::<Vec<_>>();
    report_ready(&hooks, whole, &format!(" agent={}{}", path.display(), outside(coverage.cgroup_namespace)));
}

struct Stream<'a> {
    printer: Printer<'a>,
    frames: EventStream,
    output: Output,
    out: Vec<u8>,
    lost: u64,
    /// Whether the agent was asked to send no more.
    stopping: bool,
    /// The end that has arrived, once the lines before it are written.
    end: Option<End>,
}

impl<'a> Stream<'a> {
    fn new(options: &'a Options, chosen: &Chosen, frames: EventStream) -> Result<Self, Failure> {
        Ok(Self {
            printer: Printer::new(options, chosen),
            frames,
            output: Output::new().map_err(Failure::Runtime)?,
            out: Vec::new(),
            lost: 0,
            stopping: false,
            end: None,
        })
    }

    /// Writes the lines of what arrives next; returns the end, once it has come. May be broken off and called again.
    async fn next(&mut self) -> Written<Option<End>> {
        self.finish().await?;
        if let Some(end) = self.end.take() {
            return Ok(Some(end));
        }
        if !self.frames.has_head() || !self.take() {
            // An agent that hangs must not hold up the end.
            let patience = self.stopping.then_some(PATIENCE);
            match self.frames.fill(patience).await {
                Ok(false) => self.end = Some(End::Broken(Broken::Gone)),
                Ok(true) => drop(self.take()),
                Err(error) => self.end = Some(End::Broken(error.into())),
            }
        }
        Ok(None)
    }

    /// Writes the lines that wait.
    async fn finish(&mut self) -> Written<()> {
        self.output.write(&self.out).await?;
        self.out.clear();
        Ok(())
    }

    /// Turns the whole frames that have arrived into lines; false where there is none.
    fn take(&mut self) -> bool {
        let mut any = false;
        self.printer.begin_batch(&mut self.out);
        while self.end.is_none() {
            let Some(answer) = self.frames.arrived() else { break };
            any = true;
            match answer {
                Ok(Answer::Event(event)) => {
                    self.printer.event(&mut self.out, event);
                    if self.printer.is_full() {
                        self.end = Some(End::Asked);
                    }
                }
                Ok(Answer::Lost { time_ns, count }) => self.lose(time_ns, count),
                Ok(Answer::Dropped(count)) => {
                    self.lose(epoch_ns() + monotonic_ns(), count);
                    self.end = Some(End::Broken(Broken::Dropped(count)));
                }
                // Of a later release.
                Ok(Answer::Unknown(_)) => {}
                Ok(Answer::End) => self.end = Some(End::Broken(Broken::Ended)),
                Ok(_) => self.end = Some(End::Broken(AskError::OffTopic.into())),
                Err(error) => self.end = Some(End::Broken(error.into())),
            }
        }
        any
    }

    fn lose(&mut self, time_ns: u64, count: u64) {
        self.lost += count;
        self.printer.lost(&mut self.out, time_ns, count);
    }
}
