//! The third object: iterators that close sockets with `bpf_sock_destroy`, which only programs of their kind may call (Linux 6.5). An object
//! of its own, so that the tables' programs are loaded by kernels that have no such function.
//!
//! Each program is called once per socket of a network namespace, with the socket locked, and closes those that user space lists by cookie.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
mod object {
    use aya_ebpf::{
        helpers::generated::{bpf_get_socket_cookie, bpf_skc_to_tcp_sock},
        macros::map,
        maps::HashMap,
    };
    use core::mem::transmute;
    use netstat_ebpf::snapshot::closing::{DESTROY, MINI, SEEN, SOUGHT, WANTED};

    /// An address in kernel memory.
    type Addr = *const u8;

    /// What is to be done with a socket, and what came of it, by its cookie; user space sets how many there are.
    #[map]
    static SOCKETS: HashMap<u64, i32> = HashMap::with_max_entries(1, 0);

    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo) -> ! {
        loop {}
    }

    /// `struct bpf_iter__tcp` and `struct bpf_iter__udp`.
    #[repr(C)]
    struct SocketContext {
        meta: Addr,
        sk: Addr,
        uid: u32,
    }

    /// Does what user space wants done with a socket; `is_whole` says whether it is more than a minisocket.
    #[inline(always)]
    fn serve(sk: Addr, is_whole: impl FnOnce() -> bool) {
        // SAFETY: `sk` is a trusted pointer of the context.
        let cookie = unsafe { bpf_get_socket_cookie(sk.cast_mut().cast()) };
        let Some(entry) = SOCKETS.get_ptr_mut(cookie) else { return };
        // SAFETY: an entry of the map, which nobody deletes; one walk at a time writes to it.
        let wanted = unsafe { entry.read_volatile() };
        let outcome = match wanted {
            // `bpf_sock_destroy` reads `sk_protocol`, which lies beyond the end of a minisocket.
            WANTED if !is_whole() => MINI,
            WANTED => {
                // SAFETY: when this is loaded, the number is that of `int bpf_sock_destroy(struct sock_common *)`. The context's pointer is
                // trusted, and the iterator holds the socket's lock.
                unsafe { transmute::<usize, unsafe extern "C" fn(Addr) -> i32>(DESTROY.0 as usize)(sk) }
            }
            SOUGHT => SEEN,
            _ => return,
        };
        // SAFETY: as above.
        unsafe { entry.write_volatile(outcome) };
    }

    /// TCP sockets of a network namespace.
    #[unsafe(no_mangle)]
    #[unsafe(link_section = "iter/tcp")]
    extern "C" fn close_tcp(ctx: *const SocketContext) -> i32 {
        // SAFETY: the kernel's context; the verifier checks every load from it.
        let sk = unsafe { (*ctx).sk };
        // The walk ends with a call without a socket.
        if !sk.is_null() {
            // SAFETY: the helper gives null unless it is a whole socket.
            serve(sk, || !unsafe { bpf_skc_to_tcp_sock(sk.cast_mut().cast()) }.is_null());
        }
        0
    }

    /// UDP sockets of a network namespace.
    #[unsafe(no_mangle)]
    #[unsafe(link_section = "iter/udp")]
    extern "C" fn close_udp(ctx: *const SocketContext) -> i32 {
        // SAFETY: as above.
        let sk = unsafe { (*ctx).sk };
        if !sk.is_null() {
            serve(sk, || true);
        }
        0
    }
}
