//! UNIX sockets: `struct unix_diag_req` and `struct unix_diag_msg` of `linux/unix_diag.h`. Here names are bytes with a length, where /proc writes
//! them into its lines as they are, newlines included.

use super::channel::{Channel, DiagError};
use super::inet::BY_FAMILY;
use super::wire::{Attributes, u32_at};
use crate::model::UnixSocket;

/// `AF_UNIX`
const UNIX: u8 = 1;

/// Bytes of `struct unix_diag_msg`.
const REPLY: usize = 16;

/// What can be asked for: `UDIAG_SHOW_…`.
pub mod show {
    /// The name that the socket is bound to.
    pub const NAME: u32 = 0x1;
    /// The inode of the socket at the other end.
    pub const PEER: u32 = 0x4;
    /// The lengths of the queues.
    pub const QUEUES: u32 = 0x10;
    /// The user, from Linux 5.3.
    pub const UID: u32 = 0x40;
}

/// Numbers of the attributes of answers.
mod attribute {
    pub const NAME: u16 = 0;
    pub const PEER: u16 = 2;
    pub const QUEUES: u16 = 4;
    pub const UID: u16 = 7;
}

/// A request for every UNIX socket, with what [`show`] names.
pub fn request(show: u32) -> Vec<u8> {
    let mut bytes = vec![UNIX, 0, 0, 0];
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(show.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes
}

/// Reads an answer, `None` where it is cut short or of another family.
pub fn parse(bytes: &[u8]) -> Option<UnixSocket> {
    let (fixed, rest) = bytes.split_at_checked(REPLY)?;
    if fixed[0] != UNIX {
        return None;
    }
    let cookie = u64::from(u32_at(fixed, 8)?) | u64::from(u32_at(fixed, 12)?) << 32;
    let mut socket = UnixSocket {
        kind: fixed[1].into(),
        state: fixed[2],
        inode: u32_at(fixed, 4)?.into(),
        cookie,
        ..UnixSocket::default()
    };
    for (number, value) in Attributes::new(rest) {
        match number {
            attribute::NAME => socket.name = Some(value.to_vec()),
            attribute::PEER => socket.peer = u32_at(value, 0).map(u64::from).filter(|&inode| inode != 0),
            attribute::QUEUES => socket.queues = u32_at(value, 0).zip(u32_at(value, 4)),
            attribute::UID => socket.uid = u32_at(value, 0),
            _ => {}
        }
    }
    Some(socket)
}

/// Every UNIX socket of the channel's network namespace, in the order of /proc/net/unix; `show` says what of each.
///
/// # Errors
/// A [`DiagError`].
pub fn dump(channel: &mut Channel, show: u32) -> Result<Vec<UnixSocket>, DiagError> {
    let mut sockets = Vec::new();
    each(channel, show, |socket| sockets.push(socket))?;
    Ok(sockets)
}

/// The same, one at a time.
///
/// # Errors
/// A [`DiagError`].
pub fn each(channel: &mut Channel, show: u32, mut take: impl FnMut(UnixSocket)) -> Result<(), DiagError> {
    channel.dump(BY_FAMILY, &request(show), |bytes| parse(bytes).into_iter().for_each(&mut take)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::wire::{DONE, Messages};
    use super::*;
    use proptest::prelude::*;

    /// A dump of Linux 6.18: a connection not accepted yet to a listener whose abstract name has a newline and a NUL in it, a datagram socket at a
    /// path, and the listener. The end of the connection that nobody has accepted is not among them.
    const UNIX: &[u8] = include_bytes!("captured/unix.bin");

    #[test]
    fn a_dump() {
        let all: Vec<_> =
            Messages::new(UNIX).filter(|message| message.kind != DONE).map(|m| parse(m.payload).unwrap()).collect();
        let mut named: Vec<_> = all.iter().map(|s| (s.kind, s.state, s.shown().unwrap_or_default())).collect();
        named.sort();
        let expected: [(u32, u8, &[u8]); 3] = [(1, 1, b""), (1, 10, b"@abc\ndef@g"), (2, 7, b"/tmp/diag/s.sock")];
        assert_eq!(named, expected.map(|(kind, state, name)| (kind, state, name.to_vec())));
        assert!(all.iter().all(|socket| socket.inode != 0 && socket.cookie != 0 && socket.uid == Some(0)));
        let listener = all.iter().find(|socket| socket.state == 10).unwrap();
        assert_eq!(listener.queues, Some((1, 5)));
        assert_eq!(listener.name.as_deref(), Some(b"\0abc\ndef\0g".as_slice()));
    }

    #[test]
    fn a_request_has_the_size_of_its_structure() {
        assert_eq!(request(show::NAME).len(), 24);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes: Vec<u8>) {
            if let Some(first) = bytes.first_mut() {
                *first = UNIX_FAMILY;
            }
            bytes.resize(bytes.len() + 16, 0);
            if let Some(socket) = parse(&bytes) {
                socket.shown();
            }
        }
    }

    const UNIX_FAMILY: u8 = super::UNIX;
}
