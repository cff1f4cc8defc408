//! Addresses as text.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// An address as inet_ntop(3) writes it. Rust writes the same, but for IPv4-compatible addresses (RFC 4291, 2.5.5.1): `::127.0.0.1` as
/// `::7f00:1`.
#[derive(Clone, Copy, Debug)]
pub struct AddressText(pub IpAddr);

impl fmt::Display for AddressText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IpAddr::V6(addr) = self.0 else { return self.0.fmt(f) };
        match addr.segments() {
            [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
                write!(f, "::{}", Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
            }
            _ => addr.fmt(f),
        }
    }
}
