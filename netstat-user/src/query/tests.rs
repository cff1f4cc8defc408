use super::codec::{Read, Wire};
use super::*;
use crate::model::limits::Kinds;
use crate::model::{
    CloseReason, Comm, Endpoint, EventEnd, EventKind, Grade, Network, Owner, RowNumber, TcpState, Timer, Totals,
};
use proptest::prelude::*;

fn socket() -> LiveSocket {
    LiveSocket {
        proto: Proto::Tcp6,
        state: TcpState::CloseWait,
        local: Some(EventEnd { addr: "::ffff:1.2.3.4".parse().unwrap(), port: None }),
        remote: Some(EventEnd { addr: [10, 0, 0, 1].into(), port: Some(443) }),
        netns: Some(4_026_531_840),
        uid: None,
        inode: 77,
        cookie: Some(u64::MAX),
        owner: Some(owner()),
        since_ns: Some(5),
        seen_ns: 5,
        state_ns: 7,
    }
}

fn totals() -> Totals {
    Totals {
        duration_ns: Some(1),
        rx_bytes: None,
        tx_bytes: Some(3),
        rtt_us: Some(4),
        retransmits: None,
        reason: CloseReason::TimedOut,
        closed_by: Some(crate::model::Closer { pid: 9, comm: crate::model::Comm::new(b"sh"), start: 0 }),
    }
}

fn event(kind: EventKind) -> SocketEvent {
    let LiveSocket { proto, local, remote, owner, uid, cookie, netns, .. } = socket();
    SocketEvent { time_ns: 9, kind, proto, local, remote, owner, uid, inode: Some(0), cookie, netns }
}

fn owner() -> Owner {
    Owner { pid: 12, comm: Comm::new(b"a\xffb"), grade: Grade::Inherited, cgroup_id: None, start: 0 }
}

/// A row of which nothing is known but what every row has, and one that has everything.
fn rows(proto: Proto) -> Vec<SocketRow> {
    let addr = |v4: [u8; 4], v6: &str| if proto.is_v6() { v6.parse().unwrap() } else { v4.into() };
    let local = Endpoint { addr: addr([127, 0, 0, 1], "::ffff:1.2.3.4"), port: 80 };
    let remote = Endpoint { addr: addr([0; 4], "::"), port: 0 };
    let bare = SocketRow { uid: u32::MAX, ..SocketRow::bare(proto, local, remote, 10) };
    let timer = Timer { kind: 4, expires: u64::MAX, retransmits: 7, probes: 1 };
    vec![bare, SocketRow { state: 255, recv_q: 1, send_q: u64::MAX, inode: 9, timer, cookie: Some(0), ..bare }]
}

fn past() -> Past {
    Past { since_ns: 7, crowded: true, most: 5, lost_ns: Some(6), lost: 2 }
}

fn answers() -> Vec<Answer> {
    let hook = HookRow {
        hook: "tcp_state".into(),
        without: "nothing".into(),
        variant: None,
        refused: vec![("tp_btf".into(), "no BTF".into())],
        mend: "boot".into(),
        failed: vec!["tp_btf".into()],
        denied: vec!["fexit".into()],
    };
    let state = EventKind::State { old: TcpState::Close, new: TcpState::SynSent, in_state_ns: None };
    vec![
        Answer::Begin(Place { pidns: 1, userns: u64::MAX }),
        Answer::Links(vec![Link { inode: 1, pid: 2 }, Link { inode: 3, pid: 4 }]),
        Answer::Live(socket()),
        Answer::Closed(ClosedSocket { socket: socket(), closed_ns: 8, totals: totals() }),
        Answer::Event(event(EventKind::Open)),
        Answer::Event(event(state)),
        Answer::Event(event(EventKind::Close(totals()))),
        Answer::Lost { time_ns: 1, count: 2 },
        Answer::Dropped(3),
        Answer::Status(Status {
            pid: 1,
            peak_fill: 9,
            past: past(),
            uid: 7,
            shares_all: true,
            crowd: Some(Crowd { uid: 9, others_ns: 3 }),
            keeps_ns: 8,
            ..Status::default()
        }),
        Answer::Coverage(CoverageRows { hooks: vec![hook], cgroup_namespace: Some(4_026_532_177) }),
        Answer::End,
        Answer::Refused(Denial {
            hides_namespace: true,
            is_full: true,
            turns_away: true,
            is_busy: true,
            ..Denial::new("no")
        }),
        Answer::Namespace { netns: 4_026_531_840, name: Some(b"blue\xff".to_vec()) },
        Answer::Namespace { netns: 1, name: None },
        Answer::Rows { proto: Proto::Tcp, rows: rows(Proto::Tcp), recorded: vec![(1, owner())] },
        Answer::Rows { proto: Proto::Raw6, rows: rows(Proto::Raw6), recorded: Vec::new() },
        Answer::Since(past(), Some(Crowd { uid: 9, others_ns: 3 })),
        Answer::Health(Health {
            checks: vec![Check::ok("a", "b"), Check::amiss("c", crate::model::Level::Bad, "d", "e")],
            programs: vec![ProgramHealth { name: "p".into(), runs: Some((1, 2)), missed: None }],
        }),
        Answer::Cgroups(vec![(7, b"/system.slice\xff".to_vec()), (8, Vec::new())]),
        Answer::LiveEnd { time_ns: 5 },
        Answer::Gone(socket()),
        Answer::Stale,
        Answer::TableEnd { proto: Proto::Udp, bogus: 3 },
        Answer::NoTable { proto: Proto::UdpLite6, errno: 2 },
    ]
}

/// Conditions of every kind.
fn row_test() -> RowTest {
    let net = Network { addr: [10, 0, 0, 0].into(), len: 8 };
    let tests = vec![
        RowTest::Protos(vec![Proto::Tcp, Proto::Raw6]),
        RowTest::States(1 << 10),
        RowTest::NamedStates { states: 2, unnamed: true },
        RowTest::Family { local: false, v6: true },
        RowTest::Addr { local: true, net, mapped: true },
        RowTest::HeldBy(vec![1, u32::MAX]),
    ];
    let number = |number| RowTest::Number { number, first: 1, last: u64::MAX };
    let numbers = RowNumber::ALL.map(number).to_vec();
    RowTest::All(vec![RowTest::Any(tests), RowTest::Not(Box::new(RowTest::Any(numbers)))])
}

/// However deep a request nests, it is refused, and not walked.
#[test]
fn conditions_nest_so_deep_and_no_deeper() {
    let decoded = |depth: usize| {
        let nested = (0..depth).fold(RowTest::All(vec![]), |inner, _| RowTest::Not(Box::new(inner)));
        let mut out = BytesMut::new();
        let wanted = RowsWanted { only: Some(nested), ..RowsWanted::of(Proto::ALL.to_vec()) };
        let request = Request::Rows { wanted, recorded: false, holders: false };
        request.encode(&mut out);
        Request::decode(next_frame(&mut out, MAX_REQUEST).unwrap().unwrap()).map(|decoded| decoded == request)
    };
    assert_eq!((decoded(100), decoded(3000)), (Ok(true), Err(QueryError::Garbage)));
    // What an agent would refuse is asked for without conditions.
    let asked = |number: usize| {
        let any = RowTest::Any(vec![RowTest::States(1); number]);
        Request::Table { live: false, recent_ns: 1, netns: None, age_ns: 0, only: Some(any) }.fitting()
    };
    assert!(matches!(asked(100), Request::Table { only: Some(_), .. }));
    assert!(matches!(asked(600), Request::Table { only: None, .. }));
    assert_eq!(Request::Holders { of: vec![7; 5000] }.fitting(), Request::Holders { of: vec![] });
}

fn requests() -> Vec<Request> {
    let limits = Limits {
        kinds: Some(Kinds::STATE),
        entered: Some([TcpState::Listen].into_iter().collect()),
        protos: Some(vec![Proto::Raw6]),
        netns: Some(vec![1]),
        ..Limits::default()
    };
    vec![
        Request::Holders { of: vec![7, u64::MAX] },
        Request::Table { live: true, recent_ns: 5, netns: None, age_ns: 8, only: Some(row_test()) },
        Request::Events(limits.clone()),
        Request::Follow { wanted: limits, age_ns: 0 },
        Request::Events(Limits { kinds: Some(Kinds::OPEN.or(Kinds::CLOSE)), ..Limits::default() }),
        Request::Status,
        Request::Health,
        Request::Cgroups(vec![1, u64::MAX]),
        Request::Rows {
            wanted: RowsWanted {
                protos: Proto::ALL.to_vec(),
                peer: Some(true),
                netns: Some(7),
                only: Some(row_test()),
            },
            recorded: true,
            holders: true,
        },
    ]
}

#[test]
fn what_is_written_is_read() {
    let mut stream = BytesMut::new();
    answers().iter().for_each(|answer| answer.encode(&mut stream));
    for answer in answers() {
        let body = next_frame(&mut stream, MAX_ANSWER).unwrap().unwrap();
        assert_eq!(Answer::decode(body), Ok(answer));
    }
    requests().iter().for_each(|request| request.encode(&mut stream));
    for request in requests() {
        let body = next_frame(&mut stream, MAX_REQUEST).unwrap().unwrap();
        assert_eq!(Request::decode(body), Ok(request));
    }
    assert!(stream.is_empty());
}

#[test]
fn a_frame_is_taken_only_when_it_is_whole() {
    let mut whole = BytesMut::new();
    Answer::Live(socket()).encode(&mut whole);
    for len in 0..whole.len() {
        let mut cut = BytesMut::from(&whole[..len]);
        assert_eq!(next_frame(&mut cut, MAX_ANSWER), Ok(None));
        assert_eq!(cut.len(), len);
    }
    let mut huge = BytesMut::from(&u32::MAX.to_le_bytes()[..]);
    assert_eq!(next_frame(&mut huge, MAX_ANSWER), Err(QueryError::Length(u32::MAX as usize)));
}

#[test]
fn another_version_is_refused_by_its_number() {
    assert_eq!(Request::decode(Bytes::from_static(&[9, 1])), Err(QueryError::Version(9)));
    assert_eq!(Request::decode(Bytes::from_static(&[VERSION])), Err(QueryError::Garbage));
    assert!(
        QueryError::Version(9)
            .to_string()
            .contains(&format!("version 9 of the query protocol, this program version {VERSION}"))
    );
}

/// What a later release adds at the end of a frame, or of a record in a list, is passed over; and so are its answers.
#[test]
fn what_a_later_release_adds_is_passed_over() {
    let longer = |body: Bytes| Bytes::from([&body[..], &[1, 2, 3]].concat());
    for answer in answers() {
        let mut out = BytesMut::new();
        answer.encode(&mut out);
        let body = next_frame(&mut out, MAX_ANSWER).unwrap().unwrap();
        assert_eq!(Answer::decode(longer(body)), Ok(answer));
    }
    for request in requests() {
        let mut out = BytesMut::new();
        request.encode(&mut out);
        let body = next_frame(&mut out, MAX_REQUEST).unwrap().unwrap();
        assert_eq!(Request::decode(longer(body)), Ok(request));
    }
    assert_eq!(Answer::decode(Bytes::from_static(&[VERSION, 200, 7])), Ok(Answer::Unknown(200)));
    // A check with a field more, in a list of one, before an empty list of programs.
    let mut out = BytesMut::new();
    let health = Health { checks: vec![Check::ok("a", "b")], programs: Vec::new() };
    Answer::Health(health.clone()).encode(&mut out);
    let body = next_frame(&mut out, MAX_ANSWER).unwrap().unwrap();
    let (head, tail) = body.split_at(body.len() - 4);
    let mut grown = [head, &[9, 9][..], tail].concat();
    let len = u32::from_le_bytes(*grown[6..].first_chunk().unwrap()) + 2;
    grown[6..10].copy_from_slice(&len.to_le_bytes());
    assert_eq!(Answer::decode(grown.into()), Ok(Answer::Health(health)));
}

/// How many fields at the end of an answer an earlier release may lack. A new answer is entered here, and among [`answers`].
fn later_fields(answer: &Answer) -> (&'static str, usize) {
    match answer {
        Answer::Begin(_) => ("begin", 0),
        Answer::Namespace { .. } => ("namespace", 0),
        Answer::Rows { .. } => ("rows", 1),
        Answer::TableEnd { .. } => ("table end", 0),
        Answer::NoTable { .. } => ("no table", 0),
        Answer::Links(_) => ("links", 0),
        Answer::Live(_) => ("live", 0),
        Answer::LiveEnd { .. } => ("live end", 0),
        Answer::Gone(_) => ("gone", 0),
        Answer::Stale => ("stale", 0),
        Answer::Closed(_) => ("closed", 0),
        Answer::Since(..) => ("since", 0),
        Answer::Event(_) => ("event", 0),
        Answer::Lost { .. } => ("lost", 0),
        Answer::Dropped(_) => ("dropped", 0),
        Answer::Status(_) => ("status", 1),
        Answer::Coverage(_) => ("coverage", 0),
        Answer::Health(_) => ("health", 0),
        Answer::Cgroups(_) => ("cgroups", 0),
        Answer::End => ("end", 0),
        Answer::Refused(_) => ("refused", 4),
        // Never sent.
        Answer::Unknown(_) => ("unknown", 0),
    }
}

/// The same of requests, and [`requests`].
fn later_fields_asked(request: &Request) -> (&'static str, usize) {
    match request {
        Request::Holders { .. } => ("holders", 1),
        Request::Rows { .. } => ("rows", 3),
        Request::Table { .. } => ("table", 1),
        Request::Events(_) => ("events", 1),
        // Then it is a request for events.
        Request::Follow { .. } => ("follow", 1),
        Request::Status => ("status", 0),
        Request::Health => ("health", 0),
        Request::Cgroups(_) => ("cgroups", 0),
    }
}

/// The body of a frame.
fn body(encode: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    encode(&mut out);
    next_frame(&mut out, MAX_ANSWER).unwrap().unwrap()
}

/// In how many places a frame may end early. What was there is read then, and what is missing is unknown, none or zero: all of which is
/// written as zeroes.
fn early_ends(whole: &Bytes, again: impl Fn(Bytes) -> Read<Bytes>) -> usize {
    let ends = |len: &usize| match again(whole.slice(..*len)) {
        Ok(read) => {
            let (head, tail) = read.split_at(*len);
            assert_eq!(head, &whole[..*len], "what was there");
            assert!(tail.iter().all(|&byte| byte == 0), "what is missing: {tail:?}");
            true
        }
        Err(error) => {
            assert_eq!(error, QueryError::Garbage);
            false
        }
    };
    (0..whole.len()).filter(ends).count()
}

/// What an earlier release does not send yet is unknown, or none; and no frame may end elsewhere.
#[test]
fn what_an_earlier_release_lacks_is_none() {
    let mut kinds = std::collections::BTreeSet::new();
    for answer in answers() {
        let (name, fields) = later_fields(&answer);
        let again = |cut| Answer::decode(cut).map(|answer| body(|out| answer.encode(out)));
        assert_eq!(early_ends(&body(|out| answer.encode(out)), again), fields, "{name}");
        kinds.insert(name);
    }
    assert_eq!(kinds.len(), 21, "{kinds:?}");
    kinds.clear();
    for request in requests() {
        let (name, fields) = later_fields_asked(&request);
        let again = |cut| Request::decode(cut).map(|request| body(|out| request.encode(out)));
        assert_eq!(early_ends(&body(|out| request.encode(out)), again), fields, "{name}");
        kinds.insert(name);
    }
    assert_eq!(kinds.len(), 8, "{kinds:?}");
}

/// Records with a length, alone in a list: one that is longer is read as it is known, and one that is shorter lacks what came later.
fn records_grow<T: Wire + Clone + PartialEq + std::fmt::Debug>(record: &T, later_fields: usize) {
    const { assert!(T::GROWS) };
    let framed = |record: &[u8]| {
        let mut out = BytesMut::new();
        (1u32, record.len() as u32).put(&mut out);
        out.extend_from_slice(record);
        // What follows the list is not looked at.
        out.extend_from_slice(&[7; 9]);
        out.freeze()
    };
    let written = |record: &T| {
        let mut out = BytesMut::new();
        record.put(&mut out);
        out.freeze()
    };
    let whole = written(record);
    let mut longer = framed(&[&whole[..], &[1, 2, 3]].concat());
    assert_eq!(Vec::get(&mut longer), Ok(vec![record.clone()]));
    assert_eq!(longer.len(), 9, "the length is that of the record");
    let again = |cut: Bytes| Vec::<T>::get(&mut framed(&cut)).map(|read| written(&read[0]));
    assert_eq!(early_ends(&whole, again), later_fields, "{record:?}");
}

#[test]
fn records_with_a_length_may_grow_and_may_lack_what_came_later() {
    for answer in answers() {
        match answer {
            Answer::Coverage(coverage) => records_grow(&coverage.hooks[0], 3),
            Answer::Health(health) => {
                health.checks.iter().for_each(|check| records_grow(check, 0));
                health.programs.iter().for_each(|program| records_grow(program, 0));
            }
            _ => {}
        }
    }
}

/// However often a request names a protocol or a state, it costs the same.
#[test]
fn requests_are_as_short_whatever_they_name() {
    let length = |request: Request| {
        let mut out = BytesMut::new();
        request.encode(&mut out);
        out.len()
    };
    let of = |protos| Limits { protos: Some(protos), ..Limits::default() };
    let rows = |protos| Request::Rows { wanted: RowsWanted::of(protos), recorded: false, holders: false };
    assert_eq!(length(rows(vec![Proto::Udp; 4000])), length(rows(vec![])));
    assert_eq!(length(Request::Events(of(vec![Proto::Udp; 4000]))), length(Request::Events(Limits::default())));
}

#[test]
fn what_is_asked_for_is_all_that_passes() {
    let over_the_wire = |limits: &Limits| {
        let mut out = BytesMut::new();
        Request::Events(limits.clone()).encode(&mut out);
        match Request::decode(next_frame(&mut out, MAX_REQUEST).unwrap().unwrap()) {
            Ok(Request::Events(limits)) => limits,
            other => panic!("{other:?}"),
        }
    };
    let mut limits = Limits { netns: Some(vec![1]), ..Limits::default() };
    let mut opened = event(EventKind::Open);
    assert!(over_the_wire(&Limits::default()).passes(&opened));
    assert!(!over_the_wire(&limits).passes(&opened));
    opened.netns = Some(1);
    assert!(over_the_wire(&limits).passes(&opened));
    limits.kinds = Some(Kinds::STATE.or(Kinds::CLOSE));
    assert!(!over_the_wire(&limits).passes(&opened), "only others are wanted");
    limits.kinds = Some(Kinds::ALL);
    assert!(over_the_wire(&limits).passes(&opened));
    limits.kinds = Some(Kinds::STATE);
    limits.entered = Some([TcpState::Listen].into_iter().collect());
    assert!(!over_the_wire(&limits).passes(&opened), "open enters no state");
}

proptest! {
    #[test]
    fn garbage_is_refused_and_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), tag in 0u8..24) {
        let mut stream = BytesMut::from(&bytes[..]);
        while let Ok(Some(body)) = next_frame(&mut stream, 200) {
            let _ = Request::decode(body.clone());
            let _ = Answer::decode(body);
        }
        let body = Bytes::from([&[VERSION, tag], &bytes[..]].concat());
        let _ = Request::decode(body.clone());
        let _ = Answer::decode(body);
    }
}
