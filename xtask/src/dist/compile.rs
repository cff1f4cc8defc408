//! The program, against an old C library: zig links it, which knows the symbols of every version of that. For aarch64 Debian's rustc
//! compiles it, since rustup has that architecture's standard library from the network only.

use super::Target;
use super::stamp::Stamp;
use super::tools;
use crate::sh;
use crate::vm::cross;
use crate::vm::debian::Apt;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the program for this target, and returns where it is.
///
/// # Errors
/// What is missing to build it, or what the compiler says.
pub fn program(target: &Target, stamp: &Stamp) -> Result<PathBuf> {
    let target_dir = sh::root().join("target/dist-build");
    let mut build = Command::new(tools::zigbuild()?);
    sh::plain(&mut build).env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    let mut flags = remaps()?;
    if target.arch == "aarch64" {
        let sysroot = cross::sysroot(&Apt::open())?;
        build.env("RUSTC", cross::RUSTC).env("CARGO", cross::CARGO);
        flags.push(format!("--sysroot={}", sysroot.display()));
    }
    let (major, minor) = target.glibc;
    build
        .current_dir(sh::root())
        .env("CARGO_ZIGBUILD_ZIG_PATH", tools::zig()?)
        .env("CARGO_ZIGBUILD_CACHE_DIR", tools::cache("zigbuild"))
        .env("CARGO_TARGET_DIR", &target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("SOURCE_DATE_EPOCH", stamp.epoch.to_string())
        .env("NETSTAT_USER_COMMIT", &stamp.commit)
        // As packages of distributions are.
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        .args(["zigbuild", "--quiet", "--release", "--locked", "--package", "netstat-user"])
        .args(["--target", &format!("{}.{major}.{minor}", target.triple)]);
    eprintln!("building for {}", target.triple);
    sh::run(&mut build)?;
    Ok(target_dir.join(target.triple).join("release/netstat-user"))
}

/// No path of this machine gets into the program: not the workspace's, nor where cargo unpacks packages, which names the registry.
fn remaps() -> Result<Vec<String>> {
    let mut flags = vec![format!("--remap-path-prefix={}=/netstat-user", sh::root().display())];
    let sources = cargo_home()?.join("registry/src");
    for registry in fs::read_dir(&sources).into_iter().flatten().flatten() {
        flags.push(format!("--remap-path-prefix={}=/crates", registry.path().display()));
    }
    Ok(flags)
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = std::env::var_os("HOME").context("neither CARGO_HOME nor HOME is set")?;
    Ok(Path::new(&home).join(".cargo"))
}
