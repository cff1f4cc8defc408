//! The `select` suite: `--where` and its kin against ss with the same filter, and against filtering whole tables by hand.
//!
//! Needs root, for a namespace whose sockets are the test's own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expected by failing")]

mod fields;
mod like_ss;
mod schemas;
mod shapes;

use libtest_mimic::Arguments;
use netstat_tests::command::{self, End, Outcome};
use netstat_tests::netns::NetNs;
use netstat_tests::programs;
use netstat_tests::truth::runner::{self, Test};
use netstat_tests::zoo::tcp::{connect, listener, pair};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{Shutdown, SocketAddr};
use std::process::{Command, ExitCode};
use std::sync::OnceLock;
use std::time::Duration;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if !nix::unistd::geteuid().is_root() {
        println!("select: skipped: it needs root, to make namespaces");
        return ExitCode::SUCCESS;
    }
    let modules: [&[Test]; 4] = [like_ss::TESTS, fields::TESTS, schemas::TESTS, shapes::TESTS];
    let code = runner::run(arguments, &modules.concat());
    let _ = std::fs::remove_file(socket_path());
    code
}

/// Where a UNIX domain socket listens, by the name that the tests look for.
fn socket_path() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("netstat-user-select-{}.sock", std::process::id()))
}

/// Longer than any command takes, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// A namespace full of sockets of each kind and state, which stay as they are.
struct Zoo {
    netns: NetNs,
    #[allow(dead_code, reason = "closed when the test ends")]
    sockets: Vec<Socket>,
    #[allow(dead_code, reason = "closed when the test ends")]
    listening: std::os::unix::net::UnixListener,
}

impl Zoo {
    /// The one of this run.
    fn get() -> &'static Self {
        static ZOO: OnceLock<Zoo> = OnceLock::new();
        ZOO.get_or_init(|| {
            let netns = NetNs::new().unwrap();
            let bind = || std::os::unix::net::UnixListener::bind(socket_path()).unwrap();
            let (sockets, listening) = netns.enter(|| (sockets(), bind()));
            Self { netns, sockets, listening }
        })
    }

    /// What our binary prints in the namespace.
    fn ours(&self, args: &[&str]) -> Outcome {
        self.run(Command::new(programs::netstat_user()).args(args))
    }

    /// The same, read from the kernel, as JSON lines.
    fn json(&self, args: &[&str]) -> Vec<serde_json::Value> {
        let outcome = self.ours(&[args, &["--json", "--no-agent"]].concat());
        assert_eq!(outcome.end, End::Exit(0), "{args:?}: {outcome:?}");
        let text = String::from_utf8(outcome.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn run(&self, command: &mut Command) -> Outcome {
        self.netns.enter(|| command::run(command, None, LIMIT).unwrap())
    }
}

fn udp(local: &str, remote: Option<&str>) -> Socket {
    let local: SocketAddr = local.parse().unwrap();
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP)).unwrap();
    socket.bind(&local.into()).unwrap();
    if let Some(remote) = remote {
        socket.connect(&remote.parse::<SocketAddr>().unwrap().into()).unwrap();
    }
    socket
}

fn sockets() -> Vec<Socket> {
    // Orphans and requests last as long as their retransmissions do.
    for (name, value) in [("tcp_fin_timeout", "300"), ("tcp_synack_retries", "10"), ("tcp_syn_retries", "10")] {
        std::fs::write(format!("/proc/sys/net/ipv4/{name}"), value).unwrap();
    }
    let (web, ssh) = (listener("0.0.0.0:80", 5).unwrap(), listener("127.0.0.1:22", 5).unwrap());
    let (both, v6) = (listener("[::]:8443", 5).unwrap(), listener("[::1]:443", 5).unwrap());
    let high = listener("127.0.0.1:50000", 5).unwrap();
    let mut sockets = Vec::new();
    for (listener, to, from) in [
        (&web, "127.0.0.1:80", None),
        (&web, "127.0.0.2:80", Some("127.0.0.3:1")),
        (&web, "127.1.2.3:80", Some("127.0.0.1:1023")),
        (&ssh, "127.0.0.1:22", None),
        (&ssh, "127.0.0.1:22", Some("127.0.0.1:1024")),
        (&both, "[::1]:8443", None),
        (&both, "127.0.0.1:8443", None),
        (&both, "[::ffff:127.0.0.1]:8443", None),
        (&v6, "[::1]:443", Some("[::1]:9999")),
        (&high, "127.0.0.1:50000", None),
    ] {
        let (client, server) = pair(listener, to, from).unwrap();
        sockets.extend([client, server]);
    }
    // Data that nobody reads.
    let (client, server) = pair(&web, "127.0.0.1:80", None).unwrap();
    client.send(&[b'x'; 5000]).unwrap();
    sockets.extend([client, server]);
    // FIN_WAIT2 and CLOSE_WAIT, held and orphaned; and TIME_WAIT.
    for (listener, to) in [(&web, "127.0.0.1:80"), (&both, "[::1]:8443")] {
        let (client, server) = pair(listener, to, None).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        sockets.extend([client, server]);
        let (client, server) = pair(listener, to, None).unwrap();
        drop(client);
        sockets.push(server);
        let (client, server) = pair(listener, to, None).unwrap();
        drop(client);
        // The server has seen the end before it closes: then it is the client that waits.
        let mut byte = [std::mem::MaybeUninit::uninit()];
        assert_eq!(server.recv(&mut byte).unwrap(), 0);
        drop(server);
    }
    // Connections that nobody accepts: the queue is full after two, and the third is not answered.
    let full = listener("127.0.0.1:8081", 1).unwrap();
    sockets.extend([connect("127.0.0.1:8081", None).unwrap(), connect("127.0.0.1:8081", None).unwrap()]);
    let waiting = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    waiting.set_nonblocking(true).unwrap();
    let _ = waiting.connect(&"127.0.0.1:8081".parse::<SocketAddr>().unwrap().into());
    sockets.extend([full, waiting, web, ssh, both, v6, high]);
    sockets.extend([
        udp("127.0.0.1:53", None),
        udp("0.0.0.0:68", None),
        udp("[::]:547", None),
        udp("[::1]:5353", Some("[::1]:9")),
        udp("127.0.0.1:5354", Some("127.0.0.9:53")),
        udp("127.0.0.1:0", None),
    ]);
    sockets
}
