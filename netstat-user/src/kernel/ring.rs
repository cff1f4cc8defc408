//! The attached programs, and the ring buffer they write to.

use super::{
    attach::{self, AttachError, Wanted},
    decode::{DecodeError, Told, decode},
    doubts::Doubts,
};
use crate::model::{Coverage, SocketEvent};
use aya::{
    Ebpf,
    maps::{MapData, PerCpuArray, RingBuf},
};
use aya_log::EbpfLogger;
use bytes::{Buf, Bytes, BytesMut};
use netstat_ebpf::{counter, maps};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

/// Bytes of records taken from the ring at a time: small enough to stay in the cache, large enough for one write.
const BATCH: usize = 256 << 10;

/// Attached programs and what they have recorded. Dropping it detaches them.
pub struct Tracer {
    ring: RingBuf<MapData>,
    counters: PerCpuArray<MapData, u64>,
    coverage: Coverage,
    /// `None` where the programs never doubt.
    doubts: Option<Doubts>,
    log: Option<EbpfLogger<&'static dyn log::Log>>,
    /// Owns the programs and their links.
    pub(super) ebpf: Ebpf,
}

/// Records taken from the ring, each behind its length.
pub struct Records {
    bytes: Bytes,
    /// What the record read last tells besides what was returned for it.
    more: Option<SocketEvent>,
    full: bool,
}

impl Tracer {
    /// Loads the programs and attaches them.
    ///
    /// # Errors
    /// An [`AttachError`] that names the missing capability, or the hook and why each variant was refused.
    pub fn start(wanted: &Wanted) -> Result<Self, AttachError> {
        let (mut ebpf, coverage, doubts) = attach::attach(wanted)?;
        let log = if wanted.debug {
            Some(EbpfLogger::init(&mut ebpf).map_err(|error| AttachError::Object(attach::causes(&error)))?)
        } else {
            None
        };
        let ring = ebpf.take_map(maps::EVENTS).and_then(|map| map.try_into().ok());
        let counters = ebpf.take_map(maps::COUNTERS).and_then(|map| map.try_into().ok());
        Ok(Self {
            ring: ring.ok_or(AttachError::Lacks(maps::EVENTS))?,
            counters: counters.ok_or(AttachError::Lacks(maps::COUNTERS))?,
            coverage,
            doubts,
            log,
            ebpf,
        })
    }

    /// What is traced, and what is not, and why.
    pub const fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// Has the ring hold all that has happened until now, where the programs put off telling some of it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn catch_up(&mut self) -> io::Result<()> {
        self.doubts.as_mut().map_or(Ok(()), |doubts| doubts.decide_all(&mut self.ebpf))
    }

    /// Takes what the ring holds, up to a batch; empty when it holds nothing.
    ///
    /// # Errors
    /// The kernel's, where the programs have to be asked for what they put off.
    pub fn take(&mut self, buffer: &mut BytesMut) -> io::Result<Records> {
        if let Some(doubts) = &mut self.doubts {
            doubts.decide(&mut self.ebpf)?;
        }
        buffer.reserve(BATCH + 1024);
        while buffer.len() < BATCH
            && let Some(record) = self.ring.next()
        {
            buffer.extend_from_slice(&(record.len() as u32).to_ne_bytes());
            buffer.extend_from_slice(&record);
        }
        let bytes = buffer.split().freeze();
        Ok(Records { full: bytes.len() >= BATCH, bytes, more: None })
    }

    /// Writes the programs' debug log to the process's logger.
    pub fn flush_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    /// Records lost for want of room since the programs were attached.
    ///
    /// # Errors
    /// The kernel's, reading the counters.
    pub fn lost(&self) -> io::Result<u64> {
        self.count(counter::LOST)
    }

    /// Sockets that could not be remembered since the programs were attached.
    ///
    /// # Errors
    /// The kernel's, reading the counters.
    pub fn forgotten(&self) -> io::Result<u64> {
        self.count(counter::FORGOTTEN)
    }

    fn count(&self, index: u32) -> io::Result<u64> {
        Ok(self.counters.get(&index, 0).map_err(io::Error::other)?.iter().sum())
    }
}

impl AsFd for Tracer {
    /// The ring buffer: readable when much is pending.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

impl Records {
    /// Whether the ring may hold more than this batch had room for.
    pub const fn is_full(&self) -> bool {
        self.full
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.more.is_none()
    }

    /// Decodes what comes next.
    pub fn next(&mut self, epoch_ns: u64) -> Option<Result<SocketEvent, DecodeError>> {
        if let Some(event) = self.more.take() {
            return Some(Ok(event));
        }
        if self.bytes.len() < size_of::<u32>() {
            return None;
        }
        let len = (self.bytes.get_u32_ne() as usize).min(self.bytes.len());
        let told = decode(&self.bytes[..len], epoch_ns);
        self.bytes.advance(len);
        Some(told.map(|Told { birth, event }| match birth {
            Some(birth) => {
                self.more = Some(event);
                birth
            }
            None => event,
        }))
    }
}
