//! `agent`: the tracer as its source of events, /proc as its lists, a UNIX socket for its clients.

mod machine;
mod traced;

use super::failure::Failure;
use super::ready::{report, report_proc};
use super::refuse;
use crate::agent::{self, Admission, Notice, Settings, Signal};
use crate::cgroups::Seen;
use crate::cli::agent::{Options, Privileges, Share};
use crate::cli::help::mistake::wrong;
use crate::cli::names::AGENT;
use crate::client;
use crate::daemon::accounts::{self, GroupError, UserError};
use crate::daemon::bound::watch::{hand, stay_reachable};
use crate::daemon::bound::{BindError, Bound};
use crate::daemon::{manager, privileges, signals};
use crate::findings::not_remembered_yet;
use crate::kernel::{AttachError, Tracer, Wanted};
use crate::query::Status;
use crate::stdio::complain;
use crate::stdio::lines::{self, ErrorQueue};
use crate::stdio::waiting::WaitNote;
use crate::sys::{self, why_below};
use crate::table::Retention;
use crate::view::text::counted;
use machine::Machine;
use rustix::time::ClockId;
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;
use traced::Traced;

/// Serves the request and returns the exit code.
///
/// # Errors
/// No descriptor, thread or signal handler to wait with; what goes wrong otherwise is reported on standard error.
pub fn run(options: &Options) -> Result<u8, Failure> {
    sys::allow_descriptors();
    let runtime = sys::runtime().map_err(Failure::Runtime)?;
    // From here on a signal ends the agent in order, also while it still begins.
    let signals =
        runtime.block_on(async { signals::receive(Signal::Resync, Signal::Stop) }).map_err(Failure::Runtime)?;
    // Nobody who serves waits for whoever reads standard error.
    let standard_error = ErrorQueue::open();
    let outcome = start(options, &standard_error);
    match outcome {
        Ok((bound, tracer, group, machine)) => {
            let served = runtime.block_on(serve(options, bound, tracer, machine, group, signals));
            // A look at /proc that nobody waits for any more must not hold up the end.
            runtime.shutdown_background();
            match served {
                Ok(status) => {
                    if status.forgotten > 0 {
                        complain(&format!("agent: {}", not_remembered_yet(status.forgotten)));
                    }
                    complain(&format!("agent: {}, {} lost", counted(status.events, "event", "events"), status.lost));
                }
                Err(error) => {
                    complain(&format!("agent: {}", why_below(&error)));
                    return Ok(1);
                }
            }
            Ok(0)
        }
        Err(error) if error.is_mistake() => Ok(refuse(&wrong(AGENT, &error))),
        Err(error) => {
            complain(&error.to_string());
            Ok(1)
        }
    }
}

/// Has the programs attached and the socket bound, and gives up what the agent needs no more.
fn start(options: &Options, standard_error: &ErrorQueue) -> Result<(Bound, Tracer, Option<u32>, Machine), StartError> {
    let group = options.group.as_deref().map(accounts::group).transpose()?;
    let user = accounts::user(options.user.as_deref())?;
    let uid = user.as_ref().map(|user| user.uid.as_raw());
    let bound = Bound::new(&options.socket, options.mode, group, uid)?;
    let wanted = Wanted { ring_bytes: options.buffer, remember: options.remember, ..Wanted::default() };
    let waiting = WaitNote::start("the kernel programs to be attached");
    let mut tracer = sys::undisturbed(|| Tracer::start(&wanted))?;
    // Its thread must not be there when privileges are given up.
    drop(waiting);
    report_proc("agent: ");
    report(tracer.coverage(), false);
    let is_asked = options.share == Share::Own && (options.mode & 0o002 != 0 || group.is_some());
    let mut machine = Machine::new(is_asked, recent_ns(options)).map_err(StartError::Starved)?;
    sys::undisturbed(|| machine.prepare());
    // No other thread is there yet: what is given up here is given up by all.
    if options.privileges == Privileges::Least {
        tracer.settle();
    }
    let mut held = privileges::drop_to(options.privileges == Privileges::Full, user.as_ref());
    held.try_threads();
    if let Some(refusal) = held.refusal() {
        complain(&format!("agent: {refusal}"));
    }
    machine.add_checks(held.checks());
    standard_error.write(confine).map_err(StartError::Starved)?;
    Ok((bound, tracer, group, machine))
}

/// Why the agent cannot start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error(transparent)]
    User(#[from] UserError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Attach(#[from] AttachError),
    #[error("agent: {}", why_below(.0))]
    Starved(#[source] io::Error),
}

impl StartError {
    /// Whether the command line names what is not there.
    const fn is_mistake(&self) -> bool {
        matches!(self, Self::Group(_) | Self::User(_) | Self::Bind(BindError::Nameless(_)))
    }
}

/// How long closed sockets are kept, in nanoseconds.
fn recent_ns(options: &Options) -> u64 {
    u64::try_from(options.recent.as_nanos()).unwrap_or(u64::MAX)
}

async fn serve(
    options: &Options,
    mut bound: Bound,
    tracer: Tracer,
    machine: Machine,
    group: Option<u32>,
    signals: mpsc::Receiver<Signal>,
) -> io::Result<Status> {
    let (doors, listeners) = mpsc::channel(1);
    let listener = bound.listener().ok_or(io::ErrorKind::NotConnected)?;
    hand(&doors, listener)?;
    let admission = Admission {
        uid: rustix::process::geteuid().as_raw(),
        gid: group,
        everyone: options.mode & 0o002 != 0,
        shares_all: options.share == Share::All,
    };
    let settings = Settings {
        limits: Retention { recent_ns: recent_ns(options), recent_count: options.recent_count },
        clients: places(options.clients)?,
        poll: options.poll,
        place: client::place(),
        admission,
        confine,
        complain: |what| complain(&format!("agent: {what}")),
    };
    let path = options.socket.display();
    let mut serving = false;
    let mut waiting = Some(WaitNote::start("the sockets that are there to be listed"));
    let notice = |notice| {
        let message = match notice {
            Notice::Ready => "READY=1".to_owned(),
            // The manager takes a READY=1 from before this time for the old one.
            Notice::Reloading => {
                format!("RELOADING=1\nMONOTONIC_USEC={}", sys::clock_ns(ClockId::Monotonic) / 1000)
            }
        };
        if notice == Notice::Ready && !std::mem::replace(&mut serving, true) {
            drop(waiting.take());
            lines::say(format!("agent: serving {path}\n").as_bytes());
        }
        if let Err(error) = manager::notify(message.as_bytes()) {
            complain(&format!("agent: cannot reach $NOTIFY_SOCKET: {error}"));
        }
    };
    let cgroups = Seen::new(Arc::clone(&machine.cgroups))?;
    let source = Traced::new(tracer, options.buffer, cgroups, Arc::clone(&machine.finder))?;
    let status = tokio::select! {
        status = agent::run(listeners, signals, source, machine, settings, notice) => status,
        never = stay_reachable(&mut bound, doors, complain) => match never {},
    };
    // The service manager may have gone.
    let _ = manager::notify(b"STOPPING=1");
    status
}

/// What a thread does that looks at nothing itself. One that may do more than it needs serves all the same; that has been reported.
fn confine() {
    drop(privileges::drop_all());
}

/// Descriptors that clients do not get: for listing, for the threads that serve, and for those who are being refused.
const RESERVED: u64 = 96;

/// Fewer places than these are not worth an agent: a user's share of them, and one that is root's, would be none.
const FEWEST: usize = 16;

/// There is room for fewer clients than are wanted.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "room for {} only: raise the number of open files (ulimit -n) for {wanted}",
    counted(*.left as u64, "client", "clients")
)]
struct ClientRoom {
    left: usize,
    wanted: usize,
}

/// How many clients can be served at a time, and what is left for the rest all the same.
///
/// # Errors
/// Too few.
fn places(wanted: usize) -> io::Result<usize> {
    let left = usize::try_from(sys::descriptors_left().saturating_sub(RESERVED)).unwrap_or(usize::MAX);
    let room = ClientRoom { left, wanted };
    if left < wanted.min(FEWEST) {
        return Err(io::Error::other(room));
    }
    if left < wanted {
        complain(&format!("agent: {room}"));
    }
    Ok(wanted.min(left))
}
