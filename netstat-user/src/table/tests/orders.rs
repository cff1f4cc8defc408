//! Events, seed and listings in any order the kernel can produce end in the same table: the kernel's own lists.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

/// Plenty: here nothing is forgotten.
const ALL: Retention = Retention { recent_ns: u64::MAX, recent_count: 1_000 };

/// A life that the kernel can give a socket.
#[derive(Clone, Copy, Debug)]
enum Life {
    /// Closes first, and leaves a minisocket in TIME_WAIT.
    Client,
    /// Leaves one in FIN_WAIT2, whose FIN comes or never comes.
    Orphan {
        fin: bool,
    },
    /// Shuts its side down and is held on; connects again while what remains of its first connection is in TIME_WAIT.
    Again,
    /// Comes in at once, and is accepted.
    Child,
    /// Comes in late enough for its request to be reported.
    Request,
    /// A request that comes to nothing.
    Dropped,
    Listener,
    Udp,
}

const LIVES: [Life; 9] = [
    Life::Client,
    Life::Orphan { fin: true },
    Life::Orphan { fin: false },
    Life::Again,
    Life::Child,
    Life::Request,
    Life::Dropped,
    Life::Listener,
    Life::Udp,
];

/// What the kernel lists, and what a process holds, after a step; what is reported at it.
#[derive(Clone, Debug, Default)]
struct Step {
    rows: Vec<SocketRow>,
    held: Option<u64>,
    reported: Option<SocketEvent>,
    /// The next step follows at once: what is listed has not been reported yet.
    halfway: bool,
}

/// The steps of a life.
fn life(id: u16, life: Life) -> Vec<Step> {
    use TcpState::{Close, CloseWait, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv, SynSent, TimeWait};
    let inode = 100 + u64::from(id);
    let tcp = |state: TcpState, inode| vec![row(id, Proto::Tcp, state, inode)];
    let to = |old, new, inode| Some(event(id, state(old, new), inode));
    let close = Some(event(id, EventKind::Close(TOTALS), 0));
    let step = |rows: Vec<SocketRow>, reported: Option<SocketEvent>| Step { rows, reported, ..Step::default() };
    let held = |step: Step| Step { held: Some(inode), ..step };
    let halfway = |step: Step| Step { halfway: true, ..step };
    let connects = || {
        vec![
            held(step(vec![], Some(open(id, inode)))),
            held(step(tcp(SynSent, inode), to(Close, SynSent, inode))),
            held(step(tcp(Established, inode), to(SynSent, Established, inode))),
        ]
    };
    let child = || {
        vec![
            step(tcp(Established, 0), to(SynRecv, Established, 0)),
            // Accepted: nothing is reported.
            held(step(tcp(Established, inode), None)),
            held(step(tcp(CloseWait, inode), to(Established, CloseWait, inode))),
            step(tcp(LastAck, 0), to(CloseWait, LastAck, 0)),
            halfway(step(vec![], to(LastAck, Close, 0))),
            step(vec![], close),
        ]
    };
    let (first, rest): (Vec<Step>, Vec<Step>) = match life {
        Life::Client => (
            connects(),
            vec![
                step(tcp(FinWait1, 0), to(Established, FinWait1, inode)),
                step(tcp(FinWait2, 0), to(FinWait1, FinWait2, 0)),
                halfway(step(tcp(TimeWait, 0), None)),
                halfway(step(tcp(TimeWait, 0), to(FinWait2, Close, 0))),
                step(tcp(TimeWait, 0), to(FinWait2, TimeWait, 0)),
                step(tcp(TimeWait, 0), close),
                step(vec![], to(TimeWait, Close, 0)),
            ],
        ),
        Life::Orphan { fin } => (
            connects(),
            vec![
                step(tcp(FinWait1, 0), to(Established, FinWait1, inode)),
                step(tcp(FinWait2, 0), to(FinWait1, FinWait2, 0)),
                halfway(step(tcp(FinWait2, 0), to(FinWait2, Close, 0))),
                // What remains of it is not reported yet.
                step(tcp(FinWait2, 0), close),
                match fin {
                    true => step(tcp(TimeWait, 0), to(FinWait2, TimeWait, 0)),
                    false => step(vec![], to(FinWait2, Close, 0)),
                },
                step(vec![], to(TimeWait, Close, 0).filter(|_| fin)),
            ],
        ),
        Life::Again => {
            let port =
                |event: Option<SocketEvent>| event.map(|event| SocketEvent { local: Some(end(1, 2000 + id)), ..event });
            let both =
                |state, inode| [row(id, Proto::Tcp, TimeWait, 0), row(1000 + id, Proto::Tcp, state, inode)].to_vec();
            (
                connects(),
                vec![
                    held(step(tcp(FinWait1, inode), to(Established, FinWait1, inode))),
                    held(step(tcp(FinWait2, inode), to(FinWait1, FinWait2, inode))),
                    halfway(held(step(tcp(TimeWait, 0), to(FinWait2, Close, inode)))),
                    held(step(tcp(TimeWait, 0), to(FinWait2, TimeWait, 0))),
                    held(step(both(SynSent, inode), port(to(Close, SynSent, inode)))),
                    held(step(both(Established, inode), port(to(SynSent, Established, inode)))),
                    held(step(both(Established, inode)[1..].to_vec(), to(TimeWait, Close, 0))),
                    held(step(vec![], port(to(Established, Close, inode)))),
                    step(vec![], port(close)),
                ],
            )
        }
        Life::Child => (vec![halfway(step(tcp(Established, 0), to(Listen, SynRecv, 0)))], child()),
        Life::Request => (vec![step(tcp(SynRecv, 0), to(Listen, SynRecv, 0))], child()),
        Life::Dropped => {
            (vec![step(tcp(SynRecv, 0), to(Listen, SynRecv, 0))], vec![step(vec![], to(SynRecv, Close, 0))])
        }
        Life::Listener => {
            let nobody = Some(EventEnd { addr: [0, 0, 0, 0].into(), port: Some(0) });
            let listener = |kind, inode| Some(SocketEvent { remote: nobody, ..event(id, kind, inode) });
            (
                vec![held(step(vec![], Some(open(id, inode))))],
                vec![
                    held(step(tcp(Listen, inode), listener(state(Close, Listen), inode))),
                    held(step(vec![], listener(state(Listen, Close), inode))),
                    step(vec![], listener(EventKind::Close(TOTALS), 0)),
                ],
            )
        }
        Life::Udp => {
            let udp = |event: SocketEvent| Some(SocketEvent { proto: Proto::Udp, ..event });
            let nobody = Some(EventEnd { addr: [0, 0, 0, 0].into(), port: Some(0) });
            let closed = SocketEvent { remote: nobody, ..event(id, EventKind::Close(TOTALS), inode) };
            (
                vec![held(step(vec![], udp(open(id, inode))))],
                vec![
                    // Bound: nothing is reported.
                    held(step(vec![row(id, Proto::Udp, Close, inode)], None)),
                    step(vec![], udp(closed)),
                ],
            )
        }
    };
    first.into_iter().chain(rest).collect()
}

/// A kernel with a few sockets.
struct Kernel {
    /// The steps of each, and how many were taken.
    sockets: Vec<(Vec<Step>, usize)>,
    reported: VecDeque<SocketEvent>,
    traced: bool,
    /// Sockets whose end was reported.
    ended: Vec<u64>,
}

impl Kernel {
    fn now(&self, at: usize) -> Step {
        let (steps, taken) = &self.sockets[at];
        taken.checked_sub(1).map(|last| steps[last].clone()).unwrap_or_default()
    }

    fn step(&mut self, at: usize) {
        let (steps, taken) = &mut self.sockets[at];
        if let Some(step) = steps.get(*taken) {
            *taken += 1;
            if self.traced
                && let Some(event) = step.reported
            {
                self.ended.extend(matches!(event.kind, EventKind::Close(_)).then_some(event.cookie).flatten());
                self.reported.push_back(event);
            }
        }
    }

    /// Whatever has begun is reported to its end.
    fn rest(&mut self) {
        for at in 0..self.sockets.len() {
            while self.now(at).halfway {
                self.step(at);
            }
        }
    }

    fn rows(&self) -> impl Iterator<Item = SocketRow> {
        (0..self.sockets.len()).flat_map(|at| self.now(at).rows)
    }
}

/// What a table and a kernel are compared by.
type Known = (Proto, EventEnd, EventEnd, TcpState, u64);

fn is_reported(proto: Proto, state: TcpState, inode: u64) -> bool {
    proto.is_tcp() && (state != TcpState::FinWait2 || inode != 0)
}

fn sorted(mut rows: Vec<Known>) -> Vec<Known> {
    rows.sort_by_key(|row| (row.0, row.1.port, row.3));
    rows
}

/// Of `all`, or of what is reported by events alone: TCP, but not what waits in FIN_WAIT2 without its owner; and without inodes, which an
/// accept gives unreported.
fn known(table: &Table, all: bool) -> Vec<Known> {
    let listed = table.live().filter(|s| s.is_listed() && (all || is_reported(s.proto, s.state, s.inode)));
    let row = |s: &LiveSocket| (s.proto, s.local.unwrap(), s.remote.unwrap(), s.state, if all { s.inode } else { 0 });
    sorted(listed.map(row).collect())
}

fn listed(kernel: &Kernel, all: bool) -> Vec<Known> {
    let end = |end: Endpoint| EventEnd { addr: end.addr, port: Some(end.port) };
    let rows =
        kernel.rows().filter(|row| all || is_reported(row.proto, TcpState::from_kernel(row.state).unwrap(), row.inode));
    let row = |row: SocketRow| {
        let inode = if all { row.inode } else { 0 };
        (row.proto, end(row.local), end(row.remote), TcpState::from_kernel(row.state).unwrap(), inode)
    };
    sorted(rows.map(row).collect())
}

#[derive(Clone, Debug)]
enum Op {
    Step(usize),
    Drain(usize),
    Begin,
    Read(usize),
    Hold(usize),
    Apply,
    Lose,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (0usize..8).prop_map(Op::Step),
        2 => (1usize..6).prop_map(Op::Drain),
        1 => Just(Op::Begin),
        5 => (0usize..8).prop_map(Op::Read),
        3 => (0usize..8).prop_map(Op::Hold),
        1 => Just(Op::Apply),
        1 => Just(Op::Lose),
    ]
}

/// A listing under way: which sockets were looked at, and what was found.
#[derive(Default)]
struct Reading {
    read: [bool; 8],
    asked: [bool; 8],
    rows: Vec<SocketRow>,
    held: HashSet<u64>,
}

/// A kernel, a table, and a listing under way.
struct Run {
    kernel: Kernel,
    table: Table,
    reading: Option<Reading>,
    /// Whether every process can be looked into.
    sees_all: bool,
}

impl Run {
    fn drain(&mut self, count: usize) {
        for _ in 0..count.min(self.kernel.reported.len()) {
            let event = self.kernel.reported.pop_front().unwrap();
            self.table.event(&event);
        }
    }

    fn begin(&mut self) {
        self.drain(usize::MAX);
        self.table.begin_listing();
        self.reading = Some(Reading::default());
    }

    fn read(&mut self, at: usize) {
        if let Some(reading) = &mut self.reading
            && !std::mem::replace(&mut reading.read[at], true)
        {
            reading.rows.extend(self.kernel.now(at).rows);
        }
    }

    fn hold(&mut self, at: usize) {
        if let Some(reading) = &mut self.reading
            && !std::mem::replace(&mut reading.asked[at], true)
        {
            reading.held.extend(self.kernel.now(at).held);
        }
    }

    fn apply(&mut self) {
        for at in 0..self.kernel.sockets.len() {
            self.read(at);
            self.hold(at);
        }
        let Some(reading) = self.reading.take() else { return };
        // Halfway is a matter of nanoseconds, a listing of milliseconds.
        self.kernel.rest();
        self.drain(usize::MAX);
        let held = self.sees_all.then_some(reading.held);
        self.table.listing(&Listing { held, ..listing(reading.rows) }, 0);
    }

    fn op(&mut self, op: &Op) -> bool {
        match *op {
            Op::Step(at) => self.kernel.step(at),
            Op::Drain(count) => self.drain(count),
            Op::Begin if self.reading.is_none() => self.begin(),
            Op::Begin => {}
            Op::Read(at) => self.read(at),
            Op::Hold(at) => self.hold(at),
            Op::Apply => self.apply(),
            Op::Lose => return self.kernel.reported.pop_back().is_some(),
        }
        false
    }
}

/// Attaches after some steps, seeds, goes on, and compares.
fn check(kinds: Vec<usize>, before: Vec<usize>, ops: &[Op], sees_all: bool) -> Result<(), TestCaseError> {
    let sockets = kinds.into_iter().enumerate().map(|(id, kind)| (life(id as u16, LIVES[kind]), 0)).collect();
    let kernel = Kernel { sockets, reported: VecDeque::new(), traced: false, ended: Vec::new() };
    let mut run = Run { kernel, table: Table::new(ALL), reading: None, sees_all };
    before.into_iter().for_each(|at| run.kernel.step(at));
    // Attached first, then seeded.
    run.kernel.traced = true;
    run.begin();
    let mut lost = false;
    for op in ops {
        lost |= run.op(op);
    }
    run.apply();
    run.kernel.rest();
    run.drain(usize::MAX);
    if !lost {
        prop_assert_eq!(known(&run.table, false), listed(&run.kernel, false));
        // Every end once, and none that was not reported.
        let mut ends: Vec<u64> =
            run.table.recent(0, u64::MAX).map(|closed| closed.socket.cookie.unwrap_or(0)).collect();
        ends.sort_unstable();
        run.kernel.ended.sort_unstable();
        prop_assert_eq!(ends, run.kernel.ended.clone());
    }
    // What no event reports, binds and accepts and what was lost, the next listing does.
    run.begin();
    run.apply();
    prop_assert_eq!(known(&run.table, true), listed(&run.kernel, true));
    let unlisted = run.table.live().filter(|socket| !socket.is_listed()).count();
    prop_assert!(lost || unlisted <= run.kernel.sockets.len());
    prop_assert_eq!(
        (run.table.len_in(|netns, _| netns == Some(1)), run.table.len_in(|_, _| true)),
        (run.table.len(), run.table.len())
    );
    Ok(())
}

/// Listed when it connects, and over, with its TIME_WAIT, before the listing is.
#[test]
fn a_life_ends_while_it_is_listed() {
    let mut ops = vec![Op::Step(7), Op::Read(7)];
    ops.extend((0..8).map(|_| Op::Step(7)));
    check(vec![0; 8], vec![7], &ops, false).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_events_and_listings_ends_in_the_kernels_own_list(
        kinds in proptest::collection::vec(0..LIVES.len(), 8),
        before in proptest::collection::vec(0usize..8, 0..40),
        ops in proptest::collection::vec(op(), 0..120),
        sees_all in any::<bool>(),
    ) {
        check(kinds, before, &ops, sees_all)?;
    }
}
