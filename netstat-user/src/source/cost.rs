//! What each way to read costs, and how much there is to read.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// What iterators save over /proc, in nanoseconds per socket and per open file, and what it takes to load them. Of processor time
/// /proc costs about 2.0 µs a socket and 2.8 µs an open file more than nothing, iterators 0.7 and 0.3; but /proc is read by two threads.
pub const SAVED_PER_SOCKET: u64 = 1000;
const SAVED_PER_FILE: u64 = 1300;
const LOAD: u64 = 3_000_000;

/// What iterators save over `sock_diag` per socket, without and with the counts of timers, which come with the whole `tcp_info`; and what the
/// first walk costs once they are loaded for something else.
const SAVED_OVER_DIAG: u64 = 100;
const SAVED_OVER_INFO: u64 = 1100;
const VERIFY: u64 = 800_000;

/// And for the one of UDP in particular, whose table in /proc is short.
pub const LOAD_UDP: u64 = 1_000_000;

/// The same per chain of the kernel's table of connections, most of which are empty: an iterator walks once over it, where /proc walks for
/// each family. Side by side the two take 7 ns a chain more, one after the other 20: it depends on where the second thread wakes up.
const SAVED_PER_CHAIN: u64 = 12;

/// What there is to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Amount {
    /// Sockets.
    pub sockets: u64,
    /// Open files.
    pub files: u64,
    /// Chains that would be walked twice.
    pub chains: u64,
}

impl Amount {
    /// Whether iterators are worth their load where /proc is the other way.
    pub const fn is_worthwhile(self) -> bool {
        self.sockets
            .saturating_mul(SAVED_PER_SOCKET)
            .saturating_add(self.files.saturating_mul(SAVED_PER_FILE))
            .saturating_add(self.chains.saturating_mul(SAVED_PER_CHAIN))
            > LOAD
    }
}

/// Whether iterators are better than `sock_diag` for so many sockets, listed with or without the counts of timers; `loaded` says whether they are
/// there anyway.
pub const fn is_beyond_diag(sockets: u64, timers: bool, loaded: bool) -> bool {
    let saved = if timers { SAVED_OVER_INFO } else { SAVED_OVER_DIAG };
    sockets.saturating_mul(saved) > if loaded { VERIFY } else { LOAD + VERIFY }
}

/// How many sockets there are.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct InUse {
    /// Sockets of TCP.
    pub tcp: u64,
    /// Sockets of UDP.
    pub udp: u64,
}

impl InUse {
    /// All of them.
    pub const fn sum(&self) -> u64 {
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

/// The sockets of the namespace whose `net/` is below a root: counted when that is first asked for, and once.
#[derive(Debug)]
pub struct Census<'r> {
    root: &'r Path,
    counted: OnceLock<InUse>,
}

impl<'r> Census<'r> {
    /// Nothing counted yet.
    pub const fn new(root: &'r Path) -> Self {
        Self { root, counted: OnceLock::new() }
    }

    /// How many there are.
    pub fn sockets(&self) -> &InUse {
        self.counted.get_or_init(|| sockets(self.root))
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
/// zero then. 0 where the kernel does not report it, before 6.2.
pub fn chains(root: &Path) -> u64 {
    let text = fs::read_to_string(root.join("sys/net/ipv4/tcp_ehash_entries")).unwrap_or_default();
    text.trim().parse().map_or(0, i64::unsigned_abs)
}

/// How many files are open on the machine.
pub fn files(root: &Path) -> u64 {
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
    fn large_tables_are_iterated() {
        for (sockets, timers, loaded, expected) in [
            (10, false, false, false),
            (10, true, true, false),
            (5_000, false, true, false),
            (50_000, false, false, true),
            (10_000, false, true, true),
            (1_000, true, true, true),
            (3_000, true, false, false),
            (5_000, true, false, true),
            (u64::MAX, false, false, true),
        ] {
            assert_eq!(is_beyond_diag(sockets, timers, loaded), expected, "{sockets} {timers} {loaded}");
        }
    }

    #[test]
    fn sockets_are_counted_once() {
        let folder = std::env::temp_dir().join(format!("netstat-user-census-{}", std::process::id()));
        fs::create_dir_all(folder.join("net")).unwrap();
        let census = Census::new(&folder);
        fs::write(folder.join("net/sockstat"), "TCP: inuse 7 orphan 0 tw 1\nUDP: inuse 2\n").unwrap();
        assert_eq!((census.sockets().tcp, census.sockets().sum()), (8, 10));
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(census.sockets().udp, 2);
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
