//! One boot under emulation: what the guest prints, until it powers off or its time is up.

use anyhow::{Context, Result};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const QEMU: &str = "qemu-system-x86_64";
/// The machine is emulated instruction by instruction: no virtualization is needed.
/// One processor: with two, the emulator now and then runs a breakpoint that the kernel has already taken out of its own code (static
/// keys change whenever a probe comes or goes), and the kernel panics.
const MACHINE: &[&str] =
    &["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1", "-m", "1024", "-nodefaults", "-no-user-config"];

/// Everything the guest's suites printed.
pub struct Log {
    lines: Vec<String>,
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

/// Boots, and hands `say` the suites' lines as they come; a guest that is still running after `limit` is killed.
pub fn boot(kernel: &Path, initrd: &Path, console: &Path, limit: Duration, say: &dyn Fn(String)) -> Result<Log> {
    let mut guest = Command::new(QEMU)
        .args(MACHINE)
        .args(["-display", "none", "-monitor", "none", "-no-reboot"])
        .args(["-append", "console=ttyS0 panic=-1 quiet"])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initrd)
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .args(["-serial", "stdio"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {QEMU}"))?;
    let result = follow(&mut guest, console, limit, say);
    // Whatever happened, no guest is left behind.
    let _ = guest.kill();
    let _ = guest.wait();
    result
}

fn follow(guest: &mut Child, console: &Path, limit: Duration, say: &dyn Fn(String)) -> Result<Log> {
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
    let mut log = Log { lines: Vec::new(), cut: None };
    loop {
        match receive.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if !line.starts_with("@@") {
                    say(line.clone());
                }
                log.lines.push(line);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
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
        Log { lines: lines.iter().map(|line| (*line).to_owned()).collect(), cut: cut.map(str::to_owned) }
    }

    #[test]
    fn each_suite_gets_its_own_part() {
        let log = log(&["boot", "@@begin a", "one", "@@end a 0", "@@begin b", "two", "three", "@@end b 101"], None);
        let (a, b) = (log.outcome("a"), log.outcome("b"));
        assert_eq!((a.output.as_str(), a.problem), ("one", None));
        assert_eq!((b.output.as_str(), b.problem.as_deref()), ("two\nthree", Some("exit code 101")));
    }

    #[test]
    fn a_hang_is_told_with_what_was_seen() {
        let log = log(&["@@begin a", "one"], Some("still running"));
        let a = log.outcome("a");
        assert_eq!((a.output.as_str(), a.problem.as_deref()), ("one", Some("still running")));
        assert_eq!(log.outcome("b").problem.as_deref(), Some("never began: still running"));
    }
}
