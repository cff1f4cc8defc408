//! Rows of the tables.

use super::{Comm, Endpoint, Proto, TcpState};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
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
    pub recv_q: u64,
    /// Bytes sent and not acknowledged yet.
    pub send_q: u64,
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

impl SocketRow {
    /// A row of which only the ends and the state are known: nothing waits, no timer runs, no inode, no cookie, and user 0.
    pub fn bare(proto: Proto, local: Endpoint, remote: Endpoint, state: u8) -> Self {
        let timer = Timer::default();
        Self { proto, local, remote, state, recv_q: 0, send_q: 0, uid: 0, inode: 0, timer, cookie: None, netns: None }
    }

    /// Whether the kernel keeps the user of the socket. It keeps none for a connection in TIME_WAIT, nor in FIN_WAIT2 once it is a minisocket
    /// (`inet_timewait_sock`), which nobody holds: its listings have 0 there.
    pub fn keeps_user(&self) -> bool {
        match TcpState::from_kernel(self.state) {
            Some(TcpState::TimeWait) => !self.proto.is_tcp(),
            Some(TcpState::FinWait2) => !self.proto.is_tcp() || self.inode != 0,
            _ => true,
        }
    }
}

/// The timer columns of /proc/net/tcp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timer {
    /// 0 none, 1 retransmission, 2 keepalive, 3 TIME_WAIT, 4 zero-window probe.
    pub kind: u32,
    /// Time to expiry in hundredths of a second.
    pub expires: u64,
    /// Retransmissions of the oldest segment.
    pub retransmits: u64,
    /// Probes not answered.
    pub probes: u64,
}

/// One row of the UNIX domain table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixRow<'a> {
    /// References the kernel holds.
    pub refcnt: u32,
    /// The kernel's protocol number: 0, the one there is.
    pub protocol: u32,
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

impl Timer {
    /// netstat's words, by the kind of the timer.
    pub const NAMES: [&'static str; 5] = ["off", "on", "keepalive", "timewait", "probe"];

    /// netstat's word for the timer, `None` for one it has no word for.
    pub fn name(&self) -> Option<&'static str> {
        Self::NAMES.get(self.kind as usize).copied()
    }
}

impl UnixRow<'_> {
    /// The kernel's `SO_ACCEPTCON`, `SO_WAITDATA` and `SO_NOSPACE`. Today's kernels only ever show the first.
    pub const FLAGS: [(u32, &'static str); 3] = [(1 << 16, "ACC"), (1 << 17, "W"), (1 << 18, "N")];

    /// Whether the socket is marked as one that accepts connections.
    pub const fn accepts(&self) -> bool {
        self.flags & Self::FLAGS[0].0 != 0
    }

    /// netstat's names of the flags that are set.
    pub fn flag_names(&self) -> impl Iterator<Item = &'static str> + use<> {
        let flags = self.flags;
        Self::FLAGS.into_iter().filter(move |(bit, _)| flags & bit != 0).map(|(_, name)| name)
    }

    /// netstat's names of the types, from that of `SOCK_STREAM`, 1, on.
    pub const TYPES: [&'static str; 5] = ["STREAM", "DGRAM", "RAW", "RDM", "SEQPACKET"];

    /// netstat's name of the type, `None` for one it has no name for.
    pub fn kind_name(&self) -> Option<&'static str> {
        Self::TYPES.get(self.kind.checked_sub(1)? as usize).copied()
    }

    /// netstat's names of the kernel's `socket_state`s, by their number. One that is not connected has its name only if it listens.
    pub const STATES: [&'static str; 5] = ["FREE", "LISTENING", "CONNECTING", "CONNECTED", "DISCONNECTING"];
    /// The kernel's `SS_UNCONNECTED`.
    const UNCONNECTED: u32 = 1;

    /// netstat's name of the kernel's `socket_state`; empty for a socket that neither listens nor is connected.
    pub fn state_name(&self) -> Option<&'static str> {
        if self.state == Self::UNCONNECTED && !self.accepts() {
            return Some("");
        }
        Self::STATES.get(self.state as usize).copied()
    }
}

/// A UNIX domain socket as `sock_diag` knows it: without the count of references that a [`UnixRow`] has, and with the socket at the other end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnixSocket {
    /// Socket type, `SOCK_STREAM` and so on.
    pub kind: u32,
    /// The kernel's TCP state (`unix_sock` borrows them): `ESTABLISHED`, `LISTEN`, or `CLOSE` where it is neither connected nor listening.
    pub state: u8,
    /// Inode of the socket, 0 for a connection not accepted yet.
    pub inode: u64,
    /// Socket cookie.
    pub cookie: u64,
    /// The name that it is bound to as the kernel keeps it: a path with its NUL, or a NUL and an abstract name.
    pub name: Option<Vec<u8>>,
    /// Inode of the socket at the other end.
    pub peer: Option<u64>,
    /// Bytes received and sent, or of a listener the connections not accepted yet and their limit.
    pub queues: Option<(u32, u32)>,
    /// User id.
    pub uid: Option<u32>,
}

impl UnixSocket {
    /// The name as /proc shows it: `@` before an abstract one, and in place of each NUL.
    pub fn shown(&self) -> Option<Vec<u8>> {
        let name = self.name.as_deref()?;
        let name = match name.first() {
            Some(0) | None => name,
            Some(_) => &name[..name.len() - 1],
        };
        Some(name.iter().map(|&byte| if byte == 0 { b'@' } else { byte }).collect())
    }
}

/// A process that holds a socket open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Thread-group id.
    pub pid: u32,
    /// Name as netstat prints it: from the first argument, at most 511 bytes, without the directory of an absolute path.
    pub program: Vec<u8>,
    /// Name of the thread-group leader now, which the process may change; `None` where it was not asked for, or could not be read.
    pub comm: Option<Comm>,
}

/// Processes that could not be looked into: each of them may hold any socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnseenHolders {
    /// These.
    These(Vec<Holder>),
    /// It is not known which there are.
    Anybody,
}

impl UnseenHolders {
    /// Those that are known.
    pub fn known(&self) -> &[Holder] {
        match self {
            Self::These(processes) => processes,
            Self::Anybody => &[],
        }
    }
}

impl Default for UnseenHolders {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

/// The processes that hold sockets, by inode.
#[derive(Clone, Debug, Default)]
pub struct SocketHolders {
    /// Those that may hold sockets besides.
    pub unseen: UnseenHolders,
    /// Whether they were looked for in a nested PID namespace: a process outside of it may hold a socket for which nobody was found.
    pub in_nested_pid_namespace: bool,
    /// Whether owners of sockets that ended are kept from this process.
    pub of_ended_withheld: bool,
    holders: Vec<Holder>,
    /// The first holder of each socket asked about, [`NOBODY`] before one is found. Nearly every socket has but one.
    first: HashMap<u64, u32, InodeHash>,
    /// The others, in order.
    others: HashMap<u64, Vec<u32>, InodeHash>,
    /// Sockets that were held by a process that ended before all was read of it. Whoever holds them now may be a process that began meanwhile.
    lost: HashSet<u64, InodeHash>,
}

/// The holder of a socket that has none.
const NOBODY: u32 = u32::MAX;

/// Hashes inode numbers, which the kernel hands out one after the other: no need for more than spreading them.
type InodeHash = BuildHasherDefault<InodeHasher>;

#[derive(Clone, Copy, Debug, Default)]
struct InodeHasher(u64);

impl Hasher for InodeHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 << 8 ^ u64::from(byte));
        }
    }

    fn write_u64(&mut self, inode: u64) {
        // The table takes its place from the low bits and its tag from the high ones: mix both ways.
        let spread = inode.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = spread ^ spread >> 32;
    }
}

impl SocketHolders {
    /// Asks about these sockets.
    pub fn expect(&mut self, inodes: impl Iterator<Item = u64>) {
        self.first.extend(inodes.map(|inode| (inode, NOBODY)));
    }

    /// Whether the socket was asked about.
    pub fn expects(&self, inode: u64) -> bool {
        self.first.contains_key(&inode)
    }

    /// Whether nobody was found for one of the sockets that were asked about.
    pub fn lacks_some(&self) -> bool {
        self.first.values().any(|&holder| holder == NOBODY)
    }

    /// Takes in a process and returns its number for [`SocketHolders::add`].
    pub fn holder(&mut self, holder: Holder) -> u32 {
        self.holders.push(holder);
        // There are fewer processes than pids, and those fit 22 bits.
        (self.holders.len() - 1) as u32
    }

    /// Notes that the process holds the socket, if it was asked about. Processes are noted in the order of /proc.
    pub fn add(&mut self, inode: u64, holder: u32) {
        let Some(first) = self.first.get_mut(&inode) else { return };
        if *first == NOBODY {
            *first = holder;
        } else if *first != holder {
            let others = self.others.entry(inode).or_default();
            if !others.contains(&holder) {
                others.push(holder);
            }
        }
    }

    /// Notes that a process which was seen to hold the socket ended before all was read of it.
    pub fn lose(&mut self, inode: u64) {
        self.lost.insert(inode);
    }

    /// Notes the same of every socket that one of these processes was seen to hold.
    pub fn lose_all_of(&mut self, pids: &HashSet<u32>) {
        if pids.is_empty() {
            return;
        }
        let is_theirs = |inode: &u64| self.of(*inode).any(|holder| pids.contains(&holder.pid));
        let lost: Vec<u64> = self.first.keys().copied().filter(is_theirs).collect();
        self.lost.extend(lost);
    }

    /// Whether a process that was seen to hold the socket ended before all was read of it.
    pub fn has_lost(&self, inode: u64) -> bool {
        self.lost.contains(&inode)
    }

    /// Every process that holds one of the sockets that were asked about.
    pub fn holders(&self) -> impl Iterator<Item = &Holder> {
        self.holders.iter()
    }

    /// The process that netstat names: the first in the order of /proc.
    pub fn first(&self, inode: u64) -> Option<&Holder> {
        self.first.get(&inode).and_then(|&at| self.holders.get(at as usize))
    }

    /// Every process that holds the socket, in the order of /proc.
    pub fn of(&self, inode: u64) -> impl Iterator<Item = &Holder> {
        let others = self.others.get(&inode).into_iter().flatten();
        self.first.get(&inode).into_iter().chain(others).filter_map(|&at| self.holders.get(at as usize))
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
    /// Users whose names were asked for, and of which it is not known whether they have one.
    pub unread_users: HashSet<u32>,
}

/// An SCTP endpoint or association. Either end may have several addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SctpRow {
    /// The addresses of this end, the first one first; never empty.
    pub local: Vec<IpAddr>,
    /// The port of this end.
    pub local_port: u16,
    /// What only an association has.
    pub peer: Option<SctpPeer>,
    /// The kernel's state number of the socket, as for TCP.
    pub state: u8,
    /// User id of the socket.
    pub uid: u32,
    /// Inode of the socket.
    pub inode: u64,
}

/// The other end of an SCTP association, and what is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SctpPeer {
    /// Its addresses.
    pub addrs: Vec<IpAddr>,
    /// Its port.
    pub port: u16,
    /// Bytes received and not read yet.
    pub recv_q: u64,
    /// Bytes sent and not acknowledged yet.
    pub send_q: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_numbers_have_netstats_names() {
        let timers = [0, 1, 2, 3, 4, 5].map(|kind| Timer { kind, ..Timer::default() }.name());
        assert_eq!(timers, [Some("off"), Some("on"), Some("keepalive"), Some("timewait"), Some("probe"), None]);
        let unix = |kind, state, flags| UnixRow { refcnt: 0, protocol: 0, flags, kind, state, inode: 0, path: b"" };
        let types = [0, 1, 2, 3, 4, 5, 6].map(|kind| unix(kind, 0, 0).kind_name());
        assert_eq!(types, [None, Some("STREAM"), Some("DGRAM"), Some("RAW"), Some("RDM"), Some("SEQPACKET"), None]);
        let states = [0, 1, 2, 3, 4, 5].map(|state| unix(1, state, 0).state_name());
        assert_eq!(
            states,
            [Some("FREE"), Some(""), Some("CONNECTING"), Some("CONNECTED"), Some("DISCONNECTING"), None]
        );
        assert_eq!(unix(1, 1, 1 << 16).state_name(), Some("LISTENING"));
    }
}
