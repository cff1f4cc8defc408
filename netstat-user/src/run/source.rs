//! Where the rows of the Internet tables and the holders of sockets are read: the one place that chooses how, for the classic tables
//! that are printed without an agent and for the agent itself.

use crate::model::{NamespaceTables, Proto, ProtoTable, RowsWanted};
use crate::proc::{fds, inet, netns};
use std::path::Path;
use std::thread;

/// The tables of the namespace whose `net/` is below `root`, in the order asked for. The two large ones are read side by side:
/// each costs a walk over the kernel's whole hash table, however few sockets there are.
pub fn tables(root: &Path, wanted: &RowsWanted) -> Vec<ProtoTable> {
    let read = |proto| inet::read(root, proto, |row| wanted.keeps(row));
    thread::scope(|scope| {
        let both = wanted.protos.contains(&Proto::Tcp) && wanted.protos.contains(&Proto::Tcp6);
        let beside = || thread::Builder::new().spawn_scoped(scope, || read(Proto::Tcp6)).ok();
        let mut beside = if both { beside() } else { None };
        let table = |&proto: &Proto| {
            let theirs = if proto == Proto::Tcp6 { beside.take().and_then(|beside| beside.join().ok()) } else { None };
            (proto, theirs.unwrap_or_else(|| read(proto)))
        };
        wanted.protos.iter().map(table).collect()
    })
}

/// The tables of namespaces, in their order. One that has gone meanwhile has none.
pub fn everywhere(root: &Path, namespaces: Vec<netns::Namespace>, wanted: &RowsWanted) -> Vec<NamespaceTables> {
    let look = |namespace: netns::Namespace| {
        let inside = namespace.within(root, Path::new(netns::NAMES), |root| tables(root, wanted));
        Some(NamespaceTables { netns: Some(namespace.inode), name: namespace.name, tables: inside.ok()? })
    };
    namespaces.into_iter().filter_map(look).collect()
}

/// Starts to look for the processes that hold sockets, beside whatever the caller does next.
pub fn holders(root: &Path) -> fds::Scan {
    fds::Scan::start(root)
}
