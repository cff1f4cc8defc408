//! `cargo xtask release --dry-run`: what must hold before a version is released, each as a line. It changes and publishes nothing.

use crate::{check, dist, sh};
use anyhow::{Context, Result, bail};
use std::fs;
use std::process::{Command, ExitCode};

/// A check that returns what there is to say about it.
type Check = fn() -> Result<String>;

/// What is checked, in order, and by what.
const CHECKLIST: [(&str, Check); 8] = [
    ("everything is committed", committed),
    ("the version is no released one", version),
    ("CHANGELOG.md has changes of it", changes),
    ("every manifest has the workspace's version", manifests),
    ("cargo xtask check passes", || check::all().map(|()| String::new())),
    ("cargo package builds what would be published, the kernel objects included", crates),
    ("the packages of both architectures are built, and the same from another folder", packages),
    ("the digests of what is released", sums),
];

/// What a person does when all of it holds.
const BY_HAND: [&str; 6] = [
    "cargo xtask test: every suite, on every kernel; cargo xtask install-test, and with --arch aarch64",
    "CHANGELOG.md: name the version and the day, below an empty [Unreleased]; commit",
    "git tag --sign vVERSION, and push it",
    "cargo xtask dist --verify once more: packages name the commit that they are of",
    "cargo publish --package netstat-ebpf, then --package netstat-user",
    "publish what is in target/dist, SHA256SUMS signed",
];

pub fn run(args: &[String]) -> Result<ExitCode> {
    if args != ["--dry-run"] {
        bail!("release takes --dry-run, and does nothing else: what is left for a person to do is listed at its end");
    }
    let mut failed = 0;
    for (what, check) in CHECKLIST {
        match check() {
            Ok(detail) => println!("[x] {what}{}{detail}", if detail.is_empty() { "" } else { ": " }),
            Err(error) => {
                failed += 1;
                println!("[ ] {what}: {error:#}");
            }
        }
    }
    println!("\nby hand, in this order:");
    for step in BY_HAND {
        println!("[ ] {}", step.replace("VERSION", env!("CARGO_PKG_VERSION")));
    }
    println!("\n{} passed, {failed} failed", CHECKLIST.len() - failed);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn git(args: &[&str]) -> Result<String> {
    Ok(sh::output(Command::new("git").current_dir(sh::root()).args(args))?.trim().to_owned())
}

fn committed() -> Result<String> {
    let changed = git(&["status", "--porcelain"])?;
    if !changed.is_empty() {
        bail!("{} files are not as committed", changed.lines().count());
    }
    git(&["log", "-1", "--format=%h %s"])
}

fn version() -> Result<String> {
    let tag = concat!("v", env!("CARGO_PKG_VERSION"));
    if !git(&["tag", "--list", tag])?.is_empty() {
        bail!("there is a tag {tag} already: raise the version in Cargo.toml");
    }
    Ok(env!("CARGO_PKG_VERSION").to_owned())
}

fn changes() -> Result<String> {
    let text = fs::read_to_string(sh::root().join("CHANGELOG.md")).context("cannot read CHANGELOG.md")?;
    let (heading, entries) = dist::newest(&text).context("CHANGELOG.md has no entries")?;
    if heading != "[Unreleased]" && !heading.starts_with(concat!("[", env!("CARGO_PKG_VERSION"), "] - ")) {
        bail!("its first version is `{heading}`: it is [Unreleased], or [{}] - DATE", env!("CARGO_PKG_VERSION"));
    }
    Ok(format!("{} below {heading}", entries.lines().filter(|line| line.starts_with("- ")).count()))
}

fn manifests() -> Result<String> {
    for member in ["netstat-ebpf", "netstat-user", "xtask", "tests"] {
        let path = sh::root().join(member).join("Cargo.toml");
        let manifest = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let manifest: toml::Table = manifest.parse().with_context(|| format!("cannot parse {}", path.display()))?;
        let version = &manifest["package"]["version"];
        if version.get("workspace").is_none() {
            bail!("{member}/Cargo.toml has a version of its own, {version}");
        }
    }
    Ok(String::new())
}

/// Both crates as they would be published, built from their archives.
fn crates() -> Result<String> {
    let mut package = sh::cargo();
    package.args(["package", "--quiet", "--locked", "--package", "netstat-ebpf", "--package", "netstat-user"]);
    sh::output(&mut package)?;
    let mut list = sh::cargo();
    let files = sh::output(list.args(["package", "--list", "--quiet", "--package", "netstat-ebpf"]))?;
    let objects = files.lines().filter(|file| file.ends_with(".o")).count();
    if objects == 0 {
        bail!("netstat-ebpf would be published without the kernel objects");
    }
    Ok(format!("{objects} kernel objects"))
}

fn packages() -> Result<String> {
    dist::run(&["--verify".to_owned()]).map(|_| String::new())
}

fn sums() -> Result<String> {
    let sums = fs::read_to_string(dist::folder().join("SHA256SUMS")).context("there are none")?;
    Ok(format!("{} files in target/dist/SHA256SUMS", sums.lines().count()))
}
