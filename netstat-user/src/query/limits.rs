//! [`Limits`] as requests have them. An empty set is no limit, and what there is no field for is not limited.

use super::bits::{bits, bits_of_protos, set};
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

#[cfg(test)]
mod tests {
    use super::*;

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
        // States without kinds mean that no other events are wanted.
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
