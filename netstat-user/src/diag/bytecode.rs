//! Conditions of rows as programs of the kernel's filter of Internet sockets, so that it sends only what may be wanted (`inet_diag_bc_run`).

use super::Protocol;
use super::inet::DiagFamily;
use crate::model::{Network, RowNumber, RowTest, TcpState};
use std::net::IpAddr;

/// Longer programs are not worth their run for every socket, nor the kernel's audit of them, which is quadratic (`inet_diag_bc_audit`).
const LONGEST: usize = 2048;

/// `INET_DIAG_BC_…` of `include/uapi/linux/inet_diag.h`.
mod op {
    pub const JMP: u8 = 1;
    pub const S_GE: u8 = 2;
    pub const S_LE: u8 = 3;
    pub const D_GE: u8 = 4;
    pub const D_LE: u8 = 5;
    pub const AUTO: u8 = 6;
    pub const S_COND: u8 = 7;
    pub const D_COND: u8 = 8;
}

/// `TCPF_NEW_SYN_RECV` of `include/net/tcp_states.h`.
const NEW_SYN_RECV: u32 = 1 << 12;

/// Which sockets come in a dump, and which the kernel leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Narrowed {
    /// States of sockets that come, a bit each by the kernel's number.
    pub states: u32,
    /// The program, empty where there is none.
    pub program: Vec<u8>,
    /// Whether few sockets may be left, as far as that shows: of some ports, of a network, in states that do not last.
    pub is_much: bool,
}

impl Narrowed {
    /// Nothing is left out.
    pub const NOTHING: Self = Self { states: ALL_STATES, program: Vec::new(), is_much: false };

    /// All sockets but those whose local port the kernel chose, or will.
    pub fn unbound() -> Self {
        let mut code = Code::default();
        let fails = code.label();
        code.jump(op::AUTO, &[], fails);
        Self { program: code.finish(fails).unwrap_or_default(), ..Self::NOTHING }
    }

    /// What passes at least all rows of this protocol that the test lets through.
    pub fn of(test: &RowTest, protocol: Protocol) -> Self {
        let mut code = Code::default();
        let fails = code.label();
        code.condition(test, true, fails, protocol);
        let program = code.finish(fails).unwrap_or_default();
        let mut narrowed = Self { program, is_much: are_few(test, true), ..Self::NOTHING };
        if protocol == Protocol::Tcp {
            narrowed.states = states(test, true);
            // A request is in a state of its own there.
            if narrowed.states & 1 << TcpState::SynRecv as u32 != 0 {
                narrowed.states |= NEW_SYN_RECV;
            }
        }
        narrowed
    }
}

const ALL_STATES: u32 = u32::MAX;

/// States outside of which no TCP row passes.
fn states(test: &RowTest, holds: bool) -> u32 {
    match test {
        RowTest::Not(inner) => states(inner, !holds),
        RowTest::All(list) | RowTest::Any(list) => {
            let each = list.iter().map(|test| states(test, holds));
            // De Morgan: not all hold where one does not.
            if matches!(test, RowTest::All(_)) == holds {
                each.fold(ALL_STATES, |one, other| one & other)
            } else {
                each.fold(0, |one, other| one | other)
            }
        }
        // Every TCP socket has a state with a name.
        RowTest::States(states) | RowTest::NamedStates { states, .. } => {
            if holds {
                u32::from(*states)
            } else {
                !u32::from(*states)
            }
        }
        _ => ALL_STATES,
    }
}

/// Most ports of a range that is small.
const FEW_PORTS: u64 = 1 << 12;
/// Bits of an address that make a network small.
const SMALL: u8 = 8;
/// States that many sockets may be in for long: ESTABLISHED, TIME_WAIT, CLOSE.
const LASTING: u16 = 1 << 1 | 1 << 6 | 1 << 7;

/// Whether the test, or its contrary, holds of few sockets, as far as that shows.
fn are_few(test: &RowTest, holds: bool) -> bool {
    match test {
        RowTest::Not(inner) => are_few(inner, !holds),
        RowTest::All(list) if holds => list.iter().any(|test| are_few(test, holds)),
        RowTest::Any(list) if !holds => list.iter().any(|test| are_few(test, holds)),
        RowTest::All(list) | RowTest::Any(list) => list.iter().all(|test| are_few(test, holds)),
        RowTest::Number { number: RowNumber::LocalPort | RowNumber::RemotePort, first, last } => {
            holds && last.saturating_sub(*first) < FEW_PORTS
        }
        RowTest::Addr { net, .. } => holds && net.len >= SMALL,
        RowTest::States(states) | RowTest::NamedStates { states, .. } => {
            (if holds { *states } else { !states }) & LASTING == 0
        }
        _ => false,
    }
}

/// A place in a program that is not known yet.
type Label = usize;

/// A program as it grows. Every operation goes on to the next one where it holds, and to a label further down where it does not: the kernel admits
/// no other targets.
#[derive(Debug, Default)]
struct Code {
    bytes: Vec<u8>,
    /// Where each label is.
    labels: Vec<Option<usize>>,
    /// Operations by their offsets, and where they lead if they do not hold.
    jumps: Vec<(usize, Label)>,
}

impl Code {
    fn label(&mut self) -> Label {
        self.labels.push(None);
        self.labels.len() - 1
    }

    /// The label is here.
    fn place(&mut self, label: Label) {
        self.labels[label] = Some(self.bytes.len());
    }

    /// An operation with its operand: `struct inet_diag_bc_op`.
    fn jump(&mut self, code: u8, operand: &[u8], unless: Label) {
        self.jumps.push((self.bytes.len(), unless));
        // With an IPv6 address, the longest, it is 28 bytes long.
        self.bytes.extend([code, (4 + operand.len()) as u8, 0, 0]);
        self.bytes.extend(operand);
    }

    /// Goes on where the test holds, or where it does not (`holds`), else to `fails`; false, and no operation, where nothing leads there: what no
    /// operation decides goes on.
    fn condition(&mut self, test: &RowTest, holds: bool, fails: Label, protocol: Protocol) -> bool {
        match test {
            RowTest::Not(inner) => self.condition(inner, !holds, fails, protocol),
            RowTest::All(list) | RowTest::Any(list) if matches!(test, RowTest::All(_)) == holds => {
                let narrow = list.iter().filter(|test| self.condition(test, holds, fails, protocol));
                narrow.count() > 0
            }
            RowTest::All(list) | RowTest::Any(list) => {
                let (bytes, jumps) = (self.bytes.len(), self.jumps.len());
                let end = self.label();
                for test in list {
                    let next = self.label();
                    if !self.condition(test, holds, next, protocol) {
                        self.bytes.truncate(bytes);
                        self.jumps.truncate(jumps);
                        return false;
                    }
                    self.jump(op::JMP, &[], end);
                    self.place(next);
                }
                self.jump(op::JMP, &[], fails);
                self.place(end);
                true
            }
            leaf if holds => self.leaf(leaf, fails, protocol),
            leaf => {
                let passes = self.label();
                let decides = self.leaf(leaf, passes, protocol);
                if decides {
                    self.jump(op::JMP, &[], fails);
                }
                self.place(passes);
                decides
            }
        }
    }

    /// Goes on where a condition holds, else to `fails`; false, and no operation, where none decides it or it always holds.
    fn leaf(&mut self, test: &RowTest, fails: Label, protocol: Protocol) -> bool {
        let before = self.bytes.len();
        match test {
            RowTest::Number { number: RowNumber::LocalPort, first, last } => {
                self.range([op::S_GE, op::S_LE], *first, *last, fails);
            }
            RowTest::Number { number: RowNumber::RemotePort, first, last } => {
                self.range([op::D_GE, op::D_LE], *first, *last, fails);
            }
            RowTest::Addr { local, net, mapped } => {
                // The kernel takes IPv4 in IPv6's clothes for IPv4.
                if net.addr.is_ipv4() && !mapped {
                    self.family(false, fails);
                }
                self.network(*local, net, fails);
            }
            RowTest::Family { v6, .. } => self.family(*v6, fails),
            RowTest::Protos(protos) => match [false, true].map(|v6| protos.contains(&protocol.of_family(v6))) {
                [true, true] => {}
                [false, false] => self.jump(op::JMP, &[], fails),
                [_, v6] => self.family(v6, fails),
            },
            _ => {}
        }
        self.bytes.len() > before
    }

    fn range(&mut self, [at_least, at_most]: [u8; 2], first: u64, last: u64, fails: Label) {
        const MOST: u64 = u16::MAX as u64;
        if first > MOST {
            return self.jump(op::JMP, &[], fails);
        }
        // The port is where an operation has its offset.
        let operand = |port: u64| {
            let mut bytes = [0; 4];
            bytes[2..].copy_from_slice(&(port as u16).to_ne_bytes());
            bytes
        };
        if first > 0 {
            self.jump(at_least, &operand(first), fails);
        }
        if last < MOST {
            self.jump(at_most, &operand(last), fails);
        }
    }

    /// Goes on where the socket is of IPv6, or of IPv4.
    fn family(&mut self, v6: bool, fails: Label) {
        let any = Network { addr: std::net::Ipv6Addr::UNSPECIFIED.into(), len: 0 };
        if v6 {
            return self.network(true, &any, fails);
        }
        let v4 = self.label();
        self.network(true, &any, v4);
        self.jump(op::JMP, &[], fails);
        self.place(v4);
    }

    /// `struct inet_diag_hostcond`.
    fn network(&mut self, local: bool, net: &Network, fails: Label) {
        let (family, octets, longest) = match net.addr {
            IpAddr::V4(addr) => (DiagFamily::V4.number(), addr.octets().to_vec(), 32),
            IpAddr::V6(addr) => (DiagFamily::V6.number(), addr.octets().to_vec(), 128),
        };
        let mut operand = vec![family, net.len.min(longest), 0, 0];
        // Any port.
        operand.extend((-1_i32).to_ne_bytes());
        operand.extend(octets);
        self.jump(if local { op::S_COND } else { op::D_COND }, &operand, fails);
    }

    /// The program; `None` where it is too long. To go on at its end is a yes, and four bytes beyond that a no.
    fn finish(mut self, fails: Label) -> Option<Vec<u8>> {
        let end = self.bytes.len();
        if end > LONGEST {
            return None;
        }
        self.labels[fails] = Some(end + 4);
        for (at, label) in self.jumps {
            let to = self.labels[label].unwrap_or(end);
            // At most [`LONGEST`] and four.
            let distance = (to - at) as u16;
            self.bytes[at + 2..at + 4].copy_from_slice(&distance.to_ne_bytes());
        }
        Some(self.bytes)
    }
}

#[cfg(test)]
mod tests;
