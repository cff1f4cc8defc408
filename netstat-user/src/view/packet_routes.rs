//! The routing tables of AX.25, NET/ROM, ROSE and X.25, and their JSON.

use super::json::Object;
use super::text::{left, put};
use crate::lang::Lang;
use crate::model::packet_radio::{Ax25Route, NetromRoute, RoseRoute, X25Route};
use crate::model::visible::escape;

/// Title and headings of the AX.25 table.
pub fn ax25_heading(out: &mut Vec<u8>, lang: &Lang) {
    out.extend(lang.text("Kernel AX.25 routing table\n"));
    out.extend(lang.text("Destination  Iface    Use\n"));
}

/// A route of AX.25. The kernel no longer counts its uses; netstat has kept the column.
pub fn ax25(out: &mut Vec<u8>, route: &Ax25Route<'_>) {
    left(out, &escape(route.destination), 9);
    out.extend(b"    ");
    left(out, cut(&escape(route.iface), 4), 5);
    out.extend(b"      0\n");
}

/// The same as JSON.
pub fn ax25_json(out: &mut Vec<u8>, route: &Ax25Route<'_>) {
    let mut object = begin(out, "ax25", route.destination);
    object.string("iface", route.iface);
    object.end();
}

/// Title and headings of the NET/ROM table.
pub fn netrom_heading(out: &mut Vec<u8>, lang: &Lang) {
    out.extend(lang.text("Kernel NET/ROM routing table\n"));
    out.extend(lang.text("Destination  Mnemonic  Quality  Neighbour  Iface\n"));
}

/// A node of NET/ROM.
pub fn netrom(out: &mut Vec<u8>, route: &NetromRoute<'_>) {
    left(out, &escape(route.destination), 9);
    out.extend(b"    ");
    left(out, &escape(route.mnemonic), 7);
    put!(out, "   {:>3}      ", route.quality);
    left(out, &escape(route.neighbour), 9);
    out.extend(b"  ");
    left(out, cut(&escape(route.iface), 4), 4);
    out.push(b'\n');
}

/// The same as JSON.
pub fn netrom_json(out: &mut Vec<u8>, route: &NetromRoute<'_>) {
    let known = |text: &[u8]| !text.is_empty() && text != b"*";
    let mut object = begin(out, "netrom", route.destination);
    object.optional_string("mnemonic", Some(route.mnemonic).filter(|text| known(text)));
    object.number("quality", route.quality);
    object.optional_string("neighbour", Some(route.neighbour).filter(|text| known(text)));
    object.optional_string("iface", Some(route.iface).filter(|text| known(text)));
    object.end();
}

/// Title and headings of the ROSE table.
pub fn rose_heading(out: &mut Vec<u8>, lang: &Lang) {
    out.extend(lang.text("Kernel ROSE routing table\n"));
    out.extend(lang.text("Destination  neigh1 callsign  device  neigh2 callsign  device  neigh3 callsign  device\n"));
}

/// A route of ROSE.
pub fn rose(out: &mut Vec<u8>, route: &RoseRoute<'_>) {
    left(out, &escape(route.destination), 10);
    out.extend(b"   ");
    for neighbour in &route.neighbours {
        put!(out, "{:05}  ", neighbour.number);
        if let Some((callsign, device)) = neighbour.station {
            left(out, &escape(callsign), 9);
            out.extend(b"    ");
            left(out, cut(&escape(device), 5), 5);
        }
    }
    out.push(b'\n');
}

/// The same as JSON.
pub fn rose_json(out: &mut Vec<u8>, route: &RoseRoute<'_>) {
    let mut object = begin(out, "rose", route.destination);
    object.number("mask", route.mask);
    object.objects("neighbours", &route.neighbours, |object, neighbour| {
        object.number("number", neighbour.number);
        object.optional_string("callsign", neighbour.station.map(|(callsign, _)| callsign));
        object.optional_string("iface", neighbour.station.map(|(_, device)| device));
    });
    object.end();
}

/// Title and headings of the X.25 table, which are not translated.
pub fn x25_heading(out: &mut Vec<u8>) {
    out.extend(b"Kernel X.25 routing table\nDestination          Iface\n");
}

/// A route of X.25.
pub fn x25(out: &mut Vec<u8>, route: &X25Route<'_>) {
    let start = out.len();
    if route.digits > 0 {
        // As many digits of the X.121 address as count, 15 at most: the kernel never has more.
        let digits = usize::try_from(route.digits).map_or(15, |digits| digits.min(15));
        left(out, cut(&escape(route.destination), digits), digits);
        put!(out, "/{}", route.digits);
    } else {
        out.push(b'*');
    }
    super::text::pad(out, start, 20);
    out.push(b' ');
    left(out, &escape(route.iface), 5);
    out.push(b'\n');
}

/// The same as JSON.
pub fn x25_json(out: &mut Vec<u8>, route: &X25Route<'_>) {
    let mut object = begin(out, "x25", route.destination);
    object.number("digits", route.digits);
    object.string("iface", route.iface);
    object.end();
}

/// The fields all have.
fn begin<'a>(out: &'a mut Vec<u8>, family: &str, destination: &[u8]) -> Object<'a> {
    let mut object = Object::begin(out);
    object.string("family", family.as_bytes());
    object.optional_string("destination", (destination != b"*").then_some(destination));
    object
}

fn cut(text: &[u8], length: usize) -> &[u8] {
    &text[..text.len().min(length)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::packet_radio::RoseNeighbour;

    fn text(print: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        print(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn columns() {
        let route = Ax25Route { destination: b"N0CALL-15", iface: b"bpq1234" };
        assert_eq!(text(|out| ax25(out, &route)), "N0CALL-15    bpq1       0\n");
        let route = NetromRoute { destination: b"A", mnemonic: b"*", quality: 7, neighbour: b"B-15", iface: b"ax0" };
        assert_eq!(text(|out| netrom(out, &route)), "A            *           7      B-15       ax0 \n");
        let neighbours = vec![
            RoseNeighbour { number: 1, station: Some((b"NEIGH-1", b"ax0")) },
            RoseNeighbour { number: 7, station: None },
        ];
        let route = RoseRoute { destination: b"*", mask: 0, neighbours };
        assert_eq!(text(|out| rose(out, &route)), "*            00001  NEIGH-1      ax0  00007  \n");
        let route = X25Route { destination: b"12345", digits: 3, iface: b"x" };
        assert_eq!(text(|out| x25(out, &route)), "123/3                x    \n");
        let route = X25Route { destination: b"*", digits: 0, iface: b"x25a" };
        assert_eq!(text(|out| x25(out, &route)), "*                    x25a \n");
    }

    #[test]
    fn what_is_not_known_is_null() {
        let route = NetromRoute { destination: b"A", mnemonic: b"*", quality: 7, neighbour: b"", iface: b"" };
        assert_eq!(
            text(|out| netrom_json(out, &route)),
            "{\"family\":\"netrom\",\"destination\":\"A\",\"mnemonic\":null,\"quality\":7,\"neighbour\":null,\"iface\":null}\n"
        );
        let neighbours = vec![RoseNeighbour { number: 7, station: None }];
        let route = RoseRoute { destination: b"*", mask: 0, neighbours };
        assert_eq!(
            text(|out| rose_json(out, &route)),
            "{\"family\":\"rose\",\"destination\":null,\"mask\":0,\"neighbours\":[{\"number\":7,\"callsign\":null,\"iface\":null}]}\n"
        );
    }
}
