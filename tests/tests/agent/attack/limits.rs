//! What runs out is named, and nothing else is said to be missing.

use super::scarce::{FewTasks, limited};
use netstat_tests::command::{self, End};
use netstat_tests::netns::NetNs;
use netstat_tests::programs;
use netstat_tests::truth::actor;
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::patience;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

pub const TESTS: &[Test] = &[
    ("attack::a_file_at_its_limit_is_a_failure_to_write", a_file_at_its_limit_is_a_failure_to_write),
    ("attack::descriptors_that_run_out_are_named_alone", descriptors_that_run_out_are_named_alone),
    ("attack::namespaces_are_found_or_are_said_not_to_be", namespaces_are_found_or_are_said_not_to_be),
    ("attack::tasks_that_run_out_are_named_alone", tasks_that_run_out_are_named_alone),
];

fn has_prlimit() -> bool {
    Command::new("prlimit").arg("--version").output().is_ok()
}

/// A file that may not grow is no reason to be killed without a word (SIGXFSZ).
fn a_file_at_its_limit_is_a_failure_to_write() -> Done {
    if !has_prlimit() {
        return Done::Skipped("prlimit is not installed".into());
    }
    let file = actor::scratch().join("at-its-limit");
    for args in ["-tan --no-agent", "-s", "-tan --json --no-agent", "doctor --no-agent --json", "--version"] {
        let script = format!("exec prlimit --fsize=10 \"$1\" {args} >\"$2\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]).arg(programs::netstat_user()).arg(&file);
        let outcome = command::run(&mut command, None, patience()).unwrap();
        let stderr = String::from_utf8_lossy(&outcome.stderr);
        let line = "netstat-user: cannot write to standard output: File too large (os error 27)\n";
        assert!(outcome.end == End::Exit(1) && stderr == line, "{args}: {outcome:?}");
    }
    // A stream gets to it later.
    let script = "exec prlimit --fsize=10 \"$1\" events --json --duration 20s >\"$2\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(programs::netstat_user()).arg(&file);
    let ended = std::sync::atomic::AtomicBool::new(false);
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                drop(std::net::TcpListener::bind("127.0.0.1:0"));
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        });
        let outcome = command::run(&mut command, None, patience()).unwrap();
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        outcome
    });
    let stderr = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.end == End::Exit(1) && stderr.contains("File too large"), "{outcome:?}");
    fs::remove_file(file).unwrap();
    Done::Passed
}

/// Words for what the kernel or the machine lacks. None of them is true where descriptors or tasks are short.
const LACKS: [&str; 6] = ["mount -t", "cgroup2,", "tracefs.", "needs tracefs", "give another", "boot a"];

fn descriptors_that_run_out_are_named_alone() -> Done {
    if !has_prlimit() {
        return Done::Skipped("prlimit is not installed".into());
    }
    let socket = actor::scratch().join("few.sock");
    let agent = ["agent", "--socket", socket.to_str().unwrap()];
    // The way to it takes fewer descriptors than the file itself.
    let near = Path::new("/").join(format!("netstat-few-{}.sock", std::process::id()));
    for descriptors in 8..=16 {
        limited(&format!("--nofile={descriptors}"), &["agent", "--socket", near.to_str().unwrap()]);
        assert!(!near.exists(), "{descriptors}: the socket's file is left behind");
    }
    let whole = limited("--nofile=64", &["-i", "-a", "--json"]);
    for descriptors in (4..=16).chain([24, 32, 40]) {
        let limit = format!("--nofile={descriptors}");
        for args in [&["events", "--count", "1", "--duration", "1s"][..], &agent, &["doctor", "--no-agent"]] {
            let outcome = limited(&limit, args);
            let said = [&outcome.stdout[..], &outcome.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert_eq!(outcome.end, End::Exit(1), "{descriptors}, {args:?}: {said}");
            assert!(said.contains("ulimit -n"), "{descriptors}, {args:?}: {said}");
            assert!(args[0] == "doctor" || said.lines().count() == 1, "{descriptors}, {args:?}: {said}");
            let is_wrong = LACKS.iter().find(|words| said.contains(**words));
            assert_eq!(is_wrong, None, "{descriptors}, {args:?}: {said}");
            if args[0] == "doctor" {
                assert!(said.starts_with("Something essential is missing: open_files.\n"), "{descriptors}: {said}");
            }
        }
        // One descriptor is enough for interfaces with all their addresses.
        let outcome = limited(&limit, &["-i", "-a", "--json"]);
        assert_eq!(outcome.end, End::Exit(0), "{descriptors}: {outcome:?}");
        let addresses = |bytes: &[u8]| -> Vec<serde_json::Value> {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            rows.map(|row| serde_json::json!([row["iface"], row["inet"], row["inet6"]])).collect()
        };
        assert_eq!(addresses(&outcome.stdout), addresses(&whole.stdout), "{descriptors}: {outcome:?}");
    }
    Done::Passed
}

/// A namespace of a thread alone is found by descriptors: with too few of them it is not said that there is none.
fn namespaces_are_found_or_are_said_not_to_be() -> Done {
    if !has_prlimit() {
        return Done::Skipped("prlimit is not installed".into());
    }
    let (made, port) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let namespace = NetNs::new().unwrap();
        let inode = namespace.inode().unwrap();
        namespace.enter(move || {
            let listener = TcpListener::bind("0.0.0.0:0").unwrap();
            made.send((listener.local_addr().unwrap().port(), inode)).unwrap();
            let _ = ended.recv();
        });
    });
    let (port, netns) = port.recv().unwrap();
    let (port, netns) = (format!(":{port} "), netns.to_string());
    for descriptors in [4, 5, 6, 8, 16, 64] {
        let limit = format!("--nofile={descriptors}");
        for args in [&["-tan", "--all-netns", "--no-agent"][..], &["-tan", "--netns", &netns, "--no-agent"]] {
            let outcome = limited(&limit, args);
            let (rows, said) = (String::from_utf8_lossy(&outcome.stdout), String::from_utf8_lossy(&outcome.stderr));
            let named = outcome.end == End::Exit(1) && said.contains("ulimit -n") && said.lines().count() == 1;
            let listed = outcome.end == End::Exit(0) && rows.contains(&port);
            assert!(named || listed, "{descriptors}, {args:?}: {outcome:?}");
            assert!(named || descriptors > 4, "{descriptors}, {args:?}: nothing was short, and nothing is tested");
        }
    }
    drop(end);
    thread.join().unwrap();
    Done::Passed
}

/// Where tracefs is not mounted, to mount it takes a thread.
fn tasks_that_run_out_are_named_alone() -> Done {
    let unmounted = "umount -R /sys/kernel/tracing 2>/dev/null; umount -R /sys/kernel/debug 2>/dev/null;";
    for args in [
        &["events", "--probe", "tracepoint", "--duration", "300ms"][..],
        &["events", "--duration", "300ms"],
        &["doctor", "--no-agent"],
    ] {
        let Some(group) = FewTasks::new(1) else {
            return Done::Skipped("there is no pids controller to be had".into());
        };
        let shell = group.shell(unmounted);
        let mut command = Command::new("unshare");
        command.arg("-m").arg(shell.get_program()).args(shell.get_args()).arg(programs::netstat_user()).args(args);
        let outcome = command::run(&mut command, None, patience()).unwrap();
        let said = [&outcome.stdout[..], &outcome.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        if said.contains("unshare") {
            return Done::Skipped(format!("no mount namespace: {said}"));
        }
        assert!(said.contains("pids.max"), "{args:?}: {outcome:?}");
        let is_wrong = LACKS.iter().chain(&["Tokio"]).find(|words| said.contains(**words));
        assert_eq!(is_wrong, None, "{args:?}: {said}");
    }
    Done::Passed
}
