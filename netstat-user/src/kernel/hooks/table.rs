//! The table of hooks. A new hook is a row here, a body in the kernel object, a record and a test.

use super::{Adds, Hook, HookSpec, Instead, IteratedSpec, Layout, Needs, Sees, Variant, Way, Weight};
use aya_obj::generated::bpf_attach_type::{
    BPF_CGROUP_INET_SOCK_CREATE, BPF_CGROUP_INET_SOCK_RELEASE, BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET4_GETPEERNAME,
    BPF_CGROUP_INET6_CONNECT, BPF_CGROUP_INET6_GETPEERNAME,
};

const STATE_RECORD: Layout = Layout {
    category: "sock",
    fields: &[
        ("skaddr", 8),
        ("oldstate", 16),
        ("newstate", 20),
        ("sport", 24),
        ("dport", 26),
        ("family", 28),
        ("protocol", 30),
        ("saddr", 32),
        ("daddr", 36),
        ("saddr_v6", 40),
        ("daddr_v6", 56),
    ],
};
const DESTROY_RECORD: Layout = Layout { category: "tcp", fields: &[("skaddr", 8)] };

/// The best way to attach to a hook, which is in no other's place.
const fn way(variant: Variant, program: &'static str, target: &'static str, needs: Needs) -> Way {
    Way { variant, program, target, needs, instead: Instead::Same(""), births: true, made_up_for_by: &[] }
}

/// Every hook, in the order they are attached: one that another makes needless comes after that. The programs do nothing before all are.
pub const HOOKS: [HookSpec; 21] = [
    HookSpec {
        hook: Hook::Create,
        name: "sock_create",
        sees: Sees::Sockets,
        weight: Weight::Essential,
        without: "no open events, and no owners of sockets made from now on",
        adds: Adds::Always,
        ways: &[
            way(Variant::Cgroup, "sock_create", "sock_create", Needs::CgroupSock(BPF_CGROUP_INET_SOCK_CREATE)),
            way(Variant::CgroupAlone, "sock_create_alone", "sock_create", Needs::CgroupSock(BPF_CGROUP_INET_SOCK_CREATE))
                .same("cgroup_alone reports the same events"),
        ],
    },
    HookSpec {
        hook: Hook::Accept,
        name: "accept",
        sees: Sees::Tcp,
        weight: Weight::Detail,
        without: "connections accepted without asking for the peer's address keep their listener's owner until they are closed",
        adds: Adds::Always,
        ways: &[
            way(Variant::Fexit, "accept_fexit2", "inet_csk_accept", Needs::Function(2)),
            way(Variant::Fexit4, "accept_fexit4", "inet_csk_accept", Needs::Function(4))
                .same("nothing: this is the same function as another kernel declares it"),
            // An accept(2) that asks for the peer's address passes these two hooks.
            way(Variant::Syscall, "accept_syscall", "sys_exit_accept", Needs::Tracefs)
                .made_up_for_by(&[Hook::Accept4, Hook::Accept6])
                .worse(
                "accept(2) is seen at the return of the system call, which costs every system call of the machine some 50 ns. \
                 Where programs ask for the peer's address it is taken away, and attached again when one does not ask: connections of that \
                 moment may have the owner of their listener, or another process that holds them",
            ),
        ],
    },
    HookSpec {
        hook: Hook::AcceptUring,
        name: "accept_uring",
        sees: Sees::Tcp,
        weight: Weight::Detail,
        without: "connections accepted by way of io_uring without asking for the peer's address keep their listener's owner until they are closed",
        adds: Adds::Unless(Hook::Accept, &[Variant::Fexit, Variant::Fexit4]),
        // Older kernels take the result apart: more arguments, and others.
        ways: &[way(Variant::TpBtf, "accept_uring", "io_uring_complete", Needs::JustArguments(3))],
    },
    HookSpec {
        hook: Hook::Release,
        name: "sock_release",
        sees: Sees::Sockets,
        weight: Weight::Essential,
        without: "no close events for sockets that are not TCP",
        adds: Adds::BesideTcp,
        ways: &[way(Variant::Cgroup, "sock_release", "sock_release", Needs::CgroupSock(BPF_CGROUP_INET_SOCK_RELEASE))],
    },
    HookSpec {
        hook: Hook::Accept4,
        name: "accept4",
        sees: Sees::Tcp,
        weight: Weight::Detail,
        without: "connections accepted with the peer's address keep their listener's owner until they are closed",
        adds: Adds::Unless(Hook::Accept, &[Variant::Fexit, Variant::Fexit4]),
        ways: &[way(Variant::Cgroup, "accept4", "getpeername4", Needs::CgroupAddress(BPF_CGROUP_INET4_GETPEERNAME))],
    },
    HookSpec {
        hook: Hook::Accept6,
        name: "accept6",
        sees: Sees::Tcp,
        weight: Weight::Detail,
        without: "connections accepted with the peer's address keep their listener's owner until they are closed",
        adds: Adds::Unless(Hook::Accept, &[Variant::Fexit, Variant::Fexit4]),
        ways: &[way(Variant::Cgroup, "accept6", "getpeername6", Needs::CgroupAddress(BPF_CGROUP_INET6_GETPEERNAME))],
    },
    HookSpec {
        hook: Hook::Connect4,
        name: "connect4",
        sees: Sees::Tcp,
        weight: Weight::Detail,
        without: "a connection that fails for want of a route is reported as closed, and without its destination",
        adds: Adds::ToCloses,
        ways: &[way(Variant::Cgroup, "connect4", "connect4", Needs::CgroupAddress(BPF_CGROUP_INET4_CONNECT))],
    },
    HookSpec {
        hook: Hook::Connect6,
        name: "connect6",
        sees: Sees::Tcp,
        weight: Weight::Detail,
        without: "a connection that fails for want of a route is reported as closed, and without its destination",
        adds: Adds::ToCloses,
        ways: &[way(Variant::Cgroup, "connect6", "connect6", Needs::CgroupAddress(BPF_CGROUP_INET6_CONNECT))],
    },
    HookSpec {
        hook: Hook::Rename,
        name: "task_rename",
        sees: Sees::Processes,
        weight: Weight::Detail,
        without: "events name processes as they were called when they became owners",
        adds: Adds::Always,
        ways: &[way(Variant::TpBtf, "task_rename", "task_rename", Needs::Arguments(2))],
    },
    HookSpec {
        hook: Hook::Ended,
        name: "process_exit",
        sees: Sees::Processes,
        weight: Weight::Detail,
        without: "a socket that was passed on keeps the process that made it as owner, when that is gone",
        adds: Adds::Always,
        ways: &[way(Variant::TpBtf, "process_exit", "sched_process_exit", Needs::Arguments(1))],
    },
    HookSpec {
        hook: Hook::Gone,
        name: "process_free",
        sees: Sees::Processes,
        weight: Weight::Detail,
        without: "a socket that was passed on keeps the process that made it as owner, when that is gone",
        adds: Adds::Always,
        ways: &[way(Variant::TpBtf, "process_free", "sched_process_free", Needs::Arguments(1))],
    },
    HookSpec {
        hook: Hook::Destroy,
        name: "tcp_destroy_sock",
        sees: Sees::Tcp,
        weight: Weight::Essential,
        without: "no close events for TCP",
        adds: Adds::Always,
        ways: &[
            way(Variant::TpBtf, "destroy_tp_btf", "tcp_destroy_sock", Needs::Arguments(1)),
            way(Variant::RawTp, "destroy_raw_tp", "tcp_destroy_sock", Needs::Arguments(1))
                .same("raw_tp is in its place, and reports the same"),
            way(Variant::Tracepoint, "destroy_tracepoint", "tcp_destroy_sock", Needs::Record(1, &DESTROY_RECORD))
                .worse("tracepoint reports the same closes, each at a higher cost, and needs tracefs"),
        ],
    },
    HookSpec {
        hook: Hook::DestroyLeft,
        name: "tcp_destroy_left_out",
        sees: Sees::Tcp,
        weight: Weight::Detail,
        without: "what happens while the kernel runs another task than the one whose event is being recorded is left out now and then",
        adds: Adds::LeftOut(Hook::Destroy, &[Variant::TpBtf, Variant::RawTp]),
        ways: &[way(Variant::Tracepoint, "destroy_left_out", "tcp_destroy_sock", Needs::Record(1, &DESTROY_RECORD))],
    },
    HookSpec {
        hook: Hook::Reset,
        name: "tcp_send_reset",
        sees: Sees::Tcp,
        weight: Weight::Detail,
        without: "the reason reset_sent is reported as closed",
        adds: Adds::ToCloses,
        ways: &[
            way(Variant::TpBtf, "reset_tp_btf", "tcp_send_reset", Needs::Arguments(2)),
            way(Variant::RawTp, "reset_raw_tp", "tcp_send_reset", Needs::Arguments(2))
                .same("raw_tp is in its place, and reports the same"),
        ],
    },
    HookSpec {
        hook: Hook::TimerDone,
        name: "timer_expire_exit",
        sees: Sees::Tcp,
        weight: Weight::Detail,
        without: "no end of connection requests that are given up",
        adds: Adds::Always,
        ways: &[way(Variant::TpBtf, "timer_done", "timer_expire_exit", Needs::Arguments(1))],
    },
    HookSpec {
        hook: Hook::TimerCancel,
        name: "timer_cancel",
        sees: Sees::Tcp,
        weight: Weight::Detail,
        without: "no end of TIME_WAIT and of connection requests, and no owner of connections that nobody has accepted",
        adds: Adds::Always,
        ways: &[way(Variant::TpBtf, "timer_cancel", "timer_cancel", Needs::Arguments(1))],
    },
    HookSpec {
        hook: Hook::Segment,
        name: "time_wait_segment",
        sees: Sees::Tcp,
        weight: Weight::Detail,
        without: "a connection that its process has closed enters TIME_WAIT unseen when the peer closes within two seconds",
        adds: Adds::Always,
        ways: &[
            way(Variant::TpBtf, "segment_tp_btf", "kfree_skb", Needs::Arguments(4)),
            way(Variant::Fexit, "segment_fexit", "tcp_timewait_state_process", Needs::AnyFunction)
                .same("fexit is in its place, and reports the same"),
        ],
    },
    HookSpec {
        hook: Hook::Synack,
        name: "tcp_retransmit_synack",
        sees: Sees::Tcp,
        weight: Weight::Detail,
        without: "connection requests have no cookie",
        adds: Adds::Always,
        ways: &[way(Variant::TpBtf, "synack_again", "tcp_retransmit_synack", Needs::Arguments(2))],
    },
    HookSpec {
        hook: Hook::State,
        name: "tcp_state",
        sees: Sees::Tcp,
        weight: Weight::Required,
        without: "no TCP transitions",
        adds: Adds::Always,
        ways: &[
            way(Variant::TpBtf, "state_tp_btf", "inet_sock_set_state", Needs::Arguments(3)),
            way(Variant::RawTp, "state_raw_tp", "inet_sock_set_state", Needs::Arguments(3))
                .worse("raw_tp reports the same transitions, but accepted connections have no cookie until they close"),
            way(Variant::Tracepoint, "state_tracepoint", "inet_sock_set_state", Needs::Record(3, &STATE_RECORD))
                .worse("tracepoint reports the same transitions, but accepted connections have no cookie until they close"),
            // `tcp_set_state` is not passed when a connection begins.
            way(Variant::Fentry, "state_fentry", "tcp_set_state", Needs::Function(2)).without_births().worse(
                "fentry does not see a socket begin to listen, nor a connection come in: those states are missing",
            ),
            way(Variant::Kprobe, "state_kprobe", "tcp_set_state", Needs::Function(2)).without_births().worse(
                "kprobe does not see a socket begin to listen, nor a connection come in, accepted connections have no \
                 cookie until they close, and each transition costs a breakpoint",
            ),
        ],
    },
    HookSpec {
        hook: Hook::Nested,
        name: "tcp_state_nested",
        sees: Sees::Tcp,
        weight: Weight::Detail,
        without: "transitions that interrupt the program on another are left out, one of ten thousand on a busy machine",
        adds: Adds::Nested(Hook::State, Variant::TpBtf),
        ways: &[way(Variant::TpBtf, "state_nested", "inet_sock_set_state", Needs::Arguments(3))],
    },
    HookSpec {
        hook: Hook::StateLeft,
        name: "tcp_state_left_out",
        sees: Sees::Tcp,
        weight: Weight::Detail,
        without: "what happens while the kernel runs another task than the one whose event is being recorded is left out now and then",
        adds: Adds::LeftOut(Hook::State, &[Variant::TpBtf, Variant::RawTp]),
        ways: &[way(Variant::Tracepoint, "state_left_out", "inet_sock_set_state", Needs::Record(3, &STATE_RECORD))],
    },
];

/// The owners of sockets that are older than the tracer.
pub const OLDER_SOCKETS: IteratedSpec = IteratedSpec {
    name: "older_sockets",
    program: "prime_task_file",
    function: "bpf_iter_task_file",
    without: "owners of sockets older than the tracer come from /proc only",
    weight: Weight::Detail,
};

/// The ends that the programs cannot decide at once.
pub const LATE_ENDS: IteratedSpec = IteratedSpec {
    name: "late_ends",
    program: "decide_bpf_map",
    function: "bpf_iter_bpf_map",
    without: "some ends of TIME_WAIT and of connection requests are not reported before the next timer is stopped on their processor",
    weight: Weight::Detail,
};

/// Every program that is run, and not attached.
pub const ITERATED: [IteratedSpec; 2] = [OLDER_SOCKETS, LATE_ENDS];
