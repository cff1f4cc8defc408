//! `bench tables`: our table, net-tools' and ss's, over the same sockets in a network namespace of the bench's own.

use super::{Series, load, number, print_table, program, timed};
use crate::{apt, sh};
use anyhow::{Context, Result, bail};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const SIZES: [usize; 5] = [10, 100, 1000, 20_000, 50_000];
const OPTIONS: [&str; 5] = ["-tapen", "-tanp", "-tan", "-tuan", "-xan"];

pub fn run(args: &[String]) -> Result<()> {
    match args.split_first() {
        // The two halves of ourselves that the bench starts; see below.
        Some((word, rest)) if word == "inside" => return inside(rest),
        Some((word, [sockets])) if word == "hold" => return hold(sockets.parse()?),
        _ => {}
    }
    let mut args = args.to_vec();
    let rounds = number(&mut args, "--rounds", 9)?;
    let only = number(&mut args, "--sockets", 0)?;
    if !args.is_empty() {
        bail!("bench tables takes --rounds N and --sockets N");
    }
    apt::install(apt::BENCH)?;
    let program = program()?;
    // Entering a namespace of one's own takes another process: the rest of the bench is ourselves again, inside.
    sh::run(
        Command::new("unshare")
            .args(["--net", "--"])
            .arg(std::env::current_exe()?)
            .args(["bench", "tables", "inside", &rounds.to_string(), &only.to_string()])
            .arg(program),
    )
}

fn inside(args: &[String]) -> Result<()> {
    let [rounds, only, program] = args else { bail!("bench tables inside ROUNDS SOCKETS PROGRAM") };
    let (rounds, only): (usize, usize) = (rounds.parse()?, only.parse()?);
    sh::run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    let installed = |name| apt::tool(name).with_context(|| format!("{name} is not installed"));
    let (ours, netstat, ss) = (PathBuf::from(program), installed("netstat")?, installed("ss")?);
    println!("Milliseconds from start to exit, output to a pipe, {rounds} rounds; median (least–greatest).\n");
    let heading = ["sockets", "options", "netstat-user", "netstat", "ss", "netstat/ours", "ss/ours", "rows"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let heading = ["sockets", "ten of them", "netstat-user", "the same whole", "ss", "whole/ours", "ss/ours", "rows"];
    let mut chosen = vec![heading.map(str::to_owned).to_vec()];
    let sizes = if only == 0 { SIZES.to_vec() } else { vec![only] };
    for size in sizes {
        let holders = Holder::share(size)?;
        for options in OPTIONS {
            // netstat has two lines of heading, ss has one.
            let expected = if options.starts_with("-x") { load::unix_sockets(size) } else { size };
            let three = [(&ours, 2), (&netstat, 2), (&ss, 1)].map(|(program, heading)| Run {
                program,
                args: vec![options.to_owned()],
                heading,
                rows: expected,
            });
            rows.push(compare(&three, size, options, rounds)?);
        }
        if size >= 100 {
            let expression = both_ends_of(5, &ss)?;
            let where_ = |args: &[&str]| args.iter().map(|&arg| arg.to_owned()).chain([expression.clone()]).collect();
            let three = [
                Run { program: &ours, args: where_(&["-tan", "--where"]), heading: 2, rows: 10 },
                Run { program: &ours, args: vec!["-tan".to_owned()], heading: 2, rows: size },
                Run { program: &ss, args: where_(&["-tan"]), heading: 1, rows: 10 },
            ];
            chosen.push(compare(&three, size, "-tan --where", rounds)?);
        }
        drop(holders);
        eprintln!("{size} sockets done");
    }
    print_table(&rows);
    println!();
    print_table(&chosen);
    Ok(())
}

/// An expression, in ss's language and ours, that is true of both ends of so many established connections.
fn both_ends_of(connections: usize, ss: &Path) -> Result<String> {
    let output = Command::new(ss).args(["-Htn"]).output().context("cannot run ss")?;
    let text = String::from_utf8(output.stdout)?;
    let port = |address: &str| address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let ends = text.lines().filter_map(|line| {
        let mut addresses = line.split_whitespace().skip(3);
        port(addresses.next()?).zip(port(addresses.next()?))
    });
    // One port is the listener's, which all connections share.
    let clients =
        ends.filter(|(local, remote)| local != remote).map(|(local, remote)| (local.min(remote), local.max(remote)));
    let mut counted = HashMap::<u16, usize>::new();
    for (one, other) in clients {
        *counted.entry(one).or_default() += 1;
        *counted.entry(other).or_default() += 1;
    }
    let mut ports: Vec<_> = counted.into_iter().filter_map(|(port, count)| (count == 2).then_some(port)).collect();
    ports.sort_unstable();
    if ports.len() < connections {
        bail!("of {} lines of ss no {connections} ports belong to one connection alone", text.lines().count());
    }
    let step = ports.len() / connections;
    let chosen = ports.iter().step_by(step).take(connections);
    Ok(chosen.map(|port| format!("sport = :{port} or dport = :{port}")).collect::<Vec<_>>().join(" or "))
}

/// A command whose time is taken: with how many lines of heading, and the rows that it has to print.
struct Run<'a> {
    program: &'a Path,
    args: Vec<String>,
    heading: i64,
    rows: usize,
}

/// Lets three commands take turns: their times, and how much longer the second and the third take than the first.
fn compare(runs: &[Run<'_>; 3], size: usize, label: &str, rounds: usize) -> Result<Vec<String>> {
    let mut series = vec![Series::default(); runs.len()];
    let mut seen = vec![0; runs.len()];
    // The first round only warms the caches and counts rows.
    for round in 0..=rounds {
        for step in 0..runs.len() {
            let at = (round + step) % runs.len();
            let (milliseconds, lines) = timed(Command::new(runs[at].program).args(&runs[at].args))?;
            if round == 0 {
                seen[at] = lines - runs[at].heading;
            } else {
                series[at].push(milliseconds);
            }
        }
    }
    let ratio = |other: &Series| format!("{:.1}", other.median() / series[0].median());
    let same = runs.iter().zip(&seen).all(|(run, &count)| count == run.rows as i64);
    let rows = if same { runs[0].rows.to_string() } else { format!("{seen:?}") };
    let mut row = vec![size.to_string(), label.to_owned()];
    row.extend(series.iter().map(|series| series.shown(1)));
    row.extend([ratio(&series[1]), ratio(&series[2]), rows]);
    Ok(row)
}

/// A child that holds sockets until dropped.
pub struct Holder(Child);

impl Holder {
    /// As few children as the limit of open files allows hold the sockets together.
    pub fn share(sockets: usize) -> Result<Vec<Self>> {
        let most = load::most_held();
        (0..sockets.div_ceil(most)).map(|child| Self::new(most.min(sockets - child * most))).collect()
    }

    fn new(sockets: usize) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "tables", "hold", &sockets.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().context("no standard output")?;
        let holder = Self(child);
        BufReader::new(output).read_line(&mut line)?;
        if line != "ready\n" {
            bail!("the child that was to hold {sockets} sockets failed");
        }
        Ok(holder)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn hold(sockets: usize) -> Result<()> {
    let held = load::hold(sockets)?;
    println!("ready");
    std::io::stdout().flush()?;
    // Until the bench closes our input or kills us.
    std::io::stdin().read_line(&mut String::new())?;
    drop(held);
    Ok(())
}
