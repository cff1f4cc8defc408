//! A small world of real sockets: a namespace with an interface and a route, a server, a client, and a /run of its own.

use crate::markdown::{How, words};
use crate::player::Player;
use netstat_tests::command::{self, Outcome};
use netstat_tests::netns::NetNs;
use netstat_tests::programs::netstat_user;
use netstat_tests::sandbox::{Invocation, Sandbox};
use netstat_tests::terminal::Terminal;
use netstat_tests::truth::actor::scratch;
use netstat_tests::truth::scale::patience;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

/// Where everything happens.
pub struct World {
    pub sandbox: Sandbox,
    folder: PathBuf,
    pub web: Player,
    pub client: Player,
    agent: Option<Running>,
}

/// One of our programs that runs on: killed when dropped.
pub struct Running {
    child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have gone already; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// SIGINT; returns standard output and error.
    pub fn end(mut self) -> (String, String) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT).unwrap();
        self.ended()
    }

    /// Waits for the end by itself; returns standard output and error.
    pub fn ended(&mut self) -> (String, String) {
        let end = command::wait(&mut self.child, patience()).unwrap();
        assert_ne!(end, command::End::TimedOut);
        let text = |of: Option<JoinHandle<Vec<u8>>>| String::from_utf8(of.unwrap().join().unwrap()).unwrap();
        (text(self.stdout.take()), text(self.stderr.take()))
    }
}

/// What the client and the server do while events are watched: a connection that closes in order, one that nobody takes.
pub const TALK: [(bool, &str); 11] = [
    (true, "talk connect 127.0.0.1:8080"),
    (false, "talk accept web"),
    (true, "talk send 3"),
    (false, "talk read 3"),
    (false, "talk send 4900"),
    (true, "talk read 4900"),
    (true, "- wait 50"),
    (true, "talk close -"),
    (false, "talk read-end -"),
    (false, "talk close -"),
    (true, "talk connect 127.0.0.1:81"),
];

/// `ip` in a namespace.
fn ip(netns: &NetNs, line: &str) {
    let status = netns.enter(|| Command::new("ip").args(line.split(' ')).status()).expect("iproute2 is installed");
    assert!(status.success(), "ip {line}");
}

impl World {
    /// A server that listens on TCP, UDP and UNIX sockets, and a client that is connected to it.
    pub fn new() -> Self {
        Self::with_client("client")
    }

    /// The same with a client of this name.
    pub fn with_client(name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let folder = scratch().join(format!("world-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(folder.join("run/netns")).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.join("group"), "root:x:0:\nnetadmin:x:1000:\n").unwrap();
        fs::write(folder.join("resolv.conf"), "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n").unwrap();
        let mut sandbox = Sandbox::new().unwrap().bind(folder.join("run"), "/run");
        for name in ["group", "resolv.conf"] {
            sandbox = sandbox.bind(folder.join(name), fs::canonicalize(format!("/etc/{name}")).unwrap());
        }
        let netns = sandbox.netns();
        for line in [
            "link add eth0 type veth peer name wire",
            "addr add 192.0.2.10/24 dev eth0",
            "addr add 192.0.2.7/32 dev lo",
            "link set eth0 up",
            "link set wire up",
            "route add default via 192.0.2.1",
        ] {
            ip(netns, line);
        }
        // The one that every kernel has, in place of the machine's.
        netns.enter(|| fs::write("/proc/sys/net/ipv4/tcp_congestion_control", "reno")).unwrap();
        let (mut web, mut client) = (Player::new(&sandbox, "web"), Player::new(&sandbox, name));
        web.does(&[
            "web listen 127.0.0.1:8080",
            "six listen [::1]:8081",
            "mdns bind-udp 0.0.0.0:5353",
            "local listen-unix /run/web.sock",
        ]);
        client.does(&["stays connect 127.0.0.1:8080", "local connect-unix /run/web.sock"]);
        web.does(&["stays accept web", "peer accept local"]);
        Self { sandbox, folder, web, client, agent: None }
    }

    /// The folder that is /run here.
    pub fn run_folder(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// Another namespace with a name, and a process in it that listens on port 7777.
    pub fn neighbour(&self, name: &str) -> (Sandbox, Player) {
        let sandbox = Sandbox::new().unwrap().bind(self.run_folder(), "/run");
        let mut player = Player::new(&sandbox, name);
        player.does(&["there listen 127.0.0.1:7777"]);
        symlink(format!("/proc/{}/ns/net", player.pid()), self.run_folder().join("netns").join(name)).unwrap();
        (sandbox, player)
    }

    /// How our program is called here.
    pub fn invocation(&self, args: &[String]) -> Invocation {
        let env = [("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("LANG", "C.UTF-8"), ("TZ", "UTC")];
        Invocation {
            arg0: Some("netstat-user".into()),
            args: args.iter().map(Into::into).collect(),
            env: env.map(|(name, value)| (name.into(), value.into())).to_vec(),
            ..Invocation::default()
        }
    }

    /// Runs our program to its end.
    pub fn ours(&self, args: &[String]) -> Outcome {
        self.sandbox.run(netstat_user(), &self.invocation(args), None, patience()).unwrap()
    }

    /// The same on a terminal; the caller ends it where it does not end by itself.
    pub fn on_terminal(&self, args: &[String], columns: u16) -> (Child, Terminal) {
        let mut terminal = Terminal::new(columns).unwrap();
        let files = [terminal.file(), terminal.file(), terminal.file()];
        let child = self.sandbox.spawn(netstat_user(), &self.invocation(args), files).unwrap();
        terminal.started();
        (child, terminal)
    }

    /// Starts our program, and waits until a line of standard error begins so.
    pub fn started(&self, args: &[String], until: &str) -> Running {
        let files = [Stdio::null(), Stdio::piped(), Stdio::piped()];
        let mut child = self.sandbox.spawn(netstat_user(), &self.invocation(args), files).unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = Vec::new();
        loop {
            let start = said.len();
            assert!(stderr.read_until(b'\n', &mut said).unwrap() > 0, "{}", String::from_utf8_lossy(&said));
            if said[start..].starts_with(until.as_bytes()) {
                break;
            }
        }
        let stdout = child.stdout.take().map(|pipe: ChildStdout| all_of(pipe, Vec::new()));
        Running { child, stdout, stderr: Some(all_of(stderr, said)) }
    }

    /// Starts an agent on the default path.
    pub fn start_agent(&mut self) {
        if self.agent.is_none() {
            self.agent = Some(self.started(&["agent".to_owned()], "agent: serving"));
        }
    }

    /// The client and the server talk.
    pub fn talk(&mut self) {
        for (client, line) in TALK {
            if client { &mut self.client } else { &mut self.web }.does(&[line]);
        }
    }

    /// Runs `events` with these arguments while `act` goes on; returns standard output and error.
    pub fn events(&mut self, args: &[String], act: impl FnOnce(&mut Self)) -> (String, String) {
        let args = [args, &["--netns".to_owned(), "self".to_owned()]].concat();
        let running = self.started(&args, "tracing:");
        act(self);
        // What the kernel has recorded is printed before the end.
        running.end()
    }

    /// Runs the command of a sample in its scene: `tables` (the sockets that are there), `events` (while client and server talk), `recent`
    /// (of an agent that has seen them talk), `agent` (what an agent says when it starts). Returns the lines that are shown.
    pub fn run(&mut self, command: &str, how: &How) -> Vec<String> {
        let args = words(command.split(" > /").next().unwrap_or_default()).split_off(1);
        let (stdout, stderr) = match (&*how.scene, how.width) {
            ("tables", None) => text(&self.ours(&args)),
            ("tables", Some(columns)) => (self.seen(&args, columns, |_| {}), String::new()),
            ("recent", None) => {
                self.start_agent();
                self.talk();
                text(&self.ours(&args))
            }
            ("events", None) => self.events(&args, Self::talk),
            ("events", Some(columns)) => {
                let args = [&args[..], &["--netns".to_owned(), "self".to_owned()]].concat();
                (self.seen(&args, columns, Self::talk), String::new())
            }
            ("agent", None) => self.started(&args, "agent: serving").end(),
            (scene, _) => panic!("there is no scene {scene}"),
        };
        let shown = if how.stderr { stderr } else { stdout };
        let lines = shown.lines().take(how.first.unwrap_or(usize::MAX));
        lines.map(|line| how.cut.map_or_else(|| line.to_owned(), |columns| cut(line, columns))).collect()
    }

    /// What is to be seen on a terminal, without what `events` says of itself.
    fn seen(&mut self, args: &[String], columns: u16, act: impl FnOnce(&mut Self)) -> String {
        let (mut child, mut terminal) =
            self.on_terminal(&[args, &["--color".into(), "never".into()]].concat(), columns);
        if args.first().is_some_and(|verb| verb == "events") {
            assert!(terminal.shows("tracing:", patience()), "{}", terminal.text());
            act(self);
            kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
        }
        let text = terminal.rest(patience());
        child.wait().unwrap();
        let own = |line: &&str| !line.starts_with("tracing:") && !line.starts_with("netstat-user:");
        text.lines().filter(own).map(|line| format!("{line}\n")).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.agent.take());
        // A leftover folder is no failure; the scratch folder goes at the end.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn all_of(mut pipe: impl Read + Send + 'static, mut before: Vec<u8>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        pipe.read_to_end(&mut before).unwrap();
        before
    })
}

/// Standard output and error.
pub fn text(outcome: &Outcome) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&outcome.stdout), text(&outcome.stderr))
}

fn cut(line: &str, columns: usize) -> String {
    if line.chars().count() <= columns {
        return line.trim_end().to_owned();
    }
    line.chars().take(columns - 1).collect::<String>().trim_end().to_owned() + "…"
}
