//! What a kernel keeps from every program.
//!
//! There are machines whose kernel runs no program in an interrupt that comes upon a process which a security module shields from everybody, and counts no
//! miss. The timers that run there, and the segments that are taken there, no tracer hears of. tracefs shows them.

use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

/// What the programs hear of, and timers of every kind.
const EVENTS: [&str; 5] = [
    "sock/inet_sock_set_state",
    "tcp/tcp_destroy_sock",
    "tcp/tcp_send_reset",
    "tcp/tcp_retransmit_synack",
    "timer/timer_expire_entry",
];

/// The timers among them that the programs hear of.
const TIMERS: [&str; 2] = ["function=tw_timer_handler", "function=reqsk_timer_handler"];

/// Watches what happens in interrupts of shielded processes, until it is dropped.
pub struct Unheard {
    /// An instance of tracefs.
    instance: PathBuf,
    processes: Vec<u32>,
    _tracefs: OwnedFd,
}

impl Unheard {
    /// `None` where no process is shielded, or nobody may watch.
    pub fn begin() -> Option<Self> {
        let processes = shielded();
        if processes.is_empty() {
            return None;
        }
        let tracefs = tracefs().ok()?;
        let name = format!("netstat-tests-{}", std::process::id());
        let instance = PathBuf::from(format!("/proc/self/fd/{}/instances/{name}", tracefs.as_raw_fd()));
        fs::create_dir(&instance).ok()?;
        let watch = Self { instance, processes, _tracefs: tracefs };
        watch.set_up().ok()?;
        Some(watch)
    }

    fn set_up(&self) -> io::Result<()> {
        self.write("options/event-fork", "1")?;
        self.forget();
        EVENTS.iter().try_for_each(|event| self.write(&format!("events/{event}/enable"), "1"))
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        fs::OpenOptions::new().append(true).open(self.instance.join(file))?.write_all(text.as_bytes())
    }

    /// Forgets what was before.
    pub fn forget(&self) {
        for process in &self.processes {
            for thread in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
                // It may have ended.
                let _ = self.write("set_event_pid", &thread.file_name().to_string_lossy());
            }
        }
        // Opened anew, it is empty.
        let _ = fs::File::create(self.instance.join("trace"));
    }

    /// What no program has heard of since, in words; `None` if there was nothing.
    pub fn words(&self) -> Option<String> {
        let trace = fs::read_to_string(self.instance.join("trace")).ok()?;
        let count = trace.lines().filter(|line| is_unheard(line)).count();
        (count > 0).then(|| {
            format!("the kernel ran no program for {count} events in interrupts of process {}", self.processes[0])
        })
    }
}

/// The processes that not even root may look into.
fn shielded() -> Vec<u32> {
    let names =
        fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let link = |pid: &u32| rustix::fs::readlink(format!("/proc/{pid}/ns/net"), Vec::new());
    names.filter_map(|name| name.parse().ok()).filter(|pid| link(pid).err() == Some(Errno::ACCESS)).collect()
}

/// tracefs, in no directory: it may be mounted nowhere.
fn tracefs() -> io::Result<OwnedFd> {
    let context = fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?)
}

/// Whether a line of a trace is of something that programs are to hear of.
fn is_unheard(line: &str) -> bool {
    !line.starts_with('#')
        && !line.is_empty()
        && (!line.contains(": timer_expire_entry: ") || TIMERS.iter().any(|timer| line.contains(timer)))
}

impl Drop for Unheard {
    fn drop(&mut self) {
        for event in EVENTS {
            let _ = self.write(&format!("events/{event}/enable"), "0");
        }
        let _ = fs::remove_dir(&self.instance);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_of_others_are_heard_by_nobody() {
        let line = |event: &str| format!(" worker-68      [000] ..s.. 69094.636054: {event}");
        assert!(is_unheard(&line("timer_expire_entry: timer=0 function=tw_timer_handler now=1 baseclk=1")));
        assert!(!is_unheard(&line("timer_expire_entry: timer=0 function=process_timeout now=1 baseclk=1")));
        assert!(is_unheard(&line("inet_sock_set_state: family=AF_INET protocol=IPPROTO_TCP sport=1 dport=2")));
        assert!(!is_unheard("# tracer: nop") && !is_unheard(""));
    }
}
