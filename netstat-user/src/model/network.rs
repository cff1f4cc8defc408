//! An address and how many of its bits count.

use std::net::IpAddr;

/// An address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The address, as written.
    pub addr: IpAddr,
    /// Bits that count.
    pub len: u8,
}

impl Network {
    /// One address.
    pub const fn of(addr: IpAddr) -> Self {
        Self { addr, len: if addr.is_ipv4() { 32 } else { 128 } }
    }

    /// Whether the address is of the same family and begins with the same bits.
    pub fn has(&self, addr: IpAddr) -> bool {
        let kept = |bits: u32| u32::from(self.len).min(bits);
        match (self.addr, addr) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (u32::from(own) ^ u32::from(other)).checked_shr(32 - kept(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (u128::from(own) ^ u128::from(other)).checked_shr(128 - kept(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// The same, and IPv4 in IPv6's clothes is IPv4, as in the kernel's inet_diag_bc_run().
    pub fn has_mapped(&self, addr: IpAddr) -> bool {
        match addr {
            IpAddr::V6(v6) if self.addr.is_ipv4() => v6.to_ipv4_mapped().is_some_and(|v4| self.has(v4.into())),
            addr => self.has(addr),
        }
    }

    /// The IPv6 form: first address as a number, with the bits that count. IPv4 addresses are the mapped ones (`::ffff:0:0/96`).
    pub fn bits(self) -> (u128, u128) {
        let (addr, len) = match self.addr {
            IpAddr::V4(addr) => (addr.to_ipv6_mapped(), u32::from(self.len) + 96),
            IpAddr::V6(addr) => (addr, u32::from(self.len)),
        };
        let mask = u128::MAX.checked_shl(128_u32.saturating_sub(len)).unwrap_or(0);
        (u128::from(addr) & mask, mask)
    }

    /// Whether it holds an address, where an IPv4 address and the same one mapped to IPv6 are one.
    pub fn has_in_either_form(self, addr: IpAddr) -> bool {
        let (first, mask) = self.bits();
        Self::of(addr).bits().0 & mask == first
    }

    /// Whether it holds every address of another, in either form.
    pub fn covers(self, other: Self) -> bool {
        let ((first, mask), (other_first, other_mask)) = (self.bits(), other.bits());
        mask & other_mask == mask && other_first & mask == first
    }
}
