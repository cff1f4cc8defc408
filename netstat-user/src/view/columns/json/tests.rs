//! The hand-written JSON of rows and events has the fields of the table, with the values that the rows answer for them.

use super::*;
use crate::field::schema::EVENTS as SCHEMA;
use crate::field::{
    ClosedFields, EventFields, FIELDS, FieldSpec, LISTS, RowContext, RowFields, RowKinds, SctpFields, UnixFields,
};
use crate::model::{
    CloseReason, ClosedSocket, Closer, Comm, Endpoint, Event, EventEnd, EventKind, Grade, Holder, Labels, LiveSocket,
    Owner, Proto, SctpPeer, SctpRow, SocketEvent, SocketHolders, SocketRow, StateTimes, TcpState, Timer, Totals,
    UnixRow,
};
use crate::view::event::EventView;
use crate::view::inet::beyond::{self, Beyond, Netns};
use crate::view::{inet, sctp, unix};
use std::collections::{BTreeSet, HashMap};

fn parsed(out: &[u8]) -> serde_json::Value {
    serde_json::from_slice(out).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(out)))
}

/// Every field of an object, dotted. A null is its group's every field.
fn names(object: &serde_json::Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (key, value) in object.as_object().unwrap() {
        let inner = match value {
            serde_json::Value::Array(values) if LISTS.contains(&key.as_str()) => values.first(),
            other => Some(other),
        };
        match inner {
            Some(serde_json::Value::Object(inner)) => names.extend(inner.keys().map(|inner| format!("{key}.{inner}"))),
            _ => drop(names.insert(key.clone())),
        }
    }
    names
}

fn of(kinds: RowKinds) -> impl Iterator<Item = &'static FieldSpec> {
    FIELDS.iter().filter(move |spec| spec.always.meets(kinds))
}

/// That the object has exactly the fields that the table gives to its kind of row, with the values that the row has for them.
fn agree(hand_written: &[u8], kinds: RowKinds, asked: &[Field], row: &impl HasFields) {
    let fields: Vec<Column> =
        of(kinds).map(|spec| spec.field).chain(asked.iter().copied()).map(Column::Field).collect();
    let hand_written = parsed(hand_written);
    let from_table: BTreeSet<String> = fields.iter().map(|column| column.name().to_owned()).collect();
    assert_eq!(names(&hand_written), from_table);
    let mut out = Vec::new();
    Shape::new(&fields).row(&mut out, row);
    assert_eq!(parsed(&out), hand_written);
}

fn owners(inode: u64) -> SocketHolders {
    let mut owners = SocketHolders::default();
    owners.expect([inode].into_iter());
    for (pid, comm) in [(7, Some(Comm::new(b"renamed"))), (9, None)] {
        let holder = owners.holder(Holder { pid, program: b"a\"b".to_vec(), comm });
        owners.add(inode, holder);
    }
    owners
}

fn with_context(inode: u64, check: impl FnOnce(&RowContext<'_>)) {
    let owners = owners(inode);
    let labels = Labels { users: HashMap::from([(1000, b"joe".to_vec())]), ..Labels::default() };
    let netns_names = HashMap::from([(5, b"blue".to_vec())]);
    check(&RowContext { owners: &owners, labels: &labels, netns: Some(5), netns_names: &netns_names, providers: &[] });
}

fn row() -> SocketRow {
    let end = |port| Endpoint { addr: "::ffff:1.2.3.4".parse().unwrap(), port };
    SocketRow {
        recv_q: 1,
        send_q: 1_234_567,
        uid: 1000,
        inode: 42,
        timer: Timer { kind: 1, expires: 1988, retransmits: 2, probes: 3 },
        cookie: Some(77),
        netns: Some(5),
        ..SocketRow::bare(Proto::Tcp6, end(80), end(65_535), 1)
    }
}

#[test]
fn internet_rows() {
    with_context(42, |context| {
        let row = row();
        for cookie in [Some(77), None] {
            let row = SocketRow { cookie, ..row };
            let mut out = Vec::new();
            inet::json(&mut out, &row, context.labels, context.owners.of(42), &Beyond::default());
            agree(&out, RowKinds::INET, &[], &RowFields { row: &row, recorded: None, context });
        }
        let udp = SocketRow { proto: Proto::Udp, state: 7, timer: Timer { kind: 9, ..row.timer }, ..row };
        let mut out = Vec::new();
        let netns = Some(Netns { inode: Some(5), name: Some(b"blue") });
        inet::json(&mut out, &udp, context.labels, context.owners.of(42), &Beyond { netns, ..Beyond::default() });
        agree(&out, RowKinds::INET, &[Field::NetnsName], &RowFields { row: &udp, recorded: None, context });

        let orphan = SocketRow { inode: 1, ..row };
        let owner = Owner { pid: 3, comm: Comm::new(b"gone"), grade: Grade::Accepted, cgroup_id: None, start: 0 };
        let mut out = Vec::new();
        let recorded = Some(&owner);
        inet::json(&mut out, &orphan, context.labels, [], &Beyond { recorded, ..Beyond::default() });
        agree(&out, RowKinds::INET, &[Field::OwnersOwner], &RowFields { row: &orphan, recorded, context });
    });
}

#[test]
fn ipv4_compatible_addresses_are_dotted_in_every_form() {
    with_context(42, |context| {
        let addr = "::7f00:1".parse().unwrap();
        let row = SocketRow { local: Endpoint { addr, port: 80 }, ..row() };
        let fields = RowFields { row: &row, recorded: None, context };
        let columns = Column::parse_list("local", RowKinds::INET).unwrap();
        let [mut object, mut column] = [Vec::new(), Vec::new()];
        inet::json(&mut object, &row, context.labels, context.owners.of(42), &Beyond::default());
        Shape::new(&columns).row(&mut column, &fields);
        for out in [&object, &column] {
            assert_eq!(parsed(out)["local"]["addr"], "::127.0.0.1");
        }
        assert_eq!(crate::view::columns::cells(&columns, &fields), [b"::127.0.0.1:80"]);
    });
}

#[test]
fn sctp_rows() {
    with_context(42, |context| {
        let addrs: Vec<std::net::IpAddr> = vec!["10.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        let peer = SctpPeer { addrs: addrs.clone(), port: 9, recv_q: 1, send_q: 2 };
        let row = SctpRow { local: addrs, local_port: 80, peer: Some(peer), state: 1, uid: 1000, inode: 42 };
        let mut out = Vec::new();
        let netns = Some(Netns { inode: Some(5), name: Some(b"blue") });
        let beyond = Beyond { netns, ..Beyond::default() };
        sctp::json(&mut out, &row, context.labels, context.owners.of(42), &beyond);
        agree(&out, RowKinds::SCTP, &[Field::Netns, Field::NetnsName], &SctpFields { row: &row, context });
    });
}

#[test]
fn unix_rows() {
    with_context(42, |context| {
        let row = UnixRow { refcnt: 2, protocol: 0, flags: 0x5_0000, kind: 1, state: 1, inode: 42, path: b"/a b" };
        let mut out = Vec::new();
        unix::json(&mut out, &row, context.owners.of(42), None);
        agree(&out, RowKinds::UNIX, &[], &UnixFields { row: &row, context });
        let pending = UnixRow { kind: 9, state: 1, flags: 0, inode: 42, path: b"", ..row };
        let mut out = Vec::new();
        unix::json(&mut out, &pending, context.owners.of(42), Some(Netns { inode: Some(5), name: Some(b"blue") }));
        agree(&out, RowKinds::UNIX, &[Field::Netns, Field::NetnsName], &UnixFields { row: &pending, context });
    });
}

fn totals() -> Totals {
    Totals {
        duration_ns: Some(5),
        rx_bytes: Some(11),
        tx_bytes: None,
        rtt_us: Some(12),
        retransmits: Some(0),
        reason: CloseReason::ResetSent,
        closed_by: Some(Closer { pid: 7, comm: Comm::new(b"sh"), start: 0 }),
    }
}

fn owner() -> Option<Owner> {
    Some(Owner { pid: 7, comm: Comm::new(b"curl"), grade: Grade::Created, cgroup_id: None, start: 0 })
}

fn end(port: u16) -> Option<EventEnd> {
    Some(EventEnd { addr: [127, 0, 0, 1].into(), port: Some(port) })
}

#[test]
fn closed_sockets() {
    [Proto::Tcp, Proto::Udp6].into_iter().for_each(closed_sockets_of);
}

fn closed_sockets_of(proto: Proto) {
    with_context(42, |context| {
        let socket = LiveSocket {
            proto,
            state: TcpState::TimeWait,
            local: end(80),
            remote: end(90),
            netns: Some(5),
            uid: Some(1000),
            inode: 42,
            cookie: Some(77),
            owner: owner(),
            since_ns: Some(3),
            seen_ns: 3,
            state_ns: 3,
        };
        let closed = ClosedSocket { socket, closed_ns: 1_769_860_800_123_456_789, totals: totals() };
        let mut out = Vec::new();
        beyond::json(&mut out, &closed, Some(b"joe"), None);
        // A timer that nobody knows any more is null as a whole.
        let fields: Vec<Column> = of(RowKinds::CLOSED)
            .filter(|spec| spec.field.nested().is_none_or(|(group, _)| group != "timer"))
            .map(|spec| Column::Field(spec.field))
            .chain([Column::Group("timer"), Column::Field(Field::OwnersOwner)])
            .collect();
        let mut table = Vec::new();
        Shape::new(&fields).row(&mut table, &ClosedFields { closed: &closed, context });
        assert_eq!(parsed(&table), parsed(&out));
        assert_eq!(parsed(&out)["state"], "CLOSE");
    });
}

fn event(kind: EventKind) -> SocketEvent {
    SocketEvent {
        time_ns: 1_769_860_800_123_456_789,
        kind,
        proto: Proto::Tcp,
        local: end(47_951),
        remote: end(80),
        owner: owner(),
        uid: Some(1000),
        inode: Some(123),
        cookie: Some(77),
        netns: Some(5),
    }
}

const STATE_ONLY: [Field; 3] = [Field::OldState, Field::NewState, Field::InStateNs];
const CLOSE_ONLY: [Field; 8] = [
    Field::DurationNs,
    Field::RxBytes,
    Field::TxBytes,
    Field::RttUs,
    Field::Retransmits,
    Field::Reason,
    Field::ClosedByPid,
    Field::ClosedByComm,
];

/// The events of each kind, and the fields that it does not have.
fn events() -> [(EventKind, Vec<Field>); 3] {
    let state = EventKind::State { old: TcpState::SynSent, new: TcpState::Established, in_state_ns: Some(35_120) };
    [
        (EventKind::Open, [&STATE_ONLY[..], &CLOSE_ONLY].concat()),
        (state, CLOSE_ONLY.to_vec()),
        (EventKind::Close(totals()), STATE_ONLY.to_vec()),
    ]
}

#[test]
fn event_lines() {
    for (kind, lacks) in events() {
        let event = event(kind);
        let mut out = Vec::new();
        EventView::new(crate::view::event::Form::Json).write(&mut out, &Event::Socket(event), None);
        let hand_written = parsed(&out);
        let has = |spec: &&FieldSpec| !lacks.contains(&spec.field);
        let fields: Vec<Column> = of(RowKinds::EVENT).filter(has).map(|spec| Column::Field(spec.field)).collect();
        let mut table = Vec::new();
        let row =
            EventFields { event: &event, direction: None, times: None, netns_name: None, users: None, providers: &[] };
        Shape::new(&fields).row(&mut table, &row);
        assert_eq!(parsed(&table), hand_written);
        for field in lacks {
            assert_eq!(row.value(field), Value::Null, "{}", field.name());
        }
    }
}

#[test]
fn the_states_of_a_life_are_a_column() {
    let mut times = StateTimes::default();
    times.add(TcpState::SynSent, Some(37_000));
    times.add(TcpState::Established, Some(50_400_000));
    times.add(TcpState::FinWait1, None);
    let event = event(EventKind::Close(totals()));
    let lives = RowKinds::EVENT.or(RowKinds::LIFE);
    let shown = |names: &str, times: Option<StateTimes>| {
        let columns = Column::parse_list(names, lives).unwrap();
        let row = EventFields { event: &event, direction: None, times, netns_name: None, users: None, providers: &[] };
        let mut json = Vec::new();
        Shape::new(&columns).row(&mut json, &row);
        let cells = crate::view::columns::cells(&columns, &row);
        (String::from_utf8(json).unwrap(), String::from_utf8(cells.join(&b'|')).unwrap())
    };
    let (json, text) = shown("states,states.ESTABLISHED,states.CLOSE_WAIT", Some(times));
    assert_eq!(json, "{\"states\":{\"SYN_SENT\":37000,\"ESTABLISHED\":50400000,\"FIN_WAIT1\":null}}\n");
    assert_eq!(text, "connect 37us, established 50.4ms, closing -|50.4ms|-");
    let (json, _) = shown("states.ESTABLISHED,states.CLOSE_WAIT", Some(times));
    assert_eq!(json, "{\"states\":{\"ESTABLISHED\":50400000,\"CLOSE_WAIT\":null}}\n");
    assert_eq!(shown("states", None), ("{\"states\":null}\n".into(), "-".into()));
    // The values kept for a count are the same times.
    let fields = [Field::StatesSynSent, Field::StatesEstablished, Field::StatesClose];
    let row = EventFields {
        event: &event,
        direction: None,
        times: Some(times),
        netns_name: None,
        users: None,
        providers: &[],
    };
    let kept = crate::view::columns::Kept(fields.map(|field| (field, row.value(field).into_owned())).to_vec());
    assert_eq!(kept.times().unwrap().iter().count(), 2);
    let single = Column::parse("states", RowKinds::EVENT).unwrap_err().to_string();
    assert_eq!(single, "`states' is known of whole connections alone: give --life, too");
}

#[test]
fn the_schema_of_events_has_the_fields_of_the_table() {
    let schema = parsed(SCHEMA.as_bytes());
    let line = &schema["oneOf"][1];
    let mut names = BTreeSet::new();
    for (name, property) in line["properties"].as_object().unwrap() {
        let property = match property["$ref"].as_str().map(|to| to.rsplit('/').next().unwrap()) {
            Some(definition) => &schema["$defs"][definition],
            None => property,
        };
        match property["properties"].as_object() {
            Some(inner) => names.extend(inner.keys().map(|inner| format!("{name}.{inner}"))),
            None => drop(names.insert(name.clone())),
        }
    }
    // Only a whole life (--life) has it: its keys are the states that it had.
    assert!(names.remove("states"));
    let from_table: BTreeSet<String> = of(RowKinds::EVENT).map(|spec| spec.name.to_owned()).collect();
    assert_eq!(names, from_table);
    // The tables have protocols that events have not.
    let protos = Proto::ALL.map(Proto::name);
    for (schema, field) in [
        (&line["properties"]["event"], Field::Event),
        (&line["properties"]["proto"], Field::Proto),
        (&line["properties"]["owner"], Field::Owner),
        (&line["properties"]["reason"], Field::Reason),
        (&schema["$defs"]["state"], Field::OldState),
    ] {
        let ValueKind::Word(words) = field.spec().kind else { panic!("{}", field.name()) };
        let known: BTreeSet<_> =
            words.iter().copied().filter(|word| field != Field::Proto || protos.contains(word)).collect();
        let of_schema = schema["enum"].as_array().unwrap().iter().filter_map(|word| word.as_str());
        assert_eq!(of_schema.collect::<BTreeSet<_>>(), known, "{}", field.name());
    }
}

#[test]
fn dotted_columns_stay_nested_in_the_order_of_their_first() {
    with_context(42, |context| {
        let columns = Column::parse_list("local.port,state,owners.pid,local.addr,timer.seconds,state", RowKinds::INET);
        let mut out = Vec::new();
        Shape::new(&columns.unwrap()).row(&mut out, &RowFields { row: &row(), recorded: None, context });
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"local\":{\"port\":80,\"addr\":\"::ffff:1.2.3.4\"},\"state\":\"ESTABLISHED\",\"owners\":[{\"pid\":7},{\"pid\":9}],\
             \"timer\":{\"seconds\":19.88}}\n"
        );
    });
}
