//! What builds packages: programs of crates.io, and zig, which PyPI has.

use crate::{apt, sh};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiler driver that knows the symbols of every version of the GNU C library.
const ZIG: &str = "0.17.1";

/// Builds with zig as the linker.
///
/// # Errors
/// It is missing and cannot be installed; so for the others.
pub fn zigbuild() -> Result<PathBuf> {
    program("cargo-zigbuild", "0.24.1")
}

/// Makes a .deb.
pub fn deb() -> Result<PathBuf> {
    program("cargo-deb", "3.8.0")
}

fn folder() -> PathBuf {
    sh::root().join("target/tools")
}

/// A program of a crate of that name, installed below `target/tools` where neither that nor cargo's own folder has it. The version is the one
/// that was tried; another one that is there will do.
fn program(name: &str, version: &str) -> Result<PathBuf> {
    let ours = folder().join("bin").join(name);
    if let Some(path) = sh::which(name).or_else(|| ours.is_file().then(|| ours.clone())) {
        return Ok(path);
    }
    eprintln!("installing {name} {version}: this takes some minutes, once");
    let mut install = Command::new("cargo");
    // They run for a second each: to optimize them takes longer than it saves.
    sh::plain(&mut install).env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    install.env("CARGO_TARGET_DIR", folder().join("build"));
    sh::run(install.args(["install", "--quiet", "--locked", "--version", version, "--root"]).arg(folder()).arg(name))?;
    Ok(ours)
}

/// zig itself, from PyPI.
pub fn zig() -> Result<PathBuf> {
    let tree = folder().join(format!("zig-{ZIG}"));
    let zig = tree.join("ziglang/zig");
    if !zig.is_file() {
        if !pip().is_ok_and(|pip| pip.status.success()) {
            apt::install(&["python3-pip"])?;
        }
        eprintln!("installing zig {ZIG} from PyPI: 100 MB");
        let mut install = Command::new("python3");
        install.args(["-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check", "--target"]);
        sh::run(install.arg(&tree).arg(format!("ziglang=={ZIG}")))?;
    }
    Ok(zig)
}

fn pip() -> std::io::Result<std::process::Output> {
    Command::new("python3").args(["-m", "pip", "--version"]).output()
}

/// A folder that a tool may write to and that stays between builds.
pub fn cache(name: &str) -> PathBuf {
    Path::new(&folder()).join(name)
}
