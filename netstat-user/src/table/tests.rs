use super::listing::UNSEEN;
use super::*;
use crate::model::{CloseReason, Comm, Endpoint, EventEnd, Grade, Owner, Proto, SocketRow};

mod bounds;
mod orders;

const LIMITS: Retention = Retention { recent_ns: 1_000, recent_count: 3 };
const TOTALS: Totals = Totals { duration_ns: Some(5), ..Totals::unknown(CloseReason::Closed) };

fn end(host: u8, port: u16) -> EventEnd {
    EventEnd { addr: [127, 0, 0, host].into(), port: Some(port) }
}

/// An event of socket `id`, whose ends and cookie follow from its number.
fn event(id: u16, kind: EventKind, inode: u64) -> SocketEvent {
    SocketEvent {
        time_ns: 10,
        kind,
        proto: Proto::Tcp,
        local: Some(end(1, 1000 + id)),
        remote: Some(end(2, 80)),
        owner: None,
        uid: Some(0),
        inode: Some(inode),
        cookie: Some(u64::from(id) + 1),
        netns: Some(1),
    }
}

fn open(id: u16, inode: u64) -> SocketEvent {
    SocketEvent { local: None, remote: None, ..event(id, EventKind::Open, inode) }
}

const fn state(old: TcpState, new: TcpState) -> EventKind {
    EventKind::State { old, new, in_state_ns: None }
}

fn row(id: u16, proto: Proto, state: TcpState, inode: u64) -> SocketRow {
    let listens = state == TcpState::Listen || !proto.is_tcp();
    let endpoint = |end: EventEnd| Endpoint { addr: end.addr, port: end.port.unwrap() };
    let nobody = Endpoint { addr: [0, 0, 0, 0].into(), port: 0 };
    let remote = if listens { nobody } else { endpoint(end(2, 80)) };
    SocketRow { inode, netns: Some(1), ..SocketRow::bare(proto, endpoint(end(1, 1000 + id)), remote, state as u8) }
}

fn owner(pid: u32) -> Option<Owner> {
    Some(Owner { pid, comm: Comm::new(b"x"), grade: Grade::Created, cgroup_id: None, start: 0 })
}

fn listing(rows: Vec<SocketRow>) -> Listing {
    let rows = rows.into_iter().map(|row| (row, None)).collect();
    Listing { rows, protos: Proto::ALL.to_vec(), spaces: None, held: None }
}

#[test]
fn a_closed_socket_is_kept_with_its_owner_within_both_bounds() {
    let mut table = Table::new(LIMITS);
    for id in 0..5 {
        table.event(&SocketEvent { owner: owner(7), ..open(id, 100 + u64::from(id)) });
        table.event(&event(id, state(TcpState::Close, TcpState::SynSent), 100 + u64::from(id)));
        let end = event(id, state(TcpState::SynSent, TcpState::Close), 0);
        table.event(&end);
        table.event(&SocketEvent { time_ns: 20 + u64::from(id), ..event(id, EventKind::Close(TOTALS), 0) });
    }
    assert!(table.is_empty());
    let kept: Vec<_> = table.recent(30, 1_000).map(|closed| closed.closed_ns).collect();
    assert_eq!(kept, [24, 23, 22], "the count bounds");
    assert_eq!(table.recent(30, 7).count(), 2);
    let closed = *table.recent(30, 1_000).next().unwrap();
    assert_eq!((closed.socket.owner, closed.socket.inode), (owner(7), 104), "as it was before it ended");
    table.expire(1_023);
    assert_eq!(table.recent_len(), 2, "the age bounds");
    assert_eq!(table.forgotten_ns(), 22, "and it is known since when all are there");
}

/// The process closes its socket first, and the kernel takes the inode away long before it destroys the socket.
#[test]
fn a_closed_socket_has_the_inode_that_it_had() {
    let steps = [(TcpState::Established, TcpState::FinWait1), (TcpState::FinWait1, TcpState::FinWait2)];
    for times_wait in [false, true] {
        let mut table = Table::new(LIMITS);
        table.event(&open(1, 9));
        table.event(&event(1, state(TcpState::SynSent, TcpState::Established), 9));
        steps.iter().for_each(|&(old, new)| table.event(&event(1, state(old, new), 0)));
        assert_eq!(table.live().next().map(|socket| socket.inode), Some(0), "as the kernel lists it");
        if times_wait {
            table.event(&event(1, state(TcpState::FinWait2, TcpState::TimeWait), 0));
        }
        table.event(&SocketEvent { time_ns: 20, ..event(1, EventKind::Close(TOTALS), 0) });
        assert_eq!(table.recent(30, 1_000).next().map(|closed| closed.socket.inode), Some(9), "{times_wait}");
    }
    // One that a listing found without its inode.
    let mut table = Table::new(LIMITS);
    table.event(&event(1, state(TcpState::SynSent, TcpState::Established), 9));
    for _ in 0..2 {
        table.begin_listing();
        let row = SocketRow { cookie: Some(2), ..row(1, Proto::Tcp, TcpState::FinWait2, 0) };
        table.listing(&listing(vec![row]), 15);
    }
    table.event(&SocketEvent { time_ns: 20, ..event(1, EventKind::Close(TOTALS), 0) });
    assert_eq!(table.recent(30, 1_000).next().map(|closed| closed.socket.inode), Some(9));
}

#[test]
fn what_remains_in_time_wait_outlives_the_socket() {
    let mut table = Table::new(LIMITS);
    table.event(&event(1, state(TcpState::Close, TcpState::SynSent), 9));
    table.event(&event(1, state(TcpState::FinWait2, TcpState::TimeWait), 0));
    table.event(&event(1, state(TcpState::FinWait2, TcpState::Close), 0));
    table.event(&event(1, EventKind::Close(TOTALS), 0));
    let left: Vec<_> = table.live().map(|socket| (socket.state, socket.inode)).collect();
    assert_eq!(left, [(TcpState::TimeWait, 0)]);
    assert_eq!(table.recent_len(), 1);
    table.event(&event(1, state(TcpState::TimeWait, TcpState::Close), 0));
    assert!(table.is_empty());
    assert_eq!(table.recent_len(), 1, "reported once");
}

/// As the kernel programs report it: the socket goes to CLOSE, and what remains of it goes on with its cookie from where that was.
#[test]
fn what_remains_may_begin_before_or_after_the_socket_is_destroyed() {
    for destroyed_first in [false, true] {
        let mut table = Table::new(LIMITS);
        table.event(&SocketEvent { owner: owner(7), ..event(1, state(TcpState::FinWait1, TcpState::FinWait2), 0) });
        table.event(&event(1, state(TcpState::FinWait2, TcpState::Close), 0));
        let close = event(1, EventKind::Close(TOTALS), 0);
        let mut last = [close, event(1, state(TcpState::FinWait2, TcpState::TimeWait), 0)];
        if !destroyed_first {
            last.reverse();
        }
        last.iter().for_each(|event| table.event(event));
        let left: Vec<_> = table.live().map(|socket| (socket.state, socket.cookie)).collect();
        assert_eq!(left, [(TcpState::TimeWait, Some(2))], "destroyed first: {destroyed_first}");
        assert_eq!(table.recent_len(), 1);
        table.event(&event(1, state(TcpState::TimeWait, TcpState::Close), 0));
        assert_eq!((table.len(), table.recent_len()), (0, 1), "reported once");
    }
}

/// What waits in FIN_WAIT2 without its owner is known from listings alone, until it is over.
#[test]
fn a_fin_that_never_comes_ends_what_remains() {
    let mut table = Table::new(LIMITS);
    table.event(&event(1, state(TcpState::FinWait2, TcpState::Close), 0));
    table.event(&event(1, EventKind::Close(TOTALS), 0));
    table.begin_listing();
    table.listing(&listing(vec![row(1, Proto::Tcp, TcpState::FinWait2, 0)]), 50);
    assert_eq!(table.len(), 1);
    table.event(&event(1, state(TcpState::FinWait2, TcpState::Close), 0));
    assert_eq!((table.len(), table.recent_len()), (0, 1));
}

#[test]
fn a_connection_that_is_over_but_held_is_not_ended_by_a_listing() {
    let mut table = Table::new(LIMITS);
    table.event(&event(1, state(TcpState::SynSent, TcpState::Established), 9));
    // Its transition to CLOSE was lost.
    table.begin_listing();
    table.listing(&Listing { held: Some(HashSet::from_iter([9])), ..listing(Vec::new()) }, 50);
    let left: Vec<_> = table.live().map(|socket| (socket.state, socket.inode)).collect();
    assert_eq!((left, table.recent_len()), (vec![(TcpState::Close, 9)], 0));
    table.event(&event(1, EventKind::Close(TOTALS), 0));
    assert_eq!((table.len(), table.recent_len()), (0, 1), "reported once");
}

#[test]
fn a_namespace_that_was_not_read_keeps_its_sockets() {
    let mut table = Table::new(LIMITS);
    table.event(&event(1, state(TcpState::SynSent, TcpState::Established), 9));
    table.event(&event(2, state(TcpState::FinWait2, TcpState::TimeWait), 0));
    let elsewhere = || Listing {
        spaces: Some(HashSet::from_iter([2])),
        held: Some(HashSet::from_iter([9])),
        ..listing(Vec::new())
    };
    for round in 0..2 * UNSEEN {
        table.begin_listing();
        table.listing(&elsewhere(), 50);
        assert_eq!(table.len(), if round < UNSEEN { 2 } else { 1 }, "what nobody holds goes after a while");
    }
    table.begin_listing();
    table.listing(&Listing { spaces: Some(HashSet::from_iter([1])), ..listing(Vec::new()) }, 50);
    assert!(table.is_empty());
}

#[test]
fn a_listing_keeps_owners_and_history() {
    let mut table = Table::new(LIMITS);
    table.event(&SocketEvent { owner: owner(3), ..event(1, state(TcpState::Close, TcpState::SynSent), 9) });
    table.event(&event(2, state(TcpState::Close, TcpState::SynSent), 8));
    table.begin_listing();
    let rows = vec![row(1, Proto::Tcp, TcpState::Established, 9), row(3, Proto::Tcp, TcpState::Listen, 5)];
    let correction = table.listing(&listing(rows), 50);
    assert_eq!(correction, Correction { added: 1, removed: 1, changed: 1 });
    let known = table.live().find(|socket| socket.inode == 9).unwrap();
    assert_eq!((known.owner, known.cookie, known.state), (owner(3), Some(2), TcpState::Established));
    let closed = table.recent(50, 100).next().unwrap();
    assert_eq!((closed.socket.inode, closed.totals.reason), (8, CloseReason::Unknown));
}

#[test]
fn listeners_that_share_a_port_are_distinguished() {
    let mut table = Table::new(LIMITS);
    table.begin_listing();
    let rows = [5, 6].map(|inode| row(3, Proto::Tcp, TcpState::Listen, inode)).to_vec();
    table.listing(&listing(rows), 0);
    assert_eq!(table.len(), 2);
    let listener = SocketEvent {
        remote: Some(EventEnd { addr: [0, 0, 0, 0].into(), port: Some(0) }),
        ..event(3, EventKind::Open, 6)
    };
    table.event(&SocketEvent { kind: state(TcpState::Listen, TcpState::Close), ..listener });
    table.event(&SocketEvent { kind: EventKind::Close(TOTALS), inode: Some(0), ..listener });
    let left: Vec<_> = table.live().map(|socket| socket.inode).collect();
    assert_eq!(left, [5]);
}

#[test]
fn memory_per_socket_is_bounded() {
    // Just past a doubling of every part: the worst case.
    let count = (1 << 16) + 1;
    let mut table = Table::new(LIMITS);
    for id in 0..count {
        let mut made = event(0, state(TcpState::Close, TcpState::SynSent), 1_000_000 + id);
        made.cookie = Some(id + 1);
        made.local = Some(EventEnd { addr: (id as u32).to_be_bytes().into(), port: Some(1) });
        table.event(&made);
    }
    assert_eq!(table.len() as u64, count);
    let each = table.bytes() as u64 / count;
    println!("{} bytes a row, {each} a socket with its index at worst", Table::ROW_BYTES);
    assert!(each * 1_000_000 <= 512 << 20, "{each} bytes a socket");
}

#[test]
fn what_remains_of_a_socket_is_still_its_owners() {
    let mut table = Table::new(LIMITS);
    let orphan = state(TcpState::Established, TcpState::FinWait1);
    table.event(&SocketEvent { owner: owner(7), ..event(1, orphan, 0) });
    table.event(&SocketEvent { owner: owner(8), ..event(2, EventKind::Close(TOTALS), 0) });
    table.event(&SocketEvent { owner: owner(9), ..event(3, EventKind::Close(TOTALS), 0) });
    table.event(&SocketEvent { owner: None, ..event(4, state(TcpState::Listen, TcpState::SynRecv), 0) });
    let rows = [
        row(1, Proto::Tcp, TcpState::FinWait1, 0),
        row(2, Proto::Tcp, TcpState::TimeWait, 0),
        row(3, Proto::Tcp, TcpState::SynRecv, 0),
        row(4, Proto::Tcp, TcpState::SynRecv, 0),
        row(2, Proto::Tcp, TcpState::Established, 77),
    ];
    let mut ended = EndedByEnds::default();
    while table.index_ended(&mut ended) {}
    let pids = |netns| {
        let recorded = table.recorded(netns, &rows, None, &ended).into_iter();
        recorded.map(|(at, owner)| (at, owner.pid)).collect::<Vec<_>>()
    };
    assert_eq!(pids(1), [(0, 7), (1, 8)], "a request is a new connection, and what has an inode is held");
    assert_eq!(pids(2), []);
}

/// The kernel reports what remains of a socket as root's.
#[test]
fn what_remains_of_a_socket_is_its_owners_after_it_was_listed() {
    let users = |uid| {
        let mut table = Table::new(LIMITS);
        for id in [2, 3] {
            let close = event(id, EventKind::Close(TOTALS), 0);
            table.event(&SocketEvent { owner: owner(8), uid: Some(1000), cookie: Some(id.into()), ..close });
        }
        let row = |id, cookie, state| SocketRow { uid: 0, cookie: Some(cookie), ..row(id, Proto::Tcp, state, 0) };
        // The last one is another connection's, with the ends of the one before.
        let rows = [row(2, 2, TcpState::FinWait2), row(3, 9, TcpState::TimeWait)];
        let recorded = |table: &Table| {
            let mut ended = EndedByEnds::default();
            while table.index_ended(&mut ended) {}
            let recorded = table.recorded(1, &rows, uid, &ended).into_iter();
            recorded.map(|(at, owner)| (at, owner.pid)).collect::<Vec<_>>()
        };
        let before = recorded(&table);
        table.begin_listing();
        table.listing(&listing(rows.to_vec()), 20);
        (before, recorded(&table))
    };
    let whose = || vec![(0, 8)];
    assert_eq!(users(None), (whose(), whose()));
    assert_eq!(users(Some(1000)), (whose(), whose()));
    assert_eq!(users(Some(1001)), (Vec::new(), Vec::new()));
}

/// What is listed as another user's than that of the socket that ended with its ends is another connection.
#[test]
fn what_is_anothers_is_not_left_of_a_socket() {
    let mut table = Table::new(LIMITS);
    let close = |id| SocketEvent { owner: owner(8), uid: Some(1000), ..event(id, EventKind::Close(TOTALS), 0) };
    (1..4).for_each(|id| table.event(&close(id)));
    // For what remains of a socket the kernel reports user 0, and perhaps no cookie.
    let row = |id, uid| SocketRow { uid, ..row(id, Proto::Tcp, TcpState::FinWait2, 0) };
    let rows = [row(1, 0), row(2, 1000), row(3, 1001)];
    let mut ended = EndedByEnds::default();
    while table.index_ended(&mut ended) {}
    let recorded = table.recorded(1, &rows, None, &ended).into_iter();
    assert_eq!(recorded.map(|(at, owner)| (at, owner.pid)).collect::<Vec<_>>(), [(0, 8), (1, 8)]);
    table.begin_listing();
    table.listing(&listing(rows.to_vec()), 50);
    let mut seen: Vec<_> = table.live().map(|socket| (socket.local, socket.uid, socket.seen_ns)).collect();
    seen.sort_by_key(|(local, ..)| local.unwrap().port);
    let of = |id: u16, uid, seen_ns| (Some(end(1, 1000 + id)), uid, seen_ns);
    assert_eq!(seen, [of(1, Some(0), 10), of(2, Some(1000), 10), of(3, Some(1001), 50)]);
}

#[test]
fn a_socket_that_becomes_ipv4_is_listed_as_such() {
    let mapped = |end: EventEnd| {
        let std::net::IpAddr::V4(addr) = end.addr else { panic!("not IPv4") };
        EventEnd { addr: addr.to_ipv6_mapped().into(), ..end }
    };
    let v6 = |event: SocketEvent| SocketEvent {
        proto: Proto::Tcp6,
        local: event.local.map(mapped),
        remote: event.remote.map(mapped),
        ..event
    };
    let mut table = Table::new(LIMITS);
    table.event(&open_v6(3, 33));
    table.event(&v6(event(3, state(TcpState::Close, TcpState::SynSent), 33)));
    table.event(&v6(event(3, state(TcpState::SynSent, TcpState::Established), 33)));
    // setsockopt(IPV6_ADDRFORM): nothing but the list shows it.
    table.begin_listing();
    let correction = table.listing(&listing(vec![row(3, Proto::Tcp, TcpState::Established, 33)]), 20);
    assert_eq!(correction, Correction { changed: 1, ..Correction::default() });
    let there = |table: &Table| {
        let live: Vec<LiveSocket> = table.live().copied().collect();
        let [socket] = live[..] else { panic!("{live:?}") };
        (socket.proto, socket.local, socket.remote, socket.cookie)
    };
    let v4 = (Proto::Tcp, Some(end(1, 1003)), Some(end(2, 80)), Some(4));
    assert_eq!(there(&table), v4);
    // Events of one that is not in the list yet.
    let mut table = Table::new(LIMITS);
    table.event(&v6(event(3, state(TcpState::SynSent, TcpState::Established), 33)));
    table.event(&event(3, state(TcpState::Established, TcpState::CloseWait), 33));
    assert_eq!(there(&table), v4);
    // A row that was read before the last event is of before.
    table.begin_listing();
    table.event(&event(3, state(TcpState::CloseWait, TcpState::LastAck), 33));
    let mut before = row(3, Proto::Tcp6, TcpState::Established, 33);
    before.local.addr = mapped(end(1, 1)).addr;
    before.remote.addr = mapped(end(2, 1)).addr;
    table.listing(&listing(vec![before]), 20);
    assert_eq!(there(&table), v4);
}

fn open_v6(id: u16, inode: u64) -> SocketEvent {
    SocketEvent { proto: Proto::Tcp6, ..open(id, inode) }
}

#[test]
fn a_socket_knows_since_when_it_is_there_and_in_its_state() {
    let at = |time_ns, event: SocketEvent| SocketEvent { time_ns, ..event };
    let ages = |table: &Table| table.live().map(|s| (s.state, s.since_ns, s.seen_ns, s.state_ns)).next().unwrap();
    let mut table = Table::new(LIMITS);
    // One that is opened while traced.
    table.event(&at(10, open(1, 5)));
    assert_eq!(ages(&table), (TcpState::Close, Some(10), 10, 10));
    table.event(&at(20, event(1, state(TcpState::Close, TcpState::SynSent), 5)));
    table.event(&at(30, event(1, state(TcpState::SynSent, TcpState::Established), 5)));
    // A listing that finds it as it is known changes nothing.
    table.begin_listing();
    table.listing(&listing(vec![row(1, Proto::Tcp, TcpState::Established, 5)]), 40);
    assert_eq!(ages(&table), (TcpState::Established, Some(10), 10, 30));
    // One that finds it in another state did so at its own time.
    table.begin_listing();
    table.listing(&listing(vec![row(1, Proto::Tcp, TcpState::CloseWait, 5)]), 50);
    assert_eq!(ages(&table), (TcpState::CloseWait, Some(10), 10, 50));
    // One that was there before the tracer.
    let mut table = Table::new(LIMITS);
    table.begin_listing();
    table.listing(&listing(vec![row(2, Proto::Tcp, TcpState::Established, 6)]), 60);
    assert_eq!(ages(&table), (TcpState::Established, None, 60, 60));
    table.event(&at(70, event(2, state(TcpState::Established, TcpState::CloseWait), 6)));
    assert_eq!(ages(&table), (TcpState::CloseWait, None, 60, 70));
}

#[test]
fn what_an_orphan_leaves_in_fin_wait2_is_as_old_as_its_connection() {
    let at = |time_ns, event: SocketEvent| SocketEvent { time_ns, ..event };
    let ages = |cookie| {
        let mut table = Table::new(LIMITS);
        for event in [
            at(10, open(1, 101)),
            at(20, event(1, state(TcpState::FinWait1, TcpState::FinWait2), 0)),
            at(30, event(1, state(TcpState::FinWait2, TcpState::Close), 0)),
            at(31, event(1, EventKind::Close(TOTALS), 0)),
        ] {
            table.event(&event);
        }
        table.begin_listing();
        let row = SocketRow { cookie, ..row(1, Proto::Tcp, TcpState::FinWait2, 0) };
        table.listing(&listing(vec![row]), 500);
        table.live().map(|s| (s.state, s.since_ns, s.seen_ns, s.state_ns)).next().unwrap()
    };
    assert_eq!(ages(Some(2)), (TcpState::FinWait2, Some(10), 10, 20));
    assert_eq!(ages(None), ages(Some(2)), "lists without cookies");
    assert_eq!(ages(Some(77)), (TcpState::FinWait2, None, 500, 500), "another connection of the same ends");
}

/// Any user can bind any number of UDP sockets to one port (SO_REUSEADDR): they are listed, found and forgotten in the time that as many with a port
/// each take.
#[test]
fn a_crowd_on_one_port_takes_no_longer_than_one_on_many() {
    const CROWD: u64 = 30_000;
    let listed = |port: fn(u64) -> u16| {
        let rows = |inode: u64| SocketRow {
            local: Endpoint { addr: [127, 0, 0, 1].into(), port: port(inode) },
            ..row(0, Proto::Udp, TcpState::Close, inode)
        };
        let listing = listing((1..=CROWD).map(rows).collect());
        let mut table = Table::new(LIMITS);
        let start = std::time::Instant::now();
        for round in 0..2 {
            table.begin_listing();
            table.listing(&listing, round);
            assert_eq!(table.len() as u64, CROWD);
        }
        for inode in 1..=CROWD {
            let end = Some(EventEnd { addr: [127, 0, 0, 1].into(), port: Some(port(inode)) });
            table.event(&SocketEvent {
                proto: Proto::Udp,
                local: end,
                remote: Some(EventEnd { addr: [0, 0, 0, 0].into(), port: Some(0) }),
                cookie: None,
                ..event(0, EventKind::Close(TOTALS), inode)
            });
        }
        assert_eq!(table.len(), 0);
        start.elapsed()
    };
    let (many, one) = (listed(|inode| inode as u16), listed(|_| 53));
    // A walk through the crowd for each of them would take thousands of times as long.
    assert!(one < many * 20 + std::time::Duration::from_millis(200), "{one:?}, and {many:?} on many ports");
}
