//! Connections that are accepted without asking for the peer's address: where the kernel refuses `fexit` only the return of accept(2) shows them,
//! and the hook on that is taken away while nobody accepts so.

use super::cast::taken_by;
use super::traced;
use crate::check::Book;
use crate::event::Kind;
use crate::lives::reset;
use crate::made::{self, Family, Made, Pair};
use crate::runner::{Done, Test};
use crate::tracer::Tracer;
use netstat_tests::netns::NetNs;
use netstat_tests::truth::scale::patience;
use rustix::net::SocketFlags;
use rustix::process::getpid;
use socket2::Domain;
use std::fs;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("corners::accepted_without_the_peers_address", || {
        NetNs::new().unwrap().enter(|| accepted_without_the_peers_address(&["--proto", "tcp"], Closes::ClientFirst))
    }),
    // With UDP there is a hook besides that a process passes as it closes a socket.
    ("corners::accepted_without_the_peers_address_and_closed_first", || {
        NetNs::new().unwrap().enter(|| accepted_without_the_peers_address(&[], Closes::ServerFirst))
    }),
];

/// Which end of a connection sends its FIN first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closes {
    ClientFirst,
    ServerFirst,
}

/// As many at a time; a thousand in a row are enough for the hook to be taken away.
const WITH_ADDRESS: usize = 300;

fn accepted_without_the_peers_address(arguments: &[&str], closes: Closes) -> Done {
    let namespace = NetNs::current().unwrap();
    let mut tracer = traced(&namespace, arguments);
    if !tracer.ready.split(' ').any(|hook| hook == "accept=syscall") {
        return Done::Skipped(format!("another hook sees every connection accepted: {}", tracer.ready));
    }
    let listener = made::listener(Family::V4);
    let first = served(accept4, &listener, closes);
    assert!(hooks(&tracer) > 0, "the return of accept(2) is not traced: {}", tracer.ready);
    // The tracer counts from when it looks, now and then, and may be kept from that.
    let with_address = || {
        for _ in 0..WITH_ADDRESS {
            let Pair { client, server, .. } = Pair::new(Family::V4, &listener);
            reset(client);
            drop(server);
        }
        hooks(&tracer) == 0
    };
    until(with_address, "it is traced although nobody needs it");
    // Nothing but its last close shows who accepted this one.
    let over = reset_before(&listener);
    // The first one shows that it is needed.
    let second = served(accept, &listener, closes);
    until(|| hooks(&tracer) > 0, "it is not traced although it is needed");
    let third = served(accept, &listener, closes);
    tracer.wait_closed([&first, &over, &second, &third]);
    let outcome = tracer.finish();
    let book = Book::new(&outcome.events);
    let me = getpid().as_raw_nonzero().get() as u32;
    if closes == Closes::ServerFirst {
        let close = book.of(&over).into_iter().find_map(|event| match &event.kind {
            Kind::Close(totals) => Some((event.owner.as_deref(), totals.closed_by.as_ref().map(|closer| closer.pid))),
            _ => None,
        });
        assert_eq!(close, Some((Some("accepted"), Some(me))), "{:#?}", book.of(&over));
    }
    for (made, exact) in [(&first, true), (&second, false), (&third, true)] {
        let events = book.of(made);
        let taken = events.iter().filter(|event| event.owner.as_deref() != Some("inherited"));
        let owners: Vec<_> = taken.map(|event| (event.pid, event.owner.as_deref())).collect();
        assert!(owners.iter().all(|owner| owner.1 == Some("accepted")) && owners.len() > 1, "{events:#?}");
        assert!(
            !exact || owners.iter().all(|owner| owner.0 == Some(me)),
            "{me} has accepted {}: {events:#?}",
            made.name()
        );
    }
    Done::Passed
}

/// Accepts without asking for the address.
fn accept(listener: &TcpListener) -> TcpStream {
    rustix::net::accept(listener).unwrap().into()
}

/// The same by accept4(2), which is another system call to the kernel.
fn accept4(listener: &TcpListener) -> TcpStream {
    rustix::net::accept_with(listener, SocketFlags::CLOEXEC).unwrap().into()
}

/// A connection that this process accepts, and another one serves and closes.
fn served(accept: fn(&TcpListener) -> TcpStream, listener: &TcpListener, closes: Closes) -> Made {
    let client = made::connect(Domain::IPV4, listener.local_addr().unwrap()).unwrap();
    let server = accept(listener);
    let made = other_end(Made::of(&client), &server);
    let keeper = taken_by("the-server", &server, "exit");
    drop(server);
    if closes == Closes::ClientFirst {
        client.shutdown(Shutdown::Write).unwrap();
        // It hears the end of its input.
        thread::sleep(Duration::from_millis(100));
    }
    keeper.end();
    made
}

/// A connection that its client has reset before this process accepts it, without asking for the address, and closes it.
fn reset_before(listener: &TcpListener) -> Made {
    let client = made::connect(Domain::IPV4, listener.local_addr().unwrap()).unwrap();
    let made = Made::of(&client);
    reset(client);
    other_end(made, &accept(listener))
}

/// The server's end of a client's connection, without asking for the peer's address: who asks is seen, too.
fn other_end(client: Made, server: &TcpStream) -> Made {
    Made {
        cookie: rustix::net::sockopt::socket_cookie(server).unwrap(),
        inode: rustix::fs::fstat(server).unwrap().st_ino,
        local: client.remote,
        remote: client.local,
        child: true,
        ..client
    }
}

/// How many classic tracepoints a tracer is attached to, as the kernel says of its links (`bpf_link_show_fdinfo`).
fn hooks(tracer: &Tracer) -> usize {
    let links = fs::read_dir(format!("/proc/{}/fdinfo", tracer.pid())).unwrap();
    let is_perf = |link: PathBuf| fs::read_to_string(link).is_ok_and(|text| text.contains("link_type:\tperf"));
    links.filter(|link| link.as_ref().is_ok_and(|link| is_perf(link.path()))).count()
}

fn until(mut is_so: impl FnMut() -> bool, otherwise: &str) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < patience(), "{otherwise}");
        thread::sleep(Duration::from_millis(10));
    }
}
