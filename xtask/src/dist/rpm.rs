//! The .rpm, by rpmbuild from `package/rpm/netstat-user.spec`: it reads programs of every architecture.

use super::content;
use super::stamp::Stamp;
use super::tree::{self, File};
use super::{Target, folder};
use crate::sh;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Makes and checks it.
///
/// # Errors
/// rpmbuild fails, or the package is not as it should be.
pub fn rpm(target: &Target, program: &Path, stamp: &Stamp) -> Result<()> {
    let rpm = folder().join(format!("netstat-user-{}-1.{}.rpm", env!("CARGO_PKG_VERSION"), target.arch));
    build(&rpm, target, &tree::files(program, &content::folder())?, &sh::root().join("target/dist-rpm"), stamp)?;
    check(&rpm)
}

/// Builds it of these files, in a folder of its own.
fn build(rpm: &Path, target: &Target, files: &[File], work: &Path, stamp: &Stamp) -> Result<()> {
    let _ = fs::remove_dir_all(work);
    let tree = work.join("tree");
    tree::lay(files, &tree.join("usr"), true)?;
    let package = sh::root().join("netstat-user/package");
    tree::copy(&package.join("netstat-user.default"), &tree.join("etc/default/netstat-user"), 0o644)?;
    let script = |name: &str| content::script(&format!("rpm/{name}"));
    let manifest = fs::read_to_string(sh::root().join("netstat-user/Cargo.toml")).context("cannot read Cargo.toml")?;
    let manifest: toml::Table = manifest.parse().context("cannot parse Cargo.toml")?;
    let text = |value: &toml::Value| value.as_str().unwrap_or_default().trim().to_owned();
    let manifest = &manifest["package"];
    let mut spec = script("netstat-user.spec")?;
    for (word, value) in [
        ("VERSION", env!("CARGO_PKG_VERSION").to_owned()),
        ("SUMMARY", text(&manifest["description"])),
        ("DESCRIPTION", text(&manifest["metadata"]["deb"]["extended-description"])),
        ("TREE", tree.to_string_lossy().into_owned()),
        ("PRE", script("pre.sh")?),
        ("POST", script("post.sh")?),
        ("PREUN", script("preun.sh")?),
        ("POSTUN", script("postun.sh")?),
    ] {
        spec = spec.replace(&format!("@{word}@"), &value);
    }
    let path = work.join("netstat-user.spec");
    fs::write(&path, spec)?;
    let mut build = Command::new("rpmbuild");
    build.env("SOURCE_DATE_EPOCH", stamp.epoch.to_string()).env("LC_ALL", "C.UTF-8").current_dir(work);
    build.args(["-bb", "--quiet", "--target", &format!("{}-linux", target.arch)]);
    build.arg("--define").arg(format!("_topdir {}", work.display()));
    let out = build.arg(&path).output().context("cannot run rpmbuild")?;
    if !out.status.success() {
        bail!("rpmbuild fails: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    let made = work.join("RPMS").join(target.arch).join(rpm.file_name().unwrap_or_default());
    fs::copy(&made, rpm).with_context(|| format!("rpmbuild makes no {}", made.display()))?;
    Ok(())
}

/// What rpm(8) says of a package.
fn query(rpm: &Path, args: &[&str]) -> Result<String> {
    sh::output(Command::new("rpm").args(["--query", "--package"]).args(args).arg(rpm))
}

/// What old versions of rpm cannot read, files in folders that nobody owns, and what is not said of the package.
fn check(rpm: &Path) -> Result<()> {
    let wrong = |what: &str| bail!("{}: {what}", rpm.display());
    let files = query(rpm, &["--list"])?;
    for file in ["/usr/bin/netstat-user", "/usr/share/doc/netstat-user", "/usr/share/doc/netstat-user/docs"] {
        if !files.lines().any(|line| line == file) {
            return wrong(&format!("{file} is not in it"));
        }
    }
    let needs = query(rpm, &["--requires"])?;
    // CentOS 7 has rpm 4.11.
    let old = |line: &str| {
        let version = line.split(" <= ").nth(1)?.split('-').next()?;
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(u32::MAX));
        Some((numbers.next()?, numbers.next()?) <= (4, 11))
    };
    for line in needs.lines().filter(|line| line.starts_with("rpmlib(")) {
        if old(line) != Some(true) {
            return wrong(&format!("it needs a later rpm than CentOS 7 has: {line}"));
        }
    }
    if !needs.lines().any(|line| line.starts_with("libc.so.6(GLIBC_2.")) {
        return wrong("it does not say which C library it needs");
    }
    let said = query(rpm, &["--queryformat", "%{PAYLOADCOMPRESSOR}\n%{SUMMARY}\n%{DESCRIPTION}\n"])?;
    match said.lines().collect::<Vec<_>>()[..] {
        ["gzip", summary, description, ..] if !summary.is_empty() && description != summary => Ok(()),
        _ => wrong(&format!("compression, summary or description are missing: {said}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sandbox;
    use super::super::tree::tests::content;
    use super::*;

    /// With its scripts: what was there before stays, and a service that is not the package's goes on.
    const ACCOUNTS: &str = r#"
        install() { rpm --install --nodeps --ignorearch "$1" 2>/dev/null; }
        erase() { rpm --erase --nodeps netstat-user 2>/dev/null; }
        before=$(all)
        check install $1
        check getent passwd netstat-user
        check erase
        same "$before"
        groupadd netstat-user
        usermod -aG netstat-user nobody
        before=$(all)
        check install $1
        check erase
        same "$before"
        groupdel netstat-user
        useradd --uid 1234 --user-group --shell /bin/bash netstat-user
        before=$(all)
        check install $1
        check erase
        same "$before"
        userdel netstat-user
        check install $1
        mkdir -p /etc/systemd/system/multi-user.target.wants
        printf '[Service]\nExecStart=/opt/one/bin/netstat-user agent\n' >/etc/systemd/system/netstat-user.service
        ln -s ../netstat-user.service /etc/systemd/system/multi-user.target.wants/netstat-user.service
        echo 'NETSTAT_USER_OPTIONS="--mode 666"' >/etc/default/netstat-user
        check erase
        check getent passwd netstat-user
        check grep -q 666 /etc/default/netstat-user
        check test -L /etc/systemd/system/multi-user.target.wants/netstat-user.service
    "#;

    #[test]
    fn old_versions_of_rpm_read_it_and_it_leaves_nothing() {
        if ["rpm", "rpmbuild"].into_iter().any(|tool| sh::which(tool).is_none()) || !sh::is_root() {
            println!("skipped: rpm is not installed, or this is not root");
            return;
        }
        let work = sh::root().join("target/tmp/rpm");
        let _ = fs::remove_dir_all(&work);
        let files = tree::files(Path::new("/bin/true"), &content(&work.join("content"))).unwrap();
        let stamp = Stamp { commit: String::new(), epoch: 1_700_000_000, changed: false };
        let target = &super::super::TARGETS[0];
        let name = format!("netstat-user-{}-1.{}.rpm", env!("CARGO_PKG_VERSION"), target.arch);
        let (first, second) = (work.join("first").join(&name), work.join("second").join(&name));
        for rpm in [&first, &second] {
            fs::create_dir_all(rpm.parent().unwrap()).unwrap();
            build(rpm, target, &files, &rpm.with_extension("work"), &stamp).unwrap();
            check(rpm).unwrap();
        }
        assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap(), "two builds are the same");

        let needs = query(&first, &["--requires"]).unwrap();
        for need in ["/usr/sbin/useradd", "/usr/sbin/groupdel", "/bin/sh"] {
            assert!(needs.lines().any(|line| line == need), "{needs}");
        }
        assert!(!needs.to_lowercase().contains("zstd"), "{needs}");
        let scripts = query(&first, &["--scripts"]).unwrap();
        for script in ["preinstall", "postinstall", "preuninstall", "postuninstall"] {
            assert!(scripts.contains(script), "{scripts}");
        }
        assert!(query(&first, &["--configfiles"]).unwrap().contains("/etc/default/netstat-user"));

        let root = work.join("root");
        fs::create_dir_all(&root).unwrap();
        let rpm = |args: &[&str]| sh::run(Command::new("rpm").arg("--root").arg(&root).args(args));
        let packaged = first.to_string_lossy();
        rpm(&["--install", "--nodeps", "--noscripts", "--ignorearch", &packaged]).unwrap();
        let documents = root.join("usr/share/doc/netstat-user");
        assert!(root.join("usr/bin/netstat-user").is_file() && documents.join("docs/agent.md").is_file());
        rpm(&["--erase", "--nodeps", "--noscripts", "netstat-user"]).unwrap();
        assert!(!documents.exists(), "its folder of documents is left");
        assert!(!root.join("usr/share/fish").exists(), "a folder of completions is left");
        let licences = query(&first, &["--licensefiles"]).unwrap();
        assert!(licences.contains("LICENSE-MIT") && licences.contains("THIRD-PARTY-LICENSES.txt"), "{licences}");
        sandbox::run(ACCOUNTS, &[&packaged]);
        fs::remove_dir_all(&work).unwrap();
    }
}
