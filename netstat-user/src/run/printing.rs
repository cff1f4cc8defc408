//! Which events become lines, and in which form: the same for a stream that is traced here and one that an agent sends.

use super::classic::selected::LEAST_NAMESPACE;
use super::clock::local_offset;
use super::gather::Followed;
use super::resolve::MachineNames;
use crate::cli::events::Options;
use crate::cli::select::WrongName;
use crate::field::{EventFields, Field, HasFields, Need, Provider, Value};
use crate::filter::Predicate;
use crate::life::Lives;
use crate::model::limits::Kinds;
use crate::model::{Event, EventName, Limits, SocketEvent};
use crate::proc::netns::{self, NAMES, NamespaceNames};
use crate::stdio::screen;
use crate::sys::resolver;
use crate::view::columns::{self, Cells, ColumnTable, CountStyle, Kept, Shape, cells};
use crate::view::event::{EventView, Form, Look};
use crate::view::text::counted;
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// What of the events is wanted, the names in the expression looked up.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    predicate: Option<Predicate>,
    /// What may be left out by whoever hands the events over.
    pub limits: Limits,
}

impl Chosen {
    /// What the options choose.
    ///
    /// # Errors
    /// A name that means nothing.
    pub fn new(options: &Options) -> Result<Self, WrongName> {
        let Some(expr) = &options.selection.expr else { return Ok(Self::default()) };
        if let Some(none) = options.selection.netns.iter().find(|name| is_never_a_namespace(name)) {
            return Err(WrongName::NoNamespace(none.clone()));
        }
        let predicate = Predicate::new(expr, &mut MachineNames);
        let predicate = predicate.map_err(|error| options.selection.wrong_name(error, &mut MachineNames))?;
        // What a life is summed up from must not be left out.
        let limits = if options.life || options.failed { predicate.limits_of_lives() } else { predicate.limits() };
        Ok(Self { predicate: Some(predicate), limits })
    }
}

/// Which kinds of events the options let pass.
pub fn kinds(options: &Options) -> Limits {
    let wanted = EventName::ALL.into_iter().filter(|&event| options.wants(event)).map(Kinds::from);
    let kinds = wanted.fold(Kinds::NONE, Kinds::or);
    Limits { kinds: Some(kinds).filter(|&kinds| kinds != Kinds::ALL), ..Limits::default() }
}

/// Whether no network namespace ever has this number. One that no process is in, and that has no name, may be there all the same:
/// a descriptor or a socket keeps it.
fn is_never_a_namespace(name: &str) -> bool {
    name.parse().is_ok_and(|inode: u32| inode < LEAST_NAMESPACE)
}

/// Events as columns, or counts of them.
enum Shown {
    Lines,
    Json(Shape),
    Columns(ColumnLines),
    Counts { fields: Vec<Field>, counts: HashMap<Vec<Value<'static>>, u64>, shown: Instant, shown_lines: u64 },
}

/// Lines of columns as they come, below their heading.
struct ColumnLines {
    /// As wide as all rows so far need.
    whole: ColumnTable,
    /// The same within the terminal, which has so many columns.
    fitted: ColumnTable,
    terminal: Option<u16>,
    headed: bool,
}

impl ColumnLines {
    fn new(table: ColumnTable) -> Self {
        Self { fitted: table.clone(), whole: table, terminal: None, headed: false }
    }

    fn row(&mut self, out: &mut Vec<u8>, cells: &Cells, terminal: Option<u16>) {
        if !self.whole.has_room(cells) || !self.headed || terminal != self.terminal {
            self.whole.widen(cells);
            (self.fitted, self.terminal) = (self.whole.clone(), terminal);
            terminal.into_iter().for_each(|terminal| self.fitted.fit(terminal.into()));
        }
        if !std::mem::replace(&mut self.headed, true) {
            self.fitted.heading(out);
        }
        self.fitted.row(out, cells);
    }
}

/// How often counts are shown on a terminal.
const SHOW_COUNTS: Duration = Duration::from_secs(1);

/// Turns events into lines.
pub struct Printer<'a> {
    options: &'a Options,
    predicate: Option<Predicate>,
    needs: Need,
    shown: Shown,
    users: HashMap<u32, Vec<u8>>,
    followed: Option<Followed>,
    /// The connections that are open, where their ends are to be summed up.
    lives: Option<Lives>,
    view: EventView,
    /// Columns of the terminal.
    width: Option<u16>,
    names: NamespaceNames,
    /// Lines printed, but for those of losses.
    lines: u64,
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
            ([], counted) => Shown::Counts {
                fields: counted.iter().flat_map(|column| column.fields()).collect(),
                counts: HashMap::new(),
                shown: Instant::now(),
                shown_lines: 0,
            },
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
        }
    }

    /// To be called before the events of a batch: names of namespaces and the terminal's width may have changed.
    pub fn begin_batch(&mut self, out: &mut Vec<u8>) {
        self.show_counts(out);
        if let Some(followed) = &mut self.followed {
            followed.forget_closed();
        }
        self.names.refresh();
        self.width = screen::width();
        self.view.set_width(self.width);
    }

    /// Appends the line of an event, if it is to have one.
    pub fn event(&mut self, out: &mut Vec<u8>, event: SocketEvent) {
        // Learnt from before anything is left out: the owner may be wanted at the close and not before.
        let ended = self.lives.as_mut().map(|lives| lives.take(&event));
        if let Some(followed) = &mut self.followed {
            followed.note(&event);
        }
        if !self.options.wants(event.kind.event()) || (self.options.failed && !event.is_failure()) {
            return;
        }
        if let Some(uid) = event.uid.filter(|_| self.needs.meets(Need::USERS)) {
            self.users
                .entry(uid)
                .or_insert_with(|| resolver::user(uid).unwrap_or_else(|| uid.to_string().into_bytes()));
        }
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
            Shown::Lines => {}
            Shown::Json(shape) => {
                shape.row(out, &row);
                self.lines += 1;
                return;
            }
            Shown::Columns(rows) => {
                rows.row(out, &cells(&self.options.selection.columns, &row), self.width);
                self.lines += 1;
                return;
            }
            Shown::Counts { fields, counts, .. } => {
                let values = fields.iter().map(|field| row.value(*field).into_owned()).collect();
                *counts.entry(values).or_default() += 1;
                self.lines += 1;
                return;
            }
        }
        match ended {
            None => self.view.write(out, &Event::Socket(event), netns),
            Some(ended) => self.view.write_life(out, &event, &ended, netns),
        }
        self.lines += 1;
    }

    /// Appends the line of a loss, also between columns: a gap is never silent.
    pub fn lost(&mut self, out: &mut Vec<u8>, time_ns: u64, count: u64) {
        // Counts are shown at the end, beside the summary, which has it.
        if matches!(self.shown, Shown::Counts { .. }) {
            return;
        }
        self.view.write(out, &Event::Lost { time_ns, count }, None);
    }

    /// Whether as many lines are printed as were asked for.
    pub fn is_full(&self) -> bool {
        self.options.count == Some(self.lines)
    }

    /// Lines so far.
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// The line at the end.
    pub fn summary(&self, lost: u64) -> String {
        let what = match (self.options.life, self.options.failed) {
            (_, true) => "failed connections",
            (true, false) => "connections",
            (false, false) => "events",
        };
        let what = if self.lines == 1 { &what[..what.len() - 1] } else { what };
        let mut text = format!("netstat-user: {} {what}, {lost} lost", self.lines);
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
        let Shown::Counts { fields, counts, shown_lines, .. } = &self.shown else { return };
        if *shown_lines > 0 && *shown_lines == self.lines {
            return;
        }
        let mut lines: Vec<(&Vec<Value<'static>>, u64)> =
            counts.iter().map(|(values, count)| (values, *count)).collect();
        lines.sort_by(|(values, count), (others, other)| other.cmp(count).then_with(|| values.cmp(others)));
        let kept = |values: &[Value<'static>]| Kept(fields.iter().copied().zip(values.iter().cloned()).collect());
        let lines = lines.into_iter().map(|(values, count)| (kept(values), count));
        let style = CountStyle {
            json: self.options.json,
            coloured: screen::is_coloured(self.options.color),
            terminal: self.width.map(usize::from),
        };
        columns::counts(out, &self.options.selection.count_by, lines, style);
    }

    /// Appends the counts so far, where a second has passed on a terminal and they are others than before.
    fn show_counts(&mut self, out: &mut Vec<u8>) {
        let Shown::Counts { shown, shown_lines, .. } = &self.shown else { return };
        if screen::width().is_none() || *shown_lines == self.lines || shown.elapsed() < SHOW_COUNTS {
            return;
        }
        if *shown_lines > 0 {
            out.push(b'\n');
        }
        self.end(out);
        if let Shown::Counts { shown, shown_lines, .. } = &mut self.shown {
            (*shown, *shown_lines) = (Instant::now(), self.lines);
        }
    }
}
