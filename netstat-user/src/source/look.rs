//! A look at the caller's own namespace, which is asked once how much there is to read.

use super::KernelSource;
use super::cost::Census;
use crate::diag::Protocol;
use crate::model::{ProtoTable, RowsWanted};
use crate::proc::fds;

/// A look at the caller's own namespace, from what is expected of it to its tables.
pub struct OwnLook<'s> {
    source: &'s KernelSource,
    census: Census<'s>,
}

impl OwnLook<'_> {
    /// Decides how to read these tables before holders are looked for: these come from the iterators, too, once those are loaded.
    pub fn expect(&self, wanted: &RowsWanted) {
        if !self.source.has_diag(Protocol::Tcp) {
            self.source.iterators(|| self.source.amount(&self.census, wanted));
        }
    }

    /// As [`KernelSource::holders`].
    pub fn holders(&self) -> fds::Scan {
        self.source.holders_beside(&self.census)
    }

    /// The tables, in the order asked for. Rows that do not pass the condition are left out where that spares reading them.
    pub fn tables(&self, wanted: &RowsWanted) -> Vec<ProtoTable> {
        self.source.tables(&self.source.root, wanted, &self.census)
    }
}

impl KernelSource {
    /// Begins a look at the caller's own namespace.
    pub fn look(&self) -> OwnLook<'_> {
        OwnLook { source: self, census: Census::new(&self.root) }
    }
}
