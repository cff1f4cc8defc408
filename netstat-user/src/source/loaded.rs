//! The iterators once they are loaded, and what was read in another way and why.

use crate::kernel::Iterators;
use crate::kernel::snapshot::SnapshotError;
use crate::sys::lock;
use std::fmt::{self, Display};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// After how long a failure to load that may pass is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// Whether the iterators are loaded.
#[derive(Debug, Default)]
pub struct Loaded(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    /// There was no reason to yet.
    #[default]
    Untried,
    /// They are there.
    There(Arc<Iterators>),
    /// This kernel has none, or does not let this process have them: that does not change.
    Unsupported,
    /// They could not be loaded then; that may change.
    Failed(Instant),
}

impl State {
    /// The iterators, or that there are none; `None` where they are to be loaded.
    fn known(&self) -> Option<Option<Arc<Iterators>>> {
        match self {
            Self::Untried => None,
            Self::There(iterators) => Some(Some(Arc::clone(iterators))),
            Self::Unsupported => Some(None),
            Self::Failed(at) => (at.elapsed() < AGAIN).then_some(None),
        }
    }
}

impl Loaded {
    /// The iterators if they are loaded, or that there are none; `None` where nobody has tried, or it is time to try again.
    pub fn known(&self) -> Option<Option<Arc<Iterators>>> {
        lock(&self.0).known()
    }

    /// The iterators, loaded now if they are not yet. A failure to is handed to `note`, and `None` returned.
    pub fn load(&self, note: impl FnOnce(&SnapshotError)) -> Option<Arc<Iterators>> {
        let mut state = lock(&self.0);
        if let Some(known) = state.known() {
            return known;
        }
        match Iterators::load() {
            Ok(iterators) => {
                let iterators = Arc::new(iterators);
                *state = State::There(Arc::clone(&iterators));
                Some(iterators)
            }
            Err(error) => {
                *state = if error.is_unsupported() { State::Unsupported } else { State::Failed(Instant::now()) };
                note(&error);
                None
            }
        }
    }
}

/// Something that was read in another way than the best.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FallBack {
    /// What could not be had.
    pub what: &'static str,
    /// Why.
    pub cause: String,
    /// Whether it failed although the kernel supports it.
    pub failed: bool,
}

impl Display for FallBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {}: {}", self.what, self.cause)
    }
}

/// What was read in another way than the best: of each thing the last.
#[derive(Debug, Default)]
pub struct FallBacks(Mutex<Vec<FallBack>>);

impl FallBacks {
    /// Notes that something could not be had in the best way.
    pub fn note(&self, what: &'static str, error: &dyn Display, unsupported: bool) {
        let fall = FallBack { what, cause: error.to_string(), failed: !unsupported };
        log::debug!("{fall}");
        let mut all = lock(&self.0);
        match all.iter_mut().find(|known| known.what == what) {
            Some(known) => *known = fall,
            None => all.push(fall),
        }
    }

    /// All of it.
    pub fn all(&self) -> Vec<FallBack> {
        lock(&self.0).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_may_pass_is_tried_again() {
        let known = |state: State| state.known();
        assert!(known(State::Untried).is_none());
        assert!(matches!(known(State::Unsupported), Some(None)));
        assert!(matches!(known(State::Failed(Instant::now())), Some(None)));
        let long_ago = Instant::now().checked_sub(AGAIN).unwrap();
        assert!(known(State::Failed(long_ago)).is_none());
    }

    #[test]
    fn of_each_thing_the_last_is_kept() {
        let falls = FallBacks::default();
        falls.note("iterators", &"no memory", false);
        falls.note("holders", &"none", true);
        falls.note("iterators", &"no BTF", true);
        let said: Vec<String> = falls.all().iter().map(ToString::to_string).collect();
        assert_eq!(said, ["no iterators: no BTF", "no holders: none"]);
        assert!(falls.all().iter().all(|fall| !fall.failed));
    }
}
