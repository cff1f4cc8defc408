//! Which variant of each hook to try, from what the kernel offers: pure, so that every kernel's answer can be tested anywhere.

use super::btf::Btf;
use super::filters::Filters;
use super::shapes::{self, Found};
use crate::model::Coverage;
use netstat_ebpf::{ABSENT, FIELDS, Field, Kind};

/// A place in the kernel the programs listen at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// TCP transitions.
    State,
    /// TCP transitions that interrupt the program on one.
    Nested,
    /// Transitions that the kernel left out of both.
    StateLeft,
    /// Creation of sockets.
    Create,
    /// End of sockets that are not TCP.
    Release,
    /// A process accepts a connection.
    Accept,
    /// A process accepts a connection by way of io_uring.
    AcceptUring,
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
    /// A connection request is answered again.
    Synack,
    /// A timer ends: so does TIME_WAIT, or a connection request.
    TimerCancel,
    /// The function of a timer has returned: a connection request goes on, or is gone.
    TimerDone,
    /// A segment comes for what remains of a connection.
    Segment,
}

impl Hook {
    /// Every hook, in the order they are attached: one that another makes needless comes after that. The programs do nothing before all are.
    pub const ALL: [Self; 21] = [
        Self::Create,
        Self::Accept,
        Self::AcceptUring,
        Self::Release,
        Self::Accept4,
        Self::Accept6,
        Self::Connect4,
        Self::Connect6,
        Self::Rename,
        Self::Ended,
        Self::Gone,
        Self::Destroy,
        Self::DestroyLeft,
        Self::Reset,
        Self::TimerDone,
        Self::TimerCancel,
        Self::Segment,
        Self::Synack,
        Self::State,
        Self::Nested,
        Self::StateLeft,
    ];

    /// The name shown to people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::State => "tcp_state",
            Self::Nested => "tcp_state_nested",
            Self::StateLeft => "tcp_state_left_out",
            Self::Create => "sock_create",
            Self::Release => "sock_release",
            Self::Accept => "accept",
            Self::AcceptUring => "accept_uring",
            Self::Accept4 => "accept4",
            Self::Accept6 => "accept6",
            Self::Connect4 => "connect4",
            Self::Connect6 => "connect6",
            Self::Rename => "task_rename",
            Self::Ended => "process_exit",
            Self::Gone => "process_free",
            Self::Destroy => "tcp_destroy_sock",
            Self::DestroyLeft => "tcp_destroy_left_out",
            Self::Reset => "tcp_send_reset",
            Self::Synack => "tcp_retransmit_synack",
            Self::TimerCancel => "timer_cancel",
            Self::TimerDone => "timer_expire_exit",
            Self::Segment => "time_wait_segment",
        }
    }

    /// What is missing without it.
    pub const fn without(self) -> &'static str {
        match self {
            Self::State => "no TCP transitions",
            Self::Nested => {
                "transitions that interrupt the program on another are left out, one of ten thousand on a busy machine"
            }
            Self::StateLeft | Self::DestroyLeft => {
                "what happens while the kernel runs another task than the one whose event is being recorded is left out now and then"
            }
            Self::Create => "no open events, and no owners of sockets made from now on",
            Self::Release => "no close events for sockets that are not TCP",
            Self::Accept => {
                "connections accepted without asking for the peer's address keep their listener's owner until they are closed"
            }
            Self::AcceptUring => {
                "connections accepted by way of io_uring without asking for the peer's address keep their listener's owner until they are closed"
            }
            Self::Accept4 | Self::Accept6 => {
                "connections accepted with the peer's address keep their listener's owner until they are closed"
            }
            Self::Connect4 | Self::Connect6 => {
                "a connection that fails for want of a route is reported as closed, and without its destination"
            }
            Self::Rename => "events name processes as they were called when they became owners",
            Self::Ended | Self::Gone => {
                "a socket that was passed on keeps the process that made it as owner, when that is gone"
            }
            Self::Destroy => "no close events for TCP",
            Self::Reset => "the reason reset_sent is reported as closed",
            Self::Synack => "connection requests have no cookie",
            Self::TimerCancel => {
                "no end of TIME_WAIT and of connection requests, and no owner of connections that nobody has accepted"
            }
            Self::TimerDone => "no end of connection requests that are given up",
            Self::Segment => {
                "a connection that its process has closed enters TIME_WAIT unseen when the peer closes within two seconds"
            }
        }
    }

    /// The variants there are, best first.
    pub const fn variants(self) -> &'static [Variant] {
        match self {
            Self::State => &[Variant::TpBtf, Variant::RawTp, Variant::Tracepoint, Variant::Fentry, Variant::Kprobe],
            Self::Create => &[Variant::Cgroup, Variant::CgroupAlone],
            Self::Release | Self::Accept4 | Self::Accept6 | Self::Connect4 | Self::Connect6 => &[Variant::Cgroup],
            Self::Accept => &[Variant::Fexit, Variant::Fexit4, Variant::Syscall],
            Self::Nested
            | Self::Synack
            | Self::TimerCancel
            | Self::TimerDone
            | Self::AcceptUring
            | Self::Rename
            | Self::Ended
            | Self::Gone => &[Variant::TpBtf],
            Self::Segment => &[Variant::TpBtf, Variant::Fexit],
            Self::Destroy => &[Variant::TpBtf, Variant::RawTp, Variant::Tracepoint],
            Self::Reset => &[Variant::TpBtf, Variant::RawTp],
            Self::StateLeft | Self::DestroyLeft => &[Variant::Tracepoint],
        }
    }

    /// Kernel tracepoint, or function, of a variant; the classic tracepoint's category is in [`Hook::classic`].
    pub const fn target(self, variant: Variant) -> &'static str {
        match (self, variant) {
            (Self::State, Variant::Fentry | Variant::Kprobe) => "tcp_set_state",
            (Self::State | Self::Nested | Self::StateLeft, _) => "inet_sock_set_state",
            (Self::Create, _) => "sock_create",
            (Self::Release, _) => "sock_release",
            (Self::Accept, Variant::Syscall) => "sys_exit_accept",
            (Self::Accept, _) => "inet_csk_accept",
            (Self::AcceptUring, _) => "io_uring_complete",
            (Self::Accept4, _) => "getpeername4",
            (Self::Accept6, _) => "getpeername6",
            (Self::Connect4, _) => "connect4",
            (Self::Connect6, _) => "connect6",
            (Self::Rename, _) => "task_rename",
            (Self::Ended, _) => "sched_process_exit",
            (Self::Gone, _) => "sched_process_free",
            (Self::Destroy | Self::DestroyLeft, _) => "tcp_destroy_sock",
            (Self::Reset, _) => "tcp_send_reset",
            (Self::Synack, _) => "tcp_retransmit_synack",
            (Self::TimerCancel, _) => "timer_cancel",
            (Self::TimerDone, _) => "timer_expire_exit",
            (Self::Segment, Variant::TpBtf) => "kfree_skb",
            (Self::Segment, _) => "tcp_timewait_state_process",
        }
    }

    /// Name of the program in the object.
    pub const fn program(self, variant: Variant) -> &'static str {
        match (self, variant) {
            (Self::State, Variant::TpBtf) => "state_tp_btf",
            (Self::State, Variant::RawTp) => "state_raw_tp",
            (Self::State, Variant::Tracepoint) => "state_tracepoint",
            (Self::State, Variant::Fentry) => "state_fentry",
            (Self::State, _) => "state_kprobe",
            (Self::Nested, _) => "state_nested",
            (Self::StateLeft, _) => "state_left_out",
            (Self::Create, Variant::CgroupAlone) => "sock_create_alone",
            (Self::Create, _) => "sock_create",
            (Self::Release, _) => "sock_release",
            (Self::Accept, Variant::Fexit) => "accept_fexit2",
            (Self::Accept, Variant::Fexit4) => "accept_fexit4",
            (Self::Accept, _) => "accept_syscall",
            (Self::AcceptUring, _) => "accept_uring",
            (Self::Accept4, _) => "accept4",
            (Self::Accept6, _) => "accept6",
            (Self::Connect4, _) => "connect4",
            (Self::Connect6, _) => "connect6",
            (Self::Rename, _) => "task_rename",
            (Self::Ended, _) => "process_exit",
            (Self::Gone, _) => "process_free",
            (Self::Destroy, Variant::TpBtf) => "destroy_tp_btf",
            (Self::Destroy, Variant::RawTp) => "destroy_raw_tp",
            (Self::Destroy, _) => "destroy_tracepoint",
            (Self::DestroyLeft, _) => "destroy_left_out",
            (Self::Reset, Variant::TpBtf) => "reset_tp_btf",
            (Self::Reset, _) => "reset_raw_tp",
            (Self::Synack, _) => "synack_again",
            (Self::TimerCancel, _) => "timer_cancel",
            (Self::TimerDone, _) => "timer_done",
            (Self::Segment, Variant::TpBtf) => "segment_tp_btf",
            (Self::Segment, _) => "segment_fexit",
        }
    }

    /// Of a hook of cgroups: `enum bpf_attach_type` of `include/uapi/linux/bpf.h`.
    pub const fn attach_type(self) -> Option<u32> {
        Some(match self {
            // BPF_CGROUP_INET_SOCK_CREATE, BPF_CGROUP_INET_SOCK_RELEASE
            Self::Create => 2,
            Self::Release => 34,
            // BPF_CGROUP_INET4_GETPEERNAME, BPF_CGROUP_INET6_GETPEERNAME
            Self::Accept4 => 29,
            Self::Accept6 => 30,
            // BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET6_CONNECT
            Self::Connect4 => 10,
            Self::Connect6 => 11,
            _ => return None,
        })
    }

    /// Arguments the tracepoint must have at least for the programs to understand it.
    const fn tracepoint_args(self) -> usize {
        match self {
            Self::State | Self::Nested | Self::StateLeft => 3,
            Self::Reset | Self::Synack | Self::Rename => 2,
            Self::Segment => 4,
            _ => 1,
        }
    }

    /// Category of the classic tracepoint in tracefs, and the fields with their offsets that the programs rely on.
    pub const fn classic(self) -> Option<(&'static str, &'static [(&'static str, u32)])> {
        match self {
            Self::State | Self::StateLeft => Some((
                "sock",
                &[
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
            )),
            Self::Destroy | Self::DestroyLeft => Some(("tcp", &[("skaddr", 8)])),
            _ => None,
        }
    }
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

/// Why a variant cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The kernel gives no type information.
    #[error("needs the kernel's BTF: {0}")]
    NoBtf(String),
    /// The kernel has no such tracepoint or function, or another one than the programs know.
    #[error("this kernel has no {0} as the programs know it")]
    Prototype(&'static str),
    /// tracefs cannot be read.
    #[error("needs tracefs: {0}")]
    NoTracefs(String),
    /// There is no cgroup2 hierarchy.
    #[error("needs a cgroup2 hierarchy: {0}")]
    NoCgroup(String),
    /// Another program is attached to the cgroup and keeps all others out.
    #[error(
        "program {id} ({name}) is attached alone to the root of the cgroups, without BPF_F_ALLOW_MULTI: it lets no other program in"
    )]
    Alone {
        /// Its number.
        id: u32,
        /// Its name.
        name: String,
    },
    /// The kernel refused to load or attach it.
    #[error("{0}")]
    Kernel(String),
}

/// The kernel's hash map, and its allocator.
const HASH_MAP: (&str, &str) = ("bpf_htab", "ma");

/// What the kernel's BTF says.
#[derive(Debug)]
pub struct Types {
    /// Offset per [`Field`], or [`ABSENT`].
    pub offsets: [u32; FIELDS],
    /// Fields that are there and are something else than the programs know, as `struct.member`: absent to them.
    pub misfits: Vec<String>,
    /// Whether maps whose memory is taken as it is needed may be used in every program: since Linux 6.1, whose hash maps have an allocator of
    /// their own. Before, the kernel warns of each program that uses one in a tracepoint, and such a program may stop it dead.
    pub maps_grow: bool,
    /// Hooks and variants whose prototype is as expected.
    known: Vec<(Hook, Variant)>,
}

impl Types {
    /// Reads the answers out of parsed BTF.
    pub fn from_btf(btf: &Btf<'_>) -> Self {
        let (mut offsets, mut misfits) = ([ABSENT; FIELDS], Vec::new());
        for &(field, strukt, member) in Field::ALL {
            match shapes::find(btf, strukt, member) {
                Found::At(offset) => offsets[field as usize] = offset,
                Found::Other => misfits.push(format!("{strukt}.{member}")),
                Found::Absent => {}
            }
        }
        let mut known = Vec::new();
        for hook in Hook::ALL {
            for &variant in hook.variants() {
                let target = hook.target(variant);
                let fits = match variant {
                    // Older kernels take the result apart: more arguments, and others.
                    Variant::TpBtf if hook == Hook::AcceptUring => btf.tracepoint_args(target) == Some(3),
                    Variant::TpBtf | Variant::RawTp | Variant::Tracepoint => {
                        btf.tracepoint_args(target).is_some_and(|args| args >= hook.tracepoint_args())
                    }
                    // Only the first argument is looked at.
                    Variant::Fexit if hook == Hook::Segment => btf.function_args(target).is_some(),
                    Variant::Fentry | Variant::Kprobe | Variant::Fexit => btf.function_args(target) == Some(2),
                    Variant::Fexit4 => btf.function_args(target) == Some(4),
                    Variant::Cgroup | Variant::CgroupAlone | Variant::Syscall => true,
                };
                if fits {
                    known.push((hook, variant));
                }
            }
        }
        let maps_grow = btf.offset(HASH_MAP.0, HASH_MAP.1).is_some();
        Self { offsets, misfits, maps_grow, known }
    }

    /// Names in the kernel's BTF that [`Types::from_btf`] asks for.
    pub fn wants(name: &[u8]) -> bool {
        let name = name.strip_prefix(b"btf_trace_").unwrap_or(name);
        Field::ALL.iter().any(|(_, strukt, _)| strukt.as_bytes() == name)
            || name == HASH_MAP.0.as_bytes()
            || Hook::ALL
                .iter()
                .any(|hook| hook.variants().iter().any(|&variant| hook.target(variant).as_bytes() == name))
    }
}

/// What the kernel offers.
#[derive(Debug)]
pub struct Facts {
    /// Type information, or why there is none.
    pub types: Result<Types, String>,
    /// Whether tracefs can be read, or why not.
    pub tracefs: Result<(), String>,
    /// Whether there is a cgroup2 root to attach to, or why not.
    pub cgroup: Result<(), String>,
    /// Where the kernel's own functions are, if it tells.
    pub symbols: Option<Symbols>,
    /// Whether a task can be preempted in a program on a tracepoint that is not a classic one: since Linux 7.0. The kernel then leaves out that
    /// program for every other task on the processor, until the first one goes on.
    pub preempted: bool,
}

/// Addresses of kernel functions, by which the programs know a timer's purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Symbols {
    /// `tw_timer_handler`.
    pub tw_timer: u64,
    /// `reqsk_timer_handler`.
    pub req_timer: u64,
    /// `__mod_timer`, and what follows it; empty where the kernel has it in its callers.
    pub mod_timer: (u64, u64),
    /// `mod_timer_pending`, and what follows it.
    pub mod_pending: (u64, u64),
}

/// Whether a hook would add nothing to what those that are covered report of the events that are wanted; `preempted` as in [`Facts`].
pub fn is_needless(hook: Hook, coverage: &Coverage, filters: &Filters, preempted: bool) -> bool {
    let by = |hook: Hook, variants: &[Variant]| {
        let covered = coverage.hooks.iter().find(|covered| covered.hook == hook.name());
        let variant = covered.and_then(|covered| covered.variant);
        variants.iter().any(|candidate| Some(candidate.name()) == variant)
    };
    if filters.nothing {
        return hook != Hook::State;
    }
    match hook {
        Hook::AcceptUring | Hook::Accept4 | Hook::Accept6 => by(Hook::Accept, &[Variant::Fexit, Variant::Fexit4]),
        // Who closes a TCP connection is seen in its transitions and at its end.
        Hook::Release => filters.protos & !TCP == 0,
        // They say why a connection ends.
        Hook::Connect4 | Hook::Connect6 | Hook::Reset => !filters.has(Kind::Close),
        Hook::Nested => !by(Hook::State, &[Variant::TpBtf]),
        Hook::StateLeft => !preempted || !by(Hook::State, &[Variant::TpBtf, Variant::RawTp]),
        Hook::DestroyLeft => !preempted || !by(Hook::Destroy, &[Variant::TpBtf, Variant::RawTp]),
        _ => false,
    }
}

/// TCP's bits of [`netstat_ebpf::proto_bit`].
const TCP: u32 = tcp_bit(false) | tcp_bit(true);

const fn tcp_bit(v6: bool) -> u32 {
    match netstat_ebpf::proto_bit(netstat_ebpf::IPPROTO_TCP, false, v6) {
        Some(bit) => bit,
        None => 0,
    }
}

/// The variants of a hook, best first, each with why it is not worth trying. `forced` leaves only that one.
pub fn candidates(hook: Hook, facts: &Facts, forced: Option<Variant>) -> Vec<(Variant, Option<Refusal>)> {
    let variants = hook.variants().iter().copied().filter(|&variant| forced.is_none_or(|forced| forced == variant));
    variants.map(|variant| (variant, refusal(hook, variant, facts))).collect()
}

fn refusal(hook: Hook, variant: Variant, facts: &Facts) -> Option<Refusal> {
    match (variant, &facts.types) {
        (Variant::Cgroup | Variant::CgroupAlone, _) => facts.cgroup.as_ref().err().cloned().map(Refusal::NoCgroup),
        (Variant::Tracepoint | Variant::Syscall, _) if facts.tracefs.is_err() => {
            facts.tracefs.as_ref().err().cloned().map(Refusal::NoTracefs)
        }
        // The classic tracepoint carries what it needs; without BTF its record is all there is.
        (Variant::Tracepoint, Err(_)) => None,
        (_, Err(cause)) => Some(Refusal::NoBtf(cause.clone())),
        (_, Ok(types)) => (!types.known.contains(&(hook, variant))).then(|| Refusal::Prototype(hook.target(variant))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HookCoverage, Limits, Proto, limits::Kinds};

    fn types(known: &[(Hook, Variant)]) -> Result<Types, String> {
        Ok(Types { offsets: [0; FIELDS], misfits: Vec::new(), maps_grow: true, known: known.to_vec() })
    }

    fn usable(hook: Hook, facts: &Facts, forced: Option<Variant>) -> Vec<&'static str> {
        let all = candidates(hook, facts, forced);
        all.iter().filter(|(_, refusal)| refusal.is_none()).map(|(variant, _)| variant.name()).collect()
    }

    #[test]
    fn a_field_of_another_shape_is_absent_and_named() {
        // `struct netns_ipv4 { TYPE tcp_death_row; }` at offset 64; type 1 is a struct of 16 bytes, type 2 a pointer, type 3 an empty struct.
        let strings = b"\0netns_ipv4\0tcp_death_row\0sock_common\0skc_net\0";
        let types = |row: u32, net: u32| {
            let types = [
                0,
                4 << 24,
                16,
                0,
                2 << 24,
                1,
                0,
                4 << 24,
                0,
                1,
                4 << 24 | 1,
                128,
                12,
                row,
                512,
                26,
                4 << 24 | 1,
                64,
                38,
                net,
                384,
            ];
            let blob = crate::kernel::btf::tests::blob_of(&types, strings, &[]);
            Types::from_btf(&Btf::parse(&blob, &Types::wants).unwrap())
        };
        let of = |types: &Types, field: Field| types.offsets[field as usize];
        let embedded = types(1, 1);
        assert_eq!((of(&embedded, Field::NetnsIpv4TcpDeathRow), of(&embedded, Field::SkcNet)), (64, 48));
        assert_eq!(embedded.misfits, Vec::<String>::new());
        // Linux 5.18 to 6.0, and a kernel without CONFIG_NET_NS.
        let other = types(2, 3);
        assert_eq!((of(&other, Field::NetnsIpv4TcpDeathRow), of(&other, Field::SkcNet)), (ABSENT, ABSENT));
        assert_eq!(other.misfits, ["sock_common.skc_net", "netns_ipv4.tcp_death_row"]);
    }

    #[test]
    fn prefers_typed_tracepoints_and_keeps_the_rest_as_fallback() {
        let everything: Vec<_> = Hook::ALL
            .into_iter()
            .flat_map(|hook| hook.variants().iter().map(move |&variant| (hook, variant)))
            .collect();
        let facts =
            Facts { types: types(&everything), tracefs: Ok(()), cgroup: Ok(()), symbols: None, preempted: false };
        assert_eq!(usable(Hook::State, &facts, None), ["tp_btf", "raw_tp", "tracepoint", "fentry", "kprobe"]);
        assert_eq!(usable(Hook::State, &facts, Some(Variant::Kprobe)), ["kprobe"]);
        assert_eq!(usable(Hook::Create, &facts, None), ["cgroup", "cgroup_alone"]);
        assert_eq!(usable(Hook::Destroy, &facts, None), ["tp_btf", "raw_tp", "tracepoint"]);
    }

    #[test]
    fn without_btf_only_the_classic_tracepoint_is_left() {
        let facts =
            Facts { types: Err("hidden".into()), tracefs: Ok(()), cgroup: Ok(()), symbols: None, preempted: false };
        assert_eq!(usable(Hook::State, &facts, None), ["tracepoint"]);
        assert_eq!(usable(Hook::Reset, &facts, None), Vec::<&str>::new());
        assert_eq!(usable(Hook::Create, &facts, None), ["cgroup", "cgroup_alone"]);
    }

    #[test]
    fn a_hook_that_tells_nothing_new_is_not_attached() {
        let covered =
            |hook: Hook, variant| HookCoverage { hook: hook.name(), without: "", variant, refused: Vec::new() };
        let accepts = |variant| Coverage { hooks: vec![covered(Hook::Accept, variant)], ..Coverage::default() };
        let needless = |hook, variant: Option<Variant>, limits: &Limits| {
            is_needless(hook, &accepts(variant.map(Variant::name)), &Filters::of(limits), false)
        };
        let all = &Limits::default();
        let tcp = &Limits { protos: Some(vec![Proto::Tcp, Proto::Tcp6]), ..Limits::default() };
        let states = &Limits { kinds: Some(Kinds::STATE), ..Limits::default() };
        assert!(needless(Hook::Reset, None, states) && needless(Hook::Connect4, None, states));
        assert!(!needless(Hook::Reset, None, all) && !needless(Hook::Destroy, None, states));
        assert!(needless(Hook::Create, None, &Limits::nothing()) && !needless(Hook::State, None, &Limits::nothing()));
        assert!(needless(Hook::Accept4, Some(Variant::Fexit4), all));
        assert!(!needless(Hook::Accept4, Some(Variant::Syscall), all));
        assert!(needless(Hook::AcceptUring, Some(Variant::Fexit), all));
        assert!(!needless(Hook::AcceptUring, Some(Variant::Syscall), all));
        assert!(needless(Hook::Release, None, tcp));
        assert!(!needless(Hook::Release, None, all));
        assert!(!needless(Hook::State, Some(Variant::Fexit), tcp));
    }

    #[test]
    fn a_prototype_the_programs_do_not_know_is_not_tried() {
        let known = [(Hook::State, Variant::Fentry)];
        let facts = Facts {
            types: types(&known),
            tracefs: Err("gone".into()),
            cgroup: Err("none".into()),
            symbols: None,
            preempted: false,
        };
        assert_eq!(usable(Hook::State, &facts, None), ["fentry"]);
        assert_eq!(usable(Hook::Release, &facts, None), Vec::<&str>::new());
        let all = candidates(Hook::State, &facts, None);
        assert!(matches!(all[0].1, Some(Refusal::Prototype("inet_sock_set_state"))));
        assert!(matches!(all[2].1, Some(Refusal::NoTracefs(_))));
    }
}
