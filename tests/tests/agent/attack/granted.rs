//! A user without any rights and a copy of the program with file capabilities: the line that README gives keeps what README promises of it.

use crate::agent::Agent;
use crate::churn::Place;
use netstat_tests::command::{self, End, Outcome};
use netstat_tests::programs;
use netstat_tests::truth::actor;
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::scale::patience;
use netstat_tests::truth::tracer::Tracer;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const TESTS: &[Test] = &[("attack::readmes_setcap_line_is_enough", readmes_setcap_line_is_enough)];

/// The user, who is nobody.
const NOBODY: u32 = 65_534;
const README: &str = include_str!("../../../../README.md");

/// A copy with the capabilities of README's line, or why there is none.
fn granted() -> Result<PathBuf, String> {
    let line = README.split('`').find(|code| code.starts_with("setcap cap_")).expect("README has a setcap line");
    let [_, capabilities, _] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let folder = actor::scratch().join("granted");
    fs::create_dir_all(&folder).unwrap();
    let copy = folder.join("netstat-user");
    fs::copy(programs::netstat_user(), &copy).unwrap();
    match Command::new("setcap").arg(capabilities).arg(&copy).output() {
        Err(_) => Err("setcap of libcap2-bin is not installed".into()),
        Ok(output) if !output.status.success() => {
            Err(format!("no file capabilities here: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
        Ok(_) => Ok(copy),
    }
}

fn as_nobody(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.uid(NOBODY).gid(NOBODY);
    command
}

fn run(program: &Path, args: &[&str]) -> Outcome {
    command::run(as_nobody(program).args(args), None, patience()).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn readmes_setcap_line_is_enough() -> Done {
    let program = match granted() {
        Ok(program) => program,
        Err(reason) => return Done::Skipped(reason),
    };
    let place = Place::new();
    let here = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = place.namespace.enter(|| TcpListener::bind("127.0.0.1:0").unwrap());
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let me = std::process::id();

    // Tables, with the holders among root's processes, of every namespace.
    let table = run(&program, &["-t", "-l", "-n", "-p", "--no-agent"]);
    assert_eq!((table.end, text(&table.stderr).as_str()), (End::Exit(0), ""));
    let row = format!(":{} ", port(&here));
    let stdout = text(&table.stdout);
    let row = stdout.lines().find(|line| line.contains(&row)).unwrap_or_else(|| panic!("{stdout}"));
    assert!(row.contains(&format!(" {me}/")), "{row}");
    let all = run(&program, &["-t", "-l", "-n", "--json", "--all-netns", "--no-agent"]);
    assert_eq!(all.end, End::Exit(0), "{all:?}");
    let row = format!("\"port\":{}}}", port(&there));
    let stdout = text(&all.stdout);
    let row = stdout.lines().find(|line| line.contains(&row)).unwrap_or_else(|| panic!("{stdout}"));
    assert!(row.contains(&format!("\"pid\":{me},")), "{row}");

    // Events with their owners, of every namespace; what is missing is named.
    let mut command = as_nobody(&program);
    command.args(["events", "--json"]);
    let mut tracer = Tracer::spawn(command);
    let client = place.namespace.enter(|| TcpStream::connect(there.local_addr().unwrap()).unwrap());
    let server = there.accept().unwrap();
    drop((client, server));
    let mine = |line: &str, kind: &str| {
        line.contains(&format!("\"event\":\"{kind}\""))
            && line.contains(&format!("\"port\":{}}}", port(&there)))
            && line.contains(&format!("\"pid\":{me},"))
            && line.contains(&format!("\"netns\":{}", place.netns))
    };
    tracer.wait(|events| events.iter().filter(|event| mine(&event.line, "close")).count() >= 2);
    let outcome = tracer.finish_unchecked();
    assert_eq!(outcome.end, End::Exit(0), "{:?}", outcome.stderr);
    for hook in outcome.ready.split(' ').filter_map(|hook| hook.strip_suffix("=none")) {
        let named = outcome.stderr.iter().any(|line| line.contains(&format!("{hook} is not traced (")));
        assert!(named, "{hook}: {:?}", outcome.stderr);
    }
    assert!(outcome.stderr.iter().all(|line| !line.contains("not given up")), "{:?}", outcome.stderr);

    // What this user lacks, in doctor.
    let doctor = run(&program, &["doctor", "--no-agent"]);
    let said = text(&doctor.stdout);
    assert!(said.contains("cap_bpf, cap_perfmon and cap_net_admin are held"), "{said}");
    let lacks = |name: &str| said.lines().any(|line| line.contains(name) && line.contains("not held: "));
    assert!(lacks("cap_sys_admin") && !lacks("cap_sys_ptrace") && !lacks("cap_dac_read_search"), "{said}");

    // An agent of this user's own, and its history.
    let folder = actor::scratch().join("granted-agent");
    fs::create_dir_all(&folder).unwrap();
    chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
    let socket = folder.join("agent.sock");
    let agent = Agent::by(as_nobody(&program), &socket, &[]).unwrap_or_else(|why| panic!("{why:?}"));
    drop(here);
    let recent = run(&program, &["-t", "-a", "-n", "-p", "--recent", "1h", "--agent", socket.to_str().unwrap()]);
    assert_eq!((recent.end, text(&recent.stderr).contains("reading the kernel")), (End::Exit(0), false), "{recent:?}");
    assert!(text(&recent.stdout).lines().any(|line| line.contains("CLOSE ") && line.contains(&format!(" {me}/"))));
    agent.stop();
    place.leave();
    Done::Passed
}
