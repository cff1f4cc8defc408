//! Which processes hold which sockets.

use hashbrown::HashSet;

/// Processes with the sockets that they hold, process by process: each socket once, however many descriptors of it a process has.
#[derive(Debug)]
pub struct HeldSockets {
    pairs: Vec<(u32, u64)>,
    /// The sockets of the last process.
    seen: HashSet<u64>,
    most: usize,
    is_over: bool,
}

impl Default for HeldSockets {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl HeldSockets {
    /// Sets larger than this are not kept for the next process: to empty one takes as long as it is large.
    const LARGE: usize = 1 << 12;

    /// None; no more than so many are taken in.
    pub fn new(most: usize) -> Self {
        Self { pairs: Vec::new(), seen: HashSet::new(), most, is_over: false }
    }

    /// Adds that a process holds a socket.
    pub fn add(&mut self, process: u32, inode: u64) {
        if self.pairs.last() == Some(&(process, inode)) {
            return;
        }
        if self.pairs.last().is_none_or(|&(last, _)| last != process) {
            if self.seen.capacity() > Self::LARGE {
                self.seen = HashSet::new();
            }
            self.seen.clear();
        }
        if !self.seen.insert(inode) {
            return;
        }
        if self.pairs.len() < self.most {
            self.pairs.push((process, inode));
        } else {
            self.is_over = true;
        }
    }

    /// How many are taken in.
    pub const fn most(&self) -> usize {
        self.most
    }

    /// Whether there were more than are taken in.
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// All of them, in the order in which they were added.
    pub fn pairs(&self) -> &[(u32, u64)] {
        &self.pairs
    }

    /// The same.
    pub fn into_pairs(self) -> Vec<(u32, u64)> {
        self.pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_holds_a_socket_once_and_no_more_are_kept_than_may_be() {
        let mut held = HeldSockets::new(4);
        for (process, inode) in [(1, 10), (1, 10), (1, 11), (1, 10), (2, 10), (2, 10)] {
            held.add(process, inode);
        }
        assert_eq!(held.pairs(), [(1, 10), (1, 11), (2, 10)]);
        held.add(2, 12);
        held.add(2, 10);
        assert!(!held.is_over());
        held.add(2, 13);
        assert!(held.is_over() && held.pairs().len() == 4);
        let mut many = HeldSockets::default();
        (0..10_000).for_each(|inode| many.add(1, inode));
        many.add(2, 5);
        assert!(many.seen.capacity() <= HeldSockets::LARGE && many.into_pairs().len() == 10_001);
    }
}
