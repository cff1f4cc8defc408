//! Builds our executables for a guest's architecture. For aarch64 Debian's rustc gets that architecture's standard library from an
//! unpacked package, so that the system needs no foreign architecture; what links is Debian's cross compiler.

use super::debian::{Apt, Arch, folder};
use crate::{apt, sh};
use anyhow::{Context, Result, anyhow};
use std::path::{Path, PathBuf};
use std::process::Command;

pub const RUSTC: &str = "/usr/bin/rustc";
pub const CARGO: &str = "/usr/bin/cargo";
const TARGET: &str = "aarch64-unknown-linux-gnu";
const LINKER: &str = "aarch64-linux-gnu-gcc";

/// What builds for one architecture.
pub enum Builder {
    /// The cargo that runs us, and the program it has built already.
    Host(PathBuf),
    /// Debian's, with this folder as the root of the target's libraries.
    Aarch64(PathBuf),
}

impl Builder {
    /// `binary` is the program as built for this machine.
    ///
    /// # Errors
    /// A package that is needed cannot be had.
    pub fn get(arch: Arch, binary: &Path, private: &Result<Apt>) -> Result<Self> {
        if arch == Arch::Amd64 {
            return Ok(Self::Host(binary.to_owned()));
        }
        Ok(Self::Aarch64(sysroot(private)?))
    }

    /// The program under test.
    pub fn program(&self) -> Result<PathBuf> {
        match self {
            Self::Host(binary) => Ok(binary.clone()),
            Self::Aarch64(_) => {
                // Without optimisation of the whole program, which is one long step on one processor: the emulated machine spends its time in the kernel.
                let mut build = self.cargo("build");
                build.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
                sh::run(build.args(["--release", "--package", "netstat-user"]))?;
                Ok(target_dir().join(TARGET).join("release/netstat-user"))
            }
        }
    }

    /// The executable of a test target.
    pub fn suite(&self, test: &str) -> Result<PathBuf> {
        let lines = sh::output(self.cargo("test").args([
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
        let path = path.map(PathBuf::from);
        self.strip(&path.with_context(|| format!("cargo built no executable for the test target {test}"))?)
    }

    /// The executable without what only a debugger reads, which is most of it and would fill the guest's memory.
    fn strip(&self, executable: &Path) -> Result<PathBuf> {
        let stripped = executable.with_extension("stripped");
        let strip = match self {
            Self::Host(_) => "strip",
            Self::Aarch64(_) => "aarch64-linux-gnu-strip",
        };
        sh::run(Command::new(strip).arg("--strip-debug").arg("-o").arg(&stripped).arg(executable))?;
        Ok(stripped)
    }

    fn cargo(&self, command: &str) -> Command {
        match self {
            Self::Host(_) => {
                let mut cargo = sh::cargo();
                cargo.arg(command);
                cargo
            }
            Self::Aarch64(sysroot) => {
                let mut cargo = Command::new(CARGO);
                sh::plain(&mut cargo)
                    .current_dir(sh::root())
                    .env("RUSTC", RUSTC)
                    // Of the target only: programs that build are linked against this machine's.
                    .env("CARGO_ENCODED_RUSTFLAGS", format!("--sysroot={}", sysroot.display()))
                    .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER)
                    .env("CARGO_TARGET_DIR", target_dir())
                    .args([command, "--locked", "--target", TARGET]);
                cargo
            }
        }
    }
}

/// The root of Rust's libraries for aarch64, for Debian's rustc: its cross compiler and they are installed and unpacked where missing.
///
/// # Errors
/// A package that is needed cannot be had.
pub fn sysroot(private: &Result<Apt>) -> Result<PathBuf> {
    apt::install(apt::CROSS)?;
    // A library of another version than the compiler's is refused.
    let version = sh::output(Command::new("dpkg-query").args(["--show", "--showformat", "${Version}", "rustc-web"]))?;
    let tree = folder().join("arm64").join(format!("std-{}", version.trim()));
    if !tree.is_dir() {
        let private = private.as_ref().map_err(|error| anyhow!("no arm64 packages can be had: {error:#}"))?;
        std::fs::create_dir_all(folder().join("arm64"))?;
        let package = format!("libstd-rust-web-dev:{}={}", Arch::Arm64.debian(), version.trim());
        private.unpack(&[package], &tree).context("cannot get Rust's standard library for arm64")?;
    }
    Ok(tree.join("usr"))
}

/// Apart from what this machine's compiler builds.
fn target_dir() -> PathBuf {
    sh::root().join("target/arm64")
}
