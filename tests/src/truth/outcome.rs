//! What a tracer said, and how it ended.

use crate::command::End;
use crate::truth::event::Event;

/// All that a tracer said, and how it ended.
pub struct Outcome {
    pub command: String,
    pub end: End,
    pub ready: String,
    /// Standard output, line by line.
    pub raw: Vec<String>,
    pub events: Vec<Event>,
    /// The counts of the `lost` lines.
    pub lost: Vec<u64>,
    /// Standard error, line by line.
    pub stderr: Vec<String>,
    /// When the tracer was started and when it had ended, in nanoseconds since the epoch.
    pub span_ns: (u64, u64),
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} ended with {:?}", self.command, self.end)?;
        writeln!(f, "{} lines on stdout, the last:", self.raw.len())?;
        for line in self.raw.iter().rev().take(6).rev() {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "stderr:")?;
        for line in self.stderr.iter().rev().take(12).rev() {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}
