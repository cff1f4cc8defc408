//! What was once reported wrong: owners that end before their sockets, sockets that the kernel ends on request, MPTCP, TCP Fast Open.

use super::{ROLE, check_closers, totals, traced, wired};
use crate::actor::{self, Actor};
use crate::check::{self, Book};
use crate::event::{Closer, Event, Kind};
use crate::lives::{self, retransmitted};
use crate::made::{self, Family, Made, tcp};
use crate::places::refuses;
use crate::runner::{Done, Test};
use crate::tracer::{Outcome, Tracer, events_after};
use netstat_tests::netns::NetNs;
use netstat_tests::truth::wire::{self, ACK, SYN, Wire};
use nix::errno::Errno;
use nix::libc;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use socket2::{Domain, Socket};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("corners::owner_that_has_ended_and_is_not_reaped", || heir(0, false, false)),
    ("corners::owner_that_used_another_socket_again_and_again", || heir(3, true, false)),
    ("corners::owner_whose_place_another_process_took", || heir(0, true, true)),
    ("corners::killed_with_both_ends_of_its_connections", killed_with_both_ends_of_its_connections),
    ("corners::mptcp_is_understood_and_closed_by_somebody", mptcp_is_understood_and_closed_by_somebody),
    ("corners::connect_that_was_ended_by_ss", connect_that_was_ended_by_ss),
    ("corners::connection_that_was_ended_by_ss", connection_that_was_ended_by_ss),
    ("corners::fast_open_that_is_abandoned", fast_open_that_is_abandoned),
    ("corners::connections_that_waited_before_the_tracer", connections_that_waited_before_the_tracer),
    ("corners::one_namespace_without_btf", one_namespace_without_btf),
];

/// A process leaves its connection to its child and ends; who started it reaps it or not. What happens to the connection then is the child's. Before, a
/// process may have made a socket that is known by the same place of the kernel programs' table, which has one for every 32,768th number.
fn heir(uses: usize, reaped: bool, evicted: bool) -> Done {
    const PLACES: u32 = 32_768;
    let numbers = evicted.then(|| ProcessNumbers::up_to(4 * PLACES));
    let namespace = NetNs::new().unwrap();
    let mut tracer = traced(&namespace, &["--proto", "tcp"]);
    let (made, heir) = namespace.enter(|| {
        let listener = made::listener(Family::V4);
        let to = listener.local_addr().unwrap().to_string();
        let mut owner = Actor::start(actor::named("the-late", ROLE, &["leave", &to, &uses.to_string()]));
        let made: Made = owner.hear();
        if evicted {
            other_with_number(owner.pid() + PLACES);
        }
        owner.nudge();
        let heir: u32 = owner.hear();
        let (server, _) = listener.accept().unwrap();
        if reaped {
            waitpid(Pid::from_raw(owner.pid() as i32), None).unwrap();
        }
        thread::sleep(Duration::from_secs(1));
        server.shutdown(Shutdown::Write).unwrap();
        let heard = |events: &[Event]| Book::new(events).of(&made).iter().any(|event| is_into(event, "CLOSE_WAIT"));
        assert!(tracer.wait(heard), "the connection does not hear its peer close");
        if reaped {
            // The end of its input ends the child.
            drop(owner);
        } else {
            owner.end();
        }
        tracer.wait_closed([&made]);
        (made, heir)
    });
    let outcome = tracer.finish();
    check::stream(&outcome);
    let events = Book::new(&outcome.events).of(&made);
    let left = events.iter().position(|event| is_into(event, "CLOSE_WAIT")).unwrap();
    for event in &events[left..] {
        let owner = (event.pid, event.comm.as_deref(), event.owner.as_deref());
        assert_eq!(owner, (Some(heir), Some("the-heir"), Some("scanned")), "of {}: {}", made.pid, event.line);
    }
    check_closers(&outcome, &[(&made, heir, "the-heir")]);
    drop(numbers);
    Done::Passed
}

/// Connections wait to be accepted when the tracer begins, one of them reset by its peer: whoever accepts them owns and closes them.
fn connections_that_waited_before_the_tracer() -> Done {
    let namespace = NetNs::new().unwrap();
    let (listener, peers) = namespace.enter(|| {
        let listener = made::listener(Family::V4);
        let to = listener.local_addr().unwrap();
        let mut peers: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(to).unwrap()).collect();
        lives::reset(peers.pop().unwrap());
        (listener, peers)
    });
    let mut tracer = traced(&namespace, &["--proto", "tcp"]);
    let accepted = namespace.enter(|| {
        let mut accepted = vec![listener.accept().unwrap().0];
        accepted.push(rustix::net::accept(&listener).unwrap().into());
        accepted.push(listener.accept().unwrap().0);
        accepted
    });
    let made = [Made::accepted(&accepted[0]), Made::accepted_unasked(&accepted[1]), Made::accepted(&accepted[2])];
    drop(peers);
    drop(accepted);
    tracer.wait_closed(&made);
    let outcome = tracer.finish();
    for made in &made {
        for event in Book::new(&outcome.events).of(made) {
            let owner = (event.pid, event.owner.as_deref());
            assert_eq!(owner, (Some(made.pid), Some("scanned")), "{}", event.line);
        }
    }
    check_closers(&outcome, &made.each_ref().map(|made| (made, made.pid, made.comm.as_str())));
    assert_eq!(totals(&outcome, &made[2]).1.reason, "reset_received");
    Done::Passed
}

/// The numbers that processes can have, until this is dropped.
struct ProcessNumbers(String);

impl ProcessNumbers {
    const FILE: &str = "/proc/sys/kernel/pid_max";

    fn up_to(most: u32) -> Self {
        let before = fs::read_to_string(Self::FILE).unwrap();
        let most = before.trim().parse::<u32>().unwrap().max(most);
        fs::write(Self::FILE, most.to_string()).unwrap();
        Self(before)
    }
}

impl Drop for ProcessNumbers {
    fn drop(&mut self) {
        fs::write(Self::FILE, &self.0).unwrap();
    }
}

/// Has a process of this number make a socket and end.
fn other_with_number(number: u32) {
    for _ in 0..100 {
        // The next process gets the next number, unless another one is quicker.
        fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string()).unwrap();
        let mut other = Actor::start(actor::named("the-other", ROLE, &["try"]));
        let got = other.pid();
        if got == number {
            other.nudge();
            let _: Vec<Option<i32>> = other.hear();
        }
        other.end();
        if got == number {
            return;
        }
    }
    panic!("no process could be given the number {number}");
}

fn is_into(event: &Event, state: &str) -> bool {
    matches!(&event.kind, Kind::State { new, .. } if new == state)
}

/// One end closes, which moves the other one, while the process that has both ends.
fn killed_with_both_ends_of_its_connections() -> Done {
    const PAIRS: usize = 100;
    let namespace = NetNs::new().unwrap();
    let mut victim = namespace.enter(|| Actor::start(actor::named("the-victim", ROLE, &["pairs", &PAIRS.to_string()])));
    let pid = victim.pid();
    let mut tracers = [vec![], vec!["--pid".to_owned(), pid.to_string()]].map(|filter: Vec<String>| {
        let filter: Vec<&str> = filter.iter().map(String::as_str).collect();
        traced(&namespace, &[&["--proto", "tcp"], &filter[..]].concat())
    });
    victim.nudge();
    let made: Vec<Made> = victim.hear();
    assert_eq!(made.len(), 2 * PAIRS);
    victim.kill();
    for tracer in &mut tracers {
        tracer.wait_closed(&made);
    }
    for outcome in tracers.map(crate::tracer::Tracer::finish) {
        // It checks that there is no gap, too.
        check::stream(&outcome);
        assert!(outcome.lost.is_empty(), "events were lost: {:?}", outcome.lost);
        let book = Book::new(&outcome.events);
        let mut wrong = Vec::new();
        for made in &made {
            let events = book.of(made);
            for event in check::without_remains(&events) {
                // A connection is accepted only when it is there. And what happens to one while another process is on the processor has the
                // ending one as owner only if it is found with the socket still in its hands.
                let early = is_into(event, "SYN_RECV") || is_into(event, "ESTABLISHED");
                let grades: &[&str] = match made.child {
                    true if early => &["inherited", "accepted"],
                    true => &["accepted", "scanned"],
                    false => &["created", "scanned"],
                };
                if event.pid != Some(pid) || event.owner.as_deref().is_none_or(|owner| !grades.contains(&owner)) {
                    wrong.push(event.line.as_str());
                }
            }
            totals(&outcome, made);
        }
        let first = wrong.iter().take(3).copied().collect::<Vec<_>>().join("\n  ");
        assert!(wrong.is_empty(), "{}: {} wrong, the first:\n  {first}", outcome.command, wrong.len());
    }
    Done::Passed
}

/// The hook on states is passed by MPTCP sockets as well, which are no TCP sockets.
fn mptcp_is_understood_and_closed_by_somebody() -> Done {
    use super::kinds::mptcp;
    if let Err(error) = mptcp() {
        return Done::Skipped(format!("no MPTCP: {error}"));
    }
    let namespace = NetNs::new().unwrap();
    let mut tracer = traced(&namespace, &[]);
    namespace.enter(|| {
        fs::write("/proc/sys/net/mptcp/enabled", "1").unwrap();
        let listener = mptcp().unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(16).unwrap();
        let mut client = mptcp().unwrap();
        client.connect(&listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"ask").unwrap();
        server.read_exact(&mut [0; 3]).unwrap();
        drop(client);
        assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
    });
    let closes = |events: &[Event]| events.iter().filter(|event| matches!(event.kind, Kind::Close(_))).count();
    // Both ends, and the listener.
    tracer.wait(|events| closes(events) >= 3);
    let outcome = tracer.finish();
    check::stream(&outcome);
    let odd = outcome.stderr.iter().find(|line| line.contains("could not be understood"));
    assert_eq!(odd, None, "{outcome:?}");
    let comm = fs::read_to_string("/proc/self/comm").unwrap().trim_end().to_owned();
    let closer = Some(Closer { pid: std::process::id(), comm });
    assert!(closes(&outcome.events) >= 3, "{outcome:?}");
    for event in &outcome.events {
        if let Kind::Close(totals) = &event.kind {
            assert_eq!(totals.closed_by, closer, "{}", event.line);
        }
    }
    Done::Passed
}

/// Has the kernel end the connections to the far side of the wire; says why it does not.
fn end_by_ss(socket: &Socket) -> Result<(), String> {
    let to = wire::THERE.to_string();
    let said = Command::new("ss").args(["-K", "dst", &to]).output().map_err(|error| format!("no ss: {error}"))?;
    match socket.take_error().unwrap().and_then(|error| error.raw_os_error()) {
        Some(error) if error == Errno::ECONNABORTED as i32 => Ok(()),
        // A kernel without CONFIG_INET_DIAG_DESTROY does nothing.
        error => Err(format!("ss -K ends no connection ({error:?}): {}", String::from_utf8_lossy(&said.stderr))),
    }
}

/// The whole stream, once a socket has ended.
fn finished(mut tracer: Tracer, made: &Made) -> Outcome {
    tracer.wait_closed([made]);
    let outcome = tracer.finish();
    check::stream(&outcome);
    outcome
}

/// Traces a connection that `work` begins, and that `ss -K` ends; `check` is given its reason.
fn ended_by_ss(work: fn(&Wire, &Socket), check: fn(&str) -> bool) -> Done {
    let (namespace, wire) = match wired(Wire::tun) {
        Ok(both) => both,
        Err(done) => return done,
    };
    let tracer = traced(&namespace, &["--proto", "tcp"]);
    let ended = namespace.enter(|| {
        let socket = tcp(Domain::IPV4);
        let made = Made::of(&socket);
        work(&wire, &socket);
        end_by_ss(&socket).map(|()| (made, retransmitted()))
    });
    let (made, again) = match ended {
        Ok(ended) => ended,
        Err(reason) => return Done::Skipped(reason),
    };
    let outcome = finished(tracer, &made);
    let (event, totals) = totals(&outcome, &made);
    assert!(check(&totals.reason), "{}", event.line);
    assert!(again > 0);
    assert_eq!(totals.retransmits, Some(again), "{}", event.line);
    Done::Passed
}

/// The SYN was sent again, and then somebody ended the attempt: that is no lack of time.
fn connect_that_was_ended_by_ss() -> Done {
    let work = |wire: &Wire, socket: &Socket| {
        socket.set_nonblocking(true).unwrap();
        socket.connect(&wire::there(80).into()).unwrap_err();
        wire.expect(SYN);
        wire.expect(SYN);
    };
    ended_by_ss(work, |reason| reason != "timed_out")
}

/// Data were sent again, and then somebody ended the connection: the kernel resets it.
fn connection_that_was_ended_by_ss() -> Done {
    let work = |wire: &Wire, mut socket: &Socket| {
        wire.take(socket, 80);
        socket.write_all(b"unheard").unwrap();
        let mut sent = 0;
        while sent < 2 {
            sent += usize::from(wire.expect(ACK).payload > 0);
        }
    };
    ended_by_ss(work, |reason| reason == "reset_sent")
}

fn set_tcp_option(socket: &impl AsRawFd, option: libc::c_int, value: libc::c_int) {
    // SAFETY: these options take one `int`, which is there for the time of the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            option,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// A socket that connects with its first data, if the kernel has a cookie of that server.
fn lazy(listener: &TcpListener) -> Socket {
    let socket = tcp(Domain::IPV4);
    set_tcp_option(&socket, libc::TCP_FASTOPEN_CONNECT, 1);
    socket.connect(&listener.local_addr().unwrap().into()).unwrap();
    socket
}

/// `connect` only makes a note of where to; the first data would be sent with the SYN, and there are none.
fn fast_open_that_is_abandoned() -> Done {
    let namespace = NetNs::new().unwrap();
    let tracer = traced(&namespace, &["--proto", "tcp"]);
    let ended = namespace.enter(|| {
        // Client and server.
        if let Err(error) = fs::write("/proc/sys/net/ipv4/tcp_fastopen", "3") {
            return Err(format!("no TCP Fast Open: {error}"));
        }
        let listener = made::listener(Family::V4);
        set_tcp_option(&listener, libc::TCP_FASTOPEN, 16);
        // It gets the cookie.
        drop((lazy(&listener), listener.accept().unwrap()));
        let made = Made::of(lazy(&listener));
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "the cookie is not kept: a connection was made");
        Ok(made)
    });
    let made = match ended {
        Ok(made) => made,
        Err(reason) => return Done::Skipped(reason),
    };
    let outcome = finished(tracer, &made);
    let (event, totals) = totals(&outcome, &made);
    assert_eq!(totals.reason, "abandoned", "{}", event.line);
    Done::Passed
}

/// Without the kernel's types nothing says what namespace a socket is in: an empty stream would look like a quiet namespace.
fn one_namespace_without_btf() -> Done {
    let number = NetNs::current().unwrap().inode().unwrap().to_string();
    let steps = ["hide=/sys/kernel/btf", "tracefs"];
    refuses(&mut events_after(&steps, &["--json", "--netns", &number]), &["--netns"]);
    Done::Passed
}
