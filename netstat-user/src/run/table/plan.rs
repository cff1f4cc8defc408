//! What is read for the Internet table, and where: decided from what is asked alone, before anything is read. What an agent shows is known only once
//! it is asked: here stands what is wanted of it in either case.

use super::asked::AskedFor;
use crate::cli::classic::{AgentChoice, Filter};
use crate::field::Need;
use crate::model::{Proto, RowTest, RowsWanted};
use std::path::Path;
use std::time::Duration;

/// The sources of the Internet table.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan<'a> {
    /// The rows that an agent and the kernel list alike; their condition is none of processes, which not everybody may look into.
    pub rows: RowsWanted,
    /// The agent that is asked for them first.
    pub agent: Option<AgentQuestion<'a>>,
    /// Inode number of the reader's own network namespace, `None` where it is not known.
    pub own: Option<u32>,
    /// Whether holders are looked for while the kernel's rows are read. Where few rows may be left, nobody looks for
    /// holders before it is known whether any are.
    pub holders_beside: bool,
    /// Whether SCTP's endpoints are read, which are in /proc alone.
    pub endpoints: bool,
    /// Whether SCTP's associations are.
    pub associations: bool,
    /// Also the sockets that ended within this time.
    pub recent: Option<Duration>,
}

/// What an agent is asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct AgentQuestion<'a> {
    /// Its socket.
    pub path: &'a Path,
    /// Whether the user named it: then it is reported where it does not answer.
    pub is_named: bool,
    /// Whether the owners are wanted that events recorded for rows nobody holds.
    pub recorded: bool,
    /// What is wanted besides of one that shows this user all holders, if anything.
    pub holders: Option<HoldersQuestion>,
}

/// What an agent is asked for that shows this user all holders.
#[derive(Debug, PartialEq, Eq)]
pub struct HoldersQuestion {
    /// The condition of the rows, in the place of that of the plan: it may be one of processes.
    pub only: Option<RowTest>,
    /// Whether the holders of these rows are wanted alone, which are few then; else all.
    pub of_rows_alone: bool,
}

impl<'a> Plan<'a> {
    /// The plan for what is asked by a reader in the network namespace `own`.
    pub fn of(asked: &'a AskedFor<'_>, own: Option<u32>) -> Self {
        let (options, selected) = (asked.options, &asked.selected);
        let netns = match selected.netns() {
            Some(&[only]) => Some(only),
            Some(_) => None,
            None => own.filter(|_| !options.all_netns),
        };
        let rows =
            RowsWanted { protos: protos(asked), peer: asked.listed().peer(), netns, only: selected.row_test(false) };
        // Where it is not known which namespace the reader is in, there is nothing to ask for.
        let path = options.agent.path().filter(|_| own.is_some() && !rows.protos.is_empty());
        let agent = path.map(|path| AgentQuestion {
            path,
            is_named: matches!(options.agent, AgentChoice::At(_)),
            recorded: options.json || selected.needs().meets(Need::OWNERS),
            holders: asked.wants_holders().then(|| {
                let only = selected.row_test(true);
                HoldersQuestion { of_rows_alone: only.is_some() && !asked.lists_other_sockets(), only }
            }),
        });
        // There is but one pair of files for SCTP, and it counts as IPv4.
        let (sctp, filter) = (asked.tables.protocols.sctp && asked.tables.v4, options.filter());
        Self {
            rows,
            agent,
            own,
            holders_beside: asked.wants_holders() && selected.passes_all(),
            endpoints: sctp && filter != Filter::Connected,
            associations: sctp && filter != Filter::Listening,
            recent: options.recent,
        }
    }
}

/// The protocols and families of the table, in netstat's order.
fn protos(asked: &AskedFor<'_>) -> Vec<Proto> {
    let (tables, letters) = (&asked.tables, asked.tables.protocols);
    let rows = [
        (letters.tcp, Proto::Tcp, Proto::Tcp6),
        (letters.udp, Proto::Udp, Proto::Udp6),
        (letters.udplite, Proto::UdpLite, Proto::UdpLite6),
        (letters.raw, Proto::Raw, Proto::Raw6),
    ];
    let halves = rows.into_iter().flat_map(|(letter, v4, v6)| [(v4, letter && tables.v4), (v6, letter && tables.v6)]);
    halves.filter(|&(_, wanted)| wanted).map(|(proto, _)| proto).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::classic::{Options, Protocols};
    use crate::cli::names::SOCKET;
    use crate::field::RowKinds;
    use crate::run::table::selected::Selected;

    /// The plan of a reader in namespace 7, in short.
    fn plan(options: Options, own: Option<u32>, look: impl FnOnce(&Plan<'_>)) {
        let selected = Selected::new(&options).unwrap();
        look(&Plan::of(&AskedFor::new(&options, selected), own));
    }

    #[test]
    fn an_agent_is_asked_for_what_is_listed() {
        let question = |options: Options, own| {
            let mut asked = None;
            plan(options, own, |plan| {
                asked = plan.agent.as_ref().map(|agent| (agent.path.to_owned(), agent.is_named, plan.rows.netns))
            });
            asked
        };
        let usual = || Path::new(SOCKET).to_owned();
        assert_eq!(question(Options::default(), Some(7)), Some((usual(), false, Some(7))));
        assert_eq!(question(Options { all_netns: true, ..Options::default() }, Some(7)), Some((usual(), false, None)));
        let named = Options { agent: AgentChoice::At("/x".into()), ..Options::default() };
        assert_eq!(question(named, Some(7)), Some(("/x".into(), true, Some(7))));
        assert_eq!(question(Options { agent: AgentChoice::Never, ..Options::default() }, Some(7)), None);
        assert_eq!(question(Options::default(), None), None, "it is not known of what");
        let sctp = Protocols { sctp: true, ..Protocols::default() };
        assert_eq!(question(Options { protocols: sctp, ..Options::default() }, Some(7)), None, "it has none");
    }

    #[test]
    fn the_holders_of_rows_alone_are_asked_for_where_few_are_left() {
        let holders = |programs, filter: Option<&str>, protocols| {
            let mut options = Options { programs, protocols, ..Options::default() };
            options.selection.expr = filter.map(|text| crate::filter::parse(text, RowKinds::INET).unwrap());
            let mut asked = None;
            plan(options, Some(7), |plan| {
                let question = plan.agent.as_ref().and_then(|agent| agent.holders.as_ref());
                // Whoever is shown less is not to be asked about processes.
                let is_more = |question: &HoldersQuestion| question.only != plan.rows.only;
                asked = question.map(|question| (question.of_rows_alone, is_more(question)));
            });
            asked
        };
        let tcp = Protocols { tcp: true, ..Protocols::default() };
        assert_eq!(holders(false, None, tcp), None);
        assert_eq!(holders(true, None, tcp), Some((false, false)));
        assert_eq!(holders(true, Some("sport 80"), tcp), Some((true, false)));
        assert_eq!(holders(true, Some("pid = 1"), tcp), Some((true, true)));
        assert_eq!(holders(true, Some("sport 80"), Protocols { sctp: true, ..tcp }), Some((false, false)));
    }

    #[test]
    fn files_and_rows_are_those_of_the_letters() {
        let tcp = Protocols { tcp: true, sctp: true, ..Protocols::default() };
        let options = |all, listening| Options { protocols: tcp, all, listening, ..Options::default() };
        for (all, listening, peer, endpoints, associations) in [
            (true, false, None, true, true),
            (false, true, Some(false), true, false),
            (false, false, Some(true), false, true),
        ] {
            plan(options(all, listening), Some(7), |plan| {
                let protos = vec![Proto::Tcp, Proto::Tcp6];
                assert_eq!(plan.rows, RowsWanted { protos, peer, netns: Some(7), only: None });
                assert_eq!((plan.endpoints, plan.associations), (endpoints, associations));
            });
        }
    }

    #[test]
    fn holders_are_looked_for_beside_where_every_row_is_shown() {
        let beside = |options: Options| {
            let mut beside = false;
            plan(options, Some(7), |plan| beside = plan.holders_beside);
            beside
        };
        assert!(beside(Options { programs: true, ..Options::default() }) && !beside(Options::default()));
        let mut few = Options { programs: true, ..Options::default() };
        few.selection.limit = Some(1);
        assert!(!beside(few));
    }
}
