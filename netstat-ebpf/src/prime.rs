//! Sockets that are older than the tracer: an iterator over all open files gives them owners, before anything is reported. It runs again for
//! sockets whose owner is gone, and for connections that a process accepted where no hook saw it.

use crate::{
    listen,
    owner::{self, Process},
    read::{Addr, Memory, Probed, Typed},
    remembered::{OUTSIDE, recall, remember},
    report::since,
    sock::SOCK_RAW,
    tcp::LISTEN,
    wanted,
};
use aya_ebpf::helpers::generated::{bpf_seq_write, bpf_sock_from_file};
use netstat_ebpf::{AF_INET, AF_INET6, Field, FoundRecord, Grade, IPPROTO_MPTCP, IPPROTO_TCP, RAW};

/// Where an iterator writes (`struct seq_file *`).
pub type Output = *const u8;

/// Body of the `task_file` iterator: a task holds a file. The first one to hold a socket, in the order of process numbers, is its owner.
#[inline(always)]
pub fn held(output: Output, task: Addr, file: Addr) {
    // SAFETY: a trusted `struct file *`; the verifier insists.
    let socket: Addr = unsafe { bpf_sock_from_file(file.cast_mut().cast()) }.cast();
    if socket.is_null() {
        return;
    }
    let Some(sk) = Typed::follow(socket, Field::SocketSk) else { return };
    match Typed::get::<u16>(sk, Field::SkProtocol) {
        Some(IPPROTO_MPTCP) => {
            if let Some(sk) = Probed::follow(sk, Field::MptcpFirst) {
                give::<Probed>(output, sk, task, file);
            }
        }
        _ => give::<Typed>(output, sk, task, file),
    }
}

#[inline(always)]
fn give<M: Memory>(output: Output, sk: Addr, task: Addr, file: Addr) {
    let Some(family) = M::get::<u16>(sk, Field::SkcFamily) else { return };
    let family = family as u8;
    if family != AF_INET && family != AF_INET6 {
        return;
    }
    let mut r = recall::<M>(sk);
    let mut grade = Grade::Scanned;
    if !r.is_null() {
        // SAFETY: a value of a map.
        let r = unsafe { &*r };
        if r.grade == Grade::Inherited as u8 {
            grade = Grade::Accepted;
        } else if r.grade != Grade::None as u8 && !r.owner.is_gone() {
            return;
        }
    }
    let raw = M::get::<u16>(sk, Field::SkType) == Some(SOCK_RAW);
    let Some(protocol) = M::get::<u16>(sk, Field::SkProtocol) else { return };
    let netns = M::netns(sk);
    if !wanted::protocol(protocol, raw, family == AF_INET6) || !wanted::netns(netns) {
        return;
    }
    let (Some(pid), Some(leader)) =
        (Typed::get::<u32>(task, Field::TaskTgid), Typed::follow(task, Field::TaskGroupLeader))
    else {
        return;
    };
    let Some(process) = owner::found(leader, pid) else { return };
    let new = r.is_null();
    if new {
        r = remember::<M>(sk);
    }
    if r.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    let r = unsafe { &mut *r };
    // Who asks for them by then wants to know them.
    if since().is_some() && !found(output, file, process) {
        return;
    }
    process.own(r, grade, owner::cgroup_of(leader));
    // Which cgroups that is below of, user space finds out.
    r.marks &= !OUTSIDE;
    if !new && r.family != 0 {
        return;
    }
    r.family = family;
    r.protocol = protocol;
    r.netns = netns.unwrap_or(0);
    r.learn_uid::<M>(sk);
    if raw {
        r.flags |= RAW;
    }
    r.cookie = M::cookie(sk);
    if raw || protocol != IPPROTO_TCP {
        return;
    }
    if let Some(state) = M::get::<u8>(sk, Field::SkcState) {
        // A hook that ran meanwhile knows better.
        if r.state == 0 {
            r.state = state;
        }
        if state == LISTEN {
            listen::begin::<M>(sk, M::get(sk, Field::SkcNum).unwrap_or_default());
        }
    }
}

/// Writes who holds a connection; false where the output is full: the kernel comes back with the same file at the next read.
#[inline(always)]
fn found(output: Output, file: Addr, process: Process) -> bool {
    let inode = Typed::follow(file, Field::FileInode).and_then(|inode| Typed::get::<u64>(inode, Field::InodeIno));
    let record = FoundRecord { inode: inode.unwrap_or(0), pid: process.tgid, start: process.start };
    // SAFETY: the verifier knows the output; the record is whole and has no padding.
    let written =
        unsafe { bpf_seq_write(output.cast_mut().cast(), (&raw const record).cast(), size_of::<FoundRecord>() as u32) };
    written == 0
}
