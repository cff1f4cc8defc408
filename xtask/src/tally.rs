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

/// What deserves another look, printed again above the closing line, where nobody has to search for it.
#[derive(Default)]
pub struct Findings {
    /// What failed: where, which, and what it said, on one line.
    failed: Vec<String>,
    /// Tests that failed at first and passed when they ran again, as the suites print it.
    unsteady: Vec<String>,
}

impl Findings {
    /// Takes them out of a suite's output; `place` says where it ran.
    pub fn add(&mut self, place: &str, output: &str) {
        let mut named = Vec::new();
        let mut is_list = false;
        for line in output.lines() {
            let name = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"));
            // What a test's own processes print may stand on the line that says how it ended; the list below the failures is whole.
            let name = name.or_else(|| line.strip_prefix("    ").filter(|_| is_list)).map(str::trim);
            is_list = line == "failures:" || is_list && line.starts_with("    ");
            if line.starts_with("unsteady: ") {
                self.unsteady.push(format!("{line} [{place}]"));
            } else if let Some(name) = name
                && !named.contains(&name)
            {
                self.failed.push(format!("{name}: {} [{place}]", said_by(output, name)));
                named.push(name);
            } else if let Some(why) = line.strip_prefix("failed: ") {
                self.failed.push(format!("{why} [{place}]"));
            }
        }
    }

    /// Something that is no test and failed, and why; printed at once, too.
    pub fn failed(&mut self, what: &str, why: impl fmt::Display) {
        println!("failed: {what}: {why}");
        self.failed.push(format!("{what}: {why}"));
    }

    /// Counts a step that is no test; one that failed is kept.
    pub fn judge<E: fmt::Display>(&mut self, what: &str, result: Result<(), E>) -> Tally {
        if let Err(error) = &result {
            self.failed(what, format_args!("{error:#}"));
        }
        Tally::one(result.is_ok())
    }

    /// Adds those of another run.
    pub fn append(&mut self, mut other: Self) {
        self.failed.append(&mut other.failed);
        self.unsteady.append(&mut other.unsteady);
    }
}

impl fmt::Display for Findings {
    /// Nothing where every test passed at once.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.unsteady.is_empty() {
            writeln!(f, "{} tests ran twice:", self.unsteady.len())?;
            self.unsteady.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        }
        self.failed.iter().try_for_each(|line| writeln!(f, "failed: {line}"))
    }
}

/// What a runner printed below the heading of a failed test, on one line, its first 1,500 characters.
fn said_by(output: &str, name: &str) -> String {
    let failures = output.split_once("\nfailures:\n").map_or("", |(_, failures)| failures);
    let heading = |line: &str| line.strip_prefix("---- ").is_some_and(|rest| rest.split(' ').next() == Some(name));
    let mut lines = failures.lines().skip_while(|line| !heading(line)).skip(1);
    let body = lines.by_ref().take_while(|line| !line.starts_with("---- ") && *line != "failures:");
    let words: Vec<_> = body.flat_map(str::split_whitespace).collect();
    words.join(" ").chars().take(1500).collect()
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
    fn what_failed_is_listed_with_its_place() {
        let mut all = Findings::default();
        all.add("here", "test a ... ok\nunsteady: a ran twice, and first said: why\nfailed: table: 3 rows differ\n");
        let output = "
test b ... FAILED
test c ... a line of a process that c started
FAILED

failures:

---- b stdout ----
thread 'b' panicked at here:
  no more
---- c ----
c's words

failures:
    b
    c

    d
";
        all.add("6.1", output);
        let wanted = "1 tests ran twice:
  unsteady: a ran twice, and first said: why [here]
failed: table: 3 rows differ [here]
failed: b: thread 'b' panicked at here: no more [6.1]
failed: c: c's words [6.1]
";
        assert_eq!(all.to_string(), wanted);
        assert_eq!(Findings::default().to_string(), "");
    }

    #[test]
    fn displays_what_it_reads() {
        let tally = Tally { passed: 3, failed: 0, skipped: 12 };
        assert_eq!(Tally::of(&tally.to_string()), tally);
    }
}
