//! Whom events recorded as the owners of sockets that nobody holds any more.

use super::socket::listed_socket;
use super::{Identity, Table};
use crate::model::{ClosedSocket, Ends, LiveSocket, Owner, SocketRow, TcpState};
use hashbrown::{HashMap, HashSet};

impl Table {
    /// The owners of those rows, of a namespace's list, that have no inode: requests, orphans and what remains in TIME_WAIT. By place
    /// in `rows`. The last is often all that is left of a socket whose end has been reported already. With a user, only of sockets of that user.
    pub fn recorded(&self, netns: u32, rows: &[SocketRow], uid: Option<u32>) -> Vec<(u32, Owner)> {
        let shown = |socket: &LiveSocket| uid.is_none_or(|uid| socket.uid == Some(uid));
        let identity =
            |row: &SocketRow| Identity::of(&listed_socket(&SocketRow { netns: Some(netns), ..*row }, None, 0));
        let living =
            |identity: &Identity| self.slots.find(identity).and_then(|at| self.slots[at].socket).filter(&shown)?.owner;
        // In these states there may be no socket any more, only what the kernel keeps of it.
        let remains = |row: &SocketRow| row.state == TcpState::TimeWait as u8 || row.state == TcpState::FinWait2 as u8;
        let (mut owners, mut left) = (Vec::new(), Vec::new());
        for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.inode == 0) {
            let identity = identity(row);
            match (living(&identity), identity.ends.filter(|_| remains(row))) {
                (Some(owner), _) => owners.push((at as u32, owner)),
                (None, Some(ends)) => left.push((at as u32, ends)),
                (None, None) => {}
            }
        }
        let ended = self.ended(&left.iter().map(|(_, ends)| *ends).collect());
        let before = |ends: &Ends| ended.get(ends).filter(|socket| shown(socket))?.owner;
        owners.extend(left.iter().filter_map(|(at, ends)| Some((*at, before(ends)?))));
        owners.sort_unstable_by_key(|(at, _)| *at);
        owners
    }

    /// The sockets that ended with these ends; of several with the same ends, the last.
    pub(super) fn ended(&self, wanted: &HashSet<Ends>) -> HashMap<Ends, LiveSocket> {
        if wanted.is_empty() {
            return HashMap::new();
        }
        let ends = |closed: &ClosedSocket| Identity::of(&closed.socket).ends.filter(|ends| wanted.contains(ends));
        self.past.iter().filter_map(|closed| Some((ends(closed)?, closed.socket))).collect()
    }
}
