//! A connection as a whole: who began it, how long it was in each state, whether it failed.

use super::limits::Kinds;
use super::{CloseReason, EventKind, Grade, SocketEvent, TcpState};

/// Which kind of event, by the name in JSON and on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventName {
    /// A socket was created.
    Open,
    /// A TCP state transition.
    State,
    /// The kernel destroyed a socket.
    Close,
}

impl EventName {
    /// Every kind, in the order of a socket's life.
    pub const ALL: [Self; 3] = [Self::Open, Self::State, Self::Close];

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::State => "state",
            Self::Close => "close",
        }
    }
}

impl From<EventName> for Kinds {
    fn from(event: EventName) -> Self {
        match event {
            EventName::Open => Self::OPEN,
            EventName::State => Self::STATE,
            EventName::Close => Self::CLOSE,
        }
    }
}

impl EventKind {
    /// Which kind this is.
    pub const fn event(&self) -> EventName {
        match self {
            Self::Open => EventName::Open,
            Self::State { .. } => EventName::State,
            Self::Close(_) => EventName::Close,
        }
    }
}

/// Which end of a connection began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The local end connected to the remote end.
    Out,
    /// The remote end connected to the local end.
    In,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Out, Self::In];

    /// The name in text.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
        }
    }
}

impl SocketEvent {
    /// Whether the socket has another end: it is a connection, or was to become one. A socket that listens is none.
    pub fn has_peer(&self) -> bool {
        self.remote.is_some_and(|remote| remote.port.is_some_and(|port| port != 0))
    }

    /// Who began the connection, as far as this event alone shows it: a process connects a socket that it made, and accepts one that
    /// the kernel made. `None` where there is no connection, or where the owner was found by a scan.
    pub fn direction(&self) -> Option<Direction> {
        if !self.has_peer() {
            return None;
        }
        match (self.owner.map(|owner| owner.grade), self.kind) {
            (Some(Grade::Created), _) => Some(Direction::Out),
            (Some(Grade::Accepted | Grade::Inherited), _) => Some(Direction::In),
            (_, EventKind::State { old: TcpState::SynSent, .. } | EventKind::State { new: TcpState::SynSent, .. }) => {
                Some(Direction::Out)
            }
            (_, EventKind::State { old: TcpState::Listen | TcpState::SynRecv, .. }) => Some(Direction::In),
            _ => None,
        }
    }

    /// Whether this is the end of a TCP connection that was never established, or that ended otherwise than by an orderly close.
    pub fn is_failure(&self) -> bool {
        let EventKind::Close(totals) = &self.kind else { return false };
        self.proto.is_tcp() && self.has_peer() && totals.reason != CloseReason::Closed
    }
}

/// How long a connection was in each TCP state, in nanoseconds. A state that it was in twice counts the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateTimes([u64; 12]);

/// In a state, for a time that nobody knows.
const UNKNOWN: u64 = u64::MAX;
/// Not in a state at all: a time that no connection lasts.
const NEVER: u64 = u64::MAX - 1;

impl Default for StateTimes {
    fn default() -> Self {
        Self([NEVER; 12])
    }
}

impl StateTimes {
    /// The states in the order in which a connection passes them.
    const ORDER: [TcpState; 11] = [
        TcpState::Close,
        TcpState::Listen,
        TcpState::SynSent,
        TcpState::SynRecv,
        TcpState::Established,
        TcpState::FinWait1,
        TcpState::FinWait2,
        TcpState::Closing,
        TcpState::CloseWait,
        TcpState::LastAck,
        TcpState::TimeWait,
    ];

    /// Adds the time spent in a state; `None` if it is not known.
    pub fn add(&mut self, state: TcpState, ns: Option<u64>) {
        let there = &mut self.0[state as usize];
        *there = match (*there, ns) {
            (NEVER, Some(ns)) => ns.min(NEVER - 1),
            (UNKNOWN, _) | (_, None) => UNKNOWN,
            (sum, Some(ns)) => sum.saturating_add(ns).min(NEVER - 1),
        };
    }

    /// The nanoseconds in a state, `Some(None)` where they are not known; `None` if it was never in it.
    pub const fn of(&self, state: TcpState) -> Option<Option<u64>> {
        match self.0[state as usize] {
            NEVER => None,
            UNKNOWN => Some(None),
            ns => Some(Some(ns)),
        }
    }

    /// The states it was in, in the order of a connection's life, each with its nanoseconds, `None` where they are not known.
    pub fn iter(&self) -> impl Iterator<Item = (TcpState, Option<u64>)> + '_ {
        Self::ORDER.into_iter().filter_map(|state| Some((state, self.of(state)?)))
    }
}

/// What is known of a connection at its end beyond its `close` event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Who began it.
    pub direction: Option<Direction>,
    /// How long it was in each state.
    pub times: StateTimes,
    /// When it entered CLOSE last, in nanoseconds since the Unix epoch.
    pub closed_ns: Option<u64>,
}

impl Ended {
    /// Adds the time between the last transition, into CLOSE, and the end of the socket: what is left of its whole duration at most, as
    /// clocks may be set in between.
    pub fn end(&mut self, time_ns: u64, duration_ns: Option<u64>) {
        let Some(since) = self.closed_ns else { return };
        let known = self.times.iter().try_fold(0_u64, |sum, (_, ns)| ns.map(|ns| sum.saturating_add(ns)));
        let left = duration_ns.zip(known).map_or(u64::MAX, |(whole, known)| whole.saturating_sub(known));
        self.times.add(TcpState::Close, Some(time_ns.saturating_sub(since).min(left)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up_and_unknown_stays_unknown() {
        let mut times = StateTimes::default();
        assert_eq!(times.iter().count(), 0);
        times.add(TcpState::Established, Some(5));
        times.add(TcpState::SynSent, Some(7));
        times.add(TcpState::SynSent, Some(1));
        times.add(TcpState::FinWait1, None);
        times.add(TcpState::FinWait1, Some(9));
        times.add(TcpState::Close, Some(u64::MAX));
        let all: Vec<_> = times.iter().collect();
        let longest = Some(u64::MAX - 2);
        assert_eq!(
            all,
            [
                (TcpState::Close, longest),
                (TcpState::SynSent, Some(8)),
                (TcpState::Established, Some(5)),
                (TcpState::FinWait1, None)
            ]
        );
    }

    #[test]
    fn the_time_in_close_is_no_longer_than_the_socket_was_there() {
        let ended = |closed_ns| {
            let mut times = StateTimes::default();
            times.add(TcpState::SynSent, Some(7));
            Ended { closed_ns, times, ..Ended::default() }
        };
        let close = |mut ended: Ended, duration_ns| {
            ended.end(100, duration_ns);
            ended.times.iter().find(|(state, _)| *state == TcpState::Close).map(|(_, ns)| ns.unwrap())
        };
        assert_eq!(close(ended(None), Some(50)), None);
        assert_eq!(close(ended(Some(90)), Some(50)), Some(10));
        assert_eq!(close(ended(Some(90)), None), Some(10));
        assert_eq!(close(ended(Some(10)), Some(50)), Some(43));
    }

    #[test]
    fn every_state_has_its_place() {
        for state in TcpState::ALL {
            assert!(StateTimes::ORDER.contains(&state), "{state:?}");
        }
    }
}
