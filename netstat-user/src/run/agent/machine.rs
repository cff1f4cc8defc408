//! The kernel's lists as the agent asks for them.

use super::guards::Guards;
use crate::agent::{Guarded, Lists, Lookup, Own, Peer, Spaces};
use crate::daemon::subordinate::SubordinateFile;
use crate::kernel;
use crate::model::{
    Check, Comm, EventEnd, NamespaceTables, Proto, ProtoTable, RowsWanted, SocketRow, Subordinates, TcpState,
};
use crate::owner::Owners;
use crate::proc::cgroup::Ids;
use crate::proc::tenure::Tenures;
use crate::proc::{access, fds, netns};
use crate::query::Link;
use crate::run::clock::monotonic_ns;
use crate::source::{KernelSource as Kernel, RowNeeds};
use crate::stdio::complain;
use crate::sys::lock;
use crate::table::Listing;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The kernel's lists, of every network namespace.
pub struct Machine {
    kernel: Kernel,
    /// Cgroups by their ids, as they were met.
    pub cgroups: Arc<Mutex<Ids>>,
    /// Processes that the user of their sockets may not look into.
    pub guards: Arc<Mutex<Guards>>,
    guarded: Arc<Guarded>,
    root: PathBuf,
    names: PathBuf,
    /// What was found when this began.
    checks: Vec<Check>,
    /// Since when which namespace is the same, and whether all have been looked at.
    tenures: Mutex<(Tenures, bool)>,
    /// What users could see by themselves, a moment ago.
    own: Mutex<HashMap<(u32, u32), Looked>>,
    subordinates: Mutex<SubordinateFile>,
    /// How many links the last look at all holders found.
    held: AtomicUsize,
}

/// What a user and group could see, and when.
type Looked = (Instant, Arc<Own>);

/// How long what a user can see is believed.
const TRUST: Duration = Duration::from_secs(1);

impl Machine {
    /// The machine's own /proc; `is_asked` where somebody may ask who is not shown everything.
    pub fn new(is_asked: bool) -> Self {
        let root = PathBuf::from("/proc");
        let checks = kernel::checks();
        let needs = RowNeeds { cookies: true, users: true, timers: true, lasting: true };
        let (cgroups, own) = (Arc::new(Mutex::new(Ids::new(&root))), Mutex::default());
        let tenures = Mutex::new((Tenures::new(&root), false));
        let (kernel, names) = (Kernel::new(&root, needs), netns::NAMES.into());
        let subordinates = Mutex::new(SubordinateFile::new(Path::new("/")));
        let guards = Guards::new(root.clone(), is_asked);
        let (guarded, guards) = (guards.found(), Arc::new(Mutex::new(guards)));
        Self {
            kernel,
            cgroups,
            guards,
            guarded,
            root,
            names,
            checks,
            tenures,
            own,
            subordinates,
            held: AtomicUsize::new(0),
        }
    }

    /// Loads all that may be asked for later, before the right to load is given up; what failed is reported on standard error.
    pub fn prepare(&self) {
        self.kernel.prepare();
        for fall in self.kernel.falls().iter().filter(|fall| fall.failed) {
            complain(&format!("agent: {fall}; sock_diag and /proc have the same rows"));
        }
    }

    /// Adds what was found later to the checks.
    pub fn add_checks(&mut self, checks: Vec<Check>) {
        self.checks.extend(checks);
    }

    /// Notes which namespaces are there. Those of the first look are as old as anything that is known.
    fn note(&self, namespaces: &[netns::Namespace]) {
        let mut tenures = lock(&self.tenures);
        let (tenures, seeded) = &mut *tenures;
        let now_ns = if std::mem::replace(seeded, true) { monotonic_ns() } else { 0 };
        tenures.keep(&namespaces.iter().map(|namespace| namespace.inode).collect());
        for namespace in namespaces {
            tenures.since(namespace.inode, namespace.pid, now_ns);
        }
    }

    fn namespaces(&self) -> io::Result<Vec<netns::Namespace>> {
        netns::all(&self.root, &self.names).whole()
    }

    /// Whether a look at all holders saw them all.
    fn whole(scan: &mut fds::Scan) -> io::Result<()> {
        match scan.failure() {
            Some(error) => Err(error),
            None if scan.blind() == fds::Blind::No => Ok(()),
            None => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    /// The namespace with this inode: the agent's own, that of the process that asks, or whichever there is.
    fn namespace(&self, inode: u32, peer: Option<u32>) -> io::Result<Option<netns::Namespace>> {
        let mut near = std::iter::once(std::process::id()).chain(peer);
        let name = None;
        match near.find(|pid| netns::of(&self.root, *pid).is_ok_and(|its| its == inode)) {
            Some(pid) => Ok(Some(netns::Namespace { inode, name, pid: Some(pid) })),
            None => Ok(self.namespaces()?.into_iter().find(|namespace| namespace.inode == inode)),
        }
    }

    fn comm(&self, pid: u32) -> Comm {
        fds::comm(&self.root, pid).unwrap_or_default()
    }
}

impl Lists for Machine {
    fn list(&self) -> Lookup {
        let mut scan = self.kernel.holders();
        let wanted = RowsWanted::of(Proto::ALL.to_vec());
        let mut listing = Listing { protos: wanted.protos.clone(), ..Listing::default() };
        let spaces = listing.spaces.insert(Default::default());
        // Where something ran out no namespace counts as listed, and none as gone.
        let namespaces = self.namespaces().unwrap_or_default();
        if !namespaces.is_empty() {
            self.note(&namespaces);
        }
        for space in self.kernel.of(namespaces, &wanted) {
            let whole =
                |(_, table): &ProtoTable| !matches!(table, Err(error) if error.kind() != io::ErrorKind::NotFound);
            spaces.extend(space.netns.filter(|_| space.tables.iter().all(whole)));
            let rows = space.tables.into_iter().filter_map(|(_, table)| table.ok()).flat_map(|table| table.rows);
            listing.rows.extend(rows.map(|row| (SocketRow { netns: space.netns, ..row }, None)));
        }
        let mut owners = Owners::default();
        self.held.store(scan.links().count(), Ordering::Relaxed);
        let mut named = (0, Comm::default());
        for (pid, inode) in scan.links() {
            if named.0 != pid {
                named = (pid, self.comm(pid));
            }
            owners.scanned(inode, pid, named.1);
        }
        if Self::whole(&mut scan).is_ok() {
            listing.held = Some(scan.links().map(|(_, inode)| inode).collect());
        }
        let now_ns = monotonic_ns();
        for (row, owner) in &mut listing.rows {
            *owner = owners.holder(row.inode);
            if let Some(owner) = owner {
                lock(&self.guards).look(owner.pid, Some(row.uid), now_ns);
            }
            if let Some(netns) = row.netns.filter(|_| row.proto.is_tcp() && row.state == TcpState::Listen as u8) {
                let local = EventEnd { addr: row.local.addr, port: Some(row.local.port) };
                owners.listening(netns, local, row.inode);
            }
        }
        Lookup { listing, owners, subordinates: self.subordinates() }
    }

    fn holders(&self) -> io::Result<Vec<Link>> {
        let mut scan = self.kernel.holders();
        let links: Vec<Link> = scan.links().map(|(pid, inode)| Link { inode, pid }).collect();
        self.held.store(links.len(), Ordering::Relaxed);
        Self::whole(&mut scan).map(|()| links)
    }

    fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn checks(&self) -> Vec<Check> {
        self.checks.iter().cloned().chain([self.kernel.check()]).collect()
    }

    fn tables(&self, wanted: &RowsWanted, spaces: &Spaces<'_>) -> io::Result<Option<Vec<NamespaceTables>>> {
        let namespaces = match *spaces {
            Spaces::One(inode, peer) => match self.namespace(inode, peer)? {
                Some(namespace) => vec![namespace],
                None => return Ok(None),
            },
            Spaces::All => self.namespaces()?,
            Spaces::These(shown) => {
                let mut all = self.namespaces()?;
                all.retain(|namespace| shown.contains(&namespace.inode));
                all
            }
        };
        let tables = self.kernel.of(namespaces, wanted);
        Ok((!matches!(spaces, Spaces::One(..)) || !tables.is_empty()).then_some(tables))
    }

    fn cgroups(&self, ids: &[u64]) -> Vec<(u64, Vec<u8>)> {
        let mut paths = lock(&self.cgroups);
        ids.iter().filter_map(|&id| Some((id, paths.path(id)?.to_vec()))).collect()
    }

    fn subordinates(&self) -> Arc<Subordinates> {
        lock(&self.subordinates).look()
    }

    fn own(&self, peer: &Peer) -> Arc<Own> {
        let look = || {
            let processes = access::processes(&self.root, peer.uid, peer.gid);
            let near = peer.pid.filter(|&pid| access::is_of(&self.root, pid, peer.uid));
            let seen = processes.iter().copied().chain(near);
            let mut by_namespace: HashMap<u32, Vec<u32>> = HashMap::new();
            for pid in seen {
                if let Ok(inode) = netns::of(&self.root, pid) {
                    by_namespace.entry(inode).or_default().push(pid);
                }
            }
            let namespaces = by_namespace.keys().copied().collect();
            let mut tenures = lock(&self.tenures);
            let now_ns = monotonic_ns();
            let since = |(inode, pids)| (inode, tenures.0.since(inode, pids, now_ns));
            let since = by_namespace.into_iter().map(since).collect();
            Arc::new(Own { uid: peer.uid, namespaces, since, processes, guarded: Arc::clone(&self.guarded) })
        };
        let mut known = lock(&self.own);
        known.retain(|_, (at, _)| at.elapsed() < TRUST);
        if let Some((_, own)) = known.get(&(peer.uid, peer.gid))
            && peer.pid.and_then(|pid| netns::of(&self.root, pid).ok()).is_none_or(|its| own.namespaces.contains(&its))
        {
            return Arc::clone(own);
        }
        let own = look();
        known.insert((peer.uid, peer.gid), (Instant::now(), Arc::clone(&own)));
        own
    }
}
