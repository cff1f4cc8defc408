//! Where the rows of the Internet tables and the holders of sockets are read: the one place that chooses how, for the classic tables
//! that are printed without an agent and for the agent itself.

use crate::kernel::Iterators;
use crate::kernel::snapshot::{Transport, sees_all_processes};
use crate::model::{NamespaceTables, Proto, ProtoTable, RowsWanted, SocketTable};
use crate::proc::netns::{self, Namespace};
use crate::proc::{fds, inet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;

/// What iterators save over /proc, in nanoseconds per socket and per open file, and what it takes to load them. Of processor time
/// /proc costs about 2.0 µs a socket and 2.8 µs an open file more than nothing, iterators 0.7 and 0.3; but /proc is read by two threads.
const SAVED_PER_SOCKET: u64 = 1000;
const SAVED_PER_FILE: u64 = 1300;
const LOAD: u64 = 3_000_000;

/// Whether iterators are worth their load.
const fn worthwhile(sockets: u64, files: u64) -> bool {
    sockets.saturating_mul(SAVED_PER_SOCKET).saturating_add(files.saturating_mul(SAVED_PER_FILE)) > LOAD
}

/// What is kept from one look at the kernel to the next.
pub struct Source {
    /// Where /proc is mounted.
    root: PathBuf,
    /// The kernel's iterators, once there was much to read; `None` where they were refused.
    iterators: OnceLock<Option<Arc<Iterators>>>,
}

impl Source {
    /// Looks at the kernel through /proc, mounted at `root`; where there is much to read, through iterators, which have the same rows
    /// in the same order.
    pub fn new(root: &Path) -> Self {
        Self { root: root.into(), iterators: OnceLock::new() }
    }

    /// The tables of the caller's own namespace, in the order asked for.
    pub fn own(&self, wanted: &RowsWanted) -> Vec<ProtoTable> {
        self.tables(&self.root, wanted)
    }

    /// The tables of namespaces, in their order. One that has gone meanwhile has none.
    pub fn of(&self, namespaces: Vec<Namespace>, wanted: &RowsWanted) -> Vec<NamespaceTables> {
        let look = |namespace: Namespace| {
            let inside = namespace.within(&self.root, Path::new(netns::NAMES), |root| self.tables(root, wanted));
            Some(NamespaceTables { netns: Some(namespace.inode), name: namespace.name, tables: inside.ok()? })
        };
        namespaces.into_iter().filter_map(look).collect()
    }

    /// Starts to look for the processes that hold sockets, beside whatever the caller does next.
    pub fn holders(&self) -> fds::Scan {
        match self.iterators(|| (sockets(&self.root), files(&self.root))).filter(|_| sees_all_processes(&self.root)) {
            None => fds::Scan::start(&self.root),
            Some(iterators) => fds::Scan::start_with(&self.root, move || {
                let holders = iterators.holders();
                holders.inspect_err(|error| log::debug!("holders come from /proc: {error}")).ok()
            }),
        }
    }

    /// The iterators, if they are there already or are worth their load for so many sockets and open files.
    fn iterators(&self, amount: impl FnOnce() -> (u64, u64)) -> Option<Arc<Iterators>> {
        if let Some(iterators) = self.iterators.get() {
            return iterators.clone();
        }
        let (sockets, files) = amount();
        if !worthwhile(sockets, files) {
            return None;
        }
        let load = || {
            let loaded = Iterators::load().inspect_err(|error| log::debug!("tables come from /proc: {error}"));
            loaded.ok().map(Arc::new)
        };
        self.iterators.get_or_init(load).clone()
    }

    /// The tables of the namespace whose `net/` is below `root`.
    fn tables(&self, root: &Path, wanted: &RowsWanted) -> Vec<ProtoTable> {
        let mut walked = match self.iterators(|| (sockets(root), 0)) {
            Some(iterators) => netns::inside(&self.root, root, || walk(&iterators, wanted)).unwrap_or_default(),
            None => Vec::new(),
        };
        let left = wanted.protos.iter().filter(|&proto| walked.iter().all(|(had, _)| had != proto));
        let mut read = read(root, &RowsWanted { protos: left.copied().collect(), peer: wanted.peer });
        let place = |(proto, _): &ProtoTable| wanted.protos.iter().position(|wanted| wanted == proto);
        walked.append(&mut read);
        walked.sort_by_key(place);
        walked
    }
}

/// The tables that iterators have, of the calling thread's namespace. What they refuse is left out.
fn walk(iterators: &Iterators, wanted: &RowsWanted) -> Vec<ProtoTable> {
    let mut tables = Vec::new();
    for (transport, v4, v6) in [(Transport::Tcp, Proto::Tcp, Proto::Tcp6), (Transport::Udp, Proto::Udp, Proto::Udp6)] {
        let has = |proto| wanted.protos.contains(&proto);
        if !has(v4) && !has(v6) {
            continue;
        }
        match iterators.sockets(transport, |row| has(row.proto) && wanted.keeps(row)) {
            Ok(rows) => {
                let halves = [(v4, rows.v4), (v6, rows.v6)].into_iter().filter(|&(proto, _)| has(proto));
                tables.extend(halves.map(|(proto, rows)| (proto, Ok(SocketTable { rows, ..SocketTable::default() }))));
            }
            Err(error) => log::debug!("{transport:?} rows come from /proc: {error}"),
        }
    }
    tables
}

/// The tables of the namespace whose `net/` is below `root`, from /proc. The two large ones are read side by side: each costs a walk over the
/// kernel's whole hash table, however few sockets there are.
fn read(root: &Path, wanted: &RowsWanted) -> Vec<ProtoTable> {
    let read = |proto| inet::read(root, proto, |row| wanted.keeps(row));
    thread::scope(|scope| {
        let both = wanted.protos.contains(&Proto::Tcp) && wanted.protos.contains(&Proto::Tcp6);
        let beside = || thread::Builder::new().spawn_scoped(scope, || read(Proto::Tcp6)).ok();
        let mut beside = if both { beside() } else { None };
        let table = |&proto: &Proto| {
            let theirs = if proto == Proto::Tcp6 { beside.take().and_then(|beside| beside.join().ok()) } else { None };
            (proto, theirs.unwrap_or_else(|| read(proto)))
        };
        wanted.protos.iter().map(table).collect()
    })
}

/// How many sockets /proc/net/tcp and udp list, but for connections in their handshake.
fn sockets(root: &Path) -> u64 {
    ["net/sockstat", "net/sockstat6"]
        .iter()
        .filter_map(|file| fs::read_to_string(root.join(file)).ok())
        .map(|text| in_use(&text))
        .sum()
}

/// Sum of the TCP, UDP and TIME_WAIT counts of a sockstat file.
fn in_use(text: &str) -> u64 {
    let mut sum = 0;
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        if !matches!(words.next(), Some("TCP:" | "TCP6:" | "UDP:" | "UDP6:")) {
            continue;
        }
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            if matches!(name, "inuse" | "tw") {
                sum += value.parse().unwrap_or(0);
            }
        }
    }
    sum
}

/// How many files are open on the machine.
fn files(root: &Path) -> u64 {
    let text = fs::read_to_string(root.join("sys/fs/file-nr")).unwrap_or_default();
    text.split_ascii_whitespace().next().and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_machines_read_proc() {
        assert!(!worthwhile(0, 0));
        assert!(!worthwhile(10, 0));
        assert!(!worthwhile(10, 600));
        assert!(worthwhile(20_000, 0));
        assert!(worthwhile(1000, 2500));
        assert!(worthwhile(u64::MAX, u64::MAX));
    }

    #[test]
    fn sockets_are_counted_by_the_kernel() {
        let text = "sockets: used 231\nTCP: inuse 12 orphan 3 tw 40 alloc 19 mem 1\nUDP: inuse 5 mem 2\nUDPLITE: inuse 900\n\
                    RAW: inuse 7\nFRAG: inuse 0 memory 0\n";
        assert_eq!(in_use(text), 57);
        assert_eq!(in_use("TCP6: inuse 4\nUDP6: inuse 3\nUDPLITE6: inuse 8\n"), 7);
        assert_eq!(in_use("TCP: inuse\nTCP: inuse x tw 2\n"), 2);
        assert_eq!(sockets(Path::new("/nonexistent")), 0);
        assert_eq!(files(Path::new("/nonexistent")), 0);
        assert!(files(Path::new("/proc")) > 0);
    }
}
