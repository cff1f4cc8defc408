//! Somebody else in the agent's place, and at its socket's file.

use super::STRANGER;
use crate::agent::Agent;
use netstat_tests::command::{self, End, Outcome};
use netstat_tests::programs;
use netstat_tests::truth::actor::{self, Actor};
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::patience;
use netstat_user::query::Request;
use nix::sys::stat::{Mode, umask};
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const TESTS: &[Test] = &[
    ("attack::an_impostor_is_not_believed", an_impostor_is_not_believed),
    ("attack::modes_whatever_the_umask", modes_whatever_the_umask),
    ("attack::a_crowd_is_refused_with_the_reason", a_crowd_is_refused_with_the_reason),
    ("attack::a_group_that_cannot_be_is_refused", a_group_that_cannot_be_is_refused),
    ("attack::no_way_to_the_socket_is_anothers", no_way_to_the_socket_is_anothers),
    ("attack::an_agent_whose_socket_is_gone_says_so", an_agent_whose_socket_is_gone_says_so),
    ("attack::a_link_swapped_in_is_not_followed", a_link_swapped_in_is_not_followed),
];

/// A folder of its own.
fn folder(name: &str) -> PathBuf {
    let folder = actor::scratch().join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    folder
}

fn ask(args: &[&str], socket: &Path) -> Outcome {
    let mut command = Command::new(programs::netstat_user());
    command::run(command.args(args).arg(socket), None, patience()).unwrap()
}

/// Another user answers in the agent's place, and lists nothing.
fn an_impostor_is_not_believed() -> Done {
    let folder = folder("in-its-place");
    chown(&folder, Some(STRANGER), None).unwrap();
    let socket = folder.join("agent.sock");
    let mut impostor = actor::named("impostor", "impostor", &[socket.to_str().unwrap()]);
    let mut impostor = Actor::start({
        impostor.uid(STRANGER).gid(STRANGER);
        impostor
    });
    assert_eq!(impostor.hear::<String>(), "here");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!(":{} ", listener.local_addr().unwrap().port());
    let table = ask(&["-t", "-l", "-n", "--agent"], &socket);
    let (stdout, stderr) = (String::from_utf8_lossy(&table.stdout), String::from_utf8_lossy(&table.stderr));
    assert_eq!(table.end, End::Exit(0), "{table:?}");
    assert!(stdout.contains(&port), "an impostor's table is believed: {table:?}");
    assert!(stderr.lines().count() == 1 && stderr.contains("runs as user 54321"), "{stderr}");
    for args in [&["-t", "--recent", "5", "--agent"][..], &["events", "--duration", "1", "--agent"]] {
        let refused = ask(args, &socket);
        assert_eq!(refused.end, End::Exit(1), "{args:?}: {refused:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("runs as user 54321"), "{args:?}: {refused:?}");
    }
    // In a user namespace that holds neither of them, every user has the same number.
    let mut lost = Command::new("setpriv");
    lost.args(["--reuid=54322", "--regid=54322", "--clear-groups", "unshare", "-U"]);
    lost.arg(actor::everybodys(programs::netstat_user())).args(["-t", "--recent", "5", "--agent"]).arg(&socket);
    let lost = command::run(&mut lost, None, patience()).unwrap();
    let stderr = String::from_utf8_lossy(&lost.stderr);
    assert!(lost.end == End::Exit(1) && stderr.contains("runs as user 65534"), "{lost:?}");
    impostor.end();
    Done::Passed
}

/// Far more connections than there are places, and than are refused one by one: each is refused with the reason all the same.
fn a_crowd_is_refused_with_the_reason() -> Done {
    let socket = folder("crowded").join("agent.sock");
    let agent = Agent::at(&socket, &["--clients", "2"]).unwrap_or_else(|why| panic!("{why:?}"));
    let held: Vec<_> = (0..100).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    for args in [&["-t", "--recent", "5", "--agent"][..], &["events", "--duration", "1", "--agent"]] {
        let refused = ask(args, &socket);
        let stderr = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.end, End::Exit(1), "{args:?}: {refused:?}");
        assert!(stderr.contains("too many clients"), "{args:?}: {stderr}");
    }
    drop(held);
    agent.stop();
    Done::Passed
}

fn a_group_that_cannot_be_is_refused() -> Done {
    let socket = folder("no-group").join("agent.sock");
    let refused = ask(&["agent", "--group", "4294967295", "--socket"], &socket);
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.end, End::Exit(2), "{refused:?}");
    assert!(stderr.lines().count() == 1 && stderr.contains("there is no group"), "{stderr}");
    Done::Passed
}

/// Somewhere above the socket is a folder of another user's, who could rename what is below, or a link of theirs.
fn no_way_to_the_socket_is_anothers() -> Done {
    let theirs = folder("e2g");
    let ours = folder("e2g/x");
    chown(&theirs, Some(STRANGER), None).unwrap();
    let above = folder("e2l");
    let link = above.join("link");
    symlink(folder("e2l/ours"), &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(STRANGER), None).unwrap();
    for place in [ours.join("y"), ours, link.join("y"), link.clone()] {
        let refused =
            Agent::at(&place.join("a.sock"), &[]).err().expect("an agent beyond another user's folder or link");
        assert_eq!(refused.0, End::Exit(1), "{refused:?}");
        assert!(refused.1.len() == 1 && refused.1[0].contains("user 54321's"), "{refused:?}");
    }
    assert!(!theirs.join("x/y").exists() && !above.join("ours/y").exists(), "a folder was made there");
    // A link of root's leads there as before.
    std::os::unix::fs::lchown(&link, Some(0), None).unwrap();
    let agent = Agent::at(&link.join("y/a.sock"), &[]).unwrap_or_else(|why| panic!("{why:?}"));
    assert!(above.join("ours/y/a.sock").exists());
    agent.stop();
    Done::Passed
}

/// The folder or the socket is removed, or another one put in its place, under a running agent.
fn an_agent_whose_socket_is_gone_says_so() -> Done {
    let folder = folder("removed");
    let socket = folder.join("agent.sock");
    let agent = Agent::at(&socket, &["--mode", "660"]).unwrap_or_else(|why| panic!("{why:?}"));
    for _ in 0..2 {
        fs::remove_dir_all(&folder).unwrap();
        agent.hear("has been made again");
        assert_eq!((mode(&folder), mode(&socket)), (0o755, 0o660));
        assert!(agent.try_ask(&Request::Status).is_ok());
    }
    fs::remove_file(&socket).unwrap();
    let others = UnixListener::bind(&socket).unwrap();
    agent.hear("is not this agent's socket any more");
    drop(others);
    fs::remove_file(&socket).unwrap();
    agent.hear("has been made again");
    agent.stop();
    // Who may not write there any more says so, and does not say it again and again.
    let agent = Agent::at(&socket, &["--user", "nobody"]).unwrap_or_else(|why| panic!("{why:?}"));
    fs::remove_file(&socket).unwrap();
    let said = agent.hear("until then nobody can reach this agent");
    assert!(said.contains("permission denied"), "{said}");
    let asked = ask(&["doctor", "--agent"], &socket);
    let said = String::from_utf8_lossy(&asked.stdout).into_owned();
    assert!(asked.end == End::Exit(1) && said.contains("No agent answers"), "{said}");
    std::thread::sleep(std::time::Duration::from_secs(5));
    let said = agent.stop();
    assert!(!said.concat().contains("until then"), "{said:?}");
    Done::Passed
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn modes_whatever_the_umask() -> Done {
    for mask in [0o000, 0o077] {
        let folder = folder("umask").join(format!("{mask:o}"));
        let socket = folder.join("agent.sock");
        let before = umask(Mode::from_bits_retain(mask));
        let agent = Agent::at(&socket, &["--mode", "660"]);
        umask(before);
        let agent = agent.unwrap_or_else(|why| panic!("{why:?}"));
        assert_eq!((mode(&folder), mode(&socket)), (0o755, 0o660), "with umask {mask:o}");
        agent.stop();
    }
    Done::Passed
}

/// The folder is another user's, who replaces the socket by a link to a file of root's as fast as they can.
fn a_link_swapped_in_is_not_followed() -> Done {
    let folder = folder("links");
    let (socket, victim) = (folder.join("agent.sock"), actor::scratch().join("victim"));
    fs::write(&victim, "").unwrap();
    chown(&folder, Some(STRANGER), None).unwrap();
    for planted in [false, true] {
        fs::set_permissions(&victim, Permissions::from_mode(0o600)).unwrap();
        if planted {
            symlink(&victim, &socket).unwrap();
        }
        let mut swapper = actor::named("swapper", "swap", &[socket.to_str().unwrap(), victim.to_str().unwrap()]);
        let mut swapper = Actor::start({
            swapper.uid(STRANGER).gid(STRANGER);
            swapper
        });
        assert_eq!(swapper.hear::<String>(), "here");
        for _ in 0..5 {
            // It may refuse, or be safe there.
            if let Ok(agent) = Agent::at(&socket, &["--mode", "666"]) {
                drop(agent);
            }
            let file = fs::metadata(&victim).unwrap();
            assert_eq!((file.mode() & 0o777, file.uid()), (0o600, 0), "the link was followed");
        }
        swapper.end();
        let _ = fs::remove_file(&socket);
    }
    let refused = Agent::at(&socket, &[]).err().expect("an agent in another user's folder");
    assert_eq!(refused.0, End::Exit(1), "{refused:?}");
    assert!(refused.1.iter().any(|line| line.contains("user 54321's")), "{refused:?}");
    Done::Passed
}
