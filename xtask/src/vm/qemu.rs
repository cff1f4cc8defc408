//! One boot under emulation: what the guest prints, until it powers off or its time is up.

use super::debian::Arch;
use anyhow::{Context, Result};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// An emulated machine: it is emulated instruction by instruction, no virtualization is needed.
#[derive(Clone, Copy)]
pub struct Machine {
    /// Its processor's architecture.
    pub arch: Arch,
    /// How many processors it has.
    pub processors: u32,
}

impl Machine {
    const fn program(self) -> &'static str {
        match self.arch {
            Arch::Amd64 => "qemu-system-x86_64",
            Arch::Arm64 => "qemu-system-aarch64",
        }
    }

    /// The kernel's console is the first serial port, the suites print to the second one.
    const fn arguments(self) -> &'static [&'static str] {
        match self.arch {
            // Copying byte by byte, and wide registers to save, take a quarter of the emulator's time.
            Arch::Amd64 => &["-cpu", "max,erms=off,avx=off,avx2=off"],
            // What the newest have besides, signed pointers and vectors of any length, takes it as much.
            Arch::Arm64 => &["-M", "virt", "-cpu", "neoverse-n1"],
        }
    }

    const fn console(self) -> &'static str {
        match self.arch {
            Arch::Amd64 => "ttyS0",
            Arch::Arm64 => "ttyAMA0",
        }
    }

    /// The serial port that the suites print to, by its name in the guest.
    pub const fn port(self) -> &'static str {
        match self.arch {
            Arch::Amd64 => "ttyS1",
            Arch::Arm64 => "ttyS0",
        }
    }

    /// What connects that port to `qemu`'s standard output.
    const fn port_arguments(self) -> &'static [&'static str] {
        match self.arch {
            Arch::Amd64 => &["-serial", "stdio"],
            // This machine has but one port of its own.
            Arch::Arm64 => &["-chardev", "stdio,id=suites", "-device", "pci-serial,chardev=suites"],
        }
    }
}

/// Everything the guest's suites printed.
pub struct Log {
    lines: Vec<String>,
    /// How long it ran.
    pub took: Duration,
    /// How much of a processor's time it took meanwhile, where that is known.
    pub busy: Option<Duration>,
    /// Why the boot did not end by itself, with the kernel's last words.
    cut: Option<String>,
}

/// One suite's part of the log.
pub struct Outcome {
    pub output: String,
    /// What is wrong, unless it ran to its end and exited 0.
    pub problem: Option<String>,
}

impl Log {
    /// The part between the suite's marks.
    pub fn outcome(&self, suite: &str) -> Outcome {
        let (begin, end) = (format!("@@begin {suite}"), format!("@@end {suite} "));
        let cut = || self.cut.clone().unwrap_or_else(|| "the guest powered off before it ended".to_owned());
        let Some(start) = self.lines.iter().position(|line| *line == begin) else {
            return Outcome { output: String::new(), problem: Some(format!("never began: {}", cut())) };
        };
        let body = &self.lines[start + 1..];
        let stop = body.iter().position(|line| line.starts_with(&end));
        let problem = match stop.map(|stop| body[stop][end.len()..].trim()) {
            Some("0") => None,
            // busybox timeout kills with SIGKILL.
            Some("137") => Some("killed at its time limit".to_owned()),
            Some(code) => Some(format!("exit code {code}")),
            None => Some(cut()),
        };
        Outcome { output: body[..stop.unwrap_or(body.len())].join("\n"), problem }
    }
}

/// On what terms a machine is emulated.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'q> {
    /// A guest that is still running after this is killed.
    pub limit: Duration,
    /// Set once nothing else wants the processor. Until then the machine gets what is left (sched(7), SCHED_IDLE), so that suites that run beside it do
    /// not notice.
    pub is_quiet: &'q OnceLock<()>,
}

/// Boots, with the file `disk` as its disk, and hands `say` the suites' lines as they come.
pub fn boot(
    machine: Machine,
    kernel: &Path,
    initrd: &Path,
    disk: Option<&Path>,
    console: &Path,
    terms: Terms<'_>,
    say: &dyn Fn(String),
) -> Result<Log> {
    let start = Instant::now();
    let disk =
        disk.map(|disk| ["-drive".to_owned(), format!("file={},format=raw,if=virtio,cache=unsafe", disk.display())]);
    let words = match terms.is_quiet.get() {
        Some(()) => vec![machine.program()],
        None => vec!["chrt", "--idle", "0", machine.program()],
    };
    let mut guest = Command::new(words[0])
        .args(&words[1..])
        .args(disk.into_iter().flatten())
        .args(["-accel", "tcg,thread=multi", "-m", "1536", "-nodefaults", "-no-user-config"])
        .args(machine.arguments())
        .args(["-smp", &machine.processors.to_string()])
        .args(["-display", "none", "-monitor", "none", "-no-reboot"])
        .args(["-append", &format!("console={} panic=-1 quiet", machine.console())])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initrd)
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .args(machine.port_arguments())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", machine.program()))?;
    let result = follow(&mut guest, console, terms, say);
    // Whatever happened, no guest is left behind.
    let _ = guest.kill();
    let busy = processor_time(guest.id());
    let _ = guest.wait();
    result.map(|log| Log { took: start.elapsed(), busy, ..log })
}

/// The processor time of a process that has not been waited for yet, as `/proc/PID/stat` has it: fields 14 and 15, in ticks of 10 ms.
fn processor_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which may hold blanks, comes field 3.
    let mut fields = stat.rsplit(") ").next()?.split(' ').skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// Gives a machine that had what was left of the processor as much claim to it as others have. Where that is refused, it runs on as it did.
fn no_longer_idle(pid: u32) {
    let _ = Command::new("chrt").args(["--all-tasks", "--other", "--pid", "0", &pid.to_string()]).status();
}

fn follow(
    guest: &mut Child,
    console: &Path,
    Terms { limit, is_quiet }: Terms<'_>,
    say: &dyn Fn(String),
) -> Result<Log> {
    /// How soon it is noticed that nothing else wants the processor any more.
    const TURN: Duration = Duration::from_secs(1);
    let output = guest.stdout.take().context("qemu has no output")?;
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(length) if length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if send.send(text).is_err() {
                break;
            }
        }
    });
    let deadline = Instant::now() + limit;
    let mut log = Log { lines: Vec::new(), took: Duration::ZERO, busy: None, cut: None };
    let mut is_idle = is_quiet.get().is_none();
    loop {
        if is_idle && is_quiet.get().is_some() {
            no_longer_idle(guest.id());
            is_idle = false;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match receive.recv_timeout(if is_idle { left.min(TURN) } else { left }) {
            Ok(line) => {
                if !line.starts_with("@@") {
                    say(line.clone());
                }
                log.lines.push(line);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
            Err(mpsc::RecvTimeoutError::Timeout) => {
                log.cut = Some(format!("still running after {} s, killed{}", limit.as_secs(), last_words(console)));
                break;
            }
        }
    }
    if log.cut.is_none() && last_words(console).contains("Kernel panic") {
        log.cut = Some(format!("the kernel panicked{}", last_words(console)));
    }
    Ok(log)
}

/// The end of the kernel's own console, to explain a boot that did not end well.
fn last_words(console: &Path) -> String {
    let text = fs::read(console).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return String::new();
    }
    format!("; the console ends:\n{}", lines[lines.len().saturating_sub(15)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: &[&str], cut: Option<&str>) -> Log {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        Log { lines, took: Duration::ZERO, busy: None, cut: cut.map(str::to_owned) }
    }

    #[test]
    fn each_suite_gets_its_own_part() {
        let log = log(&["boot", "@@begin a", "one", "@@end a 0", "@@begin b", "two", "three", "@@end b 101"], None);
        let (a, b) = (log.outcome("a"), log.outcome("b"));
        assert_eq!((a.output.as_str(), a.problem), ("one", None));
        assert_eq!((b.output.as_str(), b.problem.as_deref()), ("two\nthree", Some("exit code 101")));
    }

    #[test]
    fn a_hang_is_reported_with_what_was_seen() {
        let log = log(&["@@begin a", "one"], Some("still running"));
        let a = log.outcome("a");
        assert_eq!((a.output.as_str(), a.problem.as_deref()), ("one", Some("still running")));
        assert_eq!(log.outcome("b").problem.as_deref(), Some("never began: still running"));
    }
}
