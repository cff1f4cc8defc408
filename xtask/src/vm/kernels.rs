//! Debian's kernels: the newest of a series that apt offers, unpacked and kept under `target/vm`.

use crate::{apt, sh};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The series of the kernel matrix. The running kernel is the matrix's last column; `cargo xtask test` adds it.
pub const SERIES: &[&str] = &["6.1", "6.12"];

/// Which of Debian's builds of one version.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// Small: few drivers, no AX.25 family.
    Cloud,
    /// Every module Debian builds.
    Full,
}

/// An unpacked kernel package.
pub struct Kernel {
    /// What `uname -r` says there.
    pub release: String,
    /// The bootable image.
    pub image: PathBuf,
    /// Folder with the modules, `lib/modules/RELEASE`.
    pub modules: PathBuf,
}

/// Where kernels, images and console logs are kept.
pub fn folder() -> PathBuf {
    sh::root().join("target/vm")
}

/// The newest kernel of the series: from apt, or what an earlier run unpacked where apt offers none.
pub fn get(series: &str, flavour: Flavour) -> Result<Kernel> {
    let offered = newest(apt::names("linux-image-")?, series, flavour);
    let release = match offered {
        Some(release) => release,
        None => {
            let kept = fs::read_dir(folder()).into_iter().flatten().flatten();
            let kept = kept.map(|entry| format!("linux-image-{}", entry.file_name().to_string_lossy())).collect();
            newest(kept, series, flavour).with_context(|| {
                format!("apt offers no linux-image-{series}* here (Debian 12 has it in bookworm-security and bookworm-backports)")
            })?
        }
    };
    let folder = folder().join(&release);
    let tree = folder.join("tree");
    if !tree.is_dir() {
        download(&release, &folder).with_context(|| format!("cannot get the package linux-image-{release}"))?;
    }
    let image = tree.join("boot").join(format!("vmlinuz-{release}"));
    // On a merged-/usr Debian (13 on) modules live below usr.
    let modules = ["lib/modules", "usr/lib/modules"].map(|dir| tree.join(dir).join(&release));
    let modules = modules.into_iter().find(|dir| dir.is_dir());
    let modules = modules.with_context(|| format!("{} has no modules", tree.display()))?;
    if !image.is_file() {
        bail!("{} has no boot/vmlinuz-{release}", tree.display());
    }
    Ok(Kernel { release, image, modules })
}

fn download(release: &str, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let package = format!("linux-image-{release}");
    sh::output(
        // apt's own user may not write to our folder.
        Command::new("apt-get").current_dir(folder).args(["-q", "-o", "APT::Sandbox::User=root", "download", &package]),
    )?;
    let deb = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let deb = deb.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let deb = deb.context("apt-get download left no package")?;
    // Unpacked beside its place and moved there whole, so that an interrupted run leaves no half tree.
    let partial = folder.join("partial");
    let _ = fs::remove_dir_all(&partial);
    sh::run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&partial))?;
    fs::rename(&partial, folder.join("tree"))?;
    fs::remove_file(deb)?;
    Ok(())
}

/// The newest release of the series among package names, `linux-image-` cut off. Debian numbers builds of 6.1 as
/// `6.1.0-56-amd64` and of 6.12 as `6.12.117+deb12-amd64`; `-unsigned`, `-dbg`, `-rt` and the series' meta-package are others.
fn newest(names: Vec<String>, series: &str, flavour: Flavour) -> Option<String> {
    let suffix = match flavour {
        Flavour::Cloud => "-cloud-amd64",
        Flavour::Full => "-amd64",
    };
    let numbers = |name: &str| {
        let release = name.strip_prefix("linux-image-")?;
        let version = release.strip_prefix(series)?.strip_prefix('.')?.strip_suffix(suffix)?;
        // What is left holds numbers, `+deb12` and punctuation; any other word is another flavour.
        let rest = version.replace("+deb", "").replace("+bpo", "");
        if rest.is_empty() || rest.contains(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        let parts = version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse::<u64>().ok());
        Some((parts.collect::<Vec<_>>(), release.to_owned()))
    };
    names.iter().filter_map(|name| numbers(name)).max().map(|(_, release)| release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_build_of_the_flavour_is_found() {
        let names = || {
            [
                "linux-image-6.1.0-9-cloud-amd64",
                "linux-image-6.1.0-56-cloud-amd64",
                "linux-image-6.1.0-57-cloud-amd64-unsigned",
                "linux-image-6.1.0-56-rt-amd64",
                "linux-image-6.1.0-55-amd64",
                "linux-image-6.12-amd64",
                "linux-image-6.12.9+deb12-amd64",
                "linux-image-6.12.117+deb12-amd64",
                "linux-image-6.12.117+deb12-rt-amd64",
            ]
            .map(str::to_owned)
            .to_vec()
        };
        assert_eq!(newest(names(), "6.1", Flavour::Cloud).unwrap(), "6.1.0-56-cloud-amd64");
        assert_eq!(newest(names(), "6.1", Flavour::Full).unwrap(), "6.1.0-55-amd64");
        assert_eq!(newest(names(), "6.12", Flavour::Full).unwrap(), "6.12.117+deb12-amd64");
        assert_eq!(newest(names(), "6.12", Flavour::Cloud), None);
    }
}
