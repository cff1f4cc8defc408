//! What must be seen of one socket, and whether it is.

use super::{CLOCK_SLACK_NS, WALL_SLACK_NS, without_remains};
use crate::truth::event::{End, Event, Kind, Totals};
use crate::truth::made::Made;
use crate::truth::scale;
use std::net::SocketAddr;

/// What must be seen of one socket.
#[derive(Clone, Debug)]
pub struct Life {
    pub made: Made,
    /// The states it goes through, in words; any one of these ways.
    pub paths: Vec<String>,
    /// Any one of these ends.
    pub reasons: Vec<&'static str>,
    /// Payload received and sent; `None` where the protocol does not count.
    pub bytes: Option<(u64, u64)>,
    /// Segments sent again; `None` where the protocol does not count, or nobody could ask.
    pub retransmits: Option<u64>,
    /// The smoothed round-trip time that the kernel had measured when nothing more came (`TCP_INFO`), where that is known.
    pub rtt_us: Option<u64>,
    /// It was there before the tracer.
    pub scanned: bool,
    /// The process of its listener: the owner until somebody accepts it. Then it must be reported as accepted.
    pub listener: Option<(u32, String)>,
    /// A child to which more may have happened before a process accepted it.
    pub accepted_late: bool,
}

impl Life {
    /// The life of a TCP socket that goes through these states (words), and ends so.
    pub fn tcp(made: &Made, path: &str, reason: &'static str) -> Self {
        Self {
            made: made.clone(),
            paths: vec![path.to_owned()],
            reasons: vec![reason],
            bytes: Some((0, 0)),
            retransmits: Some(0),
            rtt_us: None,
            scanned: false,
            listener: None,
            accepted_late: false,
        }
    }

    /// The life of a socket that has no states: opened, closed.
    pub fn stateless(made: &Made) -> Self {
        Self { paths: vec![String::new()], bytes: None, retransmits: None, ..Self::tcp(made, "", "closed") }
    }

    /// With this much payload.
    pub fn bytes(mut self, rx: u64, tx: u64) -> Self {
        self.bytes = Some((rx, tx));
        self
    }

    /// It has sent again so many segments, as the kernel counts them (`TCP_INFO`, or `RetransSegs` of its namespace).
    pub fn retransmits(mut self, segments: impl Into<u64>) -> Self {
        self.retransmits = Some(segments.into());
        self
    }

    /// It may also go this way.
    pub fn or_path(mut self, path: &str) -> Self {
        self.paths.push(path.to_owned());
        self
    }

    /// It came from a listener of this process, and was accepted before it was closed.
    pub fn accepted_from(mut self, listener: &Made) -> Self {
        self.listener = Some((listener.pid, listener.comm.clone()));
        self
    }

    /// It may have left ESTABLISHED before it was accepted.
    pub fn accepted_late(mut self) -> Self {
        self.accepted_late = true;
        self
    }

    /// The kernel had measured this round-trip time, and nothing came any more.
    pub fn rtt(mut self, rtt_us: u32) -> Self {
        self.rtt_us = Some(rtt_us.into());
        self
    }

    /// It was there before the tracer: its states begin with the one it was in.
    pub fn scanned(mut self) -> Self {
        self.scanned = true;
        self
    }
}

/// What a tracer can see at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sight {
    /// The hook is on `tcp_set_state`, which sockets that begin to listen do not pass.
    pub blind_to_listen: bool,
    /// The hook cannot ask for cookies: sockets are also known by their ports.
    pub cookieless: bool,
    /// The kernel's types are hidden: what takes them may be `null`.
    pub typeless: bool,
    /// The kernel may leave runs of the program out, and no other stands in for it: what is missing is counted as lost.
    pub may_miss: bool,
}

impl Sight {
    /// By the variant of the hook on TCP states.
    pub fn of(variant: &str) -> Self {
        Self {
            blind_to_listen: matches!(variant, "fentry" | "kprobe"),
            cookieless: variant != "tp_btf",
            typeless: false,
            may_miss: scale::preempts_programs() && !matches!(variant, "tp_btf" | "raw_tp"),
        }
    }
}

impl Life {
    pub(super) fn check(&self, events: &[&Event], sight: Sight) -> Result<(), String> {
        if events.is_empty() {
            return Err("never seen".into());
        }
        let opens = events.iter().filter(|event| event.kind == Kind::Open).count();
        if opens != usize::from(!self.made.child && !self.scanned) {
            return Err(format!("opened {opens} times"));
        }
        self.check_path(events, sight)?;
        for (index, event) in events.iter().enumerate() {
            self.check_identity(&events[..=index], sight)?;
            self.check_ends(event)?;
        }
        let closes: Vec<(&Event, &Totals)> = events
            .iter()
            .filter_map(|event| if let Kind::Close(totals) = &event.kind { Some((*event, totals)) } else { None })
            .collect();
        match closes[..] {
            [(event, totals)] => self.check_totals(events, event, totals, sight),
            _ => Err(format!("closed {} times", closes.len())),
        }
    }

    fn check_path(&self, events: &[&Event], sight: Sight) -> Result<(), String> {
        let steps: Vec<(&str, &str, Option<u64>)> = without_remains(events)
            .filter_map(|event| match &event.kind {
                Kind::State { old, new, in_state_ns } => Some((old.as_str(), new.as_str(), *in_state_ns)),
                _ => None,
            })
            .collect();
        let seen: Vec<(&str, &str)> = steps.iter().map(|(old, new, _)| (*old, *new)).collect();
        let wanted = |path: &str| {
            let states: Vec<&str> = path.split_whitespace().collect();
            let steps = states.windows(2).map(|pair| (pair[0], pair[1]));
            let visible = steps.filter(|step| !sight.blind_to_listen || *step != ("CLOSE", "LISTEN"));
            visible.eq(seen.iter().map(|(old, new)| (*old, *new)))
        };
        if !self.paths.iter().any(|path| wanted(path)) {
            let mut walked: Vec<&str> = seen.first().map(|(old, _)| *old).into_iter().collect();
            walked.extend(seen.iter().map(|(_, new)| *new));
            return Err(format!("its states were {}", walked.join(" ")));
        }
        for (index, (old, new, in_state_ns)) in steps.iter().enumerate() {
            // What the tracer did not see beginning has no known length; all else has.
            let unseen = index == 0 && (self.scanned || self.made.child);
            if in_state_ns.is_none() && !unseen && !(index == 0 && sight.blind_to_listen) {
                return Err(format!("in_state_ns is null from {old} to {new}"));
            }
            if in_state_ns.is_some() && index == 0 && self.scanned {
                return Err(format!("in_state_ns is known from {old} to {new}, but {old} began before the tracer"));
            }
        }
        Ok(())
    }

    /// Whether a process had accepted this child by the last of these events, its first ones; `None` where that is not certain.
    fn is_accepted(&self, events: &[&Event]) -> Option<bool> {
        let event = events.last()?;
        if self.made.inode == 0 {
            // Nobody ever held it.
            return Some(false);
        }
        let (begun, over) = (self.made.accept_begun_ns, self.made.accepted_ns);
        if events.iter().any(|event| is_by_holder(&event.kind))
            || over.is_some_and(|over| event.time_ns > over + WALL_SLACK_NS)
        {
            return Some(true);
        }
        match &event.kind {
            // It is reported later than it was: when the request has become a connection.
            Kind::State { old, .. } if old == "LISTEN" => None,
            _ if begun.is_some_and(|begun| event.time_ns + WALL_SLACK_NS < begun) => Some(false),
            // Another processor may accept it before it is reported.
            Kind::State { old, .. } if old == "SYN_RECV" => None,
            _ if self.accepted_late || self.listener.is_some() => None,
            _ => Some(true),
        }
    }

    /// Checks what the last of these events, the first ones of the socket, says of whose it is.
    fn check_identity(&self, events: &[&Event], sight: Sight) -> Result<(), String> {
        let made = &self.made;
        let Some(event) = events.last() else { return Ok(()) };
        let unlike = |what: &str, seen: &dyn std::fmt::Debug, wanted: &dyn std::fmt::Debug| {
            Err(format!("{what} is {seen:?}, not {wanted:?}, in {}", event.line))
        };
        if event.proto != made.proto {
            return unlike("proto", &event.proto, &made.proto);
        }
        if event.netns != Some(made.netns) && !(sight.typeless && event.netns.is_none()) {
            return unlike("netns", &event.netns, &made.netns);
        }
        if event.uid != Some(made.uid) && !(sight.typeless && event.uid.is_none()) {
            return unlike("uid", &event.uid, &made.uid);
        }
        let cookieless = sight.cookieless || sight.typeless || made.cookie == 0;
        if event.cookie != Some(made.cookie) && !(cookieless && (event.cookie.is_none() || made.cookie == 0)) {
            return unlike("cookie", &event.cookie, &made.cookie);
        }
        if sight.typeless && made.child && event.pid.is_none() {
            return Ok(());
        }
        let waiting = event.owner.as_deref() == Some("inherited") && !matches!(event.kind, Kind::Close(_));
        let (pid, comm) = match &self.listener {
            Some((pid, comm)) if waiting => (*pid, comm),
            _ => (made.pid, &made.comm),
        };
        if event.pid != Some(pid) || event.comm.as_ref() != Some(comm) {
            return unlike("owner", &(event.pid, &event.comm), &(pid, comm));
        }
        let owner = event.owner.as_deref().unwrap_or_default();
        let grades: &[&str] = match (self.scanned, made.child) {
            (true, _) => &["scanned"],
            (_, false) => &["created"],
            _ if sight.typeless && made.inode != 0 => &["inherited", "accepted"],
            _ => match self.is_accepted(events) {
                Some(true) => &["accepted"],
                Some(false) => &["inherited"],
                None => &["inherited", "accepted"],
            },
        };
        if !grades.contains(&owner) {
            return unlike("owner", &owner, &grades);
        }
        let held = match &event.kind {
            Kind::Open => true,
            // What the process that holds it does to it, or asks for.
            Kind::State { old, new, .. } => matches!(
                (old.as_str(), new.as_str()),
                ("CLOSE", "SYN_SENT" | "LISTEN") | ("ESTABLISHED", "FIN_WAIT1") | ("CLOSE_WAIT", "LAST_ACK")
            ),
            Kind::Close(_) => false,
        };
        let inode_fits = match event.inode {
            Some(0) => !held || made.inode == 0,
            Some(inode) => inode == made.inode,
            None => sight.typeless,
        };
        if !inode_fits {
            return unlike("inode", &event.inode, &made.inode);
        }
        Ok(())
    }

    fn check_ends(&self, event: &Event) -> Result<(), String> {
        if event.kind == Kind::Open {
            return match (event.local, event.remote) {
                (None, None) => Ok(()),
                _ => Err(format!("a socket has no addresses when it is opened: {}", event.line)),
            };
        }
        let early = matches!(&event.kind, Kind::State { old, .. } if old == "CLOSE");
        for (what, seen, wanted) in
            [("local", event.local, self.made.local), ("remote", event.remote, self.made.remote)]
        {
            if !end_fits(seen, wanted, early && what == "local") {
                return Err(format!("{what} is {seen:?}, not {wanted:?}, in {}", event.line));
            }
        }
        Ok(())
    }

    fn check_totals(&self, events: &[&Event], event: &Event, totals: &Totals, sight: Sight) -> Result<(), String> {
        let unseen = sight.typeless && totals.reason == "unknown";
        if !self.reasons.contains(&totals.reason.as_str()) && !unseen {
            return Err(format!("reason is {}", totals.reason));
        }
        match self.bytes {
            Some(_) if sight.typeless && (totals.rx_bytes, totals.tx_bytes, totals.rtt_us) == (None, None, None) => {}
            Some((rx, tx)) if (totals.rx_bytes, totals.tx_bytes) != (Some(rx), Some(tx)) => {
                return Err(format!("received {:?} bytes and sent {:?}", totals.rx_bytes, totals.tx_bytes));
            }
            _ => {}
        }
        let counted = [totals.rx_bytes, totals.tx_bytes, totals.rtt_us, totals.retransmits];
        if !self.made.proto.starts_with("tcp") && counted != [None; 4] {
            return Err(format!("bytes, rtt_us or retransmits of {} are not null", self.made.proto));
        }
        let uncounted = sight.typeless && totals.retransmits.is_none();
        let more = scale::is_late() && totals.retransmits > self.retransmits;
        if totals.retransmits != self.retransmits && !uncounted && !more && self.retransmits.is_some() {
            return Err(format!("retransmits is {:?}, not {:?}", totals.retransmits, self.retransmits));
        }
        let connected = self.paths.iter().all(|path| path.contains("ESTABLISHED"));
        match totals.rtt_us {
            Some(rtt) if !connected || rtt == 0 => return Err(format!("rtt_us is {rtt}")),
            rtt if self.rtt_us.is_some() && rtt != self.rtt_us => {
                return Err(format!("rtt_us is {rtt:?}, and the kernel says {:?}", self.rtt_us));
            }
            // No answer takes longer than the connection lasted; a listener's was measured before there was a socket.
            Some(rtt) if !self.made.child && totals.duration_ns.is_some_and(|lasted| rtt * 1000 > lasted) => {
                return Err(format!("rtt_us is {rtt}, of {:?} ns", totals.duration_ns));
            }
            None if connected && !sight.typeless && self.bytes.is_some_and(|(_, tx)| tx > 0) => {
                return Err("rtt_us is null".into());
            }
            _ => {}
        }
        match totals.duration_ns {
            None if self.scanned => {}
            Some(_) if self.scanned => return Err("duration_ns is known, but it began before the tracer".into()),
            Some(duration) => {
                let between = event.time_ns - events[0].time_ns;
                if between.abs_diff(duration) > CLOCK_SLACK_NS {
                    return Err(format!("duration_ns is {duration}, but the times say {between}"));
                }
            }
            None => return Err("duration_ns is null".into()),
        }
        Ok(())
    }
}

/// Whether only the process that holds a connection does this to it.
fn is_by_holder(kind: &Kind) -> bool {
    matches!(kind, Kind::Close(_))
        || matches!(kind, Kind::State { old, new, .. } if matches!((old.as_str(), new.as_str()), ("ESTABLISHED", "FIN_WAIT1") | ("CLOSE_WAIT", "LAST_ACK")))
}

/// Whether an end is the one we know: port 0 means that we do not know the port, `None` that there is none.
fn end_fits(seen: Option<End>, wanted: Option<SocketAddr>, early: bool) -> bool {
    let Some(wanted) = wanted.filter(|end| end.port() != 0 || !end.ip().is_unspecified()) else {
        return End::is_blank(seen);
    };
    let Some(End { addr, port }) = seen else { return false };
    let port_fits = match port {
        None => early || wanted.port() == 0,
        Some(port) => wanted.port() == 0 || port == wanted.port(),
    };
    addr == Some(wanted.ip()) && port_fits
}
