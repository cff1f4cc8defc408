//! Follows a source of events: they become lines on standard output until there is a reason to end.

use crate::cli::events::Options;
use crate::run::failure::Failure;
use crate::run::printing::{Chosen, Printer};
use crate::run::ready::LOST;
use crate::stdio::streaming::{Asked, FAREWELL, Output, Stop};
use crate::stdio::{Unwritable, complain, lines};
use crate::view::text::counted;
use std::io;

/// Where events come from: traced here, or sent by an agent.
pub trait EventSource {
    /// Reports what is traced, in the line that scripts wait for. `whole`: as it is for scripts, also to a person.
    fn report(&self, whole: bool);

    /// Waits until there may be more to take. May be broken off and called again.
    async fn ready(&mut self) -> Result<(), Failure>;

    /// Hands what has come to the printer.
    fn take(&mut self, printer: &mut Printer<'_>, out: &mut Vec<u8>) -> Result<NextBatch, Failure>;

    /// Takes nothing any more of what is recorded from now on.
    fn stop(&mut self) -> Result<(), Failure>;

    /// Reports on standard error what there is to say at the end, below the summary. Returns the exit code.
    fn end(&mut self) -> Result<u8, Failure>;
}

/// When a source has more, after a batch was taken from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextBatch {
    /// There may be more by now.
    AtOnce,
    /// Once it is ready.
    Later,
    /// It has ended.
    Never,
}

/// Why no more lines are asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// A signal, or the time is up: what has been recorded is still printed.
    Asked,
    /// The count is reached, or the source has ended.
    Whole,
}

/// A source, and the lines that its events become.
pub struct EventFollower<'a, S> {
    options: &'a Options,
    source: S,
    printer: Printer<'a>,
    output: Output,
    /// The batch that is being written.
    out: Vec<u8>,
    /// Lines, and events known to be lost, when a batch was written last.
    lines_written: u64,
    lost_before: u64,
}

impl<'a, S: EventSource> EventFollower<'a, S> {
    /// Follows this source.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn new(options: &'a Options, chosen: &Chosen, source: S) -> Result<Self, Failure> {
        Ok(Self {
            options,
            source,
            printer: Printer::new(options, chosen),
            output: Output::new().map_err(Failure::Runtime)?,
            out: Vec::new(),
            lines_written: 0,
            lost_before: 0,
        })
    }

    /// Prints events until the end, and what there is to say then. Returns the exit code.
    ///
    /// # Errors
    /// A [`Failure`], but not that nobody reads the output any more: that is an end without a word.
    pub async fn run(mut self, asked: Asked) -> Result<u8, Failure> {
        let is_read = match self.print(asked).await {
            // Whether a write or the watch on the pipe noticed it first. What was lost after the last line that could be read is no gap.
            Err(failure) if failure.is_closed_output() => return Ok(self.code(0, self.lost_before)),
            printed => printed?,
        };
        lines::write(format!("{}\n", self.printer.summary()).as_bytes());
        let code = self.source.end()?;
        if is_read {
            return Ok(self.code(code, self.printer.lost()));
        }
        let rest = match self.printer.lines() - self.lines_written {
            0 => "counts".to_owned(),
            lines => format!("last {}", counted(lines, "line", "lines")),
        };
        complain(&format!(
            "standard output was not read for {} s: the {rest} are not printed, or not whole",
            FAREWELL.as_secs()
        ));
        Ok(1)
    }

    fn code(&self, code: u8, lost: u64) -> u8 {
        if self.options.strict && lost > 0 { LOST } else { code }
    }

    /// Prints all there is to print. False if nobody reads the end of it.
    async fn print(&mut self, asked: Asked) -> Result<bool, Failure> {
        if self.follow(asked).await? == End::Asked && !self.drain().await? {
            self.count_rest().await?;
            return Ok(false);
        }
        self.printer.end(&mut self.out);
        Ok(self.output.write_at_last(&self.out).await?)
    }

    /// Prints events until there is a reason to end.
    async fn follow(&mut self, mut asked: Asked) -> Result<End, Failure> {
        asked.begin(self.options.duration);
        // A script that waits for this line may send a signal at once.
        self.source.report(self.options.verbose);
        let stop = async {
            match asked.stop().await {
                Stop::Asked => Ok(End::Asked),
                Stop::Closed => Err(Unwritable(io::ErrorKind::BrokenPipe.into()).into()),
            }
        };
        tokio::pin!(stop);
        loop {
            let next = self.take()?;
            tokio::select! {
                biased;
                written = self.output.write(&self.out) => written?,
                // The write, and what has been recorded, are left to the drain.
                end = &mut stop => return end,
            }
            self.batch_is_written();
            if next == NextBatch::Never || self.printer.is_full() {
                return Ok(End::Whole);
            }
            let more = async {
                if next == NextBatch::Later {
                    return self.source.ready().await;
                }
                // A file takes every write at once: let signals and the clock be seen all the same.
                tokio::task::yield_now().await;
                Ok(())
            };
            tokio::select! {
                biased;
                end = &mut stop => return end,
                more = more => more?,
            }
        }
    }

    /// Prints what had been recorded when the end was decided, and not what comes in meanwhile. False if nobody reads it.
    async fn drain(&mut self) -> Result<bool, Failure> {
        self.source.stop()?;
        let mut next = NextBatch::AtOnce;
        loop {
            if !self.output.write_at_last(&self.out).await? {
                return Ok(false);
            }
            self.batch_is_written();
            if next == NextBatch::Never || self.printer.is_full() {
                return Ok(true);
            }
            self.source.ready().await?;
            next = self.take()?;
        }
    }

    /// Counts what nobody reads: it was not lost before it came here.
    async fn count_rest(&mut self) -> Result<(), Failure> {
        while !self.printer.is_full() && self.take()? != NextBatch::Never {
            self.out.clear();
            self.source.ready().await?;
        }
        Ok(())
    }

    fn take(&mut self) -> Result<NextBatch, Failure> {
        self.printer.begin_batch(&mut self.out);
        self.source.take(&mut self.printer, &mut self.out)
    }

    fn batch_is_written(&mut self) {
        self.out.clear();
        (self.lines_written, self.lost_before) = (self.printer.lines(), self.printer.lost());
    }
}
