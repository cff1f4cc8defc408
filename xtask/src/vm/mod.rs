//! `cargo xtask vm`: the suites on other kernels, under emulation, with an initramfs of our own binary and tests.

mod initramfs;
mod kernels;
pub mod matrix;
mod qemu;

use crate::tally::Tally;
use crate::{apt, sh};
use anyhow::{Context, Result, bail};
use kernels::Flavour;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// A test target of the `netstat-tests` package, and where it runs. A new suite on other kernels is a row here.
struct Suite {
    /// Name of the test target: `tests/tests/NAME.rs`.
    test: &'static str,
    /// Kernel series, as in [`kernels::SERIES`].
    series: &'static [&'static str],
    /// The cloud flavour boots faster; the full one has more modules.
    flavour: Flavour,
    /// Modules to load before, by file name without suffix.
    modules: &'static [&'static str],
    /// Seconds the suite may take there. Emulation is some ten times slower than the machine.
    limit: u64,
}

const SUITES: &[Suite] = &[
    Suite { test: "live", series: &["6.1", "6.12"], flavour: Flavour::Cloud, modules: &[], limit: 900 },
    Suite { test: "snapshot", series: &["6.1", "6.12"], flavour: Flavour::Cloud, modules: &["veth"], limit: 300 },
    Suite { test: "agent", series: &["6.1", "6.12"], flavour: Flavour::Cloud, modules: &["veth"], limit: 900 },
    Suite { test: "packet_radio", series: &["6.1"], flavour: Flavour::Full, modules: &["ax25", "netrom"], limit: 120 },
];

/// What the emulated kernels said.
#[derive(Default)]
pub struct Report {
    pub tally: Tally,
    pub matrix: matrix::Matrix,
}

pub fn run(args: &[String]) -> Result<ExitCode> {
    apt::install(apt::VM)?;
    sh::run(sh::cargo().args(["build", "--release", "--package", "netstat-user"]))?;
    let report = boot_all(args, &sh::root().join("target/release/netstat-user"))?;
    print!("{}", report.matrix);
    println!("{}", report.tally);
    Ok(if report.tally.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Boots each kernel that a suite wants; `only` limits it to suites or series of those names (all, if empty).
pub fn boot_all(only: &[String], binary: &Path) -> Result<Report> {
    let known =
        |word: &String| SUITES.iter().any(|suite| suite.test == word) || kernels::SERIES.contains(&word.as_str());
    if let Some(unknown) = only.iter().find(|word| !known(word)) {
        bail!("vm knows no suite and no kernel series `{unknown}`");
    }
    let chosen = |word: &str, among: &[&str]| {
        let named: Vec<_> = only.iter().filter(|name| among.contains(&name.as_str())).collect();
        named.is_empty() || named.iter().any(|name| *name == word)
    };
    let names: Vec<_> = SUITES.iter().map(|suite| suite.test).collect();
    let mut report = Report::default();
    let mut guests = Vec::new();
    for series in kernels::SERIES.iter().filter(|series| chosen(series, kernels::SERIES)) {
        let mut boots = Vec::new();
        for flavour in [Flavour::Cloud, Flavour::Full] {
            let suites: Vec<&Suite> = SUITES
                .iter()
                .filter(|suite| suite.series.contains(series) && suite.flavour == flavour && chosen(suite.test, &names))
                .collect();
            if suites.is_empty() {
                continue;
            }
            let kernel = match kernels::get(series, flavour) {
                Ok(kernel) => kernel,
                Err(error) => {
                    println!("skipped: {} on Linux {series}: {error:#}", join(&suites));
                    report.tally.skipped += suites.len() as u64;
                    continue;
                }
            };
            match Boot::prepare(kernel, &suites, binary) {
                Ok(boot) => boots.push(boot),
                Err(error) => {
                    println!("failed: {} on Linux {series}: {error:#}", join(&suites));
                    report.tally.failed += suites.len() as u64;
                }
            }
        }
        guests.push(boots);
    }
    // A guest has one processor: all series run at the same time. What they print comes one after another all the same.
    thread::scope(|scope| {
        let running: Vec<_> = guests
            .iter()
            .map(|boots| {
                let (tell, told) = mpsc::channel();
                let guest = scope.spawn(move || {
                    let mut report = Report::default();
                    boots.iter().for_each(|boot| boot.run(&tell, &mut report));
                    report
                });
                (told, guest)
            })
            .collect();
        for (told, guest) in running {
            told.iter().for_each(|line| println!("{line}"));
            let Ok(its) = guest.join() else { bail!("the thread that ran a guest panicked") };
            report.tally += its.tally;
            report.matrix.append(its.matrix);
        }
        Ok(report)
    })
}

fn join(suites: &[&Suite]) -> String {
    suites.iter().map(|suite| suite.test).collect::<Vec<_>>().join(", ")
}

/// A kernel, its root file system, and the suites in that.
struct Boot<'a> {
    kernel: kernels::Kernel,
    suites: Vec<&'a Suite>,
    initrd: PathBuf,
}

impl<'a> Boot<'a> {
    fn prepare(kernel: kernels::Kernel, suites: &[&'a Suite], binary: &Path) -> Result<Self> {
        let mut image = initramfs::Image::new(&kernel)?;
        image.program("/usr/bin/netstat-user", binary)?;
        for suite in suites {
            image.suite(suite.test, &test_binary(suite.test)?, suite.modules, suite.limit)?;
        }
        let folder = kernels::folder().join(&kernel.release);
        std::fs::create_dir_all(&folder)?;
        let initrd = folder.join("initrd");
        image.write(&initrd)?;
        Ok(Self { kernel, suites: suites.to_vec(), initrd })
    }

    /// Boots it and adds what its suites find; `tell` gets every line for people to read.
    fn run(&self, tell: &mpsc::Sender<String>, report: &mut Report) {
        // Nobody stops listening before this ends.
        let say = |line: String| drop(tell.send(line));
        say(format!("== {} on Linux {}", join(&self.suites), self.kernel.release));
        // Booting, loading modules and powering off.
        let limit = Duration::from_secs(90 + self.suites.iter().map(|suite| suite.limit).sum::<u64>());
        let console = self.initrd.with_file_name("console.log");
        let log = match qemu::boot(&self.kernel.image, &self.initrd, &console, limit, &say) {
            Ok(log) => log,
            Err(error) => {
                say(format!("failed: {} on Linux {}: {error:#}", join(&self.suites), self.kernel.release));
                report.tally.failed += self.suites.len() as u64;
                return;
            }
        };
        for suite in &self.suites {
            let outcome = log.outcome(suite.test);
            report.matrix.add(&outcome.output);
            let mut tally = Tally::of(&outcome.output);
            // A suite that crashed or hung may not have counted what failed.
            if let Some(problem) = outcome.problem
                && tally.failed == 0
            {
                say(format!("failed: {} on Linux {}: {problem}", suite.test, self.kernel.release));
                tally.failed += 1;
            }
            report.tally += tally;
        }
    }
}

/// Builds the test target and finds its executable.
fn test_binary(test: &str) -> Result<PathBuf> {
    let lines = sh::output(sh::cargo().args([
        "test",
        "--no-run",
        "--quiet",
        "--package",
        "netstat-tests",
        "--test",
        test,
        "--message-format=json",
    ]))?;
    // One JSON object per line; the only one with an executable is the target asked for.
    let key = "\"executable\":\"";
    let path = lines.lines().find_map(|line| {
        let start = line.find(key)? + key.len();
        line[start..].split('"').next()
    });
    path.map(PathBuf::from).with_context(|| format!("cargo built no executable for the test target {test}"))
}
