//! Who accepts a connection: until then it has the owner of its listener.

use crate::{
    count::count,
    process,
    read::{Memory, Probed, Typed, offset, task},
    remembered::{HELD, Remembered, UNREPORTED},
    setup::enabled,
    store::{recall, remember},
    sys::Addr,
    wanted,
};
use netstat_ebpf::{
    ABSENT, Field, Grade, counter,
    linux::{AF_INET6, IORING_OP_ACCEPT, IPPROTO_MPTCP, IPPROTO_TCP, tcp::CLOSE},
};

/// Body of the hooks that a process passes with a connection in hand: accept(2), getpeername(2). The first of them
/// makes an inherited connection the process's own; true for that one.
#[inline(always)]
pub fn take_over<M: Memory>(sk: Addr) -> bool {
    if !enabled() {
        return false;
    }
    let (taken, grade) = match recall::<M>(sk) {
        Some(r) => {
            let unknown = r.grade == Grade::None as u8;
            // With TCP Fast Open one can be accepted before its first transition.
            let child = unknown && (r.created_ns != 0 || r.flags & UNREPORTED != 0);
            let grade = if unknown && !child { Grade::Scanned } else { Grade::Accepted };
            ((unknown || r.grade == Grade::Inherited as u8).then_some(r), grade)
        }
        // Of a socket that is typed as `struct bpf_sock`, the verifier lets nothing else be read.
        None => (older(M::number(sk) as Addr), Grade::Scanned),
    };
    let Some((r, process)) = taken.zip(process::current()) else { return false };
    process.take(r, grade);
    // Its peer reset it while it waited: whoever has it now will close it.
    if r.state == CLOSE {
        r.marks |= HELD;
    }
    true
}

/// A connection that nothing is remembered of: it waited already when the tracer began. `None` also if it is not wanted.
#[inline(always)]
fn older(sk: Addr) -> Option<&'static mut Remembered> {
    let family = Probed::get::<u16>(sk, Field::SkcFamily)? as u8;
    let (netns, v6) = (Probed::netns(sk), family == AF_INET6);
    if Probed::get::<u16>(sk, Field::SkProtocol) != Some(IPPROTO_TCP)
        || !wanted::tcp(family, netns)
        || wanted::is_stranger_excluded::<Probed>(sk, v6, false)
    {
        return None;
    }
    let r = remember::<Probed>(sk)?;
    r.describe_tcp(family, netns);
    r.cookie = Probed::cookie(sk);
    r.state = Probed::get::<u8>(sk, Field::SkcState)?;
    Some(r)
}

/// Body of the hooks on the return of accept(2) and accept4(2). User space takes them away where they see nothing by themselves.
#[inline(always)]
pub fn returned(fd: u64) {
    match accepted(fd) {
        Some(true) => count(counter::ACCEPTED),
        Some(false) => count(counter::ACCEPTED_TWICE),
        None => {}
    }
}

/// A process has accepted the connection behind a descriptor, if it is one of TCP; false if that was seen before.
#[inline(always)]
fn accepted(fd: u64) -> Option<bool> {
    if !enabled() {
        return None;
    }
    let sk = socket_of(fd)?;
    match Probed::get::<u16>(sk, Field::SkProtocol)? {
        IPPROTO_TCP => Some(take_over::<Probed>(sk)),
        IPPROTO_MPTCP => Some(take_over::<Probed>(Probed::follow(sk, Field::MptcpFirst)?)),
        _ => None,
    }
}

/// Body of the hook on `io_uring_complete`: the process takes the result of a request, one more of a request that goes on (then `req` is
/// null, and it may be of any kind), or has a thread of its own take it. What it holds behind a number that is no descriptor of an accept
/// is its own all the same.
#[inline(always)]
pub fn completed(req: Addr, cqe: Addr) {
    if !req.is_null() && Probed::get::<u8>(req, Field::IoKiocbOpcode) != Some(IORING_OP_ACCEPT) {
        return;
    }
    match Typed::get::<i32>(cqe, Field::IoUringCqeRes) {
        Some(fd) if fd >= 0 => {
            accepted(fd as u64);
        }
        _ => {}
    }
}

/// The `struct sock` behind a descriptor of the current process.
#[inline(always)]
fn socket_of(fd: u64) -> Option<Addr> {
    let table = Typed::follow(Typed::follow(task()?, Field::TaskFiles)?, Field::FilesFdt)?;
    if fd >= u64::from(Typed::get::<u32>(table, Field::FdtableMaxFds)?) {
        return None;
    }
    let files = Typed::follow(table, Field::FdtableFd)?;
    let file = Probed::at::<u64>(files.wrapping_add((fd as usize).wrapping_mul(8))) as Addr;
    if file.is_null() || offset(Field::FilePrivateData) == ABSENT {
        return None;
    }
    Probed::follow(Probed::follow(file, Field::FilePrivateData)?, Field::SocketSk)
}
