//! The system calls that are denied to a process which only looks, as filters of seccomp(2).

use crate::sys::NAMESPACE_COMMANDS;
use rustix::fs::OFlags;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};
use std::collections::BTreeMap;

/// The commands of bpf(2) that go on: look-ups, the one number that is handed to the programs, and walks by iterators that are loaded
/// (`enum bpf_cmd` of `include/uapi/linux/bpf.h`: `MAP_LOOKUP_ELEM`, `MAP_UPDATE_ELEM`, `MAP_GET_NEXT_KEY`, `OBJ_GET_INFO_BY_FD`, `LINK_CREATE`,
/// `ITER_CREATE`).
const BPF_COMMANDS: [u64; 6] = [1, 2, 4, 15, 28, 33];

/// `fchmodat2(2)`, which the C library has a number for on one architecture only.
const FCHMODAT2: libc::c_long = 452;

/// The commands of ioctl(2) that go on besides those that ask about namespaces: what a terminal is, how large it is, what a descriptor is like, and
/// those that attach programs to tracepoints (`PERF_EVENT_IOC_ENABLE`, `_DISABLE`, `_SET_BPF`). Others type into a terminal, or change a file.
const COMMANDS: [u64; 8] =
    [libc::TCGETS, libc::TIOCGWINSZ, libc::FIONBIO, libc::FIONREAD, libc::FIOCLEX, 0x2400, 0x2401, 0x4004_2408];

/// The commands of fcntl(2) that go on: copies of descriptors, their flags, and the size of a pipe, which the standard library, the runtime and the C
/// library ask for. Others choose a process that a descriptor signals (`F_SETOWN`, `F_SETOWN_EX`) and the signal (`F_SETSIG`), or hold up who opens or
/// locks a file (`F_SETLEASE`, `F_SETLK`).
const DESCRIPTOR_COMMANDS: [libc::c_int; 7] = [
    libc::F_DUPFD,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETPIPE_SZ,
];

/// The advice of madvise(2) that takes a page of memory from the whole machine, until it boots again: `MADV_HWPOISON`, `MADV_SOFT_OFFLINE`.
const POISONING_ADVICE: [u64; 2] = [100, 101];

/// The option of prctl(2) that chooses which processes share a core with which (`PR_SCHED_CORE`).
const SCHED_CORE: u64 = 62;

/// `quotactl_fd(2)`, `process_mrelease(2)` and `lsm_set_self_attr(2)`, which the C library has no numbers for everywhere.
const QUOTACTL_FD: libc::c_long = 443;
const PROCESS_MRELEASE: libc::c_long = 448;
const LSM_SET_SELF_ATTR: libc::c_long = 460;

/// What nobody needs who only looks. Each fails with EPERM.
const DENIED: &[libc::c_long] = &[
    // Other programs and other processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
    libc::SYS_ioprio_set,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    PROCESS_MRELEASE,
    libc::SYS_kcmp,
    // Watching files: a descriptor of fanotify(7) brings others, opened as was asked when it was made, and holds up who opens a file.
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    // What processes share. A queue of POSIX is a file, too (mq_overview(7)): opened to read, messages could be taken from it.
    libc::SYS_flock,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    libc::SYS_mq_timedsend,
    libc::SYS_mq_timedreceive,
    libc::SYS_mq_notify,
    libc::SYS_mq_getsetattr,
    libc::SYS_msgget,
    libc::SYS_msgctl,
    libc::SYS_msgrcv,
    libc::SYS_msgsnd,
    libc::SYS_semget,
    libc::SYS_semctl,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    // The kernel.
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
    libc::SYS_personality,
    libc::SYS_acct,
    libc::SYS_quotactl,
    QUOTACTL_FD,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    // The user, and what a security module calls the process.
    LSM_SET_SELF_ATTR,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    // Files. The agent makes and removes the file of its socket, and the folder for it: bind(2), mkdirat(2), unlinkat(2).
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount_setattr,
    libc::SYS_open_tree,
    libc::SYS_umount2,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_move_mount,
    libc::SYS_mknodat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchownat,
    libc::SYS_fchown,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    RENAMEAT,
    libc::SYS_renameat2,
    libc::SYS_truncate,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
];

/// `renameat(2)`: the C library has no number for it on aarch64, though the kernel has (`include/uapi/asm-generic/unistd.h`).
const RENAMEAT: libc::c_long = if cfg!(target_arch = "aarch64") { 38 } else { 264 };

/// The older forms of calls on files, which only x86-64 has (glibc makes them), and its calls for the ports of devices.
#[cfg(target_arch = "x86_64")]
const DENIED_OLDER: &[libc::c_long] = &[
    libc::SYS_creat,
    libc::SYS_mknod,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_rename,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_inotify_init,
    libc::SYS_iopl,
    libc::SYS_ioperm,
];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_OLDER: &[libc::c_long] = &[];

/// What is denied, too, where no other namespace is entered.
const DENIED_INSIDE: &[libc::c_long] = &[libc::SYS_setns, libc::SYS_perf_event_open];

/// What is denied, too, where tracefs is mounted already, or not needed.
const DENIED_WHERE_MOUNTED: &[libc::c_long] = &[libc::SYS_unshare, libc::SYS_mount];

/// The calls that open files, with the argument that has the flags.
const OPENING: &[(libc::c_long, u8)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 1),
    (libc::SYS_openat, 2),
    (libc::SYS_open_by_handle_at, 2),
];

/// All kinds of new namespaces (clone(2)).
const NEW_NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// The first number of a system call that is newer than this table (setxattrat(2), Linux 6.13).
const NEWER: u32 = 463;

/// From here on the calls of the x32 ABI on x86-64, with numbers that no table has (`__X32_SYSCALL_BIT`).
const X32: u32 = 0x4000_0000;

/// What is still to be done besides looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Later {
    /// Nothing.
    Nothing,
    /// Other network namespaces are entered, and hooks are attached again.
    Enters,
    /// The same, and for that tracefs is mounted, in a mount namespace of one's own.
    EntersAndMounts,
}

/// The filters of system calls, each to be applied.
pub fn filters(later: Later) -> Result<[BpfProgram; 2], seccompiler::BackendError> {
    Ok([of_numbers(), of_calls(later)?])
}

fn of_calls(later: Later) -> Result<BpfProgram, seccompiler::BackendError> {
    let inside = if later == Later::Nothing { DENIED_INSIDE } else { &[] };
    let mounting = if later == Later::EntersAndMounts { &[] } else { DENIED_WHERE_MOUNTED };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    rules.insert(libc::SYS_bpf, vec![other_than(0, &BPF_COMMANDS)?]);
    // Of the kernel's own protocols it asks `sock_diag` alone. Another one says to all who listen what the kernel has found (uevents).
    let (netlink, other_protocol) = (equal(0, libc::AF_NETLINK as u64)?, other(2, libc::NETLINK_SOCK_DIAG as u64)?);
    let families = other_than(0, &[libc::AF_UNIX as u64, libc::AF_NETLINK as u64])?;
    rules.insert(libc::SYS_socket, vec![families, SeccompRule::new(vec![netlink, other_protocol])?]);
    // Tracepoints are of the whole machine: one of a process can have that signalled (`perf_event_attr.sigtrap`).
    rules.insert(libc::SYS_perf_event_open, vec![other_than(1, &[u64::from(u32::MAX)])?]);
    let namespaces = NAMESPACE_COMMANDS.map(u64::from);
    rules.insert(libc::SYS_ioctl, vec![other_than(1, &[&COMMANDS[..], &namespaces].concat())?]);
    // Of its own threads and limits alone: those of other processes of the same user, which may be root's, need no capability.
    rules.insert(libc::SYS_tgkill, vec![other_than(0, &[u64::from(std::process::id())])?]);
    rules.insert(libc::SYS_prlimit64, vec![other_than(0, &[0])?]);
    // 0 is the calling thread only where the first argument asks for a process (`PRIO_PROCESS`): else it is all of the user or the group.
    rules.insert(libc::SYS_setpriority, vec![other_than(0, &[libc::PRIO_PROCESS as u64])?, other_than(1, &[0])?]);
    let descriptor_commands = DESCRIPTOR_COMMANDS.map(|command| command as u64);
    // A terminal takes its foreground processes for whom to signal when it is asked for signals.
    let (set, asks) = (equal(1, libc::F_SETFL as u64)?, bits(2, libc::O_ASYNC as u64, libc::O_ASYNC as u64)?);
    rules.insert(libc::SYS_fcntl, vec![other_than(1, &descriptor_commands)?, SeccompRule::new(vec![set, asks])?]);
    let poisoning = POISONING_ADVICE.iter().map(|&advice| SeccompRule::new(vec![equal(2, advice)?]));
    rules.insert(libc::SYS_madvise, poisoning.collect::<Result<_, _>>()?);
    rules.insert(libc::SYS_prctl, vec![SeccompRule::new(vec![equal(0, SCHED_CORE)?])?]);
    // The tables of the kernel are of network namespaces, and tracefs is mounted in a mount namespace.
    rules.insert(libc::SYS_setns, vec![other_than(1, &[libc::CLONE_NEWNET as u64])?]);
    rules.insert(libc::SYS_unshare, vec![other_than(0, &[libc::CLONE_NEWNS as u64])?]);
    // A filesystem is mounted, and who sees what is mounted below a place is changed. No mount is moved, bound or given other flags.
    rules.insert(libc::SYS_mount, vec![other_than(3, &[0, libc::MS_PRIVATE | libc::MS_REC])?]);
    let new_namespace = NEW_NAMESPACES.iter().map(|&flag| masked(0, flag as u64, flag as u64));
    rules.insert(libc::SYS_clone, new_namespace.collect::<Result<_, _>>()?);
    for &(call, argument) in OPENING {
        rules.insert(call, writing(argument)?);
    }
    // After those that depend on an argument: what is denied is denied whatever it is.
    rules.extend(DENIED.iter().chain(DENIED_OLDER).chain(inside).chain(mounting).map(|&number| (number, Vec::new())));
    let architecture = std::env::consts::ARCH.try_into()?;
    let denied = SeccompAction::Errno(libc::EPERM as u32);
    SeccompFilter::new(rules, SeccompAction::Allow, denied, architecture)?.try_into()
}

/// Where the argument is none of these.
fn other_than(argument: u8, values: &[u64]) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(values.iter().map(|&value| other(argument, value)).collect::<Result<_, _>>()?)
}

/// Where the argument is not this.
fn other(argument: u8, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)
}

/// Where the argument is this.
fn equal(argument: u8, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

/// Where the bits of the argument that are in `mask` have this value.
fn bits(argument: u8, mask: u64, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)
}

/// The same, as a rule of its own.
fn masked(argument: u8, mask: u64, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![bits(argument, mask, value)?])
}

/// Where the flags of open(2) let a file be changed, made or cut.
fn writing(argument: u8) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let access = u64::from(OFlags::ACCMODE.bits() & 0b11);
    let ways = (1..=access).map(|way| (access, way));
    let made = [OFlags::CREATE, OFlags::TRUNC].map(|flag| (u64::from(flag.bits()), u64::from(flag.bits())));
    ways.chain(made).map(|(mask, value)| masked(argument, mask, value)).collect()
}

/// What a number alone decides. A call whose arguments a filter cannot see, and one that is newer than the tables, is not there (`ENOSYS`): the C library
/// then makes an older one.
fn of_numbers() -> BpfProgram {
    let statement = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    let refuse =
        |errno: libc::c_int| statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32);
    let unless = |how: u32, number: u32| statement(libc::BPF_JMP | how | libc::BPF_K, 0, 1, number);
    vec![
        // `struct seccomp_data` begins with the number.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        unless(libc::BPF_JGE, X32),
        refuse(libc::EPERM),
        unless(libc::BPF_JGE, NEWER),
        refuse(libc::ENOSYS),
        unless(libc::BPF_JEQ, libc::SYS_clone3 as u32),
        refuse(libc::ENOSYS),
        unless(libc::BPF_JEQ, libc::SYS_openat2 as u32),
        refuse(libc::ENOSYS),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_can_be_built_on_this_machine() {
        for later in [Later::Nothing, Later::Enters, Later::EntersAndMounts] {
            assert_eq!(filters(later).map(|filters| filters.len()).ok(), Some(2), "{later:?}");
        }
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
                let filters = filters(Later::Enters).unwrap();
                filters.iter().for_each(|filter| seccompiler::apply_filter(filter).unwrap());
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
                    {
                        let opened = std::fs::File::open(file).unwrap();
                        let set = rustix::fs::ioctl_setflags(&opened, rustix::fs::IFlags::NOATIME);
                        is_denied(set.err().map(rustix::io::Errno::raw_os_error))
                    },
                    // What is a terminal, how it runs itself, and its own limits are not.
                    is_denied(
                        rustix::termios::tcgetwinsize(std::io::stdin()).err().map(rustix::io::Errno::raw_os_error),
                    ),
                    rustix::process::setpriority_process(None, 5).is_err(),
                    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.is_some(),
                ]
            });
            confined.join().unwrap()
        });
        other.kill().unwrap();
        other.wait().unwrap();
        std::fs::remove_file(file).unwrap();
        let (denied, allowed) = tried.split_at(7);
        assert_eq!((denied, allowed), (&[true; 7][..], &[false, false, true][..]));
    }
}
