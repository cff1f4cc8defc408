//! Who holds the sockets that are there, and which of them listen: evidence for the owners of later events.

use super::KernelSource;
use crate::model::{Comm, EventEnd, NamespaceTables, RowsWanted, TcpState};
use crate::owner::Owners;
use crate::proc::fds;
use crate::proc::netns::Namespace;
use crate::sys::failed_look;

/// What one look at the machine found.
pub struct Evidence {
    /// Who holds which socket, and what listens.
    pub owners: Owners,
    /// The tables that were read.
    pub tables: Vec<NamespaceTables>,
    /// The look at who holds sockets, which knows what it could not see.
    pub scan: fds::Scan,
}

impl KernelSource {
    /// Looks who holds sockets, and reads these tables of the namespaces, which are looked for meanwhile.
    pub fn evidence(&self, namespaces: impl FnOnce() -> Vec<Namespace>, wanted: &RowsWanted) -> Evidence {
        let mut scan = self.holders();
        let tables = self.of(namespaces(), wanted);
        let mut owners = Owners::default();
        let mut named = (0, Comm::default());
        let mut unnamed = None;
        for (pid, inode) in scan.links() {
            if named.0 != pid {
                let comm = fds::comm(&self.root, pid).map_err(|error| unnamed = unnamed.or_else(|| failed_look(error)));
                named = (pid, comm.unwrap_or_default());
            }
            owners.scanned(inode, pid, named.1);
        }
        if let Some(error) = unnamed {
            scan.note(error);
        }
        for space in &tables {
            let rows = space.tables.iter().filter_map(|(_, table)| table.as_ref().ok()).flat_map(|table| &table.rows);
            for row in rows.filter(|row| row.proto.is_tcp() && row.state == TcpState::Listen as u8) {
                let local = EventEnd { addr: row.local.addr, port: Some(row.local.port) };
                space.netns.into_iter().for_each(|netns| owners.listening(netns, local, row.inode));
            }
        }
        Evidence { owners, tables, scan }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventKind, Grade, Owner, Proto, SocketEvent};
    use crate::proc::netns;
    use crate::source::RowNeeds;
    use std::net::TcpListener;
    use std::os::fd::AsFd;
    use std::path::Path;

    #[test]
    fn a_listener_and_its_holder_are_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let inode = rustix::fs::fstat(listener.as_fd()).unwrap().st_ino;
        let local = listener.local_addr().unwrap();
        let proc = Path::new("/proc");
        let source = KernelSource::new(proc, RowNeeds::default());
        let wanted = RowsWanted { peer: Some(false), ..RowsWanted::of(vec![Proto::Tcp, Proto::Tcp6]) };
        let mut found = source.evidence(|| netns::all(proc, Path::new(netns::NAMES)).namespaces, &wanted);
        let me = std::process::id();
        let comm = fds::comm(proc, me).unwrap();
        let owner = |grade| Some(Owner { pid: me, comm, grade, cgroup_id: None, start: 0 });
        assert_eq!(found.owners.holder(inode), owner(Grade::Scanned));
        // A connection that comes in is the listener's.
        let mut event = SocketEvent {
            time_ns: 1,
            kind: EventKind::State { old: TcpState::Listen, new: TcpState::SynRecv, in_state_ns: None },
            proto: Proto::Tcp,
            local: Some(EventEnd { addr: local.ip(), port: Some(local.port()) }),
            remote: Some(EventEnd { addr: local.ip(), port: Some(7) }),
            owner: None,
            uid: None,
            inode: None,
            cookie: Some(1),
            netns: netns::own(proc).ok(),
        };
        found.owners.resolve(&mut event);
        assert_eq!(event.owner, owner(Grade::Inherited));
    }
}
