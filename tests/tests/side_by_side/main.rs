//! Our binary beside the installed netstat of net-tools: the same command line, the same place, the same bytes.
//!
//! `cases.rs` is the table of what is compared; `better.rs` the table of what is deliberately different. Nothing is masked
//! but what the mask of a case names; the kernel's own movements are told from ours by running netstat twice.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "all of this is a test")]

mod better;
mod churn;
mod coverage;
mod json;

use libtest_mimic::{Arguments, Failed, Trial};
use netstat_tests::cases;
use netstat_tests::scenes::{Scene, Theatre};
use std::path::Path;
use std::sync::{Arc, PoisonError};

type Judge = Box<dyn Fn(&Theatre) -> Result<(), String> + Send>;

fn main() {
    netstat_tests::zoo::actor::serve_if_asked();
    let arguments = Arguments::from_args();
    let net_tools = netstat_tests::programs::net_tools();
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

    let mut trials = Vec::new();
    let mut add = |name: String, scene: Scene, judge: Judge| {
        let theatre_of_trial = theatre.clone();
        let trial = Trial::test(name, move || {
            let Some(theatre) = theatre_of_trial else { return Ok(()) };
            let _turn = theatre.stage(scene).turn.lock().unwrap_or_else(PoisonError::into_inner);
            judge(&theatre).map_err(Failed::from)
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
    drop(theatre);
    conclusion.exit();
}
