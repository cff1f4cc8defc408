//! Where the rows of the Internet tables and the holders of sockets are read: the one place that chooses how, for the classic tables
//! that are printed without an agent and for the agent itself.

use crate::model::{NamespaceTables, Proto, ProtoTable, RowsWanted};
use crate::proc::netns::{self, Namespace};
use crate::proc::{fds, inet};
use std::path::{Path, PathBuf};
use std::thread;

/// What is kept from one look at the kernel to the next.
pub struct Source {
    /// Where /proc is mounted.
    root: PathBuf,
}

impl Source {
    /// Looks at the kernel through /proc, mounted at `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// The tables of the caller's own namespace, in the order asked for.
    pub fn own(&self, wanted: &RowsWanted) -> Vec<ProtoTable> {
        tables(&self.root, wanted)
    }

    /// The tables of namespaces, in their order. One that has gone meanwhile has none.
    pub fn of(&self, namespaces: Vec<Namespace>, wanted: &RowsWanted) -> Vec<NamespaceTables> {
        let look = |namespace: Namespace| {
            let inside = namespace.within(&self.root, Path::new(netns::NAMES), |root| tables(root, wanted));
            Some(NamespaceTables { netns: Some(namespace.inode), name: namespace.name, tables: inside.ok()? })
        };
        namespaces.into_iter().filter_map(look).collect()
    }

    /// Starts to look for the processes that hold sockets, beside whatever the caller does next.
    pub fn holders(&self) -> fds::Scan {
        fds::Scan::start(&self.root)
    }
}

/// The tables of the namespace whose `net/` is below `root`. The two large ones are read side by side: each costs a walk over the
/// kernel's whole hash table, however few sockets there are.
fn tables(root: &Path, wanted: &RowsWanted) -> Vec<ProtoTable> {
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
