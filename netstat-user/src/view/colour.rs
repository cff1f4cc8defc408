//! Colour for terminals: states, failures and this program's own words; data have the terminal's own colour.

use crate::model::TcpState;

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Facts: addresses, names, numbers.
    Data,
    /// This program's own words.
    Own,
    /// A connection that stands, or that ended in order.
    Good,
    /// A socket that waits for connections.
    Listening,
    /// A connection that begins or ends.
    Passing,
    /// What failed, and what was lost.
    Failure,
}

impl Role {
    /// The role of a state's name.
    pub const fn of(state: TcpState) -> Self {
        match state {
            TcpState::Established => Self::Good,
            TcpState::Listen => Self::Listening,
            TcpState::Close => Self::Own,
            TcpState::SynSent
            | TcpState::SynRecv
            | TcpState::FinWait1
            | TcpState::FinWait2
            | TcpState::TimeWait
            | TcpState::CloseWait
            | TcpState::LastAck
            | TcpState::Closing => Self::Passing,
        }
    }

    /// The role of a state by its name, of TCP or of UNIX domain sockets; data where it is none.
    pub fn of_state(name: &[u8]) -> Self {
        match name {
            b"LISTENING" => Self::Listening,
            b"CONNECTED" => Self::Good,
            b"CONNECTING" | b"DISCONNECTING" => Self::Passing,
            name => {
                let state = TcpState::ALL.into_iter().find(|state| state.name().as_bytes() == name);
                state.map_or(Self::Data, Self::of)
            }
        }
    }

    /// The role of the reason why a socket ended, by its name.
    pub fn of_reason(name: &[u8]) -> Self {
        match name {
            b"-" => Self::Data,
            b"closed" => Self::Good,
            b"unknown" => Self::Passing,
            _ => Self::Failure,
        }
    }

    /// The parameter of SGR (ECMA-48), `None` for the terminal's own colour.
    const fn parameter(self) -> Option<&'static [u8]> {
        match self {
            Self::Data => None,
            Self::Own => Some(b"2"),
            Self::Good => Some(b"32"),
            Self::Listening => Some(b"36"),
            Self::Passing => Some(b"33"),
            Self::Failure => Some(b"31"),
        }
    }
}

/// Appends a text in its colour, or without any.
pub fn paint(out: &mut Vec<u8>, coloured: bool, role: Role, text: &[u8]) {
    match role.parameter().filter(|_| coloured && !text.is_empty()) {
        Some(parameter) => {
            out.extend_from_slice(b"\x1b[");
            out.extend_from_slice(parameter);
            out.push(b'm');
            out.extend_from_slice(text);
            out.extend_from_slice(b"\x1b[0m");
        }
        None => out.extend_from_slice(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_words_and_only_if_wanted() {
        let painted = |coloured, role| {
            let mut out = Vec::new();
            paint(&mut out, coloured, role, b"x");
            String::from_utf8(out).unwrap()
        };
        assert_eq!(painted(true, Role::Failure), "\x1b[31mx\x1b[0m");
        assert_eq!(painted(true, Role::Data), "x");
        assert_eq!(painted(false, Role::Failure), "x");
    }

    #[test]
    fn states_and_reasons_by_their_names() {
        assert_eq!(Role::of_state(b"ESTABLISHED"), Role::Good);
        assert_eq!((Role::of_state(b"LISTENING"), Role::of_state(b"LISTEN")), (Role::Listening, Role::Listening));
        assert_eq!((Role::of_state(b"-"), Role::of_reason(b"-")), (Role::Data, Role::Data));
        assert_eq!((Role::of_reason(b"closed"), Role::of_reason(b"refused")), (Role::Good, Role::Failure));
    }
}
