//! The databases that are plain files: what the C library's own "files" source reads in them, and nsswitch.conf, which
//! says where that source stands.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How the answers of a database come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameSource {
    /// From the file alone.
    File,
    /// From the file, and where it has no answer from the C library.
    FileFirst,
    /// From the C library: the file is not asked first, or in an unusual way.
    Library,
}

/// Where the answers of a database come from, by nsswitch.conf. What is not said there is left to the C library.
pub fn source(nsswitch: &[u8], database: &[u8]) -> NameSource {
    let mut words = words(sources(nsswitch, database));
    match (words.next(), words.next()) {
        (Some(b"files"), None) => NameSource::File,
        // "[NOTFOUND=return]" and the like change what comes next.
        (Some(b"files"), Some(next)) if !next.starts_with(b"[") => NameSource::FileFirst,
        _ => NameSource::Library,
    }
}

/// Whether a database that is read as a whole is in its file alone; "db" is nothing where it has no database.
pub fn is_file_alone(nsswitch: &[u8], database: &[u8], has_db: bool) -> bool {
    let mut words = words(sources(nsswitch, database)).filter(|&word| has_db || word != b"db");
    words.next() == Some(b"files") && words.next().is_none()
}

/// What stands behind the colon of a database, nothing where it has no line.
fn sources<'a>(nsswitch: &'a [u8], database: &[u8]) -> &'a [u8] {
    let found = lines(nsswitch).find_map(|line| {
        let (name, sources) = line.split_at(line.iter().position(|&b| b == b':')?);
        (name.trim_ascii() == database).then_some(&sources[1..])
    });
    found.unwrap_or_default()
}

/// Addresses and canonical names in /etc/hosts; the first of an address counts.
pub fn hosts(file: &[u8]) -> impl Iterator<Item = (IpAddr, &[u8])> {
    lines(file).flat_map(|line| {
        let mut words = words(line);
        let (address, name) = (words.next().and_then(parse), words.next());
        // To a question for an IPv4 address the C library reads these IPv6 addresses as IPv4.
        let also = match address {
            Some(IpAddr::V6(Ipv6Addr::LOCALHOST)) => Some(Ipv4Addr::LOCALHOST),
            Some(IpAddr::V6(address)) => address.to_ipv4_mapped(),
            _ => None,
        };
        [address, also.map(IpAddr::V4)].into_iter().flatten().filter_map(move |address| Some((address, name?)))
    })
}

/// Networks and names in /etc/networks; a network may lack its last numbers.
pub fn networks(file: &[u8]) -> impl Iterator<Item = (Ipv4Addr, &[u8])> {
    lines(file).filter_map(|line| {
        let mut words = words(line);
        let (name, network) = (words.next()?, words.next()?);
        let mut octets = [0; 4];
        for (at, part) in network.split(|&b| b == b'.').enumerate() {
            *octets.get_mut(at)? = parse(part)?;
        }
        Some((octets.into(), name))
    })
}

/// Users and names in /etc/passwd.
pub fn users(file: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    lines(file).filter_map(|line| {
        let mut fields = line.trim_ascii_start().split(|&b| b == b':');
        let (name, uid) = (fields.next()?, fields.nth(1)?);
        // Entries of the "compat" source.
        (!matches!(name.first(), Some(b'+' | b'-'))).then_some((parse(uid)?, name))
    })
}

/// Protocols, ports and names in /etc/services.
pub fn services(file: &[u8]) -> impl Iterator<Item = (&[u8], u16, &[u8])> {
    lines(file).filter_map(|line| {
        let mut words = words(line);
        let (name, port) = (words.next()?, words.next()?);
        let (port, protocol) = port.split_at(port.iter().position(|&b| b == b'/')?);
        Some((&protocol[1..], parse(port)?, name))
    })
}

/// Numbers and names in /etc/protocols.
pub fn protocols(file: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    lines(file).filter_map(|line| {
        let mut words = words(line);
        let name = words.next()?;
        Some((parse(words.next()?)?, name))
    })
}

/// Lines without their comments.
fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', file).chain([file.len()]);
    ends.map(move |end| {
        let line = &file[start..end];
        start = end + 1;
        &line[..memchr::memchr(b'#', line).unwrap_or(line.len())]
    })
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

fn parse<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nsswitch_lines() {
        let nsswitch =
            b"# comment: files\n hosts :\tfiles dns # x\npasswd: files\ngroup: files [NOTFOUND=return] nis\n\
            shadow: sss files\nempty:\nservices: db files\nprotocols: files nis\n";
        for (database, expected) in [
            ("hosts", NameSource::FileFirst),
            ("passwd", NameSource::File),
            ("group", NameSource::Library),
            ("shadow", NameSource::Library),
            ("empty", NameSource::Library),
            ("comment", NameSource::Library),
            ("services", NameSource::Library),
        ] {
            assert_eq!(source(nsswitch, database.as_bytes()), expected, "{database}");
        }
        assert!(is_file_alone(nsswitch, b"services", false));
        assert!(!is_file_alone(nsswitch, b"services", true));
        assert!(is_file_alone(nsswitch, b"passwd", true));
        assert!(!is_file_alone(nsswitch, b"protocols", false));
        assert!(!is_file_alone(nsswitch, b"missing", false));
        assert!(!is_file_alone(nsswitch, b"empty", false));
    }

    #[test]
    fn hosts_lines() {
        let file =
            b"127.0.0.1 localhost lo\n#1.2.3.4 x\n::1 ip6-localhost\n  10.0.0.1\tten # eleven\n::ffff:10.0.0.2 map\n\
            10.0.0.3\nfe80::1%eth0 scoped\nrubbish";
        let rows: Vec<_> = hosts(file).map(|(a, n)| (a.to_string(), str::from_utf8(n).unwrap())).collect();
        assert_eq!(
            rows,
            [
                ("127.0.0.1".to_owned(), "localhost"),
                ("::1".to_owned(), "ip6-localhost"),
                ("127.0.0.1".to_owned(), "ip6-localhost"),
                ("10.0.0.1".to_owned(), "ten"),
                ("::ffff:10.0.0.2".to_owned(), "map"),
                ("10.0.0.2".to_owned(), "map"),
            ]
        );
    }

    #[test]
    fn other_lines() {
        let names: Vec<_> = users(b"root:x:0:0:::\n+nis:x:5::\n:x:6:\nbad:x:-1:\nlast:x:4294967295").collect();
        assert_eq!(names, [(0, &b"root"[..]), (6, b""), (u32::MAX, b"last")]);
        let names: Vec<_> = services(b"ssh\t22/tcp # x\nwww 80/tcp http\nnone\nbig 70000/udp\ndns 53/udp").collect();
        assert_eq!(names, [(&b"tcp"[..], 22, &b"ssh"[..]), (b"tcp", 80, b"www"), (b"udp", 53, b"dns")]);
        let names: Vec<_> = protocols(b"ip 0 IP\nicmp 1\nx\n").collect();
        assert_eq!(names, [(0, &b"ip"[..]), (1, b"icmp")]);
        let names: Vec<_> =
            networks(b"loopback 127.0.0.0\nten 10\nfar 192.168.7\nbad 1.2.3.4.5\nworse a.b\n").collect();
        assert_eq!(
            names,
            [
                (Ipv4Addr::new(127, 0, 0, 0), &b"loopback"[..]),
                (Ipv4Addr::new(10, 0, 0, 0), b"ten"),
                (Ipv4Addr::new(192, 168, 7, 0), b"far"),
            ]
        );
    }
}
