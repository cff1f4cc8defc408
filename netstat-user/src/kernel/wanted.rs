//! What is to be traced.

use super::hooks::{Hook, Variant};
use crate::model::Limits;

/// What to trace.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Hooks to attach.
    pub hooks: Vec<Hook>,
    /// The only variant to try for a hook, which is then attached even where it would report nothing new.
    pub forced: Vec<(Hook, Variant)>,
    /// Size of the ring buffer in bytes: a power of two, at least a page.
    pub ring_bytes: u32,
    /// How many sockets the programs can remember at least; `None` for as many as suits the kernel.
    pub remember: Option<u32>,
    /// Which events; the programs leave out others where they can.
    pub limits: Limits,
    /// Whether the programs write their debug log.
    pub debug: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            hooks: Hook::ALL.to_vec(),
            forced: Vec::new(),
            ring_bytes: 16 << 20,
            remember: None,
            limits: Limits::default(),
            debug: false,
        }
    }
}

impl Wanted {
    /// The variant that alone is to be tried for a hook.
    pub fn forced(&self, hook: Hook) -> Option<Variant> {
        self.forced.iter().find(|(forced, _)| *forced == hook).map(|&(_, variant)| variant)
    }
}
