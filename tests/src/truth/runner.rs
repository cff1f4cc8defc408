//! Runs the tests one after the other: they share the machine's loopback interface, its CPUs and its event stream.

use crate::again;
pub use crate::again::note;
use crate::truth::scale;
use crate::truth::unheard::Unheard;
use libtest_mimic::{Arguments, Completion, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::panic;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How a test that did not fail ended.
pub enum Done {
    /// All it looks for was there.
    Passed,
    /// It cannot run here, for this reason.
    Skipped(String),
}

/// A test: its name and what it does. It fails by panicking.
pub type Test = (&'static str, fn() -> Done);

/// The test that runs now, and since when.
type Running = Arc<Mutex<Option<(&'static str, Instant)>>>;

/// Runs the tests that the arguments of libtest select.
pub fn run(mut arguments: Arguments, tests: &[Test]) -> ExitCode {
    arguments.test_threads = Some(1);
    let running = Running::default();
    let times = Arc::new(Mutex::new(Vec::new()));
    let unheard = Arc::new(Unheard::begin());
    let trials = tests.iter().map(|&(name, test)| {
        let (running, times, unheard) = (running.clone(), times.clone(), Arc::clone(&unheard));
        Trial::ignorable_test(name, move || {
            let start = Instant::now();
            *running.lock().unwrap() = Some((name, start));
            let forget = || unheard.iter().for_each(Unheard::forget);
            forget();
            let done = again::run(name, test, || {
                let words = unheard.as_ref().as_ref().and_then(Unheard::words);
                forget();
                words
            });
            times.lock().unwrap().push((start.elapsed(), name));
            Ok(match done {
                Done::Passed => Completion::Completed,
                Done::Skipped(reason) => Completion::ignored_with(reason),
            })
        })
    });
    let trials = trials.collect();
    watch(running);
    // What the test itself panics with is in the report; what a thread of it does would be lost.
    panic::set_hook(Box::new(|info| {
        if thread::current().name() != Some("main") {
            let at = info.location().map(ToString::to_string).unwrap_or_default();
            eprintln!("\n{at}: {}", info.payload_as_str().unwrap_or("panicked"));
        }
    }));
    let conclusion = libtest_mimic::run(&arguments, trials);
    again::print_notes();
    let mut times = std::mem::take(&mut *times.lock().unwrap());
    times.sort_by(|a, b| b.cmp(a));
    let slowest = times.iter().take(10).map(|(took, name)| format!("{name} {:.1} s", took.as_secs_f64()));
    println!("slowest: {}", slowest.collect::<Vec<_>>().join(", "));
    conclusion.exit_code()
}

/// Ends the run, saying which test it was, when one hangs: nobody else would, where nobody looks on.
fn watch(running: Running) {
    // A soak goes on for as long as its events take, at least so many a second.
    let limit = scale::patience() * 10 + scale::churn() + Duration::from_secs(scale::soak() as u64 / 5000);
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_millis(500));
            if let Some((name, start)) = *running.lock().unwrap()
                && start.elapsed() > limit
            {
                again::print_notes();
                println!("FAILED\n\n{name} still runs after {} s", limit.as_secs());
                println!(
                    "\ntest result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in {}s",
                    limit.as_secs()
                );
                kill_children();
                std::process::exit(101);
            }
        }
    });
}

/// Kills what a test that hangs has started, a tracer or an agent say: it would go on and weigh on whatever is measured next.
fn kill_children() {
    let me = std::process::id().to_string();
    let names =
        std::fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    for pid in names.filter_map(|name| name.parse().ok()) {
        // After the name, which may hold blanks: the state, and the parent.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)) == Some(&me) {
            // It may have ended by itself.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}
