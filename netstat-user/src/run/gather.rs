//! Gathers what is known of sockets beyond their rows, where an expression, a column, an order or a count asks for it: the cgroup of the
//! owner and what it names, the process at the other end, ages.

mod ages;
mod infos;
mod peers;

pub use infos::Infos;

use super::table::asked::AskedFor;
use super::table::round::Round;
use super::table::sources::Sources;
use super::table::spaces::Space;
use crate::cgroups::Workloads;
use crate::cli::classic::AgentChoice;
use crate::client;
use crate::field::{Need, Provider};
use crate::model::visible::escape_word;
use crate::model::{ClosedSocket, Owner, SocketHolders, SocketRow, UnseenHolders, reason};
use crate::proc::netns::{self, Namespace};
use crate::stdio::Written;
use std::io;

/// The rows of a table that is listed, as far as they matter here.
#[derive(Clone, Copy, Debug)]
pub struct ListedTable<'a> {
    /// Inode number of the network namespace, for rows that do not carry it.
    pub netns: Option<u32>,
    /// The rows.
    pub rows: &'a [SocketRow],
    /// Owners that events recorded for rows nobody holds.
    pub recorded: &'a [(u32, Owner)],
    /// Sockets that ended, where they are listed.
    pub closed: &'a [ClosedSocket],
}

/// Why a network namespace was not looked into, for somebody to read; `None` where it has gone meanwhile.
fn unentered(space: &Space, error: &io::Error) -> Option<String> {
    let name = |namespace: &Namespace| match &namespace.name {
        Some(name) => String::from_utf8_lossy(&escape_word(name)).into_owned(),
        None => namespace.inode.to_string(),
    };
    let name = space.namespace.as_ref().map_or_else(|| "self".into(), name);
    (!netns::has_gone(error)).then(|| format!("network namespace `{name}' cannot be entered: {}", reason(error)))
}

/// Ids and paths of cgroups that were removed, from the agent if it saw them.
fn removed(agent: &AgentChoice, ids: &[u64]) -> Vec<(u64, Vec<u8>)> {
    agent.path().map_or_else(Vec::new, |path| client::cgroups(path, ids))
}

/// What the processes that hold sockets run as part of, and those that may hold them. Who has ended by now is none by which anything can be decided.
fn workloads_of(asked: &AskedFor<'_>, owners: &mut SocketHolders) -> Workloads {
    let mut workloads = Workloads::new(&asked.proc);
    owners.holders().chain(owners.unseen.known()).for_each(|holder| workloads.look_up(holder.pid));
    owners.lose_all_of(workloads.ended());
    workloads
}

/// Reports what could not be read of the processes that were looked up.
fn report(workloads: &Workloads, round: &mut Round) -> Written<()> {
    workloads.failure().map_or(Ok(()), |error| round.report_processes(error))
}

/// Where something of a process could not be read, it may be of any holder.
fn forget_what_failed(owners: &mut SocketHolders, round: &Round) {
    if round.lacks_processes() {
        owners.unseen = UnseenHolders::Anybody;
    }
}

/// What was gathered for a table.
#[derive(Default)]
pub struct Gathered {
    providers: Vec<Box<dyn Provider>>,
}

impl Gathered {
    /// Gathers for Internet sockets what is asked for; `owners` are those of the rows, and get those that may hold them besides.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn inet(
        asked: &AskedFor<'_>,
        listed: &[ListedTable<'_>],
        owners: &mut SocketHolders,
        sources: &mut Sources,
        round: &mut Round,
    ) -> Written<Self> {
        let need = asked.selected.needs();
        let mut providers: Vec<Box<dyn Provider>> = Vec::new();
        sources.add_unseen(asked, owners);
        if need.meets(Need::CGROUPS) {
            let mut workloads = workloads_of(asked, owners);
            let recorded = listed.iter().flat_map(|table| table.recorded).map(|(_, owner)| owner);
            let closed = listed.iter().flat_map(|table| table.closed).filter_map(|closed| closed.socket.owner.as_ref());
            let owners: Vec<&Owner> = recorded.chain(closed).collect();
            owners.iter().for_each(|owner| workloads.look_up_recorded(owner));
            let missing = workloads.missing();
            if !missing.is_empty() {
                workloads.learn(removed(&asked.options.agent, &missing));
                owners.iter().for_each(|owner| workloads.look_up_recorded(owner));
            }
            report(&workloads, round)?;
            providers.push(Box::new(workloads));
        }
        if need.meets(Need::PEERS) {
            providers.push(Box::new(peers::InetPeers::gather(asked, need, listed, sources, round)?));
        }
        if need.meets(Need::AGES) {
            providers.push(Box::new(ages::Ages::gather(asked, listed, round)?));
        }
        if need.meets(Need::INFO.or(Need::DIAG).or(Need::BINDING)) {
            let rows = listed.iter().flat_map(|table| table.rows.iter().map(|row| (table.netns, row)));
            providers.push(Box::new(Infos::gather(asked, need, rows, round)?));
        }
        forget_what_failed(owners, round);
        Ok(Self { providers })
    }

    /// Gathers for UNIX sockets what is asked for; `inodes` are those of the rows, `owners` theirs, and get those that may hold them
    /// besides.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn unix(
        asked: &AskedFor<'_>,
        inodes: &[u64],
        owners: &mut SocketHolders,
        sources: &mut Sources,
        round: &mut Round,
    ) -> Written<Self> {
        let need = asked.selected.needs();
        let mut providers: Vec<Box<dyn Provider>> = Vec::new();
        sources.add_unseen(asked, owners);
        if need.meets(Need::CGROUPS) {
            let workloads = workloads_of(asked, owners);
            report(&workloads, round)?;
            providers.push(Box::new(workloads));
        }
        if need.meets(Need::PEERS) {
            providers.push(Box::new(peers::UnixPeers::gather(asked, need, inodes, sources, round)?));
        }
        forget_what_failed(owners, round);
        Ok(Self { providers })
    }

    /// Whom the fields of rows are asked of.
    pub fn providers(&self) -> Vec<&dyn Provider> {
        self.providers.iter().map(|provider| &**provider).collect()
    }
}
