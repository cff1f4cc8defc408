//! Whom events recorded as the owners of sockets that nobody holds any more.

use super::socket::listed_socket;
use super::{Identity, Table};
use crate::model::{LiveSocket, Owner, SocketRow, TcpState};

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
        let mut owners = Vec::new();
        for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.inode == 0) {
            let identity = identity(row);
            let before = || {
                let ends = identity.ends.filter(|_| remains(row))?;
                self.past.last_with(&ends).filter(|socket| shown(socket))?.owner
            };
            owners.extend(living(&identity).or_else(before).map(|owner| (at as u32, owner)));
        }
        owners
    }
}
