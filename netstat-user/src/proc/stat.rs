//! What a process or thread is doing, and since when it is there: /proc/PID/stat (proc_pid_stat(5)).

use super::words;
use crate::model::TICK_NS;
use crate::sys::{self, unless_scarce};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// More than the kernel writes: 52 numbers and a name.
const MOST: usize = 2048;

/// What matters of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The letter of its state.
    state: Option<u8>,
    /// How many threads the process has.
    threads: Option<u64>,
    /// When it began, in nanoseconds of the kernel's `CLOCK_BOOTTIME`, rounded down to a tick.
    pub start_ns: Option<u64>,
    /// Bytes of its address space.
    memory: Option<u64>,
}

impl Stat {
    /// Of a process under `root`; `None` where it is not there.
    ///
    /// # Errors
    /// Something ran out.
    pub fn of(root: &Path, pid: u32) -> io::Result<Option<Self>> {
        unless_scarce(Self::read(&root.join(pid.to_string())))
    }

    /// Of the process or thread with this folder.
    ///
    /// # Errors
    /// It is not there, or something ran out.
    pub fn read(folder: &Path) -> io::Result<Self> {
        // This is read twice for each process that a user may look into: one read takes it whole.
        let mut stat = [0; MOST];
        let count = File::open(folder.join("stat"))?.read(&mut stat)?;
        Ok(Self::parse(&stat[..count]))
    }

    fn parse(stat: &[u8]) -> Self {
        // Counted from behind the name, which may hold anything: the next is field 3.
        let after = stat.iter().rposition(|&byte| byte == b')').map_or(0, |at| at + 1);
        let mut fields = words::of(&stat[after..]);
        let state = fields.next().and_then(|word| word.first().copied());
        let threads = fields.nth(16).and_then(words::fitting);
        let ticks = fields.nth(1).and_then(words::fitting);
        let memory = fields.next().and_then(words::fitting);
        // Shown in the time of this process's time namespace.
        let ahead = sys::clock_offsets().boottime_ns;
        let start_ns = ticks.map(|ticks| ticks.saturating_mul(TICK_NS).saturating_add_signed(-ahead));
        Self { state, threads, start_ns, memory }
    }

    /// Whether the first thread has ended, and there is no other one: what is there is to be waited for, and has no files any more.
    pub fn is_over(&self) -> bool {
        matches!(self.state, Some(b'Z' | b'X')) && self.threads.is_some_and(|threads| threads <= 1)
    }

    /// Whether it has an address space: a process gives it up as the first thing when it ends (`exit_mm`). As far as that is known.
    pub fn has_memory(&self) -> bool {
        self.memory != Some(0)
    }

    /// Whether it has a processor, or waits for one; as far as that is known.
    pub fn is_running(&self) -> bool {
        self.state.is_none_or(|state| state == b'R')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_behind_a_name_of_any_bytes() {
        let after = "0 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 THREADS 0 700 1 2 3\n";
        let parse = |name: &[u8], state: &str, threads: &str| {
            let after = after.replace("THREADS", threads);
            Stat::parse(&[b"7 (", name, b") ", state.as_bytes(), b" ", after.as_bytes()].concat())
        };
        let begun = 700 * TICK_NS as i64 - sys::clock_offsets().boottime_ns;
        for name in [&b"sh"[..], b") R 1 (\xc3", b"a b"] {
            let stat = parse(name, "S", "1");
            assert_eq!(
                stat,
                Stat { state: Some(b'S'), threads: Some(1), start_ns: Some(begun as u64), memory: Some(1) }
            );
            assert!(!stat.is_over() && !stat.is_running());
        }
        let states = [("R", "1"), ("Z", "1"), ("Z", "2"), ("X", "0")];
        let found = states.map(|(state, threads)| parse(b"x", state, threads));
        assert_eq!(found.map(|stat| stat.is_running()), [true, false, false, false]);
        assert_eq!(found.map(|stat| stat.is_over()), [false, true, false, true]);
        let none = Stat::parse(b"");
        assert!(none.has_memory() && !Stat { memory: Some(0), ..none }.has_memory());
        assert!(none.is_running() && !none.is_over() && none.start_ns.is_none());
    }

    #[test]
    fn ones_own_is_read_whole() {
        let stat = Stat::of(Path::new("/proc"), std::process::id()).unwrap().unwrap();
        let whole = std::fs::read("/proc/self/stat").unwrap();
        assert!(whole.len() < MOST && stat.start_ns == Stat::parse(&whole).start_ns && stat.start_ns.is_some());
    }
}
