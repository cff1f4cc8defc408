//! Where the rows of this run come from: the agent where one answers, else the kernel.

use super::asked::AskedFor;
use super::plan::{AgentQuestion, Plan};
use super::round::Round;
use super::spaces::{self, spaces};
use crate::cli::classic::AgentChoice;
use crate::client::{self, AskError};
use crate::model::{NamespaceTables, RowsWanted};
use crate::proc::fds;
use crate::proc::netns::Namespace;
use crate::source::KernelSource;
use crate::stdio::Written;
use crate::sys;
use std::path::Path;
use std::time::Duration;

/// How long an agent may take to begin its answer: the kernel has the same rows.
const PATIENCE: Duration = Duration::from_secs(1);

/// The tables that the plan names: of the reader's own namespace, or of all of them; and, where it was begun beside, the look for the
/// processes that hold sockets.
///
/// # Errors
/// A failure to write to standard output.
pub fn read(
    asked: &AskedFor<'_>,
    plan: &Plan<'_>,
    source: &KernelSource,
    round: &mut Round,
) -> Written<(Vec<NamespaceTables>, Option<fds::Scan>)> {
    if let Some(question) = &plan.agent {
        match ask(&asked.proc, question, &plan.rows) {
            Ok((tables, scan)) => {
                if asked.reads_all_netns()
                    && asked.selected.named_netns().is_empty()
                    && !client::shows_all(question.path, PATIENCE)
                {
                    round.say_of_namespaces(asked.options)?;
                }
                spaces::report_unread(asked, &of_tables(&tables), round)?;
                return Ok((tables, scan));
            }
            // A stranger that answers in an agent's place is reported also where no agent was asked for, and with -v any agent that does not answer.
            Err(error)
                if question.is_named
                    || matches!(error, AskError::Stranger(_))
                    || asked.options.verbose && !error.is_nobody() =>
            {
                let path = question.path.display();
                round.note_at_first(&format!("agent {path}: {error}; reading the kernel instead"))?;
            }
            Err(_) => {}
        }
    }
    let look = source.look();
    let scan = plan.holders_beside.then(|| {
        look.expect(&plan.rows);
        look.holders()
    });
    let tables = if asked.reads_all_netns() {
        let namespaces = spaces(asked, round)?.into_iter().filter_map(|space| space.namespace).collect();
        source.of(namespaces, &plan.rows)
    } else {
        vec![NamespaceTables { netns: plan.own, name: None, tables: look.tables(&plan.rows) }]
    };
    spaces::report_unread(asked, &of_tables(&tables), round)?;
    Ok((tables, scan))
}

/// The namespaces that were read.
fn of_tables(tables: &[NamespaceTables]) -> Vec<u32> {
    tables.iter().filter_map(|space| space.netns).collect()
}

/// The tables of all namespaces, of which `namespaces` can be looked into without an agent; without owners. A namespace that cannot be read
/// is left out.
pub fn everywhere(
    agent: &AgentChoice,
    source: &KernelSource,
    namespaces: Vec<Namespace>,
    wanted: &RowsWanted,
) -> Vec<NamespaceTables> {
    let ask = |path: &Path| client::AgentTables::ask(path, PATIENCE, wanted.clone(), false, false)?.read();
    match agent.path().map(ask) {
        Some(Ok((tables, _))) => tables,
        _ => source.of(namespaces, wanted),
    }
}

/// Whether the agent shows this user all holders. It shows a user who may not look into every process no more than the kernel does. This process's own
/// scan begins when the connection is closed: that is a socket too, and what is found decides between netstat's warnings.
fn shows_holders(path: &Path) -> bool {
    // An agent that shares no more than users see themselves shows all holders to root and its own user only.
    match rustix::process::geteuid().is_root() {
        true => sys::may_list_all_descriptors(),
        false => client::shows_all(path, PATIENCE),
    }
}

/// Asks the agent for the rows, and at the same time for the holders.
fn ask(
    proc: &Path,
    question: &AgentQuestion<'_>,
    wanted: &RowsWanted,
) -> Result<(Vec<NamespaceTables>, Option<fds::Scan>), AskError> {
    let path = question.path;
    let holders_wanted = question.holders.as_ref().filter(|_| shows_holders(path));
    let few = holders_wanted.is_some_and(|holders| holders.of_rows_alone);
    let only = holders_wanted.map_or_else(|| wanted.only.clone(), |holders| holders.only.clone());
    // Where few rows may be left, only their holders are asked for, and come with them.
    let rows = client::AgentTables::ask(path, PATIENCE, RowsWanted { only, ..wanted.clone() }, question.recorded, few)?;
    if !rows.is_here() {
        return Err(AskError::Elsewhere);
    }
    let holders = |of| client::AgentHolders::ask(path, PATIENCE, of).ok();
    // Those of all at the same time.
    let all = holders_wanted.filter(|_| !few).and_then(|_| holders(Vec::new()));
    let (spaces, links) = rows.read()?;
    // Where the agent cannot say who holds what, the scan begins when it is asked for.
    let links = match (few, links) {
        (false, _) => all.and_then(|holders| holders.read().ok()),
        (true, Some(links)) => Some(links),
        // An agent of an earlier release sends them to another request.
        (true, None) => match spaces.iter().flat_map(NamespaceTables::inodes).collect::<Vec<u64>>() {
            none if none.is_empty() => Some(Vec::new()),
            of => holders(of).and_then(|holders| holders.read().ok()),
        },
    };
    let scan = if few { fds::Scan::of_some } else { fds::Scan::of };
    Ok((spaces, links.map(|links| scan(proc, links))))
}
