//! What `--version` names beside the version: the commit and the target. And where the program cannot be built, what can be done.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=NETSTAT_USER_COMMIT");
    if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|libc| libc == "musl") {
        println!(
            "cargo::error=netstat-user is for the GNU C library, which looks names up as the system says (NSS): build it for \
             the target {}-unknown-linux-gnu; on a system with musl, run that in a container of a distribution that has it",
            env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default()
        );
    }
    let commit = env::var("NETSTAT_USER_COMMIT").ok().or_else(checked_out).or_else(packaged);
    let commit = commit.map_or_else(|| "unknown".to_owned(), |commit| commit.chars().take(12).collect());
    println!("cargo::rustc-env=NETSTAT_USER_COMMIT={commit}");
    println!("cargo::rustc-env=NETSTAT_USER_TARGET={}", env::var("TARGET").unwrap_or_default());
}

/// The commit of the repository that this folder is part of.
fn checked_out() -> Option<String> {
    if !Path::new("../.git").exists() {
        return None;
    }
    let git = |args: &[&str]| {
        let out = Command::new("git").args(args).output().ok()?;
        out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    // Every commit and every checkout writes to it.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
    git(&["rev-parse", "HEAD"])
}

/// The commit that cargo notes in a package.
fn packaged() -> Option<String> {
    let noted = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    noted.split("\"sha1\": \"").nth(1)?.split('"').next().map(str::to_owned)
}
