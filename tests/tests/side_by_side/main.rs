//! Our binary beside the installed netstat of net-tools: the same command line, the same place, the same bytes.
//!
//! `cases.rs` is the table of what is compared; `better.rs` the table of what is deliberately different. Nothing is masked
//! but what the mask of a case names; the kernel's own movements are separated from ours by running netstat twice.
//!
//! With `NETSTAT_TEST_AGENT=1` an agent runs beside the suite on the usual path: every case asks it then, and nothing may change.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "all of this is a test")]

mod better;
mod churn;
mod coverage;
mod json;

use libtest_mimic::{Arguments, Failed, Trial};
use netstat_tests::scenes::{Scene, Theatre};
use netstat_tests::{again, cases, programs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, PoisonError};

/// An agent on the usual path; ended when dropped.
struct Agent(Child);

impl Agent {
    fn start() -> Self {
        let mut command = Command::new(programs::netstat_user());
        let mut child = command.arg("agent").stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(said.any(|line| line.starts_with("agent: serving")), "the agent does not serve");
        Self(child)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // In order, so that its socket's file goes with it.
        let _ = kill(Pid::from_raw(self.0.id() as i32), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

type Judge = Box<dyn Fn(&Theatre) -> Result<(), String> + Send>;

fn main() {
    netstat_tests::zoo::actor::serve_if_asked();
    let arguments = Arguments::from_args();
    let net_tools = programs::net_tools();
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let theatre = net_tools.ok_or("net-tools is not installed (apt-get install net-tools)".to_owned());
    let theatre = theatre.and_then(|_| Theatre::new(scratch));
    let theatre = match theatre {
        Ok(theatre) => Some(Arc::new(theatre)),
        Err(reason) => {
            println!("side by side: skipped: {reason}");
            None
        }
    };

    let beside = std::env::var_os("NETSTAT_TEST_AGENT").filter(|_| theatre.is_some() && !arguments.list);
    let agent = beside.map(|_| Agent::start());
    let mut trials = Vec::new();
    let mut add = |name: String, scene: Scene, judge: Judge| {
        let (theatre_of_trial, named) = (theatre.clone(), name.clone());
        let trial = Trial::test(name, move || {
            let Some(theatre) = theatre_of_trial else { return Ok(()) };
            let _turn = theatre.stage(scene).turn.lock().unwrap_or_else(PoisonError::into_inner);
            again::judge(&named, || judge(&theatre)).map_err(Failed::from)
        });
        trials.push(trial.with_ignored_flag(theatre.is_none()));
    };
    let (cases, better) = (cases::all(), better::all());
    println!("side by side: {} cases compared with netstat, {} deliberate differences", cases.len(), better.len());
    // First: what is left of a closed connection is gone after a minute.
    for item in coverage::all() {
        add(item.name(), item.scene(), Box::new(move |theatre| item.judge(theatre)));
    }
    for case in cases {
        add(case.name(), case.scene, Box::new(move |theatre| case.compare(theatre)));
    }
    for item in better {
        add(item.name(), item.scene(), Box::new(move |theatre| item.judge(theatre)));
    }
    for item in json::all() {
        add(item.name(), item.scene(), Box::new(move |theatre| item.judge(theatre)));
    }
    add("churn: netstat -tan: every socket once".into(), Scene::Churn, Box::new(churn::judge));
    let conclusion = libtest_mimic::run(&arguments, trials);
    again::print_notes();
    drop(theatre);
    drop(agent);
    conclusion.exit();
}
