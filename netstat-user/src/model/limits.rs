//! Which events are wanted, as sets that whoever hands them over can decide by: the kernel programs and the agent.
//!
//! An expression is turned into limits from its leaves up, by [`Limits::and`] and [`Limits::or`]. Limits may let more pass than the expression
//! does, and never less: whoever sets them checks the expression once more.

use super::{EventEnd, EventKind, LiveSocket, Network, Proto, SocketEvent, TcpState};
use std::{net::IpAddr, ops::RangeInclusive};

/// An event passes where it satisfies every limit; `None`: no limit. What cannot be decided passes: the pid and the cgroup of an owner
/// that is not known, a namespace that cannot be read, a set with more members than the kernel programs have room for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Kinds of events.
    pub kinds: Option<Kinds>,
    /// States that a transition enters; other events are not limited by it.
    pub entered: Option<States>,
    /// States that a transition leaves; other events are not limited by it.
    pub left: Option<States>,
    /// Protocols and families.
    pub protos: Option<Vec<Proto>>,
    /// Ports of either end: one of both is enough.
    pub ports: Option<Ports>,
    /// Local ports.
    pub lports: Option<Ports>,
    /// Remote ports.
    pub rports: Option<Ports>,
    /// Addresses of either end: one of both is enough.
    pub addrs: Option<Prefixes>,
    /// Local addresses.
    pub laddrs: Option<Prefixes>,
    /// Remote addresses.
    pub raddrs: Option<Prefixes>,
    /// Process ids of owners, in the PID namespace of the reader.
    pub pids: Option<Vec<u32>>,
    /// Inodes of network namespaces.
    pub netns: Option<Vec<u32>>,
    /// Cgroups that the owner was in when it made or accepted the socket, each with those below it.
    pub cgroups: Option<Vec<Cgroup>>,
}

/// Kinds of events, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// No events.
    pub const NONE: Self = Self(0);
    /// `open` events.
    pub const OPEN: Self = Self(1);
    /// `state` events.
    pub const STATE: Self = Self(2);
    /// `close` events.
    pub const CLOSE: Self = Self(4);
    /// Every event.
    pub const ALL: Self = Self(7);

    /// Those that are in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether the sets have a kind in common.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Those of one event.
    pub const fn of(kind: &EventKind) -> Self {
        match kind {
            EventKind::Open => Self::OPEN,
            EventKind::State { .. } => Self::STATE,
            EventKind::Close(_) => Self::CLOSE,
        }
    }
}

/// TCP states, a bit each by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct States(u32);

impl States {
    /// No state.
    pub const NONE: Self = Self(0);

    /// Those that are in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Every other state.
    #[must_use]
    pub const fn complement(self) -> Self {
        Self(!self.0)
    }

    /// Whether a state is among them.
    pub const fn has(self, state: TcpState) -> bool {
        self.0 >> state as u32 & 1 != 0
    }

    /// Bit n is set where state n is among them, as numbered in `net/tcp_states.h`.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl FromIterator<TcpState> for States {
    fn from_iter<I: IntoIterator<Item = TcpState>>(states: I) -> Self {
        Self(states.into_iter().fold(0, |bits, state| bits | 1 << state as u32))
    }
}

/// Words of the bits of all ports.
pub const PORT_WORDS: usize = 1 << 10;

/// A set of ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    bits: Box<[u64; PORT_WORDS]>,
    /// Whether an event passes of which the port is not known: the socket has none yet.
    pub unknown: bool,
}

impl Ports {
    /// No port, and not an unknown one.
    pub fn none() -> Self {
        Self { bits: Box::new([0; PORT_WORDS]), unknown: false }
    }

    /// One port.
    pub fn one(port: u16) -> Self {
        [port..=port].into_iter().collect()
    }

    /// Every other port, and an unknown one where it was not in the set.
    #[must_use]
    pub fn complement(mut self) -> Self {
        for word in self.bits.iter_mut() {
            *word = !*word;
        }
        self.unknown = !self.unknown;
        self
    }

    /// The same, and unknown ports, or without them.
    #[must_use]
    pub fn with_unknown(mut self, unknown: bool) -> Self {
        self.unknown = unknown;
        self
    }

    /// Those that are in either.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        for (word, other) in self.bits.iter_mut().zip(other.bits.iter()) {
            *word |= other;
        }
        self.unknown |= other.unknown;
        self
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for (word, other) in self.bits.iter_mut().zip(other.bits.iter()) {
            *word &= other;
        }
        self.unknown &= other.unknown;
        self
    }

    /// Whether a port is in the set; `None`: it is not known.
    pub fn has(&self, port: Option<u16>) -> bool {
        port.map_or(self.unknown, |port| {
            let (word, bit) = (usize::from(port) / 64, port % 64);
            self.bits[word] >> bit & 1 != 0
        })
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        !self.unknown && self.bits.iter().all(|&word| word == 0)
    }

    /// The ports as bits: port n is bit n % 64 of word n / 64.
    pub const fn words(&self) -> &[u64; PORT_WORDS] {
        &self.bits
    }
}

impl FromIterator<RangeInclusive<u16>> for Ports {
    fn from_iter<I: IntoIterator<Item = RangeInclusive<u16>>>(ranges: I) -> Self {
        let mut ports = Self::none();
        for port in ranges.into_iter().flatten() {
            ports.bits[usize::from(port) / 64] |= 1 << (port % 64);
        }
        ports
    }
}

/// A set of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefixes {
    /// An address is in the set if one of these holds it.
    pub list: Vec<Network>,
    /// Whether an event passes of which the addresses are not known: the socket has none yet.
    pub unknown: bool,
}

impl Prefixes {
    fn and(&self, other: &Self) -> Self {
        let narrower = |&a: &Network, &b: &Network| match (a.covers(b), b.covers(a)) {
            (true, _) => Some(b),
            (_, true) => Some(a),
            _ => None,
        };
        let list = self.list.iter().flat_map(|a| other.list.iter().filter_map(move |b| narrower(a, b))).collect();
        Self { list, unknown: self.unknown && other.unknown }
    }

    fn or(mut self, other: &Self) -> Self {
        self.list.extend(&other.list);
        self.unknown |= other.unknown;
        self
    }

    /// Whether an address is in the set; `None`: it is not known.
    pub fn has(&self, addr: Option<IpAddr>) -> bool {
        addr.map_or(self.unknown, |addr| self.list.iter().any(|net| net.has_in_either_form(addr)))
    }
}

/// A cgroup of the unified hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Its id: the inode number of its directory.
    pub id: u64,
    /// How many directories below the root it is: 0 for the root, 2 for `/system.slice/nginx.service`.
    pub level: u32,
}

impl Limits {
    /// Nothing passes.
    pub fn nothing() -> Self {
        Self { kinds: Some(Kinds::NONE), ..Self::default() }
    }

    /// Whether nothing can pass.
    pub fn is_nothing(&self) -> bool {
        let none = |ports: &Option<Ports>| ports.as_ref().is_some_and(Ports::is_empty);
        let nowhere =
            |addrs: &Option<Prefixes>| addrs.as_ref().is_some_and(|addrs| addrs.list.is_empty() && !addrs.unknown);
        let only_transitions = self.kinds.is_some_and(|kinds| !kinds.meets(Kinds::OPEN.or(Kinds::CLOSE)));
        let no_state = |states: Option<States>| states == Some(States::NONE);
        self.kinds == Some(Kinds::NONE)
            || only_transitions && (no_state(self.entered) || no_state(self.left))
            || self.protos.as_ref().is_some_and(Vec::is_empty)
            || none(&self.ports)
            || none(&self.lports)
            || none(&self.rports)
            || nowhere(&self.addrs)
            || nowhere(&self.laddrs)
            || nowhere(&self.raddrs)
    }

    /// What passes both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            kinds: both(self.kinds, other.kinds, Kinds::and),
            entered: both(self.entered, other.entered, States::and),
            left: both(self.left, other.left, States::and),
            protos: both(self.protos, other.protos, |a, b| common(&a, &b)),
            // One end may be in one set, and the other end in the other.
            ports: self.ports.or(other.ports),
            lports: both(self.lports, other.lports, |a, b| a.and(&b)),
            rports: both(self.rports, other.rports, |a, b| a.and(&b)),
            addrs: self.addrs.or(other.addrs),
            laddrs: both(self.laddrs, other.laddrs, |a, b| a.and(&b)),
            raddrs: both(self.raddrs, other.raddrs, |a, b| a.and(&b)),
            pids: both(self.pids, other.pids, |a, b| common(&a, &b)),
            netns: both(self.netns, other.netns, |a, b| common(&a, &b)),
            // Either may be below the other.
            cgroups: self.cgroups.or(other.cgroups),
        }
    }

    /// What passes one of both, and maybe more: each limit is that of one or the other.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self.is_nothing() {
            return other;
        }
        if other.is_nothing() {
            return self;
        }
        let (ports, addrs) = (
            one_of(self.either_port(), other.either_port(), |a, b| a.or(&b)),
            one_of(self.either_addr(), other.either_addr(), |a, b| a.or(&b)),
        );
        let (entered, left) = (
            one_of(self.of_states(self.entered), other.of_states(other.entered), States::or),
            one_of(self.of_states(self.left), other.of_states(other.left), States::or),
        );
        Self {
            kinds: one_of(self.kinds, other.kinds, Kinds::or),
            entered,
            left,
            protos: one_of(self.protos, other.protos, joined),
            ports,
            lports: one_of(self.lports, other.lports, |a, b| a.or(&b)),
            rports: one_of(self.rports, other.rports, |a, b| a.or(&b)),
            addrs,
            laddrs: one_of(self.laddrs, other.laddrs, |a, b| a.or(&b)),
            raddrs: one_of(self.raddrs, other.raddrs, |a, b| a.or(&b)),
            pids: one_of(self.pids, other.pids, joined),
            netns: one_of(self.netns, other.netns, joined),
            cgroups: one_of(self.cgroups, other.cgroups, joined),
        }
    }

    /// A set that has one of both ports at least.
    fn either_port(&self) -> Option<Ports> {
        self.ports.as_ref().or(self.lports.as_ref()).or(self.rports.as_ref()).cloned()
    }

    /// A set that has one of both addresses at least.
    fn either_addr(&self) -> Option<Prefixes> {
        self.addrs.as_ref().or(self.laddrs.as_ref()).or(self.raddrs.as_ref()).cloned()
    }

    /// A limit of transitions, as it is where they are not wanted at all.
    fn of_states(&self, states: Option<States>) -> Option<States> {
        if self.kinds.is_some_and(|kinds| !kinds.meets(Kinds::STATE)) { Some(States::NONE) } else { states }
    }

    /// The one network namespace that is wanted, if it is one.
    pub fn only_netns(&self) -> Option<u32> {
        match self.netns.as_deref() {
            Some(&[only]) => Some(only),
            _ => None,
        }
    }

    /// Whether an event passes, as far as it shows: `cgroups` is not looked at, nor an owner who is not known.
    pub fn passes(&self, event: &SocketEvent) -> bool {
        let port = |end: Option<EventEnd>| end.and_then(|end| end.port);
        let addr = |end: Option<EventEnd>| end.map(|end| end.addr);
        let states = match event.kind {
            EventKind::State { old, new, .. } => {
                self.entered.is_none_or(|states| states.has(new)) && self.left.is_none_or(|states| states.has(old))
            }
            _ => true,
        };
        let (lport, rport) = (port(event.local), port(event.remote));
        let (laddr, raddr) = (addr(event.local), addr(event.remote));
        let pid = event.owner.map(|owner| owner.pid);
        states
            && self.kinds.is_none_or(|kinds| kinds.meets(Kinds::of(&event.kind)))
            && self.protos.as_ref().is_none_or(|protos| protos.contains(&event.proto))
            && self.ports.as_ref().is_none_or(|ports| ports.has(lport) || ports.has(rport))
            && self.lports.as_ref().is_none_or(|ports| ports.has(lport))
            && self.rports.as_ref().is_none_or(|ports| ports.has(rport))
            && self.addrs.as_ref().is_none_or(|addrs| addrs.has(laddr) || addrs.has(raddr))
            && self.laddrs.as_ref().is_none_or(|addrs| addrs.has(laddr))
            && self.raddrs.as_ref().is_none_or(|addrs| addrs.has(raddr))
            && self.pids.as_ref().is_none_or(|pids| pid.is_none_or(|pid| pids.contains(&pid)))
            && self.netns.as_ref().is_none_or(|netns| event.netns.is_none_or(|inode| netns.contains(&inode)))
    }

    /// Whether a live socket passes: its protocol and its network namespace decide, which its events have all its life. One of which the namespace
    /// is not known does not pass where namespaces are limited.
    pub fn passes_socket(&self, socket: &LiveSocket) -> bool {
        // Every limit by its name: of a new one it must be said here whether sockets are held to it.
        let Self {
            protos,
            netns,
            kinds: _,
            entered: _,
            left: _,
            ports: _,
            lports: _,
            rports: _,
            addrs: _,
            laddrs: _,
            raddrs: _,
            pids: _,
            cgroups: _,
        } = self;
        protos.as_ref().is_none_or(|protos| protos.contains(&socket.proto))
            && netns.as_ref().is_none_or(|wanted| socket.netns.is_some_and(|netns| wanted.contains(&netns)))
    }
}

/// A limit that both have, or the one there is.
fn both<T>(one: Option<T>, other: Option<T>, and: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(and(one, other)),
        (one, other) => one.or(other),
    }
}

/// A limit of either; none where one of both has none.
fn one_of<T>(one: Option<T>, other: Option<T>, or: impl FnOnce(T, T) -> T) -> Option<T> {
    one.zip(other).map(|(one, other)| or(one, other))
}

fn common<T: Copy + PartialEq>(one: &[T], other: &[T]) -> Vec<T> {
    one.iter().copied().filter(|member| other.contains(member)).collect()
}

fn joined<T: PartialEq>(mut one: Vec<T>, other: Vec<T>) -> Vec<T> {
    for member in other {
        if !one.contains(&member) {
            one.push(member);
        }
    }
    one
}

#[cfg(test)]
mod tests;
