//! Sockets whose records do not name the process that holds them. There are two kinds. Where no hook saw a process accept a connection (a 32-bit
//! process, where the kernel refuses `fexit`), its records name the owner of the listener. Where the owner of a socket has ended, its records name
//! nobody. Both have the inode of a socket that some process holds. A later record of the same socket names that process, or the iterator over
//! open files finds it.

use super::decode::RecordProcess;
use netstat_ebpf::{FoundRecord, Grade, Record, UNSEEN};
use std::collections::HashMap;
use std::mem::offset_of;

/// What identifies a connection. An inode does not: a socket has none once its process has closed it. Nor does a cookie: not every socket has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Inode(u64),
    Cookie(u64),
}

/// What is looked up, and what was found.
#[derive(Debug, Default)]
pub struct Unseen {
    /// Inodes of connections without a known holder, by every key of theirs.
    wanted: HashMap<Key, u64>,
    /// Holders by inode.
    found: HashMap<u64, RecordProcess>,
    /// Whether a connection was accepted where no hook saw it.
    accepted: bool,
    /// The iterator ran after the batch was read: what was recorded meanwhile is in the next one.
    late: bool,
    /// Whether every process has a number here: a socket without an owner is then one whose owner has ended, and not one of a process that is
    /// not to be seen.
    every_process: bool,
}

impl Unseen {
    /// Nothing yet. `every_process`: the reader's PID namespace is the initial one.
    pub fn new(every_process: bool) -> Self {
        Self { every_process, ..Self::default() }
    }

    /// Begins a batch of records. `empty` says that the ring held nothing after the last one: no record from before is left.
    pub fn begin(&mut self, empty: bool) {
        self.wanted.clear();
        if empty && !self.late {
            self.found.clear();
        }
        self.late = false;
    }

    /// Looks at a record of a batch, in their order: whether its connection was accepted unseen, or it names the holder of one that was.
    pub fn look(&mut self, record: &[u8]) {
        if record.len() < size_of::<Record>() {
            return;
        }
        let grade = record[offset_of!(Record, grade)];
        self.accepted |= record[offset_of!(Record, flags)] & UNSEEN != 0;
        let inode = word(record, offset_of!(Record, inode));
        let nobody = grade == Grade::None as u8;
        if nobody && (inode == 0 || !self.every_process) {
            return;
        }
        let inherited = nobody || grade == Grade::Inherited as u8;
        if !inherited && self.wanted.is_empty() {
            return;
        }
        let cookie = word(record, offset_of!(Record, cookie));
        let keys = [Key::Inode(inode), Key::Cookie(cookie)].into_iter().filter(|key| !key.is_none());
        if !inherited {
            let process = (number(record, offset_of!(Record, pid)), number(record, offset_of!(Record, start)));
            for wanted in keys.filter_map(|key| self.wanted.remove(&key)) {
                self.found.insert(wanted, process);
            }
        } else if inode != 0 && !self.found.contains_key(&inode) {
            self.accepted |= !nobody;
            self.wanted.extend(keys.map(|key| (key, inode)));
        }
    }

    /// Whether a connection was accepted where no hook saw it, since this was asked last.
    pub fn accepted(&mut self) -> bool {
        std::mem::take(&mut self.accepted)
    }

    /// Whether a connection of the batch is without a known holder.
    pub fn is_wanting(&self) -> bool {
        self.wanted.values().any(|inode| !self.found.contains_key(inode))
    }

    /// Takes what the iterator found.
    pub fn learn(&mut self, records: &[u8]) {
        self.late = true;
        for record in records.chunks_exact(size_of::<FoundRecord>()) {
            let inode = word(record, offset_of!(FoundRecord, inode));
            let process =
                (number(record, offset_of!(FoundRecord, pid)), number(record, offset_of!(FoundRecord, start)));
            self.found.insert(inode, process);
        }
    }

    /// The process that holds the connection of this inode, where it was looked up.
    pub fn holder(&self, inode: u64) -> Option<RecordProcess> {
        self.found.get(&inode).copied()
    }
}

impl Key {
    const fn is_none(self) -> bool {
        matches!(self, Self::Inode(0) | Self::Cookie(0))
    }
}

/// The word at an offset, 0 where the record is too short.
fn word(record: &[u8], at: usize) -> u64 {
    record.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |&bytes| u64::from_ne_bytes(bytes))
}

/// The same of four bytes.
fn number(record: &[u8], at: usize) -> u32 {
    record.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |&bytes| u32::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(grade: Grade, inode: u64, cookie: u64, (pid, start): RecordProcess) -> Vec<u8> {
        let mut record = vec![0; size_of::<Record>()];
        record[offset_of!(Record, grade)] = grade as u8;
        let mut put = |at: usize, bytes: &[u8]| record[at..at + bytes.len()].copy_from_slice(bytes);
        put(offset_of!(Record, inode), &inode.to_ne_bytes());
        put(offset_of!(Record, cookie), &cookie.to_ne_bytes());
        put(offset_of!(Record, pid), &pid.to_ne_bytes());
        put(offset_of!(Record, start), &start.to_ne_bytes());
        record
    }

    const LISTENER: RecordProcess = (10, 1);
    const WORKER: RecordProcess = (20, 2);

    #[test]
    fn a_later_record_names_the_holder() {
        let mut unseen = Unseen::default();
        unseen.look(&record(Grade::Inherited, 0, 5, LISTENER));
        assert!(!unseen.is_wanting(), "nobody has accepted that one");
        unseen.look(&record(Grade::Inherited, 7, 5, LISTENER));
        unseen.look(&record(Grade::Inherited, 8, 0, LISTENER));
        assert!(unseen.is_wanting());
        unseen.look(&record(Grade::Created, 9, 6, WORKER));
        assert_eq!((unseen.holder(7), unseen.holder(8)), (None, None));
        // It is closed: no inode any more.
        unseen.look(&record(Grade::Accepted, 0, 5, WORKER));
        assert_eq!(unseen.holder(7), Some(WORKER));
        assert!(unseen.is_wanting());
        unseen.look(&record(Grade::Accepted, 8, 0, WORKER));
        assert_eq!(unseen.holder(8), Some(WORKER));
        assert!(!unseen.is_wanting());
    }

    #[test]
    fn what_the_iterator_found_stays_until_the_ring_was_empty() {
        let mut unseen = Unseen::default();
        unseen.look(&record(Grade::Inherited, 7, 5, LISTENER));
        unseen.learn(&[&7u64.to_ne_bytes()[..], &WORKER.0.to_ne_bytes(), &WORKER.1.to_ne_bytes()].concat());
        assert!(!unseen.is_wanting());
        for empty in [true, false] {
            unseen.begin(empty);
            unseen.look(&record(Grade::Inherited, 7, 5, LISTENER));
            assert_eq!((unseen.is_wanting(), unseen.holder(7)), (false, Some(WORKER)));
        }
        unseen.begin(true);
        assert_eq!(unseen.holder(7), None);
    }

    #[test]
    fn a_socket_whose_owner_has_ended_is_looked_up() {
        for every_process in [true, false] {
            let mut unseen = Unseen::new(every_process);
            unseen.look(&record(Grade::None, 0, 5, (0, 0)));
            assert!(!unseen.is_wanting(), "nobody holds that one");
            unseen.look(&record(Grade::None, 7, 5, (0, 0)));
            assert_eq!(unseen.is_wanting(), every_process);
        }
    }

    #[test]
    fn records_without_a_socket_are_passed_over() {
        let mut unseen = Unseen::default();
        unseen.look(&[]);
        unseen.look(&[4; 32]);
        unseen.learn(&[0; 15]);
        assert!(!unseen.is_wanting());
    }
}
