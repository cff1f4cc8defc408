//! How well the tracer sees, and what hinders it.

use super::reason::without_numbers;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Something could be better, and what is shown is right all the same.
    Note,
    /// Something essential is missing.
    Bad,
}

impl Level {
    /// Every level, mildest first.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Note, Self::Bad];

    /// The word in text and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Bad => "bad",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub name: String,
    /// How it is.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// The line that mends it.
    pub mend: Option<String>,
}

impl Check {
    /// Something as it should be.
    pub fn ok(name: &str, found: impl Into<String>) -> Self {
        Self { name: name.into(), level: Level::Ok, found: without_numbers(&found.into()), mend: None }
    }

    /// Something that is not, and what mends it.
    pub fn amiss(name: &str, level: Level, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name: name.into(), level, found: without_numbers(&found.into()), mend: Some(mend.into()) }
    }
}

/// One kernel program that is loaded, as the kernel counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramHealth {
    /// Its name.
    pub name: String,
    /// Times it ran, and the nanoseconds that took; `None` while the kernel does not count (`kernel.bpf_stats_enabled`).
    pub runs: Option<(u64, u64)>,
    /// Times the kernel did not run it, because it ran already on that processor; `None` before Linux 5.12.
    pub missed: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_has_no_numbers_of_errors() {
        let check = Check::ok("x", "a map: Operation not permitted (os error 1): b: No such process (os error 3)");
        assert_eq!(check.found, "a map: Operation not permitted: b: No such process");
        let check = Check::amiss("x", Level::Bad, "No such process (os error 3)", "start it");
        assert_eq!(check.found, "No such process");
    }
}
