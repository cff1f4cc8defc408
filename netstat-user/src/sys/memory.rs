//! Memory that cannot be had: one line and exit code 1, where Rust would abort with a core.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

thread_local! {
    /// Whether a failure is returned to whoever asks.
    static ASKS: Cell<bool> = const { Cell::new(false) };
}

/// The C library's allocator. Where it has nothing left, the process ends in order: what is not printed yet stays unprinted, and the agent's
/// socket is replaced by the next agent.
pub struct Allocator;

// SAFETY: every call is handed on with the caller's arguments and its contract; what differs is that a failure does not return.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller vouches for.
        had(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller vouches for.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller vouches for.
        had(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller vouches for.
        had(unsafe { System.realloc(memory, layout, size) }, size)
    }
}

#[inline]
fn had(memory: *mut u8, size: usize) -> *mut u8 {
    if memory.is_null() && !ASKS.get() {
        end(size);
    }
    memory
}

/// Whether so many bytes could be had at once.
pub fn has_memory(bytes: usize) -> bool {
    ASKS.set(true);
    let tried = Vec::<u8>::new().try_reserve_exact(bytes).is_ok();
    ASKS.set(false);
    tried
}

/// What to do where the kernel refuses memory.
pub const NO_MEMORY: &str =
    "no memory: raise its limit (ulimit -v, ulimit -d, MemoryMax of the unit), or free some of the machine's";

/// How long the end waits for whoever reads standard error.
const PATIENCE_MS: libc::c_int = 1000;

/// Says so in one line, made without allocating, and ends the process.
#[cold]
fn end(size: usize) -> ! {
    static SAID: AtomicBool = AtomicBool::new(false);
    if SAID.swap(true, Ordering::Relaxed) {
        // Another thread is about to end the process.
        loop {
            // SAFETY: takes no argument and touches no memory (pause(2)).
            unsafe { libc::pause() };
        }
    }
    let (mut digits, mut at, mut rest) = ([0u8; 20], 20, size);
    while rest > 0 && at > 0 {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let number = digits.get(at..).unwrap_or_default();
    let parts: [&[u8]; 5] = [b"netstat-user: ", NO_MEMORY.as_bytes(), b" (", number, b" bytes more were wanted)\n"];
    let mut line = [0u8; 256];
    let mut length = 0;
    for part in parts {
        let to = (length + part.len()).min(line.len());
        line[length..to].copy_from_slice(&part[..to - length]);
        length = to;
    }
    let mut stderr = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
    // SAFETY: the pointers and lengths are those of live values; alarm(2) takes none, and _exit(2) returns nowhere.
    unsafe {
        // Nobody may read it. Where another thread fills it between these calls, the signal ends the process.
        if libc::poll(&raw mut stderr, 1, PATIENCE_MS) == 0 {
            libc::_exit(1);
        }
        libc::alarm(1);
        libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), length);
        libc::_exit(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_there_is_memory_is_said_and_ends_nothing() {
        assert!(has_memory(1 << 20));
        assert!(!has_memory(isize::MAX as usize / 2));
        assert!(!ASKS.get());
    }
}
