//! What a process or thread does to itself, and what it was given.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether standard output was closed when the program began.
static OUTPUT_CLOSED: AtomicBool = AtomicBool::new(false);

/// Runs before `main`: Rust's runtime opens /dev/null in the place of a standard descriptor that is closed, and what is written there would seem to be
/// written.
extern "C" fn look_at_output() {
    // SAFETY: F_GETFD takes no third argument and touches no memory (fcntl(2)).
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    OUTPUT_CLOSED.store(flags < 0, Ordering::Relaxed);
}

// SAFETY: the section holds pointers to functions that the C library calls with arguments which they may ignore (System V ABI, "Initialization and
// Termination Functions").
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK_AT_OUTPUT: extern "C" fn() = look_at_output;

/// Whether standard output was closed when the program began (`>&-`).
pub fn output_is_closed() -> bool {
    OUTPUT_CLOSED.load(Ordering::Relaxed)
}

/// Has a write beyond the limit of a file's size (`ulimit -f`) fail like any other that fails, and not kill the process without a word.
pub fn outlive_file_limit() {
    // SAFETY: installs no handler, and the signal is of the whole process (signal(2)).
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Gives memory that was freed back to the kernel. The allocator keeps what a crowd took for the next crowd, which may not come.
pub fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes a number only, and is safe in every thread (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Does something while the calling thread, and the threads that it starts meanwhile, take no signals; they wait. The verifier gives up a
/// program where a signal waits for the thread that loads it (`EAGAIN`, `bpf_check()` in the kernel's verifier.c), and aya takes a program
/// that it cannot load for one that the kernel does not know.
pub fn undisturbed<T>(work: impl FnOnce() -> T) -> T {
    let (mut all, mut before) = (MaybeUninit::<libc::sigset_t>::uninit(), MaybeUninit::<libc::sigset_t>::uninit());
    // SAFETY: both sets are live; `all` is filled before it is read, and the calls touch the mask of this thread alone (pthread_sigmask(3)).
    let blocked = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr()) == 0
    };
    let done = work();
    if blocked {
        // SAFETY: the call that succeeded filled `before`.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    }
    done
}

/// Lets other threads go before the calling one where there is not time for all: by so many steps of nice(2).
pub fn step_back(by: i32) {
    // It is served all the same where that is refused.
    let _ = rustix::process::setpriority_process(None, by);
}

/// Lets this process open as many descriptors as it may allow itself.
pub fn allow_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // It is served with fewer all the same.
    let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
}

/// How many descriptors this process may still open; many where the kernel does not say how many it has (before Linux 6.2).
pub fn descriptors_left() -> u64 {
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let open = rustix::fs::stat("/proc/self/fd").map_or(0, |folder| u64::try_from(folder.st_size).unwrap_or(0));
    most.saturating_sub(open)
}

/// Whether so few are left that two threads would only take them from each other.
pub fn descriptors_are_few() -> bool {
    descriptors_left() < 16
}
