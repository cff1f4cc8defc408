//! The process on the CPU, as the owner of what it makes: only for hooks that run in its own context.

use crate::{
    PIDNS,
    read::{Addr, Memory, Probed, Typed, offset},
    remembered::Remembered,
};
use aya_ebpf::helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, generated::bpf_get_current_task_btf};
use netstat_ebpf::{ABSENT, Field, Grade};

/// Levels of nested PID namespaces looked at; the kernel's own limit is 32 (`MAX_PID_NS_LEVEL`).
const LEVELS: usize = 32;

/// A process: its thread-group id as the reader numbers it, and the name of its leader.
#[derive(Clone, Copy)]
pub struct Process {
    pub tgid: u32,
    pub comm: [u64; 2],
}

impl Process {
    /// Makes it the owner.
    #[inline(always)]
    pub fn own(&self, r: &mut Remembered, grade: Grade) {
        r.tgid = self.tgid;
        r.comm = self.comm;
        r.grade = grade as u8;
    }
}

/// The task on the CPU, with its type; `None` where the kernel's types are hidden.
#[inline(always)]
pub fn task() -> Option<Addr> {
    // SAFETY: takes nothing; the verifier knows what it returns.
    (offset(Field::TaskGroupLeader) != ABSENT).then(|| unsafe { bpf_get_current_task_btf() } as Addr)
}

/// The current process, `None` if the reader's PID namespace does not hold it.
#[inline(always)]
pub fn current() -> Option<Process> {
    let at = offset(Field::TaskComm) as usize;
    let (leader, comm) = match task().and_then(|task| Typed::follow(task, Field::TaskGroupLeader)) {
        Some(leader) => (Some(leader), [Typed::at(leader.wrapping_add(at)), Typed::at(leader.wrapping_add(at + 8))]),
        // The leader cannot be found: the thread's own name is the nearest there is.
        None => (None, words(bpf_get_current_comm().unwrap_or_default())),
    };
    let pidns = PIDNS.load();
    let tgid = if pidns == 0 { (bpf_get_current_pid_tgid() >> 32) as u32 } else { number_in(leader?, pidns)? };
    Some(Process { tgid, comm })
}

/// A thread-group leader, `None` if the reader's PID namespace does not hold it.
#[inline(always)]
pub fn leader(task: Addr, tgid: u32) -> Option<Process> {
    let at = offset(Field::TaskComm);
    if at == ABSENT {
        return None;
    }
    let pidns = PIDNS.load();
    let tgid = if pidns == 0 { tgid } else { number_in(task, pidns)? };
    Some(Process { tgid, comm: Probed::at(task.wrapping_add(at as usize)) })
}

/// Sixteen bytes as two words.
#[inline(always)]
pub fn words(bytes: [u8; 16]) -> [u64; 2] {
    // SAFETY: any sixteen bytes are two words.
    unsafe { core::mem::transmute(bytes) }
}

/// The number of a task in a PID namespace, by `task->thread_pid->numbers`.
#[inline(always)]
fn number_in(task: Addr, pidns: u32) -> Option<u32> {
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
