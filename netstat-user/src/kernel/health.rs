//! What hinders tracing on this machine, and how the loaded programs fare.

use super::Tracer;
use super::facts::{self, Gathered};
use super::plan::{Hook, Variant};
use crate::model::{Check, Level, ProgramHealth};
use std::fs;
use std::os::fd::{AsFd, AsRawFd};

/// Capabilities beyond those that tracing needs, with their numbers in `include/uapi/linux/capability.h`, and what is missing without.
const BESIDE: [(&str, u32, &str); 3] = [
    ("cap_sys_ptrace", 19, "the sockets of other users' processes, older than the tracer, have no owner"),
    ("cap_dac_read_search", 2, "the sockets of other users' processes, older than the tracer, have no owner"),
    ("cap_sys_admin", 21, "named network namespaces without a process cannot be entered"),
];

/// Looks at what tracing depends on.
pub fn checks() -> Vec<Check> {
    let Gathered { facts, .. } = facts::gather();
    let mut checks = vec![capabilities()];
    checks.extend(beside());
    checks.push(match &facts.types {
        Ok(_) => Check::ok("btf", "the kernel's types are known"),
        Err(cause) => Check::amiss(
            "btf",
            Level::Bad,
            format!("{cause}: most hooks and most fields need it"),
            "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y",
        ),
    });
    checks.push(match &facts.cgroup {
        Ok(()) => Check::ok("cgroup2", "its root can be attached to"),
        Err(cause) => Check::amiss(
            "cgroup2",
            Level::Bad,
            format!("{cause}: no open events, and no owners of new sockets"),
            "mount -t cgroup2 none /sys/fs/cgroup",
        ),
    });
    checks.push(match &facts.tracefs {
        Ok(()) => Check::ok("tracefs", "the classic tracepoints can be read"),
        Err(cause) => Check::amiss(
            "tracefs",
            Level::Note,
            format!("{cause}: only the variant tracepoint needs it"),
            "mount -t tracefs tracefs /sys/kernel/tracing",
        ),
    });
    checks.push(Check::ok(
        "symbols",
        match facts.symbols {
            Some(_) => "the kernel tells where its functions are",
            None => "the programs find the kernel's functions themselves: some ends are told a tenth of a second late",
        },
    ));
    checks
}

fn capabilities() -> Check {
    let missing = facts::missing_capabilities();
    if missing.is_empty() {
        return Check::ok("capabilities", "cap_bpf, cap_perfmon and cap_net_admin are held");
    }
    Check::amiss(
        "capabilities",
        Level::Bad,
        format!("{} not held: nothing can be traced", missing.join(", ")),
        "run as root, or: setcap cap_bpf,cap_perfmon,cap_net_admin+ep PROGRAM",
    )
}

fn beside() -> impl Iterator<Item = Check> {
    let held = facts::effective_capabilities();
    BESIDE.into_iter().map(move |(name, number, without)| {
        if held >> number & 1 == 1 {
            Check::ok(name, "held")
        } else {
            let mend = format!("run as root, or add it: setcap cap_bpf,cap_perfmon,cap_net_admin,{name}+ep PROGRAM");
            Check::amiss(name, Level::Note, format!("not held: {without}"), mend)
        }
    })
}

impl Tracer {
    /// How the programs that are loaded fare, from the kernel's own notes on them (`bpf_prog_show_fdinfo`).
    pub fn programs(&self) -> Vec<ProgramHealth> {
        let health = |(name, program): (&str, &aya::programs::Program)| {
            let fd = program.fd().ok()?.as_fd().as_raw_fd();
            Some(notes(name, &fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?))
        };
        let mut programs: Vec<_> = self.ebpf.programs().filter_map(health).collect();
        programs.sort_by(|a, b| a.name.cmp(&b.name));
        make_up(&mut programs);
        programs
    }
}

/// A transition that one of the two programs on it leaves out, since it is running, is told by the other: nothing is missed.
fn make_up(programs: &mut [ProgramHealth]) {
    let pair = [Hook::State, Hook::Nested].map(|hook| hook.program(Variant::TpBtf));
    if pair.iter().all(|name| programs.iter().any(|program| program.name == *name)) {
        for program in programs.iter_mut().filter(|program| pair.contains(&program.name.as_str())) {
            program.missed = program.missed.map(|_| 0);
        }
    }
}

fn notes(name: &str, text: &str) -> ProgramHealth {
    let field = |wanted: &str| {
        let value = text.lines().find_map(|line| line.split_once(':').filter(|(key, _)| *key == wanted))?.1;
        value.trim().parse::<u64>().ok()
    };
    // Without statistics the kernel shows zeroes.
    let runs = field("run_cnt").zip(field("run_time_ns")).filter(|&(runs, _)| runs > 0);
    ProgramHealth { name: name.into(), runs, missed: field("recursion_misses") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_programs_make_up_for_each_other() {
        let program = |name: &str| ProgramHealth { name: name.into(), runs: None, missed: Some(3) };
        let mut alone = [program("state_tp_btf"), program("timer_cancel")];
        make_up(&mut alone);
        assert_eq!(alone.map(|program| program.missed), [Some(3), Some(3)]);
        let mut both = [program("state_nested"), program("state_tp_btf"), program("timer_cancel")];
        make_up(&mut both);
        assert_eq!(both.map(|program| program.missed), [Some(0), Some(0), Some(3)]);
    }

    #[test]
    fn reads_the_kernels_notes_on_a_program() {
        let text = "pos:\t0\nflags:\t02000002\nprog_type:\t26\nprog_id:\t77\nrun_time_ns:\t1200\nrun_cnt:\t10\n\
                    recursion_misses:\t3\nverified_insns:\t1\n";
        let health = |runs, missed| ProgramHealth { name: "x".into(), runs, missed };
        assert_eq!(notes("x", text), health(Some((10, 1200)), Some(3)));
        assert_eq!(notes("x", "run_time_ns:\t0\nrun_cnt:\t0\n"), health(None, None));
    }
}
