//! Which rows of the Internet tables are wanted: what a plan names, an agent is asked for, and the readers of tables read.

use super::{Proto, RowTest, SocketRow};

/// Which rows are wanted. Whoever reads them may leave out all others; whoever asks checks the whole expression once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsWanted {
    /// Their protocols and families, in the order of the tables.
    pub protos: Vec<Proto>,
    /// Only those with a peer, or only those without.
    pub peer: Option<bool>,
    /// Inode of the one network namespace, `None` for all that the reader looks into.
    pub netns: Option<u32>,
    /// A condition of theirs.
    pub only: Option<RowTest>,
}

impl RowsWanted {
    /// Every row of these protocols.
    pub const fn of(protos: Vec<Proto>) -> Self {
        Self { protos, peer: None, netns: None, only: None }
    }

    /// Every process that the condition names.
    pub fn pids(&self) -> Vec<u32> {
        self.only.as_ref().map(RowTest::pids).unwrap_or_default()
    }

    /// Whether a row has the protocol and the peer that are wanted. The condition is not looked at, nor the namespace, in which a table is read.
    pub fn keeps(&self, row: &SocketRow) -> bool {
        self.protos.contains(&row.proto) && self.peer.is_none_or(|peer| peer == row.has_peer())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Endpoint;

    #[test]
    fn a_row_is_kept_by_its_protocol_and_its_peer() {
        let end = |port| Endpoint { addr: [127, 0, 0, 1].into(), port };
        let rows = [(Proto::Tcp, 1), (Proto::Tcp, 0), (Proto::Udp, 1)]
            .map(|(proto, port)| SocketRow::bare(proto, end(7), end(port), 1));
        for (peer, kept) in [(None, [true, true]), (Some(true), [true, false]), (Some(false), [false, true])] {
            let wanted = RowsWanted { peer, ..RowsWanted::of(vec![Proto::Tcp]) };
            assert_eq!(rows.map(|row| wanted.keeps(&row)), [kept[0], kept[1], false], "{peer:?}");
        }
    }
}
