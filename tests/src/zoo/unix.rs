//! UNIX domain sockets of every type and state.

use super::{Keep, keep};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

/// A listener of this type at a path.
fn listening(kind: Type, path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(5)?;
    Ok(socket)
}

/// Stream, datagram and seqpacket sockets: fresh, bound, listening, with connections waiting, connected, shut down;
/// abstract names, with NULs too; paths relative, long and not UTF-8. `folder` must be empty, and stay.
///
/// # Errors
/// When a socket cannot be made.
pub fn zoo(folder: &Path) -> io::Result<Keep> {
    let mut sockets = Vec::new();
    for kind in [Type::STREAM, Type::DGRAM, Type::SEQPACKET] {
        sockets.push(Socket::new(Domain::UNIX, kind, None)?);
        let (a, b) = Socket::pair(Domain::UNIX, kind, None)?;
        sockets.extend([a, b]);
    }

    // Waiting connections on listeners, and accepted ones.
    for (kind, name) in [(Type::STREAM, "stream.sock"), (Type::SEQPACKET, "seqpacket.sock")] {
        let path = folder.join(name);
        let listener = listening(kind, &path)?;
        for _ in 0..2 {
            let client = Socket::new(Domain::UNIX, kind, None)?;
            client.connect(&SockAddr::unix(&path)?)?;
            sockets.push(client);
        }
        let (accepted, _) = listener.accept()?;
        sockets.extend([accepted, listener]);
    }

    let long = folder.join("n".repeat(107 - folder.as_os_str().len() - 1));
    sockets.push(listening(Type::STREAM, &long)?);
    use std::os::unix::ffi::OsStrExt;
    let latin = folder.join(std::ffi::OsStr::from_bytes(b"caf\xe9-\xc3\xbc.sock"));
    sockets.push(listening(Type::STREAM, &latin)?);

    let bound = folder.join("datagram.sock");
    let receiver = UnixDatagram::bind(&bound)?;
    let sender = UnixDatagram::unbound()?;
    sender.connect(&bound)?;
    sender.send(b"waiting")?;
    let named = UnixDatagram::bind(folder.join("sender.sock"))?;
    named.connect(&bound)?;
    sockets.extend([receiver, sender, named].map(Socket::from));

    for name in [&b"netstat-zoo"[..], b"with\0nul\0inside", b"\0\0", b"trailing\0", b"slash/in/it", b"\xff\xfe"] {
        let address = SocketAddr::from_abstract_name(name)?;
        let listener = UnixListener::bind_addr(&address)?;
        let client = UnixStream::connect_addr(&address)?;
        sockets.extend([Socket::from(listener), Socket::from(client)]);
    }

    // Half closed, and left by the other side.
    let (a, b) = UnixStream::pair()?;
    a.shutdown(std::net::Shutdown::Write)?;
    sockets.extend([a, b].map(Socket::from));
    let (a, b) = UnixStream::pair()?;
    drop(b);
    sockets.push(Socket::from(a));
    Ok(keep(sockets))
}
