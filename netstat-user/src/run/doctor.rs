//! `doctor`: what the agent says of itself, or what a short trial of one's own shows.

pub mod closing;

use super::hint::way_in;
use super::shielded;
use crate::cli::doctor::Options;
use crate::cli::names::SOCKET;
use crate::client::{self, AskError, place};
use crate::findings::{hook, missed, of_status};
use crate::kernel::{self, AttachError, Tracer, Wanted};
use crate::model::{Check, Level};
use crate::proc::fds;
use crate::query::{CoverageRows, Health, Status};
use crate::source::{KernelSource, RowNeeds};
use crate::stdio::waiting::WaitNote;
use crate::stdio::{Written, print, screen};
use crate::sys::{self, Scarce, epoch_ns, kernel_monotonic_ns};
use crate::view::doctor::Report;
use std::io;
use std::path::Path;

/// Buffer of the trial: nothing is read from it.
const TRIAL_BUFFER: u32 = 64 << 10;

/// Serves the request and returns the exit code.
///
/// # Errors
/// A failure to write to standard output.
pub fn run(options: &Options) -> Written<u8> {
    let path = options.agent.as_deref().unwrap_or(Path::new(SOCKET));
    let asked = (!options.no_agent).then(|| {
        let _waiting = WaitNote::start("an answer of the agent");
        client::health(path)
    });
    let report = match asked {
        Some(Ok((status, coverage, health, is_here))) => {
            let mut report = of_agent(path, &status, &coverage, health);
            report.checks.extend((!is_here).then(elsewhere));
            report
        }
        Some(Err(error)) if options.agent.is_some() => {
            let check = no_answer(path, &error, Level::Bad, "");
            Report { source: silence(&error).into(), checks: vec![check], ..Report::default() }
        }
        other => trial(other.and_then(Result::err).as_ref()),
    };
    let mut out = Vec::new();
    if options.json {
        report.json(&mut out);
    } else {
        report.text(&mut out, screen::is_coloured(options.color), screen::width());
    }
    print(&out)?;
    Ok(u8::from(report.verdict() == Level::Bad))
}

/// That the agent gave no answer, and what lacks then; what ran out here is named in its place.
fn no_answer(path: &Path, error: &AskError, level: Level, without: &str) -> Check {
    let scarce = if let AskError::Io(error) = error { Scarce::below(error) } else { None };
    let name = scarce.map_or("agent", Scarce::name);
    Check::amiss(name, level, format!("{}: {error}{without}", path.display()), way_in(path, error))
}

/// What is known of an agent that gave no answer.
fn silence(error: &AskError) -> &'static str {
    match error {
        AskError::Io(error) if Scarce::below(error).is_some() => "The agent could not be asked",
        AskError::Io(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            "The agent does not answer in time"
        }
        AskError::Io(_) => "No agent answers",
        AskError::Refused(denial) if denial.is_busy => "The agent is busy",
        _ => "The agent gives no answer that can be used",
    }
}

fn of_agent(path: &Path, status: &Status, coverage: &CoverageRows, health: Health) -> Report {
    let mut checks = health.checks;
    checks.extend(of_status(status, epoch_ns() + kernel_monotonic_ns()));
    let mend = "kill -HUP the agent: it sets its table right from the kernel's lists";
    checks.extend(missed(kernel::missed(&health.programs), status.lost, mend));
    Report {
        source: format!("The agent on {}, process {}", path.display(), status.pid),
        hooks: coverage.hooks.iter().map(hook).collect(),
        checks,
        programs: health.programs,
    }
}

/// What it means that the agent is in another PID or user namespace.
fn elsewhere() -> Check {
    let mut found =
        "the agent is in another PID or user namespace: tables are read without it, and events have no owners and users"
            .to_owned();
    if kernel::is_contained() {
        found += "; what this process holds, it holds in its user namespace only: it can trace nothing itself";
    }
    let mend = if kernel::is_contained() { kernel::OUTSIDE } else { "run it where the agent runs" };
    Check::amiss("namespace", Level::Note, found, mend)
}

/// The processes that the kernel shows to nobody, if there are any: that their sockets have no owner is not for want of rights.
fn shielded_processes() -> Option<Check> {
    if !shielded::may_look() {
        return None;
    }
    let denied = fds::denied_at(Path::new("/proc")).ok()?;
    let found = format!("{}; their sockets that are older than the tracer have no owner", shielded::words(&denied)?);
    let mend = "see what confines this process: cat /proc/self/attr/current, dmesg";
    Some(Check::amiss("shielded", Level::Note, found, mend))
}

/// Threads that `events` cannot do without: one that looks for holders, and one that writes to a pipe or a terminal.
const THREADS_OF_EVENTS: usize = 2;

/// Whether there is room for the threads of `events`; `None` where there is.
fn without_threads() -> Option<Check> {
    let scarce = Scarce::of(&sys::try_threads(THREADS_OF_EVENTS).err()?).unwrap_or(Scarce::Tasks);
    let found = format!("events cannot start: {}", scarce.words());
    Some(Check::amiss(scarce.name(), Level::Bad, found, AttachError::Scarce(scarce).mend()))
}

/// Attaches the programs for a moment.
fn trial(no_agent: Option<&AskError>) -> Report {
    // Before one of our own takes the room.
    let no_threads = without_threads();
    let _waiting = WaitNote::start("the kernel programs to be attached for a trial");
    let mut report = Report { checks: kernel::checks(), ..Report::default() };
    if place().pidns == 0 {
        report.checks.push(Check::amiss(
            "proc",
            Level::Bad,
            "/proc is not that of this PID namespace",
            "mount -t proc proc /proc",
        ));
    }
    let source = KernelSource::new(Path::new("/proc"), RowNeeds { lasting: true, ..RowNeeds::default() });
    source.prepare();
    report.checks.push(source.check());
    report.checks.push(closing::check(Path::new("/proc")));
    report.checks.extend(shielded_processes());
    let started = Tracer::start(&Wanted { ring_bytes: TRIAL_BUFFER, ..Wanted::default() });
    report.source = match &started {
        Ok(_) => "Hooks attached here for a moment",
        Err(AttachError::Capabilities(_)) => "No hook was attached: this user may not trace",
        Err(AttachError::TooOld(_)) => "No hook was attached: the kernel is too old",
        Err(_) => "No hook could be attached",
    }
    .into();
    match started {
        // The checks above name what is missing.
        Err(AttachError::Capabilities(_) | AttachError::TooOld(_)) => {}
        Ok(tracer) => {
            report.hooks = CoverageRows::from(tracer.coverage()).hooks.iter().map(hook).collect();
            report.programs = tracer.programs();
            report.checks.extend(tracer.stand_ins());
            let mend = "netstat-user events says how many events are lost, if any";
            report.checks.extend(missed(kernel::missed(&report.programs), tracer.lost().unwrap_or(0), mend));
        }
        Err(error) => {
            let name = error.scarce().map_or("tracing", Scarce::name);
            report.checks.push(Check::amiss(name, Level::Bad, error.to_string(), error.mend()));
        }
    }
    report.checks.extend(no_threads);
    if let Some(error) = no_agent {
        report.checks.push(no_answer(Path::new(SOCKET), error, Level::Note, ": --recent cannot be served"));
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent that is there is not to be started again, and what ran out here is not the agent's.
    #[test]
    fn what_is_known_of_a_silent_agent_is_said() {
        let path = Path::new("/x");
        let found = |error: io::Error| {
            let error = AskError::Io(error);
            let check = no_answer(path, &error, Level::Bad, "");
            (silence(&error), check.name, check.mend.unwrap_or_default())
        };
        let (source, name, mend) = found(io::ErrorKind::TimedOut.into());
        assert!(source.ends_with("in time") && name == "agent" && !mend.contains("as root"), "{mend}");
        let (source, name, mend) = found(io::Error::from_raw_os_error(libc::ENFILE));
        assert!(source.ends_with("be asked") && name == "open_files" && !mend.contains("as root"), "{mend}");
        let (source, name, mend) = found(io::ErrorKind::NotFound.into());
        assert!(source == "No agent answers" && name == "agent" && mend.starts_with("as root: "), "{mend}");
    }
}
