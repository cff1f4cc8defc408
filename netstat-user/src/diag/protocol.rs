//! Protocols as `sock_diag` numbers them.

use crate::model::Proto;

/// A protocol with a table of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the protocols")]
pub enum Protocol {
    Tcp,
    Udp,
    UdpLite,
    Raw,
}

impl Protocol {
    /// `IPPROTO_…`; raw sockets are asked for by a number of their own.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::UdpLite => 136,
            Self::Raw => 255,
        }
    }

    /// The name with the family in it.
    pub const fn of_family(self, v6: bool) -> Proto {
        match (self, v6) {
            (Self::Tcp, false) => Proto::Tcp,
            (Self::Tcp, true) => Proto::Tcp6,
            (Self::Udp, false) => Proto::Udp,
            (Self::Udp, true) => Proto::Udp6,
            (Self::UdpLite, false) => Proto::UdpLite,
            (Self::UdpLite, true) => Proto::UdpLite6,
            (Self::Raw, false) => Proto::Raw,
            (Self::Raw, true) => Proto::Raw6,
        }
    }

    /// The protocol of a name.
    pub const fn of(proto: Proto) -> Self {
        match proto {
            Proto::Tcp | Proto::Tcp6 => Self::Tcp,
            Proto::Udp | Proto::Udp6 => Self::Udp,
            Proto::UdpLite | Proto::UdpLite6 => Self::UdpLite,
            Proto::Raw | Proto::Raw6 => Self::Raw,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_and_names_agree() {
        for proto in Proto::ALL {
            assert_eq!(Protocol::of(proto).of_family(proto.is_v6()), proto);
        }
    }
}
