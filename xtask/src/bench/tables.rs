//! `bench tables`: our table, net-tools' and ss's, over the same sockets in a network namespace of the bench's own.

use super::{Series, load, number, print_table, program, timed};
use crate::{apt, sh};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
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

struct Tool {
    name: &'static str,
    path: PathBuf,
}

fn inside(args: &[String]) -> Result<()> {
    let [rounds, only, program] = args else { bail!("bench tables inside ROUNDS SOCKETS PROGRAM") };
    let (rounds, only): (usize, usize) = (rounds.parse()?, only.parse()?);
    sh::run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    let installed = |name| apt::tool(name).with_context(|| format!("{name} is not installed"));
    let tools = [
        Tool { name: "netstat-user", path: program.into() },
        Tool { name: "netstat", path: installed("netstat")? },
        Tool { name: "ss", path: installed("ss")? },
    ];
    println!("Milliseconds from start to exit, output to a pipe, {rounds} rounds; median (least–greatest).\n");
    let heading = ["sockets", "options", "netstat-user", "netstat", "ss", "netstat/ours", "ss/ours", "rows"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let sizes = if only == 0 { SIZES.to_vec() } else { vec![only] };
    for size in sizes {
        let holders = Holder::share(size)?;
        for options in OPTIONS {
            rows.push(compare(&tools, size, options, rounds)?);
        }
        drop(holders);
        eprintln!("{size} sockets done");
    }
    print_table(&rows);
    Ok(())
}

fn compare(tools: &[Tool], size: usize, options: &str, rounds: usize) -> Result<Vec<String>> {
    let mut series = vec![Series::default(); tools.len()];
    let mut seen = vec![0; tools.len()];
    // The first round only warms the caches and counts rows.
    for round in 0..=rounds {
        for step in 0..tools.len() {
            let at = (round + step) % tools.len();
            let (milliseconds, lines) = timed(Command::new(&tools[at].path).arg(options))?;
            if round == 0 {
                seen[at] = lines;
            } else {
                series[at].push(milliseconds);
            }
        }
    }
    let ratio = |other: &Series| format!("{:.1}", other.median() / series[0].median());
    // netstat has two lines of heading, ss has one.
    let counts: Vec<_> =
        tools.iter().zip(seen).map(|(tool, lines)| lines - if tool.name == "ss" { 1 } else { 2 }).collect();
    let expected = if options.starts_with("-x") { load::unix_sockets(size) } else { size };
    let same = counts.iter().all(|&count| count == expected as i64);
    let rows = if same { expected.to_string() } else { format!("{counts:?}") };
    let mut row = vec![size.to_string(), options.to_owned()];
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
