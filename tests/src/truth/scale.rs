//! How much, and how long: the numbers that differ between a machine and an emulated one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::sync::OnceLock;
use std::time::Duration;

/// `$NETSTAT_TEST_SCALE`, 1 unless given.
pub fn scale() -> f64 {
    static SCALE: OnceLock<f64> = OnceLock::new();
    *SCALE.get_or_init(|| match std::env::var("NETSTAT_TEST_SCALE") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("NETSTAT_TEST_SCALE={text} is not a number")),
        Err(_) => 1.0,
    })
}

/// `full` things, scaled, but at least 8.
pub fn count(full: usize) -> usize {
    ((full as f64 * scale()) as usize).max(full.min(8))
}

/// Lets this process open as many files as may be had, a small system gives it but 4096, and returns how many that is.
pub fn open_files() -> usize {
    let limit = || getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(_, hard)| hard);
    let most = limit().max(1 << 16);
    // A root without CAP_SYS_RESOURCE has what it has.
    if setrlimit(Resource::RLIMIT_NOFILE, most, most).is_err() {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, limit(), limit());
    }
    limit() as usize
}

/// How long the mixed churn goes on: `$NETSTAT_CHURN_SECONDS`, 20 unless given.
pub fn churn() -> Duration {
    Duration::from_secs(match std::env::var("NETSTAT_CHURN_SECONDS") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("NETSTAT_CHURN_SECONDS={text} is not a number of seconds")),
        Err(_) => 20,
    })
}

/// How many events the soak test looks at: `$NETSTAT_SOAK_EVENTS`, 300,000 unless given.
pub fn soak() -> usize {
    match std::env::var("NETSTAT_SOAK_EVENTS") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("NETSTAT_SOAK_EVENTS={text} is not a number of events")),
        Err(_) => count(300_000),
    }
}

/// How long to wait for what must come. On a machine it comes at once; an emulated one is tens of times slower.
pub fn patience() -> Duration {
    Duration::from_secs(if scale() < 1.0 { 120 } else { 20 })
}

/// Whether an acknowledgement may come too late, and the segment be sent again: an emulated machine, or one of its processors, may stand still for
/// longer than TCP waits (200 ms), and its timers run first when it goes on.
pub fn is_late() -> bool {
    scale() < 1.0
}

/// How far what two readers measured of the same may be apart, in nanoseconds: an emulated machine may stand still between the two.
pub fn near_ns() -> u64 {
    if scale() < 1.0 { 2_000_000_000 } else { 50_000_000 }
}

/// The kernel's release, as `uname -r` prints it.
pub fn kernel() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

/// A line of the kernel matrix, from which `cargo xtask` makes its table:
/// `matrix: kernel=RELEASE arch=NAME processors=N hook=NAME variant=NAME result=ok|refused|idle|unneeded [reason=…]`. The reason goes up to its end.
pub fn cell(hook: &str, variant: &str, result: &str) -> String {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "matrix: kernel={} arch={} processors={processors} hook={hook} variant={variant} result={result}",
        kernel(),
        std::env::consts::ARCH
    )
}

/// Whether a task can be preempted in a program on a tracepoint: since Linux 7.0. What other tasks on its processor do meanwhile is left to
/// programs that cannot be, which make no cookies and may be interrupted themselves, on an emulated machine a thousand times as often.
pub fn preempts_programs() -> bool {
    kernel().split('.').next().and_then(|major| major.parse().ok()).is_some_and(|major: u32| major >= 7)
}
