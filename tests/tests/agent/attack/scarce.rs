//! Nothing left: descriptors, threads, time.

use super::STRANGER;
use super::readers::blink;
use crate::agent::{Agent, Reader, path};
use crate::churn::Place;
use netstat_tests::command::{self, End, Outcome};
use netstat_tests::programs;
use netstat_tests::truth::actor;
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::{count, patience};
use netstat_user::query::{Answer, Request};
use nix::sys::signal::Signal;
use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

pub const TESTS: &[Test] = &[
    ("attack::few_descriptors_are_enough_or_are_named", few_descriptors_are_enough_or_are_named),
    ("attack::no_descriptors_are_no_end_of_sockets", no_descriptors_are_no_end_of_sockets),
    ("attack::an_agent_that_can_let_nobody_in_says_so", an_agent_that_can_let_nobody_in_says_so),
    ("attack::too_few_descriptors_for_a_runtime_are_named", too_few_descriptors_for_a_runtime_are_named),
    ("attack::too_few_tasks_for_an_agent_are_named", too_few_tasks_for_an_agent_are_named),
    ("attack::no_threads_are_no_abort", no_threads_are_no_abort),
    ("attack::little_memory_is_named", little_memory_is_named),
    ("attack::a_request_without_memory_is_refused", a_request_without_memory_is_refused),
    ("attack::the_silent_do_not_hold_up_the_end", the_silent_do_not_hold_up_the_end),
    ("attack::a_closed_standard_output_is_a_failure_to_write", a_closed_standard_output_is_a_failure_to_write),
    ("attack::times_beyond_all_clocks", times_beyond_all_clocks),
    ("attack::a_reload_is_reported", a_reload_is_reported),
    ("attack::without_proc_nothing_is_empty", without_proc_nothing_is_empty),
    ("attack::an_agent_that_does_not_answer_is_named_with_v", an_agent_that_does_not_answer_is_named_with_v),
    ("attack::root_without_ptrace_is_not_blind_unawares", root_without_ptrace_is_not_blind_unawares),
    ("attack::root_without_dac_read_search_is_not_blind_unawares", root_without_dac_read_search_is_not_blind_unawares),
];

/// Where there is no /proc, a table that needs one is an error, and not empty.
fn without_proc_nothing_is_empty() -> Done {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let program = programs::netstat_user().display().to_string();
    for (args, says) in [
        ("-tan --all-netns --no-agent".to_owned(), "mount -t proc proc /proc"),
        ("-xan --all-netns --json --no-agent".to_owned(), "mount -t proc proc /proc"),
        (format!("kill --dry-run --port {port}"), "of those that could be read"),
    ] {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", &format!("mount -t tmpfs none /proc && exec {program} {args}")]);
        let outcome = command::run(&mut command, None, patience()).unwrap();
        let stderr = String::from_utf8_lossy(&outcome.stderr);
        assert!(outcome.end == End::Exit(1) && stderr.contains(says), "{args}: {outcome:?}");
    }
    Done::Passed
}

/// The rows are the kernel's then; without `-v` nothing is said of an agent that nobody asked for.
fn an_agent_that_does_not_answer_is_named_with_v() -> Done {
    let folder = std::env::temp_dir().join(format!("netstat-user-mute-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let socket = folder.join("mute.sock");
    let mute = UnixListener::bind(&socket).unwrap();
    // It hangs up on everybody.
    let hangs_up = thread::spawn(move || mute.incoming().take(2).for_each(drop));
    let program = programs::netstat_user();
    for (args, is_named) in [("-tln -v", true), ("-tln", false)] {
        let place = "mount -t tmpfs none /run && mkdir /run/netstat-user && ln -s";
        let line =
            format!("{place} {} /run/netstat-user/agent.sock && exec {} {args}", socket.display(), program.display());
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", &line]);
        let outcome = command::run(&mut command, None, patience()).unwrap();
        let stderr = String::from_utf8_lossy(&outcome.stderr);
        let says =
            stderr.contains("agent /run/netstat-user/agent.sock: ") && stderr.contains("; reading the kernel instead");
        assert!(outcome.end == End::Exit(0) && says == is_named && !outcome.stdout.is_empty(), "{args}: {outcome:?}");
    }
    hangs_up.join().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    Done::Passed
}

/// Root of a container has not every capability: where it cannot know, it is said.
fn root_without_ptrace_is_not_blind_unawares() -> Done {
    if !programs::has_util("setpriv") {
        return Done::Skipped("setpriv of util-linux is not installed".into());
    }
    let own = std::process::id().to_string();
    for args in [
        &["-tan", "--all-netns", "--no-agent"][..],
        &["-tan", "--no-agent", "--pid", &own],
        &["kill", "--dry-run", "--where", "owners.pid = null"],
    ] {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"]).arg(programs::netstat_user()).args(args);
        let outcome = command::run(&mut command, None, patience()).unwrap();
        assert!(String::from_utf8_lossy(&outcome.stderr).contains("CAP_SYS_PTRACE"), "{args:?}: {outcome:?}");
    }
    Done::Passed
}

/// The same where it may ask for other users' processes, and not list their open files.
fn root_without_dac_read_search_is_not_blind_unawares() -> Done {
    if !programs::has_util("setpriv") {
        return Done::Skipped("setpriv of util-linux is not installed".into());
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    // As its standard input, for no other process has it.
    let hold = |listener: TcpListener| {
        Command::new("sleep").arg("600").uid(STRANGER).stdin(OwnedFd::from(listener)).spawn().unwrap()
    };
    let mut holder = hold(listener);
    let rights = ["--bounding-set=-all,+sys_ptrace", "--inh-caps=-all"];
    let outcomes = [&["--columns", "local,pid"][..], &["-p", "--json"]].map(|args| {
        let mut command = Command::new("setpriv");
        command.args(rights).arg(programs::netstat_user()).args(["-tln", "--no-agent", "--port", &port]).args(args);
        command::run(&mut command, None, patience()).unwrap()
    });
    holder.kill().unwrap();
    holder.wait().unwrap();
    // Where no socket was found but its own, netstat has other words.
    let says =
        [&["it lacks CAP_DAC_READ_SEARCH"][..], &["Not all processes could be identified", "No info could be read"]];
    for (outcome, says) in outcomes.iter().zip(says) {
        let stderr = String::from_utf8_lossy(&outcome.stderr);
        assert!(says.iter().any(|says| stderr.contains(says)) && !stderr.contains("shield"), "{outcome:?}");
    }
    Done::Passed
}

pub fn limited(limit: &str, args: &[&str]) -> Outcome {
    let mut command = Command::new("prlimit");
    command.arg(limit).arg(programs::netstat_user()).args(args);
    // What whoever runs the tests left open would take one of the few.
    let flags = nix::libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: one system call, which takes no pointer.
    let close = move || match unsafe { nix::libc::syscall(nix::libc::SYS_close_range, 3, u32::MAX, flags) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    };
    // SAFETY: `close` allocates nothing.
    unsafe { command.pre_exec(close) };
    command::run(&mut command, None, patience()).unwrap()
}

/// With few descriptors the table is whole, and who is not found for want of one is said not to be.
fn few_descriptors_are_enough_or_are_named() -> Done {
    if Command::new("prlimit").arg("--version").output().is_err() {
        return Done::Skipped("prlimit is not installed".into());
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // With so many open files holders are looked for in another way, beside everything else.
    let _many: Vec<_> = (0..count(8000)).map(|_| UnixStream::pair().unwrap()).collect();
    let port = format!(":{} ", listener.local_addr().unwrap().port());
    let mine = format!(" {}/", std::process::id());
    for descriptors in 4..16 {
        let outcome = limited(&format!("--nofile={descriptors}"), &["-t", "-l", "-n", "-p", "--no-agent"]);
        assert_eq!(outcome.end, End::Exit(0), "{descriptors} descriptors: {outcome:?}");
        let stdout = String::from_utf8_lossy(&outcome.stdout);
        let row = stdout.lines().find(|line| line.contains(&port));
        let row = row.unwrap_or_else(|| panic!("no row with {descriptors} descriptors: {outcome:?}"));
        let said = String::from_utf8_lossy(&outcome.stderr).to_lowercase();
        assert!(row.contains(&mine) || said.contains("too many open files"), "{descriptors} descriptors: {outcome:?}");
    }
    Done::Passed
}

/// Lets a running agent have so many open files, or as many as it may allow itself.
fn limit(agent: &Agent, most: Option<u64>) {
    let (pid, what) = (agent.pid() as i32, nix::libc::RLIMIT_NOFILE);
    let mut now = nix::libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointers are to live values and to nothing.
    let failed = unsafe { nix::libc::prlimit(pid, what, std::ptr::null(), &raw mut now) };
    assert_eq!(failed, 0, "{}", std::io::Error::last_os_error());
    now.rlim_cur = most.unwrap_or(now.rlim_max);
    // SAFETY: as above.
    let failed = unsafe { nix::libc::prlimit(pid, what, &raw const now, std::ptr::null_mut()) };
    assert_eq!(failed, 0, "{}", std::io::Error::last_os_error());
}

/// An agent that can let nobody in says so, and `doctor` knows it later.
fn an_agent_that_can_let_nobody_in_says_so() -> Done {
    let agent = Agent::start(&[]);
    agent.status();
    limit(&agent, Some(1));
    let waiting = Reader::new(agent.connect().unwrap(), &Request::Status).unwrap();
    let said = agent.hear("no client can be let in");
    assert!(said.starts_with("netstat-user: agent: ") && said.contains("ulimit -n"), "{said}");
    limit(&agent, None);
    let doctor = agent.ask(&Request::Health);
    let check = doctor.iter().find_map(|answer| match answer {
        Answer::Health(health) => health.checks.iter().find(|check| check.name == "clients"),
        _ => None,
    });
    assert!(check.is_some_and(|check| check.found.contains("ulimit -n")), "{doctor:?}");
    drop(waiting);
    agent.stop();
    Done::Passed
}

/// A listing for which the agent has no descriptor left takes nothing for ended.
fn no_descriptors_are_no_end_of_sockets() -> Done {
    let place = Place::new();
    let agent = Agent::start(&[]);
    let kept: Vec<TcpListener> =
        place.namespace.enter(|| (0..100).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect());
    assert!(agent.table(place.netns).len() >= kept.len());
    let open = fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap().count() as u64;
    let before = agent.status();
    for left in 0..4 {
        let resyncs = agent.status().resyncs;
        limit(&agent, Some(open + left));
        agent.signal(Signal::SIGHUP);
        std::thread::sleep(std::time::Duration::from_millis(300));
        limit(&agent, None);
        agent.wait("a resync", |status| status.resyncs > resyncs);
    }
    let ended = agent.classic(&["-t", "-n", "--recent", "1h"]);
    drop(ended);
    assert!(agent.table(place.netns).len() >= kept.len());
    let listening = place.namespace.enter(|| agent.classic(&["-t", "-n", "-a", "--recent", "1h"]));
    let closed = listening.iter().filter(|row| row["state"] == "CLOSE").count();
    assert_eq!(closed, 0, "living sockets are among those that ended; before {before:?}, now {:?}", agent.status());
    drop(kept);
    agent.stop();
    place.leave();
    Done::Passed
}

/// Whoever has too few descriptors to begin with is refused with one line, and nobody panics.
fn too_few_descriptors_for_a_runtime_are_named() -> Done {
    if Command::new("prlimit").arg("--version").output().is_err() {
        return Done::Skipped("prlimit is not installed".into());
    }
    let agent = Agent::start(&[]);
    let served = agent.socket.to_str().unwrap();
    let free = path();
    let free = free.to_str().unwrap();
    for descriptors in 5..14 {
        for args in
            [&["events", "--agent", served, "--duration", "300ms"][..], &["agent", "--socket", free], &["events"]]
        {
            // With enough of them, it would serve.
            if descriptors > 8 && args.len() != 5 {
                continue;
            }
            let outcome = limited(&format!("--nofile={descriptors}"), args);
            let stderr = String::from_utf8_lossy(&outcome.stderr).to_lowercase();
            let said = !stderr.contains("panicked") && !stderr.contains("standard output");
            let named = outcome.end == End::Exit(1) && stderr.contains("too many open files");
            assert!(said && (named || outcome.end == End::Exit(0)), "{descriptors}, {args:?}: {outcome:?}");
            assert!(descriptors > 6 || named, "{descriptors}, {args:?}: {outcome:?}");
        }
    }
    // What has enough to begin with has not enough to trace with, or for the least number of clients.
    for (descriptors, args) in [
        (16, &["events", "--duration", "300ms"][..]),
        (32, &["events", "--duration", "300ms"]),
        (66, &["events", "--duration", "300ms"]),
        (72, &["events", "--duration", "300ms"]),
        (90, &["agent", "--socket", free]),
        (128, &["agent", "--socket", free]),
        (32, &["doctor", "--no-agent"]),
    ] {
        let outcome = limited(&format!("--nofile={descriptors}"), args);
        let said = [&outcome.stdout[..], &outcome.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(outcome.end == End::Exit(1) && said.contains("ulimit -n"), "{descriptors}, {args:?}: {outcome:?}");
        assert!(args[0] != "events" || said.lines().count() == 1, "{descriptors}, {args:?}: {outcome:?}");
    }
    let outcome = limited("--nofile=128", &["events", "--duration", "300ms"]);
    assert_eq!(outcome.end, End::Exit(0), "{outcome:?}");
    agent.stop();
    Done::Passed
}

/// A cgroup that lets so many tasks be, where there is a controller for that.
pub struct FewTasks(PathBuf);

impl FewTasks {
    pub fn new(most: usize) -> Option<Self> {
        let roots = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"];
        let root = roots.iter().map(Path::new).find(|root| root.join("cgroup.procs").exists())?;
        let group = root.join(format!("netstat-few-{}", std::process::id()));
        fs::create_dir(&group).ok()?;
        let made = Self(group);
        fs::write(made.0.join("pids.max"), most.to_string()).ok().map(|()| made)
    }

    /// A shell that does something first, and then runs in this cgroup what the command's further arguments are.
    pub fn shell(&self, first: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{first} echo $$ > {}/cgroup.procs; exec \"$@\"", self.0.display()), "sh"]);
        command
    }
}

impl Drop for FewTasks {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// An agent that cannot have its threads ends with a line that names the limit, whichever of them is the first to be missing.
fn too_few_tasks_for_an_agent_are_named() -> Done {
    let socket = path();
    let mut served = 0;
    for most in 1..20 {
        let Some(group) = FewTasks::new(most) else {
            return Done::Skipped("there is no pids controller to be had".into());
        };
        let mut command = group.shell("");
        command.arg(programs::netstat_user());
        match Agent::by(command, &socket, &[]) {
            Ok(agent) => {
                served += 1;
                agent.stop();
            }
            Err((end, said)) => {
                // What is traced, and what is not, is said before.
                let named = said.last().is_some_and(|line| line.contains("TasksMax"));
                assert!(end == End::Exit(1) && named, "{most}: {end:?}, {said:#?}");
                assert!(!said.concat().contains("panicked"), "{most}: {said:#?}");
            }
        }
    }
    assert!((1..19).contains(&served), "{served} of 19 serve");
    Done::Passed
}

/// Without room for another thread the tables are printed, and the agent ends with a line, or serves; nobody is aborted.
fn no_threads_are_no_abort() -> Done {
    if !programs::has_util("setpriv") || !programs::has_util("prlimit") {
        return Done::Skipped("setpriv or prlimit of util-linux is not installed".into());
    }
    // The limit is a user's: root has none.
    let binary = actor::everybodys(programs::netstat_user());
    let run = |args: &[&str]| {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=64321", "--regid=64321", "--clear-groups", "prlimit", "--nproc=1"])
            .arg(&binary)
            .args(args);
        command::run(&mut command, None, patience()).unwrap()
    };
    for args in [
        &["-t", "-a", "-n", "-p", "--no-agent"][..],
        &["-t", "-a", "-n", "-p", "--all-netns", "--no-agent"],
        &["doctor", "--no-agent"],
    ] {
        let outcome = run(args);
        assert!(matches!(outcome.end, End::Exit(_)), "{args:?}: {outcome:?}");
        // A namespace that only a thread could enter is an error, and a line says so.
        let said = String::from_utf8_lossy(&outcome.stderr);
        let is_said = args.contains(&"--all-netns") && said.contains("temporarily unavailable");
        if args[0] != "doctor" {
            assert!(outcome.end == End::Exit(0) || is_said, "{args:?}: {outcome:?}");
        }
    }
    Done::Passed
}

/// What a program says that has no memory, of its own or for another thread's stack.
fn names_memory(said: &str) -> bool {
    said.contains("no memory: raise its limit (ulimit -v") || said.contains("or of memory (ulimit -v)")
}

/// With too little memory a program ends with one line that names the limit, or does all that it was asked for; nobody is killed by a signal. An
/// agent that ended so is in no other's way.
fn little_memory_is_named() -> Done {
    if Command::new("prlimit").arg("--version").output().is_err() {
        return Done::Skipped("prlimit is not installed".into());
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!(":{} ", listener.local_addr().unwrap().port());
    let limit = |kind: &str, mib: u64| format!("--{kind}={}", mib << 20);
    // The least with which the kernel and the loader begin the program at all.
    let begins = |kind: &str, mib: u64| limited(&limit(kind, mib), &["--version"]).end == End::Exit(0);
    let socket = path();
    // And one more: where the stack of the first thread may not grow, the kernel ends the program before it can say anything.
    for (kind, steps) in [("as", &[1, 5, 60][..]), ("data", &[2, 20])] {
        let least = (1..=64).find(|&mib| begins(kind, mib)).expect("64 MiB to begin with");
        for more in steps {
            let limit = limit(kind, least + more);
            for args in [
                &["-t", "-a", "-n", "--no-agent"][..],
                &["-t", "-a", "-p", "-e", "-n", "--no-agent"],
                &["events", "--duration", "100ms"],
                &["doctor", "--no-agent"],
            ] {
                let outcome = limited(&limit, args);
                let [stdout, stderr] = [&outcome.stdout, &outcome.stderr].map(|bytes| String::from_utf8_lossy(bytes));
                let said = match args[0] {
                    "doctor" => names_memory(&stderr) || names_memory(&stdout),
                    _ => names_memory(&stderr),
                };
                let whole = args[0] != "-t" || stdout.contains(&port);
                let right = outcome.end == End::Exit(0) && whole;
                assert!(right || outcome.end == End::Exit(1) && said, "{limit}, {args:?}: {outcome:?}");
                assert!(!stderr.contains("panicked"), "{limit}, {args:?}: {stderr}");
            }
            let mut command = Command::new("prlimit");
            command.arg(&limit).arg(programs::netstat_user());
            match Agent::by(command, &socket, &[]) {
                Ok(agent) => drop(agent.stop()),
                Err((end, said)) => {
                    let named = said.last().is_some_and(|line| names_memory(line));
                    assert!(end == End::Exit(1) && named, "{limit}: {end:?}, {said:?}");
                }
            }
        }
    }
    // What the others left behind is taken over.
    Agent::at(&socket, &[]).unwrap_or_else(|why| panic!("{why:?}")).stop();
    Done::Passed
}

/// An agent that may have no more memory refuses what would take some, and goes on.
fn a_request_without_memory_is_refused() -> Done {
    let place = Place::new();
    let agent = Agent::start(&[]);
    // Of so many the C library asks the kernel for the memory of an answer, whatever it has left (M_MMAP_THRESHOLD).
    let (sockets, before) = (70_000, agent.status().events);
    (0..sockets / 1000).for_each(|_| blink(&place, 1000));
    agent.wait("all events", |status| status.events >= before + 2 * sockets as u64);
    let data = |most: Option<u64>| {
        let limit = nix::libc::rlimit {
            rlim_cur: most.unwrap_or(nix::libc::RLIM_INFINITY),
            rlim_max: nix::libc::RLIM_INFINITY,
        };
        // SAFETY: the pointers are to a live value and to nothing.
        let failed = unsafe {
            nix::libc::prlimit(agent.pid() as i32, nix::libc::RLIMIT_DATA, &raw const limit, std::ptr::null_mut())
        };
        assert_eq!(failed, 0, "{}", std::io::Error::last_os_error());
    };
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let used = status.lines().find_map(|line| line.strip_prefix("VmData:")).unwrap();
    let used = used.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10;
    // Less than an answer is reckoned with, and enough for all else.
    data(Some(used + (8 << 20)));
    let request = Request::Table { live: false, recent_ns: u64::MAX, netns: None, age_ns: 0, only: None };
    let mut reader = Reader::new(agent.connect().unwrap(), &request).unwrap();
    let answers: Vec<Answer> = (0..2).map_while(|_| reader.next().ok().flatten()).collect();
    data(None);
    let refused = matches!(&answers[..], [.., Answer::Refused(denial)] if names_memory(&denial.reason));
    assert!(refused, "{answers:?}");
    agent.table(place.netns);
    agent.stop();
    place.leave();
    Done::Passed
}

/// Clients that have not asked, or sent what is no request, get no grace when the agent ends.
fn the_silent_do_not_hold_up_the_end() -> Done {
    use std::io::Write;
    let mut took = Vec::new();
    // The grace is two seconds: one end below that is enough on a busy machine.
    for _ in 0..3 {
        let agent = Agent::start(&[]);
        let mut good = bytes::BytesMut::new();
        netstat_user::query::Request::Status.encode(&mut good);
        let mut clients: Vec<_> = (0..8).map(|_| agent.connect().unwrap()).collect();
        clients[1].write_all(&good[..1]).unwrap();
        clients[2].write_all(&good[..good.len() - 1]).unwrap();
        clients[3].write_all(&[0xff; 64]).unwrap();
        // They have their places, and this one is the ninth.
        agent.wait("places of the silent", |status| status.clients == 9);
        let begin = std::time::Instant::now();
        agent.stop();
        took.push(begin.elapsed());
        if took.iter().any(|took| took.as_millis() < 1900) {
            return Done::Passed;
        }
        drop(clients);
    }
    panic!("the silent hold up the end: {took:?}")
}

/// What cannot be written is no success, also where standard output was closed from the start; the agent needs none.
fn a_closed_standard_output_is_a_failure_to_write() -> Done {
    let closed = |args: &[&str]| {
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$@\" >&-", "sh"]).arg(programs::netstat_user()).args(args);
        command
    };
    let agent = Agent::by(closed(&[]), &path(), &[]).unwrap_or_else(|why| panic!("{why:?}"));
    let served = agent.socket.to_str().unwrap();
    for args in [
        &["-t", "-a", "-n"][..],
        &["-t", "-a", "-n", "--json", "--agent", served],
        &["-s", "--no-agent"],
        &["events", "--duration", "1s"],
        &["events", "--json", "--agent", served, "--duration", "1s"],
        &["doctor", "--agent", served],
        &["--version"],
    ] {
        let outcome = command::run(&mut closed(args), None, patience()).unwrap();
        let stderr = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert_eq!(outcome.end, End::Exit(1), "{args:?}: {stderr}");
        let line = "netstat-user: cannot write to standard output: Bad file descriptor (os error 9)\n";
        assert_eq!(stderr, line, "{args:?}");
    }
    agent.stop();
    // /dev/null is as good as any other file, however it was opened.
    let outcome = command::run(
        Command::new("sh").args(["-c", "exec \"$@\" <>/dev/null >&0", "sh"]).arg(programs::netstat_user()).arg("-tan"),
        None,
        patience(),
    );
    assert_eq!(outcome.unwrap().end, End::Exit(0));
    Done::Passed
}

fn times_beyond_all_clocks() -> Done {
    let run = |args: &[&str]| {
        let outcome = command::run(Command::new(programs::netstat_user()).args(args), None, patience()).unwrap();
        let stderr = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
        outcome.end
    };
    for args in [
        &["agent", "--poll", "10000000000000000000"][..],
        &["agent", "--recent", "18446744074s"],
        &["events", "--duration", "10000000000000000000"],
    ] {
        assert_eq!(run(args), End::Exit(2), "{args:?}");
    }
    // As far as can be asked for.
    let agent = Agent::start(&["--poll", "36500d"]);
    agent.status();
    agent.stop();
    Done::Passed
}

/// What a service manager of `Type=notify-reload` waits for.
fn a_reload_is_reported() -> Done {
    let to = path().with_extension("notify");
    let manager = UnixDatagram::bind(&to).unwrap();
    manager.set_read_timeout(Some(patience())).unwrap();
    let hear = || {
        let mut message = [0; 256];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    let agent = Agent::with_env(&path(), &[], &[("NOTIFY_SOCKET", to.to_str().unwrap())]).unwrap();
    assert_eq!(hear(), "READY=1");
    agent.signal(Signal::SIGHUP);
    let reloading = hear();
    let usec = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{reloading}"));
    assert!(usec.trim().parse::<u64>().unwrap() > 0);
    assert_eq!(hear(), "READY=1");
    agent.stop();
    assert_eq!(hear(), "STOPPING=1");
    Done::Passed
}
