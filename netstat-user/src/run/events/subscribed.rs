//! Events that an agent sends, with no privilege but its socket's.

use super::follower::{EventSource, NextBatch};
use crate::cli::events::{Options, Probe};
use crate::cli::names::SOCKET;
use crate::client::{self, AskError, Asking, EventStream, PATIENCE};
use crate::kernel;
use crate::model::Limits;
use crate::model::limits::Kinds;
use crate::query::{Answer, CoverageRows, Request};
use crate::run::failure::Failure;
use crate::run::hint::{SHARE_ALL, could, way_in};
use crate::run::printing::{Chosen, Printer, kinds};
use crate::run::ready::{outside, report_ready};
use crate::stdio::complain;
use crate::stdio::waiting::WaitNote;
use crate::sys::{epoch_ns, kernel_monotonic_ns};
use std::path::{Path, PathBuf};

/// An agent that has begun to answer.
pub struct EventSubscription {
    path: PathBuf,
    coverage: CoverageRows,
    asking: Asking,
}

/// Asks the agent for events, where that was asked for, or where this process may not trace and an agent answers; `None` where the caller is to
/// trace by itself.
///
/// # Errors
/// The exit code where the request cannot be served, which has been reported.
pub fn ask(options: &Options, chosen: &Chosen) -> Result<Option<EventSubscription>, u8> {
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
        let _waiting = WaitNote::start("an answer of the agent");
        Asking::new(path, &Request::Events(limits(options, chosen)))
    };
    match asking {
        Ok(asking) => subscribe(options, path, asking).map(Some),
        // Where nobody answers, or only somebody who is not to be believed, it is said what tracing needs.
        Err(error) if options.agent.is_none() => {
            if matches!(error, AskError::Stranger(_)) {
                say(path, &error.to_string());
            }
            Ok(None)
        }
        Err(error) => {
            say(path, &format!("{error}: {}", way_in(path, &error)));
            Err(1)
        }
    }
}

/// Reports what this user cannot be served, and reads what the agent traces.
fn subscribe(options: &Options, path: &Path, mut asking: Asking) -> Result<EventSubscription, u8> {
    if !asking.is_here() {
        if options.select.names_owners() {
            say(path, &format!("{}: --pid and --comm cannot be served", AskError::Elsewhere));
            return Err(1);
        }
        say(path, &format!("{}; owners and users are left out", AskError::Elsewhere));
    }
    // An owner that is not shown cannot be selected.
    if options.select.names_owners() && !rustix::process::geteuid().is_root() && !client::shows_all(path, PATIENCE) {
        let could = could(path, "name them", SHARE_ALL);
        complain(&format!("the owners of other users' sockets are unknown to this user: {could}"));
    }
    match client::coverage(&mut asking) {
        Ok(coverage) => Ok(EventSubscription { path: path.to_owned(), coverage, asking }),
        Err(error) => {
            say(path, &format!("{error}: {}", way_in(path, &error)));
            Err(1)
        }
    }
}

fn say(path: &Path, message: &str) {
    complain(&format!("agent {}: {message}", path.display()));
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

/// The agent's stream.
pub struct SubscribedEvents {
    path: PathBuf,
    coverage: CoverageRows,
    frames: EventStream,
    /// Whether the agent was asked to send no more than what was recorded by then.
    stopping: bool,
    /// Why the stream has ended, once it has.
    broken: Option<Broken>,
}

impl SubscribedEvents {
    /// The stream that this agent sends. Needs a runtime.
    ///
    /// # Errors
    /// The runtime cannot watch the connection.
    pub fn new(EventSubscription { path, coverage, asking }: EventSubscription) -> Result<Self, Failure> {
        let frames = EventStream::new(asking).map_err(Failure::Agent)?;
        Ok(Self { path, coverage, frames, stopping: false, broken: None })
    }
}

impl EventSource for SubscribedEvents {
    fn report(&self, whole: bool) {
        let hooks = self.coverage.hooks.iter().map(|row| (&*row.hook, row.variant.as_deref())).collect::<Vec<_>>();
        let outside = outside(self.coverage.cgroup_namespace);
        report_ready(&hooks, whole, &format!(" agent={}{outside}", self.path.display()));
    }

    async fn ready(&mut self) -> Result<(), Failure> {
        if self.broken.is_some() {
            return Ok(());
        }
        // An agent that hangs must not hold up the end.
        match self.frames.fill(self.stopping.then_some(PATIENCE)).await {
            Ok(true) => {}
            Ok(false) => self.broken = Some(Broken::Gone),
            Err(error) => self.broken = Some(error.into()),
        }
        Ok(())
    }

    /// Takes the frames that have arrived as a whole.
    fn take(&mut self, printer: &mut Printer<'_>, out: &mut Vec<u8>) -> Result<NextBatch, Failure> {
        while self.broken.is_none() && !printer.is_full() {
            let Some(answer) = self.frames.arrived() else { return Ok(NextBatch::Later) };
            match answer {
                Ok(Answer::Event(event)) => printer.event(out, event),
                Ok(Answer::Lost { time_ns, count }) => printer.lose(out, time_ns, count),
                Ok(Answer::Dropped(count)) => {
                    printer.lose(out, epoch_ns() + kernel_monotonic_ns(), count);
                    self.broken = Some(Broken::Dropped(count));
                }
                // Of a later release.
                Ok(Answer::Unknown(_)) => {}
                Ok(Answer::End) => self.broken = Some(Broken::Ended),
                Ok(_) => self.broken = Some(AskError::OffTopic.into()),
                Err(error) => self.broken = Some(error.into()),
            }
        }
        Ok(NextBatch::Never)
    }

    fn stop(&mut self) -> Result<(), Failure> {
        self.stopping = true;
        self.frames.stop();
        Ok(())
    }

    fn end(&mut self) -> Result<u8, Failure> {
        match &self.broken {
            None => Ok(0),
            Some(Broken::Ended) if self.stopping => Ok(0),
            Some(why) => {
                say(&self.path, &why.to_string());
                Ok(1)
            }
        }
    }
}
