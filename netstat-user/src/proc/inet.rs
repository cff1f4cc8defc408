//! Readers of /proc/net/{tcp,tcp6,udp,udp6,udplite,udplite6,raw,raw6}.

use super::cursor::Cursor;
use super::lines::Lines;
use crate::model::{Endpoint, Proto, SocketRow, SocketTable, Timer};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// The file of a protocol, under the root of /proc.
pub const fn file(proto: Proto) -> &'static str {
    match proto {
        Proto::Tcp => "net/tcp",
        Proto::Tcp6 => "net/tcp6",
        Proto::Udp => "net/udp",
        Proto::Udp6 => "net/udp6",
        Proto::UdpLite => "net/udplite",
        Proto::UdpLite6 => "net/udplite6",
        Proto::Raw => "net/raw",
        Proto::Raw6 => "net/raw6",
    }
}

/// Reads the rows of a protocol that `keep` wants.
///
/// # Errors
/// The file could not be read; `NotFound` where the kernel has no such protocol.
pub fn read(root: &Path, proto: Proto, keep: impl Fn(&SocketRow) -> bool) -> io::Result<SocketTable> {
    let mut table = SocketTable::default();
    let mut lines = Lines::open(&root.join(file(proto)))?;
    let mut heading = true;
    while let Some(line) = lines.line()? {
        if std::mem::take(&mut heading) {
            continue;
        }
        match row(line, proto) {
            Some(row) if keep(&row) => table.rows.push(row),
            Some(_) => {}
            None => table.bogus += 1,
        }
    }
    // One read(2) is consistent in itself: only what took more can list a socket twice.
    if proto.is_tcp() && lines.reads() > 1 {
        drop_repeated(&mut table.rows);
    }
    Ok(table)
}

/// Leaves out the second row of a connection. While the table is read a socket changes its state, and then the kernel
/// lists what becomes of it (an accepted connection after its request, TIME_WAIT after the socket) a second time.
/// Two living sockets with the same ends, on different devices or ports shared on purpose, are two.
fn drop_repeated(rows: &mut Vec<SocketRow>) {
    // The ends are the choice of whoever makes the connections: its hashes differ from run to run.
    let mut seen: HashMap<(Endpoint, Endpoint), u64> = HashMap::with_capacity(rows.len());
    rows.retain(|row| match seen.entry((row.local, row.remote)) {
        Entry::Vacant(vacant) => {
            vacant.insert(row.inode);
            true
        }
        Entry::Occupied(first) => {
            let first = *first.get();
            first != row.inode && first != 0 && row.inode != 0
        }
    });
}

/// One line, without its newline: `sl: local remote state tx:rx timer:when retransmits uid probes inode ...`, addresses and
/// queues in hexadecimal (`get_tcp4_sock` and its like in the kernel). `None` where the line is cut short or out of range.
pub fn row(line: &[u8], proto: Proto) -> Option<SocketRow> {
    let mut line = Cursor::new(line);
    line.blanks();
    line.decimal()?;
    line.byte(b':')?;
    let local = endpoint(&mut line)?;
    let remote = endpoint(&mut line)?;
    line.blanks();
    let state = u8::try_from(line.hex()?).ok()?;
    line.blanks();
    let send_q = line.hex()?;
    line.byte(b':')?;
    let recv_q = line.hex()?;
    line.blanks();
    let kind = u32::try_from(line.hex()?).ok()?;
    line.byte(b':')?;
    let expires = line.hex()?;
    line.blanks();
    let retransmits = line.hex()?;
    line.blanks();
    let uid = u32::try_from(line.decimal()?).ok()?;
    line.blanks();
    let probes = line.decimal()?;
    line.blanks();
    let inode = line.decimal()?;
    let timer = Timer { kind, expires, retransmits, probes };
    Some(SocketRow { proto, local, remote, state, recv_q, send_q, uid, inode, timer, cookie: None, netns: None })
}

/// `ADDRESS:PORT`: the address as 32-bit words in the machine's byte order, one for IPv4 and four for IPv6.
fn endpoint(line: &mut Cursor<'_>) -> Option<Endpoint> {
    line.blanks();
    let digits = line.hex_run();
    let addr = match digits.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(digits)?)),
        32 => {
            let mut octets = [0; 16];
            for (to, from) in octets.chunks_exact_mut(4).zip(digits.chunks_exact(8)) {
                to.copy_from_slice(&word(from)?);
            }
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    line.byte(b':')?;
    let port = u16::try_from(line.hex()?).ok()?;
    Some(Endpoint { addr, port })
}

fn word(digits: &[u8]) -> Option<[u8; 4]> {
    Some(u32::try_from(Cursor::new(digits).hex()?).ok()?.to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &[u8] = b"   0: 0100007F:0050 0302010A:FFFF 01 0000000A:00000102 02:000007D0 00000003  1000        4 \
        123456 2 0000000000000000 20 4 30 10 -1";
    const TCP6: &[u8] = b"  12: 00000000000000000000000001000000:0016 0000000000000000FFFF00000100007F:0000 0A \
        00000000:00000000 00:00000000 00000000     0        0 99 1 0000000000000000 100 0 0 10 0";

    #[test]
    fn rows() {
        let found = row(TCP, Proto::Tcp).unwrap();
        assert_eq!(found.local, Endpoint { addr: "127.0.0.1".parse().unwrap(), port: 80 });
        assert_eq!(found.remote, Endpoint { addr: "10.1.2.3".parse().unwrap(), port: 65535 });
        assert_eq!((found.state, found.send_q, found.recv_q), (1, 10, 0x102));
        assert_eq!((found.uid, found.inode), (1000, 123_456));
        assert_eq!(found.timer, Timer { kind: 2, expires: 2000, retransmits: 3, probes: 4 });

        let found = row(TCP6, Proto::Tcp6).unwrap();
        assert_eq!(found.local, Endpoint { addr: "::1".parse().unwrap(), port: 22 });
        assert_eq!(found.remote.addr, "::ffff:127.0.0.1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn a_socket_is_listed_once() {
        let socket = row(TCP, Proto::Tcp).unwrap();
        let time_wait = SocketRow { state: 6, inode: 0, ..socket };
        let on_another_device = SocketRow { inode: 5, ..socket };
        let other = SocketRow { inode: 0, local: socket.remote, ..socket };
        let mut rows = vec![socket, other, time_wait, on_another_device, socket];
        drop_repeated(&mut rows);
        assert_eq!(rows, [socket, other, on_another_device]);

        let mut rows = vec![time_wait, socket];
        drop_repeated(&mut rows);
        assert_eq!(rows, [time_wait]);
    }

    #[test]
    fn what_is_cut_short_or_out_of_range_is_no_row() {
        let inode = TCP.windows(6).position(|part| part == b"123456").unwrap();
        for length in 0..inode {
            assert_eq!(row(&TCP[..length], Proto::Tcp), None, "{length} bytes");
        }
        let text = std::str::from_utf8(TCP).unwrap();
        for (from, to) in [
            (":FFFF", ":10000"),
            ("0100007F", "0100007"),
            (" 01 ", " 100 "),
            ("0000000A", "FFFFFFFFFFFFFFFFF"),
            (" 1000 ", " 4294967296 "),
            ("123456", "18446744073709551616"),
            (" 1000 ", " -1 "),
        ] {
            assert_eq!(row(text.replacen(from, to, 1).as_bytes(), Proto::Tcp), None, "{from} → {to}");
        }
        assert_eq!(row(b"\0\xff\x1b", Proto::Tcp), None);
    }
}
