//! The filter language: ss(8)'s, and `FIELD OP VALUE` for every field. Text → [`Expr`] → [`Predicate`] → yes or no for a row.
//!
//! An expression is read without I/O ([`parse()`]); the names in it, of hosts, services, users and namespaces, are looked up once by a
//! [`Resolver`] when it becomes a [`Predicate`]. A predicate answers yes, no, or "not before more is gathered", so that rows are left
//! out before anybody looks for the processes that hold them.
//!
//! `or` binds weakest, then `and`, then `not`, as ss(8) says; two conditions one after the other are joined by `and`. (ss itself
//! reads `a or b and c` from left to right, whatever its manual says.)

mod host;
mod lex;
mod limits;
mod literal;
mod mistake;
mod parse;
mod predicate;
mod print;
mod row_test;
mod spelling;
mod states;

pub use host::{Addresses, HostPattern, PatternError, PortPattern};
pub use literal::{Literal, bytes, nanoseconds};
pub use mistake::{Mistake, NameError};
pub use parse::{CONDITIONS, is_meant, parse};
pub use predicate::{EphemeralPorts, Predicate, Resolver, UnseenAnswers};
pub use spelling::{INTERNET, Spelling, WordError, only_internet, protos, state};
pub use states::StateSet;

use crate::field::{Field, RowKinds};
use literal::Meaning;

/// Which end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The socket's own: `src`, `sport`.
    Local,
    /// The other: `dst`, `dport`.
    Remote,
}

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// Matches a regular expression.
    Match,
    /// Does not match it.
    NoMatch,
}

impl Op {
    /// How it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Match => "~",
            Self::NoMatch => "!~",
        }
    }

    /// Whether it is true of what stands left and right of it in this order.
    pub const fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Eq | Self::Match => order.is_eq(),
            Self::Ne | Self::NoMatch => order.is_ne(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
        }
    }

    /// Whether it asks which of two is greater.
    pub const fn orders(self) -> bool {
        matches!(self, Self::Lt | Self::Le | Self::Gt | Self::Ge)
    }
}

/// Where something stands in the text, in bytes. Expressions that say the same are equal wherever they say it.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextPlace {
    /// First byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl PartialEq for TextPlace {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// All hold; two at least.
    All(Vec<Self>),
    /// One holds; two at least.
    Any(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// `state` and `exclude`, one after the other: a set of states, built up as ss does.
    States(Vec<StateWord>),
    /// `src`, `dst`.
    Host {
        /// Which end.
        side: Side,
        /// What it is.
        host: HostPattern,
        /// Where the host stands.
        place: TextPlace,
    },
    /// `sport`, `dport`.
    Port {
        /// Which end.
        side: Side,
        /// How it is compared.
        op: Op,
        /// What with.
        port: PortPattern,
        /// Where the port stands.
        place: TextPlace,
    },
    /// `dev`: the device that the socket is bound to; a socket that is bound to none is not bound to this one.
    Device {
        /// `!=`
        negated: bool,
        /// Name or index of the device.
        name: String,
        /// Where the name stands.
        place: TextPlace,
    },
    /// `fwmark`
    Mark {
        /// `!=`
        negated: bool,
        /// The mark.
        mark: u32,
        /// Which bits of it count.
        mask: u32,
    },
    /// `autobound`: the kernel chose the local port.
    Autobound,
    /// `FIELD OP VALUE`
    Compare {
        /// The field.
        field: Field,
        /// How it is compared.
        op: Op,
        /// What with.
        value: Literal,
        /// Where the value stands.
        place: TextPlace,
    },
}

/// One `state S` or `exclude S`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StateWord {
    /// `exclude`
    pub exclude: bool,
    /// The states that the word means, and the word.
    pub states: StateSet,
}

impl Expr {
    /// Why no row of these kinds can match, where that is certain: a condition that holds of other kinds alone.
    pub fn never_of(&self, rows: RowKinds) -> Option<&'static str> {
        const INTERNET: RowKinds = RowKinds::INET.or(RowKinds::SCTP).or(RowKinds::CLOSED).or(RowKinds::EVENT);
        let (inet, unix) = (INTERNET.meets(rows), RowKinds::UNIX.meets(rows));
        match self {
            Self::All(list) => list.iter().find_map(|expr| expr.never_of(rows)),
            Self::Any(list) => {
                let mut reasons = list.iter().map(|expr| expr.never_of(rows));
                let first = reasons.next()??;
                reasons.all(|reason| reason.is_some()).then_some(first)
            }
            Self::Port { .. } if !inet => Some("UNIX sockets have no ports"),
            Self::Host { host: HostPattern::Inet { .. }, .. } if !inet => Some("UNIX sockets have no Internet address"),
            Self::Host { host: HostPattern::Unix(_), .. } if !unix => Some("Internet sockets have no path"),
            Self::Compare { field: Field::Proto, op: Op::Eq, value, .. } if !inet && !value.null => {
                let word = value.text.to_ascii_lowercase();
                let other = word != "unix" && protos(&word).is_ok();
                other.then_some("UNIX sockets are of no Internet protocol")
            }
            _ => None,
        }
    }

    /// The texts of which a row must have one in this field; `None` where others match, too.
    pub fn only(&self, field: Field) -> Option<Vec<Vec<u8>>> {
        match self {
            Self::All(list) => list.iter().find_map(|expr| expr.only(field)),
            Self::Any(list) => Some(list.iter().map(|expr| expr.only(field)).collect::<Option<Vec<_>>>()?.concat()),
            Self::Compare { field: of, op: Op::Eq, value, .. } if *of == field => {
                match literal::meaning(field, Op::Eq, value) {
                    Ok(Meaning::Texts(texts)) => Some(texts),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Both hold, where there are two.
    pub fn both(first: Option<Self>, second: Option<Self>) -> Option<Self> {
        match (first, second) {
            (Some(first), Some(second)) => Some(Self::all(vec![first, second])),
            (first, second) => first.or(second),
        }
    }

    /// All hold. One alone is itself.
    fn all(mut list: Vec<Self>) -> Self {
        match list.pop() {
            Some(only) if list.is_empty() => only,
            Some(last) => {
                list.push(last);
                Self::All(list)
            }
            None => Self::All(list),
        }
    }

    /// One holds. One alone is itself.
    fn any(mut list: Vec<Self>) -> Self {
        match list.pop() {
            Some(only) if list.is_empty() => only,
            Some(last) => {
                list.push(last);
                Self::Any(list)
            }
            None => Self::Any(list),
        }
    }
}

#[cfg(test)]
mod tests;
