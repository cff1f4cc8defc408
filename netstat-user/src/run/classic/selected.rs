//! What of the rows is wanted, in which order, and as what: `--where`, `--sort`, `--limit`, `--columns`, `--count-by`.

use crate::cli::classic::{AgentChoice, Options};
use crate::cli::select::{Selection, WrongName};
use crate::field::{Field, HasFields, Need, Value};
use crate::filter::{Predicate, Resolver};
use crate::model::RowTest;
use crate::proc::netns;
use crate::run::resolve::MachineNames;
use crate::stdio::screen;
use crate::view::columns::{Cells, ColumnTable, Kept, Shape, cells};
use crate::view::json::Object;
use std::collections::HashMap;
use std::path::Path;

/// The rows of a run, as they come in.
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
    lines: Vec<Line>,
    counts: HashMap<Vec<Value<'static>>, u64>,
    /// Rows let through so far.
    through: u64,
    /// Whether the expression held of any row.
    matched: bool,
}

/// A row that waits for its turn.
#[derive(Debug)]
struct Line {
    keys: Vec<Value<'static>>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Bytes(Vec<u8>),
    Cells(Cells),
}

/// Why nothing can be selected.
#[derive(Debug, thiserror::Error)]
pub enum SelectedError {
    /// A name means nothing here.
    #[error(transparent)]
    Name(#[from] WrongName),
    /// A network namespace is not there.
    #[error("there is no network namespace `{inode}'{}", if *.hidden { " that may be looked into" } else { "" })]
    NoNamespace {
        /// Its inode number.
        inode: u32,
        /// Whether it may be there all the same, where this process may not look.
        hidden: bool,
    },
}

/// Everything that is there without being gathered: what the rows themselves carry, and the names of namespaces.
const AT_HAND: Need = Need::NETNS_NAMES.or(Need::COOKIES);

impl Selected {
    /// What the options say, the names in the expression looked up.
    ///
    /// # Errors
    /// A name that means nothing.
    pub fn new(options: &Options) -> Result<Self, SelectedError> {
        let selection = options.selection.clone();
        let mut names = MachineNames;
        let netns = match &selection.netns[..] {
            [] => None,
            listed => {
                let numbers = listed.iter().filter_map(|name| name.parse().ok()).collect::<Vec<u32>>();
                // What closed of late may have outlived its namespace.
                if let Some(none) = missing(&numbers, &options.agent).filter(|_| options.recent.is_none()) {
                    return Err(none);
                }
                let inode = |name: &String| name.parse().ok().or_else(|| names.netns(name));
                Some(listed.iter().filter_map(inode).collect())
            }
        };
        let predicate = match &selection.expr {
            None => None,
            Some(expr) => {
                let made = Predicate::new(expr, &mut names);
                Some(made.map_err(|error| selection.wrong_name(error))?)
            }
        };
        let columns = selection.columns.iter().chain(&selection.count_by).flat_map(|column| column.fields());
        let shown = columns.chain(selection.sort.iter().map(|(field, _)| *field));
        let shown = shown.fold(Need::NONE, |needs, field| needs.or(field.spec().need));
        let needs = predicate.as_ref().map_or(Need::NONE, Predicate::needs).or(shown);
        let shape = (options.json && !selection.columns.is_empty()).then(|| Shape::new(&selection.columns));
        let counted = selection.count_by.iter().flat_map(|column| column.fields()).collect();
        let coloured = screen::is_coloured(options.color);
        let (json, rest) = (options.json, Self::default());
        Ok(Self { predicate, selection, json, coloured, needs, netns, shape, counted, ..rest })
    }

    /// What must be gathered before the rows are decided and shown.
    pub const fn needs(&self) -> Need {
        self.needs
    }

    /// Whether one of the fields whose names begin so is compared or shown.
    pub fn asks(&self, names: &[&str]) -> bool {
        let compared = self.predicate.iter().flat_map(|predicate| predicate.fields()).copied();
        let columns = self.selection.columns.iter().chain(&self.selection.count_by).flat_map(|column| column.fields());
        let sorted = self.selection.sort.iter().map(|(field, _)| *field);
        compared.chain(columns).chain(sorted).any(|field| names.iter().any(|name| field.name().starts_with(name)))
    }

    /// The namespaces that are listed instead of one's own.
    pub fn netns(&self) -> Option<&[u32]> {
        self.netns.as_deref()
    }

    /// The namespaces outside of which no row is wanted, by `--netns` or the expression; empty where there is no such bound.
    pub fn named_netns(&self) -> Vec<u32> {
        match (&self.netns, &self.predicate) {
            (Some(listed), _) => listed.clone(),
            (None, Some(predicate)) => predicate.limits().netns.into_iter().flatten().collect(),
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

    /// Whether the expression holds of the row, everything gathered; without an expression it does.
    pub fn holds(&self, row: &impl HasFields) -> bool {
        self.predicate.as_ref().is_none_or(|predicate| predicate.holds(row))
    }

    /// Whether some rows cannot be decided before more is gathered.
    pub fn decides_late(&self) -> bool {
        self.predicate.as_ref().is_some_and(|predicate| !AT_HAND.has(predicate.needs()))
    }

    /// Takes in a row that was not left out early; `render` appends it as the view has it, where that is shown.
    pub fn take(&mut self, out: &mut Vec<u8>, row: &impl HasFields, render: impl FnOnce(&mut Vec<u8>)) {
        if self.predicate.as_ref().is_some_and(|predicate| !predicate.holds(row)) {
            return;
        }
        self.matched = true;
        if !self.counted.is_empty() {
            let values = self.counted.iter().map(|field| row.value(*field).into_owned()).collect();
            *self.counts.entry(values).or_default() += 1;
            return;
        }
        let full = self.selection.limit.is_some_and(|limit| self.through >= limit);
        let sorts = !self.selection.sort.is_empty();
        if full && !sorts {
            return;
        }
        self.through += 1;
        if self.shows_view() && !sorts {
            return render(out);
        }
        let keys = self.selection.sort.iter().map(|(field, _)| row.value(*field).into_owned()).collect();
        let body = if self.shows_view() {
            let mut bytes = Vec::new();
            render(&mut bytes);
            Body::Bytes(bytes)
        } else if let Some(shape) = &self.shape {
            let mut bytes = Vec::new();
            shape.row(&mut bytes, row);
            Body::Bytes(bytes)
        } else {
            Body::Cells(cells(&self.selection.columns, row))
        };
        self.lines.push(Line { keys, body });
    }

    /// Ends a table of the view, whose rows stand under one heading: they are sorted among themselves.
    pub fn end_table(&mut self, out: &mut Vec<u8>) {
        if self.shows_view() && !self.json {
            self.end(out, None);
        }
    }

    /// Ends the round; `terminal` is the width of the terminal that is printed to.
    pub fn end(&mut self, out: &mut Vec<u8>, terminal: Option<usize>) {
        let mut lines = std::mem::take(&mut self.lines);
        let sort = &self.selection.sort;
        lines.sort_by(|a, b| order(sort, &a.keys, &b.keys));
        // Tables of the view share one limit.
        let limit = self.selection.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        if !sort.is_empty() {
            lines.truncate(limit);
            if let Some(left) = &mut self.selection.limit {
                *left -= lines.len() as u64;
            }
        }
        if !self.counted.is_empty() {
            return self.end_counts(out, limit, terminal);
        }
        if self.shows_view() || self.shape.is_some() {
            for line in &lines {
                if let Body::Bytes(bytes) = &line.body {
                    out.extend_from_slice(bytes);
                }
            }
            return;
        }
        let rows: Vec<Cells> = lines
            .into_iter()
            .filter_map(|line| match line.body {
                Body::Cells(cells) => Some(cells),
                Body::Bytes(_) => None,
            })
            .collect();
        print(out, ColumnTable::new(&self.selection.columns, self.coloured), &rows, terminal);
    }

    fn end_counts(&mut self, out: &mut Vec<u8>, limit: usize, terminal: Option<usize>) {
        let mut counts: Vec<(Vec<Value<'static>>, u64)> = self.counts.drain().collect();
        let keys = |values: &[Value<'static>]| -> Vec<Value<'static>> {
            let value = |(field, _): &(Field, bool)| {
                let at = self.counted.iter().position(|counted| counted == field);
                at.and_then(|at| values.get(at)).cloned().unwrap_or(Value::Null)
            };
            self.selection.sort.iter().map(value).collect()
        };
        counts.sort_by(|(values, count), (others, other)| {
            let sorted = order(&self.selection.sort, &keys(values), &keys(others));
            sorted.then_with(|| other.cmp(count)).then_with(|| values.cmp(others))
        });
        counts.truncate(limit);
        let kept = |values: Vec<Value<'static>>| Kept(self.counted.iter().copied().zip(values).collect());
        if self.json {
            let shape = Shape::new(&self.selection.count_by);
            for (values, count) in counts {
                let mut object = Object::begin(out);
                object.number("count", count);
                shape.fill(&mut object, &kept(values));
                object.end();
            }
            return;
        }
        let row = |(values, count): (Vec<Value<'static>>, u64)| {
            let mut row = vec![count.to_string().into_bytes()];
            row.extend(cells(&self.selection.count_by, &kept(values)));
            row
        };
        let rows: Vec<Cells> = counts.into_iter().map(row).collect();
        print(out, ColumnTable::counted(&self.selection.count_by, self.coloured), &rows, terminal);
    }

    /// Whether there is an expression that held of no row.
    pub fn is_in_vain(&self) -> bool {
        self.predicate.is_some() && !self.matched
    }
}

/// The least number that the kernel gives to a namespace; those of the first ones are fixed, in `include/uapi/linux/nsfs.h`.
pub(in crate::run) const LEAST_NAMESPACE: u32 = 0xefff_fff0;

/// What is wrong with the first of these namespaces that is not there. Where processes may not be looked at, an agent may know it.
fn missing(inodes: &[u32], agent: &AgentChoice) -> Option<SelectedError> {
    if inodes.is_empty() {
        return None;
    }
    let found = netns::all(Path::new("/proc"), Path::new(netns::NAMES));
    let hidden = |inode: u32| found.refused && inode >= LEAST_NAMESPACE;
    let known = |inode: u32| {
        let listed = found.namespaces.iter().any(|namespace| namespace.inode == inode);
        listed || hidden(inode) && *agent != AgentChoice::Never
    };
    let none = inodes.iter().copied().find(|&inode| !known(inode))?;
    Some(SelectedError::NoNamespace { inode: none, hidden: hidden(none) })
}

fn print(out: &mut Vec<u8>, mut table: ColumnTable, rows: &[Cells], terminal: Option<usize>) {
    rows.iter().for_each(|row| table.widen(row));
    if let Some(terminal) = terminal {
        table.fit(terminal);
    }
    table.heading(out);
    rows.iter().for_each(|row| table.row(out, row));
}

/// The order of two rows by their keys; what is not known comes last, whichever way the others go.
fn order(sort: &[(Field, bool)], a: &[Value<'_>], b: &[Value<'_>]) -> std::cmp::Ordering {
    let by_key = sort.iter().zip(a.iter().zip(b)).map(|((_, descending), (a, b))| {
        let unknown =
            |value: &Value<'_>| matches!(value, Value::Null) || matches!(value, Value::List(list) if list.is_empty());
        match (unknown(a), unknown(b)) {
            (false, false) if *descending => b.cmp(a),
            (false, false) => a.cmp(b),
            (a, b) => a.cmp(&b),
        }
    });
    by_key.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_is_not_there_is_named() {
        let own = netns::own(Path::new("/proc")).unwrap();
        assert!(missing(&[own], &AgentChoice::Never).is_none());
        assert_eq!(missing(&[own, 1], &AgentChoice::Auto).unwrap().to_string(), "there is no network namespace `1'");
        let none = missing(&[u32::MAX], &AgentChoice::Never).unwrap().to_string();
        assert!(none.starts_with("there is no network namespace `4294967295'"), "{none}");
    }

    #[test]
    fn the_unknown_comes_last_both_ways() {
        let sorted = |descending: bool| {
            let mut keys = [Value::Null, Value::Number(9), Value::List(vec![]), Value::Number(10)].map(|key| vec![key]);
            keys.sort_by(|a, b| order(&[(Field::RecvQ, descending)], a, b));
            keys.map(|mut key| key.remove(0))
        };
        let (nine, ten) = (Value::Number(9), Value::Number(10));
        assert_eq!(sorted(false), [nine.clone(), ten.clone(), Value::Null, Value::List(vec![])]);
        assert_eq!(sorted(true), [ten, nine, Value::Null, Value::List(vec![])]);
    }
}
