//! What is remembered of a live socket, a TIME_WAIT minisocket or a connection request, and what its marks mean.

use crate::{count::count, process::Process, read::Memory, setup::sees_births, sys::Addr};
use netstat_ebpf::{
    Field, Grade, HAS_UID, RAW, Reason, counter,
    linux::{
        IPPROTO_TCP,
        tcp::{LISTEN, TIME_WAIT},
    },
};

/// What is remembered of a socket, a TIME_WAIT minisocket or a connection request: two cache lines, the second for its beginning and end.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Remembered {
    /// When it entered its present state, 0 if before the tracer.
    pub state_ns: u64,
    /// Cookie, 0 if not known yet.
    pub cookie: u64,
    /// Owner; `grade` says whether there is one.
    pub owner: Process,
    pub uid: u32,
    pub netns: u32,
    pub lport: u16,
    pub rport: u16,
    /// `HAS_TUPLE`, `NO_LPORT`, `HAS_UID`, `RAW`, `UNSEEN` of the ABI, and the flags below.
    pub flags: u8,
    pub grade: u8,
    pub reason: u8,
    pub family: u8,
    pub protocol: u16,
    /// The TCP state it was seen to enter last, 0 if none was.
    pub state: u8,
    /// The marks below.
    pub marks: u8,
    /// Id of the cgroup that the owner was in when it became that, 0 if unknown.
    pub cgroup: u32,
    pub laddr: [u64; 2],
    pub raddr: [u64; 2],
    /// When it was created, 0 if before the tracer.
    pub created_ns: u64,
    /// What it means depends on the socket; 0 otherwise:
    /// - closed by its process: the number of data segments received until then, plus one, if none of them waits;
    /// - minisocket or request: when its timer was stopped, if that may have been for good;
    /// - child whose birth is not reported yet: when it was created, in jiffies.
    pub mark: u64,
    /// The process that closed it; `tgid` is 0 if none has.
    pub closer: Process,
    /// Payload bytes received and sent on connections that are over.
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rtt_us: u32,
    pub retransmits: u32,
}

const _: () = assert!(size_of::<Remembered>() == 128);

/// After how many jiffies a child whose birth was not reported cannot be one any more: a second, or up to ten.
const UNBORN: u64 = 1_000;

/// [`Remembered::flags`]: totals of a finished connection are in.
pub const COUNTED: u8 = 1 << 5;
/// [`Remembered::flags`]: this end sent a reset.
pub const SENT_RESET: u8 = 1 << 6;
/// [`Remembered::flags`] of a child: its birth is not reported yet.
pub const UNREPORTED: u8 = 1 << 7;

/// [`Remembered::marks`]: its last connection ended while a process still held it, whose close(2) destroys it.
pub const HELD: u8 = 1 << 0;
/// [`Remembered::marks`]: another program refused its creation; nothing of it is reported.
pub const REFUSED: u8 = 1 << 1;
/// [`Remembered::marks`]: its process has asked for a connection, and no SYN was sent yet.
pub const CONNECTING: u8 = 1 << 2;
/// [`Remembered::marks`]: its end is reported, by the program that stands in for another. That one may still come.
pub const ENDED: u8 = 1 << 3;
/// [`Remembered::marks`]: it is what a connection leaves behind after its socket: `struct inet_timewait_sock`.
pub const MINI: u8 = 1 << 4;
/// [`Remembered::marks`]: when the owner became that, it was in none of the cgroups that are wanted.
pub const OUTSIDE: u8 = 1 << 5;

impl Remembered {
    /// A socket nothing is known of.
    pub const NOTHING: Self = Self {
        state_ns: 0,
        cookie: 0,
        owner: Process::NONE,
        uid: 0,
        netns: 0,
        lport: 0,
        rport: 0,
        flags: 0,
        grade: Grade::None as u8,
        reason: Reason::Closed as u8,
        family: 0,
        protocol: 0,
        state: 0,
        marks: 0,
        cgroup: 0,
        laddr: [0; 2],
        raddr: [0; 2],
        created_ns: 0,
        mark: 0,
        closer: Process::NONE,
        rx_bytes: 0,
        tx_bytes: 0,
        rtt_us: 0,
        retransmits: 0,
    };

    /// Whether it is of a socket that is gone, `now` in jiffies, so that its place can be given away.
    #[inline(always)]
    pub fn is_over(&self, now: u64) -> bool {
        // The kernel drops a child that another processor has made first without a word (`inet_csk_complete_hashdance`). One that a process has accepted
        // waits for the end of its handshake (TCP Fast Open).
        let unborn = self.flags & UNREPORTED != 0 && self.grade != Grade::Accepted as u8;
        self.marks & ENDED != 0 || unborn && now.wrapping_sub(self.mark) > UNBORN
    }

    /// Another socket has its address: counts the end that the kernel left out of every program, if none has seen it. Of a minisocket that of
    /// TIME_WAIT alone is reported.
    #[inline(always)]
    pub fn note_replaced(&self) {
        if self.cookie != 0
            && self.protocol == IPPROTO_TCP
            && self.flags & (UNREPORTED | RAW) == 0
            && self.marks & (REFUSED | ENDED) == 0
            && (self.marks & MINI == 0 || self.state == TIME_WAIT)
        {
            count(counter::LOST);
        }
    }

    /// Counts the transition, or the end, that the kernel left out of every program, if there was one before the socket was in this state; whether
    /// there was. Where the hook is on `tcp_set_state`, sockets begin to listen unseen.
    #[inline(always)]
    pub fn count_skipped(&self, state: u8) -> bool {
        let unseen = state == LISTEN && !sees_births();
        let skipped = self.state != 0 && self.state != state && self.flags & UNREPORTED == 0 && !unseen;
        if skipped {
            count(counter::LOST);
        }
        skipped
    }

    /// Fills in what distinguishes a TCP socket.
    #[inline(always)]
    pub fn describe_tcp(&mut self, family: u8, netns: Option<u32>) {
        self.family = family;
        self.protocol = IPPROTO_TCP;
        self.netns = netns.unwrap_or(0);
    }

    /// Takes over the user of the socket; it may change.
    #[inline(always)]
    pub fn learn_uid<M: Memory>(&mut self, sk: Addr) {
        if let Some(uid) = M::get(sk, Field::SkUid) {
            self.uid = uid;
            self.flags |= HAS_UID;
        }
    }
}
