//! The rows of `sock_diag` are those of /proc, in the same order.

use crate::{missing, tables};
use netstat_tests::netns::NetNs;
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale;
use netstat_tests::zoo::peer::Sink;
use netstat_tests::zoo::{Keep, tcp, udp};
use netstat_user::diag::Channel;
use netstat_user::diag::Protocol;
use netstat_user::diag::loaded::Part;
use netstat_user::diag::tables::{DumpRequest, complete, dump, once, requests};
use netstat_user::model::{Proto, SocketRow};
use netstat_user::proc::inet;
use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

pub const TESTS: &[Test] = &[
    ("every_tcp_state_and_timer", every_tcp_state_and_timer),
    ("every_kind_of_udp_socket", every_kind_of_udp_socket),
    ("more_than_one_datagram", more_than_one_datagram),
    ("one_row_per_socket_while_they_come_and_go", one_row_per_socket_while_they_come_and_go),
    ("one_family_and_listeners_alone", one_family_and_listeners_alone),
];

fn protos(protocol: Protocol) -> [Proto; 2] {
    [false, true].map(|v6| protocol.of_family(v6))
}

fn asked(protocol: Protocol) -> DumpRequest {
    DumpRequest { info: true, netns: Some(7), ..DumpRequest::all(protocol) }
}

fn dumped(asked: &DumpRequest) -> [Vec<SocketRow>; 2] {
    let mut rows = [Vec::new(), Vec::new()];
    let mut channel = Channel::open().unwrap();
    let datagrams = dump(&mut channel, asked, |row| {
        rows[usize::from(row.socket.proto.is_v6())].push(row.socket);
    });
    if datagrams.unwrap() > 1 {
        rows.iter_mut().for_each(once);
    }
    for rows in rows.iter_mut().filter(|rows| !requests(rows).is_empty()) {
        let known = inet::read(Path::new("/proc/thread-self"), rows[0].proto, |row| row.state == 3).unwrap();
        complete(rows, &known.rows);
    }
    rows
}

/// The rows of both sources, which must agree.
fn agreed(protocol: Protocol) -> Vec<SocketRow> {
    tables::agreed(protos(protocol), 7, || dumped(&asked(protocol)))
}

fn every_tcp_state_and_timer() -> Done {
    if let Some(reason) = missing(Part::Tcp) {
        return Done::Skipped(reason);
    }
    NetNs::new().unwrap().enter(|| {
        let sink = Sink::new().unwrap();
        let _zoo: Keep = tcp::zoo(&sink).unwrap();
        let rows = agreed(Protocol::Tcp);
        tables::assert_every_state_and_timer(&rows);
        tables::wait_for_retransmissions(|| agreed(Protocol::Tcp));
        Done::Passed
    })
}

fn every_kind_of_udp_socket() -> Done {
    if let Some(reason) = missing(Part::Udp) {
        return Done::Skipped(reason);
    }
    NetNs::new().unwrap().enter(|| {
        let _sink = Sink::new().unwrap();
        let _zoo: Keep = udp::zoo().unwrap();
        let rows = agreed(Protocol::Udp);
        assert!(rows.iter().any(|row| row.recv_q > 0), "waiting data");
        assert!(rows.iter().any(|row| row.state == 1) && rows.iter().any(|row| row.state == 7), "both states");
        assert!(rows.iter().any(|row| row.proto == Proto::Udp6), "IPv6");
        let _many: Vec<_> = (0..500).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        assert!(agreed(Protocol::Udp).len() >= rows.len() + 500);
    });
    Done::Passed
}

/// Connected pairs over one listener.
fn pairs(count: usize) -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let ends = (0..count).flat_map(|_| {
        let client = TcpStream::connect(to).unwrap();
        [client, listener.accept().unwrap().0]
    });
    let ends = ends.collect();
    (listener, ends)
}

fn more_than_one_datagram() -> Done {
    if let Some(reason) = missing(Part::Tcp) {
        return Done::Skipped(reason);
    }
    let (namespace, elsewhere) = (NetNs::new().unwrap(), NetNs::new().unwrap());
    let _other = elsewhere.enter(|| pairs(3));
    namespace.enter(|| {
        let held = pairs(450);
        assert_eq!(agreed(Protocol::Tcp).len(), 1 + held.1.len());
    });
    assert_eq!(elsewhere.enter(|| agreed(Protocol::Tcp)).len(), 7);
    Done::Passed
}

fn one_row_per_socket_while_they_come_and_go() -> Done {
    if let Some(reason) = missing(Part::Tcp) {
        return Done::Skipped(reason);
    }
    NetNs::new().unwrap().enter(|| {
        let held = pairs(450);
        let expected: HashSet<SocketAddr> = held.1.iter().map(|end| end.local_addr().unwrap()).collect();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let churn = scope.spawn(|| {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let to = listener.local_addr().unwrap();
                let mut made = 0;
                while !stop.load(Ordering::Relaxed) {
                    let client = TcpStream::connect(to).unwrap();
                    drop((client, listener.accept().unwrap()));
                    made += 1;
                }
                made
            });
            let mut faults = None;
            for _ in 0..scale::count(60) {
                let [rows, _] = dumped(&asked(Protocol::Tcp));
                let cookies: HashSet<_> = rows.iter().map(|row| row.cookie.unwrap()).collect();
                let doubled = rows.len() - cookies.len();
                let seen: HashSet<_> = rows.iter().map(|row| SocketAddr::new(row.local.addr, row.local.port)).collect();
                let missing = expected.difference(&seen).count();
                if doubled + missing > 0 {
                    faults = Some(format!("{doubled} twice, {missing} missing"));
                    break;
                }
            }
            stop.store(true, Ordering::Relaxed);
            assert!(churn.join().unwrap() > 0, "nothing came and went");
            assert_eq!(faults, None);
        });
    });
    Done::Passed
}

fn one_family_and_listeners_alone() -> Done {
    if let Some(reason) = missing(Part::Tcp) {
        return Done::Skipped(reason);
    }
    NetNs::new().unwrap().enter(|| {
        let held = pairs(2);
        let six = TcpListener::bind("[::1]:0").unwrap();
        let _ends = (TcpStream::connect(six.local_addr().unwrap()).unwrap(), six.accept().unwrap());
        let count = |v4, v6, peer| dumped(&DumpRequest { v4, v6, peer, ..asked(Protocol::Tcp) }).map(|rows| rows.len());
        assert_eq!(count(true, true, None), [1 + held.1.len(), 3]);
        assert_eq!(count(true, false, None), [5, 0]);
        assert_eq!(count(false, true, None), [0, 3]);
        assert_eq!(count(true, true, Some(false)), [1, 1]);
        assert_eq!(count(true, true, Some(true)), [4, 2]);
    });
    Done::Passed
}
