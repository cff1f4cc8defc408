//! When the kernel's lists are read: at the beginning, after a loss, when somebody waits for it, and every so often.

use std::time::Duration;
use tokio::time::Instant;

/// Pause after a listing that was asked for by a loss, or by a user, so that a flood cannot keep the agent at reading lists.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// Pause after a listing, as a multiple of its duration, for requests of users other than root and the agent's own: one with thousands of network
/// namespaces does not keep a processor busy.
const REST: u32 = 4;
/// Later than any agent ends.
const NEVER: Duration = Duration::from_secs(86_400 * 365);

/// Who waits for a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Nobody.
    None,
    /// A user.
    User,
    /// Root or the agent's own user, who wait for no pause.
    Staff,
}

/// What a reload is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reload {
    /// Its listing.
    Asked,
    /// The end of that.
    Begun,
}

/// The listings, past and to come. The first one is due at once.
#[derive(Debug)]
pub struct Pace {
    poll: Duration,
    is_seeded: bool,
    /// A listing is under way, since this time.
    is_listing: bool,
    begun: Instant,
    /// Another one is wanted.
    again: bool,
    reload: Option<Reload>,
    not_before: Instant,
    poll_at: Instant,
}

impl Pace {
    /// A listing is due after each `poll` without one.
    pub fn new(poll: Duration, now: Instant) -> Self {
        let mut pace = Self {
            poll,
            is_seeded: false,
            is_listing: false,
            begun: now,
            again: true,
            reload: None,
            not_before: now,
            poll_at: now,
        };
        pace.poll_at = pace.next_poll(now);
        pace
    }

    fn next_poll(&self, now: Instant) -> Instant {
        now.checked_add(self.poll.min(NEVER)).unwrap_or(now)
    }

    /// Wants a listing, after the one under way.
    pub const fn want(&mut self) {
        self.again = true;
    }

    /// Wants one, whose end is the end of a reload.
    pub const fn reload(&mut self) {
        self.again = true;
        self.reload = Some(Reload::Asked);
    }

    /// When the next one is due; `None` before the one under way has ended.
    pub fn due(&self, waiting: Waiting) -> Option<Instant> {
        if self.is_listing {
            return None;
        }
        Some(match (waiting, self.again) {
            (Waiting::Staff, _) => self.not_before.min(self.poll_at).min(Instant::now()),
            (Waiting::User, _) | (Waiting::None, true) => self.not_before.min(self.poll_at),
            (Waiting::None, false) => self.poll_at,
        })
    }

    /// A listing begins.
    pub fn begin(&mut self, now: Instant) {
        self.is_listing = true;
        self.again = false;
        self.begun = now;
        self.reload = self.reload.map(|_| Reload::Begun);
    }

    /// It has ended; returns whether it was the first, or a reload's.
    pub fn end(&mut self, now: Instant) -> bool {
        self.is_listing = false;
        self.poll_at = self.next_poll(now);
        self.not_before = (self.begun + PAUSE).max(now + (now - self.begun) * REST);
        let reloaded = self.reload == Some(Reload::Begun);
        if reloaded {
            self.reload = None;
        }
        !std::mem::replace(&mut self.is_seeded, true) || reloaded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_waits_for_the_pause_and_root_does_not() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::MAX, start);
        assert_eq!(pace.due(Waiting::None), Some(start), "the seed");
        pace.begin(start);
        pace.want();
        assert_eq!(pace.due(Waiting::Staff), None, "one at a time");
        assert!(pace.end(start), "ready");
        assert_eq!((pace.due(Waiting::None), pace.due(Waiting::User)), (Some(start + PAUSE), Some(start + PAUSE)));
        assert!(pace.due(Waiting::Staff).is_some_and(|due| due <= Instant::now()));
        pace.begin(start + PAUSE);
        assert!(!pace.end(start + PAUSE));
        assert!(pace.due(Waiting::None).is_some_and(|due| due > start + NEVER / 2), "no poll");
    }

    #[test]
    fn a_reload_ends_with_a_listing_that_began_after_it() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::from_secs(60), start);
        pace.begin(start);
        pace.reload();
        assert!(pace.end(start), "the seed");
        assert_eq!(pace.due(Waiting::None), Some(start + PAUSE));
        pace.begin(start + PAUSE);
        assert!(pace.end(start + PAUSE), "reloaded");
        assert_eq!(pace.due(Waiting::None), Some(start + PAUSE + Duration::from_secs(60)));
    }

    #[test]
    fn listings_that_take_long_are_seldom() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut pace = Pace::new(Duration::MAX, start);
        pace.begin(start);
        pace.want();
        pace.end(start + 2 * second);
        assert_eq!([Waiting::None, Waiting::User].map(|who| pace.due(who)), [Some(start + 10 * second); 2]);
        assert!(pace.due(Waiting::Staff).is_some_and(|due| due <= Instant::now()));
    }
}
