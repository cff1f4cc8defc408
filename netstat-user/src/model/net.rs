//! Rows of the views beside the sockets: routes, interfaces, groups and counters.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One counter of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelCounter {
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
    pub counters: Vec<KernelCounter>,
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

/// A network interface, or an alias of one (`eth0:1`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// The name.
    pub name: Vec<u8>,
    /// `IFF_…`, as the kernel's 16-bit `ifr_flags`.
    pub flags: u16,
    /// Largest packet in bytes, 0 where unknown.
    pub mtu: i32,
    /// `ARPHRD_…`, `None` where unknown.
    pub hardware: Option<u16>,
    /// Hardware address; how many bytes of it count depends on the hardware.
    pub address: [u8; 8],
    /// Length of the transmit queue in packets, `None` where unknown.
    pub queue: Option<i32>,
    /// The device's resources.
    pub map: DeviceMap,
    /// The IPv4 address; further ones are aliases of their own.
    pub inet: Option<InetAddress>,
    /// The IPv6 addresses.
    pub inet6: Vec<Inet6Address>,
    /// Traffic, `None` for aliases.
    pub counters: Option<Traffic>,
}

/// `IFF_UP`, of the flags of interfaces in `include/uapi/linux/if.h`.
pub const IFF_UP: u16 = 0x1;
/// `IFF_BROADCAST`
pub const IFF_BROADCAST: u16 = 0x2;
/// `IFF_POINTOPOINT`
pub const IFF_POINTOPOINT: u16 = 0x10;
/// `IFF_PORTSEL`
pub const IFF_PORTSEL: u16 = 0x2000;
/// `IFF_AUTOMEDIA`
pub const IFF_AUTOMEDIA: u16 = 0x4000;

/// What a device occupies (`struct ifmap`), 0 where nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of struct ifmap")]
pub struct DeviceMap {
    pub mem_start: u64,
    pub mem_end: u64,
    pub base_addr: u16,
    pub irq: u8,
    pub dma: u8,
    pub port: u8,
}

/// An interface's IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct InetAddress {
    pub address: Ipv4Addr,
    pub netmask: Option<Ipv4Addr>,
    pub broadcast: Option<Ipv4Addr>,
    /// The other end of a point-to-point link.
    pub destination: Option<Ipv4Addr>,
}

/// An interface's IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inet6Address {
    /// The address.
    pub address: Ipv6Addr,
    /// Length of the network's prefix, in bits.
    pub prefix: u8,
    /// `IPV6_ADDR_…`: 0 global, 0x10 host, 0x20 link, 0x40 site, 0x80 IPv4-compatible.
    pub scope: u8,
}

/// What went through an interface, in packets but for the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the columns of /proc/net/dev")]
pub struct Traffic {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub rx_fifo: u64,
    pub rx_frame: u64,
    pub rx_compressed: u64,
    pub rx_multicast: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
    pub tx_fifo: u64,
    pub collisions: u64,
    pub tx_carrier: u64,
    pub tx_compressed: u64,
}
