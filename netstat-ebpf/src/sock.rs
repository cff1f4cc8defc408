//! Telling what happens to sockets, and the hooks of their creation and, where they are not TCP, their end.

use crate::{
    EVENTS, LPORT, NETNS, PID, PORT, PROTOS, RPORT, STATES, WAKE_BYTES, WAKE_MASK, accept, owner,
    read::{Addr, Memory, Probed, Typed, offset},
    remembered::{Remembered, count, forget, or_scratch, recall, remember},
};
use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP, bpf_sock},
    helpers::generated::{bpf_get_current_uid_gid, bpf_get_socket_cookie, bpf_ktime_get_ns},
    maps::ring_buf::RingBufEntry,
};
use netstat_ebpf::{
    ABSENT, AF_INET6, ANY, BORN, CloseRecord, Field, Grade, HAS_INODE, HAS_TOTALS, HAS_TUPLE, HAS_UID, IPPROTO_TCP,
    Kind, NO_LPORT, RAW, Reason, Record, UNKNOWN_NS, counter, proto_bit,
};

/// `TCP_CLOSE` of `include/net/tcp_states.h`: the state every socket begins in.
const CLOSE: u8 = 7;

/// `SOCK_RAW` of `include/linux/net.h`.
const SOCK_RAW: u32 = 3;

/// The time, in nanoseconds of `CLOCK_MONOTONIC`.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: takes nothing, returns a number.
    unsafe { bpf_ktime_get_ns() }
}

/// Whether sockets of this kind are wanted.
#[inline(always)]
pub fn wanted_proto(protocol: u16, raw: bool, v6: bool) -> bool {
    proto_bit(protocol, raw, v6).is_some_and(|bit| PROTOS.load() & bit != 0)
}

/// Whether TCP sockets of this family and namespace are wanted.
#[inline(always)]
pub fn wanted_tcp(family: u8, netns: Option<u32>) -> bool {
    family != 0 && wanted_proto(IPPROTO_TCP, false, family == AF_INET6) && wanted_netns(netns)
}

/// Whether a network namespace is wanted.
#[inline(always)]
pub fn wanted_netns(netns: Option<u32>) -> bool {
    NETNS.load() == ANY || netns.is_none_or(|netns| netns == NETNS.load())
}

/// Whether the owner is wanted. One the kernel side does not know passes: user space may.
#[inline(always)]
pub fn wanted_owner(remembered: &Remembered) -> bool {
    PID.load() == ANY || remembered.grade == Grade::None as u8 || remembered.tgid == PID.load()
}

/// Whether the ports are wanted.
#[inline(always)]
pub fn wanted_ports(lport: u16, rport: u16) -> bool {
    let (lport, rport) = (u32::from(lport), u32::from(rport));
    (PORT.load() == ANY || PORT.load() == lport || PORT.load() == rport)
        && (LPORT.load() == ANY || LPORT.load() == lport)
        && (RPORT.load() == ANY || RPORT.load() == rport)
}

/// Whether transitions into a state are wanted.
#[inline(always)]
pub fn wanted_state(state: u8) -> bool {
    STATES.load() == ANY || STATES.load() & (1 << state) != 0
}

/// Whether an `Open` or a `Close` is wanted at all.
#[inline(always)]
fn wanted_ends() -> bool {
    STATES.load() == ANY
}

/// Room in the ring buffer, or `None` and one more lost.
#[inline(always)]
pub fn reserve<T: 'static>() -> Option<RingBufEntry<T>> {
    let entry = EVENTS.reserve::<T>(0);
    if entry.is_none() {
        count(counter::LOST);
    }
    entry
}

/// Hands a filled record over. The reader comes by every few milliseconds; it is woken only when much is pending, which not every record
/// looks for.
#[inline(always)]
pub fn submit<T: 'static>(entry: RingBufEntry<T>, time_ns: u64) {
    let look = time_ns as u32 & WAKE_MASK.load() == 0;
    let much = look && EVENTS.query(u64::from(BPF_RB_AVAIL_DATA)) >= u64::from(WAKE_BYTES.load());
    entry.submit(u64::from(if much { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP }));
}

/// The record that `remembered` speaks for.
#[inline(always)]
pub fn record(kind: Kind, r: &Remembered, time_ns: u64, inode: Option<u64>) -> Record {
    Record {
        kind: kind as u8,
        old_state: 0,
        new_state: 0,
        grade: r.grade,
        family: r.family,
        flags: (r.flags & (HAS_TUPLE | NO_LPORT | RAW | HAS_UID)) | if inode.is_some() { HAS_INODE } else { 0 },
        protocol: r.protocol,
        time_ns,
        in_state_ns: UNKNOWN_NS,
        cookie: r.cookie,
        inode: inode.unwrap_or(0),
        netns: r.netns,
        uid: r.uid,
        pid: r.tgid,
        lport: r.lport,
        rport: r.rport,
        comm: bytes(r.comm),
        laddr: bytes(r.laddr),
        raddr: bytes(r.raddr),
    }
}

/// Two words as they lie in memory.
#[inline(always)]
fn bytes(words: [u64; 2]) -> [u8; 16] {
    // SAFETY: any sixteen bytes are a byte array.
    unsafe { core::mem::transmute(words) }
}

/// Tells a transition; `marks` are added to the record's flags.
#[inline(always)]
pub fn tell_state(r: &Remembered, inode: Option<u64>, old: u8, new: u8, time_ns: u64, in_state_ns: u64, marks: u8) {
    if !wanted_state(new) || !wanted_owner(r) || !wanted_ports(r.lport, r.rport) {
        return;
    }
    let entry = reserve::<Record>();
    if entry.is_none() && marks & BORN != 0 {
        // It would have told of two transitions.
        count(counter::LOST);
    }
    if let Some(mut entry) = entry {
        let written = entry.write(record(Kind::State, r, time_ns, inode));
        written.flags |= marks;
        written.old_state = old;
        written.new_state = new;
        written.in_state_ns = in_state_ns;
        submit(entry, time_ns);
    }
}

/// Tells the end of a socket.
#[inline(always)]
pub fn tell_close(r: &Remembered, inode: Option<u64>, totals: bool, reason: Reason) {
    if !wanted_ends() || !wanted_owner(r) || !wanted_ports(r.lport, r.rport) {
        return;
    }
    let time_ns = now();
    if let Some(mut entry) = reserve::<CloseRecord>() {
        entry.write(CloseRecord {
            record: record(Kind::Close, r, time_ns, inode),
            duration_ns: if r.created_ns == 0 { UNKNOWN_NS } else { time_ns - r.created_ns },
            rx_bytes: r.rx_bytes,
            tx_bytes: r.tx_bytes,
            rtt_us: r.rtt_us,
            retransmits: r.retransmits,
            reason: reason as u8,
            totals: if totals { HAS_TOTALS } else { 0 },
            pad: [0; 6],
        });
        submit(entry, time_ns);
    }
}

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
        let (family, protocol, raw) = (family as u8, protocol as u16, kind == SOCK_RAW);
        if !wanted_proto(protocol, raw, family == AF_INET6) {
            return None;
        }
        let sk = ctx.cast_const().cast();
        let netns = match task {
            Some(task) => Typed::follow(task, Field::TaskNsproxy)
                .and_then(|proxy| Typed::follow(proxy, Field::NsproxyNetNs))
                .and_then(Typed::inum),
            None => Probed::netns(sk),
        };
        wanted_netns(netns).then_some(Self { sk, family, protocol, raw, netns })
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
    fn inode(&self) -> Option<u64> {
        let inode = offset(Field::SocketAllocInode);
        if inode == ABSENT {
            return None;
        }
        Probed::get(Probed::follow(self.sk, Field::SkSocket)?.wrapping_add(inode as usize), Field::InodeIno)
    }
}

/// Body of `cgroup/sock_create`: a process has made a socket, in its own context.
#[inline(always)]
pub fn create(ctx: *mut bpf_sock) {
    let task = owner::task();
    let Some(inet) = Inet::wanted(ctx, task) else { return };
    let r = or_scratch(remember::<Typed>(inet.sk));
    if r.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    let r = unsafe { &mut *r };
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
        process.own(r, Grade::Created);
    }
    if wanted_ends() && wanted_owner(r) && wanted_ports(0, 0) {
        if let Some(mut entry) = reserve::<Record>() {
            entry.write(record(Kind::Open, r, time_ns, inet.inode()));
            submit(entry, time_ns);
        }
    }
}

/// Body of `cgroup/sock_release`: the end of sockets that are not TCP. Those end in `tcp_destroy_sock`; for a connection that was
/// accepted where no hook could see it, this is the first sight of whoever did.
#[inline(always)]
pub fn release(ctx: *mut bpf_sock) {
    // SAFETY: the verifier turns these into loads of the socket's own fields.
    if unsafe { (*ctx).protocol as u16 == IPPROTO_TCP && (*ctx).type_ != SOCK_RAW } {
        accept::take_over::<Typed>(ctx.cast_const().cast());
        return;
    }
    let Some(inet) = Inet::wanted(ctx, None) else { return };
    let known = recall::<Typed>(inet.sk);
    let r = or_scratch(known);
    if r.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    let r = unsafe { &mut *r };
    if known.is_null() {
        inet.describe(ctx, r);
        r.learn_uid::<Probed>(inet.sk);
    }
    let v6 = inet.family == AF_INET6;
    if let (Some(laddr), Some(raddr), Some(lport), Some(rport)) = (
        Probed::address(inet.sk, v6, Field::SkcRcvSaddr, Field::SkcV6RcvSaddr),
        Probed::address(inet.sk, v6, Field::SkcDaddr, Field::SkcV6Daddr),
        Probed::get::<u16>(inet.sk, Field::SkcNum),
        Probed::get::<u16>(inet.sk, Field::SkcDport),
    ) {
        (r.laddr, r.raddr, r.lport, r.rport) = (laddr, raddr, lport, u16::from_be(rport));
        r.flags |= HAS_TUPLE;
    }
    tell_close(r, inet.inode(), false, Reason::Closed);
    if !known.is_null() {
        forget::<Typed>(inet.sk);
    }
}
