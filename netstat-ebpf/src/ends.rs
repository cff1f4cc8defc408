//! The two ends of a socket: addresses and ports.

use crate::{read::Memory, sys::Addr};
use netstat_ebpf::Field;

/// Bytes 8 to 11 of an IPv4-mapped IPv6 address (RFC 4291), as they lie in memory.
pub const MAPPED: u32 = u32::from_be(0xffff);

/// The ends of a socket.
pub struct Tuple {
    pub laddr: [u64; 2],
    pub raddr: [u64; 2],
    pub lport: u16,
    pub rport: u16,
}

/// What the record of a hook says of its socket, for kernels whose `struct sock` cannot be read. Not in an `Option`: of a `None` the
/// compiler copies bytes it never wrote, which the verifier refuses.
pub struct Given {
    /// 0 if it says nothing.
    pub family: u16,
    pub protocol: u16,
    pub tuple: Tuple,
}

impl Given {
    pub const NOTHING: Self =
        Self { family: 0, protocol: 0, tuple: Tuple { laddr: [0; 2], raddr: [0; 2], lport: 0, rport: 0 } };
}

impl Tuple {
    /// The ends as `struct sock` has them now.
    #[inline(always)]
    pub fn read<M: Memory>(sk: Addr, v6: bool) -> Option<Self> {
        let mut tuple = Self {
            laddr: M::address(sk, v6, Field::SkcRcvSaddr, Field::SkcV6RcvSaddr)?,
            raddr: M::address(sk, v6, Field::SkcDaddr, Field::SkcV6Daddr)?,
            lport: M::get(sk, Field::SkcNum)?,
            rport: u16::from_be(M::get(sk, Field::SkcDport)?),
        };
        // An IPv6 socket that connects to an IPv4-mapped address gets its IPv6 source address only after the transition.
        if v6 && tuple.laddr == [0, 0] && tuple.raddr[0] == 0 && tuple.raddr[1] as u32 == MAPPED {
            let v4 = M::get::<u32>(sk, Field::SkcRcvSaddr)?;
            if v4 != 0 {
                tuple.laddr[1] = u64::from(MAPPED) | u64::from(v4) << 32;
            }
        }
        Some(tuple)
    }
}

/// `inet_sport`: still there when `skc_num` has been given back.
#[inline(always)]
pub fn kept_port<M: Memory>(sk: Addr) -> u16 {
    let tcp = M::tcp_sock(sk);
    if tcp.is_null() { 0 } else { u16::from_be(M::get(tcp, Field::InetSport).unwrap_or_default()) }
}
