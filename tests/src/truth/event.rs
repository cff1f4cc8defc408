//! One line of `events --json`, read as strictly as the contract is written: every field there, of its type, and no other.

use serde_json::{Map, Value};
use std::fmt;
use std::net::IpAddr;

/// An address and a port, each `None` where the line says `null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct End {
    pub addr: Option<IpAddr>,
    pub port: Option<u16>,
}

impl End {
    /// No address and no port that mean anything.
    pub fn is_blank(this: Option<Self>) -> bool {
        this.is_none_or(|end| end.addr.is_none_or(|addr| addr.is_unspecified()) && end.port.unwrap_or(0) == 0)
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Open,
    State { old: String, new: String, in_state_ns: Option<u64> },
    Close(Totals),
}

/// What only a `close` line has.
#[derive(Clone, Debug, PartialEq)]
pub struct Totals {
    pub duration_ns: Option<u64>,
    pub rx_bytes: Option<u64>,
    pub tx_bytes: Option<u64>,
    pub rtt_us: Option<u64>,
    pub retransmits: Option<u64>,
    pub reason: String,
    /// Whose close, exit or shutdown ended it; `None` where the kernel did by itself.
    pub closed_by: Option<Closer>,
}

/// The process that ended a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closer {
    pub pid: u32,
    pub comm: String,
}

/// A line about a socket.
#[derive(Clone)]
pub struct Event {
    /// The line itself.
    pub line: String,
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
    pub kind: Kind,
    pub proto: String,
    pub local: Option<End>,
    pub remote: Option<End>,
    pub pid: Option<u32>,
    pub comm: Option<String>,
    pub uid: Option<u32>,
    pub owner: Option<String>,
    pub inode: Option<u64>,
    pub cookie: Option<u64>,
    pub netns: Option<u64>,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// A line of the stream.
#[derive(Clone, Debug)]
pub enum Line {
    Event(Box<Event>),
    /// So many events were lost.
    Lost(u64),
}

const COMMON: [&str; 12] =
    ["time", "event", "proto", "local", "remote", "pid", "comm", "uid", "owner", "inode", "cookie", "netns"];
const STATE: [&str; 3] = ["old_state", "new_state", "in_state_ns"];
const CLOSE: [&str; 7] = ["duration_ns", "rx_bytes", "tx_bytes", "rtt_us", "retransmits", "reason", "closed_by"];
const PROTOS: [&str; 8] = ["tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6"];
const STATES: [&str; 11] = [
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
];
const REASONS: [&str; 8] =
    ["closed", "reset_received", "reset_sent", "refused", "timed_out", "unreachable", "abandoned", "unknown"];
const OWNERS: [&str; 4] = ["created", "accepted", "inherited", "scanned"];

struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn number<T: TryFrom<u64>>(&self, name: &str) -> Result<Option<T>, String> {
        match &self.0[name] {
            Value::Null => Ok(None),
            value => match value.as_u64().map(T::try_from) {
                Some(Ok(number)) => Ok(Some(number)),
                _ => Err(format!("{name} is {value}, not a number of its range")),
            },
        }
    }

    fn text(&self, name: &str) -> Result<Option<String>, String> {
        match &self.0[name] {
            Value::Null => Ok(None),
            Value::String(text) if !text.is_empty() && text != "-" => Ok(Some(text.clone())),
            value => Err(format!("{name} is {value}")),
        }
    }

    fn word(&self, name: &str, words: &[&str]) -> Result<String, String> {
        match self.text(name)? {
            Some(word) if words.contains(&word.as_str()) => Ok(word),
            other => Err(format!("{name} is {other:?}, not one of {words:?}")),
        }
    }

    fn end(&self, name: &str) -> Result<Option<End>, String> {
        let map = match &self.0[name] {
            Value::Null => return Ok(None),
            Value::Object(map) => map,
            value => return Err(format!("{name} is {value}, not an object")),
        };
        if map.len() != 2 || !map.contains_key("addr") || !map.contains_key("port") {
            return Err(format!("{name} has other fields than addr and port"));
        }
        let fields = Fields(map);
        let addr = match fields.text("addr")? {
            Some(text) => {
                let addr: IpAddr = text.parse().map_err(|_| format!("{name}.addr is {text:?}"))?;
                if addr.to_string() != text {
                    return Err(format!("{name}.addr is {text:?}, plainly written {addr}"));
                }
                Some(addr)
            }
            None => None,
        };
        Ok(Some(End { addr, port: fields.number("port")? }))
    }

    fn closer(&self, name: &str) -> Result<Option<Closer>, String> {
        let map = match &self.0[name] {
            Value::Null => return Ok(None),
            Value::Object(map) => map,
            value => return Err(format!("{name} is {value}, not an object")),
        };
        if map.len() != 2 || !map.contains_key("pid") || !map.contains_key("comm") {
            return Err(format!("{name} has other fields than pid and comm"));
        }
        let fields = Fields(map);
        match (fields.number("pid")?, fields.text("comm")?) {
            (Some(pid), Some(comm)) if pid != 0 => Ok(Some(Closer { pid, comm })),
            other => Err(format!("{name} is {other:?}; a process that is not known is null as a whole")),
        }
    }
}

/// Reads a line.
pub fn parse(line: &str) -> Result<Line, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("not JSON: {error}"))?;
    let Value::Object(map) = value else { return Err("not an object".into()) };
    let fields = Fields(&map);
    let kind = map.get("event").and_then(Value::as_str).ok_or("no event field")?.to_owned();
    if kind == "lost" {
        let only = map.keys().all(|key| ["event", "count", "time"].contains(&key.as_str()));
        return match map.get("count").and_then(Value::as_u64) {
            Some(count) if only && count > 0 => Ok(Line::Lost(count)),
            _ => Err("a lost line is event, count and perhaps time".into()),
        };
    }
    let own: &[&str] = match kind.as_str() {
        "open" => &[],
        "state" => &STATE,
        "close" => &CLOSE,
        _ => return Err(format!("unknown event {kind}")),
    };
    let wanted = || COMMON.iter().chain(own);
    if let Some(missing) = wanted().find(|name| !map.contains_key(**name)) {
        return Err(format!("{missing} is missing"));
    }
    if let Some(odd) = map.keys().find(|key| wanted().all(|name| name != key)) {
        return Err(format!("{odd} is no field of a {kind} line"));
    }
    let kind = match kind.as_str() {
        "open" => Kind::Open,
        "state" => Kind::State {
            old: fields.word("old_state", &STATES)?,
            new: fields.word("new_state", &STATES)?,
            in_state_ns: fields.number("in_state_ns")?,
        },
        _ => Kind::Close(Totals {
            duration_ns: fields.number("duration_ns")?,
            rx_bytes: fields.number("rx_bytes")?,
            tx_bytes: fields.number("tx_bytes")?,
            rtt_us: fields.number("rtt_us")?,
            retransmits: fields.number("retransmits")?,
            reason: fields.word("reason", &REASONS)?,
            closed_by: fields.closer("closed_by")?,
        }),
    };
    let owner = match fields.text("owner")? {
        Some(_) => Some(fields.word("owner", &OWNERS)?),
        None => None,
    };
    let event = Event {
        line: line.to_owned(),
        time_ns: time(&fields.text("time")?.ok_or("time is null")?)?,
        kind,
        proto: fields.word("proto", &PROTOS)?,
        local: fields.end("local")?,
        remote: fields.end("remote")?,
        pid: fields.number("pid")?,
        comm: fields.text("comm")?,
        uid: fields.number("uid")?,
        owner,
        inode: fields.number("inode")?,
        cookie: fields.number("cookie")?,
        netns: fields.number("netns")?,
    };
    for (name, zero) in
        [("pid", event.pid == Some(0)), ("cookie", event.cookie == Some(0)), ("netns", event.netns == Some(0))]
    {
        if zero {
            return Err(format!("{name} is 0; unknown is null"));
        }
    }
    if event.pid.is_some() != event.owner.is_some() || event.pid.is_some() != event.comm.is_some() {
        return Err("pid, comm and owner are known together or not at all".into());
    }
    Ok(Line::Event(Box::new(event)))
}

/// `2026-01-31T12:00:00.123456789Z` as nanoseconds since the epoch.
pub fn time(text: &str) -> Result<u64, String> {
    let bad = || format!("time is {text:?}, not like 2026-01-31T12:00:00.123456789Z");
    let bytes = text.as_bytes();
    let shape = bytes.len() == 30
        && bytes.iter().zip(b"0000-00-00T00:00:00.000000000Z").all(|(b, shape)| match shape {
            b'0' => b.is_ascii_digit(),
            mark => b == mark,
        });
    if !shape {
        return Err(bad());
    }
    let number = |from: usize, to: usize| text[from..to].parse::<u64>().map_err(|_| bad());
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    // Days since 1970-03-01 in the proleptic Gregorian calendar, with years that begin in March.
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468).ok_or_else(bad)?;
    let seconds = days * 86_400 + number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    Ok(seconds * 1_000_000_000 + number(20, 29)?)
}
