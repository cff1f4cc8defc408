//! Requests and answers as bytes, and back.

use super::bits::{bits_of_protos, protos_of};
use super::{
    Answer, CoverageRows, Crowd, Denial, Health, HookRow, Link, Past, Place, QueryError, Request, Status, VERSION,
    frame, rows,
};
use crate::model::{
    Check, CloseReason, ClosedSocket, Closer, Comm, EventEnd, EventKind, Grade, Level, LiveSocket, Network, Owner,
    ProgramHealth, Proto, RowNumber, RowsWanted, SocketEvent, TcpState, Totals,
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::net::IpAddr;
use std::num::NonZeroU64;

pub(super) type Read<T> = Result<T, QueryError>;

/// A type that can be written to a frame and read from one.
pub(super) trait Wire: Sized {
    /// Whether it has its length before it in a list, so that it may grow.
    const GROWS: bool = false;

    fn put(&self, out: &mut BytesMut);
    fn get(body: &mut Bytes) -> Read<Self>;
}

macro_rules! numbers {
    ($($number:ty, $put:ident, $get:ident;)+) => {$(
        impl Wire for $number {
            fn put(&self, out: &mut BytesMut) {
                out.$put(*self);
            }

            fn get(body: &mut Bytes) -> Read<Self> {
                body.$get().map_err(|_| QueryError::Garbage)
            }
        }
    )+};
}

numbers! {
    u8, put_u8, try_get_u8;
    u16, put_u16_le, try_get_u16_le;
    u32, put_u32_le, try_get_u32_le;
    u64, put_u64_le, try_get_u64_le;
}

impl Wire for NonZeroU64 {
    fn put(&self, out: &mut BytesMut) {
        self.get().put(out);
    }

    fn get(body: &mut Bytes) -> Read<Self> {
        Self::new(u64::get(body)?).ok_or(QueryError::Garbage)
    }
}

impl Wire for bool {
    fn put(&self, out: &mut BytesMut) {
        u8::from(*self).put(out);
    }

    fn get(body: &mut Bytes) -> Read<Self> {
        match u8::get(body)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(QueryError::Garbage),
        }
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut BytesMut) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn get(body: &mut Bytes) -> Read<Self> {
        Ok(if bool::get(body)? { Some(T::get(body)?) } else { None })
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut BytesMut) {
        (self.len() as u32).put(out);
        for value in self {
            if !T::GROWS {
                value.put(out);
                continue;
            }
            let start = out.len();
            0u32.put(out);
            value.put(out);
            let len = (out.len() - start - 4) as u32;
            out[start..start + 4].copy_from_slice(&len.to_le_bytes());
        }
    }

    fn get(body: &mut Bytes) -> Read<Self> {
        let one = |body: &mut Bytes| {
            if !T::GROWS {
                return T::get(body);
            }
            let len = u32::get(body)? as usize;
            if len > body.len() {
                return Err(QueryError::Garbage);
            }
            // What follows the fields that are known is of a later release.
            T::get(&mut body.split_to(len))
        };
        // Collected as they come: a length that lies asks for no memory.
        (0..u32::get(body)?).map(|_| one(body)).collect()
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, out: &mut BytesMut) {
        self.0.put(out);
        self.1.put(out);
    }

    fn get(body: &mut Bytes) -> Read<Self> {
        Ok((A::get(body)?, B::get(body)?))
    }
}

impl Wire for String {
    fn put(&self, out: &mut BytesMut) {
        (self.len() as u32).put(out);
        out.put_slice(self.as_bytes());
    }

    fn get(body: &mut Bytes) -> Read<Self> {
        let len = u32::get(body)? as usize;
        if len > body.len() {
            return Err(QueryError::Garbage);
        }
        Ok(String::from_utf8_lossy(&body.split_to(len)).into_owned())
    }
}

/// One of a list of values, by its place.
fn one_of<T: Copy>(all: &[T], body: &mut Bytes) -> Read<T> {
    all.get(usize::from(u8::get(body)?)).copied().ok_or(QueryError::Garbage)
}

fn place<T: PartialEq>(all: &[T], value: &T) -> u8 {
    // Every value is in its list.
    all.iter().position(|other| other == value).unwrap_or(0) as u8
}

macro_rules! places {
    ($($kind:ty, $all:expr;)+) => {$(
        impl Wire for $kind {
            fn put(&self, out: &mut BytesMut) {
                place(&$all, self).put(out);
            }

            fn get(body: &mut Bytes) -> Read<Self> {
                one_of(&$all, body)
            }
        }
    )+};
}

places! {
    Proto, Proto::ALL;
    TcpState, TcpState::ALL;
    CloseReason, CloseReason::ALL;
    Grade, Grade::ALL;
    Level, Level::ALL;
    RowNumber, RowNumber::ALL;
}

impl Wire for IpAddr {
    fn put(&self, out: &mut BytesMut) {
        match self {
            Self::V4(addr) => {
                out.put_u8(4);
                out.put_slice(&addr.octets());
            }
            Self::V6(addr) => {
                out.put_u8(6);
                out.put_slice(&addr.octets());
            }
        }
    }

    fn get(body: &mut Bytes) -> Read<Self> {
        Ok(match u8::get(body)? {
            4 => array::<4>(body)?.into(),
            6 => array::<16>(body)?.into(),
            _ => return Err(QueryError::Garbage),
        })
    }
}

fn array<const N: usize>(body: &mut Bytes) -> Read<[u8; N]> {
    let mut bytes = [0; N];
    body.try_copy_to_slice(&mut bytes).map_err(|_| QueryError::Garbage)?;
    Ok(bytes)
}

impl Wire for Comm {
    fn put(&self, out: &mut BytesMut) {
        let mut padded = [0; 16];
        padded[..self.as_bytes().len()].copy_from_slice(self.as_bytes());
        out.put_slice(&padded);
    }

    fn get(body: &mut Bytes) -> Read<Self> {
        Ok(Self::new(&array::<16>(body)?))
    }
}

/// A field that an earlier release does not send: where the frame has ended it is unknown, or zero.
/// Only the last fields of a frame may be such.
fn later<T: Wire + Default>(body: &mut Bytes) -> Read<T> {
    if body.has_remaining() { T::get(body) } else { Ok(T::default()) }
}

/// Structures: their fields in order. Those that grow have their length before them in a list; what stands behind a semicolon was added later.
/// What stands behind a bar is not sent: it is the agent's own knowledge.
macro_rules! records {
    ($($record:ident $($grows:ident)? { $($field:ident),+ $(; $($later:ident),+)? $(| $($kept:ident),+)? })+) => {$(
        impl Wire for $record {
            $(const GROWS: bool = records!($grows);)?

            fn put(&self, out: &mut BytesMut) {
                $(self.$field.put(out);)+
                $($(self.$later.put(out);)+)?
            }

            fn get(body: &mut Bytes) -> Read<Self> {
                Ok(Self { $($field: Wire::get(body)?,)+ $($($later: later(body)?,)+)? $($($kept: Default::default(),)+)? })
            }
        }
    )+};
    (grows) => { true };
}

records! {
    EventEnd { addr, port }
    Place { pidns, userns }
    Owner { pid, comm, grade, cgroup_id | start }
    Closer { pid, comm | start }
    Totals { duration_ns, rx_bytes, tx_bytes, rtt_us, retransmits, reason, closed_by }
    SocketEvent { time_ns, kind, proto, local, remote, owner, uid, inode, cookie, netns }
    LiveSocket { proto, state, local, remote, netns, uid, inode, cookie, owner, since_ns, seen_ns, state_ns }
    ClosedSocket { socket, closed_ns, totals }
    Link { inode, pid }
    Network { addr, len }
    Denial { reason; hides_namespace, is_full, turns_away, is_busy }
    HookRow grows { hook, without, variant, refused; mend, failed, denied }
    CoverageRows { hooks, cgroup_namespace }
    Check grows { name, level, found, mend }
    ProgramHealth grows { name, runs, missed }
    Health { checks, programs }
    Past { since_ns, crowded, most, lost_ns, lost }
    Crowd { uid, others_ns }
    Status {
        pid, since_ns, live, recent, events, lost, forgotten, resyncs, corrected, clients, dropped_readers, buffer, peak_fill, past, uid,
        shares_all, crowd; keeps_ns
    }
}

impl Wire for EventKind {
    fn put(&self, out: &mut BytesMut) {
        match self {
            Self::Open => out.put_u8(0),
            Self::State { old, new, in_state_ns } => {
                out.put_u8(1);
                old.put(out);
                new.put(out);
                in_state_ns.put(out);
            }
            Self::Close(totals) => {
                out.put_u8(2);
                totals.put(out);
            }
        }
    }

    fn get(body: &mut Bytes) -> Read<Self> {
        Ok(match u8::get(body)? {
            0 => Self::Open,
            1 => Self::State { old: Wire::get(body)?, new: Wire::get(body)?, in_state_ns: Wire::get(body)? },
            2 => Self::Close(Wire::get(body)?),
            _ => return Err(QueryError::Garbage),
        })
    }
}

/// The version and the tag of a body; what is left once `read` is through is of a later release.
fn whole<T>(mut body: Bytes, read: impl FnOnce(u8, &mut Bytes) -> Read<T>) -> Read<T> {
    match u8::get(&mut body)? {
        VERSION => {}
        other => return Err(QueryError::Version(other)),
    }
    let tag = u8::get(&mut body)?;
    read(tag, &mut body)
}

impl Request {
    /// Appends the request as a frame.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Holders { of } => frame(out, 1, |out| of.put(out)),
            Self::Table { live, recent_ns, netns, age_ns, only } => frame(out, 2, |out| {
                live.put(out);
                recent_ns.put(out);
                netns.put(out);
                age_ns.put(out);
                only.put(out);
            }),
            Self::Events(limits) => frame(out, 3, |out| {
                limits.put(out);
                None::<u64>.put(out);
            }),
            Self::Follow { wanted, age_ns } => frame(out, 3, |out| {
                wanted.put(out);
                Some(*age_ns).put(out);
            }),
            Self::Status => frame(out, 4, |_| {}),
            Self::Health => frame(out, 6, |_| {}),
            Self::Cgroups(ids) => frame(out, 7, |out| ids.put(out)),
            Self::Rows { wanted, recorded, holders } => frame(out, 5, |out| {
                bits_of_protos(&wanted.protos).put(out);
                wanted.peer.put(out);
                wanted.netns.put(out);
                recorded.put(out);
                wanted.only.put(out);
                holders.put(out);
            }),
        }
    }

    /// Reads the body of a frame.
    ///
    /// # Errors
    /// A [`QueryError`] for whatever no client writes.
    pub fn decode(body: Bytes) -> Result<Self, QueryError> {
        whole(body, |tag, body| {
            Ok(match tag {
                1 => Self::Holders { of: later(body)? },
                2 => Self::Table {
                    live: Wire::get(body)?,
                    recent_ns: Wire::get(body)?,
                    netns: Wire::get(body)?,
                    age_ns: Wire::get(body)?,
                    only: later(body)?,
                },
                3 => {
                    let wanted = Wire::get(body)?;
                    match later(body)? {
                        Some(age_ns) => Self::Follow { wanted, age_ns },
                        None => Self::Events(wanted),
                    }
                }
                4 => Self::Status,
                6 => Self::Health,
                7 => Self::Cgroups(Wire::get(body)?),
                5 => {
                    // Each protocol once, in the order of the tables.
                    let protos = protos_of(Wire::get(body)?);
                    let (peer, netns, recorded) = (Wire::get(body)?, Wire::get(body)?, later(body)?);
                    let wanted = RowsWanted { protos, peer, netns, only: later(body)? };
                    Self::Rows { wanted, recorded, holders: later(body)? }
                }
                _ => return Err(QueryError::Garbage),
            })
        })
    }
}

impl Answer {
    /// Appends the answer as a frame.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Begin(place) => frame(out, 1, |out| place.put(out)),
            Self::Links(links) => frame(out, 2, |out| links.put(out)),
            Self::Live(socket) => frame(out, 3, |out| socket.put(out)),
            Self::Closed(closed) => frame(out, 4, |out| closed.put(out)),
            Self::Event(event) => frame(out, 5, |out| event.put(out)),
            Self::Lost { time_ns, count } => frame(out, 6, |out| {
                time_ns.put(out);
                count.put(out);
            }),
            Self::Dropped(count) => frame(out, 7, |out| count.put(out)),
            Self::Status(status) => frame(out, 8, |out| status.put(out)),
            Self::Coverage(coverage) => frame(out, 9, |out| coverage.put(out)),
            Self::End => frame(out, 10, |_| {}),
            Self::Refused(denial) => frame(out, 11, |out| denial.put(out)),
            Self::Health(health) => frame(out, 17, |out| health.put(out)),
            Self::Cgroups(paths) => frame(out, 18, |out| paths.put(out)),
            Self::LiveEnd { time_ns } => frame(out, 19, |out| time_ns.put(out)),
            Self::Gone(socket) => frame(out, 20, |out| socket.put(out)),
            Self::Stale => frame(out, 21, |_| {}),
            Self::Since(past, crowd) => frame(out, 16, |out| {
                past.put(out);
                crowd.put(out);
            }),
            Self::Namespace { netns, name } => frame(out, 12, |out| {
                netns.put(out);
                name.put(out);
            }),
            Self::Rows { proto, rows, recorded } => frame(out, 13, |out| {
                proto.put(out);
                rows::put(out, rows);
                recorded.put(out);
            }),
            Self::TableEnd { proto, bogus } => frame(out, 14, |out| {
                proto.put(out);
                bogus.put(out);
            }),
            // Nobody sends what they do not know.
            Self::Unknown(_) => {}
            Self::NoTable { proto, errno } => frame(out, 15, |out| {
                proto.put(out);
                errno.put(out);
            }),
        }
    }

    /// Reads the body of a frame.
    ///
    /// # Errors
    /// A [`QueryError`] for whatever no agent writes.
    pub fn decode(body: Bytes) -> Result<Self, QueryError> {
        whole(body, |tag, body| {
            Ok(match tag {
                1 => Self::Begin(Wire::get(body)?),
                2 => Self::Links(Wire::get(body)?),
                3 => Self::Live(Wire::get(body)?),
                4 => Self::Closed(Wire::get(body)?),
                5 => Self::Event(Wire::get(body)?),
                6 => Self::Lost { time_ns: Wire::get(body)?, count: Wire::get(body)? },
                7 => Self::Dropped(Wire::get(body)?),
                8 => Self::Status(Wire::get(body)?),
                9 => Self::Coverage(Wire::get(body)?),
                10 => Self::End,
                11 => Self::Refused(Wire::get(body)?),
                12 => Self::Namespace { netns: Wire::get(body)?, name: Wire::get(body)? },
                13 => {
                    let proto = Wire::get(body)?;
                    let (rows, took) = rows::get(body, proto)?;
                    body.advance(took);
                    Self::Rows { proto, rows, recorded: later(body)? }
                }
                17 => Self::Health(Wire::get(body)?),
                18 => Self::Cgroups(Wire::get(body)?),
                19 => Self::LiveEnd { time_ns: Wire::get(body)? },
                20 => Self::Gone(Wire::get(body)?),
                21 => Self::Stale,
                16 => Self::Since(Wire::get(body)?, Wire::get(body)?),
                14 => Self::TableEnd { proto: Wire::get(body)?, bogus: Wire::get(body)? },
                15 => Self::NoTable { proto: Wire::get(body)?, errno: Wire::get(body)? },
                other => Self::Unknown(other),
            })
        })
    }
}
