//! Whom events recorded as the owners of sockets that nobody holds any more.

use super::socket::listed_socket;
use super::{EndedByEnds, Identity, Table};
use crate::model::{LiveSocket, Owner, SocketRow, TcpState};

/// Whether one socket may be what is left of the other.
fn is_same(living: &LiveSocket, before: &LiveSocket) -> bool {
    let agree = |one: Option<u64>, other: Option<u64>| one.is_none() || other.is_none() || one == other;
    agree(living.cookie, before.cookie) && agree(living.uid.map(u64::from), before.uid.map(u64::from))
}

/// Closed sockets that are put into an index at a time.
const INDEXED: usize = 4096;

/// Whether there may be no socket any more, only what the kernel keeps of it.
pub fn may_be_remains(row: &SocketRow) -> bool {
    row.inode == 0 && (row.state == TcpState::TimeWait as u8 || row.state == TcpState::FinWait2 as u8)
}

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
        let identity =
            |row: &SocketRow| Identity::of(&listed_socket(&SocketRow { netns: Some(netns), ..*row }, None, 0));
        let living = |identity: &Identity| self.slots.find(identity).and_then(|at| self.slots[at].socket);
        let mut owners = Vec::new();
        for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.inode == 0) {
            let identity = identity(row);
            let before = || self.past.last_with(ended, &identity.ends.filter(|_| may_be_remains(row))?);
            // What lives is what the row shows, whoever's it is. What ended before with the same ends may have been another connection.
            let owner = match living(&identity) {
                Some(living) if !shown(&living) => None,
                Some(LiveSocket { owner: Some(owner), .. }) => Some(owner),
                living => before()
                    .filter(|before| shown(before) && living.is_none_or(|living| is_same(&living, before)))
                    .and_then(|before| before.owner),
            };
            owners.extend(owner.map(|owner| (at as u32, owner)));
        }
        owners
    }
}
