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

/// And for the one of UDP in particular, whose table in /proc is short.
const LOAD_UDP: u64 = 1_000_000;

/// The same per chain of the kernel's table of connections, most of which are empty: an iterator walks once over it, where /proc walks for
/// each family. Side by side the two take 7 ns a chain more, one after the other 20: it depends on where the second thread wakes up.
const SAVED_PER_CHAIN: u64 = 12;

/// What there is to read.
#[derive(Clone, Copy, Default)]
struct Amount {
    sockets: u64,
    files: u64,
    /// Chains that would be walked twice.
    chains: u64,
}

impl Amount {
    /// Whether iterators are worth their load.
    const fn is_worthwhile(self) -> bool {
        self.sockets
            .saturating_mul(SAVED_PER_SOCKET)
            .saturating_add(self.files.saturating_mul(SAVED_PER_FILE))
            .saturating_add(self.chains.saturating_mul(SAVED_PER_CHAIN))
            > LOAD
    }
}

/// What is kept from one look at the kernel to the next.
pub struct Source {
    /// Where /proc is mounted.
    root: PathBuf,
    /// Whether cookies are wanted, which only iterators tell, however little there is to read.
    cookies: bool,
    /// The kernel's iterators, once there was reason to load them; `None` where they were refused.
    iterators: OnceLock<Option<Arc<Iterators>>>,
}

impl Source {
    /// Looks at the kernel through /proc, mounted at `root`; where there is much to read, through iterators, which have the same rows
    /// in the same order, or where `cookies` are wanted.
    pub fn new(root: &Path, cookies: bool) -> Self {
        Self { root: root.into(), cookies, iterators: OnceLock::new() }
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

    /// Decides how to read these tables before holders are looked for: these come from the iterators, too, once those are loaded.
    pub fn expect(&self, wanted: &RowsWanted) {
        self.iterators(|| self.amount(&self.root, wanted));
    }

    /// Starts to look for the processes that hold sockets, beside whatever the caller does next.
    pub fn holders(&self) -> fds::Scan {
        let amount = || Amount { sockets: sockets(&self.root).sum(), files: files(&self.root), chains: 0 };
        match self.iterators(amount).filter(|_| sees_all_processes(&self.root)) {
            None => fds::Scan::start(&self.root),
            Some(iterators) => fds::Scan::start_with(&self.root, move || {
                let holders = iterators.holders();
                holders.inspect_err(|error| log::debug!("holders come from /proc: {error}")).ok()
            }),
        }
    }

    /// The iterators, if they are there already or are worth their load for so much.
    fn iterators(&self, amount: impl FnOnce() -> Amount) -> Option<Arc<Iterators>> {
        if let Some(iterators) = self.iterators.get() {
            return iterators.clone();
        }
        if !self.cookies && !amount().is_worthwhile() {
            return None;
        }
        let load = || {
            let loaded = Iterators::load().inspect_err(|error| log::debug!("tables come from /proc: {error}"));
            loaded.ok().map(Arc::new)
        };
        self.iterators.get_or_init(load).clone()
    }

    /// What there is to read for the tables of the namespace whose `net/` is below `root`.
    fn amount(&self, root: &Path, wanted: &RowsWanted) -> Amount {
        let both = [Proto::Tcp, Proto::Tcp6].iter().all(|proto| wanted.protos.contains(proto));
        let chains = if both { chains(&self.root) } else { 0 };
        Amount { sockets: sockets(root).sum(), files: 0, chains }
    }

    /// The tables of the namespace whose `net/` is below `root`.
    fn tables(&self, root: &Path, wanted: &RowsWanted) -> Vec<ProtoTable> {
        let mut walked = match self.iterators(|| self.amount(root, wanted)) {
            Some(iterators) => {
                netns::inside(&self.root, root, || self.walk(&iterators, wanted, root)).unwrap_or_default()
            }
            None => Vec::new(),
        };
        let left = wanted.protos.iter().filter(|&proto| walked.iter().all(|(had, _)| had != proto));
        let mut read = read(root, &RowsWanted { protos: left.copied().collect(), peer: wanted.peer });
        let place = |(proto, _): &ProtoTable| wanted.protos.iter().position(|wanted| wanted == proto);
        walked.append(&mut read);
        walked.sort_by_key(place);
        walked
    }

    /// The tables that iterators have, of the calling thread's namespace. What they refuse, or is not worth it, is left out.
    fn walk(&self, iterators: &Iterators, wanted: &RowsWanted, root: &Path) -> Vec<ProtoTable> {
        let mut tables = Vec::new();
        for (transport, v4, v6) in
            [(Transport::Tcp, Proto::Tcp, Proto::Tcp6), (Transport::Udp, Proto::Udp, Proto::Udp6)]
        {
            let has = |proto| wanted.protos.contains(&proto);
            if !has(v4) && !has(v6) {
                continue;
            }
            let needed = transport == Transport::Tcp || self.cookies || iterators.is_loaded(transport);
            if !needed && sockets(root).udp.saturating_mul(SAVED_PER_SOCKET) < LOAD_UDP {
                continue;
            }
            match iterators.sockets(transport, |row| has(row.proto) && wanted.keeps(row)) {
                Ok(rows) => {
                    let halves = [(v4, rows.v4), (v6, rows.v6)].into_iter().filter(|&(proto, _)| has(proto));
                    tables.extend(
                        halves.map(|(proto, rows)| (proto, Ok(SocketTable { rows, ..SocketTable::default() }))),
                    );
                }
                Err(error) => log::debug!("{transport:?} rows come from /proc: {error}"),
            }
        }
        tables
    }
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

/// How many sockets there are.
#[derive(Debug, Default, PartialEq, Eq)]
struct InUse {
    tcp: u64,
    udp: u64,
}

impl InUse {
    const fn sum(&self) -> u64 {
        self.tcp.saturating_add(self.udp)
    }

    /// Adds the TCP, UDP and TIME_WAIT counts of a sockstat file.
    fn add(&mut self, text: &str) {
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let count = match words.next() {
                Some("TCP:" | "TCP6:") => &mut self.tcp,
                Some("UDP:" | "UDP6:") => &mut self.udp,
                _ => continue,
            };
            while let (Some(name), Some(value)) = (words.next(), words.next()) {
                if matches!(name, "inuse" | "tw") {
                    *count = count.saturating_add(value.parse().unwrap_or(0));
                }
            }
        }
    }
}

/// How many sockets /proc/net/tcp and udp list, but for connections in their handshake.
fn sockets(root: &Path) -> InUse {
    let mut sockets = InUse::default();
    for file in ["net/sockstat", "net/sockstat6"] {
        if let Ok(text) = fs::read_to_string(root.join(file)) {
            sockets.add(&text);
        }
    }
    sockets
}

/// How many chains the table of connections has that the calling thread's namespace uses; it may be the initial one's, and the number less than
/// zero then. 0 where the kernel does not tell, before 6.2.
fn chains(root: &Path) -> u64 {
    let text = fs::read_to_string(root.join("sys/net/ipv4/tcp_ehash_entries")).unwrap_or_default();
    text.trim().parse().map_or(0, i64::unsigned_abs)
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
        let worthwhile = |sockets, files, chains| Amount { sockets, files, chains }.is_worthwhile();
        assert!(!worthwhile(0, 0, 0));
        assert!(!worthwhile(10, 600, 16_384));
        assert!(worthwhile(20_000, 0, 0));
        assert!(worthwhile(1000, 2500, 0));
        assert!(worthwhile(10, 0, 262_144));
        assert!(worthwhile(u64::MAX, u64::MAX, u64::MAX));
    }

    #[test]
    fn sockets_are_counted_by_the_kernel() {
        let text = "sockets: used 231\nTCP: inuse 12 orphan 3 tw 40 alloc 19 mem 1\nUDP: inuse 5 mem 2\nUDPLITE: inuse 900\n\
                    RAW: inuse 7\nFRAG: inuse 0 memory 0\n";
        let in_use = |text| {
            let mut sockets = InUse::default();
            sockets.add(text);
            (sockets.tcp, sockets.udp)
        };
        assert_eq!(in_use(text), (52, 5));
        assert_eq!(in_use("TCP6: inuse 4\nUDP6: inuse 3\nUDPLITE6: inuse 8\n"), (4, 3));
        assert_eq!(in_use("TCP: inuse\nTCP: inuse x tw 2\n"), (2, 0));
        assert_eq!(sockets(Path::new("/nonexistent")), InUse::default());
        assert_eq!(files(Path::new("/nonexistent")), 0);
        assert!(files(Path::new("/proc")) > 0);
    }
}
