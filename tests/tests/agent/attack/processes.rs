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
    if !Command::new("setpriv").arg("--version").output().is_ok_and(|version| version.status.success()) {
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
        for (args, says) in [
            ("-tln --no-agent --columns local,owners", owners),
            ("-tln --no-agent --comm server", owners),
            ("kill --comm server --dry-run", owners),
            ("-tln --no-agent --all-netns", "(Not all network namespaces could be found, "),
        ] {
            let both = [0, 2].map(|hidepid| with(hidepid, args));
            assert!(both.iter().all(|outcome| said(outcome).starts_with(says)), "{args}: {both:?}");
            assert_eq!((both[0].end, said(&both[0])), (both[1].end, said(&both[1])), "{args}");
        }
        let hidden = said(&with(2, "-tlnp --no-agent --all-netns"));
        assert!(hidden.contains(owners), "{hidden}");
        assert_eq!(said(&with(2, "-tlnp --no-agent")), "");
        Done::Passed
    })
}
