//! What is lost is counted exactly also where one hook interrupts another on the same processor.

use crate::endings::blink;
use crate::made::{self, Family, tcp};
use crate::runner::{self, Done, Test};
use crate::scale::{count, preempts_programs};
use crate::stream::balance;
use crate::tracer::{self, Tracer};
use netstat_tests::netns::NetNs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::Domain;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

pub const TESTS: &[Test] =
    &[("corners::losses_are_counted_exactly_amid_interrupts", losses_are_counted_exactly_amid_interrupts)];

/// Threads.
const MAKERS: usize = 8;
const ASKING: usize = 16;

/// A queue with a pace: what waits in it is delivered by a timer's interrupt, whatever the processor does at that time.
pub const PACED: &str = "qdisc add dev lo root tbf rate 10mbit burst 1600 latency 500ms";

/// A tracer whose events nobody keeps.
struct Witness(Child);

impl Witness {
    fn start(arguments: &[&str]) -> Self {
        let mut command = tracer::events(&[arguments, &["--json", "--buffer", "256M"]].concat());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = [0; 1];
        // Its first line says that it traces.
        while line != *b"\n" {
            child.stderr.as_mut().unwrap().read_exact(&mut line).unwrap();
        }
        Self(child)
    }

    /// How many events it has seen, and how many of them it has missed where the kernel ran no program of its.
    fn events(mut self) -> (usize, usize) {
        kill(Pid::from_raw(self.0.id() as i32), Signal::SIGINT).unwrap();
        let mut said = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        self.0.wait().unwrap();
        let words: Vec<&str> = said.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let before =
            |word: &str| words.iter().position(|seen| seen.trim() == word).map(|at| words[at - 1].parse::<usize>());
        (before("events").unwrap().unwrap(), before("lost").unwrap().unwrap())
    }
}

/// Gives the calling thread's namespace a queue; the error is why it cannot have it.
pub fn pace(queue: &str) -> Result<(), String> {
    match Command::new("tc").args(queue.split(' ')).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("tc: {error}")),
    }
}

fn losses_are_counted_exactly_amid_interrupts() -> Done {
    let namespace = NetNs::new().unwrap();
    if let Err(reason) = namespace.enter(|| pace(PACED)) {
        return Done::Skipped(reason);
    }
    let number = namespace.inode().unwrap().to_string();
    let wanted = ["--proto", "tcp,udp", "--netns", &number];
    // The other one has room for all.
    let witness = Witness::start(&wanted);
    let tracer = Tracer::start(&[&wanted[..], &["--buffer", "4096", "--strict"]].concat());
    tracer.signal(Signal::SIGSTOP);
    let (start, over, refused) = (Instant::now(), AtomicBool::new(false), AtomicUsize::new(0));
    let datagrams = count(150_000) / MAKERS * MAKERS;
    namespace.enter(|| {
        let closed = Family::V4.address(made::closed_port(Family::V4));
        thread::scope(|scope| {
            // Refusals, of each of which the kernel hears in an interrupt.
            let refuse = || {
                while !over.load(Ordering::Relaxed) {
                    tcp(Domain::IPV4).connect(&closed.into()).unwrap_err();
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            };
            let refusing: Vec<_> = (0..ASKING).map(|_| scope.spawn(refuse)).collect();
            // Processes that make sockets all the time, to be interrupted.
            let make = || (0..datagrams / MAKERS).for_each(|_| drop(blink()));
            let making: Vec<_> = (0..MAKERS).map(|_| scope.spawn(make)).collect();
            making.into_iter().for_each(|thread| thread.join().unwrap());
            over.store(true, Ordering::Relaxed);
            refusing.into_iter().for_each(|thread| thread.join().unwrap());
        });
    });
    let refused = refused.into_inner();
    runner::note(format!(
        "lost amid interrupts: {refused} refusals, {datagrams} datagram sockets, {:?}",
        start.elapsed()
    ));
    tracer.signal(Signal::SIGCONT);
    tracer.signal(Signal::SIGINT);
    let outcome = tracer.ended();
    let (seen, missed) = witness.events();
    // Open, SYN_SENT, CLOSE, close; open, close; and the listener whose port it was: open, LISTEN, CLOSE, close.
    let made = 4 * refused + 2 * datagrams + 4;
    runner::note(format!("lost amid interrupts: {seen} of {made} events seen, and {missed} missed"));
    // There are machines whose kernel runs no program in the interrupts of certain tasks: these few are counted, too.
    assert!(missed <= made / 1000, "the witness has room for all, and missed {missed} of {made}");
    let counted = outcome.events.len() + outcome.lost.iter().sum::<u64>() as usize;
    // Two tracers: for one of them nothing stands in since Linux 7.0, and an emulated machine leaves out one of a thousand.
    let few = if preempts_programs() { made / 100 } else { 0 };
    assert!((seen + missed).abs_diff(made) <= few, "{seen} and {missed} of {made}");
    assert!(counted.abs_diff(made) <= few, "{counted} counted of {made}: {outcome:?}");
    balance(&outcome, counted, 3);
    Done::Passed
}
