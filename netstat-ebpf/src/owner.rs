//! The process on the CPU, as the owner of what it makes: only for hooks that run in its own context. And the names of such processes.

use crate::{
    PIDNS, PROCESSES,
    atomic::Word,
    read::{Addr, Memory, Probed, Typed, offset},
    remembered::{OUTSIDE, Remembered},
    report::{enabled, report_process},
    wanted,
};
use aya_ebpf::helpers::{
    bpf_get_current_comm, bpf_get_current_pid_tgid,
    generated::{bpf_get_current_cgroup_id, bpf_get_current_task_btf},
};
use netstat_ebpf::{ABSENT, Field, Grade, Kind, UNSEEN, start_tag};

/// Levels of nested PID namespaces looked at; the kernel's own limit is 32 (`MAX_PID_NS_LEVEL`).
const LEVELS: usize = 32;

/// `PF_KTHREAD` of `include/linux/sched.h`: a thread of the kernel's own, which owns nothing.
const PF_KTHREAD: u32 = 0x0020_0000;

/// Number of entries of [`PROCESSES`].
pub const PROCESS_SLOTS: u32 = 1 << 15;

/// A process that user space knows the name of, by its id.
#[repr(C)]
pub struct Slot {
    /// [`Process::word`], 0 where there is none.
    process: Word,
    /// Sockets it owns that no process has closed.
    held: Word,
    /// [`Process::word`] of the last one with such an id that has ended.
    ended: Word,
}

/// A process: its thread-group id as the reader numbers it, and when it started ([`start_tag`]).
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Process {
    pub tgid: u32,
    pub start: u32,
}

impl Process {
    pub const NONE: Self = Self { tgid: 0, start: 0 };

    /// Makes it the owner.
    #[inline(always)]
    pub fn own(self, r: &mut Remembered, grade: Grade, cgroup: u32) {
        release(r);
        r.owner = self;
        r.grade = grade as u8;
        r.cgroup = cgroup;
        hold(r, 1);
    }

    /// Makes it, the current process, the owner.
    #[inline(always)]
    pub fn take(self, r: &mut Remembered, grade: Grade) {
        self.own(r, grade, current_cgroup());
        r.marks = r.marks & !OUTSIDE | if wanted::is_outside() { OUTSIDE } else { 0 };
    }

    #[inline(always)]
    fn word(self) -> u64 {
        u64::from(self.tgid) << 32 | u64::from(self.start)
    }

    #[inline(always)]
    fn slot(self) -> Option<&'static Slot> {
        // SAFETY: a value of the map; its words are atomics. Process ids are given out one after another.
        PROCESSES.get_ptr(self.tgid & (PROCESS_SLOTS - 1)).map(|slot| unsafe { &*slot })
    }

    /// Reports its name, unless user space knows it already. `name` reads it.
    #[inline(always)]
    fn introduce(self, name: impl Fn() -> [u64; 2]) {
        let Some(slot) = self.slot() else { return };
        let before = slot.process.load();
        // Threads may make sockets at the same time: one of them begins to count.
        if before != self.word()
            && report_process(Kind::Process, self, name())
            && slot.process.exchange_if(before, self.word()) == before
        {
            slot.held.store(0);
        }
    }

    /// Whether it has ended.
    #[inline(always)]
    pub fn is_gone(self) -> bool {
        self.slot().is_some_and(|slot| slot.ended.load() == self.word())
    }
}

/// The owner of a socket, and its grade; none if the owner has ended and the socket is still `held`: another process has it then. So it is with a
/// connection that still waits to be accepted: another process listens.
#[inline(always)]
pub fn owner_now(r: &Remembered, held: bool) -> (Process, u8) {
    let waits = r.grade == Grade::Inherited as u8;
    if (held && !waits || waits && PIDNS.load() == 0) && r.owner.is_gone() && !is_current(r.owner) {
        (Process::NONE, Grade::None as u8)
    } else {
        (r.owner, r.grade)
    }
}

/// Whether a process is on the CPU: one that ends closes its sockets one after another, and what that does to the others happens at once.
#[inline(always)]
fn is_current(process: Process) -> bool {
    // SAFETY: takes nothing, returns a number.
    PIDNS.load() == 0 && (bpf_get_current_pid_tgid() >> 32) as u32 == process.tgid
}

/// Whether a process itself holds what it owns: not by way of its listener.
#[inline(always)]
pub fn is_holder(r: &Remembered) -> bool {
    r.grade != Grade::None as u8 && r.grade != Grade::Inherited as u8
}

/// Changes the number of sockets that the owner holds.
#[inline(always)]
fn hold(r: &Remembered, change: u64) {
    if is_holder(r)
        && let Some(slot) = r.owner.slot()
        && slot.process.load() == r.owner.word()
    {
        slot.held.add(change);
    }
}

/// The owner does not hold it any more: another one does, or it was closed.
#[inline(always)]
pub fn release(r: &Remembered) {
    if r.closer.tgid == 0 {
        hold(r, u64::MAX);
    }
}

/// A socket that was shut down begins another life.
#[inline(always)]
pub fn reopen(r: &mut Remembered) {
    if r.closer != Process::NONE {
        r.closer = Process::NONE;
        hold(r, 1);
    }
}

/// The current process has closed a socket, or shut it down.
#[inline(always)]
pub fn close(r: &mut Remembered) {
    let Some(process) = current() else { return };
    release(r);
    if r.owner != process && is_holder(r) && r.owner.is_gone() {
        (r.owner, r.grade) = (process, Grade::Scanned as u8);
        r.cgroup = current_cgroup();
        r.marks = r.marks & !OUTSIDE | if wanted::is_outside() { OUTSIDE } else { 0 };
    }
    r.closer = process;
}

/// The same, of a connection that only its process closes: if none was seen to accept it, this one did.
#[inline(always)]
pub fn close_accepted(r: &mut Remembered) {
    close(r);
    if r.grade == Grade::Inherited as u8 && r.closer != Process::NONE {
        let process = r.closer;
        process.take(r, Grade::Accepted);
        r.flags |= UNSEEN;
    }
}

/// Id of the cgroup that the current process is in, 0 where it is no number of 32 bits: the kernel counts up, beyond that after two thousand
/// million directories and files of cgroups.
#[inline(always)]
fn current_cgroup() -> u32 {
    // SAFETY: takes nothing, returns a number.
    short(unsafe { bpf_get_current_cgroup_id() })
}

#[inline(always)]
fn short(id: u64) -> u32 {
    if id >> 32 == 0 { id as u32 } else { 0 }
}

/// Id of the cgroup that a process is in, likewise.
#[inline(always)]
pub fn cgroup_of(task: Addr) -> u32 {
    let kernfs = Probed::follow(task, Field::TaskCgroups)
        .and_then(|set| Probed::follow(set, Field::CssSetDflCgrp))
        .and_then(|cgroup| Probed::follow(cgroup, Field::CgroupKn));
    short(kernfs.and_then(|node| Probed::get::<u64>(node, Field::KernfsNodeId)).unwrap_or(0))
}

/// The task on the CPU, with its type; `None` where the kernel's types are hidden.
#[inline(always)]
pub fn task() -> Option<Addr> {
    // SAFETY: takes nothing; the verifier knows what it returns.
    (offset(Field::TaskGroupLeader) != ABSENT).then(|| unsafe { bpf_get_current_task_btf() } as Addr)
}

/// The current process, `None` if it is the kernel's own, or if the reader's PID namespace does not hold it.
#[inline(always)]
pub fn current() -> Option<Process> {
    match netstat_current() {
        0 => None,
        word => Some(Process { tgid: (word >> 32) as u32, start: word as u32 }),
    }
}

/// [`Process::word`] of the current process, 0 if there is none. The verifier checks it by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_current() -> u64 {
    find_current().map_or(0, Process::word)
}

#[inline(always)]
fn find_current() -> Option<Process> {
    // SAFETY: takes nothing, returns a number.
    let pid_tgid = bpf_get_current_pid_tgid();
    let pidns = PIDNS.load();
    let Some(task) = task() else {
        // The leader cannot be found: the thread's own name is the nearest there is.
        if pidns != 0 {
            return None;
        }
        let process = Process { tgid: (pid_tgid >> 32) as u32, start: 0 };
        process.introduce(|| words(bpf_get_current_comm().unwrap_or_default()));
        return Some(process);
    };
    if Typed::get::<u32>(task, Field::TaskFlags).unwrap_or_default() & PF_KTHREAD != 0 {
        return None;
    }
    let leader = Typed::follow(task, Field::TaskGroupLeader)?;
    let start = start_tag(Typed::get(leader, Field::TaskStart).unwrap_or_default());
    let tgid = if pidns == 0 { (pid_tgid >> 32) as u32 } else { number_in(Typed::number(leader), pidns)? };
    let process = Process { tgid, start };
    let at = offset(Field::TaskComm) as usize;
    process.introduce(|| [Typed::at(leader.wrapping_add(at)), Typed::at(leader.wrapping_add(at + 8))]);
    Some(process)
}

/// A thread-group leader, `None` if the reader's PID namespace does not hold it.
#[inline(always)]
fn leader(task: Addr, tgid: u32) -> Option<Process> {
    let pidns = PIDNS.load();
    let tgid = if pidns == 0 { tgid } else { number_in(Typed::number(task), pidns)? };
    Some(Process { tgid, start: start_tag(Probed::get(task, Field::TaskStart).unwrap_or_default()) })
}

/// The process that a thread-group leader stands for. User space gets its name.
#[inline(always)]
pub fn found(task: Addr, tgid: u32) -> Option<Process> {
    let at = offset(Field::TaskComm);
    if at == ABSENT {
        return None;
    }
    let process = leader(task, tgid)?;
    process.introduce(|| Probed::at(task.wrapping_add(at as usize)));
    Some(process)
}

/// The process that a thread-group leader stands for, if user space knows it.
#[inline(always)]
fn known(leader_task: Addr) -> Option<(Process, &'static Slot)> {
    if !enabled() {
        return None;
    }
    let process = leader(leader_task, Typed::get(leader_task, Field::TaskTgid)?)?;
    let slot = process.slot()?;
    (slot.process.load() == process.word()).then_some((process, slot))
}

/// The same of a task that leads its threads.
#[inline(always)]
fn known_leader(task: Addr) -> Option<(Process, &'static Slot)> {
    let (pid, tgid) = (Typed::get::<u32>(task, Field::TaskPid)?, Typed::get::<u32>(task, Field::TaskTgid)?);
    if pid == tgid { known(task) } else { None }
}

/// Body of the hook on `task_rename`: a task is about to change its name, by exec(2), prctl(2) or /proc.
#[inline(always)]
pub fn renamed(task: Addr, name: Addr) {
    if let Some((process, _)) = known_leader(task) {
        report_process(Kind::Process, process, Probed::at(name));
    }
}

/// Body of the hook on `sched_process_exit`: a task ends, and is about to close its files. With the last one its process has ended.
#[inline(always)]
pub fn ended(task: Addr) {
    let Some(signal) = Typed::follow(task, Field::TaskSignal) else { return };
    if Typed::get::<u32>(signal, Field::SignalLive) != Some(0) {
        return;
    }
    if let Some((process, slot)) = Typed::follow(task, Field::TaskGroupLeader).and_then(known) {
        slot.ended.store(process.word());
    }
}

/// Body of the hook on `sched_process_free`: nobody waits for a task any more, and its number can be used again. What it owns and has not
/// closed, others hold.
#[inline(always)]
pub fn freed(task: Addr) {
    let Some((process, slot)) = known_leader(task) else { return };
    slot.process.store(0);
    if slot.held.load() as i64 > 0 {
        report_process(Kind::Gone, process, [0; 2]);
    }
}

/// Sixteen bytes as two words.
#[inline(always)]
fn words(bytes: [u8; 16]) -> [u64; 2] {
    // SAFETY: any sixteen bytes are two words.
    unsafe { core::mem::transmute(bytes) }
}

/// The number of a task in a PID namespace, `None` if that does not hold it.
#[inline(always)]
fn number_in(task: u64, pidns: u32) -> Option<u32> {
    Some(netstat_number_in(task, pidns)).filter(|&number| number != 0)
}

/// The same, 0 for none, by `task->thread_pid->numbers`. The verifier checks it by itself, once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_number_in(task: u64, pidns: u32) -> u32 {
    search_number(task as Addr, pidns).unwrap_or(0)
}

#[inline(always)]
fn search_number(task: Addr, pidns: u32) -> Option<u32> {
    let pid = Probed::follow(task, Field::TaskThreadPid)?;
    let level: u32 = Probed::get(pid, Field::PidLevel)?;
    let (numbers, ns_inum) = (offset(Field::PidNumbers), offset(Field::NsInum));
    if numbers == ABSENT || ns_inum == ABSENT {
        return None;
    }
    for i in 0..LEVELS {
        if i as u32 > level {
            break;
        }
        // `struct upid` is `{ int nr; struct pid_namespace *ns; }`: sixteen bytes on every 64-bit kernel.
        let upid = pid.wrapping_add(numbers as usize + i * 16);
        let ns = Probed::follow(upid, Field::UpidNs)?;
        if Probed::get::<u32>(ns.wrapping_add(ns_inum as usize), Field::PidNsNs)? == pidns {
            return Probed::get(upid, Field::UpidNr);
        }
    }
    None
}
