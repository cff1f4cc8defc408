//! What is remembered of each socket, and the hooks of its creation and, where it is not TCP, its end.

use crate::{
    COUNTERS, EVENTS, LPORT, NETNS, PID, PORT, PROTOS, RPORT, SOCKETS, STATES, WAKE_BYTES, owner,
    read::{Addr, Memory, Probed, Typed, offset},
};
use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP, bpf_sock},
    helpers::generated::{bpf_get_current_uid_gid, bpf_get_socket_cookie, bpf_ktime_get_ns},
    maps::ring_buf::RingBufEntry,
};
use netstat_ebpf::{
    ABSENT, AF_INET6, ANY, CloseRecord, Field, Grade, HAS_INODE, HAS_TOTALS, HAS_TUPLE, HAS_UID, IPPROTO_TCP, Kind,
    NO_LPORT, RAW, Reason, Record, UNKNOWN_NS, counter, proto_bit,
};

/// `TCP_CLOSE` of `include/net/tcp_states.h`: the state every socket begins in.
const CLOSE: u8 = 7;

/// `SOCK_RAW` of `include/linux/net.h`.
const SOCK_RAW: u32 = 3;

/// What is remembered of a live socket.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Remembered {
    /// Address of the socket this belongs to: a child's clone still names its listener here.
    pub sk: u64,
    /// When it was created, 0 if before the tracer.
    pub created_ns: u64,
    /// When it entered its present state, 0 if before the tracer.
    pub state_ns: u64,
    /// Cookie, 0 if not known yet.
    pub cookie: u64,
    /// Payload bytes received and sent on connections that are over.
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rtt_us: u32,
    pub retransmits: u32,
    /// Owner; `grade` tells whether there is one.
    pub tgid: u32,
    pub uid: u32,
    pub netns: u32,
    pub lport: u16,
    pub rport: u16,
    pub comm: [u8; 16],
    pub laddr: [u64; 2],
    pub raddr: [u64; 2],
    /// `HAS_TUPLE`, `HAS_UID`, `RAW` of the ABI, and the marks below.
    pub flags: u8,
    pub grade: u8,
    pub reason: u8,
    pub family: u8,
    pub protocol: u16,
    /// The TCP state it was told to enter last, 0 if none was.
    pub state: u8,
    pub pad: u8,
}

/// [`Remembered::flags`]: totals of a finished connection are in.
pub const COUNTED: u8 = 1 << 5;
/// [`Remembered::flags`]: this end sent a reset.
pub const SENT_RESET: u8 = 1 << 6;
/// [`Remembered::flags`]: a child whose first transition is still to be told, since the kernel had not filled it in.
pub const UNTOLD: u8 = 1 << 7;

impl Remembered {
    /// A socket nothing is known of.
    pub const fn unknown(sk: u64) -> Self {
        Self {
            sk,
            created_ns: 0,
            state_ns: 0,
            cookie: 0,
            rx_bytes: 0,
            tx_bytes: 0,
            rtt_us: 0,
            retransmits: 0,
            tgid: 0,
            uid: 0,
            netns: 0,
            lport: 0,
            rport: 0,
            comm: [0; 16],
            laddr: [0; 2],
            raddr: [0; 2],
            flags: 0,
            grade: Grade::None as u8,
            reason: Reason::Closed as u8,
            family: 0,
            protocol: 0,
            state: 0,
            pad: 0,
        }
    }
}

/// What is remembered of a socket, null if nothing.
#[inline(always)]
pub fn recall<M: Memory>(sk: Addr) -> *mut Remembered {
    let kept = M::kept(sk);
    if kept.is_null() { SOCKETS.get_ptr_mut(sk as u64).unwrap_or(core::ptr::null_mut()) } else { kept }
}

/// Starts to remember a socket; null, and counted, if there is no room.
#[inline(always)]
pub fn remember(remembered: &Remembered) -> *mut Remembered {
    if SOCKETS.insert(remembered.sk, remembered, 0).is_err() {
        count(counter::FORGOTTEN);
        return core::ptr::null_mut();
    }
    SOCKETS.get_ptr_mut(remembered.sk).unwrap_or(core::ptr::null_mut())
}

/// Adds one to a per-CPU counter.
#[inline(always)]
pub fn count(index: u32) {
    if let Some(counter) = COUNTERS.get_ptr_mut(index) {
        // SAFETY: the counter is this CPU's own.
        unsafe { *counter += 1 };
    }
}

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

/// Hands a filled record over. The reader comes by every few milliseconds; it is woken only when much is pending.
#[inline(always)]
pub fn submit<T: 'static>(entry: RingBufEntry<T>) {
    let much = EVENTS.query(u64::from(BPF_RB_AVAIL_DATA)) >= u64::from(WAKE_BYTES.load());
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
        comm: r.comm,
        laddr: bytes(r.laddr),
        raddr: bytes(r.raddr),
    }
}

/// Two words as they lie in memory.
#[inline(always)]
pub fn bytes(words: [u64; 2]) -> [u8; 16] {
    // SAFETY: any sixteen bytes are a byte array.
    unsafe { core::mem::transmute(words) }
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
        submit(entry);
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
    /// `None` if its protocol, family or namespace is not wanted.
    #[inline(always)]
    fn wanted(ctx: *mut bpf_sock) -> Option<Self> {
        // SAFETY: the verifier turns these into loads of the socket's own fields.
        let (family, kind, protocol) = unsafe { ((*ctx).family, (*ctx).type_, (*ctx).protocol) };
        let (family, protocol, raw) = (family as u8, protocol as u16, kind == SOCK_RAW);
        if !wanted_proto(protocol, raw, family == AF_INET6) {
            return None;
        }
        let sk = ctx.cast_const().cast();
        let netns = Probed::netns(sk);
        wanted_netns(netns).then_some(Self { sk, family, protocol, raw, netns })
    }

    /// What there is to remember of it before anything happened to it.
    #[inline(always)]
    fn fresh(&self) -> Remembered {
        let mut fresh = Remembered::unknown(self.sk as u64);
        fresh.family = self.family;
        fresh.protocol = self.protocol;
        fresh.netns = self.netns.unwrap_or(0);
        if self.raw {
            fresh.flags |= RAW;
        }
        if let Some(uid) = Probed::get(self.sk, Field::SkUid) {
            fresh.uid = uid;
            fresh.flags |= HAS_UID;
        }
        fresh
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
    let Some(inet) = Inet::wanted(ctx) else { return };
    let mut fresh = inet.fresh();
    let time_ns = now();
    fresh.created_ns = time_ns;
    fresh.state_ns = time_ns;
    fresh.state = CLOSE;
    // SAFETY: the context is the one this program was called with.
    fresh.cookie = unsafe { bpf_get_socket_cookie(ctx.cast()) };
    if fresh.flags & HAS_UID == 0 {
        // SAFETY: takes nothing, returns a number.
        fresh.uid = unsafe { bpf_get_current_uid_gid() } as u32;
        fresh.flags |= HAS_UID;
    }
    if let Some(process) = owner::current() {
        fresh.tgid = process.tgid;
        fresh.comm = process.comm;
        fresh.grade = Grade::Created as u8;
    }
    remember(&fresh);
    if wanted_ends() && wanted_owner(&fresh) && wanted_ports(0, 0) {
        if let Some(mut entry) = reserve::<Record>() {
            entry.write(record(Kind::Open, &fresh, time_ns, inet.inode()));
            submit(entry);
        }
    }
}

/// Body of the hooks that a process passes with a connection in hand: accept(2) that asks for the peer's address, getpeername(2),
/// and the last close(2). The first of them makes an inherited connection the process's own.
#[inline(always)]
pub fn take_over(sk: Addr) {
    let r = recall::<Typed>(sk);
    if r.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    let r = unsafe { &mut *r };
    let child = r.grade == Grade::None as u8 && r.created_ns != 0;
    if r.sk == sk as u64
        && (child || r.grade == Grade::Inherited as u8)
        && let Some(process) = owner::current()
    {
        r.tgid = process.tgid;
        r.comm = process.comm;
        r.grade = Grade::Accepted as u8;
    }
}

/// Body of `cgroup/sock_release`: the end of sockets that are not TCP. Those end in `tcp_destroy_sock`; for a connection that was
/// accepted without a look at the peer, this is the first sight of whoever did.
#[inline(always)]
pub fn release(ctx: *mut bpf_sock) {
    // SAFETY: the verifier turns these into loads of the socket's own fields.
    if unsafe { (*ctx).protocol as u16 == IPPROTO_TCP && (*ctx).type_ != SOCK_RAW } {
        take_over(ctx.cast_const().cast());
        return;
    }
    let Some(inet) = Inet::wanted(ctx) else { return };
    let remembered = SOCKETS.get_ptr_mut(inet.sk as u64);
    let mut fresh;
    let r = match remembered {
        // SAFETY: the map's values live as long as the program runs.
        Some(remembered) => unsafe { &mut *remembered },
        None => {
            fresh = inet.fresh();
            // SAFETY: the context is the one this program was called with.
            fresh.cookie = unsafe { bpf_get_socket_cookie(ctx.cast()) };
            &mut fresh
        }
    };
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
    if remembered.is_some() {
        // Nothing is left to do if it has gone meanwhile.
        let _ = SOCKETS.remove(inet.sk as u64);
    }
}
