//! The agent's table, followed: what lived when it was asked, and the stream from then on, make the agent's own table at every rest.

use crate::agent::{Agent, Reader};
use crate::churn::{Place, while_they_come_and_go};
use crate::stage;
use netstat_tests::truth::runner::{self, Done, Test};
use netstat_tests::truth::scale::{self, patience};
use netstat_user::client::{self, Follower, TableNews};
use netstat_user::model::{EventEnd, EventKind, Limits, LiveSocket};
use netstat_user::query::{Answer, Request};
use netstat_user::table::{Retention, Table};
use socket2::{Domain, Protocol, Socket, Type};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[("follow::copies_are_the_table_under_churn", copies_are_the_table_under_churn)];

/// Pause of the churn after every few sockets.
const PAUSE: Duration = Duration::from_millis(10);
/// Followers that come while sockets come and go.
const LATE: usize = 3;

/// A copy of the table, kept by the stream alone.
struct Copy {
    table: Mutex<Table>,
    /// One more than there were sockets at first, and how much has been folded since.
    first: AtomicU64,
    folded: AtomicU64,
    /// The cookie of the last socket with which it was known to have caught up.
    mark: AtomicU64,
}

impl Copy {
    fn new() -> Self {
        let table = Mutex::new(Table::new(Retention { recent_ns: 0, recent_count: 0 }));
        Self { table, first: AtomicU64::new(0), folded: AtomicU64::new(0), mark: AtomicU64::new(0) }
    }

    /// Follows until the agent ends, and says when the end of the marked socket was reported.
    fn keep(&self, mut follower: Follower, marked: &AtomicU64) {
        loop {
            let read = follower.read().unwrap();
            let mut table = self.table.lock().unwrap();
            match read {
                TableNews::Live(socket) => table.put(socket),
                TableNews::Gone(socket) => table.take(&socket),
                TableNews::Event(event) => {
                    table.event(&event);
                    let mark = marked.load(Ordering::SeqCst);
                    if matches!(event.kind, EventKind::Close(_)) && event.cookie == Some(mark) {
                        self.mark.store(mark, Ordering::SeqCst);
                    }
                }
                TableNews::Complete(_) => self.first.store(1 + table.len() as u64, Ordering::SeqCst),
                // The lists set it right.
                TableNews::Lost(_) => {}
                TableNews::End => return,
                other => panic!("the stream is not whole: {other:?}"),
            }
            self.folded.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The sockets of a namespace that the kernel lists.
    fn listed(&self, netns: u32) -> Vec<LiveSocket> {
        let sockets: Vec<LiveSocket> = self.table.lock().unwrap().live().copied().collect();
        sorted(sockets.into_iter().filter(|socket| socket.netns == Some(netns) && socket.is_listed()))
    }
}

fn sorted(sockets: impl Iterator<Item = LiveSocket>) -> Vec<LiveSocket> {
    let mut sockets: Vec<LiveSocket> = sockets.collect();
    let end = |end: Option<EventEnd>| end.map(|end| (end.addr, end.port));
    sockets.sort_by_key(|socket| (socket.cookie, socket.inode, end(socket.local), end(socket.remote)));
    sockets
}

/// Every copy is the agent's table, field by field, which is the kernel's own list.
fn equal(agent: &Agent, place: &Place, copies: &[Copy], when: &str) -> usize {
    let netns = u32::try_from(place.netns).unwrap();
    let rows = place.namespace.enter(|| stage::equal(agent, place.netns, when)).len();
    for (number, copy) in copies.iter().enumerate() {
        // What the agent has handed over may still be on its way, and connections in TIME_WAIT end meanwhile.
        let deadline = Instant::now() + patience();
        loop {
            let mut live = Vec::new();
            client::live(&agent.socket, Some(netns), Duration::from_secs(3600), |socket| live.push(socket)).unwrap();
            let (live, mine) = (sorted(live.into_iter()), copy.listed(netns));
            if live == mine {
                break;
            }
            if Instant::now() > deadline {
                let only = |these: &[LiveSocket], those: &[LiveSocket]| -> Vec<LiveSocket> {
                    these.iter().filter(|socket| !those.contains(socket)).take(5).copied().collect()
                };
                let (missing, extra) = (only(&live, &mine), only(&mine, &live));
                panic!(
                    "{when}: {} rows, copy {number} has {} after {} changes: missing {missing:?}, extra {extra:?}",
                    live.len(),
                    mine.len(),
                    copy.folded.load(Ordering::Relaxed)
                );
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
    rows
}

/// Followers that come before and while sockets come and go, each with a copy, beside one that takes nothing: that one is dropped with the
/// number of what it missed, and the others notice nothing of it.
fn copies_are_the_table_under_churn() -> Done {
    let place = Place::new();
    let agent = Agent::start(&["--buffer", "64M"]);
    let netns = u32::try_from(place.netns).unwrap();
    let wanted = Limits { netns: Some(vec![netns]), ..Limits::default() };
    let socket = agent.socket.clone();
    let follow = |wanted: &Limits, age| Follower::new(&socket, wanted.clone(), age).unwrap();
    let request = Request::Follow { wanted: wanted.clone(), age_ns: 0 };
    let mut stalled = Reader::new(agent.connect().unwrap(), &request).unwrap();
    let copies: Vec<Copy> = (0..LATE + 2).map(|_| Copy::new()).collect();
    let marked = &AtomicU64::new(0);
    let (made, rows) = thread::scope(|scope| {
        // Of this namespace, and of all.
        let early = [follow(&wanted, Duration::ZERO), follow(&Limits::default(), Duration::ZERO)];
        for (copy, follower) in copies.iter().zip(early) {
            scope.spawn(move || copy.keep(follower, marked));
        }
        let mut rows = 0;
        let mut lag = None;
        let work = || {
            for (number, copy) in copies[2..].iter().enumerate() {
                thread::sleep(scale::churn() / 10);
                let age = if number % 2 == 0 { Duration::ZERO } else { Duration::MAX };
                let follower = follow(&wanted, age);
                scope.spawn(move || copy.keep(follower, marked));
            }
            // Until its snapshot is made, a follower sees no event.
            let until = Instant::now() + patience();
            while copies.iter().any(|copy| copy.first.load(Ordering::SeqCst) == 0) && Instant::now() < until {
                thread::sleep(Duration::from_millis(5));
            }
            // More than may wait for one that takes nothing, and no faster than the others take it.
            place.namespace.enter(|| {
                let udp = || Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
                'all: for _ in 0..60 {
                    (0..1000).for_each(|_| drop(udp()));
                    let socket = udp();
                    let mark = socket.cookie().unwrap();
                    marked.store(mark, Ordering::SeqCst);
                    drop(socket);
                    let deadline = Instant::now() + patience();
                    while copies.iter().any(|copy| copy.mark.load(Ordering::SeqCst) != mark) {
                        if Instant::now() > deadline {
                            let at =
                                |copy: &Copy| (copy.folded.load(Ordering::SeqCst), copy.mark.load(Ordering::SeqCst));
                            lag = Some(format!("{mark}: {:?}", copies.iter().map(at).collect::<Vec<_>>()));
                            break 'all;
                        }
                        thread::sleep(Duration::from_millis(5));
                    }
                }
            });
        };
        let rest = || rows = equal(&agent, &place, &copies, "at rest after the churn");
        let made = while_they_come_and_go(std::slice::from_ref(&place), PAUSE, work, rest);
        assert_eq!(lag, None, "a copy lags behind");
        let (mut missed, mut is_complete) = (None, false);
        while let Some(answer) = stalled.next().unwrap() {
            match answer {
                Answer::LiveEnd { .. } => is_complete = true,
                Answer::Dropped(count) => missed = Some(count),
                _ => {}
            }
        }
        assert!(is_complete && missed > Some(0), "a follower that takes nothing: {is_complete}, {missed:?}");
        agent.wait("the count of dropped readers", |status| status.dropped_readers == 1);
        let status = agent.status();
        runner::note(format!(
            "follow: {made} sockets and pairs, {rows} rows equal at rest in {} copies; {} events, {} lost, one follower missed {}",
            copies.len(),
            status.events,
            status.lost,
            missed.unwrap_or_default()
        ));
        agent.stop();
        (made, rows)
    });
    for copy in &copies {
        assert!(copy.folded.load(Ordering::Relaxed) > 0);
    }
    assert!(made > 0 && rows > 0 && copies[2..].iter().any(|copy| copy.first.load(Ordering::SeqCst) > 1));
    place.leave();
    Done::Passed
}
