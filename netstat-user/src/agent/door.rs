//! Who is let in: by the peer's credentials, and while there are places. Nobody can take them all: a user has a share, and some are kept for
//! root and the agent's own user.

use super::budget::Budget;
use super::sight::Peer;
use crate::model::Subordinates;
use crate::sys;
use crate::sys::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One place of so many is kept for root and the agent's own user, at least one.
const KEPT: usize = 16;
/// A user may have one place of so many, but [`SHARE_LEAST`] at least.
const SHARE: usize = 4;
const SHARE_LEAST: usize = 8;
/// Refusals under way at a time. Whoever comes in a crowd beyond that is hung up on.
const REFUSALS: usize = 32;
/// Bytes that may wait for the readers of one user, and for those of all users but root and the agent's own.
const USER_ROOM: usize = 48 << 20;
const GUESTS_ROOM: usize = 128 << 20;
/// Processor time of the guests' thread, in a second, that these readers may take before only one of a user's is served.
const USER_TIME: Duration = Duration::from_millis(250);
const GUESTS_TIME: Duration = Duration::from_millis(600);

/// Who is served: root, the agent's own user, the members of a group, or everyone.
#[derive(Clone, Copy, Debug)]
pub struct Admission {
    /// User the agent runs as.
    pub uid: u32,
    /// Group of the socket, if one was set.
    pub gid: Option<u32>,
    /// The socket's mode lets everyone write.
    pub everyone: bool,
    /// Whoever is served is shown everything.
    pub shares_all: bool,
}

impl Admission {
    /// Whether the peer is root or the agent's own user.
    pub fn is_staff(&self, peer: &Peer) -> bool {
        peer.uid == 0 || peer.uid == self.uid
    }

    /// Whether root and the agent's own user, or else all others, are shown everything.
    pub const fn shows_all(&self, is_staff: bool) -> bool {
        is_staff || self.shares_all
    }

    /// Whether the peer is served.
    pub fn admits(&self, peer: &Peer, stream: &UnixStream) -> bool {
        let member = |gid| peer.gid == gid || sys::peer_groups(stream).is_ok_and(|groups| groups.contains(&gid));
        self.everyone || self.is_staff(peer) || self.gid.is_some_and(member)
    }
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// All are taken.
    #[error("too many clients: try again, or start the agent with a larger --clients")]
    All,
    /// The user has taken their share.
    #[error("too many clients of this user: try again, or start the agent with a larger --clients")]
    User,
}

/// What the clients of one user, and of those whose ids that user holds, share.
#[derive(Debug)]
pub struct User {
    /// Held by the one of them whose request costs more than a look-up.
    pub turn: Semaphore,
    /// What those that read events may take: waiting bytes, and processor time.
    pub budget: Arc<Budget>,
}

/// The places.
#[derive(Debug)]
pub struct Places {
    most: usize,
    taken: Mutex<Taken>,
    guests_budget: Arc<Budget>,
    staff_budget: Arc<Budget>,
    refusals: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    guests: usize,
    users: HashMap<Payer, (usize, Arc<User>)>,
    subordinates: Arc<Subordinates>,
}

/// Whose share a place is of: a user with all the ids that they hold, and whether that is root or the agent's own user.
type Payer = (u32, bool);

impl Places {
    /// So many places.
    pub fn new(most: usize) -> Arc<Self> {
        let taken = Mutex::default();
        let (guests_budget, staff_budget) =
            (Budget::new(GUESTS_ROOM, GUESTS_TIME, None), Budget::new(usize::MAX, Duration::MAX, None));
        Arc::new(Self { most, taken, guests_budget, staff_budget, refusals: Arc::new(Semaphore::new(REFUSALS)) })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Taken> {
        lock(&self.taken)
    }

    /// Who holds whose ids, from now on.
    pub fn count_by(&self, subordinates: Arc<Subordinates>) {
        self.lock().subordinates = subordinates;
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.lock().all
    }

    /// The right to refuse somebody with the reason, while not too many are being refused.
    pub fn refusal(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.refusals).try_acquire_owned().ok()
    }

    /// Takes one.
    ///
    /// # Errors
    /// There is none for this user.
    pub fn take(self: &Arc<Self>, uid: u32, is_staff: bool) -> Result<Seat, Full> {
        let mut taken = self.lock();
        if taken.all >= self.most {
            return Err(Full::All);
        }
        let payer = (if is_staff { uid } else { taken.subordinates.counts_as(uid) }, is_staff);
        let has = taken.users.get(&payer).map_or(0, |(count, _)| *count);
        if !is_staff {
            if taken.guests >= self.most - (self.most / KEPT).max(1).min(self.most) {
                return Err(Full::All);
            }
            if has >= (self.most / SHARE).max(SHARE_LEAST) {
                return Err(Full::User);
            }
            taken.guests += 1;
        }
        taken.all += 1;
        let new = || {
            let (most, time, whole) = if is_staff {
                (usize::MAX, Duration::MAX, &self.staff_budget)
            } else {
                (USER_ROOM, USER_TIME, &self.guests_budget)
            };
            // Root's requests wait for no other's.
            let turn = Semaphore::new(if is_staff { Semaphore::MAX_PERMITS } else { 1 });
            Arc::new(User { turn, budget: Budget::new(most, time, Some(Arc::clone(whole))) })
        };
        let (count, user) = taken.users.entry(payer).or_insert_with(|| (0, new()));
        *count += 1;
        let user = Arc::clone(user);
        Ok(Seat { places: Arc::clone(self), payer, user })
    }
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub struct Seat {
    places: Arc<Places>,
    payer: Payer,
    /// What it shares with others of its user.
    pub user: Arc<User>,
}

impl Seat {
    /// The user that it counts for.
    pub const fn payer(&self) -> u32 {
        self.payer.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= 1;
        taken.guests -= usize::from(!self.payer.1);
        if let Some((count, _)) = taken.users.get_mut(&self.payer) {
            *count -= 1;
            if *count == 0 {
                taken.users.remove(&self.payer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::IdRange;

    #[test]
    fn members_of_the_group_are_let_in_and_no_others() {
        let runtime = sys::runtime().unwrap();
        let _entered = runtime.enter();
        let (stream, _other) = UnixStream::pair().unwrap();
        let ours = sys::peer_groups(&stream).unwrap();
        let none = (1..).map(|number| 54_320 + number).find(|gid| !ours.contains(gid)).unwrap();
        let admits =
            |gid, everyone, peer: &Peer| Admission { uid: 77, gid, everyone, shares_all: false }.admits(peer, &stream);
        let peer = |uid, gid| Peer { uid, gid, pid: None, begun: None, id: None };
        // By the group that the peer runs as, or by another of its own.
        assert!(admits(Some(none), false, &peer(1000, none)));
        ours.iter().for_each(|&gid| assert!(admits(Some(gid), false, &peer(1000, none))));
        assert!(!admits(Some(none), false, &peer(1000, none + 1)), "of no such group");
        assert!(!admits(None, false, &peer(1000, none)), "no group");
        assert!(admits(None, true, &peer(1000, none)), "everyone");
        assert!(admits(None, false, &peer(0, none)) && admits(None, false, &peer(77, none)), "staff");
    }

    #[test]
    fn a_user_has_a_share_and_some_places_are_roots() {
        let places = Places::new(32);
        let mut seats: Vec<Seat> = (0..8).map(|_| places.take(1000, false).unwrap()).collect();
        assert_eq!(places.take(1000, false).unwrap_err(), Full::User);
        seats.extend((0..22).map(|number| places.take(2000 + number, false).unwrap()));
        assert_eq!(places.take(3000, false).unwrap_err(), Full::All);
        seats.extend((0..2).map(|_| places.take(0, true).unwrap()));
        assert_eq!(places.take(0, true).unwrap_err(), Full::All);
        assert_eq!(places.taken(), 32);
        drop(seats);
        let taken = places.lock();
        assert_eq!((taken.all, taken.guests, taken.users.len()), (0, 0, 0));
        // The ids that a user holds are that user's, but not where the agent runs as that one.
        let places = Places::new(32);
        let held = Subordinates::new(vec![IdRange { first: 100_000, last: 165_535, counts_as: 77 }]);
        places.count_by(Arc::new(held));
        let own = places.take(77, true).unwrap();
        let seats: Vec<Seat> = (0..8).map(|number| places.take(100_000 + number, false).unwrap()).collect();
        assert_eq!(places.take(100_500, false).unwrap_err(), Full::User);
        assert!(seats.iter().all(|seat| Arc::ptr_eq(&seat.user, &seats[0].user)));
        assert!(!Arc::ptr_eq(&seats[0].user, &own.user));
        // Whoever an id belongs to later, the places are given back where they were taken.
        places.count_by(Arc::default());
        drop((seats, own));
        assert!(places.lock().users.is_empty());
        // However few there are, one is root's.
        assert_eq!(Places::new(1).take(1000, false).unwrap_err(), Full::All);
        assert!(Places::new(2).take(1000, false).is_ok());
    }
}
