//! UDP, UDP-Lite and raw sockets, and the kinds that netstat does not show.

use super::{Keep, keep};
use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;

fn socket(kind: Type, protocol: i32, local: &str, remote: Option<&str>) -> io::Result<Socket> {
    let local: SocketAddr = local.parse().map_err(io::Error::other)?;
    let socket = Socket::new(Domain::for_address(local), kind, Some(Protocol::from(protocol)))?;
    if kind == Type::RAW || local.port() != 0 || !local.ip().is_unspecified() {
        socket.bind(&local.into())?;
    }
    if let Some(remote) = remote {
        let remote: SocketAddr = remote.parse().map_err(io::Error::other)?;
        socket.connect(&remote.into())?;
    }
    Ok(socket)
}

/// Datagram and raw sockets, unconnected, bound and connected, with and without waiting data; UDP-Lite where the kernel
/// has it; a ping, a packet and a netlink socket, which no table may show.
///
/// # Errors
/// When a socket cannot be made.
pub fn zoo() -> io::Result<Keep> {
    let udp = |local, remote| socket(Type::DGRAM, libc::IPPROTO_UDP, local, remote);
    let full = udp("127.0.0.1:5353", None)?;
    let sender = udp("127.0.0.1:5354", Some("127.0.0.1:5353"))?;
    for _ in 0..3 {
        sender.send(&[b'x'; 50])?;
    }
    let full6 = udp("[::1]:5353", None)?;
    let sender6 = udp("[::1]:5354", Some("[::1]:5353"))?;
    sender6.send(&[b'x'; 500])?;

    let mut sockets = vec![
        full,
        sender,
        full6,
        sender6,
        udp("0.0.0.0:68", None)?,
        udp("0.0.0.0:65535", None)?,
        udp("0.0.0.0:0", Some("127.0.0.9:53"))?,
        udp("192.0.2.1:123", Some("198.51.100.77:123"))?,
        udp("[::]:547", None)?,
        udp("[::]:1069", Some("[::ffff:127.0.0.1]:69"))?,
        udp("[::]:0", Some("[2001:db8:51:52:5354:5556:5758:595a]:54321"))?,
        udp("[2001:db8:1234:5678:9abc:def0:1234:5678]:65535", None)?,
    ];

    let raw = |protocol, local, remote| socket(Type::RAW, protocol, local, remote);
    let icmp = raw(libc::IPPROTO_ICMP, "0.0.0.0:0", None)?;
    sockets.extend([
        icmp,
        raw(libc::IPPROTO_ICMP, "127.0.0.1:0", None)?,
        raw(libc::IPPROTO_ICMP, "127.0.0.1:0", Some("127.0.0.2:0"))?,
        raw(libc::IPPROTO_TCP, "0.0.0.0:0", None)?,
        raw(libc::IPPROTO_RAW, "0.0.0.0:0", None)?,
        raw(89, "0.0.0.0:0", None)?,
        raw(253, "0.0.0.0:0", None)?,
        raw(libc::IPPROTO_ICMPV6, "[::]:0", None)?,
        raw(libc::IPPROTO_ICMPV6, "[::1]:0", Some("[::1]:0"))?,
        raw(103, "[2001:db8:1234:5678:9abc:def0:1234:5678]:0", None)?,
    ]);
    // Two echo requests to oneself: the ICMP sockets above hold them, and their answers.
    let echo = [8, 0, 0xf7, 0xff, 0, 0, 0, 0];
    sockets[0].send_to(&[b'x'; 4], &"127.0.0.1:5353".parse::<SocketAddr>().map_err(io::Error::other)?.into())?;
    let ping = raw(libc::IPPROTO_ICMP, "0.0.0.0:0", Some("127.0.0.1:0"))?;
    ping.send(&echo)?;
    sockets.push(ping);

    // A kernel without UDP-Lite refuses; the captured tables show it then.
    for (local, remote) in [("127.0.0.1:4000", None), ("127.0.0.1:4001", Some("127.0.0.1:4000")), ("[::1]:4002", None)]
    {
        sockets.extend(socket(Type::DGRAM, libc::IPPROTO_UDPLITE, local, remote));
    }

    sockets.push(Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(0)))?);
    sockets.push(Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(Protocol::from(0)))?);
    // Ping sockets are open to the groups of net.ipv4.ping_group_range only.
    sockets.extend(Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::ICMPV4)));
    Ok(keep(sockets))
}
