//! What another user is shown, and what they can ask for.

use super::{STRANGER, open_to_all};
use crate::agent::Agent;
use crate::churn::Place;
use netstat_tests::command::{self, End};
use netstat_tests::programs;
use netstat_tests::truth::actor::{self, Actor};
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::patience;
use netstat_user::query::{Answer, Request};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("attack::a_user_is_shown_what_is_theirs", a_user_is_shown_what_is_theirs),
    ("attack::a_user_is_told_of_hidden_namespaces", a_user_is_told_of_hidden_namespaces),
    ("attack::a_namespace_that_was_not_read_is_named", a_namespace_that_was_not_read_is_named),
    ("attack::doctor_says_what_is_true_for_its_caller", doctor_says_what_is_true_for_its_caller),
    ("attack::a_guarded_process_is_named_nowhere", a_guarded_process_is_named_nowhere),
    ("attack::root_of_a_user_namespace_reads_what_it_may_not", root_of_a_user_namespace_reads_what_it_may_not),
    ("attack::the_history_of_others_stays", the_history_of_others_stays),
    ("attack::the_agent_is_named_where_it_could_answer", the_agent_is_named_where_it_could_answer),
    ("attack::copies_of_a_descriptor_are_one_holder", copies_of_a_descriptor_are_one_holder),
    ("attack::requests_cost_no_more_for_being_long", requests_cost_no_more_for_being_long),
];

/// What the stranger saw, by what they asked.
#[derive(Debug, serde::Deserialize)]
pub struct Seen {
    /// Whether the agent does not look for holders for them.
    pub holders_refused: bool,
    /// Holders of processes that are not the stranger's.
    pub foreign_links: usize,
    /// Network namespaces of the tables.
    pub namespaces: Vec<u32>,
    /// Whether the tables of another namespace were refused, by its number.
    pub refused: bool,
    /// Closed sockets with an owner, and without.
    pub owned: usize,
    pub ownerless: usize,
    /// Namespaces of closed sockets.
    pub ended_in: Vec<u32>,
}

/// Sockets that root makes and closes, in the stranger's namespace and in another one.
fn history(place: &Place) {
    let make = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        drop((listener.accept().unwrap(), client));
    };
    make();
    place.namespace.enter(make);
}

fn look(agent: &Agent, netns: u64) -> Seen {
    let mut stranger = actor::named("stranger", "look", &[agent.socket.to_str().unwrap(), &netns.to_string()]);
    let mut stranger = Actor::start({
        stranger.uid(STRANGER).gid(STRANGER);
        stranger
    });
    let seen = stranger.hear();
    stranger.end();
    seen
}

fn a_user_is_shown_what_is_theirs() -> Done {
    let place = Place::new();
    let own = u32::try_from(netstat_tests::netns::NetNs::current().unwrap().inode().unwrap()).unwrap();
    let agent = open_to_all(&[]);
    history(&place);
    // Another user's, in the stranger's namespace.
    let _held = TcpListener::bind("127.0.0.1:0").unwrap();
    let seen = look(&agent, place.netns);
    assert_eq!((seen.foreign_links, &seen.namespaces[..], seen.refused), (0, &[own][..], true), "{seen:?}");
    // However many descriptors there are, nobody but who may see them all has the agent look at them.
    assert!(seen.holders_refused, "{seen:?}");
    assert!(seen.owned == 0 && seen.ownerless > 0, "root's sockets have owners: {seen:?}");
    assert!(seen.ended_in.iter().all(|&netns| netns == own), "{seen:?}");
    // What is not shown is refused with the reason, and no empty table.
    let (theirs, expression) = (place.netns.to_string(), format!("netns = {}", place.netns));
    for (args, end) in [
        (&["--netns", &theirs][..], End::Exit(1)),
        (&["--all-netns", "--where", &expression], End::Exit(1)),
        (&["--netns", "self"], End::Exit(0)),
        (&["--all-netns"], End::Exit(0)),
    ] {
        let mut command = Command::new(actor::everybodys(programs::netstat_user()));
        command
            .uid(STRANGER)
            .gid(STRANGER)
            .args(["-tan", "--recent", "1h"])
            .args(args)
            .arg("--agent")
            .arg(&agent.socket);
        let outcome = command::run(&mut command, None, patience()).unwrap();
        assert_eq!(outcome.end, end, "{args:?}: {outcome:?}");
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        let refused = said.contains("the network namespace is of no process of yours");
        assert!(refused == (end == End::Exit(1)) && refused == outcome.stdout.is_empty(), "{args:?}: {outcome:?}");
    }
    // An owner that is kept back is not known; what does not ask for it is whole.
    for (args, code) in [
        (&["--columns", "local,comm"][..], 1),
        (&["--count-by", "owners.comm"], 1),
        (&["--where", "reason != null and comm = no-such-comm"], 1),
        (&["--where", "reason != null and pid = 1"], 1),
        (&["--where", "reason != null", "--count-by", "reason"], 0),
    ] {
        let mut command = Command::new(actor::everybodys(programs::netstat_user()));
        command.uid(STRANGER).gid(STRANGER).args(["-tan", "--recent", "1h", "--agent"]).arg(&agent.socket).args(args);
        let outcome = command::run(&mut command, None, patience()).unwrap();
        assert_eq!(outcome.end, End::Exit(code), "{args:?}: {outcome:?}");
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert_eq!(said.matches("owners of other users' sockets are unknown").count(), code as usize, "{said}");
    }
    agent.stop();
    // The same where everything is shared.
    let agent = open_to_all(&["--share", "all"]);
    history(&place);
    let seen = look(&agent, place.netns);
    assert!(
        !seen.holders_refused && seen.foreign_links > 0 && seen.namespaces.len() > 1 && !seen.refused && seen.owned > 0,
        "{seen:?}"
    );
    assert!(seen.ended_in.contains(&u32::try_from(place.netns).unwrap()), "{seen:?}");
    // The command line of the stranger: the same table as without the agent.
    let run = |agent_args: &[&str]| {
        let mut command = Command::new(actor::everybodys(programs::netstat_user()));
        command.uid(STRANGER).gid(STRANGER).args(["-t", "-l", "-n"]).args(agent_args);
        let outcome = command::run(&mut command, None, patience()).unwrap();
        assert_eq!(outcome.end, End::Exit(0), "{outcome:?}");
        outcome
    };
    let with = run(&["--agent", agent.socket.to_str().unwrap()]);
    assert_eq!(String::from_utf8_lossy(&with.stderr), "");
    assert_eq!(with.stdout, run(&["--no-agent"]).stdout);
    agent.stop();
    place.leave();
    Done::Passed
}

/// Whoever is not shown every namespace reads that, through the agent as without it.
fn a_user_is_told_of_hidden_namespaces() -> Done {
    let place = Place::new();
    let notice = |args: &[&str]| {
        let mut command = Command::new(actor::everybodys(programs::netstat_user()));
        command.uid(STRANGER).gid(STRANGER).args(["-t", "-a", "-n", "--all-netns"]).args(args);
        let outcome = command::run(&mut command, None, patience()).unwrap();
        let shown = String::from_utf8_lossy(&outcome.stdout).contains(&place.netns.to_string());
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert_eq!(outcome.end, End::Exit(0), "{args:?}: {said}");
        (shown, said)
    };
    let listener = place.namespace.enter(|| TcpListener::bind("127.0.0.1:0").unwrap());
    let (shown, direct) = notice(&["--no-agent"]);
    assert!(!shown && direct.starts_with("(Not all network namespaces could be found"), "{direct}");
    let agent = open_to_all(&[]);
    assert_eq!(notice(&["--agent", agent.socket.to_str().unwrap()]), (false, direct));
    agent.stop();
    let agent = open_to_all(&["--share", "all"]);
    assert_eq!(notice(&["--agent", agent.socket.to_str().unwrap()]), (true, String::new()));
    agent.stop();
    drop(listener);
    place.leave();
    Done::Passed
}

/// A namespace that may not be entered, or was not looked into, is no empty one: one line names it and the way out, and the exit code is 1.
fn a_namespace_that_was_not_read_is_named() -> Done {
    let place = Place::new();
    let listener = place.namespace.enter(|| TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port().to_string();
    let number = place.netns.to_string();
    let expression = format!("netns = {number}");
    let run = |as_root: bool, args: &[&str]| {
        let mut command = Command::new(actor::everybodys(programs::netstat_user()));
        if !as_root {
            command.uid(STRANGER).gid(STRANGER);
        }
        let outcome = command::run(command.args(args), None, patience()).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (outcome.end, text(&outcome.stdout), text(&outcome.stderr))
    };
    let refused = |as_root: bool, args: &[&str], name: &str, way: &str| {
        let (end, stdout, stderr) = run(as_root, args);
        assert_eq!(end, End::Exit(1), "{args:?}: {stdout}{stderr}");
        assert!(!stdout.contains(&port), "{args:?}: {stdout}");
        let said = stderr.contains(&format!("network namespace `{name}'")) && stderr.contains(way);
        assert!(said && stderr.lines().count() == 1, "{args:?}: {stderr}");
    };
    for args in [&["-tan"][..], &["-xan"], &["-an", "--json"], &["-tan", "--count-by", "state"]] {
        refused(false, &[args, &["--netns", &number, "--no-agent"]].concat(), &number, "run as root");
    }
    let kill = ["kill", "--lport", &port, "--dry-run"];
    refused(false, &[&kill[..], &["--netns", &number]].concat(), &number, "run as root");
    refused(false, &["-tan", "--all-netns", "--where", &expression, "--no-agent"], &number, "run as root");
    // Nobody asked for it to be looked into, not even as root: nothing is missing of what is listed.
    let give = format!("give --netns {number}");
    for as_root in [false, true] {
        for verb in [&["-tan", "--no-agent"][..], &["kill", "--dry-run"]] {
            let (end, _, stderr) = run(as_root, &[verb, &["--where", &expression]].concat());
            assert!(
                end == End::Exit(0) && stderr.lines().any(|line| line.contains(&give)),
                "{verb:?}: {end:?} {stderr}"
            );
        }
    }
    let root = run(true, &["-tan", "--no-agent", "--netns", &number]);
    assert!(root.0 == End::Exit(0) && root.1.contains(&port) && root.2.is_empty(), "{root:?}");
    let agent = open_to_all(&[]);
    let socket = agent.socket.to_str().unwrap().to_owned();
    let (end, _, stderr) = run(false, &["-tan", "--netns", &number, "--agent", &socket]);
    assert!(end == End::Exit(1) && stderr.contains("could list it: as root, restart it as"), "{stderr}");
    assert!(stderr.ends_with("--mode 660 --group GROUP --share all\n"), "{stderr}");
    agent.stop();
    let agent = open_to_all(&["--share", "all"]);
    let (end, stdout, stderr) = run(false, &["-tan", "--netns", &number, "--agent", agent.socket.to_str().unwrap()]);
    assert!(end == End::Exit(0) && stdout.contains(&port) && stderr.is_empty(), "{stdout}{stderr}");
    agent.stop();
    // By a name, whose file may be opened, or not even looked at.
    let name = format!("netstat-tests-unread-{}", std::process::id());
    let file = Path::new("/run/netns").join(&name);
    if fs::create_dir_all("/run/netns").and_then(|()| symlink(format!("/proc/{}/ns/net", place.pid()), &file)).is_ok() {
        refused(false, &["-tan", "--no-agent", "--netns", &name], &name, "may not be looked at: run as root");
        refused(false, &["-tan", "--no-agent", "--where", &format!("netns = {name}")], &name, "run as root");
        refused(false, &[&kill[..], &["--netns", &name]].concat(), &name, "run as root");
        fs::remove_file(&file).unwrap();
        let own = place.namespace.enter(|| {
            fs::File::create(&file).unwrap();
            let (own, none) = (Some("/proc/thread-self/ns/net"), None::<&str>);
            nix::mount::mount(own, &file, none, nix::mount::MsFlags::MS_BIND, none)
        });
        if own.is_ok() {
            refused(false, &["-tan", "--no-agent", "--netns", &name], &name, "may not be entered: run as root");
            nix::mount::umount2(&file, nix::mount::MntFlags::MNT_DETACH).unwrap();
        }
        fs::remove_file(&file).unwrap();
    }
    drop(listener);
    place.leave();
    Done::Passed
}

/// Who may not trace reads that nothing was attached, and what they may not do.
fn doctor_says_what_is_true_for_its_caller() -> Done {
    let mut command = Command::new(actor::everybodys(programs::netstat_user()));
    command.uid(STRANGER).gid(STRANGER).args(["doctor", "--no-agent"]);
    let outcome = command::run(&mut command, None, patience()).unwrap();
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert_eq!(outcome.end, End::Exit(1), "{said}");
    assert!(said.contains("\nNo hook was attached: this user may not trace\n"), "{said}");
    let kill = said.lines().find(|line| line.contains(" kill ")).unwrap_or_default();
    assert!(kill.starts_with("  note kill ") && kill.contains("takes cap_net_admin"), "{said}");
    for false_or_unclear in ["Hooks attached", "the same\n", "os error", "runs the programs", "can be attached to"] {
        assert!(!said.contains(false_or_unclear), "{false_or_unclear}: {said}");
    }
    assert!(said.contains("to mend it: as for capabilities\n"), "{said}");
    Done::Passed
}

/// Who may not see every process, nor trace, learns how an agent would let them; and is shown the holders by one that shares all.
fn the_agent_is_named_where_it_could_answer() -> Done {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = u64::from(listener.local_addr().unwrap().port());
    let run = |args: &[&str]| {
        let mut command = Command::new(actor::everybodys(programs::netstat_user()));
        command.uid(STRANGER).gid(STRANGER).args(args);
        let outcome = command::run(&mut command, None, patience()).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&outcome.stdout), text(&outcome.stderr))
    };
    let holder = |stdout: &str| {
        let rows = stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let row = rows.into_iter().find(|row| row["local"]["port"] == port).unwrap();
        row["owners"][0]["pid"].as_u64()
    };
    let rows = ["-t", "-l", "-n", "-p", "--json", "--agent"];
    for (agent, way) in [
        (Agent::start(&[]), Some("does not let this user ask: as root, restart it as")),
        (open_to_all(&[]), Some("could name them: as root, restart it as")),
        (open_to_all(&["--share", "all"]), None),
    ] {
        let socket = agent.socket.to_str().unwrap();
        let (stdout, stderr) = run(&[&rows[..], &[socket]].concat());
        let Some(way) = way else {
            assert_eq!((holder(&stdout), stderr.as_str()), (Some(u64::from(std::process::id())), ""));
            agent.stop();
            continue;
        };
        let command = format!("netstat-user agent --socket {socket} --mode 660 --group GROUP --share all\n");
        assert!(stderr.contains(way) && stderr.ends_with(&command), "{stderr}");
        if way.starts_with("could name them") {
            let (_, said) = run(&["events", "--pid", "1", "--duration", "100ms", "--agent", socket]);
            let unknown =
                format!("the owners of other users' sockets are unknown to this user: the agent on {socket} {way}");
            assert!(said.contains(&unknown), "{said}");
        }
        assert_eq!(holder(&stdout), None);
        agent.stop();
    }
    // An owner that is not shown is not taken for nobody where rows are selected by it.
    for args in [&["-t", "-l", "-n", "--pid", "1"][..], &["-t", "-l", "-n", "--columns", "local,pid"]] {
        let (_, stderr) = run(&[args, &["--no-agent"]].concat());
        assert_eq!(stderr, "netstat-user: the owners of other users' sockets are unknown to this user: run as root\n");
    }
    // Standard error that is no person's has netstat's lines only.
    let (_, stderr) = run(&["-t", "-l", "-n", "-p"]);
    assert!(stderr.starts_with("(") && !stderr.contains("agent"), "{stderr}");
    let (_, stderr) = run(&["events"]);
    assert!(stderr.contains("tracing needs cap_") && stderr.contains("could serve events"), "{stderr}");
    Done::Passed
}

/// Root of a user namespace has every capability there, and none over the kernel: `doctor` and `events` say so, with an agent and without.
fn root_of_a_user_namespace_reads_what_it_may_not() -> Done {
    let run = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.arg("-Ur").arg(programs::netstat_user()).args(args);
        let outcome = command::run(&mut command, None, patience()).unwrap();
        (outcome.end, String::from_utf8_lossy(&[&outcome.stdout[..], &outcome.stderr].concat()).into_owned())
    };
    if run(&["--version"]).0 != End::Exit(0) {
        return Done::Skipped("no user namespace to be had".into());
    }
    let (end, said) = run(&["doctor", "--no-agent"]);
    assert_eq!(end, End::Exit(1), "{said}");
    assert!(said.starts_with("Something essential is missing: capabilities.\n"), "{said}");
    for words in ["in this user namespace at most, and not over the kernel: nothing can be traced", "root of the host"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    let kill = said.lines().find(|line| line.contains(" kill ")).unwrap_or_default();
    assert!(kill.contains("that this user namespace owns"), "{said}");
    assert!(!said.contains("setcap") && !said.contains("--debug") && !said.contains("   held\n"), "{said}");
    let (end, said) = run(&["events", "--probe", "tp_btf", "--duration", "100ms"]);
    assert!(end == End::Exit(1) && said.contains("root of the host") && !said.contains("setcap"), "{said}");
    let agent = Agent::start(&[]);
    let (end, said) = run(&["doctor", "--agent", agent.socket.to_str().unwrap()]);
    assert_eq!(end, End::Exit(0), "{said}");
    assert!(
        said.starts_with("Nothing essential is missing; see the notes on") && !said.contains("All is well"),
        "{said}"
    );
    assert!(said.contains("another PID or user namespace") && said.contains("it can trace nothing itself"), "{said}");
    agent.stop();
    Done::Passed
}

/// A setuid program makes sockets of the user whose file it is, who may not look into it: it is named neither among holders, nor in events, nor in
/// `--recent`; a process of that user's own is.
fn a_guarded_process_is_named_nowhere() -> Done {
    let agent = open_to_all(&[]);
    let socket = agent.socket.to_str().unwrap();
    let by = |ruid: u32, args: &[&str]| {
        let mut command = actor::named("guarded", args[0], &args[1..]);
        let ids = move || {
            nix::unistd::setgroups(&[])?;
            let (gid, euid) = (STRANGER.into(), STRANGER.into());
            nix::unistd::setresgid(gid, gid, gid)?;
            Ok(nix::unistd::setresuid(ruid.into(), euid, euid)?)
        };
        // SAFETY: `ids` makes system calls only.
        unsafe { command.pre_exec(ids) };
        Actor::start(command)
    };
    let ask = |args: &[&str]| -> Vec<serde_json::Value> {
        let mut command = Command::new(actor::everybodys(programs::netstat_user()));
        command.uid(STRANGER).gid(STRANGER).args(args).args(["--json", "--agent", socket]);
        let outcome = command::run(&mut command, None, patience()).unwrap();
        assert_eq!(outcome.end, End::Exit(0), "{args:?}: {outcome:?}");
        String::from_utf8_lossy(&outcome.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    for (ruid, is_named) in [(STRANGER, true), (STRANGER + 5, false)] {
        let mut holder = by(ruid, &["crowd", if is_named { "41000" } else { "41100" }, "20"]);
        assert_eq!(holder.hear::<usize>(), 20);
        let pid = u64::from(holder.pid());
        let events = std::thread::scope(|scope| {
            let events = scope.spawn(|| ask(&["events", "--proto", "udp", "--duration", "2s"]));
            std::thread::sleep(std::time::Duration::from_millis(700));
            let mut maker = by(ruid, &["blink", "40"]);
            let _: String = maker.hear();
            std::thread::sleep(std::time::Duration::from_millis(500));
            let pid = u64::from(maker.pid());
            maker.end();
            (pid, events.join().unwrap())
        });
        let names = |rows: &[serde_json::Value], pid: u64| {
            rows.iter().filter(|row| row["pid"] == pid || row["closed_by"]["pid"] == pid).count()
        };
        let theirs = events.1.iter().filter(|event| event["uid"] == STRANGER).count();
        assert!(theirs >= 80, "{theirs} events of the stranger's sockets");
        assert_eq!(names(&events.1, events.0) > 0, is_named, "in events, run by {ruid}");
        let rows = ask(&["-u", "-a", "-n", "-p", "--recent", "1h"]);
        assert_eq!(names(&rows, events.0) > 0, is_named, "in --recent, run by {ruid}");
        let held = rows.iter().filter(|row| row["owners"][0]["pid"] == pid).count();
        assert_eq!(held > 0, is_named, "among the holders, run by {ruid}");
        holder.end();
    }
    agent.stop();
    Done::Passed
}

/// A user whose sockets end by the thousands replaces their own history, and no other's; and it is said whose is not whole.
fn the_history_of_others_stays() -> Done {
    const KEPT: usize = 4000;
    const NEIGHBOUR: u32 = STRANGER + 8;
    let agent = open_to_all(&["--recent-count", &KEPT.to_string()]);
    let blinking = |uid: u32, sockets: &str| {
        let mut command = actor::named("blinking", "blink", &[sockets]);
        command.uid(uid).gid(uid);
        let mut actor = Actor::start(command);
        let _: String = actor.hear();
        actor
    };
    let of = |uid: u32| {
        let rows = agent.classic(&["-u", "-a", "-n", "--recent", "1h"]);
        rows.iter().filter(|row| row["event"] == "close" && row["uid"] == uid).count()
    };
    let settle = |uid: u32, least: usize| {
        let deadline = Instant::now() + patience();
        while of(uid) < least && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(50));
        }
    };
    let neighbour = blinking(NEIGHBOUR, "200");
    settle(NEIGHBOUR, 200);
    let before = agent.status().events;
    let stranger = blinking(STRANGER, "10000");
    agent.wait("the stranger's sockets", |status| status.events >= before + 20_000);
    settle(STRANGER, KEPT / 4);
    assert_eq!(of(NEIGHBOUR), 200);
    let theirs = of(STRANGER);
    assert!((KEPT / 4..=KEPT - 200).contains(&theirs), "{theirs} of the stranger's");
    let mut command = Command::new(programs::netstat_user());
    command.args(["doctor", "--agent"]).arg(&agent.socket);
    let outcome = command::run(&mut command, None, patience()).unwrap();
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    // Other tests may make even more, as root.
    let names = |uid: u32| said.contains(&format!("keeps no more of user {uid}; of all others it knows"));
    assert!(names(STRANGER) || names(0), "{said}");
    neighbour.end();
    stranger.end();
    agent.stop();
    Done::Passed
}

/// Bytes of requests that name a protocol as often as fits: they are as good as any other, or refused, and the agent answers others meanwhile.
fn requests_cost_no_more_for_being_long() -> Done {
    use std::io::{Read, Write};
    let agent = Agent::start(&[]);
    let mut good = bytes::BytesMut::new();
    netstat_user::query::Request::Status.encode(&mut good);
    let version = good[4];
    let before = agent.resident() >> 20;
    for tag in [3u8, 5] {
        // The old form: a list with its length, 4,000 times the same.
        let body = [&[version, tag][..], &4000u32.to_le_bytes(), &[2; 4000]].concat();
        let frame = [&(body.len() as u32).to_le_bytes()[..], &body].concat();
        let mut streams: Vec<_> = (0..50).map(|_| agent.connect().unwrap()).collect();
        for stream in &mut streams {
            let _ = stream.write_all(&frame);
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
        for mut stream in streams {
            let _ = stream.read(&mut [0; 1024]);
        }
        agent.status();
    }
    let grown = (agent.resident() >> 20).saturating_sub(before);
    assert!(grown < 128, "{grown} MiB");
    agent.stop();
    Done::Passed
}

/// A copy of a descriptor costs whoever makes it a few bytes, and the agent nothing.
fn copies_of_a_descriptor_are_one_holder() -> Done {
    let agent = Agent::start(&[]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let copies: Vec<TcpListener> = (0..3000).map_while(|_| listener.try_clone().ok()).collect();
    assert!(copies.len() > 500, "only {} copies could be made", copies.len());
    let inode = nix::sys::stat::fstat(&listener).unwrap().st_ino;
    let links = agent.ask(&Request::Holders { of: vec![inode] }).into_iter().filter_map(|answer| match answer {
        Answer::Links(links) => Some(links),
        _ => None,
    });
    let links: Vec<u32> = links.flatten().map(|link| link.pid).collect();
    assert_eq!(links, [std::process::id()]);
    agent.stop();
    Done::Passed
}
