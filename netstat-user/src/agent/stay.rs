//! When a reader of events was shown which network namespace. A namespace is known by its number in every record, and the number is given to another
//! one as soon as it has ended: an event is sent only where the reader's namespace was seen with that number before it and after it.

use super::sight::Own;
use crate::query::{Answer, MAX_ANSWER, QueryError, next_frame};
use bytes::{Bytes, BytesMut};
use std::collections::HashMap;

/// Which of the namespaces that somebody is shown are there.
#[derive(Clone, Debug, Default)]
pub struct Presence {
    /// By their numbers: what no other namespace is known by, where the kernel says that.
    pub objects: HashMap<u32, Option<u64>>,
    /// When the look began, in the kernel's monotonic nanoseconds.
    pub begun_ns: u64,
    /// When it ended.
    pub ended_ns: u64,
    /// What the wall clock, in which events are sent, is ahead of that one.
    pub epoch_ns: u64,
}

/// A namespace while it was seen.
#[derive(Clone, Copy, Debug)]
struct Stay {
    object: Option<u64>,
    /// In the kernel's monotonic nanoseconds.
    from_ns: u64,
    until_ns: u64,
}

#[derive(Debug, Default)]
struct Stays {
    open: Option<Stay>,
    ended: Vec<Stay>,
}

/// When it was last looked which namespaces are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastLook {
    /// Before the frames were made, perhaps.
    Before,
    /// Since then.
    Since,
    /// Before, and there will be none in time.
    Never,
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Sent,
    /// Not before the next look.
    Open,
    /// It happened before the reader was shown the namespace.
    Before,
    /// It happened after the namespace was last seen.
    Missed,
}

/// The namespaces that a reader has been shown.
#[derive(Debug, Default)]
pub struct ShownStays {
    by_number: HashMap<u32, Stays>,
    ended: usize,
    /// When the last look began, and when it ended.
    begun_ns: u64,
    looked_ns: u64,
    epoch_ns: u64,
}

impl ShownStays {
    /// Most stays that are remembered once they have ended; beyond it none of them is, and what still waits of them is not sent.
    const MOST: usize = 1 << 12;

    /// Notes what a look found; not where a later one was noted already.
    pub fn note(&mut self, presence: &Presence) -> bool {
        if presence.begun_ns < self.begun_ns {
            return false;
        }
        (self.epoch_ns, self.begun_ns, self.looked_ns) = (presence.epoch_ns, presence.begun_ns, presence.ended_ns);
        let mut ended = 0;
        for (number, stays) in &mut self.by_number {
            let object = presence.objects.get(number);
            if let Some(open) = stays.open.take_if(|open| Some(&open.object) != object) {
                stays.ended.push(open);
                ended += 1;
            }
        }
        self.ended += ended;
        if self.ended > Self::MOST {
            self.by_number.retain(|_, stays| {
                stays.ended.clear();
                stays.open.is_some()
            });
            self.ended = 0;
        }
        for (&number, &object) in &presence.objects {
            let new = Stay { object, from_ns: presence.ended_ns, until_ns: presence.ended_ns };
            let open = self.by_number.entry(number).or_default().open.get_or_insert(new);
            // Between two looks that find the same one it was there all the time.
            open.until_ns = open.until_ns.max(presence.begun_ns);
        }
        true
    }

    /// When the last look ended, in nanoseconds since the Unix epoch.
    pub fn looked_ns(&self) -> u64 {
        self.looked_ns + self.epoch_ns
    }

    /// How long all that is shown has been known to be the same, at the last look.
    pub fn age_ns(&self, own: &Own) -> u64 {
        own.since.values().map(|since| self.looked_ns.saturating_sub(*since)).min().unwrap_or(u64::MAX)
    }

    /// Whether this namespace was there at the last look.
    pub fn has(&self, netns: Option<u32>) -> bool {
        let stays = netns.and_then(|netns| self.by_number.get(&netns));
        stays.is_some_and(|stays| stays.open.is_some())
    }

    fn judge(&self, netns: Option<u32>, time_ns: u64) -> Verdict {
        let Some(stays) = netns.and_then(|netns| self.by_number.get(&netns)) else { return Verdict::Before };
        let at = time_ns.saturating_sub(self.epoch_ns);
        let mut all = stays.ended.iter().chain(&stays.open);
        if all.any(|stay| (stay.from_ns..=stay.until_ns).contains(&at)) {
            Verdict::Sent
        } else if stays.open.is_some_and(|open| open.until_ns < at) {
            Verdict::Open
        } else if stays.ended.iter().any(|stay| stay.until_ns < at) {
            Verdict::Missed
        } else {
            Verdict::Before
        }
    }

    /// The frames that may be sent, and the number of events that are missed because no look was made in time. `None`: another look is needed first.
    ///
    /// # Errors
    /// These are no frames.
    pub fn pass(&self, frames: &Bytes, last: LastLook) -> Result<Option<(Bytes, u64)>, QueryError> {
        let (mut arrived, mut out, mut missed) = (BytesMut::from(&frames[..]), BytesMut::new(), 0);
        while let Some(body) = next_frame(&mut arrived, MAX_ANSWER)? {
            let verdict = match Answer::decode(body.clone())? {
                Answer::Event(event) => self.judge(event.netns, event.time_ns),
                // The reader is to follow anew.
                Answer::Live(socket) | Answer::Gone(socket) if !self.has(socket.netns) => Verdict::Before,
                // As the kernel's lists have it: these were read after the namespace was first seen, and before this.
                Answer::Live(_) | Answer::Gone(_) if last != LastLook::Since => Verdict::Open,
                _ => Verdict::Sent,
            };
            match verdict {
                Verdict::Sent => {
                    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
                    out.extend_from_slice(&body);
                }
                Verdict::Open if last == LastLook::Before => return Ok(None),
                Verdict::Open | Verdict::Missed => missed += 1,
                Verdict::Before => {}
            }
        }
        Ok(Some((out.freeze(), missed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::tests::opened;
    use crate::model::{LiveSocket, Proto, TcpState};

    fn frames(events: &[(u32, u64)]) -> Bytes {
        let mut out = BytesMut::new();
        for &(netns, time_ns) in events {
            Answer::Event(opened(netns, time_ns)).encode(&mut out);
        }
        out.freeze()
    }

    fn look(shown: &mut ShownStays, time_ns: u64, objects: &[(u32, u64)]) {
        let objects = objects.iter().map(|&(number, object)| (number, Some(object))).collect();
        shown.note(&Presence { objects, begun_ns: time_ns, ended_ns: time_ns + 1, epoch_ns: 1000 });
    }

    /// What the kernel's lists changed was read before the last look, or it is not sent.
    #[test]
    fn changes_of_the_table_are_sent_after_a_look_at_their_namespace() {
        let mut shown = ShownStays::default();
        look(&mut shown, 10, &[(1, 7)]);
        let socket =
            |netns| LiveSocket { netns: Some(netns), inode: 3, ..LiveSocket::bare(Proto::Tcp, TcpState::Listen) };
        for change in [Answer::Live, Answer::Gone] {
            let pass = |netns, last| {
                let mut out = BytesMut::new();
                change(socket(netns)).encode(&mut out);
                let passed = shown.pass(&out.freeze(), last).unwrap();
                passed.map(|(bytes, missed)| (!bytes.is_empty(), missed))
            };
            assert_eq!(pass(1, LastLook::Before), None, "not looked at since");
            assert_eq!(pass(1, LastLook::Since), Some((true, 0)));
            assert_eq!(pass(1, LastLook::Never), Some((false, 1)), "not looked for");
            assert_eq!(pass(2, LastLook::Since), Some((false, 0)), "not shown");
        }
    }

    #[test]
    fn an_older_look_takes_no_later_ones_place() {
        let mut shown = ShownStays::default();
        look(&mut shown, 10, &[(1, 7)]);
        let older = Presence { begun_ns: 9, ended_ns: 99, ..Presence::default() };
        assert!(!shown.note(&older) && shown.has(Some(1)) && shown.looked_ns() == 1011);
        assert!(shown.note(&Presence { begun_ns: 11, ended_ns: 12, ..older }) && !shown.has(Some(1)));
    }

    #[test]
    fn events_are_sent_of_the_time_between_two_looks_at_the_same_namespace() {
        let mut shown = ShownStays::default();
        look(&mut shown, 10, &[(1, 7)]);
        let pass = |shown: &ShownStays, time_ns: u64, last| {
            let passed = shown.pass(&frames(&[(1, 1000 + time_ns)]), last).unwrap();
            passed.map(|(bytes, missed)| (!bytes.is_empty(), missed))
        };
        assert_eq!(pass(&shown, 9, LastLook::Before), Some((false, 0)), "before it was shown");
        assert_eq!(pass(&shown, 15, LastLook::Before), None, "not looked at since");
        assert_eq!(pass(&shown, 15, LastLook::Since), Some((false, 1)), "not found by the look");
        assert_eq!(pass(&shown, 15, LastLook::Never), Some((false, 1)), "not looked for");
        look(&mut shown, 20, &[(1, 7)]);
        assert_eq!(pass(&shown, 15, LastLook::Before), Some((true, 0)));
        // Its number is another one's.
        look(&mut shown, 30, &[(1, 8)]);
        assert_eq!([15, 25].map(|at| pass(&shown, at, LastLook::Before)), [Some((true, 0)), Some((false, 1))]);
        look(&mut shown, 40, &[(1, 8)]);
        assert_eq!([15, 25, 35].map(|at| pass(&shown, at, LastLook::Before).unwrap().0), [true, false, true]);
        // It has ended, and what was seen of it is still sent.
        look(&mut shown, 50, &[]);
        assert_eq!([35, 45].map(|at| pass(&shown, at, LastLook::Before)), [Some((true, 0)), Some((false, 1))]);
        assert!(!shown.has(Some(1)));
        // Many that ended are not remembered for ever, and the one that is there is.
        for number in 0..=ShownStays::MOST as u64 {
            look(&mut shown, 60 + 2 * number, &[(2, number), (1, 9)]);
        }
        assert!(shown.ended <= ShownStays::MOST && shown.has(Some(1)));
        assert_eq!([35, 70].map(|at| pass(&shown, at, LastLook::Before).unwrap().0), [false, true]);
        let both = frames(&[(1, 1070), (3, 1070), (1, 1070)]);
        assert_eq!(shown.pass(&both, LastLook::Before).unwrap(), Some((frames(&[(1, 1070), (1, 1070)]), 0)));
        assert!(shown.pass(&Bytes::from_static(b"\x01\x00\x00\x00x"), LastLook::Since).is_err());
    }
}
