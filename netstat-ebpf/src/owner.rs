//! The owners of sockets.

use crate::{
    process::{Process, current, current_cgroup, sees_all},
    remembered::{OUTSIDE, Remembered},
    wanted,
};
use netstat_ebpf::{Grade, UNSEEN};

impl Process {
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
}

/// The owner of a socket, and its grade; none if the owner has ended and the socket is still `held`: another process has it then. So it is with a
/// connection that still waits to be accepted: another process listens.
#[inline(always)]
pub fn owner_now(r: &Remembered, held: bool) -> (Process, u8) {
    let waits = r.grade == Grade::Inherited as u8;
    if (held && !waits || waits && sees_all()) && r.owner.is_gone() && !r.owner.is_current() {
        (Process::NONE, Grade::None as u8)
    } else {
        (r.owner, r.grade)
    }
}

/// Whether a process itself holds what it owns: not by way of its listener.
#[inline(always)]
pub fn is_holder(r: &Remembered) -> bool {
    r.grade != Grade::None as u8 && r.grade != Grade::Inherited as u8
}

/// Changes the number of sockets that the owner holds.
#[inline(always)]
fn hold(r: &Remembered, change: u64) {
    if is_holder(r) {
        r.owner.hold(change);
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
    let unknown = r.grade == Grade::None as u8;
    if unknown || r.owner != process && is_holder(r) && r.owner.is_gone() {
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
