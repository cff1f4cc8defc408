//! What each open connection did so far: how long it was in each state, and who began it. It is remembered from its first event to its
//! close, and dropped there.
//!
//! The memory is bounded: there are two generations of entries, an entry that is used moves to the young one, and when that is full, the old
//! one is dropped. So a connection that nothing happened to for the longest time is forgotten first, and of it only the states before: each
//! event carries the time spent in the state that it leaves.

use crate::model::{Direction, Ended, EventEnd, EventKind, SocketEvent, TcpState};
use std::collections::HashMap;

/// What identifies a connection: the cookie, or where the kernel has made none, namespace and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ConnectionKey {
    Cookie(u64),
    Ends(Option<u32>, EventEnd, EventEnd),
}

fn by_cookie(event: &SocketEvent) -> Option<ConnectionKey> {
    event.cookie.map(ConnectionKey::Cookie)
}

fn by_ends(event: &SocketEvent) -> Option<ConnectionKey> {
    let (local, remote) = (event.local?, event.remote?);
    (local.port.is_some() && remote.port.is_some()).then_some(ConnectionKey::Ends(event.netns, local, remote))
}

/// The connections that are open, as their events showed them.
#[derive(Debug)]
pub struct Lives {
    young: HashMap<ConnectionKey, Ended>,
    old: HashMap<ConnectionKey, Ended>,
    /// Entries of one generation at most.
    generation: usize,
    forgotten: u64,
}

impl Lives {
    /// Connections remembered at a time unless asked otherwise; some 170 bytes each.
    pub const MOST: usize = 1 << 18;

    /// Room for so many connections.
    pub fn new(most: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), generation: (most / 2).max(1), forgotten: 0 }
    }

    /// Learns from an event. Returns what was learnt of a connection when the event is its close.
    pub fn take(&mut self, event: &SocketEvent) -> Option<Ended> {
        match event.kind {
            EventKind::Open => None,
            EventKind::State { old, new, in_state_ns } => {
                self.passed(event, old, new, in_state_ns);
                None
            }
            EventKind::Close(_) => Some(self.closed(event)),
        }
    }

    /// Connections of which something was forgotten for want of room.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Connections remembered now.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn passed(&mut self, event: &SocketEvent, old: TcpState, new: TcpState, in_state_ns: Option<u64>) {
        // TIME_WAIT outlives its socket, whose close is reported before: nobody would ask for it any more. A socket that listens is no
        // connection.
        if old == TcpState::TimeWait || new == TcpState::TimeWait || new == TcpState::Listen {
            return;
        }
        let Some(key) = by_cookie(event).or_else(|| by_ends(event)) else { return };
        if old == TcpState::Listen && new == TcpState::Close {
            return;
        }
        let mut life = self.remove(key).unwrap_or_default();
        // A request is born of its listener, and was never in that state itself.
        if old != TcpState::Listen {
            life.times.add(old, in_state_ns);
        }
        life.direction = life.direction.or_else(|| began(event, old, new));
        if new == TcpState::Close {
            life.closed_ns = Some(event.time_ns);
        }
        // A request that becomes no connection has no close.
        if (old, new) != (TcpState::SynRecv, TcpState::Close) || life.direction == Some(Direction::Out) {
            self.insert(key, life);
        }
    }

    fn closed(&mut self, event: &SocketEvent) -> Ended {
        let known = by_cookie(event).and_then(|key| self.remove(key));
        // Its first events may have had no cookie.
        let nameless = by_ends(event).and_then(|key| self.remove(key));
        let mut life = known.or(nameless).unwrap_or_default();
        if let (Some(_), Some(first)) = (known, nameless) {
            for (state, ns) in first.times.iter() {
                life.times.add(state, ns);
            }
            life.direction = first.direction.or(life.direction);
            life.closed_ns = life.closed_ns.or(first.closed_ns);
        }
        life.direction = life.direction.or_else(|| event.direction());
        if let EventKind::Close(totals) = &event.kind {
            life.end(event.time_ns, totals.duration_ns);
        }
        life
    }

    fn remove(&mut self, key: ConnectionKey) -> Option<Ended> {
        // Most programs have no old generation, and most connections are in the young one.
        self.young.remove(&key).or_else(|| if self.old.is_empty() { None } else { self.old.remove(&key) })
    }

    fn insert(&mut self, key: ConnectionKey, life: Ended) {
        if self.young.len() >= self.generation {
            self.forgotten += self.old.len() as u64;
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, life);
    }
}

/// Who began it: the transition says it best, since a socket of one process may be connected by another.
fn began(event: &SocketEvent, old: TcpState, new: TcpState) -> Option<Direction> {
    match (old, new) {
        (TcpState::SynSent, _) | (_, TcpState::SynSent) => Some(Direction::Out),
        (TcpState::Listen, _) => Some(Direction::In),
        _ => event.direction(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CloseReason, Proto, Totals};

    fn event(cookie: Option<u64>, kind: EventKind) -> SocketEvent {
        SocketEvent {
            time_ns: 0,
            kind,
            proto: Proto::Tcp,
            local: Some(EventEnd { addr: [127, 0, 0, 1].into(), port: Some(1) }),
            remote: Some(EventEnd { addr: [127, 0, 0, 1].into(), port: Some(2) }),
            owner: None,
            uid: None,
            inode: None,
            cookie,
            netns: None,
        }
    }

    fn state(old: TcpState, new: TcpState, in_state_ns: Option<u64>) -> EventKind {
        EventKind::State { old, new, in_state_ns }
    }

    fn close() -> EventKind {
        EventKind::Close(Totals::unknown(CloseReason::Closed))
    }

    use TcpState::{Close, Established, FinWait1, FinWait2, Listen, SynRecv, SynSent, TimeWait};

    #[test]
    fn a_life_is_summed_up_and_forgotten_at_its_close() {
        let mut lives = Lives::new(8);
        let steps = [
            (Close, SynSent, Some(1)),
            (SynSent, Established, Some(2)),
            (Established, FinWait1, Some(3)),
            (FinWait1, FinWait2, Some(4)),
            (FinWait2, Close, Some(5)),
            (FinWait2, TimeWait, Some(5)),
        ];
        for (old, new, ns) in steps {
            assert_eq!(lives.take(&event(Some(7), state(old, new, ns))), None);
        }
        assert_eq!(lives.len(), 1);
        let mut end = event(Some(7), close());
        end.time_ns = 6;
        let ended = lives.take(&end).unwrap();
        assert_eq!(ended.direction, Some(Direction::Out));
        let times: Vec<_> = ended.times.iter().map(|(state, ns)| (state, ns.unwrap())).collect();
        // In CLOSE before it connected, and until its socket was gone.
        assert_eq!(times, [(Close, 7), (SynSent, 2), (Established, 3), (FinWait1, 4), (FinWait2, 5)]);
        // What comes after the close is not remembered.
        lives.take(&event(Some(7), state(TimeWait, Close, Some(60))));
        assert!(lives.is_empty());
    }

    #[test]
    fn events_without_a_cookie_are_known_by_their_ends() {
        let mut lives = Lives::new(8);
        lives.take(&event(None, state(Listen, SynRecv, Some(0))));
        lives.take(&event(None, state(SynRecv, Established, Some(9))));
        lives.take(&event(Some(3), state(Established, TcpState::CloseWait, Some(1))));
        let ended = lives.take(&event(Some(3), close())).unwrap();
        assert_eq!(ended.direction, Some(Direction::In));
        assert_eq!(ended.times.iter().collect::<Vec<_>>(), [(SynRecv, Some(9)), (Established, Some(1))]);
        assert!(lives.is_empty());
    }

    #[test]
    fn a_request_that_becomes_no_connection_is_dropped() {
        let mut lives = Lives::new(8);
        lives.take(&event(Some(1), state(Listen, SynRecv, Some(0))));
        assert_eq!(lives.len(), 1);
        lives.take(&event(Some(1), state(SynRecv, Close, Some(9))));
        assert!(lives.is_empty());
    }

    /// A socket that asked for a connection and was asked for one itself (RFC 9293, 3.5) has a close.
    #[test]
    fn one_that_was_opened_from_both_ends_is_none_of_those() {
        let mut lives = Lives::new(8);
        lives.take(&event(Some(1), state(Close, SynSent, Some(1))));
        lives.take(&event(Some(1), state(SynSent, SynRecv, Some(2))));
        lives.take(&event(Some(1), state(SynRecv, Close, Some(3))));
        let ended = lives.take(&event(Some(1), close())).unwrap();
        assert_eq!(ended.direction, Some(Direction::Out));
        assert_eq!(ended.times.iter().collect::<Vec<_>>(), [(Close, Some(1)), (SynSent, Some(2)), (SynRecv, Some(3))]);
    }

    #[test]
    fn what_listens_is_no_connection() {
        let mut lives = Lives::new(8);
        lives.take(&event(Some(1), state(Close, Listen, Some(1))));
        lives.take(&event(Some(1), state(Listen, Close, Some(2))));
        assert!(lives.is_empty());
        // What ends without any state that is known had none.
        assert_eq!(lives.take(&event(Some(1), close())).unwrap().times.iter().count(), 0);
    }

    /// A generation is half of the room: the one before is forgotten as a whole when a second one is full.
    #[test]
    fn as_many_are_remembered_as_there_is_room_for() {
        let mut lives = Lives::new(4);
        let begin = |lives: &mut Lives, cookie| {
            lives.take(&event(Some(cookie), state(Close, SynSent, Some(1))));
            (lives.len(), lives.forgotten())
        };
        let seen: Vec<_> = (1..=7).map(|cookie| begin(&mut lives, cookie)).collect();
        assert_eq!(seen, [(1, 0), (2, 0), (3, 0), (4, 0), (3, 2), (4, 2), (3, 4)]);
    }

    #[test]
    fn one_that_was_there_before_has_what_is_known() {
        let mut lives = Lives::new(8);
        lives.take(&event(Some(3), state(Established, FinWait1, None)));
        let ended = lives.take(&event(Some(3), close())).unwrap();
        assert_eq!((ended.direction, ended.times.iter().collect::<Vec<_>>()), (None, vec![(Established, None)]));
        assert_eq!(lives.take(&event(Some(4), close())).unwrap(), Ended::default());
    }

    #[test]
    fn the_memory_is_bounded_and_the_one_used_longest_ago_is_forgotten() {
        let mut lives = Lives::new(100);
        for cookie in 0..1_000 {
            lives.take(&event(Some(cookie), state(Close, SynSent, Some(1))));
            // The first one is used all the time.
            lives.take(&event(Some(0), state(SynSent, SynSent, Some(1))));
            assert!(lives.len() <= 100, "{}", lives.len());
        }
        assert!(lives.forgotten() >= 850, "{}", lives.forgotten());
        let used = lives.take(&event(Some(0), close())).unwrap();
        assert_eq!(used.times.iter().collect::<Vec<_>>(), [(Close, Some(1)), (SynSent, Some(1_000))]);
        assert_eq!(lives.take(&event(Some(1), close())).unwrap(), Ended { direction: None, ..Ended::default() });
        let last = lives.take(&event(Some(999), close())).unwrap();
        assert_eq!(last.times.iter().count(), 1);
    }
}
