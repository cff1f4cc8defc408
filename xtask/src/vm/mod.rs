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
    for series in kernels::SERIES.iter().filter(|series| chosen(series, kernels::SERIES)) {
        for flavour in [Flavour::Cloud, Flavour::Full] {
            let suites: Vec<&Suite> = SUITES
                .iter()
                .filter(|suite| suite.series.contains(series) && suite.flavour == flavour && chosen(suite.test, &names))
                .collect();
            if suites.is_empty() {
                continue;
            }
            match kernels::get(series, flavour) {
                Ok(kernel) => {
                    if let Err(error) = boot(&kernel, &suites, binary, &mut report) {
                        println!("failed: {} on Linux {}: {error:#}", join(&suites), kernel.release);
                        report.tally.failed += suites.len() as u64;
                    }
                }
                Err(error) => {
                    println!("skipped: {} on Linux {series}: {error:#}", join(&suites));
                    report.tally.skipped += suites.len() as u64;
                }
            }
        }
    }
    Ok(report)
}

fn join(suites: &[&Suite]) -> String {
    suites.iter().map(|suite| suite.test).collect::<Vec<_>>().join(", ")
}

fn boot(kernel: &kernels::Kernel, suites: &[&Suite], binary: &Path, report: &mut Report) -> Result<()> {
    println!("== {} on Linux {}", join(suites), kernel.release);
    let mut image = initramfs::Image::new(kernel)?;
    image.program("/usr/bin/netstat-user", binary)?;
    for suite in suites {
        image.suite(suite.test, &test_binary(suite.test)?, suite.modules, suite.limit)?;
    }
    let folder = kernels::folder().join(&kernel.release);
    std::fs::create_dir_all(&folder)?;
    let initrd = folder.join("initrd");
    image.write(&initrd)?;
    // Booting, loading modules and powering off.
    let limit = Duration::from_secs(90 + suites.iter().map(|suite| suite.limit).sum::<u64>());
    let log = qemu::boot(&kernel.image, &initrd, &folder.join("console.log"), limit)?;
    for suite in suites {
        let outcome = log.outcome(suite.test);
        report.matrix.add(&outcome.output);
        let mut tally = Tally::of(&outcome.output);
        // A suite that crashed or hung may not have counted what failed.
        if let Some(problem) = outcome.problem
            && tally.failed == 0
        {
            println!("failed: {} on Linux {}: {problem}", suite.test, kernel.release);
            tally.failed += 1;
        }
        report.tally += tally;
    }
    Ok(())
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
