use super::*;

const ESTABLISHED: TcpState = TcpState::Established;

/// A row of `proto`, with ends as `addr port`.
fn row(proto: Proto, local: (&str, u16), remote: (&str, u16), state: TcpState, inode: u64) -> SocketRow {
    let end = |(addr, port): (&str, u16)| Endpoint { addr: addr.parse().unwrap(), port };
    SocketRow { inode, ..SocketRow::bare(proto, end(local), end(remote), state as u8) }
}

fn tcp(local: (&str, u16), remote: (&str, u16), inode: u64) -> SocketRow {
    row(Proto::Tcp, local, remote, ESTABLISHED, inode)
}

fn udp(local: (&str, u16), remote: (&str, u16), inode: u64) -> SocketRow {
    row(Proto::Udp, local, remote, ESTABLISHED, inode)
}

fn listener(addr: &str, port: u16, inode: u64) -> SocketRow {
    row(Proto::Tcp, (addr, port), ("0.0.0.0", 0), TcpState::Listen, inode)
}

fn peers(rows: &[(u32, SocketRow)]) -> Peers {
    let mut peers = Peers::default();
    rows.iter().for_each(|(netns, row)| peers.add(*netns, row));
    peers
}

#[test]
fn two_ends_in_one_namespace() {
    let (client, server) = (("127.0.0.1", 5000), ("127.0.0.1", 80));
    let rows = [(1, tcp(client, server, 10)), (1, tcp(server, client, 20)), (1, listener("0.0.0.0", 80, 30))];
    let found = peers(&rows);
    assert_eq!(found.of(1, &rows[0].1), [20]);
    assert_eq!(found.of(1, &rows[1].1), [10]);
    assert_eq!(found.of(1, &rows[2].1), [] as [u64; 0], "a listener has no other end");
    assert_eq!(found.of(2, &rows[0].1), [] as [u64; 0], "loopback leads nowhere else");
}

#[test]
fn a_socket_connected_to_itself() {
    let own = ("127.0.0.1", 5000);
    let rows = [(1, tcp(own, own, 10))];
    assert_eq!(peers(&rows).of(1, &rows[0].1), [10]);
}

#[test]
fn both_families_meet() {
    let rows = [
        (1, row(Proto::Tcp6, ("::ffff:127.0.0.1", 80), ("::ffff:127.0.0.1", 5000), ESTABLISHED, 20)),
        (1, tcp(("127.0.0.1", 5000), ("127.0.0.1", 80), 10)),
    ];
    let found = peers(&rows);
    assert_eq!(found.of(1, &rows[0].1), [10]);
    assert_eq!(found.of(1, &rows[1].1), [20]);
}

#[test]
fn other_namespaces_while_there_is_no_doubt() {
    let (here, there) = (("10.0.0.1", 5000), ("10.0.0.2", 80));
    let mut rows = vec![(1, tcp(here, there, 10)), (2, tcp(there, here, 20))];
    assert_eq!(peers(&rows).of(1, &rows[0].1), [20]);
    assert_eq!(peers(&rows).of(2, &rows[1].1), [10]);
    // A second pair with the same addresses in two more namespaces, whole or half.
    rows.push((4, tcp(there, here, 40)));
    assert_eq!(peers(&rows).of(1, &rows[0].1), [] as [u64; 0]);
    rows[2] = (3, tcp(here, there, 30));
    assert_eq!(peers(&rows).of(1, &rows[0].1), [] as [u64; 0], "it may be that of the other");
    // In one's own namespace there is no doubt.
    rows.push((1, tcp(there, here, 50)));
    assert_eq!(peers(&rows).of(1, &rows[0].1), [50]);
}

#[test]
fn protocols_do_not_mix() {
    let (client, server) = (("127.0.0.1", 5000), ("127.0.0.1", 80));
    let rows = [(1, tcp(client, server, 10)), (1, udp(server, client, 20))];
    assert_eq!(peers(&rows).of(1, &rows[0].1), [] as [u64; 0]);
    let raw = row(Proto::Raw, client, server, ESTABLISHED, 30);
    assert_eq!(peers(&rows).of(1, &raw), [] as [u64; 0]);
}

#[test]
fn a_connection_not_accepted_yet_is_its_listeners() {
    let (client, server) = (("127.0.0.1", 5000), ("127.0.0.1", 80));
    let mut rows = vec![
        (1, tcp(client, server, 10)),
        (1, tcp(server, client, 0)),
        (1, listener("0.0.0.0", 80, 30)),
        (2, listener("127.0.0.1", 80, 40)),
    ];
    assert_eq!(peers(&rows).of(1, &rows[0].1), [30]);
    rows.push((1, listener("127.0.0.1", 80, 31)));
    rows.push((1, listener("127.0.0.1", 80, 32)));
    assert_eq!(peers(&rows).of(1, &rows[0].1), [31, 32], "either may accept it");
    // An orphan has been closed: it is nobody's.
    rows[1].1.state = TcpState::FinWait2 as u8;
    assert_eq!(peers(&rows).of(1, &rows[0].1), [] as [u64; 0]);
}

#[test]
fn what_remains_in_time_wait_is_not_in_the_way() {
    let (client, server) = (("127.0.0.1", 5000), ("127.0.0.1", 80));
    let rows = [
        (1, tcp(client, server, 10)),
        (1, row(Proto::Tcp, server, client, TcpState::TimeWait, 0)),
        (1, tcp(server, client, 20)),
    ];
    assert_eq!(peers(&rows).of(1, &rows[0].1), [20]);
}

#[test]
fn datagrams_to_a_socket_that_takes_them_from_anybody() {
    let bound = |addr, port, inode| row(Proto::Udp, (addr, port), ("0.0.0.0", 0), TcpState::Close, inode);
    let client = udp(("127.0.0.1", 5000), ("127.0.0.1", 53), 10);
    let mut rows = vec![(1, client), (1, bound("0.0.0.0", 53, 20)), (2, bound("127.0.0.1", 53, 30))];
    assert_eq!(peers(&rows).of(1, &client), [20]);
    rows.push((1, row(Proto::Udp6, ("::", 53), ("::", 0), TcpState::Close, 21)));
    assert_eq!(peers(&rows).of(1, &client), [20], "the one of the own family first");
    rows.push((1, bound("127.0.0.1", 53, 22)));
    assert_eq!(peers(&rows).of(1, &client), [22], "the one bound to the address first");
    let rows = [(1, client), (1, row(Proto::Udp6, ("::", 53), ("::", 0), TcpState::Close, 21))];
    assert_eq!(peers(&rows).of(1, &client), [21]);
}

#[test]
fn datagrams_into_the_namespace_that_has_the_address() {
    let bound = |addr, port, inode| row(Proto::Udp, (addr, port), ("0.0.0.0", 0), TcpState::Close, inode);
    let client = udp(("10.0.0.1", 5000), ("10.0.0.2", 53), 10);
    let rows = [(1, client), (2, bound("0.0.0.0", 53, 20)), (3, bound("0.0.0.0", 53, 30))];
    let mut found = peers(&rows);
    assert_eq!(found.of(1, &client), [] as [u64; 0], "nobody knows whose the address is");
    found.add_address(2, "10.0.0.2".parse().unwrap());
    assert_eq!(found.of(1, &client), [20]);
    found.add_address(3, "10.0.0.2".parse().unwrap());
    assert_eq!(found.of(1, &client), [] as [u64; 0], "two have it");
    // From the host's own address to the host's own address.
    let own = udp(("10.0.0.1", 5001), ("10.0.0.1", 53), 11);
    let rows = [(1, own), (1, bound("0.0.0.0", 53, 40))];
    assert_eq!(peers(&rows).of(1, &own), [40]);
}
