//! `cargo xtask check`: what must hold before a change is proposed, apart from the tests.

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
    problems.extend(names::shared(&sh::root().join("netstat-user/src"))?);
    problems.extend(mutants::problems(sh::root())?);
    if let Err(error) = digest::check() {
        problems.push(format!("{error:#}"));
    }
    if let Err(error) = published() {
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
    deny()?;
    match problems.len() {
        0 => Ok(()),
        1 => bail!("1 problem, named above"),
        count => bail!("{count} problems, named above"),
    }
}

/// The crate that is published holds the kernel objects: they lie in another folder, and links bring them in.
fn published() -> Result<()> {
    let mut package = sh::cargo();
    package.args(["package", "--list", "--quiet", "--offline", "--allow-dirty", "--package", "netstat-user"]);
    let files = sh::output(&mut package)?;
    for object in &digest::OBJECTS {
        let name = object.path.rsplit('/').next().unwrap_or_default();
        if !files.lines().any(|file| file == format!("objects/{name}")) {
            bail!("cargo package leaves out {name}: link it below netstat-user/objects");
        }
    }
    Ok(())
}

/// Licences, doubled and wild dependencies, and where packages come from. Asks no network.
fn deny() -> Result<()> {
    if sh::which("cargo-deny").is_none() {
        eprintln!(
            "check: skipped: licences and sources of the dependencies: `cargo install --locked cargo-deny` brings what reads them"
        );
        return Ok(());
    }
    let config = sh::root().join("xtask/deny.toml");
    let mut deny = sh::cargo();
    deny.args(["deny", "--offline", "--log-level", "error", "--config"]).arg(config);
    sh::run(deny.args(["check", "licenses", "bans", "sources"]))
}
