//! Since when sockets are there and in their states, which an agent knows.

use super::ListedTable;
use crate::client::{self, AskError};
use crate::field::{Field, Need, Provider, Subject, Value};
use crate::model::{Endpoint, Ends, EventEnd, LiveSocket, SocketRow, TcpState};
use crate::proc::netns;
use crate::run::hint::way_in;
use crate::run::table::asked::AskedFor;
use crate::run::table::round::Round;
use crate::stdio::Written;
use crate::sys::{epoch_ns, kernel_monotonic_ns};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// When a socket was opened or first seen, and when it entered its state; in nanoseconds since the epoch.
type Times = (u64, u64);

/// How long ago the agent may have compared its table with the kernel's lists, where every row is in it and where not. Events bring what opens and
/// changes at once, and after a loss the agent compares anyway; what only a list shows has no older time than that of the list.
const NEW_ENOUGH: Duration = Duration::from_secs(3600);
const FRESH: Duration = Duration::from_secs(10);

/// What the agent knows.
#[derive(Debug, Default)]
pub struct Ages {
    now_ns: u64,
    by_cookie: HashMap<u64, Times>,
    /// Sockets that have no cookie yet: by namespace and inode.
    by_inode: HashMap<(Option<u32>, u64), Times>,
    /// Minisockets and requests, which have neither in some lists: by namespace, protocol and ends.
    by_ends: HashMap<Ends, Times>,
}

impl Ages {
    /// Asks the agent for the ages of the rows that are listed. Where none answers, nothing is known, and that is reported on standard error in the first round.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn gather(asked: &AskedFor<'_>, listed: &[ListedTable<'_>], round: &mut Round) -> Written<Self> {
        let path = asked.options.agent.path();
        let own = if asked.reads_all_netns() { Ok(None) } else { netns::own(&asked.proc).map(Some) };
        let ages = match path {
            Some(path) => own.map_err(AskError::from).and_then(|netns| Self::ask(path, netns, listed)),
            None => Ok(Self::default()),
        };
        let note = match (&ages, path) {
            (Ok(_), Some(_)) => None,
            (Ok(_), None) => Some("ages need the agent, which --no-agent excludes: they are null".to_owned()),
            (Err(error), Some(path)) => Some(format!(
                "agent {}: {error}; without it the ages are null; to have them: {}",
                path.display(),
                way_in(path, error)
            )),
            (Err(_), None) => None,
        };
        if let Some(note) = note {
            round.note_at_first(&note)?;
        }
        Ok(ages.unwrap_or_default())
    }

    fn ask(path: &Path, netns: Option<u32>, listed: &[ListedTable<'_>]) -> Result<Self, AskError> {
        let mut ages = Self::default();
        client::live(path, netns, NEW_ENOUGH, |socket| ages.add(&socket))?;
        // No event reports that an orphan has left a minisocket: a list does, and the agent remembers whose it is.
        let is_left = |row: &SocketRow| row.inode == 0 && row.state == TcpState::FinWait2 as u8;
        for (age, is_meant) in [(FRESH, (|_| true) as fn(&SocketRow) -> bool), (Duration::ZERO, is_left)] {
            let lacks = |table: &ListedTable<'_>| {
                table.rows.iter().any(|row| is_meant(row) && ages.of(table.netns, row).is_none())
            };
            if listed.iter().any(lacks) {
                // The ages found before stay.
                if let Err(error) = client::live(path, netns, age, |socket| ages.add(&socket)) {
                    log::debug!("ages of rows that are not in the agent's table: {error}");
                }
            }
        }
        ages.now_ns = epoch_ns() + kernel_monotonic_ns();
        Ok(ages)
    }

    fn add(&mut self, socket: &LiveSocket) {
        let times = (socket.seen_ns, socket.state_ns);
        if let Some(cookie) = socket.cookie {
            self.by_cookie.insert(cookie, times);
        }
        if socket.inode != 0 {
            self.by_inode.insert((socket.netns, socket.inode), times);
        } else if let (Some(local), Some(remote)) = (socket.local, socket.remote) {
            self.by_ends.insert((socket.netns, socket.proto, local, remote), times);
        }
    }

    fn of(&self, netns: Option<u32>, row: &SocketRow) -> Option<Times> {
        let by_cookie = row.cookie.and_then(|cookie| self.by_cookie.get(&cookie));
        let by_inode = || self.by_inode.get(&(netns, row.inode)).filter(|_| row.inode != 0);
        let end = |end: Endpoint| EventEnd { addr: end.addr, port: Some(end.port) };
        let by_ends = || {
            let ends = (netns, row.proto, end(row.local), end(row.remote));
            self.by_ends.get(&ends).filter(|_| row.inode == 0 && row.cookie.is_none())
        };
        by_cookie.or_else(by_inode).or_else(by_ends).copied()
    }
}

impl Provider for Ages {
    fn provides(&self) -> Need {
        Need::AGES
    }

    fn value<'a>(&'a self, subject: &Subject<'a>, field: Field) -> Value<'a> {
        let times = match *subject {
            Subject::Inet { row, netns, .. } => self.of(netns, row),
            _ => None,
        };
        let Some((seen_ns, state_ns)) = times else { return Value::Null };
        let since = match field {
            Field::AgeNs => seen_ns,
            Field::StateAgeNs => state_ns,
            _ => return Value::Null,
        };
        Value::Number(self.now_ns.saturating_sub(since))
    }
}
