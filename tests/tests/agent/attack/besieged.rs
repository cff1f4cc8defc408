//! An agent whose places one user fills with readers that take nothing, at the full rate.

use super::readers::blink;
use super::{STRANGER, open_to_all};
use crate::agent::Reader;
use crate::churn::{Ends, Place, while_they_come_and_go};
use crate::stage::equal;
use netstat_tests::programs;
use netstat_tests::truth::actor::{self, Actor};
use netstat_tests::truth::runner::{self, Done, Test};
use netstat_tests::truth::scale::{patience, scale};
use netstat_user::model::{EventKind, Limits};
use netstat_user::query::{Answer, Request};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] =
    &[("attack::a_siege_by_one_user_costs_root_nothing", a_siege_by_one_user_costs_root_nothing)];

/// Pause of those whose sockets stay for a while, beside the siege.
const PAUSE: Duration = Duration::from_millis(10);
/// Events that root's reader, a thread of this test, may lag behind: more than the kernel's ring holds (16 MiB), less than the agent keeps
/// for a reader (32 MiB).
const LAG: u64 = 200_000;

/// Processor time since the machine was started, in ticks of the clock.
#[derive(Clone, Copy)]
struct Ticks {
    /// Of all processors, idle or not.
    all: u64,
    /// What processes took, or the machine that emulates this one.
    taken: u64,
    /// Of that, what these processes took.
    ours: u64,
}

impl Ticks {
    fn now(ours: &[u32]) -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap();
        // user, nice, system, idle, iowait, irq, softirq, steal
        let all: Vec<u64> =
            text.lines().next().unwrap().split_whitespace().skip(1).take(8).map(|word| word.parse().unwrap()).collect();
        let ours = ours.iter().map(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            // After the name, which may hold blanks: utime and stime are the 14th and 15th of all.
            let words: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
            words[11].parse::<u64>().unwrap() + words[12].parse::<u64>().unwrap()
        });
        Self { all: all.iter().sum(), taken: all[0] + all[1] + all[2] + all[7], ours: ours.sum() }
    }

    /// What others took since then, in hundredths of one processor.
    fn others_since(self, before: Self) -> u64 {
        let processors = thread::available_parallelism().map_or(1, usize::from) as u64;
        let elapsed = (self.all - before.all) / processors;
        let taken = (self.taken - before.taken).saturating_sub(self.ours - before.ours);
        taken * 100 / elapsed.max(1)
    }
}

/// What root's reader got of the sockets in its namespace.
#[derive(Clone, Copy, Default)]
struct Got {
    made: u64,
    events: u64,
    /// What was reported as lost meanwhile, of all namespaces.
    lost: u64,
}

/// Makes sockets for a while as fast as it can, and then a few that are known by their cookies; with each of these goes how many were made up
/// to and with it. `read` is how many events the reader has got.
fn full_rate(place: &Place, until: Instant, read: &AtomicU64, markers: &Mutex<HashMap<u64, u64>>, done: &AtomicBool) {
    let mut made = 0;
    while Instant::now() < until {
        blink(place, 1000);
        made += 1000;
        while read.load(Ordering::Relaxed) + LAG < 2 * made && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    }
    while !done.load(Ordering::Relaxed) {
        place.namespace.enter(|| {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
            made += 1;
            markers.lock().unwrap().insert(socket.cookie().unwrap(), made);
        });
        thread::sleep(Duration::from_millis(20));
    }
}

/// Reads events until all that was made has been reported, or reported as lost.
fn read_all(reader: &mut Reader, read: &AtomicU64, markers: &Mutex<HashMap<u64, u64>>) -> Got {
    let mut got = Got::default();
    let mut all: Option<Got> = None;
    loop {
        match reader.next().unwrap() {
            Some(Answer::Event(event)) => {
                got.events += 1;
                read.fetch_add(1, Ordering::Relaxed);
                let closed = matches!(event.kind, EventKind::Close(_));
                let marker = event.cookie.filter(|_| closed).and_then(|cookie| markers.lock().unwrap().remove(&cookie));
                match (marker, all) {
                    (Some(made), None) => all = Some(Got { made, ..got }),
                    // A loss may be reported behind what came after it.
                    (Some(_), Some(all)) => return Got { lost: got.lost, ..all },
                    _ => {}
                }
            }
            // What was lost will not be read any more.
            Some(Answer::Lost { count, .. }) => {
                got.lost += count;
                read.fetch_add(count, Ordering::Relaxed);
            }
            other => panic!("root's reader gets {other:?} after {} events", got.events),
        }
    }
}

/// Subscribers of one user that take nothing, as many as the agent lets in and more, for a while (`NETSTAT_SIEGE_SECONDS`, 5 unless given, 1 under
/// emulation) at the full rate: root's reader gets every event, nothing is lost, root gets in, at rest the table is the kernel's own list, and
/// the memory is given back.
///
/// Nothing is lost where the agent has a processor whenever it needs one: a release build, and others that take less than a tenth of one
/// meanwhile. Elsewhere the kernel's ring may run full while the agent waits for a processor, which is no user's doing. What was lost then must
/// have been reported exactly, and the table be right all the same.
fn a_siege_by_one_user_costs_root_nothing() -> Done {
    let seconds = std::env::var("NETSTAT_SIEGE_SECONDS").ok().and_then(|text| text.parse().ok());
    // Under emulation one processor has the besiegers, the agent and the reader.
    let seconds = seconds.unwrap_or(if scale() < 1.0 { 1 } else { 5 });
    let (place, beside) = (Place::new(), Place::new());
    // What has ended is kept, and how much that is depends on the machine: here it is little beside what the besiegers could hold.
    let agent = open_to_all(&["--recent-count", "10000"]);
    let mut besiegers = actor::named("besiegers", "besiege", &[agent.socket.to_str().unwrap(), "250"]);
    let mut besiegers = Actor::start({
        besiegers.uid(STRANGER).gid(STRANGER);
        besiegers
    });
    let (inside, refused): (usize, usize) = besiegers.hear();
    // A quarter of the 256 places that there are unless asked otherwise.
    assert!((8..=64).contains(&inside) && refused > 0, "{inside} are let in, {refused} are not");
    let filter = Limits { netns: Some(vec![u32::try_from(place.netns).unwrap()]), ..Limits::default() };
    let mut reader = Reader::new(agent.connect().unwrap(), &Request::Events(filter)).unwrap();
    while !matches!(reader.next().unwrap(), Some(Answer::End)) {}
    let (before, status) = (agent.resident() >> 20, agent.status());
    let ours = [std::process::id(), agent.pid(), besiegers.pid()];
    let ticks = Ticks::now(&ours);
    let (mut got, mut others, mut rows) = (Got::default(), 0, 0);
    let siege = || {
        let (read, markers, done) = (AtomicU64::new(0), Mutex::default(), AtomicBool::new(false));
        let until = Instant::now() + Duration::from_secs(seconds);
        thread::scope(|scope| {
            scope.spawn(|| full_rate(&place, until, &read, &markers, &done));
            // Root gets in; not by the thread that reads, which would take nothing meanwhile.
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    agent.status();
                    thread::sleep(Duration::from_millis(200));
                }
            });
            let _ends = Ends(&done);
            got = read_all(&mut reader, &read, &markers);
        });
        others = Ticks::now(&ours).others_since(ticks);
    };
    // The besiegers are there still.
    let rest = || {
        rows = beside.namespace.enter(|| equal(&agent, beside.netns, "at rest after a siege")).len();
        place.namespace.enter(|| equal(&agent, place.netns, "at rest after a siege"));
    };
    while_they_come_and_go(std::slice::from_ref(&beside), PAUSE, siege, rest);
    assert!(rows > 50, "{rows} rows to compare");
    let now = agent.status();
    let missing = (2 * got.made).checked_sub(got.events).expect("no more events than were made");
    assert_eq!(now.lost - status.lost, got.lost, "{now:?}");
    // Of what was lost, the rest is other namespaces'.
    let elsewhere = now.events - status.events - got.events;
    let exact = (missing..=missing + elsewhere).contains(&got.lost);
    assert!(exact, "{missing} of {} events are missing, {} reported as lost", 2 * got.made, got.lost);
    let undisturbed = !programs::is_debug(programs::netstat_user()) && scale() >= 1.0 && others < 10;
    assert!(missing == 0 || !undisturbed, "{missing} are missing, others took {others} % of a processor: {now:?}");
    let during = agent.resident() >> 20;
    besiegers.end();
    let deadline = Instant::now() + patience();
    // They are noticed to have gone when they are written to.
    while agent.status().clients > 3 || agent.resident() >> 20 > before + 96 {
        assert!(Instant::now() < deadline, "{} MiB are held, {:?}", agent.resident() >> 20, agent.status());
        blink(&place, 100);
        thread::sleep(Duration::from_millis(100));
    }
    let after = agent.resident() >> 20;
    runner::note(format!(
        "siege: {inside} besiegers of one user, {} events in {seconds} s, {missing} missing, {} reported as lost; {rows} rows equal at rest; others \
         took {others} % of a processor; {before} MiB before, {during} during, {after} after",
        2 * got.made,
        got.lost
    ));
    drop(reader);
    let start = Instant::now();
    agent.stop();
    assert!(start.elapsed() < patience(), "it takes {:?} to end", start.elapsed());
    place.leave();
    beside.leave();
    Done::Passed
}
