//! The addresses that are a network namespace's own: those that packets to are delivered to its sockets.

use super::whole;
use crate::sys::unless_scarce;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// The addresses of the namespace whose `net/` is below `root`; loopback's are among them. Of what is not there, or may not be read, there are none.
///
/// # Errors
/// Something ran out.
pub fn own(root: &Path) -> io::Result<Vec<IpAddr>> {
    let read = |file: &str| unless_scarce(whole(&root.join("net").join(file))).map(Option::unwrap_or_default);
    let v4 = ipv4(&read("fib_trie")?).into_iter().map(IpAddr::V4);
    Ok(v4.chain(ipv6(&read("if_inet6")?).into_iter().map(IpAddr::V6)).collect())
}

/// From /proc/net/fib_trie: a leaf is `|-- ADDRESS`, and below it stands `/32 host LOCAL` for an own address. Each stands there once for
/// each of the two tables that have it.
fn ipv4(text: &[u8]) -> Vec<Ipv4Addr> {
    let (mut found, mut leaf) = (Vec::new(), None::<Ipv4Addr>);
    for line in String::from_utf8_lossy(text).lines() {
        match line.trim().split_once(' ') {
            Some(("|--", addr)) => leaf = addr.parse().ok(),
            Some(("/32", "host LOCAL")) => found.extend(leaf),
            _ => {}
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// From /proc/net/if_inet6: the address is the first word, 32 hexadecimal digits.
fn ipv6(text: &[u8]) -> Vec<Ipv6Addr> {
    let address = |line: &str| {
        let digits = line.split_ascii_whitespace().next().filter(|digits| digits.len() == 32)?;
        u128::from_str_radix(digits, 16).ok().map(Ipv6Addr::from)
    };
    String::from_utf8_lossy(text).lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     +-- 10.0.0.0/24 2 0 2\n\
                    \x20       |-- 10.0.0.0\n           /24 link UNICAST\n        |-- 10.0.0.5\n           /32 host LOCAL\n\
                    \x20       |-- 10.0.0.255\n           /32 link BROADCAST\nLocal:\n     |-- 10.0.0.5\n        /32 host LOCAL\n\
                    \x20    |-- 127.0.0.0\n        /8 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        assert_eq!(ipv4(trie.as_bytes()), [Ipv4Addr::new(10, 0, 0, 5), Ipv4Addr::LOCALHOST]);
        let inet6 = "00000000000000000000000000000001 01 80 10 80       lo\nfe80000000000000004200fffe000001 02 40 20 80     eth0\nx\n";
        assert_eq!(ipv6(inet6.as_bytes()), [Ipv6Addr::LOCALHOST, "fe80::42:ff:fe00:1".parse::<Ipv6Addr>().unwrap()]);
        assert_eq!((ipv4(b"\xff\n"), ipv6(b"")), (vec![], vec![]));
    }

    #[test]
    fn our_own() {
        assert!(own(Path::new("/nonexistent")).unwrap().is_empty());
        if own(Path::new("/proc/self")).unwrap().iter().any(IpAddr::is_loopback) {
            assert!(std::net::UdpSocket::bind(own(Path::new("/proc/self")).unwrap()[0].to_string() + ":0").is_ok());
        }
    }
}
