//! [`Limits`] as requests have them. Sets are a bit for each value: however many a request names, it costs the same. An empty set is no limit, and
//! what there is no field for is not limited.

use super::codec::{Read, Wire};
use crate::model::limits::Kinds;
use crate::model::{EventName, Limits, Proto, TcpState};
use bytes::{Bytes, BytesMut};

/// Ports that the frame has room for: one of either end, a local and a remote one. No client limits events by them.
type UnusedPorts = [Option<u16>; 3];

impl Wire for Limits {
    fn put(&self, out: &mut BytesMut) {
        let has_kind = |event| self.kinds.is_some_and(|kinds| kinds.meets(Kinds::from(event)));
        // With states, neither open nor close events pass.
        let entered = self.entered.filter(|_| self.kinds == Some(Kinds::STATE));
        (bits(EventName::ALL, has_kind) as u8).put(out);
        self.protos.as_deref().map_or(0, bits_of_protos).put(out);
        bits(TcpState::ALL, |state| entered.is_some_and(|states| states.has(state))).put(out);
        UnusedPorts::default().iter().for_each(|port| port.put(out));
        self.only_netns().put(out);
    }

    fn get(body: &mut Bytes) -> Read<Self> {
        let kinds = set(EventName::ALL, u8::get(body)?.into()).map(|events| events.into_iter().map(Kinds::from));
        let kinds = kinds.map(|kinds| kinds.fold(Kinds::NONE, Kinds::or));
        let protos = set(Proto::ALL, u8::get(body)?.into());
        let entered = set(TcpState::ALL, u16::get(body)?);
        let transitions = entered.as_ref().map(|_| kinds.unwrap_or(Kinds::ALL).and(Kinds::STATE));
        for port in &mut UnusedPorts::default() {
            *port = Wire::get(body)?;
        }
        Ok(Self {
            kinds: transitions.or(kinds),
            entered: entered.map(FromIterator::from_iter),
            protos,
            netns: Option::get(body)?.map(|netns| vec![netns]),
            ..Self::default()
        })
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

    fn written(limits: &Limits) -> BytesMut {
        let mut out = BytesMut::new();
        limits.put(&mut out);
        out
    }

    fn over_the_wire(limits: &Limits) -> Limits {
        Limits::get(&mut written(limits).freeze()).unwrap()
    }

    #[test]
    fn states_are_a_limit_of_transitions_alone() {
        let listen: crate::model::limits::States = [TcpState::Listen].into_iter().collect();
        let both = Limits { kinds: Some(Kinds::STATE.or(Kinds::CLOSE)), entered: Some(listen), ..Limits::default() };
        assert_eq!(over_the_wire(&both).entered, None, "closes would be left out");
        let transitions = Limits { kinds: Some(Kinds::STATE), ..both };
        assert_eq!(over_the_wire(&transitions), transitions);
        // Who names states and no kinds wants no other events.
        let mut body = written(&transitions);
        body[0] = 0;
        assert_eq!(Limits::get(&mut body.freeze()), Ok(transitions));
    }

    /// A request of an earlier release, whose events may be of TCP, of either end's port 80, and of one namespace.
    #[test]
    fn ports_keep_their_places_in_the_frame() {
        let with_ports = [0, 1, 0, 0, 1, 80, 0, 0, 0, 1, 7, 0, 0, 0];
        let wanted = Limits { protos: Some(vec![Proto::Tcp]), netns: Some(vec![7]), ..Limits::default() };
        assert_eq!(Limits::get(&mut Bytes::copy_from_slice(&with_ports)), Ok(wanted.clone()));
        assert_eq!(written(&wanted)[..], [0, 1, 0, 0, 0, 0, 0, 1, 7, 0, 0, 0]);
    }
}
