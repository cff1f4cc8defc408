//! Entry points: one thin wrapper per hook and attach variant.

use crate::{
    accept,
    count::count,
    ending,
    ends::{Given, Tuple},
    mini, prime, process,
    read::{Memory, Probed, Typed, offset},
    request,
    setup::undisturbed,
    sock,
    stand_in::{is_left_out, is_taken, is_unseen, see, stand_in, stand_ins_report},
    sys::{self, Addr, field},
    tcp, time_wait,
};
use aya_ebpf::{
    Global,
    macros::{btf_tracepoint, cgroup_sock, cgroup_sock_addr, fentry, fexit, kprobe, map, raw_tracepoint, tracepoint},
    maps::ProgramArray,
    programs::{
        BtfTracePointContext, FEntryContext, FExitContext, ProbeContext, RawTracePointContext, SockAddrContext,
        SockContext, TracePointContext,
    },
};
use aya_log_ebpf::debug;
use netstat_ebpf::{ABSENT, Field, counter, linux::AF_INET6};

/// Offset of `skaddr` in the records of the classic tracepoints.
const SKADDR: usize = 8;

/// The program that [`state_nested`] is attached behind. User space puts it here.
#[map]
static BEFORE: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// The debug line of a transition. Not the socket's address: the verifier does not let a typed pointer be taken apart.
macro_rules! log {
    ($ctx:expr, $what:literal, $old:expr, $new:expr) => {
        debug!($ctx, "{} {}->{}", $what, $old, $new)
    };
}

#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn state_tp_btf(ctx: BtfTracePointContext) -> i32 {
    undisturbed(|| {
        let (sk, old, new): (Addr, i32, i32) = (ctx.arg(0), ctx.arg(1), ctx.arg(2));
        log!(&ctx, "inet_sock_set_state", old, new);
        if !is_taken::<Typed>(sk, old as u8, new as u8) {
            see(sk, new as u8);
            tcp::state::<Typed>(sk, old as u8, new as u8, Given::NOTHING);
        }
    });
    if NEVER.load() != 0 {
        sys::go_on(&ctx, &BEFORE, 0);
    }
    0
}

/// What is gone on in here has been interrupted, and its stack must stay as it is: since Linux 6.13 a program has one stack to a processor
/// (`bpf_enable_priv_stack`), unless it goes on in others. So it says that it does.
#[unsafe(no_mangle)]
static NEVER: Global<u32> = Global::new(0);

/// Attached behind the one above, for the transitions that interrupt it: goes on there, so that the verifier checks the body once.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn state_nested(ctx: BtfTracePointContext) -> i32 {
    let mut unseen = false;
    undisturbed(|| {
        let (sk, new): (Addr, i32) = (ctx.arg(0), ctx.arg(2));
        unseen = is_unseen::<Typed>(sk, new as u8);
    });
    if unseen {
        sys::go_on(&ctx, &BEFORE, 0);
        // There is no such program.
        count(counter::LOST);
    }
    0
}

#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn state_raw_tp(ctx: RawTracePointContext) -> i32 {
    undisturbed(|| {
        let (sk, old, new): (Addr, i32, i32) = (ctx.arg(0), ctx.arg(1), ctx.arg(2));
        log!(&ctx, "inet_sock_set_state", old, new);
        if !is_taken::<Probed>(sk, old as u8, new as u8) {
            tcp::state::<Probed>(sk, old as u8, new as u8, Given::NOTHING);
        }
    });
    0
}

/// The record is laid out as `include/trace/events/sock.h` has it since 5.6.
#[tracepoint(name = "inet_sock_set_state", category = "sock")]
pub fn state_tracepoint(ctx: TracePointContext) -> u32 {
    let (sk, old, new): (u64, i32, i32) = (field(&ctx, SKADDR), field(&ctx, 16), field(&ctx, 20));
    log!(&ctx, "inet_sock_set_state", old, new);
    let given = if offset(Field::SkcFamily) == ABSENT {
        let family: u16 = field(&ctx, 28);
        let (laddr, raddr) = if family as u8 == AF_INET6 {
            // Not aligned to eight bytes in every kernel's record: four words each.
            (words(&ctx, 40), words(&ctx, 56))
        } else {
            ([u64::from(field::<u32>(&ctx, 32)), 0], [u64::from(field::<u32>(&ctx, 36)), 0])
        };
        let tuple = Tuple { laddr, raddr, lport: field(&ctx, 24), rport: field(&ctx, 26) };
        Given { family, protocol: field(&ctx, 30), tuple }
    } else {
        Given::NOTHING
    };
    tcp::state::<Probed>(sk as Addr, old as u8, new as u8, given);
    0
}

/// Stands in for those above since Linux 7.0, where a task can be preempted in them, but not in this one.
#[tracepoint(name = "inet_sock_set_state", category = "sock")]
pub fn state_left_out(ctx: TracePointContext) -> u32 {
    let (sk, old, new) = (field::<u64>(&ctx, SKADDR) as Addr, field::<i32>(&ctx, 16), field::<i32>(&ctx, 20));
    if stand_ins_report() && is_left_out::<Probed>(sk, new as u8) {
        log!(&ctx, "inet_sock_set_state, left out", old, new);
        stand_in(sk, new as u8);
        tcp::state::<Probed>(sk, old as u8, new as u8, Given::NOTHING);
    }
    0
}

/// Sixteen bytes of a record.
#[inline(always)]
fn words(ctx: &TracePointContext, offset: usize) -> [u64; 2] {
    let word = |at: usize| u64::from(field::<u32>(ctx, offset + at));
    [word(0) | word(4) << 32, word(8) | word(12) << 32]
}

#[fentry(function = "tcp_set_state")]
pub fn state_fentry(ctx: FEntryContext) -> i32 {
    undisturbed(|| {
        let (sk, new): (Addr, i32) = (ctx.arg(0), ctx.arg(1));
        let old = Typed::state(sk);
        log!(&ctx, "tcp_set_state", old, new);
        tcp::state::<Typed>(sk, old, new as u8, Given::NOTHING);
    });
    0
}

#[kprobe(function = "tcp_set_state")]
pub fn state_kprobe(ctx: ProbeContext) -> u32 {
    if let (Some(sk), Some(new)) = (ctx.arg::<Addr>(0), ctx.arg::<i32>(1)) {
        let old = Probed::state(sk);
        log!(&ctx, "tcp_set_state", old, new);
        tcp::state::<Probed>(sk, old, new as u8, Given::NOTHING);
    }
    0
}

#[btf_tracepoint(function = "tcp_destroy_sock")]
pub fn destroy_tp_btf(ctx: BtfTracePointContext) -> i32 {
    undisturbed(|| {
        ending::destroy::<Typed>(ctx.arg(0));
    });
    0
}

#[raw_tracepoint(tracepoint = "tcp_destroy_sock")]
pub fn destroy_raw_tp(ctx: RawTracePointContext) -> i32 {
    undisturbed(|| {
        ending::destroy::<Probed>(ctx.arg(0));
    });
    0
}

#[tracepoint(name = "tcp_destroy_sock", category = "tcp")]
pub fn destroy_tracepoint(ctx: TracePointContext) -> u32 {
    ending::destroy::<Probed>(field::<u64>(&ctx, SKADDR) as Addr);
    0
}

/// Stands in for those above, as [`state_left_out`] does.
#[tracepoint(name = "tcp_destroy_sock", category = "tcp")]
pub fn destroy_left_out(ctx: TracePointContext) -> u32 {
    if stand_ins_report() {
        ending::destroy_left_out::<Probed>(field::<u64>(&ctx, SKADDR) as Addr);
    }
    0
}

#[btf_tracepoint(function = "tcp_send_reset")]
pub fn reset_tp_btf(ctx: BtfTracePointContext) -> i32 {
    undisturbed(|| {
        ending::send_reset::<Typed>(ctx.arg(0));
    });
    0
}

#[raw_tracepoint(tracepoint = "tcp_send_reset")]
pub fn reset_raw_tp(ctx: RawTracePointContext) -> i32 {
    undisturbed(|| {
        ending::send_reset::<Probed>(ctx.arg(0));
    });
    0
}

#[cgroup_sock(sock_create)]
pub fn sock_create(ctx: SockContext) -> i32 {
    created(&ctx, sys::is_refused());
    1
}

/// Before 5.18, where a program cannot ask what those before it have decided.
#[cgroup_sock(sock_create)]
pub fn sock_create_alone(ctx: SockContext) -> i32 {
    created(&ctx, false);
    1
}

#[inline(always)]
fn created(ctx: &SockContext, refused: bool) {
    let socket = sys::Socket::of(ctx);
    debug!(ctx, "sock_create family={} protocol={}", socket.family, socket.protocol);
    sock::create(ctx, refused);
}

#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    connects(&ctx, sys::asked4(&ctx));
    1
}

#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    connects(&ctx, sys::asked6(&ctx));
    1
}

#[inline(always)]
fn connects(ctx: &SockAddrContext, (addr, port): ([u64; 2], u16)) {
    let sk = sys::socket_of(ctx);
    if !sk.is_null() && sys::is_of_its_family(ctx) && !sys::is_refused() {
        sock::connect(sk, sys::protocol_of(ctx), addr, port);
    }
}

#[cgroup_sock(sock_release)]
pub fn sock_release(ctx: SockContext) -> i32 {
    sock::release(&ctx);
    1
}

#[cgroup_sock_addr(getpeername4)]
pub fn accept4(ctx: SockAddrContext) -> i32 {
    taken(&ctx);
    1
}

#[cgroup_sock_addr(getpeername6)]
pub fn accept6(ctx: SockAddrContext) -> i32 {
    taken(&ctx);
    1
}

#[inline(always)]
fn taken(ctx: &SockAddrContext) {
    let sk = sys::socket_of(ctx);
    if !sk.is_null() {
        accept::take_over::<Typed>(sk);
    }
}

/// `inet_csk_accept(sk, arg)`, since 6.10.
#[fexit(function = "inet_csk_accept")]
pub fn accept_fexit2(ctx: FExitContext) -> i32 {
    undisturbed(|| {
        accept::take_over::<Typed>(ctx.arg(2));
    });
    0
}

/// `inet_csk_accept(sk, flags, err, kern)`, before.
#[fexit(function = "inet_csk_accept")]
pub fn accept_fexit4(ctx: FExitContext) -> i32 {
    undisturbed(|| {
        accept::take_over::<Typed>(ctx.arg(4));
    });
    0
}

/// Attached to the exit of accept(2) and of accept4(2), whose records have what they return at the same offset.
#[tracepoint(name = "sys_exit_accept", category = "syscalls")]
pub fn accept_syscall(ctx: TracePointContext) -> u32 {
    let returned: i64 = field(&ctx, 16);
    if returned >= 0 {
        accept::returned(returned as u64);
    }
    0
}

/// `io_uring_complete(ctx, req, cqe)`. Older kernels take the result apart.
#[btf_tracepoint(function = "io_uring_complete")]
pub fn accept_uring(ctx: BtfTracePointContext) -> i32 {
    undisturbed(|| {
        accept::completed(ctx.arg(1), ctx.arg(2));
    });
    0
}

#[btf_tracepoint(function = "task_rename")]
pub fn task_rename(ctx: BtfTracePointContext) -> i32 {
    undisturbed(|| {
        process::renamed(ctx.arg(0), ctx.arg(1));
    });
    0
}

#[btf_tracepoint(function = "sched_process_exit")]
pub fn process_exit(ctx: BtfTracePointContext) -> i32 {
    undisturbed(|| {
        process::ended(ctx.arg(0));
    });
    0
}

#[btf_tracepoint(function = "sched_process_free")]
pub fn process_free(ctx: BtfTracePointContext) -> i32 {
    undisturbed(|| {
        process::freed(ctx.arg(0));
    });
    0
}

#[btf_tracepoint(function = "timer_cancel")]
pub fn timer_cancel(ctx: BtfTracePointContext) -> i32 {
    undisturbed(|| {
        time_wait::timer_cancel(&ctx, ctx.arg(0));
    });
    0
}

#[btf_tracepoint(function = "timer_expire_exit")]
pub fn timer_done(ctx: BtfTracePointContext) -> i32 {
    undisturbed(|| {
        request::timer_done(ctx.arg(0));
    });
    0
}

/// `kfree_skb(skb, location, reason, rx_sk)`, since 6.11: a segment for a minisocket ends here.
#[btf_tracepoint(function = "kfree_skb")]
pub fn segment_tp_btf(ctx: BtfTracePointContext) -> i32 {
    undisturbed(|| {
        time_wait::segment(ctx.arg(3));
    });
    0
}

#[fexit(function = "tcp_timewait_state_process")]
pub fn segment_fexit(ctx: FExitContext) -> i32 {
    undisturbed(|| {
        time_wait::segment(ctx.arg(0));
    });
    0
}

#[btf_tracepoint(function = "tcp_retransmit_synack")]
pub fn synack_again(ctx: BtfTracePointContext) -> i32 {
    undisturbed(|| {
        request::synack_again(ctx.arg(1));
    });
    0
}

/// The iterator is one of the shortest there are: what matters is that it is run.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/bpf_map")]
pub extern "C" fn decide_bpf_map(ctx: &sys::MapContext) -> i32 {
    if ctx.is_last() {
        mini::decide();
    }
    0
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub extern "C" fn prime_task_file(ctx: &sys::FileContext) -> i32 {
    let (output, task, file) = ctx.listed();
    if !task.is_null() && !file.is_null() {
        prime::held(output, task, file);
    }
    0
}
