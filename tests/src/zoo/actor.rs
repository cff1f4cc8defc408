//! Processes of the zoo: this very executable, started under any name, as any user, holding sockets.

use crate::sandbox::{Invocation, Sandbox};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Stdio};
use std::time::Duration;

/// What the process holds: `listen ADDR`, `udp ADDR` and `unix PATH`, one per line.
const SCRIPT: &str = "NETSTAT_ZOO_ACTOR";

/// A process of the zoo, ended when it is dropped.
#[derive(Debug)]
pub struct Actor(Child);

impl Drop for Actor {
    fn drop(&mut self) {
        // It may have gone already; either way it is gone afterwards.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Actor {
    /// Starts a process whose `argv` is exactly `argv` (the first word is the program name; an empty list is not
    /// possible), as `uid` if given, holding the sockets of `script` and `shared`.
    ///
    /// # Errors
    /// When it cannot be started, or fails before it is ready.
    pub fn start(
        sandbox: &Sandbox,
        argv: &[&[u8]],
        uid: Option<u32>,
        script: &str,
        shared: Option<&Socket>,
    ) -> io::Result<Self> {
        let mut words = argv.iter().map(|word| OsStr::from_bytes(word).to_owned());
        let invocation = Invocation {
            arg0: words.next(),
            args: words.collect(),
            env: vec![(SCRIPT.into(), OsString::from(script))],
            uid,
            ..Invocation::default()
        };
        // A shared socket is handed down as standard input: the one descriptor a child inherits without more ado.
        let stdin = match shared {
            Some(socket) => Stdio::from(OwnedFd::from(socket.try_clone()?)),
            None => Stdio::null(),
        };
        let mut child = sandbox.start(&std::env::current_exe()?, &invocation, stdin, Stdio::piped())?;
        let mut ready = [0; 1];
        let reported = child.stdout.take().map(|mut out| out.read_exact(&mut ready));
        match reported {
            Some(Ok(())) => Ok(Self(child)),
            _ => Err(io::Error::other(format!("the actor {argv:?} failed: {script}"))),
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

fn hold(line: &str) -> io::Result<Socket> {
    let (verb, what) = line.split_once(' ').unwrap_or((line, ""));
    let address = || what.parse::<SocketAddr>().map_err(io::Error::other);
    match verb {
        "listen" => {
            let socket = Socket::new(Domain::for_address(address()?), Type::STREAM, Some(Protocol::TCP))?;
            socket.bind(&address()?.into())?;
            socket.listen(5)?;
            Ok(socket)
        }
        "udp" => {
            let socket = Socket::new(Domain::for_address(address()?), Type::DGRAM, Some(Protocol::UDP))?;
            socket.bind(&address()?.into())?;
            Ok(socket)
        }
        "unix" => {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            socket.bind(&SockAddr::unix(what)?)?;
            socket.listen(5)?;
            Ok(socket)
        }
        _ => Err(io::Error::other(format!("unknown line {line:?}"))),
    }
}

/// To be called first by `main` of a test executable that makes actors: serves as one when it was started as one, and
/// then does not return.
///
/// # Panics
/// When a socket of the script cannot be made.
pub fn serve_if_asked() {
    let Some(script) = std::env::var_os(SCRIPT) else { return };
    let script = script.into_string().expect("a script of text");
    let sockets: Vec<Socket> =
        script.lines().map(|line| hold(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect();
    let parent = nix::unistd::getppid();
    // The pipe may be gone when the test has given up already: the loop below ends at once.
    let _ = io::stdout().write_all(b"+").and_then(|()| io::stdout().flush());
    // The zoo kills its processes; this is for the day the test itself is killed.
    while nix::unistd::getppid() == parent {
        std::thread::sleep(Duration::from_millis(250));
    }
    drop(sockets);
    std::process::exit(0);
}
