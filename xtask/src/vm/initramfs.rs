//! The guest's whole file system: busybox, our binary, the suites, the libraries they load, some of the host's programs
//! and tables, and an init that runs the suites and powers off. The archive is cpio's `newc` format, which the kernel unpacks.

use super::kernels::Kernel;
use super::userland::Userland;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs that suites compare with, where there are any.
const PROGRAMS: &[&str] = &["netstat", "ss", "ip", "tc"];
/// Tables of the host that names are looked up in.
const TABLES: &[&str] = &["/etc/passwd", "/etc/group", "/etc/services", "/etc/protocols", "/etc/networks"];
/// The first line of the init names its interpreter; what it prints goes to a serial port of its own, beside the kernel's console.
const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /run
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb RUST_BACKTRACE=1 NETSTAT_USER_BIN=/usr/bin/netstat-user NETSTAT_TEST_SCALE=@SCALE@ NETSTAT_CHURN_SECONDS=8
mount -t devtmpfs none /dev
exec </dev/null >/dev/@PORT@ 2>&1
stty -F /dev/@PORT@ raw -echo
mkdir -p /dev/pts /dev/shm /root
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devpts none /dev/pts
mount -t tmpfs none /dev/shm
mount -t tmpfs none /tmp
mount -t tmpfs none /run
mount -t cgroup2 none /sys/fs/cgroup
mount -t bpf none /sys/fs/bpf
mount -t tracefs none /sys/kernel/tracing
mount -t debugfs none /sys/kernel/debug
ip link set lo up
hostname vm
"#;

/// The init of a guest whose system is on a disk: it loads what reaches that, and hands over.
const HAND_OVER: &str = r#"#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /new
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs none /dev
mount -t proc none /proc
mount -t sysfs none /sys
"#;

/// A guest file system in the making.
pub struct Image<'a> {
    kernel: &'a Kernel,
    userland: &'a Userland,
    archive: Vec<u8>,
    /// Folders and files already in the archive, by absolute path.
    present: BTreeSet<PathBuf>,
    init: String,
}

impl<'a> Image<'a> {
    /// With everything but our binary and the suites. `port` is the serial port that the suites print to, `scale` what they heed.
    pub fn new(kernel: &'a Kernel, userland: &'a Userland, port: &str, scale: &str) -> Result<Self> {
        let init = INIT.replace("@PORT@", port).replace("@SCALE@", scale);
        let mut image = Self { kernel, userland, archive: Vec::new(), present: BTreeSet::new(), init };
        let busybox = userland.find("busybox").context("busybox is not installed")?;
        image.program("/bin/busybox", &busybox)?;
        for program in PROGRAMS.iter().filter_map(|name| userland.find(name)) {
            image.program(
                &format!("/usr/bin/{}", program.file_name().unwrap_or_default().to_string_lossy()),
                &program,
            )?;
        }
        for table in TABLES {
            if let Ok(text) = fs::read(table) {
                image.file(table.as_ref(), 0o644, &text);
            }
        }
        image.file("/etc/hosts".as_ref(), 0o644, b"127.0.0.1 localhost\n::1 localhost\n");
        image.file("/etc/nsswitch.conf".as_ref(), 0o644, b"hosts: files\n");
        Ok(image)
    }

    /// No more than what reaches a disk and starts the system on it.
    pub fn of_a_disk(kernel: &'a Kernel, userland: &'a Userland, modules: &[&str]) -> Result<Self> {
        let init = HAND_OVER.to_owned();
        let mut image = Self { kernel, userland, archive: Vec::new(), present: BTreeSet::new(), init };
        let busybox = userland.find("busybox").context("busybox is not installed")?;
        image.program("/bin/busybox", &busybox)?;
        for module in modules {
            image.module(module)?;
        }
        image.init.push_str(
            "until mount -t ext4 /dev/vda /new; do sleep 0.2; done\n\
             umount /proc\numount /sys\nmount --move /dev /new/dev\nexec switch_root /new /sbin/init\n",
        );
        Ok(image)
    }

    /// An executable at `path` in the guest, with the libraries it loads.
    pub fn program(&mut self, path: &str, host: &Path) -> Result<()> {
        self.file(path.as_ref(), 0o755, &fs::read(host).with_context(|| format!("cannot read {}", host.display()))?);
        for (place, file) in self.userland.libraries(host)? {
            let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            self.file(&place, 0o755, &bytes);
        }
        Ok(())
    }

    /// A test executable, to be run after `modules` are loaded, for at most `limit` seconds. `arguments` select among its tests.
    pub fn suite(
        &mut self,
        name: &str,
        executable: &Path,
        modules: &[&str],
        arguments: &str,
        limit: u64,
    ) -> Result<()> {
        for module in modules {
            self.module(module)?;
        }
        self.program(&format!("/suites/{name}"), executable)?;
        // Serially: under emulation two cores are slow enough to make tests that run side by side miss each other's deadlines.
        self.init.push_str(&format!(
            "echo '@@begin {name}'\n\
             cd /tmp && timeout -s KILL {limit} /suites/{name} --test-threads=1 --show-output {arguments}\n\
             echo \"@@end {name} $?\"\n"
        ));
        Ok(())
    }

    /// Loads a module in the guest, those it depends on first.
    fn module(&mut self, name: &str) -> Result<()> {
        let path = PathBuf::from(format!("/modules/{name}.ko"));
        if self.present.contains(&path) {
            return Ok(());
        }
        // What is part of the kernel needs no loading.
        let built_in = fs::read_to_string(self.kernel.modules.join("modules.builtin")).unwrap_or_default();
        if built_in.lines().any(|line| line.ends_with(&format!("/{name}.ko"))) {
            return Ok(());
        }
        let file = find_module(&self.kernel.modules, name)?
            .with_context(|| format!("Linux {} has no module {name}", self.kernel.release))?;
        let bytes = if file.extension().is_some_and(|extension| extension == "xz") {
            let out = Command::new("xz").arg("-dc").arg(&file).output().context("cannot run xz")?;
            out.stdout
        } else {
            fs::read(&file)?
        };
        for dependency in depends(&bytes) {
            self.module(&dependency)?;
        }
        self.file(&path, 0o644, &bytes);
        self.init.push_str(&format!("insmod {}\n", path.display()));
        Ok(())
    }

    fn file(&mut self, path: &Path, mode: u32, bytes: &[u8]) {
        if self.present.contains(path) {
            return;
        }
        let folders: Vec<_> = path.ancestors().skip(1).filter(|dir| dir.parent().is_some()).collect();
        for folder in folders.into_iter().rev() {
            if self.present.insert(folder.to_owned()) {
                self.entry(folder, 0o040_755, &[]);
            }
        }
        self.present.insert(path.to_owned());
        self.entry(path, 0o100_000 | mode, bytes);
    }

    /// A `newc` header: thirteen hexadecimal numbers of eight digits, then the name, then the contents, each padded to four bytes.
    fn entry(&mut self, path: &Path, mode: u32, bytes: &[u8]) {
        let name = path.to_string_lossy();
        let name = name.trim_start_matches('/');
        let inode = self.present.len() + 1;
        let fields = [inode, mode as usize, 0, 0, 1, 0, bytes.len(), 0, 0, 0, 0, name.len() + 1, 0];
        self.archive.extend(b"070701");
        for field in fields {
            self.archive.extend(format!("{field:08x}").bytes());
        }
        self.archive.extend(name.bytes());
        self.archive.push(0);
        self.pad();
        self.archive.extend(bytes);
        self.pad();
    }

    fn pad(&mut self) {
        self.archive.resize(self.archive.len().next_multiple_of(4), 0);
    }

    /// Ends the archive, whose init powers off after the suites, and writes it.
    pub fn write(mut self, path: &Path) -> Result<()> {
        self.init.push_str("sync\npoweroff -f\n");
        self.write_as_it_is(path)
    }

    /// Ends the archive and writes it.
    pub fn write_as_it_is(mut self, path: &Path) -> Result<()> {
        let init = std::mem::take(&mut self.init);
        self.file("/init".as_ref(), 0o755, init.as_bytes());
        self.entry("TRAILER!!!".as_ref(), 0, &[]);
        fs::write(path, &self.archive).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o644))?;
        Ok(())
    }
}

fn find_module(dir: &Path, name: &str) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(dir)?.flatten() {
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if let Some(found) = find_module(&path, name)? {
                return Ok(Some(found));
            }
        } else {
            // A module's file may be spelled with a hyphen where its name has an underscore.
            let file = entry.file_name().to_string_lossy().replace('-', "_");
            if file.strip_prefix(name).is_some_and(|rest| matches!(rest, ".ko" | ".ko.xz")) {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}

/// The modules a module names in its `.modinfo` section.
fn depends(module: &[u8]) -> Vec<String> {
    let key = b"\0depends=";
    let Some(start) = module.windows(key.len()).position(|window| window == key) else { return Vec::new() };
    let value = module[start + key.len()..].split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(value).split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_from_the_module() {
        assert_eq!(
            depends(b"\x7fELF\0license=GPL\0depends=libcrc32c,udp_tunnel\0name=sctp\0"),
            ["libcrc32c", "udp_tunnel"]
        );
        assert_eq!(depends(b"\0depends=\0"), Vec::<String>::new());
        assert_eq!(depends(b"none"), Vec::<String>::new());
    }
}
