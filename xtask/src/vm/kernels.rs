//! Debian's kernels: the newest of a series that Debian has, unpacked and kept under `target/vm`.

use super::debian::{Apt, Arch, folder};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// Which kernels of Debian's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series {
    /// The newest build of this series, such as `6.12`.
    Of(&'static str),
    /// The newest build of all series.
    Newest,
}

/// Which of Debian's builds of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// The newest kernel of the series: from Debian, or what an earlier run unpacked where apt offers none.
pub fn get(apt: &Result<Apt>, series: Series, arch: Arch, flavour: Flavour) -> Result<Kernel> {
    let offered = match apt {
        Ok(apt) => apt.names("linux-image-")?,
        Err(_) => BTreeSet::new(),
    };
    let release = match (newest(&offered, series, arch, flavour), apt) {
        (Some(release), Ok(apt)) => {
            let tree = folder().join(&release).join("tree");
            if !tree.is_dir() {
                download(apt, &release, arch).with_context(|| format!("cannot get Linux {release}"))?;
            }
            release
        }
        (_, apt) => {
            let kept = fs::read_dir(folder()).into_iter().flatten().flatten();
            let kept = kept.filter(|entry| entry.path().join("tree").is_dir());
            let kept = kept.map(|entry| format!("linux-image-{}", entry.file_name().to_string_lossy())).collect();
            newest(&kept, series, arch, flavour).with_context(|| match apt {
                Err(error) => format!("no kernel can be had: {error:#}"),
                Ok(_) => "Debian's mirror has no such kernel".to_owned(),
            })?
        }
    };
    let tree = folder().join(&release).join("tree");
    // On a merged-/usr Debian (13 on) modules live below usr.
    let modules = ["lib/modules", "usr/lib/modules"].map(|dir| tree.join(dir).join(&release));
    let modules = modules.into_iter().find(|dir| dir.is_dir());
    let modules = modules.with_context(|| format!("{} has no modules", tree.display()))?;
    // From 7.0 on the image lies with the modules.
    let images = [tree.join("boot").join(format!("vmlinuz-{release}")), modules.join("vmlinuz")];
    let image = images.into_iter().find(|image| image.is_file());
    let image = image.with_context(|| format!("{} has no image of the kernel", tree.display()))?;
    Ok(Kernel { release, image, modules })
}

/// Up to 6.18 all is in the package `linux-image-RELEASE`; from then on the image, and later the modules, are in packages of their own.
fn download(apt: &Apt, release: &str, arch: Arch) -> Result<()> {
    let names = apt.names("linux-")?;
    let packages = ["linux-image", "linux-binary", "linux-modules"].map(|part| format!("{part}-{release}"));
    let packages = packages.into_iter().filter(|name| names.contains(name));
    let packages: Vec<_> = packages.map(|name| format!("{name}:{}", arch.debian())).collect();
    if packages.is_empty() {
        bail!("apt offers no package of it");
    }
    let folder = folder().join(release);
    fs::create_dir_all(&folder)?;
    apt.unpack(&packages, &folder.join("tree"))
}

/// The newest release of the series among package names, `linux-image-` cut off. Debian numbers builds of 6.1 as
/// `6.1.0-56-amd64` and of 6.12 as `6.12.117+deb12-amd64`; `-unsigned`, `-dbg`, `-rt` and the series' meta-package are others.
fn newest(names: &BTreeSet<String>, series: Series, arch: Arch, flavour: Flavour) -> Option<String> {
    let suffix = match flavour {
        Flavour::Cloud => format!("-cloud-{}", arch.debian()),
        Flavour::Full => format!("-{}", arch.debian()),
    };
    let numbers = |name: &str| {
        let release = name.strip_prefix("linux-image-")?;
        let version = release.strip_suffix(&suffix)?;
        let below = match series {
            Series::Of(series) => version.strip_prefix(series)?.strip_prefix('.')?,
            // A package of a series alone, `7.3`, has no second dot.
            Series::Newest => version.split_once('.')?.1.split_once('.')?.1,
        };
        // What is left holds numbers, `+deb12` and punctuation; any other word is another flavour.
        let rest = below.replace("+deb", "").replace("+bpo", "");
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
        let names = [
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.1.0-57-cloud-amd64-unsigned",
            "linux-image-6.1.0-56-rt-amd64",
            "linux-image-6.1.0-55-amd64",
            "linux-image-6.1.0-99-arm64",
            "linux-image-6.12-amd64",
            "linux-image-6.12.9+deb12-amd64",
            "linux-image-6.12.117+deb12-amd64",
            "linux-image-6.12.117+deb12-rt-amd64",
            "linux-image-6.12.117+deb13-cloud-arm64",
        ];
        let names: BTreeSet<_> = names.into_iter().map(str::to_owned).collect();
        let newest = |series, arch, flavour| newest(&names, series, arch, flavour);
        let found = |series, arch, flavour| newest(series, arch, flavour).unwrap();
        assert_eq!(found(Series::Of("6.1"), Arch::Amd64, Flavour::Cloud), "6.1.0-56-cloud-amd64");
        assert_eq!(found(Series::Of("6.1"), Arch::Amd64, Flavour::Full), "6.1.0-55-amd64");
        assert_eq!(found(Series::Of("6.1"), Arch::Arm64, Flavour::Full), "6.1.0-99-arm64");
        assert_eq!(found(Series::Of("6.12"), Arch::Amd64, Flavour::Full), "6.12.117+deb12-amd64");
        assert_eq!(newest(Series::Of("6.12"), Arch::Amd64, Flavour::Cloud), None);
        assert_eq!(found(Series::Newest, Arch::Amd64, Flavour::Cloud), "6.1.0-56-cloud-amd64");
        assert_eq!(found(Series::Newest, Arch::Amd64, Flavour::Full), "6.12.117+deb12-amd64");
        assert_eq!(found(Series::Newest, Arch::Arm64, Flavour::Cloud), "6.12.117+deb13-cloud-arm64");
    }
}
