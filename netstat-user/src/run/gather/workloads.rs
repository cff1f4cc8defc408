//! Containers, units and pods of the processes that own sockets.

use crate::field::{Field, Need, Provider, Subject, Value};
use crate::model::{Comm, EventKind, Owner, SocketEvent, UNKNOWN_USER, Workload};
use crate::proc::cgroup::{self, Ids, Memberships};
use crate::proc::fds;
use crate::sys::failed_look;
use crate::whose::workload::recognise;
use rustix::io::Errno;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What processes run as part of, each looked up once.
#[derive(Debug)]
pub struct Workloads {
    root: PathBuf,
    by_pid: HashMap<u32, Arc<Workload>>,
    /// Of owners that events recorded.
    by_owner: HashMap<WorkloadKey, Arc<Workload>>,
    /// Few are different: most processes share a cgroup with others, or have had one with the same path.
    by_paths: KeptWorkloads<Memberships>,
    by_id: KeptWorkloads<u64>,
    ids: Ids,
    /// Paths of cgroups that an agent saw before they were removed.
    removed: HashMap<u64, Vec<u8>>,
    missing: HashSet<u64>,
    /// Why something could not be read of a process that is there and may be looked at.
    failed: Option<io::Error>,
    /// Whether there are no cgroups but those of the unified hierarchy, whose ids the kernel programs record.
    unified: bool,
}

/// Most cgroups, and most owners, that are kept beyond those of sockets that live.
const KEPT: usize = 1 << 14;
/// Most bytes of the paths that are kept of these.
const KEPT_BYTES: usize = 16 << 20;

/// Most sockets that are kept as alive: of some the close is lost, and they would stay for ever.
const ALIVE: usize = 1 << 20;

/// Workloads that were found. Where there are too many, or their paths are too long, all are dropped: what is still wanted is found again.
#[derive(Debug)]
struct KeptWorkloads<K> {
    found: HashMap<K, Arc<Workload>>,
    /// Bytes of the paths, in keys and workloads.
    bytes: usize,
}

impl<K> Default for KeptWorkloads<K> {
    fn default() -> Self {
        Self { found: HashMap::new(), bytes: 0 }
    }
}

impl<K: Eq + Hash> KeptWorkloads<K> {
    fn get(&self, key: &K) -> Option<&Arc<Workload>> {
        self.found.get(key)
    }

    /// Keeps one; its key has paths of so many bytes.
    fn insert(&mut self, key: K, key_bytes: usize, workload: Arc<Workload>) {
        let path_bytes = |workload: &Workload| workload.cgroup.as_ref().map_or(0, Vec::len);
        let bytes = key_bytes + path_bytes(&workload);
        if self.found.len() >= KEPT || self.bytes + bytes > KEPT_BYTES {
            self.found.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
        if let Some(before) = self.found.insert(key, workload) {
            self.bytes -= key_bytes + path_bytes(&before);
        }
    }
}

/// The error of a look, where that says nothing of the process.
fn failure_of(error: io::Error) -> Option<io::Error> {
    // A path longer than a page, which the kernel does not print (`proc_cgroup_show`), is one that is not known: whoever may make cgroups makes such a one.
    let is_gone = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename);
    let failed = Errno::from_io_error(&error).is_none_or(|errno| failed_look(errno).is_some());
    (failed && !is_gone).then_some(error)
}

/// An owner that events recorded: process, its name, and the id of its cgroup.
type WorkloadKey = (u32, Comm, Option<NonZeroU64>);

const fn key(owner: &Owner) -> WorkloadKey {
    (owner.pid, owner.comm, owner.cgroup_id)
}

impl Workloads {
    /// Nothing looked up yet; /proc is mounted at `root`.
    pub fn new(root: &Path) -> Self {
        let (own, failed) = match cgroup::own(root) {
            Ok(own) => (own, None),
            Err(error) => (Memberships::default(), failure_of(error)),
        };
        Self {
            root: root.into(),
            by_pid: HashMap::new(),
            by_owner: HashMap::new(),
            by_paths: KeptWorkloads::default(),
            by_id: KeptWorkloads::default(),
            ids: Ids::new(root),
            removed: HashMap::new(),
            missing: HashSet::new(),
            failed,
            unified: own.unified.is_some() && own.named.is_none() && own.controllers.is_empty(),
        }
    }

    /// The cgroups of owners that could not be looked up: they were removed, it seems.
    pub fn missing(&self) -> Vec<u64> {
        self.missing.iter().copied().collect()
    }

    /// Takes in paths of cgroups by their ids that an agent knows.
    pub fn learn(&mut self, paths: impl IntoIterator<Item = (u64, Vec<u8>)>) {
        self.removed.extend(paths);
    }

    /// Looks up a process that was seen to hold a socket just now.
    pub fn look_up(&mut self, pid: u32) {
        if !self.by_pid.contains_key(&pid)
            && let Some(workload) = self.read(pid)
        {
            self.by_pid.insert(pid, workload);
        }
    }

    /// Looks up an owner that events recorded, whose process may be gone.
    pub fn look_up_recorded(&mut self, owner: &Owner) {
        if self.by_owner.contains_key(&key(owner)) {
            return;
        }
        match self.recorded(owner) {
            Some(workload) => drop(self.by_owner.insert(key(owner), workload)),
            None => self.missing.extend(owner.cgroup_id.map(NonZeroU64::get)),
        }
    }

    /// What a process runs as part of, if it was looked up.
    pub fn of(&self, pid: u32) -> Option<&Workload> {
        self.by_pid.get(&pid).map(|workload| &**workload)
    }

    /// Why not every process could be looked into, where it has not gone and may be.
    pub const fn failure(&self) -> Option<&io::Error> {
        self.failed.as_ref()
    }

    /// Keeps the first error that says nothing of the process.
    fn note(&mut self, error: io::Error) {
        self.failed = self.failed.take().or_else(|| failure_of(error));
    }

    /// Reads it anew; `None` where the process has gone.
    fn read(&mut self, pid: u32) -> Option<Arc<Workload>> {
        let memberships = cgroup::of(&self.root, pid).map_err(|error| self.note(error)).ok()?;
        Some(self.workload(memberships))
    }

    /// What an owner ran as part of when it became that, or does so now. If its process is gone, another one may have its number: then its
    /// name is another, as a rule.
    fn recorded(&mut self, owner: &Owner) -> Option<Arc<Workload>> {
        drop(self.ids.take_failure());
        // Where there are cgroups of version 1, they name the container, and the ids are not theirs.
        if self.unified
            && let Some(workload) = self.by_id(owner)
        {
            return Some(workload);
        }
        let read = match fds::comm(&self.root, owner.pid) {
            Ok(comm) if comm == owner.comm => cgroup::of(&self.root, owner.pid),
            Ok(_) => Err(io::ErrorKind::NotFound.into()),
            Err(error) => Err(error.into()),
        };
        let error = match read {
            Ok(memberships) => return Some(self.workload(memberships)),
            Err(error) => error,
        };
        let found = self.by_id(owner);
        if found.is_none() {
            let errors = std::iter::once(error).chain(self.ids.take_failure());
            errors.for_each(|error| self.note(error));
        }
        found
    }

    /// What the owner's cgroup names, by the id that the kernel programs recorded.
    fn by_id(&mut self, owner: &Owner) -> Option<Arc<Workload>> {
        let id = owner.cgroup_id?.get();
        if let Some(known) = self.by_id.get(&id) {
            return Some(Arc::clone(known));
        }
        // Nobody else has a share.
        self.ids.record(id, UNKNOWN_USER);
        let path = self.ids.path(id).or_else(|| self.removed.get(&id).map(Cow::from))?.into_owned();
        let workload = self.workload(Memberships { unified: Some(path), ..Memberships::default() });
        self.by_id.insert(id, 0, Arc::clone(&workload));
        Some(workload)
    }

    fn workload(&mut self, memberships: Memberships) -> Arc<Workload> {
        if let Some(known) = self.by_paths.get(&memberships) {
            return Arc::clone(known);
        }
        let workload = Arc::new(recognise(memberships.shown(), memberships.paths()));
        let bytes = memberships.paths().map(<[u8]>::len).sum();
        self.by_paths.insert(memberships, bytes, Arc::clone(&workload));
        workload
    }
}

impl Provider for Workloads {
    fn provides(&self) -> Need {
        Need::CGROUPS
    }

    fn value<'a>(&'a self, subject: &Subject<'a>, field: Field) -> Value<'a> {
        let recorded = |owner: &Owner| self.by_owner.get(&key(owner)).map(|workload| &**workload);
        let workload = match *subject {
            Subject::Inet { holder: Some(holder), .. }
            | Subject::Sctp { holder: Some(holder), .. }
            | Subject::Unix { holder: Some(holder), .. } => self.of(holder.pid),
            Subject::Inet { recorded: Some(owner), .. } => recorded(owner),
            Subject::Closed(closed) => closed.socket.owner.as_ref().and_then(recorded),
            _ => None,
        };
        workload.map_or(Value::Null, |workload| value(workload, field))
    }
}

/// A field of a workload.
fn value(workload: &Workload, field: Field) -> Value<'_> {
    match field {
        Field::Cgroup => Value::text(workload.cgroup.as_deref()),
        Field::SystemdUnit => Value::text(workload.unit.as_deref()),
        Field::Container => Value::text(workload.container.as_deref().map(str::as_bytes)),
        Field::Pod => Value::text(workload.pod.as_deref().map(str::as_bytes)),
        _ => Value::Null,
    }
}

/// The same for a stream of events: what was found when the owner of a socket was first seen is kept for the later events of the socket,
/// whose process may have gone.
#[derive(Debug)]
pub struct Followed {
    workloads: Workloads,
    /// By cookie, with the owner it was found for.
    by_socket: HashMap<u64, (u32, Arc<Workload>)>,
    /// What was last found for a process.
    by_owner: KeptWorkloads<WorkloadKey>,
    /// The sockets that closed since the last batch.
    closed: Vec<u64>,
    /// Whether a failure was reported.
    reported: bool,
}

impl Followed {
    /// Nothing seen yet; /proc is mounted at `root`.
    pub fn new(root: &Path) -> Self {
        let workloads = Workloads::new(root);
        let (by_socket, by_owner, closed) = Default::default();
        Self { workloads, by_socket, by_owner, closed, reported: false }
    }

    /// Takes in an event, before its fields are asked for.
    pub fn note(&mut self, event: &SocketEvent) {
        if let (Some(cookie), EventKind::Close(_)) = (event.cookie, event.kind) {
            self.closed.push(cookie);
        }
        let Some(owner) = event.owner else { return };
        let known = event.cookie.and_then(|cookie| self.by_socket.get(&cookie));
        if known.is_some_and(|(pid, _)| *pid == owner.pid) {
            return;
        }
        let found = self.workloads.recorded(&owner);
        if let Some(workload) = &found {
            self.by_owner.insert(key(&owner), 0, Arc::clone(workload));
        }
        let workload = found.or_else(|| self.by_owner.get(&key(&owner)).cloned());
        if let Some((cookie, workload)) = event.cookie.zip(workload) {
            if self.by_socket.len() >= ALIVE {
                self.by_socket.clear();
            }
            self.by_socket.insert(cookie, (owner.pid, workload));
        }
    }

    /// Why not every process could be looked into, the first time that this is so.
    pub fn new_failure(&mut self) -> Option<&io::Error> {
        let is_new = !self.reported && self.workloads.failure().is_some();
        self.reported |= is_new;
        self.workloads.failure().filter(|_| is_new)
    }

    /// Forgets the sockets that have closed. Call it once their last events are written.
    pub fn forget_closed(&mut self) {
        for cookie in self.closed.drain(..) {
            self.by_socket.remove(&cookie);
        }
    }

    fn of(&self, event: &SocketEvent) -> Option<&Workload> {
        let by_socket = event.cookie.and_then(|cookie| self.by_socket.get(&cookie)).map(|(_, workload)| workload);
        let by_owner = || self.by_owner.get(&event.owner.as_ref().map(key)?);
        by_socket.or_else(by_owner).map(|workload| &**workload)
    }
}

impl Provider for Followed {
    fn provides(&self) -> Need {
        Need::CGROUPS
    }

    fn value<'a>(&'a self, subject: &Subject<'a>, field: Field) -> Value<'a> {
        let Subject::Event(event) = subject else { return Value::Null };
        self.of(event).map_or(Value::Null, |workload| value(workload, field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventEnd, Grade, Proto};
    use std::fs;

    const ID: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";

    /// A tree like /proc with one process, in one cgroup.
    fn tree(name: &str, pid: u32, cgroup: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("netstat-user-workloads-{name}-{}", std::process::id()));
        let process = root.join(pid.to_string());
        fs::create_dir_all(&process).unwrap();
        fs::write(process.join("cgroup"), format!("0::{cgroup}\n")).unwrap();
        fs::write(process.join("comm"), "server\n").unwrap();
        root
    }

    fn event(kind: EventKind, cookie: Option<u64>, pid: u32) -> SocketEvent {
        let end = EventEnd { addr: [127, 0, 0, 1].into(), port: Some(1) };
        SocketEvent {
            time_ns: 0,
            kind,
            proto: Proto::Tcp,
            local: Some(end),
            remote: Some(end),
            owner: Some(Owner { pid, comm: Comm::new(b"server"), grade: Grade::Created, cgroup_id: None, start: 0 }),
            uid: None,
            inode: None,
            cookie,
            netns: None,
        }
    }

    #[test]
    fn a_socket_keeps_what_was_found_when_its_owner_was_first_seen() {
        let root = tree("followed", 7, &format!("/docker/{ID}"));
        let mut followed = Followed::new(&root);
        let first = event(EventKind::Open, Some(1), 7);
        followed.note(&first);
        fs::remove_dir_all(&root).unwrap();
        let later = event(EventKind::Open, Some(1), 7);
        followed.note(&later);
        let container = |followed: &Followed, event: &SocketEvent| {
            followed.of(event).and_then(|workload| workload.container.clone())
        };
        assert_eq!(container(&followed, &later).as_deref(), Some(ID));
        // Another socket of the process, which is gone already.
        let second = event(EventKind::Open, Some(2), 7);
        followed.note(&second);
        assert_eq!(container(&followed, &second).as_deref(), Some(ID));
        // And of somebody else.
        let other = event(EventKind::Open, Some(3), 8);
        followed.note(&other);
        assert_eq!(container(&followed, &other), None);
        followed.closed.push(1);
        followed.forget_closed();
        assert_eq!(followed.by_socket.len(), 1);
    }

    #[test]
    fn a_process_that_cannot_be_read_is_another_thing_than_one_that_has_ended() {
        let root = tree("unread", 7, "/");
        fs::remove_file(root.join("7/cgroup")).unwrap();
        let mut workloads = Workloads { failed: None, ..Workloads::new(&root) };
        let look = |workloads: &mut Workloads| {
            workloads.look_up(7);
            (workloads.of(7).is_some(), workloads.failure().and_then(io::Error::raw_os_error))
        };
        assert_eq!(look(&mut workloads), (false, None));
        fs::create_dir(root.join("7/cgroup")).unwrap();
        assert_eq!(look(&mut workloads), (false, Some(libc::EISDIR)));
        // In a stream of events it is reported once.
        let mut followed = Followed::new(&root);
        let reported = [1, 2].map(|cookie| {
            followed.note(&event(EventKind::Open, Some(cookie), 7));
            followed.new_failure().is_some()
        });
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(reported, [true, false]);
    }

    /// However many long paths there are, what is kept of them is bounded.
    #[test]
    fn workloads_take_bounded_memory() {
        let mut kept = KeptWorkloads::default();
        for id in 0..20_000_u64 {
            let path = vec![b'x'; 4000];
            let workload = Arc::new(Workload { cgroup: Some(path), ..Workload::default() });
            // One that is found again is there once.
            (0..2).for_each(|_| kept.insert(id, 0, Arc::clone(&workload)));
            assert!(kept.get(&id).is_some() && kept.bytes <= KEPT_BYTES);
        }
        let bytes: usize = kept.found.values().filter_map(|workload| workload.cgroup.as_ref()).map(Vec::len).sum();
        assert_eq!(bytes, kept.bytes);
    }

    #[test]
    fn another_process_with_the_number_of_a_recorded_owner_is_not_it() {
        let root = tree("recorded", 7, "/system.slice/ssh.service");
        let owner =
            |comm: &[u8]| Owner { pid: 7, comm: Comm::new(comm), grade: Grade::Accepted, cgroup_id: None, start: 0 };
        let mut workloads = Workloads::new(&root);
        assert_eq!(workloads.recorded(&owner(b"before")), None);
        let found = workloads.recorded(&owner(b"server"));
        assert_eq!(found.and_then(|workload| workload.unit.clone()).as_deref(), Some(b"ssh.service".as_slice()));
        fs::remove_dir_all(root.join("7")).unwrap();
        // The programs recorded its cgroup, which is gone too, but somebody has seen it.
        let recorded = Owner { cgroup_id: NonZeroU64::new(u64::from(u32::MAX) - 1), ..owner(b"server") };
        assert_eq!(workloads.recorded(&recorded), None);
        workloads.learn([(u64::from(u32::MAX) - 1, format!("/docker/{ID}").into_bytes())]);
        let found = workloads.recorded(&recorded);
        assert_eq!(found.and_then(|workload| workload.container.clone()).as_deref(), Some(ID));
        fs::remove_dir_all(&root).unwrap();
    }
}
