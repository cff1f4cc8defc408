//! Why something of the kernel cannot be used: each error keeps its cause, knows whether the kernel simply does not support what was asked for, and
//! knows what mends it.

use super::btf::BtfError;
use crate::model::{RefusalKind, Refused};
use crate::sys::{self, Scarce};
use aya::programs::ProgramError;
use std::{error::Error, io, path::PathBuf, sync::Arc};

/// Why the kernel does not offer something that programs are attached with.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Lacking {
    /// A file that cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: Arc<io::Error>,
    },
    /// A filesystem that is not there and cannot be mounted.
    #[error("{0}")]
    Mount(#[source] Arc<io::Error>),
    /// Type information that cannot be read.
    #[error("{}: {error}", path.display())]
    Types {
        /// Where it was found.
        path: PathBuf,
        /// Why.
        #[source]
        error: BtfError,
    },
    /// Type information that aya cannot read.
    #[error("it cannot be parsed")]
    Unparsed,
    /// A tracepoint's record is laid out in another way than the programs know.
    #[error("{}: {field} is not at offset {offset}", path.display())]
    Layout {
        /// The description of the record.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// Where the programs look for it.
        offset: u32,
    },
    /// The kernel shows nothing of its memory.
    #[error("the kernel is locked down (confidentiality)")]
    Locked,
    /// Something ran out on the way to find out.
    #[error("{}", .0.words())]
    Scarce(Scarce),
}

impl Lacking {
    /// A filesystem that cannot be had.
    pub fn mount(error: io::Error) -> Self {
        Scarce::of(&error).map_or_else(|| Self::Mount(Arc::new(error)), Self::Scarce)
    }

    /// A file that cannot be read.
    pub fn file(path: impl Into<PathBuf>, error: io::Error) -> Self {
        match Scarce::of(&error) {
            Some(scarce) => Self::Scarce(scarce),
            None => Self::File { path: path.into(), error: Arc::new(error) },
        }
    }

    /// What ran out, where that is why it is not known.
    pub const fn scarce(&self) -> Option<Scarce> {
        match self {
            Self::Scarce(scarce) => Some(*scarce),
            _ => None,
        }
    }

    /// Whether the kernel denies it to this process.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::File { error, .. } | Self::Mount(error) if error.kind() == io::ErrorKind::PermissionDenied)
    }

    /// Whether this is how the kernel or the machine is set up, and no failure on the way to find out.
    fn is_unsupported(&self) -> bool {
        match self {
            Self::File { error, .. } | Self::Mount(error) => is_unsupported(error),
            Self::Types { .. } | Self::Unparsed | Self::Scarce(_) => false,
            Self::Layout { .. } | Self::Locked => true,
        }
    }
}

/// Why a variant of a hook, or an iterator, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HookRefusal {
    /// The kernel gives no type information.
    #[error("{}", needs("the kernel's BTF", .0))]
    NoBtf(#[source] Lacking),
    /// The kernel has no such tracepoint or function, or another one than the programs know.
    #[error("this kernel has no {0} as the programs know it")]
    Prototype(&'static str),
    /// tracefs cannot be read.
    #[error("{}", needs("tracefs", .0))]
    NoTracefs(#[source] Lacking),
    /// There is no cgroup2 hierarchy.
    #[error("{}", needs("a cgroup2 hierarchy", .0))]
    NoCgroup(#[source] Lacking),
    /// Another program is attached to the cgroup and keeps all others out.
    #[error(
        "program {id} ({name}) is attached alone to the root of the cgroups, without BPF_F_ALLOW_MULTI: it lets no other program in"
    )]
    Alone {
        /// Its number.
        id: u32,
        /// Its name.
        name: String,
    },
    /// The object is not the one this program was built for.
    #[error("the kernel object lacks {0}: rebuild it with cargo xtask ebpf")]
    Lacks(&'static str),
    /// The kernel does not load it.
    #[error("load: {error}{}", complaint.as_ref().map_or_else(String::new, |complaint| format!(": {complaint}")))]
    Load {
        /// The kernel's error.
        #[source]
        error: io::Error,
        /// The verifier's complaint.
        complaint: Option<String>,
    },
    /// The kernel does not attach it.
    #[error("attach: {}", causes(&**.0))]
    Attach(#[source] Box<ProgramError>),
    /// An iterator that was attached cannot be run.
    #[error("run: {}", causes(&**.0))]
    Run(#[source] Box<dyn Error + Send + Sync>),
}

/// What is needed, and why it cannot be had; what ran out says nothing of whether it is there.
fn needs(what: &str, lacking: &Lacking) -> String {
    match lacking.scarce() {
        Some(scarce) => format!("{what} cannot be looked for: {}", scarce.words()),
        None => format!("needs {what}: {lacking}"),
    }
}

impl From<ProgramError> for HookRefusal {
    fn from(error: ProgramError) -> Self {
        let ProgramError::LoadError { io_error, verifier_log } = error else { return Self::Attach(Box::new(error)) };
        let log = verifier_log.to_string();
        log::debug!("verifier log:\n{log}");
        // The complaint is the last line before the statistics.
        let statistics = |line: &&str| {
            !["processed", "stack depth", "verification time", "subprog "].iter().any(|s| line.starts_with(s))
        };
        let complaint = log.lines().rev().filter(|line| !line.trim().is_empty()).find(statistics);
        Self::Load { error: io_error, complaint: complaint.map(|complaint| complaint.trim().to_owned()) }
    }
}

impl HookRefusal {
    /// Whether the kernel does not support this, or is set up without it, or denies it. Then another way is used, and `events` says nothing of it;
    /// any other failure is reported.
    pub fn kind(&self) -> RefusalKind {
        let unless = |failed: bool| if failed { RefusalKind::Failed } else { RefusalKind::Unsupported };
        match self {
            Self::NoBtf(lacking) | Self::NoTracefs(lacking) | Self::NoCgroup(lacking) => {
                unless(!lacking.is_unsupported())
            }
            Self::Prototype(_) | Self::Alone { .. } => RefusalKind::Unsupported,
            Self::Lacks(_) => RefusalKind::Failed,
            Self::Load { .. } | Self::Attach(_) | Self::Run(_) if self.is_denied() => RefusalKind::Denied,
            Self::Load { .. } | Self::Attach(_) | Self::Run(_) => unless(!self.os_error().is_some_and(is_unsupported)),
        }
    }

    /// Whether the kernel denies it to this process. What the verifier finds wrong with a program is `EACCES`.
    fn is_denied(&self) -> bool {
        self.os_error().and_then(sys::bpf::errno) == Some(libc::EPERM)
    }

    /// The kernel's error, where it is one.
    fn os_error(&self) -> Option<&io::Error> {
        let mut error: &dyn Error = self;
        loop {
            error = error.source()?;
            if let Some(found) = error.downcast_ref::<io::Error>() {
                return Some(found);
            }
        }
    }

    /// What ran out, where that is the cause.
    pub fn scarce(&self) -> Option<Scarce> {
        match self {
            Self::NoBtf(lacking) | Self::NoTracefs(lacking) | Self::NoCgroup(lacking) => lacking.scarce(),
            Self::Load { .. } | Self::Attach(_) | Self::Run(_) => Scarce::below(self),
            Self::Prototype(_) | Self::Alone { .. } | Self::Lacks(_) => None,
        }
    }

    /// What ran out, where nothing should be traced without the program: of open files there are too few for the rest as well. Without memory
    /// for it, a program that adds a detail only is done without.
    pub fn starved(&self, is_detail: bool) -> Option<Scarce> {
        self.scarce().filter(|scarce| match scarce {
            Scarce::OpenFiles | Scarce::FilesOfAll => true,
            Scarce::Memory => !is_detail,
            Scarce::Tasks | Scarce::Time => false,
        })
    }

    /// What the coverage says of it.
    pub fn of(self, variant: &'static str) -> Refused {
        Refused { variant, kind: self.kind(), cause: self.to_string() }
    }

    /// What mends it.
    pub fn mend(&self) -> Mend {
        if let Some(scarce) = self.scarce() {
            return Mend::of(scarce);
        }
        match self {
            Self::NoTracefs(Lacking::Locked) => Mend::Lockdown,
            Self::NoBtf(_) => Mend::Btf,
            Self::Prototype(_) => Mend::Newer,
            Self::NoTracefs(_) => Mend::Tracefs,
            Self::NoCgroup(_) => Mend::Cgroup,
            Self::Alone { .. } => Mend::Alone,
            Self::Load { .. } | Self::Attach(_) | Self::Run(_) if self.is_denied() => Mend::Denied,
            Self::Lacks(_) | Self::Load { .. } | Self::Attach(_) | Self::Run(_) => Mend::Unknown,
        }
    }
}

/// Whether the kernel's error means that it has no such thing, or not in this form, or denies it: then there is another way. A program that the
/// verifier rejects counts as unsupported too: a later kernel accepts it.
pub fn is_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
        || matches!(
            sys::bpf::errno(error),
            Some(
                libc::ENOENT
                    | libc::ESRCH
                    | libc::EINVAL
                    | libc::E2BIG
                    | libc::EACCES
                    | libc::EPERM
                    | libc::ENODEV
                    | libc::ENOSYS
                    | libc::EOPNOTSUPP
                    | sys::bpf::ENOTSUPP
            )
        )
}

/// The whole chain of causes on one line; of the verifier's log, which has many lines, only the last.
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

/// What mends a refusal, the most telling first: where several variants of a hook were refused, the first of their mends is the one to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mend {
    /// Open files.
    Descriptors,
    /// Open files of the whole machine.
    FilesOfAll,
    /// Threads.
    Tasks,
    /// Memory.
    Memory,
    /// Another program stands in the way.
    Alone,
    /// The kernel shows nothing of its memory.
    Lockdown,
    /// tracefs is not there.
    Tracefs,
    /// The cgroup2 hierarchy is not there.
    Cgroup,
    /// The kernel has no type information.
    Btf,
    /// The kernel denies it.
    Denied,
    /// The kernel is too old.
    Newer,
    /// Only the kernel knows.
    Unknown,
}

impl Mend {
    /// What mends that something ran out.
    pub const fn of(scarce: Scarce) -> Self {
        match scarce {
            Scarce::OpenFiles => Self::Descriptors,
            Scarce::FilesOfAll => Self::FilesOfAll,
            Scarce::Tasks => Self::Tasks,
            Scarce::Memory => Self::Memory,
            Scarce::Time => Self::Unknown,
        }
    }

    /// The line to try.
    pub const fn line(self) -> &'static str {
        match self {
            Self::Descriptors => "raise the number of open files: ulimit -n 1024",
            Self::FilesOfAll => "raise the number of open files of the machine: sysctl -w fs.file-max=NUMBER",
            Self::Tasks => "raise the limit of tasks: TasksMax of the unit, pids.max of the cgroup, or ulimit -u",
            Self::Memory => "raise the limit of memory: ulimit -v, ulimit -d, or MemoryMax of the unit",
            Self::Alone => {
                "have that program attached with BPF_F_ALLOW_MULTI, or detach it: bpftool cgroup show /sys/fs/cgroup names it"
            }
            Self::Lockdown => "boot without lockdown=confidentiality (lockdown=integrity does not hinder tracing)",
            Self::Tracefs => "mount -t tracefs tracefs /sys/kernel/tracing",
            Self::Cgroup => "mount -t cgroup2 none /sys/fs/cgroup",
            Self::Btf => "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y",
            Self::Denied => {
                "see what denies it: a lockdown (cat /sys/kernel/security/lockdown), a security module (dmesg), or a sandbox"
            }
            Self::Newer => "boot a newer kernel",
            Self::Unknown => "netstat-user events --debug shows the kernel's own words",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(errno: i32) -> io::Error {
        io::Error::from_raw_os_error(errno)
    }

    fn load(errno: i32) -> HookRefusal {
        HookRefusal::Load { error: os(errno), complaint: None }
    }

    #[test]
    fn each_refusal_knows_its_mend() {
        let absent = || Lacking::mount(os(libc::ENOENT));
        for (refusal, word) in [
            (HookRefusal::NoCgroup(absent()), "mount -t cgroup2"),
            (HookRefusal::NoTracefs(absent()), "mount -t tracefs"),
            (HookRefusal::NoTracefs(Lacking::Locked), "lockdown=confidentiality"),
            (HookRefusal::NoBtf(absent()), "CONFIG_DEBUG_INFO_BTF"),
            (load(libc::EPERM), "security/lockdown"),
            (load(libc::EACCES), "--debug"),
            (HookRefusal::Prototype("x"), "newer"),
            (load(libc::ENOMEM), "MemoryMax"),
            (load(libc::ENFILE), "fs.file-max"),
            (load(libc::EAGAIN), "--debug"),
            (HookRefusal::Alone { id: 7, name: "x".into() }, "detach"),
        ] {
            assert!(refusal.mend().line().contains(word), "{refusal}");
        }
        let first = [load(libc::EINVAL), HookRefusal::Prototype("x"), HookRefusal::NoTracefs(absent())];
        assert_eq!(first.iter().map(HookRefusal::mend).min(), Some(Mend::Tracefs));
    }

    #[test]
    fn what_a_kernel_does_not_support_is_no_failure() {
        for unsupported in [libc::EINVAL, libc::EACCES, libc::ENOENT, 524] {
            assert_eq!(load(unsupported).kind(), RefusalKind::Unsupported, "{unsupported}");
        }
        assert_eq!(load(libc::EPERM).kind(), RefusalKind::Denied);
        // Another way is used then, too.
        assert!(is_unsupported(&os(libc::EPERM)));
        for failure in [libc::ENOMEM, libc::EMFILE, libc::EBUSY, libc::EIO] {
            assert_eq!(load(failure).kind(), RefusalKind::Failed, "{failure}");
            assert_eq!(HookRefusal::NoTracefs(Lacking::mount(os(failure))).kind(), RefusalKind::Failed, "{failure}");
        }
        for (failure, limit) in [(libc::EMFILE, "ulimit -n"), (libc::EAGAIN, "pids.max"), (libc::ENOMEM, "ulimit -v")] {
            for refusal in [HookRefusal::NoTracefs, HookRefusal::NoCgroup, HookRefusal::NoBtf] {
                let refusal = refusal(Lacking::mount(os(failure)));
                assert!(refusal.to_string().contains(limit) && refusal.mend().line().contains(limit), "{refusal}");
                assert!(!refusal.to_string().contains("needs"), "{refusal}");
            }
        }
        assert_eq!(HookRefusal::Lacks("x").kind(), RefusalKind::Failed);
        assert_eq!(HookRefusal::Prototype("x").kind(), RefusalKind::Unsupported);
    }

    #[test]
    fn the_kernels_error_is_found_below_aya_s() {
        let error = aya::sys::SyscallError { call: "bpf_link_create", io_error: os(libc::EMFILE) };
        let refusal = HookRefusal::from(ProgramError::SyscallError(error));
        assert_eq!(refusal.os_error().and_then(io::Error::raw_os_error), Some(libc::EMFILE));
        assert!(refusal.to_string().starts_with("attach: "), "{refusal}");
        assert_eq!(refusal.kind(), RefusalKind::Failed);
    }

    /// What the verifier says beside it leaves the error what it is.
    #[test]
    fn what_the_verifier_refuses_is_unsupported() {
        for (errno, unsupported) in
            [(libc::EINVAL, true), (libc::EACCES, true), (libc::E2BIG, true), (libc::ENOMEM, false)]
        {
            let error = io::Error::from_raw_os_error(errno);
            let words = format!("{error}: R1 invalid mem access 'scalar'");
            let refused =
                sys::bpf::refusal(error, b"0: (79) r2\nR1 invalid mem access 'scalar'\nprocessed 1 insns\n\0");
            assert_eq!((is_unsupported(&refused), sys::bpf::errno(&refused)), (unsupported, Some(errno)));
            assert_eq!(refused.to_string(), words);
        }
    }

    #[test]
    fn what_ran_out_is_found_below_every_error() {
        let attach = |errno| {
            HookRefusal::from(ProgramError::SyscallError(aya::sys::SyscallError {
                call: "bpf_link_create",
                io_error: os(errno),
            }))
        };
        let run = |errno| HookRefusal::Run(Box::new(os(errno)));
        for refusal in [&load as &dyn Fn(i32) -> HookRefusal, &attach, &run] {
            let found = |errno| (refusal(errno).scarce(), refusal(errno).starved(true));
            assert_eq!(found(libc::EMFILE), (Some(Scarce::OpenFiles), Some(Scarce::OpenFiles)));
            assert_eq!(found(libc::ENFILE), (Some(Scarce::FilesOfAll), Some(Scarce::FilesOfAll)));
            assert_eq!(found(libc::ENOMEM), (Some(Scarce::Memory), None), "a detail is done without");
            assert_eq!(refusal(libc::ENOMEM).starved(false), Some(Scarce::Memory));
            assert_eq!((found(libc::EAGAIN), found(libc::EINVAL)), ((None, None), (None, None)));
        }
        let no_tracefs = |errno| HookRefusal::NoTracefs(Lacking::mount(os(errno)));
        assert_eq!(no_tracefs(libc::ENFILE).starved(true), Some(Scarce::FilesOfAll));
        assert_eq!(no_tracefs(libc::EAGAIN).starved(false), None, "without a thread to mount it there are other ways");
    }
}
