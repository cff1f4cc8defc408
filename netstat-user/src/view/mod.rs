//! Rows in, bytes out: netstat tables, event text, JSON.

pub mod event;
pub mod inet;
pub mod json;
pub mod route;
pub mod statistics;
pub mod text;

/// Which sockets a table lists, as its title says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// All of them.
    All,
    /// Those that wait for a peer.
    Listening,
    /// Those with a peer.
    Connected,
}

impl Listed {
    /// The end of a table's title.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::All => "(servers and established)",
            Self::Listening => "(only servers)",
            Self::Connected => "(w/o servers)",
        }
    }
}
