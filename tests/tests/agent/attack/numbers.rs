//! Numbers that belong to another by the time they are looked at: of processes, of network namespaces, of users.

use super::sandboxed::{apart, as_stranger, may_unshare, next_with};
use super::{STRANGER, open_to_all};
use crate::agent::{Reader, ask};
use netstat_tests::command::{self, End};
use netstat_tests::netns::NetNs;
use netstat_tests::programs;
use netstat_tests::truth::actor::{self, Actor, listen_up, say};
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::{count, patience};
use netstat_user::model::{Proto, RowsWanted};
use netstat_user::query::{Answer, Request};
use nix::sched::CloneFlags;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Gid, fork, setfsuid, setgroups, setresgid, setresuid};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use serde_json::Value;
use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("attack::a_table_shows_no_later_namespace", a_table_shows_no_later_namespace),
    ("attack::a_process_that_gets_the_number_has_not_asked", a_process_that_gets_the_number_has_not_asked),
    ("attack::ever_new_users_cost_nobody_events", ever_new_users_cost_nobody_events),
    ("attack::without_descriptors_a_user_gets_no_wrong_answer", without_descriptors_a_user_gets_no_wrong_answer),
    ("attack::slow_processes_cost_their_user_alone", slow_processes_cost_their_user_alone),
];

/// Most groups of a process (`NGROUPS_MAX`).
const GROUPS: u32 = 65_536;

/// Becomes the stranger, in as many groups as can be, each of which takes a line of /proc/PID/status, and has so many children with a socket each.
pub fn crowded_groups(children: usize) {
    let groups: Vec<Gid> = (0..GROUPS).map(Gid::from_raw).collect();
    setgroups(&groups).unwrap();
    setresgid(STRANGER.into(), STRANGER.into(), STRANGER.into()).unwrap();
    setresuid(STRANGER.into(), STRANGER.into(), STRANGER.into()).unwrap();
    set_dumpable_behavior(DumpableBehavior::Dumpable).unwrap();
    let (mut end, ends) = io::pipe().unwrap();
    for _ in 0..children {
        // SAFETY: this process has one thread.
        if matches!(unsafe { fork() }.unwrap(), ForkResult::Child) {
            drop(ends);
            let _socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let _ = end.read(&mut [0]);
            std::process::exit(0);
        }
    }
    say(&children);
    listen_up();
}

const TABLE: Request = Request::Table { live: true, recent_ns: u64::MAX, netns: None, age_ns: 0, only: None };

/// Asks for the table, and at once again, so that the answer waits for the next listing; says how many sockets of root's it has in a network
/// namespace.
pub fn table(path: &str, netns: u32) {
    ask(path, &TABLE);
    say(&"asks");
    let roots = ask(path, &TABLE).into_iter().filter_map(|answer| match answer {
        Answer::Live(socket) => Some(socket),
        Answer::Closed(closed) => Some(closed.socket),
        Answer::Refused(denial) => panic!("{denial:?}"),
        _ => None,
    });
    say(&roots.filter(|socket| socket.netns == Some(netns) && socket.uid == Some(0)).count());
    listen_up();
}

/// A table that was asked for while a namespace was the user's, and read when it was root's that had its number, shows nothing of it.
fn a_table_shows_no_later_namespace() -> Done {
    let agent = open_to_all(&[]);
    for _ in 0..8 {
        let theirs = NetNs::new().unwrap();
        let number = theirs.inode().unwrap();
        let witness = theirs.enter(|| Actor::start(as_stranger("keep", &[])));
        let arguments = [agent.socket.to_str().unwrap(), &number.to_string()];
        let mut asker = Actor::start(as_stranger("table", &arguments));
        let _: String = asker.hear();
        // It is looked at what the asker may see.
        thread::sleep(Duration::from_millis(30));
        witness.end();
        drop(theirs);
        let roots = next_with(number);
        let listeners = roots.as_ref().map(|(roots, _)| {
            roots.enter(|| {
                let _ = UdpSocket::bind("127.0.0.1:0").unwrap();
                (0..4).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect::<Vec<_>>()
            })
        });
        let shown: usize = asker.hear();
        assert_eq!(shown, 0, "sockets of root's in another namespace with the number");
        asker.end();
        if listeners.is_some() {
            agent.stop();
            return Done::Passed;
        }
    }
    Done::Skipped("no namespace gets the number again".into())
}

/// Has a child connect, and its child keep the connection; the first ends, and its number is said. After a nudge the second asks for every table, and
/// says of which network namespaces it was given some.
pub fn lend(path: &str) {
    let (mut ended, ends) = io::pipe().unwrap();
    // SAFETY: this process has one thread.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let stream = UnixStream::connect(path).unwrap();
            // SAFETY: this process has one thread.
            if let ForkResult::Child = unsafe { fork() }.unwrap() {
                listen_up();
                let wanted = RowsWanted::of(Proto::ALL.to_vec());
                let mut reader = Reader::new(stream, &Request::Rows { wanted, recorded: true, holders: true }).unwrap();
                let mut namespaces = Vec::new();
                while let Ok(Some(answer)) = reader.next() {
                    match answer {
                        Answer::Namespace { netns, .. } => namespaces.push(netns),
                        Answer::End | Answer::Refused(_) => break,
                        _ => {}
                    }
                }
                say(&namespaces);
                drop(ends);
            }
            std::process::exit(0);
        }
        ForkResult::Parent { child } => {
            drop(ends);
            waitpid(child, None).unwrap();
            say(&child.as_raw());
            ended.read_to_end(&mut Vec::new()).unwrap();
            listen_up();
        }
    }
}

/// Another process with the number of one that connected, and has gone, lends nobody what it could see.
fn a_process_that_gets_the_number_has_not_asked() -> Done {
    if !may_unshare() {
        return Done::Skipped("no user namespace to be had".into());
    }
    let agent = open_to_all(&[]);
    let own = u32::try_from(NetNs::current().unwrap().inode().unwrap()).unwrap();
    let elsewhere = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET;
    for _ in 0..20 {
        let mut lender = apart("lend", &[agent.socket.to_str().unwrap()], elsewhere);
        let gone: u32 = lender.hear();
        fs::write("/proc/sys/kernel/ns_last_pid", (gone - 1).to_string()).unwrap();
        let mut next = Actor::start(as_stranger("keep", &[]));
        let _: String = next.hear();
        let is_hit = next.pid() == gone;
        lender.nudge();
        let shown: Vec<u32> = lender.hear();
        lender.end();
        next.end();
        if is_hit {
            assert!(!shown.contains(&own), "the namespace outside is shown to a sandbox: {shown:?}");
            agent.stop();
            return Done::Passed;
        }
    }
    Done::Skipped("no process gets the number again".into())
}

/// Makes and closes so many sockets, each as another user.
pub fn shift(sockets: u32) {
    for number in 0..sockets {
        setfsuid((100_000 + number % 60_000).into());
        drop(UdpSocket::bind("127.0.0.1:0").unwrap());
    }
    say(&"shifted");
    listen_up();
}

/// However many users there are whose processes must be looked at, no event waits for that.
fn ever_new_users_cost_nobody_events() -> Done {
    let agent = open_to_all(&[]);
    let before = agent.status();
    let sockets = count(60_000) as u64;
    let mut shifting = Actor::start(actor::named("shifting", "shift", &[&sockets.to_string()]));
    let _: String = shifting.hear();
    agent.wait("their sockets", |status| status.events + status.lost >= before.events + 2 * sockets);
    let status = agent.status();
    assert_eq!(status.lost, before.lost, "of {} events", status.events - before.events);
    shifting.end();
    agent.stop();
    Done::Passed
}

/// The processor time that the agent spends on a user's processes (`LookBudget`), and for each process of the host besides.
const BUDGET: Duration = Duration::from_millis(250);
const BUDGET_EACH: Duration = Duration::from_micros(200);
/// More processes are not made slow.
const MOST_SLOW: u32 = 4_000;

/// How many processes in as many groups as can be take twice the time that the agent spends on looks at them here; `None` where there would have to be
/// too many.
fn slow_enough() -> Option<u32> {
    let mut slow = Actor::start(actor::named("slow", "groups", &["0"]));
    let _: usize = slow.hear();
    let status = format!("/proc/{}/status", slow.pid());
    let look = || {
        let begun = Instant::now();
        fs::read(&status).unwrap();
        begun.elapsed()
    };
    // The shortest one is the least that a look takes of a processor.
    let look = (0..16).map(|_| look()).min().unwrap_or_default();
    slow.end();
    let processes = fs::read_dir("/proc").unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_str().is_some_and(|name| name.parse::<u32>().is_ok())
    });
    let of_host = BUDGET + BUDGET_EACH * processes.count() as u32;
    let each = look.checked_sub(BUDGET_EACH * 2).filter(|each| !each.is_zero())?;
    let count = (of_host * 2).as_nanos().div_ceil(each.as_nanos());
    u32::try_from(count).ok().filter(|&count| count <= MOST_SLOW)
}

/// A user whose processes are slow to be looked at is refused what would take too long, with the reason; another one is shown what is theirs.
fn slow_processes_cost_their_user_alone() -> Done {
    let Some(count) = slow_enough() else {
        return Done::Skipped("no process is slow to be looked at".into());
    };
    let agent = open_to_all(&[]);
    let mut slow = Actor::start(actor::named("heavy", "groups", &[&count.to_string()]));
    let _: usize = slow.hear();
    let recent = |uid: u32| {
        let mut command = Command::new(actor::everybodys(programs::netstat_user()));
        command.uid(uid).gid(uid).args(["-u", "-a", "-n", "--json", "--recent", "1h", "--agent"]).arg(&agent.socket);
        command::run(&mut command, None, patience()).unwrap()
    };
    let refused = recent(STRANGER);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.end == End::Exit(1) && said.contains("takes too long"), "{:?}: {said}", refused.end);
    let other = STRANGER + 7;
    let mut maker = Actor::start({
        let mut maker = actor::named("other", "blink", &["20"]);
        maker.uid(other).gid(other);
        maker
    });
    let _: String = maker.hear();
    let pid = maker.pid();
    let shown = || {
        let shown = recent(other);
        let rows = String::from_utf8_lossy(&shown.stdout).into_owned();
        let ended =
            rows.lines().map(|row| serde_json::from_str::<Value>(row).unwrap()).filter(|row| row["event"] == "close");
        let named = ended.filter(|row| row["pid"] == pid).count();
        (shown.end, named, rows)
    };
    // On a busy machine it may take the agent a while to look at who makes them, and who has ended by then is nobody's to see.
    let deadline = Instant::now() + patience();
    while shown().1 < 20 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    maker.end();
    let before = agent.status().resyncs;
    agent.signal(Signal::SIGHUP);
    agent.wait("a resync on SIGHUP", |status| status.resyncs > before);
    let (end, named, rows) = shown();
    assert_eq!((end, named), (End::Exit(0), 20), "{rows}");
    slow.end();
    agent.stop();
    Done::Passed
}

/// Where the agent cannot find out what somebody may see, it says so: it does not answer that there is nothing.
fn without_descriptors_a_user_gets_no_wrong_answer() -> Done {
    let agent = open_to_all(&[]);
    let mut blinking = Actor::start(as_stranger("blink", &["20"]));
    let _: String = blinking.hear();
    blinking.end();
    let look = || {
        let mut command = Command::new(actor::everybodys(programs::netstat_user()));
        command.uid(STRANGER).gid(STRANGER).args(["-u", "-a", "-n", "--json", "--recent", "1h", "--agent"]);
        command.arg(&agent.socket);
        command::run(&mut command, None, patience()).unwrap()
    };
    let rows = look().stdout.iter().filter(|&&byte| byte == b'\n').count();
    assert!(rows >= 20, "{rows} rows");
    let numbers = fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap();
    let open: HashSet<u64> = numbers.filter_map(|name| name.ok()?.file_name().to_str()?.parse().ok()).collect();
    let free: Vec<u64> = (0..).filter(|number| !open.contains(number)).take(8).collect();
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let limit = |files: u64| {
        let pid = rustix::process::Pid::from_raw(agent.pid() as i32);
        let limits = rustix::process::Rlimit { current: Some(files), maximum: Some(hard) };
        rustix::process::prlimit(pid, rustix::process::Resource::Nofile, limits).unwrap();
    };
    let (mut refused, mut all) = (0, Vec::new());
    for (left, &number) in free.iter().enumerate() {
        // So many lower ones are free.
        limit(number);
        let outcome = look();
        limit(hard);
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        all.push((left, outcome.end, said.clone()));
        let found = outcome.stdout.iter().filter(|&&byte| byte == b'\n').count();
        if outcome.end == End::Exit(0) {
            assert!(found >= rows, "with {left} left: {found} rows, and not a word: {said}");
        } else {
            refused += usize::from(said.contains("too many open files"));
        }
    }
    assert!(refused > 0, "nothing was said of descriptors: {all:?}");
    agent.stop();
    Done::Passed
}
