//! How events become lines: the same for those that are traced here and those that an agent sends.

mod chosen;
mod columns;
mod counts;

use crate::cgroups::Followed;
use crate::cli::events::Options;
use crate::field::{EventFields, Need, Provider};
use crate::filter::Predicate;
use crate::life::Lives;
use crate::model::{Event, SocketEvent};
use crate::proc::netns::{self, NAMES, NamespaceNames};
use crate::run::failure::unread_processes;
use crate::stdio::{complain, screen};
use crate::sys::{local_offset, resolver};
use crate::view::columns::{ColumnTable, Shape, cells};
use crate::view::event::{EventView, Form, Look};
use crate::view::text::counted;
pub use chosen::{Chosen, kinds};
use columns::ColumnLines;
use counts::Counts;
use std::collections::HashMap;
use std::path::Path;

/// What is printed of the events.
enum Shown<'a> {
    Lines,
    Json(Shape),
    Columns(ColumnLines),
    Counts(Counts<'a>),
}

/// Turns events into lines.
pub struct Printer<'a> {
    options: &'a Options,
    predicate: Option<Predicate>,
    needs: Need,
    shown: Shown<'a>,
    users: HashMap<u32, Vec<u8>>,
    followed: Option<Followed>,
    /// The connections that are open, where their ends are to be summed up.
    lives: Option<Lives>,
    view: EventView,
    /// Columns of the terminal.
    width: Option<u16>,
    names: NamespaceNames,
    /// Lines printed, but for those of losses; with counts, events counted.
    lines: u64,
    lost: u64,
}

impl<'a> Printer<'a> {
    /// A printer of what the options ask for.
    pub fn new(options: &'a Options, chosen: &Chosen) -> Self {
        let selection = &options.selection;
        let fields = selection.columns.iter().chain(&selection.count_by).flat_map(|column| column.fields());
        let needs = fields.fold(Need::NONE, |needs, field| needs.or(field.spec().need));
        let needs = needs.or(chosen.predicate.as_ref().map_or(Need::NONE, Predicate::needs));
        let shown = match (&selection.columns[..], &selection.count_by[..]) {
            ([], []) => Shown::Lines,
            ([], _) => Shown::Counts(Counts::new(options)),
            (columns, _) if options.json => Shown::Json(Shape::new(columns)),
            (columns, _) => {
                let table = ColumnTable::new(columns, screen::is_coloured(options.color)).roomy(columns);
                Shown::Columns(ColumnLines::new(table))
            }
        };
        let form = match (options.json, options.verbose) {
            (true, _) => Form::Json,
            (false, true) => Form::Full,
            (false, false) => Form::Short(Look {
                width: screen::width(),
                colour: screen::is_coloured(options.color),
                offset: local_offset,
                home: match chosen.limits.netns.as_deref() {
                    Some([_]) => None,
                    _ => netns::own(Path::new("/proc")).ok(),
                },
            }),
        };
        Self {
            options,
            predicate: chosen.predicate.clone(),
            needs,
            shown,
            users: HashMap::new(),
            followed: needs.meets(Need::CGROUPS).then(|| Followed::new(Path::new("/proc"))),
            lives: options.life.then(|| Lives::new(Lives::MOST)),
            view: EventView::new(form),
            width: screen::width(),
            names: NamespaceNames::new(Path::new(NAMES)),
            lines: 0,
            lost: 0,
        }
    }

    /// To be called before the events of a batch: names of namespaces and the terminal's width may have changed.
    pub fn begin_batch(&mut self, out: &mut Vec<u8>) {
        if let Some(followed) = &mut self.followed {
            followed.forget_closed();
        }
        self.names.refresh();
        self.width = screen::width();
        self.view.set_width(self.width);
        if let Shown::Counts(counts) = &mut self.shown {
            counts.show(out, self.width);
        }
    }

    /// Appends the line of an event, if it is to have one.
    pub fn event(&mut self, out: &mut Vec<u8>, event: SocketEvent) {
        // Learnt from before anything is left out: the owner may be wanted at the close and not before.
        let ended = self.lives.as_mut().map(|lives| lives.take(&event));
        self.follow(&event);
        if !self.options.wants(event.kind.event()) || (self.options.failed && !event.is_failure()) {
            return;
        }
        self.label(&event);
        let netns = self.names.of(event.netns);
        let followed = self.followed.as_ref().map(|followed| followed as &dyn Provider);
        let row = EventFields {
            event: &event,
            direction: match &ended {
                Some(Some(ended)) => ended.direction,
                _ => event.direction(),
            },
            times: ended.flatten().map(|ended| ended.times),
            netns_name: netns,
            users: Some(&self.users),
            providers: followed.as_slice(),
        };
        if self.predicate.as_ref().is_some_and(|predicate| !predicate.holds(&row)) {
            return;
        }
        // With --life a connection is shown once, when it ends.
        let ended = match ended {
            Some(Some(ended)) if event.has_peer() => Some(ended),
            Some(_) => return,
            None => None,
        };
        match &mut self.shown {
            Shown::Json(shape) => shape.row(out, &row),
            Shown::Columns(rows) => rows.row(out, &cells(&self.options.selection.columns, &row), self.width),
            Shown::Counts(counts) => counts.add(&row),
            Shown::Lines => match ended {
                None => self.view.write(out, &Event::Socket(event), netns),
                Some(ended) => self.view.write_life(out, &event, &ended, netns),
            },
        }
        self.lines += 1;
    }

    /// Looks up what the owner of an event runs as part of, where that is asked for.
    fn follow(&mut self, event: &SocketEvent) {
        if let Some(followed) = &mut self.followed {
            followed.note(event);
            if let Some(error) = followed.new_failure() {
                complain(&unread_processes(error));
            }
        }
    }

    /// Looks up the name of an event's user, where that is asked for.
    fn label(&mut self, event: &SocketEvent) {
        if let Some(uid) = event.uid.filter(|_| self.needs.meets(Need::USERS)) {
            self.users
                .entry(uid)
                .or_insert_with(|| resolver::user(uid).ok().flatten().unwrap_or_else(|| uid.to_string().into_bytes()));
        }
    }

    /// Appends the line of a loss, also between columns: a gap is never silent.
    pub fn lose(&mut self, out: &mut Vec<u8>, time_ns: u64, count: u64) {
        self.lost += count;
        // Counts are shown at the end, beside the summary, which has it.
        if !matches!(self.shown, Shown::Counts(_)) {
            self.view.write(out, &Event::Lost { time_ns, count }, None);
        }
    }

    /// Whether as many lines are printed as were asked for.
    pub fn is_full(&self) -> bool {
        self.options.count == Some(self.lines)
    }

    /// Lines so far.
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// Events lost so far.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// The line at the end.
    pub fn summary(&self) -> String {
        let what = match (self.options.life, self.options.failed) {
            (_, true) => "failed connections",
            (true, false) => "connections",
            (false, false) => "events",
        };
        let what = if self.lines == 1 { &what[..what.len() - 1] } else { what };
        let mut text = format!("netstat-user: {} {what}, {} lost", self.lines, self.lost);
        let forgotten = self.lives.as_ref().map_or(0, Lives::forgotten);
        if forgotten > 0 {
            text.push_str(&format!(
                "; the first states of up to {} are missing, as more than {} were open at a time",
                counted(forgotten, "connection", "connections"),
                Lives::MOST
            ));
        }
        text
    }

    /// Appends what is shown at the end: counts, where they are not on the terminal already.
    pub fn end(&self, out: &mut Vec<u8>) {
        if let Shown::Counts(counts) = &self.shown {
            counts.end(out, self.width);
        }
    }
}
