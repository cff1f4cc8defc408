//! Whom events recorded as the owners of sockets that nobody holds any more.

use super::socket::listed_socket;
use super::{Ends, Identity, Table};
use crate::model::{LiveSocket, Owner, SocketRow, TcpState};
use std::cell::OnceCell;
use std::collections::HashMap;

impl Table {
    /// The owners of those rows, of a namespace's list, that have no inode: requests, orphans and what remains in TIME_WAIT. By place
    /// in `rows`. The last is often all that is left of a socket whose end has been reported already. With a user, only of sockets of that user.
    pub fn recorded(&self, netns: u32, rows: &[SocketRow], uid: Option<u32>) -> Vec<(u32, Owner)> {
        let shown = |socket: &LiveSocket| uid.is_none_or(|uid| socket.uid == Some(uid));
        let ended: OnceCell<HashMap<Ends, LiveSocket>> = OnceCell::new();
        let owner = |row: &SocketRow| {
            let identity = Identity::of(&listed_socket(&SocketRow { netns: Some(netns), ..*row }, None, 0));
            let living = self.slots.find(&identity).and_then(|at| self.slots[at].socket).filter(&shown);
            let living = living.and_then(|socket| socket.owner);
            // In these states there may be no socket any more, only what the kernel keeps of it.
            let remains = row.state == TcpState::TimeWait as u8 || row.state == TcpState::FinWait2 as u8;
            living.or_else(|| {
                let before = ended.get_or_init(|| self.ended()).get(&identity.ends.filter(|_| remains)?);
                before.filter(|socket| shown(socket))?.owner
            })
        };
        let nobodys = rows.iter().enumerate().filter(|(_, row)| row.inode == 0);
        nobodys.filter_map(|(at, row)| Some((at as u32, owner(row)?))).collect()
    }

    /// The sockets that ended, by their ends; of several with the same ends, the last.
    pub(super) fn ended(&self) -> HashMap<Ends, LiveSocket> {
        self.past.iter().filter_map(|closed| Some((Identity::of(&closed.socket).ends?, closed.socket))).collect()
    }
}
