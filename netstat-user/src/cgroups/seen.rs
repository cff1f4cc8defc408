//! The cgroups that an agent met, for when they have been removed.

use crate::looks::LookUps;
use crate::model::SocketEvent;
use crate::proc::cgroup::Ids;
use crate::sys::lock;
use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex};

/// The cgroup of an owner, and the user that its socket counts for: in that user's share its path is kept.
struct CgroupToLookUp {
    id: u64,
    user: u32,
}

/// The cgroups of owners that events recorded: each path is looked up when its id is first met, as the cgroup may be removed soon, and on a thread of
/// its own, as nobody knows how long that takes.
pub struct Seen {
    ids: HashSet<u64>,
    /// When `ids` was emptied last.
    since_ns: u64,
    /// The last one: the next event is of the same more often than not.
    last: Option<u64>,
    look_ups: LookUps<CgroupToLookUp>,
}

impl Seen {
    /// Most ids remembered as met.
    const MOST: usize = 1 << 16;
    /// How long they are, in nanoseconds: one that was not found is looked up again with its next event.
    const TRUST_NS: u64 = 1_000_000_000;

    /// No id met yet. Makes the thread.
    ///
    /// # Errors
    /// No room for it.
    pub fn new(paths: Arc<Mutex<Ids>>) -> io::Result<Self> {
        Self::looking_up(move |CgroupToLookUp { id, user }| lock(&paths).record(id, user))
    }

    fn looking_up(look_up: impl FnMut(CgroupToLookUp) + Send + 'static) -> io::Result<Self> {
        // What finds no room is looked up with its next event, as is what was not found.
        let look_ups = LookUps::new("cgroups", look_up)?;
        Ok(Self { ids: HashSet::new(), since_ns: 0, last: None, look_ups })
    }

    /// Has the cgroup of an event's owner looked up, in the turn and the share of the user that the socket counts for.
    pub fn note(&mut self, event: &SocketEvent, user: impl FnOnce() -> u32) {
        let Some(id) = event.owner.and_then(|owner| owner.cgroup_id) else { return };
        let id = id.get();
        if event.time_ns.saturating_sub(self.since_ns) >= Self::TRUST_NS || self.ids.len() >= Self::MOST {
            (self.since_ns, self.last) = (event.time_ns, None);
            self.ids.clear();
        }
        if self.last == Some(id) {
            return;
        }
        let is_met = self.ids.contains(&id) || {
            let user = user();
            self.look_ups.want(user, CgroupToLookUp { id, user }) && self.ids.insert(id)
        };
        self.last = is_met.then_some(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Comm, EventKind, Grade, Owner, Proto};
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    /// However long a look-up takes, whoever has an event of a new cgroup goes on.
    #[test]
    fn cgroups_are_looked_up_beside() {
        let of = |cgroup, time_ns| SocketEvent {
            time_ns,
            kind: EventKind::Open,
            proto: Proto::Tcp,
            local: None,
            remote: None,
            owner: Some(Owner {
                pid: 1,
                comm: Comm::default(),
                grade: Grade::Created,
                cgroup_id: std::num::NonZeroU64::new(cgroup),
                start: 0,
            }),
            uid: None,
            inode: None,
            cookie: None,
            netns: None,
        };
        let (done, looked_up) = mpsc::channel();
        let slow = move |CgroupToLookUp { id, .. }| {
            std::thread::sleep(Duration::from_millis(200));
            done.send(id).unwrap();
        };
        let mut seen = Seen::looking_up(slow).unwrap();
        let begun = Instant::now();
        [1, 1, 2, 1, 2].into_iter().for_each(|id| seen.note(&of(id, 5), || 7));
        // What was not found may be found later.
        seen.note(&of(1, 5 + Seen::TRUST_NS), || 7);
        assert!(begun.elapsed() < Duration::from_millis(200), "{:?}", begun.elapsed());
        assert_eq!([(); 3].map(|()| looked_up.recv().unwrap()), [1, 2, 1]);
        let more = LookUps::<CgroupToLookUp>::QUEUE as u64 + 100;
        (0..more).for_each(|id| seen.note(&of(10 + id, 6 + Seen::TRUST_NS), || 7));
        assert!(seen.ids.len() < more as usize, "{}", seen.ids.len());
    }
}
