//! What a process that has loaded and attached everything still may do: no more than it needs from then on. What is given up is given up for
//! good, by the calling thread and those it makes later.

use crate::model::{Check, Level};
use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus};
use nix::unistd::{Gid, Uid, User, setgroups, setresgid, setresuid};
use rustix::thread::{CapabilitySet, CapabilitySets};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;

/// Looking into every process, with their namespaces and descriptors.
const LOOKING: CapabilitySet = CapabilitySet::SYS_PTRACE.union(CapabilitySet::DAC_READ_SEARCH);
/// Entering other network namespaces, where the kernel's iterators and `sock_diag` list sockets with their cookies; and attaching the hook on the
/// return of accept(2) again, with tracefs that need not be mounted.
const ENTERING: CapabilitySet = CapabilitySet::SYS_ADMIN.union(CapabilitySet::PERFMON);

/// The commands of bpf(2) that go on: look-ups in maps and their like, and the reading of iterators whose programs are loaded
/// (`enum bpf_cmd` of `include/uapi/linux/bpf.h`).
const BPF_COMMANDS: [u64; 11] = [1, 2, 3, 4, 9, 15, 21, 24, 28, 33, 34];

/// What nobody needs who only looks. Each fails with EPERM.
const DENIED: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount_setattr,
    libc::SYS_open_tree,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_personality,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_mknodat,
    libc::SYS_fchmodat,
    libc::SYS_fchownat,
    libc::SYS_fchown,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    FCHMODAT2,
    libc::SYS_truncate,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_syslog,
];

/// `fchmodat2`, the same number on every architecture, since Linux 6.6.
const FCHMODAT2: libc::c_long = 452;

/// The same under their first names, which later architectures have not.
#[cfg(target_arch = "x86_64")]
const DENIED_OF_OLD: &[libc::c_long] = &[
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_mknod,
];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_OF_OLD: &[libc::c_long] = &[];

/// What is denied, too, where no other namespace is entered.
const DENIED_INSIDE: &[libc::c_long] = &[
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_move_mount,
    libc::SYS_perf_event_open,
];

/// What lets a process give up the rest.
const MEND: &str = "run as root, on a kernel with CONFIG_SECCOMP_FILTER=y and CONFIG_SECURITY_LANDLOCK=y";

/// What could not be given up, and what is still held.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Capabilities.
    capabilities: Vec<String>,
    /// What was refused, each with its cause.
    refused: Vec<String>,
    /// The user that the process runs as from now on, where that was changed.
    user: Option<String>,
    /// Whether other network namespaces are entered.
    enters: bool,
}

/// Gives up what is not needed once everything is loaded and attached. `enters`: other network namespaces, too, or hooks that are attached later.
/// What the kernel refuses is noted, and stays as it is.
pub fn drop_to(enters: bool, user: Option<&User>) -> Held {
    let mut held = Held { enters, ..Held::default() };
    if let Some(user) = user.filter(|user| !user.uid.is_root() && Uid::effective().is_root()) {
        match become_user(user.uid, user.gid) {
            Ok(()) => held.user = Some(user.name.clone()),
            Err(error) => held.refused.push(format!("user {}: {error}", user.name)),
        }
    }
    // In this order: to clear the bounding set takes a capability.
    let bounded = (0..64).filter_map(known_capability).try_for_each(|capability| {
        rustix::thread::remove_capability_from_bounding_set(capability).or_else(|error| match error {
            // The kernel has no such capability.
            rustix::io::Errno::INVAL => Ok(()),
            other => Err(other),
        })
    });
    let keep = if enters { LOOKING.union(ENTERING) } else { LOOKING };
    held.note("capabilities", limit(keep));
    let _ = rustix::thread::clear_ambient_capability_set();
    held.note("no_new_privs", rustix::thread::set_no_new_privs(true));
    let filtered = filter(enters).map_err(seccompiler::Error::from);
    if let Err(error) = filtered.and_then(|filter| seccompiler::apply_filter(&filter)) {
        held.refused.push(format!("seccomp: {error}"));
    }
    // It counts for who may run another program, and gains rights by that.
    if !held.refused.is_empty() {
        held.note("bounding set", bounded);
    }
    let effective = rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    held.capabilities = effective.iter_names().map(|(name, _)| format!("cap_{}", name.to_ascii_lowercase())).collect();
    held
}

/// Why something is kept that was to be given up.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The kernel does not take the capabilities away.
    #[error("capabilities: {0}")]
    Capabilities(#[source] std::io::Error),
    /// The filesystem cannot be closed.
    #[error("landlock: {0}")]
    Landlock(#[from] landlock::RulesetError),
    /// The kernel cannot close the filesystem.
    #[error("landlock: the kernel has it not, or not enabled")]
    NoLandlock,
}

/// Gives up every capability and the whole filesystem: for a thread that talks to clients, and looks at nothing itself.
///
/// # Errors
/// What the kernel refused, with its cause.
pub fn drop_all() -> Result<(), KeptError> {
    limit(CapabilitySet::empty()).map_err(|error| KeptError::Capabilities(error.into()))?;
    let all = AccessFs::from_all(ABI::V5);
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(all);
    let restricted = ruleset.and_then(|ruleset| ruleset.create()).and_then(|ruleset| ruleset.restrict_self());
    match restricted?.ruleset {
        RulesetStatus::NotEnforced => Err(KeptError::NoLandlock),
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(()),
    }
}

fn become_user(uid: Uid, gid: Gid) -> Result<(), Box<dyn std::error::Error>> {
    rustix::thread::set_keep_capabilities(true)?;
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    rustix::thread::set_keep_capabilities(false)?;
    // To change the user has taken the effective ones away.
    let sets = rustix::thread::capabilities(None)?;
    rustix::thread::set_capabilities(None, CapabilitySets { effective: sets.permitted, ..sets })?;
    Ok(())
}

/// Keeps of the capabilities those that are in `keep`.
fn limit(keep: CapabilitySet) -> rustix::io::Result<()> {
    let kept = rustix::thread::capabilities(None)?.permitted.intersection(keep);
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets)
}

/// The capability of a number, if it has a name.
fn known_capability(number: u32) -> Option<CapabilitySet> {
    CapabilitySet::from_bits(1 << number)
}

/// The filter of system calls.
fn filter(enters: bool) -> Result<BpfProgram, seccompiler::BackendError> {
    let inside = if enters { &[][..] } else { DENIED_INSIDE };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        DENIED.iter().chain(DENIED_OF_OLD).chain(inside).map(|&number| (number, Vec::new())).collect();
    let other_than = |values: &[u64]| -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
        let differs = |&value: &u64| SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value);
        let conditions = values.iter().map(differs).collect::<Result<Vec<_>, _>>()?;
        Ok(vec![SeccompRule::new(conditions)?])
    };
    rules.insert(libc::SYS_bpf, other_than(&BPF_COMMANDS)?);
    // Other processes of the same user, which may be root's, need no capability.
    rules.insert(libc::SYS_tgkill, other_than(&[u64::from(std::process::id())])?);
    rules.insert(libc::SYS_prlimit64, other_than(&[0])?);
    rules.insert(libc::SYS_socket, other_than(&[libc::AF_UNIX as u64, libc::AF_NETLINK as u64])?);
    let architecture = std::env::consts::ARCH.try_into()?;
    let denied = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, architecture)?;
    filter.try_into()
}

impl Held {
    fn note(&mut self, what: &str, outcome: rustix::io::Result<()>) {
        if let Err(error) = outcome {
            self.refused.push(format!("{what}: {}", std::io::Error::from(error)));
        }
    }

    /// Tries on a thread of its own whether [`drop_all`] is allowed to those that talk to clients.
    pub fn try_threads(&mut self) {
        // Without a thread nobody is talked to.
        let tried = std::thread::Builder::new().spawn(drop_all).map(std::thread::JoinHandle::join);
        if let Ok(Ok(Err(cause))) = tried {
            self.refused.push(format!("threads that talk to clients: {cause}"));
        }
    }

    /// What was refused, and what mends it; `None` where nothing was.
    pub fn refusal(&self) -> Option<String> {
        (!self.refused.is_empty()).then(|| format!("not given up: {}: {MEND}", self.refused.join("; ")))
    }

    /// What `doctor` says of it.
    pub fn checks(&self) -> Vec<Check> {
        let capabilities = match self.capabilities.is_empty() {
            true => "no capability".to_owned(),
            false => self.capabilities.join(", "),
        };
        let user = self.user.as_ref().map_or_else(String::new, |user| format!("user {user}, "));
        let limits = "no new privileges, no other program, bpf(2) for reading only";
        let mut checks = vec![Check::ok(
            "still_held",
            format!("{user}{capabilities}; {limits}; threads that talk to clients hold nothing"),
        )];
        checks.push(match self.enters {
            true => Check::ok(
                "privileges",
                "full: other network namespaces are entered, for the cookies of their sockets; --privileges least gives that up",
            ),
            false => Check::ok(
                "privileges",
                "least: sockets of other network namespaces have no cookie unless an event had it; --privileges full enters them",
            ),
        });
        if !self.refused.is_empty() {
            checks.push(Check::amiss("not_given_up", Level::Note, self.refused.join("; "), MEND));
        }
        checks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_sound_on_this_machine() {
        assert!(!filter(true).unwrap().is_empty());
        assert!(filter(false).unwrap().len() > filter(true).unwrap().len());
    }

    #[test]
    fn other_processes_and_the_modes_of_files_are_out_of_reach() {
        let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let file = std::env::temp_dir().join(format!("netstat-user-filter-{}", std::process::id()));
        std::fs::write(&file, "").unwrap();
        let pid = rustix::process::Pid::from_raw(other.id() as i32).unwrap();
        let tried = std::thread::scope(|scope| {
            let (file, moved) = (&file, file.with_extension("moved"));
            let confined = scope.spawn(move || {
                seccompiler::apply_filter(&filter(true).unwrap()).unwrap();
                let is_denied = |error: Option<i32>| error == Some(libc::EPERM);
                let os = |tried: std::io::Result<()>| is_denied(tried.err().and_then(|error| error.raw_os_error()));
                [
                    is_denied(
                        rustix::process::kill_process(pid, rustix::process::Signal::CONT)
                            .err()
                            .map(rustix::io::Errno::raw_os_error),
                    ),
                    os(std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600))),
                    os(std::fs::rename(file, &moved)),
                    os(std::os::unix::fs::symlink(file, &moved)),
                    os(std::fs::hard_link(file, &moved)),
                    {
                        let none = rustix::process::Rlimit { current: Some(9), maximum: Some(9) };
                        let resource = rustix::process::Resource::Nofile;
                        let limited = rustix::process::prlimit(Some(pid), resource, none);
                        is_denied(limited.err().map(rustix::io::Errno::raw_os_error))
                    },
                    // Its own limits are not.
                    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.is_some(),
                ]
            });
            confined.join().unwrap()
        });
        other.kill().unwrap();
        other.wait().unwrap();
        std::fs::remove_file(file).unwrap();
        assert_eq!(tried, [true; 7]);
    }

    #[test]
    fn what_is_held_and_what_was_refused_is_said() {
        let held = Held { capabilities: vec!["cap_x".into()], refused: vec!["seccomp: no".into()], ..Held::default() };
        let checks = held.checks();
        assert!(checks[0].found.starts_with("cap_x; ") && checks[1].found.starts_with("least"));
        assert_eq!((checks[2].level, checks[2].found.as_str()), (Level::Note, "seccomp: no"));
        assert_eq!(held.refusal().unwrap(), format!("not given up: seccomp: no: {MEND}"));
        assert_eq!((Held::default().checks().len(), Held::default().refusal()), (2, None));
    }
}
