//! Columns as text: as wide as their values need, numbers on the right, under a heading of the fields' names.

use crate::field::{Column, Field, HasFields, STATE_TIMES, Unit, Value, ValueKind, group};
use crate::model::AddressText;
use crate::model::width::{cut, width};
use crate::view::colour::{Role, paint};
use crate::view::event::{summed_up, timestamp};
use crate::view::text::{CUT, fill, span, word};

/// Blanks between two columns.
const GAP: usize = 2;
/// No column of texts is cut to fewer characters than this, however narrow the terminal.
const LEAST: usize = 8;
/// Columns of a time of the day to the millisecond, with its zone: what a narrow terminal has of a time.
const CLOCK: usize = 13;
/// Columns of a time to the second, with its day and its zone.
const SECONDS: usize = 20;
/// Columns of a time to the microsecond, with its day and its zone.
const MICROS: usize = 27;
/// Columns of `ESTABLISHED`: no state is cut, and of reasons so much distinguishes them.
const WORD: usize = 11;
/// Columns of `127.0.0.1:53812`: what is usual in a column is reckoned with up to here where room is scarce.
const SCARCE: usize = 15;

/// One row, a cell for each column.
pub type Cells = Vec<Vec<u8>>;

/// The cells of a row.
pub fn cells(columns: &[Column], row: &impl HasFields) -> Cells {
    columns.iter().map(|column| cell(*column, row)).collect()
}

/// Rows under their heading.
#[derive(Clone, Debug)]
pub struct ColumnTable {
    headings: Cells,
    looks: Vec<CellLook>,
    /// What the heading and the rows need.
    needed: Vec<usize>,
    /// What such columns usually need, where the rows are not all known.
    usual: Vec<usize>,
    /// What each column has, on a terminal perhaps less than it needs.
    widths: Vec<usize>,
    coloured: bool,
}

/// How the cells of a column look.
#[derive(Clone, Copy, Debug)]
struct CellLook {
    /// Whether they stand on the right.
    right: bool,
    /// To how many characters they may be cut; `None` where half a value would be a wrong one, as of numbers and addresses.
    least: Option<usize>,
    /// Whether they are times, which lose their fraction and their day, and never their zone.
    time: bool,
    /// What a cell is, by its text.
    role: fn(&[u8]) -> Role,
}

/// Facts in the terminal's own colour.
const fn data(_: &[u8]) -> Role {
    Role::Data
}

impl CellLook {
    fn of(column: Column) -> Self {
        let role = match column {
            Column::Field(Field::State | Field::OldState | Field::NewState) => Role::of_state,
            Column::Field(Field::Reason) => Role::of_reason,
            _ => data,
        };
        let least = match column {
            Column::Group("local" | "remote") => None,
            Column::Group(_) => Some(LEAST),
            Column::Field(field) => match field.spec().kind {
                ValueKind::Text => Some(LEAST),
                ValueKind::Word(_) => Some(WORD),
                ValueKind::Time => Some(CLOCK),
                _ => None,
            },
        };
        let time = matches!(column, Column::Field(field) if field.spec().kind == ValueKind::Time);
        Self { right: is_right(column), least, time, role }
    }

    /// Whether the end of what the column holds may be cut.
    const fn is_text(&self) -> bool {
        self.least.is_some() && !self.time
    }
}

impl ColumnTable {
    /// A table of these columns, at first as wide as their names; states, failures and the heading in colour where that is wanted.
    pub fn new(columns: &[Column], coloured: bool) -> Self {
        Self::with(columns.iter().map(|column| (column.name().as_bytes().to_vec(), CellLook::of(*column))), coloured)
    }

    /// The same behind a column of counts.
    pub fn counted(columns: &[Column], coloured: bool) -> Self {
        let named = columns.iter().map(|column| (column.name().as_bytes().to_vec(), CellLook::of(*column)));
        let count = (b"count".to_vec(), CellLook { right: true, least: None, time: false, role: data });
        Self::with(std::iter::once(count).chain(named), coloured)
    }

    fn with(columns: impl Iterator<Item = (Vec<u8>, CellLook)>, coloured: bool) -> Self {
        let (headings, looks): (Cells, Vec<CellLook>) = columns.unzip();
        let widths: Vec<usize> = headings.iter().map(|heading| width(heading)).collect();
        Self { headings, looks, needed: widths.clone(), usual: vec![0; widths.len()], widths, coloured }
    }

    /// Makes room for what such columns usually hold: where rows are printed as they come, nobody knows the widest one.
    #[must_use]
    pub fn roomy(mut self, columns: &[Column]) -> Self {
        self.usual = columns.iter().map(|column| usual(*column)).collect();
        self.widths = self.needed.iter().zip(&self.usual).map(|(needed, usual)| *needed.max(usual)).collect();
        self
    }

    /// Whether there is room for a row's texts. A number or an address that is longer than its column makes its own line longer alone.
    pub fn has_room(&self, row: &[Vec<u8>]) -> bool {
        let columns = self.looks.iter().zip(self.needed.iter().zip(&self.usual)).zip(row);
        columns
            .filter(|((look, _), _)| look.is_text())
            .all(|((_, (needed, usual)), cell)| width(cell) <= *needed.max(usual))
    }

    /// Makes room for a row's texts.
    pub fn widen_texts(&mut self, row: &[Vec<u8>]) {
        let columns = self.looks.iter().zip(self.needed.iter_mut().zip(&mut self.widths)).zip(row);
        for ((_, (needed, width_of)), cell) in columns.filter(|((look, _), _)| look.is_text()) {
            *needed = width(cell).max(*needed);
            *width_of = *needed.max(width_of);
        }
    }

    /// Writes times as this table does, whatever room there is: lines below one heading are alike.
    pub fn keep_times(&mut self, of: &Self) {
        for at in (0..self.widths.len()).filter(|&at| self.looks[at].time) {
            self.widths[at] = of.widths[at];
        }
    }

    /// Makes room for a row.
    pub fn widen(&mut self, row: &[Vec<u8>]) {
        let columns = self.needed.iter_mut().zip(&mut self.widths).zip(row);
        for ((needed, width_of), cell) in columns {
            *needed = width(cell).max(*needed);
            *width_of = *needed.max(width_of);
        }
    }

    /// Takes away from the widest columns until a line fits a terminal of this width: first what rows may need that are to come, then the
    /// ends of words and texts. Numbers and addresses stay whole: where that is too much all the same, lines are longer than the terminal, and no word
    /// is cut for nothing. Nobody reads nanoseconds on a terminal.
    pub fn fit(&mut self, terminal: usize) {
        for at in (0..self.widths.len()).filter(|&at| self.looks[at].time) {
            self.widths[at] = self.widths[at].min(MICROS);
            self.needed[at] = self.needed[at].min(MICROS);
        }
        let spare = |at: usize| self.needed[at].max(self.usual[at].min(SCARCE));
        let words = |at: usize| self.looks[at].least.unwrap_or(usize::MAX);
        for least in [&spare as &dyn Fn(usize) -> usize, &words] {
            while line(&self.widths) > terminal {
                let wide = (0..self.widths.len()).filter(|&at| self.widths[at] > least(at));
                let Some(widest) = wide.max_by_key(|&at| self.widths[at]) else { break };
                self.widths[widest] -= 1;
            }
        }
        if line(&self.widths) > terminal {
            for at in (0..self.widths.len()).filter(|&at| !self.looks[at].time) {
                self.widths[at] = spare(at);
            }
        }
    }

    /// Appends the heading and all rows, made to fit a terminal of this width.
    pub fn print(mut self, out: &mut Vec<u8>, rows: &[Cells], terminal: Option<usize>) {
        rows.iter().for_each(|row| self.widen(row));
        if let Some(terminal) = terminal {
            self.fit(terminal);
        }
        self.heading(out);
        rows.iter().for_each(|row| self.row(out, row));
    }

    /// Appends the heading.
    pub fn heading(&self, out: &mut Vec<u8>) {
        self.line(out, &self.headings, |_, _| Role::Own);
    }

    /// Appends a row. What is wider than its column is cut where [`ColumnTable::fit`] made that narrower, and pushes the rest where not.
    pub fn row(&self, out: &mut Vec<u8>, row: &[Vec<u8>]) {
        self.line(out, row, |look, cell| (look.role)(cell));
    }

    fn line(&self, out: &mut Vec<u8>, row: &[Vec<u8>], role: impl Fn(CellLook, &[u8]) -> Role) {
        let last = row.len().saturating_sub(1);
        for (at, (whole, look)) in row.iter().zip(&self.looks).enumerate() {
            let room = self.widths.get(at).copied().unwrap_or(0);
            let cell = match (look.time, look.is_text()) {
                _ if room == 0 => whole.into(),
                (true, _) => less_precise(whole, room),
                (false, true) => cut(whole, room, CUT),
                (false, false) => whole.into(),
            };
            let blanks = room.saturating_sub(width(&cell));
            if at > 0 {
                fill(out, GAP);
            }
            if look.right {
                fill(out, blanks);
            }
            paint(out, self.coloured, role(*look, whole), &cell);
            if !look.right && at < last {
                fill(out, blanks);
            }
        }
        out.push(b'\n');
    }
}

/// Columns of a line with cells of these widths.
fn line(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// Columns of the longest value that is common: of IPv4 addresses, processes of 15 letters, and words of which there are few.
fn usual(column: Column) -> usize {
    match column {
        Column::Group("local" | "remote") => 21,
        Column::Group("owners" | "closed_by" | "peer") => 23,
        // connect 12.3ms, established 12.3ms, close_wait 12.3ms, closing 12.3ms
        Column::Group(STATE_TIMES) => 48,
        Column::Group(_) => 0,
        Column::Field(Field::Comm | Field::ClosedByComm) => 15,
        Column::Field(Field::Pid | Field::ClosedByPid) => 7,
        Column::Field(Field::Inode | Field::Cookie) => 10,
        Column::Field(field) => match field.spec().kind {
            ValueKind::Word(words) => words.iter().map(|word| word.len()).max().unwrap_or_default(),
            ValueKind::Time => 30,
            ValueKind::Address => 15,
            ValueKind::Port => 5,
            ValueKind::Bytes | ValueKind::Span(_) | ValueKind::Namespace => 10,
            ValueKind::Text | ValueKind::Number | ValueKind::User => 0,
        },
    }
}

/// The time, as precise as there is room for: `2026-01-02T03:04:05.678901234Z` loses digits of its fraction, then its day.
fn less_precise(cell: &[u8], room: usize) -> std::borrow::Cow<'_, [u8]> {
    let at = |sign: u8| cell.iter().position(|&byte| byte == sign).filter(|_| cell.len() > room);
    let (Some(day), Some(point)) = (at(b'T'), at(b'.')) else { return cell.into() };
    let (cell, point) = if room < SECONDS { (&cell[day + 1..], point - day - 1) } else { (cell, point) };
    // The zone is behind the fraction, of which there are micro- or milliseconds.
    let digits = room.saturating_sub(point + 2).min(cell.len() - point - 2) / 3 * 3;
    let fraction = if digits == 0 { &[][..] } else { &cell[point..point + 1 + digits] };
    [&cell[..point], fraction, b"Z"].concat().into()
}

fn is_right(column: Column) -> bool {
    match column {
        Column::Field(field) => {
            field.spec().kind.is_numeric() && field.nested().is_none_or(|(group, _)| group != "owners")
        }
        Column::Group(_) => false,
    }
}

/// What a column has of a row.
fn cell(column: Column, row: &impl HasFields) -> Vec<u8> {
    match column {
        Column::Field(field) => {
            let mut out = Vec::new();
            write(&mut out, field, &row.value(field));
            out
        }
        Column::Group("local") => end(row, Field::LocalAddr, Field::LocalPort),
        Column::Group("remote") => end(row, Field::RemoteAddr, Field::RemotePort),
        Column::Group("owners") => owners(row),
        Column::Group("closed_by") => process(&row.value(Field::ClosedByPid), &row.value(Field::ClosedByComm)),
        Column::Group("peer") => process(&row.value(Field::PeerPid), &row.value(Field::PeerComm)),
        Column::Group(STATE_TIMES) => {
            let states = row.times().map_or_else(Vec::new, |times| summed_up(&times));
            let part = |(word, ns): &(&str, Option<u64>)| format!("{word} {}", ns.map_or("-".into(), span));
            let listed = states.iter().map(part).collect::<Vec<_>>().join(", ");
            if listed.is_empty() { b"-".to_vec() } else { listed.into_bytes() }
        }
        Column::Group(name) => {
            let mut out = Vec::new();
            for field in group(name) {
                let value = row.value(field);
                if value == Value::Null {
                    continue;
                }
                if !out.is_empty() {
                    out.push(b' ');
                }
                out.extend_from_slice(field.nested().map_or(field.name(), |(_, name)| name).as_bytes());
                out.push(b'=');
                write(&mut out, field, &value);
            }
            if out.is_empty() { b"-".to_vec() } else { out }
        }
    }
}

/// `127.0.0.1:80`, `:::*`.
fn end(row: &impl HasFields, addr: Field, port: Field) -> Vec<u8> {
    let mut out = Vec::new();
    let value = row.value(addr);
    if value == Value::Null {
        return b"-".to_vec();
    }
    write(&mut out, addr, &value);
    out.push(b':');
    match row.value(port) {
        Value::Number(0) => out.push(b'*'),
        value => write(&mut out, port, &value),
    }
    out
}

/// `7/nginx,9/nginx`
fn owners(row: &impl HasFields) -> Vec<u8> {
    let (Value::List(pids), programs) = (row.value(Field::OwnersPid), row.value(Field::OwnersProgram)) else {
        return b"-".to_vec();
    };
    let mut out = Vec::new();
    for (at, pid) in pids.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let program = match &programs {
            Value::List(programs) => programs.get(at).unwrap_or(&Value::Null),
            other => other,
        };
        element(&mut out, |out| out.extend(process(pid, program)));
    }
    if out.is_empty() { b"-".to_vec() } else { out }
}

fn process(pid: &Value<'_>, name: &Value<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, Field::Pid, pid);
    if *pid != Value::Null {
        out.push(b'/');
        write(&mut out, Field::Comm, name);
    }
    out
}

/// A value as text; what is not known is a dash.
fn write(out: &mut Vec<u8>, field: Field, value: &Value<'_>) {
    match (field.spec().kind, value) {
        (_, Value::Null) => out.push(b'-'),
        (_, Value::Text(text)) => out.extend_from_slice(&word(text)),
        (_, Value::Addr(addr)) => out.extend_from_slice(AddressText(*addr).to_string().as_bytes()),
        (ValueKind::Time, Value::Number(time_ns)) => out.extend_from_slice(&timestamp(*time_ns)),
        (ValueKind::Span(Unit::Nanos), Value::Number(ns)) => out.extend_from_slice(span(*ns).as_bytes()),
        (ValueKind::Span(Unit::Hundredths), Value::Number(number)) => {
            out.extend_from_slice(format!("{}.{:02}", number / 100, number % 100).as_bytes());
        }
        (_, Value::Number(number)) => out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes()),
        (_, Value::List(values)) if values.is_empty() => out.push(b'-'),
        (_, Value::List(values)) => {
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                element(out, |out| write(out, field, value));
            }
        }
    }
}

/// An element of a list: a comma in it would pass for the end of it.
fn element(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    write(out);
    if out[begin..].contains(&b',') {
        let element = out.split_off(begin);
        let parts: Vec<&[u8]> = element.split(|&byte| byte == b',').collect();
        out.extend(parts.join(&b"\\x2c"[..]));
    }
}

#[cfg(test)]
mod tests;
