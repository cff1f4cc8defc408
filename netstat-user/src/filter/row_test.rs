//! What of a predicate whoever reads the tables can decide: never fewer rows pass than the predicate lets through.

use super::predicate::{Operand, Test, compare};
use super::{Op, Predicate, Side};
use crate::field::{Field, Value};
use crate::model::{Network, Proto, RowNumber, RowTest, TcpState};
use std::net::Ipv4Addr;

/// Most ranges of a set of ports. A set of more, by a regular expression, is not worth its length.
const RANGES: usize = 64;

impl Predicate {
    /// What rows may be left out by before the predicate is asked; `holders`: also by the processes that hold them. `None`: none.
    pub fn row_test(&self, holders: bool) -> Option<RowTest> {
        row_test(&self.test, true, holders)
    }
}

/// What passes where the test holds, or where it does not; `None` where that is not known.
fn row_test(test: &Test, holds: bool, holders: bool) -> Option<RowTest> {
    match test {
        Test::Not(inner) => row_test(inner, !holds, holders),
        // De Morgan: not all hold where one does not.
        Test::All(list) | Test::Any(list) => {
            let mut parts = list.iter().map(|test| row_test(test, holds, holders));
            if matches!(test, Test::All(_)) != holds {
                return parts.collect::<Option<Vec<_>>>().map(RowTest::Any);
            }
            let known: Vec<RowTest> = parts.by_ref().flatten().collect();
            (!known.is_empty()).then_some(RowTest::All(known))
        }
        // More processes hold a socket than the first, and more are its owners by record: what is not held may be owned all the same.
        Test::Compare { field: Field::Pid | Field::OwnersPid, op: Op::Eq, operand: Operand::Number(pid), .. } => {
            let pid = u32::try_from(*pid).ok().filter(|_| holds && holders)?;
            Some(RowTest::HeldBy(vec![pid]))
        }
        leaf => {
            let exact = exact(leaf)?;
            Some(if holds { exact } else { RowTest::Not(Box::new(exact)) })
        }
    }
}

/// Never.
const fn never() -> RowTest {
    RowTest::Any(Vec::new())
}

/// An end that is known, which a socket that ended need not have.
fn is_known(local: bool) -> RowTest {
    RowTest::Any([false, true].map(|v6| RowTest::Family { local, v6 }).to_vec())
}

/// The test itself, where the row alone decides it.
fn exact(test: &Test) -> Option<RowTest> {
    Some(match test {
        Test::States(states) => RowTest::States(*states),
        Test::Host { side, v6, nets, ports } => {
            let local = *side == Side::Local;
            let mut all = Vec::new();
            all.extend(v6.map(|v6| RowTest::Family { local, v6 }));
            let nets = nets.as_ref().map(|nets| nets.iter().map(|&net| RowTest::Addr { local, net, mapped: true }));
            all.extend(nets.map(|nets| RowTest::Any(nets.collect())));
            all.extend(ports.as_ref().map(|ports| {
                RowTest::Any(ports.iter().map(|&port| range(port_of(*side), Op::Eq, port.into(), 1)).collect())
            }));
            if all.is_empty() {
                all.push(is_known(local));
            }
            RowTest::All(all)
        }
        // No row of these tables has a path.
        Test::Path { .. } => never(),
        Test::Port { side, ports: None, .. } => is_known(*side == Side::Local),
        Test::Port { side, op, ports: Some(ports) } => {
            let one = |op| RowTest::Any(ports.iter().map(|&port| range(port_of(*side), op, port.into(), 1)).collect());
            match op {
                Op::Ne => RowTest::Not(Box::new(one(Op::Eq))),
                op => one(*op),
            }
        }
        // By the range, where that is one: what the kernel's mark says is asked besides.
        Test::Autobound(ports) if ports.of.is_empty() => RowTest::Number {
            number: RowNumber::LocalPort,
            first: (*ports.others.start()).into(),
            last: (*ports.others.end()).into(),
        },
        Test::Compare { field, op, scale, operand, .. } => {
            let passes = |value: &Value<'_>| compare(value, *field, *op, *scale, operand);
            compared(*field, *op, *scale, operand, &passes)?
        }
        Test::Autobound(_) | Test::Device { .. } | Test::Mark { .. } | Test::Not(_) | Test::All(_) | Test::Any(_) => {
            return None;
        }
    })
}

fn compared(
    field: Field,
    op: Op,
    scale: u128,
    operand: &Operand,
    passes: &dyn Fn(&Value<'_>) -> bool,
) -> Option<RowTest> {
    let number = match field {
        Field::LocalPort => RowNumber::LocalPort,
        Field::RemotePort => RowNumber::RemotePort,
        Field::RecvQ => RowNumber::RecvQ,
        Field::SendQ => RowNumber::SendQ,
        Field::Uid => RowNumber::Uid,
        Field::Inode => RowNumber::Inode,
        Field::Cookie => RowNumber::Cookie,
        Field::Netns => RowNumber::Netns,
        Field::TimerSeconds => RowNumber::TimerExpires,
        Field::TimerRetransmits => RowNumber::TimerRetransmits,
        Field::TimerProbes => RowNumber::TimerProbes,
        Field::Proto => {
            let protos = Proto::ALL.into_iter().filter(|proto| passes(&Value::word(Some(proto.name()))));
            return Some(RowTest::Protos(protos.collect()));
        }
        Field::State => {
            let named = TcpState::ALL.into_iter().filter(|state| passes(&Value::word(Some(state.name()))));
            let states = named.fold(0, |states, state| states | 1 << state as u16);
            return Some(RowTest::NamedStates { states, unnamed: passes(&Value::Null) });
        }
        Field::LocalAddr | Field::RemoteAddr | Field::RemoteIp => {
            let local = field == Field::LocalAddr;
            let net = match operand {
                Operand::Addr(addr) => Network::of(*addr),
                Operand::Net(net) => *net,
                Operand::Null if op == Op::Eq => return Some(RowTest::Not(Box::new(is_known(local)))),
                Operand::Null => return Some(is_known(local)),
                _ => return None,
            };
            let mapped = field == Field::RemoteIp;
            let mut is = RowTest::Addr { local, net, mapped };
            if mapped && net.addr.is_ipv6() {
                // IPv4 in IPv6's clothes is no address of IPv6 there.
                let v4 = Network { addr: Ipv4Addr::UNSPECIFIED.into(), len: 0 };
                is = RowTest::All(vec![is, RowTest::Not(Box::new(RowTest::Addr { local: false, net: v4, mapped }))]);
            }
            return match op {
                Op::Eq => Some(is),
                Op::Ne => Some(RowTest::Not(Box::new(is))),
                _ => None,
            };
        }
        _ => return None,
    };
    let any = || RowTest::Number { number, first: 0, last: u64::MAX };
    match operand {
        Operand::Null if op == Op::Eq => Some(RowTest::Not(Box::new(any()))),
        Operand::Null => Some(any()),
        Operand::Number(than) => Some(range(number, op, *than, scale)),
        Operand::Numbers(numbers) => {
            let one = RowTest::Any(numbers.iter().map(|&one| range(number, Op::Eq, one.into(), 1)).collect());
            // What is not known is none of them, nor any other.
            Some(if op == Op::Eq { one } else { RowTest::All(vec![any(), RowTest::Not(Box::new(one))]) })
        }
        Operand::Form(_) if matches!(field, Field::LocalPort | Field::RemotePort) => ports(number, passes),
        _ => None,
    }
}

const fn port_of(side: Side) -> RowNumber {
    match side {
        Side::Local => RowNumber::LocalPort,
        Side::Remote => RowNumber::RemotePort,
    }
}

/// What a number that is kept in so many of the units of `than` is to be.
fn range(number: RowNumber, op: Op, than: u128, scale: u128) -> RowTest {
    let (least, most) = (than.div_ceil(scale), than / scale);
    // From the first on, and before the end; the last number has one behind it here.
    const END: u128 = 1 << 64;
    let between = |first: u128, end: u128| match (u64::try_from(first), u64::try_from(end.min(END).wrapping_sub(1))) {
        (Ok(first), Ok(last)) if end > 0 && first <= last => RowTest::Number { number, first, last },
        _ => never(),
    };
    match op {
        Op::Eq | Op::Match => between(least, most.saturating_add(1)),
        Op::Ne | Op::NoMatch => RowTest::Any(vec![between(0, least), between(most.saturating_add(1), END)]),
        Op::Lt => between(0, least),
        Op::Le => between(0, most.saturating_add(1)),
        Op::Gt => between(most.saturating_add(1), END),
        Op::Ge => between(least, END),
    }
}

/// The ports that pass, as ranges; `None` where these are too many.
fn ports(number: RowNumber, passes: &dyn Fn(&Value<'_>) -> bool) -> Option<RowTest> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for port in (0..=u64::from(u16::MAX)).filter(|&port| passes(&Value::Number(port))) {
        if let Some((_, last)) = ranges.last_mut().filter(|(_, last)| *last + 1 == port) {
            *last = port;
        } else if ranges.len() < RANGES {
            ranges.push((port, port));
        } else {
            return None;
        }
    }
    Some(RowTest::Any(ranges.into_iter().map(|(first, last)| RowTest::Number { number, first, last }).collect()))
}
