//! Golden files: trees of /proc, hand-written or captured from the zoo, and what net-tools' netstat printed for them. Runs
//! where net-tools is absent; the trees are mounted over /proc in a mount namespace, the binary is as people run it.
//!
//! The cases are those of `cases.rs` that play in a tree. `NETSTAT_GOLDEN=update` captures the zoo anew and writes what the
//! installed netstat prints; `golden/README.md` says how the trees came to be.

mod capture;

use libtest_mimic::{Arguments, Failed, Trial};
use netstat_tests::case::Case;
use netstat_tests::command::{End, Outcome};
use netstat_tests::compare::{self, Stderr};
use netstat_tests::scenes::{Scene, Theatre, here};
use netstat_tests::{cases, programs};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file with the standard output expected of a case; what else is expected stands in one beside it, `.status`.
fn expected(tree: &str, case: &Case) -> PathBuf {
    let name = case.name();
    let command = name.split_once(": netstat").map_or(name.as_str(), |(_, rest)| rest).trim();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-=.,".contains(c) { c } else { '_' };
    let file = if command.is_empty() { "no-options".to_owned() } else { command.chars().map(plain).collect() };
    here("golden").join(tree).join("expected").join(file)
}

fn status_file(stdout: &Path) -> PathBuf {
    let mut name = stdout.as_os_str().to_owned();
    name.push(".status");
    name.into()
}

/// The exit code on a line of its own, then standard error.
fn status(outcome: &Outcome) -> Vec<u8> {
    let code = match outcome.end {
        End::Exit(code) => code.to_string(),
        other => format!("{other:?}"),
    };
    [format!("exit {code}\n").as_bytes(), &outcome.stderr].concat()
}

fn judge(case: &Case, tree: &str, theatre: &Theatre) -> Result<(), String> {
    let file = expected(tree, case);
    let stdout = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let wanted = fs::read(status_file(&file)).unwrap_or_else(|_| b"exit 0\n".to_vec());
    let got = case.run(theatre, programs::netstat_user(), None)?;
    let mut report = String::new();
    report.extend(compare::diff("stdout", &stdout, &got.stdout));
    match case.stderr {
        Stderr::Exact => report.extend(compare::diff("exit code or stderr", &wanted, &status(&got))),
        Stderr::Presence | Stderr::FirstLine => {}
    }
    if report.is_empty() { Ok(()) } else { Err(report) }
}

fn update(case: &Case, tree: &str, theatre: &Theatre) -> Result<(), String> {
    let net_tools = programs::net_tools().ok_or("net-tools is not installed")?;
    let outcome = case.run(theatre, net_tools, None)?;
    let file = expected(tree, case);
    let write = |path: &Path, bytes: &[u8]| fs::write(path, bytes).map_err(|e| format!("{}: {e}", path.display()));
    write(&file, &outcome.stdout)?;
    match status(&outcome).as_slice() {
        b"exit 0\n" => {}
        other => write(&status_file(&file), other)?,
    }
    Ok(())
}

/// Empties the folders of expectations, and captures the zoo into its tree.
fn start_anew(theatre: &Theatre, trees: &[&'static str]) -> io::Result<()> {
    capture::zoo(theatre, &here("golden").join("captured").join("proc"))?;
    for tree in trees {
        let folder = here("golden").join(tree).join("expected");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
    }
    Ok(())
}

fn main() {
    netstat_tests::zoo::actor::serve_if_asked();
    let arguments = Arguments::from_args();
    let updating = std::env::var_os("NETSTAT_GOLDEN").is_some_and(|value| value == "update");
    let theatre = match Theatre::new(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(theatre) => Some(Arc::new(theatre)),
        Err(reason) => {
            println!("golden files: skipped: {reason}");
            None
        }
    };
    let cases: Vec<(Case, &'static str)> = cases::all()
        .into_iter()
        .filter(|case| case.stop.is_none() && case.binds.is_empty())
        .filter_map(|case| match case.scene {
            Scene::Tree(tree) => Some((case, tree)),
            _ => None,
        })
        .collect();
    if let (true, Some(theatre)) = (updating, &theatre) {
        let mut trees: Vec<_> = cases.iter().map(|(_, tree)| *tree).collect();
        trees.sort_unstable();
        trees.dedup();
        start_anew(theatre, &trees).unwrap_or_else(|error| panic!("the zoo cannot be captured: {error}"));
    }
    println!("golden files: {} cases", cases.len());
    let trial = |(case, tree): (Case, &'static str)| {
        let theatre_of_trial = theatre.clone();
        let trial = Trial::test(case.name(), move || {
            let Some(theatre) = theatre_of_trial else { return Ok(()) };
            let run = if updating { update } else { judge };
            run(&case, tree, &theatre).map_err(Failed::from)
        });
        trial.with_ignored_flag(theatre.is_none())
    };
    let trials = cases.into_iter().map(trial).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(theatre);
    conclusion.exit();
}
