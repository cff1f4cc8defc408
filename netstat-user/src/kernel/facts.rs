//! What this kernel offers, gathered once before anything is loaded.

use super::{
    btf::{Btf, TRACEPOINT},
    cgroup,
    hooks::{HOOKS, ITERATED, Needs},
    plan::{Facts, KernelTypes, Symbols},
    refusal::Lacking,
    symbols,
};
use crate::sys::{self, Capability, KERNEL_TYPES};
use hashbrown::HashSet;
use netstat_ebpf::kfunc;
use rustix::fs::{Mode, OFlags, openat};
use rustix::thread::CapabilitySet;
use std::{fs, io, path::Path};

/// Where the kernel says how far it is locked down, and the file's name there.
const SECURITYFS: &str = "/sys/kernel/security";
const LOCKDOWN: &str = "lockdown";

/// What was found, with the handles that attaching needs.
pub struct GatheredFacts {
    /// The plain facts.
    pub facts: Facts,
    /// Root of the cgroup2 hierarchy, or of the part of it that can be seen.
    pub cgroup: Option<cgroup::Root>,
    /// How far the kernel is locked down, if it can be.
    pub lockdown: Option<Lockdown>,
    /// The kernel's numbers of the types that programs are loaded for.
    pub numbers: Option<aya::Btf>,
}

/// The command line that gets out of a user namespace.
pub const OUTSIDE: &str = "run as root of the host, outside of this user namespace (in a container: without --userns, userns-remap or rootless mode)";

/// Whether what this process holds, it holds in a user namespace of somebody's only, and not over the kernel.
pub fn is_contained() -> bool {
    sys::is_in_initial_user_namespace() == Some(false)
}

/// The effective capabilities that hold for the kernel itself.
pub fn capabilities_over_kernel() -> CapabilitySet {
    if is_contained() { CapabilitySet::empty() } else { sys::effective_capabilities() }
}

/// Whether this process may close sockets: those of the network namespaces that its user namespace owns.
pub fn may_close() -> bool {
    Capability::NET_ADMIN.is_in(sys::effective_capabilities())
}

/// What lets this user trace.
pub fn grant() -> String {
    if is_contained() { OUTSIDE.to_owned() } else { format!("run as root, or: {}", setcap()) }
}

/// The command that lets a user other than root trace without CAP_SYS_ADMIN. It is one command, as each `setcap` replaces what the last one set.
fn setcap() -> String {
    let names: Vec<_> = Capability::TO_TRACE.iter().chain(&Capability::TO_FIND_OWNERS).map(|it| it.name).collect();
    format!("setcap {}+ep PROGRAM", names.join(","))
}

/// Names of the capabilities this process lacks for tracing.
pub fn missing_capabilities() -> Vec<&'static str> {
    let mut held = capabilities_over_kernel();
    // CAP_SYS_ADMIN includes these two, which exist since Linux 5.8.
    if Capability::SYS_ADMIN.is_in(held) {
        held |= Capability::BPF.set | Capability::PERFMON.set;
    }
    Capability::TO_TRACE.into_iter().filter(|needed| !needed.is_in(held)).map(|needed| needed.name).collect()
}

fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// The kernel's release, if it lacks what no program of ours can do without.
pub fn too_old() -> Option<String> {
    (sys::bpf::has_compare_exchange() == Some(false)).then(release)
}

/// The first number of a release.
fn major(release: &str) -> Option<u32> {
    release.split_once('.')?.0.parse().ok()
}

/// Asks the kernel.
pub fn gather() -> GatheredFacts {
    let lockdown = lockdown_file().ok().and_then(|text| lockdown(&text));
    let cgroup = cgroup::root(Path::new("/proc")).map_err(Lacking::mount);
    let (types, symbols, numbers) = types();
    let facts = Facts {
        types,
        tracefs: match lockdown {
            // Under lockdown tracefs shows nothing, and unmounting it then crashes kernels such as Linux 6.12 (tracefs_destroy_inode).
            Some(Lockdown::Confidentiality) => Err(Lacking::Locked),
            _ => sys::with_tracefs(check_formats).map_err(Lacking::mount).and_then(|checked| checked),
        },
        cgroup: match &cgroup {
            Ok(_) => Ok(()),
            Err(lacking) => Err(lacking.clone()),
        },
        symbols,
        preempted: major(&release()).is_some_and(|major| major >= 7),
    };
    GatheredFacts { facts, cgroup: cgroup.ok(), lockdown, numbers }
}

/// What the kernel's BTF says, the addresses that are found with its help, and the numbers of types.
fn types() -> (Result<KernelTypes, Lacking>, Option<Symbols>, Option<aya::Btf>) {
    let names: HashSet<&[u8]> = KernelTypes::names()
        .chain(symbols::names())
        .chain(kfunc::ALL.map(|(_, name)| name))
        .chain(ITERATED.map(|spec| spec.function))
        .map(str::as_bytes)
        .collect();
    let wants = |name: &[u8]| names.contains(name.strip_prefix(TRACEPOINT.as_bytes()).unwrap_or(name));
    let blob = sys::kernel_types().map_err(|error| Lacking::file(KERNEL_TYPES, error));
    let btf = blob
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|blob| Btf::parse(blob, &wants).map_err(|error| Lacking::Types { path: KERNEL_TYPES.into(), error }));
    let symbols = btf.as_ref().ok().and_then(symbols::find);
    let numbers = btf.as_ref().ok().and_then(|btf| aya::Btf::parse(&btf.named_alone(), aya::Endianness::Little).ok());
    (btf.map(|btf| KernelTypes::from_btf(&btf)), symbols, numbers)
}

/// How far the kernel is locked down (kernel_lockdown(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lockdown {
    /// Not at all.
    None,
    /// The kernel cannot be changed: that does not hinder tracing.
    Integrity,
    /// Nor can its memory be read, by programs least of all.
    Confidentiality,
}

/// What the kernel says of it; securityfs may not be mounted.
fn lockdown_file() -> io::Result<String> {
    fs::read_to_string(Path::new(SECURITYFS).join(LOCKDOWN)).or_else(|_| {
        let mounted = sys::detached_mount("securityfs")?;
        let file = openat(&mounted, LOCKDOWN, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        io::read_to_string(fs::File::from(file))
    })
}

/// Reads what the file says: `none [integrity] confidentiality`.
fn lockdown(text: &str) -> Option<Lockdown> {
    let chosen = text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'))?;
    match chosen {
        "none" => Some(Lockdown::None),
        "integrity" => Some(Lockdown::Integrity),
        "confidentiality" => Some(Lockdown::Confidentiality),
        _ => None,
    }
}

/// Whether the classic tracepoints' records are laid out as the programs read them.
fn check_formats(tracefs: &Path) -> Result<(), Lacking> {
    for way in HOOKS.iter().flat_map(|spec| spec.ways) {
        let Needs::Record(_, layout) = way.needs else { continue };
        let path = tracefs.join("events").join(layout.category).join(way.target).join("format");
        let format = fs::read_to_string(&path).map_err(|error| Lacking::file(&path, error))?;
        for (field, offset) in layout.fields {
            if field_offset(&format, field) != Some(*offset) {
                return Err(Lacking::Layout { path, field, offset: *offset });
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
    fn reads_how_far_the_kernel_is_locked_down() {
        assert_eq!(lockdown("[none] integrity confidentiality\n"), Some(Lockdown::None));
        assert_eq!(lockdown("none [integrity] confidentiality\n"), Some(Lockdown::Integrity));
        assert_eq!(lockdown("none integrity [confidentiality]\n"), Some(Lockdown::Confidentiality));
        assert_eq!(lockdown("none integrity confidentiality"), None);
        assert_eq!(lockdown("[more]"), None);
    }

    #[test]
    fn one_command_grants_all() {
        assert_eq!(setcap(), "setcap cap_bpf,cap_perfmon,cap_net_admin,cap_sys_ptrace,cap_dac_read_search+ep PROGRAM");
    }

    #[test]
    fn a_release_begins_with_its_major_number() {
        assert_eq!(major("6.18.5"), Some(6));
        assert_eq!(major("7.3.4+deb13-cloud-amd64"), Some(7));
        assert_eq!(major("next"), None);
    }

    #[test]
    fn reads_offsets_from_a_format_file() {
        let format = "name: x\nformat:\n\tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;\n\
                      \tfield:__u8 saddr[4];\toffset:32;\tsize:4;\tsigned:0;\n\nprint fmt: \"skaddr\"\n";
        assert_eq!(field_offset(format, "skaddr"), Some(8));
        assert_eq!(field_offset(format, "saddr"), Some(32));
        assert_eq!(field_offset(format, "daddr"), None);
    }
}
