//! Where a view's bytes go.

use super::{Written, lines, print};
use std::io::{self, IsTerminal};

/// Standard output, written once per round, and standard error.
pub struct BufferedOutput {
    bytes: Vec<u8>,
    terminal: bool,
    /// Whether notes are kept from standard error.
    silent: bool,
}

impl BufferedOutput {
    /// An empty buffer before the process's own standard output.
    pub fn stdout() -> Self {
        Self { bytes: Vec::new(), terminal: io::stdout().is_terminal(), silent: false }
    }

    /// A buffer for a trial, which nobody is to see.
    pub const fn silent() -> Self {
        Self { bytes: Vec::new(), terminal: false, silent: true }
    }

    /// Where to append what goes to standard output.
    pub const fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Writes a note, newline included, to standard error. On a terminal what was printed before it comes before it; elsewhere
    /// it overtakes the buffered output, as it does in netstat.
    ///
    /// # Errors
    /// A failure to write to standard output. Standard error may be closed: the exit code still says it all.
    pub fn note(&mut self, text: &[u8]) -> Written<()> {
        if self.silent {
            return Ok(());
        }
        if self.terminal {
            self.flush()?;
        }
        lines::write(text);
        Ok(())
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// A failure to write to standard output.
    pub fn flush(&mut self) -> Written<()> {
        print(&self.bytes)?;
        self.bytes.clear();
        Ok(())
    }
}
