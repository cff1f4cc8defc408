//! What `--version` names beside the version, the commit and the target, and the date of the manual pages. And where the program cannot be
//! built, what can be done.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=NETSTAT_USER_COMMIT");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
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
    println!("cargo::rustc-env=NETSTAT_USER_DATE={}", released().or_else(made).unwrap_or_default());
}

/// The day that the change log names for this version.
fn released() -> Option<String> {
    println!("cargo::rerun-if-changed=CHANGELOG.md");
    let changes = fs::read_to_string("CHANGELOG.md").ok()?;
    let heading = format!("## [{}] - ", env::var("CARGO_PKG_VERSION").ok()?);
    changes.lines().find_map(|line| line.strip_prefix(&heading)).map(|date| date.trim().to_owned())
}

/// The day of what is built, in UTC: never today's, so that two builds are the same.
fn made() -> Option<String> {
    let seconds = env::var("SOURCE_DATE_EPOCH").ok().or_else(|| git(&["log", "-1", "--format=%ct"]))?;
    let days: i64 = seconds.trim().parse::<i64>().ok()? / 86_400;
    // Years that begin in March have their leap day last; 146097 days are 400 of them.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    Some(format!("{}-{month:02}-{day:02}", year + era * 400 + i64::from(month <= 2)))
}

/// What git says of the repository that this folder is part of.
fn git(args: &[&str]) -> Option<String> {
    if !Path::new("../.git").exists() {
        return None;
    }
    let out = Command::new("git").args(args).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

/// The commit that is checked out.
fn checked_out() -> Option<String> {
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
