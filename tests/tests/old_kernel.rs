//! What is left on a kernel whose BPF cannot do what events need: one line that says so, and every table. `cargo xtask vm` runs this on
//! Debian's 5.10; on a kernel that runs the programs the tests say that they have nothing to look at.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expected by failing")]

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use netstat_tests::command::{End, Outcome, run};
use netstat_tests::netns::NetNs;
use netstat_tests::programs::{net_tools, netstat_user};
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::{self, cell};
use netstat_user::kernel::snapshot::Transport;
use netstat_user::kernel::{Hook, ITERATED, Iterators};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

/// What the programs need came with this release.
const NEEDED: (u32, u32) = if cfg!(target_arch = "aarch64") { (5, 18) } else { (5, 12) };

fn main() {
    let tests: [Test; 3] = [
        ("events_and_the_agent_say_what_they_need", events_and_the_agent_say_what_they_need),
        ("doctor_says_what_is_needed", doctor_says_what_is_needed),
        ("tables_are_those_of_net_tools", tables_are_those_of_net_tools),
    ];
    let trial = |(name, test): Test| {
        Trial::ignorable_test(name, move || match new_enough() {
            Some(release) => Ok::<_, Failed>(Completion::ignored_with(format!("Linux {release} runs the programs"))),
            None => Ok(match test() {
                Done::Passed => Completion::Completed,
                Done::Skipped(reason) => Completion::ignored_with(reason),
            }),
        })
    };
    libtest_mimic::run(&Arguments::from_args(), tests.map(trial).into()).exit();
}

/// The release, if it is not an old one.
fn new_enough() -> Option<String> {
    let release = scale::kernel();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    (version >= NEEDED).then_some(release)
}

fn ended(program: &Path, arguments: &[&str]) -> Outcome {
    run(Command::new(program).args(arguments).env("LC_ALL", "C"), None, scale::patience()).unwrap()
}

/// Whether a text names what is needed, and has no word of the kernel's own on programs it refused.
fn names_the_need(text: &str) -> bool {
    let refusal = ["opcode", "Invalid argument", "verifier", "load:", "os error"];
    text.contains("need Linux 5.12")
        && text.contains(&scale::kernel())
        && !refusal.iter().any(|word| text.contains(word))
}

fn events_and_the_agent_say_what_they_need() -> Done {
    let socket = std::env::temp_dir().join("old-kernel.sock");
    let socket = socket.to_str().unwrap();
    for arguments in [&["events"][..], &["events", "--json", "--probe", "raw_tp"], &["agent", "--socket", socket]] {
        let outcome = ended(netstat_user(), arguments);
        let said = String::from_utf8(outcome.stderr.clone()).unwrap();
        assert_eq!(outcome.end, End::Exit(1), "{arguments:?}: {outcome:?}");
        assert!(outcome.stdout.is_empty() && said.lines().count() == 1, "{arguments:?}: {outcome:?}");
        assert!(names_the_need(&said), "{arguments:?}: {outcome:?}");
        println!("{}", said.trim_end());
        if arguments == ["events"] {
            let names =
                Hook::ALL.iter().flat_map(|hook| hook.ways().iter().map(|way| (hook.name(), way.variant.name())));
            for (hook, variant) in names.chain(ITERATED.iter().map(|spec| (spec.name, "iter"))) {
                println!("{}", cell(hook, variant, &format!("refused reason={}", said.trim_end())));
            }
        }
    }
    Done::Passed
}

fn doctor_says_what_is_needed() -> Done {
    let outcome = ended(netstat_user(), &["doctor", "--no-agent"]);
    let text = String::from_utf8(outcome.stdout.clone()).unwrap();
    assert_eq!(outcome.end, End::Exit(1), "{outcome:?}");
    let needs: Vec<_> = text.lines().filter(|line| line.contains("need Linux")).collect();
    assert!(matches!(needs[..], [line] if names_the_need(line)), "{outcome:?}");
    assert!(text.contains("boot a newer kernel"), "{outcome:?}");
    Done::Passed
}

/// Sockets of every common kind in a namespace of their own, and every view of them.
fn tables_are_those_of_net_tools() -> Done {
    let Some(netstat) = net_tools() else { return Done::Skipped("net-tools is not installed".into()) };
    let path = std::env::temp_dir().join("old-kernel-listener.sock");
    let _ = std::fs::remove_file(&path);
    for (name, transport) in [("tcp_table", Transport::Tcp), ("udp_table", Transport::Udp)] {
        let walked = Iterators::load()
            .map_err(|error| error.to_string())
            .and_then(|iterators| iterators.sockets(transport, |_| true).map_err(|error| error.to_string()));
        let result = match walked {
            Ok(_) => "ok".to_owned(),
            Err(error) => format!("refused reason={error}: read from /proc"),
        };
        println!("{}", cell(name, "iter", &result));
    }
    scale::open_files();
    NetNs::new().unwrap().enter(|| {
        let listeners = ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"].map(|address| TcpListener::bind(address).unwrap());
        let connected = |listener: &TcpListener| {
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (client, listener.accept().unwrap())
        };
        let pairs: Vec<_> = (0..scale::count(20_000)).map(|at| connected(&listeners[at % 2])).collect();
        // Closed by both ends: what is left is in TIME_WAIT.
        drop(connected(&listeners[2]));
        let datagrams = ["127.0.0.1:0", "[::1]:0"].map(|address| UdpSocket::bind(address).unwrap());
        let local = UnixListener::bind(&path).unwrap();
        for options in ["-tuapen", "-tan", "-tulpn", "-wan", "-xap", "-rn", "-i", "-gn", "-s"] {
            let netstat = || ended(netstat, &[options]);
            // The counters move, and so do the lists of /proc: what netstat itself prints before and after is what must be between.
            let agrees = (0..20).any(|_| {
                let (before, ours, after) = (netstat(), ended(netstat_user(), &[options]), netstat());
                println!("{options}: {} bytes", ours.stdout.len());
                let same = |a: &Outcome, b: &Outcome| a.stdout == b.stdout && a.end == b.end;
                if same(&before, &after) {
                    assert!(same(&ours, &before), "{options}: {ours:?}\nnetstat: {before:?}");
                }
                same(&before, &after)
            });
            assert!(agrees, "{options}: nothing stood still");
        }
        drop((listeners, pairs, datagrams, local));
    });
    std::fs::remove_file(&path).unwrap();
    Done::Passed
}
