//! Where the rows of this run come from: the agent where one answers, else the kernel.

use super::asked::AskedFor;
use super::plan::{AgentQuestion, Plan};
use super::round::Round;
use super::spaces::{self, spaces};
use crate::cli::agent::SOCKET;
use crate::cli::classic::AgentChoice;
use crate::client::{self, AskError};
use crate::model::{ClosedSocket, NamespaceTables, RowsWanted};
use crate::proc::netns::Namespace;
use crate::proc::{fds, netns};
use crate::query::{Crowd, Past};
use crate::run::clock::{epoch_ns, monotonic_ns};
use crate::run::hint::way_in;
use crate::source::KernelSource;
use crate::stdio::Written;
use crate::view::text::{counted, span};
use std::path::Path;
use std::time::Duration;

/// `CAP_DAC_OVERRIDE`, `CAP_DAC_READ_SEARCH` and `CAP_SYS_PTRACE`, of `include/uapi/linux/capability.h`.
const CAP_DAC_OVERRIDE: u32 = 1;
const CAP_DAC_READ_SEARCH: u32 = 2;
const CAP_SYS_PTRACE: u32 = 19;

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
        match ask(asked, question, &plan.rows) {
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
            // Who answers in an agent's place is worth a word also where nobody asked for one.
            Err(error) if question.is_named || matches!(error, AskError::Stranger(_)) => {
                let path = question.path.display();
                round.note_at_first(&format!("agent {path}: {error}; reading the kernel instead"))?;
            }
            Err(_) => {}
        }
    }
    let scan = plan.holders_beside.then(|| {
        source.expect(&plan.rows);
        source.holders()
    });
    let tables = if asked.reads_all_netns() {
        let namespaces = spaces(asked, round)?.into_iter().filter_map(|space| space.namespace).collect();
        source.of(namespaces, &plan.rows)
    } else {
        vec![NamespaceTables { netns: plan.own, name: None, tables: source.own(&plan.rows) }]
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

/// The sockets that ended within this time, oldest first, in the namespaces that are wanted. `None` where no agent answers, which has
/// been reported then.
///
/// # Errors
/// A failure to write to standard output.
pub fn recent(asked: &AskedFor<'_>, within: Duration, round: &mut Round) -> Written<Option<Vec<ClosedSocket>>> {
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
    let closed = match netns.and_then(|netns| client::closed(path, within, netns, asked.selected.row_test(true))) {
        Ok(history) => {
            notes.extend(gaps(&history.past, history.crowd, within, epoch_ns() + monotonic_ns()));
            let mut closed = history.closed;
            if !history.here {
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
    Ok(closed)
}

/// What the sockets that closed within this time lack, in lines for the user.
fn gaps(past: &Past, crowd: Option<Crowd>, within: Duration, now_ns: u64) -> Vec<String> {
    let ago_ns = |time_ns: u64| now_ns.saturating_sub(time_ns);
    let mut gaps = Vec::new();
    let known_ns = ago_ns(past.since_ns);
    if u128::from(known_ns) < within.as_nanos() {
        let why = match past.crowded {
            true => format!(": --recent-count {} keeps no more{}", past.most, of_others(crowd, ago_ns)),
            false => String::new(),
        };
        gaps.push(format!("it knows all that closed within {}, and not all before{why}", span(known_ns)));
    }
    if let Some(lost_ns) = past.lost_ns.map(ago_ns).filter(|&lost_ns| u128::from(lost_ns) < within.as_nanos()) {
        gaps.push(format!(
            "{}{} ago: of sockets that closed before, not all are listed",
            counted(past.lost, "event was lost, ", "events were lost, the last "),
            span(lost_ns)
        ));
    }
    gaps
}

/// What is kept all the same where only the sockets of one user found no room.
pub fn of_others(crowd: Option<Crowd>, ago_ns: impl Fn(u64) -> u64) -> String {
    crowd.map_or_else(String::new, |Crowd { uid, others_ns }| {
        format!(" of user {uid}; of all others it knows what closed within {}", span(ago_ns(others_ns)))
    })
}

/// Asks the agent for the rows, and at the same time for the holders.
fn ask(
    asked: &AskedFor<'_>,
    question: &AgentQuestion<'_>,
    wanted: &RowsWanted,
) -> Result<(Vec<NamespaceTables>, Option<fds::Scan>), AskError> {
    let path = question.path;
    // Who may not look into every process is shown by the agent no more than by the kernel. The scan of one's own begins when the
    // connection is closed: it is a socket too, and what is found decides between netstat's warnings.
    // An agent that shares no more than users see themselves shows all holders to root and its own user only.
    let shown = || match rustix::process::geteuid().is_root() {
        true => sees_every_process(),
        false => client::shows_all(path, PATIENCE),
    };
    let theirs = asked.wants_holders() && shown();
    // Who is shown fewer processes by the agent than by the kernel asks it for no process's sockets.
    let wanted = RowsWanted { only: asked.selected.row_test(theirs), ..wanted.clone() };
    let few = wanted.only.is_some() && !asked.lists_other_sockets();
    // Where few rows may be left, only their holders are asked for, and come with them.
    let rows = client::AgentTables::ask(path, PATIENCE, wanted, question.recorded, theirs && few)?;
    if !rows.is_here() {
        return Err(AskError::Elsewhere);
    }
    let holders = |of| if theirs { client::AgentHolders::ask(path, PATIENCE, of).ok() } else { None };
    // Those of all at the same time.
    let all = if few { None } else { holders(Vec::new()) };
    let (spaces, links) = rows.read()?;
    // Where the agent cannot say who holds what, the scan begins when it is asked for.
    let links = match (few, links) {
        (false, _) => all.and_then(|holders| holders.read().ok()),
        (true, Some(links)) => Some(links),
        // An agent of an earlier release sends them to another request.
        (true, None) => match spaces.iter().flat_map(NamespaceTables::inodes).collect::<Vec<u64>>() {
            none if none.is_empty() => theirs.then(Vec::new),
            of => holders(of).and_then(|holders| holders.read().ok()),
        },
    };
    let scan = if few { fds::Scan::of_some } else { fds::Scan::of };
    Ok((spaces, links.map(|links| scan(&asked.proc, links))))
}

/// Whether nobody's descriptors are hidden from this process, given that its user namespace is the agent's.
fn sees_every_process() -> bool {
    let status = procfs::process::Process::myself().and_then(|me| me.status());
    let has = |effective: u64, capability: u32| effective >> capability & 1 == 1;
    status.is_ok_and(|status| {
        let reads = has(status.capeff, CAP_DAC_OVERRIDE) || has(status.capeff, CAP_DAC_READ_SEARCH);
        reads && has(status.capeff, CAP_SYS_PTRACE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_history_lacks_is_said() {
        let past = Past { since_ns: 100_000_000_000, most: 65_536, ..Past::default() };
        let lines = |past: &Past, seconds| gaps(past, None, Duration::from_secs(seconds), 109_000_000_000);
        assert_eq!(lines(&past, 9), Vec::<String>::new());
        assert_eq!(lines(&past, 10), ["it knows all that closed within 9.00s, and not all before"]);
        let crowded = Past { crowded: true, lost_ns: Some(105_000_000_000), lost: 7, ..past };
        assert_eq!(lines(&crowded, 3), Vec::<String>::new());
        let [short, lost] = &lines(&crowded, 600)[..] else { panic!("two lines") };
        assert!(
            short.ends_with("--recent-count 65536 keeps no more")
                && lost.starts_with("7 events were lost, the last 4.00s ago")
        );
        let one = Past { crowded: false, lost: 1, ..crowded };
        assert!(lines(&one, 9)[0].starts_with("1 event was lost, 4.00s ago:"));
        let crowd = Some(Crowd { uid: 1000, others_ns: 49_000_000_000 });
        assert!(gaps(&crowded, crowd, Duration::from_secs(20), 109_000_000_000)[0].ends_with(
            "--recent-count 65536 keeps no more of user 1000; of all others it knows what closed within 1m00s"
        ));
    }
}
