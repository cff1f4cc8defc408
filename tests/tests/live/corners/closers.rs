//! Who ended a connection: the process whose close, exit or shutdown of the last descriptor did, whoever accepted or made it.

use super::cast::{self, taken_by};
use super::{check_closers, traced};
use crate::actor::Actor;
use crate::check;
use crate::lives::reset;
use crate::made::{self, Family, Made, Pair};
use crate::runner::{Done, Test};
use crate::tracer::Tracer;
use netstat_tests::netns::NetNs;
use netstat_tests::truth::actor;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::Read;
use std::net::{TcpListener, TcpStream};

pub const TESTS: &[Test] = &[
    ("corners::closed_by_a_process_per_connection", closed_by_a_process_per_connection),
    ("corners::closed_by_exit", || closed_by_keeper("exit", "the-exiting")),
    ("corners::closed_by_a_kill", || closed_by_keeper("killed", "the-killed-one")),
    ("corners::closed_by_shutdown_and_close", || closed_by_keeper("shutdown", "the-shutting")),
    ("corners::closed_by_a_thread", || closed_by_keeper("thread", "the-threaded")),
    ("corners::closed_before_the_peer_resets", closed_before_the_peer_resets),
    ("corners::closed_by_who_accepts_what_is_reset_already", closed_by_who_accepts_what_is_reset_already),
    ("corners::datagrams_are_closed_by_somebody", datagrams_are_closed_by_somebody),
];

/// A process accepts, and gives each connection to one of its own, as sshd does. The names of these are found nowhere else.
fn closed_by_a_process_per_connection() -> Done {
    let namespace = NetNs::new().unwrap();
    let mut tracer = traced(&namespace, &["--proto", "tcp"]);
    let (closed, listens) = namespace.enter(|| {
        let listener = made::listener(Family::V4);
        let mut closed: Vec<(Made, u32, String)> = Vec::new();
        for number in 0..10 {
            let Pair { client, server, client_made, server_made } = Pair::new(Family::V4, &listener);
            let name = format!("backend-{number}");
            let keeper = taken_by(&name, &server, "exit");
            closed.push((server_made, keeper.pid(), name));
            drop(server);
            closed.push((client_made.clone(), client_made.pid, client_made.comm));
            // Either end may be the first.
            match number % 2 {
                0 => ends_first(client, keeper),
                _ => ends_last(client, keeper),
            }
        }
        (closed, Made::of(&listener))
    });
    tracer.wait_closed(closed.iter().map(|(made, ..)| made).chain([&listens]));
    let outcome = tracer.finish();
    check::stream(&outcome);
    let mut expected: Vec<_> = closed.iter().map(|(made, pid, comm)| (made, *pid, comm.as_str())).collect();
    expected.push((&listens, listens.pid, &listens.comm));
    check_closers(&outcome, &expected);
    Done::Passed
}

/// The client closes, and its backend hears that and ends.
fn ends_first(client: TcpStream, keeper: Actor) {
    drop(client);
    keeper.end();
}

/// The backend ends, and the client hears that.
fn ends_last(mut client: TcpStream, keeper: Actor) {
    keeper.end();
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
}

/// Waits until the sockets are closed, and checks the stream: each was closed by its process, all of which have this name.
fn all_closed_by(mut tracer: Tracer, closed: &[(Made, u32)], name: &str) -> Done {
    tracer.wait_closed(closed.iter().map(|(made, _)| made));
    let outcome = tracer.finish();
    check::stream(&outcome);
    check_closers(&outcome, &closed.iter().map(|(made, pid)| (made, *pid, name)).collect::<Vec<_>>());
    Done::Passed
}

/// The client's end and the server's, a listener and a socket without a connection are left to another process, which ends them so.
fn closed_by_keeper(how: &str, name: &'static str) -> Done {
    let namespace = NetNs::new().unwrap();
    let tracer = traced(&namespace, &["--proto", "tcp"]);
    let closed = namespace.enter(|| {
        let listener = made::listener(Family::V4);
        let mut closed: Vec<(Made, u32)> = Vec::new();
        for kept_is_server in [false, true] {
            let Pair { client, server, client_made, server_made } = Pair::new(Family::V4, &listener);
            let (kept, mut other, made) =
                if kept_is_server { (server, client, server_made) } else { (client, server, client_made) };
            let keeper = taken_by(name, &kept, how);
            drop(kept);
            closed.push((made, keeper.pid()));
            cast::let_end(keeper, how);
            assert_eq!(other.read(&mut [0; 1]).unwrap(), 0);
        }
        let alone = TcpListener::bind("127.0.0.1:0").unwrap();
        let keeper = taken_by(name, &alone, how);
        closed.push((Made::of(&alone), keeper.pid()));
        drop(alone);
        cast::let_end(keeper, how);
        closed
    });
    all_closed_by(tracer, &closed, name)
}

/// The peer resets while the connection waits: as a scanner of ports does, or a check of health.
fn closed_by_who_accepts_what_is_reset_already() -> Done {
    let namespace = NetNs::new().unwrap();
    let tracer = traced(&namespace, &["--proto", "tcp"]);
    let closed = namespace.enter(|| {
        let listener = made::listener(Family::V4);
        let mut closed: Vec<(Made, u32)> = Vec::new();
        for _ in 0..5 {
            reset(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
            let (server, from) = listener.accept().unwrap();
            let made = Made { remote: Some(from), ..Made::accepted(&server) };
            let keeper = taken_by("the-late", &server, "exit");
            drop(server);
            closed.push((made, keeper.pid()));
            keeper.end();
        }
        closed
    });
    all_closed_by(tracer, &closed, "the-late")
}

/// The last thing that happens to a socket that was closed happens while its peer is on the CPU: that one did not close it.
fn closed_before_the_peer_resets() -> Done {
    let namespace = NetNs::new().unwrap();
    let tracer = traced(&namespace, &["--proto", "tcp"]);
    let closed = namespace.enter(|| {
        let listener = made::listener(Family::V4);
        let mut closed: Vec<(Made, u32)> = Vec::new();
        for _ in 0..5 {
            let Pair { client, server, client_made, .. } = Pair::new(Family::V4, &listener);
            let keeper = taken_by("the-first", &client, "exit");
            drop(client);
            closed.push((client_made, keeper.pid()));
            keeper.end();
            reset(server);
        }
        closed
    });
    all_closed_by(tracer, &closed, "the-first")
}

fn datagrams_are_closed_by_somebody() -> Done {
    let namespace = NetNs::new().unwrap();
    let mut tracer = traced(&namespace, &["--proto", "udp,udp6,raw"]);
    let closed = namespace.enter(|| {
        let socket = |domain, kind, protocol| Socket::new(domain, kind, Some(protocol)).unwrap();
        let sockets = [
            socket(Domain::IPV4, Type::DGRAM, Protocol::UDP),
            socket(Domain::IPV6, Type::DGRAM, Protocol::UDP),
            socket(Domain::IPV4, Type::RAW, Protocol::ICMPV4),
            actor::bound(Domain::IPV4, "127.0.0.1:0".parse().unwrap()),
        ];
        let keep = |socket: Socket| {
            let made = Made::of(&socket);
            let keeper = taken_by("the-udp-keeper", &socket, "exit");
            drop(socket);
            let pid = keeper.pid();
            keeper.end();
            (made, pid)
        };
        sockets.map(keep)
    });
    tracer.wait_closed(closed.iter().map(|(made, _)| made));
    let outcome = tracer.finish();
    check::stream(&outcome);
    check_closers(&outcome, &closed.iter().map(|(made, pid)| (made, *pid, "the-udp-keeper")).collect::<Vec<_>>());
    Done::Passed
}
