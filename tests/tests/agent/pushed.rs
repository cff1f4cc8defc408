//! `--where` through the agent: what is not wanted is left out before it is sent, and the answer is that of the kernel.

use crate::agent::Agent;
use crate::attack::STRANGER;
use crate::churn::Place;
use netstat_tests::command::{self, End};
use netstat_tests::programs;
use netstat_tests::truth::actor::{self, Actor};
use netstat_tests::truth::made::Made;
use netstat_tests::truth::runner::{self, Done, Test};
use netstat_tests::truth::scale::{count, patience};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

pub const TESTS: &[Test] = &[("pushed::few_bytes_for_few_rows", few_bytes_for_few_rows)];

/// Processes that have the sockets.
const CROWDS: usize = 4;

/// A way to the agent that counts what comes back.
struct Meter {
    path: PathBuf,
    bytes: Arc<AtomicU64>,
}

impl Meter {
    fn new(agent: &Agent) -> Self {
        let path = agent.socket.with_extension("meter");
        let listener = UnixListener::bind(&path).unwrap();
        let (bytes, socket) = (Arc::new(AtomicU64::new(0)), agent.socket.clone());
        let counted = Arc::clone(&bytes);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (agent, bytes) = (UnixStream::connect(&socket).unwrap(), Arc::clone(&counted));
                thread::spawn(move || pass_on(client, agent, &bytes));
            }
        });
        Self { path, bytes }
    }

    fn taken(&self) -> u64 {
        self.bytes.swap(0, Ordering::SeqCst)
    }
}

/// Both ways, until the agent has closed its side.
fn pass_on(client: UnixStream, agent: UnixStream, bytes: &AtomicU64) {
    let (mut asks, mut asked) = (client.try_clone().unwrap(), agent.try_clone().unwrap());
    thread::spawn(move || drop(io::copy(&mut asks, &mut asked)));
    let (mut from, mut to, mut chunk) = (agent, client, vec![0; 64 << 10]);
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        bytes.fetch_add(count as u64, Ordering::SeqCst);
        if to.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

fn bound(port: u16, addr: Ipv4Addr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    socket.bind(&SocketAddr::from((addr, port)).into()).unwrap();
    socket
}

fn few_bytes_for_few_rows() -> Done {
    let place = Place::new();
    let agent = Agent::start(&[]);
    let meter = Meter::new(&agent);
    // As many as a process may open, in each of these.
    let each = count(50_000) / CROWDS;
    let mut crowds: Vec<Actor> = (0..CROWDS)
        .map(|number| {
            let arguments = [1024 + number * each, each].map(|number| number.to_string());
            let arguments = arguments.each_ref().map(String::as_str);
            place.namespace.enter(|| Actor::start(actor::named("crowd", "crowd", &arguments)))
        })
        .collect();
    let many: usize = crowds.iter_mut().map(|crowd| crowd.hear::<usize>()).sum();
    let odd = place.namespace.enter(|| {
        let odd = bound(999, Ipv4Addr::new(127, 9, 9, 9));
        odd.connect(&SocketAddr::from((Ipv4Addr::new(127, 8, 8, 8), 53)).into()).unwrap();
        std::os::unix::fs::fchown(&odd, Some(STRANGER), None).unwrap();
        odd
    });
    let mut holder = place.namespace.enter(|| Actor::start(actor::named("the-holder", "hold", &["pair"])));
    let held = holder.hear::<Vec<Made>>().len();
    let run = |expression: Option<&str>, how: &[&str]| {
        let mut command = Command::new(programs::netstat_user());
        command.args(["-tuan", "--columns", "proto,local,remote,state,uid,inode,owners.pid", "--json"]).args(how);
        command.args(expression.iter().flat_map(|expression| ["--where", expression]));
        let outcome = place.namespace.enter(|| command::run(&mut command, None, patience()).unwrap());
        assert_eq!((outcome.end, outcome.stderr.len()), (End::Exit(0), 0), "{command:?}: {outcome:?}");
        let mut lines: Vec<String> = String::from_utf8(outcome.stdout).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let through = ["--agent", meter.path.to_str().unwrap()];
    let whole = run(None, &through);
    let all_bytes = meter.taken();
    assert!(whole.len() > many && all_bytes > 20 * many as u64, "{} rows, {all_bytes} bytes", whole.len());
    let inode = rustix::fs::fstat(&odd).unwrap().st_ino;
    for (expression, rows) in [
        (format!("pid = {}", holder.pid()), held),
        (format!("owners.pid = {} and proto = tcp", holder.pid()), held),
        (format!("owners.pid = 1 or owners.pid = {}", holder.pid()), held),
        ("sport = :999".into(), 1),
        ("sport < :1024 and not state listening".into(), 1),
        ("dport = :53".into(), 1),
        ("local.port = 999 or remote.port = 53".into(), 1),
        ("src 127.9.0.0/16".into(), 1),
        ("not src 127.1.0.0/16 and proto = udp".into(), 1),
        ("dst 127.8.8.8:53".into(), 1),
        ("remote.addr = 127.8.0.0/16".into(), 1),
        ("state established and proto = udp".into(), 1),
        ("state = ESTABLISHED and proto = udp*".into(), 1),
        ("proto = tcp".into(), held),
        (format!("uid = {STRANGER}"), 1),
        (format!("inode = {inode}"), 1),
        ("netns = 1".into(), 0),
        ("recv_q > 4K".into(), 0),
        ("timer.seconds > 10m".into(), 0),
        ("sport = :999 and owners.pid > 0".into(), 1),
    ] {
        let got = run(Some(&expression), &through);
        let bytes = meter.taken();
        assert_eq!(got, run(Some(&expression), &["--no-agent"]), "{expression}");
        assert_eq!(got.len(), rows, "{expression}: {got:#?}");
        assert!(bytes < 4096, "{expression}: {bytes} bytes for {rows} rows, {all_bytes} for all");
    }
    runner::note(format!("{all_bytes} bytes for all of {} rows", whole.len()));
    drop(odd);
    let pid = holder.pid();
    holder.end();
    crowds.into_iter().for_each(Actor::end);
    // The same of what has ended.
    agent.wait("all ends", |status| status.recent > many as u64);
    for (expression, rows) in [
        ("event = close and sport = :999".to_owned(), 1),
        ("event = close and dst 127.8.0.0/16".into(), 1),
        ("event = close and uid > 0".into(), 1),
        (format!("event = close and pid = {pid}"), held),
        ("event = close and proto = udp and not src 127.1.0.0/16 and state closed".into(), 1),
        ("state established".into(), 0),
    ] {
        let arguments = ["-tuan", "--recent", "1h", "--where", &expression, "--agent", meter.path.to_str().unwrap()];
        let mut command = Command::new(programs::netstat_user());
        command.args(arguments).arg("--json");
        let outcome = place.namespace.enter(|| command::run(&mut command, None, patience()).unwrap());
        let got = String::from_utf8(outcome.stdout).unwrap();
        assert_eq!(got.lines().count(), rows, "{expression}: {got}");
        let bytes = meter.taken();
        assert!(bytes < 4096, "{expression}: {bytes} bytes for {rows} closed sockets");
    }
    agent.stop();
    place.leave();
    Done::Passed
}
