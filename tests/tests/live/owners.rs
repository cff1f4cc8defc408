//! Whose a socket is: never whoever happened to be on the CPU.

use crate::actor::{self, Actor};
use crate::check::{self, Life};
use crate::event::{Event, Kind};
use crate::lives::{ACTIVE_CLIENT, CROSSED, LISTENED, PASSIVE_SERVER, attempt};
use crate::made::{self, Family, Made};
use crate::runner::{Done, Test};
use crate::scale::count;
use crate::tracer::{Tracer, now_ns};
use netstat_tests::netns::NetNs;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use socket2::Domain;
use std::io::{IoSlice, Read, Write};
use std::net::{Shutdown, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::thread;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("owners::each_end_has_its_own_process", each_end_has_its_own_process),
    ("owners::whoever_accepts", whoever_accepts),
    ("owners::accepted_and_held_by_nobody", accepted_and_held_by_nobody),
    ("owners::a_thread_speaks_for_its_process", a_thread_speaks_for_its_process),
    ("owners::other_users", other_users),
    ("owners::a_server_of_another_user", a_server_of_another_user),
    ("owners::the_user_of_a_socket_that_is_given_away", the_user_of_a_socket_that_is_given_away),
    ("owners::other_namespaces", other_namespaces),
    ("owners::sockets_that_were_there_before", sockets_that_were_there_before),
    ("owners::processes_that_were_there_before", processes_that_were_there_before),
    ("owners::a_port_given_back_before", a_port_given_back_before),
];

fn each_end_has_its_own_process() -> Done {
    let mut tracer = Tracer::start(&["--proto", "tcp"]);
    let mut server = Actor::start(actor::named("the-server", "serve", &[]));
    let listens: Made = server.hear();
    assert_eq!(listens.comm, "the-server");
    let to = listens.local.unwrap();
    let mut lives = vec![Life::tcp(&listens, LISTENED, "closed")];
    for number in 0..20 {
        let mut client = Actor::start(actor::named("the-client", "hold", &[&to.to_string()]));
        let made = client.hear::<Vec<Made>>().remove(0);
        assert_eq!(made.comm, "the-client");
        if number % 2 == 0 {
            // Accepted while the client lives.
            server.nudge();
        }
        // Now and then, so long that the times say what came first.
        let pause = Duration::from_millis(if number < 4 { 120 } else { 0 });
        thread::sleep(pause);
        client.end();
        if number % 2 == 1 {
            // Accepted when it is long gone.
            thread::sleep(pause);
            server.nudge();
        }
        lives.push(Life::tcp(&made, ACTIVE_CLIENT, "closed"));
        lives.push(Life::tcp(&server.hear(), PASSIVE_SERVER, "closed").accepted_late());
    }
    server.end();
    tracer.wait_closed(lives.iter().map(|life| &life.made));
    check::lives(&tracer.finish(), &lives);
    Done::Passed
}

/// Workers of one listener, who do not ask for the peer's address: from accept on a connection is theirs.
fn whoever_accepts() -> Done {
    let mut tracer = Tracer::start(&["--proto", "tcp"]);
    let listener = made::listener(Family::V4);
    let number = listener.as_raw_fd().to_string();
    let mut workers = [("worker-one", "accept"), ("worker-two", "accept4")]
        .map(|(name, how)| Actor::start(actor::named(name, "accept", &[&number, how])));
    let mut accepted: Vec<Made> = Vec::new();
    for _ in 0..count(100) {
        for worker in &mut workers {
            worker.nudge();
            let client = made::connect(Domain::IPV4, listener.local_addr().unwrap()).unwrap();
            accepted.push(worker.hear());
            drop(client);
        }
    }
    workers.into_iter().for_each(Actor::end);
    tracer.wait_closed(&accepted);
    let outcome = tracer.finish();
    let book = check::Book::new(&outcome.events);
    let own = std::process::id();
    for made in &accepted {
        for event in book.of(made) {
            let before = matches!(&event.kind, Kind::State { old, .. } if old == "LISTEN" || old == "SYN_RECV");
            let seen = (event.pid.unwrap_or(0), event.owner.as_deref().unwrap_or_default());
            // It waits for accept(2) before its transition to ESTABLISHED: another processor may be faster.
            let inherited = before && seen == (own, "inherited");
            assert!(inherited || seen == (made.pid, "accepted"), "{} has accepted: {}", made.pid, event.line);
            assert!(before || event.comm.as_deref() == Some(made.comm.as_str()), "{}", event.line);
        }
    }
    assert!(accepted.iter().all(|made| book.of(made).len() >= 6), "a whole life each");
    Done::Passed
}

/// A connection that is accepted and sent to a socket where nobody takes it: no process holds it, so that only the hooks know who accepted it.
fn accepted_and_held_by_nobody() -> Done {
    let mut tracer = Tracer::start(&["--proto", "tcp"]);
    let listener = made::listener(Family::V4);
    let client = made::connect(Domain::IPV4, listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let made = Made::accepted(&server);
    let (sender, receiver) = UnixStream::pair().unwrap();
    sendmsg::<()>(
        sender.as_raw_fd(),
        &[IoSlice::new(b"!")],
        &[ControlMessage::ScmRights(&[server.as_raw_fd()])],
        MsgFlags::empty(),
        None,
    )
    .unwrap();
    drop(server);
    client.shutdown(Shutdown::Write).unwrap();
    let is_end = |event: &&Event| matches!(&event.kind, Kind::State { new, .. } if new == "CLOSE_WAIT");
    let closes = |events: &[Event]| check::Book::new(events).of(&made).iter().any(is_end);
    assert!(tracer.wait(closes), "the connection does not hear its peer close");
    drop((sender, receiver));
    tracer.wait_closed([&made]);
    let outcome = tracer.finish();
    let book = check::Book::new(&outcome.events);
    let event = book.of(&made).into_iter().find(is_end).unwrap();
    let seen = (event.pid, event.owner.as_deref());
    assert_eq!(seen, (Some(std::process::id()), Some("accepted")), "{}", event.line);
    Done::Passed
}

/// Connects an actor to a listener of ours, hears of all it made, and ends it and the accepted connection.
fn visited_by(command: impl FnOnce(&str) -> std::process::Command) -> (Vec<Made>, Made) {
    let listener = made::listener(Family::V4);
    let mut actor = Actor::start(command(&listener.local_addr().unwrap().to_string()));
    let made = actor.hear();
    let (mut server, accepted) = made::accept(&listener);
    actor.end();
    server.read_to_end(&mut Vec::new()).unwrap();
    (made, accepted)
}

fn a_thread_speaks_for_its_process() -> Done {
    let mut tracer = Tracer::start(&["--proto", "tcp"]);
    let (made, accepted) = visited_by(|to| actor::named("the-leader", "thread", &[to]));
    assert_eq!(made[0].comm, "the-leader");
    let lives = [
        Life::tcp(&made[0], ACTIVE_CLIENT, "closed"),
        Life::tcp(&made[1], LISTENED, "closed"),
        // It was gone at once.
        Life::tcp(&accepted, PASSIVE_SERVER, "closed").accepted_late(),
    ];
    tracer.wait_closed(lives.iter().map(|life| &life.made));
    check::lives(&tracer.finish(), &lives);
    Done::Passed
}

fn other_users() -> Done {
    let mut tracer = Tracer::start(&["--proto", "tcp"]);
    let (made, accepted) = visited_by(|to| {
        let mut command = actor::named("somebody", "hold", &[to]);
        command.uid(12345);
        command
    });
    assert_eq!((made[0].uid, accepted.uid), (12345, 0));
    let lives = [Life::tcp(&made[0], ACTIVE_CLIENT, "closed"), Life::tcp(&accepted, PASSIVE_SERVER, "closed")];
    tracer.wait_closed(lives.iter().map(|life| &life.made));
    check::lives(&tracer.finish(), &lives);
    Done::Passed
}

/// What comes to a listener has its user, before and after it is accepted.
fn a_server_of_another_user() -> Done {
    let mut tracer = Tracer::start(&["--proto", "tcp"]);
    let mut command = actor::named("their-server", "serve", &[]);
    command.uid(12345);
    let mut server = Actor::start(command);
    let listens: Made = server.hear();
    let client = made::connect(Domain::IPV4, listens.local.unwrap()).unwrap();
    let client_made = Made::of(&client);
    server.nudge();
    client.shutdown(Shutdown::Write).unwrap();
    let accepted: Made = server.hear();
    drop(client);
    server.end();
    assert_eq!((listens.uid, accepted.uid, client_made.uid), (12345, 12345, 0));
    let lives = [
        Life::tcp(&listens, LISTENED, "closed"),
        Life::tcp(&client_made, ACTIVE_CLIENT, "closed"),
        Life::tcp(&accepted, PASSIVE_SERVER, "closed").accepted_late(),
    ];
    tracer.wait_closed(lives.iter().map(|life| &life.made));
    check::lives(&tracer.finish(), &lives);
    Done::Passed
}

/// fchown(2) gives a socket to another user, as fstat(2) shows: what happens afterwards is that user's.
fn the_user_of_a_socket_that_is_given_away() -> Done {
    let mut tracer = Tracer::start(&["--proto", "tcp,udp", "--netns", "self"]);
    let listener = made::listener(Family::V4);
    let made::Pair { client, server, client_made, server_made } = made::Pair::new(Family::V4, &listener);
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let datagrams_made = Made::of(&datagrams);
    for socket in [client.as_fd(), server.as_fd(), datagrams.as_fd()] {
        nix::unistd::fchown(socket, Some(12345.into()), None).unwrap();
        assert_eq!(nix::sys::stat::fstat(socket).unwrap().st_uid, 12345);
    }
    let given_ns = now_ns();
    drop((client, server, datagrams));
    let all = [&client_made, &server_made, &datagrams_made];
    tracer.wait_closed(all);
    let outcome = tracer.finish();
    let book = check::Book::new(&outcome.events);
    for made in all {
        let events = book.of(made);
        let after = events.iter().filter(|event| event.time_ns > given_ns).count();
        assert!(after > 0 && after < events.len(), "{events:#?}");
        for event in events {
            let wanted = if event.time_ns > given_ns { 12345 } else { 0 };
            assert_eq!(event.uid, Some(wanted), "{}", event.line);
        }
    }
    Done::Passed
}

fn other_namespaces() -> Done {
    let mut tracer = Tracer::start(&[]);
    let mut lives = Vec::new();
    let here = NetNs::current().unwrap().inode().unwrap();
    for _ in 0..3 {
        let namespace = NetNs::new().unwrap();
        namespace.enter(|| {
            let (made, accepted) = visited_by(|to| actor::named("elsewhere", "hold", &[to]));
            assert!(made[0].netns != here && made[0].netns == accepted.netns);
            lives.push(Life::tcp(&made[0], ACTIVE_CLIENT, "closed"));
            lives.push(Life::tcp(&accepted, PASSIVE_SERVER, "closed"));
            let udp = actor::bound(socket2::Domain::IPV4, "127.0.0.1:0".parse().unwrap());
            lives.push(Life::stateless(&Made::of(&udp)));
        });
    }
    tracer.wait_closed(lives.iter().map(|life| &life.made));
    check::lives(&tracer.finish(), &lives);
    Done::Passed
}

fn sockets_that_were_there_before() -> Done {
    let listener = made::listener(Family::V4);
    let old = made::Pair::new(Family::V4, &listener);
    let udp = actor::bound(socket2::Domain::IPV6, "[::1]:0".parse().unwrap());
    let listens = Made::of(&listener);

    let mut tracer = Tracer::start(&[]);
    let mut lives =
        vec![Life::stateless(&Made::of(&udp)).scanned(), Life::tcp(&listens, "LISTEN CLOSE", "closed").scanned()];
    drop(udp);
    // A new connection of an old listener.
    let new = made::Pair::new(Family::V4, &listener);
    drop(listener);
    for (mut pair, scanned) in [(old, true), (new, false)] {
        pair.client.write_all(b"last words").unwrap();
        pair.client.shutdown(Shutdown::Write).unwrap();
        pair.server.read_to_end(&mut Vec::new()).unwrap();
        drop((pair.server, pair.client));
        let (client, server) = (&pair.client_made, &pair.server_made);
        if scanned {
            lives.push(Life::tcp(client, "ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE", "closed").bytes(0, 10).scanned());
            // Its child was old as well: it counts as a socket of its own.
            let server = Made { child: false, ..server.clone() };
            lives.push(Life::tcp(&server, "ESTABLISHED CLOSE_WAIT LAST_ACK CLOSE", "closed").bytes(10, 0).scanned());
        } else {
            lives.push(Life::tcp(client, ACTIVE_CLIENT, "closed").bytes(0, 10));
            lives.push(Life::tcp(server, PASSIVE_SERVER, "closed").bytes(10, 0));
        }
    }
    tracer.wait_closed(lives.iter().map(|life| &life.made));
    check::lives(&tracer.finish(), &lives);
    Done::Passed
}

fn processes_that_were_there_before() -> Done {
    let namespace = NetNs::new().unwrap();
    let mut actors: Vec<Actor> = Vec::new();
    let mut made: Vec<(&str, Made)> = Vec::new();
    for kind in ["listener", "udp", "pair"] {
        // In this namespace, and in another.
        for elsewhere in [false, true] {
            let start = || Actor::start(actor::named(&format!("old-{kind}"), "hold", &[kind]));
            let mut actor = if elsewhere { namespace.enter(start) } else { start() };
            made.extend(actor.hear::<Vec<Made>>().into_iter().map(|made| (kind, made)));
            actors.push(actor);
        }
    }
    let mut tracer = Tracer::start(&[]);
    for actor in actors {
        actor.end();
    }
    let lives: Vec<Life> = made
        .iter()
        .map(|(kind, made)| match (*kind, made.remote) {
            ("udp", _) => Life::stateless(made),
            (_, None) => Life::tcp(made, "LISTEN CLOSE", "closed"),
            // The kernel closes the descriptors of a process that ends one by one, the client's first; the FINs may cross.
            (_, Some(_)) => Life::tcp(made, "ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE", "closed")
                .or_path("ESTABLISHED CLOSE_WAIT LAST_ACK CLOSE")
                .or_path(CROSSED),
        })
        .map(Life::scanned)
        .collect();
    tracer.wait_closed(lives.iter().map(|life| &life.made));
    check::lives(&tracer.finish(), &lives);
    Done::Passed
}

/// A socket whose connection was refused has given its port back, and is closed later: by a tracer that did not see the port.
fn a_port_given_back_before() -> Done {
    for family in [Family::V4, Family::V6] {
        let to = family.address(made::closed_port(family));
        let socket = made::tcp(Domain::for_address(to));
        socket.bind(&family.address(0).into()).unwrap();
        let port = Made::of(&socket).local.unwrap().port();
        let (refused, _) = attempt(&socket, to);
        let mut tracer = Tracer::start(&["--proto", "tcp"]);
        drop(socket);
        tracer.wait_closed([&refused]);
        let outcome = tracer.finish();
        let book = check::Book::new(&outcome.events);
        let closed = book.of(&refused).into_iter().find(|event| matches!(event.kind, Kind::Close(_))).unwrap();
        assert_eq!(closed.local.and_then(|local| local.port), Some(port), "{}", closed.line);
    }
    Done::Passed
}
