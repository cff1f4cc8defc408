//! Hardware types as ifconfig names them.

use crate::model::visible::escape;
use crate::view::text::put;

/// A kind of hardware (`ARPHRD_…` of `include/uapi/linux/if_arp.h`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Hardware {
    /// The short name.
    pub name: &'static str,
    /// The title, English.
    pub title: &'static str,
    address: Address,
}

/// How its addresses are written.
#[derive(Clone, Copy, Debug)]
enum Address {
    /// Not at all.
    None,
    /// An empty word.
    Empty,
    /// This many bytes, this between them.
    Bytes(usize, &'static str),
    /// The same in capitals.
    Capitals(usize, &'static str),
    /// Bytes from the last of four to the first.
    Reversed,
    /// Bytes padded with zeros to sixteen.
    Unspecified,
    /// An AX.25 call sign.
    Callsign,
    /// A number in the machine's byte order.
    Number,
    /// Text.
    Text,
}

impl Hardware {
    /// What net-tools knows of a type; `UNSPEC` for all it does not know.
    pub fn of(kind: Option<u16>) -> Self {
        use Address::{Bytes, Callsign, Capitals, Empty, None as Never, Number, Reversed, Text, Unspecified};
        let (name, title, address) = match kind {
            Some(0) => ("netrom", "AMPR NET/ROM", Callsign),
            Some(1) => ("ether", "Ethernet", Bytes(6, ":")),
            Some(3) => ("ax25", "AMPR AX.25", Callsign),
            Some(7) => ("arcnet", "ARCnet", Capitals(1, "")),
            Some(15) => ("dlci", "Frame Relay DLCI", Number),
            Some(27) => ("eui64", "Generic EUI-64", Capitals(8, ":")),
            Some(256) => ("slip", "Serial Line IP", Never),
            Some(257) => ("cslip", "VJ Serial Line IP", Never),
            Some(258) => ("slip6", "6-bit Serial Line IP", Never),
            Some(259) => ("cslip6", "VJ 6-bit Serial Line IP", Never),
            Some(264) => ("adaptive", "Adaptive Serial Line IP", Never),
            Some(270) => ("rose", "AMPR ROSE", Bytes(5, "")),
            Some(271) => ("x25", "generic X.25", Text),
            Some(512) => ("ppp", "Point-to-Point Protocol", Never),
            Some(513) => ("hdlc", "(Cisco)-HDLC", Never),
            Some(516) => ("lapb", "LAPB", Never),
            Some(768) => ("tunnel", "IPIP Tunnel", Empty),
            Some(770) => ("frad", "Frame Relay Access Device", Never),
            Some(772) => ("loop", "Local Loopback", Never),
            Some(774) => ("fddi", "Fiber Distributed Data Interface", Capitals(6, "-")),
            Some(776) => ("sit", "IPv6-in-IPv4", Never),
            Some(780) => ("hippi", "HIPPI", Capitals(6, ":")),
            Some(782) => ("ec", "Econet", Never),
            Some(783) => ("irda", "IrLAP", Reversed),
            _ => ("unspec", "UNSPEC", Unspecified),
        };
        Self { name, title, address }
    }

    /// Whether its headers are compressed (CSLIP), so that compressed packets are counted.
    pub fn compresses(self) -> bool {
        matches!(self.name, "cslip" | "cslip6")
    }

    /// An address as text, `None` where the hardware has none.
    pub fn address(self, bytes: [u8; 8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        match self.address {
            Address::None => return None,
            Address::Empty => {}
            Address::Bytes(count, between) => {
                for (at, byte) in bytes[..count].iter().enumerate() {
                    put!(out, "{}{byte:02x}", if at > 0 { between } else { "" });
                }
            }
            Address::Capitals(count, between) => {
                for (at, byte) in bytes[..count].iter().enumerate() {
                    put!(out, "{}{byte:02X}", if at > 0 { between } else { "" });
                }
            }
            Address::Reversed => {
                let [a, b, c, d, ..] = bytes;
                put!(out, "{d:02x}:{c:02x}:{b:02x}:{a:02x}");
            }
            Address::Unspecified => {
                for (at, byte) in bytes.iter().chain(&[0; 8]).enumerate() {
                    put!(out, "{}{byte:02X}", if at > 0 { "-" } else { "" });
                }
            }
            Address::Callsign => {
                // Six letters, shifted by one bit, and a number.
                let letters = bytes[..6].iter().map(|byte| byte >> 1).take_while(|&c| c != 0);
                let letters: Vec<u8> = letters.filter(|&c| c != b' ').collect();
                out.extend_from_slice(&escape(&letters));
                let ssid = bytes[6] >> 1 & 0xf;
                if ssid != 0 {
                    put!(out, "-{ssid}");
                }
            }
            Address::Number => put!(out, "{}", i16::from_ne_bytes([bytes[0], bytes[1]])),
            Address::Text => {
                let text = bytes.split(|&b| b == 0).next().unwrap_or_default();
                out.extend_from_slice(&escape(text));
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_by_hardware() {
        let bytes = [0x9a, 0x82, 0x60, 0x9a, 0x82, 0x40, 0x6e, 0x01];
        for (kind, text) in [
            (Some(1), Some("9a:82:60:9a:82:40")),
            (Some(3), Some("MA0MA-7")),
            (Some(7), Some("9A")),
            (Some(15), Some("-32102")),
            (Some(27), Some("9A:82:60:9A:82:40:6E:01")),
            (Some(270), Some("9a82609a82")),
            (Some(768), Some("")),
            (Some(772), None),
            (Some(774), Some("9A-82-60-9A-82-40")),
            (Some(783), Some("9a:60:82:9a")),
            (None, Some("9A-82-60-9A-82-40-6E-01-00-00-00-00-00-00-00-00")),
            (Some(65534), Some("9A-82-60-9A-82-40-6E-01-00-00-00-00-00-00-00-00")),
        ] {
            assert_eq!(
                Hardware::of(kind).address(bytes).map(|a| String::from_utf8(a).unwrap()).as_deref(),
                text,
                "{kind:?}"
            );
        }
        assert_eq!(Hardware::of(Some(271)).address(*b"AB\x1b\0CDEF"), Some(b"AB\\x1b".to_vec()));
    }
}
