//! How much, and how long: the numbers that differ between a machine and an emulated one.

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
