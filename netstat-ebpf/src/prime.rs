//! Sockets that are older than the tracer: an iterator over all open files, once the hooks are attached, gives them owners.

use crate::{
    owner,
    read::{Addr, Memory, Typed},
    remembered::{recall, remember},
    sock::{wanted_netns, wanted_proto},
};
use aya_ebpf::helpers::generated::bpf_sock_from_file;
use netstat_ebpf::{AF_INET, AF_INET6, Field, Grade, IPPROTO_TCP, RAW};

/// `SOCK_RAW` of `include/linux/net.h`.
const SOCK_RAW: u16 = 3;

/// Body of the `task_file` iterator: a task holds a file. The first one to hold a socket, in the order of process numbers, is its owner.
#[inline(always)]
pub fn held(task: Addr, file: Addr) {
    // SAFETY: a trusted `struct file *`; the verifier insists.
    let socket: Addr = unsafe { bpf_sock_from_file(file.cast_mut().cast()) }.cast();
    if socket.is_null() {
        return;
    }
    let Some(sk) = Typed::follow(socket, Field::SocketSk) else { return };
    let Some(family) = Typed::get::<u16>(sk, Field::SkcFamily) else { return };
    let family = family as u8;
    if family != AF_INET && family != AF_INET6 || !recall::<Typed>(sk).is_null() {
        return;
    }
    let raw = Typed::get::<u16>(sk, Field::SkType) == Some(SOCK_RAW);
    let Some(protocol) = Typed::get::<u16>(sk, Field::SkProtocol) else { return };
    let netns = Typed::netns(sk);
    if !wanted_proto(protocol, raw, family == AF_INET6) || !wanted_netns(netns) {
        return;
    }
    let (Some(pid), Some(leader)) =
        (Typed::get::<u32>(task, Field::TaskTgid), Typed::follow(task, Field::TaskGroupLeader))
    else {
        return;
    };
    let Some(process) = owner::leader(leader, pid) else { return };
    let r = remember::<Typed>(sk);
    if r.is_null() {
        return;
    }
    // SAFETY: a value of a map.
    let r = unsafe { &mut *r };
    process.own(r, Grade::Scanned);
    r.family = family;
    r.protocol = protocol;
    r.netns = netns.unwrap_or(0);
    r.learn_uid::<Typed>(sk);
    if raw {
        r.flags |= RAW;
    }
    r.cookie = Typed::cookie(sk);
    if raw || protocol != IPPROTO_TCP {
        return;
    }
    if let Some(state) = Typed::get::<u8>(sk, Field::SkcState) {
        r.state = state;
    }
}
