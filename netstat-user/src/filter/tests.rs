use super::*;
use crate::field::{
    CHOOSERS, ClosedFields, EventFields, FIELDS, HasFields, Need, Provider, RowContext, RowFields, RowKinds, Subject,
    UnixFields, Value, ValueKind,
};
use crate::model::{
    CloseReason, ClosedSocket, Closer, Comm, Endpoint, EventEnd, EventKind, Grade, Holder, Labels, ListedRow,
    LiveSocket, Owner, Proto, RowTest, SocketEvent, SocketHolders, SocketRow, TcpState, Timer, Totals, UnixRow,
    UnseenHolders,
};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

const ROWS: RowKinds = RowKinds::INET.or(RowKinds::UNIX).or(RowKinds::CLOSED);

fn read(text: &str) -> Expr {
    parse(text, ROWS).unwrap_or_else(|mistake| panic!("{mistake}"))
}

struct Names;

impl Resolver for Names {
    fn service(&mut self, name: &str) -> Vec<u16> {
        match name {
            "ssh" => vec![22],
            "two" => vec![7, 8],
            _ => vec![],
        }
    }
    fn host(&mut self, name: &str) -> Vec<IpAddr> {
        if name == "home" { vec![[127, 0, 0, 1].into(), "::1".parse().unwrap()] } else { vec![] }
    }
    fn user(&mut self, name: &str) -> Option<u32> {
        (name == "joe").then_some(1000)
    }
    fn netns(&mut self, name: &str) -> Option<u32> {
        matches!(name, "self" | "blue").then_some(5)
    }
    fn has_device(&mut self, name: &str) -> bool {
        name == "lo" || name == "1"
    }
    fn ephemeral(&mut self) -> EphemeralPorts {
        EphemeralPorts { of: HashMap::from([(6, 20_000..=20_100)]), others: 32_768..=60_999 }
    }
}

fn row(proto: Proto, local: (&str, u16), remote: (&str, u16), state: u8) -> SocketRow {
    let end = |(addr, port): (&str, u16)| Endpoint { addr: addr.parse().unwrap(), port };
    SocketRow {
        recv_q: 5000,
        send_q: 0,
        uid: 1000,
        inode: 42,
        timer: Timer { kind: 1, expires: 150, retransmits: 0, probes: 0 },
        netns: Some(5),
        ..SocketRow::bare(proto, end(local), end(remote), state)
    }
}

/// What the expression says of a row with two owners, 7/`a*b` and 9 whose name is not known.
fn says(text: &str, row: &SocketRow) -> bool {
    let mut owners = SocketHolders::default();
    owners.expect([42].into_iter());
    for (pid, program, comm) in [(7, &b"a*b"[..], Some(Comm::new(b"nginx"))), (9, b"sh", None)] {
        let holder = owners.holder(Holder { pid, program: program.to_vec(), comm });
        owners.add(42, holder);
    }
    let labels = Labels { users: HashMap::from([(1000, b"joe".to_vec())]), ..Labels::default() };
    let context =
        RowContext { owners: &owners, labels: &labels, netns: None, netns_names: &HashMap::new(), providers: &[] };
    let predicate = Predicate::new(&read(text), &mut Names).unwrap_or_else(|error| panic!("{}", error.what));
    predicate.holds(&RowFields { row, recorded: None, context: &context })
}

/// As inet_ntop(3) writes it: `::7f00:1` is the same address, and no text of it.
#[test]
fn an_ipv4_compatible_address_is_read_and_printed_as_it_is_shown() {
    let row = row(Proto::Tcp6, ("::127.0.0.1", 22), ("::127.0.0.9", 80), 1);
    for text in [
        "src ::127.0.0.1",
        "src = [::7f00:1]",
        "src [::127.0.0.1]:22",
        "dst ::127.0.0.0/120",
        "remote.addr = ::127.0.0.9",
        "remote.addr = '::127.0.0.*'",
        "remote_ip ~ ^::127",
    ] {
        assert!(says(text, &row), "{text}");
    }
    assert!(!says("remote.addr = '::7f00:*'", &row));
    for text in ["src [::127.0.0.1]", "src [::127.0.0.1]:22", "dst [::127.0.0.0/120]"] {
        assert_eq!(read(text).to_string().replace("= ", ""), text);
    }
}

#[test]
fn every_condition_is_true_of_some_rows_and_not_of_others() {
    let estab = row(Proto::Tcp, ("127.0.0.1", 22), ("10.1.2.3", 40_000), 1);
    let listen = row(Proto::Tcp6, ("::", 80), ("::", 0), 10);
    let mapped = row(Proto::Tcp6, ("::ffff:127.0.0.1", 22), ("::1", 40_000), 6);
    let udp = row(Proto::Udp, ("127.0.0.1", 53), ("0.0.0.0", 0), 7);
    for (text, expected) in [
        // ss's.
        ("state established", [true, false, false, false]),
        ("state listening state time-wait", [false, true, true, false]),
        ("exclude listening exclude closed", [true, false, true, false]),
        ("state all exclude TIME_WAIT", [true, true, false, true]),
        ("state connected", [true, false, true, false]),
        ("state bucket", [false, false, true, false]),
        ("state unconnected", [false, false, false, true]),
        ("not state established", [false, true, true, true]),
        ("src 127.0.0.1", [true, false, true, true]),
        ("src = 127/8:22", [true, false, true, false]),
        ("src [::ffff:127.0.0.1]", [false, false, true, false]),
        ("src inet6:*", [false, true, true, false]),
        ("src inet:*:22", [true, false, false, false]),
        ("src 0.0.0.0/0", [true, false, true, true]),
        ("src ::/0", [false, true, true, false]),
        ("src home:ssh", [true, false, true, false]),
        ("dst ::1", [false, false, true, false]),
        // As ss reads them: the last number is the port, missing numbers are zero, and a length may be a mask.
        ("dst ::1:40000", [false, false, true, false]),
        ("dst ::1:40001", [false, false, false, false]),
        ("dst 10.1.0.0 or dst 10.1", [false, false, false, false]),
        ("src 127.1/16", [false, false, false, false]),
        ("dst 10.1/255.255.0.0:40000", [true, false, false, false]),
        ("sport = :0x16", [true, false, true, false]),
        ("dst 10.0.0.0/8:40000", [true, false, false, false]),
        ("sport :ssh", [true, false, true, false]),
        ("sport = 22", [true, false, true, false]),
        ("sport != :22", [false, true, false, true]),
        ("sport lt :53", [true, false, true, false]),
        ("sport >= :53", [false, true, false, true]),
        ("dport gt :1024 and sport le :22", [true, false, true, false]),
        ("dport :*", [true, true, true, true]),
        ("autobound", [false, false, false, false]),
        ("local != null and remote != null and owners != null", [true, true, true, true]),
        ("local = null or timer = null or closed_by != null", [false, false, false, false]),
        // and, or, not.
        ("sport = :22 state established", [true, false, false, false]),
        ("state listening or sport = :22 and state time-wait", [false, true, true, false]),
        ("(state listening or sport = :22) && ! state time-wait", [true, true, false, false]),
        ("sport=:53|sport=:80", [false, true, false, true]),
        ("! ( sport = :53 || sport = :80 )", [true, false, true, false]),
        // Fields.
        ("proto = tcp", [true, false, false, false]),
        ("proto = tcp*", [true, true, true, false]),
        ("state = LISTEN", [false, true, false, false]),
        ("state = fin-wait-1 or state = estab", [true, false, false, false]),
        ("state != LISTEN", [true, false, true, false]),
        ("state = null", [false, false, false, true]),
        ("state != null", [true, true, true, false]),
        ("not state = LISTEN", [true, false, true, true]),
        ("local.addr = 127.0.0.1", [true, false, false, true]),
        ("local.addr = 127.0.0.0/8", [true, false, false, true]),
        ("local.addr = 127.*", [true, false, false, true]),
        ("remote.addr = ::/64", [false, true, true, false]),
        ("local.port = ssh", [true, false, true, false]),
        ("local.port=22 remote.port>=40000", [true, false, true, false]),
        ("recv_q > 4K and recv_q <= 5000", [true, true, true, true]),
        ("recv_q < 4K", [false, false, false, false]),
        ("timer.seconds = 1.5s and timer.seconds < 2", [true, true, true, true]),
        ("uid = joe and user = joe", [true, true, true, true]),
        ("netns = blue and netns = self and netns = 5", [true, true, true, true]),
        ("proto ~ '^(udp|tcp)$'", [true, false, false, true]),
        ("proto !~ 6$", [true, false, false, true]),
        // Owners: one of them is enough.
        ("owners.pid = 9 and owners.pid != 9 and owners.pid > 8", [true, true, true, true]),
        ("owners.comm = ng?nx and owners.comm ~ ^n", [true, true, true, true]),
        // The first of them is the one that is shown.
        ("pid = 7 and comm = nginx", [true, true, true, true]),
        ("pid = 9 or pid != 7 or comm = null or comm != nginx", [false, false, false, false]),
        (r"owners.program = 'a\*b' and owners.program = a*", [true, true, true, true]),
        (r"owners.program = \*", [false, false, false, false]),
        ("owners.comm = null", [true, true, true, true]),
        ("cookie = null and cookie != 5", [false, false, false, false]),
        ("cookie = null and not cookie != 5", [true, true, true, true]),
    ] {
        let got = [&estab, &listen, &mapped, &udp].map(|row| says(text, row));
        assert_eq!(got, expected, "{text}");
    }
}

#[test]
fn unix_domain_sockets() {
    let of = |state, flags, path| UnixRow { refcnt: 2, protocol: 0, flags, kind: 1, state, inode: 42, path };
    let rows = [of(1, 0x10000, &b"/run/A.sock"[..]), of(3, 0, b""), of(1, 0, b"@0a1b2")];
    let context = RowContext {
        owners: &SocketHolders::default(),
        labels: &Labels::default(),
        netns: None,
        netns_names: &HashMap::new(),
        providers: &[],
    };
    for (text, expected) in [
        ("state listening", [true, false, false]),
        ("state = listening", [true, false, false]),
        ("state established", [false, true, false]),
        ("state closed", [false, false, true]),
        ("src /RUN/*.sock", [true, false, false]),
        ("src unix:/run/[A-C].sock", [true, false, false]),
        ("path = /run/*.sock and flags = ACC and type = stream", [true, false, false]),
        ("path = null", [false, true, false]),
        ("autobound", [false, true, true]),
        ("sport = :80 or src 127.0.0.1", [false, false, false]),
    ] {
        let predicate = Predicate::new(&read(text), &mut Names).unwrap();
        let got = rows.each_ref().map(|row| predicate.holds(&UnixFields { row, context: &context }));
        assert_eq!(got, expected, "{text}");
    }
}

/// A row of which the kernel says who chose its port.
struct PortChosen<'a>(RowFields<'a>, Option<&'static str>);

impl HasFields for PortChosen<'_> {
    fn value(&self, field: Field) -> Value<'_> {
        if field == Field::PortChosenBy { Value::word(self.1) } else { self.0.value(field) }
    }

    fn state(&self) -> Option<TcpState> {
        self.0.state()
    }

    fn end(&self, own: bool) -> Option<(IpAddr, Option<u16>)> {
        self.0.end(own)
    }
}

/// The whole expression holds by the range of ports, and by the kernel's mark.
#[test]
fn autobound_is_asked_twice() {
    let context = RowContext {
        owners: &SocketHolders::default(),
        labels: &Labels::default(),
        netns: None,
        netns_names: &HashMap::new(),
        providers: &[],
    };
    let [process, kernel] = CHOOSERS;
    let rows = [(80, process), (80, kernel), (40_000, process), (40_000, kernel)]
        .map(|(port, chooser)| (row(Proto::Tcp, ("127.0.0.1", port), ("10.1.2.3", 443), 1), chooser));
    for (text, expected, early) in [
        ("autobound", [false, false, false, true], [Some(false), Some(false), None, None]),
        ("not autobound", [true, false, false, false], [None, None, Some(false), Some(false)]),
        ("not not autobound", [false, false, false, true], [Some(false), Some(false), None, None]),
        ("not (autobound or sport = :80)", [false; 4], [Some(false); 4]),
        ("not (autobound and sport = :80)", [true, false, true, true], [None, None, Some(true), Some(true)]),
        ("autobound or not autobound", [true; 4], [None; 4]),
        ("autobound and not autobound", [false; 4], [Some(false); 4]),
        ("autobound or dport = :443", [true; 4], [Some(true); 4]),
    ] {
        let predicate = Predicate::new(&read(text), &mut Names).unwrap();
        let rows = rows
            .each_ref()
            .map(|(row, chooser)| PortChosen(RowFields { row, recorded: None, context: &context }, Some(*chooser)));
        assert_eq!(rows.each_ref().map(|row| predicate.holds(row)), expected, "{text}");
        let decided = rows.each_ref().map(|row| predicate.decide(row, Need::NONE));
        // What is said before the kernel is asked stays true.
        for (place, decided) in decided.iter().enumerate().filter(|(_, decided)| decided.is_some()) {
            assert_eq!(*decided, Some(expected[place]), "{text}");
        }
        assert_eq!(decided, early, "{text}");
        // Another namespace has another range.
        let elsewhere = rows.each_ref().map(|PortChosen(fields, chooser)| {
            let row = SocketRow { netns: Some(6), ..*fields.row };
            predicate.holds(&PortChosen(RowFields { row: &row, ..*fields }, *chooser))
        });
        if !text.contains("sport") {
            assert_eq!(elsewhere, [expected[0], expected[1], expected[0], expected[1]], "{text}");
        }
        // Where the kernel does not say, the range alone counts.
        let unasked = rows.map(|PortChosen(row, _)| predicate.holds(&PortChosen(row, None)));
        assert_eq!(unasked, [expected[0], expected[0], expected[3], expected[3]], "{text}");
    }
}

/// What an expression surely is for a connection with this inode and this remote address.
fn certain(
    text: &str,
    (inode, remote): (u64, &str),
    owners: &SocketHolders,
    providers: &[&dyn Provider],
    answers: &UnseenAnswers,
) -> Option<bool> {
    let (labels, names) = (Labels::default(), HashMap::new());
    let context = RowContext { owners, labels: &labels, netns: None, netns_names: &names, providers };
    let row = SocketRow { inode, ..row(Proto::Tcp, ("127.0.0.1", 22), (remote, 40_000), 1) };
    let fields = RowFields { row: &row, recorded: None, context: &context };
    Predicate::new(&read(text), &mut Names).unwrap().is_certain(&fields, Need::NONE, answers)
}

/// A process that could not be looked into may hold the socket, too, or it alone.
#[test]
fn what_a_hidden_holder_decides_is_not_known() {
    let holder = |pid, name: &[u8]| Holder { pid, program: name.to_vec(), comm: Some(Comm::new(name)) };
    let mut owners = SocketHolders::default();
    owners.expect([42, 43].into_iter());
    let nginx = owners.holder(holder(7, b"nginx"));
    owners.add(42, nginx);
    let says = |text: &str, inode, hidden: UnseenHolders| {
        let mut owners = owners.clone();
        owners.unseen = hidden;
        certain(text, (inode, "10.1.2.3"), &owners, &[], &UnseenAnswers::default())
    };
    // Held by nginx, by nobody who could be seen, and by nobody at all.
    for (text, by_precious, by_anybody) in [
        ("comm = nginx", [Some(true), Some(false), Some(false)], [Some(true), None, Some(false)]),
        ("comm = precious", [None, None, Some(false)], [None, None, Some(false)]),
        ("not comm = precious", [None, None, Some(true)], [None, None, Some(true)]),
        ("comm != precious", [None, Some(false), Some(false)], [None, None, Some(false)]),
        ("not comm = other", [Some(true), Some(true), Some(true)], [None, None, Some(true)]),
        ("owners.comm != precious", [Some(true), Some(false), Some(false)], [Some(true), None, Some(false)]),
        ("not owners.pid = 9", [None, None, Some(true)], [None, None, Some(true)]),
        ("owners = null", [Some(false), None, Some(true)], [None, None, Some(true)]),
        ("pid != null", [Some(true), None, Some(false)], [Some(true), None, Some(false)]),
        ("comm = precious and sport = :23", [Some(false); 3], [Some(false); 3]),
        ("comm = precious or sport = :22", [Some(true); 3], [Some(true); 3]),
        ("not sport = :23", [Some(true); 3], [Some(true); 3]),
    ] {
        let inodes = [42, 43, 0];
        let hidden = || UnseenHolders::These(vec![holder(9, b"precious")]);
        assert_eq!(inodes.map(|inode| says(text, inode, hidden())), by_precious, "{text}");
        assert_eq!(inodes.map(|inode| says(text, inode, UnseenHolders::Anybody)), by_anybody, "{text}");
        let none = inodes.map(|inode| says(text, inode, UnseenHolders::default()));
        assert!(none.iter().all(Option::is_some), "{text}: {none:?}");
    }
}

/// What is done to a socket cannot be undone: it takes more to be sure of who holds it than to show it.
#[test]
fn sockets_are_closed_only_where_nobody_else_can_change_the_answer() {
    let holder = |pid, name: &[u8]| Holder { pid, program: name.to_vec(), comm: Some(Comm::new(name)) };
    let mut owners = SocketHolders::default();
    owners.expect([42, 43].into_iter());
    let nginx = owners.holder(holder(7, b"nginx"));
    owners.add(42, nginx);
    let strictly = |text: &str, inode, owners: &SocketHolders| {
        certain(text, (inode, "10.1.2.3"), owners, &[], &UnseenAnswers::strict())
    };
    let says = |text: &str, inode, hidden: UnseenHolders, outside| {
        let mut owners = owners.clone();
        (owners.unseen, owners.in_nested_pid_namespace) = (hidden, outside);
        strictly(text, inode, &owners)
    };
    let hidden = |pid| UnseenHolders::These(vec![holder(pid, b"precious")]);
    let (nobody, anybody) = (UnseenHolders::default(), UnseenHolders::Anybody);
    // Nobody is hidden; one with a lower number than the holder, one with a higher; anybody; somebody outside of the container.
    for (text, seen, lower, higher, any, outside) in [
        ("comm = nginx", Some(true), None, Some(true), None, Some(true)),
        ("pid > 6", Some(true), None, Some(true), None, Some(true)),
        ("comm ~ ^n", Some(true), None, Some(true), None, Some(true)),
        ("pid != null", Some(true), Some(true), Some(true), None, Some(true)),
        ("owners.comm = nginx", Some(true), Some(true), Some(true), Some(true), Some(true)),
        ("not comm = precious", Some(true), None, None, None, None),
        ("comm != other", Some(true), Some(true), Some(true), None, None),
        ("not owners.comm = sshd", Some(true), Some(true), Some(true), None, None),
        ("owners.comm != sshd", Some(true), Some(true), Some(true), Some(true), Some(true)),
        ("sport = :22 or comm = sshd", Some(true), Some(true), Some(true), Some(true), Some(true)),
    ] {
        let those = [nobody.clone(), hidden(5), hidden(9), anybody.clone()].map(|hidden| says(text, 42, hidden, false));
        assert_eq!(those, [seen, lower, higher, any], "{text}");
        assert_eq!(says(text, 42, nobody.clone(), true), outside, "{text}");
    }
    // A process that held it, too, ended meanwhile, or the one that was found.
    let mut owners = owners.clone();
    owners.lose_all_of(&HashSet::from([7]));
    let lost = |text: &str| strictly(text, 42, &owners);
    for (text, expected) in [
        ("not comm = sshd", None),
        ("comm = nginx", None),
        ("comm = sshd", None),
        ("not owners.comm = sshd", None),
        ("owners.comm = nginx", Some(true)),
        ("not sport = :23", Some(true)),
        ("comm = sshd and sport = :23", Some(false)),
    ] {
        assert_eq!(lost(text), expected, "{text}");
    }
    // Nobody was found, and nobody can be.
    for text in ["not comm = sshd", "owners = null", "comm = nginx"] {
        assert_eq!(says(text, 43, nobody.clone(), false), None, "{text}");
        assert!(says(text, 0, nobody.clone(), false).is_some(), "{text}");
    }
}

/// Whoever holds the other end of a socket, if it was found.
struct OtherEnd(Option<u32>);

impl Provider for OtherEnd {
    fn provides(&self) -> Need {
        Need::PEERS
    }

    fn value<'a>(&'a self, _: &Subject<'a>, field: Field) -> Value<'a> {
        match field {
            Field::PeerPid => Value::number(self.0),
            Field::PeerComm => Value::text(self.0.map(|_| &b"nginx"[..])),
            _ => Value::Null,
        }
    }

    fn has_peer(&self, _: &Subject<'_>) -> bool {
        true
    }
}

/// In a container a process outside of it may hold the socket, or its other end, where nobody is found.
#[test]
fn what_a_process_outside_the_container_decides_is_not_known() {
    let mut owners = SocketHolders::default();
    owners.in_nested_pid_namespace = true;
    owners.expect([42, 43].into_iter());
    let nginx = owners.holder(Holder { pid: 7, program: b"nginx".to_vec(), comm: Some(Comm::new(b"nginx")) });
    owners.add(42, nginx);
    let says = |text: &str, inode, other: Option<u32>| {
        certain(text, (inode, "127.0.0.1"), &owners, &[&OtherEnd(other)], &UnseenAnswers::default())
    };
    for (text, found, not_found) in [
        ("not comm = sshd", Some(true), None),
        ("not peer.comm = sshd", Some(true), None),
        ("peer.pid = 9", Some(false), None),
        ("peer.container = null", Some(true), None),
        ("not sport = :23", Some(true), Some(true)),
    ] {
        assert_eq!(says(text, 42, Some(8)), found, "{text}");
        assert_eq!(says(text, 43, None), not_found, "{text}");
    }
}

/// What could not be read is null and may be anything.
#[test]
fn what_could_not_be_read_decides_nothing() {
    let (owners, labels, names) = (SocketHolders::default(), Labels::default(), HashMap::new());
    let context = RowContext { owners: &owners, labels: &labels, netns: None, netns_names: &names, providers: &[] };
    let row = row(Proto::Tcp, ("127.0.0.1", 22), ("127.0.0.1", 40_000), 1);
    for (text, read, unread) in [
        ("not fwmark = 3", Some(true), None),
        ("fwmark = 3", Some(false), None),
        ("not dev = lo", Some(true), None),
        ("not info.rtt_us > 5ms", Some(true), Some(true)),
        ("fwmark = 3 and sport = :23", Some(false), Some(false)),
        ("fwmark = 3 or sport = :22", Some(true), Some(true)),
    ] {
        let predicate = Predicate::new(&super::parse(text, ROWS).unwrap(), &mut Names).unwrap();
        let answers = UnseenAnswers::default();
        let says = |unread| {
            predicate.is_certain(&RowFields { row: &row, recorded: None, context: &context }, unread, &answers)
        };
        assert_eq!([says(Need::NONE), says(Need::DIAG)], [read, unread], "{text}");
    }
}

/// What socket columns decide is decided before owners are known.
#[test]
fn rows_are_decided_as_early_as_can_be() {
    let context = RowContext {
        owners: &SocketHolders::default(),
        labels: &Labels::default(),
        netns: None,
        netns_names: &HashMap::new(),
        providers: &[],
    };
    let row = row(Proto::Tcp, ("127.0.0.1", 22), ("10.1.2.3", 40_000), 1);
    let row = RowFields { row: &row, recorded: None, context: &context };
    for (text, decided) in [
        ("sport = :23 and pid = 7", Some(false)),
        ("sport = :22 and pid = 7", None),
        ("sport = :22 or pid = 7", Some(true)),
        ("not (pid = 7 and sport = :23)", Some(true)),
        ("dev = lo", None),
        ("user = joe", None),
    ] {
        let predicate = Predicate::new(&read(text), &mut Names).unwrap();
        assert!(!predicate.needs().is_none());
        assert_eq!(predicate.decide(&row, Need::NONE), decided, "{text}");
    }
}

#[test]
fn conditions_on_what_no_listed_row_has_are_refused() {
    for (text, rows, field) in [
        ("dev lo", RowKinds::EVENT, Some("dev")),
        ("dev = lo", RowKinds::EVENT, Some("dev")),
        ("dev = null", RowKinds::EVENT, Some("dev")),
        ("fwmark = 0x1", RowKinds::EVENT, Some("fwmark")),
        ("state established and fwmark != 1/3", RowKinds::EVENT, Some("fwmark")),
        ("recv_q > 1", RowKinds::EVENT, Some("recv_q")),
        ("src /run/x", RowKinds::EVENT, Some("path")),
        ("autobound or cgroup /x or src 10.0.0.1", RowKinds::EVENT, None),
        ("states.SYN_SENT > 1s", RowKinds::EVENT.or(RowKinds::LIFE), None),
        ("dev lo and fwmark = 1", RowKinds::INET, None),
    ] {
        match (parse(text, rows), field) {
            (Ok(_), None) => {}
            (Err(mistake), Some(field)) => {
                assert!(mistake.what.contains(&format!("no row that is listed has a field `{field}'")), "{mistake}");
            }
            (got, _) => panic!("{text}: {got:?}"),
        }
    }
}

#[test]
fn both_ports_are_named_for_one() {
    let mistake = parse("state listening port = 80", ROWS).unwrap_err();
    assert!(mistake.what.contains("`sport = :80 or dport = :80'") && mistake.what.contains("--port"), "{mistake}");
}

#[test]
fn a_mistake_is_marked_with_what_was_expected_and_the_nearest_word() {
    for (text, mark, what, nearest) in [
        ("", 0..0, "expected a condition", None),
        ("  ", 2..2, "expected a condition", None),
        ("state listning", 6..14, "expected the name of a state", Some("listening")),
        ("stat = LISTEN", 0..4, "there is no field or condition `stat'", Some("state")),
        ("sprt = :80", 0..4, "there is no field", Some("sport")),
        (
            "local = 10.0.0.1",
            0..5,
            "`local' is a group of fields: write one of local.addr local.port, or `local = null'",
            None,
        ),
        ("timer < null", 0..5, "`timer' is a group of fields", None),
        ("src 80", 4..6, "expected an address", None),
        ("sport = *:443", 8..13, "expected a port alone", None),
        ("sport = :010", 8..12, "expected a port without a zero before it", None),
        ("sport = :99999", 8..14, "expected a port from 0 to 65535", None),
        ("dst 10.0.0.0/255.0.255.0", 4..24, "expected an address", None),
        ("local.prt = 80", 0..9, "there is no field", Some("local.port")),
        ("local.port 80", 11..13, "expected an operator after `local.port'", None),
        ("local.port = ", 13..13, "expected a value after `local.port ='", None),
        ("local.port = 70000", 13..18, "expected a port from 0 to 65535", None),
        ("sport = :99999", 8..14, "expected a port from 0 to 65535", None),
        ("sport ~ x", 6..7, "expected one of =", None),
        ("sport => 80", 6..8, "there is no operator `=>'", Some(">=")),
        ("recv_q =< 4K", 7..9, "there is no operator `=<'", Some("<=")),
        ("state = LISTN", 8..13, "expected one of", Some("LISTEN")),
        ("state = bucket", 8..14, "write `state bucket'", None),
        ("proto < udp", 8..11, "words like `proto' have no order", None),
        ("recv_q > 4Q", 9..11, "expected bytes such as", None),
        ("recv_q > null", 9..13, "expected `=' or `!=' before null", None),
        ("timer.seconds > 5x", 16..18, "expected a time such as", None),
        ("local.addr = 10.0.0.300", 13..23, "expected an address", None),
        ("local.addr = 10.0.0.0/33", 13..24, "expected an address", None),
        ("local.addr < 10.0.0.0/8", 13..23, "a network has no order", None),
        ("src 0x7f.1", 4..10, "expected decimal numbers without zeros before them", None),
        ("src 0X7F000001", 4..14, "expected decimal numbers", None),
        ("dst 0177.0.0.1:80", 4..17, "expected decimal numbers", None),
        ("src 127.0.0.010", 4..15, "expected decimal numbers", None),
        ("src 010/8", 4..9, "expected decimal numbers", None),
        ("src 0x7f.0.0.0/8", 4..16, "expected decimal numbers", None),
        ("local.addr = 0177.0.0.1", 13..23, "expected decimal numbers", None),
        ("local.addr = 010.0.0.0/8", 13..24, "expected decimal numbers", None),
        ("local.addr = 0x7f.1", 13..19, "expected decimal numbers", None),
        ("src 10.0.0.0/08", 4..15, "expected an address", None),
        ("fwmark = 021", 9..12, "expected a mark such as 10, 0x1 or 0x1/0x3, and no octal one", None),
        ("fwmark 0x1/011", 7..14, "expected a mark", None),
        ("fwmark > 021", 9..12, "expected a mark", None),
        ("comm = abc\\", 10..11, "a backslash takes the sign after it for a letter, and there is none", None),
        ("src [::1", 4..8, "expected a `]'", None),
        ("src netlink:x", 4..13, "netstat lists no netlink sockets", None),
        ("(sport = :80", 0..1, "this `(' is never closed", None),
        ("sport = :80)", 11..12, "no `(' is open here", None),
        ("sport = :80 and", 15..15, "expected a condition", None),
        ("or sport = :80", 0..2, "expected a condition before `or'", None),
        ("comm = 'x", 7..9, "a text in quotes has no end", None),
        ("comm ~ '('", 7..10, "expected a regular expression: unclosed group", None),
        ("time > 2026-01-31T12:00:00Z x", 28..29, "there is no field", None),
        ("old_state = LISTEN", 0..9, "no row that is listed has a field `old_state'", None),
    ] {
        let mistake = parse(text, ROWS).unwrap_err();
        assert!(mistake.what.contains(what), "{text}: {mistake}");
        assert_eq!((mistake.place.start..mistake.place.end, mistake.nearest), (mark, nearest), "{text}: {mistake}");
    }
    let shown = parse("sprt = :ü", ROWS).unwrap_err().to_string();
    assert_eq!(
        shown,
        "there is no field or condition `sprt'; --columns help lists the fields\n  sprt = :ü\n  ^^^^\ndid you mean `sport'?"
    );
    // The mark stands below the word also on terminals, where some letters take two columns and some none.
    let wide = parse("comm = 日本 and sprt = :1", ROWS).unwrap_err().to_string();
    assert!(wide.contains("\n  comm = 日本 and sprt = :1\n                  ^^^^\n"), "{wide}");
    let accents = parse("comm = e\u{301}\u{300} and sprt = 日", ROWS).unwrap_err().to_string();
    assert!(accents.contains(&format!("\n  {}^^^^\n", " ".repeat(13))), "{accents}");
    let deep = "(".repeat(100_000);
    assert!(parse(&deep, ROWS).unwrap_err().what.contains("at most"));
    assert!(parse(&"(".repeat(500), ROWS).unwrap_err().what.contains("nests at most 64 times"));
    assert!(parse(&"not ".repeat(500), ROWS).unwrap_err().what.contains("nests at most 64 times"));
}

#[test]
fn what_looks_like_a_number_may_be_a_name() {
    for name in ["cafe", "fe.ed", "7f.example", "x1.2", "1e100.net"] {
        let host = HostPattern::Inet { v6: None, addr: Addresses::Name(name.into()), port: PortPattern::Any };
        assert_eq!(HostPattern::parse(name), Ok(host), "{name}");
    }
}

#[test]
fn a_family_before_a_port_counts() {
    let of = |proto, addr, port| row(proto, (addr, port), (addr, 40_000), 1);
    let rows = [of(Proto::Tcp, "127.0.0.1", 22), of(Proto::Tcp6, "::1", 22), of(Proto::Tcp6, "::1", 443)];
    for (text, expected) in [
        ("sport = inet6::22", [false, true, false]),
        ("sport inet6:22", [false, true, false]),
        ("sport = inet::443", [false, false, false]),
        ("sport != inet6::22", [false, false, true]),
        ("sport > inet6::1", [false, true, true]),
        ("dport >= inet::1", [true, false, false]),
        ("sport = inet6:*", [false, true, true]),
        ("not sport = inet6::22", [true, false, true]),
    ] {
        assert_eq!(rows.each_ref().map(|row| says(text, row)), expected, "{text}");
    }
    assert!(Spelling::Port.expr(&["inet6:22".into()]).is_err());
}

#[test]
fn protocols_of_which_no_row_is_listed_are_refused_at_their_place() {
    let events = parse("pid = 1 and proto = unix", RowKinds::EVENT).unwrap_err();
    assert_eq!((events.place.start..events.place.end, &*events.what), (20..24, "events have no UNIX domain sockets"));
    let tables = parse("proto=SCTP", RowKinds::INET).unwrap_err();
    assert_eq!((tables.place.start, &*tables.what), (6, "what is listed has no SCTP sockets"));
    for (text, rows) in [("proto = unix", ROWS), ("proto != unix", RowKinds::INET), ("proto = tcp6", RowKinds::EVENT)] {
        assert!(parse(text, rows).is_ok(), "{text}");
    }
}

#[test]
fn names_that_mean_nothing_are_refused_at_their_place() {
    for (text, what) in [
        ("sport = :nosuch", "there is no service `nosuch'"),
        ("local.port = nosuch", "there is no service `nosuch'"),
        ("dst nosuch.example:80", "there is no host `nosuch.example', or no name server answers"),
        ("uid = nobody-here", "there is no user `nobody-here'"),
        ("netns = red", "there is no network namespace `red'"),
        ("dev = eth9", "there is no device `eth9'"),
        ("local.port < two", "is the name of several ports"),
    ] {
        let error = Predicate::new(&read(text), &mut Names).unwrap_err();
        assert!(error.what.contains(what), "{text}: {}", error.what);
        assert!(error.place.end > error.place.start, "{text}");
    }
}

#[test]
fn short_spellings() {
    let spelled = |spelling: Spelling, values: &[&str]| {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        spelling.expr(&values).map(|expr| expr.to_string())
    };
    for (spelling, values, expr) in [
        (Spelling::Pid, &["7,8", "9"][..], "owners.pid = 7 or owners.pid = 8 or owners.pid = 9"),
        (Spelling::Port, &["80"], "sport = :80 or dport = :80"),
        (Spelling::Lport, &["ssh"], "sport = :ssh"),
        (Spelling::Rport, &["1,2"], "dport = :1 or dport = :2"),
        (Spelling::Lport, &["80,8000-8099"], "sport = :80 or sport >= :8000 and sport <= :8099"),
        (Spelling::Lport, &["iso-tsap"], "sport = :iso-tsap"),
        (Spelling::State, &["LISTEN,time-wait", "Fin_Wait2"], "state listening state time-wait state fin-wait-2"),
        (Spelling::Comm, &["a-name-that-is-too-long"], "owners.comm = a-name-that-is-too-long"),
        (Spelling::Netns, &["self,blue,5"], "netns = self or netns = blue or netns = 5"),
        (Spelling::Proto, &["tcp,UDP4"], "proto = tcp or proto = tcp6 or proto = udp"),
        (Spelling::Proto, &["udplite6,raw,unix"], "proto = udplite6 or proto = raw or proto = raw6 or proto = unix"),
    ] {
        assert_eq!(spelled(spelling, values).as_deref(), Ok(expr));
    }
    for (spelling, value) in [
        (Spelling::Pid, "0"),
        (Spelling::Pid, "x"),
        (Spelling::Port, "65536"),
        (Spelling::Port, "-1"),
        (Spelling::Port, "80,"),
        (Spelling::Port, "90-80"),
        (Spelling::Port, "1-65536"),
        (Spelling::Port, "1-2-3"),
        (Spelling::Lport, "*"),
        (Spelling::State, "OPEN"),
        (Spelling::Netns, "0"),
        (Spelling::Proto, "tpc"),
        (Spelling::Comm, ""),
    ] {
        assert!(spelled(spelling, &[value]).is_err(), "{value}");
    }
}

/// Any text, quoted or not, that a value may be.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9./@*?-]{1,8}",
        r#"[a-z '"()=<>!~&|]{0,6}"#,
        r#"([a-z "]|\\[a-z"\\*]){0,5}"#,
        r#"([a-z ']|\\[a-z'\\*]){0,5}"#
    ]
    .prop_filter("a backslash stands before a letter", |text| !text.ends_with('\\') || text.ends_with("\\\\"))
}

fn compares() -> impl Strategy<Value = Expr> {
    let fields: Vec<Field> = FIELDS.iter().filter(|spec| spec.rows().meets(ROWS)).map(|spec| spec.field).collect();
    let values = prop_oneof![
        Just(Literal { text: "null".into(), null: true }),
        texts().prop_map(Literal::text),
        "[0-9]{1,4}(|K|ms|s)".prop_map(Literal::text),
        "(10|127)\\.0\\.0\\.[0-9](|/2[0-9])".prop_map(Literal::text),
        "(LISTEN|tcp6|off|STREAM|scanned)".prop_map(Literal::text),
    ];
    let ops = prop::sample::select(vec![Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge, Op::Match, Op::NoMatch]);
    (prop::sample::select(fields), ops, values)
        .prop_map(|(field, op, value)| Expr::Compare { field, op, value, place: TextPlace::default() })
        .prop_filter("a value that its field takes", |expr| match expr {
            // ss's words are conditions of their own, with these operators.
            Expr::Compare { field: Field::Dev | Field::Fwmark, op: Op::Eq | Op::Ne, value, .. } => value.null,
            Expr::Compare { field, op, value, .. } => literal::meaning(*field, *op, value).is_ok(),
            _ => false,
        })
}

fn conditions() -> impl Strategy<Value = Expr> {
    let side = prop_oneof![Just(Side::Local), Just(Side::Remote)];
    let word = ("(established|LISTEN|connected|fin-wait-2|big|unconn)", any::<bool>())
        .prop_map(|(word, exclude)| StateWord { exclude, states: StateSet::parse(&word).unwrap() });
    let host = r"(\*|10/8|1\.2\.3\.4|\[::1\]|\[fe80::/10\]|home|inet6:\*|unix:/run/\*)(|:80|:ssh|:\*)"
        .prop_filter_map("a host", |text| HostPattern::parse(&text).ok());
    let port = "(:|)(80|ssh|65535)".prop_map(|text| PortPattern::parse(&text).unwrap());
    let op = prop::sample::select(vec![Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge]);
    prop_oneof![
        compares(),
        prop::collection::vec(word, 1..4).prop_map(Expr::States),
        (side.clone(), host).prop_map(|(side, host)| Expr::Host { side, host, place: TextPlace::default() }),
        (side, op, port).prop_map(|(side, op, port)| Expr::Port { side, op, port, place: TextPlace::default() }),
        (any::<bool>(), texts().prop_filter("a name", |name| !name.is_empty()))
            .prop_map(|(negated, name)| Expr::Device { negated, name, place: TextPlace::default() }),
        (any::<bool>(), any::<u32>(), any::<u32>()).prop_map(|(negated, mark, mask)| Expr::Mark {
            negated,
            mark,
            mask
        }),
        Just(Expr::Autobound),
    ]
}

fn expressions() -> impl Strategy<Value = Expr> {
    conditions().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::All),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Any),
            inner.prop_map(|inner| Expr::Not(Box::new(inner))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_reads_as_the_same_expression(expr in expressions()) {
        let text = expr.to_string();
        let again = parse(&text, ROWS);
        prop_assert_eq!(again.as_ref(), Ok(&expr), "{}", text);
    }

    #[test]
    fn any_text_is_an_expression_or_a_mistake_within_it(text in r#"[a-z =<>!~&|()'"\\:./0-9*-]{0,40}|\PC{0,20}"#) {
        match parse(&text, ROWS) {
            Ok(expr) => {
                let printed = expr.to_string();
                prop_assert_eq!(parse(&printed, ROWS), Ok(expr), "{}", printed);
            }
            Err(mistake) => {
                prop_assert!(mistake.place.start <= mistake.place.end && mistake.place.end <= text.len().max(1));
                prop_assert!(text.get(mistake.place.start..mistake.place.end).is_some() || text.is_empty());
                prop_assert!(!mistake.what.is_empty(), "{}", mistake);
            }
        }
    }
}

/// A word that is a value of some field, so that the tests above are not about fewer types than there are.
#[test]
fn every_type_of_field_is_compared() {
    for kind in ["number", "bytes", "port", "user id", "namespace", "address", "text", "word"] {
        assert!(FIELDS.iter().any(|spec| spec.kind.name() == kind && spec.rows().meets(ROWS)), "{kind}");
    }
    assert!(FIELDS.iter().any(|spec| spec.kind == ValueKind::Time));
}

/// Conditions of few values on what is listed, so that rows and events meet them.
fn small_conditions(rows: RowKinds) -> impl Strategy<Value = String> {
    let fields: Vec<&str> = FIELDS.iter().filter(|spec| spec.rows().meets(rows)).map(|spec| spec.name).collect();
    let one = |words: &'static [&'static str]| prop::sample::select(words);
    let op = || one(&["=", "!=", "<", "<=", ">", ">="]);
    let same = || one(&["=", "!="]);
    let state = || one(&["established", "listening", "closed", "syn-sent", "connected", "bucket", "bound-inactive"]);
    let address = || one(&["10.0.0.1", "10.0.0.0/8", "::1", "::/0", "::ffff:10.0.0.0/104"]);
    let numbers = one(&[
        "pid",
        "owners.pid",
        "uid",
        "netns",
        "local.port",
        "remote.port",
        "cookie",
        "inode",
        "in_state_ns",
        "duration_ns",
        "rx_bytes",
        "rtt_us",
        "retransmits",
        "closed_by.pid",
        "recv_q",
        "send_q",
        "timer.seconds",
        "timer.retransmits",
        "timer.probes",
    ]);
    let known = (prop::sample::select(fields), same()).prop_map(|(field, op)| format!("{field} {op} null"));
    let groups =
        (one(&["local", "remote", "closed_by", "owners"]), same()).prop_map(|(group, op)| format!("{group} {op} null"));
    let words = (one(&["state", "new_state", "old_state"]), same(), one(&["ESTABLISHED", "LISTEN", "CLOSE", "SYN_*"]));
    let any = prop_oneof![
        known,
        groups,
        (numbers, op(), 0u32..4).prop_map(|(field, op, number)| format!("{field} {op} {number}")),
        (one(&["sport", "dport"]), op(), 0u32..4).prop_map(|(end, op, port)| format!("{end} {op} :{port}")),
        (one(&["src", "dst"]), address(), one(&["", ":1", ":*"])).prop_map(|(end, host, port)| {
            match host.contains(':') {
                true => format!("{end} [{host}]{port}"),
                false => format!("{end} {host}{port}"),
            }
        }),
        (one(&["src inet:*", "dst inet6:*:1", "src :2", "src *", "dst *", "sport = :*", "dport = :*", "autobound"]))
            .prop_map(str::to_owned),
        (one(&["local.addr", "remote.addr"]), same(), address()).prop_map(|(end, op, to)| format!("{end} {op} {to}")),
        prop::collection::vec((one(&["state", "exclude"]), state()), 1..3)
            .prop_map(|words| words.iter().map(|(verb, state)| format!("{verb} {state} ")).collect()),
        words.prop_map(|(field, op, state)| format!("{field} {op} {state}")),
        (same(), one(&["open", "state", "close"])).prop_map(|(op, kind)| format!("event {op} {kind}")),
        (same(), one(&["tcp", "tcp6", "udp", "tcp*"])).prop_map(|(op, proto)| format!("proto {op} {proto}")),
        (same(), one(&["closed", "refused"])).prop_map(|(op, reason)| format!("reason {op} {reason}")),
        (one(&["comm", "owners.comm", "closed_by.comm"]), one(&["=", "!=", "~"]), one(&["a", "b"]))
            .prop_map(|(field, op, name)| format!("{field} {op} {name}")),
        one(&[
            "local.port ~ ^[13]$",
            "remote.port = 1?",
            "timer.seconds < 10ms",
            "timer.seconds >= 15ms",
            "src /run/x"
        ])
        .prop_map(str::to_owned),
    ];
    any.prop_filter("a condition on what is listed", move |text| parse(text, rows).is_ok())
}

fn small_expressions(rows: RowKinds) -> impl Strategy<Value = String> {
    small_conditions(rows).prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|list| format!("( {} )", list.join(" and "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|list| format!("( {} )", list.join(" or "))),
            inner.prop_map(|inner| format!("not ( {inner} )")),
        ]
    })
}

fn events() -> impl Strategy<Value = SocketEvent> {
    let state = || prop::sample::select(TcpState::ALL.to_vec());
    let number = || prop::option::of(0u32..4);
    let name = || prop::sample::select(vec![Comm::new(b"a"), Comm::new(b"b")]);
    let owner = || {
        (0u32..4, name()).prop_map(|(pid, comm)| Owner { pid, comm, grade: Grade::Created, cgroup_id: None, start: 0 })
    };
    let end = || {
        let addr = prop::sample::select(vec!["10.0.0.1", "10.1.2.3", "192.0.2.1", "::1", "::ffff:10.0.0.1", "fe80::1"]);
        let end =
            (addr, prop::option::of(0u16..4)).prop_map(|(addr, port)| EventEnd { addr: addr.parse().unwrap(), port });
        prop::option::of(end)
    };
    let totals = (prop::option::of(0u64..4), prop::option::of((0u32..4, name())), any::<bool>()).prop_map(
        |(number, closer, refused)| Totals {
            duration_ns: number,
            rx_bytes: number,
            closed_by: closer.map(|(pid, comm)| Closer { pid, comm, start: 0 }),
            ..Totals::unknown(if refused { CloseReason::Refused } else { CloseReason::Closed })
        },
    );
    let kind = prop_oneof![
        Just(EventKind::Open),
        (state(), state(), prop::option::of(0u64..4)).prop_map(|(old, new, in_state_ns)| EventKind::State {
            old,
            new,
            in_state_ns
        }),
        totals.prop_map(EventKind::Close),
    ];
    let proto = prop::sample::select(vec![Proto::Tcp, Proto::Tcp6, Proto::Udp, Proto::Raw6]);
    (kind, proto, end(), end(), prop::option::of(owner()), number(), number(), number()).prop_map(
        |(kind, proto, local, remote, owner, uid, cookie, netns)| SocketEvent {
            time_ns: 0,
            kind,
            proto,
            local,
            remote,
            owner,
            uid,
            inode: cookie.map(u64::from),
            cookie: cookie.map(u64::from),
            netns,
        },
    )
}

/// A row, the namespace of its table, who holds its socket, and whom events recorded.
#[derive(Clone, Debug)]
struct SmallRow {
    row: SocketRow,
    netns: Option<u32>,
    pids: Vec<u32>,
    recorded: Option<Owner>,
}

fn small_rows() -> impl Strategy<Value = SmallRow> {
    let end = || {
        let addr = prop::sample::select(vec!["10.0.0.1", "10.1.2.3", "192.0.2.1", "::1", "::ffff:10.0.0.1", "fe80::1"]);
        (addr, prop::sample::select(vec![0, 1, 2, 3, 10, 40_000]))
            .prop_map(|(addr, port)| Endpoint { addr: addr.parse().unwrap(), port })
    };
    let proto = prop::sample::select(vec![Proto::Tcp, Proto::Tcp6, Proto::Udp, Proto::Raw6]);
    let timer = (0u64..4, 0u64..4).prop_map(|(expires, retransmits)| Timer {
        kind: 1,
        expires,
        retransmits,
        probes: retransmits,
    });
    let numbers = (0u64..5, 0u64..5, 0u32..5, prop::option::of(0u64..5), prop::option::of(0u32..5));
    let row = (proto, end(), end(), 1u8..13, numbers, timer).prop_map(
        |(proto, local, remote, state, (recv_q, inode, uid, cookie, netns), timer)| SocketRow {
            proto,
            local,
            remote,
            state,
            recv_q,
            send_q: inode,
            uid,
            inode,
            timer,
            cookie,
            netns,
        },
    );
    let owner = (0u32..5).prop_map(|pid| Owner {
        pid,
        comm: Comm::new(b"b"),
        grade: Grade::Created,
        cgroup_id: None,
        start: 0,
    });
    let pids = prop::collection::vec(0u32..5, 0..3);
    (row, prop::option::of(0u32..5), pids, prop::option::of(owner)).prop_map(|(row, netns, pids, recorded)| SmallRow {
        row,
        netns,
        pids,
        recorded,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// What the kernel programs leave out is nothing that is wanted.
    #[test]
    fn limits_let_everything_pass_that_is_wanted(
        text in small_expressions(RowKinds::EVENT),
        events in prop::collection::vec(events(), 32),
    ) {
        let expr = parse(&text, RowKinds::EVENT).unwrap_or_else(|mistake| panic!("{mistake}"));
        let predicate = Predicate::new(&expr, &mut Names).unwrap();
        let (limits, of_lives) = (predicate.limits(), predicate.limits_of_lives());
        for event in &events {
            if predicate.holds(&EventFields { event, direction: None, times: None, netns_name: None, users: None, providers: &[] }) {
                prop_assert!(!limits.is_nothing(), "{text}");
                prop_assert!(limits.passes(event), "{text}: {event:?}");
                prop_assert!(of_lives.passes(event), "{text} of whole lives: {event:?}");
            }
        }
    }

    /// The same of sockets that ended.
    #[test]
    fn an_agent_leaves_out_no_closed_socket_that_is_wanted(
        text in small_expressions(RowKinds::CLOSED),
        events in prop::collection::vec(events(), 32),
    ) {
        let expr = parse(&text, RowKinds::CLOSED).unwrap_or_else(|mistake| panic!("{mistake}"));
        let predicate = Predicate::new(&expr, &mut Names).unwrap();
        let (labels, owners, netns_names) = (Labels::default(), SocketHolders::default(), HashMap::new());
        let context =
            RowContext { owners: &owners, labels: &labels, netns: None, netns_names: &netns_names, providers: &[] };
        let test = predicate.row_test(true);
        for event in events {
            let SocketEvent { proto, local, remote, owner, uid, cookie, netns, .. } = event;
            let inode = event.inode.unwrap_or(0);
            let bare = LiveSocket::bare(proto, TcpState::Close);
            let socket = LiveSocket { local, remote, netns, uid, inode, cookie, owner, ..bare };
            let totals = match event.kind {
                EventKind::Close(totals) => totals,
                _ => Totals::unknown(CloseReason::Refused),
            };
            let closed = ClosedSocket { socket, closed_ns: 1, totals };
            if predicate.holds(&ClosedFields { closed: &closed, context: &context }) {
                prop_assert!(test.as_ref().is_none_or(|test| test.passes(&closed)), "{text}: {closed:?} by {test:?}");
            }
        }
    }

    /// What an agent leaves out of its tables is nothing that is wanted; and it leaves out all that is decided without the owners' names.
    #[test]
    fn an_agent_leaves_out_nothing_that_is_wanted(
        text in small_expressions(RowKinds::INET),
        rows in prop::collection::vec(small_rows(), 32),
    ) {
        let expr = parse(&text, RowKinds::INET).unwrap_or_else(|mistake| panic!("{mistake}"));
        let predicate = Predicate::new(&expr, &mut Names).unwrap();
        let labels = Labels::default();
        let (with_holders, without) = (predicate.row_test(true), predicate.row_test(false));
        for SmallRow { row, netns, pids, recorded } in &rows {
            let mut owners = SocketHolders::default();
            owners.expect([row.inode].into_iter());
            for &pid in pids {
                let holder = owners.holder(Holder { pid, program: b"a".to_vec(), comm: Some(Comm::new(b"a")) });
                owners.add(row.inode, holder);
            }
            let netns_names = HashMap::new();
            let context = RowContext { owners: &owners, labels: &labels, netns: *netns, netns_names: &netns_names, providers: &[] };
            let recorded = recorded.as_ref().filter(|_| pids.is_empty());
            let fields = RowFields { row, recorded, context: &context };
            let is_theirs = |pid: &u32| pids.contains(pid) || recorded.is_some_and(|owner| owner.pid == *pid);
            let held = |of: &[u32]| Some(of.iter().any(is_theirs));
            let facts = ListedRow { row, netns: *netns, held: &held };
            let passes = |test: &Option<RowTest>| test.as_ref().is_none_or(|test| test.passes(&facts));
            if predicate.holds(&fields) {
                prop_assert!(passes(&with_holders), "{text}: {fields:?} by {with_holders:?}", fields = (row, pids, recorded));
                prop_assert!(passes(&without), "{text}: {row:?} by {without:?}");
            } else if predicate.needs().is_none() && row.netns.or(*netns).is_some() && !text.contains("timer.name") {
                prop_assert!(!passes(&without), "{text}: {row:?} by {without:?}");
            }
        }
    }
}
