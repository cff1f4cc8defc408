use super::*;
use crate::model::{CloseReason, Comm, Grade, Owner, Totals};
use proptest::{option, prelude::*};

fn prefix() -> impl Strategy<Value = Network> {
    let v4 = (0u32..4, 0u8..=32).prop_map(|(host, len)| Network { addr: IpAddr::V4((0x0a00_0000 | host).into()), len });
    let v6 = (0u128..4, 0u8..=128).prop_map(|(host, len)| Network { addr: IpAddr::V6((1 << 120 | host).into()), len });
    prop_oneof![v4, v6]
}

fn prefixes() -> impl Strategy<Value = Option<Prefixes>> {
    let list = proptest::collection::vec(prefix(), 0..3);
    option::of((list, any::<bool>()).prop_map(|(list, unknown)| Prefixes { list, unknown }))
}

fn ports() -> impl Strategy<Value = Option<Ports>> {
    let ranges = proptest::collection::vec((0u16..6, 0u16..3), 0..3);
    option::of((ranges, any::<bool>()).prop_map(|(ranges, unknown)| {
        ranges.into_iter().map(|(from, more)| from..=from + more).collect::<Ports>().with_unknown(unknown)
    }))
}

fn states() -> impl Strategy<Value = Option<States>> {
    option::of(proptest::sample::subsequence(TcpState::ALL.to_vec(), 0..=11).prop_map(States::from_iter))
}

fn numbers() -> impl Strategy<Value = Option<Vec<u32>>> {
    option::of(proptest::collection::vec(0u32..4, 0..3))
}

fn limits() -> impl Strategy<Value = Limits> {
    let kinds = option::of((0u8..8).prop_map(Kinds));
    let protos = option::of(proptest::sample::subsequence(vec![Proto::Tcp, Proto::Tcp6, Proto::Udp], 0..=3));
    let ends = (ports(), ports(), ports(), prefixes(), prefixes(), prefixes());
    (kinds, states(), states(), protos, ends, numbers(), numbers()).prop_map(
        |(kinds, entered, left, protos, (ports, lports, rports, addrs, laddrs, raddrs), pids, netns)| Limits {
            kinds,
            entered,
            left,
            protos,
            ports,
            lports,
            rports,
            addrs,
            laddrs,
            raddrs,
            pids,
            netns,
            cgroups: None,
        },
    )
}

fn end() -> impl Strategy<Value = Option<EventEnd>> {
    option::of((prefix(), option::of(0u16..8)).prop_map(|(prefix, port)| EventEnd { addr: prefix.addr, port }))
}

fn event() -> impl Strategy<Value = SocketEvent> {
    let state = || proptest::sample::select(TcpState::ALL.to_vec());
    let kind = prop_oneof![
        Just(EventKind::Open),
        (state(), state()).prop_map(|(old, new)| EventKind::State { old, new, in_state_ns: None }),
        Just(EventKind::Close(Totals::unknown(CloseReason::Closed))),
    ];
    let proto = proptest::sample::select(vec![Proto::Tcp, Proto::Tcp6, Proto::Udp]);
    (kind, proto, end(), end(), option::of(0u32..4), option::of(0u32..4)).prop_map(
        |(kind, proto, local, remote, pid, netns)| SocketEvent {
            time_ns: 0,
            kind,
            proto,
            local,
            remote,
            owner: pid.map(|pid| Owner {
                pid,
                comm: Comm::default(),
                grade: Grade::Created,
                cgroup_id: None,
                start: 0,
            }),
            uid: None,
            inode: None,
            cookie: None,
            netns,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn joined_limits_let_everything_pass_that_they_should(one in limits(), other in limits(), event in event()) {
        let (first, second) = (one.passes(&event), other.passes(&event));
        prop_assert!(!(one.is_nothing() && first));
        prop_assert!(one.clone().and(other.clone()).passes(&event) || !(first && second));
        prop_assert!(one.or(other).passes(&event) || !(first || second));
    }
}

/// Limits of one leaf of an expression each.
fn leaf(set: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    set(&mut limits);
    limits
}

#[test]
fn limits_of_both_ends_become_one_of_either() {
    let dport = |port| leaf(|limits| limits.rports = Some(Ports::one(port)));
    let sport = |port| leaf(|limits| limits.lports = Some(Ports::one(port)));
    let joined = sport(80).or(dport(443));
    assert_eq!((joined.lports, joined.rports), (None, None));
    let either = joined.ports.unwrap();
    assert!(either.has(Some(80)) && either.has(Some(443)) && !either.has(Some(81)) && !either.has(None));
    let same = sport(80).or(sport(81)).and(leaf(|limits| limits.lports = Some(Ports::one(81).complement())));
    let local = same.lports.unwrap();
    assert!(local.has(Some(80)) && !local.has(Some(81)));
}

#[test]
fn a_state_or_an_end_is_both_kinds_and_one_state() {
    let established: States = [TcpState::Established].into_iter().collect();
    let state = leaf(|limits| (limits.kinds, limits.entered) = (Some(Kinds::STATE), Some(established)));
    let close = leaf(|limits| limits.kinds = Some(Kinds::CLOSE));
    let joined = state.clone().or(close.clone());
    assert_eq!((joined.kinds, joined.entered), (Some(Kinds::STATE.or(Kinds::CLOSE)), Some(established)));
    assert!(state.and(close).is_nothing());
}

#[test]
fn a_prefix_of_ipv4_holds_mapped_addresses() {
    let prefix = Network { addr: "10.1.2.3".parse().unwrap(), len: 8 };
    for (addr, held) in [("10.9.9.9", true), ("::ffff:10.9.9.9", true), ("11.0.0.1", false), ("::a09:909", false)] {
        assert_eq!(prefix.has_in_either_form(addr.parse().unwrap()), held, "{addr}");
    }
    let all = Network { addr: "::".parse().unwrap(), len: 0 };
    assert!(all.has_in_either_form("1.2.3.4".parse().unwrap()) && all.has_in_either_form("fe80::1".parse().unwrap()));
    let host = Network { addr: "fe80::1".parse().unwrap(), len: 128 };
    assert!(
        host.has_in_either_form("fe80::1".parse().unwrap()) && !host.has_in_either_form("fe80::2".parse().unwrap())
    );
}

#[test]
fn ports_are_ranges_and_their_complement() {
    let ports: Ports = [0..=1, 1024..=65535].into_iter().collect();
    assert!(ports.has(Some(0)) && ports.has(Some(65535)) && ports.has(Some(1024)) && !ports.has(Some(1023)));
    assert!(!ports.has(None) && ports.clone().complement().has(None));
    assert!(ports.clone().and(&ports.clone().complement()).is_empty());
    assert!(ports.clone().or(&ports.complement()).has(Some(2)));
}

/// A reader that follows the table is shown the sockets of its protocols and namespaces; what an event alone has, or a socket only later, limits
/// its events.
#[test]
fn sockets_pass_by_protocol_and_namespace() {
    let socket = |proto, netns| LiveSocket { netns, ..LiveSocket::bare(proto, TcpState::Listen) };
    let passed = |limits: &Limits| {
        [(Proto::Tcp, Some(1)), (Proto::Udp, Some(1)), (Proto::Tcp, Some(2)), (Proto::Tcp, None)]
            .map(|(proto, netns)| limits.passes_socket(&socket(proto, netns)))
    };
    assert_eq!(passed(&Limits::default()), [true; 4]);
    assert_eq!(passed(&leaf(|limits| limits.protos = Some(vec![Proto::Tcp]))), [true, false, true, true]);
    assert_eq!(passed(&leaf(|limits| limits.netns = Some(vec![1, 3]))), [true, true, false, false]);
    let both = leaf(|limits| (limits.protos, limits.netns) = (Some(vec![Proto::Tcp]), Some(vec![1])));
    assert_eq!(passed(&both), [true, false, false, false]);
    let of_events = leaf(|limits| {
        limits.kinds = Some(Kinds::CLOSE);
        limits.lports = Some(Ports::one(80));
        limits.pids = Some(vec![4]);
    });
    assert_eq!(passed(&of_events), [true; 4]);
}
