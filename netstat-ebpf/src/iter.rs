//! The second object: iterators over sockets and descriptors, small so that a table need not wait for the tracer's load.
//!
//! Each program is called once per object of its walk and writes one record. Reads are typed: the verifier knows what every
//! pointer points to, and the offsets come from the kernel's BTF by way of the global `OFFSETS`.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
mod object {
    use aya_ebpf::helpers::{
        bpf_probe_read_kernel,
        generated::{
            bpf_get_socket_cookie, bpf_jiffies64, bpf_seq_write, bpf_skc_to_tcp_request_sock, bpf_skc_to_tcp_sock,
            bpf_skc_to_tcp_timewait_sock, bpf_sock_from_file,
        },
    };
    use netstat_ebpf::ABSENT;
    use netstat_ebpf::linux::{
        AF_INET6,
        tcp::{LISTEN, NEW_SYN_RECV, SYN_RECV, TIME_WAIT},
    };
    use netstat_ebpf::snapshot::{FIELDS, Field, HolderRecord, NO_ORDER, SocketRecord, UdpRecord};

    /// An address in kernel memory.
    type Addr = *const u8;

    #[unsafe(no_mangle)]
    static OFFSETS: [u32; FIELDS] = [ABSENT; FIELDS];

    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo) -> ! {
        loop {}
    }

    /// `struct bpf_iter_meta`.
    #[repr(C)]
    struct Meta {
        seq: Addr,
    }

    /// `struct bpf_iter__tcp` and `struct bpf_iter__udp`.
    #[repr(C)]
    struct SocketContext {
        meta: *const Meta,
        sk: Addr,
        uid: u32,
    }

    /// `struct bpf_iter__task_file`.
    #[repr(C)]
    struct FileContext {
        meta: *const Meta,
        task: Addr,
        fd: u32,
        pad: u32,
        file: Addr,
    }

    /// The offset of a field, or [`ABSENT`]. The table is frozen before load, so that the verifier knows each entry and drops
    /// what hangs on an absent field.
    #[inline(always)]
    fn offset(field: Field) -> u32 {
        // SAFETY: the array has an entry per field; volatile, since user space fills it after compilation.
        unsafe { core::ptr::read_volatile(&raw const OFFSETS[field as usize]) }
    }

    #[inline(always)]
    fn has(field: Field) -> bool {
        offset(field) != ABSENT
    }

    #[inline(always)]
    fn at<T: Copy>(address: Addr) -> T {
        // SAFETY: the verifier admits the load only if it knows the pointer's type and the offset lies in a field of it.
        unsafe { core::ptr::read_volatile(address.cast()) }
    }

    #[inline(always)]
    fn inside(base: Addr, field: Field) -> Addr {
        base.wrapping_add(offset(field) as usize)
    }

    #[inline(always)]
    fn get<T: Copy>(base: Addr, field: Field) -> T {
        at(inside(base, field))
    }

    /// Writes a record. Where the buffer is full, the kernel starts over with this object at the next read.
    #[inline(always)]
    fn write<T>(meta: *const Meta, record: &T) {
        // SAFETY: the context's `meta` is never null; the record is on the stack, whole and initialised, which the verifier checks.
        unsafe { bpf_seq_write((*meta).seq.cast_mut().cast(), (&raw const *record).cast(), size_of::<T>() as u32) };
    }

    /// Jiffies until a timer at `expires` fires: `jiffies_delta_to_clock_t` has 0 for what is late.
    #[inline(always)]
    fn until(expires: u64) -> u64 {
        // SAFETY: takes nothing.
        let delta = expires.wrapping_sub(unsafe { bpf_jiffies64() });
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
        let (laddr, raddr) = if family == AF_INET6 {
            let (local, remote) = (inside(sk, Field::SkcV6RcvSaddr), inside(sk, Field::SkcV6Daddr));
            ([at(local), at(local.wrapping_add(8))], [at(remote), at(remote.wrapping_add(8))])
        } else {
            let (local, remote): (u32, u32) = (get(sk, Field::SkcRcvSaddr), get(sk, Field::SkcDaddr));
            ([u64::from(local), 0], [u64::from(remote), 0])
        };
        SocketRecord {
            // SAFETY: `sk` is a trusted pointer of the context.
            cookie: unsafe { bpf_get_socket_cookie(sk.cast_mut().cast()) },
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
        if has(Field::SkIno) {
            return get(sk, Field::SkIno);
        }
        let socket: Addr = get(sk, Field::SkSocket);
        if socket.is_null() {
            return 0;
        }
        let ino = socket.wrapping_add(offset(Field::SocketAllocInode) as usize + offset(Field::InodeIno) as usize);
        // SAFETY: the helper survives any address. The verifier does not know what lies behind a `struct socket`.
        unsafe { bpf_probe_read_kernel(ino.cast()) }.unwrap_or(0)
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
    extern "C" fn tcp_rows(ctx: *const SocketContext) -> i32 {
        // SAFETY: the kernel's context; the verifier checks every load from it.
        let (meta, sk, uid) = unsafe { ((*ctx).meta, (*ctx).sk, (*ctx).uid) };
        // The walk ends with a call without a socket.
        if sk.is_null() {
            return 0;
        }
        let any = sk.cast_mut().cast();
        // What is in the common part of every socket, minisockets too.
        let (state, lport): (u8, u16) = (get(sk, Field::SkcState), get(sk, Field::SkcNum));
        let mini =
            Rest { inode: 0, expires: 0, recv_q: 0, send_q: 0, lport, state, timer: 0, retransmits: 0, probes: 0 };
        let rest = match state {
            TIME_WAIT => {
                // SAFETY: the helper gives null unless it is such a minisocket.
                let tw: Addr = unsafe { bpf_skc_to_tcp_timewait_sock(any) }.cast();
                if tw.is_null() {
                    return 0;
                }
                let expires = until(get(inside(tw, Field::TwTimer), Field::TimerExpires));
                Rest { state: get(tw, Field::TwSubstate), timer: 3, expires, ..mini }
            }
            NEW_SYN_RECV => {
                // SAFETY: as above.
                let request: Addr = unsafe { bpf_skc_to_tcp_request_sock(any) }.cast();
                if request.is_null() {
                    return 0;
                }
                let expires = until(get(inside(request, Field::ReqTimer), Field::TimerExpires));
                let retransmits = at::<u8>(inside(request, Field::ReqNumRetrans).wrapping_add(1)) >> 1;
                Rest { state: SYN_RECV, timer: 1, expires, retransmits, ..mini }
            }
            _ => {
                // SAFETY: as above.
                let tp: Addr = unsafe { bpf_skc_to_tcp_sock(any) }.cast();
                if tp.is_null() {
                    return 0;
                }
                full(tp, state)
            }
        };
        write(meta, &row(sk, uid, rest));
        0
    }

    /// UDP sockets of a network namespace (`udp4_format_sock`); UDP-Lite has a table of its own that no iterator walks.
    #[unsafe(no_mangle)]
    #[unsafe(link_section = "iter/udp")]
    extern "C" fn udp_rows(ctx: *const SocketContext) -> i32 {
        // SAFETY: as above.
        let (meta, sk, uid) = unsafe { ((*ctx).meta, (*ctx).sk, (*ctx).uid) };
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
            let net: Addr = get(sk, Field::SkcNet);
            let table: Addr = get(inside(net, Field::NetIpv4), Field::Ipv4UdpTable);
            // `udp_hashfn`
            let hash = get::<u32>(net, Field::NetHashMix).wrapping_add(get::<u16>(sk, Field::SkcNum).into());
            slot = hash & get::<u32>(table, Field::UdpTableMask);
            let link = inside(sk, Field::SkcNode);
            next = get(link, Field::HlistNext);
            node = link as u64;
        }
        write(meta, &UdpRecord { socket: row(sk, uid, rest), node, next, slot, pad: 0 });
        0
    }

    /// Sockets among the descriptors of every process, in the order of process ids. Only the leader's descriptors count, as
    /// /proc/PID/fd shows them; the walk passes over threads that share them.
    #[unsafe(no_mangle)]
    #[unsafe(link_section = "iter/task_file")]
    extern "C" fn holders(ctx: *const FileContext) -> i32 {
        // SAFETY: as above.
        let (meta, task, file) = unsafe { ((*ctx).meta, (*ctx).task, (*ctx).file) };
        if task.is_null() || file.is_null() {
            return 0;
        }
        let pid: u32 = get(task, Field::TaskTgid);
        // SAFETY: the helper gives null unless the file is a socket.
        if get::<u32>(task, Field::TaskPid) != pid || unsafe { bpf_sock_from_file(file.cast_mut().cast()) }.is_null() {
            return 0;
        }
        let inode: Addr = get(file, Field::FileInode);
        write(meta, &HolderRecord { inode: get(inode, Field::InodeIno), pid, pad: 0 });
        0
    }
}
