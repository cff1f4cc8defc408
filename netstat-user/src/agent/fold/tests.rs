use super::*;
use crate::agent::tests::{EPOCH, event, health, row, settings};
use crate::model::{CloseReason, Comm, EventEnd, EventKind, Grade, Owner, Proto, SocketTable, Totals};
use crate::query::{CoverageRows, Health};
use std::collections::VecDeque;

/// A source that has the next batch whenever it is asked.
struct Batches {
    left: VecDeque<Vec<SocketEvent>>,
    /// What it has lost once it was asked so often.
    losses: Vec<u64>,
    asked: usize,
}

impl Source for Batches {
    fn take(&mut self, events: &mut Vec<SocketEvent>) -> io::Result<bool> {
        events.extend(self.left.pop_front().unwrap_or_default());
        self.asked += 1;
        Ok(false)
    }

    fn note(&mut self, _: &[SocketEvent]) {}

    fn ready(&self) -> impl Future<Output = ()> {
        std::future::pending()
    }

    fn lost(&mut self) -> io::Result<u64> {
        Ok(self.losses.get(self.asked).copied().unwrap_or_default())
    }

    fn status(&self) -> Status {
        Status::default()
    }

    fn coverage(&self) -> CoverageRows {
        CoverageRows::default()
    }

    fn health(&self) -> impl FnOnce() -> Health + Send + 'static {
        health
    }

    fn missed(&self) -> u64 {
        0
    }

    fn now_ns(&self) -> u64 {
        1
    }

    fn epoch_ns(&self) -> u64 {
        EPOCH
    }
}

fn owned(pid: u32, event: SocketEvent) -> SocketEvent {
    let owner = Owner { pid, comm: Comm::new(b"maker"), grade: Grade::Created, cgroup_id: None, start: 0 };
    SocketEvent { owner: Some(owner), ..event }
}

/// The end of the socket of [`event`].
fn ended(event: SocketEvent) -> SocketEvent {
    SocketEvent { kind: EventKind::Close(Totals::unknown(CloseReason::Closed)), ..event }
}

/// The owners of rows are what was recorded until they were looked up: between the parts of the index, and between those of the rows.
#[test]
fn events_are_folded_while_owners_are_looked_up() {
    const PARTS: u16 = 3;
    // Three parts of the index, too: those that ended before.
    let before = (0..2 * ROWS_A_TURN as u32 + 1).map(|number| {
        let end = EventEnd { addr: (0x0a00_0000 + number).to_be_bytes().into(), port: Some(9) };
        ended(SocketEvent { local: Some(end), ..event(1_000_000 + u64::from(number)) })
    });
    // Each batch that follows has a socket that is there, and one that has ended.
    let (there, gone) = (|batch: u16| 100 + batch, |batch: u16| 200 + batch);
    let batches = 1..=7;
    let of_batch = |batch: u16| {
        let owned = |port: u16| owned(port.into(), event(port.into()));
        vec![owned(there(batch)), ended(owned(gone(batch)))]
    };
    let left = std::iter::once(before.collect()).chain(batches.clone().map(of_batch)).collect();
    let desks = [(); 2].map(|()| Arc::new(Desk::new(1)));
    let mut fold = Fold::new(Batches { left, losses: vec![], asked: 0 }, desks, &settings(1, 1 << 14)).unwrap();
    // Every part of the rows asks for all of these sockets.
    let asked: Vec<u16> = batches.clone().map(there).chain(batches.map(gone)).collect();
    let part = asked.iter().copied().chain(std::iter::repeat(9_999)).take(ROWS_A_TURN).map(row);
    let rows = (0..PARTS).flat_map(|_| part.clone()).collect();
    let table = SocketTable { rows, bogus: 0, recorded: Vec::new() };
    let mut spaces = [NamespaceTables { netns: Some(1), name: None, tables: vec![(Proto::Tcp, Ok(table))] }];
    assert!(!fold.add_recorded(&mut spaces, None).unwrap(), "nothing was lost");
    let table = spaces[0].tables[0].1.as_ref().unwrap();
    let found = |part: u16| {
        let of_part = table.recorded.iter().filter(|(at, _)| *at / ROWS_A_TURN as u32 == u32::from(part));
        of_part.map(|&(at, owner)| (table.rows[at as usize].local.port, owner.pid)).collect::<Vec<_>>()
    };
    // Two batches came between the parts of the index, and one behind each part of the rows: what ended by then is not in the index.
    let expected = |part: u16| {
        let all = (1..=2 + part).map(there).chain((1..=2).map(gone));
        all.map(|port| (port, port.into())).collect::<Vec<_>>()
    };
    for part in 0..PARTS {
        assert_eq!(found(part), expected(part), "part {part}");
    }
    assert_eq!(fold.source.asked, 1 + 2 + usize::from(PARTS));
    // What was lost between any two of them is said.
    for lost_at in 1..=usize::from(PARTS) + 3 {
        let before = fold.status(0).lost;
        (fold.source.asked, fold.source.losses) = (0, [vec![before; lost_at], vec![before + 1; 8]].concat());
        assert!(fold.add_recorded(&mut spaces, None).unwrap(), "lost at {lost_at}");
        assert_eq!(fold.status(0).lost, before + 1);
    }
}

/// What an answer takes goes by the sockets that are shown: one user's, in a namespace of its own, make no other's answer large.
#[test]
fn sockets_are_counted_where_they_are_shown() {
    let of = |netns: u32, cookie: u64| SocketEvent { netns: Some(netns), ..event(cookie) };
    let first = (1..=5).map(|cookie| of(1, cookie)).chain((6..=7).map(|cookie| of(2, cookie))).collect();
    let then = vec![ended(of(1, 1)), of(2, 8)];
    let desks = [(); 2].map(|()| Arc::new(Desk::new(1)));
    let batches = Batches { left: [first, then].into(), losses: vec![], asked: 0 };
    let mut fold = Fold::new(batches, desks, &settings(1, 10)).unwrap();
    let own = |namespaces: &[u32]| {
        Sight::Own(Arc::new(crate::agent::Own {
            namespaces: namespaces.iter().copied().collect(),
            ..Default::default()
        }))
    };
    let mut counts = || {
        fold.drain(true).unwrap();
        let size = |sight: &Sight, netns, recent_ns| {
            let asked = |protos: Vec<Proto>| CountAsked { protos, netns, recent_ns };
            let AnswerCount { live, closed } = fold.count_of(sight, &asked(Proto::ALL.to_vec()));
            let others = fold.count_of(sight, &asked(vec![Proto::Udp]));
            assert_eq!(others, AnswerCount { live: 0, closed: 0 });
            (live, closed)
        };
        let of_own = [&[1][..], &[2], &[1, 2], &[3]].map(|namespaces| size(&own(namespaces), None, u64::MAX));
        (size(&Sight::All, None, 0), of_own, size(&own(&[1, 2]), Some(2), 1), size(&own(&[1]), Some(2), 1))
    };
    assert_eq!(counts(), ((7, 0), [(5, 0), (2, 0), (7, 0), (0, 0)], (2, 0), (0, 0)));
    assert_eq!(counts(), ((7, 0), [(4, 1), (3, 0), (7, 1), (0, 0)], (3, 0), (0, 0)));
}
