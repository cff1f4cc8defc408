//! `cargo xtask fuzz`: each target of `fuzz/` for a while, from real captures.
//!
//! The seeds are the tables this machine shows at the moment, the trees of `tests/golden`, and what is committed below
//! `fuzz/corpus/TARGET`. What libFuzzer adds goes below `target/fuzz/corpus`; an input that breaks a target is left where
//! cargo-fuzz says, below `fuzz/artifacts`.

use crate::sh;
use crate::tally::Tally;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Files that our parsers read on a live machine.
const CAPTURED: &[&str] = &[
    "/proc/self/net",
    "/proc/self/stat",
    "/proc/self/status",
    "/etc/passwd",
    "/etc/services",
    "/etc/protocols",
    "/etc/networks",
    "/etc/hosts",
    "/etc/nsswitch.conf",
];
const DEFAULT_SECONDS: u64 = 60;

pub fn run(args: &[String]) -> Result<ExitCode> {
    let (seconds, only) = match args {
        [] => (DEFAULT_SECONDS, None),
        [seconds] => (seconds.parse().with_context(|| format!("{seconds} is not a number of seconds"))?, None),
        [seconds, target] => {
            (seconds.parse().with_context(|| format!("{seconds} is not a number of seconds"))?, Some(target))
        }
        _ => bail!("fuzz takes a number of seconds, and a target's name"),
    };
    if !sh::root().join("fuzz/Cargo.toml").is_file() {
        bail!("there is no fuzz/Cargo.toml");
    }
    let cargo_fuzz = || {
        let mut cargo = sh::cargo();
        // The sanitizers' flags are nightly ones; the stable toolchain has their runtime all the same.
        cargo.env("RUSTC_BOOTSTRAP", "1").arg("fuzz");
        cargo
    };
    if sh::output(cargo_fuzz().arg("--version")).is_err() {
        sh::run(sh::cargo().args(["install", "cargo-fuzz", "--locked"]))?;
    }
    let targets = sh::output(cargo_fuzz().arg("list"))?;
    let targets: Vec<_> = targets.lines().filter(|name| only.is_none_or(|only| only == name)).collect();
    if targets.is_empty() {
        bail!("no such fuzz target");
    }
    let captures = capture()?;
    let mut tally = Tally::default();
    for target in targets {
        println!("\n== {target}, {seconds} s");
        let corpus = sh::root().join("target/fuzz/corpus").join(target);
        fs::create_dir_all(&corpus)?;
        let committed = sh::root().join("fuzz/corpus").join(target);
        let seeds = [captures.clone(), sh::root().join("tests/golden"), sh::root().join("tests/fixtures"), committed];
        let mut run = cargo_fuzz();
        run.args(["run", "--features", "fuzzing", "--target-dir"])
            .arg(sh::root().join("target/fuzz"))
            .arg(target)
            .arg(&corpus);
        run.args(seeds.iter().filter(|dir| dir.is_dir()));
        // Twice the length of any table here: longer inputs only slow it down.
        run.args(["--", "-timeout=10", "-max_len=65536", "-print_final_stats=1"])
            .arg(format!("-max_total_time={seconds}"));
        let fine = run.status().context("cannot run cargo fuzz")?.success();
        if !fine {
            println!("failed: {target}: the input is named above");
        }
        tally += Tally::one(fine);
    }
    println!("{tally}");
    Ok(if tally.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Copies this machine's tables below `target/fuzz`.
fn capture() -> Result<PathBuf> {
    let folder = sh::root().join("target/fuzz/captures");
    fs::create_dir_all(&folder)?;
    for path in CAPTURED.iter().map(Path::new) {
        let files: Vec<PathBuf> = match fs::read_dir(path) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
            Err(_) => vec![path.to_owned()],
        };
        for file in files {
            // Some are folders, some may not be read, some are not there: whatever can be had.
            if let (Ok(bytes), Some(name)) = (fs::read(&file), file.file_name()) {
                fs::write(folder.join(name), bytes)?;
            }
        }
    }
    Ok(folder)
}
