//! Facts that a row does not carry and that are gathered only where they are asked for.

use super::{Field, Need, Value};
use crate::model::{ClosedSocket, Holder, Owner, SctpRow, SocketEvent, SocketRow, UnixRow};

/// The row or event whose field is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A row of the Internet tables, with the namespace of its table, and the process that netstat names for it.
    Inet {
        /// The row.
        row: &'a SocketRow,
        /// Inode number of the network namespace.
        netns: Option<u32>,
        /// The first process that holds the socket.
        holder: Option<&'a Holder>,
        /// The owner that events recorded for a socket that nobody holds.
        recorded: Option<&'a Owner>,
    },
    /// An SCTP row.
    Sctp {
        /// The row.
        row: &'a SctpRow,
        /// The first process that holds the socket.
        holder: Option<&'a Holder>,
    },
    /// A row of the UNIX table.
    Unix {
        /// The row.
        row: &'a UnixRow<'a>,
        /// Inode number of the network namespace.
        netns: Option<u32>,
        /// The first process that holds the socket.
        holder: Option<&'a Holder>,
    },
    /// An event.
    Event(&'a SocketEvent),
    /// A socket that ended.
    Closed(&'a ClosedSocket),
}

impl Subject<'_> {
    /// The process that owns the socket, as far as it is known: of several holders the first.
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::Inet { holder, recorded, .. } => {
                holder.map(|holder| holder.pid).or_else(|| recorded.map(|owner| owner.pid))
            }
            Self::Sctp { holder, .. } | Self::Unix { holder, .. } => holder.map(|holder| holder.pid),
            Self::Event(event) => event.owner.map(|owner| owner.pid),
            Self::Closed(closed) => closed.socket.owner.map(|owner| owner.pid),
        }
    }
}

/// Whoever gathers the facts of one [`Need`], before rows are filtered by them or shown with them.
pub trait Provider {
    /// What it gathers; it is asked for the fields with one of these needs, and no others.
    fn provides(&self) -> Need;

    /// The field of this row or event, null where it is not known.
    fn value<'a>(&'a self, subject: &Subject<'a>, field: Field) -> Value<'a>;

    /// What of its needs could not be read of this row: fields of these needs are null, whatever they are.
    fn unread(&self, _subject: &Subject<'_>) -> Need {
        Need::NONE
    }

    /// The index of the device that the socket is bound to, in its network namespace.
    fn device(&self, _subject: &Subject<'_>) -> Option<u32> {
        None
    }

    /// Whether a process of this host may hold the other end of the socket.
    fn has_peer(&self, _subject: &Subject<'_>) -> bool {
        false
    }

    /// Whether a process that was seen to hold the other end ended before all was read of it.
    fn has_lost_peer(&self, _subject: &Subject<'_>) -> bool {
        false
    }
}
