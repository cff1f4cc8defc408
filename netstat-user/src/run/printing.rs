//! Which events become lines, and in which form: the same for a stream that is traced here and one that an agent sends.

use super::clock::local_offset;
use super::screen;
use crate::cli::events::Options;
use crate::life::Lives;
use crate::model::{Comm, Event, SocketEvent};
use crate::proc::netns::{NAMES, Names};
use crate::view::event::{EventView, Form, Look};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Turns events into lines.
pub struct Printer<'a> {
    options: &'a Options,
    comm: Option<Comm>,
    /// The connections that are open, where their ends are to be summed up.
    lives: Option<Lives>,
    view: EventView,
    names: Names,
    /// Lines printed, but for those of losses.
    lines: u64,
}

impl<'a> Printer<'a> {
    /// A printer of what the options ask for.
    pub fn new(options: &'a Options) -> Self {
        let form = match (options.json, options.verbose) {
            (true, _) => Form::Json,
            (false, true) => Form::Full,
            (false, false) => Form::Short(Look {
                width: screen::width(),
                colour: screen::is_coloured(options.color),
                offset: local_offset,
            }),
        };
        Self {
            options,
            comm: options.comm.as_ref().map(|name| Comm::new(name.as_bytes())),
            lives: options.life.then(|| Lives::new(Lives::MOST)),
            view: EventView::new(form),
            names: Names::new(Path::new(NAMES)),
            lines: 0,
        }
    }

    /// To be called before the events of a batch: names of namespaces and the terminal's width may have changed.
    pub fn begin_batch(&mut self) {
        self.names.refresh();
        self.view.set_width(screen::width());
    }

    /// Appends the line of an event, if it is to have one.
    pub fn event(&mut self, out: &mut Vec<u8>, event: SocketEvent) {
        // Learnt from before anything is left out: the owner may be wanted at the close and not before.
        let ended = self.lives.as_mut().map(|lives| lives.take(&event));
        if !self.wants(&event) {
            return;
        }
        let netns = self.names.of(event.netns);
        match ended {
            None => self.view.write(out, &Event::Socket(event), netns),
            Some(Some(ended)) if event.has_peer() => self.view.write_life(out, &event, &ended, netns),
            Some(_) => return,
        }
        self.lines += 1;
    }

    /// Appends the line of a loss.
    pub fn lost(&mut self, out: &mut Vec<u8>, time_ns: u64, count: u64) {
        self.view.write(out, &Event::Lost { time_ns, count }, None);
    }

    /// Whether as many lines are printed as were asked for.
    pub fn is_full(&self) -> bool {
        self.options.count == Some(self.lines)
    }

    /// The line at the end.
    pub fn summary(&self, lost: u64) -> String {
        let what = match (self.options.life, self.options.failed) {
            (_, true) => "failed connections",
            (true, false) => "connections",
            (false, false) => "events",
        };
        let mut text = format!("netstat-user: {} {what}, {lost} lost", self.lines);
        let forgotten = self.lives.as_ref().map_or(0, Lives::forgotten);
        if forgotten > 0 {
            text.push_str(&format!(
                "; the first states of up to {forgotten} connections are missing, as more than {} were open at a time",
                Lives::MOST
            ));
        }
        text
    }

    /// Whether the event is to have a line, as far as the kernel programs, or the agent, have not decided that.
    fn wants(&self, event: &SocketEvent) -> bool {
        let owner = event.owner.as_ref();
        self.options.wants(event.kind.event())
            && (!self.options.failed || event.is_failure())
            && self.options.pid.is_none_or(|pid| owner.is_some_and(|owner| owner.pid == pid))
            && self.comm.is_none_or(|comm| owner.is_some_and(|owner| owner.comm == comm))
    }
}
