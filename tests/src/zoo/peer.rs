//! A peer that exists only as packets: it answers what it is asked to answer and is silent otherwise, so that a real
//! socket can be led into any TCP state and left there.
//!
//! The peer's addresses are routed into a sink ([`Sink`]) where nobody lives. A packet socket sees what the kernel sends
//! there; answers are injected with a raw socket and come in over loopback.

use nix::libc;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::process::Command;
use std::time::{Duration, Instant};

/// TCP flag bits of RFC 9293.
pub mod flag {
    /// No more data from the sender.
    pub const FIN: u8 = 1;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 2;
    /// Push.
    pub const PSH: u8 = 8;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 16;
}

/// First two octets of every forged peer.
const SINK_NET: &str = "198.51.0.0/16";
const PATIENCE: Duration = Duration::from_secs(5);

/// Where packets vanish: a veth whose other end throws away what is not meant for it.
#[derive(Debug)]
pub struct Sink {
    packets: Socket,
    raw: Socket,
}

/// The far end of one connection.
#[derive(Debug)]
pub struct Peer {
    near: SocketAddrV4,
    far: SocketAddrV4,
    /// Next sequence number the peer sends.
    seq: u32,
    /// Next sequence number the peer expects.
    ack: u32,
    window: u16,
}

/// Runs `ip` with the words of `line`.
///
/// # Panics
/// When iproute2 is missing or refuses.
pub fn ip(line: &str) {
    let output = Command::new("ip").args(line.split_whitespace()).output().expect("run ip (package iproute2)");
    assert!(output.status.success(), "ip {line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Writes a kernel setting of the calling thread's namespace.
///
/// # Panics
/// When the kernel has no such setting.
pub fn sysctl(name: &str, value: &str) {
    let path = format!("/proc/sys/net/{name}");
    std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path} = {value}: {error}"));
}

struct Segment {
    from: SocketAddrV4,
    to: SocketAddrV4,
    seq: u32,
    flags: u8,
}

fn parse(packet: &[u8]) -> Option<Segment> {
    let header = usize::from(packet.first()? & 15) * 4;
    if packet[0] >> 4 != 4 || *packet.get(9)? != 6 {
        return None;
    }
    let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
    let tcp = packet.get(header..)?;
    let port = |at: usize| Some(u16::from_be_bytes(tcp.get(at..at + 2)?.try_into().ok()?));
    Some(Segment {
        from: SocketAddrV4::new(address(12)?, port(0)?),
        to: SocketAddrV4::new(address(16)?, port(2)?),
        seq: u32::from_be_bytes(tcp.get(4..8)?.try_into().ok()?),
        flags: *tcp.get(13)?,
    })
}

fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

impl Sink {
    /// Lays the sink in the calling thread's namespace and routes the peers' addresses into it. An IPv6 network,
    /// `2001:db8:51::/48`, leads there too.
    ///
    /// # Errors
    /// When a socket cannot be made.
    ///
    /// # Panics
    /// When an interface cannot be made.
    pub fn new() -> io::Result<Self> {
        sysctl("ipv4/conf/all/rp_filter", "0");
        ip("link add sink0 arp off type veth peer name sink1 arp off");
        sysctl("ipv4/conf/sink0/rp_filter", "0");
        sysctl("ipv6/conf/sink0/accept_dad", "0");
        sysctl("ipv6/conf/sink1/disable_ipv6", "1");
        ip("link set sink0 up");
        ip("link set sink1 up");
        ip("addr add 192.0.2.1/24 dev sink0");
        ip("addr add 2001:db8:1234:5678:9abc:def0:1234:5678/64 dev sink0 nodad");
        ip(&format!("route add {SINK_NET} dev sink0"));
        ip("-6 route add 2001:db8:51::/48 dev sink0");
        let all = Protocol::from(i32::from(0x0800_u16.to_be()));
        let packets = Socket::new(Domain::PACKET, Type::DGRAM, Some(all))?;
        packets.set_read_timeout(Some(Duration::from_millis(50)))?;
        let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
        Ok(Self { packets, raw })
    }

    /// Waits for a segment to `far` with all of `flags` set.
    fn expect(&self, far: SocketAddrV4, flags: u8) -> io::Result<Segment> {
        let deadline = Instant::now() + PATIENCE;
        let mut packet = [0; 2048];
        while Instant::now() < deadline {
            let Ok(length) = (&self.packets).read(&mut packet) else { continue };
            match parse(&packet[..length]) {
                Some(segment) if segment.to == far && segment.flags & flags == flags => return Ok(segment),
                _ => {}
            }
        }
        Err(io::Error::other(format!("nothing with flags {flags:#x} was sent to {far}")))
    }

    /// Sends `payload` and `flags` as `peer`.
    ///
    /// # Errors
    /// When the raw socket refuses.
    pub fn send(&self, peer: &mut Peer, flags: u8, payload: &[u8]) -> io::Result<()> {
        let mut tcp = Vec::new();
        tcp.extend(peer.far.port().to_be_bytes());
        tcp.extend(peer.near.port().to_be_bytes());
        tcp.extend(peer.seq.to_be_bytes());
        tcp.extend((if flags & flag::ACK == 0 { 0 } else { peer.ack }).to_be_bytes());
        tcp.extend([5 << 4, flags]);
        tcp.extend(peer.window.to_be_bytes());
        tcp.extend([0; 4]);
        tcp.extend(payload);
        let (far, near) = (peer.far.ip().octets(), peer.near.ip().octets());
        let length = u16::try_from(tcp.len()).map_err(io::Error::other)?;
        let sum = checksum(&[&far, &near, &[0, 6], &length.to_be_bytes(), &tcp]);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());

        // The kernel fills in the total length, the identification and the header's checksum.
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0];
        packet.extend(far);
        packet.extend(near);
        packet.extend(tcp);
        self.raw.send_to(&packet, &SockAddr::from(SocketAddr::V4(SocketAddrV4::new(*peer.near.ip(), 0))))?;
        let counted = u32::from(flags & flag::SYN != 0) + u32::from(flags & flag::FIN != 0);
        peer.seq = peer.seq.wrapping_add(counted + u32::from(length) - 20);
        Ok(())
    }

    /// A socket on the way to a peer that never answers: `SYN_SENT`.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn calling(&self, far: SocketAddr) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(far), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        match socket.connect(&far.into()) {
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(socket),
            Err(error) => Err(error),
            Ok(()) => Err(io::Error::other(format!("somebody answered at {far}"))),
        }
    }

    /// A socket connected to a forged peer with this receive window.
    ///
    /// # Errors
    /// When the connection does not come about.
    pub fn connected(&self, far: SocketAddrV4, window: u16) -> io::Result<(Socket, Peer)> {
        let socket = self.calling(far.into())?;
        let syn = self.expect(far, flag::SYN)?;
        let mut peer = Peer { near: syn.from, far, seq: 7000, ack: syn.seq.wrapping_add(1), window };
        self.send(&mut peer, flag::SYN | flag::ACK, b"")?;
        self.expect(far, flag::ACK)?;
        Ok((socket, peer))
    }

    /// Knocks at a listener and does not go on: the listener's side stays in `SYN_RECV`.
    ///
    /// # Errors
    /// When the raw socket refuses, or nobody listens.
    pub fn knock(&self, far: SocketAddrV4, near: SocketAddrV4) -> io::Result<()> {
        let mut peer = Peer { near, far, seq: 9000, ack: 0, window: 1024 };
        self.send(&mut peer, flag::SYN, b"")?;
        self.expect(far, flag::SYN | flag::ACK).map(|_| ())
    }

    /// Waits for the socket's FIN, and acknowledges it if asked.
    ///
    /// # Errors
    /// When no FIN comes.
    pub fn see_fin(&self, peer: &mut Peer, acknowledge: bool) -> io::Result<()> {
        let fin = self.expect(peer.far, flag::FIN)?;
        if acknowledge {
            peer.ack = fin.seq.wrapping_add(1);
            self.send(peer, flag::ACK, b"")?;
        }
        Ok(())
    }
}
