//! What became of a socket that was to be closed.

/// What `kill` did to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillResult {
    /// Nothing yet: it is selected.
    WouldClose,
    /// The kernel closed it.
    Closed,
    /// Its process sees the error and must close it.
    Aborted,
    /// It was not there any more.
    Gone,
    /// It is as it was.
    Failed,
}

impl KillResult {
    /// Every result.
    pub const ALL: [Self; 5] = [Self::WouldClose, Self::Closed, Self::Aborted, Self::Gone, Self::Failed];

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WouldClose => "would_close",
            Self::Closed => "closed",
            Self::Aborted => "aborted",
            Self::Gone => "gone",
            Self::Failed => "failed",
        }
    }
}
