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

/// How long to wait for what must come. On a machine it comes at once; an emulated one is tens of times slower.
pub fn patience() -> Duration {
    Duration::from_secs(if scale() < 1.0 { 120 } else { 20 })
}

/// The kernel's release, as `uname -r` prints it.
pub fn kernel() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}
