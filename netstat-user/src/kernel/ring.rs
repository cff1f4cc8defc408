//! The attached programs, and the ring buffer they write to.

use super::{
    accepts::Accepts,
    attach::{self, Attached},
    attach_error::AttachError,
    cgroup,
    decode::{DecodeError, Decoded, RecordProcess, decode},
    doubts::Doubts,
    hooks::OLDER_SOCKETS,
    iter,
    prime::Again,
    processes::Processes,
    unseen::Unseen,
    wanted::Wanted,
};
use crate::model::{Comm, Coverage, Grade, Owner, SocketEvent};
use aya::{
    Ebpf,
    maps::{MapData, PerCpuArray, RingBuf},
};
use aya_log::EbpfLogger;
use aya_obj::generated::BPF_RINGBUF_HDR_SZ;
use bytes::{Buf, Bytes, BytesMut};
use netstat_ebpf::{Record, counter, maps};
use std::{
    fmt::Display,
    io,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

/// Bytes of records taken from the ring at a time: small enough to stay in the cache, large enough for one write.
const BATCH: usize = 256 << 10;

/// The same of a batch that waits for a run of the iterator.
const LONG_BATCH: usize = 4 * BATCH;

/// Bytes that the record of an event takes in the ring at least: with the ring's own header (`BPF_RINGBUF_HDR_SZ` of `include/uapi/linux/bpf.h`).
pub const RECORD_BYTES: u64 = (size_of::<Record>() + BPF_RINGBUF_HDR_SZ as usize) as u64;

/// Attached programs and what they have recorded. Dropping it detaches them.
pub struct Tracer {
    ring: RingBuf<MapData>,
    counters: PerCpuArray<MapData, u64>,
    coverage: Coverage,
    /// `None` where the programs have no doubts to be decided.
    doubts: Option<Doubts>,
    /// `None` where the hook on the return of accept(2) is not attached, or stays attached.
    accepts: Option<Accepts>,
    log: Option<EbpfLogger<&'static dyn log::Log>>,
    processes: Processes,
    again: Again,
    unseen: Unseen,
    /// Whether somebody uses cgroups of the unified hierarchy.
    cgroups: bool,
    /// Whether the last batch left the ring empty.
    emptied: bool,
    /// The last failure that nobody has asked for yet.
    mishap: Option<String>,
    /// Events older than this are incomplete: the programs reported them before they knew the moment from which to report.
    since_ns: u64,
    /// Owns the programs and their links.
    pub(super) ebpf: Ebpf,
}

/// Records taken from the ring, each behind its length.
pub struct Records {
    bytes: Bytes,
    /// What the record read last reports besides what was returned for it.
    more: Option<SocketEvent>,
    full: bool,
}

impl Tracer {
    /// Loads the programs and attaches them.
    ///
    /// # Errors
    /// An [`AttachError`] that names the missing capability, or the hook and why each variant was refused.
    pub fn start(wanted: &Wanted) -> Result<Self, AttachError> {
        let Attached { mut ebpf, coverage, doubts, accepts, since_ns } = attach::attach(wanted)?;
        let log = if wanted.debug { Some(EbpfLogger::init(&mut ebpf).map_err(AttachError::maps)?) } else { None };
        let mut map = |name| ebpf.take_map(name).ok_or(AttachError::Lacks(name));
        let (ring, counters) = (map(maps::EVENTS)?, map(maps::COUNTERS)?);
        let link = iter::link(&mut ebpf, OLDER_SOCKETS.program);
        if let Some(scarce) = link.as_ref().err().and_then(|refusal| refusal.starved(true)) {
            return Err(AttachError::Scarce(scarce));
        }
        // Where the kernel refuses the program, the coverage says so.
        let mishap =
            link.as_ref().err().filter(|_| coverage.has(OLDER_SOCKETS.name)).map(|refusal| no_holders(refusal));
        Ok(Self {
            ring: ring.try_into().map_err(AttachError::maps)?,
            counters: counters.try_into().map_err(AttachError::maps)?,
            coverage,
            doubts,
            accepts,
            log,
            processes: Processes::default(),
            again: Again::new(link.ok()),
            unseen: Unseen::new(crate::sys::pid_namespace_if_nested() == 0),
            cgroups: cgroup::is_used(Path::new("/proc")),
            emptied: true,
            mishap,
            since_ns,
            ebpf,
        })
    }

    /// What is traced, and what is not, and why.
    pub const fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// Makes the thread that looks who holds the sockets whose owners are gone; until then, nobody looks.
    ///
    /// # Errors
    /// No room for it.
    pub fn begin_looking(&mut self) -> io::Result<()> {
        self.again.begin()
    }

    /// From now on hooks are neither attached nor detached: attaching again would take a privilege that is about to be given up.
    pub fn settle(&mut self) {
        self.accepts = None;
    }

    /// Whether something may have to be attached again later.
    pub const fn is_settled(&self) -> bool {
        self.accepts.is_none()
    }

    /// The last failure that was not reported by this yet.
    pub fn mishap(&mut self) -> Option<String> {
        self.mishap.take().or_else(|| self.again.failure().map(|error| no_holders(&error)))
    }

    /// Makes the programs report what they have put off, so that the ring holds all that has happened until now.
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
        if let Some(found) = self.again.run() {
            self.unseen.learn(&found);
        }
        buffer.reserve(BATCH + 1024);
        self.unseen.begin(self.emptied);
        self.emptied = read(&mut self.ring, &mut self.unseen, buffer, BATCH);
        if let Some(accepts) = &mut self.accepts {
            accepts.look(&mut self.ebpf, |index| sum(&self.counters, index))?;
            if self.unseen.accepted()
                && let Err(refusal) = accepts.resume(&mut self.ebpf)
            {
                self.mishap = Some(format!(
                    "connections that are accepted without asking for the peer's address have the process that closes them as owner: accept(2) is \
                     not traced: {refusal}"
                ));
            }
        }
        if self.unseen.is_wanting() {
            self.look_for_holders(buffer);
        }
        Ok(Records { full: !self.emptied, bytes: buffer.split().freeze(), more: None })
    }

    /// Has the iterator look for what is wanting, and reads on while it does, as the programs need the room.
    fn look_for_holders(&mut self, buffer: &mut BytesMut) {
        let Self { again, ring, unseen, emptied, .. } = self;
        let found = again.walk(|| {
            *emptied = read(ring, unseen, buffer, LONG_BATCH);
            buffer.len() < LONG_BATCH
        });
        let Some(found) = found else { return };
        unseen.learn(&found);
        // The connection was closed before the iterator reached it; its last records name the process.
        if *emptied && unseen.is_wanting() {
            *emptied = read(ring, unseen, buffer, LONG_BATCH);
        }
    }

    /// Decodes what comes next of a batch. `epoch_ns` is what `CLOCK_REALTIME` is ahead of `CLOCK_MONOTONIC`.
    pub fn next(&mut self, records: &mut Records, epoch_ns: u64) -> Option<Result<SocketEvent, DecodeError>> {
        if let Some(event) = records.more.take() {
            return Some(Ok(event));
        }
        loop {
            if records.bytes.len() < size_of::<u32>() {
                return None;
            }
            let len = (records.bytes.get_u32_ne() as usize).min(records.bytes.len());
            let decoded = decode(&records.bytes[..len], epoch_ns, |process| self.processes.name(process));
            records.bytes.advance(len);
            match decoded {
                Ok(Decoded::Name(process, name)) => self.processes.learn(process, name),
                Ok(Decoded::Gone(_)) => self.again.ask(),
                Ok(Decoded::Event { event, .. }) if event.time_ns < epoch_ns + self.since_ns => {}
                Ok(Decoded::Event { birth, mut event }) => {
                    self.name_holder(&mut event, records);
                    self.drop_unused_cgroup(&mut event);
                    let Some(mut birth) = birth else { return Some(Ok(event)) };
                    self.drop_unused_cgroup(&mut birth);
                    records.more = Some(event);
                    return Some(Ok(birth));
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Without a use of the unified hierarchy its root says nothing.
    const fn drop_unused_cgroup(&self, event: &mut SocketEvent) {
        if let Some(owner) = &mut event.owner
            && !self.cgroups
            && matches!(owner.cgroup_id, Some(id) if id.get() == cgroup::ROOT)
        {
            owner.cgroup_id = None;
        }
    }

    /// Puts the process that holds a socket in place of its listener's owner, where it accepted unseen, or of nobody.
    fn name_holder(&mut self, event: &mut SocketEvent, records: &Records) {
        let grade = match event.owner {
            None => Grade::Scanned,
            Some(Owner { grade: Grade::Inherited, .. }) => Grade::Accepted,
            Some(_) => return,
        };
        let holder = event.inode.filter(|&inode| inode != 0).and_then(|inode| self.unseen.holder(inode));
        if let Some(process) = holder {
            let mut comm = self.processes.name(process);
            if comm == Comm::default() {
                // It has ended, and its name was recorded after this event.
                comm = records.name(process).unwrap_or_default();
            }
            event.owner = Some(Owner { pid: process.0, comm, grade, cgroup_id: None, start: process.1 });
        }
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

    /// Whether the programs that stand in for others have switched themselves off since the programs were attached.
    ///
    /// # Errors
    /// The kernel's, reading the counter.
    pub fn are_stand_ins_off(&self) -> io::Result<bool> {
        Ok(self.count(counter::STAND_INS_OFF)? > 0)
    }

    fn count(&self, index: u32) -> io::Result<u64> {
        sum(&self.counters, index)
    }
}

/// Adds records of the ring to a batch of so many bytes; true when the ring holds no more.
fn read(ring: &mut RingBuf<MapData>, unseen: &mut Unseen, buffer: &mut BytesMut, most: usize) -> bool {
    while buffer.len() < most {
        let Some(record) = ring.next() else { return true };
        buffer.extend_from_slice(&(record.len() as u32).to_ne_bytes());
        buffer.extend_from_slice(&record);
        unseen.look(&record);
    }
    false
}

/// What it means that nobody can be found who holds a socket.
fn no_holders(error: &dyn Display) -> String {
    format!(
        "sockets whose owner has ended, or that were accepted unseen, have no other owner: open files cannot be walked: {error}"
    )
}

/// A counter of all processors.
fn sum(counters: &PerCpuArray<MapData, u64>, index: u32) -> io::Result<u64> {
    Ok(counters.get(&index, 0).map_err(io::Error::other)?.iter().sum())
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

    /// The name of a process, where the rest of the batch gives one.
    fn name(&self, process: RecordProcess) -> Option<Comm> {
        let mut rest = &self.bytes[..];
        while rest.len() >= size_of::<u32>() {
            let len = rest.get_u32_ne() as usize;
            let (record, after) = rest.split_at_checked(len)?;
            match decode(record, 0, |_| Comm::default()) {
                Ok(Decoded::Name(named, name)) if named == process => return Some(name),
                _ => rest = after,
            }
        }
        None
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.more.is_none()
    }
}
