//! Interfaces, routes and multicast groups of every kind that iproute2 can make on a plain kernel.

use super::peer::{ip, sysctl};
use super::{Keep, keep};
use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Interfaces: veth pairs named to show the sorting by number, a bridge, a macvlan, tunnels of both kinds, labels, flags.
fn interfaces() {
    sysctl("ipv6/conf/default/accept_dad", "0");
    sysctl("ipv6/conf/default/router_solicitations", "0");
    sysctl("ipv6/conf/default/addr_gen_mode", "1");
    for line in [
        // Names that sort by number, with and without leading zeros.
        "link add eth10 type veth peer name eth2",
        "link add eth01 type veth peer name eth1",
        "link add veth-long-name type veth peer name v",
        "link add name br0 type bridge",
        "link add link eth2 name mac0 type macvlan mode bridge",
        "tuntap add dev tun0 mode tun",
        "tuntap add dev tap0 mode tap",
        "link set dev eth1 address 02:00:00:00:00:01",
        "link set dev eth2 address 02:00:00:00:00:02",
        "link set dev eth01 address 02:00:00:00:00:03",
        "link set dev eth10 address 02:00:00:00:00:04",
        "link set dev br0 address 02:00:00:00:00:05",
        "link set dev mac0 address 02:00:00:00:00:06",
        "link set dev eth1 mtu 1280 txqueuelen 500",
        "link set dev eth10 mtu 9000",
        "link set dev eth2 allmulticast on",
        "link set dev eth01 promisc on",
        "link set dev veth-long-name arp off",
        "link set dev tap0 multicast off",
        "link set dev lo up",
        "link set dev eth1 up",
        "link set dev eth2 up",
        "link set dev eth01 up",
        "link set dev br0 up",
        "link set dev mac0 up",
        "link set dev tun0 up",
        "link set dev veth-long-name up",
        "addr add 192.0.2.10/24 broadcast 192.0.2.255 dev eth1",
        "addr add 192.0.2.11/24 broadcast 192.0.2.255 dev eth1 label eth1:0",
        "addr add 192.0.2.12/24 dev eth1 label eth1:10",
        "addr add 192.0.2.13/24 dev eth1 label eth1:2",
        "addr add 198.51.100.1/25 dev eth2",
        "addr add 10.0.0.1/8 dev eth01",
        "addr add 172.16.0.1 peer 172.16.0.2 dev tun0",
        "addr add 203.0.113.1/32 dev lo label lo:1",
        "addr add 10.255.0.1/16 dev br0",
        "-6 addr add 2001:db8::1/64 dev eth1 nodad",
        "-6 addr add 2001:db8:1234:5678:9abc:def0:1234:5678/128 dev eth1 nodad",
        "-6 addr add fe80::1/64 dev eth1 nodad",
        "-6 addr add fec0::1/64 dev eth2 nodad",
        "-6 addr add fd00::1/64 dev eth2 nodad",
    ] {
        ip(line);
    }
}

/// Routes of every type, with metrics, and in tables that netstat must not show.
fn routes() {
    for line in [
        "route add default via 192.0.2.1 dev eth1",
        "route add default via 192.0.2.2 dev eth1 metric 4000",
        "route add 192.0.2.77/32 dev eth1",
        "route add 192.0.2.78/32 via 192.0.2.1",
        "route add 100.64.0.0/10 via 192.0.2.1 metric 100 mtu 1400 advmss 1360",
        "route add 100.65.0.0/16 dev eth2 window 8192 rtt 300",
        "route add 100.66.0.0/16 via 10.9.9.9 dev eth01 metric 65535",
        "route add 100.67.128.0/17 nexthop via 192.0.2.1 weight 2 nexthop via 192.0.2.2 weight 5",
        "route add unreachable 100.70.0.0/16",
        "route add prohibit 100.71.0.0/16 metric 7",
        "route add blackhole 100.72.0.0/16",
        "route add throw 100.73.0.0/16 metric 12",
        "route add unreachable 100.74.1.2/32",
        "route add unreachable default metric 9999",
        "route add 10.1.2.0/24 dev tun0 scope link",
        "route add 10.3.0.0/16 dev br0",
        "route add 10.4.0.0/16 via 192.0.2.1 tos 0x10",
        "route add 0.0.0.0/1 via 192.0.2.1",
        "route add 128.0.0.0/1 via 192.0.2.1 onlink dev eth1",
        "route add 100.99.0.0/16 dev eth1 table 100",
        "route add local 100.98.0.1 dev lo",
        "-6 route add default via fe80::2 dev eth1",
        "-6 route add 2001:db8:1::/48 via 2001:db8::2 metric 77 mtu 1300",
        "-6 route add 2001:db8:2:3:4:5:6:7/128 via fe80::abcd:abcd:abcd:abcd dev eth1",
        "-6 route add unreachable 2001:db8:3::/48",
        "-6 route add prohibit 2001:db8:4::/48 metric 3",
        "-6 route add blackhole 2001:db8:5::/48",
        "-6 route add 2001:db8:6::/48 dev eth2 metric 4294967295",
        "-6 route add 2001:db8:7::/48 nexthop via fe80::3 dev eth1 nexthop via fe80::4 dev eth2",
        "-6 route add 2001:db8:8::/48 dev tun0 expires 6000",
        "-6 route add 2001:db8:9::/48 dev eth1 table 200",
        "-6 route add unreachable default metric 99999",
    ] {
        ip(line);
    }
}

fn groups() -> io::Result<Vec<Socket>> {
    let v4 = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    for (group, interface) in [
        ([239, 1, 2, 3], [192, 0, 2, 10]),
        ([224, 0, 0, 251], [192, 0, 2, 10]),
        ([239, 255, 255, 250], [198, 51, 100, 1]),
        ([232, 0, 0, 1], [10, 0, 0, 1]),
    ] {
        v4.join_multicast_v4(&Ipv4Addr::from(group), &Ipv4Addr::from(interface))?;
    }
    let again = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    again.join_multicast_v4(&Ipv4Addr::new(239, 1, 2, 3), &Ipv4Addr::new(192, 0, 2, 10))?;
    let v6 = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    for group in ["ff02::fb", "ff0e:1234:5678:9abc:def0:1234:5678:9abc", "ff15::1"] {
        let index = nix::net::if_::if_nametoindex("eth1")?;
        v6.join_multicast_v6(&group.parse::<Ipv6Addr>().map_err(io::Error::other)?, index)?;
    }
    Ok(vec![v4, again, v6])
}

/// The whole network zoo, at rest: what the kernel does on its own after an interface comes up is over.
///
/// # Errors
/// When a group cannot be joined.
///
/// # Panics
/// When an interface or a route cannot be made.
pub fn zoo() -> io::Result<Keep> {
    interfaces();
    routes();
    let sockets = groups()?;
    // Some traffic, so that the counters differ from each other and from 0.
    let sender = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::from(libc::IPPROTO_UDP)))?;
    let to = |address: [u8; 4]| std::net::SocketAddr::from((address, 9)).into();
    for size in [10, 100, 1000] {
        sender.send_to(&vec![0; size], &to([127, 0, 0, 1]))?;
    }
    // Multicast reports are sent for some seconds after an address appears; the counters rest after that.
    std::thread::sleep(Duration::from_millis(300));
    Ok(keep(sockets))
}

/// An interface whose name has all 15 characters, with traffic.
///
/// # Errors
/// When nothing can be sent.
///
/// # Panics
/// When the interface cannot be made.
pub fn long_name() -> io::Result<Keep> {
    sysctl("ipv6/conf/default/accept_dad", "0");
    for line in [
        "link add abcdefghijklmno type veth peer name p",
        "link set dev abcdefghijklmno up",
        "link set dev p up",
        "addr add 192.0.2.1/24 dev abcdefghijklmno",
    ] {
        ip(line);
    }
    std::thread::sleep(Duration::from_millis(300));
    Ok(Keep::new())
}
