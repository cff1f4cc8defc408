//! Sets in requests: a bit for each value, so that a set costs the same however many are in it.

use crate::model::Proto;

/// Protocols as a bit for each.
pub fn bits_of_protos(protos: &[Proto]) -> u8 {
    bits(Proto::ALL, |proto| protos.contains(&proto)) as u8
}

/// The protocols whose bits are set, each once, in the order of the tables.
pub fn protos_of(bits: u8) -> Vec<Proto> {
    set(Proto::ALL, bits.into()).unwrap_or_default()
}

/// A bit for each of all values that is in a set, by its place.
pub fn bits<T, const N: usize>(all: [T; N], has: impl Fn(T) -> bool) -> u16 {
    all.into_iter().enumerate().fold(0, |bits, (at, value)| bits | u16::from(has(value)) << at)
}

/// The values whose bits are set; `None` where it is none of them.
pub fn set<T, const N: usize>(all: [T; N], bits: u16) -> Option<Vec<T>> {
    let values = all.into_iter().enumerate().filter(|(at, _)| bits >> at & 1 != 0);
    let values: Vec<T> = values.map(|(_, value)| value).collect();
    (!values.is_empty()).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventName, TcpState};

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
}
