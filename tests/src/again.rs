//! A second run for a test that failed, always reported.
//!
//! The suites check a live kernel from processes that share two busy processors with it, or an emulated machine. A test that fails there
//! once in some hundred runs says too little to stop a change, and too much to be passed over: it runs once more, and what it said the
//! first time is printed on a line that begins with [`UNSTEADY`], which `cargo xtask test` lists and counts beside its closing line. Past
//! four of them in a suite no test gets another run: then it is not chance. `NETSTAT_TEST_ONCE=1` turns it off.
//!
//! Apart from that, a test runs again where it is shown that the kernel kept from every program what the test is about.

use std::any::Any;
use std::panic::{self, UnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the line of a test begins with that failed once.
pub const UNSTEADY: &str = "unsteady: ";

/// How many tests of a suite get a second run.
const MOST: usize = 4;

/// How often a test runs again that has an excuse.
const EXCUSED: usize = 3;

static USED: AtomicUsize = AtomicUsize::new(0);
static NOTES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Prints this line once the tests are through ([`print_notes`]): their own lines stay whole.
pub fn note(line: String) {
    NOTES.lock().unwrap().push(line);
}

/// Prints what was noted.
pub fn print_notes() {
    for line in NOTES.lock().unwrap().drain(..) {
        println!("{line}");
    }
}

/// Runs a test that fails by panicking, and once more where it does. `excuse` says, where that is known, what else made it fail.
pub fn run<T>(name: &str, test: impl Fn() -> T + UnwindSafe + Copy, excuse: impl Fn() -> Option<String>) -> T {
    for _ in 0..=EXCUSED {
        let why = match panic::catch_unwind(test) {
            Ok(done) => return done,
            Err(why) => why,
        };
        match excuse() {
            Some(excuse) => note(format!("{UNSTEADY}{name} runs again, as {excuse}, and said: {}", words(&*why))),
            None if may() => {
                note(format!("{UNSTEADY}{name} ran twice, and first said: {}", words(&*why)));
                return test();
            }
            None => panic::resume_unwind(why),
        }
    }
    test()
}

/// The same of a test that fails by returning why.
///
/// # Errors
/// What the second run says.
pub fn judge(name: &str, test: impl Fn() -> Result<(), String>) -> Result<(), String> {
    let Err(why) = test() else { return Ok(()) };
    if !may() {
        return Err(why);
    }
    note(format!("{UNSTEADY}{name} ran twice, and first said: {}", one_line(&why)));
    test()
}

/// Takes one of the second runs, if one is left.
fn may() -> bool {
    std::env::var_os("NETSTAT_TEST_ONCE").is_none() && USED.fetch_add(1, Ordering::Relaxed) < MOST
}

/// What a test panicked with, on one line.
pub fn words(why: &(dyn Any + Send)) -> String {
    let text = why.downcast_ref::<String>().map(String::as_str).or_else(|| why.downcast_ref().copied());
    one_line(text.unwrap_or("a panic without words"))
}

/// The text on one line, its first 1,500 characters.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(1500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    /// One test: they share the count of second runs.
    #[test]
    fn a_failure_is_noted_and_the_second_run_decides() {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let no_excuse = || None;
        run("once", || assert!(RUNS.fetch_add(1, Ordering::Relaxed) > 0, "the\n first"), no_excuse);
        assert_eq!(NOTES.lock().unwrap().as_slice(), ["unsteady: once ran twice, and first said: the first"]);
        assert_eq!(judge("always", || Err("twice".into())), Err("twice".into()));
        assert_eq!(NOTES.lock().unwrap().len(), 2);
        assert!(panic::catch_unwind(|| run("always", || panic!("twice"), no_excuse)).is_err());
        for _ in 0..MOST {
            let _ = judge("always", || Err("often".into()));
        }
        assert_eq!(NOTES.lock().unwrap().len(), MOST, "no more second runs than there are");
        RUNS.store(0, Ordering::Relaxed);
        run("excused", || assert!(RUNS.fetch_add(1, Ordering::Relaxed) > 0, "unheard"), || Some("it was so".into()));
        let last = NOTES.lock().unwrap().last().cloned();
        assert_eq!(last.as_deref(), Some("unsteady: excused runs again, as it was so, and said: unheard"));
        let never = || run("never", || panic!("each time"), || Some("it was so".into()));
        assert!(panic::catch_unwind(never).is_err());
    }
}
