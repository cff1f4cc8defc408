//! The kernel's lists as the agent asks for them.

use crate::agent::{Guarded, KernelLists, Lists, Own, Peer, Presence, SocketProcess, Spaces};
use crate::daemon::subordinate::SubordinateFile;
use crate::kernel;
use crate::looks::{GuardedFinder, Views, look_at_listed};
use crate::model::{Check, NamespaceTables, Owner, Proto, ProtoTable, RowsWanted, SocketRow, Subordinates};
use crate::proc::cgroup::Ids;
use crate::proc::{fds, netns};
use crate::query::Link;
use crate::source::{Evidence, KernelSource as Kernel, RowNeeds};
use crate::stdio::complain;
use crate::sys::{Awaited, kernel_monotonic_ns, lock};
use crate::table::Listing;
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The kernel's lists, of every network namespace.
pub struct Machine {
    kernel: Kernel,
    /// Cgroups by their ids, as they were met.
    pub cgroups: Arc<Mutex<Ids>>,
    /// Processes that the user of their sockets may not look into.
    pub finder: Arc<Mutex<GuardedFinder>>,
    guarded: Arc<Guarded>,
    /// Whether somebody may ask who is not shown everything.
    is_asked: bool,
    root: PathBuf,
    names: PathBuf,
    /// What was found when this began.
    checks: Vec<Check>,
    /// What users could see by themselves.
    views: Views,
    subordinates: Mutex<SubordinateFile>,
    /// How many links the last look at all holders found.
    held: AtomicUsize,
}

impl Machine {
    /// The machine's own /proc; `is_asked` where somebody may ask who is not shown everything. Closed sockets are kept for so long.
    ///
    /// # Errors
    /// No room for a thread.
    pub fn new(is_asked: bool, kept_ns: u64) -> io::Result<Self> {
        let root = PathBuf::from("/proc");
        let checks = kernel::checks();
        let needs = RowNeeds { cookies: true, users: true, timers: true, lasting: true };
        let cgroups = Arc::new(Mutex::new(Ids::new(&root)));
        let (kernel, names) = (Kernel::new(&root, needs), netns::NAMES.into());
        let subordinates = Mutex::new(SubordinateFile::new(Path::new("/")));
        let finder = GuardedFinder::new(root.clone(), is_asked, kept_ns)?;
        let (guarded, finder) = (finder.found(), Arc::new(Mutex::new(finder)));
        let views = Views::new(root.clone(), Arc::clone(&guarded));
        Ok(Self {
            kernel,
            cgroups,
            finder,
            guarded,
            is_asked,
            root,
            names,
            checks,
            views,
            subordinates,
            held: AtomicUsize::new(0),
        })
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
}

/// Notes how many links a look at all holders found. After one that did not see them all, there are at least so many.
fn note_held(held: &AtomicUsize, links: usize, is_whole: bool) {
    match is_whole {
        true => held.store(links, Ordering::Relaxed),
        false => drop(held.fetch_max(links, Ordering::Relaxed)),
    }
}

impl Lists for Machine {
    fn list(&self) -> KernelLists {
        let wanted = RowsWanted::of(Proto::ALL.to_vec());
        let mut listing = Listing { protos: wanted.protos.clone(), ..Listing::default() };
        let spaces = listing.spaces.insert(Default::default());
        let namespaces = || {
            // Where something ran out no namespace counts as listed, and none as gone.
            let namespaces = self.namespaces().unwrap_or_default();
            if !namespaces.is_empty() {
                // From the first look on, which the agent is not ready before.
                self.views.note(&namespaces);
            }
            namespaces
        };
        let Evidence { owners, tables, mut scan } = self.kernel.evidence(namespaces, &wanted);
        for space in tables {
            let whole =
                |(_, table): &ProtoTable| !matches!(table, Err(error) if error.kind() != io::ErrorKind::NotFound);
            spaces.extend(space.netns.filter(|_| space.tables.iter().all(whole)));
            let rows = space.tables.into_iter().filter_map(|(_, table)| table.ok()).flat_map(|table| table.rows);
            listing.rows.extend(rows.map(|row| (SocketRow { netns: space.netns, ..row }, None)));
        }
        let whole = Self::whole(&mut scan);
        note_held(&self.held, scan.links().count(), whole.is_ok());
        if whole.is_ok() {
            listing.held = Some(scan.links().map(|(_, inode)| inode).collect());
        }
        let mut processes = HashSet::new();
        for (row, owner) in &mut listing.rows {
            *owner = owners.holder(row.inode);
            // Root's own sockets are shown to nobody who is not shown everything.
            if let Some(Owner { pid, start, .. }) = *owner
                && self.is_asked
                && row.uid != 0
            {
                processes.insert(SocketProcess { pid, start, uid: row.uid });
            }
        }
        let subordinates = self.subordinates();
        let processes = processes.into_iter().collect();
        lock(&self.finder).count_by(Arc::clone(&subordinates));
        let open = look_at_listed(&self.root, processes, &subordinates, kernel_monotonic_ns(), &self.guarded);
        lock(&self.finder).note_listed(open);
        KernelLists { listing, owners, subordinates }
    }

    fn holders(&self, awaited: &Awaited) -> io::Result<Vec<Link>> {
        let mut scan = self.kernel.holders_for_others(awaited);
        let links: Vec<Link> = scan.links().map(|(pid, inode)| Link { inode, pid }).collect();
        let whole = Self::whole(&mut scan);
        note_held(&self.held, links.len(), whole.is_ok());
        whole.map(|()| links)
    }

    fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn checks(&self) -> Vec<Check> {
        self.checks.iter().cloned().chain([self.kernel.check()]).collect()
    }

    fn tables(
        &self,
        wanted: &RowsWanted,
        spaces: &Spaces<'_>,
        awaited: &Awaited,
    ) -> io::Result<Option<Vec<NamespaceTables>>> {
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
        let tables = self.kernel.of_while(awaited, namespaces, wanted)?;
        Ok((!matches!(spaces, Spaces::One(..)) || !tables.is_empty()).then_some(tables))
    }

    fn cgroups(&self, ids: &[u64]) -> Vec<(u64, Vec<u8>)> {
        let mut paths = lock(&self.cgroups);
        ids.iter().filter_map(|&id| Some((id, paths.path(id)?.into_owned()))).collect()
    }

    fn subordinates(&self) -> Arc<Subordinates> {
        lock(&self.subordinates).look()
    }

    fn begun(&self, pid: u32) -> io::Result<Option<u64>> {
        self.views.begun(pid)
    }

    fn own_since(&self, peer: &Peer, since: Option<Instant>) -> io::Result<Arc<Own>> {
        self.views.own_since(peer, since)
    }

    fn present(&self, own: &Own) -> io::Result<Presence> {
        self.views.present(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_did_not_see_all_links_counts_for_no_less_than_before() {
        let held = AtomicUsize::new(0);
        let seen = [(7, true), (3, false), (9, false), (2, true)].map(|(links, is_whole)| {
            note_held(&held, links, is_whole);
            held.load(Ordering::Relaxed)
        });
        assert_eq!(seen, [7, 7, 9, 2]);
    }
}
