mod follow;

use super::*;
use crate::model::{
    Comm, Endpoint, EventEnd, EventKind, Grade, Limits, Owner, ProgramHealth, Proto, RowNumber, RowTest, SocketRow,
    SocketTable, TcpState,
};
use crate::query::{Answer, MAX_ANSWER, Request, next_frame};
use bytes::BytesMut;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// A kernel that reports what a test has it report.
#[derive(Clone, Default)]
struct Fake {
    recorded: Arc<Mutex<Vec<SocketEvent>>>,
    lost: Arc<AtomicU64>,
    listed: Arc<AtomicU64>,
    /// How far the wall clock has been set back.
    back: Arc<AtomicU64>,
    /// Runs of the programs that the kernel left out.
    missed: Arc<AtomicU64>,
    /// What the kernel lists.
    listing: Arc<Mutex<Listing>>,
    /// Whether the rows have inodes: each the number of its port.
    inodes: Arc<AtomicBool>,
    /// How often the processes were looked into.
    looks: Arc<AtomicU64>,
    /// Whether there are so many processes that a look at them has no end.
    many: Arc<AtomicBool>,
    /// How often it was asked how the programs fare.
    healths: Arc<AtomicU64>,
    /// Whether that has no end, and how often it was begun.
    slow: Arc<AtomicBool>,
    begun: Arc<AtomicU64>,
    /// How many links were found then.
    held: Arc<AtomicUsize>,
}

/// What a stand-in says of itself.
pub fn health() -> Health {
    let programs = vec![ProgramHealth { name: "state".into(), runs: None, missed: Some(2) }];
    Health { checks: vec![Check::ok("stand_ins", "they report")], programs }
}

impl Source for Fake {
    fn take(&mut self, events: &mut Vec<SocketEvent>) -> io::Result<bool> {
        let mut recorded = self.recorded.lock().unwrap();
        events.append(&mut recorded);
        Ok(false)
    }

    fn note(&mut self, _: &[SocketEvent]) {}

    fn ready(&self) -> impl Future<Output = ()> {
        std::future::pending()
    }

    fn lost(&mut self) -> io::Result<u64> {
        Ok(self.lost.load(Ordering::SeqCst))
    }

    fn status(&self) -> Status {
        Status { buffer: 42, ..Status::default() }
    }

    fn coverage(&self) -> CoverageRows {
        CoverageRows::default()
    }

    fn health(&self) -> impl FnOnce() -> Health + Send + 'static {
        self.healths.fetch_add(1, Ordering::SeqCst);
        let (slow, begun) = (Arc::clone(&self.slow), Arc::clone(&self.begun));
        move || {
            begun.fetch_add(1, Ordering::SeqCst);
            while slow.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            health()
        }
    }

    fn missed(&self) -> u64 {
        self.missed.load(Ordering::SeqCst)
    }

    fn now_ns(&self) -> u64 {
        1
    }

    fn epoch_ns(&self) -> u64 {
        EPOCH - self.back.load(Ordering::SeqCst)
    }
}

impl Lists for Fake {
    fn list(&self) -> KernelLists {
        self.listed.fetch_add(1, Ordering::SeqCst);
        KernelLists { listing: self.listing.lock().unwrap().clone(), ..KernelLists::default() }
    }

    fn holders(&self, awaited: &Awaited) -> io::Result<Vec<Link>> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        while self.many.load(Ordering::SeqCst) && !awaited.is_over() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok((0..40_000).map(|inode| Link { inode, pid: 7 }).collect())
    }

    fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    fn subordinates(&self) -> Arc<Subordinates> {
        Arc::default()
    }

    fn begun(&self, _: u32) -> io::Result<Option<u64>> {
        Ok(Some(1))
    }

    fn own_since(&self, peer: &Peer, _: Option<std::time::Instant>) -> io::Result<Arc<Own>> {
        Ok(Arc::new(Own { uid: peer.uid, namespaces: [1].into(), processes: [(7, 1)].into(), ..Own::default() }))
    }

    fn present(&self, own: &Own) -> io::Result<Presence> {
        Ok(Presence { objects: own.namespaces.iter().map(|&netns| (netns, None)).collect(), ..Presence::default() })
    }

    fn cgroups(&self, ids: &[u64]) -> Vec<(u64, Vec<u8>)> {
        ids.iter().filter(|&&id| id == 5).map(|&id| (id, b"/docker/5".to_vec())).collect()
    }

    fn checks(&self) -> Vec<Check> {
        vec![Check::ok("btf", "there")]
    }

    /// Namespace 1 has more rows than one frame, the sockets of [`event`] among them; no other one can be found.
    fn tables(
        &self,
        wanted: &RowsWanted,
        spaces: &Spaces<'_>,
        _: &Awaited,
    ) -> io::Result<Option<Vec<NamespaceTables>>> {
        let inode = |port| if self.inodes.load(Ordering::SeqCst) { u64::from(port) } else { 0 };
        let rows = (1..=10_000).map(|port| SocketRow { inode: inode(port), ..row(port) });
        let rows = rows.filter(|row| wanted.keeps(row)).collect();
        let table = SocketTable { rows, bogus: 3, recorded: Vec::new() };
        let missing = io::Error::from_raw_os_error(2);
        let tables = vec![(Proto::Tcp, Ok(table)), (Proto::Udp, Err(missing))];
        Ok((!matches!(spaces, Spaces::One(2, _)))
            .then(|| vec![NamespaceTables { netns: Some(1), name: Some(b"blue".to_vec()), tables }]))
    }
}

const PLACE: Place = Place { pidns: 9, userns: 10 };

/// What the wall clock is ahead.
pub const EPOCH: u64 = 1_000;

/// A socket of a network namespace was opened; nothing else is known of it.
pub fn opened(netns: u32, time_ns: u64) -> SocketEvent {
    SocketEvent {
        time_ns,
        kind: EventKind::Open,
        proto: Proto::Tcp,
        local: None,
        remote: None,
        owner: None,
        uid: None,
        inode: None,
        cookie: None,
        netns: Some(netns),
    }
}

/// A socket with this cookie, and with the number as its port, begins to connect.
pub fn event(cookie: u64) -> SocketEvent {
    let end = |port| Some(EventEnd { addr: [127, 0, 0, 1].into(), port: Some(port) });
    SocketEvent {
        time_ns: 1,
        kind: EventKind::State { old: TcpState::Close, new: TcpState::SynSent, in_state_ns: None },
        proto: Proto::Tcp,
        local: end(cookie as u16),
        remote: end(80),
        owner: None,
        uid: None,
        inode: None,
        cookie: Some(cookie),
        netns: Some(1),
    }
}

/// The row of the socket of [`event`] in TIME_WAIT.
pub fn row(port: u16) -> SocketRow {
    let end = |port| Endpoint { addr: [127, 0, 0, 1].into(), port };
    SocketRow::bare(Proto::Tcp, end(port), end(80), 6)
}

/// For so many clients and closed sockets.
pub fn settings(clients: usize, recent_count: usize) -> Settings {
    let uid = rustix::process::geteuid().as_raw();
    Settings {
        limits: Retention { recent_ns: u64::MAX, recent_count },
        clients,
        poll: Duration::MAX,
        place: PLACE,
        admission: Admission { uid, gid: None, everyone: false, shares_all: false },
        confine: || (),
        complain: |_| (),
    }
}

/// Runs `test` beside an agent over a fake kernel, then stops the agent.
fn with_agent<F: Future<Output = ()>>(
    clients: usize,
    test: impl FnOnce(PathBuf, Fake, mpsc::Sender<Signal>) -> F,
) -> Status {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::SeqCst);
    let path = std::env::temp_dir().join(format!("netstat-user-agent-{}-{number}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async {
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (signals, receiver) = mpsc::channel(1);
        let settings = settings(clients, 10);
        let fake = Fake::default();
        let (doors, listeners) = mpsc::channel(1);
        doors.send(listener).await.unwrap();
        let agent = run(listeners, receiver, fake.clone(), fake.clone(), settings, |_| {});
        let test = async {
            test(path.clone(), fake, signals.clone()).await;
            signals.send(Signal::Stop).await.unwrap();
        };
        let status = tokio::join!(agent, test).0.unwrap();
        drop(doors);
        status
    });
    let _ = std::fs::remove_file(path);
    status
}

struct Asking {
    stream: UnixStream,
    arrived: BytesMut,
}

impl Asking {
    async fn new(path: &PathBuf, request: &Request) -> Self {
        let mut out = BytesMut::new();
        request.encode(&mut out);
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(&out).await.unwrap();
        Self { stream, arrived: BytesMut::new() }
    }

    async fn next(&mut self) -> Option<Answer> {
        loop {
            if let Some(body) = next_frame(&mut self.arrived, MAX_ANSWER).unwrap() {
                return Some(Answer::decode(body).unwrap());
            }
            if self.stream.read_buf(&mut self.arrived).await.unwrap() == 0 {
                return None;
            }
        }
    }

    async fn all(mut self) -> Vec<Answer> {
        let mut all = Vec::new();
        while let Some(answer) = self.next().await {
            all.push(answer);
        }
        all
    }
}

const TABLE: Request = Request::Table { live: true, recent_ns: 0, netns: None, age_ns: 0, only: None };

#[test]
fn queries_are_answered() {
    let status = with_agent(4, async |path, fake, _| {
        fake.recorded.lock().unwrap().push(event(5));
        let table = Asking::new(&path, &TABLE).await.all().await;
        assert_eq!(table.first(), Some(&Answer::Begin(PLACE)));
        assert!(matches!(table[1..], [Answer::Live(socket), Answer::End] if socket.cookie == Some(5)));
        let holders = Asking::new(&path, &Request::Holders { of: vec![] }).await.all().await;
        let links: usize = holders.iter().map(|a| if let Answer::Links(links) = a { links.len() } else { 0 }).sum();
        assert_eq!((links, holders.last()), (40_000, Some(&Answer::End)));
        // Who holds sockets is not looked at where there is no memory for as many links as there were the last time.
        let looks = fake.looks.load(Ordering::SeqCst);
        fake.held.store(isize::MAX as usize / 32, Ordering::SeqCst);
        let refused = Asking::new(&path, &Request::Holders { of: vec![] }).await.all().await;
        assert!(matches!(&refused[1], Answer::Refused(denial) if denial.reason.contains("no memory")), "{refused:?}");
        assert_eq!(fake.looks.load(Ordering::SeqCst), looks);
        assert_eq!(Asking::new(&path, &TABLE).await.all().await.last(), Some(&Answer::End));
        let status = Asking::new(&path, &Request::Status).await.all().await;
        assert!(matches!(&status[1], Answer::Status(status) if status.buffer == 42 && status.events == 1));
        let health = Asking::new(&path, &Request::Health).await.all().await;
        assert!(matches!(&health[1], Answer::Health(health)
            if health.checks == [fake.checks(), self::health().checks].concat() && health.programs == self::health().programs));
        // Whoever asks again and again is answered with what was found a moment ago.
        for _ in 0..20 {
            assert_eq!(Asking::new(&path, &Request::Health).await.all().await[1], health[1]);
        }
        assert_eq!(fake.healths.load(Ordering::SeqCst), 1);
        assert!(matches!(health[2..], [Answer::Status(_), Answer::Coverage(_), Answer::End]));
        let cgroups = Asking::new(&path, &Request::Cgroups(vec![4, 5])).await.all().await;
        assert_eq!(cgroups[1..], [Answer::Cgroups(vec![(5, b"/docker/5".to_vec())]), Answer::End]);
    });
    assert_eq!(status.live, 1);
}

#[test]
fn tables_come_with_the_owners_that_events_recorded() {
    with_agent(4, async |path, fake, _| {
        let owner = Owner { pid: 3, comm: Comm::new(b"maker"), grade: Grade::Created, cgroup_id: None, start: 0 };
        fake.recorded
            .lock()
            .unwrap()
            .extend([5000, 9000].map(|port| SocketEvent { owner: Some(owner), ..event(port) }));
        let wanted = RowsWanted { peer: Some(true), ..RowsWanted::of(vec![Proto::Tcp, Proto::Udp]) };
        let rows = |recorded, netns| Request::Rows {
            wanted: RowsWanted { netns: Some(netns), ..wanted.clone() },
            recorded,
            holders: false,
        };
        for with_owners in [false, true] {
            let all = Asking::new(&path, &rows(with_owners, 1)).await.all().await;
            assert_eq!(all[1], Answer::Namespace { netns: 1, name: Some(b"blue".to_vec()) });
            let (mut got, mut owned) = (Vec::<SocketRow>::new(), Vec::new());
            for answer in &all {
                if let Answer::Rows { rows, recorded, .. } = answer {
                    owned.extend(recorded.iter().map(|(at, owner)| (rows[*at as usize].local.port, owner.pid)));
                    got.extend(rows);
                }
            }
            assert_eq!(got, (1..=10_000).map(row).collect::<Vec<_>>());
            assert_eq!(owned, if with_owners { vec![(5000, 3), (9000, 3)] } else { vec![] });
            let end = [
                Answer::TableEnd { proto: Proto::Tcp, bogus: 3 },
                Answer::NoTable { proto: Proto::Udp, errno: 2 },
                Answer::End,
            ];
            assert_eq!(all[all.len() - 3..], end);
        }
        let gone = Asking::new(&path, &rows(false, 2)).await.all().await;
        assert!(matches!(&gone[1..], [Answer::Refused(denial)] if denial.reason.contains("namespace")));
    });
}

/// Somebody may have processes with more descriptors than can be looked through: who gave up waiting for that is in nobody's way.
#[test]
fn a_look_ends_when_nobody_waits_for_it() {
    with_agent(8, async |path, fake, _| {
        fake.many.store(true, Ordering::SeqCst);
        for (asked, read_first) in (1..=6).zip([true, false].into_iter().cycle()) {
            let mut asking = Asking::new(&path, &Request::Holders { of: vec![] }).await;
            let begun = Instant::now();
            while fake.looks.load(Ordering::SeqCst) < asked {
                assert!(begun.elapsed() < Duration::from_secs(10), "look {asked} does not begin");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if read_first {
                // As every client does that waits for its answer: that it closes is no reset then.
                assert!(matches!(asking.next().await, Some(Answer::Begin(_))));
            }
            drop(asking);
        }
        fake.many.store(false, Ordering::SeqCst);
        // Who sends no more still waits for the answer.
        let mut half = Asking::new(&path, &Request::Holders { of: vec![] }).await;
        half.stream.shutdown().await.unwrap();
        assert_eq!(half.all().await.last(), Some(&Answer::End));
    });
}

#[test]
fn to_look_how_the_programs_fare_holds_up_no_other_request() {
    with_agent(8, async |path, fake, _| {
        fake.slow.store(true, Ordering::SeqCst);
        let mut asked = Vec::new();
        for number in 1..=2 {
            asked.push(Asking::new(&path, &Request::Health).await);
            let begun = Instant::now();
            while fake.healths.load(Ordering::SeqCst) < number {
                assert!(begun.elapsed() < Duration::from_secs(10), "look {number} is not asked for");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        // The others wait for the first; whoever asks for something else does not, and finds a thread for what blocks.
        asked.push(Asking::new(&path, &Request::Health).await);
        let holders = async { Asking::new(&path, &Request::Holders { of: vec![] }).await.all().await };
        let holders = tokio::time::timeout(Duration::from_secs(10), holders).await;
        // That a client has gone ends no look that others wait for.
        drop(asked.remove(0));
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(fake.begun.load(Ordering::SeqCst), 1);
        fake.slow.store(false, Ordering::SeqCst);
        assert_eq!(holders.unwrap().last(), Some(&Answer::End));
        for asking in asked {
            assert_eq!(asking.all().await.last(), Some(&Answer::End));
        }
        assert_eq!(fake.begun.load(Ordering::SeqCst), 1, "the others were answered with what it found");
    });
}

/// A question by process comes with the holders of what is left, from the look that decided it.
#[test]
fn the_processes_are_looked_into_once_for_a_question() {
    with_agent(4, async |path, fake, _| {
        fake.inodes.store(true, Ordering::SeqCst);
        let ports = |first, last| RowTest::Number { number: RowNumber::LocalPort, first, last };
        let held_by = |pid| RowTest::All(vec![RowTest::HeldBy(vec![pid]), ports(5, 6)]);
        let link = |inode| Link { inode, pid: 7 };
        for (only, holders, listed, links, looks) in [
            (held_by(7), true, vec![row(5), row(6)], Some(vec![link(5), link(6)]), 1),
            (held_by(8), true, vec![], Some(vec![]), 1),
            (ports(5, 5), true, vec![row(5)], Some(vec![link(5)]), 1),
            (ports(0, 0), true, vec![], Some(vec![]), 0),
            (held_by(7), false, vec![row(5), row(6)], None, 1),
            (ports(5, 5), false, vec![row(5)], None, 0),
        ] {
            let before = fake.looks.load(Ordering::SeqCst);
            let wanted = RowsWanted { only: Some(only.clone()), ..RowsWanted::of(vec![Proto::Tcp, Proto::Udp]) };
            let (mut rows, mut got) = (Vec::new(), None);
            for answer in Asking::new(&path, &Request::Rows { wanted, recorded: true, holders }).await.all().await {
                match answer {
                    Answer::Rows { rows: more, .. } => rows.extend(more),
                    Answer::Links(more) => got.get_or_insert_with(Vec::new).extend(more),
                    _ => {}
                }
            }
            let listed: Vec<_> = listed.iter().map(|row| SocketRow { inode: row.local.port.into(), ..*row }).collect();
            assert_eq!((rows, got), (listed, links), "{only:?}");
            assert_eq!(fake.looks.load(Ordering::SeqCst) - before, looks, "{only:?}");
        }
    });
}

#[test]
fn garbage_is_refused_and_too_many_clients_too() {
    with_agent(1, async |path, _, _| {
        for garbage in [&[0xff; 64][..], &[2, 0, 0, 0, 77, 1], &[1, 0, 0, 0, 1], &[3, 0, 0, 0, 1, 1, 1]] {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            stream.write_all(garbage).await.unwrap();
            let asking = Asking { stream, arrived: BytesMut::new() };
            assert!(matches!(asking.all().await[..], [Answer::Refused(_)]));
        }
        let mut reader = Asking::new(&path, &Request::Events(Limits::default())).await;
        reader.next().await.unwrap();
        let refused = Asking::new(&path, &TABLE).await.all().await;
        assert!(matches!(&refused[..], [Answer::Refused(denial)] if denial.reason.contains("too many clients")));
    });
}

#[test]
fn readers_get_what_they_want_and_the_losses() {
    with_agent(4, async |path, fake, _| {
        let filter = Limits { netns: Some(vec![1]), ..Limits::default() };
        let mut reader = Asking::new(&path, &Request::Events(filter)).await;
        while reader.next().await.unwrap() != Answer::End {}
        fake.recorded.lock().unwrap().extend([SocketEvent { netns: Some(2), ..event(5) }, event(6)]);
        assert!(matches!(reader.next().await, Some(Answer::Event(event)) if event.cookie == Some(6)));
        // The kernel counts all losses since the beginning.
        for (in_all, count) in [(3, 3), (8, 5)] {
            let listed = fake.listed.load(Ordering::SeqCst);
            fake.lost.store(in_all, Ordering::SeqCst);
            assert_eq!(reader.next().await, Some(Answer::Lost { time_ns: 1 + EPOCH, count }));
            while fake.listed.load(Ordering::SeqCst) == listed {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
}

#[test]
fn a_stalled_reader_is_dropped_with_the_exact_count() {
    let status = with_agent(4, async |path, fake, _| {
        let mut reader = Asking::new(&path, &Request::Events(Limits::default())).await;
        while reader.next().await.unwrap() != Answer::End {}
        const SENT: u64 = 200_000;
        for batch in 0..20 {
            fake.recorded.lock().unwrap().extend((0..SENT / 20).map(|number| event(batch * SENT + number)));
            tokio::time::sleep(TICK_READ * 4).await;
        }
        let mut got = 0;
        loop {
            match reader.next().await.unwrap() {
                Answer::Event(_) => got += 1,
                Answer::Dropped(missed) => {
                    assert_eq!(got + missed, SENT);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(got > 0 && got < SENT);
        assert_eq!(reader.next().await, None);
        // The agent notes it a little later.
        loop {
            let status = Asking::new(&path, &Request::Status).await.all().await;
            if matches!(&status[1], Answer::Status(status) if status.dropped_readers == 1) {
                break;
            }
        }
    });
    assert_eq!(status.dropped_readers, 1);
}

#[test]
fn a_reader_that_wants_no_more_gets_what_was_recorded() {
    with_agent(4, async |path, fake, _| {
        let mut reader = Asking::new(&path, &Request::Events(Limits::default())).await;
        while reader.next().await.unwrap() != Answer::End {}
        fake.recorded.lock().unwrap().extend([event(1), event(2)]);
        reader.stream.shutdown().await.unwrap();
        let rest = reader.all().await;
        assert!(matches!(rest[..], [Answer::Event(_), Answer::Event(last), Answer::End] if last.cookie == Some(2)));
    });
}

/// A table that may be some time old is read from the kernel again only when it is older, or events were lost since.
#[test]
fn a_table_is_compared_anew_only_where_it_is_too_old() {
    with_agent(4, async |path, fake, _| {
        let may_be_old = Request::Table { live: true, recent_ns: 0, netns: None, age_ns: 1, only: None };
        Asking::new(&path, &TABLE).await.all().await;
        let listed = fake.listed.load(Ordering::SeqCst);
        for _ in 0..3 {
            fake.recorded.lock().unwrap().push(event(5));
            let table = Asking::new(&path, &may_be_old).await.all().await;
            assert!(matches!(table[1..], [Answer::Live(socket), Answer::End] if socket.cookie == Some(5)));
        }
        assert_eq!(fake.listed.load(Ordering::SeqCst), listed);
        fake.lost.store(1, Ordering::SeqCst);
        Asking::new(&path, &may_be_old).await.all().await;
        assert!(fake.listed.load(Ordering::SeqCst) > listed);
    });
}

#[test]
fn a_hangup_sets_the_table_right() {
    with_agent(4, async |_, fake, signals| {
        while fake.listed.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        signals.send(Signal::Resync).await.unwrap();
        while fake.listed.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

/// What no event reports, since the kernel ran no program, is found in its lists; once for each time.
#[test]
fn runs_that_were_left_out_set_the_table_right() {
    with_agent(4, async |path, fake, _| {
        // Folded in: how long a listing took is known before time is moved on.
        let listed = async |times| {
            for _ in 0..1_000 {
                let status = Asking::new(&path, &Request::Status).await.all().await;
                if matches!(&status[1], Answer::Status(status) if status.resyncs == times) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            panic!("not listed {times} times but {}", fake.listed.load(Ordering::SeqCst));
        };
        let later = async || {
            tokio::time::pause();
            tokio::time::advance(keeper::LOOK).await;
            tokio::time::resume();
        };
        listed(1).await;
        for times in 2..4 {
            fake.missed.fetch_add(1, Ordering::SeqCst);
            later().await;
            listed(times).await;
            later().await;
            tokio::time::sleep(2 * pace::PAUSE).await;
            listed(times).await;
        }
    });
}

/// A socket that ended a while ago did so when the wall clock is set back, too.
#[test]
fn ages_do_not_follow_the_wall_clock() {
    with_agent(4, async |path, fake, _| {
        let totals = crate::model::Totals::unknown(crate::model::CloseReason::Closed);
        fake.recorded.lock().unwrap().push(SocketEvent { kind: EventKind::Close(totals), ..event(5) });
        let recent = Request::Table { live: false, recent_ns: u64::MAX, netns: None, age_ns: 0, only: None };
        for back in [0, 400] {
            fake.back.store(back, Ordering::SeqCst);
            let answers = Asking::new(&path, &recent).await.all().await;
            let [_, Answer::Closed(closed), Answer::Since(past, None), Answer::End] = &answers[..] else {
                panic!("{answers:?}")
            };
            assert_eq!((closed.closed_ns, past.since_ns), (1 + EPOCH - back, 1 + EPOCH - back));
        }
    });
}
