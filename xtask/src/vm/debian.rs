//! Packages of other Debian suites and of other architectures, from an apt configuration of our own under `target/vm/apt`. The
//! system's own configuration, lists and cache stay as they are; only its mirror is looked up there, at run time.

use crate::sh;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// Where packages, kernels, images and console logs are kept.
pub fn folder() -> PathBuf {
    sh::root().join("target/vm")
}

/// The suites of the archive and of its security updates that hold the kernels of the matrix.
const SUITES: [&[&str]; 2] = [
    &["bullseye", "bookworm", "bookworm-backports", "trixie", "trixie-backports", "sid"],
    &["bullseye-security", "bookworm-security", "trixie-security"],
];
/// Debian's keys. Where the file is missing, apt uses the keys that the system trusts.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Package lists older than this are fetched again.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// A processor architecture of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// Debian's `amd64`, Rust's `x86_64`.
    Amd64,
    /// Debian's `arm64`, Rust's `aarch64`.
    Arm64,
}

impl Arch {
    /// Debian's name.
    pub const fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// The private configuration, with lists that are fresh where there is a network.
pub struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// Writes the configuration, and fetches the package lists where they are missing or old.
    ///
    /// # Errors
    /// The system has no apt, or apt knows no Debian mirror, or no list could be fetched.
    pub fn open() -> Result<Self> {
        if sh::which("apt-get").is_none() {
            bail!("there is no apt-get");
        }
        let apt = Self { folder: folder().join("apt") };
        for below in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(apt.folder.join(below))?;
        }
        let sources = sources(&mirrors()?);
        let (file, stamp) = (apt.folder.join("sources.list"), apt.folder.join("updated"));
        let same = fs::read_to_string(&file).is_ok_and(|text| text == sources);
        let age =
            fs::metadata(&stamp).and_then(|stamp| stamp.modified()).map(|at| SystemTime::now().duration_since(at));
        if !same || !matches!(age, Ok(Ok(age)) if age < FRESH) {
            fs::write(&file, sources)?;
            let mut update = apt.command("apt-get");
            match sh::output(update.args(["-q", "update"])) {
                Ok(_) => fs::write(&stamp, "")?,
                // A suite that the mirror lacks makes the whole command fail; the lists of the others are there.
                Err(error) => println!("{error:#}"),
            }
        }
        if apt.names("linux-image-")?.is_empty() {
            bail!("no package list of Debian could be fetched");
        }
        Ok(apt)
    }

    /// An apt command that knows this configuration only.
    fn command(&self, program: &str) -> Command {
        let mut apt = Command::new(program);
        let place = |name: &str, path: &str| format!("{name}={}", self.folder.join(path).display());
        apt.arg("-o").arg(place("Dir::Etc::sourcelist", "sources.list"));
        apt.arg("-o").arg(place("Dir::State::lists", "lists"));
        apt.arg("-o").arg(place("Dir::Cache", "cache"));
        for option in [
            "Dir::Etc::sourceparts=-",
            "Dir::Etc::preferences=/dev/null",
            "Dir::Etc::preferencesparts=-",
            "APT::Architectures::=amd64",
            "APT::Architectures::=arm64",
            // apt's own user may not write to our folder.
            "APT::Sandbox::User=root",
            "Acquire::Languages=none",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
        ] {
            apt.args(["-o", option]);
        }
        apt
    }

    /// The line of a sources.list for a release, from the system's own mirror.
    pub fn mirror(&self, release: &str) -> Result<String> {
        let keys = if Path::new(KEYS).is_file() { format!("[signed-by={KEYS}] ") } else { String::new() };
        Ok(format!("deb {keys}{} {release} main", mirrors()?[0]))
    }

    /// Names of the packages that begin with `prefix`, of every architecture.
    pub fn names(&self, prefix: &str) -> Result<BTreeSet<String>> {
        let names = sh::output(self.command("apt-cache").args(["pkgnames", prefix]))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Downloads packages, as `name:architecture[=version]`, and unpacks them below `tree`, which appears only once it is whole.
    pub fn unpack(&self, packages: &[String], tree: &Path) -> Result<()> {
        let partial = tree.with_extension("partial");
        let _ = fs::remove_dir_all(&partial);
        let debs = partial.join("debs");
        fs::create_dir_all(&debs)?;
        sh::output(self.command("apt-get").current_dir(&debs).args(["-q", "download"]).args(packages))?;
        unpack_all(&debs, &partial.join("tree"))?;
        fs::rename(partial.join("tree"), tree)?;
        fs::remove_dir_all(&partial)?;
        Ok(())
    }

    /// Downloads packages, named as for [`Apt::unpack`], into `folder`, which appears only once all are there.
    pub fn download(&self, packages: &[String], folder: &Path) -> Result<()> {
        let partial = folder.with_extension("partial");
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(&partial)?;
        sh::output(self.command("apt-get").current_dir(&partial).args(["-q", "download"]).args(packages))?;
        fs::rename(&partial, folder)?;
        Ok(())
    }

    /// Downloads packages of another architecture from the system's own release with all they depend on, and unpacks them below
    /// `tree`, as in [`Apt::unpack`].
    pub fn unpack_with_dependencies(&self, arch: Arch, packages: &[&str], tree: &Path) -> Result<()> {
        let partial = tree.with_extension("partial");
        let _ = fs::remove_dir_all(&partial);
        let debs = partial.join("debs");
        fs::create_dir_all(debs.join("partial"))?;
        // To a system with nothing installed everything is missing.
        let status = partial.join("status");
        fs::write(&status, "")?;
        let mut install = self.command("apt-get");
        install.arg("-o").arg(format!("Dir::State::status={}", status.display()));
        install.arg("-o").arg(format!("Dir::Cache::archives={}", debs.display()));
        install.arg("-o").arg(format!("APT::Architecture={}", arch.debian()));
        install.args(["-q", "-y", "-t", &codename()?, "--no-install-recommends", "--download-only", "install"]);
        sh::output(install.args(packages))?;
        unpack_all(&debs, &partial.join("tree"))?;
        fs::rename(partial.join("tree"), tree)?;
        fs::remove_dir_all(&partial)?;
        Ok(())
    }
}

fn unpack_all(debs: &Path, tree: &Path) -> Result<()> {
    let files = fs::read_dir(debs)?.flatten().map(|entry| entry.path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "deb")).collect();
    if files.is_empty() {
        bail!("apt-get downloaded no package");
    }
    for deb in files {
        sh::run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(tree))?;
    }
    Ok(())
}

/// The code name of the system's own release.
fn codename() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(name.context("/etc/os-release has no VERSION_CODENAME")?.trim_matches('"').to_owned())
}

/// Where the system gets Debian from: the archive, and its security updates.
fn mirrors() -> Result<[String; 2]> {
    let format = "$(ORIGIN) $(LABEL) $(REPO_URI)";
    let targets =
        sh::output(Command::new("apt-get").args(["indextargets", "--format", format, "Created-By: Packages"]))?;
    let labelled = |label: &str| {
        let label = format!("Debian {label} ");
        targets.lines().find_map(|line| line.strip_prefix(&label)).map(str::to_owned)
    };
    let archive =
        labelled("Debian").context("apt has no package lists of a Debian mirror; `apt-get update` fetches them")?;
    // A system without a source of security updates: most mirrors have them beside the archive.
    let security = || format!("{}-security/", archive.trim_end_matches('/'));
    let security = labelled("Debian-Security").unwrap_or_else(security);
    Ok([archive, security])
}

fn sources(mirrors: &[String; 2]) -> String {
    let keys = if Path::new(KEYS).is_file() { format!("[signed-by={KEYS}] ") } else { String::new() };
    let line = |(mirror, suite): (&String, &&str)| format!("deb {keys}{mirror} {suite} main\n");
    let lines =
        mirrors.iter().zip(SUITES).flat_map(|(mirror, suites)| suites.iter().map(move |suite| line((mirror, suite))));
    lines.collect()
}
