//! A network interface whose far side the test plays by hand, segment by segment: for peers that no kernel can be made to be.
//!
//! [`Wire::tun`] has the addresses [`HERE`] (the kernel's) and, on the far side, every other one of 10.9.0.0/16.

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Socket, Type};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::thread;
use std::time::{Duration, Instant};

/// The kernel's address on the wire.
pub const HERE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// An address of the test's, on the far side.
pub const THERE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

pub const FIN: u8 = 1;
pub const SYN: u8 = 1 << 1;
pub const RST: u8 = 1 << 2;
pub const ACK: u8 = 1 << 4;

/// Codes of an ICMP message "destination unreachable" (RFC 792, RFC 1122).
pub const NET_UNREACHABLE: u8 = 0;
pub const HOST_UNREACHABLE: u8 = 1;
pub const PROTOCOL_UNREACHABLE: u8 = 2;
pub const SOURCE_ROUTE_FAILED: u8 = 5;

const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_TCP: u8 = 6;
const IP_HEADER: usize = 20;
const TCP_HEADER: usize = 20;

/// A TCP segment, without options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub from: SocketAddrV4,
    pub to: SocketAddrV4,
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    /// How many bytes of payload it has: an even number of zeros, where it is sent.
    pub payload: usize,
}

/// The interface. It lives as long as this does.
pub struct Wire {
    file: File,
}

/// `struct ifreq`: a name, and what an `ioctl` takes or gives.
#[repr(C, align(8))]
struct Request {
    name: [u8; 16],
    data: [u8; 24],
}

impl Request {
    const NAME: &[u8; 5] = b"wire0";

    fn new(data: &[u8]) -> Self {
        let mut request = Self { name: [0; 16], data: [0; 24] };
        request.name[..Self::NAME.len()].copy_from_slice(Self::NAME);
        request.data[..data.len()].copy_from_slice(data);
        request
    }

    /// With a `struct sockaddr_in`.
    fn address(address: Ipv4Addr) -> Self {
        let mut data = [0; 8];
        data[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
        data[4..].copy_from_slice(&address.octets());
        Self::new(&data)
    }

    fn make(mut self, fd: RawFd, what: u64) -> io::Result<()> {
        // SAFETY: each of these requests reads and writes one `struct ifreq`, which this is by size and alignment.
        let result = unsafe { libc::ioctl(fd, what as _, &raw mut self) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl Wire {
    /// An interface for IP packets in the calling thread's namespace. Needs `CAP_NET_ADMIN` and `/dev/net/tun`.
    pub fn tun() -> io::Result<Self> {
        Self::new(libc::IFF_TUN)
    }

    /// An interface for Ethernet frames, where nobody answers when the kernel asks for an address (ARP).
    pub fn tap() -> io::Result<Self> {
        Self::new(libc::IFF_TAP)
    }

    fn new(kind: libc::c_int) -> io::Result<Self> {
        const TUNSETIFF: u64 = 0x4004_54ca;
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
        let flags = (kind | libc::IFF_NO_PI) as u16;
        Request::new(&flags.to_ne_bytes()).make(file.as_raw_fd(), TUNSETIFF)?;
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        let ask = |request: Request, what: u64| request.make(socket.as_raw_fd(), what);
        ask(Request::address(HERE), libc::SIOCSIFADDR)?;
        ask(Request::address(Ipv4Addr::new(255, 255, 0, 0)), libc::SIOCSIFNETMASK)?;
        ask(Request::new(&(libc::IFF_UP as u16).to_ne_bytes()), libc::SIOCSIFFLAGS)?;
        Ok(Self { file })
    }

    /// Connects a socket to a port of the far side, which takes the connection.
    pub fn take(&self, socket: &Socket, port: u16) {
        thread::scope(|scope| {
            let connects = scope.spawn(|| socket.connect(&there(port).into()));
            let syn = self.expect(SYN);
            self.send(&Segment { seq: 5000, ..syn.answer(SYN | ACK) });
            connects.join().unwrap().unwrap();
        });
    }

    /// The next TCP segment that the kernel sends, `None` if none comes for so long.
    pub fn receive(&self, patience: Duration) -> Option<Segment> {
        let deadline = Instant::now() + patience;
        let mut packet = [0; 2048];
        loop {
            match (&self.file).read(&mut packet) {
                Ok(length) => {
                    if let Some(segment) = Segment::parse(&packet[..length]) {
                        return Some(segment);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    let mut ready = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
                    poll(&mut ready, PollTimeout::try_from(left).unwrap()).unwrap();
                }
                Err(error) => panic!("cannot read from the wire: {error}"),
            }
        }
    }

    /// The next segment with all of these flags and without a reset, unless that is what is waited for.
    pub fn expect(&self, flags: u8) -> Segment {
        let patience = super::scale::patience();
        while let Some(segment) = self.receive(patience) {
            if segment.flags & flags == flags && (segment.flags ^ flags) & RST == 0 {
                return segment;
            }
        }
        panic!("no segment with the flags {flags:#x} came");
    }

    /// Sends a segment to the kernel.
    pub fn send(&self, segment: &Segment) {
        (&self.file).write_all(&segment.bytes()).unwrap();
    }

    /// Answers a segment of the kernel's by "destination unreachable".
    pub fn send_unreachable(&self, about: &Segment, code: u8) {
        // Type, code, checksum, four bytes unused; then the header of the packet, and the first eight bytes of what was in it.
        let mut message = vec![3, code, 0, 0, 0, 0, 0, 0];
        message.extend(&about.bytes()[..IP_HEADER + 8]);
        let sum = checksum(&[&message]);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        (&self.file).write_all(&packet(PROTOCOL_ICMP, *about.to.ip(), *about.from.ip(), &message)).unwrap();
    }

    /// Opens a connection to the kernel's `to`, up to its SYN-ACK, which is returned.
    pub fn syn(&self, from: SocketAddrV4, to: SocketAddrV4) -> Segment {
        self.send(&Segment { from, to, seq: 1000, ack: 0, flags: SYN, payload: 0 });
        loop {
            let answer = self.expect(SYN | ACK);
            if answer.to == from {
                return answer;
            }
        }
    }
}

/// An address on the far side, as a socket takes it.
pub fn there(port: u16) -> SocketAddr {
    SocketAddrV4::new(THERE, port).into()
}

impl Segment {
    /// Reads an IP packet; `None` if that is no TCP over IPv4.
    fn parse(packet: &[u8]) -> Option<Self> {
        let header = usize::from(packet.first()? & 15) * 4;
        if packet[0] >> 4 != 4 || *packet.get(9)? != PROTOCOL_TCP {
            return None;
        }
        let tcp = packet.get(header..)?;
        let word = |at: usize| Some(u32::from_be_bytes(tcp.get(at..at + 4)?.try_into().ok()?));
        let address = |at: usize| Some(Ipv4Addr::from_octets(packet.get(at..at + 4)?.try_into().ok()?));
        let ports = word(0)?;
        Some(Self {
            from: SocketAddrV4::new(address(12)?, (ports >> 16) as u16),
            to: SocketAddrV4::new(address(16)?, ports as u16),
            seq: word(4)?,
            ack: word(8)?,
            flags: *tcp.get(13)?,
            payload: tcp.len().checked_sub(usize::from(tcp.get(12)? >> 4) * 4)?,
        })
    }

    /// It as an IP packet.
    pub fn bytes(&self) -> Vec<u8> {
        let mut tcp = [0; TCP_HEADER];
        tcp[..2].copy_from_slice(&self.from.port().to_be_bytes());
        tcp[2..4].copy_from_slice(&self.to.port().to_be_bytes());
        tcp[4..8].copy_from_slice(&self.seq.to_be_bytes());
        tcp[8..12].copy_from_slice(&self.ack.to_be_bytes());
        // The length of the header in words, the flags, a window.
        tcp[12..16].copy_from_slice(&[(TCP_HEADER as u8 / 4) << 4, self.flags, 0xff, 0xff]);
        // RFC 9293, 3.1: the pseudo header. Zeros change no sum.
        let [high, low] = ((TCP_HEADER + self.payload) as u16).to_be_bytes();
        let pseudo = [0, PROTOCOL_TCP, high, low];
        let sum = checksum(&[&self.from.ip().octets(), &self.to.ip().octets(), &pseudo, &tcp]);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        packet(PROTOCOL_TCP, *self.from.ip(), *self.to.ip(), &[&tcp[..], &vec![0; self.payload]].concat())
    }

    /// What a peer that took it all answers, with these flags.
    pub fn answer(&self, flags: u8) -> Self {
        let numbers = self.payload as u32 + u32::from(self.flags & SYN != 0) + u32::from(self.flags & FIN != 0);
        let ack = self.seq.wrapping_add(numbers);
        Self { from: self.to, to: self.from, seq: self.ack, ack, flags, payload: 0 }
    }
}

/// An IPv4 packet.
fn packet(protocol: u8, from: Ipv4Addr, to: Ipv4Addr, content: &[u8]) -> Vec<u8> {
    let length = (IP_HEADER + content.len()) as u16;
    let mut header = vec![0x45, 0];
    header.extend(length.to_be_bytes());
    // No identification, "do not fragment", time to live.
    header.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    header.extend(from.octets());
    header.extend(to.octets());
    let sum = checksum(&[&header]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header.extend(content);
    header
}

/// RFC 1071, of parts of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2)).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum: u32 = words.sum();
    let folded = (sum >> 16) + (sum & 0xffff);
    !((folded >> 16) + folded) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netns::NetNs;
    use std::net::TcpListener;

    #[test]
    fn a_connection_is_made_by_hand() {
        if !nix::unistd::geteuid().is_root() || !std::path::Path::new("/dev/net/tun").exists() {
            eprintln!("skipped: a TUN device needs root and /dev/net/tun");
            return;
        }
        NetNs::new().unwrap().enter(|| {
            let wire = Wire::tun().unwrap();
            let listener = TcpListener::bind((HERE, 0)).unwrap();
            let SocketAddr::V4(to) = listener.local_addr().unwrap() else { unreachable!() };
            let answer = wire.syn(SocketAddrV4::new(THERE, 4000), to);
            assert_eq!((answer.from, answer.ack), (to, 1001));
            wire.send(&answer.answer(ACK));
            let (_, from) = listener.accept().unwrap();
            assert_eq!(from, there(4000));
        });
    }
}
