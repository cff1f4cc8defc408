//! Sockets that the kernel programs could not remember, and records that they had no room for: said when it happens, and not at the end only.

use crate::findings::{not_remembered, not_remembered_yet};
use crate::kernel::Tracer;
use crate::stdio::complain;
use crate::view::text::counted;
use std::io;
use std::time::{Duration, Instant};

/// How often the kernel is asked.
const LOOK: Duration = Duration::from_millis(500);

/// How long is waited before more of the same is said.
const QUIET: Duration = Duration::from_secs(10);

/// How many sockets were forgotten, as far as it was said.
#[derive(Debug, Default)]
pub struct Forgotten {
    said: u64,
    next_look: Option<Instant>,
    quiet_until: Option<Instant>,
}

impl Forgotten {
    /// Asks the kernel now and then, and says on standard error what is new; `who` begins the line.
    ///
    /// # Errors
    /// The kernel's, reading the counters.
    pub fn look(&mut self, tracer: &Tracer, who: &str) -> io::Result<()> {
        let now = Instant::now();
        if self.next_look.is_some_and(|next| now < next) {
            return Ok(());
        }
        self.next_look = Some(now + LOOK);
        if let Some(sockets) = self.news(tracer.forgotten()?, now) {
            complain(&format!("{who}{}", not_remembered_yet(sockets)));
        }
        Ok(())
    }

    /// Says at the end what has not been said yet.
    ///
    /// # Errors
    /// The kernel's, reading the counters.
    pub fn at_last(&mut self, tracer: &Tracer) -> io::Result<()> {
        self.quiet_until = None;
        if let Some(sockets) = self.news(tracer.forgotten()?, Instant::now()) {
            complain(&not_remembered(sockets));
        }
        Ok(())
    }

    /// How many are to be reported, `None` where they were, or some were a short while ago.
    fn news(&mut self, forgotten: u64, now: Instant) -> Option<u64> {
        if forgotten <= self.said || self.quiet_until.is_some_and(|until| now < until) {
            return None;
        }
        self.said = forgotten;
        self.quiet_until = Some(now + QUIET);
        Some(forgotten)
    }
}

/// How many records were lost, as far as it was said.
#[derive(Debug, Default)]
pub struct Losses {
    seen: u64,
    said: u64,
    quiet_until: Option<Instant>,
}

impl Losses {
    /// Says on standard error what is new, given how many were lost until now, and whether the buffer had no room.
    pub fn look(&mut self, lost: u64, is_buffer_short: bool) {
        if lost != self.said
            && let Some(line) = self.line(lost, Instant::now())
        {
            let way = if is_buffer_short { "; a larger --buffer makes losses rarer" } else { "" };
            complain(&format!("agent: {line}{way}"));
        }
    }

    /// What there is to say, `None` where it has been said, or something was a short while ago.
    fn line(&mut self, lost: u64, now: Instant) -> Option<String> {
        self.seen = self.seen.max(lost);
        if self.seen <= self.said || self.quiet_until.is_some_and(|until| now < until) {
            return None;
        }
        let new = self.seen - std::mem::replace(&mut self.said, self.seen);
        self.quiet_until = Some(now + QUIET);
        Some(format!(
            "{} ({lost} since it began): sockets that opened and closed meanwhile are not known",
            counted(new, "event was lost", "events were lost")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_said_when_it_happens_and_more_of_it_later() {
        let (mut losses, now) = (Losses::default(), Instant::now());
        assert_eq!(losses.line(0, now), None);
        assert!(losses.line(3, now).is_some_and(|line| line.starts_with("3 events were lost (3 since")));
        assert_eq!(losses.line(5, now + QUIET / 2), None, "too soon");
        assert!(losses.line(5, now + QUIET).is_some_and(|line| line.starts_with("2 events were lost (5 since")));
        assert!(losses.line(6, now + 5 * QUIET).is_some_and(|line| line.starts_with("1 event was lost (6 since")));
        assert_eq!(losses.line(6, now + 7 * QUIET), None, "nothing new");
    }

    #[test]
    fn what_is_new_is_said_now_and_then() {
        let (mut forgotten, now) = (Forgotten::default(), Instant::now());
        assert_eq!(forgotten.news(0, now), None);
        assert_eq!(forgotten.news(3, now), Some(3));
        assert_eq!(forgotten.news(3, now + 2 * QUIET), None, "nothing new");
        assert_eq!(forgotten.news(4, now + 2 * QUIET), Some(4));
        assert_eq!(forgotten.news(9, now + 2 * QUIET + QUIET / 2), None, "too soon");
        assert_eq!(forgotten.news(9, now + 3 * QUIET), Some(9));
    }
}
