//! A real server with a process per connection.

use super::{check_closers, traced};
use crate::check;
use crate::event::{Event, Kind};
use crate::made::Made;
use crate::runner::{Done, Test};
use crate::scale::patience;
use crate::tracer::Outcome;
use netstat_tests::command;
use netstat_tests::netns::NetNs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[("corners::closed_by_the_backends_of_postgres", closed_by_the_backends_of_postgres)];

const BACKENDS: usize = 30;
const PORT: u16 = 5432;

/// The folder of the newest installed server.
fn installed() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    versions.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).filter(|bin| bin.join("initdb").exists()).max()
}

/// A cluster of a test's own.
struct Cluster {
    server: Child,
    folder: PathBuf,
}

impl Cluster {
    /// Makes it, and starts its server in the calling thread's namespace, on loopback.
    fn start(bin: &Path, user: &User) -> Self {
        let folder = std::env::temp_dir().join(format!("netstat-postgres-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        let data = folder.join("data");
        let program = |name: &str| {
            let mut command = Command::new(bin.join(name));
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw()).current_dir(&folder).env("LC_ALL", "C");
            command
        };
        let mut initdb = program("initdb");
        initdb.args(["--auth=trust", "--no-sync", "--username=test", "-D"]).arg(&data);
        let made = command::run(&mut initdb, None, patience() * 3).unwrap();
        assert_eq!(made.end, command::End::Exit(0), "{made:?}");
        let mut postgres = program("postgres");
        postgres.arg("-D").arg(&data).arg("-k").arg(&folder);
        for setting in ["listen_addresses=127.0.0.1", "fsync=off", "max_connections=60", "autovacuum=off"] {
            postgres.args(["-c", setting]);
        }
        let log = fs::File::create(folder.join("log")).unwrap();
        let server = postgres.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Self { server, folder }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // SIGQUIT is its "immediate shutdown"; it ends its backends itself.
        let _ = kill(Pid::from_raw(self.server.id() as i32), Signal::SIGQUIT);
        let _ = command::wait(&mut self.server, patience());
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A connection up to "ready for query", and the process that serves it, by what the server says of itself (`BackendKeyData`).
fn log_in() -> Option<(TcpStream, u32)> {
    const VERSION_3: u32 = 3 << 16;
    let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], PORT))).ok()?;
    let words = b"user\0test\0database\0postgres\0\0";
    let mut hello = (words.len() as u32 + 8).to_be_bytes().to_vec();
    hello.extend(VERSION_3.to_be_bytes());
    hello.extend(words);
    stream.write_all(&hello).ok()?;
    let mut backend = None;
    loop {
        let (mut kind, mut length) = ([0], [0; 4]);
        stream.read_exact(&mut kind).ok()?;
        stream.read_exact(&mut length).ok()?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
        stream.read_exact(&mut body).ok()?;
        match kind[0] {
            b'K' => backend = Some(u32::from_be_bytes(body[..4].try_into().unwrap())),
            b'Z' => return Some((stream, backend?)),
            // It is still starting.
            b'E' => return None,
            _ => {}
        }
    }
}

/// The server's end of a connection, which this process does not hold.
fn far_end(outcome: &Outcome, client: &Made) -> Made {
    let is = |event: &&Event| {
        let port = |end: Option<crate::event::End>| end.and_then(|end| end.port);
        matches!(&event.kind, Kind::Close(_))
            && port(event.local) == Some(PORT)
            && port(event.remote) == client.local.map(|end| end.port())
    };
    let event = outcome.events.iter().find(is).unwrap_or_else(|| panic!("no end of the server: {}", client.name()));
    Made { cookie: event.cookie.unwrap(), local: client.remote, remote: client.local, child: true, ..client.clone() }
}

fn closed_by_the_backends_of_postgres() -> Done {
    let Some(bin) = installed() else { return Done::Skipped("no postgres is installed".into()) };
    let Ok(Some(user)) = User::from_name("postgres") else { return Done::Skipped("there is no user postgres".into()) };
    let namespace = NetNs::new().unwrap();
    let (tracer, cluster, served) = namespace.enter(|| {
        let cluster = Cluster::start(&bin, &user);
        let deadline = Instant::now() + patience() * 2;
        while log_in().is_none() {
            assert!(Instant::now() < deadline, "postgres does not answer: {}", cluster.log());
            thread::sleep(Duration::from_millis(100));
        }
        let mut tracer = traced(&namespace, &["--proto", "tcp"]);
        let sessions: Vec<(TcpStream, u32)> = (0..BACKENDS).map(|_| log_in().unwrap()).collect();
        let mut served = Vec::new();
        for (number, (mut stream, backend)) in sessions.into_iter().enumerate() {
            served.push((Made::of(&stream), backend));
            match number % 3 {
                // It says goodbye; it just goes; its backend is ended by another one's word.
                0 => stream.write_all(b"X\0\0\0\x04").unwrap(),
                1 => {}
                _ => {
                    kill(Pid::from_raw(backend as i32), Signal::SIGTERM).unwrap();
                    stream.read_to_end(&mut Vec::new()).unwrap();
                }
            }
        }
        let closes = |events: &[Event]| events.iter().filter(|event| matches!(event.kind, Kind::Close(_))).count();
        tracer.wait(|events| closes(events) >= 2 * BACKENDS);
        (tracer, cluster, served)
    });
    let outcome = tracer.finish();
    drop(cluster);
    check::stream(&outcome);
    let ends: Vec<(Made, u32)> = served.iter().map(|(client, backend)| (far_end(&outcome, client), *backend)).collect();
    check_closers(&outcome, &ends.iter().map(|(made, backend)| (made, *backend, "postgres")).collect::<Vec<_>>());
    Done::Passed
}
