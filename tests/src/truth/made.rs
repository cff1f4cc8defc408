//! Sockets made by the test, with what is true of each.

use crate::truth::clock::now_ns;
use nix::sys::stat::fstat;
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

/// What is true of a socket, as the process that holds it can find out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Made {
    pub proto: String,
    pub cookie: u64,
    pub inode: u64,
    pub netns: u64,
    pub pid: u32,
    pub comm: String,
    pub uid: u32,
    pub local: Option<SocketAddr>,
    pub remote: Option<SocketAddr>,
    /// It was not created by socket(2) but came from a listener.
    pub child: bool,
    /// A child's: before this time (wall clock) nobody began to accept it.
    pub accept_begun_ns: Option<u64>,
    /// A child's: by this time it was accepted.
    pub accepted_ns: Option<u64>,
}

impl Made {
    /// Asks the kernel about a socket of this process.
    pub fn of(socket: impl AsFd) -> Self {
        let remote = SockRef::from(&socket).peer_addr().ok().and_then(|addr| addr.as_socket());
        Self { remote, ..Self::without_peer(socket) }
    }

    fn without_peer(socket: impl AsFd) -> Self {
        let socket = SockRef::from(&socket);
        let v6 = socket.domain().unwrap() == Domain::IPV6;
        let name = match (socket.r#type().unwrap(), socket.protocol().unwrap()) {
            (Type::STREAM, _) => "tcp",
            (Type::RAW, _) => "raw",
            (_, Some(Protocol::UDP)) => "udp",
            (kind, protocol) => {
                assert_eq!((kind, protocol.map(i32::from)), (Type::DGRAM, Some(nix::libc::IPPROTO_UDPLITE)));
                "udplite"
            }
        };
        Self {
            proto: if v6 { format!("{name}6") } else { name.to_owned() },
            cookie: socket.cookie().unwrap(),
            inode: fstat(&*socket).unwrap().st_ino,
            netns: fs::metadata("/proc/thread-self/ns/net").unwrap().ino(),
            pid: std::process::id(),
            comm: fs::read_to_string("/proc/self/comm").unwrap().trim_end().to_owned(),
            uid: nix::unistd::geteuid().as_raw(),
            local: socket.local_addr().ok().and_then(|addr| addr.as_socket()),
            remote: None,
            child: false,
            accept_begun_ns: None,
            accepted_ns: None,
        }
    }

    /// The same of a connection that came from a listener of this process.
    pub fn accepted(socket: impl AsFd) -> Self {
        let made = Self::of(socket);
        // Where accept(2) itself is not seen, the look at the peer's address is.
        Self { child: true, accepted_ns: Some(now_ns()), ..made }
    }

    /// The same of one that was accepted without asking who it is from. That is looked up in the kernel's list: getpeername(2) passes a hook,
    /// by which a tracer that has missed the accept would see it all the same.
    pub fn accepted_unasked(socket: impl AsFd) -> Self {
        let made = Self { remote: None, child: true, ..Self::without_peer(socket) };
        let table = fs::read_to_string(format!("/proc/thread-self/net/{}", made.proto)).unwrap();
        let inode = made.inode.to_string();
        let row = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let row = row.into_iter().find(|row| row.get(9) == Some(&inode.as_str()));
        Self { remote: row.map(|row| listed_end(row[2])), ..made }
    }

    /// The socket as a failure message names it.
    pub fn name(&self) -> String {
        let end = |end: &Option<SocketAddr>| end.map_or("nowhere".to_owned(), |end| end.to_string());
        format!(
            "{} socket cookie={} inode={} netns={} {} -> {} of {}/{}{}",
            self.proto,
            self.cookie,
            self.inode,
            self.netns,
            end(&self.local),
            end(&self.remote),
            self.pid,
            self.comm,
            if self.child { " (child of a listener)" } else { "" }
        )
    }
}

/// An end as /proc/net/tcp and /proc/net/tcp6 write it: words of the address as they lie in memory, and the port.
fn listed_end(text: &str) -> SocketAddr {
    let (addr, port) = text.split_once(':').unwrap();
    let words = addr.as_bytes().chunks(8).map(|word| u32::from_str_radix(str::from_utf8(word).unwrap(), 16).unwrap());
    let bytes: Vec<u8> = words.flat_map(u32::to_ne_bytes).collect();
    let addr: IpAddr = match <[u8; 4]>::try_from(&bytes[..]) {
        Ok(v4) => v4.into(),
        Err(_) => <[u8; 16]>::try_from(&bytes[..]).unwrap().into(),
    };
    (addr, u16::from_str_radix(port, 16).unwrap()).into()
}

/// How the two ends of a loopback connection speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
    /// Both ends are IPv6 sockets, the addresses are IPv4-mapped.
    Mapped,
    /// An IPv4 socket connects to an IPv6 listener.
    ToV6,
}

impl Family {
    pub const ALL: [Self; 4] = [Self::V4, Self::V6, Self::Mapped, Self::ToV6];

    fn client(self) -> Domain {
        if matches!(self, Self::V4 | Self::ToV6) { Domain::IPV4 } else { Domain::IPV6 }
    }

    fn listen_on(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::LOCALHOST.into(),
            Self::V6 => Ipv6Addr::LOCALHOST.into(),
            Self::Mapped | Self::ToV6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// Where a client connects to, for a port.
    pub fn address(self, port: u16) -> SocketAddr {
        let addr: IpAddr = match self {
            Self::V4 | Self::ToV6 => Ipv4Addr::LOCALHOST.into(),
            Self::V6 => Ipv6Addr::LOCALHOST.into(),
            Self::Mapped => Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(),
        };
        (addr, port).into()
    }
}

/// An unconnected TCP socket.
pub fn tcp(domain: Domain) -> Socket {
    Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).unwrap()
}

/// A listener on a free port.
pub fn listener(family: Family) -> TcpListener {
    listener_with(family, 1024)
}

/// A listener on a free port with this backlog.
pub fn listener_with(family: Family, backlog: i32) -> TcpListener {
    let address: SocketAddr = (family.listen_on(), 0).into();
    let socket = tcp(Domain::for_address(address));
    socket.bind(&address.into()).unwrap();
    socket.listen(backlog).unwrap();
    socket.into()
}

/// A connection over loopback, both ends in this process.
pub struct Pair {
    pub client: TcpStream,
    pub server: TcpStream,
    pub client_made: Made,
    pub server_made: Made,
}

impl Pair {
    pub fn new(family: Family, listener: &TcpListener) -> Self {
        let client = connect(family.client(), family.address(listener.local_addr().unwrap().port())).unwrap();
        let (server, server_made) = accept(listener);
        let client_made = Made::of(&client);
        Self { client, server, client_made, server_made }
    }
}

/// Accepts a connection, and says what is true of it.
pub fn accept(listener: &TcpListener) -> (TcpStream, Made) {
    let accept_begun_ns = Some(now_ns());
    let (stream, _) = listener.accept().unwrap();
    let made = Made { accept_begun_ns, ..Made::accepted(&stream) };
    (stream, made)
}

/// Connects a socket of this family.
pub fn connect(domain: Domain, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = tcp(domain);
    socket.connect(&SockAddr::from(to))?;
    Ok(socket.into())
}

/// A port of this namespace that nobody listens on: bound for a moment, and given back.
pub fn closed_port(family: Family) -> u16 {
    listener(family).local_addr().unwrap().port()
}
