//! Rows of the Internet tables in frames: there may be a hundred thousand of them, so each is as short as it can be, and read without
//! a look at its neighbours.
//!
//! A row is a byte of [`has`], the state, both ends, the user, the inode, and then what the first byte says is there. Addresses have
//! the length that the protocol's family has.

use super::QueryError;
use crate::model::{Endpoint, Proto, SocketRow, Timer};
use bytes::{BufMut, BytesMut};
use std::net::IpAddr;

/// What a row has beside the rest, one bit each.
mod has {
    pub const RECV_Q: u8 = 1;
    pub const SEND_Q: u8 = 2;
    pub const TIMER: u8 = 4;
    pub const COOKIE: u8 = 8;
    pub const ALL: u8 = RECV_Q | SEND_Q | TIMER | COOKIE;
}

/// Longest row, in bytes: IPv6, and everything there.
pub const LONGEST: usize = 2 + 2 * 18 + 4 + 8 + 2 * 8 + 28 + 8;
/// Shortest row, in bytes: IPv4, and nothing there.
const SHORTEST: usize = 2 + 2 * 6 + 4 + 8;

/// Appends rows of one protocol. Their namespace is not written.
pub fn put(out: &mut BytesMut, rows: &[SocketRow]) {
    out.reserve(rows.len() * (SHORTEST + 8));
    out.put_u32_le(rows.len() as u32);
    for row in rows {
        let bit = |there: bool, bit: u8| if there { bit } else { 0 };
        let flags = bit(row.recv_q != 0, has::RECV_Q)
            | bit(row.send_q != 0, has::SEND_Q)
            | bit(row.timer != Timer::default(), has::TIMER)
            | bit(row.cookie.is_some(), has::COOKIE);
        out.put_u8(flags);
        out.put_u8(row.state);
        end(out, row.local);
        end(out, row.remote);
        out.put_u32_le(row.uid);
        out.put_u64_le(row.inode);
        if row.recv_q != 0 {
            out.put_u64_le(row.recv_q);
        }
        if row.send_q != 0 {
            out.put_u64_le(row.send_q);
        }
        if row.timer != Timer::default() {
            out.put_u32_le(row.timer.kind);
            out.put_u64_le(row.timer.expires);
            out.put_u64_le(row.timer.retransmits);
            out.put_u64_le(row.timer.probes);
        }
        if let Some(cookie) = row.cookie {
            out.put_u64_le(cookie);
        }
    }
}

fn end(out: &mut BytesMut, end: Endpoint) {
    match end.addr {
        IpAddr::V4(addr) => out.put_slice(&addr.octets()),
        IpAddr::V6(addr) => out.put_slice(&addr.octets()),
    }
    out.put_u16_le(end.port);
}

/// Bytes that have not been read yet.
struct UnreadBytes<'a>(&'a [u8]);

impl UnreadBytes<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], QueryError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(QueryError::Garbage)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn u64(&mut self) -> Result<u64, QueryError> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    fn u64_if(&mut self, there: bool) -> Result<u64, QueryError> {
        if there { self.u64() } else { Ok(0) }
    }

    fn end(&mut self, v6: bool) -> Result<Endpoint, QueryError> {
        let addr: IpAddr = if v6 { self.take::<16>()?.into() } else { self.take::<4>()?.into() };
        Ok(Endpoint { addr, port: u16::from_le_bytes(self.take()?) })
    }
}

/// Reads rows of one protocol from the beginning of `bytes`; returns how many bytes they took, too.
///
/// # Errors
/// [`QueryError::Garbage`] for what [`put`] does not write.
pub fn get(bytes: &[u8], proto: Proto) -> Result<(Vec<SocketRow>, usize), QueryError> {
    let mut rest = UnreadBytes(bytes);
    let count = u32::from_le_bytes(rest.take()?) as usize;
    // A count that lies asks for no more memory than what was sent could fill.
    let mut rows = Vec::with_capacity(count.min(bytes.len() / SHORTEST));
    let v6 = proto.is_v6();
    for _ in 0..count {
        let [flags, state] = rest.take()?;
        if flags & !has::ALL != 0 {
            return Err(QueryError::Garbage);
        }
        let (local, remote) = (rest.end(v6)?, rest.end(v6)?);
        let uid = u32::from_le_bytes(rest.take()?);
        let inode = rest.u64()?;
        let recv_q = rest.u64_if(flags & has::RECV_Q != 0)?;
        let send_q = rest.u64_if(flags & has::SEND_Q != 0)?;
        let timer = if flags & has::TIMER == 0 {
            Timer::default()
        } else {
            let kind = u32::from_le_bytes(rest.take()?);
            Timer { kind, expires: rest.u64()?, retransmits: rest.u64()?, probes: rest.u64()? }
        };
        let cookie = if flags & has::COOKIE == 0 { None } else { Some(rest.u64()?) };
        let netns = None;
        rows.push(SocketRow { proto, local, remote, state, recv_q, send_q, uid, inode, timer, cookie, netns });
    }
    Ok((rows, bytes.len() - rest.0.len()))
}
