//! Sockets of odd kinds: MPTCP, an IPv6 socket that becomes an IPv4 one, connections that a 32-bit process accepts.

use super::{ROLE, traced};
use crate::actor::{self, Actor};
use crate::check::{self, Book};
use crate::event::{End, Event, Kind};
use crate::lives::drain;
use crate::made::{self, Family, Made, Pair};
use crate::runner::{Done, Test};
use netstat_tests::netns::NetNs;
use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("corners::subflows_of_mptcp_have_owners", subflows_of_mptcp_have_owners),
    ("corners::ipv6_sockets_that_become_ipv4_ones", ipv6_sockets_that_become_ipv4_ones),
    ("corners::accepted_by_a_32_bit_process", accepted_by_a_32_bit_process),
];

/// A socket of MPTCP.
pub fn mptcp() -> io::Result<Socket> {
    Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP))
}

/// The TCP connections that MPTCP is made of belong to the kernel; who has them is who has the MPTCP socket.
fn subflows_of_mptcp_have_owners() -> Done {
    if let Err(error) = mptcp() {
        return Done::Skipped(format!("no MPTCP: {error}"));
    }
    let namespace = NetNs::new().unwrap();
    let mut tracer = traced(&namespace, &["--proto", "tcp"]);
    let (port, server, clients) = namespace.enter(|| {
        fs::write("/proc/sys/net/mptcp/enabled", "1").unwrap();
        let mut server = Actor::start(actor::named("mptcp-server", ROLE, &["mptcp-server"]));
        let to: SocketAddr = server.hear();
        let start = |_| {
            let mut client = Actor::start(actor::named("mptcp-client", ROLE, &["mptcp-client", &to.to_string()]));
            let from: SocketAddr = client.hear();
            server.nudge();
            // It has accepted that one, and hears it end.
            assert_eq!(server.hear::<SocketAddr>(), from);
            let pid = client.pid();
            client.end();
            (from.port(), pid)
        };
        let clients: Vec<(u16, u32)> = (0..5).map(start).collect();
        let pid = server.pid();
        server.end();
        (to.port(), pid, clients)
    });
    let closes = |events: &[Event]| events.iter().filter(|event| matches!(event.kind, Kind::Close(_))).count();
    // Both ends of each, and the listener.
    tracer.wait(|events| closes(events) > 2 * clients.len());
    let outcome = tracer.finish();
    check::stream(&outcome);
    let port_of = |end: Option<End>| end.and_then(|end| end.port).unwrap_or(0);
    let (mut wrong, mut seen) = (Vec::new(), [0; 3]);
    for event in &outcome.events {
        let wanted = match (port_of(event.local), port_of(event.remote)) {
            (local, 0) if local == port => (0, server, "mptcp-server", &["created"][..]),
            (local, _) if local == port => (1, server, "mptcp-server", &["inherited", "accepted"][..]),
            (local, remote) if remote == port => {
                // It gets its port only after its first event: that may be any client's.
                let is = |(from, pid): &&(u16, u32)| *from == local || local == 0 && Some(*pid) == event.pid;
                let pid = clients.iter().find(is).map_or(0, |(_, pid)| *pid);
                (2, pid, "mptcp-client", &["created"][..])
            }
            _ => continue,
        };
        let (kind, pid, comm, grades) = wanted;
        seen[kind] += 1;
        let owner = event.owner.as_deref().unwrap_or_default();
        if event.pid != Some(pid) || event.comm.as_deref() != Some(comm) || !grades.contains(&owner) {
            wrong.push(format!("not {pid}/{comm}, {grades:?}: {}", event.line));
        }
    }
    assert!(seen[0] >= 3 && seen[1] >= 4 * clients.len() && seen[2] >= 4 * clients.len(), "seen: {seen:?}");
    assert!(
        wrong.is_empty(),
        "{} of {seen:?} events wrong:\n  {}",
        wrong.len(),
        wrong[..wrong.len().min(4)].join("\n  ")
    );
    Done::Passed
}

/// `IPV6_ADDRFORM`: makes an IPv4 socket of an IPv6 one with IPv4-mapped ends.
fn become_ipv4(socket: &impl AsRawFd) {
    let family: libc::c_int = libc::AF_INET;
    // SAFETY: the option takes one `int`, which is there for the time of the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IPV6,
            libc::IPV6_ADDRFORM,
            (&raw const family).cast(),
            size_of_val(&family) as libc::socklen_t,
        )
    };
    assert_eq!(result, 0, "IPV6_ADDRFORM: {}", io::Error::last_os_error());
}

fn ipv6_sockets_that_become_ipv4_ones() -> Done {
    let namespace = NetNs::new().unwrap();
    let mut tracer = traced(&namespace, &[]);
    let made = namespace.enter(|| {
        let listener = made::listener(Family::Mapped);
        let Pair { client, mut server, .. } = Pair::new(Family::Mapped, &listener);
        let receiver = actor::bound(Domain::IPV4, (Ipv4Addr::LOCALHOST, 0).into());
        let udp = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        let to = receiver.local_addr().unwrap().as_socket().unwrap();
        udp.connect(&Family::Mapped.address(to.port()).into()).unwrap();
        become_ipv4(&client);
        become_ipv4(&udp);
        let made = [Made::of(&client), Made::of(&udp)];
        assert_eq!(made.each_ref().map(|made| made.proto.as_str()), ["tcp", "udp"], "as /proc and SO_DOMAIN say");
        let listed = fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
        assert!(listed.contains(&format!(" {} ", made[0].inode)), "not listed under tcp: {listed}");
        drop((client, udp));
        assert_eq!(drain(&mut server), 0);
        made
    });
    tracer.wait_closed(&made);
    let outcome = tracer.finish();
    let book = Book::new(&outcome.events);
    for made in &made {
        let last = book.of(made).into_iter().rfind(|event| matches!(event.kind, Kind::Close(_))).expect("no close");
        assert_eq!(last.proto, made.proto, "{}", last.line);
        if made.proto == "tcp" {
            let ends = [last.local, last.remote].map(|end| end.and_then(|end| end.addr));
            assert_eq!(ends, [made.local, made.remote].map(|end| end.map(|end| end.ip())), "{}", last.line);
        }
    }
    Done::Passed
}

/// How often each call is tried: on a busy machine records do not wait for every look at the open files.
const TRIES: usize = 3;

/// After this time records may wait again (`kernel/prime.rs`: a quarter of a second is a tenth of it).
const SHARE: Duration = Duration::from_millis(2500);

/// The calls by which a 32-bit process accepts, none of which asks for the peer's address.
fn accepted_by_a_32_bit_process() -> Done {
    let mut able = actor::named("compat-probe", ROLE, &["accept32-probe"]);
    if !cfg!(target_arch = "x86_64") || !able.output().unwrap().status.success() {
        return Done::Skipped("this kernel runs no 32-bit calls of x86".into());
    }
    let namespace = NetNs::new().unwrap();
    let mut tracer = traced(&namespace, &["--proto", "tcp"]);
    namespace.enter(|| {
        let listener = made::listener(Family::V4);
        let number = listener.as_raw_fd().to_string();
        let mut accept = |call: &str| {
            let mut worker = Actor::start(actor::named("compat-worker", ROLE, &["accept32", &number, call]));
            worker.nudge();
            let client = made::connect(Domain::IPV4, listener.local_addr().unwrap()).unwrap();
            let made: Made = worker.hear();
            // The client goes first: nothing that the worker does betrays it before that is seen.
            drop(client);
            let is_it = |event: &Event| {
                let ends = matches!(&event.kind, Kind::State { old, .. } if old == "ESTABLISHED");
                ends && event.cookie == Some(made.cookie)
            };
            let mut reported = || {
                let mut line = None;
                tracer.wait(|events| {
                    let right =
                        |event: &Event| (event.pid, event.owner.as_deref()) == (Some(made.pid), Some("accepted"));
                    line = events.iter().find(|event| is_it(event)).map(|event| (right(event), event.line.clone()));
                    line.is_some()
                });
                line.unwrap_or_else(|| panic!("nothing is reported of {made:?}"))
            };
            // One ends only when that is reported; the others may be gone by then.
            let (right, line) = if call == "accept" {
                let line = reported();
                worker.end();
                line
            } else {
                worker.end();
                reported()
            };
            (right, format!("{call} by {}: {line}", made.pid))
        };
        for call in ["accept", "accept4", "accept4-direct"] {
            let mut wrong = Vec::new();
            while let (false, line) = accept(call) {
                wrong.push(line);
                assert!(wrong.len() < TRIES, "not accepted, each time:\n  {}", wrong.join("\n  "));
                thread::sleep(SHARE);
            }
        }
    });
    check::stream(&tracer.finish());
    Done::Passed
}
