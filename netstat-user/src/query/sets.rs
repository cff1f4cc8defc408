//! Sets of kinds of events, protocols and states, a bit each: however long a request makes them, they cost the same.

use crate::model::{EventName, Proto, TcpState};

macro_rules! sets {
    ($($(#[$doc:meta])* $set:ident of $of:ty as $bits:ty;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $set($bits);

        impl $set {
            /// From its bits, those of no value left out.
            pub fn from_bits(bits: $bits) -> Self {
                Self(<$of>::ALL.into_iter().map(bit).fold(0, |all, bit| all | bit as $bits) & bits)
            }

            /// A bit for each value, in the order of its `ALL`.
            pub const fn bits(self) -> $bits {
                self.0
            }

            /// Whether nothing is in it.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// Whether the value is in it.
            pub fn contains(self, value: $of) -> bool {
                self.0 & bit(value) as $bits != 0
            }

            /// The values, in the order of their `ALL`.
            pub fn iter(self) -> impl Iterator<Item = $of> {
                <$of>::ALL.into_iter().filter(move |&value| self.contains(value))
            }
        }

        impl FromIterator<$of> for $set {
            fn from_iter<T: IntoIterator<Item = $of>>(values: T) -> Self {
                Self(values.into_iter().fold(0, |bits, value| bits | bit(value) as $bits))
            }
        }
    )+};
}

sets! {
    /// A set of kinds of events.
    Events of EventName as u8;
    /// A set of protocols.
    Protos of Proto as u8;
    /// A set of TCP states.
    States of TcpState as u16;
}

/// A value's place among all of its kind.
trait Placed {
    fn place(self) -> u32;
}

impl Placed for Proto {
    fn place(self) -> u32 {
        self as u32
    }
}

impl Placed for EventName {
    fn place(self) -> u32 {
        self as u32
    }
}

impl Placed for TcpState {
    fn place(self) -> u32 {
        // The kernel counts from one.
        self as u32 - 1
    }
}

fn bit(value: impl Placed) -> u32 {
    1 << value.place()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_no_more() {
        for (at, proto) in Proto::ALL.into_iter().enumerate() {
            let set = Protos::from_iter([proto, proto]);
            assert_eq!((set.bits(), set.iter().collect::<Vec<_>>()), (1 << at, vec![proto]));
        }
        for (at, state) in TcpState::ALL.into_iter().enumerate() {
            let set = States::from_iter([state]);
            assert!(set.bits() == 1 << at && set.contains(state) && set.iter().count() == 1);
        }
        assert_eq!(States::from_bits(u16::MAX).iter().count(), TcpState::ALL.len());
        assert_eq!(States::from_bits(u16::MAX), TcpState::ALL.into_iter().collect());
        assert!(Protos::default().is_empty() && !Protos::from_bits(1).is_empty());
    }
}
