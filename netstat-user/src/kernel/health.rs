//! What hinders tracing on this machine, and how the loaded programs fare.

use super::facts::{self, GatheredFacts, Lockdown};
use super::hooks::{Adds, HOOKS, Hook};
use super::plan::KernelTypes;
use super::refusal::{Lacking, Mend};
use super::{AttachError, Tracer};
use crate::model::{Check, Coverage, Level, ProgramHealth};
use crate::sys::{Capability, Scarce};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// Capabilities beyond those that tracing needs, and what is missing without.
const BESIDE: [(Capability, &str); 3] = [
    (Capability::SYS_PTRACE, WITHOUT_OWNERS),
    (Capability::DAC_READ_SEARCH, WITHOUT_OWNERS),
    (Capability::SYS_ADMIN, "named network namespaces without a process cannot be entered"),
];
const WITHOUT_OWNERS: &str = "the sockets of other users' processes, older than the tracer, have no owner";

/// Looks at what tracing depends on.
pub fn checks() -> Vec<Check> {
    let GatheredFacts { facts, cgroup, lockdown, .. } = facts::gather();
    let mut checks = vec![capabilities()];
    checks.extend(beside());
    checks.push(kernel());
    checks.push(types(&facts.types));
    checks.push(cgroup_root(&facts.cgroup, cgroup.and_then(|cgroup| cgroup.part).is_some()));
    checks.extend(lockdown.map(locked_down));
    checks.push(tracefs(&facts.tracefs));
    // Who may not trace is not shown the addresses, whatever the programs would be.
    if facts::missing_capabilities().is_empty() {
        checks.push(symbols(facts.symbols.is_some()));
    }
    checks
}

fn kernel() -> Check {
    match facts::too_old() {
        None => Check::ok("kernel", "new enough to run the programs"),
        Some(release) => {
            Check::amiss("kernel", Level::Bad, AttachError::TooOld(release).to_string(), Mend::Newer.line())
        }
    }
}

fn types(types: &Result<KernelTypes, Lacking>) -> Check {
    match types {
        Ok(types) if types.misfits.is_empty() => Check::ok("btf", "the kernel's types are known"),
        Ok(types) => Check::amiss(
            "btf",
            Level::Note,
            format!("not as the programs know them, and so not read: {}", types.misfits.join(", ")),
            "look for a newer netstat-user",
        ),
        Err(Lacking::Scarce(scarce)) => ran_out(*scarce, Level::Bad, "what types the kernel has"),
        Err(cause) => {
            Check::amiss("btf", Level::Bad, format!("{cause}: most hooks and most fields need it"), Mend::Btf.line())
        }
    }
}

/// Whether there is a root of the cgroups, and whether it `is_part` of the hierarchy only.
fn cgroup_root(root: &Result<(), Lacking>, is_part: bool) -> Check {
    match root {
        Ok(()) if is_part => Check::amiss(
            "cgroup2",
            Level::Bad,
            format!(
                "only the root of this cgroup namespace can be attached to: sockets of processes outside it have {}",
                Coverage::OUTSIDE
            ),
            "run it in the host's cgroup namespace: docker run --cgroupns host, podman run --cgroupns host, or nsenter -t 1 -C",
        ),
        Ok(()) if facts::missing_capabilities().is_empty() => Check::ok("cgroup2", "its root can be attached to"),
        Ok(()) => Check::ok("cgroup2", "its root is there, to be attached to with the capabilities"),
        Err(Lacking::Scarce(scarce)) => {
            ran_out(*scarce, Level::Bad, "whether there is a cgroup2 hierarchy for open events")
        }
        Err(cause) => Check::amiss(
            "cgroup2",
            Level::Bad,
            format!("{cause}: no open events, and no owners of new sockets"),
            unless_denied(cause, Mend::Cgroup),
        ),
    }
}

fn tracefs(tracefs: &Result<(), Lacking>) -> Check {
    match tracefs {
        Ok(()) => Check::ok("tracefs", "the classic tracepoints can be read"),
        Err(Lacking::Scarce(scarce)) => ran_out(*scarce, Level::Note, "whether there is tracefs"),
        Err(cause) => Check::amiss(
            "tracefs",
            Level::Note,
            format!(
                "{cause}: --probe tracepoint needs it, accept(2) where fexit is refused, and since Linux 7 what stands in for programs"
            ),
            match cause {
                Lacking::Locked => Mend::Lockdown.line().to_owned(),
                _ => unless_denied(cause, Mend::Tracefs),
            },
        ),
    }
}

fn symbols(are_given: bool) -> Check {
    Check::ok(
        "symbols",
        match are_given {
            true => "the kernel gives the addresses of its functions",
            false => {
                "the programs find the kernel's functions themselves: some ends are reported a tenth of a second late"
            }
        },
    )
}

/// What mends that something lacks: more rights where they are why it does.
fn unless_denied(cause: &Lacking, mend: Mend) -> String {
    let may_trace = facts::missing_capabilities().is_empty();
    if would_be_granted(cause, may_trace) { facts::grant() } else { mend.line().to_owned() }
}

/// Whether the rights that tracing takes would help. They are not enough to mount a filesystem: who has them needs it mounted.
fn would_be_granted(cause: &Lacking, may_trace: bool) -> bool {
    cause.is_denied() && !(may_trace && matches!(cause, Lacking::Mount(_)))
}

/// Something ran out, so that `what` is not known.
fn ran_out(scarce: Scarce, level: Level, what: &str) -> Check {
    Check::amiss(scarce.name(), level, format!("{}; {what} cannot be known", scarce.words()), Mend::of(scarce).line())
}

fn locked_down(lockdown: Lockdown) -> Check {
    match lockdown {
        Lockdown::None => Check::ok("lockdown", "none"),
        Lockdown::Integrity => Check::ok("lockdown", "integrity, which does not hinder tracing"),
        Lockdown::Confidentiality => {
            let found = "confidentiality: the kernel lets no program read its memory";
            Check::amiss("lockdown", Level::Bad, found, Mend::Lockdown.line())
        }
    }
}

/// That a capability is not held, or not where it counts.
fn not_held() -> &'static str {
    if facts::is_contained() { "held in this user namespace at most, and not over the kernel" } else { "not held" }
}

fn capabilities() -> Check {
    let missing = facts::missing_capabilities();
    if missing.is_empty() {
        let [bpf, perfmon, net_admin] = Capability::TO_TRACE.map(|needed| needed.name);
        return Check::ok("capabilities", format!("{bpf}, {perfmon} and {net_admin} are held"));
    }
    Check::amiss(
        "capabilities",
        Level::Bad,
        format!("{} {}: nothing can be traced", missing.join(", "), not_held()),
        facts::grant(),
    )
}

fn beside() -> impl Iterator<Item = Check> {
    let held = facts::capabilities_over_kernel();
    BESIDE.into_iter().map(move |(capability, without)| {
        if capability.is_in(held) {
            Check::ok(capability.name, "held")
        } else {
            let mend = match capability {
                // The command that grants the others leaves it out.
                Capability::SYS_ADMIN if !facts::is_contained() => "run as root".to_owned(),
                _ => facts::grant(),
            };
            Check::amiss(capability.name, Level::Note, format!("{}: {without}", not_held()), mend)
        }
    })
}

impl Tracer {
    /// How the programs that are loaded fare, from the kernel's own notes on them (`bpf_prog_show_fdinfo`).
    pub fn programs(&self) -> Vec<ProgramHealth> {
        self.look_at_programs()()
    }

    /// The same, to be looked at by another thread while the programs are loaded: it takes some milliseconds.
    pub fn look_at_programs(&self) -> impl FnOnce() -> Vec<ProgramHealth> + Send + 'static {
        let descriptor = |(name, program): (&str, &aya::programs::Program)| {
            Some((name.to_owned(), program.fd().ok()?.as_fd().as_raw_fd()))
        };
        let mut programs: Vec<(String, RawFd)> = self.ebpf.programs().filter_map(descriptor).collect();
        programs.sort();
        let health = |(name, fd): (String, RawFd)| {
            Some(notes(&name, &fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?))
        };
        move || programs.into_iter().filter_map(health).collect()
    }

    /// Whether the programs that stand in for others report; `None` where none is attached.
    pub fn stand_ins(&self) -> Option<Check> {
        let mut stand_ins = HOOKS.iter().filter(|spec| matches!(spec.adds, Adds::LeftOut(..)));
        let attached = stand_ins.any(|spec| self.coverage().has(spec.name));
        let off = attached.then(|| self.are_stand_ins_off())?;
        Some(stand_ins_found(off.inspect_err(|error| log::debug!("the counters: {error}")).ok()?))
    }
}

/// The check of the programs that stand in for others: whether they have switched themselves off.
fn stand_ins_found(off: bool) -> Check {
    if !off {
        return Check::ok("stand_ins", "they report what the kernel leaves out of other programs");
    }
    Check::amiss(
        "stand_ins",
        Level::Note,
        "switched off: another tracer was on their tracepoint first, so that the kernel runs them before the programs they stand in for; what it \
         leaves out of these is missing",
        "stop the other tracer of sock:inet_sock_set_state (perf, bpftrace), then start this one first",
    )
}

/// Runs that the kernel left out because a program was already running on the processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// Of programs that are alone on their hook.
    pub alone: u64,
    /// Of programs that stand in for each other: where the kernel leaves one out, the next one reports the event. A transition for which it leaves
    /// out all of them is counted as lost.
    pub paired: u64,
}

/// Adds up the runs left out.
pub fn missed(programs: &[ProgramHealth]) -> Missed {
    let mut missed = Missed::default();
    for program in programs {
        let made_up = made_up(&program.name);
        let is_other = |other: &ProgramHealth| {
            other.name != program.name && made_up.is_some() && self::made_up(&other.name) == made_up
        };
        let sum = if programs.iter().any(is_other) { &mut missed.paired } else { &mut missed.alone };
        *sum += program.missed.unwrap_or(0);
    }
    missed
}

/// The hook whose programs stand in for each other, this one among them; `None` if the program is alone.
fn made_up(program: &str) -> Option<Hook> {
    let mut of_program = HOOKS.iter().flat_map(|spec| spec.ways.iter().map(move |way| (spec, way)));
    let (spec, way) = of_program.find(|(_, way)| way.program == program)?;
    match spec.adds {
        Adds::Nested(hook, _) | Adds::LeftOut(hook, _) => Some(hook),
        _ => HOOKS
            .iter()
            .any(|other| match other.adds {
                Adds::Nested(hook, variant) => (hook, variant) == (spec.hook, way.variant),
                Adds::LeftOut(hook, variants) => hook == spec.hook && variants.contains(&way.variant),
                _ => false,
            })
            .then_some(spec.hook),
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
    fn a_kernel_that_hides_its_memory_is_bad() {
        assert_eq!(locked_down(Lockdown::None).level, Level::Ok);
        assert_eq!(locked_down(Lockdown::Integrity).level, Level::Ok);
        let hidden = locked_down(Lockdown::Confidentiality);
        assert!(hidden.level == Level::Bad && hidden.mend.unwrap().contains("lockdown=confidentiality"));
    }

    #[test]
    fn rights_that_are_held_are_not_the_way_out() {
        let denied = |errno| std::io::Error::from_raw_os_error(errno);
        let mount = |errno| Lacking::mount(denied(errno));
        assert!(would_be_granted(&mount(libc::EPERM), false), "root may mount it");
        assert!(!would_be_granted(&mount(libc::EPERM), true) && !would_be_granted(&mount(libc::ENODEV), false));
        let file = Lacking::file("/sys/kernel/tracing/events", denied(libc::EACCES));
        assert!(would_be_granted(&file, true) && would_be_granted(&file, false));
    }

    #[test]
    fn stand_ins_that_are_off_are_noted() {
        assert_eq!(stand_ins_found(false).level, Level::Ok);
        let off = stand_ins_found(true);
        assert!(off.level == Level::Note && off.found.contains("switched off") && off.mend.is_some());
    }

    #[test]
    fn two_programs_make_up_for_each_other() {
        let program = |name: &str| ProgramHealth { name: name.into(), runs: None, missed: Some(3) };
        let alone = [program("state_tp_btf"), program("timer_cancel")];
        assert_eq!(missed(&alone), Missed { alone: 6, paired: 0 });
        let both = [program("state_nested"), program("state_tp_btf"), program("timer_cancel")];
        assert_eq!(missed(&both), Missed { alone: 3, paired: 6 });
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
