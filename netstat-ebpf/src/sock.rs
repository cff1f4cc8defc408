//! The hooks of sockets' creation, of a process asking for a connection and, where they are not TCP, of their end.

use crate::{
    owner,
    read::{Addr, Memory, Probed, Typed, offset},
    remembered::{CONNECTING, REFUSED, Remembered, forget, recall, remember},
    report::{UNKNOWN_INODE, enabled, now, report_close, report_open},
    tcp::CLOSE,
    wanted,
};
use aya_ebpf::{
    bindings::bpf_sock,
    helpers::generated::{bpf_get_current_uid_gid, bpf_get_retval, bpf_get_socket_cookie},
};
use netstat_ebpf::{
    ABSENT, AF_INET6, Field, Grade, HAS_TUPLE, HAS_UID, IPPROTO_MPTCP, IPPROTO_TCP, NO_LPORT, RAW, Reason,
};

/// `SOCK_RAW` of `include/linux/net.h`.
pub const SOCK_RAW: u16 = 3;

/// The socket behind the context of a `cgroup/sock` program: the context is its address.
struct Inet {
    sk: Addr,
    family: u8,
    protocol: u16,
    raw: bool,
    netns: Option<u32>,
}

impl Inet {
    /// `None` if its protocol, family or namespace is not wanted. `task` has just made it, for its own namespace.
    #[inline(always)]
    fn wanted(ctx: *mut bpf_sock, task: Option<Addr>) -> Option<Self> {
        // SAFETY: the verifier turns these into loads of the socket's own fields.
        let (family, kind, protocol) = unsafe { ((*ctx).family, (*ctx).type_, (*ctx).protocol) };
        let (family, protocol, raw) = (family as u8, protocol as u16, kind == u32::from(SOCK_RAW));
        // Of MPTCP the owner is remembered, for the TCP sockets behind it.
        let as_protocol = if protocol == IPPROTO_MPTCP && !raw { IPPROTO_TCP } else { protocol };
        if !wanted::protocol(as_protocol, raw, family == AF_INET6) {
            return None;
        }
        let sk = ctx.cast_const().cast();
        let netns = match task {
            Some(task) => Typed::follow(task, Field::TaskNsproxy)
                .and_then(|proxy| Typed::follow(proxy, Field::NsproxyNetNs))
                .and_then(Typed::inum),
            None => Probed::netns(sk),
        };
        wanted::netns(netns).then_some(Self { sk, family, protocol, raw, netns })
    }

    /// What there is to remember of it before anything happened to it.
    #[inline(always)]
    fn describe(&self, ctx: *mut bpf_sock, r: &mut Remembered) {
        r.family = self.family;
        r.protocol = self.protocol;
        r.netns = self.netns.unwrap_or(0);
        if self.raw {
            r.flags |= RAW;
        }
        // SAFETY: the context is the one this program was called with.
        r.cookie = unsafe { bpf_get_socket_cookie(ctx.cast()) };
    }

    /// Inode by way of `struct socket_alloc`: at creation there is no file yet.
    #[inline(always)]
    fn inode(&self) -> u64 {
        self.find_inode().unwrap_or(UNKNOWN_INODE)
    }

    #[inline(always)]
    fn find_inode(&self) -> Option<u64> {
        let inode = offset(Field::SocketAllocInode);
        if inode == ABSENT {
            return None;
        }
        Probed::get(Probed::follow(self.sk, Field::SkSocket)?.wrapping_add(inode as usize), Field::InodeIno)
    }
}

/// Whether another program has refused the creation. Those of the root of the hierarchy run after those below it.
#[inline(always)]
pub fn is_refused() -> bool {
    // SAFETY: takes nothing, returns a number.
    unsafe { bpf_get_retval() != 0 }
}

/// Body of `cgroup/sock_create`: a process has made a socket, in its own context. One that was `refused` is never reported.
#[inline(always)]
pub fn create(ctx: *mut bpf_sock, refused: bool) {
    if !enabled() {
        return;
    }
    let task = owner::task();
    let Some(inet) = Inet::wanted(ctx, task) else { return };
    // Of a refused socket that is not TCP nothing is seen any more; the end of a TCP socket is.
    if refused && inet.protocol != IPPROTO_TCP {
        return;
    }
    let r = remember::<Typed>(inet.sk);
    if r.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    let r = unsafe { &mut *r };
    if refused {
        r.marks = REFUSED;
        return;
    }
    inet.describe(ctx, r);
    let time_ns = now();
    r.created_ns = time_ns;
    r.state_ns = time_ns;
    r.state = CLOSE;
    // As `sock_alloc` does; where the types are hidden, the real user is the nearest there is.
    let fsuid = task.and_then(|task| Typed::get(Typed::follow(task, Field::TaskCred)?, Field::CredFsuid));
    // SAFETY: takes nothing, returns a number.
    r.uid = fsuid.unwrap_or_else(|| unsafe { bpf_get_current_uid_gid() } as u32);
    r.flags |= HAS_UID;
    if let Some(process) = owner::current() {
        process.take(r, Grade::Created);
    }
    if inet.protocol != IPPROTO_MPTCP {
        report_open(r, inet.inode(), time_ns);
    }
}

/// Body of `cgroup/connect4` and `cgroup/connect6`: a process asks for a connection. If there is no route, connect(2) fails before the socket
/// has the destination.
#[inline(always)]
pub fn connect(sk: Addr, protocol: u16, raddr: [u64; 2], rport: u16) {
    if protocol != IPPROTO_TCP || !enabled() {
        return;
    }
    let r = recall::<Typed>(sk);
    if r.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    let r = unsafe { &mut *r };
    // Otherwise it is connected, connecting, or listens.
    if r.state == CLOSE {
        (r.raddr, r.rport) = (raddr, rport);
        r.marks |= CONNECTING;
    }
}

/// Body of `cgroup/sock_release`: the end of sockets that are not TCP. Those end in `tcp_destroy_sock`; but of a connection that was accepted
/// where no hook saw it, and was over by then, no other hook sees who closes it.
#[inline(always)]
pub fn release(ctx: *mut bpf_sock) {
    if !enabled() {
        return;
    }
    // SAFETY: the verifier turns these into loads of the socket's own fields.
    let (protocol, kind) = unsafe { ((*ctx).protocol as u16, (*ctx).type_ as u16) };
    if protocol == IPPROTO_TCP && kind != SOCK_RAW {
        let r = recall::<Typed>(ctx.cast_const().cast());
        // SAFETY: a value of a map.
        if !r.is_null() && unsafe { (*r).grade } == Grade::Inherited as u8 {
            // SAFETY: as above.
            owner::close_accepted(unsafe { &mut *r });
        }
        return;
    }
    let Some(inet) = Inet::wanted(ctx, None) else { return };
    let mut r = recall::<Typed>(inet.sk);
    if inet.protocol == IPPROTO_MPTCP && kind != SOCK_RAW {
        if !r.is_null() {
            forget::<Typed>(inet.sk);
        }
        // The kernel closes the TCP socket behind it later, by itself.
        let behind = Probed::follow(inet.sk, Field::MptcpFirst).map_or(core::ptr::null_mut(), recall::<Probed>);
        if !behind.is_null() {
            // SAFETY: a value of a map.
            owner::close(unsafe { &mut *behind });
        }
        return;
    }
    let known = !r.is_null();
    if !known {
        r = remember::<Typed>(inet.sk);
        if r.is_null() {
            return;
        }
    }
    // SAFETY: a value of a map.
    let r = unsafe { &mut *r };
    if !known {
        inet.describe(ctx, r);
        r.learn_uid::<Probed>(inet.sk);
    }
    r.family = inet.family;
    let v6 = inet.family == AF_INET6;
    if let (Some(laddr), Some(raddr), Some(lport), Some(rport)) = (
        Probed::address(inet.sk, v6, Field::SkcRcvSaddr, Field::SkcV6RcvSaddr),
        Probed::address(inet.sk, v6, Field::SkcDaddr, Field::SkcV6Daddr),
        Probed::get::<u16>(inet.sk, Field::SkcNum),
        Probed::get::<u16>(inet.sk, Field::SkcDport),
    ) {
        (r.laddr, r.raddr, r.lport, r.rport) = (laddr, raddr, lport, u16::from_be(rport));
        r.flags = (r.flags & !NO_LPORT) | HAS_TUPLE;
    }
    owner::close(r);
    report_close(r, inet.inode(), false, Reason::Closed);
    forget::<Typed>(inet.sk);
}
