//! `cargo xtask vm`: the suites on other kernels, under emulation, with an initramfs of our own binary and tests.

pub mod cross;
pub mod debian;
pub mod initramfs;
pub mod kernels;
pub mod matrix;
pub mod qemu;
pub mod userland;

use crate::tally::{Findings, Tally};
use crate::{apt, sh};
use anyhow::{Result, bail};
use cross::Builder;
use debian::{Apt, Arch};
use kernels::{Flavour, Series};
use qemu::{Machine, Terms};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread::{self, Scope};
use std::time::Duration;
use userland::Userland;

/// A kernel of the matrix on an emulated machine, and what runs there.
struct Guest {
    /// What it is called on the command line.
    name: &'static str,
    series: Series,
    /// The cloud flavour boots faster; the full one has more modules.
    flavour: Flavour,
    machine: Machine,
    /// `NETSTAT_TEST_SCALE`: emulation is some tens of times slower than the machine, and suites that heed the scale make fewer sockets.
    scale: &'static str,
    suites: &'static [Suite],
    /// Tests whose names contain one of these are left to `cargo xtask vm`, so that `cargo xtask test` ends in little more than half an hour: emulation
    /// takes some twenty minutes of processor time for every test of a guest. They are counted as skipped.
    left_to_vm: &'static [&'static [&'static str]],
}

/// The tests that take long, because they are many or because it is much: each of these groups is asked of one guest in `cargo xtask test`.
const CORNERS: &[&str] = &["corners::"];
const MUCH: &[&str] = &["stream::", "upheavals::", "places_more::", "limits::"];
/// What hangs on the kernel least, and is run on the host alone in `cargo xtask test`: which events are chosen, how they are printed, which container an
/// owner is of, and how the program and the agent bear their users, and sockets by the thousand.
const ON_HOST: &[&str] = &[
    "filters::",
    "text::",
    "endings::",
    "same::",
    "pushed::",
    "glance::",
    "attack",
    "follow::",
    "whose::",
    "siege::",
    "crowds::",
];
/// What the program does with fewer rights, mounts and symbols: the same on every processor, and asked of two kernels.
const PLACES: &[&str] = &["places::"];
/// What the agent keeps of connections and of rarer sockets: asked of the newest kernel on x86. The others are asked who owns what it keeps.
const KEPT: &[&str] = &["connections::", "corner_rows::", "datagrams::", "history::"];
/// Which sockets `kill` closes, asked of the newest kernel on x86, and of the oldest one with events.
const CLOSED: &[&str] = &["iterator_closes", "kill_"];
/// How connections go and end, asked of the newest kernel and of the oldest one with events. Who is asked for the corners is not asked for these.
const LIVES: &[&str] = &["lives::"];

/// A test target of the `netstat-tests` package.
struct Suite {
    /// Name of the test target: `tests/tests/NAME.rs`.
    test: &'static str,
    /// Modules to load before, by file name without suffix.
    modules: &'static [&'static str],
    /// Seconds the suite may take there: emulation is some ten times slower than the machine, and gets only what the suites of the host leave of the
    /// processor as long as these run.
    limit: u64,
}

/// One processor: with two, the emulator now and then runs a breakpoint that the kernel has already taken out of its own code (static
/// keys change whenever a probe comes or goes), and the kernel panics or hangs.
const AMD64: Machine = Machine { arch: Arch::Amd64, processors: 1 };
const ARM64: Machine = Machine { arch: Arch::Arm64, processors: 1 };
/// Here the kernel needs no breakpoint to change its own code.
const ARM64_TWO: Machine = Machine { arch: Arch::Arm64, processors: 2 };

const LIVE: Suite = Suite { test: "live", modules: &["sch_tbf", "tun"], limit: 2700 };
const SNAPSHOT: Suite = Suite { test: "snapshot", modules: &["veth"], limit: 1200 };
/// `unix_diag` is what knows the other ends of UNIX sockets.
const AGENT: Suite =
    Suite { test: "agent", modules: &["veth", "inet_diag", "tcp_diag", "udp_diag", "unix_diag"], limit: 2700 };
const DIAG: Suite =
    Suite { test: "diag", modules: &["veth", "tun", "inet_diag", "tcp_diag", "udp_diag", "unix_diag"], limit: 1200 };
const OLD_KERNEL: Suite = Suite { test: "old_kernel", modules: &["veth"], limit: 600 };
const PACKET_RADIO: Suite = Suite { test: "packet_radio", modules: &["ax25", "netrom"], limit: 600 };

/// So many of [`GUESTS`] take longer than anything else that is emulated.
const LONGEST: usize = 4;

/// Those that take longest come first.
const GUESTS: &[Guest] = &[
    Guest {
        name: "6.12",
        series: Series::Of("6.12"),
        flavour: Flavour::Cloud,
        machine: AMD64,
        scale: "0.05",
        suites: &[LIVE, SNAPSHOT, DIAG, AGENT],
        left_to_vm: &[PLACES, CLOSED, LIVES, KEPT, MUCH, ON_HOST],
    },
    Guest {
        name: "newest",
        series: Series::Newest,
        flavour: Flavour::Cloud,
        machine: AMD64,
        scale: "0.05",
        suites: &[LIVE, SNAPSHOT, DIAG, AGENT],
        left_to_vm: &[CORNERS, MUCH, ON_HOST],
    },
    Guest {
        name: "6.1",
        series: Series::Of("6.1"),
        flavour: Flavour::Cloud,
        machine: AMD64,
        scale: "0.05",
        suites: &[LIVE, SNAPSHOT, DIAG, AGENT],
        left_to_vm: &[CORNERS, KEPT, ON_HOST],
    },
    Guest {
        name: "newest-arm64",
        series: Series::Newest,
        flavour: Flavour::Cloud,
        machine: ARM64_TWO,
        scale: "0.03",
        suites: &[LIVE, SNAPSHOT, AGENT],
        left_to_vm: &[CORNERS, PLACES, KEPT, MUCH, ON_HOST],
    },
    Guest {
        name: "6.12-arm64",
        series: Series::Of("6.12"),
        flavour: Flavour::Cloud,
        machine: ARM64,
        scale: "0.03",
        suites: &[LIVE, SNAPSHOT, AGENT],
        left_to_vm: &[CORNERS, PLACES, LIVES, KEPT, MUCH, ON_HOST],
    },
    Guest {
        name: "6.1-full",
        series: Series::Of("6.1"),
        flavour: Flavour::Full,
        machine: AMD64,
        scale: "0.05",
        suites: &[PACKET_RADIO],
        left_to_vm: &[],
    },
    // Too old for events, and for the iterators behind large tables: one line says so, and the tables work.
    Guest {
        name: "5.10",
        series: Series::Of("5.10"),
        flavour: Flavour::Cloud,
        machine: AMD64,
        scale: "0.05",
        suites: &[OLD_KERNEL],
        left_to_vm: &[],
    },
];

/// What the emulated kernels said.
#[derive(Default)]
pub struct Report {
    pub tally: Tally,
    pub matrix: matrix::Matrix,
    pub findings: Findings,
}

impl Report {
    /// Adds what a step said of which there is an outcome alone.
    pub fn judge(&mut self, what: &str, outcome: Result<()>) {
        self.tally += self.findings.judge(what, outcome);
    }

    /// Adds what others said.
    pub fn append(&mut self, other: Self) {
        self.tally += other.tally;
        self.matrix.append(other.matrix);
        self.findings.append(other.findings);
    }
}

pub fn run(args: &[String]) -> Result<ExitCode> {
    apt::install(apt::VM)?;
    sh::run(sh::cargo().args(["build", "--release", "--package", "netstat-user"]))?;
    let mut report = boot_all(args, Extent::Whole, &sh::root().join("target/release/netstat-user"))?;
    print!("{}", report.matrix);
    if args.is_empty() {
        let judged = report.matrix.judge();
        report.judge("the kernel matrix", judged);
    }
    print!("{}", report.findings);
    println!("{}", report.tally);
    Ok(if report.tally.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// How much of its suites a guest runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Every test.
    Whole,
    /// Without those that [`Guest::left_to_vm`] names.
    Short,
}

/// Boots each guest; `only` limits it to suites or guests of those names (all, if empty).
/// What follows `--` goes to the suites: names of tests.
fn boot_all(only: &[String], extent: Extent, binary: &Path) -> Result<Report> {
    let (ready, machines) = mpsc::channel();
    let report = prepare(only, extent, binary, &ready, Report::default)?;
    drop(ready);
    let is_quiet = OnceLock::from(());
    thread::scope(|scope| Booting::begin(scope, machines, &is_quiet).collect(report))
}

/// What runs on a machine of its own, made ready.
pub trait Bootable: Send {
    /// Boots the machine and counts what is found there. Until `is_quiet` is set it gets what time of the processor nothing else wants. `say` gets every
    /// line for people to read.
    fn run(&self, is_quiet: &OnceLock<()>, say: &dyn Fn(String)) -> Report;
}

/// Where machines go that are ready to be booted.
pub type ReadyMachines = mpsc::Sender<Box<dyn Bootable>>;

/// Makes guests ready, as [`boot_all`] boots them; reports what cannot be booted. `other` makes another machine ready, before the guests that take less time.
pub fn prepare(
    only: &[String],
    extent: Extent,
    binary: &Path,
    ready: &ReadyMachines,
    other: impl FnOnce() -> Report,
) -> Result<Report> {
    let (only, tests) = match only.iter().position(|word| word == "--") {
        Some(at) => (&only[..at], &only[at + 1..]),
        None => (only, &[][..]),
    };
    let suites: Vec<_> = GUESTS.iter().flat_map(|guest| guest.suites.iter().map(|suite| suite.test)).collect();
    let guests: Vec<_> = GUESTS.iter().map(|guest| guest.name).collect();
    if let Some(unknown) = only.iter().find(|word| !suites.contains(&word.as_str()) && !guests.contains(&word.as_str()))
    {
        bail!("vm knows no suite and no guest `{unknown}`; guests are {}", guests.join(", "));
    }
    let chosen = |word: &str, among: &[&str]| {
        let named: Vec<_> = only.iter().filter(|name| among.contains(&name.as_str())).collect();
        named.is_empty() || named.iter().any(|name| *name == word)
    };
    let apt = Apt::open();
    let mut report = Report::default();
    let mut other = Some(other);
    for (number, guest) in GUESTS.iter().enumerate().filter(|(_, guest)| chosen(guest.name, &guests)) {
        if let Some(other) = other.take_if(|_| number >= LONGEST) {
            report.append(other());
        }
        let suites: Vec<_> = guest.suites.iter().filter(|suite| chosen(suite.test, &suites)).collect();
        if suites.is_empty() {
            continue;
        }
        let had = kernels::get(&apt, guest.series, guest.machine.arch, guest.flavour)
            .and_then(|kernel| Ok((kernel, Builder::get(guest.machine.arch, binary, &apt)?)))
            .and_then(|(kernel, builder)| Ok((kernel, builder, Userland::get(guest.machine.arch, &apt)?)));
        let (kernel, builder, userland) = match had {
            Ok(had) => had,
            Err(error) => {
                println!("skipped: {} on guest {}: {error:#}", join(&suites), guest.name);
                report.tally.skipped += suites.len() as u64;
                continue;
            }
        };
        let arguments = match extent {
            Extent::Whole => tests.join(" "),
            Extent::Short => guest.left_to_vm.iter().copied().flatten().map(|name| format!("--skip {name} ")).collect(),
        };
        match Boot::prepare(guest, kernel, &userland, &suites, &builder, &arguments, extent) {
            // Who would boot them may have given up.
            Ok(boot) => drop(ready.send(Box::new(boot))),
            Err(error) => {
                report.findings.failed(&on_guest(&join(&suites), guest), format_args!("{error:#}"));
                report.tally.failed += suites.len() as u64;
            }
        }
    }
    if let Some(other) = other {
        report.append(other());
    }
    Ok(report)
}

/// Machines that are booted as they become ready.
pub struct Booting {
    /// What comes from each, from the one that was begun first.
    begun: mpsc::Receiver<mpsc::Receiver<Said>>,
}

impl Booting {
    /// Boots as many machines at a time as there are processors here until `is_quiet` is set, and from then on one more, since guests also wait.
    pub fn begin<'s>(
        scope: &'s Scope<'s, '_>,
        machines: mpsc::Receiver<Box<dyn Bootable>>,
        is_quiet: &'s OnceLock<()>,
    ) -> Self {
        let machines = Arc::new(Mutex::new(machines));
        let (begin, begun) = mpsc::channel();
        let processors = thread::available_parallelism().map_or(1, usize::from);
        for number in 0..=processors {
            let (machines, begin) = (Arc::clone(&machines), begin.clone());
            scope.spawn(move || {
                // They run all the same where that is refused.
                let _ = rustix::process::setpriority_process(None, 19);
                if number == processors {
                    is_quiet.wait();
                }
                // Who waits for the next one keeps the others waiting, who would, too.
                while let Some(boot) = machines.lock().ok().and_then(|machines| machines.recv().ok()) {
                    let (send, receive) = mpsc::channel();
                    // Who would hear of them may have given up.
                    if begin.send(receive).is_err() {
                        break;
                    }
                    let report = boot.run(is_quiet, &|line| drop(send.send(Said::Line(line))));
                    drop(send.send(Said::Report(report)));
                }
            });
        }
        Self { begun }
    }

    /// Prints what they print, one after another, until the last has ended.
    pub fn collect(self, mut report: Report) -> Result<Report> {
        for receiver in self.begun {
            let mut ended = false;
            for said in receiver {
                match said {
                    Said::Line(line) => println!("{line}"),
                    Said::Report(its) => {
                        ended = true;
                        report.append(its);
                    }
                }
            }
            if !ended {
                bail!("the thread that ran a guest panicked");
            }
        }
        Ok(report)
    }
}

/// What comes from a running guest.
enum Said {
    /// A line for people to read.
    Line(String),
    /// Its last word.
    Report(Report),
}

/// How many tests the runner says it left out.
fn filtered_out(output: &str) -> u64 {
    let counts = output.lines().filter(|line| line.starts_with("test result: "));
    let count = |line: &str| line.split("; ").find_map(|part| part.strip_suffix(" filtered out")?.parse::<u64>().ok());
    counts.filter_map(count).sum()
}

fn join(suites: &[&Suite]) -> String {
    suites.iter().map(|suite| suite.test).collect::<Vec<_>>().join(", ")
}

fn on_guest(suites: &str, guest: &Guest) -> String {
    format!("{suites} on guest {}", guest.name)
}

/// A kernel, its root file system, and the suites in that.
pub struct Boot {
    guest: &'static Guest,
    kernel: kernels::Kernel,
    suites: Vec<&'static Suite>,
    initrd: PathBuf,
    extent: Extent,
}

impl Boot {
    fn prepare(
        guest: &'static Guest,
        kernel: kernels::Kernel,
        userland: &Userland,
        suites: &[&'static Suite],
        builder: &Builder,
        arguments: &str,
        extent: Extent,
    ) -> Result<Self> {
        let mut image = initramfs::Image::new(&kernel, userland, guest.machine.port(), guest.scale)?;
        image.program("/usr/bin/netstat-user", &builder.program()?)?;
        for suite in suites {
            image.suite(suite.test, &builder.suite(suite.test)?, suite.modules, arguments, suite.limit)?;
        }
        let folder = debian::folder().join("guests").join(guest.name);
        std::fs::create_dir_all(&folder)?;
        let initrd = folder.join("initrd");
        image.write(&initrd)?;
        Ok(Self { guest, kernel, suites: suites.to_vec(), initrd, extent })
    }
}

impl Bootable for Boot {
    fn run(&self, is_quiet: &OnceLock<()>, say: &dyn Fn(String)) -> Report {
        let mut report = Report::default();
        let (guest, release) = (self.guest, &self.kernel.release);
        let machine = guest.machine;
        let processors = if machine.processors == 1 {
            "one processor".to_owned()
        } else {
            format!("{} processors", machine.processors)
        };
        say(format!(
            "== {} on guest {}: Linux {release}, {}, {processors}, scale {}",
            join(&self.suites),
            guest.name,
            machine.arch.debian(),
            guest.scale
        ));
        // Booting, loading modules and powering off.
        let limit = Duration::from_secs(90 + self.suites.iter().map(|suite| suite.limit).sum::<u64>());
        let console = self.initrd.with_file_name("console.log");
        let terms = Terms { limit, is_quiet };
        let log = match qemu::boot(machine, &self.kernel.image, &self.initrd, None, &console, terms, say) {
            Ok(log) => log,
            Err(error) => {
                report.findings.failed(&on_guest(&join(&self.suites), guest), format_args!("{error:#}"));
                report.tally.failed += self.suites.len() as u64;
                return report;
            }
        };
        for suite in &self.suites {
            let outcome = log.outcome(suite.test);
            report.matrix.add(&outcome.output);
            report.findings.add(guest.name, &outcome.output);
            let mut tally = Tally::of(&outcome.output);
            // A suite that crashed or hung may not have counted what failed.
            if let Some(problem) = outcome.problem
                && tally.failed == 0
            {
                report.findings.failed(&on_guest(suite.test, guest), problem);
                tally.failed += 1;
            }
            let left = if self.extent == Extent::Short { filtered_out(&outcome.output) } else { 0 };
            if left > 0 {
                say(format!(
                    "skipped: {left} tests of {} on guest {}: `cargo xtask vm {0} {1}` runs them",
                    suite.test, guest.name
                ));
                tally.skipped += left;
            }
            report.tally += tally;
        }
        let busy = log.busy.map_or(String::new(), |busy| format!(", {} s of processor time", busy.as_secs()));
        say(format!("guest {}: {} s{busy}", guest.name, log.took.as_secs()));
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_runner_left_out_is_counted() {
        let line = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 17 filtered out; finished in 1.00s";
        assert_eq!(filtered_out(&format!("test a ... ok\n{line}\n{line}\n")), 34);
        assert_eq!(filtered_out("nothing"), 0);
    }
}
