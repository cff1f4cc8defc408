//! Where a guest's programs and their libraries come from: the machine itself, or packages of the guest's architecture.

use super::debian::{Apt, Arch, folder};
use crate::sh;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a guest of another architecture takes from Debian: the programs, and the libraries that Rust's executables load.
const PACKAGES: &[&str] = &["busybox-static", "net-tools", "iproute2", "libc6", "libgcc-s1"];
/// Folders with programs and with libraries of Debian's arm64.
const PROGRAMS: &[&str] = &["bin", "sbin", "usr/bin", "usr/sbin"];
const LIBRARIES: &[&str] = &["lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu"];
const LOADER: &str = "lib/ld-linux-aarch64.so.1";

/// A place to take programs from.
pub enum Userland {
    /// The running system.
    Host,
    /// An unpacked tree of arm64 packages.
    Arm64(PathBuf),
}

impl Userland {
    /// The one for an architecture.
    ///
    /// # Errors
    /// The packages cannot be had.
    pub fn get(arch: Arch, apt: &Result<Apt>) -> Result<Self> {
        if arch == Arch::Amd64 {
            return Ok(Self::Host);
        }
        let tree = folder().join("arm64/tree");
        if !tree.is_dir() {
            let apt = apt.as_ref().map_err(|error| anyhow::anyhow!("no arm64 packages can be had: {error:#}"))?;
            apt.unpack_with_dependencies(arch, PACKAGES, &tree).context("cannot get the programs of an arm64 guest")?;
        }
        Ok(Self::Arm64(tree))
    }

    /// A program by its name.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        match self {
            Self::Host => sh::which(name).and_then(|program| program.canonicalize().ok()),
            Self::Arm64(tree) => PROGRAMS.iter().map(|folder| tree.join(folder).join(name)).find(|file| file.is_file()),
        }
    }

    /// The libraries that an executable loads: where each is in the guest, and the file here.
    pub fn libraries(&self, executable: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
        match self {
            Self::Host => {
                // ldd fails on a static executable, which needs nothing.
                let list = sh::output(Command::new("ldd").arg(executable)).unwrap_or_default();
                let files = list.split_whitespace().filter(|word| word.starts_with('/'));
                Ok(files.map(|file| (PathBuf::from(file), PathBuf::from(file))).collect())
            }
            Self::Arm64(tree) => {
                let mut found = BTreeSet::new();
                needed(executable, tree, &mut found)?;
                // A static executable needs no loader either.
                let loader = (!found.is_empty()).then(|| tree.join(LOADER));
                let files = found.into_iter().chain(loader);
                // The loader's own folders; which of them does not matter.
                let place = |file: &Path| match file.ends_with(LOADER) {
                    true => Path::new("/").join(LOADER),
                    false => Path::new("/").join(LIBRARIES[0]).join(file.file_name().unwrap_or_default()),
                };
                Ok(files.map(|file| (place(&file), file)).collect())
            }
        }
    }
}

/// Adds the libraries that a file names as needed, and those that they need.
fn needed(file: &Path, tree: &Path, found: &mut BTreeSet<PathBuf>) -> Result<()> {
    let dynamic = sh::output(Command::new("aarch64-linux-gnu-readelf").args(["-W", "-d"]).arg(file))?;
    for line in dynamic.lines().filter(|line| line.contains("(NEEDED)")) {
        let Some(name) = line.split(['[', ']']).nth(1).filter(|name| !name.starts_with("ld-linux")) else { continue };
        let library = LIBRARIES.iter().map(|folder| tree.join(folder).join(name)).find(|file| file.is_file());
        let library = library.with_context(|| format!("{} needs {name}, which no package has", file.display()))?;
        if found.insert(library.clone()) {
            needed(&library, tree, found)?;
        }
    }
    Ok(())
}
