//! The second object: iterators over sockets and descriptors, small so that a table need not wait for the tracer's load.
//!
//! Each program is called once per object of its walk and writes one record. Reads are typed: the verifier knows what every
//! pointer points to, and the offsets come from the kernel's BTF by way of the global `OFFSETS`.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(core_intrinsics), allow(internal_features))]

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
#[allow(dead_code, reason = "each object uses a part of the room")]
mod read;
#[cfg(target_arch = "bpf")]
#[allow(dead_code, reason = "each object uses a part of the room")]
mod sys;

#[cfg(target_arch = "bpf")]
mod object {
    use crate::{
        read::{Memory, Typed, offset},
        sys::{
            Addr, FileContext, SocketContext, cookie, jiffies, request_sock, socket_of_file, tcp_sock, time_wait_sock,
            write,
        },
    };
    use netstat_ebpf::{
        ABSENT, Field,
        linux::{
            AF_INET6,
            tcp::{LISTEN, NEW_SYN_RECV, SYN_RECV, TIME_WAIT},
        },
        snapshot::{HolderRecord, NO_ORDER, SocketRecord, UdpRecord},
    };

    #[inline(always)]
    fn has(field: Field) -> bool {
        offset(field) != ABSENT
    }

    #[inline(always)]
    fn inside(base: Addr, field: Field) -> Addr {
        base.wrapping_add(offset(field) as usize)
    }

    /// A field that this kernel has: user space loads no program that lacks one.
    #[inline(always)]
    fn get<T: Copy + Default>(base: Addr, field: Field) -> T {
        Typed::at(inside(base, field))
    }

    /// A pointer that is never null.
    #[inline(always)]
    fn address(base: Addr, field: Field) -> Addr {
        get::<u64>(base, field) as Addr
    }

    /// Jiffies until a timer at `expires` fires: `jiffies_delta_to_clock_t` has 0 for what is late.
    #[inline(always)]
    fn until(expires: u64) -> u64 {
        let delta = expires.wrapping_sub(jiffies());
        if (delta as i64) < 0 { 0 } else { delta }
    }

    /// What a row has beside what every kind of socket keeps in its `struct sock_common`. In registers: a record that is filled in
    /// one go needs no clearing before, for which the compiler calls memset(3).
    #[derive(Clone, Copy)]
    struct Rest {
        inode: u64,
        expires: u64,
        recv_q: u32,
        send_q: u32,
        lport: u16,
        state: u8,
        timer: u8,
        retransmits: u8,
        probes: u8,
    }

    #[inline(always)]
    fn row(sk: Addr, uid: u32, rest: Rest) -> SocketRecord {
        let family = get::<u16>(sk, Field::SkcFamily) as u8;
        let v6 = family == AF_INET6;
        let laddr = Typed::address(sk, v6, Field::SkcRcvSaddr, Field::SkcV6RcvSaddr).unwrap_or_default();
        let raddr = Typed::address(sk, v6, Field::SkcDaddr, Field::SkcV6Daddr).unwrap_or_default();
        SocketRecord {
            cookie: cookie(sk),
            inode: rest.inode,
            expires: rest.expires,
            laddr,
            raddr,
            recv_q: rest.recv_q,
            send_q: rest.send_q,
            uid,
            lport: rest.lport,
            rport: u16::from_be(get(sk, Field::SkcDport)),
            family,
            state: rest.state,
            timer: rest.timer,
            retransmits: rest.retransmits,
            probes: rest.probes.into(),
        }
    }

    /// `sock_i_ino`.
    #[inline(always)]
    fn inode(sk: Addr) -> u64 {
        Typed::get(sk, Field::SkIno).or_else(|| Typed::allocated_inode(sk)).unwrap_or(0)
    }

    /// `get_tcp4_sock`, `get_tcp6_sock`.
    #[inline(always)]
    fn full(tp: Addr, state: u8) -> Rest {
        let recv_q = if state == LISTEN {
            get(tp, Field::SkAckBacklog)
        } else {
            let unread = get::<u32>(tp, Field::TcpRcvNxt).wrapping_sub(get(tp, Field::TcpCopiedSeq));
            if (unread as i32) < 0 { 0 } else { unread }
        };
        let (timer, expires) = timer(tp);
        Rest {
            inode: inode(tp),
            expires,
            recv_q,
            send_q: get::<u32>(tp, Field::TcpWriteSeq).wrapping_sub(get(tp, Field::TcpSndUna)),
            lport: u16::from_be(get(tp, Field::InetSport)),
            state,
            timer,
            retransmits: get(tp, Field::IcskRetransmits),
            probes: get(tp, Field::IcskProbesOut),
        }
    }

    /// The timer's kind and when it fires.
    #[inline(always)]
    fn timer(tp: Addr) -> (u8, u64) {
        // ICSK_TIME_RETRANS, ICSK_TIME_LOSS_PROBE, ICSK_TIME_REO_TIMEOUT; ICSK_TIME_PROBE0
        let pending: u8 = get(tp, Field::IcskPending);
        if matches!(pending, 1 | 3 | 5 | 6) {
            let expires = if has(Field::IcskTimeout) {
                get(tp, Field::IcskTimeout)
            } else if has(Field::IcskRetransmitTimer) {
                get(inside(tp, Field::IcskRetransmitTimer), Field::TimerExpires)
            } else {
                get(inside(tp, Field::TcpRetransmitTimer), Field::TimerExpires)
            };
            return (if pending == 3 { 4 } else { 1 }, until(expires));
        }
        let keepalive = if has(Field::IcskKeepaliveTimer) { Field::IcskKeepaliveTimer } else { Field::SkTimer };
        let timer = inside(tp, keepalive);
        if get::<u64>(inside(timer, Field::TimerEntry), Field::HlistPprev) == 0 {
            return (0, 0);
        }
        (2, until(get(timer, Field::TimerExpires)))
    }

    /// TCP sockets, requests and timewait minisockets of a network namespace.
    #[unsafe(no_mangle)]
    #[unsafe(link_section = "iter/tcp")]
    extern "C" fn tcp_rows(ctx: &SocketContext) -> i32 {
        let (output, sk, uid) = ctx.listed();
        // The walk ends with a call without a socket.
        if sk.is_null() {
            return 0;
        }
        // What is in the common part of every socket, minisockets too.
        let (state, lport): (u8, u16) = (get(sk, Field::SkcState), get(sk, Field::SkcNum));
        let mini =
            Rest { inode: 0, expires: 0, recv_q: 0, send_q: 0, lport, state, timer: 0, retransmits: 0, probes: 0 };
        let rest = match state {
            TIME_WAIT => {
                let tw = time_wait_sock(sk);
                if tw.is_null() {
                    return 0;
                }
                let expires = until(get(inside(tw, Field::TwTimer), Field::TimerExpires));
                Rest { state: get(tw, Field::TwSubstate), timer: 3, expires, ..mini }
            }
            NEW_SYN_RECV => {
                let request = request_sock(sk);
                if request.is_null() {
                    return 0;
                }
                let expires = until(get(inside(request, Field::ReqTimer), Field::TimerExpires));
                let retransmits = Typed::at::<u8>(inside(request, Field::ReqNumRetrans).wrapping_add(1)) >> 1;
                Rest { state: SYN_RECV, timer: 1, expires, retransmits, ..mini }
            }
            _ => {
                let tp = tcp_sock(sk);
                if tp.is_null() {
                    return 0;
                }
                full(tp, state)
            }
        };
        write(output, &row(sk, uid, rest));
        0
    }

    /// UDP sockets of a network namespace (`udp4_format_sock`); UDP-Lite has a table of its own that no iterator walks.
    #[unsafe(no_mangle)]
    #[unsafe(link_section = "iter/udp")]
    extern "C" fn udp_rows(ctx: &SocketContext) -> i32 {
        let (output, sk, uid) = ctx.listed();
        if sk.is_null() {
            return 0;
        }
        let rest = Rest {
            inode: inode(sk),
            expires: 0,
            recv_q: get::<u32>(sk, Field::SkRmemAlloc).wrapping_sub(get(sk, Field::UdpForwardDeficit)),
            send_q: get::<u32>(sk, Field::SkWmemAlloc).wrapping_sub(1),
            lport: u16::from_be(get(sk, Field::InetSport)),
            state: get(sk, Field::SkcState),
            timer: 0,
            retransmits: 0,
            probes: 0,
        };
        let (mut node, mut next, mut slot) = (0, NO_ORDER, 0);
        if has(Field::Ipv4UdpTable) {
            let net = address(sk, Field::SkcNet);
            let table = address(inside(net, Field::NetIpv4), Field::Ipv4UdpTable);
            // `udp_hashfn`
            let hash = get::<u32>(net, Field::NetHashMix).wrapping_add(get::<u16>(sk, Field::SkcNum).into());
            slot = hash & get::<u32>(table, Field::UdpTableMask);
            let link = inside(sk, Field::SkcNode);
            next = get(link, Field::HlistNext);
            node = link as u64;
        }
        write(output, &UdpRecord { socket: row(sk, uid, rest), node, next, slot, pad: 0 });
        0
    }

    /// Sockets among the descriptors of every process, in the order of process ids. Only the leader's descriptors count, as
    /// /proc/PID/fd shows them; the walk passes over threads that share them.
    #[unsafe(no_mangle)]
    #[unsafe(link_section = "iter/task_file")]
    extern "C" fn holders(ctx: &FileContext) -> i32 {
        let (output, task, file) = ctx.listed();
        if task.is_null() || file.is_null() {
            return 0;
        }
        let pid: u32 = get(task, Field::TaskTgid);
        if get::<u32>(task, Field::TaskPid) != pid || socket_of_file(file).is_null() {
            return 0;
        }
        let inode = address(file, Field::FileInode);
        write(output, &HolderRecord { inode: get(inode, Field::InodeIno), pid, pad: 0 });
        0
    }
}
