//! The eBPF object of the tracer.
//!
//! # Layer map
//!
//! A file imports only those above it. `cargo xtask check` holds the files to this table, and `unsafe` to `sys` and `read`,
//! which are part of every object.
//!
//! ```text
//! file        what it is
//! linux       numbers of the kernel's headers
//! fields      the kernel fields that the programs read
//! kfunc       functions of the kernel that only its BTF numbers
//! snapshot    the records of the iterators
//! lib         the ABI that user space shares: records, tags, filters, and the names of maps and programs
//! sys         the machine and the kernel's helpers as safe functions
//! read        kernel memory as safe functions
//! iter        the iterators: an object of its own
//! kill        the iterators that close sockets: an object of its own
//! count       counters
//! setup       what user space has set up
//! pending     what a hook leaves for the next on its processor
//! ends        addresses and ports
//! ring        room in the ring buffer
//! process     processes, their names and their end
//! remembered  what is remembered of a socket
//! store       the entry of each socket, by address
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
mod store;
#[cfg(target_arch = "bpf")]
#[allow(dead_code, reason = "each object uses a part of the room")]
mod sys;
#[cfg(target_arch = "bpf")]
mod tcp;
#[cfg(target_arch = "bpf")]
mod time_wait;
#[cfg(target_arch = "bpf")]
mod timer;
#[cfg(target_arch = "bpf")]
mod wanted;
