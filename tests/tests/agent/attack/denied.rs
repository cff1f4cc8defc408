//! The system calls that are denied once privileges are given up, each made by a process that gave them up as the agent does.

use netstat_tests::truth::actor::{self, Actor, say};
use netstat_tests::truth::runner::{Done, Test};
use netstat_user::daemon::privileges;
use nix::libc;
use std::io;

pub const TESTS: &[Test] = &[("attack::denied_calls_are_denied", denied_calls_are_denied)];

/// A call with arguments of which no kernel makes anything, if the filter lets it pass.
type Call = (&'static str, libc::c_long, [libc::c_long; 4]);

/// An address that no process has.
const NOWHERE: libc::c_long = libc::c_long::MIN >> 1;
const AT: libc::c_long = libc::AT_FDCWD as libc::c_long;
/// The commands of fcntl(2) that the C library has no names for.
const F_SETSIG: libc::c_long = 10;
const F_SETOWN_EX: libc::c_long = 15;

/// At both levels, with `EPERM`.
fn denied() -> Vec<Call> {
    let path = c"/dev/null".as_ptr() as libc::c_long;
    let memory = c"/proc/self/mem".as_ptr() as libc::c_long;
    let bad = [NOWHERE, NOWHERE, NOWHERE, 0];
    let open = |flags: libc::c_int| [AT, path, libc::c_long::from(flags), 0];
    let clone = |flag: libc::c_int| [libc::c_long::from(flag | libc::CLONE_SIGHAND), 0, 0, 0];
    let mut calls = vec![
        ("openat, to write", libc::SYS_openat, open(libc::O_WRONLY)),
        ("openat, to read and write", libc::SYS_openat, open(libc::O_RDWR)),
        ("openat, for ioctl", libc::SYS_openat, open(libc::O_ACCMODE)),
        ("openat, to make", libc::SYS_openat, open(libc::O_CREAT)),
        ("openat, to cut", libc::SYS_openat, open(libc::O_TRUNC)),
        ("openat of memory", libc::SYS_openat, [AT, memory, libc::O_RDWR.into(), 0]),
        ("fchmod", libc::SYS_fchmod, [-1, 0, 0, 0]),
        ("fchmodat", libc::SYS_fchmodat, [-1, NOWHERE, 0, 0]),
        ("fchmodat2", 452, [-1, NOWHERE, 0, 0]),
        ("fchown", libc::SYS_fchown, [-1, 0, 0, 0]),
        ("fchownat", libc::SYS_fchownat, [-1, NOWHERE, 0, 0]),
        ("linkat", libc::SYS_linkat, [-1, NOWHERE, -1, NOWHERE]),
        ("symlinkat", libc::SYS_symlinkat, [NOWHERE, -1, NOWHERE, 0]),
        ("renameat", if cfg!(target_arch = "aarch64") { 38 } else { 264 }, [-1, NOWHERE, -1, NOWHERE]),
        ("renameat2", libc::SYS_renameat2, [-1, NOWHERE, -1, NOWHERE]),
        ("mknodat", libc::SYS_mknodat, [-1, NOWHERE, 0, 0]),
        ("truncate", libc::SYS_truncate, [NOWHERE, 0, 0, 0]),
        ("utimensat", libc::SYS_utimensat, [-1, NOWHERE, NOWHERE, 0]),
        ("setxattr", libc::SYS_setxattr, bad),
        ("removexattr", libc::SYS_removexattr, bad),
        ("process_vm_readv", libc::SYS_process_vm_readv, [1, NOWHERE, 1, NOWHERE]),
        ("process_vm_writev", libc::SYS_process_vm_writev, [1, NOWHERE, 1, NOWHERE]),
        ("process_madvise", libc::SYS_process_madvise, [-1, NOWHERE, 1, 0]),
        ("ptrace", libc::SYS_ptrace, [-1, 1, 0, 0]),
        ("execve", libc::SYS_execve, bad),
        ("kill", libc::SYS_kill, [1, 0, 0, 0]),
        ("tkill", libc::SYS_tkill, [1, 0, 0, 0]),
        ("tgkill of another process", libc::SYS_tgkill, [1, 1, 0, 0]),
        ("rt_sigqueueinfo", libc::SYS_rt_sigqueueinfo, [1, 0, NOWHERE, 0]),
        ("setpriority, of other than a process", libc::SYS_setpriority, [3, 0, 19, 0]),
        ("setpriority of another process", libc::SYS_setpriority, [0, 1 << 30, 19, 0]),
        ("fcntl, to signal another process", libc::SYS_fcntl, [-1, libc::F_SETOWN.into(), 1, 0]),
        ("fcntl, to signal a thread", libc::SYS_fcntl, [-1, F_SETOWN_EX, NOWHERE, 0]),
        ("fcntl, to choose the signal", libc::SYS_fcntl, [-1, F_SETSIG, libc::SIGKILL.into(), 0]),
        ("fcntl, to be signalled", libc::SYS_fcntl, [-1, libc::F_SETFL.into(), libc::O_ASYNC.into(), 0]),
        ("fcntl, to hold up who opens", libc::SYS_fcntl, [-1, libc::F_SETLEASE.into(), libc::F_RDLCK.into(), 0]),
        ("flock", libc::SYS_flock, [-1, libc::LOCK_EX.into(), 0, 0]),
        ("fanotify_init", libc::SYS_fanotify_init, [-1, 0, 0, 0]),
        ("fanotify_mark", libc::SYS_fanotify_mark, [-1, 0, 0, -1]),
        ("inotify_init1", libc::SYS_inotify_init1, [-1, 0, 0, 0]),
        ("inotify_add_watch", libc::SYS_inotify_add_watch, [-1, NOWHERE, 0, 0]),
        ("madvise, to poison memory", libc::SYS_madvise, [0, 0, 100, 0]),
        ("madvise, to take memory offline", libc::SYS_madvise, [0, 0, 101, 0]),
        ("prctl, to share a core", libc::SYS_prctl, [62, -1, 0, 0]),
        ("kcmp", libc::SYS_kcmp, [1, 1, -1, 0]),
        ("mq_timedreceive", libc::SYS_mq_timedreceive, [-1, NOWHERE, 1, 0]),
        ("mq_timedsend", libc::SYS_mq_timedsend, [-1, NOWHERE, 1, 0]),
        ("mq_notify", libc::SYS_mq_notify, [-1, NOWHERE, 0, 0]),
        ("lsm_set_self_attr", 460, [-1, NOWHERE, 0, 0]),
        ("mount, to bind", libc::SYS_mount, [NOWHERE, NOWHERE, NOWHERE, libc::MS_BIND as libc::c_long]),
        ("mount, to change", libc::SYS_mount, [NOWHERE, NOWHERE, NOWHERE, libc::MS_REMOUNT as libc::c_long]),
        ("umount2", libc::SYS_umount2, [NOWHERE, 0, 0, 0]),
        ("move_mount", libc::SYS_move_mount, [-1, NOWHERE, -1, NOWHERE]),
        ("fsopen", libc::SYS_fsopen, [NOWHERE, 0, 0, 0]),
        ("prlimit64 of another process", libc::SYS_prlimit64, [1, 0, 0, 0]),
        ("clone into a user namespace", libc::SYS_clone, clone(libc::CLONE_NEWUSER)),
        ("clone into a network namespace", libc::SYS_clone, clone(libc::CLONE_NEWNET)),
        ("setns into a user namespace", libc::SYS_setns, [-1, libc::CLONE_NEWUSER.into(), 0, 0]),
        ("setns into any namespace", libc::SYS_setns, [-1, 0, 0, 0]),
        ("unshare of users", libc::SYS_unshare, [(libc::CLONE_NEWUSER | libc::CLONE_NEWNS).into(), 0, 0, 0]),
        ("bpf, to detach a program", libc::SYS_bpf, [9, NOWHERE, 16, 0]),
        ("bpf, to detach a link", libc::SYS_bpf, [34, NOWHERE, 16, 0]),
        ("bpf, to load", libc::SYS_bpf, [5, NOWHERE, 16, 0]),
        ("socket of netlink for uevents", libc::SYS_socket, [libc::AF_NETLINK.into(), libc::SOCK_RAW.into(), 15, 0]),
        ("perf_event_open of a process", libc::SYS_perf_event_open, [NOWHERE, 1, -1, -1]),
        ("socket of another family", libc::SYS_socket, [libc::AF_INET.into(), libc::SOCK_STREAM.into(), 0, 0]),
        ("io_uring_setup", libc::SYS_io_uring_setup, [1, NOWHERE, 0, 0]),
        ("setuid", libc::SYS_setuid, [0, 0, 0, 0]),
    ];
    #[cfg(target_arch = "x86_64")]
    calls.extend([
        ("open, to write", libc::SYS_open, [path, libc::O_WRONLY.into(), 0, 0]),
        ("open, to read and write", libc::SYS_open, [path, libc::O_RDWR.into(), 0, 0]),
        ("creat", libc::SYS_creat, bad),
        ("iopl", libc::SYS_iopl, [-1, 0, 0, 0]),
        ("ioperm", libc::SYS_ioperm, [-1, -1, 0, 0]),
        ("mknod", libc::SYS_mknod, bad),
        ("chmod", libc::SYS_chmod, bad),
        ("chown", libc::SYS_chown, bad),
        ("lchown", libc::SYS_lchown, bad),
        ("link", libc::SYS_link, bad),
        ("symlink", libc::SYS_symlink, bad),
        ("rename", libc::SYS_rename, bad),
        ("utimes", libc::SYS_utimes, bad),
        ("getpid of x32", libc::SYS_getpid | 0x4000_0000, [0; 4]),
        ("chmod of x32", libc::SYS_chmod | 0x4000_0000, bad),
    ]);
    calls
}

/// At both levels, as if the kernel had them not: the C library makes older ones.
const ABSENT: [Call; 3] = [
    ("clone3", libc::SYS_clone3, [NOWHERE, 88, 0, 0]),
    ("openat2", libc::SYS_openat2, [-1, NOWHERE, NOWHERE, 24]),
    ("setxattrat", 463, [-1, NOWHERE, 0, 0]),
];

/// With `--privileges least` alone.
const INSIDE: [Call; 2] = [
    ("setns", libc::SYS_setns, [-1, libc::CLONE_NEWNET as libc::c_long, 0, 0]),
    ("perf_event_open", libc::SYS_perf_event_open, [NOWHERE, -1, -1, -1]),
];

/// With `--privileges least`, and where tracefs is mounted.
const MOUNTING: [Call; 2] = [
    ("unshare", libc::SYS_unshare, [libc::CLONE_NEWNS as libc::c_long, 0, 0, 0]),
    ("mount", libc::SYS_mount, [NOWHERE, NOWHERE, NOWHERE, 0]),
];

/// Goes on at both levels.
fn allowed() -> Vec<Call> {
    let path = c"/dev/null".as_ptr() as libc::c_long;
    vec![
        ("openat, to read", libc::SYS_openat, [AT, path, (libc::O_RDONLY | libc::O_CLOEXEC).into(), 0]),
        ("socket", libc::SYS_socket, [libc::AF_UNIX.into(), libc::SOCK_STREAM.into(), 0, 0]),
        ("tgkill of itself", libc::SYS_tgkill, [std::process::id().into(), std::process::id().into(), 0, 0]),
        ("prlimit64 of itself", libc::SYS_prlimit64, [0, 0, 0, 0]),
        ("setpriority of itself", libc::SYS_setpriority, [0, 0, 10, 0]),
        ("fcntl, flags of a descriptor", libc::SYS_fcntl, [2, libc::F_GETFD.into(), 0, 0]),
        ("fcntl, flags of an open file", libc::SYS_fcntl, [2, libc::F_GETFL.into(), 0, 0]),
        ("fcntl, a copy", libc::SYS_fcntl, [2, libc::F_DUPFD_CLOEXEC.into(), 3, 0]),
        ("madvise", libc::SYS_madvise, [0, 0, libc::MADV_DONTNEED.into(), 0]),
    ]
}

/// The error number of a call; 0 where it succeeds.
fn errno((_, number, [a, b, c, d]): Call) -> i32 {
    // SAFETY: pointers are to static text or to addresses that no process has, so the kernel writes to no memory of this process.
    let result = unsafe { libc::syscall(number, a, b, c, d, 0, 0) };
    if result < 0 { io::Error::last_os_error().raw_os_error().unwrap() } else { 0 }
}

/// The actor: gives up privileges, makes the calls, and says what each came to.
pub fn play(level: &str) {
    let held = privileges::drop_to(level == "full", None);
    assert_eq!(held.refusal(), None);
    let all = [denied(), ABSENT.to_vec(), INSIDE.to_vec(), MOUNTING.to_vec(), allowed()].concat();
    let came: Vec<(&str, i32)> = all.into_iter().map(|call| (call.0, errno(call))).collect();
    // A thread can be had without clone3(2).
    std::thread::spawn(|| ()).join().unwrap();
    say(&came);
}

fn denied_calls_are_denied() -> Done {
    for level in ["least", "full"] {
        let mut actor = Actor::start(actor::named("denied", "denied", &[level]));
        let came: Vec<(String, i32)> = actor.hear();
        actor.end();
        let named = |calls: &[Call]| calls.iter().map(|call| call.0).collect::<Vec<_>>();
        let (mut denied, absent, mut inside) = (named(&denied()), named(&ABSENT), named(&INSIDE));
        let is_mounted = netstat_user::sys::mounted_tracefs().is_some();
        if is_mounted { &mut denied } else { &mut inside }.extend(named(&MOUNTING));
        let wrong: Vec<_> = came
            .iter()
            .filter(|(name, errno)| {
                let name = &name.as_str();
                let is_inside = inside.contains(name);
                if denied.contains(name) || is_inside && level == "least" {
                    *errno != libc::EPERM
                } else if absent.contains(name) {
                    *errno != libc::ENOSYS
                } else if is_inside {
                    // Whatever the kernel says of such arguments.
                    *errno == libc::EPERM || *errno == libc::ENOSYS
                } else {
                    *errno != 0
                }
            })
            .collect();
        assert!(wrong.is_empty(), "--privileges {level}: {wrong:?}");
    }
    Done::Passed
}
