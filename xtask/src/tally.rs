//! Counts tests from what their runners print, so that the closing line speaks for all of them.

use std::fmt;
use std::ops::AddAssign;

/// How many tests passed, failed, and could not run here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

impl Tally {
    /// One test that passed, or one that failed.
    pub fn one(passed: bool) -> Self {
        if passed { Self { passed: 1, ..Self::default() } } else { Self { failed: 1, ..Self::default() } }
    }

    /// Something that could not run here.
    pub const SKIPPED: Self = Self { passed: 0, failed: 0, skipped: 1 };

    /// Sums the runners found in `output`:
    ///
    /// - libtest's `test result: ok. 3 passed; 0 failed; 1 ignored; …`. A test that finds it cannot run here prints
    ///   `skipped: REASON` and returns; libtest counts it as passed, this as skipped. (It takes `--show-output` to be seen.)
    /// - a suite that cannot run at all: `SUITE: skipped: REASON`, counted as one.
    /// - a suite with a runner of its own: a line `3 passed, 0 failed, 1 skipped`.
    pub fn of(output: &str) -> Self {
        let mut sum = Self::default();
        // Tests of the current libtest run that said they were skipped; each has a `---- NAME stdout ----` heading.
        let mut skips = 0;
        let mut counted = false;
        for line in output.lines().map(str::trim_end) {
            if let Some(counts) = line.strip_prefix("test result: ") {
                let count = |word| number_before(counts, word).unwrap_or(0);
                let passed = count(" passed");
                skips = skips.min(passed);
                sum += Self { passed: passed - skips, failed: count(" failed"), skipped: count(" ignored") + skips };
                skips = 0;
            } else if line.starts_with("---- ") && line.ends_with(" stdout ----") {
                counted = false;
            } else if line.starts_with("skipped: ") && !counted {
                counted = true;
                skips += 1;
            } else if line.contains(": skipped: ") && !line.starts_with("test ") {
                // A whole suite that says so; it counts no tests.
                sum += Self::SKIPPED;
            } else if let Some(own) = Self::parse(line) {
                sum += own;
            }
        }
        sum
    }

    /// Reads a tally as it is displayed.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(", ");
        let mut field = |word| fields.next()?.strip_suffix(word)?.parse().ok();
        let tally = Self { passed: field(" passed")?, failed: field(" failed")?, skipped: field(" skipped")? };
        fields.next().is_none().then_some(tally)
    }
}

/// The tests that failed at first and passed when they ran again: a line each, as the suites print it.
#[derive(Default)]
pub struct Unsteady(Vec<String>);

impl Unsteady {
    /// Takes the lines out of a suite's output; `place` says where it ran.
    pub fn add(&mut self, place: &str, output: &str) {
        let lines = output.lines().filter(|line| line.starts_with("unsteady: "));
        self.0.extend(lines.map(|line| format!("{line} [{place}]")));
    }

    /// Adds those of another run.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }
}

impl fmt::Display for Unsteady {
    /// Nothing where every test was steady.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        writeln!(f, "{} tests ran twice:", self.0.len())?;
        self.0.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

fn number_before(text: &str, word: &str) -> Option<u64> {
    let before = &text[..text.find(word)?];
    before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_every_runner() {
        let output = "
running 3 tests
test a ... ok
successes:

---- a stdout ----
skipped: not root
skipped: twice said, one test

---- b stdout ----
all well

test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out
150 passed, 1 failed, 4 skipped
12 passed, 1 failed
golden files: skipped: nothing captured
";
        assert_eq!(Tally::of(output), Tally { passed: 157, failed: 3, skipped: 7 });
    }

    #[test]
    fn unsteady_tests_are_listed_with_their_place() {
        let mut all = Unsteady::default();
        all.add("here", "test a ... ok\nunsteady: a failed at first: why\n");
        assert_eq!(all.to_string(), "1 tests ran twice:\n  unsteady: a failed at first: why [here]\n");
        assert_eq!(Unsteady::default().to_string(), "");
    }

    #[test]
    fn displays_what_it_reads() {
        let tally = Tally { passed: 3, failed: 0, skipped: 12 };
        assert_eq!(Tally::of(&tally.to_string()), tally);
    }
}
