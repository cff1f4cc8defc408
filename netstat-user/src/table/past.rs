//! The sockets that ended a short while ago, bounded by age and by count.

use super::Limits;
use crate::model::ClosedSocket;
use std::collections::VecDeque;

/// Closed sockets, in the order of their ends.
#[derive(Debug)]
pub struct Past {
    limits: Limits,
    closed: VecDeque<ClosedSocket>,
    /// When the last of those that have been forgotten had ended.
    forgotten_ns: u64,
    /// Whether it was forgotten because there were too many.
    crowded: bool,
}

impl Past {
    /// Nothing yet.
    pub const fn new(limits: Limits) -> Self {
        Self { limits, closed: VecDeque::new(), forgotten_ns: 0, crowded: false }
    }

    /// All that are kept, first ended first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &ClosedSocket> {
        self.closed.iter()
    }

    /// Number of those that are kept.
    pub fn len(&self) -> usize {
        self.closed.len()
    }

    /// Memory taken, in bytes.
    pub fn bytes(&self) -> usize {
        self.closed.capacity() * size_of::<ClosedSocket>()
    }

    /// See [`super::Table::forgotten_ns`].
    pub const fn forgotten_ns(&self) -> u64 {
        self.forgotten_ns
    }

    /// See [`super::Table::is_crowded`].
    pub const fn is_crowded(&self) -> bool {
        self.crowded
    }

    /// Keeps one that has just ended, in place of the first where there are enough.
    pub fn keep(&mut self, closed: ClosedSocket) {
        if self.limits.recent_count == 0 {
            self.forgotten_ns = self.forgotten_ns.max(closed.closed_ns);
            self.crowded = true;
            return;
        }
        while self.closed.len() >= self.limits.recent_count {
            self.forget_first(true);
        }
        self.expire(closed.closed_ns);
        self.closed.push_back(closed);
    }

    /// Forgets those that are too old.
    pub fn expire(&mut self, now_ns: u64) {
        while self.closed.front().is_some_and(|c| now_ns.saturating_sub(c.closed_ns) > self.limits.recent_ns) {
            self.forget_first(false);
        }
    }

    fn forget_first(&mut self, crowded: bool) {
        if let Some(closed) = self.closed.pop_front() {
            self.crowded = crowded;
            self.forgotten_ns = self.forgotten_ns.max(closed.closed_ns);
        }
    }
}
