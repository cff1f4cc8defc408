//! Who accepts a connection: until then it has the owner of its listener.

use crate::{
    PENDING, owner,
    read::{Addr, Memory, Probed, Typed, offset},
    remembered::recall,
};
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_get_current_task};
use netstat_ebpf::{ABSENT, Field, Grade};

/// Body of the hooks that a process passes with a connection in hand: accept(2), getpeername(2), the last close(2). The first of them
/// makes an inherited connection the process's own. True if it did.
#[inline(always)]
pub fn take_over<M: Memory>(sk: Addr) -> bool {
    let r = recall::<M>(sk);
    if r.is_null() {
        return false;
    }
    // SAFETY: a value of a map.
    let r = unsafe { &mut *r };
    let child = r.grade == Grade::None as u8 && r.created_ns != 0;
    if (child || r.grade == Grade::Inherited as u8)
        && let Some(process) = owner::current()
    {
        process.own(r, Grade::Accepted);
        return true;
    }
    false
}

/// Body of `cgroup/getpeername`: called by accept(2) that asks for the peer's address.
#[inline(always)]
pub fn with_address(sk: Addr) {
    if take_over::<Typed>(sk)
        && let Some(pending) = PENDING.get_ptr_mut(0)
    {
        // SAFETY: the value is this CPU's own.
        unsafe { (*pending).accepted = bpf_get_current_pid_tgid() };
    }
}

/// Body of the hooks on the return of accept(2) and accept4(2): the connection is behind the descriptor.
#[inline(always)]
pub fn returned(fd: u64) {
    if let Some(pending) = PENDING.get_ptr_mut(0) {
        // SAFETY: the value is this CPU's own.
        let pending = unsafe { &mut *pending };
        if pending.accepted == bpf_get_current_pid_tgid() {
            // Taken on the way, with the address.
            pending.accepted = 0;
            return;
        }
    }
    if let Some(sk) = socket_of(fd) {
        take_over::<Probed>(sk);
    }
}

/// The `struct sock` behind a descriptor of the current process.
#[inline(always)]
fn socket_of(fd: u64) -> Option<Addr> {
    // SAFETY: takes nothing and returns an address, which only the fault-tolerant reads of `Probed` follow.
    let task = unsafe { bpf_get_current_task() } as Addr;
    let table = Probed::follow(Probed::follow(task, Field::TaskFiles)?, Field::FilesFdt)?;
    let files = Probed::follow(table, Field::FdtableFd)?;
    let file = Probed::at::<u64>(files.wrapping_add((fd as usize).wrapping_mul(8))) as Addr;
    if file.is_null() || offset(Field::FilePrivateData) == ABSENT {
        return None;
    }
    Probed::follow(Probed::follow(file, Field::FilePrivateData)?, Field::SocketSk)
}
