//! What of a predicate the kernel programs can decide about events: never less passes than the predicate lets through.

use super::predicate::{Operand, Test, compare};
use super::{Predicate, Side};
use crate::field::{Field, Value};
use crate::model::limits::{Kinds, Limits, Ports, Prefixes, States};
use crate::model::{EventName, Network, Proto, TcpState};

impl Predicate {
    /// What may be left out before the predicate is asked.
    pub fn limits(&self) -> Limits {
        limits(&self.test, true)
    }

    /// The same of a connection as a whole: which of its events are left out must not depend on what came before.
    pub fn limits_of_lives(&self) -> Limits {
        Limits {
            kinds: None,
            entered: None,
            left: None,
            ports: None,
            lports: None,
            rports: None,
            addrs: None,
            laddrs: None,
            raddrs: None,
            pids: None,
            ..self.limits()
        }
    }
}

/// What passes where the test holds, or where it does not.
fn limits(test: &Test, holds: bool) -> Limits {
    match test {
        Test::Not(inner) => limits(inner, !holds),
        // De Morgan: not all hold where one does not.
        Test::All(list) | Test::Any(list) => {
            let parts = list.iter().map(|test| limits(test, holds));
            if matches!(test, Test::All(_)) == holds {
                parts.fold(Limits::default(), Limits::and)
            } else {
                parts.fold(Limits::nothing(), Limits::or)
            }
        }
        Test::States(bits) => {
            let entered: States = TcpState::ALL.into_iter().filter(|&state| bits & 1 << state as u16 != 0).collect();
            // Events that are no transitions have no state, so that no set of states holds.
            match holds {
                true => Limits { kinds: Some(Kinds::STATE), entered: Some(entered), ..Limits::default() },
                false => Limits { entered: Some(entered.complement()), ..Limits::default() },
            }
        }
        Test::Port { side, op, ports: Some(ports) } => {
            let passes = |port: u16| ports.iter().any(|than| op.holds(port.cmp(than)));
            let all = |port: u16| match op {
                super::Op::Ne => !ports.contains(&port),
                _ => passes(port),
            };
            let set: Ports = (0..=u16::MAX).filter(|&port| all(port)).map(|port| port..=port).collect();
            at(*side, if holds { set } else { set.complement() })
        }
        Test::Host { side, nets, ports, .. } if holds => {
            let ports = ports.as_ref().map(|ports| ports.iter().map(|&port| port..=port).collect::<Ports>());
            let nets = nets.as_ref().map(|nets| Prefixes { list: nets.clone(), unknown: false });
            let by_port = ports.map_or_else(Limits::default, |ports| at(*side, ports));
            by_port.and(nets.map_or_else(Limits::default, |nets| within(*side, nets)))
        }
        Test::Compare { field, op, scale, operand, .. } => {
            let passes = |value: &Value<'_>| compare(value, *field, *op, *scale, operand) == holds;
            compared(*field, operand, *op == super::Op::Eq && holds, &passes)
        }
        _ => Limits::default(),
    }
}

/// What passes where a field has one of the values that pass.
fn compared(field: Field, operand: &Operand, equals: bool, passes: &dyn Fn(&Value<'_>) -> bool) -> Limits {
    let states = || TcpState::ALL.into_iter().filter(|state| passes(&Value::word(Some(state.name())))).collect();
    let unknown = passes(&Value::Null);
    // Where an event that has no such field does not pass, only those that have it do.
    let only = |kinds| (!unknown).then_some(kinds);
    let numbers = || match operand {
        Operand::Number(number) => u32::try_from(*number).ok().map(|number| vec![number]),
        Operand::Numbers(numbers) => Some(numbers.iter().filter_map(|&number| u32::try_from(number).ok()).collect()),
        _ => None,
    };
    match field {
        Field::Proto => {
            let protos = Proto::ALL.into_iter().filter(|proto| passes(&Value::word(Some(proto.name()))));
            Limits { protos: Some(protos.collect()), ..Limits::default() }
        }
        Field::Event => {
            let named = EventName::ALL.into_iter().filter(|event| passes(&Value::word(Some(event.name()))));
            Limits { kinds: Some(named.map(Kinds::from).fold(Kinds::NONE, Kinds::or)), ..Limits::default() }
        }
        Field::State | Field::NewState => {
            Limits { kinds: only(Kinds::STATE), entered: Some(states()), ..Limits::default() }
        }
        Field::OldState => Limits { kinds: only(Kinds::STATE), left: Some(states()), ..Limits::default() },
        Field::InStateNs => Limits { kinds: only(Kinds::STATE), ..Limits::default() },
        field if field.is_total() => Limits { kinds: only(Kinds::CLOSE), ..Limits::default() },
        Field::LocalPort | Field::RemotePort => {
            let passing = (0..=u16::MAX).filter(|&port| passes(&Value::Number(port.into())));
            let set: Ports = passing.map(|port| port..=port).collect();
            let side = if field == Field::LocalPort { Side::Local } else { Side::Remote };
            at(side, set.with_unknown(unknown))
        }
        Field::LocalAddr | Field::RemoteAddr if equals => {
            let net = match operand {
                Operand::Addr(addr) => Network::of(*addr),
                Operand::Net(net) => *net,
                _ => return Limits::default(),
            };
            let side = if field == Field::LocalAddr { Side::Local } else { Side::Remote };
            within(side, Prefixes { list: vec![net], unknown: false })
        }
        Field::Pid | Field::OwnersPid if equals => Limits { pids: numbers(), ..Limits::default() },
        Field::Netns if equals => Limits { netns: numbers(), ..Limits::default() },
        _ => Limits::default(),
    }
}

fn at(side: Side, ports: Ports) -> Limits {
    match side {
        Side::Local => Limits { lports: Some(ports), ..Limits::default() },
        Side::Remote => Limits { rports: Some(ports), ..Limits::default() },
    }
}

fn within(side: Side, addrs: Prefixes) -> Limits {
    match side {
        Side::Local => Limits { laddrs: Some(addrs), ..Limits::default() },
        Side::Remote => Limits { raddrs: Some(addrs), ..Limits::default() },
    }
}
