//! `cargo xtask check`: what must hold before a change is proposed, apart from the tests.

mod packages;

use crate::{digest, layers, mutants, names, sh};
use anyhow::{Result, bail};
use std::process::ExitCode;

pub fn run(args: &[String]) -> Result<ExitCode> {
    if !args.is_empty() {
        bail!("check takes no arguments");
    }
    all()?;
    Ok(ExitCode::SUCCESS)
}

/// Everything the command checks.
pub fn all() -> Result<()> {
    // All cheap checks speak before the first failure ends the command.
    let mut problems = layers::breaches(sh::root())?;
    problems.extend(names::shared(sh::root(), &["netstat-user/src", "netstat-ebpf/src"])?);
    problems.extend(mutants::problems(sh::root())?);
    if let Err(error) = digest::check() {
        problems.push(format!("{error:#}"));
    }
    if let Err(error) = packages::published() {
        problems.push(format!("{error:#}"));
    }
    for problem in &problems {
        eprintln!("check: {problem}");
    }
    sh::run(sh::cargo().args(["fmt", "--all", "--check"]))?;
    sh::run(sh::cargo().args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    // The targets link libFuzzer, which need not be built to check them: nothing is linked here.
    sh::run(sh::cargo().env("CUSTOM_LIBFUZZER_PATH", sh::root().join("target/libFuzzer.a")).args([
        "clippy",
        "--quiet",
        "--package",
        "netstat-fuzz",
        "--features",
        "fuzzing",
        "--bins",
        "--",
        "-D",
        "warnings",
    ]))?;
    sh::run(sh::cargo().env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links").args([
        "doc",
        "--quiet",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ]))?;
    packages::deny()?;
    match problems.len() {
        0 => Ok(()),
        1 => bail!("1 problem, named above"),
        count => bail!("{count} problems, named above"),
    }
}
