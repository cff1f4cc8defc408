//! The eBPF object of the tracer.
//!
//! # Layer map
//!
//! A file imports only those above it. `cargo xtask check` holds the files to this table, and `unsafe` to `sys`, `read`, `iter` and `kill`.
//!
//! ```text
//! file        what it is
//! linux       numbers of the kernel's headers
//! fields      the kernel fields that the tracer reads
//! snapshot    the records and fields of the iterators
//! iter        the iterators: an object of its own
//! kill        the iterators that close sockets: an object of its own
//! sys         the machine and the kernel's helpers as safe functions
//! count       counters
//! setup       what user space has set up
//! read        kernel memory as safe functions
//! pending     what a hook leaves for the next on its processor
//! ends        addresses and ports
//! ring        room in the ring buffer
//! process     processes, their names and their end
//! remembered  what is remembered of each socket
//! wanted      the filters
//! owner       the owners of sockets
//! report      the records of sockets
//! ehash       the kernel's table of connections
//! timer       whose a timer is, and why it is stopped
//! listen      listeners by port
//! stand_in    which of several programs reports
//! mini        what minisockets and requests have in common
//! request     connection requests
//! ending      how TCP sockets end
//! time_wait   TIME_WAIT minisockets
//! accept      who accepts a connection
//! sock        creation of sockets, and the end of those that are not TCP
//! prime       sockets that are older than the tracer
//! tcp         transitions of TCP sockets
//! programs    entry points: a thin wrapper per hook and way to attach
//! ```
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(core_intrinsics), allow(internal_features))]

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
mod accept;
#[cfg(target_arch = "bpf")]
mod count;
#[cfg(target_arch = "bpf")]
mod ehash;
#[cfg(target_arch = "bpf")]
mod ending;
#[cfg(target_arch = "bpf")]
mod ends;
#[cfg(target_arch = "bpf")]
mod listen;
#[cfg(target_arch = "bpf")]
mod mini;
#[cfg(target_arch = "bpf")]
mod owner;
#[cfg(target_arch = "bpf")]
mod pending;
#[cfg(target_arch = "bpf")]
mod prime;
#[cfg(target_arch = "bpf")]
mod process;
#[cfg(target_arch = "bpf")]
mod programs;
#[cfg(target_arch = "bpf")]
mod read;
#[cfg(target_arch = "bpf")]
mod remembered;
#[cfg(target_arch = "bpf")]
mod report;
#[cfg(target_arch = "bpf")]
mod request;
#[cfg(target_arch = "bpf")]
mod ring;
#[cfg(target_arch = "bpf")]
mod setup;
#[cfg(target_arch = "bpf")]
mod sock;
#[cfg(target_arch = "bpf")]
mod stand_in;
#[cfg(target_arch = "bpf")]
mod sys;
#[cfg(target_arch = "bpf")]
mod tcp;
#[cfg(target_arch = "bpf")]
mod time_wait;
#[cfg(target_arch = "bpf")]
mod timer;
#[cfg(target_arch = "bpf")]
mod wanted;

#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
