//! The packages themselves, and what their own distributions' tools say of them.

use super::content::{self, SHELLS};
use super::stamp::Stamp;
use super::tools;
use super::{Target, folder};
use crate::sh;
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes and checks the .deb, the .rpm and the .tar.gz for one target, and puts the program itself beside them.
///
/// # Errors
/// A tool fails, or lintian finds an error.
pub fn all(target: &Target, program: &Path, stamp: &Stamp) -> Result<()> {
    deb(target, stamp)?;
    rpm(target, stamp)?;
    tar(target, program, stamp)?;
    copy(program, &folder().join(format!("netstat-user-{}", target.arch)), 0o755)
}

/// A tool of packages, with the dates and the folders that all of them heed.
fn packager(tool: &Path, stamp: &Stamp) -> Command {
    let mut command = Command::new(tool);
    sh::plain(&mut command)
        .current_dir(sh::root())
        .env("SOURCE_DATE_EPOCH", stamp.epoch.to_string())
        .env("CARGO_TARGET_DIR", sh::root().join("target/dist-build"));
    command
}

/// A .deb of the program that cargo built for this machine, for tests: it needs this machine's C library or a later one, and is not checked.
///
/// # Errors
/// cargo-deb fails.
pub fn quick_deb(deb: &Path, stamp: &Stamp) -> Result<()> {
    let mut cargo = packager(&tools::deb()?, stamp);
    cargo.env_remove("CARGO_TARGET_DIR").args(["--quiet", "--no-build", "--no-strip", "--package", "netstat-user"]);
    sh::run(cargo.arg("--output").arg(deb))
}

fn deb(target: &Target, stamp: &Stamp) -> Result<()> {
    let deb = super::deb(target);
    let mut cargo = packager(&tools::deb()?, stamp);
    cargo.args(["--quiet", "--no-build", "--no-strip", "--package", "netstat-user", "--target", target.triple]);
    sh::run(cargo.arg("--output").arg(&deb))?;
    let mut lintian = Command::new("lintian");
    // Run by root it warns of that alone.
    lintian.args(["--allow-root", "--fail-on", "error", "--tag-display-limit", "0"]);
    let out = lintian.arg(&deb).output().context("cannot run lintian")?;
    print!("{}", String::from_utf8_lossy(&out.stdout));
    if !out.status.success() {
        bail!("lintian finds errors in {}{}", deb.display(), String::from_utf8_lossy(&out.stderr));
    }
    Ok(())
}

fn rpm(target: &Target, stamp: &Stamp) -> Result<()> {
    let rpm = folder().join(format!("netstat-user-{}-1.{}.rpm", env!("CARGO_PKG_VERSION"), target.arch));
    let mut cargo = packager(&tools::rpm()?, stamp);
    // It reads the needed libraries with ldd, which runs programs of this architecture only: they are listed in the manifest.
    cargo.args(["--package", "netstat-user", "--auto-req", "no", "--target", target.triple]);
    cargo.args(["--target-dir", "target/dist-build", "--source-date", &stamp.epoch.to_string()]);
    sh::run(cargo.arg("--output").arg(&rpm))?;
    let files = sh::output(Command::new("rpm").args(["--query", "--list", "--package"]).arg(&rpm))?;
    if !files.lines().any(|line| line == "/usr/bin/netstat-user") {
        bail!("{} has no program in it", rpm.display());
    }
    Ok(())
}

/// For systems without either: everything below one folder, as it lies below /usr.
fn tar(target: &Target, program: &Path, stamp: &Stamp) -> Result<()> {
    let name = format!("netstat-user-{}-{}", env!("CARGO_PKG_VERSION"), target.arch);
    let parent = sh::root().join("target/dist-tar");
    let tree = parent.join(&name);
    let _ = fs::remove_dir_all(&parent);
    let (root, package, content) = (sh::root(), sh::root().join("netstat-user/package"), content::folder());
    let mut files: Vec<(PathBuf, String, u32)> = vec![
        (program.to_owned(), "bin/netstat-user".into(), 0o755),
        (package.join("install.sh"), "install.sh".into(), 0o755),
        (package.join("netstat-user.service"), "lib/systemd/system/netstat-user.service".into(), 0o644),
        (package.join("netstat-user.sysusers"), "lib/sysusers.d/netstat-user.conf".into(), 0o644),
        (package.join("netstat-user.tmpfiles"), "lib/tmpfiles.d/netstat-user.conf".into(), 0o644),
        (package.join("netstat-user.default"), "share/doc/netstat-user/netstat-user.default".into(), 0o644),
        (content.join("doc/THIRD-PARTY-LICENSES.txt"), "share/doc/netstat-user/THIRD-PARTY-LICENSES.txt".into(), 0o644),
    ];
    for document in ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        files.push((root.join(document), format!("share/doc/netstat-user/{document}"), 0o644));
    }
    for page in fs::read_dir(content.join("man"))?.flatten() {
        files.push((page.path(), format!("share/man/man8/{}", page.file_name().to_string_lossy()), 0o644));
    }
    let places = ["share/bash-completion/completions", "share/zsh/site-functions", "share/fish/vendor_completions.d"];
    for ((shell, file), place) in SHELLS.iter().zip(places) {
        files.push((content.join("completions").join(shell).join(file), format!("{place}/{file}"), 0o644));
    }
    for (from, to, mode) in files {
        copy(&from, &tree.join(to), mode)?;
    }
    let archive = folder().join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"]);
    tar.arg(format!("--mtime=@{}", stamp.epoch)).arg("--use-compress-program=gzip -9 -n");
    sh::run(tar.arg("-C").arg(&parent).arg("-cf").arg(&archive).arg(&name))
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
        // Whoever unpacks it reads it, whatever the umask here.
        fs::set_permissions(parent, fs::Permissions::from_mode(0o755))?;
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}
