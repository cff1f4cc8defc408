//! What the agent answers in one piece: sockets that ended, sockets that live, cgroups, its health.

use super::{AskError, Asking};
use crate::model::{ClosedSocket, LiveSocket, RowTest};
use crate::query::{Answer, CGROUPS, CoverageRows, Crowd, Health, Past, Request, Status};
use std::path::Path;
use std::time::Duration;

/// What the agent knows of sockets that ended.
#[derive(Debug)]
pub struct History {
    /// Oldest first.
    pub closed: Vec<ClosedSocket>,
    /// How far back they reach.
    pub past: Past,
    /// Whose sockets found no room.
    pub crowd: Option<Crowd>,
    /// Whether the agent's process and user numbers are ours.
    pub here: bool,
}

/// The sockets that ended within this time, in one network namespace or in all. What `only` does not let through may be left out.
///
/// # Errors
/// The agent does not answer as it should.
pub fn closed(path: &Path, within: Duration, netns: Option<u32>, only: Option<RowTest>) -> Result<History, AskError> {
    // None at all may be wanted, and then is the time since which they are known.
    let recent_ns = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX).max(1);
    let limited = only.is_some();
    let request = Request::Table { live: false, recent_ns, netns, age_ns: 0, only }.fitting();
    let answers = Asking::new(path, &request)?;
    if limited && !answers.is_here() {
        // Processes and users that have other numbers here are unknown, and the conditions are to be asked of that. Of one user the agent serves
        // one such request at a time: this one first has to end.
        drop(answers);
        return closed(path, within, netns, None);
    }
    let mut history = History { closed: Vec::new(), past: Past::default(), crowd: None, here: answers.is_here() };
    answers.each(|answer| match answer {
        Answer::Closed(socket) => {
            history.closed.push(socket);
            Ok(())
        }
        Answer::Since(past, crowd) => {
            (history.past, history.crowd) = (past, crowd);
            Ok(())
        }
        _ => Err(AskError::OffTopic),
    })?;
    history.closed.reverse();
    Ok(history)
}

/// Hands over every socket that lives, in one network namespace or in all, as the agent knows it if it has compared its table with the kernel's lists
/// within `age`.
///
/// # Errors
/// The agent does not answer as it should.
pub fn live(path: &Path, netns: Option<u32>, age: Duration, mut take: impl FnMut(LiveSocket)) -> Result<(), AskError> {
    let age_ns = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
    Asking::new(path, &Request::Table { live: true, recent_ns: 0, netns, age_ns, only: None })?.each(|answer| {
        match answer {
            Answer::Live(socket) => {
                take(socket);
                Ok(())
            }
            _ => Err(AskError::OffTopic),
        }
    })
}

/// Ids and paths of cgroups, as far as the agent knows them; an older agent knows none.
pub fn cgroups(path: &Path, ids: &[u64]) -> Vec<(u64, Vec<u8>)> {
    let ask = |ids: &[u64]| {
        let mut known = Vec::new();
        Asking::new(path, &Request::Cgroups(ids.to_vec()))?.each(|answer| match answer {
            Answer::Cgroups(paths) => {
                known.extend(paths);
                Ok(())
            }
            _ => Err(AskError::OffTopic),
        })?;
        Ok::<_, AskError>(known)
    };
    ids.chunks(CGROUPS).map_while(|ids| ask(ids).ok()).flatten().collect()
}

/// Whether the agent, which is to begin its answer within this time, shows this process's user everything.
pub fn shows_all(path: &Path, patience: Duration) -> bool {
    let user = rustix::process::geteuid();
    if user.is_root() {
        return true;
    }
    let mut shows_all = false;
    let asked = Asking::within(patience, path, &Request::Status).and_then(|asking| {
        asking.each(|answer| {
            if let Answer::Status(status) = answer {
                shows_all = status.shares_all || status.uid == user.as_raw();
            }
            Ok(())
        })
    });
    asked.is_ok() && shows_all
}

/// How the agent is, what it traces, and what hinders it; and whether its process and user numbers are ours.
///
/// # Errors
/// The agent does not answer as it should.
pub fn health(path: &Path) -> Result<(Status, CoverageRows, Health, bool), AskError> {
    let mut all = (Status::default(), CoverageRows::default(), Health::default());
    let asking = Asking::new(path, &Request::Health)?;
    let is_here = asking.is_here();
    asking.each(|answer| {
        match answer {
            Answer::Status(status) => all.0 = status,
            Answer::Coverage(coverage) => all.1 = coverage,
            Answer::Health(health) => all.2 = health,
            _ => return Err(AskError::OffTopic),
        }
        Ok(())
    })?;
    let (status, coverage, health) = all;
    Ok((status, coverage, health, is_here))
}
