//! A ring that is too small: what is lost is counted, exactly, and the stream goes on.

use crate::check::{self, Life};
use crate::endings::blink;
use crate::lives::{attempt, client_closes_first};
use crate::made::{self, Family, Made, Pair, tcp};
use crate::runner::{Done, Test};
use crate::scale::count;
use crate::tracer::{Outcome, Tracer};
use netstat_tests::command::End;
use netstat_tests::netns::NetNs;
use nix::sys::signal::Signal;
use socket2::Domain;
use std::thread;

pub const TESTS: &[Test] = &[
    ("stream::losses_are_counted_exactly", losses_are_counted_exactly),
    ("stream::losses_of_tcp_are_counted_exactly", losses_of_tcp_are_counted_exactly),
    ("stream::a_reader_that_sleeps_loses_nothing", || NetNs::new().unwrap().enter(a_reader_that_sleeps_loses_nothing)),
];

/// What was reported and what was lost is what was made.
pub fn balance(outcome: &Outcome, made: usize, code: i32) {
    let lost: u64 = outcome.lost.iter().sum();
    assert!(lost > 0, "nothing was lost of {made} events: {outcome:?}");
    assert_eq!(
        outcome.events.len() as u64 + lost,
        made as u64,
        "{} reported, {lost} lost: {outcome:?}",
        outcome.events.len()
    );
    assert_eq!(outcome.end, End::Exit(code), "{outcome:?}");
    let summary = outcome.stderr.iter().find(|line| line.contains(" lost")).cloned().unwrap_or_default();
    let wanted = (format!("{} events", outcome.events.len()), format!("{lost} lost"));
    assert!(summary.contains(&wanted.0) && summary.contains(&wanted.1), "the summary is {summary:?}, not {wanted:?}");
}

fn losses_are_counted_exactly() -> Done {
    let namespace = NetNs::new().unwrap();
    let number = namespace.inode().unwrap().to_string();
    for (strict, code) in [(true, 3), (false, 0)] {
        let mut arguments = vec!["--netns", &number, "--buffer", "4096"];
        arguments.extend(strict.then_some("--strict"));
        let mut tracer = Tracer::start(&arguments);
        // What is lost twice is reported twice, and each time what is new.
        let made = (0..2).map(|_| loses_some(&mut tracer, &namespace)).sum();
        tracer.signal(Signal::SIGINT);
        let outcome = tracer.ended();
        assert!(outcome.lost.len() > 1, "{:?}", outcome.lost);
        balance(&outcome, made, code);
    }
    Done::Passed
}

/// The tracer is stopped while more happens than it has room for, and has caught up when this returns; how many events there were.
fn loses_some(tracer: &mut Tracer, namespace: &NetNs) -> usize {
    tracer.signal(Signal::SIGSTOP);
    let flood = count(4000);
    // From two processors, if there are two: losses are counted by each.
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| namespace.enter(|| (0..flood / 2).for_each(|_| drop(blink()))));
        }
    });
    tracer.signal(Signal::SIGCONT);
    // The reader has caught up when this one comes through whole; until then, some are lost like the rest.
    let mut after = 0;
    let mut whole = false;
    while !whole {
        let made = namespace.enter(blink);
        after += 1;
        thread::sleep(std::time::Duration::from_millis(50));
        assert!(after < 200, "nothing comes through after a loss");
        whole =
            tracer.wait_briefly(|events| events.iter().filter(|event| event.cookie == Some(made.cookie)).count() == 2);
    }
    2 * (flood / 2 * 2 + after)
}

fn losses_of_tcp_are_counted_exactly() -> Done {
    let namespace = NetNs::new().unwrap();
    let number = namespace.inode().unwrap().to_string();
    let tracer = Tracer::start(&["--netns", &number, "--buffer", "8192", "--strict", "--proto", "tcp,tcp6"]);
    tracer.signal(Signal::SIGSTOP);
    let made = namespace.enter(|| {
        let mut made = 0;
        let listener = made::listener(Family::V4);
        let closed = Family::V4.address(made::closed_port(Family::V4));
        for _ in 0..count(300) {
            // open, SYN_SENT, CLOSE, close.
            attempt(&tcp(Domain::IPV4), closed);
            made += 4;
            // Both ends of a connection: eight of the client, TIME_WAIT among them, six of the child.
            client_closes_first(Pair::new(Family::V4, &listener), b"?", b"!");
            made += 14;
        }
        // The listener, and the one whose port it was: open, LISTEN, CLOSE, close.
        made + 8
    });
    tracer.signal(Signal::SIGCONT);
    tracer.signal(Signal::SIGINT);
    balance(&tracer.ended(), made, 3);
    Done::Passed
}

fn a_reader_that_sleeps_loses_nothing() -> Done {
    let mut tracer = Tracer::start(&["--netns", "self", "--strict"]);
    tracer.signal(Signal::SIGSTOP);
    let made: Vec<Made> = (0..count(10_000)).map(|_| blink()).collect();
    tracer.signal(Signal::SIGCONT);
    tracer.wait_closed(&made);
    let lives: Vec<Life> = made.iter().map(Life::stateless).collect();
    check::lives(&tracer.finish(), &lives);
    Done::Passed
}
