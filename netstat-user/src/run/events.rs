//! `events`: what happens to sockets becomes lines on standard output, traced here or read from an agent.

mod follower;
mod owners;
mod subscribed;
mod traced;

use super::{
    failure::Failure,
    hint,
    printing::{Chosen, Printer},
    resolve::unknown_names,
};
use crate::{
    cli::Refusal,
    cli::events::Options,
    cli::help::mistake,
    cli::names::{EVENTS, SOCKET},
    daemon::privileges,
    kernel::AttachError,
    stdio::{
        complain,
        debug::log_debug,
        lines, print,
        streaming::{Asked, Stop},
    },
    sys,
};
use follower::EventFollower;
use std::path::Path;
use subscribed::SubscribedEvents;
use traced::{TracedEvents, start_unless_stopped};

/// Serves the request and returns the exit code.
///
/// # Errors
/// A [`Failure`].
pub fn run(options: &Options) -> Result<u8, Failure> {
    if options.debug {
        log_debug();
    }
    let chosen = match Chosen::new(options) {
        Ok(chosen) => chosen,
        Err(error) => {
            let refusal = mistake::wrong(EVENTS, &error);
            return Ok(super::refuse(&if error.is_denied() { Refusal { exit: 1, ..refusal } } else { refusal }));
        }
    };
    for unknown in unknown_names(options.selection.expr.as_ref(), true) {
        complain(&unknown);
    }
    let subscription = match subscribed::ask(options, &chosen) {
        Ok(subscription) => subscription,
        Err(code) => return Ok(code),
    };
    let runtime = sys::runtime().map_err(Failure::Runtime)?;
    let outcome = runtime.block_on(async {
        let asked = Asked::new().map_err(Failure::Runtime)?;
        match subscription {
            Some(subscription) => {
                EventFollower::new(options, &chosen, SubscribedEvents::new(subscription)?)?.run(asked).await
            }
            None => trace(options, &chosen, asked).await,
        }
    });
    // A write that nobody reads must not hold up the end. What is still being loaded goes with this process.
    runtime.shutdown_background();
    outcome
}

async fn trace(options: &Options, chosen: &Chosen, mut asked: Asked) -> Result<u8, Failure> {
    match start_unless_stopped(options, chosen, &mut asked).await {
        Ok(Ok((tracer, owners))) => {
            // Nothing is loaded from here on; what may have to be attached again takes more than the rest.
            if let Some(refusal) = privileges::drop_to(!tracer.is_settled(), None).refusal() {
                complain(&refusal);
            }
            EventFollower::new(options, chosen, TracedEvents::new(tracer, owners)?)?.run(asked).await
        }
        Ok(Err(error)) => {
            let mut said = error.to_string();
            if options.agent.is_none() && matches!(error, AttachError::Capabilities(_)) {
                said += &format!("; {}", hint::could(Path::new(SOCKET), "serve events", ""));
            }
            complain(&said);
            Ok(1)
        }
        Err(Stop::Asked) => nothing(options, chosen),
        Err(Stop::Closed) => Ok(0),
    }
}

/// The end of a run that was stopped before it began.
fn nothing(options: &Options, chosen: &Chosen) -> Result<u8, Failure> {
    let (printer, mut out) = (Printer::new(options, chosen), Vec::new());
    printer.end(&mut out);
    print(&out)?;
    lines::write(format!("{}\n", printer.summary()).as_bytes());
    Ok(0)
}
