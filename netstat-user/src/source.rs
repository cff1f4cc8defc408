//! Where the rows of the Internet tables and the holders of sockets are read: the one place that chooses how, for the classic tables
//! that are printed without an agent and for the agent itself.

mod cost;
mod evidence;
mod loaded;
mod look;
mod unix;

pub use evidence::Evidence;
pub use loaded::FallBack;
pub use look::OwnLook;
pub use unix::UnixTable;

use crate::diag::Protocol;
use crate::diag::bytecode::Narrowed;
use crate::diag::loaded::{Part, loads_nothing};
use crate::diag::tables::{self, DumpRequest};
use crate::diag::{Channel, DiagError};
use crate::kernel::Iterators;
use crate::kernel::snapshot::{Transport, is_unsupported, sees_all_processes};
use crate::model::{Check, Level, NamespaceTables, Proto, ProtoTable, RowsWanted, SocketRow, SocketTable};
use crate::proc::netns::{self, Namespace};
use crate::proc::{fds, inet};
use crate::sys::{Awaited, GivenUp, Scarce, beside, copy_of, descriptors_are_few, thread_network};
use cost::{Amount, Census, LOAD_UDP, SAVED_PER_SOCKET, chains, files, is_beyond_diag};
use loaded::{FallBacks, Loaded};
use rustix::fs::PROC_SUPER_MAGIC;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Links from processes to sockets that are kept at most where tables are read for others: 64 MiB. A process that shares all its sockets with its
/// children makes as many anew with each child.
const MOST_HELD: usize = 1 << 22;

/// What whoever asks will look at, beyond addresses, state, queues and inode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowNeeds {
    /// Cookies, which /proc does not have.
    pub cookies: bool,
    /// Users. A request has its listener's, which `sock_diag` does not know.
    pub users: bool,
    /// Timers with both their counts.
    pub timers: bool,
    /// Tables will be read again and again: programs once loaded are worth it.
    pub lasting: bool,
}

impl RowNeeds {
    /// Whether a request as `sock_diag` shows it would do.
    const fn nothing_of_requests(self) -> bool {
        !self.users && !self.timers
    }
}

/// What is kept from one look at the kernel to the next.
pub struct KernelSource {
    /// Where /proc is mounted.
    root: PathBuf,
    needs: RowNeeds,
    /// The kernel's iterators, once there was reason to load them.
    iterators: Loaded,
    /// What was read in another way than the best, and why.
    falls: Arc<FallBacks>,
    /// Whether `sock_diag` may be asked, once that was looked at: for TCP, and for UDP.
    diag: [OnceLock<bool>; 2],
}

impl KernelSource {
    /// Looks at the kernel through /proc, mounted at `root`, or by a quicker way that has the same rows in the same order: `sock_diag` where
    /// asking it loads nothing into the kernel, iterators where there is much to read.
    pub fn new(root: &Path, needs: RowNeeds) -> Self {
        Self {
            root: root.into(),
            needs,
            iterators: Loaded::default(),
            falls: Arc::default(),
            diag: [const { OnceLock::new() }; 2],
        }
    }

    /// The tables of namespaces, in their order. One that has gone meanwhile has none.
    pub fn of(&self, namespaces: Vec<Namespace>, wanted: &RowsWanted) -> Vec<NamespaceTables> {
        self.read(&Awaited::default(), namespaces, wanted)
    }

    /// The same; no more tables are read once nobody waits for them.
    ///
    /// # Errors
    /// Nobody does.
    pub fn of_while(
        &self,
        awaited: &Awaited,
        namespaces: Vec<Namespace>,
        wanted: &RowsWanted,
    ) -> Result<Vec<NamespaceTables>, GivenUp> {
        let tables = self.read(awaited, namespaces, wanted);
        awaited.go_on().map(|()| tables)
    }

    fn read(&self, awaited: &Awaited, namespaces: Vec<Namespace>, wanted: &RowsWanted) -> Vec<NamespaceTables> {
        let look = |_: &Namespace, root: &Path| match awaited.is_over() {
            true => Vec::new(),
            false => self.tables(root, wanted, &Census::new(root)),
        };
        let found = netns::each(&self.root, Path::new(netns::NAMES), namespaces, look);
        let tables = |(namespace, read): (Namespace, io::Result<Vec<ProtoTable>>)| {
            let tables = match read {
                Ok(tables) => tables,
                // What has run out is not the same as gone.
                Err(error) if Scarce::of(&error).is_some() => {
                    wanted.protos.iter().map(|&proto| (proto, Err(copy_of(&error)))).collect()
                }
                Err(_) => return None,
            };
            Some(NamespaceTables { netns: Some(namespace.inode), name: namespace.name, tables })
        };
        found.into_iter().filter_map(tables).collect()
    }

    /// Starts to look for the processes that hold sockets, beside whatever the caller does next; where tables are read for others, no thread is made, and
    /// the caller waits, as in [`KernelSource::holders_for_others`].
    pub fn holders(&self) -> fds::Scan {
        self.look().holders()
    }

    /// The same; `census` is of the own namespace.
    fn holders_beside(&self, census: &Census<'_>) -> fds::Scan {
        if self.needs.lasting {
            return self.holders_for_others(&Awaited::default());
        }
        let most = usize::MAX;
        let others = || if self.has_diag(Protocol::Tcp) { 0 } else { census.sockets().sum() };
        let amount = || Amount { sockets: others(), files: files(&self.root), chains: 0 };
        match self.iterators(amount).filter(|_| sees_all_processes(&self.root)) {
            None => fds::Scan::start(&self.root, most),
            Some(iterators) => {
                let falls = Arc::clone(&self.falls);
                fds::Scan::start_with(&self.root, most, move || match iterators.holders(most, &Awaited::default()) {
                    Ok(holders) => Some(holders),
                    Err(error) => {
                        falls.note("holders by iterator", &error, is_unsupported(&error));
                        None
                    }
                })
            }
        }
    }

    /// Looks for the processes that hold sockets, up to [`MOST_HELD`], on the calling thread, as long as that is waited for: whoever reads for others
    /// may have no room for a thread more.
    pub fn holders_for_others(&self, awaited: &Awaited) -> fds::Scan {
        let iterators = self.iterators(Amount::default).filter(|_| sees_all_processes(&self.root));
        match iterators.map(|iterators| iterators.holders(MOST_HELD, awaited)) {
            Some(Ok(held)) => fds::Scan::of_held(&self.root, held),
            Some(Err(error)) if GivenUp::is(&error) => fds::Scan::given_up(&self.root),
            Some(Err(error)) => {
                self.falls.note("holders by iterator", &error, is_unsupported(&error));
                fds::Scan::make(&self.root, MOST_HELD, awaited)
            }
            None => fds::Scan::make(&self.root, MOST_HELD, awaited),
        }
    }

    /// Loads all that may be asked for later, for a process that is about to give up the right to load.
    pub fn prepare(&self) {
        if let Some(iterators) = self.load() {
            for transport in [Transport::Tcp, Transport::Udp] {
                if let Err(error) = iterators.sockets(transport, |_| false) {
                    self.falls.note(rows_by_iterator(transport), &error, is_unsupported(&error));
                }
            }
            if let Err(error) = iterators.holders(MOST_HELD, &Awaited::default()) {
                self.falls.note("holders by iterator", &error, is_unsupported(&error));
            }
        }
    }

    /// What was read in another way than the best, and why.
    pub fn falls(&self) -> Vec<FallBack> {
        self.falls.all()
    }

    /// What `doctor` reports of it: the same rows and holders come from elsewhere, and a failure is worth a note.
    pub fn check(&self) -> Check {
        let falls = self.falls();
        let found = falls.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        match falls.iter().any(|fall| fall.failed) {
            _ if falls.is_empty() => {
                Check::ok("sources", "rows and holders come from the kernel's iterators where these are best")
            }
            false => Check::ok("sources", format!("{found}: sock_diag and /proc have the same rows")),
            true => {
                let mend = "see whether memory or descriptors are short (dmesg, ulimit -n, sysctl fs.file-max); it is tried again";
                Check::amiss("sources", Level::Note, format!("{found}: sock_diag and /proc have the same rows"), mend)
            }
        }
    }

    /// The iterators, if they are there already or are worth their load for so much. They keep descriptors open: where these are few, all that is
    /// left are for reading.
    fn iterators(&self, amount: impl FnOnce() -> Amount) -> Option<Arc<Iterators>> {
        if let Some(known) = self.iterators.known() {
            return known;
        }
        if !self.needs.lasting && (descriptors_are_few() || !amount().is_worthwhile()) {
            return None;
        }
        self.load()
    }

    /// The iterators, loaded now if they are not yet; `None` where they are refused.
    fn load(&self) -> Option<Arc<Iterators>> {
        self.iterators.load(|error| self.falls.note("iterators", error, error.is_unsupported()))
    }

    /// Whether `sock_diag` may be asked for a protocol's sockets.
    fn has_diag(&self, protocol: Protocol) -> bool {
        let (place, part) = match protocol {
            Protocol::Tcp => (0, Part::Tcp),
            Protocol::Udp => (1, Part::Udp),
            // Their tables in /proc are short.
            Protocol::UdpLite | Protocol::Raw => return false,
        };
        let file = self.root.join(inet::file(protocol.of_family(false)));
        *self.diag[place].get_or_init(|| is_kernels(&file) && loads_nothing(&self.root, part))
    }

    /// What there is to read for the tables of the namespace of `census`.
    fn amount(&self, census: &Census<'_>, wanted: &RowsWanted) -> Amount {
        let both = [Proto::Tcp, Proto::Tcp6].iter().all(|proto| wanted.protos.contains(proto));
        let chains = if both { chains(&self.root) } else { 0 };
        Amount { sockets: census.sockets().sum(), files: 0, chains }
    }

    /// The tables of the namespace whose `net/` is below `root`; `census` is of that, too.
    fn tables(&self, root: &Path, wanted: &RowsWanted, census: &Census<'_>) -> Vec<ProtoTable> {
        let mut walked = Vec::new();
        let (tcp, udp) = (Halves::of(Protocol::Tcp, wanted), Halves::of(Protocol::Udp, wanted));
        if tcp.any() || udp.any() {
            let inside = || self.walk(&[tcp, udp], wanted, root, census);
            match netns::inside(&self.root, root, inside) {
                Ok(tables) => walked = tables,
                Err(error) if netns::has_gone(&error) => {}
                Err(error) => self.falls.note("way into a network namespace", &error, is_unsupported(&error)),
            }
        }
        let left = wanted.protos.iter().filter(|&proto| walked.iter().all(|(had, _)| had != proto));
        let mut read = read(root, &left.copied().collect::<Vec<_>>(), wanted);
        let place = |(proto, _): &ProtoTable| wanted.protos.iter().position(|wanted| wanted == proto);
        walked.append(&mut read);
        walked.sort_by_key(place);
        walked
    }

    /// The tables that there are other ways to than /proc, of the calling thread's namespace. What they refuse, or is not worth it, is left out.
    fn walk(&self, halves: &[Halves], wanted: &RowsWanted, root: &Path, census: &Census<'_>) -> Vec<ProtoTable> {
        let mut tables = Vec::new();
        for halves in halves.iter().filter(|halves| halves.any()) {
            let narrowed = wanted.only.as_ref().map_or(Narrowed::NOTHING, |only| Narrowed::of(only, halves.protocol));
            let lasting = self.needs.lasting.then(|| self.load()).flatten();
            let rows = match lasting {
                Some(iterators) => self.iterate(&iterators, halves, wanted),
                None if self.is_for_diag(halves, wanted, &narrowed, census) => self.ask(halves, wanted, narrowed, root),
                None => None,
            };
            let rows = match rows {
                Some(rows) => Some(rows),
                None => self
                    .worthwhile(halves, wanted, census)
                    .and_then(|iterators| self.iterate(&iterators, halves, wanted)),
            };
            let [v4, v6] = rows.unwrap_or_default();
            for (proto, rows) in [(halves.v4, v4), (halves.v6, v6)] {
                if let (Some(proto), Some(rows)) = (proto, rows) {
                    tables.push((proto, Ok(SocketTable { rows, ..SocketTable::default() })));
                }
            }
        }
        tables
    }

    /// Whether `sock_diag` is there and better than iterators for this protocol.
    fn is_for_diag(&self, halves: &Halves, wanted: &RowsWanted, narrowed: &Narrowed, census: &Census<'_>) -> bool {
        if !self.has_diag(halves.protocol) {
            return false;
        }
        // Listeners are a walk of their own there, and a short one; and what the kernel leaves out need not be read.
        if halves.protocol != Protocol::Tcp || wanted.peer == Some(false) || narrowed.is_much {
            return true;
        }
        let loaded = match self.iterators.known() {
            Some(None) => return true,
            known => known.is_some(),
        };
        !is_beyond_diag(census.sockets().tcp, self.needs.timers, loaded) || self.load().is_none()
    }

    /// The iterators, where they are better than what is left for this protocol.
    fn worthwhile(&self, halves: &Halves, wanted: &RowsWanted, census: &Census<'_>) -> Option<Arc<Iterators>> {
        if self.needs.cookies || self.has_diag(halves.protocol) {
            return self.load();
        }
        let iterators = self.iterators(|| self.amount(census, wanted))?;
        let loaded = iterators.is_loaded(halves.transport()?);
        let short =
            halves.protocol == Protocol::Udp && census.sockets().udp.saturating_mul(SAVED_PER_SOCKET) < LOAD_UDP;
        (loaded || !short).then_some(iterators)
    }

    /// The rows from the iterators.
    fn iterate(&self, iterators: &Iterators, halves: &Halves, wanted: &RowsWanted) -> Option<Halved> {
        let transport = halves.transport()?;
        match iterators.sockets(transport, |row| wanted.keeps(row)) {
            Ok(rows) => Some([Some(rows.v4), Some(rows.v6)]),
            Err(error) => {
                self.falls.note(rows_by_iterator(transport), &error, is_unsupported(&error));
                None
            }
        }
    }

    /// The rows from `sock_diag`.
    fn ask(&self, halves: &Halves, wanted: &RowsWanted, narrowed: Narrowed, root: &Path) -> Option<Halved> {
        if !self.has_diag(halves.protocol) {
            return None;
        }
        let netns = thread_network();
        let (v4, v6) = (halves.v4.is_some(), halves.v6.is_some());
        let asked = DumpRequest {
            v4,
            v6,
            peer: wanted.peer,
            info: self.needs.timers,
            narrowed,
            netns,
            ..DumpRequest::all(halves.protocol)
        };
        let (mut rows, mut requests) = ([Vec::new(), Vec::new()], [false; 2]);
        let dumped = Channel::open().map_err(DiagError::from).and_then(|mut channel| {
            tables::dump(&mut channel, &asked, |row| {
                if wanted.keeps(&row.socket) {
                    let half = usize::from(row.socket.proto.is_v6());
                    requests[half] |= row.is_request;
                    rows[half].push(row.socket);
                }
            })
        });
        match dumped {
            Ok(datagrams) if datagrams > 1 => rows.iter_mut().for_each(tables::once),
            Ok(_) => {}
            Err(error) => {
                let rows = if halves.protocol == Protocol::Tcp {
                    "rows of TCP by sock_diag"
                } else {
                    "rows of UDP by sock_diag"
                };
                self.falls.note(rows, &error, error.is_unsupported());
                return None;
            }
        }
        if !self.needs.nothing_of_requests() && requests.contains(&true) {
            // What `sock_diag` does not say of requests is in the whole table only.
            let many = rows.iter().map(Vec::len).sum::<usize>() as u64;
            let loaded = self.iterators(|| Amount { sockets: many, ..Amount::default() });
            if let Some(rows) = loaded.and_then(|iterators| self.iterate(&iterators, halves, wanted)) {
                return Some(rows);
            }
            for (half, proto) in [halves.v4, halves.v6].into_iter().enumerate().filter(|(half, _)| requests[*half]) {
                let meant = tables::requests(&rows[half]);
                match inet::read(root, proto?, |row| meant.contains(&(row.local, row.remote))) {
                    Ok(known) => tables::complete(&mut rows[half], &known.rows),
                    Err(error) => {
                        self.falls.note("what /proc adds to requests", &error, is_unsupported(&error));
                        return None;
                    }
                }
            }
        }
        let [first, second] = rows;
        Some([Some(first), Some(second)])
    }
}

/// The name of what is read by an iterator of a protocol.
const fn rows_by_iterator(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "rows of TCP by iterator",
        Transport::Udp => "rows of UDP by iterator",
    }
}

/// Whether a file of /proc is the kernel's: a tree of files in the place of /proc is to be read as it is.
fn is_kernels(file: &Path) -> bool {
    rustix::fs::statfs(file).is_ok_and(|fs| fs.f_type == PROC_SUPER_MAGIC)
}

/// The rows of a protocol's families.
type Halved = [Option<Vec<SocketRow>>; 2];

/// The families of a protocol that are wanted, as they are named.
#[derive(Clone, Copy, Debug)]
struct Halves {
    protocol: Protocol,
    v4: Option<Proto>,
    v6: Option<Proto>,
}

impl Halves {
    fn of(protocol: Protocol, wanted: &RowsWanted) -> Self {
        let half = |v6| Some(protocol.of_family(v6)).filter(|proto| wanted.protos.contains(proto));
        Self { protocol, v4: half(false), v6: half(true) }
    }

    const fn any(&self) -> bool {
        self.v4.is_some() || self.v6.is_some()
    }

    const fn transport(&self) -> Option<Transport> {
        match self.protocol {
            Protocol::Tcp => Some(Transport::Tcp),
            Protocol::Udp => Some(Transport::Udp),
            Protocol::UdpLite | Protocol::Raw => None,
        }
    }
}

/// The tables of these protocols of the namespace whose `net/` is below `root`, from /proc. The two large ones are read side by side: each costs a walk over the
/// kernel's whole hash table, however few sockets there are.
fn read(root: &Path, protos: &[Proto], wanted: &RowsWanted) -> Vec<ProtoTable> {
    let read = |&proto: &Proto| (proto, inet::read(root, proto, |row| wanted.keeps(row)));
    match protos.iter().position(|&proto| proto == Proto::Tcp6) {
        Some(at) if protos.contains(&Proto::Tcp) && !descriptors_are_few() => {
            let (tcp6, mut tables) = beside(
                || read(&Proto::Tcp6),
                || protos.iter().filter(|&&proto| proto != Proto::Tcp6).map(read).collect::<Vec<_>>(),
            );
            tables.insert(at, tcp6);
            tables
        }
        _ => protos.iter().map(read).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_scarce_is_not_gone() {
        for scarce in [libc::EMFILE, libc::ENFILE, libc::EAGAIN, libc::ENOMEM] {
            let error = io::Error::from_raw_os_error(scarce);
            assert!(Scarce::of(&error).is_some() && !netns::has_gone(&error), "{error}");
        }
        assert_eq!(Scarce::of(&io::Error::from_raw_os_error(libc::ENOENT)), None);
    }

    /// What cannot be entered is read from /proc, and that is no secret.
    #[test]
    fn a_namespace_that_cannot_be_entered_is_read_all_the_same() {
        let folder = std::env::temp_dir().join(format!("netstat-user-unentered-{}", std::process::id()));
        fs::create_dir_all(folder.join("ns")).unwrap();
        fs::create_dir_all(folder.join("net")).unwrap();
        fs::write(folder.join("ns/net"), "").unwrap();
        fs::copy("/proc/self/net/tcp", folder.join("net/tcp")).unwrap();
        let source = KernelSource::new(Path::new("/proc"), RowNeeds::default());
        let wanted = RowsWanted::of(vec![Proto::Tcp]);
        let tables = source.tables(&folder, &wanted, &Census::new(&folder));
        fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(&tables[..], [(Proto::Tcp, Ok(_))]), "{tables:?}");
        let falls = source.falls();
        assert!(matches!(&falls[..], [fall] if fall.what == "way into a network namespace"), "{falls:?}");
        // One that has gone is not worth a word.
        let source = KernelSource::new(Path::new("/proc"), RowNeeds::default());
        source.tables(&folder, &wanted, &Census::new(&folder));
        assert_eq!(source.falls(), []);
    }

    #[test]
    fn a_namespace_that_ends_while_it_is_read_is_absent() {
        let source = KernelSource::new(Path::new("/proc"), RowNeeds::default());
        let wanted = RowsWanted::of(vec![Proto::Raw, Proto::Raw6]);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let own = netns::own(Path::new("/proc")).unwrap();
        let namespaces = [(7, child.id()), (7, std::process::id()), (own, std::process::id())];
        let namespaces = namespaces.map(|(inode, pid)| Namespace { inode, name: None, pid: Some(pid) });
        let spaces = source.of(namespaces.to_vec(), &wanted);
        let [only] = &spaces[..] else { panic!("{spaces:?}") };
        assert!(only.netns == Some(own) && only.tables.len() == 2 && only.tables[0].1.is_ok());
    }
}
