use super::*;
use crate::model::{Comm, Grade, Timer};
use proptest::prelude::*;

const LIMITS: Limits = Limits { recent_ns: 1_000, recent_count: 3 };
const TOTALS: Totals = Totals {
    duration_ns: Some(5),
    rx_bytes: None,
    tx_bytes: None,
    rtt_us: None,
    retransmits: None,
    reason: CloseReason::Closed,
};

fn end(host: u8, port: u16) -> EventEnd {
    EventEnd { addr: [127, 0, 0, host].into(), port: Some(port) }
}

/// An event of socket `id`, whose ends and cookie follow from its number.
fn event(id: u16, kind: EventKind, inode: u64) -> SocketEvent {
    SocketEvent {
        time_ns: 10,
        kind,
        proto: Proto::Tcp,
        local: Some(end(1, 1000 + id)),
        remote: Some(end(2, 80)),
        owner: None,
        uid: Some(0),
        inode: Some(inode),
        cookie: Some(u64::from(id) + 1),
        netns: Some(1),
    }
}

fn open(id: u16, inode: u64) -> SocketEvent {
    SocketEvent { local: None, remote: None, ..event(id, EventKind::Open, inode) }
}

const fn state(old: TcpState, new: TcpState) -> EventKind {
    EventKind::State { old, new, in_state_ns: None }
}

fn row(id: u16, proto: Proto, state: TcpState, inode: u64) -> SocketRow {
    let listens = state == TcpState::Listen || !proto.is_tcp();
    let endpoint = |end: EventEnd| Endpoint { addr: end.addr, port: end.port.unwrap() };
    let nobody = Endpoint { addr: [0, 0, 0, 0].into(), port: 0 };
    SocketRow {
        proto,
        local: endpoint(end(1, 1000 + id)),
        remote: if listens { nobody } else { endpoint(end(2, 80)) },
        state: state as u8,
        recv_q: 0,
        send_q: 0,
        uid: 0,
        inode,
        timer: Timer::default(),
        cookie: None,
        netns: Some(1),
    }
}

fn owner(pid: u32) -> Option<Owner> {
    Some(Owner { pid, comm: Comm::new(b"x"), grade: Grade::Created })
}

fn listing(rows: Vec<SocketRow>) -> Listing {
    let rows = rows.into_iter().map(|row| (row, None)).collect();
    Listing { rows, protos: Proto::ALL.to_vec(), held: None }
}

#[test]
fn a_closed_socket_is_kept_with_its_owner_within_both_bounds() {
    let mut table = Table::new(LIMITS);
    for id in 0..5 {
        table.event(&SocketEvent { owner: owner(7), ..open(id, 100 + u64::from(id)) });
        table.event(&event(id, state(TcpState::Close, TcpState::SynSent), 100 + u64::from(id)));
        let end = event(id, state(TcpState::SynSent, TcpState::Close), 0);
        table.event(&end);
        table.event(&SocketEvent { time_ns: 20 + u64::from(id), ..event(id, EventKind::Close(TOTALS), 0) });
    }
    assert!(table.is_empty());
    let kept: Vec<_> = table.recent(30, 1_000).map(|closed| closed.closed_ns).collect();
    assert_eq!(kept, [24, 23, 22], "the count bounds");
    assert_eq!(table.recent(30, 7).count(), 2);
    let closed = *table.recent(30, 1_000).next().unwrap();
    assert_eq!((closed.socket.owner, closed.socket.inode), (owner(7), 104), "as it was before it ended");
    table.expire(1_023);
    assert_eq!(table.recent_len(), 2, "the age bounds");
    assert_eq!(table.forgotten_ns(), 22, "and it is known since when all are there");
}

#[test]
fn what_remains_in_time_wait_outlives_the_socket() {
    let mut table = Table::new(LIMITS);
    table.event(&event(1, state(TcpState::Close, TcpState::SynSent), 9));
    table.event(&event(1, state(TcpState::FinWait2, TcpState::TimeWait), 0));
    table.event(&event(1, state(TcpState::FinWait2, TcpState::Close), 0));
    table.event(&event(1, EventKind::Close(TOTALS), 0));
    let left: Vec<_> = table.live().map(|socket| (socket.state, socket.inode)).collect();
    assert_eq!(left, [(TcpState::TimeWait, 0)]);
    assert_eq!(table.recent_len(), 1);
    table.event(&event(1, state(TcpState::TimeWait, TcpState::Close), 0));
    assert!(table.is_empty());
    assert_eq!(table.recent_len(), 1, "told once");
}

#[test]
fn a_listing_keeps_owners_and_history() {
    let mut table = Table::new(LIMITS);
    table.event(&SocketEvent { owner: owner(3), ..event(1, state(TcpState::Close, TcpState::SynSent), 9) });
    table.event(&event(2, state(TcpState::Close, TcpState::SynSent), 8));
    table.begin_listing();
    let rows = vec![row(1, Proto::Tcp, TcpState::Established, 9), row(3, Proto::Tcp, TcpState::Listen, 5)];
    let correction = table.listing(&listing(rows), 50);
    assert_eq!(correction, Correction { added: 1, removed: 1, changed: 1 });
    let known = table.live().find(|socket| socket.inode == 9).unwrap();
    assert_eq!((known.owner, known.cookie, known.state), (owner(3), Some(2), TcpState::Established));
    let closed = table.recent(50, 100).next().unwrap();
    assert_eq!((closed.socket.inode, closed.totals.reason), (8, CloseReason::Unknown));
}

#[test]
fn listeners_that_share_a_port_are_told_apart() {
    let mut table = Table::new(LIMITS);
    table.begin_listing();
    let rows = [5, 6].map(|inode| row(3, Proto::Tcp, TcpState::Listen, inode)).to_vec();
    table.listing(&listing(rows), 0);
    assert_eq!(table.len(), 2);
    let listener = SocketEvent {
        remote: Some(EventEnd { addr: [0, 0, 0, 0].into(), port: Some(0) }),
        ..event(3, EventKind::Open, 6)
    };
    table.event(&SocketEvent { kind: state(TcpState::Listen, TcpState::Close), ..listener });
    table.event(&SocketEvent { kind: EventKind::Close(TOTALS), inode: Some(0), ..listener });
    let left: Vec<_> = table.live().map(|socket| socket.inode).collect();
    assert_eq!(left, [5]);
}

#[test]
fn memory_per_socket_is_bounded() {
    // Just past a doubling of every part: the worst case.
    let count = (1 << 16) + 1;
    let mut table = Table::new(LIMITS);
    for id in 0..count {
        let mut made = event(0, state(TcpState::Close, TcpState::SynSent), 1_000_000 + id);
        made.cookie = Some(id + 1);
        made.local = Some(EventEnd { addr: (id as u32).to_be_bytes().into(), port: Some(1) });
        table.event(&made);
    }
    assert_eq!(table.len() as u64, count);
    let each = table.bytes() as u64 / count;
    println!("{} bytes a row, {each} a socket with its index at worst", Table::ROW_BYTES);
    assert!(each * 1_000_000 <= 512 << 20, "{each} bytes a socket");
}

/// A life that the kernel can give a socket: what it lists after each step, and what it tells at it.
#[derive(Clone, Copy, Debug)]
enum Life {
    Client,
    Child,
    Listener,
    Udp,
}

/// A kernel with a few sockets.
struct Kernel {
    sockets: Vec<(Life, usize)>,
    told: VecDeque<SocketEvent>,
    traced: bool,
}

type Step = (Option<(Proto, TcpState, u64)>, Vec<SocketEvent>);

/// The steps of a life.
fn life(id: u16, life: Life) -> Vec<Step> {
    use TcpState::{Close, CloseWait, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv, SynSent, TimeWait};
    let inode = 100 + u64::from(id);
    let at = |state: TcpState, inode| Some((Proto::Tcp, state, inode));
    let to = |old, new, inode| event(id, state(old, new), inode);
    let close = event(id, EventKind::Close(TOTALS), 0);
    let nobody = Some(EventEnd { addr: [0, 0, 0, 0].into(), port: Some(0) });
    match life {
        Life::Client => vec![
            (None, vec![open(id, inode)]),
            (at(SynSent, inode), vec![to(Close, SynSent, inode)]),
            (at(Established, inode), vec![to(SynSent, Established, inode)]),
            (at(FinWait1, 0), vec![to(Established, FinWait1, 0)]),
            (at(FinWait2, 0), vec![to(FinWait1, FinWait2, 0)]),
            (at(TimeWait, 0), vec![to(FinWait2, TimeWait, 0), to(FinWait2, Close, 0), close]),
            (None, vec![to(TimeWait, Close, 0)]),
        ],
        Life::Child => vec![
            (at(SynRecv, 0), vec![to(Listen, SynRecv, 0)]),
            (at(Established, 0), vec![to(SynRecv, Established, 0)]),
            // Accepted: nothing is told.
            (at(Established, inode), vec![]),
            (at(CloseWait, inode), vec![to(Established, CloseWait, inode)]),
            (at(LastAck, 0), vec![to(CloseWait, LastAck, 0)]),
            (None, vec![to(LastAck, Close, 0), close]),
        ],
        Life::Listener => {
            let listener = |kind, inode| SocketEvent { remote: nobody, ..event(id, kind, inode) };
            vec![
                (None, vec![open(id, inode)]),
                (at(Listen, inode), vec![listener(state(Close, Listen), inode)]),
                (None, vec![listener(state(Listen, Close), inode)]),
                (None, vec![listener(EventKind::Close(TOTALS), 0)]),
            ]
        }
        Life::Udp => {
            let udp = |event: SocketEvent| SocketEvent { proto: Proto::Udp, ..event };
            vec![
                (None, vec![udp(open(id, inode))]),
                // Bound: nothing is told.
                (Some((Proto::Udp, Close, inode)), vec![]),
                (None, vec![udp(SocketEvent { remote: nobody, inode: Some(inode), ..close })]),
            ]
        }
    }
}

impl Kernel {
    fn row(&self, at: usize) -> Option<SocketRow> {
        let (kind, step) = self.sockets[at];
        let id = at as u16;
        let (proto, state, inode) = life(id, kind).get(step.checked_sub(1)?)?.0?;
        Some(row(id, proto, state, inode))
    }

    fn step(&mut self, at: usize) {
        let (kind, step) = self.sockets[at];
        if let Some((_, events)) = life(at as u16, kind).get(step) {
            self.sockets[at].1 += 1;
            if self.traced {
                self.told.extend(events);
            }
        }
    }
}

/// What a table and a kernel are compared by.
fn known(table: &Table, inodes: bool) -> Vec<(Proto, EventEnd, EventEnd, TcpState, u64)> {
    let mut rows: Vec<_> = table
        .live()
        .filter(|s| s.is_listed() && (inodes || s.proto.is_tcp()))
        .map(|s| (s.proto, s.local.unwrap(), s.remote.unwrap(), s.state, if inodes { s.inode } else { 0 }))
        .collect();
    rows.sort_by_key(|row| (row.0, row.1.port, row.3));
    rows
}

fn listed(kernel: &Kernel, inodes: bool) -> Vec<(Proto, EventEnd, EventEnd, TcpState, u64)> {
    let end = |end: Endpoint| EventEnd { addr: end.addr, port: Some(end.port) };
    let mut rows: Vec<_> = (0..kernel.sockets.len())
        .filter_map(|at| kernel.row(at))
        .filter(|row| inodes || row.proto.is_tcp())
        .map(|row| {
            let inode = if inodes { row.inode } else { 0 };
            (row.proto, end(row.local), end(row.remote), TcpState::from_kernel(row.state).unwrap(), inode)
        })
        .collect();
    rows.sort_by_key(|row| (row.0, row.1.port, row.3));
    rows
}

#[derive(Clone, Debug)]
enum Op {
    Step(usize),
    Drain(usize),
    Begin,
    Read(usize),
    Apply,
    Lose,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0usize..8).prop_map(Op::Step),
        2 => (1usize..6).prop_map(Op::Drain),
        1 => Just(Op::Begin),
        6 => (0usize..8).prop_map(Op::Read),
        1 => Just(Op::Apply),
        1 => Just(Op::Lose),
    ]
}

/// A kernel, a table and a listing under way.
struct Run {
    kernel: Kernel,
    table: Table,
    reading: Option<(Vec<bool>, Vec<SocketRow>)>,
}

impl Run {
    fn drain(&mut self, count: usize) {
        for _ in 0..count.min(self.kernel.told.len()) {
            let event = self.kernel.told.pop_front().unwrap();
            self.table.event(&event);
        }
    }

    fn begin(&mut self) {
        self.drain(usize::MAX);
        self.table.begin_listing();
        self.reading = Some((vec![false; self.kernel.sockets.len()], Vec::new()));
    }

    fn read(&mut self, at: usize) {
        if let Some((done, rows)) = &mut self.reading
            && !std::mem::replace(&mut done[at], true)
        {
            rows.extend(self.kernel.row(at));
        }
    }

    fn apply(&mut self) {
        (0..self.kernel.sockets.len()).for_each(|at| self.read(at));
        let Some((_, rows)) = self.reading.take() else { return };
        self.drain(usize::MAX);
        self.table.listing(&listing(rows), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_events_and_listings_ends_in_the_kernels_own_list(
        kinds in proptest::collection::vec(0usize..4, 8),
        before in proptest::collection::vec(0usize..8, 0..20),
        ops in proptest::collection::vec(op(), 0..80),
    ) {
        let lives = [Life::Client, Life::Child, Life::Listener, Life::Udp];
        let sockets = kinds.into_iter().map(|kind| (lives[kind], 0)).collect();
        let kernel = Kernel { sockets, told: VecDeque::new(), traced: false };
        let mut run = Run { kernel, table: Table::new(LIMITS), reading: None };
        before.into_iter().for_each(|at| run.kernel.step(at));
        // Attached first, then seeded.
        run.kernel.traced = true;
        run.begin();
        let mut lost = false;
        for op in ops {
            match op {
                Op::Step(at) => run.kernel.step(at),
                Op::Drain(count) => run.drain(count),
                Op::Begin if run.reading.is_none() => run.begin(),
                Op::Read(at) => run.read(at),
                Op::Apply => run.apply(),
                Op::Lose => lost |= run.kernel.told.pop_back().is_some(),
                Op::Begin => {}
            }
        }
        run.apply();
        run.drain(usize::MAX);
        if !lost {
            prop_assert_eq!(known(&run.table, false), listed(&run.kernel, false));
        }
        // What no event tells, binds and accepts and what was lost, the next listing does.
        run.begin();
        run.apply();
        prop_assert_eq!(known(&run.table, true), listed(&run.kernel, true));
        let unlisted = run.table.live().filter(|socket| !socket.is_listed()).count();
        prop_assert!(lost || unlisted <= run.kernel.sockets.len());
    }
}

#[test]
fn what_remains_of_a_socket_is_still_its_owners() {
    let mut table = Table::new(LIMITS);
    let orphan = state(TcpState::Established, TcpState::FinWait1);
    table.event(&SocketEvent { owner: owner(7), ..event(1, orphan, 0) });
    table.event(&SocketEvent { owner: owner(8), ..event(2, EventKind::Close(TOTALS), 0) });
    table.event(&SocketEvent { owner: owner(9), ..event(3, EventKind::Close(TOTALS), 0) });
    table.event(&SocketEvent { owner: None, ..event(4, state(TcpState::Listen, TcpState::SynRecv), 0) });
    let rows = [
        row(1, Proto::Tcp, TcpState::FinWait1, 0),
        row(2, Proto::Tcp, TcpState::TimeWait, 0),
        row(3, Proto::Tcp, TcpState::SynRecv, 0),
        row(4, Proto::Tcp, TcpState::SynRecv, 0),
        row(2, Proto::Tcp, TcpState::Established, 77),
    ];
    let pids = |netns| table.recorded(netns, &rows).into_iter().map(|(at, owner)| (at, owner.pid)).collect::<Vec<_>>();
    assert_eq!(pids(1), [(0, 7), (1, 8)], "a request is a new connection, and what has an inode is held");
    assert_eq!(pids(2), []);
}
