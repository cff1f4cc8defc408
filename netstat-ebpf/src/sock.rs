//! The hooks of sockets' creation, of a process asking for a connection and, where they are not TCP, of their end.

use crate::{
    owner, process,
    read::{Memory, Probed, Typed, UNKNOWN_INODE, task},
    remembered::{CONNECTING, REFUSED, Remembered},
    report::{report_close, report_open},
    setup::enabled,
    store::{forget, recall, remember},
    sys::{Addr, Socket, address_of, cookie, current_uid, now},
    wanted,
};
use aya_ebpf::programs::SockContext;
use netstat_ebpf::{
    Field, Grade, HAS_TUPLE, HAS_UID, NO_LPORT, RAW, Reason,
    linux::{AF_INET6, IPPROTO_MPTCP, IPPROTO_TCP, SOCK_RAW, tcp::CLOSE},
};

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
    fn wanted(ctx: &SockContext, task: Option<Addr>) -> Option<Self> {
        let Socket { family, kind, protocol } = Socket::of(ctx);
        let raw = kind == SOCK_RAW;
        // Of MPTCP the owner is remembered, for the TCP sockets behind it.
        let as_protocol = if protocol == IPPROTO_MPTCP && !raw { IPPROTO_TCP } else { protocol };
        if !wanted::protocol(as_protocol, raw, family == AF_INET6) {
            return None;
        }
        let sk = address_of(ctx);
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
    fn describe(&self, r: &mut Remembered) {
        r.family = self.family;
        r.protocol = self.protocol;
        r.netns = self.netns.unwrap_or(0);
        if self.raw {
            r.flags |= RAW;
        }
        r.cookie = cookie(self.sk);
    }

    /// Inode of the socket: at creation there is no file yet.
    #[inline(always)]
    fn inode(&self) -> u64 {
        Probed::allocated_inode(self.sk).unwrap_or(UNKNOWN_INODE)
    }
}

/// Body of `cgroup/sock_create`: a process has made a socket, in its own context. One that was `refused` is never reported.
#[inline(always)]
pub fn create(ctx: &SockContext, refused: bool) {
    if !enabled() {
        return;
    }
    let task = task();
    let Some(inet) = Inet::wanted(ctx, task) else { return };
    // Of a refused socket that is not TCP nothing is seen any more; the end of a TCP socket is.
    if refused && inet.protocol != IPPROTO_TCP {
        return;
    }
    let Some(r) = remember::<Typed>(inet.sk) else { return };
    if refused {
        r.marks = REFUSED;
        return;
    }
    inet.describe(r);
    let time_ns = now();
    r.created_ns = time_ns;
    r.state_ns = time_ns;
    r.state = CLOSE;
    // As `sock_alloc` does; where the types are hidden, the real user is the nearest there is.
    let fsuid = task.and_then(|task| Typed::get(Typed::follow(task, Field::TaskCred)?, Field::CredFsuid));
    r.uid = fsuid.unwrap_or_else(current_uid);
    r.flags |= HAS_UID;
    if let Some(process) = process::current() {
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
    let Some(r) = recall::<Typed>(sk) else { return };
    // Otherwise it is connected, connecting, or listens.
    if r.state == CLOSE {
        (r.raddr, r.rport) = (raddr, rport);
        r.marks |= CONNECTING;
    }
}

/// Body of `cgroup/sock_release`: the end of sockets that are not TCP. Those end in `tcp_destroy_sock`; but of a connection that was accepted
/// where no hook saw it, and was over by then, no other hook sees who closes it.
#[inline(always)]
pub fn release(ctx: &SockContext) {
    if !enabled() {
        return;
    }
    let Socket { protocol, kind, .. } = Socket::of(ctx);
    if protocol == IPPROTO_TCP && kind != SOCK_RAW {
        if let Some(r) = recall::<Typed>(address_of(ctx))
            && r.grade == Grade::Inherited as u8
        {
            owner::close_accepted(r);
        }
        return;
    }
    let Some(inet) = Inet::wanted(ctx, None) else { return };
    let mut known = recall::<Typed>(inet.sk);
    if inet.protocol == IPPROTO_MPTCP && kind != SOCK_RAW {
        if known.is_some() {
            forget::<Typed>(inet.sk);
        }
        // The kernel closes the TCP socket behind it later, by itself.
        if let Some(behind) = Probed::follow(inet.sk, Field::MptcpFirst).and_then(recall::<Probed>) {
            owner::close(behind);
        }
        return;
    }
    if known.is_none() {
        known = remember::<Typed>(inet.sk);
        let Some(r) = &mut known else { return };
        inet.describe(r);
    }
    let Some(r) = known else { return };
    r.learn_uid::<Probed>(inet.sk);
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
