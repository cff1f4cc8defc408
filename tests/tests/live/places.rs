//! Bad places: no rights, hidden kernel types, no tracefs, no cgroups, little lockable memory.

use crate::actor;
use crate::check::{self, Life, Sight};
use crate::endings::blink;
use crate::event::Kind;
use crate::lives::client_closes_first;
use crate::made::{self, Family, Pair};
use crate::runner::{Done, Test};
use crate::scale::patience;
use crate::tracer::{Outcome, Tracer, events_after};
use netstat_tests::command::{self, End};
use netstat_tests::programs;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

pub const TESTS: &[Test] = &[
    ("places::without_root", without_root),
    ("places::with_one_capability_missing", with_one_capability_missing),
    ("places::with_the_capabilities_it_names", with_the_capabilities_it_names),
    ("places::without_btf", without_btf),
    ("places::without_btf_and_tracefs", without_btf_and_tracefs),
    ("places::without_anything_to_hook", without_anything_to_hook),
    ("places::without_tracefs", without_tracefs),
    ("places::with_cgroups_unmounted", with_cgroups_unmounted),
    ("places::with_cgroups_hidden", with_cgroups_hidden),
    ("places::with_cgroups_hidden_for_good", with_cgroups_hidden_for_good),
    ("places::with_little_lockable_memory", with_little_lockable_memory),
    ("places::with_hidden_symbols", with_hidden_symbols),
];

/// It must refuse to start: exit code 1, nothing on stdout, one line on stderr that says all of this.
pub fn refuses(command: &mut Command, words: &[&str]) {
    let outcome = command::run(command, None, patience()).unwrap();
    let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
    assert_eq!(outcome.end, End::Exit(1), "{command:?}: {outcome:?}");
    assert!(outcome.stdout.is_empty(), "{command:?}: {outcome:?}");
    assert_eq!(said.lines().count(), 1, "one clear line: {outcome:?}");
    assert!(said.starts_with("netstat-user: "), "{outcome:?}");
    for word in words {
        assert!(said.to_lowercase().contains(word), "no {word:?} in {said:?}");
    }
}

fn without_root() -> Done {
    let mut command = Command::new(actor::everybodys(programs::netstat_user()));
    command.args(["events", "--json"]).uid(65534).gid(65534);
    refuses(&mut command, &["cap_bpf", "cap_perfmon", "setcap", "root"]);
    Done::Passed
}

/// Numbers of `include/uapi/linux/capability.h`.
const CAPABILITIES: std::ops::RangeInclusive<u32> = 0..=40;
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

fn with_one_capability_missing() -> Done {
    // CAP_SYS_ADMIN stands for all three.
    for (number, name) in [(CAP_BPF, "cap_bpf"), (CAP_PERFMON, "cap_perfmon"), (CAP_NET_ADMIN, "cap_net_admin")] {
        let missing = format!("uncap={number}");
        let admin = format!("uncap={CAP_SYS_ADMIN}");
        refuses(&mut events_after(&[&missing, &admin], &["--json"]), &[name]);
    }
    Done::Passed
}

/// Connections, and a UDP socket.
pub fn traffic() -> Vec<Life> {
    let mut lives = Vec::new();
    for family in [Family::V4, Family::V6] {
        let listener = made::listener(family);
        lives.extend(client_closes_first(Pair::new(family, &listener), b"ask", b"answer"));
    }
    lives.push(Life::stateless(&blink()));
    lives
}

/// Runs this until the traffic is through; without types the cookie of a child cannot be asked for, and so not waited for.
pub fn carry(mut tracer: Tracer, sight: Sight) -> Outcome {
    let lives = traffic();
    tracer.wait_closed(lives.iter().map(|life| &life.made).filter(|made| !(sight.typeless && made.child)));
    let outcome = tracer.finish();
    check::lives_with(&outcome, &lives, sight);
    outcome
}

fn works_as_ever(steps: &[&str]) -> Done {
    carry(Tracer::spawn(events_after(steps, &["--json"])), Sight::default());
    Done::Passed
}

fn with_the_capabilities_it_names() -> Done {
    let keep = [CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN];
    // The last one for taking the others away, and so the last to go.
    const CAP_SETPCAP: u32 = 8;
    let others = CAPABILITIES.filter(|number| !keep.contains(number) && *number != CAP_SETPCAP);
    let mut steps: Vec<String> = others.map(|number| format!("uncap={number}")).collect();
    steps.push(format!("uncap={CAP_SETPCAP}"));
    works_as_ever(&steps.iter().map(String::as_str).collect::<Vec<_>>())
}

fn without_tracefs() -> Done {
    works_as_ever(&["notracefs"])
}

fn with_little_lockable_memory() -> Done {
    works_as_ever(&["memlock=65536"])
}

/// Sets `kernel.kptr_restrict` back to what it was.
pub struct Hidden(String);

impl Hidden {
    const KPTR_RESTRICT: &str = "/proc/sys/kernel/kptr_restrict";

    pub fn new() -> Self {
        let before = fs::read_to_string(Self::KPTR_RESTRICT).unwrap();
        fs::write(Self::KPTR_RESTRICT, "2").unwrap();
        Self(before)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        fs::write(Self::KPTR_RESTRICT, &self.0).unwrap();
    }
}

/// The addresses of the kernel's functions are shown to nobody: the programs know its timers all the same.
fn with_hidden_symbols() -> Done {
    let hidden = Hidden::new();
    let tracer = Tracer::start(&[]);
    drop(hidden);
    let outcome = carry(tracer, Sight::default());
    assert!(outcome.ready.contains("timer_cancel=tp_btf"), "{outcome:?}");
    Done::Passed
}

fn without_btf() -> Done {
    without_types(&["hide=/sys/kernel/btf", "tracefs"])
}

/// It may mount tracefs for itself.
fn without_btf_and_tracefs() -> Done {
    without_types(&["hide=/sys/kernel/btf", "notracefs"])
}

fn without_types(steps: &[&str]) -> Done {
    // Few fields of a socket can be asked for without types; what is reported must be true, and every transition there.
    let sight = Sight { cookieless: true, typeless: true, ..Sight::default() };
    let outcome = carry(Tracer::spawn(events_after(steps, &["--json"])), sight);
    assert!(outcome.ready.contains("=tracepoint"), "{outcome:?}");
    Done::Passed
}

fn without_anything_to_hook() -> Done {
    let admin = format!("uncap={CAP_SYS_ADMIN}");
    let steps = ["hide=/sys/kernel/btf", "notracefs", &admin];
    refuses(&mut events_after(&steps, &["--json"]), &["tcp_state", "btf", "tracefs"]);
    Done::Passed
}

/// Where the cgroup2 hierarchy is mounted.
pub fn cgroups() -> Option<String> {
    let mounted = fs::read_to_string("/proc/self/mounts").unwrap();
    let cgroup = mounted.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
    cgroup.split(' ').nth(1).map(str::to_owned)
}

fn with_cgroups_unmounted() -> Done {
    match cgroups() {
        Some(mounted) => works_as_ever(&[&format!("unmount={mounted}")]),
        None => works_as_ever(&[]),
    }
}

/// Something else is mounted where the hierarchy should be: it can be mounted elsewhere.
fn with_cgroups_hidden() -> Done {
    match cgroups() {
        Some(mounted) => works_as_ever(&[&format!("hide={mounted}")]),
        None => Done::Skipped("no cgroup2 hierarchy is mounted".into()),
    }
}

/// The same without the right to mount it.
fn with_cgroups_hidden_for_good() -> Done {
    let Some(mounted) = cgroups() else {
        return Done::Skipped("no cgroup2 hierarchy is mounted".into());
    };
    let hide = format!("hide={mounted}");
    let admin = format!("uncap={CAP_SYS_ADMIN}");
    let mut tracer = Tracer::spawn(events_after(&[&hide, &admin], &["--json"]));
    let lives = traffic();
    let tcp: Vec<&Life> = lives.iter().filter(|life| life.made.proto.starts_with("tcp")).collect();
    tracer.wait_closed(tcp.iter().map(|life| &life.made));
    let outcome = tracer.finish();
    // Loud: the hook and the cause are named, and what is missing for it. Quiet would be a hole nobody knows of.
    let loud = outcome.stderr.iter().any(|line| line.contains("sock_create") && line.contains("cgroup"));
    assert!(loud, "{outcome:?}");
    let book = check::Book::new(&outcome.events);
    for life in tcp {
        let events = book.of(&life.made);
        let mut walked: Vec<&str> = Vec::new();
        let mut others = 0;
        for event in check::without_remains(&events) {
            match &event.kind {
                Kind::State { old, new, .. } if walked.is_empty() => walked.extend([old.as_str(), new.as_str()]),
                Kind::State { new, .. } => walked.push(new),
                Kind::Open | Kind::Close(_) => others += 1,
            }
        }
        // Its close; nothing else reports that a socket is opened.
        assert_eq!((walked.join(" "), others), (life.paths[0].clone(), 1), "{}: {events:#?}", life.made.name());
    }
    Done::Passed
}
