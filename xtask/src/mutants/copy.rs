//! The copy of the workspace that defects are put into.

use super::list::Check;
use super::read;
use crate::sh;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A copy, and where it is built.
pub struct Copy {
    root: PathBuf,
    target: PathBuf,
}

/// A file of the copy that is not as it was.
#[must_use]
pub struct PutIn {
    path: PathBuf,
    before: Vec<u8>,
}

impl PutIn {
    /// Makes the file what it was.
    pub fn take_out(self) -> Result<()> {
        fs::write(&self.path, &self.before).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

impl Copy {
    /// Brings the copy up to date with the sources as they are, committed or not. A file that is the same keeps its time, so that only what
    /// changed is built again.
    pub fn of(from: &Path) -> Result<Self> {
        let folder = from.join("target/mutants");
        let copy = Self { root: folder.join("copy"), target: folder.join("build") };
        let mut git = Command::new("git");
        git.current_dir(from).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let names = sh::output(&mut git)?;
        let names: BTreeSet<&str> =
            names.split('\0').filter(|name| from.join(name).symlink_metadata().is_ok()).collect();
        for name in names.iter().filter(|name| !name.is_empty()) {
            copy.update(from, name).with_context(|| format!("cannot copy {name}"))?;
        }
        copy.drop_others(&copy.root, &names)?;
        Ok(copy)
    }

    fn update(&self, from: &Path, name: &str) -> Result<()> {
        let (source, here) = (from.join(name), self.root.join(name));
        fs::create_dir_all(here.parent().context("a file in a folder")?)?;
        if source.is_symlink() {
            let to = fs::read_link(&source)?;
            if fs::read_link(&here).ok().as_ref() != Some(&to) {
                let _ = fs::remove_file(&here);
                std::os::unix::fs::symlink(to, here)?;
            }
            return Ok(());
        }
        let bytes = fs::read(&source)?;
        if fs::read(&here).ok().as_ref() != Some(&bytes) {
            fs::copy(&source, &here)?;
        }
        Ok(())
    }

    /// Removes what the sources do not have any more.
    fn drop_others(&self, folder: &Path, names: &BTreeSet<&str>) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.strip_prefix(&self.root)?.to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() {
                // What is built of the kernel side.
                if name != "target" {
                    self.drop_others(&path, names)?;
                }
            } else if !names.contains(name.as_str()) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Its top folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Changes a text file.
    pub fn put_in(&self, name: &str, change: impl FnOnce(&str) -> String) -> Result<PutIn> {
        let text = read(&self.root.join(name))?;
        self.put_in_bytes(name, change(&text).as_bytes())
    }

    /// Puts other bytes into a file.
    pub fn put_in_bytes(&self, name: &str, bytes: &[u8]) -> Result<PutIn> {
        let path = self.root.join(name);
        let before = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(PutIn { path, before })
    }

    /// Builds the program.
    pub fn build(&self) -> Result<()> {
        sh::output(self.cargo().args(["build", "--quiet", "--package", "netstat-user"])).map(drop)
    }

    /// Builds a suite of tests.
    pub fn build_suite(&self, suite: &str) -> Result<()> {
        sh::output(self.tests(suite).arg("--no-run")).map(drop)
    }

    /// Runs some tests of a suite against the program as it was built last, and returns what they print.
    pub fn test(&self, check: &Check) -> Result<String> {
        let mut tests = self.tests(&check.suite);
        let output = tests.args(["--", &check.filter, "--show-output"]).output().context("cannot run cargo")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn tests(&self, suite: &str) -> Command {
        let mut cargo = self.cargo();
        match suite {
            "units" => cargo.args(["test", "--quiet", "--package", "netstat-user", "--lib"]),
            suite => cargo.args(["test", "--quiet", "--package", "netstat-tests", "--test", suite]),
        };
        cargo
    }

    fn cargo(&self) -> Command {
        let mut cargo = sh::cargo();
        cargo.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        cargo.env("NETSTAT_USER_BIN", self.target.join("debug/netstat-user"));
        cargo
    }
}
