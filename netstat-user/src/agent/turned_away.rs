//! Clients that could not be let in for want of descriptors or memory. They cannot be answered: that is reported on standard error, and kept for
//! `doctor`.

use crate::model::{Check, Level};
use crate::sys::{Scarce, lock};
use std::io;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often it is said at most.
const PAUSE: Duration = Duration::from_secs(60);

/// What happened.
#[derive(Debug)]
pub struct TurnedAway {
    complain: fn(&str),
    last: Mutex<Option<Turn>>,
}

/// Since when nobody could be let in, more or less.
#[derive(Debug)]
struct Turn {
    at: Instant,
    said: Instant,
    why: Scarce,
}

impl TurnedAway {
    /// Nobody yet.
    pub fn new(complain: fn(&str)) -> Self {
        Self { complain, last: Mutex::default() }
    }

    /// Somebody could not be let in. A client that has gone by itself does not count.
    pub fn note(&self, error: &io::Error) {
        let Some(why) = Scarce::of(error) else { return };
        let mut last = lock(&self.last);
        let (at, before) = (Instant::now(), last.as_ref().map(|last| last.said));
        let says = before.is_none_or(|said| said.elapsed() >= PAUSE);
        *last = Some(Turn { at, why, said: if says { at } else { before.unwrap_or(at) } });
        drop(last);
        if says {
            (self.complain)(&format!("no client can be let in: {}", why.words()));
        }
    }

    /// What `doctor` reports of it.
    pub fn check(&self) -> Option<Check> {
        let last = lock(&self.last);
        let Turn { at, why, .. } = last.as_ref()?;
        let ago = at.elapsed().as_secs();
        let found = format!("the agent could let no client in until {ago} s ago: {}", why.words());
        Some(Check::amiss("clients", Level::Note, found, "raise the limit where the agent is started, and restart it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn that_nobody_can_be_let_in_is_said_once_and_kept() {
        static SAID: AtomicUsize = AtomicUsize::new(0);
        let turned_away = TurnedAway::new(|line| {
            assert!(line.contains("ulimit -n"), "{line}");
            SAID.fetch_add(1, Ordering::Relaxed);
        });
        turned_away.note(&io::ErrorKind::ConnectionAborted.into());
        assert_eq!(turned_away.check(), None);
        for _ in 0..100 {
            turned_away.note(&io::Error::from_raw_os_error(libc::EMFILE));
        }
        assert_eq!(SAID.load(Ordering::Relaxed), 1);
        assert!(turned_away.check().is_some_and(|check| check.found.contains("ulimit -n")));
    }
}
