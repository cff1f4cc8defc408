use super::*;
use std::net::Ipv4Addr;

fn port(number: RowNumber, first: u64, last: u64) -> RowTest {
    RowTest::Number { number, first, last }
}

#[test]
fn a_port_is_two_operations() {
    let [from, to] = 443_u16.to_ne_bytes();
    let [yes, [second, no]] = [8_u16, 12].map(u16::to_ne_bytes);
    let [_, [first, _]] = [yes, 20_u16.to_ne_bytes()];
    let program = Narrowed::of(&port(RowNumber::RemotePort, 443, 443), Protocol::Tcp).program;
    let wanted = [op::D_GE, 8, first, no, 0, 0, from, to, op::D_LE, 8, second, no, 0, 0, from, to];
    assert_eq!(program, wanted);
}

#[test]
fn what_no_operation_decides_narrows_nothing() {
    let queue = || port(RowNumber::SendQ, 1, 5);
    let of = |test| Narrowed::of(&test, Protocol::Tcp);
    for test in [queue(), RowTest::Not(Box::new(queue())), RowTest::HeldBy(vec![7]), RowTest::All(Vec::new())] {
        assert_eq!(of(test), Narrowed::NOTHING);
    }
    // Nor does one of two ways, if the other is open.
    let listens = RowTest::States(1 << TcpState::Listen as u16);
    assert_eq!(of(RowTest::Any(vec![listens.clone(), queue()])).states, ALL_STATES);
    assert_eq!(of(RowTest::All(vec![listens.clone(), queue()])).states, 1 << TcpState::Listen as u32);
    assert_eq!(of(RowTest::Not(Box::new(listens))).states, !(1 << TcpState::Listen as u32));
    let asks = RowTest::States(1 << TcpState::SynRecv as u16);
    assert_eq!(of(asks).states, 1 << TcpState::SynRecv as u32 | NEW_SYN_RECV);
}

#[test]
fn programs_that_are_too_long_are_left_out() {
    let one = |last| RowTest::Addr { local: false, net: Network::of(Ipv4Addr::from(last).into()), mapped: true };
    let any = |count: u32| Narrowed::of(&RowTest::Any((0..count).map(one).collect()), Protocol::Tcp).program;
    assert!((1..LONGEST).contains(&any(50).len()));
    assert_eq!(any(500), Vec::<u8>::new());
}
