//! Numbers of the kernel's headers that the programs look at.

/// `AF_INET` of `include/linux/socket.h`.
pub const AF_INET: u8 = 2;
/// `AF_INET6` of `include/linux/socket.h`.
pub const AF_INET6: u8 = 10;

/// `SOCK_RAW` of `include/linux/net.h`.
pub const SOCK_RAW: u16 = 3;

/// `IPPROTO_TCP` of `include/uapi/linux/in.h`.
pub const IPPROTO_TCP: u16 = 6;
/// `IPPROTO_UDP`.
pub const IPPROTO_UDP: u16 = 17;
/// `IPPROTO_UDPLITE`.
pub const IPPROTO_UDPLITE: u16 = 136;
/// `IPPROTO_MPTCP`: a socket in front of several TCP sockets.
pub const IPPROTO_MPTCP: u16 = 262;

/// States of `include/net/tcp_states.h`.
pub mod tcp {
    /// `TCP_ESTABLISHED`.
    pub const ESTABLISHED: u8 = 1;
    /// `TCP_SYN_SENT`.
    pub const SYN_SENT: u8 = 2;
    /// `TCP_SYN_RECV`.
    pub const SYN_RECV: u8 = 3;
    /// `TCP_FIN_WAIT1`.
    pub const FIN_WAIT1: u8 = 4;
    /// `TCP_FIN_WAIT2`.
    pub const FIN_WAIT2: u8 = 5;
    /// `TCP_TIME_WAIT`: the state of every timewait minisocket; the real one is its substate.
    pub const TIME_WAIT: u8 = 6;
    /// `TCP_CLOSE`.
    pub const CLOSE: u8 = 7;
    /// `TCP_CLOSE_WAIT`.
    pub const CLOSE_WAIT: u8 = 8;
    /// `TCP_LAST_ACK`.
    pub const LAST_ACK: u8 = 9;
    /// `TCP_LISTEN`.
    pub const LISTEN: u8 = 10;
    /// `TCP_CLOSING`.
    pub const CLOSING: u8 = 11;
    /// `TCP_NEW_SYN_RECV`: the state of a request, which /proc shows as `TCP_SYN_RECV`.
    pub const NEW_SYN_RECV: u8 = 12;
}

/// `TCPHDR_FIN` of `include/net/tcp.h`.
pub const TCPHDR_FIN: u8 = 1;

/// `SHUTDOWN_MASK` of `include/net/sock.h`: both ways.
pub const SHUTDOWN_MASK: u8 = 3;

/// `SOCK_DONE` of `enum sock_flags`, as a bit: set by `tcp_fin`, that is, when the peer's FIN has come.
pub const SOCK_DONE: u64 = 1 << 1;

/// Errors of `include/uapi/asm-generic/errno*.h` that end a connection.
pub mod errno {
    /// Permission denied.
    pub const EACCES: i32 = 13;
    /// Broken pipe.
    pub const EPIPE: i32 = 32;
    /// Machine is not on the network.
    pub const ENONET: i32 = 64;
    /// Protocol error: an ICMP message of a parameter problem.
    pub const EPROTO: i32 = 71;
    /// Protocol not available: the destination has no TCP, as an ICMP message said.
    pub const ENOPROTOOPT: i32 = 92;
    /// Operation not supported: a source route failed, as an ICMP message said.
    pub const EOPNOTSUPP: i32 = 95;
    /// Network is down.
    pub const ENETDOWN: i32 = 100;
    /// Network is unreachable.
    pub const ENETUNREACH: i32 = 101;
    /// Software caused connection abort.
    pub const ECONNABORTED: i32 = 103;
    /// Connection reset by peer.
    pub const ECONNRESET: i32 = 104;
    /// Connection timed out.
    pub const ETIMEDOUT: i32 = 110;
    /// Connection refused.
    pub const ECONNREFUSED: i32 = 111;
    /// Host is down.
    pub const EHOSTDOWN: i32 = 112;
    /// No route to host.
    pub const EHOSTUNREACH: i32 = 113;
}

/// `PF_KTHREAD` of `include/linux/sched.h`: a thread of the kernel's own, which owns nothing.
pub const PF_KTHREAD: u32 = 0x0020_0000;

/// `IORING_OP_ACCEPT` of `include/uapi/linux/io_uring.h`.
pub const IORING_OP_ACCEPT: u8 = 13;
