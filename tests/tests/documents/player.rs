//! Processes of the scenes: this binary again under another name, which makes sockets as its input says, line by line.

use netstat_tests::sandbox::{Invocation, Sandbox};
use netstat_tests::truth::actor;
use netstat_tests::truth::cgroup::Cgroup;
use netstat_tests::truth::scale::patience;
use socket2::{Domain, SockAddr, Socket, Type};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout, ExitCode, Stdio};
use std::time::Duration;

/// A process that plays a part; killed when dropped.
pub struct Player {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for Player {
    fn drop(&mut self) {
        // It may have gone already; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Player {
    /// A process of this name, in the sandbox.
    pub fn new(sandbox: &Sandbox, name: &str) -> Self {
        let invocation = Invocation {
            arg0: Some(name.into()),
            args: vec![actor::FLAG.into(), name.into()],
            ..Invocation::default()
        };
        let program = std::env::current_exe().unwrap();
        let mut child = sandbox.start(&program, &invocation, Stdio::piped(), Stdio::piped()).unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut player = Self { child, input, output };
        player.hear("the start");
        player
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it do these lines of `SOCKET VERB ARGUMENT`, see [`play`].
    pub fn does(&mut self, lines: &[&str]) {
        for line in lines {
            writeln!(self.input, "{line}").unwrap();
            self.hear(line);
        }
    }

    fn hear(&mut self, what: &str) {
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        assert_eq!(answer, "done\n", "{what}");
    }
}

/// Plays the part of a process of this name: does what the lines of standard input say, and says so.
pub fn play(name: &str) -> ExitCode {
    let name = std::ffi::CString::new(name).unwrap();
    rustix::thread::set_name(&name).unwrap();
    let mut sockets: HashMap<String, Socket> = HashMap::new();
    println!("done");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        act(&mut sockets, words[0], words[1], words.get(2).copied().unwrap_or_default());
        println!("done");
    }
    ExitCode::SUCCESS
}

fn inet(at: &str, kind: Type) -> (Socket, SockAddr) {
    let address: SocketAddr = at.parse().unwrap();
    let socket = Socket::new(Domain::for_address(address), kind, None).unwrap();
    if address.is_ipv6() {
        socket.set_only_v6(true).unwrap();
    }
    (socket, address.into())
}

/// Does one thing with the socket of this name.
fn act(sockets: &mut HashMap<String, Socket>, name: &str, verb: &str, what: &str) {
    let new = match verb {
        "listen" => {
            let (socket, address) = inet(what, Type::STREAM);
            socket.set_reuse_address(true).unwrap();
            socket.bind(&address).unwrap();
            socket.listen(16).unwrap();
            socket
        }
        "connect" => {
            let (socket, address) = inet(what, Type::STREAM);
            // Who is refused keeps nothing.
            if socket.connect(&address).is_err() {
                return;
            }
            socket
        }
        "bind-udp" => {
            let (socket, address) = inet(what, Type::DGRAM);
            socket.bind(&address).unwrap();
            socket
        }
        "connect-udp" => {
            let (socket, address) = inet(what, Type::DGRAM);
            socket.connect(&address).unwrap();
            socket
        }
        "listen-unix" => {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            socket.bind(&SockAddr::unix(what).unwrap()).unwrap();
            socket.listen(16).unwrap();
            socket
        }
        "connect-unix" => {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            socket.connect(&SockAddr::unix(what).unwrap()).unwrap();
            socket
        }
        "accept" => sockets[what].accept().unwrap().0,
        "send" => {
            sockets[name].send(&vec![b'x'; what.parse().unwrap()]).unwrap();
            return;
        }
        "fill" => {
            // As much as goes without a reader.
            let socket = &sockets[name];
            socket.set_nonblocking(true).unwrap();
            while socket.send(&[b'x'; 65_536]).is_ok() {}
            return;
        }
        "read" => {
            let mut buffer = vec![0; what.parse().unwrap()];
            (&sockets[name]).read_exact(&mut buffer).unwrap();
            return;
        }
        "read-end" => {
            (&sockets[name]).read_to_end(&mut Vec::new()).unwrap();
            return;
        }
        "wait" => {
            std::thread::sleep(Duration::from_millis(what.parse().unwrap()));
            return;
        }
        "enter" => {
            Cgroup::enter(what).unwrap();
            return;
        }
        "reset" => {
            let socket = sockets.remove(name).unwrap();
            socket.set_linger(Some(Duration::ZERO)).unwrap();
            return;
        }
        "shutdown" => {
            sockets[name].shutdown(Shutdown::Write).unwrap();
            return;
        }
        "close" => {
            sockets.remove(name).unwrap();
            return;
        }
        verb => panic!("there is no verb {verb}"),
    };
    new.set_read_timeout(Some(patience())).unwrap();
    sockets.insert(name.to_owned(), new);
}
