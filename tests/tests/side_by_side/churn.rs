//! A table while its sockets come and go: netstat's manual admits that a socket may show twice, or a row be torn.

use netstat_tests::case::Case;
use netstat_tests::programs;
use netstat_tests::scenes::{Scene, Theatre};
use netstat_tests::zoo::peer::sysctl;
use netstat_tests::zoo::tcp;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long tables are taken.
const SPAN: Duration = Duration::from_secs(3);
/// A table of fewer rows shows nothing.
const ROWS: usize = 200;

/// Connections that are there all the time.
const STILL: usize = 100;

/// Connections to oneself, opened and closed as fast as it goes, over few ports so that tuples come back.
fn churn(ready: &AtomicBool, stop: &AtomicBool) -> io::Result<()> {
    sysctl("ipv4/ip_local_port_range", "20000 20999");
    let listener = tcp::listener("127.0.0.1:9000", 128)?;
    let still = tcp::listener("127.0.0.1:9001", 128)?;
    let _held: Vec<_> = (0..STILL).map(|_| tcp::pair(&still, "127.0.0.1:9001", None)).collect::<io::Result<_>>()?;
    ready.store(true, Ordering::Relaxed);
    let mut open = VecDeque::new();
    while !stop.load(Ordering::Relaxed) {
        match tcp::pair(&listener, "127.0.0.1:9000", None) {
            Ok(pair) => open.push_back(pair),
            // No port is free: those in TIME_WAIT come back after a second.
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
        if open.len() > 100 {
            open.pop_front();
        }
    }
    Ok(())
}

/// Each connection has two ends, and each end stands in a table at most once, with a state that TCP has; those that do not
/// move stand there exactly once.
fn check(table: &str) -> Result<usize, String> {
    let mut seen = HashMap::new();
    for row in table.lines().filter(|line| line.starts_with("tcp")) {
        let words: Vec<_> = row.split_whitespace().collect();
        let &[_, _, _, local, remote, state] = words.as_slice() else { return Err(format!("a torn row: {row}")) };
        if state != "CLOSE" && !tcp::STATES.contains(&state) {
            return Err(format!("no state of TCP: {row}"));
        }
        if let Some(other) = seen.insert((local, remote), row) {
            return Err(format!("one socket, two rows:\n{other}\n{row}"));
        }
    }
    let still = seen.keys().filter(|(local, remote)| [local, remote].iter().any(|end| end.ends_with(":9001"))).count();
    // Both ends of each, and the listener.
    if still != 2 * STILL + 1 {
        return Err(format!("{still} rows of sockets that never moved, not {}", 2 * STILL + 1));
    }
    Ok(seen.len())
}

/// Takes tables while connections come and go.
///
/// # Errors
/// The first table that is not right.
pub fn judge(theatre: &Theatre) -> Result<(), String> {
    let (ready, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let netns = theatre.stage(Scene::Churn).sandbox.netns();
    std::thread::scope(|scope| {
        let churning = scope.spawn(|| netns.enter(|| churn(&ready, &stop)));
        while !ready.load(Ordering::Relaxed) && !churning.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let deadline = Instant::now() + SPAN;
        let take = || -> Result<usize, String> {
            let outcome = Case::new(Scene::Churn, "-tan").run(theatre, programs::netstat_user(), None)?;
            check(&String::from_utf8_lossy(&outcome.stdout))
        };
        let mut result = Ok(0);
        while Instant::now() < deadline && result.is_ok() {
            result = take().map(|rows| rows.max(result.unwrap_or(0)));
        }
        stop.store(true, Ordering::Relaxed);
        churning.join().map_err(|_| "the churn panicked")?.map_err(|error| format!("the churn failed: {error}"))?;
        match result {
            Ok(rows) if rows < ROWS => Err(format!("no table had more than {rows} rows")),
            other => other.map(drop),
        }
    })
}
