//! How much is kept, and what it takes.

use super::*;
use crate::model::{IdRange, Subordinates};
use std::sync::Arc;

fn closed(table: &mut Table, id: u16, closed_ns: u64) {
    table.event(&SocketEvent { time_ns: closed_ns, ..event(id, EventKind::Close(TOTALS), 0) });
}

fn listener(id: u16) -> SocketRow {
    row(id, Proto::Tcp, TcpState::Listen, 1_000 + u64::from(id))
}

#[test]
fn bytes_are_those_of_rows_and_indexes() {
    const ROWS: u16 = 1 << 10;
    let mut table = Table::new(LIMITS);
    assert_eq!(table.bytes(), 0);
    table.begin_listing();
    table.listing(&listing((0..ROWS).map(|id| SocketRow { cookie: Some(id.into()), ..listener(id) }).collect()), 0);
    let rows = usize::from(ROWS);
    // Beside the row its neighbours, and in each of three tables, which are at most 7/8 full, a number and a byte.
    let expected = rows * (Table::ROW_BYTES + 8) + 3 * 2 * rows * 5;
    assert!(table.bytes().abs_diff(expected) < expected / 50, "{} bytes, and not {expected}", table.bytes());
    // A place that is free is noted, and used again.
    let before = table.bytes();
    table.begin_listing();
    table.listing(&listing((rows as u16 / 2..ROWS).map(listener).collect()), 0);
    assert_eq!(table.len(), rows / 2);
    let (noted, kept) = (table.bytes() - before, LIMITS.recent_count.next_power_of_two() * Table::CLOSED_BYTES);
    assert_eq!(noted, rows / 2 * size_of::<u32>() + kept);
    table.begin_listing();
    table.listing(&listing((0..ROWS).map(listener).collect()), 0);
    assert_eq!((table.len(), table.bytes()), (rows, before + noted));
}

#[test]
fn what_is_forgotten_is_known_by_its_time_and_its_cause() {
    let forgotten = |table: &Table| (table.recent_len(), table.forgotten_ns(), table.is_crowded());
    let mut table = Table::new(LIMITS);
    (0..3).for_each(|id| closed(&mut table, id, 10 + u64::from(id)));
    assert_eq!(forgotten(&table), (3, 0, false), "all are there");
    closed(&mut table, 3, 20);
    assert_eq!(forgotten(&table), (3, 10, true), "too many");
    table.expire(1_011);
    assert_eq!(forgotten(&table), (3, 10, true), "as old as may be");
    table.expire(1_012);
    assert_eq!(forgotten(&table), (2, 11, false), "too old");
    closed(&mut table, 4, 1_021);
    assert_eq!(forgotten(&table), (1, 20, false), "one that comes lets those go that are too old");
    let mut none = Table::new(Retention { recent_count: 0, ..LIMITS });
    closed(&mut none, 1, 30);
    closed(&mut none, 2, 29);
    assert_eq!(forgotten(&none), (0, 30, true), "none is kept");
}

#[test]
fn a_table_says_how_many_it_has() {
    let mut table = Table::new(LIMITS);
    assert!(table.is_empty());
    table.event(&open(1, 5));
    assert_eq!((table.is_empty(), table.len(), table.live().count()), (false, 1, 1));
}

/// Only a namespace that was read shows that a socket is gone; nobody holds it, and no event reported it for so many listings.
#[test]
fn an_unseen_socket_stays_for_exactly_so_many_listings() {
    let mut table = Table::new(LIMITS);
    table.begin_listing();
    table.listing(&listing(vec![listener(1)]), 0);
    let elsewhere =
        Listing { spaces: Some(HashSet::from_iter([2])), held: Some(HashSet::new()), ..listing(Vec::new()) };
    for left in (0..=UNSEEN).rev() {
        table.begin_listing();
        let correction = table.listing(&elsewhere, 0);
        assert_eq!((table.len() as u64, correction.removed), if left > 0 { (1, 0) } else { (0, 1) }, "{left} left");
    }
}

/// Where not every process can be looked into, nobody knows whether a socket lives that no list shows: it goes after a while, and is not said to have
/// ended.
#[test]
fn what_nobody_can_know_of_does_not_stay_for_ever() {
    let mut table = Table::new(LIMITS);
    table.event(&open(1, 5));
    table.begin_listing();
    table.listing(&Listing { held: None, ..listing(vec![listener(2)]) }, 0);
    let elsewhere = Listing { spaces: Some(HashSet::from_iter([2])), held: None, ..listing(Vec::new()) };
    let left: Vec<_> = (0..=UNSEEN)
        .map(|_| {
            table.begin_listing();
            let correction = table.listing(&elsewhere, 0);
            assert_eq!((correction.removed, table.recent_len()), (0, 0));
            table.len()
        })
        .collect();
    assert_eq!((left[UNSEEN as usize - 2], left[UNSEEN as usize]), (2, 0), "{left:?}");
}

/// A row of a protocol that was not read says nothing, and a socket of one is not missing.
#[test]
fn protocols_that_were_not_read_stay() {
    let mut table = Table::new(LIMITS);
    table.begin_listing();
    table.listing(&listing(vec![listener(1), row(2, Proto::Udp, TcpState::Close, 9)]), 0);
    table.begin_listing();
    let correction = table.listing(&Listing { protos: vec![Proto::Udp], ..listing(Vec::new()) }, 0);
    assert_eq!((correction.removed, table.live().next().unwrap().proto), (1, Proto::Tcp));
}

/// A close without a port, as the kernel reports it of a socket that has given its port back, does not take away the ends that are known.
#[test]
fn a_close_without_a_port_keeps_the_ends() {
    let mut table = Table::new(LIMITS);
    table.event(&event(1, state(TcpState::SynSent, TcpState::Established), 9));
    let bare = |port| Some(EventEnd { addr: [0, 0, 0, 0].into(), port });
    let close = event(1, EventKind::Close(TOTALS), 0);
    table.event(&SocketEvent { local: bare(None), remote: bare(Some(0)), ..close });
    let known = table.recent(10, 10).next().unwrap().socket;
    assert_eq!((known.local, known.remote, known.inode), (Some(end(1, 1001)), Some(end(2, 80)), 9));
}

/// The user who takes most of the history is named, all ids of theirs counted together.
#[test]
fn the_history_names_the_crowd_by_whom_ids_are() {
    let crowd = |ids: Arc<Subordinates>| {
        let mut table = Table::new(Retention { recent_ns: u64::MAX, recent_count: 40 });
        table.count_by(ids);
        for id in 0..200 {
            let uid = Some(100_000 + u32::from(id));
            table.event(&SocketEvent { uid, ..open(id, 100) });
            table.event(&SocketEvent { uid, time_ns: 20 + u64::from(id), ..event(id, EventKind::Close(TOTALS), 100) });
        }
        (table.recent_len(), table.crowd())
    };
    let theirs = IdRange { first: 100_000, last: 165_535, counts_as: 1000 };
    assert_eq!(crowd(Arc::new(Subordinates::new(vec![theirs]))), (40, Some((1000, 0))));
    let (kept, each_for_itself) = crowd(Arc::default());
    assert!(kept == 40 && each_for_itself.is_some_and(|(uid, _)| uid >= 100_000), "{each_for_itself:?}");
}

/// A connection that comes in is known once it has an identity, or a peer and a port of that.
#[test]
fn a_birth_without_identity_is_no_socket() {
    let known = |cookie: Option<u64>, remote: Option<EventEnd>| {
        let mut table = Table::new(LIMITS);
        let born = event(1, state(TcpState::Listen, TcpState::SynRecv), 0);
        table.event(&SocketEvent { cookie, remote, ..born });
        table.len()
    };
    let nowhere = EventEnd { port: Some(0), ..end(2, 80) };
    assert_eq!(known(Some(2), Some(end(2, 80))), 1);
    assert_eq!([known(None, Some(end(2, 80))), known(Some(2), None), known(Some(2), Some(nowhere))], [0; 3]);
}
