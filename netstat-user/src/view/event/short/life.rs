//! A connection that has ended: who, to whom, how, how long, how much, and in which states. It is one line where that fits. Else the line ends
//! with the owner, and the rest stands below.

use super::facts::{Detail, carried, lasted, listed, result_of, summed_up, trip};
use super::line::{ShortCells, ShortLine, width};
use super::{INDENTS, Short, least, whole_owner};
use crate::model::{Ended, EventKind, Owner, SocketEvent, Totals};
use crate::view::colour::Role;

/// What is said of the connection beside its ends and how it ended.
struct Parts<'a> {
    owner: Option<&'a Owner>,
    /// How long, how much, and over which path.
    facts: [Vec<ShortCells>; 3],
    states: Vec<(&'static str, Option<u64>)>,
    place: ShortCells,
}

/// What of it stands on the first line. The rest stands below.
#[derive(Clone, Copy)]
enum First {
    /// All, with `how` the owner is known, or without.
    All { how: bool },
    /// So many of the facts, the owner, and the namespace or not.
    Facts { count: usize, place: bool },
    /// Nothing.
    Ends,
}

impl Short {
    /// Appends what is known of a connection that has ended.
    pub fn life(&mut self, out: &mut Vec<u8>, event: &SocketEvent, ended: &Ended, netns: Option<&[u8]>) {
        let EventKind::Close(totals) = &event.kind else { return self.event(out, event, netns) };
        self.measure(event);
        let limit = self.look.width.map_or(usize::MAX, usize::from);
        let mut line = ShortLine { out, coloured: self.look.colour, at: 0 };
        self.time(&mut line, event.time_ns);
        self.ends(&mut line, event, ended.direction);
        self.result.clear();
        result_of(&mut self.result, totals, Detail { bytes: false, duration: false });
        line.cells(&self.result);

        let parts = Parts::new(event, totals, ended, self.place(event, netns));
        // But for the blank before the owner.
        let room = limit.saturating_sub(line.at + 1);
        let first = parts.first(room);
        let (beside, rest) = parts.facts.split_at(first.facts());
        beside.iter().flatten().for_each(|piece| line.cells(piece));
        match first {
            First::Ends => self.owner(event.owner.as_ref(), limit, false),
            _ => {
                let place = if first.has_place() { parts.place.columns() } else { 0 };
                let room = room - place - parts.width(first.facts());
                self.owner(event.owner.as_ref(), room, matches!(first, First::All { how: true }));
            }
        }
        let mut owner = ShortCells::default();
        owner.put(Role::Data, b" ");
        owner.append(&self.owner);
        let mut below: Vec<ShortCells> = rest.concat();
        if first.has_place() {
            owner.append(&parts.place);
        } else {
            below.push(parts.place.clone());
        }
        match first {
            First::Ends => below.push(owner),
            _ => line.cells(&owner),
        }
        match first {
            First::All { .. } => listed(&parts.states, false).iter().for_each(|piece| line.cells(piece)),
            _ => parts.below(&mut line, below, limit),
        }
        line.end();
    }
}

impl First {
    /// How many of the facts.
    const fn facts(self) -> usize {
        match self {
            Self::All { .. } => 3,
            Self::Facts { count, .. } => count,
            Self::Ends => 0,
        }
    }

    /// Whether the namespace stands behind the owner, wherever that is.
    const fn has_place(self) -> bool {
        !matches!(self, Self::Facts { place: false, .. })
    }
}

impl<'a> Parts<'a> {
    fn new(event: &'a SocketEvent, totals: &Totals, ended: &Ended, place: ShortCells) -> Self {
        let facts = [vec![lasted(totals)], carried(totals), trip(totals)];
        Self { owner: event.owner.as_ref(), facts, states: summed_up(&ended.times), place }
    }

    /// Columns of the first facts.
    fn width(&self, facts: usize) -> usize {
        self.facts[..facts].iter().map(|pieces| width(pieces)).sum()
    }

    /// What fits so many columns: how the owner is known moves down first, or is left out. Then as many facts stay beside the owner's name as fit;
    /// the shortest line has its first letters.
    fn first(&self, room: usize) -> First {
        let left = room.saturating_sub(self.place.columns());
        let owner = |how| self.owner.map_or(1, |owner| whole_owner(owner, how));
        let all = self.width(self.facts.len()) + width(&listed(&self.states, false));
        if let Some(how) = [true, false].into_iter().find(|&how| all + owner(how) <= left) {
            return First::All { how };
        }
        let shortest = self.width(1) + least(self.owner);
        match (1..=self.facts.len()).rev().find(|&count| self.width(count) + owner(false) <= left) {
            Some(count) => First::Facts { count, place: true },
            None if shortest <= left => First::Facts { count: 1, place: true },
            // The namespace moves down before the owner does.
            None if shortest <= room => First::Facts { count: 1, place: false },
            None => First::Ends,
        }
    }

    /// Writes the rest, and the states, on lines below the first: on two if abbreviated states make that possible, on more if not.
    fn below(&self, line: &mut ShortLine<'_>, mut rest: Vec<ShortCells>, limit: usize) {
        let states = listed(&self.states, false);
        let fits = |indent: usize| indent - 1 + width(&rest) + width(&states) <= limit;
        let (indent, states) = match INDENTS.into_iter().find(|&indent| fits(indent)) {
            Some(indent) => (indent, states),
            None => (INDENTS[1], listed(&self.states, true)),
        };
        rest.extend(states);
        line.below(&rest, indent, limit);
        // How the owner is known takes no line of its own.
        if let Some(owner) = self.owner {
            let how = ShortCells::labelled("owner", owner.grade.name());
            if line.at + how.columns() <= limit {
                line.cells(&how);
            }
        }
    }
}
