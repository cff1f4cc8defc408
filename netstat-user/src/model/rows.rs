//! Rows of the tables.

use super::{Endpoint, Proto};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

/// One row of an Internet table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketRow {
    /// Protocol and family.
    pub proto: Proto,
    /// The socket's own end.
    pub local: Endpoint,
    /// The other end, all zero where there is none.
    pub remote: Endpoint,
    /// The kernel's state number, as the table it was read from gives it.
    pub state: u8,
    /// Bytes received and not read yet; a listener's connections not accepted yet.
    pub recv_q: u32,
    /// Bytes sent and not acknowledged yet.
    pub send_q: u32,
    /// User id of the socket.
    pub uid: u32,
    /// Inode of the socket, 0 where it has none.
    pub inode: u64,
    /// The running timer.
    pub timer: Timer,
    /// Socket cookie, where the source knows it.
    pub cookie: Option<u64>,
    /// Inode number of the network namespace, where the source knows it.
    pub netns: Option<u32>,
}

/// The timer columns of /proc/net/tcp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timer {
    /// 0 none, 1 retransmission, 2 keepalive, 3 TIME_WAIT, 4 zero-window probe.
    pub kind: u32,
    /// Time to expiry in hundredths of a second.
    pub expires: u64,
    /// Retransmissions of the oldest segment.
    pub retransmits: u32,
    /// Probes not answered.
    pub probes: u32,
}

/// One row of the UNIX domain table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixRow<'a> {
    /// References the kernel holds.
    pub refcnt: u32,
    /// The kernel's flags: 0x10000 listens.
    pub flags: u32,
    /// Socket type, `SOCK_STREAM` and so on.
    pub kind: u32,
    /// The kernel's `socket_state`, 0 free to 4 disconnecting.
    pub state: u32,
    /// Inode of the socket, 0 for a connection not accepted yet.
    pub inode: u64,
    /// The whole path, or `@` and an abstract name; empty where there is none.
    pub path: &'a [u8],
}

/// A process that holds a socket open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Thread-group id.
    pub pid: u32,
    /// Name as netstat prints it: from the first argument, at most 511 bytes, without the directory of an absolute path.
    pub program: Vec<u8>,
}

/// The processes that hold sockets, by inode.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    holders: Vec<Holder>,
    by_inode: HashMap<u64, Vec<usize>>,
}

impl Owners {
    /// Takes in a process and returns its number for [`Owners::add`].
    pub fn holder(&mut self, holder: Holder) -> usize {
        self.holders.push(holder);
        self.holders.len() - 1
    }

    /// Notes that the process holds the socket. Processes are noted in the order of /proc.
    pub fn add(&mut self, inode: u64, holder: usize) {
        let holders = self.by_inode.entry(inode).or_default();
        if !holders.contains(&holder) {
            holders.push(holder);
        }
    }

    /// Every process that holds the socket, in the order of /proc: netstat prints the first.
    pub fn of(&self, inode: u64) -> impl Iterator<Item = &Holder> {
        self.by_inode.get(&inode).into_iter().flatten().filter_map(|&at| self.holders.get(at))
    }
}

/// Names found before rendering; what is missing stays a number.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// Host names.
    pub hosts: HashMap<IpAddr, Vec<u8>>,
    /// Network names, by addresses without host bits.
    pub networks: HashMap<Ipv4Addr, Vec<u8>>,
    /// Service names by the protocol they belong to (`tcp`, `udp`, `raw`) and port; for raw sockets protocol names.
    pub ports: HashMap<(&'static str, u16), Vec<u8>>,
    /// User names.
    pub users: HashMap<u32, Vec<u8>>,
}
