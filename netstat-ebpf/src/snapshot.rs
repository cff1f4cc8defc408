//! The ABI of the iterator programs (`iter.rs`): what they write for each socket and each descriptor. And that of the iterator programs that close
//! sockets (`kill.rs`).

/// A row of an Internet table, its numbers as /proc computes them (`get_tcp4_sock` and its like).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SocketRecord {
    /// Socket cookie; the kernel makes one for a socket that had none.
    pub cookie: u64,
    /// Inode of the socket, 0 if it has none.
    pub inode: u64,
    /// Jiffies until the timer fires, 0 if none runs or it is late.
    pub expires: u64,
    /// Local address in network order; IPv4 in the first four bytes.
    pub laddr: [u64; 2],
    /// Remote address, likewise.
    pub raddr: [u64; 2],
    /// Bytes received and not read yet; a listener's connections not accepted yet.
    pub recv_q: u32,
    /// Bytes sent and not acknowledged yet.
    pub send_q: u32,
    /// The user id /proc shows: that of the reader's user namespace.
    pub uid: u32,
    /// Local port, host byte order.
    pub lport: u16,
    /// Remote port, host byte order.
    pub rport: u16,
    /// `AF_INET` or `AF_INET6`.
    pub family: u8,
    /// The state /proc shows.
    pub state: u8,
    /// 0 none, 1 retransmission, 2 keepalive, 3 TIME_WAIT, 4 zero-window probe.
    pub timer: u8,
    /// Retransmissions of the oldest segment.
    pub retransmits: u8,
    /// Probes not answered.
    pub probes: u32,
}

/// A UDP socket, and its place in the hash table that /proc lists: since Linux 6.6 the iterator walks another one.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct UdpRecord {
    /// The row.
    pub socket: SocketRecord,
    /// Names the socket among those of one walk: the address of its node in the table.
    pub node: u64,
    /// The `node` that follows in the slot, 0 after the last, [`NO_ORDER`] where the walk is in /proc's order.
    pub next: u64,
    /// The slot, where there is an order to be made.
    pub slot: u32,
    /// Zero.
    pub pad: u32,
}

/// [`UdpRecord::next`]: the records come in the order of /proc.
pub const NO_ORDER: u64 = u64::MAX;

/// A descriptor of a process that is a socket.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HolderRecord {
    /// Inode of the socket.
    pub inode: u64,
    /// Thread-group id, as the initial PID namespace numbers it.
    pub pid: u32,
    /// Zero.
    pub pad: u32,
}

const _: () = {
    assert!(size_of::<SocketRecord>() == 80 && align_of::<SocketRecord>() == 8);
    assert!(size_of::<UdpRecord>() == 104 && align_of::<UdpRecord>() == 8);
    assert!(size_of::<HolderRecord>() == 16 && align_of::<HolderRecord>() == 8);
};

/// An iterator program: its name in the object, and the kernel function whose arguments its context is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// TCP sockets of one network namespace: [`SocketRecord`]s.
    Tcp,
    /// UDP sockets of one network namespace: [`UdpRecord`]s.
    Udp,
    /// Sockets held by processes: [`HolderRecord`]s.
    Holders,
    /// Closes TCP sockets of one network namespace, see [`closing`].
    CloseTcp,
    /// Closes UDP sockets of one network namespace.
    CloseUdp,
}

impl Program {
    /// Name of the program in the object.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp_rows",
            Self::Udp => "udp_rows",
            Self::Holders => "holders",
            Self::CloseTcp => "close_tcp",
            Self::CloseUdp => "close_udp",
        }
    }

    /// Name of the function in the kernel's BTF that the program attaches to.
    pub const fn target(self) -> &'static str {
        match self {
            Self::Tcp | Self::CloseTcp => "bpf_iter_tcp",
            Self::Udp | Self::CloseUdp => "bpf_iter_udp",
            Self::Holders => "bpf_iter_task_file",
        }
    }
}

/// What the programs that close sockets share with user space: a map that has, by cookie (`u64`), what is to be done with each socket and then
/// what came of it (`i32`). Beside the numbers below it is what the kernel answered: 0, or an errno below it.
pub mod closing {
    /// To be closed.
    pub const WANTED: i32 = 1;
    /// A minisocket, which the programs cannot close.
    pub const MINI: i32 = 2;
    /// To be looked for.
    pub const SOUGHT: i32 = 3;
    /// One that was looked for is there.
    pub const SEEN: i32 = 4;
}
