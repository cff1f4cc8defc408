//! Where a scenario plays: a namespace of its own, an agent, and a reader of the agent's events. All that the scenario makes there is
//! looked for in the stream, in the live table while it lives, and among what has ended; and nothing else may be there.

use crate::agent::Agent;
use crate::kernel::{self, Row};
use netstat_tests::again::{self, UNSTEADY};
use netstat_tests::netns::NetNs;
use netstat_tests::truth::actor::{self, Actor};
use netstat_tests::truth::check::{self, Book, Life};
use netstat_tests::truth::event::Kind;
use netstat_tests::truth::made::Made;
use netstat_tests::truth::runner;
use netstat_tests::truth::scale::{self, patience};
use netstat_tests::truth::tracer::Outcome;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Tables of everything.
const ALL: [&str; 6] = ["-a", "-n", "-t", "-u", "-w", "-p"];

pub struct Stage {
    pub agent: Agent,
    pub netns: u64,
    /// Requests that became no connection, by the ends they had: no sockets, but reported.
    requests: Mutex<Vec<Made>>,
}

/// How often a scenario is played anew when the kernel itself did not run the programs, which it does since Linux 7.0.
const TRIES: usize = 3;

/// Plays a scenario in a namespace of its own. It returns the lives of all its sockets, which are over then.
pub fn play(name: &str, work: impl Fn(&Stage) -> Vec<Life> + Send + Sync) {
    play_after(name, || (), |stage, ()| work(stage));
}

/// The same, with sockets made before there is an agent.
pub fn play_after<T: Send>(
    name: &str,
    before: impl Fn() -> T + Send + Sync,
    work: impl Fn(&Stage, T) -> Vec<Life> + Send + Sync,
) {
    for round in 1.. {
        let missed = AtomicU64::new(0);
        let played = catch_unwind(AssertUnwindSafe(|| once(name, &before, &work, &missed)));
        let missed = missed.load(Ordering::Relaxed);
        match played {
            Ok(()) => return,
            // A run that is left out, since one ran already on that processor, is neither reported nor counted as lost.
            Err(why) if missed > 0 && round < TRIES && scale::preempts_programs() => {
                let why = again::words(&*why);
                runner::note(format!("{UNSTEADY}{name}: the kernel left out {missed} runs of the programs: {why}"));
            }
            Err(cause) => resume_unwind(cause),
        }
    }
}

/// Plays it once. Stores how many runs of the programs were left out.
fn once<T: Send>(
    name: &str,
    before: &(impl Fn() -> T + Send + Sync),
    work: &(impl Fn(&Stage, T) -> Vec<Life> + Send + Sync),
    missed: &AtomicU64,
) {
    let namespace = NetNs::new().unwrap();
    let netns = namespace.inode().unwrap();
    let old = namespace.enter(before);
    // The lists of a namespace are found by the processes in it.
    let inhabitant = namespace.enter(|| Actor::start(actor::named("inhabitant", "keep", &[])));
    let stage = Stage { agent: Agent::start(&[]), netns, requests: Mutex::default() };
    let mut tracer = stage.agent.events(&["--netns", &netns.to_string()]);
    let lives = namespace.enter(|| work(&stage, old));
    tracer.wait_closed(lives.iter().map(|life| &life.made));
    missed.store(stage.agent.missed(), Ordering::Relaxed);
    let outcome = tracer.finish();
    check::lives(&outcome, &lives);
    nothing_else(&outcome, &lives, &stage.requests.lock().unwrap());
    let ended = namespace.enter(|| ended(&stage.agent));
    history(&outcome, &ended);
    let status = stage.agent.status();
    assert_eq!((status.lost, status.forgotten), (0, 0), "{status:?}");
    stage.agent.stop();
    inhabitant.end();
    runner::note(format!("{name}: {} sockets, {} events", lives.len(), outcome.events.len()));
}

/// Every line of the stream is of a socket that the scenario made.
fn nothing_else(outcome: &Outcome, lives: &[Life], requests: &[Made]) {
    let book = Book::new(&outcome.events);
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for made in lives.iter().map(|life| &life.made).chain(requests) {
        known.extend(book.of(made).iter().map(|event| event.line.as_str()));
    }
    let invented: Vec<&str> =
        outcome.events.iter().map(|event| event.line.as_str()).filter(|line| !known.contains(line)).collect();
    assert!(invented.is_empty(), "{} events of no socket that was made, the first: {}", invented.len(), invented[0]);
}

/// What `--recent` lists as ended.
pub fn ended(agent: &Agent) -> Vec<Value> {
    let rows = agent.classic(&[&ALL[..], &["--recent", "1h"]].concat());
    rows.into_iter().filter(|row| row["event"] == "close").collect()
}

/// What is listed as ended is what the stream reported, socket by socket, field by field.
fn history(outcome: &Outcome, ended: &[Value]) {
    const FIELDS: [&str; 17] = [
        "time",
        "proto",
        "local",
        "remote",
        "pid",
        "comm",
        "uid",
        "owner",
        "cookie",
        "netns",
        "duration_ns",
        "rx_bytes",
        "tx_bytes",
        "rtt_us",
        "retransmits",
        "reason",
        "closed_by",
    ];
    let key = |value: &Value| value["cookie"].as_u64().unwrap_or(0);
    let facts = |value: &Value| FIELDS.map(|field| value[field].clone()).to_vec();
    let mut reported: HashMap<u64, Vec<Value>> = HashMap::new();
    for event in outcome.events.iter().filter(|event| matches!(event.kind, Kind::Close(_))) {
        let value: Value = serde_json::from_str(&event.line).unwrap();
        assert!(reported.insert(key(&value), facts(&value)).is_none(), "reported twice: {}", event.line);
    }
    let mut listed = BTreeMap::new();
    for row in ended {
        assert!(listed.insert(key(row), facts(row)).is_none(), "listed twice: {row}");
        let reported = reported.get(&key(row)).unwrap_or_else(|| panic!("listed as ended, but not reported: {row}"));
        assert_eq!(reported, &facts(row), "reported and listed differ, {FIELDS:?}");
        let owners: Vec<&Value> = row["owners"].as_array().unwrap().iter().map(|owner| &owner["pid"]).collect();
        assert_eq!(owners, [&row["pid"]], "the process it belonged to: {row}");
    }
    assert_eq!(reported.len(), listed.len(), "some that ended are not listed");
}

impl Stage {
    /// A request that became no connection: it must be reported, from LISTEN to CLOSE.
    pub fn requested(&self, made: Made) {
        self.requests.lock().unwrap().push(made);
    }

    /// At rest the table is the kernel's own list.
    pub fn equal(&self, when: &str) -> Vec<Row> {
        equal(&self.agent, self.netns, when)
    }

    /// The holders of each socket that has an inode, as `-p` shows them.
    pub fn holders(&self) -> HashMap<u64, Vec<(u32, String)>> {
        let owners = |row: &Value| {
            let owners = row["owners"].as_array().unwrap().iter();
            owners.map(|o| (o["pid"].as_u64().unwrap() as u32, o["program"].as_str().unwrap().to_owned())).collect()
        };
        let rows = self.agent.classic(&ALL);
        rows.iter().filter_map(|row| Some((row["inode"].as_u64().filter(|&inode| inode != 0)?, owners(row)))).collect()
    }

    /// Each of these sockets is held by these processes, in any order, and by no other.
    pub fn held_by<'a>(&self, sockets: impl IntoIterator<Item = &'a Made>, wanted: &[(u32, &str)], when: &str) {
        let wanted: BTreeSet<(u32, String)> = wanted.iter().map(|(pid, name)| (*pid, (*name).to_owned())).collect();
        let holders = self.holders();
        for made in sockets {
            let seen: BTreeSet<_> = holders.get(&made.inode).cloned().unwrap_or_default().into_iter().collect();
            assert_eq!(seen, wanted, "{when}: holders of {}", made.name());
        }
    }
}

/// Those that are in only one of two sorted lists.
fn show<T: Ord>(there: &[&T], here: &[&T], name: impl Fn(&T) -> String) -> String {
    let list = |rows: &[&T]| rows.iter().take(5).map(|row| format!("\n    {}", name(row))).collect::<String>();
    format!("\n  only there:{}\n  only here:{}", list(there), list(here))
}

/// Those of `these`, sorted, that are not among `those`.
fn without<'a, T: Ord>(these: &'a [T], those: &[T]) -> Vec<&'a T> {
    these.iter().filter(|row| those.binary_search(row).is_err()).collect()
}

/// Compares the agent's live table, the table that it prints and `ss` with the kernel's lists of the calling thread's namespace, looked at
/// before and after: what is in both looks must be there, and nothing that is in neither. What the looks do not share has ended meanwhile,
/// in TIME_WAIT most of all. Returns the lists.
pub fn equal(agent: &Agent, netns: u64, when: &str) -> Vec<Row> {
    let deadline = Instant::now() + patience();
    loop {
        let before = kernel::lists();
        let mut live: Vec<Row> = agent.table(netns).iter().map(Row::of_live).collect();
        live.sort();
        let mut printed: Vec<Row> = agent.classic(&ALL).iter().map(Row::of_json).collect();
        printed.sort();
        let witness = kernel::witness();
        let after = kernel::lists();
        let mut differs = Vec::new();
        for (what, rows) in [("the live table", &live), ("the printed table", &printed)] {
            let mut missing = without(&before, rows);
            missing.retain(|row| after.binary_search(row).is_ok());
            let mut strange = without(rows, &before);
            strange.retain(|row| after.binary_search(row).is_err());
            let twice = rows.windows(2).filter(|pair| pair[0] == pair[1]).count();
            if !(missing.is_empty() && strange.is_empty() && twice == 0) {
                differs.push(format!("{what}, {twice} twice{}", show(&missing, &strange, Row::name)));
            }
        }
        let tally = kernel::tally(&before);
        if let Some(witness) = witness.filter(|witness| before == after && *witness != tally) {
            let pairs = |tally: kernel::Tally| tally.into_iter().collect::<Vec<_>>();
            let (tally, witness) = (pairs(tally), pairs(witness));
            let only = (without(&tally, &witness), without(&witness, &tally));
            differs.push(format!("what ss lists{}", show(&only.0, &only.1, |pair| format!("{pair:?}"))));
        }
        if differs.is_empty() {
            return after;
        }
        // A timer may have run out between two looks: what is wrong stays wrong.
        assert!(Instant::now() < deadline, "{when}: {} rows there; {}", after.len(), differs.join("\n"));
        thread::sleep(Duration::from_millis(200));
    }
}
