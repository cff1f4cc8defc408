//! Routes: /proc/net/route (IPv4, the main table) and /proc/net/ipv6_route (every table).

use crate::model::net::{RTF_UP, Route4, Route6};
use crate::proc::words;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Reads /proc/net/route. Routes that are not up are left out, as in netstat, and so are lines that are no routes.
pub fn v4(text: &[u8]) -> Vec<Route4> {
    text.split(|&b| b == b'\n').skip(1).filter_map(route4).filter(|route| route.flags & RTF_UP != 0).collect()
}

fn route4(line: &[u8]) -> Option<Route4> {
    let mut words = words::of(line);
    let iface = words.next()?.to_vec();
    // The kernel prints a big-endian address as if it were a number of its own byte order.
    let address = |word: &[u8]| Some(Ipv4Addr::from(words::hex::<8>(word)?.to_ne_bytes()));
    let destination = address(words.next()?)?;
    let gateway = address(words.next()?)?;
    let flags = words::hex::<8>(words.next()?)?;
    let refs = words::decimal(words.next()?)?;
    let used = words::decimal(words.next()?)?;
    let metric = words::decimal(words.next()?)?;
    let mask = address(words.next()?)?;
    let mss = words::decimal(words.next()?)?;
    let window = words::decimal(words.next()?)?;
    let irtt = words::decimal(words.next()?)?;
    Some(Route4 { iface, destination, gateway, mask, flags, refs, used, metric, mss, window, irtt })
}

/// Reads /proc/net/ipv6_route, the cache's routes included. Lines that are no routes are left out.
pub fn v6(text: &[u8]) -> Vec<Route6> {
    text.split(|&b| b == b'\n').filter_map(route6).collect()
}

fn route6(line: &[u8]) -> Option<Route6> {
    let mut words = words::of(line);
    let destination = address6(words.next()?)?;
    let prefix = u8::try_from(words::hex::<2>(words.next()?)?).ok()?;
    // The source's network: no column shows it.
    let (_, _) = (words.next()?, words.next()?);
    let next_hop = address6(words.next()?)?;
    let metric = words::hex::<8>(words.next()?)?;
    let refs = words::hex::<8>(words.next()?)?;
    let used = words::hex::<8>(words.next()?)?;
    let flags = words::hex::<8>(words.next()?)?;
    let iface = words.next()?.to_vec();
    Some(Route6 { iface, destination, prefix, next_hop, metric, refs, used, flags })
}

/// An IPv6 address of 32 hexadecimal digits, in network order.
pub fn address6(word: &[u8]) -> Option<Ipv6Addr> {
    if word.len() != 32 {
        return None;
    }
    let mut value = 0u128;
    for quarter in word.chunks_exact(8) {
        value = value << 32 | u128::from(words::hex::<8>(quarter)?);
    }
    Some(Ipv6Addr::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_table() {
        let text = b"Iface\tDestination\tGateway \tFlags\t\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT     \n\
            eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0      \n\
            *\t00000015\t00000000\t0201\t0\t0\t4278198272\t000000FF\t1340\t5000\t-300 \n\
            down\t00000016\t00000000\t0000\t0\t0\t0\t000000FF\t0\t0\t0\n\
            cut\t0000\nnone\tzz000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n";
        let routes = v4(text);
        assert_eq!(routes.len(), 2);
        assert_eq!(routes[0].gateway, Ipv4Addr::new(192, 0, 2, 1));
        let reject = Route4 {
            iface: b"*".to_vec(),
            destination: Ipv4Addr::new(21, 0, 0, 0),
            gateway: Ipv4Addr::UNSPECIFIED,
            mask: Ipv4Addr::new(255, 0, 0, 0),
            flags: 0x201,
            refs: 0,
            used: 0,
            metric: 4_278_198_272,
            mss: 1340,
            window: 5000,
            irtt: -300,
        };
        assert_eq!(routes[1], reject);
        assert_eq!(v4(b""), []);
    }

    #[test]
    fn hosts_and_networks() {
        let route = |destination: [u8; 4], mask: [u8; 4], flags| Route4 {
            destination: destination.into(),
            mask: mask.into(),
            flags,
            ..v4(b"\nlo\t0\t0\t1\t0\t0\t0\t0\t0\t0\t0").remove(0)
        };
        assert!(!route([10, 0, 0, 0], [255, 0, 0, 0], 1).is_host());
        assert!(route([10, 0, 0, 0], [255, 0, 0, 0], 5).is_host());
        assert!(route([10, 0, 0, 1], [255, 0, 0, 0], 1).is_host());
        assert!(!route([10, 0, 0, 1], [255; 4], 1).is_host());
    }

    #[test]
    fn every_ipv6_table() {
        let text = b"20010db8dead00010000000000000000 40 00000000000000000000000000000000 00 fe800000000000000000000000000001 ffffffff 00000002 00000000 80200001       lo\n\
            short 40 00000000000000000000000000000000 00 0 0 0 0 0 lo\n\n\
            20010db8dead00010000000000000000 100 00000000000000000000000000000000 00 fe800000000000000000000000000001 ffffffff 00000002 00000000 80200001       lo\n";
        let route = Route6 {
            iface: b"lo".to_vec(),
            destination: "2001:db8:dead:1::".parse().unwrap(),
            prefix: 64,
            next_hop: "fe80::1".parse().unwrap(),
            metric: u32::MAX,
            refs: 2,
            used: 0,
            flags: 0x8020_0001,
        };
        assert_eq!(v6(text), [route]);
    }
}
