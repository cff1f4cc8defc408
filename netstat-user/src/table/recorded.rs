//! Whom events recorded as the owners of sockets that nobody holds any more.

use super::socket::{known_user, listed_socket, may_be_left_of, may_be_remains};
use super::{EndedByEnds, Identity, Table};
use crate::model::{LiveSocket, Owner, SocketRow};

/// Closed sockets that are put into an index at a time.
const INDEXED: usize = 4096;

impl Table {
    /// Puts some more of the closed sockets into the index; whether there are more. Events may be folded between the parts.
    pub fn index_ended(&self, index: &mut EndedByEnds) -> bool {
        self.past.index(index, INDEXED)
    }

    /// The owners of those rows, of a namespace's list, that have no inode: requests, orphans and what remains in TIME_WAIT. By place
    /// in `rows`. The last is often all that is left of a socket whose end has been reported already: it is looked for in `ended`. With a user,
    /// only of sockets of that user.
    pub fn recorded(&self, netns: u32, rows: &[SocketRow], uid: Option<u32>, ended: &EndedByEnds) -> Vec<(u32, Owner)> {
        let shown = |socket: &LiveSocket| uid.is_none_or(|uid| socket.uid == Some(uid));
        let living = |identity: &Identity| self.slots.find(identity).and_then(|at| self.slots[at].socket);
        let mut owners = Vec::new();
        for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.inode == 0) {
            let listed = listed_socket(&SocketRow { netns: Some(netns), ..*row }, None, 0);
            let identity = Identity::of(&listed);
            let before = || self.past.last_with(ended, &identity.ends.filter(|_| may_be_remains(row))?);
            // What lives is what the row shows, whoever's it is. What ended before with the same ends may have been another connection.
            let owner = match living(&identity) {
                Some(living) if known_user(&living).is_some() && !shown(&living) => None,
                Some(living) if living.owner.is_some() => living.owner.filter(|_| shown(&living)),
                living => {
                    let is_left_of = |before: &LiveSocket| {
                        [Some(&listed), living.as_ref()].into_iter().flatten().all(|left| may_be_left_of(left, before))
                    };
                    before().filter(|before| shown(before) && is_left_of(before)).and_then(|before| before.owner)
                }
            };
            owners.extend(owner.map(|owner| (at as u32, owner)));
        }
        owners
    }
}
