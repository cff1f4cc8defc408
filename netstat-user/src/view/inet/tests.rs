use super::*;
use std::collections::HashMap;

fn sample(proto: Proto, local: &str, remote: &str, state: u8) -> SocketRow {
    let end = |text: &str| {
        let (addr, port) = text.rsplit_once('/').unwrap();
        Endpoint { addr: addr.parse().unwrap(), port: port.parse().unwrap() }
    };
    SocketRow {
        proto,
        local: end(local),
        remote: end(remote),
        state,
        recv_q: 1,
        send_q: 1_234_567,
        uid: 1000,
        inode: 42,
        timer: Timer { kind: 1, expires: 1988, retransmits: 2, probes: 3 },
        cookie: None,
        netns: None,
    }
}

fn line(row: &SocketRow, columns: Columns, labels: &Labels, wide: bool, numeric_hosts: bool, lang: &Lang) -> String {
    let mut out = Vec::new();
    let holder = Holder { pid: 77, program: b"a\x1b[0mvery-long-program-name".to_vec() };
    super::row(&mut out, Style { lang, columns, wide, labels, numeric_hosts }, row, Some(&holder));
    String::from_utf8(out).unwrap()
}

#[test]
fn rows_like_netstats() {
    let all = Columns { extend: true, programs: true, timers: true };
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
    let listed = |row, listed| is_listed(row, listed);
    assert!(listed(&tcp, Listed::Listening) && !listed(&tcp, Listed::Connected) && listed(&tcp, Listed::All));
    assert!(!listed(&udp, Listed::Listening) && listed(&udp, Listed::Connected));
}

#[test]
fn json_rows() {
    let row = sample(Proto::Udp6, "::ffff:1.2.3.4/53", "::/0", 7);
    let mut out = Vec::new();
    let holders = [Holder { pid: 1, program: b"a".to_vec() }, Holder { pid: 2, program: b"b\n".to_vec() }];
    json(&mut out, &row, &Labels::default(), &holders);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{\"proto\":\"udp6\",\"recv_q\":1,\"send_q\":1234567,\"local\":{\"addr\":\"::ffff:1.2.3.4\",\"port\":53},\
         \"remote\":{\"addr\":\"::\",\"port\":0},\"state\":null,\"uid\":1000,\"user\":null,\"inode\":42,\
         \"owners\":[{\"pid\":1,\"program\":\"a\"},{\"pid\":2,\"program\":\"b\\n\"}],\
         \"timer\":{\"name\":\"on\",\"seconds\":19.88,\"retransmits\":2,\"probes\":3},\"netns\":null,\"cookie\":null}\n"
    );
}
