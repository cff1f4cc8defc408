//! The sockets that benches make.

use anyhow::{Context, Result};
use rustix::net::sockopt::set_socket_linger;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How many connections a loop made, and in how long.
pub struct Made {
    pub connections: u64,
    pub elapsed: Duration,
}

impl Made {
    pub fn per_second(&self) -> f64 {
        self.connections as f64 / self.elapsed.as_secs_f64()
    }
}

/// One thread connects to `listener` on loopback, accepts, and resets, as fast as it can: six TCP transitions a connection,
/// and no TIME_WAIT that would fill the machine.
pub fn reset_loop(listener: &TcpListener, duration: Duration) -> Result<Made> {
    let address: SocketAddr = listener.local_addr()?;
    let start = Instant::now();
    let mut connections = 0;
    // The clock is asked every few connections only: it is no part of what is measured.
    while start.elapsed() < duration {
        for _ in 0..16 {
            let client = TcpStream::connect(address)?;
            let (server, _) = listener.accept()?;
            set_socket_linger(&client, Some(Duration::ZERO))?;
            drop(client);
            drop(server);
        }
        connections += 16;
    }
    Ok(Made { connections, elapsed: start.elapsed() })
}

/// The same at a steady pace of so many a second, a few at a time with a pause in between.
pub fn paced(listener: &TcpListener, per_second: u64, duration: Duration) -> Result<Made> {
    let address: SocketAddr = listener.local_addr()?;
    let start = Instant::now();
    let mut connections = 0;
    while start.elapsed() < duration {
        let due = (start.elapsed().as_secs_f64() * per_second as f64) as u64;
        while connections < due {
            let client = TcpStream::connect(address)?;
            let (server, _) = listener.accept()?;
            set_socket_linger(&client, Some(Duration::ZERO))?;
            drop(client);
            drop(server);
            connections += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(Made { connections, elapsed: start.elapsed() })
}

/// Established TCP connections on loopback, both ends held here.
pub struct Held {
    _listeners: Vec<TcpListener>,
    _ends: Vec<TcpStream>,
    _pairs: Vec<(UnixStream, UnixStream)>,
}

/// How many UNIX sockets are held beside so many of TCP.
pub fn unix_sockets(sockets: usize) -> usize {
    sockets.min(1000) / 2 * 2
}

/// How many sockets one process may hold: root may be denied to raise the hard limit of open files.
pub fn most_held() -> usize {
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    usize::try_from(hard).unwrap_or(usize::MAX).saturating_sub(64 + 1000)
}

/// Makes so many TCP sockets, listeners among them. Ten thousand connections a listener leave the port range of a
/// machine room for them.
pub fn hold(sockets: usize) -> Result<Held> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .context("cannot raise the limit of open files")?;
    let mut listeners = Vec::new();
    let mut ends = Vec::new();
    while listeners.len() + ends.len() < sockets {
        if ends.len() >= listeners.len() * 20_000 {
            listeners.push(TcpListener::bind("127.0.0.1:0")?);
            continue;
        }
        let listener = listeners.last().context("no listener")?;
        if sockets - listeners.len() - ends.len() == 1 {
            listeners.push(TcpListener::bind("127.0.0.1:0")?);
            break;
        }
        ends.push(TcpStream::connect(listener.local_addr()?).context("cannot connect")?);
        ends.push(listener.accept()?.0);
    }
    let pairs = (0..unix_sockets(sockets) / 2).map(|_| UnixStream::pair()).collect::<std::io::Result<_>>()?;
    Ok(Held { _listeners: listeners, _ends: ends, _pairs: pairs })
}
