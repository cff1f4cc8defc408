//! The rows of a run that are wanted, from when they are read until they are printed.

use super::Selected;
use crate::field::{HasFields, Need, Value};
use crate::filter::UnseenAnswers;
use crate::order::{by_keys, of_counts};
use crate::view::columns::{Cells, ColumnTable, CountStyle, Kept, cells, counts};
use std::collections::HashMap;

/// The rows that were taken in and are not printed yet.
#[derive(Debug)]
pub struct TakenRows<'a> {
    selected: &'a Selected,
    lines: Vec<WaitingRow>,
    counts: HashMap<Vec<Value<'static>>, u64>,
    /// Rows let through so far.
    through: u64,
    /// How many rows may still be printed: all where there is no limit.
    left: Option<u64>,
    /// Whether the expression held of any row.
    matched: bool,
    /// Whether, in this round, an unseen owner left a condition undecided or a shown value empty.
    lacks_owners: bool,
    /// What unseen holders would answer in this round.
    answers: UnseenAnswers,
}

/// A row that waits for its turn.
#[derive(Debug)]
struct WaitingRow {
    keys: Vec<Value<'static>>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Bytes(Vec<u8>),
    Cells(Cells),
}

impl<'a> TakenRows<'a> {
    /// No rows yet, of which those will be kept that are selected.
    pub fn new(selected: &'a Selected) -> Self {
        let (lines, counts, left) = (Vec::new(), HashMap::new(), selected.selection.limit);
        let answers = UnseenAnswers::default();
        Self { selected, lines, counts, through: 0, left, matched: false, lacks_owners: false, answers }
    }

    /// Begins a round of its own, with as many rows as the first.
    pub fn next_round(&mut self) {
        (self.through, self.left, self.lacks_owners) = (0, self.selected.selection.limit, false);
        self.answers = UnseenAnswers::default();
    }

    /// Takes in a row that was not left out early; `render` appends it as the view has it, where that is shown.
    pub fn take(&mut self, out: &mut Vec<u8>, row: &impl HasFields, render: impl FnOnce(&mut Vec<u8>)) {
        // Once one is not, it does not matter of the others.
        let certain = if self.lacks_owners { None } else { self.selected.is_certain(row, Need::NONE, &self.answers) };
        let holds = certain.unwrap_or_else(|| {
            self.lacks_owners = true;
            self.selected.predicate.as_ref().is_none_or(|predicate| predicate.holds(row))
        });
        if !holds {
            return;
        }
        self.matched = true;
        self.lacks_owners = self.lacks_owners || self.selected.lacks_owner(row);
        if !self.selected.counted.is_empty() {
            let values = self.selected.counted.iter().map(|field| row.value(*field).into_owned()).collect();
            *self.counts.entry(values).or_default() += 1;
            return;
        }
        let full = self.left.is_some_and(|left| self.through >= left);
        let sorts = !self.selected.selection.sort.is_empty();
        if full && !sorts {
            return;
        }
        self.through += 1;
        if self.selected.shows_view() && !sorts {
            return render(out);
        }
        let keys = self.selected.selection.sorted_fields().map(|field| row.value(field).into_owned()).collect();
        let body = if self.selected.shows_view() {
            let mut bytes = Vec::new();
            render(&mut bytes);
            Body::Bytes(bytes)
        } else if let Some(shape) = &self.selected.shape {
            let mut bytes = Vec::new();
            shape.row(&mut bytes, row);
            Body::Bytes(bytes)
        } else {
            Body::Cells(cells(&self.selected.selection.columns, row))
        };
        self.lines.push(WaitingRow { keys, body });
    }

    /// Ends a table of the view, whose rows stand under one heading: they are sorted among themselves.
    pub fn end_table(&mut self, out: &mut Vec<u8>) {
        if self.selected.shows_view() && !self.selected.json {
            self.end(out, None);
        }
    }

    /// Ends the round; `terminal` is the width of the terminal that is printed to.
    pub fn end(&mut self, out: &mut Vec<u8>, terminal: Option<usize>) {
        let mut lines = std::mem::take(&mut self.lines);
        let sort = &self.selected.selection.sort;
        lines.sort_by(|a, b| by_keys(sort, &a.keys, &b.keys));
        // Tables of the view share one limit.
        let limit = self.left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        if !sort.is_empty() {
            lines.truncate(limit);
            if let Some(left) = &mut self.left {
                *left -= lines.len() as u64;
            }
        }
        if !self.selected.counted.is_empty() {
            return self.end_counts(out, limit, terminal);
        }
        if self.selected.shows_view() || self.selected.shape.is_some() {
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
        ColumnTable::new(&self.selected.selection.columns, self.selected.coloured).print(out, &rows, terminal);
    }

    fn end_counts(&mut self, out: &mut Vec<u8>, limit: usize, terminal: Option<usize>) {
        let mut lines: Vec<(Vec<Value<'static>>, u64)> = self.counts.drain().collect();
        let (sort, fields) = (&self.selected.selection.sort, &self.selected.counted);
        lines.sort_by(|(a, count), (b, other)| of_counts(sort, fields, (a, *count), (b, *other)));
        lines.truncate(limit);
        let kept = |values: Vec<Value<'static>>| Kept(self.selected.counted.iter().copied().zip(values).collect());
        let Selected { json, coloured, .. } = *self.selected;
        let lines = lines.into_iter().map(|(values, count)| (kept(values), count));
        counts(out, &self.selected.selection.count_by, lines, CountStyle { json, coloured, terminal });
    }

    /// Whether, in this round, an unseen owner left a condition undecided or a shown value empty.
    pub const fn lacks_owners(&self) -> bool {
        self.lacks_owners
    }

    /// Whether there is an expression that held of no row.
    pub fn is_in_vain(&self) -> bool {
        self.selected.predicate.is_some() && !self.matched
    }
}
