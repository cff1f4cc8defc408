//! Records of the kernel programs → events: every tag and length is checked.

use crate::model::{
    CloseReason, Closer, Comm, EventEnd, EventKind, Grade, Owner, Proto, START_SHIFT, SocketEvent, TcpState, Totals,
};
use bytes::Buf;
use netstat_ebpf as abi;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;

/// Why a record cannot be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Shorter or longer than its kind.
    #[error("a record of {0} bytes")]
    Length(usize),
    /// A tag that the programs do not write.
    #[error("unknown {what} {tag}")]
    Tag {
        /// What the tag is of.
        what: &'static str,
        /// Its value.
        tag: u16,
    },
}

const fn tag(what: &'static str) -> impl Fn(u8) -> DecodeError {
    move |tag| DecodeError::Tag { what, tag: tag as u16 }
}

const _: () = assert!(abi::START_SHIFT == START_SHIFT);

/// A process: its thread-group id, and when it started ([`netstat_ebpf::start_tag`]).
pub type RecordProcess = (u32, u32);

/// What one record says.
#[allow(clippy::large_enum_variant, reason = "nearly every record is an event, and none is kept")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Something happened to a socket.
    Event {
        /// A connection that came in has left its listener (`LISTEN` → `SYN_RECV`), before the event.
        birth: Option<SocketEvent>,
        /// What happened.
        event: SocketEvent,
    },
    /// The name of a process, as it is from now on.
    Name(RecordProcess, Comm),
    /// A process is gone that others hold sockets of.
    Gone(RecordProcess),
}

/// Reads one record. `epoch_ns` is what `CLOCK_REALTIME` is ahead of `CLOCK_MONOTONIC`; `name_of` knows the names of processes.
///
/// # Errors
/// A [`DecodeError`]; nothing of the record is to be believed then.
pub fn decode(
    mut bytes: &[u8],
    epoch_ns: u64,
    mut name_of: impl FnMut(RecordProcess) -> Comm,
) -> Result<Decoded, DecodeError> {
    let len = bytes.len();
    let kind = bytes.first().copied().ok_or(DecodeError::Length(len))?;
    let kind = abi::Kind::try_from(kind).map_err(tag("record kind"))?;
    let expected = match kind {
        abi::Kind::Open | abi::Kind::State => size_of::<abi::Record>(),
        abi::Kind::Close => size_of::<abi::CloseRecord>(),
        abi::Kind::Process | abi::Kind::Gone => size_of::<abi::ProcessRecord>(),
    };
    if len != expected {
        return Err(DecodeError::Length(len));
    }
    bytes.advance(1);
    let kind = match kind {
        abi::Kind::Process => {
            let (process, name) = process(&mut bytes);
            return Ok(Decoded::Name(process, name));
        }
        abi::Kind::Gone => return Ok(Decoded::Gone(process(&mut bytes).0)),
        kind => kind,
    };
    let head = RecordHead::read(&mut bytes)?;
    let proto = proto(head.family, head.has(abi::RAW), head.protocol)?;
    let (local, remote) = head.ends(proto.is_v6());
    let kind = match kind {
        abi::Kind::State => head.transition()?,
        abi::Kind::Close => EventKind::Close(totals(&mut bytes, &mut name_of)?),
        _ => EventKind::Open,
    };
    let event = SocketEvent {
        time_ns: epoch_ns.wrapping_add(head.time_ns),
        kind,
        proto,
        local,
        remote,
        owner: grade(head.grade).map(|grade| Owner {
            pid: head.owner.0,
            comm: name_of(head.owner),
            grade,
            cgroup_id: NonZeroU64::new(head.cgroup.into()),
            start: head.owner.1,
        }),
        uid: head.has(abi::HAS_UID).then_some(head.uid),
        inode: head.has(abi::HAS_INODE).then_some(head.inode),
        cookie: (head.cookie != 0).then_some(head.cookie),
        netns: (head.netns != 0).then_some(head.netns),
    };
    let birth = |event: SocketEvent| SocketEvent {
        time_ns: event.time_ns.saturating_sub(known(head.in_state_ns).unwrap_or(0)),
        kind: EventKind::State { old: TcpState::Listen, new: TcpState::SynRecv, in_state_ns: Some(0) },
        ..event
    };
    let born = head.has(abi::BORN) && matches!(event.kind, EventKind::State { .. });
    Ok(Decoded::Event { birth: born.then(|| birth(event)), event })
}

/// What stands behind the kind in every record of a socket (`netstat_ebpf::Record`).
///
/// Parts of [`decode`] are `inline(always)` in this file, because it is on the path of every event.
struct RecordHead {
    old_state: u8,
    new_state: u8,
    grade: abi::Grade,
    family: u8,
    flags: u8,
    protocol: u16,
    time_ns: u64,
    in_state_ns: u64,
    cookie: u64,
    inode: u64,
    netns: u32,
    uid: u32,
    owner: RecordProcess,
    lport: u16,
    rport: u16,
    cgroup: u32,
    laddr: [u8; 16],
    raddr: [u8; 16],
}

impl RecordHead {
    #[inline(always)]
    fn read(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        // In the order of the record's fields, as they are evaluated.
        Ok(Self {
            old_state: bytes.get_u8(),
            new_state: bytes.get_u8(),
            grade: abi::Grade::try_from(bytes.get_u8()).map_err(tag("owner grade"))?,
            family: bytes.get_u8(),
            flags: bytes.get_u8(),
            protocol: bytes.get_u16_ne(),
            time_ns: bytes.get_u64_ne(),
            in_state_ns: bytes.get_u64_ne(),
            cookie: bytes.get_u64_ne(),
            inode: bytes.get_u64_ne(),
            netns: bytes.get_u32_ne(),
            uid: bytes.get_u32_ne(),
            owner: (bytes.get_u32_ne(), bytes.get_u32_ne()),
            lport: bytes.get_u16_ne(),
            rport: bytes.get_u16_ne(),
            cgroup: bytes.get_u32_ne(),
            laddr: array(bytes),
            raddr: array(bytes),
        })
    }

    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Both ends, where the socket has addresses.
    #[inline(always)]
    fn ends(&self, v6: bool) -> (Option<EventEnd>, Option<EventEnd>) {
        if !self.has(abi::HAS_TUPLE) {
            return (None, None);
        }
        let address = |raw: [u8; 16]| {
            if v6 { Ipv6Addr::from(raw).into() } else { IpAddr::V4(Ipv4Addr::new(raw[0], raw[1], raw[2], raw[3])) }
        };
        let lport = (!self.has(abi::NO_LPORT)).then_some(self.lport);
        let local = EventEnd { addr: address(self.laddr), port: lport };
        (Some(local), Some(EventEnd { addr: address(self.raddr), port: Some(self.rport) }))
    }

    #[inline(always)]
    fn transition(&self) -> Result<EventKind, DecodeError> {
        let state = |number| TcpState::from_kernel(number).ok_or_else(|| tag("TCP state")(number));
        let (old, new) = (state(self.old_state)?, state(self.new_state)?);
        Ok(EventKind::State { old, new, in_state_ns: known(self.in_state_ns) })
    }
}

/// What stands behind the kind in the record of a process: the process, and its name.
fn process(bytes: &mut &[u8]) -> (RecordProcess, Comm) {
    bytes.advance(3);
    let process = (bytes.get_u32_ne(), bytes.get_u32_ne());
    bytes.advance(4);
    (process, Comm::new(&array(bytes)))
}

/// What stands behind the head in the record of a close.
#[inline(always)]
fn totals(bytes: &mut &[u8], name_of: &mut impl FnMut(RecordProcess) -> Comm) -> Result<Totals, DecodeError> {
    let duration_ns = known(bytes.get_u64_ne());
    let (rx, tx) = (bytes.get_u64_ne(), bytes.get_u64_ne());
    let (rtt_us, retransmits) = (bytes.get_u32_ne(), bytes.get_u32_ne());
    let closer = (bytes.get_u32_ne(), bytes.get_u32_ne());
    let reason = abi::Reason::try_from(bytes.get_u8()).map_err(tag("close reason"))?;
    let counted = bytes.get_u8() & abi::HAS_TOTALS != 0;
    Ok(Totals {
        duration_ns,
        rx_bytes: counted.then_some(rx),
        tx_bytes: counted.then_some(tx),
        rtt_us: (rtt_us != 0).then_some(rtt_us),
        retransmits: counted.then_some(retransmits),
        reason: match reason {
            abi::Reason::Closed => CloseReason::Closed,
            abi::Reason::ResetReceived => CloseReason::ResetReceived,
            abi::Reason::ResetSent => CloseReason::ResetSent,
            abi::Reason::Refused => CloseReason::Refused,
            abi::Reason::TimedOut => CloseReason::TimedOut,
            abi::Reason::Unreachable => CloseReason::Unreachable,
            abi::Reason::Abandoned => CloseReason::Abandoned,
            abi::Reason::Unknown => CloseReason::Unknown,
        },
        closed_by: (closer.0 != 0).then(|| Closer { pid: closer.0, comm: name_of(closer), start: closer.1 }),
    })
}

#[inline(always)]
const fn grade(grade: abi::Grade) -> Option<Grade> {
    match grade {
        abi::Grade::None => None,
        abi::Grade::Created => Some(Grade::Created),
        abi::Grade::Accepted => Some(Grade::Accepted),
        abi::Grade::Inherited => Some(Grade::Inherited),
        abi::Grade::Scanned => Some(Grade::Scanned),
    }
}

/// A time, where the programs know it.
#[inline(always)]
const fn known(ns: u64) -> Option<u64> {
    if ns == abi::UNKNOWN_NS { None } else { Some(ns) }
}

fn array(bytes: &mut &[u8]) -> [u8; 16] {
    let mut array = [0; 16];
    bytes.copy_to_slice(&mut array);
    array
}

fn proto(family: u8, raw: bool, protocol: u16) -> Result<Proto, DecodeError> {
    let v6 = match family {
        abi::linux::AF_INET => false,
        abi::linux::AF_INET6 => true,
        other => return Err(tag("address family")(other)),
    };
    Ok(match (raw, protocol, v6) {
        (true, _, false) => Proto::Raw,
        (true, _, true) => Proto::Raw6,
        (_, abi::linux::IPPROTO_TCP, false) => Proto::Tcp,
        (_, abi::linux::IPPROTO_TCP, true) => Proto::Tcp6,
        (_, abi::linux::IPPROTO_UDP, false) => Proto::Udp,
        (_, abi::linux::IPPROTO_UDP, true) => Proto::Udp6,
        (_, abi::linux::IPPROTO_UDPLITE, false) => Proto::UdpLite,
        (_, abi::linux::IPPROTO_UDPLITE, true) => Proto::UdpLite6,
        (_, other, _) => return Err(DecodeError::Tag { what: "protocol", tag: other }),
    })
}

#[cfg(test)]
mod tests;
