//! Processes: the one on the CPU, for hooks that run in its own context, their names, and their end.

use crate::{
    read::{Memory, Probed, Typed, offset, task},
    ring::report_process,
    setup::enabled,
    sys::{self, Addr, Word, current_tgid, words},
};
use aya_ebpf::{Global, helpers::bpf_get_current_comm, macros::map, maps::Array};
use netstat_ebpf::{ABSENT, Field, Kind, linux::PF_KTHREAD, start_tag};

/// Inode of the PID namespace whose numbers are wanted; 0 for the initial one.
#[unsafe(no_mangle)]
static PIDNS: Global<u32> = Global::new(0);

/// Processes that user space knows the names of.
#[map]
static PROCESSES: Array<Slot> = Array::with_max_entries(PROCESS_SLOTS, 0);

/// Levels of nested PID namespaces looked at; the kernel's own limit is 32 (`MAX_PID_NS_LEVEL`).
const LEVELS: usize = 32;

/// Number of entries of [`PROCESSES`].
const PROCESS_SLOTS: u32 = 1 << 15;

/// A process that user space knows the name of, by its id.
#[repr(C)]
struct Slot {
    /// [`Process::word`], 0 where there is none.
    process: Word,
    /// Sockets it owns that no process has closed.
    held: Word,
    /// [`Process::word`] of the last one with such an id that has ended.
    ended: Word,
    /// [`Process::word`] of the process that was evicted from this slot while it held sockets; 0 for none, [`SEVERAL`] for more than one. Their sockets are
    /// not counted any more.
    evicted: Word,
}

/// See [`Slot::evicted`].
const SEVERAL: u64 = u64::MAX;

/// Number of sockets of a process that is known to hold some, not how many.
const SOME: u64 = 1 << 32;

impl Slot {
    /// Notes that this process, which holds so many sockets, is evicted by another one, which may have been evicted before.
    #[inline(always)]
    fn evict(&self, word: u64, held: u64, by: u64) {
        if word == 0 || held as i64 <= 0 || self.evicted.exchange_if(by, word) == by {
            return;
        }
        let other = self.evicted.exchange_if(0, word);
        if other != 0 && other != word {
            let _ = self.evicted.exchange_if(other, SEVERAL);
        }
    }

    /// Whether another one may have taken the place of this process.
    #[inline(always)]
    fn has_evicted(&self, word: u64) -> bool {
        let evicted = self.evicted.load();
        evicted == word || evicted == SEVERAL
    }

    /// What was known of this one that was evicted is not needed any more.
    #[inline(always)]
    fn forget_evicted(&self, word: u64) {
        let _ = self.evicted.exchange_if(word, 0);
    }
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

    #[inline(always)]
    fn word(self) -> u64 {
        u64::from(self.tgid) << 32 | u64::from(self.start)
    }

    #[inline(always)]
    fn slot(self) -> Option<&'static Slot> {
        // Process ids are given out one after another.
        PROCESSES.get(self.tgid & (PROCESS_SLOTS - 1))
    }

    /// Reports its name, unless user space knows it already. `name` reads it.
    #[inline(always)]
    fn introduce(self, name: impl Fn() -> [u64; 2]) {
        let Some(slot) = self.slot() else { return };
        let (word, before) = (self.word(), slot.process.load());
        if before == word || !report_process(Kind::Process, (self.tgid, self.start), name()) {
            return;
        }
        let (held, is_back) = (slot.held.load(), slot.has_evicted(word));
        slot.evict(before, held, word);
        // Threads may make sockets at the same time: one of them begins to count, from what is counted by then.
        let found = slot.process.exchange_if(before, word);
        if found == before {
            slot.forget_evicted(word);
            slot.held.add(if is_back { SOME } else { 0 }.wrapping_sub(held));
        } else if found == word && is_back {
            slot.held.add(SOME);
        } else if found == 0 {
            // The one before has ended meanwhile.
            slot.forget_evicted(before);
        }
    }

    /// Whether it has ended.
    #[inline(always)]
    pub fn is_gone(self) -> bool {
        self.slot().is_some_and(|slot| slot.ended.load() == self.word())
    }

    /// Changes the number of sockets that it holds.
    #[inline(always)]
    pub fn hold(self, change: u64) {
        if let Some(slot) = self.slot()
            && slot.process.load() == self.word()
        {
            slot.held.add(change);
        }
    }

    /// Whether it is on the CPU: one that ends closes its sockets one after another, and what that does to the others happens at once.
    #[inline(always)]
    pub fn is_current(self) -> bool {
        sees_all() && current_tgid() == self.tgid
    }
}

/// Whether every process has a number that the reader can see.
#[inline(always)]
pub fn sees_all() -> bool {
    PIDNS.load() == 0
}

/// Id of the cgroup that the current process is in, 0 where it is no number of 32 bits: the kernel counts up, beyond that after two thousand
/// million directories and files of cgroups.
#[inline(always)]
pub fn current_cgroup() -> u32 {
    short(sys::current_cgroup())
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
    let current = current_tgid();
    let pidns = PIDNS.load();
    let Some(task) = task() else {
        // The leader cannot be found: the thread's own name is the nearest there is.
        if pidns != 0 {
            return None;
        }
        let process = Process { tgid: current, start: 0 };
        process.introduce(|| words(bpf_get_current_comm().unwrap_or_default()));
        return Some(process);
    };
    if Typed::get::<u32>(task, Field::TaskFlags).unwrap_or_default() & PF_KTHREAD != 0 {
        return None;
    }
    let leader = Typed::follow(task, Field::TaskGroupLeader)?;
    let start = start_tag(Typed::get(leader, Field::TaskStart).unwrap_or_default());
    let tgid = if pidns == 0 { current } else { number_in(Typed::number(leader), pidns)? };
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

/// The process that a thread-group leader stands for, if user space knows it; with its place, which another one may have by now.
#[inline(always)]
fn known(leader_task: Addr) -> Option<(Process, &'static Slot)> {
    if !enabled() {
        return None;
    }
    let process = leader(leader_task, Typed::get(leader_task, Field::TaskTgid)?)?;
    let slot = process.slot()?;
    (slot.process.load() == process.word() || slot.has_evicted(process.word())).then_some((process, slot))
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
        report_process(Kind::Process, (process.tgid, process.start), Probed::at(name));
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
    let (word, held) = (process.word(), slot.held.load());
    let has_place = slot.process.exchange_if(word, 0) == word;
    slot.forget_evicted(word);
    if !has_place || held as i64 > 0 {
        report_process(Kind::Gone, (process.tgid, process.start), [0; 2]);
    }
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
