//! Records of the kernel programs → events: every tag and length is checked.

use crate::model::{
    CloseReason, Closer, Comm, EventEnd, EventKind, Grade, Owner, Proto, START_SHIFT, SocketEvent, TcpState, Totals,
};
use bytes::Buf;
use netstat_ebpf as abi;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
pub type Process = (u32, u32);

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
    Name(Process, Comm),
    /// A process is gone that others hold sockets of.
    Gone(Process),
}

/// Reads one record. `epoch_ns` is what `CLOCK_REALTIME` is ahead of `CLOCK_MONOTONIC`; `name_of` knows the names of processes.
///
/// # Errors
/// A [`DecodeError`]; nothing of the record is to be believed then.
pub fn decode(
    mut bytes: &[u8],
    epoch_ns: u64,
    mut name_of: impl FnMut(Process) -> Comm,
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
    if matches!(kind, abi::Kind::Process | abi::Kind::Gone) {
        bytes.advance(3);
        let process = (bytes.get_u32_ne(), bytes.get_u32_ne());
        bytes.advance(4);
        let name = Comm::new(&array(&mut bytes));
        return Ok(if kind == abi::Kind::Gone { Decoded::Gone(process) } else { Decoded::Name(process, name) });
    }
    let (old, new) = (bytes.get_u8(), bytes.get_u8());
    let grade = abi::Grade::try_from(bytes.get_u8()).map_err(tag("owner grade"))?;
    let (family, flags) = (bytes.get_u8(), bytes.get_u8());
    let protocol = bytes.get_u16_ne();
    let time_ns = bytes.get_u64_ne();
    let in_state_ns = bytes.get_u64_ne();
    let (cookie, inode) = (bytes.get_u64_ne(), bytes.get_u64_ne());
    let (netns, uid) = (bytes.get_u32_ne(), bytes.get_u32_ne());
    let owner = (bytes.get_u32_ne(), bytes.get_u32_ne());
    let (lport, rport) = (bytes.get_u16_ne(), bytes.get_u16_ne());
    let cgroup = bytes.get_u32_ne();
    let (laddr, raddr) = (array(&mut bytes), array(&mut bytes));

    let proto = proto(family, flags & abi::RAW != 0, protocol)?;
    let address = |raw: [u8; 16]| {
        if proto.is_v6() {
            Ipv6Addr::from(raw).into()
        } else {
            IpAddr::V4(Ipv4Addr::new(raw[0], raw[1], raw[2], raw[3]))
        }
    };
    let known = |ns: u64| (ns != abi::UNKNOWN_NS).then_some(ns);
    let (local, remote) = if flags & abi::HAS_TUPLE == 0 {
        (None, None)
    } else {
        (
            Some(EventEnd { addr: address(laddr), port: (flags & abi::NO_LPORT == 0).then_some(lport) }),
            Some(EventEnd { addr: address(raddr), port: Some(rport) }),
        )
    };
    let grade = match grade {
        abi::Grade::None => None,
        abi::Grade::Created => Some(Grade::Created),
        abi::Grade::Accepted => Some(Grade::Accepted),
        abi::Grade::Inherited => Some(Grade::Inherited),
        abi::Grade::Scanned => Some(Grade::Scanned),
    };
    let kind = match kind {
        abi::Kind::Open | abi::Kind::Process | abi::Kind::Gone => EventKind::Open,
        abi::Kind::State => EventKind::State {
            old: TcpState::from_kernel(old).ok_or_else(|| tag("TCP state")(old))?,
            new: TcpState::from_kernel(new).ok_or_else(|| tag("TCP state")(new))?,
            in_state_ns: known(in_state_ns),
        },
        abi::Kind::Close => {
            let duration_ns = known(bytes.get_u64_ne());
            let (rx, tx) = (bytes.get_u64_ne(), bytes.get_u64_ne());
            let (rtt_us, retransmits) = (bytes.get_u32_ne(), bytes.get_u32_ne());
            let closer = (bytes.get_u32_ne(), bytes.get_u32_ne());
            let reason = abi::Reason::try_from(bytes.get_u8()).map_err(tag("close reason"))?;
            let counted = bytes.get_u8() & abi::HAS_TOTALS != 0;
            EventKind::Close(Totals {
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
    };
    let event = SocketEvent {
        time_ns: epoch_ns.wrapping_add(time_ns),
        kind,
        proto,
        local,
        remote,
        owner: grade.map(|grade| Owner {
            pid: owner.0,
            comm: name_of(owner),
            grade,
            cgroup_id: (cgroup != 0).then_some(u64::from(cgroup)),
            start: owner.1,
        }),
        uid: (flags & abi::HAS_UID != 0).then_some(uid),
        inode: (flags & abi::HAS_INODE != 0).then_some(inode),
        cookie: (cookie != 0).then_some(cookie),
        netns: (netns != 0).then_some(netns),
    };
    let birth = |event: SocketEvent| SocketEvent {
        time_ns: event.time_ns.saturating_sub(known(in_state_ns).unwrap_or(0)),
        kind: EventKind::State { old: TcpState::Listen, new: TcpState::SynRecv, in_state_ns: Some(0) },
        ..event
    };
    let born = flags & abi::BORN != 0 && matches!(event.kind, EventKind::State { .. });
    Ok(Decoded::Event { birth: born.then(|| birth(event)), event })
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
