//! The Debian packages the project's own commands need; the only list of them.

use crate::sh;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the kernel objects: a rustc with a prebuilt `core` for `bpfel-unknown-none`, and the LLVM it was built with.
pub const BPF: &[&str] = &[
    "rustc-web",
    "cargo-web",
    "libstd-rust-web-dev-bpf",
    "rust-web-llvm",
    "llvm-22",
    "llvm-22-dev",
    "libpolly-22-dev",
    "libzstd-dev",
    "zlib1g-dev",
    "libxml2-dev",
];

/// What the suites compare with, and what they need on the running kernel.
pub const TESTS: &[&str] =
    &["net-tools", "iproute2", "locales", "postgresql", "bash-completion", "fish", "zsh", "man-db", "rpm"];

/// What the benches compare with.
pub const BENCH: &[&str] = &["net-tools", "iproute2", "libbpf-tools"];

/// Boots other kernels under emulation.
pub const VM: &[&str] = &["qemu-system-x86", "busybox-static", "xz-utils"];

/// Builds for aarch64 and boots its kernels: ordinary packages of this machine's architecture.
pub const CROSS: &[&str] =
    &["qemu-system-arm", "rustc-web", "cargo-web", "gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"];

/// Makes and checks what people install: `cargo xtask dist`.
pub const DIST: &[&str] = &["binutils", "git", "lintian", "rpm", "python3", "man-db", "xz-utils"];

/// Boots a Debian of its own and installs the package there: `cargo xtask install-test`.
pub const INSTALL: &[&str] = &["mmdebstrap", "e2fsprogs", "qemu-system-x86", "busybox-static", "xz-utils"];

/// Those of `packages` that dpkg does not list as installed. On a system without dpkg, all of them.
pub fn missing<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    let installed = |name: &&str| {
        Command::new("dpkg-query")
            .args(["--show", "--showformat", "${db:Status-Status}", name])
            .output()
            .is_ok_and(|out| out.stdout == b"installed")
    };
    packages.iter().filter(|name| !installed(name)).copied().collect()
}

/// Installs those of `packages` that are missing. Needs root and apt-get; the error names the packages where either is missing.
pub fn install(packages: &[&str]) -> Result<()> {
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if sh::which("apt-get").is_none() {
        bail!("these packages (Debian's names) are needed, and there is no apt-get to install them: {list}");
    }
    if !sh::is_root() {
        bail!("these packages are needed; as root: apt-get install {list}");
    }
    eprintln!("installing {list}");
    // A fresh machine has no package lists, an old one has stale ones: refresh them once the first try fails.
    if apt_get()
        .args(["install", "--no-install-recommends"])
        .args(&missing)
        .status()
        .is_ok_and(|status| status.success())
    {
        return Ok(());
    }
    sh::run(apt_get().arg("update"))?;
    sh::run(apt_get().args(["install", "--no-install-recommends"]).args(&missing))
        .with_context(|| format!("cannot install {list}"))
}

fn apt_get() -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-y", "-o", "Dpkg::Use-Pty=0"]);
    apt
}

/// An installed program, also where the search path lacks the administrator's folders.
pub fn tool(name: &str) -> Option<PathBuf> {
    let administrators =
        || ["/usr/sbin", "/sbin"].map(|dir| Path::new(dir).join(name)).into_iter().find(|path| path.is_file());
    sh::which(name).or_else(administrators)
}
