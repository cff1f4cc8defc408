//! The packages themselves, and what their own distributions' tools say of them.

use super::stamp::Stamp;
use super::{Target, folder};
use super::{content, rpm, tools, tree};
use crate::sh;
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Makes and checks the .deb, the .rpm and the .tar.gz for one target, and puts the program itself beside them.
///
/// # Errors
/// A tool fails, or lintian finds an error.
pub fn all(target: &Target, program: &Path, stamp: &Stamp) -> Result<()> {
    deb(target, stamp)?;
    rpm::rpm(target, program, stamp)?;
    tar(&super::archive(target), target, program, stamp)?;
    tree::copy(program, &folder().join(format!("netstat-user-{}", target.arch)), 0o755)
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

/// A .deb of the program that cargo built for this machine, for tests: it needs this machine's C library or a later one.
///
/// # Errors
/// cargo-deb fails.
pub fn quick_deb(deb: &Path, stamp: &Stamp) -> Result<()> {
    let mut cargo = packager(&tools::deb()?, stamp);
    cargo.env_remove("CARGO_TARGET_DIR").args(["--quiet", "--no-build", "--strip", "--package", "netstat-user"]);
    sh::run(cargo.args(["--variant", "quick", "--output"]).arg(deb))?;
    lintian(deb)
}

fn deb(target: &Target, stamp: &Stamp) -> Result<()> {
    let deb = super::deb(target);
    let mut cargo = packager(&tools::deb()?, stamp);
    cargo.args(["--quiet", "--no-build", "--no-strip", "--package", "netstat-user", "--target", target.triple]);
    sh::run(cargo.arg("--output").arg(&deb))?;
    lintian(&deb)
}

/// Prints what lintian says, and fails on its errors and warnings: what is meant to be is in package/lintian-overrides, with the reason.
fn lintian(deb: &Path) -> Result<()> {
    let mut lintian = Command::new("lintian");
    // Run by root it warns of that alone.
    lintian.args(["--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0"]);
    let out = lintian.arg(deb).output().context("cannot run lintian")?;
    print!("{}", String::from_utf8_lossy(&out.stdout));
    if !out.status.success() {
        bail!("lintian finds fault with {}{}", deb.display(), String::from_utf8_lossy(&out.stderr));
    }
    Ok(())
}

/// For systems without either: everything below one folder, as it lies below /usr.
///
/// # Errors
/// A file cannot be copied, or tar fails.
pub fn tar(archive: &Path, target: &Target, program: &Path, stamp: &Stamp) -> Result<()> {
    let name = format!("netstat-user-{}-{}", env!("CARGO_PKG_VERSION"), target.arch);
    let parent = sh::root().join("target/dist-tar");
    let _ = fs::remove_dir_all(&parent);
    unpacked(program, &content::folder(), &parent.join(&name))?;
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"]);
    tar.arg(format!("--mtime=@{}", stamp.epoch)).arg("--use-compress-program=gzip -9 -n");
    sh::run(tar.arg("-C").arg(&parent).arg("-cf").arg(archive).arg(&name))
}

/// What the archive unpacks to.
fn unpacked(program: &Path, content: &Path, folder: &Path) -> Result<()> {
    let package = sh::root().join("netstat-user/package");
    tree::lay(&tree::files(program, content)?, folder, false)?;
    let install = folder.join("install.sh");
    fs::write(&install, content::script("install.sh")?)?;
    fs::set_permissions(&install, fs::Permissions::from_mode(0o755))?;
    // Copied to /etc where the service is installed.
    let options = folder.join("share/doc/netstat-user/netstat-user.default");
    tree::copy(&package.join("netstat-user.default"), &options, 0o644)
}

#[cfg(test)]
mod tests;
