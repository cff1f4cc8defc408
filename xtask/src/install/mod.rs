//! `cargo xtask install-test`: what README says of installing, on a minimal Debian of its own with systemd as process 1, under emulation.

use crate::dist::{self, Packages, Target};
use crate::tally::Tally;
use crate::vm::debian::{self, Apt, Arch};
use crate::vm::initramfs::Image;
use crate::vm::kernels::{self, Flavour, Series};
use crate::vm::qemu::{self, Machine, Terms};
use crate::vm::userland::Userland;
use crate::vm::{Bootable, Report};
use crate::{apt, sh};
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::OnceLock;
use std::time::Duration;

/// The release that is installed, with its own kernel.
const RELEASE: &str = "bookworm";
const KERNEL: Series = Series::Of("6.1");
/// Beside what dpkg cannot do without: systemd, what completes words in bash, and what shows manual pages.
const PACKAGES: &str = "systemd,systemd-sysv,bash-completion,man-db";
/// What a person would type, in order; it prints a line for each and counts them.
const SCRIPT: &str = include_str!("guest.sh");
/// Runs the script when the system is up, and ends the machine.
const SERVICE: &str = "[Unit]\nAfter=systemd-user-sessions.service dbus.service\n\n[Service]\nType=idle\nExecStart=/root/install-test\n\
    ExecStopPost=/bin/systemctl poweroff --force --force\nTimeoutStartSec=infinity\n";
/// What the kernel needs to reach the disk: modules of Debian's cloud kernels.
const MODULES: &[&str] = &["virtio_pci", "virtio_blk", "ext4"];
/// Booting alone takes a minute under emulation, and longer while other suites leave little of the processor.
const LIMIT: Duration = Duration::from_secs(2400);

pub fn run(args: &[String]) -> Result<ExitCode> {
    let (mut arch, mut whole) = (std::env::consts::ARCH, false);
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--arch" => arch = words.next().context("--arch takes x86_64 or aarch64")?,
            "--dist" => whole = true,
            word => bail!("install-test takes nothing but --arch and --dist: {word}"),
        }
    }
    let target = dist::TARGETS.iter().find(|target| target.arch == arch);
    let target = target.with_context(|| format!("--arch {arch}: it is x86_64 or aarch64"))?;
    let packages = if whole || arch != std::env::consts::ARCH {
        // Also where packages are there already: those may be of another commit.
        print!("{}", dist::build(&[target])?);
        dist::packages(target)
    } else {
        sh::run(sh::cargo().args(["build", "--release", "--package", "netstat-user"]))?;
        dist::quick()?
    };
    let tally = match prepare(target, &packages)? {
        Some(installation) => installation.run(&OnceLock::from(()), &|line| println!("{line}")).tally,
        None => Tally::SKIPPED,
    };
    println!("{tally}");
    Ok(if tally.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A machine that packages are to be installed on.
pub struct Installation {
    machine: Machine,
    kernel: kernels::Kernel,
    initrd: PathBuf,
    disk: PathBuf,
    target: &'static Target,
}

/// Makes the machine ready for these packages; `None` where something cannot be had here, which is reported.
///
/// # Errors
/// The machine cannot be made of what was had.
pub fn prepare(target: &'static Target, packages: &Packages) -> Result<Option<Installation>> {
    let (machine, kernel, tree) = match had(target) {
        Ok(had) => had,
        Err(error) => {
            println!("install-test: skipped: {error:#}");
            return Ok(None);
        }
    };
    let disk = disk(&tree, packages, target)?;
    let initrd = folder().join(format!("initrd-{}", target.arch));
    let userland = Userland::get(machine.arch, &Apt::open())?;
    Image::of_a_disk(&kernel, &userland, MODULES)?.write_as_it_is(&initrd)?;
    Ok(Some(Installation { machine, kernel, initrd, disk, target }))
}

impl Bootable for Installation {
    fn run(&self, is_quiet: &OnceLock<()>, say: &dyn Fn(String)) -> Report {
        let mut report = Report::default();
        let (debian, release) = (self.target.debian, &self.kernel.release);
        say(format!("== install-test: Debian {RELEASE} for {debian}, Linux {release}, systemd as process 1"));
        let console = folder().join(format!("console-{}.log", self.target.arch));
        let disk = Some(&*self.disk);
        let log = match qemu::boot(
            self.machine,
            &self.kernel.image,
            &self.initrd,
            disk,
            &console,
            Terms { limit: LIMIT, is_quiet },
            say,
        ) {
            Ok(log) => log,
            Err(error) => {
                report.findings.failed("installation", format_args!("{error:#}"));
                report.tally.failed += 1;
                return report;
            }
        };
        let outcome = log.outcome("install");
        report.findings.add("installation", &outcome.output);
        report.tally = Tally::of(&outcome.output);
        if let Some(problem) = outcome.problem
            && report.tally.failed == 0
        {
            report.findings.failed("installation", problem);
            report.tally.failed += 1;
        }
        say(format!("install-test: {} s in the guest", log.took.as_secs()));
        report
    }
}

fn folder() -> PathBuf {
    debian::folder().join("install")
}

/// Has the kernel run programs of arm64 by the emulator: the packages see to it only where a service manager mounts what it takes.
fn take_foreign_programs() -> Result<()> {
    const FORMATS: &str = "/proc/sys/fs/binfmt_misc";
    if !Path::new(FORMATS).join("register").exists() {
        sh::run(Command::new("mount").args(["-t", "binfmt_misc", "binfmt_misc", FORMATS]))?;
    }
    if Path::new(FORMATS).join("qemu-aarch64").exists() {
        return Ok(());
    }
    sh::run(Command::new("update-binfmts").args(["--enable", "qemu-aarch64"]))
}

/// The machine, its kernel, and a Debian that has been made once.
fn had(target: &Target) -> Result<(Machine, kernels::Kernel, PathBuf)> {
    apt::install(apt::INSTALL)?;
    let arch = match target.arch {
        "aarch64" => Arch::Arm64,
        _ => Arch::Amd64,
    };
    if arch == Arch::Arm64 {
        apt::install(apt::CROSS)?;
        apt::install(&["qemu-user-static", "binfmt-support", "arch-test"])?;
        take_foreign_programs()?;
    }
    let apt = Apt::open();
    let kernel = kernels::get(&apt, KERNEL, arch, Flavour::Cloud)?;
    let tree = folder().join(format!("{RELEASE}-{}", arch.debian()));
    if !tree.join("root/net-tools.deb").is_file() {
        let _ = fs::remove_dir_all(&tree);
        let partial = tree.with_extension("partial");
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(folder())?;
        let apt = apt?;
        // What brings a netstat of its own: installed, and removed again, there.
        apt.download(&[format!("net-tools:{}/{RELEASE}", arch.debian())], &folder().join("net-tools"))?;
        let mirror = apt.mirror(RELEASE)?;
        println!("making a minimal Debian {RELEASE} for {}", arch.debian());
        let mut make = Command::new("mmdebstrap");
        make.args(["--quiet", "--mode=root", "--variant=minbase", "--include", PACKAGES]);
        make.args(["--architectures", arch.debian(), RELEASE]).arg(&partial).arg(mirror);
        sh::run(&mut make)?;
        for deb in fs::read_dir(folder().join("net-tools"))?.flatten() {
            fs::copy(deb.path(), partial.join("root/net-tools.deb"))?;
        }
        fs::remove_dir_all(folder().join("net-tools"))?;
        fs::rename(&partial, &tree)?;
    }
    Ok((Machine { arch, processors: 1 }, kernel, tree))
}

/// A disk with the tree, the packages and the script on it.
fn disk(tree: &Path, packages: &Packages, target: &Target) -> Result<PathBuf> {
    for (package, name) in [(&packages.deb, "netstat-user.deb"), (&packages.archive, "netstat-user.tar.gz")] {
        fs::copy(package, tree.join("root").join(name)).context("there is no package to install")?;
    }
    fs::write(tree.join("root/install-test"), SCRIPT)?;
    fs::set_permissions(tree.join("root/install-test"), fs::Permissions::from_mode(0o755))?;
    let units = tree.join("etc/systemd/system");
    fs::write(units.join("install-test.service"), SERVICE)?;
    let wants = units.join("multi-user.target.wants");
    fs::create_dir_all(&wants)?;
    let link = wants.join("install-test.service");
    let _ = fs::remove_file(&link);
    symlink("../install-test.service", link)?;
    // As on a first boot.
    let _ = fs::remove_file(tree.join("etc/machine-id"));
    fs::write(tree.join("etc/machine-id"), "")?;
    let disk = folder().join(format!("disk-{}", target.arch));
    let _ = fs::remove_file(&disk);
    let mke2fs = apt::tool("mke2fs").context("e2fsprogs is not installed")?;
    sh::run(Command::new(mke2fs).args(["-q", "-q", "-F", "-t", "ext4", "-d"]).arg(tree).arg(&disk).arg("1200M"))?;
    Ok(disk)
}
