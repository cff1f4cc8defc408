//! The netlink socket: requests out, answers in.

use super::wire::{self, Messages};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, socket_with};
use std::io;
use std::os::fd::OwnedFd;

/// Room for an answer: the kernel fills at most this much of a datagram of a dump when it may (`netlink_dump`).
const ROOM: usize = 32 * 1024;

/// Why `sock_diag` did not answer.
#[derive(Debug, thiserror::Error)]
pub enum DiagError {
    /// The socket could not be opened, written or read.
    #[error("sock_diag: {0}")]
    Io(#[from] io::Error),
    /// The kernel refused the request.
    #[error("sock_diag: {0}")]
    Refused(#[source] io::Error),
    /// An answer did not fit the room for it.
    #[error("sock_diag: an answer of {0} bytes is longer than this program expects")]
    TooLong(usize),
}

impl DiagError {
    /// Whether the kernel has no such request, or no such protocol in it: the case in which another source may be asked instead.
    pub fn is_unsupported(&self) -> bool {
        let (Self::Refused(error) | Self::Io(error)) = self else { return false };
        // EPROTONOSUPPORT: no NETLINK_SOCK_DIAG at all. ENOENT, EINVAL, EOPNOTSUPP: no handler for the family or the protocol.
        [Errno::NOENT, Errno::INVAL, Errno::OPNOTSUPP, Errno::PROTONOSUPPORT, Errno::AFNOSUPPORT]
            .iter()
            .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
    }

    /// The kernel's errno, where it gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused(error) | Self::Io(error) => error.raw_os_error(),
            Self::TooLong(_) => None,
        }
    }
}

/// A `NETLINK_SOCK_DIAG` socket. It belongs to the network namespace of the thread that opened it, wherever it is used.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    seq: u32,
    buffer: Vec<u8>,
}

impl Channel {
    /// Opens one in the calling thread's network namespace.
    ///
    /// # Errors
    /// The kernel's; `EPROTONOSUPPORT` where it has no `sock_diag`.
    pub fn open() -> io::Result<Self> {
        let protocol = Some(netlink::SOCK_DIAG);
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        Ok(Self { socket, seq: 0, buffer: vec![0; ROOM] })
    }

    /// Asks for a dump and hands each message of the family to `take`; returns how many datagrams the answer took. One datagram is
    /// consistent in itself; between two of them sockets come and go.
    ///
    /// # Errors
    /// A [`DiagError`]; messages may have been handed over before it.
    pub fn dump(&mut self, kind: u16, request: &[u8], mut take: impl FnMut(&[u8])) -> Result<usize, DiagError> {
        self.send(kind, wire::REQUEST | wire::DUMP, request)?;
        let mut datagrams = 0;
        loop {
            let length = self.receive()?;
            datagrams += 1;
            for message in Messages::new(&self.buffer[..length]).filter(|message| message.seq == self.seq) {
                match message.kind {
                    wire::DONE | wire::ERROR if message.errno() != 0 => return Err(refused(message.errno())),
                    wire::DONE => return Ok(datagrams),
                    wire::ERROR => {}
                    _ => take(message.payload),
                }
            }
        }
    }

    /// Sends a request that the kernel answers with yes or no.
    ///
    /// # Errors
    /// The kernel's no as [`DiagError::Refused`], or a failure of the socket.
    pub fn ask(&mut self, kind: u16, request: &[u8]) -> Result<(), DiagError> {
        self.send(kind, wire::REQUEST | wire::ACK, request)?;
        loop {
            let length = self.receive()?;
            for message in Messages::new(&self.buffer[..length]).filter(|message| message.seq == self.seq) {
                match (message.kind, message.errno()) {
                    (wire::ERROR, 0) => return Ok(()),
                    (wire::ERROR, errno) => return Err(refused(errno)),
                    _ => {}
                }
            }
        }
    }

    fn send(&mut self, kind: u16, flags: u16, request: &[u8]) -> io::Result<()> {
        self.seq = self.seq.wrapping_add(1);
        let message = wire::message(kind, flags, self.seq, request);
        // The socket has no peer set: netlink then sends to the kernel.
        rustix::io::retry_on_intr(|| rustix::net::send(&self.socket, &message, SendFlags::empty()))?;
        Ok(())
    }

    /// Reads a datagram into the buffer; returns its length.
    fn receive(&mut self) -> Result<usize, DiagError> {
        loop {
            let (_, length) = match rustix::net::recv(&self.socket, &mut self.buffer[..], RecvFlags::TRUNC) {
                Ok(received) => received,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(DiagError::Io(error.into())),
            };
            return if length > self.buffer.len() { Err(DiagError::TooLong(length)) } else { Ok(length) };
        }
    }
}

fn refused(errno: i32) -> DiagError {
    DiagError::Refused(io::Error::from_raw_os_error(errno))
}
