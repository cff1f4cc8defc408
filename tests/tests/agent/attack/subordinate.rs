//! A user who has thousands of user ids, as /etc/subuid gives them for user namespaces.

use super::STRANGER;
use crate::agent::{Agent, path};
use crate::churn::Place;
use netstat_tests::programs;
use netstat_tests::truth::actor;
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::patience;
use nix::sys::signal::Signal;
use std::fs;
use std::io::Read;
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Instant;

pub const TESTS: &[Test] = &[
    ("attack::the_ids_of_one_user_have_one_share", the_ids_of_one_user_have_one_share),
    ("attack::the_ids_of_one_user_push_nobody_out_of_the_history", the_ids_of_one_user_push_nobody_out_of_the_history),
];

const FIRST: u32 = 1_700_000_000;
const OWNER: u32 = 54_322;

/// An agent before whose eyes /etc has this subuid(5), and whatever else is there.
fn agent_with(subuid: &str, args: &[&str]) -> Result<Agent, String> {
    let etc = actor::scratch().join(format!("etc-{}", std::process::id()));
    fs::create_dir_all(&etc).unwrap();
    for name in ["passwd", "group", "nsswitch.conf"] {
        // A guest may have none of them.
        let _ = fs::copy(Path::new("/etc").join(name), etc.join(name));
    }
    fs::write(etc.join("subuid"), subuid).unwrap();
    let script = "mount --bind \"$1\" /etc && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).arg(&etc).arg(programs::netstat_user());
    Agent::by(command, &path(), &[&["--mode", "666"], args].concat())
        .map_err(|why| format!("no agent in a mount namespace: {why:?}"))
}

/// What a thread does as another user; its other ids stay root's.
pub fn as_user<T: Send>(uid: u32, work: impl FnOnce() -> T + Send) -> T {
    let become_user = |uid: u32| {
        let (same, uid) = (u32::MAX, nix::libc::c_long::from(uid));
        // SAFETY: one system call without pointers; unlike the C library's function it is of this thread alone.
        let failed = unsafe { nix::libc::syscall(nix::libc::SYS_setresuid, same, uid, same) };
        assert_eq!(failed, 0, "{}", std::io::Error::last_os_error());
    };
    thread::scope(|scope| {
        let work = move || {
            become_user(uid);
            let done = work();
            become_user(0);
            done
        };
        scope.spawn(work).join().unwrap()
    })
}

/// Whether a connection of this user is kept, and not refused at once.
fn connect(agent: &Agent, uid: u32) -> Option<UnixStream> {
    let mut stream = as_user(uid, || agent.connect()).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_millis(50))).unwrap();
    // Who is served is asked for nothing before it has said what it wants.
    let is_kept = stream.read(&mut [0; 64]).is_err();
    is_kept.then_some(stream)
}

/// However many ids a user has, the places of all of them are one user's; and whoever is no one's is served.
fn the_ids_of_one_user_have_one_share() -> Done {
    let agent = match agent_with(&format!("{OWNER}:{FIRST}:65536\n"), &["--clients", "64"]) {
        Ok(agent) => agent,
        Err(why) => return Done::Skipped(why),
    };
    let kept: Vec<_> = (0..64).filter_map(|number| connect(&agent, FIRST + number)).collect();
    assert_eq!(kept.len(), 16, "a quarter of the places");
    assert!(connect(&agent, OWNER).is_none(), "the owner has a share of their own besides");
    assert!(connect(&agent, STRANGER).is_some(), "somebody else has no place");
    drop(kept);
    // The file is read anew when the agent is to set itself right.
    let etc = actor::scratch().join(format!("etc-{}", std::process::id()));
    fs::write(etc.join("subuid"), "").unwrap();
    let before = agent.status().resyncs;
    agent.signal(Signal::SIGHUP);
    agent.wait("a resync", |status| status.resyncs > before);
    let until = Instant::now() + patience();
    loop {
        let kept: Vec<_> = (0..20).filter_map(|number| connect(&agent, FIRST + number)).collect();
        if kept.len() == 20 {
            break;
        }
        assert!(Instant::now() < until, "{} of 20 users", kept.len());
    }
    agent.stop();
    Done::Passed
}

/// A hundred ids, of which each has less of the history than an honest user.
fn the_ids_of_one_user_push_nobody_out_of_the_history() -> Done {
    const KEPT: usize = 2000;
    let args = ["--recent-count", &KEPT.to_string()];
    let agent = match agent_with(&format!("{OWNER}:{FIRST}:65536\n"), &args) {
        Ok(agent) => agent,
        Err(why) => return Done::Skipped(why),
    };
    let place = Place::new();
    let end = |count: usize| (0..count).for_each(|_| drop(UdpSocket::bind("127.0.0.1:0").unwrap()));
    place.namespace.enter(|| as_user(STRANGER, || end(200)));
    for number in 0..100 {
        place.namespace.enter(|| as_user(FIRST + number, || end(50)));
    }
    let rows = place.namespace.enter(|| agent.classic(&["-u", "-a", "-n", "--recent", "1h"]));
    let of = |is: &dyn Fn(u64) -> bool| {
        rows.iter().filter(|row| row["event"] == "close" && row["uid"].as_u64().is_some_and(is)).count()
    };
    assert_eq!(of(&|uid| uid == u64::from(STRANGER)), 200, "the honest user's history");
    assert!((KEPT / 4..=KEPT - 200).contains(&of(&|uid| uid >= u64::from(FIRST))));
    agent.stop();
    place.leave();
    Done::Passed
}
