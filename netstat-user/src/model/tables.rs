//! The kernel's tables of Internet sockets, as whoever reads them hands them on.

use super::{Owner, Proto, SocketRow, TcpState};
use std::io;

/// What the kernel lists of one protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketTable {
    /// Its rows, in the kernel's order (that of its hash tables).
    pub rows: Vec<SocketRow>,
    /// Lines that are no row and were left out.
    pub bogus: usize,
    /// Owners that events recorded for rows nobody holds, by place in `rows`, in order; only an agent knows them.
    pub recorded: Vec<(u32, Owner)>,
}

impl SocketTable {
    /// Every row, with the owner that events recorded for it.
    pub fn with_recorded(&self) -> impl Iterator<Item = (&SocketRow, Option<&Owner>)> {
        let mut recorded = self.recorded.iter().peekable();
        self.rows
            .iter()
            .enumerate()
            .map(move |(at, row)| (row, recorded.next_if(|(place, _)| *place as usize == at).map(|(_, owner)| owner)))
    }

    /// Leaves out the rows that are not wanted.
    pub fn retain(&mut self, mut wanted: impl FnMut(&SocketRow, Option<&Owner>) -> bool) {
        let recorded = std::mem::take(&mut self.recorded);
        let mut recorded = recorded.into_iter().peekable();
        let (mut at, mut kept) = (0, 0);
        let kept_recorded = &mut self.recorded;
        self.rows.retain(|row| {
            let owner = recorded.next_if(|(place, _)| *place == at).map(|(_, owner)| owner);
            at += 1;
            let keep = wanted(row, owner.as_ref());
            if keep {
                kept_recorded.extend(owner.map(|owner| (kept, owner)));
                kept += 1;
            }
            keep
        });
    }
}

/// A protocol's table, or why it could not be read: `NotFound` where the kernel has no such protocol.
pub type ProtoTable = (Proto, io::Result<SocketTable>);

/// The tables of one network namespace.
#[derive(Debug)]
pub struct NamespaceTables {
    /// Inode number of the namespace, `None` where whoever read them does not know it.
    pub netns: Option<u32>,
    /// Its name in /run/netns, if it has one.
    pub name: Option<Vec<u8>>,
    /// Its tables, in the order they were asked for.
    pub tables: Vec<ProtoTable>,
}

impl NamespaceTables {
    /// The inodes of the sockets that have one.
    pub fn inodes(&self) -> impl Iterator<Item = u64> {
        let tables = self.tables.iter().filter_map(|(_, table)| table.as_ref().ok());
        tables.flat_map(|table| &table.rows).map(|row| row.inode).filter(|&inode| inode != 0)
    }
}

impl SocketRow {
    /// The state by the name that JSON has: a datagram socket that is not connected has none.
    pub fn named_state(&self) -> Option<TcpState> {
        let state = TcpState::from_kernel(self.state)?;
        (self.proto.is_tcp() || state == TcpState::Established).then_some(state)
    }

    /// Whether the socket has a peer, as netstat's filters see it: TCP by the remote port, the others by the remote address.
    pub fn has_peer(&self) -> bool {
        if self.proto.is_tcp() { self.remote.port != 0 } else { !self.remote.addr.is_unspecified() }
    }
}
