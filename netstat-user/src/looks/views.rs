//! What users could see by themselves, without the agent.

use super::look_budget::LookBudget;
use crate::agent::{Guarded, KnownNamespace, Own, Peer, Presence, TRUST};
use crate::proc::access::{self, Vantage, Viewer};
use crate::proc::fds;
use crate::proc::netns::Namespace;
use crate::proc::tenure::{NamespaceIds, Tenures};
use crate::sys::{self, Scarce, epoch_ns, kernel_monotonic_ns, lock, too_slow, unless_scarce};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How many times as long as it took a look is believed: whoever has thousands of processes does not keep the others waiting.
const WORTH: u32 = 4;
/// How long it is known beyond that, for the next one to be compared with.
const KEPT: Duration = Duration::from_secs(10);
/// Namespaces besides that one look has numbers for.
const FROM: usize = 64;

/// The looks at processes and their namespaces, and what they found.
pub struct Views {
    root: PathBuf,
    /// The namespaces of this process.
    place: Option<Vantage>,
    guarded: Arc<Guarded>,
    /// What network namespaces are known by, and since when which one is the same.
    objects: NamespaceIds,
    tenures: Mutex<Tenures>,
    own: Mutex<HashMap<Viewer, Looked>>,
    /// The last [`Own::look`].
    looks: AtomicU64,
}

/// What somebody could see.
struct Looked {
    begun: Instant,
    /// How long that is believed.
    until: Instant,
    /// `None` where it took too long.
    own: Option<Arc<Own>>,
    /// The numbers that go with it for those who ask from a namespace besides.
    from: HashMap<(u32, Option<u64>), u64>,
}

impl Views {
    /// Nothing has been looked at yet. `root` is /proc.
    pub fn new(root: PathBuf, guarded: Arc<Guarded>) -> Self {
        let (place, objects) = (Vantage::own(&root).ok(), NamespaceIds::new(&root));
        let (tenures, own, looks) = Default::default();
        Self { root, place, guarded, objects, tenures, own, looks }
    }

    /// Notes which namespaces are there.
    pub fn note(&self, namespaces: &[Namespace]) {
        let found: Vec<_> = namespaces.iter().filter_map(|namespace| self.objects.of(namespace.pid?).ok()).collect();
        let now_ns = kernel_monotonic_ns();
        let mut tenures = lock(&self.tenures);
        tenures.keep(&namespaces.iter().map(|namespace| namespace.inode).collect());
        for (inode, id) in found {
            tenures.since(inode, id, now_ns);
        }
    }

    /// See [`Lists::begun`](crate::agent::Lists::begun).
    pub fn begun(&self, pid: u32) -> io::Result<Option<u64>> {
        access::start(&self.root, pid)
    }

    /// See [`Lists::own_since`](crate::agent::Lists::own_since).
    pub fn own_since(&self, peer: &Peer, since: Option<Instant>) -> io::Result<Arc<Own>> {
        let nothing = || Arc::new(Own { uid: peer.uid, guarded: Arc::clone(&self.guarded), ..Own::default() });
        let Some(pid) = peer.pid else { return Ok(nothing()) };
        let read = || (Vantage::of(&self.root, pid), self.objects.of(pid));
        let Some((begun, (place, near))) = access::run_by(&self.root, pid, peer.uid, read)? else {
            return Ok(nothing());
        };
        let (place, near) = (unless_scarce(place)?, unless_scarce(near)?);
        // A later process with the same number did not ask. If the peer's namespaces are unknown, it is shown nothing.
        let Some(place) = place.filter(|_| peer.begun == Some(begun)) else { return Ok(nothing()) };
        let is_nested = self.place != Some(place);
        let viewer = Viewer { uid: peer.uid, gid: peer.gid, place, is_nested };
        let own = self.seen_by(viewer, since, |viewer| self.look(viewer))?;
        // It is there still, or another one has its number.
        if let Some(id) = peer.id
            && unless_scarce(sys::process_id_of(pid))? != Some(id)
        {
            return Ok(nothing());
        }
        // It is there as long as it asks; who asked before it may be gone.
        let Some((inode, id)) = near else { return Ok(own) };
        let known = own.objects.get(&inode).filter(|known| known.id == id);
        if known.is_some_and(|known| known.witnesses.contains(&pid)) {
            return Ok(own);
        }
        let look = if known.is_some() { own.look } else { Some(self.look_from(&viewer, &own, (inode, id))) };
        let mut own = Own { look, ..Own::clone(&own) };
        self.add(&mut own, [(pid, inode, id)]);
        Ok(Arc::new(own))
    }

    /// A number for what was found that no other look has.
    fn next_look(&self) -> u64 {
        self.looks.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The number of what was found for somebody together with the namespace of a process that is not to be looked into.
    fn look_from(&self, viewer: &Viewer, own: &Own, near: (u32, Option<u64>)) -> u64 {
        let next = || self.next_look();
        let mut known = lock(&self.own);
        let is_it = |looked: &&mut Looked| looked.own.as_ref().is_some_and(|looked| looked.look == own.look);
        let looked = known.get_mut(viewer).filter(is_it);
        looked.map_or_else(next, |looked| {
            // Beyond that no more than sharing is lost.
            if looked.from.len() >= FROM {
                looked.from.clear();
            }
            *looked.from.entry(near).or_insert_with(next)
        })
    }

    /// See [`Lists::present`](crate::agent::Lists::present).
    pub fn present(&self, own: &Own) -> io::Result<Presence> {
        let begun_ns = kernel_monotonic_ns();
        let mut objects = HashMap::new();
        for (&inode, known) in &own.objects {
            for &pid in &known.witnesses {
                if unless_scarce(self.objects.of(pid))? == Some((inode, known.id)) {
                    objects.insert(inode, known.id);
                    break;
                }
            }
        }
        Ok(Presence { objects, begun_ns, ended_ns: kernel_monotonic_ns(), epoch_ns: epoch_ns() })
    }

    /// What somebody could see, by a look that began at the given time or later; without one, a moment ago.
    fn seen_by(
        &self,
        viewer: Viewer,
        since: Option<Instant>,
        look: impl FnOnce(&Viewer) -> io::Result<Own>,
    ) -> io::Result<Arc<Own>> {
        let begun = Instant::now();
        {
            let mut known = lock(&self.own);
            known.retain(|_, looked| looked.until + KEPT > begun);
            match known.get(&viewer).filter(|looked| looked.until > begun) {
                Some(Looked { own: None, .. }) => return Err(too_slow()),
                Some(Looked { begun, own: Some(own), .. }) if since.is_none_or(|since| *begun >= since) => {
                    return Ok(Arc::clone(own));
                }
                _ => {}
            }
        }
        // Others are looked up meanwhile: this takes as long as its user has processes.
        let own = match look(&viewer) {
            Ok(own) => Some(own),
            Err(error) if Scarce::of(&error) == Some(Scarce::Time) => None,
            Err(error) => return Err(error),
        };
        let mut known = lock(&self.own);
        // Readers that see the same share what they are sent.
        let before = known.remove(&viewer).and_then(|looked| Some((looked.own?, looked.from)));
        let (look, from) = match (&own, before) {
            (Some(own), Some((before, from))) if before.found_same(own) => (before.look, from),
            _ => (Some(self.next_look()), HashMap::new()),
        };
        let own = own.map(|own| Arc::new(Own { look, ..own }));
        let ended = Instant::now();
        let until = ended + TRUST.max((ended - begun).saturating_mul(WORTH));
        known.insert(viewer, Looked { begun, until, own: own.clone(), from });
        own.ok_or_else(too_slow)
    }

    /// What somebody could see, by a look at every process.
    fn look(&self, viewer: &Viewer) -> io::Result<Own> {
        let mut own =
            Own { uid: viewer.uid, guarded: Arc::clone(&self.guarded), is_nested: viewer.is_nested, ..Own::default() };
        let mut seen = Vec::new();
        let mut budget = LookBudget::begin();
        for pid in fds::processes(&self.root)? {
            if !budget.take() {
                return Err(too_slow());
            }
            let Some((begun, near)) = viewer.look(&self.root, pid, || self.objects.of(pid))? else { continue };
            if let Some((inode, id)) = unless_scarce(near)? {
                own.processes.insert(pid, begun);
                seen.push((pid, inode, id));
            }
        }
        self.add(&mut own, seen);
        Ok(own)
    }

    /// Adds the namespaces that processes were just found in.
    fn add(&self, own: &mut Own, seen: impl IntoIterator<Item = (u32, u32, Option<u64>)>) {
        for (pid, inode, id) in seen {
            let known = own.objects.entry(inode).or_default();
            if known.id != id {
                // One of the two has ended since.
                *known = KnownNamespace { id, witnesses: Vec::new() };
            }
            known.witnesses.push(pid);
        }
        own.namespaces = own.objects.keys().copied().collect();
        let mut tenures = lock(&self.tenures);
        let now_ns = kernel_monotonic_ns();
        let since = |(&inode, known): (&u32, &KnownNamespace)| (inode, tenures.since(inode, known.id, now_ns));
        own.since = own.objects.iter().map(since).collect();
    }
}

#[cfg(test)]
mod tests;
