//! Rows of the views beside the sockets: routes, interfaces, groups and counters.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One counter of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The kernel's name for it.
    pub name: Vec<u8>,
    /// Its value: what fits an unsigned or a signed 64-bit number, saturated.
    pub value: i128,
}

/// The counters the kernel lists under one heading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CounterTable {
    /// The heading, without its colon.
    pub name: Vec<u8>,
    /// The counters, in the kernel's order.
    pub counters: Vec<Counter>,
}

/// `RTF_UP`, of the flags of routes in `include/uapi/linux/route.h`: the route is usable.
pub const RTF_UP: u32 = 0x1;
/// `RTF_GATEWAY`: through a gateway.
pub const RTF_GATEWAY: u32 = 0x2;
/// `RTF_HOST`: to a single host.
pub const RTF_HOST: u32 = 0x4;
/// `RTF_REJECT`: unreachable or prohibited.
pub const RTF_REJECT: u32 = 0x200;
/// `RTF_CACHE`, of IPv6: a route of the cache.
pub const RTF_CACHE: u32 = 0x0100_0000;

/// A row of the IPv4 routing table. Its numbers are as the kernel writes them, saturated to 64 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route4 {
    /// The interface, `*` for routes that have none.
    pub iface: Vec<u8>,
    /// The destination's network or host.
    pub destination: Ipv4Addr,
    /// The gateway, `0.0.0.0` where there is none.
    pub gateway: Ipv4Addr,
    /// The destination's netmask.
    pub mask: Ipv4Addr,
    /// `RTF_…`
    pub flags: u32,
    /// References; always 0 on kernels of today.
    pub refs: i64,
    /// Lookups; always 0 on kernels of today.
    pub used: i64,
    /// The priority: the lowest wins.
    pub metric: i64,
    /// Advertised MSS + 40, in bytes, 0 where it is not set.
    pub mss: i64,
    /// TCP window, in bytes, 0 where it is not set.
    pub window: i64,
    /// Initial round-trip time, in the kernel's clock ticks, 0 where it is not set.
    pub irtt: i64,
}

impl Route4 {
    /// Whether the destination is one host, judged as netstat does it: by flag, or by bits beside the mask.
    pub fn is_host(&self) -> bool {
        self.flags & RTF_HOST != 0 || u32::from(self.destination) & !u32::from(self.mask) != 0
    }
}

/// A row of the IPv6 routing tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route6 {
    /// The interface.
    pub iface: Vec<u8>,
    /// The destination's network or host.
    pub destination: Ipv6Addr,
    /// Length of the destination's prefix, in bits.
    pub prefix: u8,
    /// The next hop, `::` where there is none.
    pub next_hop: Ipv6Addr,
    /// The priority: the lowest wins.
    pub metric: u32,
    /// References.
    pub refs: u32,
    /// Lookups.
    pub used: u32,
    /// `RTF_…`
    pub flags: u32,
}

/// A multicast group an interface listens to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The interface.
    pub iface: Vec<u8>,
    /// How many hold it there.
    pub refs: i64,
    /// The group.
    pub group: IpAddr,
}
