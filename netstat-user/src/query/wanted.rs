//! [`Limits`] as requests have them. Sets are a bit for each value: however many a request names, it costs the same. What there is no field for
//! is not limited.

use crate::model::limits::{Kinds, Ports};
use crate::model::{EventName, Limits, Proto, TcpState};

/// The limits of events in a request; empty sets and `None` are no limit.
pub struct EventLimits {
    /// Kinds of events.
    pub kinds: u8,
    /// Protocols.
    pub protos: u8,
    /// States entered; then neither open nor close events.
    pub entered: u16,
    /// Port at either end.
    pub port: Option<u16>,
    /// Local port.
    pub lport: Option<u16>,
    /// Remote port.
    pub rport: Option<u16>,
    /// Inode of the network namespace.
    pub netns: Option<u32>,
}

/// What a request for events says.
pub fn of_events(limits: &Limits) -> EventLimits {
    let only = |ports: &Option<Ports>| ports.as_ref().and_then(Ports::only);
    let has_kind = |event| limits.kinds.is_some_and(|kinds| kinds.meets(Kinds::from(event)));
    let entered = limits.entered.filter(|_| limits.kinds == Some(Kinds::STATE));
    EventLimits {
        kinds: bits(EventName::ALL, has_kind) as u8,
        protos: limits.protos.as_deref().map_or(0, bits_of_protos),
        entered: bits(TcpState::ALL, |state| entered.is_some_and(|states| states.has(state))),
        port: only(&limits.ports),
        lport: only(&limits.lports),
        rport: only(&limits.rports),
        netns: limits.only_netns(),
    }
}

/// The limits of a request for events.
pub fn events(wire: EventLimits) -> Limits {
    let entered = set(TcpState::ALL, wire.entered);
    let kinds = set(EventName::ALL, wire.kinds.into()).map(|events| events.into_iter().map(Kinds::from));
    let kinds = kinds.map(|kinds| kinds.fold(Kinds::NONE, Kinds::or));
    let transitions = entered.as_ref().map(|_| kinds.unwrap_or(Kinds::ALL).and(Kinds::STATE));
    Limits {
        kinds: transitions.or(kinds),
        entered: entered.map(FromIterator::from_iter),
        protos: set(Proto::ALL, wire.protos.into()),
        ports: wire.port.map(Ports::one),
        lports: wire.lport.map(Ports::one),
        rports: wire.rport.map(Ports::one),
        netns: wire.netns.map(|netns| vec![netns]),
        ..Limits::default()
    }
}

/// Protocols as a bit for each.
pub fn bits_of_protos(protos: &[Proto]) -> u8 {
    bits(Proto::ALL, |proto| protos.contains(&proto)) as u8
}

/// The protocols whose bits are set, each once, in the order of the tables.
pub fn protos_of(bits: u8) -> Vec<Proto> {
    set(Proto::ALL, bits.into()).unwrap_or_default()
}

/// A bit for each of all values that is in a set, by its place.
fn bits<T, const N: usize>(all: [T; N], has: impl Fn(T) -> bool) -> u16 {
    all.into_iter().enumerate().fold(0, |bits, (at, value)| bits | u16::from(has(value)) << at)
}

/// The values whose bits are set; `None` where it is none of them.
fn set<T, const N: usize>(all: [T; N], bits: u16) -> Option<Vec<T>> {
    let values = all.into_iter().enumerate().filter(|(at, _)| bits >> at & 1 != 0);
    let values: Vec<T> = values.map(|(_, value)| value).collect();
    (!values.is_empty()).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_no_more() {
        for (at, proto) in Proto::ALL.into_iter().enumerate() {
            assert_eq!(bits_of_protos(&[proto, proto]), 1 << at);
            assert_eq!(set(Proto::ALL, 1 << at), Some(vec![proto]));
        }
        for (at, state) in TcpState::ALL.into_iter().enumerate() {
            assert_eq!(bits(TcpState::ALL, |other| other == state), 1 << at);
        }
        assert_eq!(set(TcpState::ALL, u16::MAX), Some(TcpState::ALL.to_vec()));
        assert_eq!((set(EventName::ALL, 0), set(EventName::ALL, 1 << 15)), (None, None));
    }

    #[test]
    fn states_are_a_limit_of_transitions_alone() {
        let listen: crate::model::limits::States = [TcpState::Listen].into_iter().collect();
        let both = Limits { kinds: Some(Kinds::STATE.or(Kinds::CLOSE)), entered: Some(listen), ..Limits::default() };
        assert_eq!(of_events(&both).entered, 0, "closes would be left out");
        let transitions = Limits { kinds: Some(Kinds::STATE), ..both };
        assert_eq!(events(of_events(&transitions)), transitions);
        // A client of an earlier release names states and no kinds.
        let named = EventLimits { kinds: 0, ..of_events(&transitions) };
        assert_eq!(events(named), transitions);
    }
}
