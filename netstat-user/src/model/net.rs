//! Rows of the views beside the sockets: routes, interfaces, groups and counters.

/// One counter of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The kernel's name for it.
    pub name: Vec<u8>,
    /// Its value: what fits an unsigned or a signed 64-bit number, saturated.
    pub value: i128,
}

/// The counters the kernel lists under one heading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CounterTable {
    /// The heading, without its colon.
    pub name: Vec<u8>,
    /// The counters, in the kernel's order.
    pub counters: Vec<Counter>,
}
