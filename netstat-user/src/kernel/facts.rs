//! What this kernel offers, gathered once before anything is loaded.

use super::{
    btf::Btf,
    plan::{Facts, Hook, Symbols, Types},
    symbols,
};
use crate::sys;
use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// Where the kernel keeps its own BTF.
const VMLINUX_BTF: &str = "/sys/kernel/btf/vmlinux";

/// The capabilities that loading and attaching take, with their numbers in `include/uapi/linux/capability.h`.
const NEEDED: [(&str, u32); 3] = [("cap_bpf", 39), ("cap_perfmon", 38), ("cap_net_admin", 12)];
const CAP_SYS_ADMIN: u32 = 21;

/// What was found, with the handles that attaching needs.
pub struct Gathered {
    /// The plain facts.
    pub facts: Facts,
    /// Root of a cgroup2 hierarchy.
    pub cgroup: Option<OwnedFd>,
}

/// The effective capabilities, a bit each.
pub fn effective_capabilities() -> u64 {
    procfs::process::Process::myself().and_then(|me| me.status()).map_or(0, |status| status.capeff)
}

/// Names of the capabilities this process lacks for tracing.
pub fn missing_capabilities() -> Vec<&'static str> {
    let effective = effective_capabilities();
    let has = |number: u32| effective >> number & 1 == 1;
    // CAP_SYS_ADMIN stood for the first two before Linux 5.8, and still does.
    NEEDED
        .iter()
        .filter(|(name, number)| !(has(*number) || *name != "cap_net_admin" && has(CAP_SYS_ADMIN)))
        .map(|(name, _)| *name)
        .collect()
}

/// Asks the kernel.
pub fn gather() -> Gathered {
    let cgroup = cgroup_root();
    let (types, symbols) = types();
    let facts = Facts {
        types,
        tracefs: sys::with_tracefs(check_formats).and_then(|checked| checked).map_err(|error| error.to_string()),
        cgroup: cgroup.as_ref().map(|_| ()).map_err(ToString::to_string),
        symbols,
    };
    Gathered { facts, cgroup: cgroup.ok() }
}

/// What the kernel's BTF says, and the addresses that are found with its help.
fn types() -> (Result<Types, String>, Option<Symbols>) {
    let blob = fs::read(VMLINUX_BTF).map_err(|error| format!("{VMLINUX_BTF}: {error}"));
    let wants = |name: &[u8]| Types::wants(name) || symbols::wants(name);
    let btf = blob
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|blob| Btf::parse(blob, &wants).map_err(|error| format!("{VMLINUX_BTF}: {error}")));
    let symbols = btf.as_ref().ok().and_then(symbols::find);
    (btf.map(|btf| Types::from_btf(&btf)), symbols)
}

/// The root of the cgroup2 hierarchy: where it is mounted, or a mount of our own that nobody else sees.
fn cgroup_root() -> io::Result<OwnedFd> {
    let mounted: Option<PathBuf> = procfs::process::Process::myself()
        .and_then(|me| me.mountinfo())
        .ok()
        .and_then(|mounts| mounts.into_iter().find(|m| m.fs_type == "cgroup2" && m.root == "/").map(|m| m.mount_point));
    match mounted {
        Some(path) => Ok(fs::File::open(path)?.into()),
        None => sys::detached_mount("cgroup2"),
    }
}

/// Whether the classic tracepoints' records are laid out as the programs read them.
fn check_formats(tracefs: &Path) -> io::Result<()> {
    for hook in Hook::ALL {
        let Some((category, fields)) = hook.classic() else { continue };
        let path =
            tracefs.join("events").join(category).join(hook.target(super::plan::Variant::Tracepoint)).join("format");
        let format =
            fs::read_to_string(&path).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
        for (field, offset) in fields {
            if field_offset(&format, field) != Some(*offset) {
                return Err(io::Error::other(format!("{}: {field} is not at offset {offset}", path.display())));
            }
        }
    }
    Ok(())
}

/// Offset of a field in a tracepoint's `format` file.
fn field_offset(format: &str, name: &str) -> Option<u32> {
    format.lines().find_map(|line| {
        let mut parts = line.trim().split(';').map(str::trim);
        let declared = parts.next()?.strip_prefix("field:")?.rsplit([' ', '*']).next()?;
        let declared = declared.split('[').next()?;
        let offset = parts.next()?.strip_prefix("offset:")?;
        (declared == name).then(|| offset.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_offsets_from_a_format_file() {
        let format = "name: x\nformat:\n\tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;\n\
                      \tfield:__u8 saddr[4];\toffset:32;\tsize:4;\tsigned:0;\n\nprint fmt: \"skaddr\"\n";
        assert_eq!(field_offset(format, "skaddr"), Some(8));
        assert_eq!(field_offset(format, "saddr"), Some(32));
        assert_eq!(field_offset(format, "daddr"), None);
    }
}
