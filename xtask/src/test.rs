//! `cargo xtask test`: the one test command. It installs what it needs, runs every check and every suite, the kernel matrix
//! included, and closes with one line that counts them all.

use crate::install::Installation;
use crate::tally::{Findings, Tally};
use crate::vm::matrix::Matrix;
use crate::{apt, check, dist, ebpf, install, sh, vm};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::Instant;

pub fn run(args: &[String]) -> Result<ExitCode> {
    let with_vm = match args {
        [] => true,
        [flag] if flag == "--no-vm" => false,
        _ => bail!("test takes nothing but --no-vm"),
    };
    let start = Instant::now();
    let mut all = vm::Report::default();

    heading("packages");
    let packages = apt::install(&[apt::TESTS, apt::VM].concat());
    if let Err(error) = &packages {
        // The suites say themselves what they cannot do without.
        println!("{error:#}");
    }

    heading("check and build");
    let binary = sh::root().join("target/release/netstat-user");
    // One processor optimises the whole program in the end: the checks have the others.
    let built = std::thread::scope(|scope| {
        let build = ["build", "--release", "--package", "netstat-user"];
        let building = scope.spawn(move || sh::run(sh::cargo().args(build)));
        all.judge("check", check::all());
        building.join()
    });
    match built {
        Ok(built) => built.context("nothing to test")?,
        Err(_) => bail!("the thread that built the program panicked"),
    }

    heading("suites");
    // The suites mostly wait: what else has to be built is built beside them, and machines are emulated, with less claim to the processor.
    let (ready, machines) = mpsc::channel();
    let is_quiet = OnceLock::new();
    let (sum, report, beside) = std::thread::scope(|scope| {
        let (ready, binary) = (ready, &binary);
        let beside = scope.spawn(move || Beside::prepare(with_vm, binary, &ready));
        let booting = vm::Booting::begin(scope, machines, &is_quiet);
        let noise = Noise(&is_quiet);
        let sum = suites(binary, &mut all.matrix, &mut all.findings);
        drop(noise);
        heading("kernel matrix");
        (sum, booting.collect(vm::Report::default()), beside.join())
    });
    match sum {
        Ok(sum) => all.tally += sum,
        Err(error) => all.judge("suites", Err(error)),
    }
    let Ok(Beside { prepared, object }) = beside else {
        bail!("the thread that made the emulated machines ready panicked")
    };
    for report in [report, prepared] {
        match report {
            Ok(report) => all.append(report),
            Err(error) => all.judge("emulated machines", Err(error)),
        }
    }
    if !with_vm {
        println!("skipped: kernels under emulation: --no-vm was given");
        println!("skipped: an emulated Debian with systemd: --no-vm was given");
        all.tally += Tally::SKIPPED;
        all.tally += Tally::SKIPPED;
    }
    print!("{}", all.matrix);
    let judged = all.matrix.judge();
    all.judge("the kernel matrix", judged);

    heading("kernel object");
    match object {
        Ok(ebpf::Verified::Unknown(reason)) => {
            println!("skipped: rebuilding the kernel object: {reason}");
            all.tally += Tally::SKIPPED;
        }
        Ok(ebpf::Verified::Same) => {
            println!("a rebuild gives the same bytes");
            all.tally += Tally::one(true);
        }
        Err(error) => all.judge("kernel object", Err(error)),
    }

    println!("\nin {} s", start.elapsed().as_secs());
    print!("{}", all.findings);
    println!("{}", all.tally);
    Ok(if all.tally.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn heading(name: &str) {
    println!("\n== {name}");
}

/// The suites run until this is dropped, also where they panic.
struct Noise<'q>(&'q OnceLock<()>);

impl Drop for Noise<'_> {
    fn drop(&mut self) {
        self.0.get_or_init(|| ());
    }
}

/// What is done beside the suites.
struct Beside {
    /// What cannot be booted.
    prepared: Result<vm::Report>,
    object: Result<ebpf::Verified>,
}

impl Beside {
    fn prepare(with_vm: bool, binary: &Path, ready: &vm::ReadyMachines) -> Self {
        // As little claim as there is, for this thread and what it starts. They are made ready all the same where that is refused.
        let _ = rustix::process::setpriority_process(None, 19);
        let prepared = if with_vm { Self::machines(binary, ready) } else { Ok(vm::Report::default()) };
        Self { prepared, object: ebpf::verify() }
    }

    /// The guests of the matrix, and the machine that packages are installed on.
    fn machines(binary: &Path, ready: &vm::ReadyMachines) -> Result<vm::Report> {
        vm::prepare(&[], vm::Extent::Short, binary, ready, || {
            let mut report = vm::Report::default();
            match Self::installation() {
                // Who would boot it may have given up.
                Ok(Some(installation)) => drop(ready.send(Box::new(installation))),
                Ok(None) => report.tally += Tally::SKIPPED,
                Err(error) => report.judge("installation", Err(error)),
            }
            report
        })
    }

    /// `None` where that cannot be had here.
    fn installation() -> Result<Option<Installation>> {
        match dist::quick() {
            Ok(packages) => install::prepare(&dist::TARGETS[0], &packages),
            Err(error) => {
                println!("skipped: no package to install: {error:#}");
                Ok(None)
            }
        }
    }
}

/// Every test of the workspace: one `cargo test`, which goes on after a failing target.
fn suites(binary: &Path, matrix: &mut Matrix, findings: &mut Findings) -> Result<Tally> {
    let mut cargo = sh::cargo();
    cargo.env("NETSTAT_USER_BIN", binary);
    // A test that cannot run here says so on its output, which libtest shows only when asked.
    cargo.args(["test", "--workspace", "--no-fail-fast", "--", "--show-output"]);
    let (output, success) = watched(&mut cargo)?;
    matrix.add(&output);
    findings.add("here", &output);
    let mut tally = Tally::of(&output);
    if !success && tally.failed == 0 {
        findings.failed(&sh::shown(&cargo), "a test target did not build, or ended without counting its tests");
        tally.failed += 1;
    }
    Ok(tally)
}

/// Runs with no input, printing standard output as it comes, and returns it.
fn watched(command: &mut Command) -> Result<(String, bool)> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let mut output = String::new();
    let mut reader = BufReader::new(child.stdout.take().context("cargo has no output")?);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        output.push_str(&text);
        line.clear();
    }
    Ok((output, child.wait()?.success()))
}
