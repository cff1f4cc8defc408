//! The lives of single sockets, each way they can go, family by family.

mod failures;
mod resets;

use crate::actor::bound;
use crate::check::{self, Life};
use crate::event::Kind;
use crate::made::{self, Family, Made, Pair, tcp};
use crate::runner::{self, Done, Test};
use crate::scale::count;
use crate::tracer::Tracer;
use netstat_tests::netns::NetNs;
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("lives::orderly_close_by_either_end", orderly_close_by_either_end),
    ("lives::reset_by_either_end", resets::reset_by_either_end),
    ("lives::reset_by_closing_with_unread_data", resets::reset_by_closing_with_unread_data),
    ("lives::reset_by_data_after_the_close", resets::reset_by_data_after_the_close),
    ("lives::reset_in_the_middle_of_a_stream", resets::reset_in_the_middle_of_a_stream),
    ("lives::closed_with_no_room_for_time_wait", closed_with_no_room_for_time_wait),
    ("lives::half_closed_both_ways", half_closed_both_ways),
    ("lives::closed_after_shutdown", closed_after_shutdown),
    ("lives::refused", failures::refused),
    ("lives::connect_times_out", failures::connect_times_out),
    ("lives::established_times_out", failures::established_times_out),
    ("lives::simultaneous_close", simultaneous_close),
    ("lives::listeners_and_sockets_that_never_connect", listeners_and_sockets_that_never_connect),
    ("lives::listener_closes_on_connections_it_never_accepted", listener_closes_on_connections_it_never_accepted),
    ("lives::one_socket_connects_twice", one_socket_connects_twice),
    ("lives::udp_and_raw", udp_and_raw),
];

pub use netstat_tests::truth::paths::*;

/// Runs `work`, which makes sockets and has closed them when it returns, in a namespace of its own, under a tracer of that
/// namespace with these arguments, and checks that their lives are all there.
pub fn traced(arguments: &[&str], work: impl FnOnce() -> Vec<Life> + Send) {
    let namespace = NetNs::new().unwrap();
    let number = namespace.inode().unwrap().to_string();
    let mut tracer = Tracer::start(&[arguments, &["--netns", &number]].concat());
    let lives = namespace.enter(work);
    tracer.wait_closed(lives.iter().map(|life| &life.made));
    check::lives(&tracer.finish(), &lives);
}

/// Reads to the end and says how much that was.
pub fn drain(stream: &mut TcpStream) -> u64 {
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    heard.len() as u64
}

/// Ends with a reset instead of a FIN.
pub fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// The client asks, the server answers, the client closes first.
pub fn client_closes_first(pair: Pair, ask: &[u8], answer: &[u8]) -> [Life; 2] {
    let Pair { mut client, mut server, client_made, server_made } = pair;
    client.write_all(ask).unwrap();
    server.read_exact(&mut vec![0; ask.len()]).unwrap();
    server.write_all(answer).unwrap();
    client.read_exact(&mut vec![0; answer.len()]).unwrap();
    drop(client);
    assert_eq!(drain(&mut server), 0);
    drop(server);
    let (asked, answered) = (ask.len() as u64, answer.len() as u64);
    [
        Life::tcp(&client_made, ACTIVE_CLIENT, "closed").bytes(answered, asked),
        Life::tcp(&server_made, PASSIVE_SERVER, "closed").bytes(asked, answered),
    ]
}

fn server_closes_first(pair: Pair, answer: &[u8]) -> [Life; 2] {
    let Pair { mut client, mut server, client_made, server_made } = pair;
    server.write_all(answer).unwrap();
    drop(server);
    let heard = drain(&mut client);
    drop(client);
    [
        Life::tcp(&client_made, PASSIVE_CLIENT, "closed").bytes(heard, 0),
        Life::tcp(&server_made, ACTIVE_SERVER, "closed").bytes(0, heard),
    ]
}

fn orderly_close_by_either_end() -> Done {
    traced(&[], || {
        let mut lives = Vec::new();
        for family in Family::ALL {
            let listener = made::listener(family);
            let listens = Made::of(&listener);
            lives.extend(client_closes_first(Pair::new(family, &listener), b"a question", b"and a longer answer"));
            lives.extend(client_closes_first(Pair::new(family, &listener), b"", b""));
            lives.extend(server_closes_first(Pair::new(family, &listener), b"news"));
            lives.push(Life::tcp(&listens, LISTENED, "closed"));
        }
        lives
    });
    Done::Passed
}

/// What would be in TIME_WAIT is gone at once, and yet nothing was reset.
fn closed_with_no_room_for_time_wait() -> Done {
    traced(&["--proto", "tcp,tcp6"], || {
        fs::write("/proc/sys/net/ipv4/tcp_max_tw_buckets", "0").unwrap();
        let closes = |family| {
            let listener = made::listener(family);
            let Pair { mut client, mut server, client_made, server_made } = Pair::new(family, &listener);
            client.write_all(b"ask").unwrap();
            server.read_exact(&mut [0; 3]).unwrap();
            server.write_all(b"answer").unwrap();
            client.read_exact(&mut [0; 6]).unwrap();
            // Not closed yet: in FIN_WAIT2 there would be no room for it either, and the server's FIN might come too late.
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(drain(&mut server), 0);
            drop(server);
            assert_eq!(drain(&mut client), 0);
            [
                Life::tcp(&client_made, ACTIVE_CLIENT, "closed").bytes(6, 3),
                Life::tcp(&server_made, PASSIVE_SERVER, "closed").bytes(3, 6),
            ]
        };
        Family::ALL.into_iter().flat_map(closes).collect()
    });
    Done::Passed
}

fn half_closed_both_ways() -> Done {
    traced(&[], || {
        let mut lives = Vec::new();
        for family in [Family::V4, Family::V6] {
            let listener = made::listener(family);
            // The client has said all, and listens on.
            let Pair { mut client, mut server, client_made, server_made } = Pair::new(family, &listener);
            client.write_all(b"the question").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(drain(&mut server), 12);
            thread::sleep(Duration::from_millis(10));
            server.write_all(b"a late answer").unwrap();
            server.shutdown(Shutdown::Write).unwrap();
            assert_eq!(drain(&mut client), 13);
            drop((client, server));
            lives.push(Life::tcp(&client_made, ACTIVE_CLIENT, "closed").bytes(13, 12));
            lives.push(Life::tcp(&server_made, PASSIVE_SERVER, "closed").bytes(12, 13));
            // The server has.
            let Pair { mut client, mut server, client_made, server_made } = Pair::new(family, &listener);
            server.shutdown(Shutdown::Write).unwrap();
            assert_eq!(drain(&mut client), 0);
            client.write_all(b"still here").unwrap();
            drop(client);
            assert_eq!(drain(&mut server), 10);
            drop(server);
            lives.push(Life::tcp(&client_made, PASSIVE_CLIENT, "closed").bytes(0, 10));
            lives.push(Life::tcp(&server_made, ACTIVE_SERVER, "closed").bytes(10, 0));
        }
        lives
    });
    Done::Passed
}

/// Closing what has been shut down before is no transition, although the kernel announces one from a state to itself.
fn closed_after_shutdown() -> Done {
    traced(&[], || {
        let listener = made::listener(Family::V4);
        let Pair { client, mut server, client_made, server_made } = Pair::new(Family::V4, &listener);
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(drain(&mut server), 0);
        drop(client);
        drop(server);
        vec![Life::tcp(&client_made, ACTIVE_CLIENT, "closed"), Life::tcp(&server_made, PASSIVE_SERVER, "closed")]
    });
    Done::Passed
}

/// A socket that could not connect: what was true of it before it tried, and where it wanted to.
pub fn attempt(socket: &Socket, to: SocketAddr) -> (Made, ErrorKind) {
    let before = Made::of(socket);
    let error = socket.connect(&to.into()).unwrap_err().kind();
    // An unbound socket gets the address it connects to (loopback), and some port.
    let local = before.local.filter(|local| local.port() != 0).or(Some((to.ip(), 0).into()));
    (Made { local, remote: Some(to), ..before }, error)
}

/// A classic BPF program that drops every packet: what is sent to such a socket goes nowhere.
pub fn go_deaf(socket: SockRef<'_>) {
    const BPF_RET_K: u16 = 0x06;
    socket.attach_filter(&[SockFilter::new(BPF_RET_K, 0, 0, 0)]).unwrap();
}

/// `RetransSegs` of the calling thread's namespace.
pub fn retransmitted() -> u64 {
    let table = fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let rows: Vec<Vec<&str>> =
        table.lines().filter(|line| line.starts_with("Tcp:")).map(|line| line.split(' ').collect()).collect();
    let at = rows[0].iter().position(|name| *name == "RetransSegs").unwrap();
    rows[1][at].parse().unwrap()
}

fn simultaneous_close() -> Done {
    let namespace = NetNs::new().unwrap();
    let mut tracer = Tracer::start(&["--netns", &namespace.inode().unwrap().to_string()]);
    let lives = namespace.enter(|| close_from_both_ends(count(400)));
    tracer.wait_closed(lives.iter().map(|life| &life.made));
    let outcome = tracer.finish();
    check::lives(&outcome, &lives);
    let book = check::Book::new(&outcome.events);
    let closing = |life: &Life| {
        let events = book.of(&life.made);
        events.iter().any(|event| matches!(&event.kind, Kind::State { new, .. } if new == "CLOSING"))
    };
    let mut together = 0;
    for ends in lives.chunks(2) {
        assert_eq!(closing(&ends[0]), closing(&ends[1]), "one end alone was CLOSING: {}", ends[0].made.name());
        together += usize::from(closing(&ends[0]));
    }
    runner::note(format!(
        "simultaneous close: {together} of {} connections were CLOSING at both ends",
        lives.len() / 2
    ));
    Done::Passed
}

/// Connections whose ends are shut down by two threads at the same time.
fn close_from_both_ends(connections: usize) -> Vec<Life> {
    let listener = made::listener(Family::V4);
    let mut lives = Vec::new();
    for _ in 0..connections {
        let Pair { client, server, client_made, server_made } = Pair::new(Family::V4, &listener);
        let (ready, both) = (Barrier::new(2), [client, server]);
        thread::scope(|scope| {
            for end in &both {
                let ready = &ready;
                scope.spawn(move || {
                    ready.wait();
                    // The other end may have reset nothing, and so this cannot fail.
                    end.shutdown(Shutdown::Write).unwrap();
                });
            }
        });
        drop(both);
        // Nobody can say which FIN was first; only that it is one of these three ways.
        let client = Life::tcp(&client_made, ACTIVE_CLIENT, "closed");
        lives.push(client.or_path(PASSIVE_CLIENT).or_path(CROSSED_CLIENT));
        let server = Life::tcp(&server_made, ACTIVE_SERVER, "closed");
        lives.push(server.or_path(PASSIVE_SERVER).or_path(CROSSED_SERVER));
    }
    lives
}

fn listeners_and_sockets_that_never_connect() -> Done {
    traced(&[], || {
        let mut lives = Vec::new();
        for family in [Family::V4, Family::V6] {
            let address = family.address(0);
            let idle = tcp(Domain::for_address(address));
            lives.push(Life::tcp(&Made::of(&idle), "", "closed"));
            let bound = tcp(Domain::for_address(address));
            bound.bind(&address.into()).unwrap();
            lives.push(Life::tcp(&Made::of(&bound), "", "closed"));
            let listener = made::listener(family);
            lives.push(Life::tcp(&Made::of(&listener), LISTENED, "closed"));
            // A listener may stop listening, and start again.
            let again = made::listener(family);
            // It gave its port back, and gets another.
            let made = Made { local: Some(address), ..Made::of(&again) };
            SockRef::from(&again).shutdown(Shutdown::Read).unwrap();
            SockRef::from(&again).listen(5).unwrap();
            lives.push(Life::tcp(&made, "CLOSE LISTEN CLOSE LISTEN CLOSE", "closed"));
        }
        lives
    });
    Done::Passed
}

fn listener_closes_on_connections_it_never_accepted() -> Done {
    traced(&[], || {
        let mut lives = Vec::new();
        for family in [Family::V4, Family::V6] {
            let listener = made::listener(family);
            let listens = Made::of(&listener);
            let to = family.address(listener.local_addr().unwrap().port());
            let mut clients: Vec<TcpStream> =
                (0..5).map(|_| made::connect(Domain::for_address(to), to).unwrap()).collect();
            drop(listener);
            for client in &mut clients {
                assert_eq!(client.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
                let made = Made::of(&*client);
                let (local, remote) = (Some(to), made.local);
                let made = Made { remote: Some(to), ..made };
                lives.push(Life::tcp(&made, BROKEN_CLIENT, "reset_received"));
                // Nobody ever held the other end: no inode, and no way to ask for its cookie.
                let child = Made { local, remote, cookie: 0, inode: 0, child: true, ..listens.clone() };
                lives.push(Life::tcp(&child, BROKEN_SERVER, "reset_sent"));
            }
            lives.push(Life::tcp(&listens, LISTENED, "closed"));
        }
        lives
    });
    Done::Passed
}

fn one_socket_connects_twice() -> Done {
    traced(&["--proto", "tcp"], || {
        let to = Family::V4.address(made::closed_port(Family::V4));
        let listener = made::listener(Family::V4);
        let socket = tcp(Domain::IPV4);
        attempt(&socket, to);
        socket.connect(&listener.local_addr().unwrap().into()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let made = Made::of(&socket);
        drop(socket);
        drop(server);
        // Each event has the ends it had then; the totals are of both attempts.
        let mut ends_vary = made.clone();
        (ends_vary.local, ends_vary.remote) =
            (Some((Ipv4Addr::LOCALHOST, 0).into()), Some((Ipv4Addr::LOCALHOST, 0).into()));
        let path = "CLOSE SYN_SENT CLOSE SYN_SENT ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE";
        vec![Life::tcp(&ends_vary, path, "closed")]
    });
    Done::Passed
}

fn udp_and_raw() -> Done {
    traced(&["--proto", "udp,udp6,udplite,udplite6,raw,raw6"], || {
        let mut sockets: Vec<(Made, Socket)> = Vec::new();
        let mut keep = |socket: Socket| sockets.push((Made::of(&socket), socket));
        for ip in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
            let address = SocketAddr::new(ip, 0);
            let domain = Domain::for_address(address);
            keep(Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).unwrap());
            let receiver = bound(domain, address);
            let to = receiver.local_addr().unwrap();
            let sender = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).unwrap();
            sender.connect(&to).unwrap();
            sender.send(b"a datagram").unwrap();
            keep(receiver);
            keep(sender);
            // It has gone from some kernels.
            match Socket::new(domain, Type::DGRAM, Some(Protocol::from(nix::libc::IPPROTO_UDPLITE))) {
                Ok(light) => keep(light),
                Err(error) => runner::note(format!("live: skipped: UDP-Lite sockets of {address}: {error}")),
            }
            let protocol = if ip.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
            keep(Socket::new(domain, Type::RAW, Some(protocol)).unwrap());
        }
        let lives = sockets.iter().map(|(made, _)| {
            // The port of a raw socket is its protocol; the ends of a closed UDP socket may have been given back.
            Life::stateless(made)
        });
        lives.collect()
    });
    Done::Passed
}
