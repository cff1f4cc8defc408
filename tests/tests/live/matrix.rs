//! Every variant of the hook on TCP states, forced in turn: it works, or says in one line why it cannot.
//!
//! Each prints a line `matrix: kernel=RELEASE variant=NAME result=ok|refused [reason=…]`, from which `cargo xtask` makes its table.

use crate::check::{self, Life, Sight};
use crate::endings::blink;
use crate::lives::{LISTENED, attempt, client_closes_first};
use crate::made::{self, Family, Made, Pair, tcp};
use crate::runner::{self, Done, Test};
use crate::scale::{count, kernel};
use crate::tracer::{Tracer, events_after};
use netstat_tests::command::End;
use netstat_tests::netns::NetNs;
use socket2::Domain;
use std::fs;

pub const TESTS: &[Test] = &[
    ("matrix::tp_btf", || variant("tp_btf")),
    ("matrix::raw_tp", || variant("raw_tp")),
    ("matrix::tracepoint", || variant("tracepoint")),
    ("matrix::fentry", || variant("fentry")),
    ("matrix::kprobe", || variant("kprobe")),
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
    let line = |result: &str| runner::note(format!("matrix: kernel={} variant={name} result={result}", kernel()));
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

/// Tracepoints are everywhere; probes of functions are an option of the kernel that distributions take.
fn may_be_refused(name: &str) -> bool {
    let distribution = fs::read_to_string("/proc/version").unwrap_or_default().contains("Debian");
    match name {
        "fentry" => !distribution,
        "kprobe" => !distribution && fs::metadata("/sys/bus/event_source/devices/kprobe").is_err(),
        _ => false,
    }
}
