//! Names of states and of groups of states, ss's and netstat's.

use crate::field::nearest;
use crate::model::TcpState;

/// A word for one or more states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateSet {
    /// ss's word.
    pub word: &'static str,
    /// A bit for each state, by the kernel's number.
    pub bits: u16,
}

const fn bit(state: TcpState) -> u16 {
    1 << state as u16
}

/// Every state.
pub const ALL: u16 = {
    let (mut bits, mut at) = (0, 0);
    while at < TcpState::ALL.len() {
        bits |= bit(TcpState::ALL[at]);
        at += 1;
    }
    bits
};

const CONNECTED: u16 = ALL & !(bit(TcpState::Close) | bit(TcpState::Listen));
const BUCKET: u16 = bit(TcpState::SynRecv) | bit(TcpState::TimeWait);

/// ss's words; the first for a state is the one that is printed.
const WORDS: [(&str, u16); 29] = [
    ("established", bit(TcpState::Established)),
    ("syn-sent", bit(TcpState::SynSent)),
    ("syn-recv", bit(TcpState::SynRecv)),
    ("fin-wait-1", bit(TcpState::FinWait1)),
    ("fin-wait-2", bit(TcpState::FinWait2)),
    ("time-wait", bit(TcpState::TimeWait)),
    ("closed", bit(TcpState::Close)),
    ("close-wait", bit(TcpState::CloseWait)),
    ("last-ack", bit(TcpState::LastAck)),
    ("listening", bit(TcpState::Listen)),
    ("closing", bit(TcpState::Closing)),
    ("all", ALL),
    ("connected", CONNECTED),
    ("synchronized", CONNECTED & !bit(TcpState::SynSent)),
    ("bucket", BUCKET),
    ("big", ALL & !BUCKET),
    // What else ss takes, and how ss and netstat print them.
    ("estab", bit(TcpState::Established)),
    ("syn-rcv", bit(TcpState::SynRecv)),
    ("fin-wait1", bit(TcpState::FinWait1)),
    ("fin-wait2", bit(TcpState::FinWait2)),
    ("timewait", bit(TcpState::TimeWait)),
    ("close", bit(TcpState::Close)),
    ("unconnected", bit(TcpState::Close)),
    ("unconn", bit(TcpState::Close)),
    ("closewait", bit(TcpState::CloseWait)),
    ("listen", bit(TcpState::Listen)),
    ("syn-received", bit(TcpState::SynRecv)),
    ("lastack", bit(TcpState::LastAck)),
    // Bound, and neither listening nor connecting: netstat's sources do not list these.
    ("bound-inactive", 0),
];

impl StateSet {
    /// Reads a word in either spelling: `fin-wait-1`, `FIN_WAIT1`, `Listen`.
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase().replace('_', "-");
        let (known, bits) = WORDS.into_iter().find(|(known, _)| *known == word)?;
        // The first of several words for one state is its own.
        let word = WORDS.iter().find(|(_, same)| *same == bits && bits != 0).map_or(known, |(first, _)| first);
        Some(Self { word, bits })
    }

    /// The nearest word to one that is none.
    pub fn nearest(word: &str) -> Option<&'static str> {
        nearest(&word.replace('_', "-"), WORDS.iter().map(|(known, _)| *known))
    }

    /// The words to choose from.
    pub fn words() -> impl Iterator<Item = &'static str> {
        WORDS.iter().take(16).map(|(word, _)| *word)
    }

    /// The one state that the word means, `None` for a group.
    pub fn single(self) -> Option<TcpState> {
        TcpState::ALL.into_iter().find(|&state| bit(state) == self.bits)
    }
}

/// The set that a run of `state` and `exclude` builds up: from nothing where it begins with `state`, from all where with `exclude`.
pub fn union(words: &[super::StateWord]) -> u16 {
    let start = if words.first().is_some_and(|word| word.exclude) { ALL } else { 0 };
    words.iter().fold(start, |bits, word| if word.exclude { bits & !word.states.bits } else { bits | word.states.bits })
}
