//! `cargo xtask dist`: what people install, for each architecture, in `target/dist`: the program against an old C library, a .deb, an
//! .rpm, a .tar.gz, the licences of all that is linked into it, and the sums of these files.
//!
//! The same commit gives the same bytes in any folder: paths are mapped away, and every date is the commit's. `--verify` builds it all a
//! second time, in another folder, and compares.

#[cfg(test)]
mod build_script;
mod compile;
mod content;
mod floor;
mod licences;
mod packages;
mod rpm;
#[cfg(test)]
mod sandbox;
mod stamp;
mod tools;
mod tree;
#[cfg(test)]
mod unit;

use crate::{apt, sh};
use anyhow::{Context, Result, bail};
pub use content::newest;
use sha2::{Digest, Sha256};
use stamp::Stamp;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Rust's name of the architecture.
    pub arch: &'static str,
    /// Rust's name of the target.
    pub triple: &'static str,
    /// Debian's name of the architecture.
    pub debian: &'static str,
    /// The oldest version of the GNU C library that the program runs with.
    pub glibc: (u32, u32),
}

/// Every architecture there is a kernel object for.
pub const TARGETS: [Target; 2] = [
    Target { arch: "x86_64", triple: "x86_64-unknown-linux-gnu", debian: "amd64", glibc: (2, 17) },
    Target { arch: "aarch64", triple: "aarch64-unknown-linux-gnu", debian: "arm64", glibc: (2, 17) },
];

/// Where everything ends up.
pub fn folder() -> PathBuf {
    sh::root().join("target/dist")
}

/// The .deb for an architecture, once it is built.
pub fn deb(target: &Target) -> PathBuf {
    folder().join(format!("netstat-user_{}-1_{}.deb", env!("CARGO_PKG_VERSION"), target.debian))
}

/// The .tar.gz for an architecture, once it is built.
pub fn archive(target: &Target) -> PathBuf {
    folder().join(format!("netstat-user-{}-{}.tar.gz", env!("CARGO_PKG_VERSION"), target.arch))
}

pub fn run(args: &[String]) -> Result<ExitCode> {
    let (mut only, mut verify) = (None, false);
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--verify" => verify = true,
            "--arch" => {
                let name = words.next().context("--arch takes x86_64 or aarch64")?;
                let found = TARGETS.iter().find(|target| target.arch == name);
                only = Some(found.with_context(|| format!("--arch {name}: it is x86_64 or aarch64"))?);
            }
            word => bail!("dist takes nothing but --arch and --verify: {word}"),
        }
    }
    let targets: Vec<_> = TARGETS.iter().filter(|target| only.is_none_or(|only| only == *target)).collect();
    let sums = build(&targets)?;
    print!("{sums}");
    if verify {
        again(&sums, only)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds everything for these targets, and returns the sums as sha256sum(1) prints them.
pub fn build(targets: &[&Target]) -> Result<String> {
    apt::install(apt::DIST)?;
    let stamp = Stamp::get()?;
    if stamp.changed {
        eprintln!("dist: the tree has changes that are not committed: --version names the commit before them");
    }
    let folder = folder();
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    content::gather(&compile::program(content::host(&TARGETS)?, &stamp)?, &stamp)?;
    fs::copy(content::folder().join("doc/THIRD-PARTY-LICENSES.txt"), folder.join("THIRD-PARTY-LICENSES.txt"))?;
    for target in targets {
        let program = compile::program(target, &stamp)?;
        let (needs, most) = (floor::check(&program, target.glibc)?, target.glibc);
        println!("{}: needs glibc {}.{} (at most {}.{})", target.triple, needs.0, needs.1, most.0, most.1);
        packages::all(target, &program, &stamp)?;
    }
    let sums = sums(&folder)?;
    fs::write(folder.join("SHA256SUMS"), &sums)?;
    Ok(sums)
}

/// What the install test takes.
pub struct Packages {
    /// The .deb.
    pub deb: PathBuf,
    /// The .tar.gz.
    pub archive: PathBuf,
}

/// Those in target/dist.
pub fn packages(target: &Target) -> Packages {
    Packages { deb: deb(target), archive: archive(target) }
}

/// Those of the release build that lies in target/release, made in a moment.
///
/// # Errors
/// There is no such build, or cargo-deb fails.
pub fn quick() -> Result<Packages> {
    apt::install(apt::DIST)?;
    let stamp = Stamp::get()?;
    let program = sh::root().join("target/release/netstat-user");
    content::gather(&program, &stamp)?;
    let folder = sh::root().join("target/dist-quick");
    fs::create_dir_all(&folder)?;
    let made = Packages { deb: folder.join("netstat-user.deb"), archive: folder.join("netstat-user.tar.gz") };
    packages::quick_deb(&made.deb, &stamp)?;
    packages::tar(&made.archive, content::host(&TARGETS)?, &program, &stamp)?;
    Ok(made)
}

/// Builds the commit a second time, from a copy in another folder, and fails on the first file that differs.
fn again(sums: &str, only: Option<&Target>) -> Result<()> {
    let copy = std::env::temp_dir().join(format!("netstat-user-dist-{}", std::process::id()));
    let mut status = Command::new("git");
    status.args(["status", "--porcelain"]).current_dir(sh::root());
    if !sh::output(&mut status)?.is_empty() {
        bail!("the second build is of the last commit: commit what has changed first");
    }
    let result = (|| {
        println!("building again in {}", copy.display());
        sh::run(Command::new("git").args(["clone", "--quiet", "--no-hardlinks"]).arg(sh::root()).arg(&copy))?;
        // The tools of the first build: only what they make is compared.
        fs::create_dir_all(copy.join("target/vm/arm64"))?;
        for shared in ["target/tools", "target/vm/apt"] {
            if sh::root().join(shared).is_dir() {
                std::os::unix::fs::symlink(sh::root().join(shared), copy.join(shared))?;
            }
        }
        let mut cargo = Command::new("cargo");
        sh::plain(&mut cargo).current_dir(&copy).args(["xtask", "dist"]);
        if let Some(only) = only {
            cargo.args(["--arch", only.arch]);
        }
        sh::run(&mut cargo)?;
        let second = fs::read_to_string(copy.join("target/dist/SHA256SUMS")).context("the second build has no sums")?;
        sums.lines().filter(|one| !second.contains(one)).for_each(|one| eprintln!("- {one}"));
        second.lines().filter(|two| !sums.contains(two)).for_each(|two| eprintln!("+ {two}"));
        if sums != second {
            bail!("two builds of one commit differ, as shown above");
        }
        println!("the same {} files in both folders", sums.lines().count());
        Ok(())
    })();
    let _ = fs::remove_dir_all(&copy);
    result
}

fn sums(folder: &Path) -> Result<String> {
    let mut names: Vec<_> = fs::read_dir(folder)?.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    let mut text = String::new();
    for name in names {
        let bytes = fs::read(folder.join(&name))?;
        let hex: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        text.push_str(&format!("{hex}  {}\n", name.to_string_lossy()));
    }
    Ok(text)
}
