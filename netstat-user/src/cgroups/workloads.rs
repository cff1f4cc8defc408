//! Containers, units and pods of the processes that own sockets: looked up by process, or by the owner that events recorded.

use super::kept::KeptWorkloads;
use crate::field::{Field, Need, Provider, Subject, Value};
use crate::model::{Comm, Owner, UNKNOWN_USER, Workload};
use crate::proc::cgroup::{self, Ids, Memberships};
use crate::proc::fds;
use crate::sys::failed_look;
use crate::whose::workload::recognise;
use rustix::io::Errno;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
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
    /// Processes that had ended when they were looked up.
    ended: HashSet<u32>,
    /// Why something could not be read of a process that is there and may be looked at.
    failed: Option<io::Error>,
    /// Whether there are no cgroups but those of the unified hierarchy, whose ids the kernel programs record.
    unified: bool,
}

/// The error of a look, where that says nothing of the process.
fn failure_of(error: io::Error) -> Option<io::Error> {
    // A path longer than a page, which the kernel does not print (`proc_cgroup_show`), is one that is not known: whoever may make cgroups makes such a one.
    let is_gone = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename);
    let failed = Errno::from_io_error(&error).is_none_or(|errno| failed_look(errno).is_some());
    (failed && !is_gone).then_some(error)
}

/// An owner that events recorded: process, its name, and the id of its cgroup.
pub type WorkloadKey = (u32, Comm, Option<NonZeroU64>);

/// The key of an owner.
pub const fn key(owner: &Owner) -> WorkloadKey {
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
            ended: HashSet::new(),
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
        if self.by_pid.contains_key(&pid) {
            return;
        }
        match self.read(pid) {
            Some(workload) => drop(self.by_pid.insert(pid, workload)),
            None => drop(self.ended.insert(pid)),
        }
    }

    /// The processes that were looked up in vain, as a rule because they had ended: they run as part of something that is not known.
    pub const fn ended(&self) -> &HashSet<u32> {
        &self.ended
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
    pub fn recorded(&mut self, owner: &Owner) -> Option<Arc<Workload>> {
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
pub fn value(workload: &Workload, field: Field) -> Value<'_> {
    match field {
        Field::Cgroup => Value::text(workload.cgroup.as_deref()),
        Field::SystemdUnit => Value::text(workload.unit.as_deref()),
        Field::Container => Value::text(workload.container.as_deref().map(str::as_bytes)),
        Field::Pod => Value::text(workload.pod.as_deref().map(str::as_bytes)),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroups::test_tree::{ID, tree};
    use crate::model::Grade;
    use std::fs;

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
        assert_eq!(workloads.ended(), &HashSet::from([7]));
        fs::create_dir(root.join("7/cgroup")).unwrap();
        assert_eq!(look(&mut workloads), (false, Some(libc::EISDIR)));
        fs::remove_dir_all(&root).unwrap();
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
