//! An expression with its names looked up, asked of rows.

use super::host::Addresses;
use super::literal::{self, Meaning};
use super::{Expr, HostPattern, Literal, NameError, Op, PortPattern, Side, TextPlace, states};
use crate::field::{CHOOSERS, Field, HasFields, LISTS, Need, UnseenValues, Value, ValueKind};
use crate::model::{AddressText, Network, all_hold};
use regex::bytes::Regex;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Whoever knows what the names in an expression mean.
pub trait Resolver {
    /// The ports of a service, of every protocol.
    fn service(&mut self, name: &str) -> Vec<u16>;
    /// The addresses of a host.
    fn host(&mut self, name: &str) -> Vec<IpAddr>;
    /// The number of a user.
    fn user(&mut self, name: &str) -> Option<u32>;
    /// Why it is not known whether there is a user of this name, where that is so.
    fn why_no_user(&mut self, _name: &str) -> Option<String> {
        None
    }
    /// The inode number of a network namespace; `self` is that of this process.
    fn netns(&mut self, name: &str) -> Option<u32>;
    /// Whether this process may not look for a network namespace of this name.
    fn is_netns_hidden(&mut self, _name: &str) -> bool {
        false
    }
    /// Whether there may be a device of this name or index where rows are read.
    fn has_device(&mut self, name: &str) -> bool;
    /// The ports that the kernel gives to sockets that ask for none.
    fn ephemeral(&mut self) -> EphemeralPorts;
}

/// The ports that the kernel gives to sockets that ask for none (`net.ipv4.ip_local_port_range`), which each network namespace has for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EphemeralPorts {
    /// Those of namespaces, by inode number.
    pub of: HashMap<u32, RangeInclusive<u16>>,
    /// Those of every other one.
    pub others: RangeInclusive<u16>,
}

impl EphemeralPorts {
    /// Whether the kernel may have chosen the port in the namespace.
    fn has(&self, netns: &Value<'_>, port: u16) -> bool {
        let of = match netns {
            Value::Number(inode) => u32::try_from(*inode).ok().and_then(|inode| self.of.get(&inode)),
            _ => None,
        };
        of.unwrap_or(&self.others).contains(&port)
    }
}

/// An expression that can be asked of rows.
#[derive(Clone, Debug)]
pub struct Predicate {
    pub(super) test: Test,
    /// How `autobound` is read; a row is wanted where the whole expression holds in each reading. One where it is not asked.
    readings: &'static [Reading],
    needs: Need,
    fields: Vec<Field>,
}

/// Which of two answers says whether the kernel chose the local port. ss asks both with the whole filter: the kernel, whose listing is by its own mark of the
/// socket, and then itself, by the port. A connection that came in has the mark, and its port is as a rule none that the kernel chooses: it is
/// neither `autobound` nor `not autobound`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// The port is in the range that the kernel chooses from.
    Range,
    /// The kernel's mark; where that is not known (events, kernels without sock_diag), the range.
    Mark,
}

/// What is asked of a row.
#[derive(Clone, Copy)]
struct RowQuestion<'a> {
    /// What has been gathered.
    gathered: Need,
    reading: Reading,
    /// Where an unseen holder makes an answer unknown: what unseen holders would answer.
    unseen: Option<&'a UnseenAnswers>,
}

/// What unseen holders would answer to the comparisons of a predicate: worked out at the first row that each may hold, as it is the same for the others.
#[derive(Debug, Default)]
pub struct UnseenAnswers {
    /// For each comparison the lowest number of a process that answers no, and of one that answers yes.
    lowest: RefCell<HashMap<usize, [Option<u32>; 2]>>,
    /// Whether something is done to the rows for which the expression holds, which cannot be undone.
    strict: bool,
}

impl UnseenAnswers {
    /// For rows that something is done to: who was not found counts, too, and who may come before the first process that was.
    pub fn strict() -> Self {
        Self { strict: true, ..Self::default() }
    }

    /// The first of them that answers the comparison at this place so; `answers` are those of all, with the number of each.
    fn first(&self, answer: bool, at: usize, answers: impl Iterator<Item = (u32, bool)>) -> Option<u32> {
        let work_out = || {
            answers.fold([None; 2], |mut lowest: [Option<u32>; 2], (pid, answer)| {
                let known = &mut lowest[usize::from(answer)];
                *known = Some(known.map_or(pid, |lower| lower.min(pid)));
                lowest
            })
        };
        self.lowest.borrow_mut().entry(at).or_insert_with(work_out)[usize::from(answer)]
    }

    /// Whether the answer to the comparison at this place is the same whoever holds the socket besides.
    fn leave<'a>(
        &self,
        answer: bool,
        stays: EnoughYes,
        at: usize,
        unseen: UnseenValues<'a>,
        holds: impl Fn(&Value<'a>) -> bool,
    ) -> bool {
        let is_first = answer && stays == EnoughYes::OfFirst;
        if answer && stays == EnoughYes::OfEach || is_first && !self.strict {
            return true;
        }
        if unseen.outside && (unseen.first.is_none() || self.strict && !is_first) {
            return false;
        }
        // A process that began meanwhile may hold what nobody was found to hold, or whoever ended held; and a message to a socket the descriptor.
        if self.strict && (unseen.first.is_none() || unseen.lost) {
            return false;
        }
        let Some(values) = unseen.values else { return false };
        let other = self.first(!answer, at, values.map(|(pid, value)| (pid, holds(&value))));
        other.is_none_or(|other| is_first && unseen.first.is_some_and(|first| first < other))
    }
}

/// Whose answer yes to a comparison is taken for true whoever else holds the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EnoughYes {
    /// That of any process: one is enough.
    OfEach,
    /// That of the first one, in the order of their numbers.
    OfFirst,
    Never,
}

#[derive(Clone, Debug)]
pub(super) enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
    States(u16),
    Host {
        side: Side,
        v6: Option<bool>,
        nets: Option<Vec<Network>>,
        ports: Option<Vec<u16>>,
    },
    Path {
        side: Side,
        form: Box<Regex>,
    },
    Port {
        side: Side,
        op: Op,
        ports: Option<Vec<u16>>,
    },
    /// The device of this name or index, in the namespace of the row.
    Device {
        negated: bool,
        name: Vec<u8>,
        index: Option<u32>,
    },
    Mark {
        negated: bool,
        mark: u32,
        mask: u32,
    },
    /// The kernel chose the local port; these are what it chooses from.
    Autobound(EphemeralPorts),
    Compare {
        /// Its place among what is compared.
        at: usize,
        field: Field,
        op: Op,
        scale: u128,
        operand: Operand,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Operand {
    Null,
    Number(u128),
    /// One of these, which a name stands for.
    Numbers(Vec<u64>),
    Addr(IpAddr),
    Net(Network),
    Texts(Vec<Vec<u8>>),
    Form(Box<Regex>),
}

impl Predicate {
    /// Looks up the names in an expression.
    ///
    /// # Errors
    /// A name that means nothing.
    pub fn new(expr: &Expr, resolver: &mut impl Resolver) -> Result<Self, NameError> {
        let (mut needs, mut fields) = (Need::NONE, Vec::new());
        let test = Compiler { resolver, needs: &mut needs, fields: &mut fields }.test(expr)?;
        let readings: &[Reading] =
            if test.asks_autobound() { &[Reading::Range, Reading::Mark] } else { &[Reading::Range] };
        Ok(Self { test, readings, needs, fields })
    }

    /// What must be gathered before every row can be decided.
    pub const fn needs(&self) -> Need {
        self.needs
    }

    /// The fields that it compares by their names.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Whether the row is wanted, every need gathered.
    pub fn holds(&self, row: &impl HasFields) -> bool {
        self.decide(row, Need::ALL) == Some(true)
    }

    /// Whether the row is wanted, if that can be decided with what has been gathered.
    pub fn decide(&self, row: &impl HasFields, gathered: Need) -> Option<bool> {
        self.ask(row, gathered, None)
    }

    /// Whether the expression holds. `None` where a process that could not be looked into might change the answer, or what is `unread` of the row.
    /// Call it once everything is gathered; `answers` are those of the rows with the same unseen holders.
    pub fn is_certain(&self, row: &impl HasFields, unread: Need, answers: &UnseenAnswers) -> Option<bool> {
        self.ask(row, Need::ALL.without(unread), Some(answers))
    }

    fn ask(&self, row: &impl HasFields, gathered: Need, unseen: Option<&UnseenAnswers>) -> Option<bool> {
        let question = |&reading: &Reading| RowQuestion { gathered, reading, unseen };
        all_hold(self.readings.iter().map(|reading| self.test.ask(row, question(reading))))
    }
}

struct Compiler<'a, R> {
    resolver: &'a mut R,
    needs: &'a mut Need,
    fields: &'a mut Vec<Field>,
}

impl<R: Resolver> Compiler<'_, R> {
    fn test(&mut self, expr: &Expr) -> Result<Test, NameError> {
        Ok(match expr {
            Expr::All(list) => Test::All(self.tests(list)?),
            Expr::Any(list) => Test::Any(self.tests(list)?),
            Expr::Not(inner) => Test::Not(Box::new(self.test(inner)?)),
            Expr::States(words) => Test::States(states::union(words)),
            Expr::Host { side, host: HostPattern::Unix(path), place } => {
                if *side == Side::Remote {
                    self.need(Field::PeerPath);
                }
                let form =
                    literal::path_glob(path).map_err(|(what, _)| NameError { place: *place, what, denied: false })?;
                Test::Path { side: *side, form }
            }
            Expr::Host { side, host: HostPattern::Inet { v6, addr, port }, place } => {
                let nets = match addr {
                    Addresses::Any => None,
                    Addresses::Net(prefix) => Some(vec![*prefix]),
                    Addresses::Name(name) => Some(self.hosts(name, *place)?),
                };
                Test::Host { side: *side, v6: *v6, nets, ports: self.ports(port, *place)? }
            }
            Expr::Port { side, op, port, place } => {
                Test::Port { side: *side, op: *op, ports: self.ports(port, *place)? }
            }
            Expr::Device { negated, name, place } => {
                self.need(Field::Dev);
                if !self.resolver.has_device(name) {
                    return Err(none(*place, "device", name));
                }
                let index = name.parse().ok().filter(|&index| index != 0);
                Test::Device { negated: *negated, name: name.clone().into_bytes(), index }
            }
            Expr::Mark { negated, mark, mask } => {
                self.need(Field::Fwmark);
                Test::Mark { negated: *negated, mark: *mark, mask: *mask }
            }
            Expr::Autobound => {
                self.need(Field::PortChosenBy);
                Test::Autobound(self.resolver.ephemeral())
            }
            Expr::Compare { field, op, value, place } => self.compare(*field, *op, value, *place)?,
        })
    }

    fn tests(&mut self, list: &[Expr]) -> Result<Vec<Test>, NameError> {
        list.iter().map(|expr| self.test(expr)).collect()
    }

    fn need(&mut self, field: Field) {
        *self.needs = self.needs.or(field.spec().need);
        self.fields.push(field);
    }

    fn hosts(&mut self, name: &str, place: TextPlace) -> Result<Vec<Network>, NameError> {
        let nets: Vec<Network> = self.resolver.host(name).into_iter().map(Network::of).collect();
        if nets.is_empty() {
            let what = format!("there is no host `{name}', or no name server answers");
            return Err(NameError { place, what, denied: false });
        }
        Ok(nets)
    }

    fn ports(&mut self, port: &PortPattern, place: TextPlace) -> Result<Option<Vec<u16>>, NameError> {
        match port {
            PortPattern::Any => Ok(None),
            PortPattern::Number(number) => Ok(Some(vec![*number])),
            PortPattern::Name(name) => self.service(name, place).map(Some),
        }
    }

    fn service(&mut self, name: &str, place: TextPlace) -> Result<Vec<u16>, NameError> {
        let ports = self.resolver.service(name);
        if ports.is_empty() { Err(none(place, "service", name)) } else { Ok(ports) }
    }

    fn compare(&mut self, field: Field, op: Op, value: &Literal, place: TextPlace) -> Result<Test, NameError> {
        self.need(field);
        let kind = field.spec().kind;
        let scale = if let ValueKind::Span(unit) = kind { unit.nanos().into() } else { 1 };
        let meaning =
            literal::meaning(field, op, value).map_err(|(what, _)| NameError { place, what, denied: false })?;
        let operand = match meaning {
            Meaning::Null => Operand::Null,
            Meaning::Number(number) => Operand::Number(number),
            Meaning::Addr(addr) => Operand::Addr(addr),
            Meaning::Net(net) => Operand::Net(net),
            Meaning::Texts(texts) => Operand::Texts(texts),
            Meaning::Form(form) => Operand::Form(form),
            Meaning::Name(name) => {
                let numbers: Vec<u64> = match kind {
                    ValueKind::Port => self.service(&name, place)?.into_iter().map(u64::from).collect(),
                    ValueKind::User => self.resolver.user(&name).into_iter().map(u64::from).collect(),
                    _ => self.resolver.netns(&name).into_iter().map(u64::from).collect(),
                };
                let what = if kind == ValueKind::User { "user" } else { "network namespace" };
                match numbers[..] {
                    [] if kind == ValueKind::Namespace && self.resolver.is_netns_hidden(&name) => {
                        let what = format!("the network namespace `{name}' may not be looked at: run as root");
                        return Err(NameError { place, what, denied: true });
                    }
                    [] if kind == ValueKind::User
                        && let Some(why) = self.resolver.why_no_user(&name) =>
                    {
                        let what = format!("the user `{name}' could not be looked up: {why}");
                        return Err(NameError { place, what, denied: true });
                    }
                    [] => return Err(none(place, what, &name)),
                    [only] => Operand::Number(only.into()),
                    _ if op.orders() => {
                        let what = format!("`{name}' is the name of several ports: write a number");
                        return Err(NameError { place, what, denied: false });
                    }
                    _ => Operand::Numbers(numbers),
                }
            }
        };
        Ok(Test::Compare { at: self.fields.len(), field, op, scale, operand })
    }
}

fn none(place: TextPlace, what: &str, name: &str) -> NameError {
    NameError { place, what: format!("there is no {what} `{name}'"), denied: false }
}

impl Test {
    fn asks_autobound(&self) -> bool {
        match self {
            Self::All(list) | Self::Any(list) => list.iter().any(Self::asks_autobound),
            Self::Not(inner) => inner.asks_autobound(),
            other => matches!(other, Self::Autobound(_)),
        }
    }

    /// Yes, no, or not known: not before more is gathered, or not at all.
    fn ask(&self, row: &impl HasFields, question: RowQuestion<'_>) -> Option<bool> {
        let RowQuestion { gathered, reading, unseen } = question;
        match self {
            Self::All(list) => all_hold(list.iter().map(|test| test.ask(row, question))),
            // De Morgan: not one holds where all do not.
            Self::Any(list) => {
                let denied = list.iter().map(|test| test.ask(row, question).map(|holds| !holds));
                all_hold(denied).map(|denied| !denied)
            }
            Self::Not(inner) => inner.ask(row, question).map(|holds| !holds),
            Self::States(bits) => Some(row.state().is_some_and(|state| bits & 1 << state as u16 != 0)),
            Self::Host { side, v6, nets, ports } => Some(host(row, *side, *v6, nets.as_deref(), ports.as_deref())),
            Self::Path { side, form } => match side {
                Side::Local => Some(is_unix(row) && form.is_match(&text(&row.value(Field::Path)))),
                Side::Remote if !gathered.has(Field::PeerPath.spec().need) => None,
                Side::Remote => Some(is_unix(row) && form.is_match(&text(&row.value(Field::PeerPath)))),
            },
            Self::Port { side, op, ports } => Some(match (row.end(*side == Side::Local), ports) {
                (None, _) => false,
                (Some(_), None) => true,
                (Some((_, port)), Some(ports)) => port.is_some_and(|port| match op {
                    Op::Eq => ports.contains(&port),
                    Op::Ne => !ports.contains(&port),
                    op => ports.iter().any(|than| op.holds(port.cmp(than))),
                }),
            }),
            Self::Device { negated, name, index } => {
                let known = gathered.has(Field::Dev.spec().need);
                let is_bound =
                    || *text(&row.value(Field::Dev)) == name[..] || index.is_some() && row.device() == *index;
                known.then(|| is_bound() != *negated)
            }
            Self::Mark { negated, mark, mask } => {
                let known = gathered.has(Field::Fwmark.spec().need);
                known.then(|| match row.value(Field::Fwmark) {
                    Value::Number(own) => (own & u64::from(*mask) == u64::from(*mark)) != *negated,
                    _ => false,
                })
            }
            Self::Autobound(ports) => match row.end(true) {
                None => Some(is_unix(row) && is_autobound_path(&row.value(Field::Path))),
                Some((_, port)) => {
                    let in_range = port.is_some_and(|port| ports.has(&row.value(Field::Netns), port));
                    match reading {
                        Reading::Range => Some(in_range),
                        Reading::Mark if !gathered.has(Field::PortChosenBy.spec().need) => None,
                        Reading::Mark => Some(match row.value(Field::PortChosenBy) {
                            Value::Text(who) => *who == *CHOOSERS[1].as_bytes(),
                            _ => in_range,
                        }),
                    }
                }
            },
            Self::Compare { at, field, op, scale, operand } => {
                let holds = |value: &Value<'_>| compare(value, *field, *op, *scale, operand);
                let known = gathered.has(field.spec().need).then(|| holds(&row.value(*field)))?;
                let Some((answers, unseen)) = unseen.zip(row.unseen_values(*field)) else { return Some(known) };
                answers.leave(known, stays(*field, *op, operand), *at, unseen, holds).then_some(known)
            }
        }
    }
}

/// Whose answer yes is enough. `pid`, `comm` and what the cgroup names are those of the first holder: one that could not be looked into may come
/// before it.
fn stays(field: Field, op: Op, operand: &Operand) -> EnoughYes {
    let of_each = field.nested().is_some_and(|(group, _)| LISTS.contains(&group));
    match operand {
        Operand::Null if op != Op::Ne => EnoughYes::Never,
        _ if of_each => EnoughYes::OfEach,
        Operand::Null => EnoughYes::OfFirst,
        _ if matches!(op, Op::Ne | Op::NoMatch) => EnoughYes::Never,
        _ => EnoughYes::OfFirst,
    }
}

fn is_unix(row: &impl HasFields) -> bool {
    row.value(Field::Proto) == Value::word(Some("unix"))
}

/// No name, or one that the kernel made up: `@` and five hexadecimal digits.
fn is_autobound_path(path: &Value<'_>) -> bool {
    match path {
        Value::Text(path) => {
            path.len() == 6 && path[0] == b'@' && path[1..].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        }
        _ => true,
    }
}

fn text<'v>(value: &'v Value<'_>) -> Cow<'v, [u8]> {
    match value {
        Value::Text(text) => Cow::Borrowed(text),
        _ => Cow::Borrowed(b""),
    }
}

fn host(row: &impl HasFields, side: Side, v6: Option<bool>, nets: Option<&[Network]>, ports: Option<&[u16]>) -> bool {
    let Some((addr, port)) = row.end(side == Side::Local) else { return false };
    let is_v6 = addr.is_ipv6();
    v6.is_none_or(|v6| v6 == is_v6)
        && ports.is_none_or(|ports| port.is_some_and(|port| ports.contains(&port)))
        && nets.is_none_or(|nets| nets.iter().any(|net| net.has_mapped(addr)))
}

pub(super) fn compare(value: &Value<'_>, field: Field, op: Op, scale: u128, operand: &Operand) -> bool {
    match (value, operand) {
        (Value::List(values), Operand::Null) => {
            let null = values.is_empty() || values.contains(&Value::Null);
            let known = values.iter().any(|value| *value != Value::Null);
            if op == Op::Eq { null } else { known }
        }
        (Value::List(values), operand) => values.iter().any(|value| compare(value, field, op, scale, operand)),
        (value, Operand::Null) => (*value == Value::Null) == (op == Op::Eq),
        (Value::Null, _) => false,
        (Value::Number(own), Operand::Number(number)) => op.holds((u128::from(*own) * scale).cmp(number)),
        (Value::Number(own), Operand::Numbers(numbers)) => numbers.contains(own) == (op == Op::Eq),
        (Value::Addr(own), Operand::Addr(addr)) => op.holds(own.cmp(addr)),
        (Value::Addr(own), Operand::Net(net)) => net.has(*own) == (op == Op::Eq),
        (Value::Text(own), Operand::Texts(texts)) if op.orders() => {
            texts.first().is_some_and(|text| op.holds(own[..].cmp(text)))
        }
        (Value::Text(own), Operand::Texts(texts)) => texts.iter().any(|text| own[..] == text[..]) == (op == Op::Eq),
        (value, Operand::Form(form)) => form.is_match(&written(value, field)) == matches!(op, Op::Eq | Op::Match),
        _ => false,
    }
}

/// A value as JSON has it, without quotes.
fn written<'v>(value: &'v Value<'_>, field: Field) -> Cow<'v, [u8]> {
    match value {
        Value::Text(text) => Cow::Borrowed(text),
        Value::Addr(addr) => Cow::Owned(AddressText(*addr).to_string().into_bytes()),
        Value::Number(time_ns) if field.spec().kind == ValueKind::Time => {
            let time = jiff::Timestamp::from_nanosecond(i128::from(*time_ns)).unwrap_or_default();
            Cow::Owned(format!("{time:.9}").into_bytes())
        }
        Value::Number(number) if field.spec().kind == ValueKind::Span(crate::field::Unit::Hundredths) => {
            Cow::Owned(format!("{}.{:02}", number / 100, number % 100).into_bytes())
        }
        Value::Number(number) => Cow::Owned(number.to_string().into_bytes()),
        Value::List(_) | Value::Null => Cow::Borrowed(b""),
    }
}
