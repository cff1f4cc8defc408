//! The sockets that ended a while ago, which the agent remembers, and what its memory lacks.

use super::asked::AskedFor;
use super::round::Round;
use crate::cli::names::SOCKET;
use crate::client::{self, AskError};
use crate::field::Need;
use crate::findings::gaps;
use crate::model::ClosedSocket;
use crate::proc::netns;
use crate::run::hint::way_in;
use crate::stdio::Written;
use crate::sys::{epoch_ns, kernel_monotonic_ns};
use std::path::Path;
use std::time::Duration;

/// Sockets that ended.
#[derive(Debug, Default)]
pub struct RecentSockets {
    /// Oldest first.
    pub list: Vec<ClosedSocket>,
    /// Whether owners of some are kept from this process, which were asked for.
    pub withholds_owners: bool,
}

/// The sockets that ended within this time, oldest first, in the namespaces that are wanted. `None` where no agent answers, which has
/// been reported then.
///
/// # Errors
/// A failure to write to standard output.
pub fn recent(asked: &AskedFor<'_>, within: Duration, round: &mut Round) -> Written<Option<RecentSockets>> {
    let path = asked.options.agent.path().unwrap_or(Path::new(SOCKET));
    let netns = match netns::own(&asked.proc) {
        _ if asked.reads_all_netns() => Ok(None),
        own => own.map(Some),
    };
    // An empty table would not be true of a namespace that the agent does not show.
    let named = asked.selected.named_netns();
    let shown = named.iter().try_for_each(|&netns| client::closed(path, Duration::ZERO, Some(netns), None).map(drop));
    let netns = shown.and_then(|()| netns.map_err(AskError::from));
    let mut notes = Vec::new();
    let asks_owners = asked.selected.needs().meets(Need::OWNERS);
    let mut withholds_owners = asks_owners && !client::shows_all(path, client::PATIENCE);
    // What is kept from this process is left out by no condition on it.
    let only = asked.selected.row_test(!withholds_owners);
    let closed = match netns.and_then(|netns| client::closed(path, within, netns, only)) {
        Ok(history) => {
            notes.extend(gaps(&history.past, history.crowd, within, epoch_ns() + kernel_monotonic_ns()));
            let mut closed = history.closed;
            if !history.here {
                withholds_owners = asks_owners;
                notes.push(format!("{}; owners and users are left out", AskError::Elsewhere));
                for ClosedSocket { socket, .. } in &mut closed {
                    (socket.owner, socket.uid) = (None, None);
                }
            }
            Some(closed)
        }
        Err(error) => {
            notes.push(match error {
                // It is there, and shows other namespaces.
                AskError::Refused(denial) if denial.hides_namespace => denial.reason,
                error => format!("{error}; --recent needs it: {}", way_in(path, &error)),
            });
            None
        }
    };
    let wanted = round.is_first() || closed.is_none();
    for note in notes.iter().filter(|_| wanted) {
        round.note(&format!("agent {}: {note}", path.display()))?;
    }
    Ok(closed.map(|list| RecentSockets { list, withholds_owners }))
}
