//! Processes that cannot be looked into, or are hidden: nobody is taken for the owner of nothing.

use super::STRANGER;
use netstat_tests::command::{self, End, Outcome};
use netstat_tests::netns::NetNs;
use netstat_tests::programs;
use netstat_tests::truth::actor;
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::patience;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

pub const TESTS: &[Test] = &[
    ("attack::what_cannot_be_read_of_an_owner_is_said", what_cannot_be_read_of_an_owner_is_said),
    ("attack::hidden_processes_are_said_to_be", hidden_processes_are_said_to_be),
];

const UNREAD: &str = "netstat-user: not every process could be looked into: ";

/// Runs a script of the shell in namespaces of its own, with the options that make these.
fn script(namespaces: &[&str], script: &str) -> Outcome {
    let mut command = Command::new("unshare");
    command.args(namespaces).args(["sh", "-c", script]);
    command::run(&mut command, None, patience()).unwrap()
}

fn said(outcome: &Outcome) -> String {
    String::from_utf8_lossy(&outcome.stderr).into_owned()
}

/// A file of /proc that fails is no owner without a cgroup or a name: one line, exit 1, and what is known is there. netstat's own view keeps its code.
fn what_cannot_be_read_of_an_owner_is_said() -> Done {
    let netns = NetNs::new().unwrap();
    netns.enter(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (own, program) = (std::process::id(), programs::netstat_user().display().to_string());
        // The first byte of a process's memory can never be read.
        let with = |file: &str, args: &str| {
            let mount = format!("mount -o bind /proc/{own}/mem /proc/{own}/{file}");
            script(&["-m"], &format!("{mount} && exec {program} {args}"))
        };
        if with("cgroup", "--version").end != End::Exit(0) {
            return Done::Skipped("nothing can be mounted in /proc here".to_owned());
        }
        for (file, args, lines, code) in [
            ("cgroup", "kill --where cgroup~. --dry-run", 3, 1),
            ("cgroup", "kill --where 'not unit = other.service' --dry-run", 3, 1),
            ("cgroup", "kill --where 'not peer.container = other' --dry-run", 3, 1),
            ("comm", "kill --comm '[a-z]*' --dry-run", 3, 1),
            ("cmdline", &format!("kill --pid {own} --dry-run"), 3, 1),
            ("cmdline", "-tln --no-agent --columns local,pid", 1, 1),
            ("cmdline", "-tan --no-agent --columns local,peer.pid", 1, 1),
            ("comm", "-tan --no-agent --columns local,peer.comm", 1, 1),
            ("comm", "-tln --no-agent --json", 1, 1),
            ("cgroup", "-tln --no-agent --where cgroup~. --count-by cgroup", 1, 1),
            ("cgroup", "-tln --no-agent --sort unit", 1, 1),
            ("cgroup", "-tan --no-agent --columns local,peer.container", 1, 1),
            ("cmdline", "-tlnp --no-agent", 1, 0),
            // What is not asked for is nobody's concern.
            ("cgroup", "-tln --no-agent --columns local,pid", 0, 0),
            ("comm", "-tlnp --no-agent", 0, 0),
        ] {
            let outcome = with(file, args);
            let said = said(&outcome);
            assert_eq!((outcome.end, said.lines().count()), (End::Exit(code), lines), "{file}: {args}: {outcome:?}");
            assert!(lines == 0 || said.starts_with(UNREAD), "{file}: {args}: {said}");
        }
        Done::Passed
    })
}

/// What `hidepid` hides is said as what is refused: owners and namespaces may be there that nobody sees. netstat says nothing of it.
fn hidden_processes_are_said_to_be() -> Done {
    if !programs::has_util("setpriv") {
        return Done::Skipped("setpriv of util-linux is not installed".to_owned());
    }
    let netns = NetNs::new().unwrap();
    netns.enter(|| {
        let _listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let program = actor::everybodys(programs::netstat_user()).display().to_string();
        let with = |hidepid: u8, args: &str| {
            let stranger = format!("setpriv --reuid={STRANGER} --regid={STRANGER} --clear-groups {program} {args}");
            // The shell stays: it is the first process there, of root.
            let run = format!("mount -o remount,hidepid={hidepid} /proc && {stranger}; exit $?");
            script(&["-p", "-f", "-m", "--mount-proc"], &run)
        };
        if with(2, "--version").end != End::Exit(0) {
            return Done::Skipped("no /proc that hides processes is to be had here".to_owned());
        }
        let owners = "netstat-user: the owners of other users' sockets are unknown to this user: run as root";
        for (args, says, code) in [
            ("-tln --no-agent --columns local,owners", owners, 1),
            ("-tln --no-agent --comm server", owners, 1),
            ("-tln --no-agent --where 'not comm = server'", owners, 1),
            ("kill --comm server --dry-run", owners, 1),
            ("kill --where 'not comm = server' --dry-run", owners, 1),
            ("-tln --no-agent --all-netns", "(Not all network namespaces could be found, ", 0),
        ] {
            let all = [0, 1, 2].map(|hidepid| with(hidepid, args));
            for (hidepid, outcome) in all.iter().enumerate() {
                assert!(said(outcome).starts_with(says), "hidepid={hidepid}: {args}: {outcome:?}");
                assert_eq!(outcome.end, End::Exit(code), "hidepid={hidepid}: {args}: {outcome:?}");
                assert_eq!(said(outcome), said(&all[0]), "hidepid={hidepid}: {args}");
            }
        }
        for hidepid in [1, 2] {
            let hidden = said(&with(hidepid, "-tlnp --no-agent --all-netns"));
            assert!(hidden.contains(owners), "hidepid={hidepid}: {hidden}");
            assert_eq!(said(&with(hidepid, "-tlnp --no-agent")), "", "hidepid={hidepid}");
        }
        // Nobody outside of this PID namespace can be meant, unless the test is in a container itself. A mount has options of its own from Linux 5.8.
        let here = |hidepid: u8, args: &str| {
            let stranger = format!("setpriv --reuid={STRANGER} --regid={STRANGER} --clear-groups {program} {args}");
            let mount = format!(
                "mount -t proc -o hidepid={hidepid} proc /proc && grep -q ' /proc .*hidepid=' /proc/self/mounts"
            );
            script(&["-m"], &format!("{mount} && {stranger}; exit $?"))
        };
        if here(1, "--version").end == End::Exit(0) {
            for args in ["-tln --no-agent --comm server", "kill --where 'not comm = server' --dry-run"] {
                for hidepid in [1, 2] {
                    let outcome = here(hidepid, args);
                    assert!(said(&outcome).starts_with(owners), "hidepid={hidepid}: {args}: {outcome:?}");
                    assert_eq!(outcome.end, End::Exit(1), "hidepid={hidepid}: {args}: {outcome:?}");
                }
            }
        }
        Done::Passed
    })
}
