//! Readers of /proc/net/{ax25_route,nr_nodes,nr_neigh,rose_nodes,rose_neigh,x25/route}: columns between blanks, one route
//! per line. Lines that are no routes are left out.

use super::words;
use crate::model::packet_radio::{Ax25Route, NetromRoute, RoseNeighbour, RoseRoute, X25Route};
use std::collections::HashMap;

/// Routes through more neighbours than the kernel keeps are cut.
const NEIGHBOURS_MAX: usize = 3;

/// The lines after the headings.
fn lines(table: &[u8]) -> impl Iterator<Item = &[u8]> {
    table.split(|&b| b == b'\n').skip(1)
}

fn number(word: &[u8]) -> Option<u32> {
    u32::try_from(words::unsigned(word)?).ok()
}

/// `callsign dev mode digipeaters` (`ax25_rt_seq_show`).
pub fn ax25(table: &[u8]) -> impl Iterator<Item = Ax25Route<'_>> {
    lines(table).filter_map(|line| {
        let mut words = words::of(line);
        Some(Ax25Route { destination: words.next()?, iface: words.next()? })
    })
}

/// Neighbours by number: callsign and device.
type Neighbours<'a> = HashMap<u32, (&'a [u8], &'a [u8])>;

/// `addr callsign dev ...`, as `nr_neigh` and `rose_neigh` begin.
fn neighbours(table: &[u8]) -> Neighbours<'_> {
    let neighbour = |line| {
        let mut words = words::of(line);
        Some((number(words.next()?)?, (words.next()?, words.next()?)))
    };
    lines(table).filter_map(neighbour).collect()
}

/// `callsign mnemonic w n qual obs neigh ...` (`nr_node_show`): `n` triples, the `w`th of them in use.
pub fn netrom<'a>(nodes: &'a [u8], neighbours: &'a [u8]) -> impl Iterator<Item = NetromRoute<'a>> {
    let neighbours = self::neighbours(neighbours);
    lines(nodes).filter_map(move |line| {
        let mut words = words::of(line);
        let (destination, mnemonic) = (words.next()?, words.next()?);
        let which = usize::try_from(number(words.next()?)?).ok()?.checked_sub(1)?;
        let mut triple = words.skip(1 + 3 * which.min(NEIGHBOURS_MAX));
        let quality = number(triple.next()?)?;
        let (neighbour, iface) = neighbours.get(&number(triple.nth(1)?)?).copied().unwrap_or_default();
        Some(NetromRoute { destination, mnemonic, quality, neighbour, iface })
    })
}

/// `address mask n neigh neigh neigh` (`rose_node_show`).
pub fn rose<'a>(nodes: &'a [u8], neighbours: &'a [u8]) -> impl Iterator<Item = RoseRoute<'a>> {
    let stations = self::neighbours(neighbours);
    lines(nodes).filter_map(move |line| {
        let mut words = words::of(line);
        let (destination, mask) = (words.next()?, number(words.next()?)?);
        let numbers = words.skip(1).take(NEIGHBOURS_MAX).map_while(number);
        let neighbours =
            numbers.map(|number| RoseNeighbour { number, station: stations.get(&number).copied() }).collect();
        Some(RoseRoute { destination, mask, neighbours })
    })
}

/// `Address Digits Device` (`x25_seq_route_show`).
pub fn x25(table: &[u8]) -> impl Iterator<Item = X25Route<'_>> {
    lines(table).filter_map(|line| {
        let mut words = words::of(line);
        Some(X25Route { destination: words.next()?, digits: number(words.next()?)?, iface: words.next()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEIGHBOURS: &[u8] = b"addr  callsign  dev  qual lock count failed digipeaters\n\
        00001 NEIGH-1   ax0   192    0     1      0\n\
        00002 NEIGH-2   ax1   255    1     2      0 DIGI-1\n\
        torn\n";

    #[test]
    fn one_device_per_station() {
        let found: Vec<_> =
            ax25(b"callsign  dev  mode digipeaters\nN0CALL-1  ax0  v\ndefault   ax1  * DIGI\n\nx\n").collect();
        assert_eq!(
            found,
            [
                Ax25Route { destination: b"N0CALL-1", iface: b"ax0" },
                Ax25Route { destination: b"default", iface: b"ax1" }
            ]
        );
        let found: Vec<_> = x25(b"Address          Digits  Device\n1234567890       10      x25a \n*  0\n").collect();
        assert_eq!(found, [X25Route { destination: b"1234567890", digits: 10, iface: b"x25a" }]);
    }

    #[test]
    fn the_neighbour_in_use() {
        let nodes = b"callsign  mnemonic w n qual obs neigh qual obs neigh qual obs neigh\n\
            N0CALL-1  NODE1    1 1  192   6 00001\n\
            N0CALL-2  *        2 2  255   6 00001   10   5 00002\n\
            N0CALL-3  GONE     1 1   10   6 00009\n\
            N0CALL-4  ZERO     0 1   10   6 00001\n\
            N0CALL-5  TORN     3 3   10   6 00001\n";
        let found: Vec<_> =
            netrom(nodes, NEIGHBOURS).map(|route| (route.quality, route.neighbour, route.iface)).collect();
        assert_eq!(found, [(192, &b"NEIGH-1"[..], &b"ax0"[..]), (10, b"NEIGH-2", b"ax1"), (10, b"", b"")]);
    }

    #[test]
    fn up_to_three_neighbours() {
        let nodes = b"address    mask n neigh neigh neigh\n\
            1111111111 0006 3 00001 00007 00002 00001\n\
            *          0000 0\n";
        let found: Vec<_> = rose(nodes, NEIGHBOURS).collect();
        assert_eq!((found.len(), found[0].mask, found[1].neighbours.len()), (2, 6, 0));
        let stations: Vec<_> = found[0].neighbours.iter().map(|neighbour| neighbour.station).collect();
        assert_eq!(stations, [Some((&b"NEIGH-1"[..], &b"ax0"[..])), None, Some((b"NEIGH-2", b"ax1"))]);
    }
}
