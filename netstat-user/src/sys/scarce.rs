//! What runs out: descriptors, threads, memory, the time for a look. An error that comes of it says nothing of what was looked at.

use super::NO_MEMORY;
use crate::model::reason;
use rustix::io::Errno;
use std::error::Error;
use std::io;
use std::sync::mpsc;
use std::thread;

/// What has run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scarce {
    /// This process has as many open files as it may have.
    OpenFiles,
    /// The machine has.
    FilesOfAll,
    /// There is room for no other thread.
    Tasks,
    /// Memory.
    Memory,
    /// The time that there is for a look at one user's processes.
    Time,
}

impl Scarce {
    /// What an error of the kernel's, or of [`no_thread`], comes of; `None` where it is about what was asked for.
    pub fn of(error: &io::Error) -> Option<Self> {
        match (Errno::from_io_error(error), error.kind()) {
            (Some(error), _) => Self::of_errno(error),
            (None, io::ErrorKind::WouldBlock) => Some(Self::Tasks),
            (None, io::ErrorKind::OutOfMemory) => Some(Self::Memory),
            _ => None,
        }
    }

    /// The same of a bare number.
    pub fn of_errno(error: Errno) -> Option<Self> {
        match error {
            Errno::MFILE => Some(Self::OpenFiles),
            Errno::NFILE => Some(Self::FilesOfAll),
            Errno::TIME => Some(Self::Time),
            Errno::AGAIN => Some(Self::Tasks),
            Errno::NOMEM => Some(Self::Memory),
            _ => None,
        }
    }

    /// What files or memory ran out, where an error or one of those that it comes of says so. In calls that make something in the kernel, such as
    /// bpf(2), `EAGAIN` and `ETIME` are about something else.
    pub fn below(error: &(dyn Error + 'static)) -> Option<Self> {
        let of_io = |error: &io::Error| {
            let own = Self::of(error).filter(|own| matches!(own, Self::OpenFiles | Self::FilesOfAll | Self::Memory));
            // Its `source` is the one of the error that it wraps.
            own.or_else(|| Self::below(error.get_ref()?))
        };
        std::iter::successors(Some(error), |&error| error.source())
            .find_map(|error| of_io(error.downcast_ref::<io::Error>()?))
    }

    /// One word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenFiles | Self::FilesOfAll => "open_files",
            Self::Tasks => "tasks",
            Self::Memory => "memory",
            Self::Time => "time",
        }
    }

    /// What has run out, and which limit to raise, if one does.
    pub fn words(self) -> String {
        match self {
            Self::OpenFiles => too_many_open_files(),
            Self::FilesOfAll => "too many open files on this machine: raise their limit (sysctl fs.file-max)".into(),
            Self::Tasks => NO_THREAD.into(),
            Self::Memory => NO_MEMORY.into(),
            Self::Time => TOO_SLOW.into(),
        }
    }
}

/// What has run out and what to do about it, or the kernel's words.
pub fn why(error: &io::Error) -> String {
    Scarce::of(error).map_or_else(|| reason(error), Scarce::words)
}

/// The same where the error may be one of a call that makes something in the kernel, or come of such a one: see [`Scarce::below`].
pub fn why_below(error: &io::Error) -> String {
    Scarce::below(error).map_or_else(|| reason(error), Scarce::words)
}

/// The error of a look at a process, where that says nothing of it: neither has the process gone, nor may this one not look at it.
pub fn failed_look(error: Errno) -> Option<Errno> {
    (!matches!(error, Errno::NOENT | Errno::SRCH | Errno::ACCESS | Errno::PERM)).then_some(error)
}

/// What was read; `None` where it is not there, or may not be looked at.
///
/// # Errors
/// Something ran out, which says nothing of it.
pub fn unless_scarce<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if Scarce::of(&error).is_some() => Err(error),
        Err(_) => Ok(None),
    }
}

/// The same error once more: such a one of the kernel's, or of a kind alone, has nothing else to it.
pub fn copy_of(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or(error.kind().into(), io::Error::from_raw_os_error)
}

/// What to do where no descriptor is left.
pub fn too_many_open_files() -> String {
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let most = most.map_or_else(String::new, |most| format!(", which is {most}"));
    format!("too many open files: raise their limit (ulimit -n){most}")
}

const NO_THREAD: &str = "no room for another thread: raise the limit of tasks (TasksMax of the unit, pids.max of the cgroup, ulimit -u) or of memory (ulimit -v)";

const TOO_SLOW: &str =
    "the kernel takes too long to describe this user's processes: one in very many groups is slow to be looked at";

/// That a look took too long.
pub fn too_slow() -> io::Error {
    io::Error::from_raw_os_error(libc::ETIME)
}

/// The kernel has no room for another thread.
#[derive(Debug, thiserror::Error)]
#[error("{NO_THREAD}: {0}")]
struct NoThread(#[source] io::Error);

/// What it means that the kernel has no room for another thread, and what to do.
pub fn no_thread(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), NoThread(error))
}

/// Whether there is room for so many other threads at a time.
///
/// # Errors
/// As [`no_thread`].
pub fn try_threads(number: usize) -> io::Result<()> {
    let mut started = Vec::new();
    let outcome = (0..number).try_for_each(|_| {
        // It has nothing to do, and so nothing to fail at, until all are there.
        let (end, ended) = mpsc::channel::<()>();
        let thread = thread::Builder::new().spawn(move || ended.recv())?;
        started.push((end, thread));
        Ok(())
    });
    for (end, thread) in started {
        drop(end);
        drop(thread.join());
    }
    outcome.map_err(no_thread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_out_is_named() {
        for (errno, scarce, says) in [
            (libc::EMFILE, Scarce::OpenFiles, "ulimit -n), which is "),
            (libc::ENFILE, Scarce::FilesOfAll, "fs.file-max"),
            (libc::EAGAIN, Scarce::Tasks, "pids.max"),
            (libc::ENOMEM, Scarce::Memory, "MemoryMax"),
        ] {
            assert_eq!(Scarce::of(&io::Error::from_raw_os_error(errno)), Some(scarce));
            assert!(scarce.words().contains(says), "{}", scarce.words());
        }
        let no_thread = no_thread(io::Error::from_raw_os_error(libc::EAGAIN));
        assert_eq!(Scarce::of(&no_thread), Some(Scarce::Tasks), "{no_thread}");
        assert_eq!(Scarce::of(&too_slow()), Some(Scarce::Time));
        assert_eq!(Scarce::of(&io::Error::from_raw_os_error(libc::ENOENT)), None);
    }

    #[test]
    fn a_process_that_has_gone_or_may_not_be_looked_at_is_no_failed_look() {
        let failed = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::IO, Errno::LOOP];
        assert_eq!(failed.map(failed_look), failed.map(Some));
        assert_eq!([Errno::NOENT, Errno::SRCH, Errno::ACCESS, Errno::PERM].map(failed_look), [None; 4]);
    }

    #[test]
    fn what_ran_out_is_found_below_other_errors() {
        #[derive(Debug, thiserror::Error)]
        #[error("no")]
        struct Above(#[source] io::Error);
        let os = io::Error::from_raw_os_error;
        let found = |errno| {
            let each: [&(dyn Error + 'static); 3] =
                [&Above(os(errno)), &io::Error::other(os(errno)), &io::Error::other(Above(os(errno)))];
            each.map(Scarce::below)
        };
        assert_eq!(found(libc::ENFILE), [Some(Scarce::FilesOfAll); 3]);
        assert_eq!(found(libc::ENOMEM), [Some(Scarce::Memory); 3]);
        assert_eq!((found(libc::EAGAIN), found(libc::ETIME), found(libc::ENOENT)), ([None; 3], [None; 3], [None; 3]));
    }

    #[test]
    fn where_there_is_room_threads_can_be_tried() {
        assert!(try_threads(3).is_ok());
    }
}
