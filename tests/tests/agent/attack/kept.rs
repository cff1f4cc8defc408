//! What an agent still may do once it serves, and that it goes on working with no more than that.

use crate::agent::Agent;
use crate::churn::Place;
use crate::stage::equal;
use netstat_tests::netns::NetNs;
use netstat_tests::truth::actor;
use netstat_tests::truth::made::{Family, listener};
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::patience;
use netstat_tests::truth::tracer::{self, Tracer};
use nix::sys::signal::Signal;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("attack::privileges_are_given_up_and_not_missed", privileges_are_given_up_and_not_missed),
    ("attack::what_is_not_given_up_is_reported", what_is_not_given_up_is_reported),
    ("attack::an_agent_of_another_user", an_agent_of_another_user),
    ("attack::events_end_with_the_other_end_of_a_socket", events_end_with_the_other_end_of_a_socket),
    ("attack::times_in_a_time_namespace", times_in_a_time_namespace),
];

/// A number of /proc/PID/task/TID/status, by thread name. Threads of a pool come and go: one that ends during the walk has nothing to hold.
fn of_threads(pid: u32, field: &str) -> Vec<(String, String)> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|thread| thread.unwrap().path());
    threads
        .filter_map(|thread| {
            let status = fs::read_to_string(thread.join("status")).ok()?;
            let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap_or_default();
            Some((fs::read_to_string(thread.join("comm")).ok()?.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

/// `CAP_SYS_PTRACE` and `CAP_DAC_READ_SEARCH`.
const LOOKING: u64 = 1 << 19 | 1 << 2;

fn privileges_are_given_up_and_not_missed() -> Done {
    for (level, most) in [("least", LOOKING), ("full", LOOKING | 1 << 21 | 1 << 38)] {
        let place = Place::new();
        let folder = actor::scratch().join(format!("kept-{level}"));
        let agent = Agent::at(&folder.join("agent.sock"), &["--privileges", level]);
        let agent = agent.unwrap_or_else(|why| panic!("{why:?}"));
        for (thread, held) in of_threads(agent.pid(), "CapPrm") {
            let held = u64::from_str_radix(&held, 16).unwrap();
            assert_eq!(held & !most, 0, "{thread} of --privileges {level} holds {held:x}");
        }
        let nothing =
            of_threads(agent.pid(), "CapPrm").into_iter().filter(|(_, held)| u64::from_str_radix(held, 16) == Ok(0));
        assert_eq!(nothing.count(), 3, "those that talk to clients, and that which writes lines, hold nothing");
        for field in ["CapBnd", "CapInh", "CapAmb"] {
            let set = of_threads(agent.pid(), field);
            assert!(set.iter().all(|(_, set)| u64::from_str_radix(set, 16) == Ok(0)), "{field}: {set:?}");
        }
        for (field, value) in [("NoNewPrivs", "1"), ("Seccomp", "2")] {
            let is = of_threads(agent.pid(), field);
            assert!(is.iter().all(|(_, is)| is == value), "{field}: {is:?}");
        }
        // A namespace that is newer than the agent, set right, with its owners and what has ended there.
        let kept = place.namespace.enter(|| {
            let listener = listener(Family::V4);
            let pairs: Vec<_> = (0..20)
                .map(|_| {
                    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                    (client, listener.accept().unwrap())
                })
                .collect();
            drop(TcpListener::bind("127.0.0.1:0").unwrap());
            (listener, pairs)
        });
        let resyncs = agent.status().resyncs;
        agent.signal(Signal::SIGHUP);
        agent.wait("a resync", |status| status.resyncs > resyncs);
        place.namespace.enter(|| {
            assert!(equal(&agent, place.netns, "with less privileges").len() > 40);
            let rows = agent.classic(&["-t", "-a", "-n", "-p", "--recent", "1h"]);
            let me = u64::from(std::process::id());
            let mine = rows
                .iter()
                .filter(|row| row["owners"].as_array().is_some_and(|all| all.iter().any(|one| one["pid"] == me)));
            assert!(mine.count() > 40, "{rows:?}");
        });
        drop(kept);
        // The socket is made again, with the folder and its mode.
        fs::remove_dir_all(&folder).unwrap();
        agent.hear("it has been made again");
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o7777, 0o755);
        let mut events = agent.events(&[]);
        let port = place.namespace.enter(|| listener(Family::V4).local_addr().unwrap().port());
        events.wait(|seen| seen.iter().any(|event| event.line.contains(&format!("\"port\":{port}"))));
        events.finish();
        let mut doctor = Command::new(netstat_tests::programs::netstat_user());
        doctor.args(["doctor", "--agent"]).arg(&agent.socket);
        let doctor = netstat_tests::command::run(&mut doctor, None, patience()).unwrap();
        let held = String::from_utf8_lossy(&doctor.stdout).into_owned();
        assert!(held.contains("no file opened for writing") && !held.contains("not_given_up"), "{held}");
        let said = agent.stop();
        assert!(said.iter().all(|line| !line.contains("accept(2) is not traced")), "{said:?}");
        place.leave();
    }
    Done::Passed
}

/// Has the kernel refuse a system call, with EPERM, to the program that a command runs.
fn refusing(command: &mut Command, call: nix::libc::c_long) {
    use nix::libc;
    let refuse = move || {
        // struct seccomp_data begins with the number of the call.
        let statement = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
        let mut filter = [
            statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call as u32),
            statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
            statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: the program and its statements live until the call returns (seccomp(2)); root needs no no_new_privs for it.
        let failed = unsafe {
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER as libc::c_ulong, &raw const program, 0, 0)
        };
        if failed == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
    unsafe { command.pre_exec(refuse) };
}

/// A kernel that refuses a step: `events` and the agent name it on standard error, go on, and `doctor` names the agent's.
fn what_is_not_given_up_is_reported() -> Done {
    use nix::libc;
    for (call, name) in [
        (libc::SYS_seccomp, "not given up: seccomp: "),
        (libc::SYS_capset, "not given up: capabilities: "),
        (libc::SYS_landlock_restrict_self, "threads that talk to clients: landlock: "),
    ] {
        let program = netstat_tests::programs::netstat_user();
        if call != libc::SYS_landlock_restrict_self {
            let mut command = Command::new(program);
            command.args(["events", "--json"]);
            refusing(&mut command, call);
            let outcome = Tracer::spawn(command).finish_unchecked();
            assert_eq!(outcome.end, netstat_tests::command::End::Exit(0));
            assert!(outcome.stderr.iter().any(|line| line.contains(name)), "{name}: {:?}", outcome.stderr);
        }
        let mut command = Command::new(program);
        refusing(&mut command, call);
        let agent = Agent::by(command, &crate::agent::path(), &[]).unwrap_or_else(|why| panic!("{why:?}"));
        let mut command = Command::new(program);
        command.args(["doctor", "--agent"]).arg(&agent.socket);
        let doctor = netstat_tests::command::run(&mut command, None, patience()).unwrap();
        let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
        let refused = name.trim_start_matches("not given up: ");
        assert!(said.lines().any(|line| line.contains("not_given_up") && line.contains(refused)), "{name}: {said}");
        agent.stop();
    }
    Done::Passed
}

/// The socket's folder is that user's, and the file goes with the agent.
fn an_agent_of_another_user() -> Done {
    let folder = actor::scratch().join("of-another-user");
    let agent = Agent::at(&folder.join("agent.sock"), &["--user", "65534"]);
    let agent = agent.unwrap_or_else(|why| panic!("{why:?}"));
    let uids = of_threads(agent.pid(), "Uid");
    assert!(uids.iter().all(|(_, uid)| uid.split_ascii_whitespace().all(|uid| uid == "65534")), "{uids:?}");
    assert_eq!(fs::metadata(&folder).unwrap().uid(), 65_534);
    // Root's client believes it: its socket was made to listen by root.
    assert!(!agent.classic(&["-t", "-l", "-n"]).is_empty() || agent.status().live == 0);
    agent.stop();
    Done::Passed
}

/// Standard output is a socket whose other end is closed while nothing happens.
fn events_end_with_the_other_end_of_a_socket() -> Done {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let agent = Agent::start(&[]);
    let mut command = tracer::events(&["--agent"]);
    // Nothing happens there that it would write.
    let quiet = NetNs::new().unwrap();
    command.arg(&agent.socket).args(["--netns", &quiet.inode().unwrap().to_string()]);
    let mut child =
        command.stdin(Stdio::null()).stdout(std::os::fd::OwnedFd::from(theirs)).stderr(Stdio::null()).spawn().unwrap();
    drop(command);
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it ends by itself");
    drop(ours);
    let end = netstat_tests::command::wait(&mut child, patience()).unwrap();
    assert_eq!(end, netstat_tests::command::End::Exit(0));
    agent.stop();
    Done::Passed
}

/// Another monotonic clock than the kernel's, by eleven days.
fn times_in_a_time_namespace() -> Done {
    let works = Command::new("unshare").args(["-T", "--monotonic", "1000000", "true"]).status();
    if !works.is_ok_and(|status| status.success()) {
        return Done::Skipped("no time namespaces here, or unshare of util-linux 2.35 is not installed".into());
    }
    let mut command = Command::new("unshare");
    command
        .args(["-T", "--monotonic", "1000000"])
        .arg(netstat_tests::programs::netstat_user())
        .args(["events", "--json"]);
    let mut tracer = Tracer::spawn(command);
    let start = Instant::now();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    drop(socket);
    let of_ours = |line: &str| line.contains(&format!("\"port\":{port}"));
    tracer.wait(|events| events.iter().any(|event| of_ours(&event.line)));
    let outcome = tracer.finish_unchecked();
    let event = outcome.events.iter().find(|event| of_ours(&event.line)).unwrap();
    let now_ns = tracer::now_ns();
    assert!(
        now_ns.abs_diff(event.time_ns) < (start.elapsed() + Duration::from_secs(60)).as_nanos() as u64,
        "{}",
        event.line
    );
    Done::Passed
}
