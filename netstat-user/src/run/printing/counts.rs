//! How many events there are of each value: at the end, and on a terminal meanwhile.

use crate::cli::events::Options;
use crate::field::schema::OTHERS;
use crate::field::{Field, HasFields, Value};
use crate::order::of_counts;
use crate::stdio::screen;
use crate::view::columns::{self, CountStyle, Kept};
use crate::view::json::Object;
use crate::view::text::counted;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Values counted at a time, some 200 bytes each. There are fewer ports.
const MOST: usize = 1 << 17;

/// How often counts are shown on a terminal.
const SHOW: Duration = Duration::from_secs(1);

/// Lines of a terminal beside those of counts: the blank one before them, their heading, and the one that the cursor is on.
const BESIDE: usize = 3;

/// The values of the fields that are counted by.
type Values = Vec<Value<'static>>;

/// The counts so far.
pub struct Counts<'a> {
    options: &'a Options,
    fields: Vec<Field>,
    counts: HashMap<Values, u64>,
    /// The most values that are counted one by one: of those that come first, all events.
    most: usize,
    /// Events of other values.
    others: u64,
    /// When and with how many events they were shown on a terminal.
    shown: Instant,
    shown_events: u64,
    /// Whether they were shown in full then.
    shown_whole: bool,
    events: u64,
}

impl<'a> Counts<'a> {
    /// No events so far.
    pub fn new(options: &'a Options) -> Self {
        Self {
            options,
            fields: options.selection.count_by.iter().flat_map(|column| column.fields()).collect(),
            counts: HashMap::new(),
            most: MOST,
            others: 0,
            shown: Instant::now(),
            shown_events: 0,
            shown_whole: false,
            events: 0,
        }
    }

    /// Counts an event.
    pub fn add(&mut self, row: &impl HasFields) {
        self.count(self.fields.iter().map(|field| row.value(*field).into_owned()).collect());
    }

    fn count(&mut self, values: Values) {
        self.events += 1;
        let is_full = self.counts.len() >= self.most;
        match self.counts.get_mut(&values) {
            Some(count) => *count += 1,
            None if is_full => self.others += 1,
            None => drop(self.counts.insert(values, 1)),
        }
    }

    /// Appends the counts, where the terminal does not show them already.
    pub fn end(&self, out: &mut Vec<u8>, width: Option<u16>) {
        if !self.shown_whole || self.shown_events != self.events {
            self.append(out, width, usize::MAX);
        }
    }

    /// Appends as many of the counts so far as fit a terminal, where a second has passed and they are others than before. Programs that read
    /// objects get each once.
    pub fn show(&mut self, out: &mut Vec<u8>, width: Option<u16>) {
        if self.options.json || self.shown_events == self.events || self.shown.elapsed() < SHOW {
            return;
        }
        let Some(height) = screen::height() else { return };
        if self.shown_events > 0 {
            out.push(b'\n');
        }
        self.shown_whole = self.append(out, width, usize::from(height).saturating_sub(BESIDE).max(2));
        (self.shown, self.shown_events) = (Instant::now(), self.events);
    }

    /// Appends the counts, most first unless asked otherwise, in at most so many lines below their heading. True if all of them are there.
    fn append(&self, out: &mut Vec<u8>, width: Option<u16>, lines: usize) -> bool {
        let mut counts: Vec<(&Values, u64)> = self.counts.iter().map(|(values, count)| (values, *count)).collect();
        let selection = &self.options.selection;
        let order = |one: &(&Values, u64), other: &(&Values, u64)| {
            of_counts(&selection.sort, &self.fields, (one.0, one.1), (other.0, other.1))
        };
        let wanted = selection
            .limit
            .map_or(counts.len(), |limit| counts.len().min(usize::try_from(limit).unwrap_or(usize::MAX)));
        let room = lines - usize::from(self.others > 0);
        // What is left out takes a line, too.
        let left_out = if wanted > room { wanted - (room - 1).max(1) } else { 0 };
        let shown = wanted - left_out;
        if shown < counts.len() {
            counts.select_nth_unstable_by(shown, order);
            counts.truncate(shown);
        }
        counts.sort_unstable_by(order);
        let kept = |values: &Values| Kept(self.fields.iter().copied().zip(values.iter().cloned()).collect());
        let style = CountStyle {
            json: self.options.json,
            coloured: screen::is_coloured(self.options.color),
            terminal: width.map(usize::from),
        };
        let rows = counts.into_iter().map(|(values, count)| (kept(values), count));
        columns::counts(out, &self.options.selection.count_by, rows, style);
        if left_out > 0 {
            let values = counted(left_out as u64, "more value", "more values");
            out.extend_from_slice(format!("and {values}, shown at the end\n").as_bytes());
        }
        if self.others > 0 {
            self.append_others(out);
        }
        left_out == 0
    }

    /// Appends the line of what has none of its own.
    fn append_others(&self, out: &mut Vec<u8>) {
        if self.options.json {
            let mut object = Object::begin(out);
            object.number(OTHERS.name, self.others);
            return object.end();
        }
        let events = counted(self.others, "is", "are");
        out.extend_from_slice(format!("{events} of other values, as there are more than {}\n", self.most).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Invocation, events};

    /// Counts by one field, of at most three values: a, b and c, of which b came most often, and of more.
    fn appended(more: &[&'static str], options: &[&str], lines: usize) -> (String, bool) {
        let argv: Vec<_> = ["events", "--count-by", "comm"].iter().chain(options).map(Into::into).collect();
        let Ok(Invocation::Events(options)) = events::parse(&argv, crate::cli::all_pages) else {
            panic!("{argv:?} is refused")
        };
        let mut counts = Counts { most: 3, ..Counts::new(&options) };
        for value in [&["a", "b", "c", "b"], more].concat() {
            counts.count(vec![Value::Text(value.as_bytes().into())]);
        }
        let mut out = Vec::new();
        let whole = counts.append(&mut out, None, lines);
        (String::from_utf8(out).unwrap(), whole)
    }

    #[test]
    fn values_that_come_when_there_is_no_room_are_counted_together() {
        let all = "count  comm\n    2  b\n    1  a\n    1  c\n";
        assert_eq!(appended(&[], &[], usize::MAX), (all.into(), true));
        // The counts of those that are kept are whole.
        let (text, _) = appended(&["d", "c", "e", "d"], &[], usize::MAX);
        assert_eq!(
            text,
            "count  comm\n    2  b\n    2  c\n    1  a\n3 are of other values, as there are more than 3\n"
        );
        let (json, _) = appended(&["d"], &["--json"], usize::MAX);
        assert_eq!(json.lines().next(), Some("{\"count\":2,\"comm\":\"b\"}"));
        assert_eq!(json.lines().last(), Some("{\"others\":1}"));
        assert!(OTHERS.doc.ends_with(&MOST.to_string()), "{}", OTHERS.doc);
    }

    #[test]
    fn the_first_in_the_order_asked_for() {
        let limited = |options: &[&str], lines| appended(&[], options, lines);
        assert_eq!(limited(&["--limit", "1"], usize::MAX), ("count  comm\n    2  b\n".into(), true));
        assert_eq!(limited(&["--sort", "comm", "--limit", "2"], 2), ("count  comm\n    1  a\n    2  b\n".into(), true));
        assert_eq!(limited(&["--sort=-comm"], usize::MAX).0, "count  comm\n    1  c\n    2  b\n    1  a\n");
        assert_eq!(limited(&["--sort", "count", "--limit", "0"], usize::MAX).0, "count  comm\n");
        assert_eq!(limited(&["--sort", "count,-comm"], usize::MAX).0, "count  comm\n    1  c\n    1  a\n    2  b\n");
    }

    #[test]
    fn no_more_lines_than_fit_and_most_first() {
        let top = "count  comm\n    2  b\nand 2 more values, shown at the end\n";
        assert_eq!(appended(&[], &[], 2), (top.into(), false));
        assert!(appended(&[], &[], 3).1);
        let (text, whole) = appended(&["c", "c", "d"], &[], 3);
        assert_eq!(
            text,
            "count  comm\n    3  c\nand 2 more values, shown at the end\n1 is of other values, as there are more than 3\n"
        );
        assert!(!whole);
    }
}
