use super::*;
use crate::model::{CloseReason, ClosedSocket, Comm, EventEnd, Grade, LiveSocket, Totals};
use std::collections::HashMap;

fn sample(proto: Proto, local: &str, remote: &str, state: u8) -> SocketRow {
    let end = |text: &str| {
        let (addr, port) = text.rsplit_once('/').unwrap();
        Endpoint { addr: addr.parse().unwrap(), port: port.parse().unwrap() }
    };
    SocketRow {
        recv_q: 1,
        send_q: 1_234_567,
        uid: 1000,
        inode: 42,
        timer: Timer { kind: 1, expires: 1988, retransmits: 2, probes: 3 },
        ..SocketRow::bare(proto, end(local), end(remote), state)
    }
}

fn line(row: &SocketRow, columns: Columns, labels: &Labels, wide: bool, numeric_hosts: bool, lang: &Lang) -> String {
    let mut out = Vec::new();
    let holder = Holder { pid: 77, program: b"a\x1b[0mvery-long-program-name".to_vec(), comm: None };
    super::row(&mut out, Style { lang, columns, wide, labels, numeric_hosts }, row, Some(&holder), &Beyond::default());
    String::from_utf8(out).unwrap()
}

#[test]
fn rows_like_netstats() {
    let all = Columns { extend: true, programs: true, timers: true, ..Columns::default() };
    let row = sample(Proto::Tcp, "127.0.0.1/80", "10.1.2.3/65535", 1);
    let (none, english) = (Labels::default(), Lang::ENGLISH);
    assert_eq!(
        line(&row, all, &none, false, true, &english),
        "tcp        1 1234567 127.0.0.1:80            10.1.2.3:65535          ESTABLISHED 1000       42         \
         77/a\\x1b[0mvery-lon  on (19.88/2/3)\n"
    );
    assert_eq!(
        line(&row, Columns::default(), &none, false, true, &Lang::german_utf8()),
        "tcp        1 1234567 127.0.0.1:80            10.1.2.3:65535          VERBUNDEN  \n"
    );
}

#[test]
fn addresses_are_cut_and_wildcards_written_as_netstat_does() {
    let (mut labels, english) = (Labels::default(), Lang::ENGLISH);
    let row = sample(Proto::Tcp6, "2001:db8:1234:5678:9abc:def0:1234:5678/65432", "::/0", 10);
    let local = |labels: &Labels, wide, numeric| {
        line(&row, Columns::default(), labels, wide, numeric, &english)[21..].to_owned()
    };
    assert_eq!(local(&labels, false, true), "2001:db8:1234:567:65432 :::*                    LISTEN     \n");
    assert_eq!(
        local(&labels, true, false),
        "2001:db8:1234:5678:9abc:def0:1234:5678:65432 [::]:*                  LISTEN     \n"
    );
    labels.ports = HashMap::from([(("tcp", 65432), b"averyveryverylongservice".to_vec())]);
    labels.hosts = HashMap::from([(row.local.addr, b"zoo-long-host".to_vec())]);
    assert_eq!(local(&labels, false, false)[..23], *"zoo-:averyveryverylongs");
    assert_eq!(local(&labels, false, true)[..23], *"2001:averyveryverylongs");
    labels.hosts = HashMap::from([(row.local.addr, b"six".to_vec())]);
    assert_eq!(local(&labels, false, false)[..23], *"six:averyveryverylongs ");
}

#[test]
fn states_by_protocol() {
    let state = |proto, number| {
        let row = sample(proto, "1.1.1.1/1", "1.1.1.1/1", number);
        line(&row, Columns::default(), &Labels::default(), false, true, &Lang::ENGLISH)[69..].trim_end().to_owned()
    };
    assert_eq!([state(Proto::Tcp, 7), state(Proto::Udp, 7), state(Proto::Raw, 7)], ["CLOSE", "", "7"]);
    assert_eq!(
        [state(Proto::Udp, 1), state(Proto::Udp, 3), state(Proto::Tcp, 200)],
        ["ESTABLISHED", "UNKNOWN", "UNKNOWN"]
    );
}

#[test]
fn listed_by_port_or_by_address() {
    let tcp = sample(Proto::Tcp, "1.1.1.1/1", "1.1.1.1/0", 10);
    let udp = SocketRow { proto: Proto::Udp, ..tcp };
    let listed = |row: &SocketRow, listed: Listed| listed.peer().is_none_or(|peer| peer == row.has_peer());
    assert!(listed(&tcp, Listed::Listening) && !listed(&tcp, Listed::Connected) && listed(&tcp, Listed::All));
    assert!(!listed(&udp, Listed::Listening) && listed(&udp, Listed::Connected));
}

#[test]
fn json_rows() {
    let row = sample(Proto::Udp6, "::ffff:1.2.3.4/53", "::/0", 7);
    let mut out = Vec::new();
    let holders = [
        Holder { pid: 1, program: b"a".to_vec(), comm: Some(Comm::new(b"renamed")) },
        Holder { pid: 2, program: b"b\n".to_vec(), comm: None },
    ];
    json(&mut out, &row, &Labels::default(), &holders, &Beyond::default());
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{\"proto\":\"udp6\",\"recv_q\":1,\"send_q\":1234567,\"local\":{\"addr\":\"::ffff:1.2.3.4\",\"port\":53},\
         \"remote\":{\"addr\":\"::\",\"port\":0},\"state\":null,\"uid\":1000,\"user\":null,\"inode\":42,\
         \"owners\":[{\"pid\":1,\"program\":\"a\",\"comm\":\"renamed\"},{\"pid\":2,\"program\":\"b\\n\",\"comm\":null}],\
         \"timer\":{\"name\":\"on\",\"seconds\":19.88,\"retransmits\":2,\"probes\":3},\"netns\":null,\"cookie\":null}\n"
    );
}

/// Hundredths are two digits, as in the text.
#[test]
fn json_seconds() {
    for (expires, seconds) in [(0, "0.00"), (5, "0.05"), (110, "1.10"), (6_001, "60.01")] {
        let row = sample(Proto::Tcp, "127.0.0.1/1", "127.0.0.1/2", 1);
        let row = SocketRow { timer: Timer { expires, ..row.timer }, ..row };
        let mut out = Vec::new();
        json(&mut out, &row, &Labels::default(), &[], &Beyond::default());
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(&format!("\"seconds\":{seconds},")), "{seconds}: {text}");
    }
}

/// A socket that ended a second and a half before time 9.5 s, after 103 microseconds.
fn closed(netns: Option<u32>) -> ClosedSocket {
    let end = |port| Some(EventEnd { addr: [127, 0, 0, 1].into(), port });
    let socket = LiveSocket {
        local: end(None),
        remote: end(Some(81)),
        netns,
        uid: Some(1000),
        cookie: Some(5),
        owner: Some(Owner { pid: 7, comm: Comm::new(b"curl"), grade: Grade::Created, cgroup_id: None, start: 0 }),
        ..LiveSocket::bare(Proto::Tcp, TcpState::Close)
    };
    let totals = Totals {
        duration_ns: Some(103_000),
        rx_bytes: Some(0),
        tx_bytes: Some(9),
        rtt_us: None,
        retransmits: Some(1),
        reason: CloseReason::Refused,
        closed_by: None,
    };
    ClosedSocket { socket, closed_ns: 8_000_000_000, totals }
}

#[test]
fn what_ended_stands_in_netstats_columns_and_in_its_own() {
    let columns = Columns { extend: true, programs: true, timers: true, netns: true, ended: true };
    let (labels, lang) = (Labels::default(), Lang::ENGLISH);
    let style = Style { lang: &lang, columns, wide: false, labels: &labels, numeric_hosts: true };
    let (closed, mut out) = (closed(Some(3)), Vec::new());
    let netns = Some(beyond::Netns { inode: Some(3), name: Some(b"blue\n") });
    heading(&mut out, &lang, Listed::All, columns);
    let holder = Holder { pid: 7, program: b"curl".to_vec(), comm: None };
    let ended = Some((&closed, 9_500_000_000));
    super::row(&mut out, style, &beyond::row(&closed), Some(&holder), &Beyond { netns, ended, ..Beyond::default() });
    let living = SocketRow { send_q: 0, ..sample(Proto::Tcp, "127.0.0.1/80", "0.0.0.0/0", 10) };
    super::row(&mut out, style, &living, None, &Beyond { netns, ..Beyond::default() });
    // Also where the socket has no states while it lives.
    let datagram = SocketRow { proto: Proto::Udp, ..beyond::row(&closed) };
    super::row(&mut out, style, &datagram, Some(&holder), &Beyond { netns, ended, ..Beyond::default() });
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<_> = text.lines().skip(1).map(|line| &line[68..]).collect();
    assert_eq!(
        lines,
        [
            "State       User       Inode      PID/Program name     Timer                  Netns           Ended          \
             Ago       Lived",
            "CLOSE       1000       0          7/curl               off (0.00/0/0)         blue\\n          refused        \
             1.50s     103us",
            "LISTEN      1000       42         -                    on (19.88/2/3)         blue\\n",
            "CLOSE       1000       0          7/curl               off (0.00/0/0)         blue\\n          refused        \
             1.50s     103us",
        ]
    );
}

#[test]
fn what_ended_as_json() {
    let line = |closed: &ClosedSocket, netns| {
        let mut out = Vec::new();
        beyond::json(&mut out, closed, Some(b"u"), netns);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        line(&closed(Some(3)), None),
        "{\"proto\":\"tcp\",\"recv_q\":null,\"send_q\":null,\"local\":{\"addr\":\"127.0.0.1\",\"port\":null},\
         \"remote\":{\"addr\":\"127.0.0.1\",\"port\":81},\"state\":\"CLOSE\",\"uid\":1000,\"user\":\"u\",\"inode\":null,\
         \"owners\":[{\"pid\":7,\"program\":\"curl\",\"comm\":\"curl\",\"owner\":\"created\"}],\"timer\":null,\"netns\":3,\"cookie\":5,\
         \"event\":\"close\",\"time\":\"1970-01-01T00:00:08.000000000Z\",\"pid\":7,\"comm\":\"curl\",\"owner\":\"created\",\
         \"duration_ns\":103000,\"rx_bytes\":0,\"tx_bytes\":9,\"rtt_us\":null,\"retransmits\":1,\"reason\":\"refused\",\"closed_by\":null}\n"
    );
    let netns = Some(beyond::Netns { inode: Some(3), name: None });
    assert!(line(&closed(Some(3)), netns).contains("\"netns\":3,\"netns_name\":null,"));
}

#[test]
fn a_recorded_owner_is_named_with_its_grade_where_nobody_holds_the_socket() {
    let row = sample(Proto::Tcp, "127.0.0.1/80", "127.0.0.1/81", 6);
    let owner = Owner { pid: 7, comm: Comm::new(b"curl"), grade: Grade::Accepted, cgroup_id: None, start: 0 };
    let owners = |holders: &[Holder]| {
        let mut out = Vec::new();
        json(&mut out, &row, &Labels::default(), holders, &Beyond { recorded: Some(&owner), ..Beyond::default() });
        let line = String::from_utf8(out).unwrap();
        line[line.find("\"owners\"").unwrap()..line.find(",\"timer\"").unwrap()].to_owned()
    };
    assert_eq!(owners(&[]), "\"owners\":[{\"pid\":7,\"program\":\"curl\",\"comm\":\"curl\",\"owner\":\"accepted\"}]");
    assert_eq!(
        owners(&[Holder { pid: 1, program: b"x".to_vec(), comm: None }]),
        "\"owners\":[{\"pid\":1,\"program\":\"x\",\"comm\":null}]"
    );
}
