//! `cargo xtask mutants`: puts each plausible defect of `tests/mutants.toml` into a copy of the workspace, one at a time, and runs the tests
//! that must notice it.
//!
//! The copy is built apart, in `target/mutants`, so that neither the sources nor the build of whoever works here are touched. A defect of
//! the kernel side is built into the copy's kernel objects.

mod copy;
mod list;

use crate::tally::Tally;
use crate::{digest, ebpf, sh};
use anyhow::{Context, Result, bail};
use copy::Copy;
use list::{Check, Edit, Mutant};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::process::ExitCode;
use std::time::Instant;

pub use list::problems;

/// Per cent of the defects that the tests must notice.
const LEAST: usize = 90;

/// How a defect fared.
enum Fate {
    /// This check failed.
    Killed(Check),
    /// Every check passed.
    Survived,
    /// With it the copy cannot be built: the entry is no defect of these sources any more.
    Stale(String),
    /// No check can run here, or what builds the kernel objects is missing.
    Untried(String),
}

pub fn run(args: &[String]) -> Result<ExitCode> {
    let (only_list, names) = match args {
        [flag, names @ ..] if flag == "--list" => (true, names),
        names => (false, names),
    };
    let mutants = list::current(sh::root())?;
    if let Some(unknown) = names.iter().find(|name| !mutants.iter().any(|mutant| mutant.name.contains(name.as_str()))) {
        bail!("no defect in {} has `{unknown}` in its name", list::PATH);
    }
    let wanted = |mutant: &Mutant| names.is_empty() || names.iter().any(|name| mutant.name.contains(name.as_str()));
    let mutants: Vec<Mutant> = mutants.into_iter().filter(wanted).collect();
    if only_list {
        mutants.iter().for_each(|mutant| println!("{}: {}", mutant.name, shown(&mutant.checks)));
        return Ok(ExitCode::SUCCESS);
    }
    let copy = Copy::of(sh::root())?;
    let sound = soundness(&copy, &mutants)?;
    let [mut killed, mut survived, mut stale, mut untried] = [0; 4];
    for mutant in &mutants {
        let start = Instant::now();
        let fate = try_one(&copy, mutant, &sound)?;
        let seconds = start.elapsed().as_secs();
        let (count, line) = match &fate {
            Fate::Killed(check) => (&mut killed, format!("killed    {} by {check}, {seconds} s", mutant.name)),
            Fate::Survived => {
                (&mut survived, format!("SURVIVED  {}: {} passed, {seconds} s", mutant.name, shown(&mutant.checks)))
            }
            Fate::Stale(why) => (&mut stale, format!("STALE     {}: {why}", mutant.name)),
            Fate::Untried(why) => (&mut untried, format!("untried   {}: {why}", mutant.name)),
        };
        *count += 1;
        println!("{line}");
    }
    let tried = killed + survived;
    let rate = (killed * 100_usize).checked_div(tried).unwrap_or(0);
    println!(
        "\n{killed} of {tried} defects noticed, {rate} %; {stale} do not build, {untried} could not be tried here"
    );
    Ok(if rate >= LEAST && stale == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn shown(checks: &[Check]) -> String {
    checks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What the copy is without a defect.
struct Soundness {
    checks: BTreeMap<Check, Sound>,
    /// Why the kernel objects cannot be built here.
    no_objects: Option<String>,
}

/// What a check says of the copy as it is.
enum Sound {
    Passes,
    /// It cannot run here, for this reason.
    Skipped(String),
}

/// Runs every check that is asked for once without a defect: one that fails anyway proves nothing.
fn soundness(copy: &Copy, mutants: &[Mutant]) -> Result<Soundness> {
    let mut sound = BTreeMap::new();
    let needs_objects = mutants.iter().any(Mutant::is_kernel_side);
    let objects = if needs_objects { kernel_objects(copy) } else { Ok(Vec::new()) };
    let no_objects = objects.err().map(|error| format!("the kernel objects cannot be built here: {error:#}"));
    copy.build().context("the copy without a defect")?;
    for check in mutants.iter().flat_map(|mutant| &mutant.checks) {
        if sound.contains_key(check) {
            continue;
        }
        copy.build_suite(&check.suite)?;
        let output = copy.test(check)?;
        let says = match Tally::of(&output) {
            Tally { failed: 0, passed: 1.., .. } => Sound::Passes,
            Tally { failed: 0, skipped: 1.., .. } => Sound::Skipped(format!("{check} cannot run here")),
            Tally { failed: 0, .. } => bail!("{check}: there is no such test"),
            _ => bail!("{check} fails without any defect:\n{output}"),
        };
        sound.insert(check.clone(), says);
    }
    Ok(Soundness { checks: sound, no_objects })
}

fn try_one(copy: &Copy, mutant: &Mutant, sound: &Soundness) -> Result<Fate> {
    if let Some(why) = sound.no_objects.as_ref().filter(|_| mutant.is_kernel_side()) {
        return Ok(Fate::Untried(why.clone()));
    }
    let mut skipped = String::new();
    let runs = |check: &&Check| match sound.checks.get(check) {
        Some(Sound::Skipped(why)) => {
            skipped.clone_from(why);
            false
        }
        _ => true,
    };
    let checks: Vec<&Check> = mutant.checks.iter().filter(runs).collect();
    if checks.is_empty() {
        return Ok(Fate::Untried(skipped));
    }
    let edit = |edit: &Edit| copy.put_in(&edit.file, |text| text.replacen(&edit.find, &edit.with, 1));
    let put_in: Vec<copy::PutIn> = mutant.edits.iter().map(edit).collect::<Result<_>>()?;
    let fate = judge(copy, mutant, &checks);
    // The last first: two may be in one file.
    put_in.into_iter().rev().try_for_each(copy::PutIn::take_out)?;
    fate
}

fn judge(copy: &Copy, mutant: &Mutant, checks: &[&Check]) -> Result<Fate> {
    let objects = if mutant.is_kernel_side() { kernel_objects(copy) } else { Ok(Vec::new()) };
    let objects = match objects {
        Ok(objects) => objects,
        Err(error) => return Ok(Fate::Stale(format!("the kernel objects do not build: {error:#}"))),
    };
    let objects: Vec<copy::PutIn> =
        objects.iter().map(|(path, bytes)| copy.put_in_bytes(path, bytes)).collect::<Result<_>>()?;
    let fate = match copy.build() {
        Ok(()) => tested(copy, checks),
        Err(error) => Ok(Fate::Stale(format!("it does not build: {error:#}"))),
    };
    for object in objects {
        object.take_out()?;
    }
    fate
}

fn tested(copy: &Copy, checks: &[&Check]) -> Result<Fate> {
    for check in checks {
        if let Err(error) = copy.build_suite(&check.suite) {
            return Ok(Fate::Stale(format!("the tests do not build: {error:#}")));
        }
        let output = copy.test(check)?;
        let tally = Tally::of(&output);
        // A suite that ended without counting its tests has noticed, too.
        if tally.failed > 0 || tally.passed == 0 {
            return Ok(Fate::Killed((*check).clone()));
        }
    }
    Ok(Fate::Survived)
}

/// The objects of this architecture, each with its path, built from the copy's sources.
fn kernel_objects(copy: &Copy) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let here = |object: &&digest::Object| object.arch.is_none_or(|arch| arch == std::env::consts::ARCH);
    digest::OBJECTS.iter().filter(here).map(|object| Ok((object.path, ebpf::build(copy.root(), object)?))).collect()
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.suite, self.filter)
    }
}

/// Reads a text file of a workspace.
fn read(path: &std::path::Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
