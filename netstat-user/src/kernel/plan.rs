//! Which variant of each hook to try, from what the kernel offers: pure, so that every kernel's answer can be tested anywhere.

use super::btf::Btf;
use super::filters::Filters;
use super::hooks::{Adds, HOOKS, Hook, Needs, Variant, Way, Weight};
use super::refusal::{HookRefusal, Lacking};
use super::shapes::{self, FoundMember};
use netstat_ebpf::{ABSENT, FIELDS, Field, Kind};

/// The kernel's hash map, and its allocator.
const HASH_MAP: (&str, &str) = ("bpf_htab", "ma");

/// What the kernel's BTF says.
#[derive(Debug)]
pub struct KernelTypes {
    /// Offset per [`Field`], or [`ABSENT`].
    pub offsets: [u32; FIELDS],
    /// Fields that exist with another type than the programs expect, as `struct.member`; the programs take them for absent.
    pub misfits: Vec<String>,
    /// Whether maps whose memory is taken as it is needed may be used in every program: since Linux 6.1, whose hash maps have an allocator of
    /// their own. Before, the kernel warns of each program that uses one in a tracepoint, and such a program may stop it dead.
    pub maps_grow: bool,
    /// Hooks and variants whose prototype is as expected.
    known: Vec<(Hook, Variant)>,
}

impl KernelTypes {
    /// Reads the answers out of parsed BTF.
    pub fn from_btf(btf: &Btf<'_>) -> Self {
        let (mut offsets, mut misfits) = ([ABSENT; FIELDS], Vec::new());
        for (field, strukt, member) in Field::of_tracer() {
            match shapes::find(btf, strukt, member) {
                FoundMember::At(offset) => offsets[field as usize] = offset,
                FoundMember::Other => misfits.push(format!("{strukt}.{member}")),
                FoundMember::Absent => {}
            }
        }
        let mut known = Vec::new();
        for spec in &HOOKS {
            let fits = |way: &&Way| match way.needs {
                Needs::Arguments(most) | Needs::Record(most, _) => {
                    btf.tracepoint_args(way.target).is_some_and(|args| args >= most)
                }
                Needs::JustArguments(number) => btf.tracepoint_args(way.target) == Some(number),
                Needs::Function(number) => btf.function_args(way.target) == Some(number),
                Needs::AnyFunction => btf.function_args(way.target).is_some(),
                Needs::Tracefs | Needs::CgroupSock(_) | Needs::CgroupAddress(_) => true,
            };
            known.extend(spec.ways.iter().filter(fits).map(|way| (spec.hook, way.variant)));
        }
        let maps_grow = btf.offset(HASH_MAP.0, HASH_MAP.1).is_some();
        Self { offsets, misfits, maps_grow, known }
    }

    /// Those of a kernel that has every map, and these prototypes alone.
    #[cfg(test)]
    pub fn knowing(known: &[(Hook, Variant)]) -> Self {
        Self { offsets: [0; FIELDS], misfits: Vec::new(), maps_grow: true, known: known.to_vec() }
    }

    /// Names in the kernel's BTF that [`KernelTypes::from_btf`] asks for; those of tracepoints without [`TRACEPOINT`](super::btf::TRACEPOINT).
    pub fn names() -> impl Iterator<Item = &'static str> {
        let structs = Field::of_tracer().map(|(_, strukt, _)| strukt).chain([HASH_MAP.0]);
        structs.chain(HOOKS.iter().flat_map(|spec| spec.ways).map(|way| way.target))
    }
}

/// What the kernel offers.
#[derive(Debug)]
pub struct Facts {
    /// Type information, or why there is none.
    pub types: Result<KernelTypes, Lacking>,
    /// Whether tracefs can be read, or why not.
    pub tracefs: Result<(), Lacking>,
    /// Whether there is a cgroup2 root to attach to, or why not.
    pub cgroup: Result<(), Lacking>,
    /// Addresses of the kernel's own functions, if it gives them.
    pub symbols: Option<Symbols>,
    /// Whether a task can be preempted while a program on a tracepoint runs, other than a classic one: since Linux 7.0. Until that task goes on,
    /// the kernel does not run the program for any other task on the processor.
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

/// Whether a hook is needless: the hooks that are `attached` already report everything that it would report of the wanted events. `preempted`
/// as in [`Facts`].
pub fn is_needless(hook: Hook, attached: &[(Hook, Variant)], filters: &Filters, preempted: bool) -> bool {
    let by = |hook: Hook, variants: &[Variant]| variants.iter().any(|&variant| attached.contains(&(hook, variant)));
    let spec = hook.spec();
    if filters.nothing {
        return spec.weight != Weight::Required;
    }
    match spec.adds {
        Adds::Always => false,
        Adds::BesideTcp => filters.protos & !TCP == 0,
        Adds::ToCloses => !filters.has(Kind::Close),
        Adds::Unless(other, variants) => by(other, variants),
        Adds::Nested(other, variant) => !by(other, &[variant]),
        Adds::LeftOut(other, variants) => !preempted || !by(other, variants),
    }
}

/// TCP's bits of [`netstat_ebpf::proto_bit`].
const TCP: u32 = tcp_bit(false) | tcp_bit(true);

const fn tcp_bit(v6: bool) -> u32 {
    match netstat_ebpf::proto_bit(netstat_ebpf::linux::IPPROTO_TCP, false, v6) {
        Some(bit) => bit,
        None => 0,
    }
}

/// The ways to attach to a hook, best first, each with why it is not worth trying. `forced` leaves only that one.
pub fn candidates(hook: Hook, facts: &Facts, forced: Option<Variant>) -> Vec<(&'static Way, Option<HookRefusal>)> {
    let ways = hook.ways().iter().filter(|way| forced.is_none_or(|forced| forced == way.variant));
    ways.map(|way| (way, refusal(hook, way, facts))).collect()
}

fn refusal(hook: Hook, way: &Way, facts: &Facts) -> Option<HookRefusal> {
    match (way.needs, &facts.types) {
        (Needs::CgroupSock(_) | Needs::CgroupAddress(_), _) => {
            facts.cgroup.as_ref().err().cloned().map(HookRefusal::NoCgroup)
        }
        (Needs::Record(..) | Needs::Tracefs, _) if facts.tracefs.is_err() => {
            facts.tracefs.as_ref().err().cloned().map(HookRefusal::NoTracefs)
        }
        // The record carries what the program needs; without BTF it is all there is.
        (Needs::Record(..), Err(_)) => None,
        (_, Err(cause)) => Some(HookRefusal::NoBtf(cause.clone())),
        (_, Ok(types)) => (!types.known.contains(&(hook, way.variant))).then_some(HookRefusal::Prototype(way.target)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Limits, Proto, limits::Kinds};

    fn types(known: &[(Hook, Variant)]) -> Result<KernelTypes, Lacking> {
        Ok(KernelTypes::knowing(known))
    }

    fn usable(hook: Hook, facts: &Facts, forced: Option<Variant>) -> Vec<&'static str> {
        let all = candidates(hook, facts, forced);
        all.iter().filter(|(_, refusal)| refusal.is_none()).map(|(way, _)| way.variant.name()).collect()
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
            KernelTypes::from_btf(&Btf::parse(&blob, &|_| true).unwrap())
        };
        let of = |types: &KernelTypes, field: Field| types.offsets[field as usize];
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
        let everything: Vec<_> =
            HOOKS.iter().flat_map(|spec| spec.ways.iter().map(|way| (spec.hook, way.variant))).collect();
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
            Facts { types: Err(Lacking::Unparsed), tracefs: Ok(()), cgroup: Ok(()), symbols: None, preempted: false };
        assert_eq!(usable(Hook::State, &facts, None), ["tracepoint"]);
        assert_eq!(usable(Hook::Reset, &facts, None), Vec::<&str>::new());
        assert_eq!(usable(Hook::Create, &facts, None), ["cgroup", "cgroup_alone"]);
    }

    #[test]
    fn a_hook_that_reports_nothing_new_is_not_attached() {
        let needless = |hook, variant: Option<Variant>, limits: &Limits| {
            let attached: Vec<_> = variant.map(|variant| (Hook::Accept, variant)).into_iter().collect();
            is_needless(hook, &attached, &Filters::of(limits), false)
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
            tracefs: Err(Lacking::Locked),
            cgroup: Err(Lacking::mount(std::io::ErrorKind::NotFound.into())),
            symbols: None,
            preempted: false,
        };
        assert_eq!(usable(Hook::State, &facts, None), ["fentry"]);
        assert_eq!(usable(Hook::Release, &facts, None), Vec::<&str>::new());
        let all = candidates(Hook::State, &facts, None);
        assert!(matches!(all[0].1, Some(HookRefusal::Prototype("inet_sock_set_state"))));
        assert!(matches!(all[2].1, Some(HookRefusal::NoTracefs(_))));
    }
}
