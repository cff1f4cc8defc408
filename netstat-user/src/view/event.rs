//! Events as text and as JSON Lines. This is a hot path: hundreds of thousands of lines a second.
//!
//! There are three forms: JSON Lines, the short line for people ([`short`]), and the line with everything.

mod short;

use super::json;
use super::text::{self, number};
use crate::model::visible::escape_word;
use crate::model::{AddressText, Closer, Comm, Direction, Ended, Event, EventEnd, EventKind, SocketEvent, StateTimes};
use jiff::Timestamp;
use short::Short;
use std::net::IpAddr;

pub use short::{Look, summed_up};

/// Which form of lines.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// JSON Lines.
    Json,
    /// Text with every fact, in UTC.
    Full,
    /// Text at a glance.
    Short(Look),
}

/// The forms, each with what it keeps from line to line.
#[allow(clippy::large_enum_variant, reason = "a run has one view")]
#[derive(Debug)]
enum LineForm {
    Json,
    Full,
    Short(Short),
}

/// Writes events. It keeps the date of the last second it wrote, which most events share.
#[derive(Debug)]
pub struct EventView {
    lines: LineForm,
    second: Option<u64>,
    date: Vec<u8>,
}

impl EventView {
    /// A view in this form.
    pub fn new(form: Form) -> Self {
        let lines = match form {
            Form::Json => LineForm::Json,
            Form::Full => LineForm::Full,
            Form::Short(look) => LineForm::Short(Short::new(look)),
        };
        Self { lines, second: None, date: Vec::new() }
    }

    /// The terminal has this many columns now; `None` where standard output is no terminal.
    pub fn set_width(&mut self, width: Option<u16>) {
        if let LineForm::Short(short) = &mut self.lines {
            short.set_width(width);
        }
    }

    /// Appends the line of an event; `netns` is the name of its network namespace, if that has one, for text.
    pub fn write(&mut self, out: &mut Vec<u8>, event: &Event, netns: Option<&[u8]>) {
        match (event, &mut self.lines) {
            (Event::Socket(event), LineForm::Short(short)) => short.event(out, event, netns),
            (Event::Lost { time_ns, count }, LineForm::Short(short)) => short.lost(out, *time_ns, *count),
            (Event::Socket(event), LineForm::Json) => {
                self.socket_json(out, event);
                out.extend_from_slice(b"}\n");
            }
            (Event::Socket(event), LineForm::Full) => {
                self.socket_text(out, event, netns);
                out.push(b'\n');
            }
            (Event::Lost { count, .. }, LineForm::Json) => {
                out.extend_from_slice(b"{\"event\":\"lost\",\"count\":");
                number(out, *count);
                out.extend_from_slice(b"}\n");
            }
            (Event::Lost { time_ns, count }, LineForm::Full) => {
                self.time(out, *time_ns);
                out.extend_from_slice(b" lost  ");
                number(out, *count);
                out.extend_from_slice(lost(*count));
                out.push(b'\n');
            }
        }
    }

    /// Appends the line of a connection that has ended: its `close` event, and what it did before.
    pub fn write_life(&mut self, out: &mut Vec<u8>, event: &SocketEvent, ended: &Ended, netns: Option<&[u8]>) {
        match &mut self.lines {
            LineForm::Short(short) => short.life(out, event, ended, netns),
            LineForm::Json => {
                self.socket_json(out, event);
                states_json(out, &ended.times);
                out.extend_from_slice(b"}\n");
            }
            LineForm::Full => {
                self.socket_text(out, event, netns);
                states_text(out, &ended.times);
                out.push(b'\n');
            }
        }
    }

    fn socket_json(&mut self, out: &mut Vec<u8>, event: &SocketEvent) {
        out.extend_from_slice(b"{\"time\":\"");
        self.time(out, event.time_ns);
        out.extend_from_slice(b"\",\"event\":\"");
        out.extend_from_slice(event.kind.name().as_bytes());
        out.extend_from_slice(b"\",\"proto\":\"");
        out.extend_from_slice(event.proto.name().as_bytes());
        out.extend_from_slice(b"\",\"local\":");
        end_json(out, event.local);
        out.extend_from_slice(b",\"remote\":");
        end_json(out, event.remote);
        if let EventKind::State { old, new, in_state_ns } = event.kind {
            out.extend_from_slice(b",\"old_state\":\"");
            out.extend_from_slice(old.name().as_bytes());
            out.extend_from_slice(b"\",\"new_state\":\"");
            out.extend_from_slice(new.name().as_bytes());
            out.push(b'"');
            field(out, ",\"in_state_ns\":", in_state_ns);
        }
        field(out, ",\"pid\":", event.owner.map(|owner| owner.pid));
        out.extend_from_slice(b",\"comm\":");
        match &event.owner {
            Some(owner) => string(out, owner.comm.as_bytes()),
            None => out.extend_from_slice(b"null"),
        }
        field(out, ",\"uid\":", event.uid);
        out.extend_from_slice(b",\"owner\":");
        match event.owner {
            Some(owner) => string(out, owner.grade.name().as_bytes()),
            None => out.extend_from_slice(b"null"),
        }
        field(out, ",\"inode\":", event.inode);
        field(out, ",\"cookie\":", event.cookie);
        field(out, ",\"netns\":", event.netns);
        if let EventKind::Close(totals) = &event.kind {
            field(out, ",\"duration_ns\":", totals.duration_ns);
            field(out, ",\"rx_bytes\":", totals.rx_bytes);
            field(out, ",\"tx_bytes\":", totals.tx_bytes);
            field(out, ",\"rtt_us\":", totals.rtt_us);
            field(out, ",\"retransmits\":", totals.retransmits);
            out.extend_from_slice(b",\"reason\":\"");
            out.extend_from_slice(totals.reason.name().as_bytes());
            out.extend_from_slice(b"\",\"closed_by\":");
            match &totals.closed_by {
                Some(Closer { pid, comm, .. }) => {
                    field(out, "{\"pid\":", Some(*pid));
                    out.extend_from_slice(b",\"comm\":");
                    string(out, comm.as_bytes());
                    out.push(b'}');
                }
                None => out.extend_from_slice(b"null"),
            }
        }
    }

    fn socket_text(&mut self, out: &mut Vec<u8>, event: &SocketEvent, netns: Option<&[u8]>) {
        self.time(out, event.time_ns);
        out.push(b' ');
        column(out, 5, |out| out.extend_from_slice(event.kind.name().as_bytes()));
        column(out, 8, |out| out.extend_from_slice(event.proto.name().as_bytes()));
        column(out, 23, |out| end_text(out, event.local));
        column(out, 23, |out| end_text(out, event.remote));
        match &event.kind {
            EventKind::State { old, new, .. } => {
                text::left(out, old.name().as_bytes(), 11);
                out.extend_from_slice(b" -> ");
                text::left(out, new.name().as_bytes(), 12);
            }
            EventKind::Close(totals) => text::left(out, totals.reason.name().as_bytes(), 27),
            EventKind::Open => text::left(out, b"-", 27),
        }
        column(out, 22, |out| match &event.owner {
            Some(owner) => process(out, owner.pid, &owner.comm),
            None => out.push(b'-'),
        });
        text::left(out, event.owner.map_or("-", |owner| owner.grade.name()).as_bytes(), 9);
        labelled(out, " uid=", event.uid);
        labelled(out, " inode=", event.inode);
        labelled(out, " cookie=", event.cookie);
        labelled(out, " netns=", event.netns);
        out.extend_from_slice(b" direction=");
        out.extend_from_slice(event.direction().map_or("-", Direction::name).as_bytes());
        if let Some(name) = netns {
            out.extend_from_slice(b" netns_name=");
            out.extend_from_slice(&escape_word(name));
        }
        match &event.kind {
            EventKind::State { in_state_ns, .. } => labelled(out, " in_state_ns=", *in_state_ns),
            EventKind::Close(totals) => {
                labelled(out, " duration_ns=", totals.duration_ns);
                labelled(out, " rx_bytes=", totals.rx_bytes);
                labelled(out, " tx_bytes=", totals.tx_bytes);
                labelled(out, " rtt_us=", totals.rtt_us);
                labelled(out, " retransmits=", totals.retransmits);
                out.extend_from_slice(b" closed_by=");
                match &totals.closed_by {
                    Some(Closer { pid, comm, .. }) => process(out, *pid, comm),
                    None => out.push(b'-'),
                }
            }
            EventKind::Open => {}
        }
    }

    /// RFC 3339 in UTC, with nanoseconds.
    fn time(&mut self, out: &mut Vec<u8>, time_ns: u64) {
        let second = time_ns / 1_000_000_000;
        if self.second != Some(second) {
            self.second = Some(second);
            self.date = date(second);
        }
        out.extend_from_slice(&self.date);
        let mut digits = [b'0'; 9];
        let mut rest = time_ns % 1_000_000_000;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        out.extend_from_slice(&digits);
        out.push(b'Z');
    }
}

/// A time in nanoseconds since the Unix epoch, as in the lines of events.
pub fn timestamp(time_ns: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(30);
    EventView::new(Form::Json).time(&mut out, time_ns);
    out
}

/// `2026-01-31T12:00:00.` of a second since the Unix epoch.
fn date(second: u64) -> Vec<u8> {
    // Nanoseconds in 64 bits end in the year 2554, long before what a timestamp can be.
    let time = Timestamp::from_second(second as i64).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S.").to_string().into_bytes()
}

/// The end of a line about so many lost events.
const fn lost(count: u64) -> &'static [u8] {
    match count {
        1 => b" event: the ring buffer was full, or the kernel left out a program",
        _ => b" events: the ring buffer was full, or the kernel left out a program",
    }
}

/// `,"states":{"SYN_SENT":35120,…}`
fn states_json(out: &mut Vec<u8>, times: &StateTimes) {
    out.extend_from_slice(b",\"states\":{");
    for (at, (state, ns)) in times.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(state.name().as_bytes());
        field(out, "\":", ns);
    }
    out.push(b'}');
}

/// ` states_ns=SYN_SENT:35120,…`
fn states_text(out: &mut Vec<u8>, times: &StateTimes) {
    out.extend_from_slice(b" states_ns=");
    let start = out.len();
    for (state, ns) in times.iter() {
        if out.len() > start {
            out.push(b',');
        }
        out.extend_from_slice(state.name().as_bytes());
        labelled(out, ":", ns);
    }
    if out.len() == start {
        out.push(b'-');
    }
}

fn field(out: &mut Vec<u8>, key: &str, value: Option<impl itoa::Integer>) {
    out.extend_from_slice(key.as_bytes());
    match value {
        Some(value) => number(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

fn labelled(out: &mut Vec<u8>, label: &str, value: Option<impl itoa::Integer>) {
    out.extend_from_slice(label.as_bytes());
    match value {
        Some(value) => number(out, value),
        None => out.push(b'-'),
    }
}

/// Most names need no escape: they are looked through once and copied.
fn string(out: &mut Vec<u8>, value: &[u8]) {
    if value.iter().all(|&byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(value);
        out.push(b'"');
    } else {
        json::string(out, value);
    }
}

/// A process as netstat shows one.
fn process(out: &mut Vec<u8>, pid: u32, comm: &Comm) {
    number(out, pid);
    out.push(b'/');
    out.extend_from_slice(&escape_word(comm.as_bytes()));
}

/// What `write` appends, padded with blanks to `width` bytes and one more.
fn column(out: &mut Vec<u8>, width: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    let end = out.len().max(start + width) + 1;
    out.resize(end, b' ');
}

fn address(out: &mut Vec<u8>, addr: IpAddr) {
    use std::io::Write;
    match addr {
        IpAddr::V4(addr) => {
            for (at, byte) in addr.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                number(out, byte);
            }
        }
        // Writing to a vector cannot fail.
        IpAddr::V6(_) => drop(write!(out, "{}", AddressText(addr))),
    }
}

fn end_json(out: &mut Vec<u8>, end: Option<EventEnd>) {
    let Some(end) = end else { return out.extend_from_slice(b"null") };
    out.extend_from_slice(b"{\"addr\":\"");
    address(out, end.addr);
    out.push(b'"');
    field(out, ",\"port\":", end.port);
    out.push(b'}');
}

fn end_text(out: &mut Vec<u8>, end: Option<EventEnd>) {
    let Some(end) = end else { return out.push(b'-') };
    address(out, end.addr);
    out.push(b':');
    match end.port {
        Some(0) => out.push(b'*'),
        Some(port) => number(out, port),
        None => out.push(b'-'),
    }
}

#[cfg(test)]
mod tests;
