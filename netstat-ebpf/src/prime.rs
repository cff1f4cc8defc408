//! Sockets that are older than the tracer: an iterator over all open files gives them owners, before anything is reported. It runs again for
//! sockets whose owner is gone, and for connections that a process accepted where no hook saw it.

use crate::{
    ending::mark_close,
    listen,
    process::{self, Process},
    read::{Memory, Probed, Typed},
    remembered::OUTSIDE,
    setup::since,
    store::{recall, remember},
    sys::{Addr, socket_of_file, write},
    wanted,
};
use netstat_ebpf::{
    Field, FoundRecord, Grade, RAW,
    linux::{
        AF_INET, AF_INET6, IPPROTO_MPTCP, IPPROTO_TCP, SOCK_RAW,
        tcp::{CLOSING, FIN_WAIT1, FIN_WAIT2, LAST_ACK, LISTEN},
    },
};

/// Body of the `task_file` iterator: a task holds a file. The first one to hold a socket, in the order of process numbers, is its owner.
#[inline(always)]
pub fn held(output: Addr, task: Addr, file: Addr) {
    let socket = socket_of_file(file);
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
fn give<M: Memory>(output: Addr, sk: Addr, task: Addr, file: Addr) {
    let Some(family) = M::get::<u16>(sk, Field::SkcFamily) else { return };
    let family = family as u8;
    if family != AF_INET && family != AF_INET6 {
        return;
    }
    let mut known = recall::<M>(sk);
    let mut grade = Grade::Scanned;
    if let Some(r) = &known {
        if r.grade == Grade::Inherited as u8 {
            grade = Grade::Accepted;
        } else if r.grade != Grade::None as u8 && !r.owner.is_gone() {
            return;
        }
    }
    let kind = M::get::<u16>(sk, Field::SkType).unwrap_or(0);
    let Some(protocol) = M::get::<u16>(sk, Field::SkProtocol) else { return };
    let netns = M::netns(sk).unwrap_or(0);
    if netstat_is_wanted(protocol, kind, family, netns) == 0 {
        return;
    }
    let (Some(pid), Some(leader)) =
        (Typed::get::<u32>(task, Field::TaskTgid), Typed::follow(task, Field::TaskGroupLeader))
    else {
        return;
    };
    let Some(process) = process::found(leader, pid) else { return };
    let new = known.is_none();
    if new {
        known = remember::<M>(sk);
    }
    let Some(r) = known else { return };
    // Who asks for them by then wants to know them.
    if since().is_some() && !found(output, file, process) {
        return;
    }
    process.own(r, grade, process::cgroup_of(leader));
    // Which cgroups that is below of, user space finds out.
    r.marks &= !OUTSIDE;
    if !new && r.family != 0 {
        return;
    }
    r.family = family;
    r.protocol = protocol;
    r.netns = netns;
    r.learn_uid::<M>(sk);
    r.cookie = M::cookie(sk);
    if kind == SOCK_RAW {
        r.flags |= RAW;
        return;
    }
    if protocol != IPPROTO_TCP {
        return;
    }
    if let Some(state) = M::get::<u8>(sk, Field::SkcState) {
        // A hook that ran meanwhile knows better.
        if r.state == 0 {
            r.state = state;
        }
        match state {
            LISTEN => listen::begin::<M>(sk, M::get(sk, Field::SkcNum).unwrap_or_default()),
            // Shut down already, and not closed.
            FIN_WAIT1 | FIN_WAIT2 | CLOSING | LAST_ACK => mark_close::<M>(sk),
            _ => {}
        }
    }
}

/// Whether sockets of a protocol, a kind (`SOCK_RAW`), a family and a namespace, 0 if that is not known, are wanted. The verifier checks it by itself,
/// once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn netstat_is_wanted(protocol: u16, kind: u16, family: u8, netns: u32) -> u32 {
    let protocol = wanted::protocol(protocol, kind == SOCK_RAW, family == AF_INET6);
    u32::from(protocol && wanted::netns(Some(netns).filter(|&netns| netns != 0)))
}

/// Writes who holds a connection; false where the output is full: the kernel comes back with the same file at the next read.
#[inline(always)]
fn found(output: Addr, file: Addr, process: Process) -> bool {
    let inode = Typed::follow(file, Field::FileInode).and_then(|inode| Typed::get::<u64>(inode, Field::InodeIno));
    let record = FoundRecord { inode: inode.unwrap_or(0), pid: process.tgid, start: process.start };
    write(output, &record)
}
