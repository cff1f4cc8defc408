//! Rows in, bytes out: netstat tables, event text, JSON.

pub mod colour;
pub mod columns;
pub mod doctor;
pub mod event;
pub mod groups;
pub mod inet;
pub mod interfaces;
pub mod json;
pub mod kill;
pub mod packet_radio;
pub mod packet_routes;
pub mod route;
pub mod sctp;
pub mod statistics;
pub mod text;
pub mod unix;

use crate::model::Holder;
use crate::model::visible::escape;

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

/// A cell of the PID/Program column, blank before it: netstat's 19 bytes at most in a column of 20.
pub fn program(out: &mut Vec<u8>, holder: Option<&Holder>) {
    out.push(b' ');
    let start = out.len();
    match holder {
        Some(holder) => {
            out.extend_from_slice(itoa::Buffer::new().format(holder.pid).as_bytes());
            out.push(b'/');
            out.extend_from_slice(&escape(&holder.program));
            out.truncate(start + 19);
        }
        None => out.push(b'-'),
    }
    text::pad(out, start, 20);
}

impl Listed {
    /// Whether a listed socket has a peer; `None` where both are listed.
    pub const fn peer(self) -> Option<bool> {
        match self {
            Self::All => None,
            Self::Listening => Some(false),
            Self::Connected => Some(true),
        }
    }

    /// The end of a table's title.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::All => "(servers and established)",
            Self::Listening => "(only servers)",
            Self::Connected => "(w/o servers)",
        }
    }
}
