//! What of the rows is wanted, in which order, and as what: `--where`, `--sort`, `--limit`, `--columns`, `--count-by`.

pub mod taken;

use crate::cli::classic::Options;
use crate::cli::select::{Selection, WrongName};
use crate::field::{Field, HasFields, Need, UnseenValues, Value};
use crate::filter::{Predicate, UnseenAnswers};
use crate::model::RowTest;
use crate::proc::netns::{self, LEAST_NAMESPACE};
use crate::run::resolve::{MachineNames, RowOrigin, namespaces_by_name, unknown_names};
use crate::stdio::screen;
use crate::view::columns::Shape;
use std::path::Path;

/// What of the rows is wanted, and what is shown of them: fixed for a run.
#[derive(Debug, Default)]
pub struct Selected {
    predicate: Option<Predicate>,
    selection: Selection,
    json: bool,
    coloured: bool,
    /// What must be gathered for the expression, and for what is shown.
    needs: Need,
    /// Inode numbers of the namespaces that are listed, `None` for one's own or all.
    netns: Option<Vec<u32>>,
    shape: Option<Shape>,
    /// The fields whose values are counted.
    counted: Vec<Field>,
    /// The numbers of the processes of which something is shown, counted or ordered by: the owner's, the peer's, or both.
    shown_pids: Vec<Field>,
}

/// Everything that is there without being gathered: what the rows themselves carry, and the names of namespaces.
const AT_HAND: Need = Need::NETNS_NAMES.or(Need::COOKIES).or(Need::UIDS);

impl Selected {
    /// What the options say, the names in the expression looked up.
    ///
    /// # Errors
    /// A name that means nothing.
    pub fn new(options: &Options) -> Result<Self, WrongName> {
        let selection = options.selection.clone();
        let mut names = MachineNames::default();
        let netns = match &selection.netns[..] {
            [] => None,
            listed => {
                let numbers = listed.iter().filter_map(|name| name.parse().ok()).collect::<Vec<u32>>();
                // What closed recently may have outlived its namespace.
                if let Some(none) = missing(&numbers).filter(|_| options.recent.is_none()) {
                    return Err(WrongName::NoNamespace(none.to_string()));
                }
                Some(names.inodes(listed))
            }
        };
        names.from = match &netns {
            Some(listed) => RowOrigin::These(listed.clone()),
            None if options.all_netns => RowOrigin::All,
            None => RowOrigin::Own,
        };
        let predicate = match &selection.expr {
            None => None,
            Some(expr) => {
                let made = Predicate::new(expr, &mut names);
                Some(made.map_err(|error| selection.wrong_name(error, &mut names))?)
            }
        };
        let columns = selection.columns.iter().chain(&selection.count_by).flat_map(|column| column.fields());
        let fields: Vec<Field> = columns.chain(selection.sorted_fields()).collect();
        let shown = fields.iter().fold(Need::NONE, |needs, field| needs.or(field.spec().need));
        let is_shown = |need: Need, peer| need.meets(Need::OWNERS) && need.meets(Need::PEERS) == peer;
        let pids = [(Field::Pid, false), (Field::PeerPid, true)].into_iter();
        let pids = pids.filter(|&(_, peer)| fields.iter().any(|field| is_shown(field.spec().need, peer)));
        let shown_pids = pids.map(|(pid, _)| pid).collect();
        let needs = predicate.as_ref().map_or(Need::NONE, Predicate::needs).or(shown);
        let shape = (options.json && !selection.columns.is_empty()).then(|| Shape::new(&selection.columns));
        let counted = selection.count_by.iter().flat_map(|column| column.fields()).collect();
        let coloured = screen::is_coloured(options.color);
        Ok(Self { predicate, selection, json: options.json, coloured, needs, netns, shape, counted, shown_pids })
    }

    /// What must be gathered before the rows are decided and shown.
    pub const fn needs(&self) -> Need {
        self.needs
    }

    /// Whether one of the fields whose names begin so is compared or shown.
    pub fn asks(&self, names: &[&str]) -> bool {
        let compared = self.predicate.iter().flat_map(|predicate| predicate.fields()).copied();
        let columns = self.selection.columns.iter().chain(&self.selection.count_by).flat_map(|column| column.fields());
        let sorted = self.selection.sorted_fields();
        compared.chain(columns).chain(sorted).any(|field| names.iter().any(|name| field.name().starts_with(name)))
    }

    /// Why no row can match, where that is certain.
    pub const fn never(&self) -> Option<&'static str> {
        self.selection.never
    }

    /// What to report of names that nothing has here.
    pub fn unknown_names(&self) -> Vec<String> {
        unknown_names(self.selection.expr.as_ref(), false)
    }

    /// The namespaces that are listed instead of one's own.
    pub fn netns(&self) -> Option<&[u32]> {
        self.netns.as_deref()
    }

    /// The namespaces outside of which no row is wanted, by `--netns` or the expression; empty where there is no such bound.
    pub fn named_netns(&self) -> Vec<u32> {
        match (&self.netns, &self.predicate) {
            (Some(listed), _) => listed.clone(),
            (None, Some(predicate)) => match predicate.limits().netns {
                Some(numbers) => numbers,
                None => self.selection.expr.as_ref().map(namespaces_by_name).unwrap_or_default(),
            },
            (None, None) => Vec::new(),
        }
    }

    /// What rows of the Internet tables may be left out by whoever reads them; `holders`: also by the processes that hold their sockets.
    pub fn row_test(&self, holders: bool) -> Option<RowTest> {
        self.predicate.as_ref()?.row_test(holders)
    }

    /// Whether rows are shown as the view has them: with its headings, and whole JSON objects.
    pub fn shows_view(&self) -> bool {
        self.selection.columns.is_empty() && self.counted.is_empty()
    }

    /// Whether every row is wanted as it comes.
    pub fn passes_all(&self) -> bool {
        self.predicate.is_none() && self.streams()
    }

    /// Whether rows are printed as they come.
    fn streams(&self) -> bool {
        self.shows_view() && self.selection.sort.is_empty() && self.selection.limit.is_none()
    }

    /// Whether the row may be wanted, before anything is gathered.
    pub fn may_want(&self, row: &impl HasFields) -> bool {
        self.predicate.as_ref().is_none_or(|predicate| predicate.decide(row, AT_HAND) != Some(false))
    }

    /// Whether the expression holds; without one it does. `None` where a process that could not be looked into might change the answer, or what is
    /// `unread` of the row. Call it once everything is gathered.
    pub fn is_certain(&self, row: &impl HasFields, unread: Need, answers: &UnseenAnswers) -> Option<bool> {
        self.predicate.as_ref().map_or(Some(true), |predicate| predicate.is_certain(row, unread, answers))
    }

    /// Whether a field of owners is shown of this row, and nobody is known who holds it, as a process could not be looked into that may.
    fn lacks_owner(&self, row: &impl HasFields) -> bool {
        let may_be_unseen = |pid: Field| row.unseen_values(pid).is_some_and(UnseenValues::has_any);
        self.shown_pids.iter().any(|&pid| row.value(pid) == Value::Null && may_be_unseen(pid))
    }
}

/// The first of these namespaces that is not there. One that may be where this process may not look is no such, nor is any where something ran out.
fn missing(inodes: &[u32]) -> Option<u32> {
    if inodes.is_empty() {
        return None;
    }
    let found = netns::all(Path::new("/proc"), Path::new(netns::NAMES));
    let known = |inode: u32| {
        let listed = found.namespaces.iter().any(|namespace| namespace.inode == inode);
        listed || (found.refused || found.failed.is_some()) && inode >= LEAST_NAMESPACE
    };
    inodes.iter().copied().find(|&inode| !known(inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_is_not_there_is_named() {
        let own = netns::own(Path::new("/proc")).unwrap();
        assert_eq!((missing(&[own]), missing(&[own, 1])), (None, Some(1)));
        let said = WrongName::NoNamespace(1.to_string()).to_string();
        assert_eq!(
            said,
            "--netns: there is no network namespace `1': write `self', a name in /run/netns or an inode number"
        );
    }
}
