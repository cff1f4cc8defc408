//! `-i`: interfaces, one a line or one a block as ifconfig shows them.

mod hardware;

use crate::lang::Lang;
use crate::model::net::{IFF_AUTOMEDIA, IFF_BROADCAST, IFF_POINTOPOINT, IFF_PORTSEL, InetAddress, Interface, Traffic};
use crate::model::visible::escape;
use crate::view::json::Object;
use crate::view::text::{left, numeric, put};
use hardware::Hardware;
use std::net::Ipv4Addr;

/// Letters of the flags, in netstat's order.
const LETTERS: [(u16, char); 14] = [
    (0x200, 'A'),
    (0x2, 'B'),
    (0x4, 'D'),
    (0x8, 'L'),
    (0x1000, 'M'),
    (0x8000, 'd'),
    (0x100, 'P'),
    (0x20, 'N'),
    (0x80, 'O'),
    (0x10, 'P'),
    (0x800, 's'),
    (0x400, 'm'),
    (0x40, 'R'),
    (0x1, 'U'),
];

/// Words of the flags, in ifconfig's order.
const WORDS: [(u16, &str); 14] = [
    (0x1, "UP"),
    (0x2, "BROADCAST"),
    (0x4, "DEBUG"),
    (0x8, "LOOPBACK"),
    (0x10, "POINTOPOINT"),
    (0x20, "NOTRAILERS"),
    (0x40, "RUNNING"),
    (0x80, "NOARP"),
    (0x100, "PROMISC"),
    (0x200, "ALLMULTI"),
    (0x800, "SLAVE"),
    (0x400, "MASTER"),
    (0x1000, "MULTICAST"),
    (0x8000, "DYNAMIC"),
];

/// Scopes of IPv6 addresses, in ifconfig's order.
const SCOPES: [(u8, &str); 4] = [(0x80, "compat"), (0x20, "link"), (0x40, "site"), (0x10, "host")];

/// Port types of an interface's map (`IF_PORT_…`).
const PORTS: [&str; 7] = ["unknown", "10base2", "10baseT", "AUI", "100baseT", "100baseTX", "100baseFX"];

/// The title.
pub fn title(out: &mut Vec<u8>, lang: &Lang) {
    out.extend_from_slice(lang.text("Kernel Interface table\n"));
}

/// The heading of the table.
pub fn heading(out: &mut Vec<u8>, lang: &Lang) {
    out.extend_from_slice(
        lang.text("Iface             MTU    RX-OK RX-ERR RX-DRP RX-OVR    TX-OK TX-ERR TX-DRP TX-OVR Flg\n"),
    );
}

/// A row of the table.
pub fn row(out: &mut Vec<u8>, interface: &Interface, lang: &Lang) {
    let name = escape(&interface.name);
    left(out, &name[..name.len().min(15)], 15);
    put!(out, " {:>5} ", interface.mtu);
    match &interface.counters {
        Some(Traffic {
            rx_packets,
            rx_errors,
            rx_dropped,
            rx_fifo,
            tx_packets,
            tx_errors,
            tx_dropped,
            tx_fifo,
            ..
        }) => {
            put!(out, "{rx_packets:>8} {rx_errors:>6} {rx_dropped:>6} {rx_fifo:<6} ");
            put!(out, "{tx_packets:>8} {tx_errors:>6} {tx_dropped:>6} {tx_fifo:>6} ");
        }
        None => left(out, lang.text("     - no statistics available -"), 56),
    }
    match interface.flags {
        0 => out.extend_from_slice(lang.text("[NO FLAGS]")),
        flags => put!(out, "{}", letters(flags)),
    }
    out.push(b'\n');
}

/// Letters of an interface's flags.
fn letters(flags: u16) -> String {
    LETTERS.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, letter)| letter).collect()
}

/// A block, and the empty line after it.
pub fn block(out: &mut Vec<u8>, interface: &Interface, lang: &Lang) {
    out.extend_from_slice(&escape(&interface.name));
    put!(out, ": flags={}", interface.flags.cast_signed());
    let words: Vec<&str> =
        WORDS.iter().filter(|(flag, _)| interface.flags & flag != 0).map(|(_, word)| *word).collect();
    match words[..] {
        // Without any flag ifconfig's bracket stays open.
        [] if interface.flags == 0 => out.push(b'<'),
        [] => {}
        _ => put!(out, "<{}>", words.join(",")),
    }
    put!(out, "  mtu {}\n", interface.mtu);
    addresses(out, interface, lang);
    let hardware = Hardware::of(interface.hardware);
    put!(out, "        {}", hardware.name);
    if let Some(address) = hardware.address(interface.address) {
        out.push(b' ');
        out.extend_from_slice(&address);
    }
    if let Some(length) = interface.queue {
        put!(out, "  txqueuelen {length}");
    }
    out.extend_from_slice(b"  (");
    out.extend_from_slice(lang.text(hardware.title));
    out.extend_from_slice(b")\n");
    if interface.flags & IFF_PORTSEL != 0 {
        put!(out, "        media {}", PORTS.get(usize::from(interface.map.port)).unwrap_or(&PORTS[0]));
        let auto = interface.flags & IFF_AUTOMEDIA != 0;
        put!(out, "{}\n", if auto { "autoselect" } else { "" });
    }
    if let Some(counters) = &interface.counters {
        traffic(out, counters, hardware.compresses());
    }
    device(out, interface);
    out.push(b'\n');
}

fn addresses(out: &mut Vec<u8>, interface: &Interface, lang: &Lang) {
    if let Some(inet) = &interface.inet {
        put!(out, "        inet {}", inet.address);
        let mut also = |key: &str, address: Option<Ipv4Addr>| {
            put!(out, "  {key} ");
            match address {
                Some(address) => put!(out, "{address}"),
                None => out.extend_from_slice(lang.text("[NONE SET]")),
            }
        };
        also("netmask", inet.netmask);
        if interface.flags & IFF_BROADCAST != 0 {
            also("broadcast", inet.broadcast);
        }
        if interface.flags & IFF_POINTOPOINT != 0 {
            also("destination", inet.destination);
        }
        out.push(b'\n');
    }
    for inet6 in &interface.inet6 {
        let address = numeric(inet6.address.into());
        put!(out, "        inet6 {address}  prefixlen {}  scopeid 0x{:x}", inet6.prefix, inet6.scope);
        let mut scopes: Vec<&str> =
            SCOPES.iter().filter(|(scope, _)| inet6.scope & scope != 0).map(|(_, word)| *word).collect();
        // No bits but the first four, which are none of a scope's own.
        if inet6.scope & 0x7f == 0 {
            scopes.push("global");
        }
        if !scopes.is_empty() {
            put!(out, "<{}>", scopes.join(","));
        }
        out.push(b'\n');
    }
}

fn traffic(out: &mut Vec<u8>, traffic: &Traffic, compressed: bool) {
    let Traffic { rx_packets, rx_bytes, rx_errors, rx_dropped, rx_fifo, rx_frame, rx_compressed, .. } = traffic;
    put!(out, "        RX packets {rx_packets}  bytes {rx_bytes} ({})\n", human(*rx_bytes));
    if compressed {
        put!(out, "        RX compressed:{rx_compressed}\n");
    }
    put!(out, "        RX errors {rx_errors}  dropped {rx_dropped}  overruns {rx_fifo}  frame {rx_frame}\n");
    let Traffic { tx_packets, tx_bytes, tx_errors, tx_dropped, tx_fifo, tx_carrier, collisions, tx_compressed, .. } =
        traffic;
    put!(out, "        TX packets {tx_packets}  bytes {tx_bytes} ({})\n", human(*tx_bytes));
    if compressed {
        put!(out, "        TX compressed {tx_compressed}\n");
    }
    put!(out, "        TX errors {tx_errors}  dropped {tx_dropped} overruns {tx_fifo}");
    put!(out, "  carrier {tx_carrier}  collisions {collisions}\n");
}

/// Bytes in the largest unit they exceed, with one decimal, rounded down; as ifconfig reckons it.
fn human(bytes: u64) -> String {
    const UNITS: [(u32, &str); 6] = [(60, "EiB"), (50, "PiB"), (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let (tenths, unit) = match UNITS.into_iter().find(|(bits, _)| bytes > 1 << bits) {
        // A tenth of 2^60, rounded down.
        Some((60, unit)) => (bytes / 115_292_150_460_684_697, unit),
        Some((bits, unit)) => ((bytes * 10) >> bits, unit),
        None => (bytes * 10, "B"),
    };
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

fn device(out: &mut Vec<u8>, interface: &Interface) {
    let map = &interface.map;
    // Below 0x100 a base address is none.
    let base = Some(map.base_addr).filter(|&base| base >= 0x100);
    if map.irq == 0 && map.mem_start == 0 && map.dma == 0 && base.is_none() {
        return;
    }
    out.extend_from_slice(b"        device ");
    if map.irq != 0 {
        put!(out, "interrupt {}  ", map.irq);
    }
    if let Some(base) = base {
        put!(out, "base 0x{base:x}  ");
    }
    if map.mem_start != 0 {
        put!(out, "memory 0x{:x}-{:x}  ", map.mem_start, map.mem_end);
    }
    if map.dma != 0 {
        put!(out, "  dma 0x{:x}", map.dma);
    }
    out.push(b'\n');
}

/// An interface as a JSON object: the table's columns, then what the block adds.
pub fn json(out: &mut Vec<u8>, interface: &Interface) {
    let hardware = Hardware::of(interface.hardware);
    let address = hardware.address(interface.address);
    let inet6: Vec<String> =
        interface.inet6.iter().map(|inet6| format!("{}/{}", inet6.address, inet6.prefix)).collect();
    let counter = |of: fn(&Traffic) -> u64| interface.counters.as_ref().map(of);
    let mut object = Object::begin(out);
    object.string("iface", &interface.name);
    object.number("mtu", interface.mtu);
    object.optional("rx_ok", counter(|traffic| traffic.rx_packets));
    object.optional("rx_err", counter(|traffic| traffic.rx_errors));
    object.optional("rx_drp", counter(|traffic| traffic.rx_dropped));
    object.optional("rx_ovr", counter(|traffic| traffic.rx_fifo));
    object.optional("tx_ok", counter(|traffic| traffic.tx_packets));
    object.optional("tx_err", counter(|traffic| traffic.tx_errors));
    object.optional("tx_drp", counter(|traffic| traffic.tx_dropped));
    object.optional("tx_ovr", counter(|traffic| traffic.tx_fifo));
    object.string("flg", letters(interface.flags).as_bytes());
    object.number("flags", interface.flags);
    let mut inet = |key, of: fn(&InetAddress) -> Option<Ipv4Addr>| {
        let address = interface.inet.as_ref().and_then(of).map(|address| address.to_string());
        object.optional_string(key, address.as_deref().map(str::as_bytes));
    };
    inet("inet", |inet| Some(inet.address));
    inet("netmask", |inet| inet.netmask);
    inet("broadcast", |inet| inet.broadcast);
    inet("destination", |inet| inet.destination);
    object.strings("inet6", inet6.iter().map(String::as_bytes));
    object.string("hardware", hardware.name.as_bytes());
    object.optional_string("address", address.as_deref());
    object.optional("txqueuelen", interface.queue);
    object.optional("rx_bytes", counter(|traffic| traffic.rx_bytes));
    object.optional("rx_frame", counter(|traffic| traffic.rx_frame));
    object.optional("rx_multicast", counter(|traffic| traffic.rx_multicast));
    object.optional("tx_bytes", counter(|traffic| traffic.tx_bytes));
    object.optional("tx_carrier", counter(|traffic| traffic.tx_carrier));
    object.optional("collisions", counter(|traffic| traffic.collisions));
    object.end();
}

#[cfg(test)]
mod tests;
