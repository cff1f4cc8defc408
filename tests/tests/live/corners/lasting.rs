//! TIME_WAIT that lasts longer than its minute: the peer's FIN comes again just when it is over, and the kernel begins anew.

use super::{traced, wired};
use crate::check;
use crate::event::{Event, Kind};
use crate::made::{Made, tcp};
use crate::runner::{self, Done, Test};
use netstat_tests::truth::wire::{self, ACK, FIN, Segment, Wire};
use socket2::Domain;
use std::fs;
use std::net::SocketAddrV4;
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[("corners::time_wait_that_begins_anew", time_wait_that_begins_anew)];

const CONNECTIONS: u16 = 40;

/// The timer is set to a minute; the kernel runs it up to two seconds later.
const AGAIN: Duration = Duration::from_millis(60_150);

/// A connection that the kernel's side has closed first, and the peer's FIN, which it has acknowledged.
fn waiting(wire: &Wire, port: u16) -> (Made, Segment) {
    let socket = tcp(Domain::IPV4);
    let far = SocketAddrV4::new(wire::THERE, port);
    wire.take(&socket, port);
    let made = Made::of(&socket);
    drop(socket);
    let fin = wire.expect(FIN);
    assert_eq!(fin.to, far);
    let answer = fin.answer(FIN | ACK);
    wire.send(&answer);
    let acknowledged = wire.expect(ACK);
    assert_eq!((acknowledged.to, acknowledged.ack), (far, answer.seq.wrapping_add(1)));
    (made, answer)
}

fn is_over(event: &Event, made: &Made) -> bool {
    let over = matches!(&event.kind, Kind::State { old, new, .. } if old == "TIME_WAIT" && new == "CLOSE");
    over && event.cookie == Some(made.cookie)
}

/// The remote ports that the kernel lists in TIME_WAIT.
fn listed() -> Vec<u16> {
    let table = fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[3] == "06")
        .map(|row| u16::from_str_radix(row[2].split_once(':').unwrap().1, 16).unwrap())
        .collect()
}

fn time_wait_that_begins_anew() -> Done {
    let (namespace, wire) = match wired(Wire::tun) {
        Ok(both) => both,
        Err(done) => return done,
    };
    let mut tracer = traced(&namespace, &["--proto", "tcp"]);
    let (made, kept) = namespace.enter(|| {
        let begin = |number: u16| {
            // At all phases of the timer wheel.
            thread::sleep(Duration::from_millis(50));
            (waiting(&wire, 5000 + number), Instant::now())
        };
        let waiting: Vec<_> = (0..CONNECTIONS).map(begin).collect();
        for ((_, fin), begun) in &waiting {
            thread::sleep((*begun + AGAIN).saturating_duration_since(Instant::now()));
            wire.send(fin);
        }
        // Longer than any timer that was not set anew.
        thread::sleep(Duration::from_millis(2500));
        (waiting.into_iter().map(|((made, _), _)| made).collect::<Vec<_>>(), listed())
    });
    let is_kept = |made: &&Made| kept.contains(&made.remote.unwrap().port());
    runner::note(format!("TIME_WAIT: {} of {} began anew", kept.len(), made.len()));
    if kept.is_empty() {
        return Done::Skipped("every timer had run before the FIN came again".into());
    }
    // The others are over by now, and that is reported before anything that comes later.
    let over = |events: &[Event], made: &Made| events.iter().any(|event| is_over(event, made));
    tracer.wait(|events| made.iter().filter(|made| !is_kept(made)).all(|made| over(events, made)));
    thread::sleep(Duration::from_millis(200));
    let mut early = 0;
    tracer.wait_briefly(|events| {
        early = made.iter().filter(is_kept).filter(|made| over(events, made)).count();
        true
    });
    drop((wire, namespace));
    tracer.wait(|events| made.iter().all(|made| over(events, made)));
    let outcome = tracer.finish();
    assert_eq!(early, 0, "reported as over, of {} that the kernel keeps for another minute", kept.len());
    check::stream(&outcome);
    for made in &made {
        let ends = outcome.events.iter().filter(|event| is_over(event, made)).count();
        assert_eq!(ends, 1, "ends {ends} times: {}", made.name());
    }
    Done::Passed
}
