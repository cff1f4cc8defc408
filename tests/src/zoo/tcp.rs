//! TCP in every state, with every timer.

use super::peer::{Sink, flag, sysctl};
use super::{Keep, Pair, keep};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{Shutdown, SocketAddr, SocketAddrV4};
use std::time::Duration;

/// A listener at `at` with this backlog.
///
/// # Errors
/// When the address cannot be had.
pub fn listener(at: &str, backlog: i32) -> io::Result<Socket> {
    let at: SocketAddr = at.parse().map_err(io::Error::other)?;
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    if at.is_ipv6() {
        socket.set_only_v6(!at.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    socket.listen(backlog)?;
    Ok(socket)
}

/// A socket connected to `to`, from `from` if given.
///
/// # Errors
/// When nobody listens there.
pub fn connect(to: &str, from: Option<&str>) -> io::Result<Socket> {
    let to: SocketAddr = to.parse().map_err(io::Error::other)?;
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(from) = from {
        let from: SocketAddr = from.parse().map_err(io::Error::other)?;
        socket.bind(&from.into())?;
    }
    socket.connect(&to.into())?;
    Ok(socket)
}

/// An accepted connection through `listener`.
///
/// # Errors
/// As [`connect`].
pub fn pair(listener: &Socket, to: &str, from: Option<&str>) -> io::Result<Pair> {
    let client = connect(to, from)?;
    let (server, _) = listener.accept()?;
    Ok((client, server))
}

/// The names of the states [`zoo`] makes, as the tables print them.
pub const STATES: [&str; 10] = [
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
];

/// Every TCP state but CLOSE (which no table of the kernel lists), owned and orphaned, with filled queues and each timer,
/// for IPv4, IPv6 and IPv4 mapped into IPv6.
///
/// # Errors
/// When a socket cannot be led where it should go.
pub fn zoo(sink: &Sink) -> io::Result<Keep> {
    // A state lasts as long as its retransmissions do: longer than the suite runs.
    sysctl("ipv4/tcp_synack_retries", "10");
    sysctl("ipv4/tcp_syn_retries", "10");
    sysctl("ipv4/tcp_orphan_retries", "15");
    let mut sockets = Vec::new();
    loopback(&mut sockets)?;
    forged(sink, &mut sockets)?;
    Ok(keep(sockets))
}

fn loopback(sockets: &mut Vec<Socket>) -> io::Result<()> {
    let all = listener("0.0.0.0:80", 5)?;
    let here = listener("127.0.0.1:65535", 5)?;
    let all6 = listener("[::]:8443", 5)?;
    let here6 = listener("[::1]:443", 5)?;
    let long6 = listener("[2001:db8:1234:5678:9abc:def0:1234:5678]:65432", 5)?;

    for (client, server) in [
        pair(&all, "127.0.0.1:80", None)?,
        pair(&all, "127.0.0.2:80", Some("127.0.0.3:1"))?,
        pair(&here, "127.0.0.1:65535", Some("127.0.0.1:9999"))?,
        pair(&all6, "[::1]:8443", None)?,
        // The server side of this one is an IPv6 socket with mapped addresses.
        pair(&all6, "127.0.0.1:8443", None)?,
        pair(&all6, "[::ffff:127.0.0.1]:8443", None)?,
        pair(&here6, "[::1]:443", None)?,
        pair(
            &long6,
            "[2001:db8:1234:5678:9abc:def0:1234:5678]:65432",
            Some("[2001:db8:1234:5678:9abc:def0:1234:5678]:54321"),
        )?,
    ] {
        sockets.extend([client, server]);
    }

    // Data that nobody reads.
    let (client, server) = pair(&all, "127.0.0.1:80", None)?;
    client.send(&[b'x'; 1234])?;
    sockets.extend([client, server]);
    let (client, server) = pair(&all6, "[::1]:8443", None)?;
    client.send(&[b'x'; 99999])?;
    sockets.extend([client, server]);

    // The keepalive timer.
    let (client, server) = pair(&all, "127.0.0.1:80", None)?;
    client.set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_secs(7200)))?;
    sockets.extend([client, server]);

    // One side has closed for writing: FIN_WAIT2 and CLOSE_WAIT; then wholly: the orphan in FIN_WAIT2.
    for listener in [(&all, "127.0.0.1:80"), (&all6, "[::1]:8443")] {
        let (client, server) = pair(listener.0, listener.1, None)?;
        client.shutdown(Shutdown::Write)?;
        sockets.extend([client, server]);
        let (client, server) = pair(listener.0, listener.1, None)?;
        drop(client);
        sockets.push(server);
        // Both closed in order: TIME_WAIT.
        let (client, server) = pair(listener.0, listener.1, None)?;
        drop(client);
        std::thread::sleep(Duration::from_millis(20));
        drop(server);
    }

    // Connections that nobody has accepted: backlogs of 2 and of 3, on listeners of their own.
    let waiting = listener("127.0.0.1:8081", 7)?;
    let waiting6 = listener("[::1]:8082", 7)?;
    for (to, count) in [("127.0.0.1:8081", 2), ("[::1]:8082", 3)] {
        for _ in 0..count {
            sockets.push(connect(to, None)?);
        }
    }
    sockets.extend([all, here, all6, here6, long6, waiting, waiting6]);
    Ok(())
}

/// The states that need a peer who does not answer as a kernel would. Each peer lives at an address of its own.
fn forged(sink: &Sink, sockets: &mut Vec<Socket>) -> io::Result<()> {
    let far = |last: u8| -> SocketAddrV4 { SocketAddrV4::new([198, 51, 100, last].into(), 80) };

    sockets.push(sink.calling(far(1).into())?);
    sockets.push(sink.calling("[2001:db8:51:52:5354:5556:5758:595a]:12345".parse().map_err(io::Error::other)?)?);

    let listener = listener("0.0.0.0:8083", 8)?;
    for (from, port) in [(far(2), 1000), (far(3), 54321)] {
        sink.knock(SocketAddrV4::new(*from.ip(), port), "192.0.2.1:8083".parse().map_err(io::Error::other)?)?;
    }
    sockets.push(listener);

    // Sent and not acknowledged: the retransmission timer, and a send queue.
    let (socket, _) = sink.connected(far(4), 5000)?;
    socket.send(&[b'x'; 777])?;
    sockets.push(socket);
    // A peer with no room: the probe timer.
    let (socket, mut peer) = sink.connected(far(5), 0)?;
    socket.send(&[b'x'; 10])?;
    sink.send(&mut peer, flag::ACK, b"")?;
    sockets.push(socket);
    // Received and not read.
    let (socket, mut peer) = sink.connected(far(6), 5000)?;
    sink.send(&mut peer, flag::PSH | flag::ACK, &[b'y'; 321])?;
    sockets.push(socket);

    // Each closing state twice: with an owner (shut down) and without (closed).
    for (last, owned) in [(10, true), (20, false)] {
        let end = |socket: Socket, sockets: &mut Vec<Socket>| -> io::Result<()> {
            if owned {
                socket.shutdown(Shutdown::Write)?;
                sockets.push(socket);
            }
            Ok(())
        };
        // FIN_WAIT1: our FIN is never acknowledged.
        let (socket, _) = sink.connected(far(last), 5000)?;
        end(socket, sockets)?;
        // FIN_WAIT2: it is.
        let (socket, mut peer) = sink.connected(far(last + 1), 5000)?;
        end(socket, sockets)?;
        sink.see_fin(&mut peer, true)?;
        // CLOSING: both close, and neither FIN is acknowledged.
        let (socket, mut peer) = sink.connected(far(last + 2), 5000)?;
        end(socket, sockets)?;
        sink.see_fin(&mut peer, false)?;
        sink.send(&mut peer, flag::FIN | flag::ACK, b"")?;
        // LAST_ACK: the peer closes first and never acknowledges ours.
        let (socket, mut peer) = sink.connected(far(last + 3), 5000)?;
        sink.send(&mut peer, flag::FIN | flag::ACK, b"")?;
        end(socket, sockets)?;
        // TIME_WAIT: all in order.
        let (socket, mut peer) = sink.connected(far(last + 4), 5000)?;
        end(socket, sockets)?;
        sink.see_fin(&mut peer, true)?;
        sink.send(&mut peer, flag::FIN | flag::ACK, b"")?;
    }
    Ok(())
}
