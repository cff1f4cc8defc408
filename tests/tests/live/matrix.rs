//! Every variant of every hook, forced in turn: it works, or the reason why it cannot is said.
//!
//! Each prints a line that [`cell`] makes, from which `cargo xtask` makes its table. The variants of the hook on TCP states are judged by
//! the events they yield, those of the others by whether their program loads and runs: that what comes of them is right, with the
//! variant that is best on a kernel, is what all the other tests there look at.

use crate::check::{self, Life, Sight};
use crate::endings::blink;
use crate::lives::{LISTENED, attempt, client_closes_first};
use crate::made::{self, Family, Made, Pair, tcp};
use crate::remains::deaf_client;
use crate::runner::{self, Done, Test};
use crate::scale::count;
use crate::tracer::{Tracer, events_after};
use io_uring::{IoUring, opcode};
use netstat_tests::command::End;
use netstat_tests::netns::NetNs;
use netstat_tests::programs;
use netstat_tests::truth::scale::cell;
use netstat_user::kernel::snapshot::Transport;
use netstat_user::kernel::{Hook, Iterators, Tracer as Programs, Variant, Wanted};
use netstat_user::model::Limits;
use socket2::Domain;
use std::fs;
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("matrix::tp_btf", || variant("tp_btf")),
    ("matrix::raw_tp", || variant("raw_tp")),
    ("matrix::tracepoint", || variant("tracepoint")),
    ("matrix::fentry", || variant("fentry")),
    ("matrix::kprobe", || variant("kprobe")),
    ("matrix::every_other_hook", every_other_hook),
    ("matrix::tables", tables),
];

/// Connections of every family, refusals, listeners and UDP.
fn traffic() -> Vec<Life> {
    let mut lives = Vec::new();
    for family in Family::ALL {
        let listener = made::listener(family);
        for _ in 0..count(50) {
            lives.extend(client_closes_first(Pair::new(family, &listener), b"ask", b"answer"));
        }
        lives.push(Life::tcp(&Made::of(&listener), LISTENED, "closed"));
    }
    let to = Family::V4.address(made::closed_port(Family::V4));
    lives.push(Life::tcp(&attempt(&tcp(Domain::IPV4), to).0, "CLOSE SYN_SENT CLOSE", "refused"));
    lives.push(Life::stateless(&blink()));
    lives
}

fn variant(name: &'static str) -> Done {
    let line = |result: &str| runner::note(cell(Hook::State.name(), name, result));
    let namespace = NetNs::new().unwrap();
    let number = namespace.inode().unwrap().to_string();
    let command = events_after(&["tracefs"], &["--json", "--probe", name, "--netns", &number]);
    match Tracer::try_spawn(command) {
        Ok(mut tracer) => {
            assert!(tracer.ready.contains(&format!("={name}")), "readiness does not name {name}: {}", tracer.ready);
            let lives = namespace.enter(traffic);
            tracer.wait_closed(lives.iter().map(|life| &life.made));
            check::lives_with(&tracer.finish(), &lives, Sight::of(name));
            line("ok");
            Done::Passed
        }
        Err(outcome) => {
            let said = outcome.stderr.join("; ");
            line(&format!("refused reason={said}"));
            assert_eq!(outcome.end, End::Exit(1), "{outcome:?}");
            assert!(outcome.raw.is_empty() && outcome.stderr.len() == 1, "one clear line: {outcome:?}");
            assert!(said.contains(name), "the variant is not named: {outcome:?}");
            assert!(may_be_refused(name), "{name} must work here: {outcome:?}");
            Done::Skipped(said)
        }
    }
}

/// The kernel counts the runs of programs while this lives.
struct Counting(String);

const COUNTING: &str = "/proc/sys/kernel/bpf_stats_enabled";

impl Counting {
    fn start() -> Self {
        let before = fs::read_to_string(COUNTING).unwrap();
        fs::write(COUNTING, "1").unwrap();
        Self(before)
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        let _ = fs::write(COUNTING, &self.0);
    }
}

/// The first variant of every hook but the one on TCP states, then the second, and so on.
fn every_other_hook() -> Done {
    let hooks = || Hook::ALL.into_iter().filter(|&hook| hook != Hook::State);
    let most = hooks().map(|hook| hook.ways().len()).max().unwrap();
    let namespace = NetNs::new().unwrap();
    let netns = u32::try_from(namespace.inode().unwrap()).unwrap();
    let (mut idle, mut late_ends) = (Vec::new(), false);
    for turn in 0..most {
        let forced: Vec<(Hook, Variant)> =
            hooks().filter_map(|hook| Some((hook, hook.ways().get(turn)?.variant))).collect();
        let wanted = Wanted {
            hooks: Hook::ALL
                .into_iter()
                .filter(|hook| *hook == Hook::State || forced.iter().any(|f| f.0 == *hook))
                .collect(),
            forced: forced.clone(),
            limits: Limits { netns: Some(vec![netns]), ..Limits::default() },
            ..Wanted::default()
        };
        let programs = Programs::start(&wanted).unwrap();
        let counting = Counting::start();
        namespace.enter(visit_every_hook);
        let health = programs.programs();
        drop(counting);
        let coverage = &programs.coverage().hooks;
        for (hook, variant) in forced {
            let covered = coverage.iter().find(|covered| covered.hook == hook.name()).unwrap();
            let program = hook.way(variant).unwrap().program;
            let ran = health.iter().any(|health| health.name == program && health.runs.is_some());
            let result = match (covered.variant, ran) {
                (Some(_), true) => "ok".to_owned(),
                (Some(_), false) => {
                    idle.push(program);
                    "idle reason=attached, and not run".to_owned()
                }
                (None, _) => {
                    let reason =
                        covered.refused.iter().map(|refused| refused.cause.as_str()).collect::<Vec<_>>().join("; ");
                    let explained = reason.contains("this kernel has no") || may_be_refused(variant.name());
                    assert!(explained, "{} by {} must work here: {reason}", hook.name(), variant.name());
                    format!("refused reason={reason}")
                }
            };
            runner::note(cell(hook.name(), variant.name(), &result));
        }
        late_ends |= coverage.iter().any(|covered| covered.hook == "late_ends");
        // What is no hook of the plan, but covered all the same.
        for covered in
            coverage.iter().filter(|covered| turn == 0 && Hook::ALL.iter().all(|hook| hook.name() != covered.hook))
        {
            let result = match covered.variant {
                Some(_) => "ok".to_owned(),
                None => format!("refused reason={:?}", covered.refused),
            };
            runner::note(cell(covered.hook, covered.variant.unwrap_or("none"), &result));
            assert!(covered.variant.is_some(), "{covered:?}");
        }
    }
    // Not on every kernel.
    if !late_ends {
        runner::note(cell(
            "late_ends",
            "iter",
            "unneeded reason=the kernel's addresses show which timers are stopped for good",
        ));
    }
    assert!(idle.is_empty(), "attached, and not run by what should run them: {idle:?}");
    Done::Passed
}

/// Does what each hook listens to, at least once.
fn visit_every_hook() {
    let listeners = ["127.0.0.1:0", "[::1]:0"].map(|address| TcpListener::bind(address).unwrap());
    let connect = |listener: &TcpListener| TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    for listener in &listeners {
        let client = connect(listener);
        let (server, _) = listener.accept().unwrap();
        // The client's end is in FIN_WAIT2 when it is closed, so that the server's FIN meets a minisocket.
        client.shutdown(Shutdown::Write).unwrap();
        // Its acknowledgement may be put off for 40 ms.
        sleep(Duration::from_millis(100));
        drop(client);
        sleep(Duration::from_millis(20));
        drop(server);
        // Data that nobody reads: the end of the socket is a reset.
        let client = connect(listener);
        let (server, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut &client, b"unread").unwrap();
        sleep(Duration::from_millis(20));
        drop((server, client));
    }
    // A request that is answered again, after a second.
    let deaf = deaf_client(Family::V4, &listeners[0]);
    // A refusal is a packet that ends unread.
    assert!(TcpStream::connect(Family::V4.address(made::closed_port(Family::V4))).is_err());
    drop(UdpSocket::bind("127.0.0.1:0").unwrap());
    match IoUring::new(2) {
        Ok(mut ring) => {
            // SAFETY: the operation points to nothing.
            unsafe { ring.submission().push(&opcode::Nop::new().build()) }.unwrap();
            ring.submit_and_wait(1).unwrap();
        }
        Err(error) => runner::note(format!("live: skipped: an operation of io_uring: {error}")),
    }
    // A process that is made, runs a program and ends.
    Command::new(programs::netstat_user()).arg("--version").output().unwrap();
    sleep(Duration::from_millis(1500));
    drop(deaf);
}

/// The iterators that large tables are read through.
fn tables() -> Done {
    let loaded = Iterators::load().map_err(|error| error.to_string());
    for (name, transport) in [("tcp_table", Transport::Tcp), ("udp_table", Transport::Udp)] {
        let walked = match &loaded {
            Ok(iterators) => iterators.sockets(transport, |_| true).map(drop).map_err(|error| error.to_string()),
            Err(reason) => Err(reason.clone()),
        };
        let result = match &walked {
            Ok(()) => "ok".to_owned(),
            Err(reason) => format!("refused reason={reason}"),
        };
        runner::note(cell(name, "iter", &result));
        assert!(walked.is_ok(), "{walked:?}");
    }
    Done::Passed
}

/// Tracepoints are everywhere; probes of functions are an option of the kernel that distributions take.
fn may_be_refused(name: &str) -> bool {
    let distribution = fs::read_to_string("/proc/version").unwrap_or_default().contains("Debian");
    match name {
        "fentry" | "fexit" | "fexit4" => !distribution,
        "kprobe" => !distribution && fs::metadata("/sys/bus/event_source/devices/kprobe").is_err(),
        _ => false,
    }
}
