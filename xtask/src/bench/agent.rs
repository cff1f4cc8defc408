//! `bench agent`: what the agent costs, in memory, in processor time and in the rate of connections, and how fast its tables are.

use super::tables::Holder;
use super::{Series, load, number, print_table, program, timed};
use crate::{apt, sh};
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Sockets of the tables that are timed.
const TABLE: usize = 50_000;
/// Connections a second at which the agent's processor time is measured.
const PACE: u64 = 5000;
/// Most memory a million sockets may take, in bytes.
const MOST_BYTES: u64 = 512 << 20;

pub fn run(args: &[String]) -> Result<()> {
    if let Some((word, rest)) = args.split_first()
        && word == "inside"
    {
        return inside(rest);
    }
    let mut args = args.to_vec();
    let rounds = number(&mut args, "--rounds", 5)?;
    let sockets = number(&mut args, "--sockets", 200_000)?;
    if !args.is_empty() {
        bail!("bench agent takes --rounds N and --sockets N");
    }
    apt::install(apt::BENCH)?;
    let program = program()?;
    synthetic()?;
    // A namespace of one's own takes another process: the rest of the bench is ourselves again, inside.
    sh::run(
        Command::new("unshare")
            .args(["--net", "--"])
            .arg(std::env::current_exe()?)
            .args(["bench", "agent", "inside", &rounds.to_string(), &sockets.to_string()])
            .arg(program),
    )
}

fn inside(args: &[String]) -> Result<()> {
    let [rounds, sockets, program] = args else { bail!("bench agent inside ROUNDS SOCKETS PROGRAM") };
    let (rounds, sockets): (usize, usize) = (rounds.parse()?, sockets.parse()?);
    let program = Path::new(program);
    sh::run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    tables(program, rounds)?;
    processor(program, rounds)?;
    stream(program, rounds)?;
    // Last: its sockets leave the kernel's hash table full of TIME_WAIT for a minute, which slows down every list of sockets.
    real(program, sockets)
}

/// A million records folded by the library alone: the bench `table` of the program's own package says what they take.
fn synthetic() -> Result<()> {
    println!("\nMemory: a million synthetic sockets folded into the table, then listed once more.\n");
    sh::run(sh::cargo().args(["bench", "--quiet", "--package", "netstat-user", "--bench", "table"]))
}

/// Real sockets, and what the agent that saw them made has grown by.
fn real(program: &Path, sockets: usize) -> Result<()> {
    let agent = Agent::start(program)?;
    let before = agent.memory("VmRSS")?;
    let holders = Holder::share(sockets)?;
    // The last of them are folded, and a table has been asked for.
    let (_, lines) = timed(&mut agent.asked(program, "-tan"))?;
    let (after, most) = (agent.memory("VmRSS")?, agent.memory("VmHWM")?);
    drop(holders);
    let each = after.saturating_sub(before) / sockets as u64;
    println!("\nMemory: {sockets} real TCP sockets made while the agent runs ({} rows listed).\n", lines - 2);
    let mib = |bytes: u64| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20));
    print_table(&[
        ["RSS before", "RSS after", "peak, table asked for", "bytes a socket", "at a million"]
            .map(str::to_owned)
            .to_vec(),
        vec![mib(before), mib(after), mib(most), each.to_string(), mib(before + each * 1_000_000)],
    ]);
    if before + each * 1_000_000 > MOST_BYTES {
        println!("more than the {} that are wanted at a million sockets", mib(MOST_BYTES));
    }
    Ok(())
}

fn tables(program: &Path, rounds: usize) -> Result<()> {
    let installed = |name| apt::tool(name).with_context(|| format!("{name} is not installed"));
    let agent = Agent::start(program)?;
    let holders = Holder::share(TABLE)?;
    let (ss, netstat) = (installed("ss")?, installed("netstat")?);
    let tools = |options: &str, at: usize| {
        let plain = |path: &Path| {
            let mut command = Command::new(path);
            command.arg(options);
            command
        };
        match at {
            0 => agent.asked(program, options),
            1 => {
                let mut direct = plain(program);
                direct.arg("--no-agent");
                direct
            }
            2 => plain(&ss),
            _ => plain(&netstat),
        }
    };
    const TOOLS: usize = 4;
    let heading = ["options", "--agent", "--no-agent", "ss", "netstat", "no agent/agent", "ss/agent", "netstat/agent"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for options in ["-tanp", "-tan"] {
        let mut series = vec![Series::default(); TOOLS];
        // The first round only warms the caches.
        for round in 0..=rounds {
            for step in 0..TOOLS {
                let at = (round + step) % TOOLS;
                let (milliseconds, _) = timed(&mut tools(options, at))?;
                if round > 0 {
                    series[at].push(milliseconds);
                }
            }
        }
        let ratio = |other: &Series| format!("{:.1}", other.median() / series[0].median());
        let mut row = vec![options.to_owned()];
        row.extend(series.iter().map(|series| series.shown(1)));
        row.extend(series[1..].iter().map(ratio));
        rows.push(row);
    }
    drop(holders);
    println!(
        "\nTables of {TABLE} sockets: milliseconds from start to exit, output to a pipe, {rounds} rounds; median \
         (least–greatest).\n"
    );
    print_table(&rows);
    Ok(())
}

/// The agent's processor time while connections come at a steady pace.
fn processor(program: &Path, rounds: usize) -> Result<()> {
    const SPAN: Duration = Duration::from_secs(5);
    let agent = Agent::start(program)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (mut idle, mut paced, mut made) = (Series::default(), Series::default(), Series::default());
    for round in 0..=rounds {
        let before = agent.processor_ns()?;
        thread::sleep(SPAN);
        let between = agent.processor_ns()?;
        let load = load::paced(&listener, PACE, SPAN)?;
        let after = agent.processor_ns()?;
        let percent = |ns: u64, span: Duration| 100.0 * ns as f64 / span.as_nanos() as f64;
        if round > 0 {
            idle.push(percent(between - before, SPAN));
            paced.push(percent(after - between, load.elapsed));
            made.push(load.per_second());
        }
    }
    println!(
        "\nProcessor time of the agent, per cent of one core, {} s a round, {rounds} rounds; median (least–greatest).\n",
        SPAN.as_secs()
    );
    print_table(&[
        ["load", "connections/s", "agent CPU %"].map(str::to_owned).to_vec(),
        vec!["none of ours".into(), "-".into(), idle.shown(2)],
        vec!["paced".into(), made.shown(0), paced.shown(2)],
    ]);
    Ok(())
}

/// What the agent costs whoever makes connections as fast as he can, by itself and with a reader of its events.
fn stream(program: &Path, rounds: usize) -> Result<()> {
    const SPAN: Duration = Duration::from_secs(3);
    const NAMES: [&str; 3] = ["no agent", "agent", "agent, events --agent --proto tcp > file"];
    let output = sh::root().join("target/bench/agent.out");
    fs::create_dir_all(output.parent().context("no folder")?)?;
    let mut series = vec![Series::default(); NAMES.len()];
    let mut lost = String::new();
    for round in 0..rounds {
        for step in 0..NAMES.len() {
            let at = (round + step) % NAMES.len();
            let agent = if at > 0 { Some(Agent::start(program)?) } else { None };
            let reader = match &agent {
                Some(agent) if at == 2 => Some(agent.reader(program, &output)?),
                _ => None,
            };
            let listener = TcpListener::bind("127.0.0.1:0")?;
            load::reset_loop(&listener, Duration::from_millis(300))?;
            series[at].push(load::reset_loop(&listener, SPAN)?.per_second());
            drop(reader);
            if let Some(agent) = agent {
                lost = agent.stop()?;
            }
        }
    }
    println!(
        "\nOne thread connects, accepts and resets on loopback, {} s a round, {rounds} rounds; median (least–greatest).\n",
        SPAN.as_secs()
    );
    let mut rows = vec![["tracer", "connections/s", "cost"].map(str::to_owned).to_vec()];
    for (at, name) in NAMES.iter().enumerate() {
        let cost = 100.0 * (1.0 - series[at].median() / series[0].median());
        let cost = if at == 0 { "-".to_owned() } else { format!("{cost:.1} %") };
        rows.push(vec![(*name).to_owned(), series[at].shown(0), cost]);
    }
    print_table(&rows);
    println!("{lost}");
    Ok(())
}

/// A running agent; killed when dropped.
struct Agent {
    child: Child,
    socket: PathBuf,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Agent {
    fn start(program: &Path) -> Result<Self> {
        let socket = std::env::temp_dir().join(format!("netstat-bench-{}.sock", std::process::id()));
        let mut command = Command::new(program);
        command.arg("agent").arg("--socket").arg(&socket).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot run {}", sh::shown(&command)))?;
        let stderr = BufReader::new(child.stderr.take().context("no standard error")?);
        let mut agent = Self { child, socket, stderr };
        agent.hear("agent: serving")?;
        Ok(agent)
    }

    fn hear(&mut self, wanted: &str) -> Result<String> {
        let mut said = String::new();
        loop {
            let mut line = String::new();
            if self.stderr.read_line(&mut line)? == 0 {
                bail!("the agent ended: {said}");
            }
            if line.contains(wanted) {
                return Ok(line.trim_end().to_owned());
            }
            said.push_str(&line);
        }
    }

    /// Ends it in order; returns its summary.
    fn stop(mut self) -> Result<String> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        self.hear(" lost")
    }

    /// The program, asking this agent.
    fn asked(&self, program: &Path, options: &str) -> Command {
        let mut command = Command::new(program);
        command.arg(options).arg("--agent").arg(&self.socket);
        command
    }

    /// A reader of its events, at work.
    fn reader(&self, program: &Path, output: &Path) -> Result<Reader> {
        let mut command = Command::new(program);
        command.args(["events", "--proto", "tcp", "--agent"]).arg(&self.socket);
        let file = File::create(output).with_context(|| format!("cannot write {}", output.display()))?;
        let mut child = command.stdin(Stdio::null()).stdout(file).stderr(Stdio::piped()).spawn()?;
        let mut stderr = BufReader::new(child.stderr.take().context("no standard error")?);
        let reader = Reader(child);
        let mut line = String::new();
        while !line.starts_with("tracing:") {
            line.clear();
            if stderr.read_line(&mut line)? == 0 {
                bail!("the reader of events ended");
            }
        }
        Ok(reader)
    }

    /// A field of /proc/PID/status that is given in kB, in bytes.
    fn memory(&self, field: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no such field")?;
        Ok(kib.parse::<u64>()? << 10)
    }

    /// Time that its threads were on a processor until now, in nanoseconds. One that has ended counts no more: the agent keeps its
    /// threads for longer than a round.
    fn processor_ns(&self) -> Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            sum += text.split(' ').next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(sum)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A reader of events; killed when dropped.
struct Reader(Child);

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
