//! What the kernel leaves out of a dump is nothing that is wanted: programs for its filter of sockets, made of conditions of any shape, against
//! the conditions themselves.

use crate::missing;
use netstat_tests::netns::NetNs;
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::count;
use netstat_tests::zoo::peer::Sink;
use netstat_tests::zoo::{Keep, tcp, udp};
use netstat_user::diag::Channel;
use netstat_user::diag::Protocol;
use netstat_user::diag::bytecode::Narrowed;
use netstat_user::diag::loaded::Part;
use netstat_user::diag::tables::{self, DumpRequest};
use netstat_user::model::{Endpoint, ListedRow, Network, Proto, RowNumber, RowTest, SocketRow};
use std::collections::HashSet;
use std::net::IpAddr;

pub const TESTS: &[Test] = &[("what_is_left_out_is_not_wanted", what_is_left_out_is_not_wanted)];

/// What distinguishes rows, and does not change while a socket stays as it is.
type Key = (Proto, Endpoint, Endpoint, u8);

fn key(row: &SocketRow) -> Key {
    (row.proto, row.local, row.remote, row.state)
}

fn dumped(protocol: Protocol, narrowed: Narrowed) -> Vec<SocketRow> {
    let mut rows = Vec::new();
    let asked = DumpRequest { narrowed, ..DumpRequest::all(protocol) };
    tables::dump(&mut Channel::open().unwrap(), &asked, |row| rows.push(row.socket)).unwrap();
    rows
}

/// Numbers that look like chance, the same in every run (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most as u64) as usize
    }

    fn yes(&mut self) -> bool {
        self.below(2) == 0
    }

    /// A condition that some of the rows satisfy, and others not.
    fn test(&mut self, rows: &[SocketRow], depth: usize) -> RowTest {
        if depth > 0 && self.below(3) > 0 {
            let list = |dice: &mut Self| (0..dice.below(4)).map(|_| dice.test(rows, depth - 1)).collect();
            return match self.below(3) {
                0 => RowTest::All(list(self)),
                1 => RowTest::Any(list(self)),
                _ => RowTest::Not(Box::new(self.test(rows, depth - 1))),
            };
        }
        let row = &rows[self.below(rows.len())];
        let local = self.yes();
        let end = if local { row.local } else { row.remote };
        match self.below(8) {
            0 | 1 => {
                let number = if local { RowNumber::LocalPort } else { RowNumber::RemotePort };
                let (first, last) = (u64::from(end.port), u64::from(end.port) + self.below(3000) as u64);
                match self.below(4) {
                    0 => RowTest::Number { number, first: 0, last: first },
                    1 => RowTest::Number { number, first, last: u64::MAX },
                    2 => RowTest::Number { number, first, last: first },
                    _ => RowTest::Number { number, first, last },
                }
            }
            2 | 3 => {
                let mapped = self.yes();
                let addr = match end.addr {
                    IpAddr::V6(v6) if mapped => v6.to_canonical(),
                    addr => addr,
                };
                let bits = Network::of(addr).len;
                let len = if self.yes() { bits } else { self.below(usize::from(bits) + 1) as u8 };
                RowTest::Addr { local, net: Network { addr, len }, mapped }
            }
            4 => RowTest::Family { local, v6: self.yes() },
            5 => RowTest::Protos(Proto::ALL.into_iter().filter(|_| self.yes()).collect()),
            6 => RowTest::States(1 << row.state | 1 << (1 + self.below(11))),
            _ => RowTest::Number { number: RowNumber::SendQ, first: 0, last: row.send_q },
        }
    }
}

/// Whether the kernel decides a condition without a doubt: states are a set beside the program, and of the rest it knows ports and addresses.
fn is_exact(test: &RowTest) -> bool {
    match test {
        RowTest::All(list) | RowTest::Any(list) => list.iter().all(is_exact),
        RowTest::Not(inner) => is_exact(inner),
        RowTest::Number { number, first, .. } => {
            // Of what always holds there is no operation, and so none of its contrary.
            matches!(number, RowNumber::LocalPort | RowNumber::RemotePort) && *first > 0
        }
        RowTest::Addr { .. } | RowTest::Family { .. } => true,
        _ => false,
    }
}

fn check(protocol: Protocol, dice: &mut Dice) {
    let (mut exact, mut narrower) = (0, 0);
    for _ in 0..count(600) {
        let before = dumped(protocol, Narrowed::NOTHING);
        let test = dice.test(&before, 3);
        let narrowed = Narrowed::of(&test, protocol);
        let let_through: HashSet<Key> = dumped(protocol, narrowed.clone()).iter().map(key).collect();
        let after: HashSet<Key> = dumped(protocol, Narrowed::NOTHING).iter().map(key).collect();
        // Whoever moved meanwhile says nothing.
        let stayed: Vec<&SocketRow> = before.iter().filter(|row| after.contains(&key(row))).collect();
        for row in &stayed {
            let wanted = test.passes(&ListedRow { row, netns: None, held: &|_| Some(false) });
            assert!(!wanted || let_through.contains(&key(row)), "{test:?} leaves out {row:?} by {narrowed:?}");
            if is_exact(&test) {
                assert!(wanted || !let_through.contains(&key(row)), "{test:?} lets {row:?} through by {narrowed:?}");
            }
        }
        exact += usize::from(is_exact(&test));
        narrower += usize::from(let_through.len() < stayed.len());
    }
    assert!(exact * 8 > count(600) && narrower * 4 > count(600), "{exact} exact, {narrower} narrower");
}

fn what_is_left_out_is_not_wanted() -> Done {
    for part in [Part::Tcp, Part::Udp] {
        if let Some(reason) = missing(part) {
            return Done::Skipped(reason);
        }
    }
    NetNs::new().unwrap().enter(|| {
        let sink = Sink::new().unwrap();
        let (_tcp, _udp): (Keep, Keep) = (tcp::zoo(&sink).unwrap(), udp::zoo().unwrap());
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        check(Protocol::Tcp, &mut dice);
        check(Protocol::Udp, &mut dice);
    });
    Done::Passed
}
