//! The debug log.

use super::lines;
use crate::model::visible::escape_lines;

/// Writes what the program logs for debugging to standard error from here on.
pub fn log_debug() {
    // Only the first logger counts; there is no other.
    let _ = log::set_logger(&DebugLog).map(|()| log::set_max_level(log::LevelFilter::Trace));
}

/// A line for each record.
struct DebugLog;

impl log::Log for DebugLog {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Debug
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let said = escape_lines(&record.args().to_string());
            lines::write(format!("debug: {}: {said}\n", record.target()).as_bytes());
        }
    }

    fn flush(&self) {}
}
