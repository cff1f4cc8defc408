//! Interfaces: /proc/net/dev (traffic), /proc/net/if_inet6 (IPv6 addresses) and ioctls for the rest.

use crate::model::net::{
    DeviceMap, IFF_BROADCAST, IFF_POINTOPOINT, IFF_UP, Inet6Address, InetAddress, Interface, Traffic,
};
use crate::proc::route::address6;
use crate::proc::words;
use crate::sys::interfaces::{Interfaces, Question};
use rustix::net::AddressFamily;
use std::cmp::Ordering;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

/// The interfaces and aliases of this thread's network namespace, sorted.
#[derive(Debug)]
pub struct FoundInterfaces {
    /// The interfaces; those that vanished meanwhile are not among them.
    pub interfaces: Vec<Interface>,
    /// Which file could not be read, and why. Without `net/dev` there is no traffic, and only what has an IPv4 address was found; without
    /// `net/if_inet6`, which a kernel without IPv6 has not, no IPv6 address.
    pub limited: Option<(&'static str, io::Error)>,
}

/// Finds the interfaces: all of them, or only those that are up.
///
/// # Errors
/// No socket to ask the kernel through.
pub fn read(root: &Path, all: bool) -> io::Result<FoundInterfaces> {
    // One after the other, and the socket last: one descriptor is enough.
    let [dev, if_inet6] =
        ["net/dev", "net/if_inet6"].map(|file| super::whole(&root.join(file)).map_err(|error| (file, error)));
    let kernel = Interfaces::open()?;
    let (traffic, mut limited) = match dev {
        Ok(text) => (traffic(&text), None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let inet6 = match if_inet6 {
        Ok(text) => inet6(&text),
        Err(error) => {
            limited = limited.or(Some(error).filter(|(_, error)| error.kind() != io::ErrorKind::NotFound));
            Vec::new()
        }
    };
    let mut found: Vec<(Vec<u8>, Option<Traffic>)> =
        traffic.into_iter().map(|(name, traffic)| (name, Some(traffic))).collect();
    // A namespace without IPv4 has no such addresses.
    let aliases = kernel.with_address().unwrap_or_default();
    found.extend(aliases.into_iter().map(|name| (name, None)));
    // Sorting is stable: an interface's own traffic comes before the `None` of its address.
    found.sort_by(|a, b| by_name(&a.0, &b.0));
    found.dedup_by(|later, first| later.0 == first.0);
    let interfaces = found
        .into_iter()
        .filter_map(|(name, counters)| {
            let inet6 = inet6.iter().filter(|(iface, _)| *iface == name).map(|(_, address)| *address).collect();
            Some(Interface { inet6, counters, ..ask(&kernel, name)? })
        })
        .filter(|interface| all || interface.flags & IFF_UP != 0)
        .collect();
    Ok(FoundInterfaces { interfaces, limited })
}

/// What the kernel says about an interface, `None` if it has none of that name.
fn ask(kernel: &Interfaces, name: Vec<u8>) -> Option<Interface> {
    let ask = |question| kernel.ask(&name, question).ok();
    let int = |value: [u8; 24]| i32::from_ne_bytes([value[0], value[1], value[2], value[3]]);
    let short = |value: &[u8; 24]| u16::from_ne_bytes([value[0], value[1]]);
    let long = |value: &[u8; 24], at: usize| u64::from_ne_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|byte| value[at + byte]));
    // The address of a sockaddr_in follows its family and port.
    let inet = |question| {
        ask(question)
            .filter(|value| short(value) == AddressFamily::INET.as_raw())
            .map(|v| Ipv4Addr::new(v[4], v[5], v[6], v[7]))
    };
    let flags = short(&ask(Question::Flags)?);
    let hardware = ask(Question::Hardware);
    let map = ask(Question::Map).map(|value| DeviceMap {
        mem_start: long(&value, 0),
        mem_end: long(&value, 8),
        base_addr: u16::from_ne_bytes([value[16], value[17]]),
        irq: value[18],
        dma: value[19],
        port: value[20],
    });
    let inet = inet(Question::Address).map(|address| InetAddress {
        address,
        netmask: inet(Question::Netmask),
        broadcast: inet(Question::Broadcast).filter(|_| flags & IFF_BROADCAST != 0),
        destination: inet(Question::Destination).filter(|_| flags & IFF_POINTOPOINT != 0),
    });
    Some(Interface {
        flags,
        mtu: ask(Question::Mtu).map_or(0, int),
        hardware: hardware.as_ref().map(short),
        address: hardware.map_or([0; 8], |value| [2, 3, 4, 5, 6, 7, 8, 9].map(|byte| value[byte])),
        queue: ask(Question::QueueLength).map(int).filter(|&length| length >= 0),
        map: map.unwrap_or_default(),
        inet,
        name,
        ..Interface::default()
    })
}

/// Reads /proc/net/dev: names and their traffic. Numbers that are missing are 0.
pub fn traffic(text: &[u8]) -> Vec<(Vec<u8>, Traffic)> {
    text.split(|&b| b == b'\n').skip(2).filter_map(interface).collect()
}

fn interface(line: &[u8]) -> Option<(Vec<u8>, Traffic)> {
    let colon = line.iter().position(|&b| b == b':')?;
    let name = line[..colon].trim_ascii();
    let mut numbers = words::of(&line[colon + 1..]).map_while(words::unsigned);
    let mut next = || numbers.next().unwrap_or(0);
    let traffic = Traffic {
        rx_bytes: next(),
        rx_packets: next(),
        rx_errors: next(),
        rx_dropped: next(),
        rx_fifo: next(),
        rx_frame: next(),
        rx_compressed: next(),
        rx_multicast: next(),
        tx_bytes: next(),
        tx_packets: next(),
        tx_errors: next(),
        tx_dropped: next(),
        tx_fifo: next(),
        collisions: next(),
        tx_carrier: next(),
        tx_compressed: next(),
    };
    (!name.is_empty()).then(|| (name.to_vec(), traffic))
}

/// Reads /proc/net/if_inet6: interfaces and their addresses, in the file's order.
pub fn inet6(text: &[u8]) -> Vec<(Vec<u8>, Inet6Address)> {
    text.split(|&b| b == b'\n').filter_map(address).collect()
}

fn address(line: &[u8]) -> Option<(Vec<u8>, Inet6Address)> {
    let mut words = words::of(line);
    let address = address6(words.next()?)?;
    let _index = words.next()?;
    let byte = |word| u8::try_from(words::hex::<2>(word)?).ok();
    let prefix = byte(words.next()?)?;
    let scope = byte(words.next()?)?;
    let _flags = words.next()?;
    Some((words.next()?.to_vec(), Inet6Address { address, prefix, scope }))
}

/// netstat's order: by what stands before a name's number, by that number, aliases (`eth1:2`) by theirs after their
/// interface.
fn by_name(a: &[u8], b: &[u8]) -> Ordering {
    key(a).cmp(&key(b)).then_with(|| a.cmp(b))
}

/// What stands before the number, the number, the interface's whole name, the alias's number.
type NameKey<'a> = (&'a [u8], Option<Number<'a>>, &'a [u8], Option<Number<'a>>);

fn key(name: &[u8]) -> NameKey<'_> {
    let (front, digits) = split_number(name);
    match (front.strip_suffix(b":"), digits) {
        (Some(base), Some(alias)) => {
            let (front, number) = split_number(base);
            (front, number.map(number_of), base, Some(number_of(alias)))
        }
        _ => (front, digits.map(number_of), name, None),
    }
}

/// A number of any size, ordered by value: its digits' count, then the digits.
type Number<'a> = (usize, &'a [u8]);

fn number_of(digits: &[u8]) -> Number<'_> {
    let zeros = digits.iter().take_while(|&&b| b == b'0').count();
    (digits.len() - zeros, &digits[zeros..])
}

/// A name's digits at the end, and what stands before them.
fn split_number(name: &[u8]) -> (&[u8], Option<&[u8]>) {
    let front = name.iter().rposition(|b| !b.is_ascii_digit()).map_or(0, |last| last + 1);
    (&name[..front], (front < name.len()).then(|| &name[front..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Orders netstat printed.
    #[test]
    fn names_in_order() {
        for sorted in [
            &[
                "1abc",
                "averylongname15",
                "br0",
                "eth01",
                "eth1",
                "eth1:9",
                "eth1:10",
                "eth2",
                "eth10",
                "eth1:foo",
                "lo",
            ][..],
            &["0", "0:9", "0:foo", "br-1a", "br-1a:10", "eth0", "eth0:2", "eth00", "eth1", "eth10", "eth0:a1", "eth0a"],
            &["enp0s3", "enp0s10", "enp10s3", "eth1", "eth9", "eth20", "eth1-2", "eth1.10", "lo"],
            &["a1", "a18446744073709551616", "a18446744073709551617"],
        ] {
            let mut names = sorted.to_vec();
            names.reverse();
            names.sort_by(|a, b| by_name(a.as_bytes(), b.as_bytes()));
            assert_eq!(names, sorted);
        }
    }

    #[test]
    fn traffic_by_interface() {
        let text = b"Inter-|   Receive\n face |bytes\n    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n\
            averylongname15:18446744073709551616 2\nbad\n : 1\n";
        let read = traffic(text);
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].0, b"lo");
        assert_eq!((read[0].1.rx_bytes, read[0].1.collisions, read[0].1.tx_compressed), (1, 14, 16));
        assert_eq!(
            read[1],
            (b"averylongname15".to_vec(), Traffic { rx_bytes: u64::MAX, rx_packets: 2, ..Traffic::default() })
        );
        assert_eq!(traffic(b""), []);
    }

    #[test]
    fn ipv6_addresses() {
        let text = b"fe800000000000000000000000000001 02 40 20 80     eth0\nbad\n00000000000000000000000000000001 01 80 10 80\n";
        let address = Inet6Address { address: "fe80::1".parse().unwrap(), prefix: 64, scope: 0x20 };
        assert_eq!(inet6(text), [(b"eth0".to_vec(), address)]);
    }

    #[test]
    fn loopback_is_found() {
        let found = read(Path::new("/proc"), true).unwrap();
        let lo = found.interfaces.iter().find(|interface| interface.name == b"lo").unwrap();
        assert_eq!(lo.hardware, Some(772));
        assert!(lo.counters.is_some());
        assert!(read(Path::new("/none/such"), true).unwrap().limited.is_some());
    }
}
