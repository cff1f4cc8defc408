//! The third object: iterators that close sockets with `bpf_sock_destroy`, which only programs of their kind may call (Linux 6.5). An object
//! of its own, so that the tables' programs are loaded by kernels that have no such function.
//!
//! Each program is called once per socket of a network namespace, with the socket locked, and closes those that user space lists by cookie.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(core_intrinsics), allow(internal_features))]

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
#[allow(dead_code, reason = "each object uses a part of the room")]
mod sys;

#[cfg(target_arch = "bpf")]
mod object {
    use crate::sys::{Addr, SocketContext, cookie, destroy, tcp_sock, value_by_key};
    use aya_ebpf::{macros::map, maps::HashMap};
    use netstat_ebpf::snapshot::closing::{MINI, SEEN, SOUGHT, WANTED};

    /// What is to be done with a socket, and what came of it, by its cookie; user space sets how many there are. Nobody deletes an entry, and
    /// one walk at a time writes to it.
    #[map]
    static SOCKETS: HashMap<u64, i32> = HashMap::with_max_entries(1, 0);

    /// Does what user space wants done with a socket; `is_whole` says whether it is more than a minisocket.
    #[inline(always)]
    fn serve(sk: Addr, is_whole: impl FnOnce() -> bool) {
        let Some(entry) = value_by_key(&SOCKETS, cookie(sk)) else { return };
        *entry = match *entry {
            WANTED if !is_whole() => MINI,
            WANTED => destroy(sk),
            SOUGHT => SEEN,
            _ => return,
        };
    }

    /// TCP sockets of a network namespace.
    #[unsafe(no_mangle)]
    #[unsafe(link_section = "iter/tcp")]
    extern "C" fn close_tcp(ctx: &SocketContext) -> i32 {
        let (_, sk, _) = ctx.listed();
        // The walk ends with a call without a socket.
        if !sk.is_null() {
            serve(sk, || !tcp_sock(sk).is_null());
        }
        0
    }

    /// UDP sockets of a network namespace.
    #[unsafe(no_mangle)]
    #[unsafe(link_section = "iter/udp")]
    extern "C" fn close_udp(ctx: &SocketContext) -> i32 {
        let (_, sk, _) = ctx.listed();
        if !sk.is_null() {
            serve(sk, || true);
        }
        0
    }
}
