//! Events at a glance: a line within 120 columns, or within the terminal's.
//!
//! Columns of addresses begin at the width of common ones, and widen for good when a longer one comes: no address is ever cut. What does not
//! fit is left out in this order: the bytes of a close, how the owner is known, the end of its name, the duration; of a whole connection's line the
//! last states first, and the duration last. Terminals narrower than
//! some 110 columns have another form, without the word of the event and the state before.

use super::LOST;
use crate::model::{Direction, Ended, EventEnd, EventKind, Owner, SocketEvent, StateTimes, TcpState, Totals};
use crate::view::colour::{Role, paint};
use crate::view::text::{escape_word, number, span};

/// Columns of a line where standard output is no terminal.
const COLUMNS: usize = 120;
/// Columns of an end at first: `127.0.0.1:53812`.
const END: usize = 15;
/// Columns of the longest IPv4 end.
const LONGEST_V4: usize = 21;
/// Columns of the protocol at first.
const PROTO: usize = 4;
/// Columns of `ESTABLISHED -> CLOSE_WAIT`, the longest transition.
const TRANSITION: usize = 25;
/// Columns of the longest state.
const STATE: usize = 11;
/// Columns that an owner should have at least: `17029/python3`, say.
const OWNER: usize = 14;
/// Letters of a process name that are worth a column.
const NAME: usize = 4;

/// How lines for people look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Columns of the terminal, `None` where standard output is none.
    pub width: Option<u16>,
    /// Whether there is colour.
    pub colour: bool,
    /// Seconds that local time is ahead of UTC, at a second since the Unix epoch.
    pub offset: fn(u64) -> i32,
}

/// Pieces of text, each in its role, before it is known whether they fit.
#[derive(Debug, Default)]
struct Cells {
    text: Vec<u8>,
    ends: Vec<(Role, usize)>,
}

impl Cells {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    fn put(&mut self, role: Role, text: &[u8]) {
        self.text.extend_from_slice(text);
        self.ends.push((role, self.text.len()));
    }

    fn number(&mut self, value: impl itoa::Integer) {
        number(&mut self.text, value);
        self.ends.push((Role::Data, self.text.len()));
    }

    fn columns(&self) -> usize {
        columns(&self.text)
    }

    fn paint(&self, out: &mut Vec<u8>, coloured: bool) {
        let mut start = 0;
        for &(role, end) in &self.ends {
            paint(out, coloured, role, &self.text[start..end]);
            start = end;
        }
    }
}

/// Columns that a text takes: a byte each, but for those that continue a letter of UTF-8.
fn columns(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}

/// What of a line is shown, from all to least.
#[derive(Clone, Copy, Debug)]
struct Detail {
    bytes: bool,
    duration: bool,
}

/// The view.
#[derive(Debug)]
pub struct Short {
    look: Look,
    local: usize,
    remote: usize,
    proto: usize,
    /// The second that `clock` shows, and the quarter of an hour for which `ahead` holds: no zone changes its offset in between.
    second: Option<u64>,
    quarter: Option<u64>,
    ahead: i32,
    clock: [u8; 9],
    local_end: Vec<u8>,
    remote_end: Vec<u8>,
    result: Cells,
    owner: Cells,
}

/// A line being written.
struct Line<'a> {
    out: &'a mut Vec<u8>,
    coloured: bool,
    /// Columns so far.
    at: usize,
}

impl Line<'_> {
    fn put(&mut self, role: Role, text: &[u8]) {
        paint(self.out, self.coloured, role, text);
        self.at += columns(text);
    }

    fn cells(&mut self, cells: &Cells) {
        cells.paint(self.out, self.coloured);
        self.at += cells.columns();
    }

    /// Blanks up to a column.
    fn to(&mut self, column: usize) {
        let blanks = column.saturating_sub(self.at);
        self.out.resize(self.out.len() + blanks, b' ');
        self.at += blanks;
    }

    fn column(&mut self, role: Role, text: &[u8], width: usize) {
        let end = self.at + width;
        self.put(role, text);
        self.to(end);
        self.gap();
    }

    fn gap(&mut self) {
        self.out.push(b' ');
        self.at += 1;
    }

    fn end(self) {
        while self.out.last() == Some(&b' ') {
            self.out.pop();
        }
        self.out.push(b'\n');
    }
}

impl Short {
    /// A view that looks so.
    pub fn new(look: Look) -> Self {
        Self {
            look,
            local: END,
            remote: END,
            proto: PROTO,
            second: None,
            quarter: None,
            ahead: 0,
            clock: *b"00:00:00.",
            local_end: Vec::new(),
            remote_end: Vec::new(),
            result: Cells::default(),
            owner: Cells::default(),
        }
    }

    /// The terminal has this many columns now.
    pub const fn set_width(&mut self, width: Option<u16>) {
        self.look.width = width;
    }

    /// Columns of a line at most.
    fn limit(&self) -> usize {
        match self.look.width {
            Some(width) => width.into(),
            // Longer addresses are of IPv6, and widen the line.
            None => {
                let beyond = |column: usize, usual: usize| column.saturating_sub(usual);
                COLUMNS + beyond(self.local, LONGEST_V4) + beyond(self.remote, LONGEST_V4) + beyond(self.proto, PROTO)
            }
        }
    }

    /// Columns up to the remote end, and whether there is room for the word of the event and both states after it.
    fn is_wide(&self) -> bool {
        let ends = self.proto + 1 + self.local + 4 + self.remote + 1;
        16 + 6 + ends + TRANSITION + 1 + OWNER <= self.limit()
    }

    /// Appends the line of an event.
    pub fn event(&mut self, out: &mut Vec<u8>, event: &SocketEvent) {
        self.measure(event);
        let (limit, wide) = (self.limit(), self.is_wide());
        let mut line = Line { out, coloured: self.look.colour, at: 0 };
        self.time(&mut line, event.time_ns);
        if wide {
            line.column(Role::Own, event.kind.name().as_bytes(), 5);
        }
        self.ends(&mut line, event, event.direction());
        let width = if wide { TRANSITION } else { STATE };
        let wanted = least(event.owner.as_ref()).min(OWNER);
        for detail in [(true, true), (false, true), (false, false)] {
            let (bytes, duration) = detail;
            self.result(event, wide, Detail { bytes, duration });
            if line.at + self.result.columns().max(width) + 1 + wanted <= limit {
                break;
            }
        }
        let end = line.at + width;
        line.cells(&self.result);
        line.to(end);
        line.gap();
        let room = limit.saturating_sub(line.at);
        self.owner(event.owner.as_ref(), room, wide);
        line.cells(&self.owner);
        line.end();
    }

    /// Appends the line of a loss.
    pub fn lost(&mut self, out: &mut Vec<u8>, time_ns: u64, count: u64) {
        let mut line = Line { out, coloured: self.look.colour, at: 0 };
        self.time(&mut line, time_ns);
        line.column(Role::Failure, b"lost", 5);
        let mut digits = Vec::new();
        number(&mut digits, count);
        line.put(Role::Data, &digits);
        line.put(Role::Failure, LOST.trim_ascii_end());
        line.end();
    }

    /// Appends the line of a connection that has ended: who, to whom, how, how long, how much, and in which states.
    pub fn life(&mut self, out: &mut Vec<u8>, event: &SocketEvent, ended: &Ended) {
        let EventKind::Close(totals) = &event.kind else { return self.event(out, event) };
        self.measure(event);
        let limit = match self.look.width {
            Some(width) => width.into(),
            None => usize::MAX,
        };
        let mut line = Line { out, coloured: self.look.colour, at: 0 };
        self.time(&mut line, event.time_ns);
        self.ends(&mut line, event, ended.direction);
        let states = summed_up(&ended.times);
        // From everything to the least: how the owner is known, round trips, duration, bytes, how many states, the whole name.
        let first_states = |count| (false, false, true, true, count, true);
        let ladder = [(true, true, true, true, states.len(), true), (false, true, true, true, states.len(), true)]
            .into_iter()
            .chain((0..=states.len()).rev().map(first_states))
            .chain([(false, false, true, true, 0, false), (false, false, true, false, 0, false)])
            .chain(std::iter::once((false, false, false, false, 0, false)));
        let last = states.len() + 5;
        for (step, (how, trips, duration, bytes, count, whole)) in ladder.enumerate() {
            self.result.clear();
            result_of(&mut self.result, totals, Detail { bytes, duration });
            if trips {
                trip(&mut self.result, totals);
            }
            let states = listed(&states[..count]);
            let rest = if count == 0 { 0 } else { states.columns() + 1 };
            let room = limit.saturating_sub(line.at + self.result.columns() + 1 + rest);
            self.owner(event.owner.as_ref(), room, how);
            let wanted = match event.owner.as_ref() {
                Some(owner) if whole => whole_owner(owner, how),
                owner => least(owner),
            };
            if wanted <= room || step == last {
                line.cells(&self.result);
                line.gap();
                line.cells(&self.owner);
                if rest > 0 {
                    line.gap();
                    line.cells(&states);
                }
                break;
            }
        }
        line.end();
    }

    /// Writes the ends down, and widens the columns for them.
    fn measure(&mut self, event: &SocketEvent) {
        end(&mut self.local_end, event.local);
        end(&mut self.remote_end, event.remote);
        self.local = self.local.max(self.local_end.len());
        self.remote = self.remote.max(self.remote_end.len());
        self.proto = self.proto.max(event.proto.name().len());
    }

    /// Protocol, both ends, and who connected to whom.
    fn ends(&self, line: &mut Line<'_>, event: &SocketEvent, direction: Option<Direction>) {
        line.column(Role::Data, event.proto.name().as_bytes(), self.proto);
        line.column(Role::Data, &self.local_end, self.local);
        let arrow: &[u8] = match direction {
            Some(Direction::Out) => b"->",
            Some(Direction::In) => b"<-",
            None if event.has_peer() => b"--",
            None => b"",
        };
        line.column(Role::Own, arrow, 2);
        line.column(Role::Data, &self.remote_end, self.remote);
    }

    /// The transition, or how it ended.
    fn result(&mut self, event: &SocketEvent, wide: bool, detail: Detail) {
        let cells = &mut self.result;
        cells.clear();
        match &event.kind {
            EventKind::Open if wide => {}
            EventKind::Open => cells.put(Role::Own, b"open"),
            EventKind::State { old, new, .. } => {
                if wide {
                    cells.put(Role::Own, old.name().as_bytes());
                    cells.put(Role::Own, b" -> ");
                }
                cells.put(Role::of(*new), new.name().as_bytes());
            }
            EventKind::Close(totals) => result_of(cells, totals, detail),
        }
    }

    /// The process, within so many columns if that can be.
    fn owner(&mut self, owner: Option<&Owner>, room: usize, how: bool) {
        let cells = &mut self.owner;
        cells.clear();
        let Some(owner) = owner else { return cells.put(Role::Data, b"-") };
        let grade = owner.grade.name();
        cells.number(owner.pid);
        let left = room.saturating_sub(cells.columns() + 1);
        let name = escape_word(owner.comm.as_bytes());
        // A longer name is worth less than how it is known, a name of a few letters more.
        let beside = room.checked_sub(cells.columns() + 1 + grade.len() + 1).filter(|_| how);
        let beside = beside.filter(|&left| left >= columns(&name).min(NAME));
        let (how, left) = (beside.is_some(), beside.unwrap_or(left));
        if left >= columns(&name) {
            cells.put(Role::Data, b"/");
            cells.put(Role::Data, &name);
        } else if left >= 2 {
            cells.put(Role::Data, b"/");
            cells.put(Role::Data, first(&name, left - 1));
            cells.put(Role::Own, b"~");
        }
        if how {
            cells.put(Role::Own, b" ");
            cells.put(Role::Own, grade.as_bytes());
        }
    }

    /// Local time to the microsecond.
    fn time(&mut self, line: &mut Line<'_>, time_ns: u64) {
        let second = time_ns / 1_000_000_000;
        if self.second != Some(second) {
            self.second = Some(second);
            if self.quarter != Some(second / 900) {
                self.quarter = Some(second / 900);
                self.ahead = (self.look.offset)(second);
            }
            let of_day = second.saturating_add_signed(self.ahead.into()) % 86_400;
            for (at, value) in [(0, of_day / 3_600), (3, of_day / 60 % 60), (6, of_day % 60)] {
                self.clock[at] = b'0' + (value / 10) as u8;
                self.clock[at + 1] = b'0' + (value % 10) as u8;
            }
        }
        let mut text = *b"00:00:00.000000";
        text[..9].copy_from_slice(&self.clock);
        let mut micros = time_ns / 1_000 % 1_000_000;
        for digit in text[9..].iter_mut().rev() {
            *digit = b'0' + (micros % 10) as u8;
            micros /= 10;
        }
        line.put(Role::Data, &text);
        line.gap();
    }
}

/// Columns of an owner with its whole name.
fn whole_owner(owner: &Owner, how: bool) -> usize {
    let how = if how { owner.grade.name().len() + 1 } else { 0 };
    digits(owner.pid) + 1 + columns(&escape_word(owner.comm.as_bytes())) + how
}

/// Columns that an owner should have: its number, and some letters of its name.
fn least(owner: Option<&Owner>) -> usize {
    owner.map_or(1, |owner| digits(owner.pid) + 1 + columns(&escape_word(owner.comm.as_bytes())).min(NAME))
}

fn digits(number: u32) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// The first letters of a text.
fn first(text: &[u8], letters: usize) -> &[u8] {
    let starts = text.iter().enumerate().filter(|(_, byte)| **byte & 0xc0 != 0x80);
    let end = starts.map(|(at, _)| at).nth(letters).unwrap_or(text.len());
    &text[..end]
}

/// How a socket ended, with its time and its bytes.
fn result_of(cells: &mut Cells, totals: &Totals, detail: Detail) {
    let reason = totals.reason.name().as_bytes();
    cells.put(Role::of_reason(reason), reason);
    if detail.duration {
        cells.put(Role::Data, b" ");
        cells.put(Role::Data, totals.duration_ns.map_or("-".into(), span).as_bytes());
    }
    if detail.bytes {
        for (label, bytes) in [(&b" rx "[..], totals.rx_bytes), (b" tx ", totals.tx_bytes)] {
            if let Some(bytes) = bytes {
                cells.put(Role::Own, label);
                cells.put(Role::Data, size(bytes).as_bytes());
            }
        }
    }
}

/// Round-trip time and retransmissions.
fn trip(cells: &mut Cells, totals: &Totals) {
    if let Some(rtt_us) = totals.rtt_us {
        cells.put(Role::Own, b" rtt ");
        cells.put(Role::Data, span(u64::from(rtt_us) * 1_000).as_bytes());
    }
    if let Some(retransmits) = totals.retransmits {
        let (label, data) = if retransmits == 0 { (Role::Own, Role::Data) } else { (Role::Failure, Role::Failure) };
        cells.put(label, b" retrans ");
        cells.put(data, itoa::Buffer::new().format(retransmits).as_bytes());
    }
}

/// The states that a connection passed, in their order, under the names of what it did in them.
fn summed_up(times: &StateTimes) -> Vec<(&'static str, Option<u64>)> {
    let mut parts: Vec<(&str, Option<u64>)> = Vec::new();
    for (state, ns) in times.iter() {
        let word = match state {
            TcpState::SynSent => "connect",
            TcpState::SynRecv => "handshake",
            TcpState::Established => "established",
            TcpState::CloseWait => "close_wait",
            TcpState::FinWait1 | TcpState::FinWait2 | TcpState::Closing | TcpState::LastAck => "closing",
            // Before it connected, and after it was over.
            TcpState::Close | TcpState::Listen | TcpState::TimeWait => continue,
        };
        match parts.iter_mut().find(|(there, _)| *there == word) {
            Some((_, sum)) => *sum = sum.zip(ns).map(|(sum, ns)| sum.saturating_add(ns)),
            None => parts.push((word, ns)),
        }
    }
    parts
}

/// `connect 35us, established 3.00s, closing 28us`
fn listed(parts: &[(&str, Option<u64>)]) -> Cells {
    let mut cells = Cells::default();
    for (word, ns) in parts {
        if !cells.text.is_empty() {
            cells.put(Role::Own, b", ");
        }
        cells.put(Role::Own, word.as_bytes());
        cells.put(Role::Data, b" ");
        cells.put(Role::Data, ns.map_or("-".into(), span).as_bytes());
    }
    cells
}

/// A number of bytes in at most four letters: `999`, `1.2K`, `35M`.
fn size(bytes: u64) -> String {
    if bytes < 1_000 {
        return bytes.to_string();
    }
    let mut unit = 1_u64 << 10;
    for letter in ["K", "M", "G", "T", "P"] {
        let tenths = u128::from(bytes) * 10 / u128::from(unit);
        match tenths {
            0..100 => return format!("{}.{}{letter}", tenths / 10, tenths % 10),
            100..10_000 => return format!("{}{letter}", tenths / 10),
            _ => unit <<= 10,
        }
    }
    format!("{}E", bytes / unit)
}

/// An end as netstat writes it, `-` where there is none.
fn end(out: &mut Vec<u8>, end: Option<EventEnd>) {
    out.clear();
    super::end_text(out, end);
}

#[cfg(test)]
mod tests;
