//! The table of hooks: what each one sees, what is missing without it, and each way to attach to it. A new hook is a row here, a body in the
//! kernel object, a record and a test.

/// A place in the kernel the programs listen at; the order is that of [`HOOKS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Creation of sockets.
    Create,
    /// A process accepts a connection.
    Accept,
    /// A process accepts a connection by way of io_uring.
    AcceptUring,
    /// End of sockets that are not TCP.
    Release,
    /// A process accepts an IPv4 connection and asks for its peer's address.
    Accept4,
    /// The same, IPv6.
    Accept6,
    /// A process asks for an IPv4 connection.
    Connect4,
    /// The same, IPv6.
    Connect6,
    /// A process changes its name.
    Rename,
    /// A process ends.
    Ended,
    /// A process is gone, and its number can be used again.
    Gone,
    /// End of TCP sockets.
    Destroy,
    /// Ends that the kernel left out there.
    DestroyLeft,
    /// Resets this host sends.
    Reset,
    /// The function of a timer has returned: a connection request goes on, or is gone.
    TimerDone,
    /// A timer ends: so does TIME_WAIT, or a connection request.
    TimerCancel,
    /// A segment comes for the minisocket of a connection.
    Segment,
    /// A connection request is answered again.
    Synack,
    /// TCP transitions.
    State,
    /// TCP transitions that interrupt the program on one.
    Nested,
    /// Transitions that the kernel left out of both.
    StateLeft,
}

/// A way to attach to a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// BTF tracepoint: typed arguments.
    TpBtf,
    /// Raw tracepoint.
    RawTp,
    /// Classic tracepoint, through tracefs.
    Tracepoint,
    /// Function entry by trampoline.
    Fentry,
    /// Return of a function by trampoline.
    Fexit,
    /// The same, of the function as it was up to 6.9, with four arguments.
    Fexit4,
    /// Classic tracepoints at the exit of system calls.
    Syscall,
    /// Function entry by breakpoint.
    Kprobe,
    /// Program of the cgroup2 root.
    Cgroup,
    /// The same before 5.18, where it cannot ask what other programs have decided.
    CgroupAlone,
}

impl Variant {
    /// The name shown to people, and taken by `--probe`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TpBtf => "tp_btf",
            Self::RawTp => "raw_tp",
            Self::Tracepoint => "tracepoint",
            Self::Fentry => "fentry",
            Self::Fexit => "fexit",
            Self::Fexit4 => "fexit4",
            Self::Syscall => "syscall",
            Self::Kprobe => "kprobe",
            Self::Cgroup => "cgroup",
            Self::CgroupAlone => "cgroup_alone",
        }
    }
}

/// A row of [`HOOKS`].
#[derive(Debug)]
pub struct HookSpec {
    /// The hook.
    pub hook: Hook,
    /// The name shown to people.
    pub name: &'static str,
    /// What passes it.
    pub sees: Sees,
    /// How much depends on it.
    pub weight: Weight,
    /// What is missing without it.
    pub without: &'static str,
    /// When it reports something that the hooks before it in the table do not.
    pub adds: Adds,
    /// The ways to attach, best first.
    pub ways: &'static [Way],
}

/// What passes a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sees {
    /// TCP sockets, their requests and minisockets.
    Tcp,
    /// Sockets of every protocol.
    Sockets,
    /// Processes.
    Processes,
}

/// How much depends on a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Nothing can be traced without it.
    Required,
    /// Whole kinds of events, or all owners, are missing without it.
    Essential,
    /// Details are missing without it.
    Detail,
}

/// When a hook reports something that others do not.
#[derive(Clone, Copy, Debug)]
pub enum Adds {
    /// Always.
    Always,
    /// If other sockets than TCP are wanted: of TCP connections other hooks see who closes them.
    BesideTcp,
    /// If ends of sockets are wanted: it says why a connection ends.
    ToCloses,
    /// Unless that hook is attached in one of these ways.
    Unless(Hook, &'static [Variant]),
    /// If that hook is attached in one of these ways: it sees what interrupts the program there.
    Nested(Hook, &'static [Variant]),
    /// The same where a task can be preempted in a program: it sees what the kernel leaves out then.
    LeftOut(Hook, &'static [Variant]),
}

/// A way to attach to a hook.
#[derive(Debug)]
pub struct Way {
    /// How.
    pub variant: Variant,
    /// Name of the program in the object.
    pub program: &'static str,
    /// Tracepoint, function or hook of the kernel.
    pub target: &'static str,
    /// What the target must be.
    pub needs: Needs,
}

/// What the target of a program must be for the program to understand it.
#[derive(Clone, Copy, Debug)]
pub enum Needs {
    /// A tracepoint with at least so many arguments.
    Arguments(usize),
    /// A tracepoint with just so many: on other kernels they are something else.
    JustArguments(usize),
    /// A classic tracepoint with at least so many arguments, and a record that is laid out as stated.
    Record(usize, &'static Layout),
    /// A function with just so many arguments.
    Function(usize),
    /// A function of this name; only its first argument is read.
    AnyFunction,
    /// tracefs.
    Tracefs,
    /// A hook of cgroups for sockets: its `enum bpf_attach_type` of `include/uapi/linux/bpf.h`.
    CgroupSock(u32),
    /// A hook of cgroups for addresses, likewise.
    CgroupAddress(u32),
}

/// The record of a classic tracepoint.
#[derive(Debug)]
pub struct Layout {
    /// Category of the tracepoint in tracefs.
    pub category: &'static str,
    /// Fields that the programs read, with their offsets.
    pub fields: &'static [(&'static str, u32)],
}

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

const fn way(variant: Variant, program: &'static str, target: &'static str, needs: Needs) -> Way {
    Way { variant, program, target, needs }
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
        // BPF_CGROUP_INET_SOCK_CREATE
        ways: &[
            way(Variant::Cgroup, "sock_create", "sock_create", Needs::CgroupSock(2)),
            way(Variant::CgroupAlone, "sock_create_alone", "sock_create", Needs::CgroupSock(2)),
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
            way(Variant::Fexit4, "accept_fexit4", "inet_csk_accept", Needs::Function(4)),
            way(Variant::Syscall, "accept_syscall", "sys_exit_accept", Needs::Tracefs),
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
        // BPF_CGROUP_INET_SOCK_RELEASE
        ways: &[way(Variant::Cgroup, "sock_release", "sock_release", Needs::CgroupSock(34))],
    },
    HookSpec {
        hook: Hook::Accept4,
        name: "accept4",
        sees: Sees::Tcp,
        weight: Weight::Detail,
        without: "connections accepted with the peer's address keep their listener's owner until they are closed",
        adds: Adds::Unless(Hook::Accept, &[Variant::Fexit, Variant::Fexit4]),
        // BPF_CGROUP_INET4_GETPEERNAME
        ways: &[way(Variant::Cgroup, "accept4", "getpeername4", Needs::CgroupAddress(29))],
    },
    HookSpec {
        hook: Hook::Accept6,
        name: "accept6",
        sees: Sees::Tcp,
        weight: Weight::Detail,
        without: "connections accepted with the peer's address keep their listener's owner until they are closed",
        adds: Adds::Unless(Hook::Accept, &[Variant::Fexit, Variant::Fexit4]),
        // BPF_CGROUP_INET6_GETPEERNAME
        ways: &[way(Variant::Cgroup, "accept6", "getpeername6", Needs::CgroupAddress(30))],
    },
    HookSpec {
        hook: Hook::Connect4,
        name: "connect4",
        sees: Sees::Tcp,
        weight: Weight::Detail,
        without: "a connection that fails for want of a route is reported as closed, and without its destination",
        adds: Adds::ToCloses,
        // BPF_CGROUP_INET4_CONNECT
        ways: &[way(Variant::Cgroup, "connect4", "connect4", Needs::CgroupAddress(10))],
    },
    HookSpec {
        hook: Hook::Connect6,
        name: "connect6",
        sees: Sees::Tcp,
        weight: Weight::Detail,
        without: "a connection that fails for want of a route is reported as closed, and without its destination",
        adds: Adds::ToCloses,
        // BPF_CGROUP_INET6_CONNECT
        ways: &[way(Variant::Cgroup, "connect6", "connect6", Needs::CgroupAddress(11))],
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
            way(Variant::RawTp, "destroy_raw_tp", "tcp_destroy_sock", Needs::Arguments(1)),
            way(Variant::Tracepoint, "destroy_tracepoint", "tcp_destroy_sock", Needs::Record(1, &DESTROY_RECORD)),
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
            way(Variant::RawTp, "reset_raw_tp", "tcp_send_reset", Needs::Arguments(2)),
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
            way(Variant::Fexit, "segment_fexit", "tcp_timewait_state_process", Needs::AnyFunction),
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
            way(Variant::RawTp, "state_raw_tp", "inet_sock_set_state", Needs::Arguments(3)),
            way(Variant::Tracepoint, "state_tracepoint", "inet_sock_set_state", Needs::Record(3, &STATE_RECORD)),
            way(Variant::Fentry, "state_fentry", "tcp_set_state", Needs::Function(2)),
            way(Variant::Kprobe, "state_kprobe", "tcp_set_state", Needs::Function(2)),
        ],
    },
    HookSpec {
        hook: Hook::Nested,
        name: "tcp_state_nested",
        sees: Sees::Tcp,
        weight: Weight::Detail,
        without: "transitions that interrupt the program on another are left out, one of ten thousand on a busy machine",
        adds: Adds::Nested(Hook::State, &[Variant::TpBtf]),
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

// A hook is the number of its row, and none is made needless by one that is attached later.
const _: () = {
    let mut row = 0;
    while row < HOOKS.len() {
        assert!(HOOKS[row].hook as usize == row);
        if let Adds::Unless(other, _) | Adds::Nested(other, _) | Adds::LeftOut(other, _) = HOOKS[row].adds {
            assert!((other as usize) < row);
        }
        row += 1;
    }
};

impl Hook {
    /// Every hook, in the order of the table.
    pub const ALL: [Self; HOOKS.len()] = {
        let mut all = [Self::Create; HOOKS.len()];
        let mut row = 0;
        while row < HOOKS.len() {
            all[row] = HOOKS[row].hook;
            row += 1;
        }
        all
    };

    /// Its row of the table.
    pub const fn spec(self) -> &'static HookSpec {
        const TABLE: &[HookSpec] = &HOOKS;
        &TABLE[self as usize]
    }

    /// The hook of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.name() == name)
    }

    /// The name shown to people.
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// The ways to attach, best first.
    pub const fn ways(self) -> &'static [Way] {
        self.spec().ways
    }

    /// A way to attach, `None` if there is no such.
    pub fn way(self, variant: Variant) -> Option<&'static Way> {
        self.ways().iter().find(|way| way.variant == variant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::object;
    use std::collections::BTreeSet;

    #[test]
    fn every_program_of_the_object_is_in_the_table_once() {
        let bytes = object::bytes(false, None).unwrap();
        let object = aya_obj::Object::parse(&bytes).unwrap();
        // The iterators are no hooks: they are run, and not attached.
        let built: BTreeSet<&str> = object
            .programs
            .iter()
            .filter(|(_, program)| !matches!(program.section, aya_obj::ProgramSection::Iter { .. }))
            .map(|(name, _)| name.as_str())
            .collect();
        let listed: Vec<&str> = HOOKS.iter().flat_map(|spec| spec.ways).map(|way| way.program).collect();
        assert_eq!(listed.len(), built.len());
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), built);
    }

    #[test]
    fn a_name_leads_to_its_hook_alone() {
        for hook in Hook::ALL {
            assert_eq!(Hook::named(hook.name()), Some(hook));
            for (at, way) in hook.ways().iter().enumerate() {
                assert!(hook.ways()[..at].iter().all(|before| before.variant != way.variant), "{way:?}");
            }
        }
        assert_eq!(Hook::named("older_sockets"), None);
    }
}
