//! Readers of events that stall, and pauses of the agent itself.

use super::subordinate::as_user;
use super::{STRANGER, open_to_all};
use crate::agent::{Agent, Reader};
use crate::churn::Place;
use netstat_tests::command::End;
use netstat_tests::truth::runner::{self, Done, Test};
use netstat_tests::truth::scale::count;
use netstat_tests::truth::tracer::Tracer;
use netstat_user::model::Limits;
use netstat_user::query::{Answer, Request};
use nix::sys::signal::{Signal, kill};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{IoSlice, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("attack::descriptors_are_not_taken", descriptors_are_not_taken),
    ("attack::a_client_that_was_stopped_says_what_it_missed", a_client_that_was_stopped_says_what_it_missed),
    ("attack::pauses_of_the_agent_cost_no_reader_an_event", pauses_of_the_agent_cost_no_reader_an_event),
];

/// Makes so many sockets that end at once: two events each.
pub fn blink(place: &Place, sockets: usize) {
    let udp = || Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    place.namespace.enter(|| (0..sockets).for_each(|_| drop(udp())));
}

/// The command line, stopped by SIGSTOP while more happens than is kept for it: with `--strict` it exits with 3, and names the exact rest.
fn a_client_that_was_stopped_says_what_it_missed() -> Done {
    let place = Place::new();
    let agent = Agent::start(&[]);
    let netns = place.netns.to_string();
    let sockets = count(60_000).max(45_000) / 1000 * 1000;
    for (strict, code) in [(true, 3), (false, 1)] {
        let mut args = vec!["--netns", netns.as_str()];
        args.extend(strict.then_some("--strict"));
        let reader: Tracer = agent.events(&args);
        kill(reader.pid(), Signal::SIGSTOP).unwrap();
        let (before, stopped) = (agent.status().events, Instant::now());
        for _ in 0..sockets / 1000 {
            blink(&place, 1000);
            // Longer in all than a reader that takes nothing is borne with.
            thread::sleep(Duration::from_millis(5));
        }
        agent.wait("all events", |status| status.events >= before + 2 * sockets as u64);
        kill(reader.pid(), Signal::SIGCONT).unwrap();
        let outcome = reader.ended();
        assert_eq!(outcome.end, End::Exit(code), "{:?}", outcome.stderr);
        let lost: u64 = outcome.lost.iter().sum();
        let read = outcome.events.len() as u64;
        // What waits for a reader that is to go is kept for it for a minute, in which a slow machine is not through.
        assert!(lost > 0 && (read > 0 || stopped.elapsed() > Duration::from_secs(55)), "{read} read, {lost} lost");
        assert_eq!(read + lost, 2 * sockets as u64, "{read} read, {lost} said to be lost");
        runner::note(format!("stopped client: {read} events, {lost} missed, exit code {code}"));
    }
    agent.stop();
    place.leave();
    Done::Passed
}

/// The agent is stopped for a while, and set right, beside a reader that reads: it gets every event.
fn pauses_of_the_agent_cost_no_reader_an_event() -> Done {
    let place = Place::new();
    let agent = Agent::start(&["--buffer", "256M"]);
    let filter = Limits { netns: Some(vec![u32::try_from(place.netns).unwrap()]), ..Limits::default() };
    let mut reader = Reader::new(agent.connect().unwrap(), &Request::Events(filter)).unwrap();
    while !matches!(reader.next().unwrap(), Some(Answer::End)) {}
    let sockets = count(60_000);
    let whole = 2 * sockets as u64;
    thread::scope(|scope| {
        let reading = scope.spawn(move || {
            for events in 0..whole {
                match reader.next().unwrap() {
                    Some(Answer::Event(_)) => {}
                    other => panic!("a reader that reads gets {other:?} after {events} events"),
                }
            }
        });
        for _ in 0..3 {
            agent.signal(Signal::SIGSTOP);
            // All of it is in the ring when the agent goes on.
            blink(&place, sockets / 3);
            agent.signal(Signal::SIGCONT);
            agent.signal(Signal::SIGHUP);
        }
        reading.join().unwrap();
    });
    let status = agent.status();
    assert_eq!((status.lost, status.dropped_readers), (0, 0), "{status:?}");
    agent.stop();
    place.leave();
    Done::Passed
}

/// A connection over loopback whose last descriptor takes days to close: it lingers, and its other end reads nothing.
fn lingering() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let there = listener.accept().unwrap().0;
    socket2::SockRef::from(&here).set_linger(Some(Duration::from_secs(1_000_000))).unwrap();
    here.set_nonblocking(true).unwrap();
    while here.write(&[0; 65_536]).is_ok() {}
    (here, there)
}

/// Whoever makes the agent close what takes for ever holds up nobody else: the kernel takes no descriptors for it.
fn descriptors_are_not_taken() -> Done {
    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
    if netstat_user::sys::refuse_descriptors(UnixStream::pair().unwrap().0).is_err() {
        return Done::Skipped("this kernel cannot refuse descriptors (SO_PASSRIGHTS, Linux 6.16)".into());
    }
    let agent = open_to_all(&[]);
    let stream = as_user(STRANGER, || agent.connect()).unwrap();
    let (slow, end) = lingering();
    let (fds, part) = ([slow.as_raw_fd()], [IoSlice::new(&[5])]);
    let sent = sendmsg::<()>(stream.as_raw_fd(), &part, &[ControlMessage::ScmRights(&fds)], MsgFlags::empty(), None);
    // Where the agent does not have it, it is closed here.
    if sent.is_err() {
        socket2::SockRef::from(&slow).set_linger(None).unwrap();
    }
    drop((slow, stream));
    let other = as_user(STRANGER + 1, || agent.connect()).unwrap();
    let answer = Reader::new(other, &Request::Status).and_then(|mut reader| reader.next());
    assert!(matches!(answer, Ok(Some(Answer::Begin(_)))), "another user has no answer: {answer:?}");
    assert_eq!(sent, Err(nix::errno::Errno::EPERM));
    drop(end);
    agent.stop();
    Done::Passed
}
