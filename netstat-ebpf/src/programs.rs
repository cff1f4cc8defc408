//! Entry points: one thin wrapper per hook and attach variant.

use crate::{
    read::{Addr, Probed, Typed, offset},
    sock, tcp,
};
use aya_ebpf::{
    EbpfContext,
    macros::{btf_tracepoint, cgroup_sock, fentry, kprobe, raw_tracepoint, tracepoint},
    programs::{
        BtfTracePointContext, FEntryContext, ProbeContext, RawTracePointContext, SockContext, TracePointContext,
    },
};
use aya_log_ebpf::debug;
use netstat_ebpf::{ABSENT, AF_INET6, Field};

/// Offset of `skaddr` in the records of the classic tracepoints.
const SKADDR: usize = 8;

/// The debug line of a transition.
macro_rules! log {
    ($ctx:expr, $what:literal, $sk:expr, $old:expr, $new:expr) => {
        debug!($ctx, "{} sk={:x} {}->{}", $what, $sk as u64, $old, $new)
    };
}

#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn state_tp_btf(ctx: BtfTracePointContext) -> i32 {
    let (sk, old, new): (Addr, i32, i32) = (ctx.arg(0), ctx.arg(1), ctx.arg(2));
    log!(&ctx, "inet_sock_set_state", sk, old, new);
    tcp::state::<Typed>(sk, old as u8, new as u8, None);
    0
}

#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn state_raw_tp(ctx: RawTracePointContext) -> i32 {
    let (sk, old, new): (Addr, i32, i32) = (ctx.arg(0), ctx.arg(1), ctx.arg(2));
    log!(&ctx, "inet_sock_set_state", sk, old, new);
    tcp::state::<Probed>(sk, old as u8, new as u8, None);
    0
}

#[tracepoint(name = "inet_sock_set_state", category = "sock")]
pub fn state_tracepoint(ctx: TracePointContext) -> u32 {
    let _ = try_state_tracepoint(&ctx);
    0
}

/// The plan has checked that the record is laid out as `include/trace/events/sock.h` has it since 5.6.
#[inline(always)]
fn try_state_tracepoint(ctx: &TracePointContext) -> Result<(), i32> {
    // SAFETY: offsets of the record the context points to.
    let (sk, old, new) = unsafe { (ctx.read_at::<u64>(SKADDR)?, ctx.read_at::<i32>(16)?, ctx.read_at::<i32>(20)?) };
    log!(ctx, "inet_sock_set_state", sk, old, new);
    let given = if offset(Field::SkcFamily) == ABSENT {
        // SAFETY: as above.
        let (family, lport, rport, protocol) = unsafe {
            (ctx.read_at::<u16>(28)?, ctx.read_at::<u16>(24)?, ctx.read_at::<u16>(26)?, ctx.read_at::<u16>(30)?)
        };
        // SAFETY: as above.
        let (laddr, raddr) = if family as u8 == AF_INET6 {
            unsafe { (ctx.read_at(40)?, ctx.read_at(56)?) }
        } else {
            unsafe { ([u64::from(ctx.read_at::<u32>(32)?), 0], [u64::from(ctx.read_at::<u32>(36)?), 0]) }
        };
        Some(tcp::Given { family, protocol, tuple: tcp::Tuple { laddr, raddr, lport, rport } })
    } else {
        None
    };
    tcp::state::<Probed>(sk as Addr, old as u8, new as u8, given);
    Ok(())
}

#[fentry(function = "tcp_set_state")]
pub fn state_fentry(ctx: FEntryContext) -> i32 {
    let (sk, new): (Addr, i32) = (ctx.arg(0), ctx.arg(1));
    let old = tcp::current_state::<Typed>(sk);
    log!(&ctx, "tcp_set_state", sk, old, new);
    tcp::state::<Typed>(sk, old, new as u8, None);
    0
}

#[kprobe(function = "tcp_set_state")]
pub fn state_kprobe(ctx: ProbeContext) -> u32 {
    if let (Some(sk), Some(new)) = (ctx.arg::<Addr>(0), ctx.arg::<i32>(1)) {
        let old = tcp::current_state::<Probed>(sk);
        log!(&ctx, "tcp_set_state", sk, old, new);
        tcp::state::<Probed>(sk, old, new as u8, None);
    }
    0
}

#[btf_tracepoint(function = "tcp_destroy_sock")]
pub fn destroy_tp_btf(ctx: BtfTracePointContext) -> i32 {
    tcp::destroy::<Typed>(ctx.arg(0));
    0
}

#[raw_tracepoint(tracepoint = "tcp_destroy_sock")]
pub fn destroy_raw_tp(ctx: RawTracePointContext) -> i32 {
    tcp::destroy::<Probed>(ctx.arg(0));
    0
}

#[tracepoint(name = "tcp_destroy_sock", category = "tcp")]
pub fn destroy_tracepoint(ctx: TracePointContext) -> u32 {
    // SAFETY: the plan has checked the format of the tracepoint.
    if let Ok(sk) = unsafe { ctx.read_at::<u64>(SKADDR) } {
        tcp::destroy::<Probed>(sk as Addr);
    }
    0
}

#[btf_tracepoint(function = "tcp_send_reset")]
pub fn reset_tp_btf(ctx: BtfTracePointContext) -> i32 {
    tcp::send_reset::<Typed>(ctx.arg(0));
    0
}

#[raw_tracepoint(tracepoint = "tcp_send_reset")]
pub fn reset_raw_tp(ctx: RawTracePointContext) -> i32 {
    tcp::send_reset::<Probed>(ctx.arg(0));
    0
}

#[cgroup_sock(sock_create)]
pub fn sock_create(ctx: SockContext) -> i32 {
    debug!(&ctx, "sock_create sk={:x}", ctx.as_ptr() as u64);
    sock::create(ctx.sock);
    1
}

#[cgroup_sock(sock_release)]
pub fn sock_release(ctx: SockContext) -> i32 {
    sock::release(ctx.sock);
    1
}
