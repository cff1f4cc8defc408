//! Events at a glance: a line within 120 columns, or within the terminal's.
//!
//! Columns of addresses begin at the width of common ones, and widen for good when a longer one of IPv4 comes. One of IPv6 makes its own line
//! longer alone. No address is ever cut. What does not fit is left out in this order: the bytes of a close, how the owner is known, the end of its
//! name, the duration, the rest of the name. Terminals narrower than some 110 columns have another form, without the word of the event and the
//! state before. A namespace that does not fit stands on an indented line below, and so does all that has no room beside long addresses. A whole
//! connection is one line where no terminal limits it; on a terminal what does not fit beside its ends follows on indented lines, and how the owner
//! is known stands last, where there is room.

mod facts;
mod life;
mod line;

use crate::model::visible::escape_word;
use crate::model::width::{cut, width as columns};
use crate::model::{Direction, EventEnd, EventKind, Owner, SocketEvent};
use crate::view::colour::Role;
use crate::view::text::{CUT, number, word};
pub use facts::summed_up;
use facts::{Detail, result_of};
use line::{ShortCells, ShortLine};

/// Columns of a line where standard output is no terminal.
const COLUMNS: usize = 120;
/// Columns of an end at first: `127.0.0.1:53812`.
const END: usize = 15;
/// Columns of the longest IPv4 end.
const LONGEST_V4: usize = 21;
/// Columns of the protocol; few have longer names.
const PROTO: usize = 4;
/// Columns of `ESTABLISHED -> CLOSE_WAIT`, the longest transition.
const TRANSITION: usize = 25;
/// Columns of the longest state.
const STATE: usize = 11;
/// Columns that an owner should have at least: `17029/python3`, say.
const OWNER: usize = 14;
/// Letters of a process name that are worth a column.
const NAME: usize = 4;
/// Blanks before what follows on a line of its own: up to the protocol, and where that leaves too little room.
const INDENTS: [usize; 2] = [16, 2];

/// How lines for people look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Columns of the terminal, `None` where standard output is none.
    pub width: Option<u16>,
    /// Whether there is colour.
    pub colour: bool,
    /// Seconds that local time is ahead of UTC, at a second since the Unix epoch.
    pub offset: fn(u64) -> i32,
    /// The network namespace of which events are expected: those of others have it beside their owner. `None` where there is no need for that.
    pub home: Option<u32>,
}

/// The view.
#[derive(Debug)]
pub struct Short {
    look: Look,
    local: usize,
    remote: usize,
    /// The second that `clock` shows, and the quarter of an hour for which `ahead` holds: no zone changes its offset in between.
    second: Option<u64>,
    quarter: Option<u64>,
    ahead: i32,
    clock: [u8; 9],
    local_end: Vec<u8>,
    remote_end: Vec<u8>,
    result: ShortCells,
    owner: ShortCells,
}

impl Short {
    /// A view that looks so.
    pub fn new(look: Look) -> Self {
        Self {
            look,
            local: END,
            remote: END,
            second: None,
            quarter: None,
            ahead: 0,
            clock: *b"00:00:00.",
            local_end: Vec::new(),
            remote_end: Vec::new(),
            result: ShortCells::default(),
            owner: ShortCells::default(),
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
            // Longer addresses are of IPv6, and make the line longer: it has what one with common addresses has.
            None => {
                let beyond = |end: &[u8]| if end.len() > LONGEST_V4 { end.len() - END } else { 0 };
                COLUMNS + beyond(&self.local_end) + beyond(&self.remote_end)
            }
        }
    }

    /// Whether there is room for the word of the event and both states beside the ends of most lines.
    fn is_wide(&self) -> bool {
        let ends = PROTO + 1 + self.local + 4 + self.remote + 1;
        16 + 6 + ends + TRANSITION + 1 + OWNER <= self.look.width.map_or(COLUMNS, usize::from)
    }

    /// Appends the line of an event; `netns` is the name of its network namespace, if that has one.
    pub fn event(&mut self, out: &mut Vec<u8>, event: &SocketEvent, netns: Option<&[u8]>) {
        self.measure(event);
        let place = self.place(event, netns);
        let (limit, wide) = (self.limit(), self.is_wide());
        let mut line = ShortLine { out, coloured: self.look.colour, at: 0 };
        self.time(&mut line, event.time_ns);
        if wide {
            line.column(Role::Own, event.kind.name().as_bytes(), 5);
        }
        self.ends(&mut line, event, event.direction());
        let width = if wide { TRANSITION } else { STATE };
        let owner = event.owner.as_ref();
        let number = owner.map_or(1, |owner| digits(owner.pid));
        let whole = owner.map_or(1, |owner| whole_owner(owner, true));
        let letters = least(owner);
        let is_long = self.local_end.len() > self.local || self.remote_end.len() > self.remote;
        if line.at + width + 1 + if is_long { letters } else { number } > limit {
            return self.beside_long_ends(line, event, wide, place);
        }
        // Terminals of some 80 columns have no room for a number of ten digits beside that of the process.
        let beside = |place: &ShortCells| line.at + width + 1 + number + place.columns() <= limit;
        let (place, below) =
            if beside(&place) { (place, ShortCells::default()) } else { (ShortCells::default(), place) };
        for (bytes, duration, wanted) in [(true, true, whole), (false, true, letters), (false, false, number)] {
            self.result(event, wide, Detail { bytes, duration });
            if line.at + self.result.columns().max(width) + 1 + wanted + place.columns() <= limit {
                break;
            }
        }
        let end = line.at + width;
        line.cells(&self.result);
        line.to(end);
        line.gap();
        // A result that is longer than most takes the room of the namespace.
        let fits = line.at + number + place.columns() <= limit;
        let (place, below) = if fits { (place, below) } else { (ShortCells::default(), place) };
        let room = limit.saturating_sub(line.at + place.columns());
        self.owner(owner, room, true);
        line.cells(&self.owner);
        line.cells(&place);
        if below.columns() > 0 {
            line.below(&[below], INDENTS[0], limit);
        }
        line.end();
    }

    /// Ends a line whose ends leave too little room for the rest: that stands below, whole.
    fn beside_long_ends(&mut self, mut line: ShortLine<'_>, event: &SocketEvent, wide: bool, place: ShortCells) {
        let limit = self.limit();
        self.result(event, wide, Detail { bytes: true, duration: true });
        self.owner(event.owner.as_ref(), limit, true);
        let mut below = Vec::new();
        if line.at + self.result.columns() <= limit {
            line.cells(&self.result);
        } else {
            below.push(self.result.behind_blank());
        }
        below.extend([self.owner.behind_blank(), place]);
        line.below(&below, INDENTS[0], limit);
        line.end();
    }

    /// Appends the line of a loss.
    pub fn lost(&mut self, out: &mut Vec<u8>, time_ns: u64, count: u64) {
        let mut line = ShortLine { out, coloured: self.look.colour, at: 0 };
        self.time(&mut line, time_ns);
        line.column(Role::Failure, b"lost", 5);
        let mut digits = Vec::new();
        number(&mut digits, count);
        line.put(Role::Data, &digits);
        line.put(Role::Failure, super::lost(count));
        line.end();
    }

    /// Writes the ends down, and widens the columns for those of IPv4.
    fn measure(&mut self, event: &SocketEvent) {
        end(&mut self.local_end, event.local);
        end(&mut self.remote_end, event.remote);
        let widen = |column: &mut usize, end: &[u8]| {
            *column = (*column).max(Some(end.len()).filter(|&len| len <= LONGEST_V4).unwrap_or(0))
        };
        widen(&mut self.local, &self.local_end);
        widen(&mut self.remote, &self.remote_end);
    }

    /// Protocol, both ends, and who connected to whom.
    fn ends(&self, line: &mut ShortLine<'_>, event: &SocketEvent, direction: Option<Direction>) {
        line.column(Role::Data, event.proto.name().as_bytes(), PROTO);
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

    /// The network namespace of an event from elsewhere: its name, or its number.
    fn place(&self, event: &SocketEvent, netns: Option<&[u8]>) -> ShortCells {
        let mut cells = ShortCells::default();
        let Some(inode) = event.netns.filter(|&inode| self.look.home.is_some_and(|home| home != inode)) else {
            return cells;
        };
        cells.put(Role::Own, b" @");
        match netns {
            Some(name) => cells.put(Role::Data, &escape_word(name)),
            None => cells.number(inode),
        }
        cells
    }

    /// The process, within so many columns if that can be.
    fn owner(&mut self, owner: Option<&Owner>, room: usize, how: bool) {
        let cells = &mut self.owner;
        cells.clear();
        let Some(owner) = owner else { return cells.put(Role::Data, b"-") };
        let grade = owner.grade.name();
        cells.number(owner.pid);
        let left = room.saturating_sub(cells.columns() + 1);
        let name = word(owner.comm.as_bytes());
        // Before its name is cut, nobody reads how it is known.
        let beside = room.checked_sub(cells.columns() + 1 + grade.len() + 1).filter(|_| how);
        let beside = beside.filter(|&left| left >= columns(&name));
        let (how, left) = (beside.is_some(), beside.unwrap_or(left));
        if left >= columns(&name) {
            cells.put(Role::Data, b"/");
            cells.put(Role::Data, &name);
        } else if left >= 2 {
            cells.put(Role::Data, b"/");
            cells.put(Role::Data, &cut(&name, left - 1, ""));
            cells.put(Role::Own, CUT.as_bytes());
        }
        if how {
            cells.put(Role::Own, b" ");
            cells.put(Role::Own, grade.as_bytes());
        }
    }

    /// Local time to the microsecond.
    fn time(&mut self, line: &mut ShortLine<'_>, time_ns: u64) {
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
    digits(owner.pid) + 1 + columns(&word(owner.comm.as_bytes())) + how
}

/// Columns that an owner should have: its number, and some letters of its name.
fn least(owner: Option<&Owner>) -> usize {
    owner.map_or(1, |owner| digits(owner.pid) + 1 + columns(&word(owner.comm.as_bytes())).min(NAME))
}

fn digits(number: u32) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// An end as netstat writes it, `-` where there is none.
fn end(out: &mut Vec<u8>, end: Option<EventEnd>) {
    out.clear();
    super::end_text(out, end);
}

#[cfg(test)]
mod tests;
